//! What the core takes of memory and time for hostile bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts what Rust allocates in this process. C libraries are not counted.
pub struct CountingAllocator;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Called before more than this is taken at once, which would take the machine down.
static CEILING: AtomicUsize = AtomicUsize::new(usize::MAX);

thread_local! {
    static ASKS: Cell<bool> = const { Cell::new(false) };
    static COST: Cell<Cost> = const { Cell::new(Cost { memory: 0, time: Duration::ZERO }) };
}

/// The most that one piece of work of a run has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Bytes beyond the size of the input, at the highest.
    pub memory: usize,
    pub time: Duration,
}

/// Does work on hostile bytes, and notes what it takes beyond them.
pub fn metered<R>(input: usize, work: impl FnOnce() -> R) -> R {
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    let begun = Instant::now();
    let used_before = used();
    let result = work();
    let used = used_before.and_then(|before| used()?.checked_sub(before));
    let time = used.unwrap_or_else(|| begun.elapsed());
    let memory = PEAK.load(Relaxed).saturating_sub(live + input);
    let cost = COST.get();
    COST.set(Cost {
        memory: memory.max(cost.memory),
        time: time.max(cost.time),
    });
    result
}

/// What was noted since this was asked last.
pub fn take() -> Cost {
    COST.take()
}

/// From here on, or until it is taken back, time is what the thread has used of a processor, where the system tells that: others
/// use the machine too. Asking for it takes longer than most runs.
pub fn ask_the_system(whether: bool) {
    ASKS.set(whether);
}

/// What this thread has used, where it is asked for. Linux tells it in nanoseconds.
fn used() -> Option<Duration> {
    if !ASKS.get() {
        return None;
    }
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
}

/// The process ends when it holds more bytes than this, after `last_words`.
pub fn set_ceiling(bytes: usize) {
    CEILING.store(bytes, Relaxed);
}

fn grown(by: usize) {
    let live = LIVE.fetch_add(by, Relaxed) + by;
    PEAK.fetch_max(live, Relaxed);
    if live > CEILING.load(Relaxed) {
        CEILING.store(usize::MAX, Relaxed);
        crate::panics::hopeless("more memory than the ceiling");
    }
}

// SAFETY: everything is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as the caller has promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while the bytes are copied.
        grown(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(place, layout, size) }
    }
}
