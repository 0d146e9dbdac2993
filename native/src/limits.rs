//! The limits of the core, for the test that compares them with those in TypeScript.

use conclave_core::cipher_suite::CIPHER_SUITES;
use conclave_core::limits::TABLE;
use napi_derive::napi;

use crate::key_package::milliseconds;

/// One limit.
#[napi(object, object_from_js = false)]
pub struct NativeLimit {
    pub name: String,
    pub min: f64,
    pub max: f64,
    #[napi(js_name = "default")]
    pub preset: Option<f64>,
}

/// All limits that callers see.
#[napi(catch_unwind)]
pub fn limits() -> Vec<NativeLimit> {
    let rows = TABLE.iter().map(|(name, min, max, preset)| NativeLimit {
        name: (*name).to_owned(),
        min: milliseconds(*min),
        max: milliseconds(*max),
        preset: preset.map(milliseconds),
    });
    rows.collect()
}

/// The numbers of all cipher suites that are supported (RFC 9420 section 17.1).
#[napi(catch_unwind)]
pub fn cipher_suites() -> Vec<u16> {
    CIPHER_SUITES.iter().map(|suite| u16::from(*suite)).collect()
}
