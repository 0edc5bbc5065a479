//! The status list that a terminal holds. See `bhyt_tests::fuzz::held_status`.
#![no_main]

use bhyt_tests::fuzz::{held_status, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(held_status::seeds), |data: &[u8]| held_status::run(data));
