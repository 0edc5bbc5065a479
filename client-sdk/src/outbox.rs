//! The outbox as an application sees it: edits that the server has not taken yet, those that it refused, and the receipts of
//! those that it took.

use bhyt_core::ids::OperationId;
use bhyt_core::operation::Rejection;
use bhyt_core::personal::edit::Edit;
use bhyt_core::time::UnixSeconds;

use crate::personal_values::{StoredEntry, StoredReceipt};

/// An edit on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Names it to [`crate::Wallet::retry`] and [`crate::Wallet::discard`]. Changes when the edit has to be made again.
    pub id: OperationId,
    /// What was asked for.
    pub edit: Edit,
    /// When, by this phone's clock.
    pub made_at: UnixSeconds,
    /// What became of it so far.
    pub state: OutboxState,
}

/// What became of an edit so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxState {
    /// It is shown, and goes to the server at the next contact.
    Waiting,
    /// The server refused it. It is not shown, and holds nothing else up; the user tries again or throws it away.
    Rejected {
        /// Why.
        why: Rejection,
        /// When this phone heard of it.
        at: UnixSeconds,
    },
}

/// Proof that the server has taken an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptView {
    /// Under which id.
    pub operation: OperationId,
    /// What was asked for.
    pub edit: Edit,
    /// The bytes that were handed in; their SHA-256 stands in the receipt.
    pub change: Vec<u8>,
    /// The signed receipt, a COSE_Sign1 that anybody can verify with the trust bundle (docs/formats.md, "Receipt").
    pub signed: Vec<u8>,
    /// When the server took it.
    pub taken_at: UnixSeconds,
}

impl From<&StoredEntry> for OutboxEntry {
    fn from(entry: &StoredEntry) -> Self {
        let state = match entry.parked {
            None => OutboxState::Waiting,
            Some((why, at)) => OutboxState::Rejected { why, at },
        };
        Self { id: entry.id, edit: entry.edit.clone(), made_at: entry.made_at, state }
    }
}

impl From<StoredReceipt> for ReceiptView {
    fn from(receipt: StoredReceipt) -> Self {
        let StoredReceipt { id, edit, change, signed, taken_at, .. } = receipt;
        Self { operation: id, edit, change, signed, taken_at }
    }
}
