//! Key packages.

use std::time::Duration;

use conclave_core::error::Error;
use conclave_core::id::{from_hex, hex};
use conclave_core::key_package::KeyPackage;
use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;

use crate::bytes::Uint8Array;
use crate::credential::reference;
use crate::database::NativeDatabase;
use crate::member::converted;

/// A key package; without bytes when listed.
#[napi(object, object_from_js = false)]
pub struct NativeKeyPackage {
    pub bytes: Option<Uint8Array>,
    #[napi(js_name = "ref")]
    pub reference: String,
    pub cipher_suite: u16,
    pub not_after_ms: f64,
    pub expired: bool,
    pub last_resort: bool,
}

impl From<KeyPackage> for NativeKeyPackage {
    fn from(package: KeyPackage) -> Self {
        NativeKeyPackage {
            bytes: Some(package.bytes).filter(|bytes| !bytes.is_empty()).map(Uint8Array),
            reference: hex(&package.reference),
            cipher_suite: package.cipher_suite.into(),
            not_after_ms: milliseconds(package.not_after_ms),
            expired: package.expired,
            last_resort: package.last_resort,
        }
    }
}

/// Milliseconds as JavaScript counts them; exact for 285,000 years.
pub(crate) fn milliseconds(ms: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "JavaScript has no other number for dates")]
    let number = ms as f64;
    number
}

/// Milliseconds as Rust counts them; 0 for what is before 1970, or no number.
pub(crate) fn whole_milliseconds(ms: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates"
    )]
    let whole = ms as u64;
    whole
}

#[napi]
impl NativeDatabase {
    /// Makes key packages and stores their private keys.
    #[napi(ts_return_type = "Promise<Array<NativeKeyPackage>>", catch_unwind)]
    pub fn generate_key_packages<'env>(
        &self,
        env: &'env Env,
        credential_ref: String,
        count: u32,
        lifetime_ms: Option<f64>,
        last_resort: bool,
    ) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                let lifetime = lifetime_ms
                    .map(|ms| Duration::try_from_secs_f64(ms / 1000.0))
                    .transpose();
                let lifetime =
                    lifetime.map_err(|_| Error::invalid("The lifetime of a key package is not a duration."))?;
                let count = usize::try_from(count).map_err(|_| Error::invalid("That is too many key packages."))?;
                session.generate_key_packages(&reference(&credential_ref)?, count, lifetime, last_resort)
            },
            converted::<_, NativeKeyPackage>,
        )
    }

    /// All key packages; when asked for, with the bytes of those that can be published.
    #[napi(ts_return_type = "Promise<Array<NativeKeyPackage>>", catch_unwind)]
    pub fn key_packages<'env>(&self, env: &'env Env, with_bytes: bool) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                if with_bytes {
                    session.key_packages_with_bytes()
                } else {
                    session.key_packages()
                }
            },
            converted::<_, NativeKeyPackage>,
        )
    }

    /// Deletes key packages with their private keys.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn remove_key_packages<'env>(&self, env: &'env Env, references: Vec<String>) -> napi::Result<Object<'env>> {
        self.step(
            env,
            move |session| {
                let references: Option<Vec<_>> = references.iter().map(|reference| from_hex(reference)).collect();
                let references = references.ok_or_else(|| Error::invalid("The ref of a key package is not hex."))?;
                session.remove_key_packages(&references)
            },
            |()| (),
        )
    }
}
