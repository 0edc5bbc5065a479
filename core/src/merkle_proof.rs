//! RFC 9162 inclusion and consistency proofs.
//!
//! Promises: no input makes it panic; the work follows the hashes of the proof, never a size that somebody claims.
//! Refuses: a proof one hash too long or too short for its sizes, and one that leads to another root.

use crate::merkle::{TreeHash, root_of};

/// The path that proves the leaf at `index` to be in the tree over `leaves`, lowest sibling first; `None` when there
/// is no such leaf.
pub fn inclusion_path(leaves: &[TreeHash], index: usize) -> Option<Vec<TreeHash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut subtree, mut index, mut path) = (leaves, index, Vec::new());
    // RFC 9162 §2.1.3.1: PATH(m, D_n) = PATH(m, D[0:k]) : MTH(D[k:n]) for m < k,
    // and PATH(m - k, D[k:n]) : MTH(D[0:k]) for m >= k.
    while subtree.len() > 1 {
        let (left, right) = split(subtree)?;
        if index < left.len() {
            path.push(root_of(right));
            subtree = left;
        } else {
            path.push(root_of(left));
            index -= left.len();
            subtree = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The proof that the tree over the first `old_size` of `leaves` is the beginning of the tree over all of them; empty
/// when `old_size` is zero or all, `None` when it is more.
pub fn consistency_proof(leaves: &[TreeHash], old_size: usize) -> Option<Vec<TreeHash>> {
    if old_size > leaves.len() {
        return None;
    }
    let (mut subtree, mut old, mut proof) = (leaves, old_size, Vec::new());
    let mut old_root_known = true;
    // RFC 9162 §2.1.4.1: SUBPROOF(m, D_n, b), from the top down, so that the last hash comes first.
    while old > 0 && old < subtree.len() {
        let (left, right) = split(subtree)?;
        if old <= left.len() {
            proof.push(root_of(right));
            subtree = left;
        } else {
            proof.push(root_of(left));
            old -= left.len();
            subtree = right;
            old_root_known = false;
        }
    }
    if !old_root_known {
        // RFC 9162 §2.1.4.1: "SUBPROOF(m, D_m, false) = {MTH(D_m)}".
        proof.push(root_of(subtree));
    }
    proof.reverse();
    Some(proof)
}

/// Where a leaf is said to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafPlace {
    /// Its number, from 0.
    pub index: u64,
    /// Leaves in the tree.
    pub size: u64,
}

/// Checks that the leaf hash stands at its place in the tree with this root.
///
/// # Errors
/// [`ProofFault`] says which part of the claim fails.
pub fn verify_inclusion(
    leaf: &TreeHash,
    place: LeafPlace,
    path: &[TreeHash],
    root: &TreeHash,
) -> Result<(), ProofFault> {
    let LeafPlace { index, size } = place;
    // RFC 9162 §2.1.3.2 step 1: "If leaf_index is greater than or equal to tree_size, then fail the proof verification."
    if index >= size {
        return Err(ProofFault::Sizes { first: index, second: size });
    }
    let (mut fnode, mut snode, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        // Step 4a: "If sn is 0, then stop the iteration and fail the proof verification."
        if snode == 0 {
            return Err(ProofFault::Length { got: path.len() });
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = TreeHash::of_node(sibling, &hash);
            (fnode, snode) = skip_missing_right(fnode, snode);
        } else {
            hash = TreeHash::of_node(&hash, sibling);
        }
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    // Step 5: "Compare sn to 0. Compare r against the root_hash."
    if snode != 0 {
        return Err(ProofFault::Length { got: path.len() });
    }
    if hash == *root { Ok(()) } else { Err(ProofFault::Root { computed: hash }) }
}

/// A tree's size and root, as a signed head states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves in the tree.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
}

/// Checks that the tree of `first` is the beginning of the tree of `second`.
///
/// # Errors
/// [`ProofFault`] says which part of the claim fails.
pub fn verify_consistency(first: &TreeHead, second: &TreeHead, proof: &[TreeHash]) -> Result<(), ProofFault> {
    if first.size > second.size {
        return Err(ProofFault::Sizes { first: first.size, second: second.size });
    }
    if first.size == 0 || first.size == second.size {
        return verify_trivial_consistency(first, second, proof);
    }
    // RFC 9162 §2.1.4.2 step 2: "If first is an exact power of 2, then prepend first_hash".
    let start = if first.size.is_power_of_two() { Some((&first.root, proof)) } else { proof.split_first() };
    // Step 1: "If consistency_path is an empty array, stop and fail the proof verification."
    let (Some((start, rest)), false) = (start, proof.is_empty()) else {
        return Err(ProofFault::Length { got: proof.len() });
    };
    let (mut fnode, mut snode) = (first.size - 1, second.size - 1);
    // Step 4: "If LSB(fn) is set, then right-shift both fn and sn equally until LSB(fn) is not set."
    let shift = fnode.trailing_ones();
    (fnode, snode) = (fnode >> shift, snode >> shift);
    let (mut first_hash, mut second_hash) = (*start, *start);
    for sibling in rest {
        if snode == 0 {
            return Err(ProofFault::Length { got: proof.len() });
        }
        if fnode & 1 == 1 || fnode == snode {
            first_hash = TreeHash::of_node(sibling, &first_hash);
            second_hash = TreeHash::of_node(sibling, &second_hash);
            (fnode, snode) = skip_missing_right(fnode, snode);
        } else {
            second_hash = TreeHash::of_node(&second_hash, sibling);
        }
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    // Step 7: "compare fr to first_hash, sr to second_hash, and sn to 0".
    if snode != 0 {
        return Err(ProofFault::Length { got: proof.len() });
    }
    match (first_hash == first.root, second_hash == second.root) {
        (true, true) => Ok(()),
        (false, _) => Err(ProofFault::Root { computed: first_hash }),
        (true, false) => Err(ProofFault::Root { computed: second_hash }),
    }
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The index is not in the tree, or the first tree is larger than the second.
    #[error("no proof leads from {first} to {second}")]
    Sizes {
        /// Leaf index, or size of the first tree.
        first: u64,
        /// Size of the tree, or of the second one.
        second: u64,
    },
    /// Too many or too few hashes for the sizes.
    #[error("{got} hashes are not the length of this proof")]
    Length {
        /// Hashes there.
        got: usize,
    },
    /// The hashes lead to another root.
    #[error("proof leads to root {computed:?}")]
    Root {
        /// Where they lead.
        computed: TreeHash,
    },
}

/// RFC 9162 §2.1.4 speaks of 0 < m < n only: nothing is to be proven of an empty tree or of the same one, so the proof
/// is empty and the roots must say so themselves.
fn verify_trivial_consistency(
    first: &TreeHead,
    second: &TreeHead,
    proof: &[TreeHash],
) -> Result<(), ProofFault> {
    if !proof.is_empty() {
        return Err(ProofFault::Length { got: proof.len() });
    }
    let expected = if first.size == second.size { second.root } else { TreeHash::of_empty_tree() };
    if first.root == expected { Ok(()) } else { Err(ProofFault::Root { computed: expected }) }
}

/// RFC 9162 §2.1.3.2 step 4b: "If LSB(fn) is not set, then right-shift both fn and sn equally until either LSB(fn) is
/// set or fn is 0": levels on which this node has no right sibling and moves up unhashed.
const fn skip_missing_right(mut fnode: u64, mut snode: u64) -> (u64, u64) {
    while fnode & 1 == 0 && fnode != 0 {
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    (fnode, snode)
}

/// Splits a subtree of two leaves or more at k.
fn split(leaves: &[TreeHash]) -> Option<(&[TreeHash], &[TreeHash])> {
    // RFC 9162 §2.1.1: "let k be the largest power of two smaller than n (i.e., k < n <= 2k)".
    let last = leaves.len().checked_sub(1)?;
    leaves.split_at_checked(1 << last.checked_ilog2()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<TreeHash> {
        (0..count).map(|n| TreeHash::of_leaf(&[n])).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_no_other() {
        for size in 1..=33_u64 {
            let leaves = leaves(size as u8);
            let root = root_of(&leaves);
            for index in 0..size {
                let path = inclusion_path(&leaves, index as usize).unwrap();
                let check = |at: u64, leaf: &TreeHash, path: &[TreeHash]| {
                    verify_inclusion(leaf, LeafPlace { index: at, size }, path, &root)
                };
                let leaf = leaves[index as usize];
                assert_eq!(check(index, &leaf, &path), Ok(()), "leaf {index} of {size}");
                assert!(check(index + 1, &leaf, &path).is_err());
                assert!(check(index, &root, &path).is_err() || size == 1);
                assert!(check(index, &leaf, &[path.clone(), vec![root]].concat()).is_err());
                if let Some((_, shorter)) = path.split_last() {
                    assert!(check(index, &leaf, shorter).is_err());
                }
            }
            assert_eq!(inclusion_path(&leaves, size as usize), None);
        }
    }

    #[test]
    fn every_pair_of_small_trees_is_consistent_and_a_changed_one_is_not() {
        for size in 1..=33_u64 {
            let leaves = leaves(size as u8);
            let second = TreeHead { size, root: root_of(&leaves) };
            for old in 0..=size {
                let proof = consistency_proof(&leaves, old as usize).unwrap();
                let root = root_of(&leaves[..old as usize]);
                let first = TreeHead { size: old, root };
                assert_eq!(verify_consistency(&first, &second, &proof), Ok(()), "{old} of {size}");
                let forged = TreeHead { size: old, root: TreeHash([9; 32]) };
                assert!(verify_consistency(&forged, &second, &proof).is_err());
                let longer = [proof, vec![root]].concat();
                assert!(verify_consistency(&first, &second, &longer).is_err());
            }
            assert_eq!(consistency_proof(&leaves, size as usize + 1), None);
        }
    }

    #[test]
    fn sizes_at_the_end_of_the_range_are_answered_too() {
        let (hash, path) = (TreeHash([1; 32]), [TreeHash([2; 32]); 64]);
        for index in [0, 1, u64::MAX - 1, u64::MAX] {
            let place = LeafPlace { index, size: u64::MAX };
            assert!(verify_inclusion(&hash, place, &path, &hash).is_err());
        }
        let last = TreeHead { size: u64::MAX, root: hash };
        for size in [1, 1 << 63, u64::MAX - 1] {
            assert!(verify_consistency(&TreeHead { size, root: hash }, &last, &path).is_err());
        }
    }
}
