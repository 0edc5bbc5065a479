//! Data, formats, signatures, verdicts and the sync protocol of offline health-insurance cards.
//!
//! Pure: no I/O, no clock, no randomness, no threads. Time and random bytes are arguments. The formats are drawn in
//! `docs/formats.md`; every bound stands in [`limits`].

pub mod card;
pub mod card_record;
pub mod cbor;
pub mod codec;
mod compress;
pub mod cose;
pub mod feed;
pub mod grant;
pub mod held_status;
pub mod ids;
pub mod key_tree;
pub mod keys;
pub mod limits;
pub mod marks;
pub mod merkle;
pub mod merkle_proof;
pub mod operation;
pub mod p256_keys;
pub mod personal;
pub mod presentation;
pub mod presentation_key;
pub mod receipt;
pub mod record;
pub mod records;
pub mod replay;
pub mod seal;
pub mod status;
pub mod sync;
pub mod time;
pub mod trust;
mod trust_codec;
pub mod verdict;
pub mod verify;
pub mod words;
