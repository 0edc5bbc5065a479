//! Operations on a member's personal document: an id made where the operation was born, and one change of the document.
//! What the server answers to each, and the code that says why one was not taken.
//!
//! An id is scoped to its member. The same id with the same bytes is the same operation, however often it arrives; the same
//! id with other bytes is refused. An operation that was refused is never done later: whoever still wants what it asked for
//! asks under a new id.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::OperationId;
use crate::personal::guard::Refusal;
use crate::receipt::ReceiptSeal;

/// One operation. Member and generation stand beside it in [`crate::sync::personal::SyncPersonal`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Random, drawn where it was born.
    pub id: OperationId,
    /// One change of the document; at most [`crate::limits::OPERATION_BYTES_MAX`].
    pub change: Vec<u8>,
}

impl Operation {
    /// What a receipt says of the bytes.
    pub fn hash(&self) -> OperationHash {
        OperationHash::of(&self.change)
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({}, {} bytes)", self.id, self.change.len())
    }
}

/// Which of a member's documents, one after the other; 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u32);

impl Generation {
    /// Of a member's first document.
    pub const FIRST: Self = Self(1);

    /// The one after this; stays at the end of the range, which nobody reaches.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// SHA-256 of the bytes of an operation's change, as they were handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationHash(pub [u8; 32]);

impl OperationHash {
    /// Of these bytes.
    pub fn of(change: &[u8]) -> Self {
        Self(Sha256::digest(change).into())
    }
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationAnswer {
    /// Merged now, and durable.
    Accepted(ReceiptSeal),
    /// Merged before; the receipt is the one of then.
    Duplicate(ReceiptSeal),
    /// Not merged, and never will be under this id.
    Rejected(Rejection),
}

/// Why an operation was not merged. An open set: a code that this version does not know is kept as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(from = "u16", into = "u16")]
pub enum Rejection {
    /// Made for a generation of the document that is over: to be made anew on the one that came with the answer.
    #[error("the document has a new generation")]
    Generation,
    /// The id was used for other bytes.
    #[error("operation id used for something else")]
    Reused,
    /// Not one change of a document.
    #[error("malformed change")]
    Malformed,
    /// Larger than a change may be, as sent or inflated.
    #[error("change too large")]
    TooLarge,
    /// Its author is not the device that hands it in.
    #[error("change of another author")]
    Author,
    /// It does not follow on from the author's changes or from the document: to be made anew.
    #[error("change does not follow on")]
    OutOfOrder,
    /// It writes what its author may not write, or not in this form.
    #[error("change not permitted")]
    NotPermitted,
    /// The document would be larger than it may be.
    #[error("document full")]
    Full,
    /// More than a device may hand in for now: to be sent again later under the same id.
    #[error("too many operations")]
    Quota,
    /// A code of a newer server.
    #[error("code {0}")]
    Other(u16),
}

impl Rejection {
    /// Whether the edit is as good as it was and only its bytes have to be made anew.
    pub fn wants_rebase(self) -> bool {
        matches!(self, Self::Generation | Self::OutOfOrder)
    }

    /// Whether the same bytes may be sent again later.
    pub fn passes(self) -> bool {
        self == Self::Quota
    }

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Reused => "reused",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Author => "author",
            Self::OutOfOrder => "out_of_order",
            Self::NotPermitted => "not_permitted",
            Self::Full => "full",
            Self::Quota => "quota",
            Self::Other(_) => "other",
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLong { .. } => Self::TooLarge,
            Refusal::Chunk(_) | Refusal::Merge | Refusal::Twice => Self::Malformed,
            Refusal::Follow(_) => Self::OutOfOrder,
            Refusal::Actor => Self::Author,
            // A new generation makes room.
            Refusal::HistoryFull => Self::Generation,
            Refusal::Field
            | Refusal::Writer
            | Refusal::Value
            | Refusal::Replaces
            | Refusal::Final
            | Refusal::NotHandedIn => Self::NotPermitted,
            Refusal::DocumentFull => Self::Full,
        }
    }
}

impl From<u16> for Rejection {
    fn from(code: u16) -> Self {
        KNOWN.into_iter().find(|known| u16::from(*known) == code).unwrap_or(Self::Other(code))
    }
}

impl From<Rejection> for u16 {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Generation => 1,
            Rejection::Reused => 2,
            Rejection::Malformed => 3,
            Rejection::TooLarge => 4,
            Rejection::Author => 5,
            Rejection::OutOfOrder => 6,
            Rejection::NotPermitted => 7,
            Rejection::Full => 8,
            Rejection::Quota => 9,
            Rejection::Other(code) => code,
        }
    }
}

const KNOWN: [Rejection; 9] = [
    Rejection::Generation,
    Rejection::Reused,
    Rejection::Malformed,
    Rejection::TooLarge,
    Rejection::Author,
    Rejection::OutOfOrder,
    Rejection::NotPermitted,
    Rejection::Full,
    Rejection::Quota,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bare;

    #[test]
    fn a_code_of_a_newer_server_is_kept_as_its_number() {
        for code in 0..=300_u16 {
            let rejection = Rejection::from(code);
            assert_eq!(u16::from(rejection), code);
            assert_eq!(bare::decode::<Rejection>(&bare::encode(&rejection)), Ok(rejection));
            assert_eq!(matches!(rejection, Rejection::Other(_)), !(1..=9).contains(&code), "{code}");
        }
    }
}
