//! Cards as they are shown. See `bhyt_tests::fuzz::card`.
#![no_main]

use bhyt_tests::fuzz::{card, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(card::seeds), |data: &[u8]| card::run(data));
