//! RFC 9162 §2.1 against the eight-leaf tree that Certificate Transparency implementations share, and against every
//! way in which they spoil its proofs. Data: `tests/vectors/merkle_rfc9162.json`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::ids::from_hex;
use bhyt_core::merkle::{Frontier, TreeHash, root_of};
use bhyt_core::merkle_proof::{
    LeafPlace, TreeHead, consistency_proof, inclusion_path, verify_consistency, verify_inclusion,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    leaves: Vec<String>,
    empty_root: String,
    roots: Vec<String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(Deserialize)]
struct Inclusion {
    index: usize,
    size: usize,
    path: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    first: usize,
    second: usize,
    proof: Vec<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/merkle_rfc9162.json")).unwrap()
}

fn hash(text: &str) -> TreeHash {
    TreeHash(from_hex(text).unwrap().try_into().unwrap())
}

fn hashes(texts: &[String]) -> Vec<TreeHash> {
    texts.iter().map(|text| hash(text)).collect()
}

fn leaves(vectors: &Vectors) -> Vec<TreeHash> {
    let bytes = vectors.leaves.iter().map(|leaf| from_hex(leaf).unwrap());
    bytes.map(|leaf| TreeHash::of_leaf(&leaf)).collect()
}

/// Proofs spoilt in one place each: a flipped bit, a hash too many at either end, one too few.
fn spoilt(proof: &[TreeHash]) -> Vec<Vec<TreeHash>> {
    let other = hash("abacaba000000000000000000000000000000000000000000060061e00123456");
    let mut all = vec![[&[other], proof].concat(), [proof, &[other]].concat()];
    for place in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[place].0[0] ^= 8;
        all.push(flipped);
        let mut shorter = proof.to_vec();
        shorter.remove(place);
        all.push(shorter);
        all.push([&proof[..place], &[proof[place]], &proof[place..]].concat());
    }
    all
}

#[test]
fn roots() {
    let vectors = vectors();
    let leaves = leaves(&vectors);
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), hash(&vectors.empty_root));
    for (index, root) in vectors.roots.iter().enumerate() {
        frontier.append(leaves[index]).unwrap();
        assert_eq!(frontier.root(), hash(root), "appended to {}", index + 1);
        assert_eq!(root_of(&leaves[..=index]), hash(root), "whole, {}", index + 1);
    }
}

#[test]
fn inclusion_proofs() {
    let vectors = vectors();
    let leaves = leaves(&vectors);
    for Inclusion { index, size, path } in &vectors.inclusion {
        let (index, size, path) = (*index, *size, hashes(path));
        let generated = inclusion_path(&leaves[..size], index);
        assert_eq!(generated.as_ref(), Some(&path), "{index} of {size}");
        let (leaf, root) = (&leaves[index], hash(&vectors.roots[size - 1]));
        let verify = |index: u64, size: u64, path: &[TreeHash]| {
            verify_inclusion(leaf, LeafPlace { index, size }, path, &root)
        };
        let (at, of) = (index as u64, size as u64);
        assert_eq!(verify(at, of, &path), Ok(()), "{index} of {size}");
        for spoilt in spoilt(&path) {
            assert!(verify(at, of, &spoilt).is_err(), "{index} of {size}: {spoilt:?}");
        }
        for index in [at + 1, at ^ 2, at.wrapping_sub(1)] {
            assert!(verify(index, of, &path).is_err(), "{index} for {at} of {of}");
        }
        for size in [of * 2, of / 2] {
            assert!(verify(at, size, &path).is_err(), "{at} of {size} for {of}");
        }
    }
}

#[test]
fn consistency_proofs() {
    let vectors = vectors();
    let leaves = leaves(&vectors);
    let head = |size: usize| TreeHead { size: size as u64, root: hash(&vectors.roots[size - 1]) };
    for Consistency { first, second, proof } in &vectors.consistency {
        let (old, new, proof) = (head(*first), head(*second), hashes(proof));
        assert_eq!(consistency_proof(&leaves[..*second], *first), Some(proof.clone()), "{first} to {second}");
        assert_eq!(verify_consistency(&old, &new, &proof), Ok(()), "{first} to {second}");
        for spoilt in spoilt(&proof) {
            assert!(verify_consistency(&old, &new, &spoilt).is_err(), "{first} to {second}: {spoilt:?}");
        }
        if first != second {
            assert!(verify_consistency(&new, &old, &proof).is_err());
            let swapped = (TreeHead { root: new.root, ..old }, TreeHead { root: old.root, ..new });
            assert!(verify_consistency(&swapped.0, &swapped.1, &proof).is_err());
            for size in [old.size - 1, old.size + 1, old.size ^ 2] {
                let wrong = TreeHead { size, ..old };
                assert!(verify_consistency(&wrong, &new, &proof).is_err(), "{size} to {second}");
            }
            for size in [new.size * 2, new.size / 2] {
                let wrong = TreeHead { size, ..new };
                assert!(verify_consistency(&old, &wrong, &proof).is_err(), "{first} to {size}");
            }
        }
    }
}
