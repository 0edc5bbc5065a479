//! What stands on disks. See `bhyt_tests::fuzz::stored`.
#![no_main]

use bhyt_tests::fuzz::{stored, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(stored::seeds), |data: &[u8]| stored::run(data));
