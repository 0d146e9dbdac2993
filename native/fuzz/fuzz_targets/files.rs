#![no_main]

libfuzzer_sys::fuzz_target!(init: conclave_fuzz::report_panics(), |bytes: &[u8]| conclave_fuzz::targets::files::run(bytes));
