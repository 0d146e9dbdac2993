//! The calls that are unsafe in Rust's sense, each in a file of its own, so that the core can
//! forbid unsafe code.

mod exit;
mod key;
mod lock;

pub use exit::{at_work, exit_waits};
pub use key::key;
pub use lock::{lock_file, unlock_file};
