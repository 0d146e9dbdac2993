//! What came of the runs, counted.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static COUNTS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts an outcome of the present run.
pub fn count(outcome: impl AsRef<str>) {
    let outcome = outcome.as_ref();
    COUNTS.with_borrow_mut(|counts| match counts.get_mut(outcome) {
        Some(count) => *count += 1,
        None => drop(counts.insert(outcome.to_owned(), 1)),
    });
}

/// What was counted since this was asked last.
pub fn take() -> BTreeMap<String, u64> {
    COUNTS.take()
}
