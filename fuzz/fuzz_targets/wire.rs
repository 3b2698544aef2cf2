//! Tries reading what peers say.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlswarm_fuzz::check_wire(bytes));
