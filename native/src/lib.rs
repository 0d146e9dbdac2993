//! The bridge between Node and `conclave-core`: every method converts, queues one core step, and converts back.
//!
//! It is not API. `lib/native.ts` is its only caller, and what people use is made in `lib/`.

#![cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#![allow(unreachable_pub, reason = "what napi exports is reached from JavaScript")]

mod bytes;
mod commit;
mod conversation;
mod credential;
mod database;
mod error;
mod external_join;
mod inspect;
mod key_package;
mod limits;
mod member;
mod promise;
mod receive;

use napi_derive::napi;

// Cargo builds one core for everybody who asks for it together: none that another crate has opened gets into an addon.
const _: () = assert!(
    !conclave_core::OPEN_TO_FUZZER,
    "the addon is built without the feature `fuzzing` of the core"
);

/// The version of the package that this binary belongs to. No package has the version of a control, so that none loads it.
#[napi(catch_unwind)]
pub fn native_version() -> String {
    #[cfg(feature = "answers-before-storing")]
    const CONTROL: &str = "-answers-before-storing";
    #[cfg(not(feature = "answers-before-storing"))]
    const CONTROL: &str = "";
    format!("{}{CONTROL}", env!("CARGO_PKG_VERSION"))
}
