//! RFC 9162 Merkle trees over SHA-256: hashes, roots, and the frontier that appends without the whole tree. Proofs are
//! in [`merkle_proof`](crate::merkle_proof).
//!
//! Promises: no input makes it panic, and a decoded frontier is one that appending can reach. Refuses: a frontier past
//! [`FEED_RECORDS_MAX`] leaves. Knows nothing of records: a leaf arrives here as its hash.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::{FEED_RECORDS_MAX, FRONTIER_HASHES_MAX};

/// A SHA-256 hash of a leaf, a node or a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TreeHash(pub [u8; 32]);

impl TreeHash {
    /// The root of a tree without leaves.
    pub fn of_empty_tree() -> Self {
        // RFC 9162 §2.1.1: "The hash of an empty list is the hash of an empty string".
        Self(Sha256::digest(b"").into())
    }

    /// The hash of one leaf's bytes.
    pub fn of_leaf(leaf: &[u8]) -> Self {
        // RFC 9162 §2.1.1: "MTH({d[0]}) = HASH(0x00 || d[0])".
        Self(Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into())
    }

    /// The hash of an inner node over its two children.
    pub fn of_node(left: &Self, right: &Self) -> Self {
        // RFC 9162 §2.1.1: "MTH(D_n) = HASH(0x01 || MTH(D[0:k]) || MTH(D[k:n]))".
        let hash = Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0);
        Self(hash.finalize().into())
    }
}

/// Four bytes in hex: enough to tell two roots apart in a log line.
impl std::fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}

/// The right edge of a tree: the roots of its complete subtrees, largest first. All that is needed to append
/// leaves and to know the root, in log₂(size) hashes instead of the whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl Frontier {
    /// The frontier of a tree without leaves.
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// Reads what [`Frontier::encode`] wrote: the size as 8 bytes big-endian, and a hash for each one bit in it.
    ///
    /// # Errors
    /// [`FrontierFault`] when the size is over the bound or the hashes are not exactly as many as it asks for.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrontierFault> {
        let Some((size, rest)) = bytes.split_first_chunk() else {
            return Err(FrontierFault::Length { expected: size_of::<u64>(), got: bytes.len() });
        };
        let size = u64::from_be_bytes(*size);
        if size > FEED_RECORDS_MAX {
            return Err(FrontierFault::Full { limit: FEED_RECORDS_MAX });
        }
        let expected = size.count_ones() as usize * 32;
        if rest.len() != expected {
            return Err(FrontierFault::Length { expected, got: rest.len() });
        }
        let (chunks, _) = rest.as_chunks::<32>();
        Ok(Self { size, peaks: chunks.iter().map(|chunk| TreeHash(*chunk)).collect() })
    }

    /// Appends one leaf by its hash.
    ///
    /// # Errors
    /// [`FrontierFault::Full`] when the tree has [`FEED_RECORDS_MAX`] leaves; nothing has changed then.
    pub fn append(&mut self, leaf: TreeHash) -> Result<(), FrontierFault> {
        if self.size >= FEED_RECORDS_MAX {
            return Err(FrontierFault::Full { limit: FEED_RECORDS_MAX });
        }
        push_leaf(&mut self.peaks, self.size, leaf);
        self.size += 1;
        Ok(())
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> TreeHash {
        fold_peaks(&self.peaks)
    }

    /// The bytes that [`Frontier::decode`] reads: at most 8 + 32 × [`FRONTIER_HASHES_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * FRONTIER_HASHES_MAX);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for peak in &self.peaks {
            bytes.extend_from_slice(&peak.0);
        }
        bytes
    }
}

/// The root over a list of leaf hashes.
pub fn root_of(leaves: &[TreeHash]) -> TreeHash {
    let mut peaks = Vec::new();
    for (size, leaf) in (0_u64..).zip(leaves) {
        push_leaf(&mut peaks, size, *leaf);
    }
    fold_peaks(&peaks)
}

/// Why bytes are no frontier, or a leaf was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontierFault {
    /// The tree is at its bound.
    #[error("tree holds at most {limit} leaves")]
    Full {
        /// [`FEED_RECORDS_MAX`].
        limit: u64,
    },
    /// The bytes do not hold as many hashes as the size asks for.
    #[error("frontier takes {expected} bytes here, got {got}")]
    Length {
        /// Bytes asked for.
        expected: usize,
        /// Bytes there.
        got: usize,
    },
}

/// Appends a leaf to the peaks of a tree of `size` leaves.
fn push_leaf(peaks: &mut Vec<TreeHash>, size: u64, leaf: TreeHash) {
    // Each one bit at the end of the size is a complete subtree that the new leaf makes part of a larger one.
    let mut merged = leaf;
    for _ in 0..size.trailing_ones() {
        if let Some(left) = peaks.pop() {
            merged = TreeHash::of_node(&left, &merged);
        }
    }
    peaks.push(merged);
}

/// The root over complete subtrees, largest first.
fn fold_peaks(peaks: &[TreeHash]) -> TreeHash {
    let from_smallest = peaks.iter().rev().copied();
    from_smallest
        .reduce(|right, left| TreeHash::of_node(&left, &right))
        .unwrap_or_else(TreeHash::of_empty_tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<TreeHash> {
        (0..count).map(|n| TreeHash::of_leaf(&[n])).collect()
    }

    #[test]
    fn a_frontier_has_the_root_of_the_whole_tree_at_every_size() {
        let leaves = leaves(70);
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), TreeHash::of_empty_tree());
        for (index, leaf) in leaves.iter().enumerate() {
            frontier.append(*leaf).unwrap();
            assert_eq!(frontier.root(), root_of(&leaves[..=index]), "size {}", index + 1);
            assert_eq!(Frontier::decode(&frontier.encode()), Ok(frontier.clone()));
        }
        assert_eq!(frontier.size(), 70);
    }

    #[test]
    fn no_frontier_is_read_from_other_lengths_or_beyond_the_bound() {
        let mut frontier = Frontier::new();
        for leaf in leaves(3) {
            frontier.append(leaf).unwrap();
        }
        let bytes = frontier.encode();
        for cut in 0..bytes.len() {
            assert!(matches!(Frontier::decode(&bytes[..cut]), Err(FrontierFault::Length { .. })));
        }
        let too_large = (FEED_RECORDS_MAX + 1).to_be_bytes();
        let full = FrontierFault::Full { limit: FEED_RECORDS_MAX };
        assert_eq!(Frontier::decode(&too_large), Err(full));

        let mut at_bound = FEED_RECORDS_MAX.to_be_bytes().to_vec();
        at_bound.extend([7; 32]);
        let mut at_bound = Frontier::decode(&at_bound).unwrap();
        assert_eq!(at_bound.append(TreeHash([1; 32])), Err(full));
    }
}
