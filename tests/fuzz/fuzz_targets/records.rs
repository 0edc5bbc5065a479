//! Official records. See `bhyt_tests::fuzz::records`.
#![no_main]

use bhyt_tests::fuzz::{records, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(records::seeds), |data: &[u8]| records::run(data));
