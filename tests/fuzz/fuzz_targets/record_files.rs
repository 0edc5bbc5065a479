//! Files of official records, CSV and XML. See `bhyt_tests::fuzz::record_files`.
#![no_main]

use bhyt_tests::fuzz::{record_files, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(record_files::seeds), |data: &[u8]| record_files::run(data));
