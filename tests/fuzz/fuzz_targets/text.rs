//! What people and their programs write. See `bhyt_tests::fuzz::text`.
#![no_main]

use bhyt_tests::fuzz::{text, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(text::seeds), |data: &[u8]| text::run(data));
