//! What stands in the own store of personal documents: one frozen struct a schema number. All but the header is sealed under
//! the member's key for the place it stands at.

use serde::{Deserialize, Serialize};

use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::limits::{OPERATION_BYTES_MAX, RECEIPT_BYTES_MAX};
use bhyt_core::operation::{Generation, Rejection};
use bhyt_core::personal::edit::Edit;
use bhyt_core::schemas;
use bhyt_core::time::UnixSeconds;

/// Own: as whom this phone writes, and the number of the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPersonal {
    pub(crate) install: [u8; 8],
    pub(crate) next: u64,
}

/// Own, sealed: an edit that the server has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEntry {
    pub(crate) id: OperationId,
    /// The id under which it was refused, or made for another document.
    pub(crate) replaces: Option<OperationId>,
    pub(crate) edit: Edit,
    pub(crate) change: Vec<u8>,
    pub(crate) made_at: UnixSeconds,
    /// Why and when it was refused for good; it waits for the user then.
    pub(crate) parked: Option<(Rejection, UnixSeconds)>,
}

/// Own, sealed: an edit that the server has taken, and its signed receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredReceipt {
    pub(crate) id: OperationId,
    pub(crate) edit: Edit,
    pub(crate) change: Vec<u8>,
    pub(crate) signed: Vec<u8>,
    pub(crate) taken_at: UnixSeconds,
    /// Of the document that took it in.
    pub(crate) generation: Generation,
}

schemas! {
    StoredPersonal 130 32;
    StoredEntry 131 ENTRY_BYTES_MAX;
    StoredReceipt 133 ENTRY_BYTES_MAX;
}

/// An edit and the change that it made, each no longer than a change may be, and what stands beside them.
const ENTRY_BYTES_MAX: usize = 15 * 1024;
const _: () = assert!(OPERATION_BYTES_MAX + RECEIPT_BYTES_MAX + 5 * 1024 <= ENTRY_BYTES_MAX);

pub(crate) fn header_key(member: MemberId) -> Vec<u8> {
    [b"P", member.0.as_slice()].concat()
}

pub(crate) fn document_key(member: MemberId) -> Vec<u8> {
    [b"D", member.0.as_slice()].concat()
}

pub(crate) fn entries_prefix(member: MemberId) -> Vec<u8> {
    [b"O", member.0.as_slice()].concat()
}

pub(crate) fn receipts_prefix(member: MemberId) -> Vec<u8> {
    [b"R", member.0.as_slice()].concat()
}

/// Under one of the prefixes; in the order of the numbers.
pub(crate) fn numbered(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}
