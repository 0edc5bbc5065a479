//! Records that a phone has and a restored server has forgotten, handed back one by one: each proves itself by its path
//! to the root that the server signed before.
//!
//! Promises: a record that verifies was in the feed that the head signs, at that place. Refuses nothing else: whether it
//! is wanted is the server's to say.

use serde::{Deserialize, Serialize};

use crate::cose::Verified;
use crate::feed::FeedHead;
use crate::feed::page::{Entry, FeedPage};
use crate::limits::HAND_BACK_PATH_MAX;
use crate::merkle::TreeHash;
use crate::merkle_proof::{LeafPlace, ProofFault, inclusion_path, verify_inclusion};
use crate::record::{Record, Salt, Seq};

/// A record with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedRecord {
    /// Where it stood.
    pub seq: Seq,
    /// Salted its leaf.
    pub salt: Salt,
    /// The record.
    pub record: Record,
    /// From its leaf to the root; at most [`HAND_BACK_PATH_MAX`].
    pub path: Vec<TreeHash>,
}

impl HandedRecord {
    /// Checks that the record stood in the feed that `head` signs.
    ///
    /// # Errors
    /// [`ProofFault`] when it did not.
    pub fn verify(&self, head: &Verified<FeedHead>) -> Result<(), ProofFault> {
        if self.path.len() > HAND_BACK_PATH_MAX {
            return Err(ProofFault::Length { got: self.path.len() });
        }
        let leaf = self.record.leaf_hash(self.seq, &self.salt);
        let place = LeafPlace { index: self.seq.0, size: head.claims().extent.size };
        verify_inclusion(&leaf, place, &self.path, &head.claims().root)
    }
}

/// The records from `from` on, of all pages of a feed, each with its proof; erased ones are left out.
pub fn hand_back(pages: &[FeedPage], from: Seq) -> Vec<HandedRecord> {
    hand_back_where(pages, |seq| seq >= from)
}

/// The record at `at`, with its proof; `None` when there is none, or it was erased.
pub fn hand_back_one(pages: &[FeedPage], at: Seq) -> Option<HandedRecord> {
    hand_back_where(pages, |seq| seq == at).pop()
}

fn hand_back_where(pages: &[FeedPage], wanted: impl Fn(Seq) -> bool) -> Vec<HandedRecord> {
    let entries = || pages.iter().flat_map(FeedPage::entries);
    let leaves: Vec<TreeHash> = entries().map(|(seq, entry)| entry.leaf_hash(seq)).collect();
    let wanted = entries().filter(|(seq, _)| wanted(*seq));
    let handed = wanted.filter_map(|(seq, entry)| match entry {
        Entry::Record { salt, record } => {
            let path = inclusion_path(&leaves, usize::try_from(seq.0).ok()?)?;
            Some(HandedRecord { seq, salt, record: record.clone(), path })
        }
        Entry::Erased { .. } => None,
    });
    handed.collect()
}
