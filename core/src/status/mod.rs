//! Status lists: signed, exact sets of card indexes by reason, small enough to carry anywhere and asked in place.
//!
//! From the bottom up: [`golomb`] codes ascending values near their entropy, [`set`] asks a coded set without unpacking
//! it, [`list`] is one whole list and its answers, [`delta`] brings a list from version to version, [`build`] makes
//! both on the server, [`index_order`] hands out card indexes.

mod bits;
pub mod golomb;
pub mod set;

#[cfg(test)]
mod testing;
pub mod version;

pub use version::StatusVersion;
