//! The tree of members' keys: what is erased is away, and nothing else is.

use super::*;
use crate::ids::hex;

fn member(place: u64) -> MemberId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&place.to_be_bytes());
    MemberId(id)
}

fn leaf(tree: &KeyTree, place: u64) -> Option<[u8; 32]> {
    tree.wrapping_key(member(place)).map(|key| key.blind(b"leaf"))
}

#[test]
fn an_erased_member_has_no_key_and_all_others_have_theirs() {
    let whole = KeyTree::new([5; 16], [1; 32]);
    let mut tree = whole.clone();
    let mut places = vec![0, 1, 2, 3, u64::MAX, u64::MAX - 1, 1 << 63, 0x0123_4567_89ab_cdef];
    places.extend((1..200).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let (erased, kept) = places.split_at(places.len() / 2);
    for (count, place) in erased.iter().enumerate() {
        assert_eq!(tree.erased(), count as u128);
        assert_eq!(tree.erase(member(*place)), Ok(true));
        assert_eq!(tree.erase(member(*place)), Ok(false), "away already");
        // Its neighbours stay.
        for near in [place ^ 1, place ^ 2, place ^ (1 << 40)].iter().filter(|near| !erased.contains(near)) {
            assert_eq!(leaf(&tree, *near), leaf(&whole, *near));
        }
    }
    for place in erased {
        assert!(tree.is_erased(member(*place)) && leaf(&tree, *place).is_none());
    }
    for place in kept {
        assert_eq!(leaf(&tree, *place), leaf(&whole, *place));
        assert!(leaf(&tree, *place).is_some());
    }
    let read = KeyTree::decode(&tree.encode()).unwrap();
    assert_eq!(*read.encode(), *tree.encode());
}

#[test]
fn nothing_that_is_left_makes_an_erased_key() {
    let mut tree = KeyTree::new([5; 16], [1; 32]);
    let place = 0x0123_4567_89ab_cdef;
    let gone = tree.wrapping_key(member(place)).unwrap();
    tree.erase(member(place)).unwrap();
    assert_eq!(tree.nodes.len(), usize::from(LEAF_DEPTH) * 3);
    // No node that is left stands on the way, and none is the leaf.
    for (first, node) in &tree.nodes {
        assert!(place & !below(node.depth) != *first);
        assert_ne!(SealKey::from_bytes(*node.key).blind(b"leaf"), gone.blind(b"leaf"));
    }
}

#[test]
fn bytes_are_golden_and_nothing_else_is_read() {
    let mut tree = KeyTree::new([5; 16], [1; 32]);
    let bytes = tree.encode();
    let root = "01".repeat(32);
    let id = "05".repeat(16);
    let start = format!("424859545452454501000000{id}01000000000000000000000000{root}");
    assert!(hex(&bytes).starts_with(&start), "{}", hex(&bytes));
    assert_eq!(bytes.len(), HEAD_BYTES + NODE_BYTES + HASH_BYTES);
    let golden = "c767abcec0c1dea460aca76bf663dd92298e9f5fb2a9ad50cdddc001cc231e3d";
    assert_eq!(hex(&leaf(&tree, 5).unwrap()), golden);
    tree.erase(member(9)).unwrap();
    let good = tree.encode();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        assert_eq!(KeyTree::decode(&bad).unwrap_err(), KeyTreeFault::Malformed, "{at}");
        assert_eq!(KeyTree::decode(&good[..at]).unwrap_err(), KeyTreeFault::Malformed);
    }
}

#[test]
fn a_tree_that_overlaps_itself_is_refused() {
    let node = |first: u64, depth: u8| {
        let mut bytes = first.to_le_bytes().to_vec();
        bytes.push(depth);
        bytes.extend([3; 32]);
        bytes
    };
    let check = |nodes: &[Vec<u8>], taken: bool| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(SCHEMA.to_le_bytes());
        bytes.extend([5; 16]);
        bytes.extend((nodes.len() as u32).to_le_bytes());
        bytes.extend(nodes.concat());
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        assert_eq!(KeyTree::decode(&bytes).is_ok(), taken, "{nodes:?}");
    };
    let quarter = 1 << 62;
    check(&[], true);
    check(&[node(0, 1), node(quarter, 1)], true);
    check(&[node(quarter, 1), node(0, 1)], false);
    check(&[node(0, 0), node(quarter, 1)], false);
    check(&[node(0, 1), node(0, 1)], false);
    check(&[node(1, 1)], false);
    check(&[node(0, 33)], false);
    check(&[node(3 * quarter, 1), node(u64::MAX, 32)], false);
    check(&[node(u64::MAX, 32)], true);
}
