//! The server's service. See `bhyt_tests::fuzz::service`.
#![no_main]

use bhyt_tests::fuzz::{service, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(service::seeds), |data: &[u8]| service::run(data));
