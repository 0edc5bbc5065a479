//! Every field of every format that leaves our programs, and every way to spoil it: gone, of another type, size or value,
//! twice, out of order, in a form that no encoder of ours writes. Each object is signed again after each change, so that it
//! is not the signature that refuses it; and once as it was signed, where nothing but the signature has to.
//!
//! The tables say the exact answer for each field, and are complete: a field without a row fails the test.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

mod card;
mod envelope;
mod feed;
mod frames;
mod presentation;
mod receipt;
mod records;
mod status;
mod trust;
