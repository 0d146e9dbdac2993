//! The end of the process, while threads use SQLCipher.
//!
//! SQLCipher and OpenSSL free what they have when the process exits, also under a thread that works with it: it would die
//! of a segmentation fault in place of the exit code. So the exit waits until nobody is at work, and nobody begins again.

use std::sync::RwLock;

static AT_WORK: RwLock<()> = RwLock::new(());

/// Does work with SQLCipher; the process does not exit meanwhile. Calls do not nest: once the process exits, a call that
/// begins waits for ever, and with it the exit.
pub fn at_work<R>(work: impl FnOnce() -> R) -> R {
    let _until_it_is_done = AT_WORK.read();
    work()
}

/// Makes the exit wait. To be called once, when SQLCipher and OpenSSL have begun: at exit the handler that was registered
/// last runs first.
#[cfg(unix)]
pub fn exit_waits() {
    extern "C" fn wait() {
        std::mem::forget(AT_WORK.write());
    }
    // SAFETY: `wait` is a function of this library, which is never unloaded before the exit, and does not unwind.
    unsafe { libc::atexit(wait) };
}

/// On Windows all other threads have ended before a library is told of the exit.
#[cfg(not(unix))]
pub fn exit_waits() {}
