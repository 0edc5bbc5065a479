//! Feeds. See `bhyt_tests::fuzz::feed`.
#![no_main]

use bhyt_tests::fuzz::{feed, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(feed::seeds), |data: &[u8]| feed::run(data));
