//! The code in a picture. See `bhyt_tests::fuzz::picture`.
#![no_main]

use bhyt_tests::fuzz::{picture, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(picture::seeds), |data: &[u8]| picture::run(data));
