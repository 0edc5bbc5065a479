//! Frames of both directions. See `bhyt_tests::fuzz::frames`.
#![no_main]

use bhyt_tests::fuzz::{frames, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(frames::seeds), |data: &[u8]| frames::run(data));
