//! End-to-end encrypted groups (MLS, RFC 9420): sessions, conversations and their encrypted keystore.
//!
//! Plain synchronous Rust. One [`engine`] thread owns each open keystore and runs short, total, durable steps; nothing here
//! talks to a network or calls back into the application.
#![forbid(unsafe_code)]

pub mod cipher_suite;
mod codec;
pub mod conversation;
pub mod credential;
pub mod engine;
pub mod error;
pub mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod groups;
pub mod id;
pub mod inspect;
pub mod key_package;
pub mod keystore;
pub mod limits;
pub mod member;
mod provider;
pub mod session;
mod storage;
mod time;

/// Whether private parts are open to the fuzzer, as in no addon.
pub const OPEN_TO_FUZZER: bool = cfg!(feature = "fuzzing");
