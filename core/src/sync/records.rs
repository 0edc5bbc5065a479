//! Frames of official records on their way in: what an operator's program has read from files, in the form that feeds keep.
//!
//! A row is one record of one member. It is named by what its source calls it, so a row that comes twice is the same as
//! one that came once, one that says something else is a correction, and neither needs to know where the record stands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::IMPORT_RECORD_BYTES_MAX;
use crate::record::{Body, RecordKind};

/// A record of a member, stored or retracted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRow {
    /// Any alias of the member.
    pub member: String,
    /// Another alias of the same member; empty when the source has one alone. Two that name two members are a conflict.
    pub also: String,
    /// What to do.
    pub change: RecordChange,
}

/// What an operator does with a record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordChange {
    /// Store it: its first revision, or a correction when it says something else than what is stored.
    Put(NewRecord),
    /// Store it if its source has not named one before; else leave what is there, which knows more.
    PutIfNew(NewRecord),
    /// Retract the record that has the same name as this one.
    Retract(NewRecord),
}

impl RecordChange {
    /// The record that it speaks of.
    pub fn record(&self) -> &NewRecord {
        match self {
            Self::Put(record) | Self::PutIfNew(record) | Self::Retract(record) => record,
        }
    }
}

/// A record before it has a place in a feed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRecord {
    /// What it tells of.
    pub kind: RecordKind,
    /// Its body.
    pub body: Body,
    /// Bodies of the records that go with it, in order: of a visit, the cost lines that it has no room for.
    pub parts: Vec<Body>,
}

impl NewRecord {
    /// Bytes of the bodies: at most [`IMPORT_RECORD_BYTES_MAX`] in a row that a server takes.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.as_bytes().len()).sum::<usize>() + self.body.as_bytes().len()
    }

    /// Whether it is within its bound.
    pub fn fits(&self) -> bool {
        self.bytes() <= IMPORT_RECORD_BYTES_MAX
    }
}

impl fmt::Debug for RecordRow {
    /// The kind alone: numbers and bodies are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordRow({:?})", self.change)
    }
}

impl fmt::Debug for RecordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Put(_) => "Put",
            Self::PutIfNew(_) => "PutIfNew",
            Self::Retract(_) => "Retract",
        };
        write!(f, "{name}({:?})", self.record().kind)
    }
}

impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewRecord({:?}, {} bytes)", self.kind, self.bytes())
    }
}
