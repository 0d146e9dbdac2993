//! Promises that are settled from an engine's thread.

use conclave_core::error::{Error, Result};
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, JsDeferred};

use crate::error::rejection;

type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<T> + Send>;

/// The settling side of a promise. Dropped unsettled it rejects: a promise that nobody settles would keep the process waiting
/// for ever.
pub(crate) struct Settle<T: ToNapiValue + 'static>(Option<JsDeferred<T, Resolver<T>>>);

/// A promise and what settles it.
pub(crate) fn promise<T: ToNapiValue + 'static>(env: &Env) -> napi::Result<(Settle<T>, Object<'_>)> {
    let (deferred, promise) = env.create_deferred()?;
    Ok((Settle(Some(deferred)), promise))
}

impl<T: ToNapiValue + Send + 'static> Settle<T> {
    pub(crate) fn with(mut self, result: Result<T>) {
        if let Some(deferred) = self.0.take() {
            deferred.resolve(Box::new(move |env| result.map_err(|error| rejection(&env, &error))));
        }
    }
}

impl<T: ToNapiValue + 'static> Drop for Settle<T> {
    fn drop(&mut self) {
        if let Some(deferred) = self.0.take() {
            let error = Error::internal("a call ended without an answer");
            deferred.resolve(Box::new(move |env| Err(rejection(&env, &error))));
        }
    }
}
