//! The handle of an open keystore: opening, transactions, small values, closing.

use std::path::PathBuf;

use conclave_core::engine::Engine;
use conclave_core::error::Result;
use conclave_core::keystore::{DatabaseKey, Keystore};
use conclave_core::session::Session;
use napi::Env;
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi_derive::napi;
use zeroize::Zeroizing;

use crate::bytes::Uint8Array;
use crate::key_package::whole_milliseconds;
use crate::promise::promise;

/// An open keystore and its engine thread.
#[napi]
pub struct NativeDatabase {
    engine: Engine,
}

impl NativeDatabase {
    /// Queues one core step; the promise is settled when what it did is stored.
    pub(crate) fn step<'env, R, T>(
        &self,
        env: &'env Env,
        work: impl FnOnce(&mut Session) -> Result<R> + Send + 'static,
        convert: impl FnOnce(R) -> T + Send + 'static,
    ) -> napi::Result<Object<'env>>
    where
        R: Send + 'static,
        T: ToNapiValue + Send + 'static,
    {
        let (settle, promise) = promise(env)?;
        self.engine.step(work, move |result| settle.with(result.map(convert)));
        Ok(promise)
    }

    fn control<'env, T: ToNapiValue + Send + 'static>(
        &self,
        env: &'env Env,
        work: impl FnOnce(&mut Session) -> Result<T> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let (settle, promise) = promise(env)?;
        self.engine.control(work, move |result| settle.with(result));
        Ok(promise)
    }
}

#[napi]
impl NativeDatabase {
    /// Opens the keystore in this file with 32 bytes of key, or one in memory when both are absent.
    /// With `acceptRollback` it is opened also when its newest state is missing.
    #[napi(ts_return_type = "Promise<NativeDatabase>", catch_unwind)]
    pub fn open<'env>(
        env: &'env Env,
        path: Option<String>,
        key: Option<Uint8Array>,
        accept_rollback: bool,
    ) -> napi::Result<Object<'env>> {
        let (settle, promise) = promise(env)?;
        let key = key.map(|key| Zeroizing::new(key.0));
        let open = move || match (path, key) {
            (Some(path), Some(key)) => {
                let (path, key) = (PathBuf::from(path), DatabaseKey::try_from(key.as_slice())?);
                if accept_rollback {
                    Keystore::open_accepting_rollback(path, &key, Session::accept_rollback)
                } else {
                    Keystore::open(path, &key)
                }
            }
            _ => Keystore::in_memory(),
        };
        // When no thread can be had, the settling side is dropped, which rejects.
        let _ = Engine::start(open, move |engine| {
            settle.with(engine.map(|engine| NativeDatabase { engine }))
        });
        Ok(promise)
    }

    /// Binds the keystore to this client.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn bind<'env>(&self, env: &'env Env, client_id: Uint8Array) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.bind(&client_id.0), |()| ())
    }

    /// For the calls after this one it is this moment, in milliseconds since 1970; null: what the machine's clock says.
    #[napi(catch_unwind)]
    pub fn set_time(&self, now_ms: Option<f64>) {
        let now_ms = now_ms.map(whole_milliseconds);
        let set = move |session: &mut Session| {
            session.set_time(now_ms);
            Ok(())
        };
        self.engine.step(set, drop);
    }

    /// Opens a transaction.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn begin<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.control(env, Session::begin)
    }

    /// Stores what the transaction did.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn commit<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.control(env, Session::commit)
    }

    /// Takes back what the transaction did.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn rollback<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.control(env, Session::rollback)
    }

    /// A point of the open transaction.
    #[napi(ts_return_type = "Promise<number>", catch_unwind)]
    pub fn mark<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.control(env, Session::mark)
    }

    /// Takes back what the transaction did since the mark.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn rollback_to<'env>(&self, env: &'env Env, mark: u32) -> napi::Result<Object<'env>> {
        self.control(env, move |session| session.rollback_to(mark))
    }

    /// Stores or deletes a small value of the application.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn set_data<'env>(&self, env: &'env Env, key: String, value: Option<Uint8Array>) -> napi::Result<Object<'env>> {
        let value = value.map(|value| value.0);
        self.step(env, move |session| session.set_data(&key, value.as_deref()), |()| ())
    }

    /// A small value of the application.
    #[napi(ts_return_type = "Promise<Uint8Array | null>", catch_unwind)]
    pub fn data<'env>(&self, env: &'env Env, key: String) -> napi::Result<Object<'env>> {
        self.step(env, move |session| session.data(&key), |value| value.map(Uint8Array))
    }

    /// Closes after what was called before; later calls are `DATABASE_CLOSED`.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (settle, promise) = promise(env)?;
        self.engine.close(move |result| settle.with(result));
        Ok(promise)
    }
}
