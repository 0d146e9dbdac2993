//! Hostile bytes for everything of the core that reads bytes.
//!
//! A target is a function on bytes that panics when it has found something. It counts what came of the bytes, so that a
//! target that reaches nothing shows. `main.rs` drives the targets by a seed, `fuzz_targets/` by libFuzzer.

pub mod choices;
pub mod clients;
pub mod hostile;
pub mod meter;
pub mod outcomes;
pub mod panics;
pub mod targets;
pub mod wire;

/// For libFuzzer: prints a panic and ends the process, but for those of the hostile member, who may fail.
pub fn report_panics() {
    panics::watch(|what| {
        eprintln!("{what}");
        std::process::abort();
    });
}
