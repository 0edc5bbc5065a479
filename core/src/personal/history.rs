//! The changes of a personal document in the order in which they came: how a document is stored, sent and told apart.
//!
//! Promises: every change follows what it depends on. One actor's changes follow each other, and each knows the one before
//! it; operations are numbered on from everything that a change knows. Refuses whatever would leave a hole.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::Chunk;
use super::ids::{ActorId, ChangeHash};

/// Changes in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    changes: Vec<Past>,
    places: BTreeMap<ChangeHash, usize>,
    last: BTreeMap<ActorId, usize>,
    bytes: usize,
}

/// One change of it.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) hash: ChangeHash,
    pub(crate) deps: Vec<ChangeHash>,
    pub(crate) bytes: Vec<u8>,
    seq: u64,
    last_op: u64,
}

/// Why a change does not follow from what is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// It is here already.
    #[error("this change is here already")]
    Known,
    /// It builds on a change that is not here, of another document perhaps, or on none at all.
    #[error("builds on a change that is not here")]
    UnknownDependency,
    /// Not the next change of its actor.
    #[error("change {got} of this actor, where {expected} is next")]
    Seq {
        /// The number that is next.
        expected: u64,
        /// The number found.
        got: u64,
    },
    /// Does not know its actor's change before it.
    #[error("does not know the actor's change before it")]
    Forgetful,
    /// Numbers its operations otherwise than on from what it knows.
    #[error("operations from {got}, where {expected} is next")]
    Counter {
        /// The counter that is next.
        expected: u64,
        /// The counter found.
        got: u64,
    },
}

impl History {
    /// Takes a change that [`Self::check`] let through, with its bytes.
    pub(crate) fn push(&mut self, chunk: &Chunk, bytes: Vec<u8>) {
        let place = self.changes.len();
        self.places.insert(chunk.hash, place);
        self.last.insert(chunk.actor, place);
        self.bytes += bytes.len();
        let (deps, last_op) = (chunk.deps.clone(), chunk.last_op());
        self.changes.push(Past { hash: chunk.hash, deps, bytes, seq: chunk.seq, last_op });
    }

    /// Whether a change is the next one of its actor and knows only what is here.
    pub(crate) fn check(&self, chunk: &Chunk) -> Result<(), FollowError> {
        if self.knows(&chunk.hash) {
            return Err(FollowError::Known);
        }
        let before = self.last.get(&chunk.actor).and_then(|&place| self.changes.get(place));
        let expected = before.map_or(1, |past| past.seq + 1);
        if chunk.seq != expected {
            return Err(FollowError::Seq { expected, got: chunk.seq });
        }
        let mut last_op = 0;
        for hash in &chunk.deps {
            last_op = last_op.max(self.get(hash).ok_or(FollowError::UnknownDependency)?.last_op);
        }
        if chunk.deps.is_empty() != self.changes.is_empty() {
            return Err(FollowError::UnknownDependency);
        }
        if before.is_some_and(|past| !chunk.deps.contains(&past.hash)) {
            return Err(FollowError::Forgetful);
        }
        if chunk.first_op != last_op + 1 {
            return Err(FollowError::Counter { expected: last_op + 1, got: chunk.first_op });
        }
        Ok(())
    }

    /// Whether a change is here.
    pub(crate) fn knows(&self, hash: &ChangeHash) -> bool {
        self.places.contains_key(hash)
    }

    /// Where a change stands.
    pub(crate) fn place(&self, hash: &ChangeHash) -> Option<usize> {
        self.places.get(hash).copied()
    }

    /// All changes, in order.
    pub(crate) fn changes(&self) -> &[Past] {
        &self.changes
    }

    /// Bytes of all changes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Actors that have written.
    pub(crate) fn actors(&self) -> usize {
        self.last.len()
    }

    /// Whether an actor has written.
    pub(crate) fn has_written(&self, actor: &ActorId) -> bool {
        self.last.contains_key(actor)
    }

    /// The changes that no other builds on, in order of their hashes.
    pub(crate) fn heads(&self) -> Vec<ChangeHash> {
        let mut heads: BTreeSet<ChangeHash> = self.places.keys().copied().collect();
        for hash in self.changes.iter().flat_map(|past| &past.deps) {
            heads.remove(hash);
        }
        heads.into_iter().collect()
    }

    /// The changes that are neither among `heads` nor built on by them, in order; `None` when a head is not here.
    pub(crate) fn since(&self, heads: &[ChangeHash]) -> Option<Vec<&[u8]>> {
        let mut known: BTreeSet<ChangeHash> = heads.iter().copied().collect();
        if !heads.iter().all(|hash| self.knows(hash)) {
            return None;
        }
        let mut lacking = Vec::new();
        for past in self.changes.iter().rev() {
            if known.contains(&past.hash) {
                known.extend(&past.deps);
            } else {
                lacking.push(past.bytes.as_slice());
            }
        }
        lacking.reverse();
        Some(lacking)
    }

    /// The changes without `refused` and whatever builds on it.
    pub(crate) fn without(&self, refused: &ChangeHash) -> Vec<&[u8]> {
        let mut gone = BTreeSet::from([*refused]);
        let mut kept = Vec::new();
        for past in &self.changes {
            if gone.contains(&past.hash) || past.deps.iter().any(|hash| gone.contains(hash)) {
                gone.insert(past.hash);
            } else {
                kept.push(past.bytes.as_slice());
            }
        }
        kept
    }

    fn get(&self, hash: &ChangeHash) -> Option<&Past> {
        self.changes.get(self.place(hash)?)
    }
}
