//! Names inside a personal document: who writes, which entry and which change is meant.
//!
//! Promises: an [`ActorId`] says whose transport key wrote, so a change cannot be given out as another device's. None of
//! these prints in full.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::hex;
use crate::keys::KeyId;

/// Who writes: the key id of the transport key of a device (or of a desk's operator), and 8 random bytes an install. A phone
/// that was restored from a backup takes a new one: an actor that goes on from an older state would write two different
/// changes with one number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorId(pub [u8; 16]);

impl ActorId {
    /// Of a transport key and an install; `install` is drawn by the caller, once an install.
    pub fn new(key: KeyId, install: [u8; 8]) -> Self {
        Self::joined(key.0, install)
    }

    /// The transport key whose holder writes under this id.
    pub fn key(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// The writer of a document's beginning, of rank 0, and of what a rebuild carries over: the winners under the highest
    /// rank, so that they win again. No key has the id of eight zero bytes, so no device writes under these.
    pub(crate) fn rebuild(rank: u64) -> Self {
        Self::joined([0; 8], rank.to_be_bytes())
    }

    fn joined(first: [u8; 8], last: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(first.into_iter().chain(last)) {
            *to = from;
        }
        Self(bytes)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorId({})", self.key())
    }
}

/// In what name somebody writes; what may be written follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Writer {
    /// A member's own device.
    Device,
    /// An officer at an agency desk.
    Desk,
}

/// Names a reminder, a petition or an answer: 16 random bytes, drawn where it was made, so that two made apart are two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub [u8; 16]);

impl EntryId {
    /// All 32 hexadecimal digits, lower case.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads what [`Self::to_hex`] writes, and nothing else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let id = crate::ids::from_hex(text)?.try_into().ok().map(Self)?;
        (id.to_hex() == text).then_some(id)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({})", hex(self.0.get(..4).unwrap_or_default()))
    }
}

/// SHA-256 of a change, as Automerge has it: names the change, and with it everything that came before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChangeHash(pub [u8; 32]);

impl fmt::Debug for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangeHash({})", hex(self.0.get(..4).unwrap_or_default()))
    }
}
