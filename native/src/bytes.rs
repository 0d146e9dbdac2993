//! Uint8Array on their way in and out: always copied. Electron forbids memory shared with JavaScript, and a caller may change its
//! array right after the call.

use napi::bindgen_prelude::{FromNapiValue, ToNapiValue, TypeName, Uint8ArraySlice, ValidateNapiValue};
use napi::{Env, Result, ValueType, sys};

/// A `Uint8Array` with memory of its own. It bears the JavaScript name, which the generated types take over.
pub struct Uint8Array(pub(crate) Vec<u8>);

impl From<Vec<u8>> for Uint8Array {
    fn from(bytes: Vec<u8>) -> Self {
        Uint8Array(bytes)
    }
}

impl TypeName for Uint8Array {
    fn type_name() -> &'static str {
        "Uint8Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for Uint8Array {
    unsafe fn validate(env: sys::napi_env, value: sys::napi_value) -> Result<sys::napi_value> {
        // SAFETY: the caller gives a live environment and a value of it, which is all that `&[u8]` asks for.
        unsafe { <&[u8]>::validate(env, value) }
    }
}

impl FromNapiValue for Uint8Array {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: as above; the slice is copied before JavaScript can run again.
        unsafe { <&[u8]>::from_napi_value(env, value) }.map(|bytes| Uint8Array(bytes.to_vec()))
    }
}

impl ToNapiValue for Uint8Array {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        let copy = Uint8ArraySlice::copy_from(&Env::from_raw(env), value.0)?;
        // SAFETY: the caller gives a live environment, in which the array was made.
        unsafe { Uint8ArraySlice::to_napi_value(env, copy) }
    }
}
