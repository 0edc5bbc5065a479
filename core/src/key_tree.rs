//! Keys for members, of which any one can be taken away for good: a tree in which a node's key makes the keys of its four
//! children, and the leaf at a member's place wraps the member's key.
//!
//! Promises: whoever has the root can make every leaf, so a country of members costs 32 bytes; a member that was erased has
//! no leaf any more, whoever has the tree and every backup besides; all other leaves stay as they were, so nothing is
//! wrapped anew and older backups stay readable for everybody else. Refuses: bytes that are not a tree, one that overlaps
//! itself, more nodes than are allowed.
//!
//! To erase a leaf, the nodes on the way to it give place to those beside the way (the puncturable function of Goldreich,
//! Goldwasser and Micali). Nodes that are held never stand above one another.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::ids::MemberId;
use crate::limits::KEY_TREE_NODES_MAX;
use crate::seal::SealKey;

/// The tree, or what is left of it.
#[derive(Clone)]
pub struct KeyTree {
    id: [u8; 16],
    /// By the lowest place below the node.
    nodes: BTreeMap<u64, Node>,
    erased: u128,
}

#[derive(Clone)]
struct Node {
    depth: u8,
    key: Key,
}

type Key = Zeroizing<[u8; 32]>;

impl KeyTree {
    /// The whole tree under 32 random bytes, and 16 that tell it from others.
    pub fn new(id: [u8; 16], root: [u8; 32]) -> Self {
        let nodes = BTreeMap::from([(0, Node { depth: 0, key: Zeroizing::new(root) })]);
        Self { id, nodes, erased: 0 }
    }

    /// Takes the leaf of this member away. `false` when it is away already.
    ///
    /// # Errors
    /// [`KeyTreeFault::Full`]; nothing was changed.
    pub fn erase(&mut self, member: MemberId) -> Result<bool, KeyTreeFault> {
        let place = place_of(member);
        let Some((first, node)) = self.node_above(place) else { return Ok(false) };
        let (depth, mut key) = (node.depth, node.key.clone());
        let beside = usize::from(LEAF_DEPTH - depth) * (CHILDREN - 1);
        if self.nodes.len() + beside > KEY_TREE_NODES_MAX {
            return Err(KeyTreeFault::Full);
        }
        self.nodes.remove(&first);
        for depth in depth + 1..=LEAF_DEPTH {
            let way = digit(place, depth);
            for other in (0..CHILDREN as u8).filter(|other| *other != way) {
                let shift = shift_of(depth);
                let above = place >> shift >> DIGIT_BITS << DIGIT_BITS << shift;
                let node = Node { depth, key: child(&key, other) };
                self.nodes.insert(above | u64::from(other) << shift, node);
            }
            key = child(&key, way);
        }
        self.erased += 1;
        Ok(true)
    }

    /// The key that wraps this member's key; `None` once it is erased.
    pub fn wrapping_key(&self, member: MemberId) -> Option<SealKey> {
        let place = place_of(member);
        let (_, node) = self.node_above(place)?;
        let mut key = node.key.clone();
        for depth in node.depth + 1..=LEAF_DEPTH {
            key = child(&key, digit(place, depth));
        }
        Some(SealKey::from_bytes(*key))
    }

    /// What tells this tree from others, whatever was erased since.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Whether the leaf of this member was taken away.
    pub fn is_erased(&self, member: MemberId) -> bool {
        self.node_above(place_of(member)).is_none()
    }

    /// Leaves that were taken away.
    pub fn erased(&self) -> u128 {
        self.erased
    }

    /// The bytes of the tree. They are secret.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.nodes.len() * NODE_BYTES + HASH_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(SCHEMA.to_le_bytes());
        bytes.extend(self.id);
        bytes.extend(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (first, node) in &self.nodes {
            bytes.extend(first.to_le_bytes());
            bytes.push(node.depth);
            bytes.extend(node.key.as_slice());
        }
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        Zeroizing::new(bytes)
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`KeyTreeFault::Malformed`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyTreeFault> {
        let malformed = KeyTreeFault::Malformed;
        let (body, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(malformed)?;
        let rest = body.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&SCHEMA.to_le_bytes()));
        let (id, rest) = rest.and_then(<[u8]>::split_first_chunk).ok_or(malformed)?;
        let (count, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (nodes, left) = rest.as_chunks::<NODE_BYTES>();
        let count = u32::from_le_bytes(*count) as usize;
        let counted = left.is_empty() && nodes.len() == count && count <= KEY_TREE_NODES_MAX;
        if !counted || <[u8; HASH_BYTES]>::from(Sha256::digest(body)) != *hash {
            return Err(malformed);
        }
        let mut tree = Self { id: *id, nodes: BTreeMap::new(), erased: leaves(0) };
        let mut least = Some(0);
        for node in nodes {
            let (first, rest) = node.split_first_chunk().ok_or(malformed)?;
            let (depth, key) = rest.split_first().ok_or(malformed)?;
            let (first, depth) = (u64::from_le_bytes(*first), *depth);
            let below = if depth <= LEAF_DEPTH { below(depth) } else { return Err(malformed) };
            if least.is_none_or(|least| first < least) || first & below != 0 {
                return Err(malformed);
            }
            least = (first | below).checked_add(1);
            let key = Zeroizing::new(key.try_into().map_err(|_| malformed)?);
            tree.nodes.insert(first, Node { depth, key });
            tree.erased -= leaves(depth);
        }
        Ok(tree)
    }

    fn node_above(&self, place: u64) -> Option<(u64, &Node)> {
        let (first, node) = self.nodes.range(..=place).next_back()?;
        (place & !below(node.depth) == *first).then_some((*first, node))
    }
}

impl fmt::Debug for KeyTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyTree({} nodes)", self.nodes.len())
    }
}

/// Why a tree was not read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTreeFault {
    /// Not the bytes of a tree, or changed since.
    #[error("not a tree of members' keys, or harmed")]
    Malformed,
    /// The tree would have more than [`KEY_TREE_NODES_MAX`] nodes.
    #[error("too many members were erased for one tree of keys")]
    Full,
}

/// A member's place: the first 64 bits of the id. That two of 95 million members share one happens to one country in 4,000;
/// whoever erases looks for it.
pub fn place_of(member: MemberId) -> u64 {
    let [place @ .., _, _, _, _, _, _, _, _] = member.0;
    u64::from_be_bytes(place)
}

/// One compression of SHA-256: tag, key and digit are 45 bytes.
fn child(key: &Key, digit: u8) -> Key {
    let hash = Sha256::new_with_prefix(TAG).chain_update(key.as_slice()).chain_update([digit]);
    Zeroizing::new(hash.finalize().into())
}

fn digit(place: u64, depth: u8) -> u8 {
    (place >> shift_of(depth)) as u8 & (CHILDREN as u8 - 1)
}

fn shift_of(depth: u8) -> u32 {
    u32::from(LEAF_DEPTH - depth) * DIGIT_BITS
}

/// Leaves below a node of this depth. Nodes never overlap, so those of all nodes and those erased are the leaves of the root.
fn leaves(depth: u8) -> u128 {
    1 << (u32::from(LEAF_DEPTH - depth) * DIGIT_BITS)
}

/// The bits of a place that a node of this depth says nothing of.
fn below(depth: u8) -> u64 {
    u64::MAX.checked_shr(u32::from(depth) * DIGIT_BITS).unwrap_or(0)
}

/// Two bits a level: 32 hashes to a leaf, and three nodes a level that an erased member leaves behind.
const DIGIT_BITS: u32 = 2;
const CHILDREN: usize = 1 << DIGIT_BITS;
const LEAF_DEPTH: u8 = 32;
const TAG: &[u8; 12] = b"bhyt/tree/v1";
const MAGIC: &[u8; 8] = b"BHYTTREE";
const SCHEMA: u32 = 1;
const HEAD_BYTES: usize = MAGIC.len() + 4 + 16 + 4;
/// Place, depth and key.
const NODE_BYTES: usize = 8 + 1 + 32;
const HASH_BYTES: usize = 32;
/// Bytes of the largest tree.
pub const KEY_TREE_BYTES_MAX: usize = HEAD_BYTES + KEY_TREE_NODES_MAX * NODE_BYTES + HASH_BYTES;

const _: () = assert!(KEY_TREE_NODES_MAX < u32::MAX as usize);

#[cfg(test)]
#[path = "key_tree_tests.rs"]
mod tests;
