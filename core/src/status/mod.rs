//! Status lists: signed, exact sets of card indexes by reason, small enough to carry anywhere and asked in place.
//!
//! From the bottom up: [`golomb`] codes ascending values near their entropy, [`set`] asks a coded set without unpacking
//! it, [`reason`] numbers the sets, [`list`] is one whole list and its answers, [`delta`] brings a list from version to
//! version, [`payload`] is the CBOR of both, [`build`] makes them on the server, [`index_order`] hands out
//! indexes. [`token`] shows a list to readers of others.

mod bits;
pub mod build;
pub mod delta;
pub mod edit;
pub mod golomb;
pub mod index_order;
pub mod list;
pub mod payload;
pub mod reason;
pub mod set;
mod skip;
pub mod token;
pub mod version;

#[cfg(test)]
mod delta_tests;
#[cfg(test)]
mod golomb_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod payload_tests;
#[cfg(test)]
mod size_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod token_tests;

pub use list::StatusList;
pub use reason::{Coverage, Standing};
pub use version::StatusVersion;
