//! The state machines of phone and terminal. See `bhyt_tests::fuzz::sessions`.
#![no_main]

use bhyt_tests::fuzz::{sessions, write_seeds};

libfuzzer_sys::fuzz_target!(init: write_seeds(sessions::seeds), |data: &[u8]| sessions::run(data));
