//! Tries the rewriter.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlswarm_fuzz::check_rewrite(bytes));
