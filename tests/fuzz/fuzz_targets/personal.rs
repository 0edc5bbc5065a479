//! Changes and stored personal documents. See `bhyt_tests::fuzz::personal`.
#![no_main]

use bhyt_tests::fuzz::{personal, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(personal::seeds), |data: &[u8]| personal::run(data));
