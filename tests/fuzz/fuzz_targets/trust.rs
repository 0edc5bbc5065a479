//! Trust bundles. See `bhyt_tests::fuzz::trust`.
#![no_main]

use bhyt_tests::fuzz::{trust, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(trust::seeds), |data: &[u8]| trust::run(data));
