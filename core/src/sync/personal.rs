//! Frames of the personal document. One exchange hands operations in and brings back what the other side has: one round
//! trip for an edit, whoever else has edited meanwhile.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::MemberId;
use crate::operation::{Generation, Operation, OperationAnswer};

/// A phone hands in what it has made, and says what it has of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPersonal {
    /// Whose document.
    pub member: MemberId,
    /// The generation that the phone holds; 0 when it holds nothing.
    pub generation: Generation,
    /// Hashes of the newest changes that the phone knows the server to have; at most
    /// [`crate::limits::PERSONAL_HEADS_MAX`]. Empty when it holds nothing and wants the whole document.
    pub heads: Vec<[u8; 32]>,
    /// In the order in which they were made; at most [`crate::limits::OPERATIONS_MAX`] and
    /// [`crate::limits::OPERATIONS_BYTES_MAX`].
    pub operations: Vec<Operation>,
}

/// What became of the operations, and what the phone lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalReply {
    /// Whose document.
    pub member: MemberId,
    /// The document's generation now.
    pub generation: Generation,
    /// One an operation, in order. After the first that was rejected no other was looked at, and has no answer.
    pub answers: Vec<OperationAnswer>,
    /// What the phone lacks.
    pub content: PersonalContent,
    /// Hashes of the newest changes that the server has after this.
    pub heads: Vec<[u8; 32]>,
}

/// What a phone lacks of the document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersonalContent {
    /// Changes after the phone's heads, its own operations left out, in an order in which they can be applied.
    Changes(Vec<Vec<u8>>),
    /// All of it, in place of what the phone holds: it held nothing, another generation, or heads that the server does not
    /// know (restored from a backup).
    Document(Vec<u8>),
}

impl fmt::Debug for PersonalContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes(changes) => write!(f, "Changes({})", changes.len()),
            Self::Document(bytes) => write!(f, "Document({} bytes)", bytes.len()),
        }
    }
}
