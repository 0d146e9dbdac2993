//! What time it is.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock, or a moment that a test has set.
#[derive(Default)]
pub(crate) struct Clock {
    set: Cell<Option<u64>>,
}

impl Clock {
    /// Milliseconds since 1970; 0 when the machine's clock is before that.
    pub(crate) fn now_ms(&self) -> u64 {
        self.set.get().unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// Seconds since 1970, as lifetimes count (RFC 9420 section 7.2).
    pub(crate) fn now_secs(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// Stands still at this moment until another one is set; `None`: goes with the machine's clock again.
    pub(crate) fn set(&self, now_ms: Option<u64>) {
        self.set.set(now_ms);
    }
}
