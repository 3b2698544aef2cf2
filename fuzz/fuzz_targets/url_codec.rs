//! Tries the URL codec.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hlswarm_fuzz::check_url_codec(bytes));
