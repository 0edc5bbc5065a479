//! Frames of the personal document. One exchange hands operations in and brings back what the other side has: one round
//! trip for an edit, whoever else has edited meanwhile.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::MemberId;
use crate::operation::Generation;
use crate::operation::{Operation, OperationAnswer};
use crate::personal::document::PersonalDocument;
use crate::personal::ids::ChangeHash;

/// A phone hands in what it has made, and says what it has of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPersonal {
    /// Whose document.
    pub member: MemberId,
    /// What the phone knows the server to have; of generation 0 when it wants the whole document.
    pub cursor: PersonalCursor,
    /// The second half of the actor id under which the phone writes; the first is its transport key's id.
    pub install: [u8; 8],
    /// In the order in which they were made; at most [`crate::limits::OPERATIONS_MAX`] and
    /// [`crate::limits::OPERATIONS_BYTES_MAX`].
    pub operations: Vec<Operation>,
}

/// How far somebody is in a personal document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalCursor {
    /// Which of the member's documents.
    pub generation: Generation,
    /// The newest changes, ascending; they name all that came before them. At most
    /// [`crate::limits::PERSONAL_HEADS_MAX`].
    pub heads: Vec<ChangeHash>,
}

impl PersonalCursor {
    /// Of no document.
    pub const NOTHING: Self = Self { generation: Generation(0), heads: Vec::new() };

    /// Of this document.
    pub fn of(document: &PersonalDocument) -> Self {
        Self { generation: document.generation(), heads: document.heads() }
    }
}

/// What became of the operations, and what the phone lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalReply {
    /// Whose document.
    pub member: MemberId,
    /// One an operation, in order. After the first that was rejected no other was looked at, and has no answer.
    pub answers: Vec<OperationAnswer>,
    /// What the phone lacks.
    pub content: PersonalContent,
    /// What the server has after this, and the phone when it has taken it.
    pub cursor: PersonalCursor,
}

/// What a phone lacks of the document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersonalContent {
    /// Changes that the phone has not, its own operations left out, in an order in which they can be applied.
    Changes(Vec<Vec<u8>>),
    /// All of it, in place of what the phone holds: it held nothing, another generation, or changes that the server does
    /// not know (restored from a backup).
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
