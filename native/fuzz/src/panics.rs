//! Panics: findings where they are the core's, nothing where they are the hostile member's.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

thread_local! {
    static IS_HOSTILE: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From here on `report` is told of every panic that is a finding.
pub fn watch(report: impl Fn(&str) + Send + Sync + 'static) {
    set_hook(Box::new(move |panic| {
        if !IS_HOSTILE.get() {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let what = panic.payload_as_str().unwrap_or("a panic").to_owned();
            report(&format!("panic at {}: {what}", place_in_crate(&place)));
        }
    }));
}

/// Remembers the last panic, for [`found`].
pub fn remember() {
    watch(|what| LAST.set(what.to_owned()));
}

/// Runs a target; answers its panic.
pub fn found(run: impl FnOnce()) -> Option<String> {
    catch_unwind(AssertUnwindSafe(run)).err().map(|_| LAST.take())
}

/// What a hostile member does: where it fails, there is nothing.
pub fn hostile<R>(work: impl FnOnce() -> R) -> Option<R> {
    IS_HOSTILE.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_HOSTILE.set(false);
    result.ok()
}

/// Without the folder of the checkout or of Cargo, so that it is the same everywhere.
fn place_in_crate(place: &str) -> &str {
    ["native/", "registry/src/"]
        .iter()
        .find_map(|folder| place.rfind(folder).map(|at| &place[at + folder.len()..]))
        .unwrap_or(place)
}

thread_local! {
    static LAST_WORDS: Cell<Option<fn(&str)>> = const { Cell::new(None) };
}

/// What to do before the process ends for a finding that it cannot outlive.
pub fn set_last_words(words: fn(&str)) {
    LAST_WORDS.set(Some(words));
}

pub(crate) fn hopeless(what: &str) -> ! {
    if let Some(words) = LAST_WORDS.get() {
        words(what);
    }
    std::process::abort();
}
