//! Lifetimes of key packages (RFC 9420 section 7.2). They decide about what this client makes and whom it adds. What others have
//! added was judged by its sender, at its time: nothing that is received is held to the clock of who receives it.

use std::time::Duration;

use openmls::prelude::Lifetime;

use crate::error::{Error, Result};
use crate::limits::{
    DEFAULT_LIFETIME, LEAST_LIFETIME_LEFT, LIFETIME_BEGAN, MAX_LIFETIME, MAX_WHOLE_LIFETIME, MIN_LIFETIME,
};

/// The lifetime of what this client makes now: from some time ago, for clocks that are behind, until `lifetime` from now.
pub(crate) fn own_lifetime(lifetime: Option<Duration>, now_secs: u64) -> Result<Lifetime> {
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME);
    if lifetime < MIN_LIFETIME || lifetime > MAX_LIFETIME {
        return Err(Error::invalid(
            "The lifetime of a key package must be between one second and 84 days.",
        ));
    }
    Ok(Lifetime::init(
        now_secs.saturating_sub(LIFETIME_BEGAN.as_secs()),
        now_secs.saturating_add(lifetime.as_secs()),
    ))
}

/// Why nobody is to be added now by a key package of this lifetime, if so: a whole sentence.
pub(crate) fn refuses_to_add(lifetime: &Lifetime, now_secs: u64) -> Option<&'static str> {
    let whole = lifetime.not_after().saturating_sub(lifetime.not_before());
    if whole > MAX_WHOLE_LIFETIME.as_secs() {
        return Some(
            "The key package cannot be used: its whole lifetime is longer than 85 days. Its client has to make one with a \
             shorter lifetime.",
        );
    }
    if lifetime.not_before() > now_secs {
        return Some(
            "The key package cannot be used: its lifetime has not begun. The clock of this machine, or of its client's, is \
             wrong. Set the clock that is wrong; if it is the client's, fetch a key package that was made after it.",
        );
    }
    if lifetime.not_after() < now_secs.saturating_add(LEAST_LIFETIME_LEFT.as_secs()) {
        return Some(
            "The key package cannot be used: it has expired, or will within a day. Fetch another one of this client. If all of \
             them seem to have expired, look at this machine's clock.",
        );
    }
    None
}
