//! Data, formats, signatures, verdicts and the sync protocol of offline health-insurance cards.
//!
//! Pure: no I/O, no clock, no randomness, no threads. Time and random bytes are arguments. The formats are drawn in
//! `docs/formats.md`; every bound stands in [`limits`].

pub mod limits;
pub mod merkle;
pub mod merkle_proof;
pub mod status;
