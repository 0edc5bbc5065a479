//! The contract of every store: one suite over all engines with the memory store as the oracle, and what only stores on
//! a disk can get wrong.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

mod differential;
mod disk;
mod fixture;
mod journal;
mod own;
mod process;
mod suite;
