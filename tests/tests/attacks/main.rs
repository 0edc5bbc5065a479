//! Attacks on proofs, trust and status lists, each a scenario with its exact answer: what a thief of codes, a man in the
//! middle, a holder of stolen keys and a maker of bombs can do here, and what they cannot.
//!
//! Fields and encodings stand in `fields/`; rows and edges of the verdict in `verdict_*`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

mod extremes;
mod proofs;
mod status;
mod trust;
