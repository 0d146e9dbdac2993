//! Core errors as JavaScript sees them: an `Error` with `code` and `details`, plain data for `fromNative()` in lib/errors.ts.

use conclave_core::error::Error;
use conclave_core::id::display_id;
use napi::bindgen_prelude::{JsObjectValue, Object};
use napi::{Env, JsValue};

/// The rejection for a core error. Must be made on the JavaScript thread.
pub(crate) fn rejection(env: &Env, error: &Error) -> napi::Error {
    let build = || -> napi::Result<napi::Error> {
        let mut object = env.create_error(napi::Error::from_reason(error.to_string()))?;
        object.set_named_property("code", error.code().as_str())?;
        let mut details = Object::new(env)?;
        if let Some(id) = error.conversation_id() {
            details.set_named_property("conversationId", display_id(id))?;
        }
        if let Some(epoch) = error.epoch() {
            details.set_named_property("epoch", epoch.to_string())?;
        }
        if let Some(index) = error.index() {
            details.set_named_property("index", u32::try_from(index).unwrap_or(u32::MAX))?;
        }
        details.set_named_property("causes", error.causes())?;
        object.set_named_property("details", details)?;
        Ok(napi::Error::from(object.to_unknown()))
    };
    build().unwrap_or_else(|failure| failure)
}
