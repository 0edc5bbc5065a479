//! Status lists. See `bhyt_tests::fuzz::status`.
#![no_main]

use bhyt_tests::fuzz::{status, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(status::seeds), |data: &[u8]| status::run(data));
