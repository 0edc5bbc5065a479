//! Feeds: heads, frontiers, pages, proofs, and a reader that follows a server.
//!
//! What is read is written back the same; a tree grown leaf by leaf is the tree made at once; a page cut, joined and
//! erased in keeps its leaves; a reader holds what the server signed and nothing else, and reads it back from its store.

use std::sync::LazyLock;

use bhyt_core::codec::{self, Schema};
use bhyt_core::cose::{Payload, Signed};
use bhyt_core::feed::{EpochStatement, FeedHead, FeedPage, FeedState};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::{FEED_RECORDS_MAX, PAGE_RECORDS_MAX};
use bhyt_core::merkle::{Frontier, TreeHash, root_of};
use bhyt_core::merkle_proof::{
    LeafPlace, TreeHead, consistency_proof, inclusion_path, verify_consistency, verify_inclusion,
};
use bhyt_core::receipt::Receipt;
use bhyt_core::record::Seq;
use bhyt_server::service::values::PageV1;

use super::input::{Input, Script};
use super::ledger::{Ledger, sign_head};
use crate::authority::Authority;

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 5 {
        0 => head(data),
        1 => frontier(data),
        2 => page(data),
        3 => proofs(data),
        _ => reader(data),
    }
}

static HEAD_KEY: LazyLock<SecretKey> = LazyLock::new(|| Authority::new(7).head_key);

fn head(data: &[u8]) {
    if let Ok(head) = FeedHead::decode(data) {
        assert_eq!(head.encode(), data, "a head has one form");
        let read = Signed::<FeedHead>::decode(&sign_head(&HEAD_KEY, head));
        let read = read.expect("our own head").verify(&HEAD_KEY.public_key());
        assert_eq!(read.expect("our own signature").claims(), &head);
    }
    if let Ok(statement) = EpochStatement::decode(data) {
        assert_eq!(statement.encode(), data, "a statement has one form");
        assert!(statement.before < statement.head().extent.epoch, "a new epoch is later");
    }
    if let Ok(receipt) = Receipt::decode(data) {
        assert_eq!(receipt.encode(), data, "a receipt has one form");
    }
    if let Ok(signed) = Signed::<FeedHead>::decode(data) {
        let known = sign_head(&HEAD_KEY, known_ledger().head(3));
        assert_eq!(signed.verify(&HEAD_KEY.public_key()).is_ok(), data == known, "a head that we signed");
    }
}

fn frontier(data: &[u8]) {
    if let Ok(mut frontier) = Frontier::decode(data) {
        assert_eq!(frontier.encode(), data, "a frontier has one form");
        if frontier.append(TreeHash([1; 32])).is_ok() {
            assert_eq!(Frontier::decode(&frontier.encode()), Ok(frontier), "appending leads to a frontier");
        } else {
            assert_eq!(frontier.size(), FEED_RECORDS_MAX);
        }
    }
}

/// A page as it travels inside a frame and a stored value, without their schema numbers.
fn page(data: &[u8]) {
    let stored = [&PageV1::SCHEMA.to_le_bytes(), data].concat();
    let Ok(PageV1(page)) = codec::decode(&stored) else {
        return;
    };
    assert_eq!(codec::encode(&PageV1(page.clone())), Ok(stored), "a page has one form");
    assert!((1..=PAGE_RECORDS_MAX).contains(&page.count()));
    let leaves = leaves(&page);
    for at in 0..=page.count() {
        let cut = page.since(page.first_seq().plus(at));
        let expected = leaves.get(at..).filter(|rest| !rest.is_empty());
        assert_eq!(cut.as_ref().map(self::leaves).as_deref(), expected);
        if let Some(cut) = cut.filter(|_| at > 0) {
            let mut joined = page.clone();
            assert!(joined.absorb(&cut).is_err() && joined == page, "no record twice");
        }
    }
    for at in 0..page.count() {
        let mut erased = page.clone();
        erased.erase(page.first_seq().plus(at)).expect("a record that is here");
        assert_eq!(self::leaves(&erased), leaves, "the tree stays what it was");
        assert!(erased.records().count() < page.count() && erased.is_closed());
    }
}

fn leaves(page: &FeedPage) -> Vec<(Seq, TreeHash)> {
    page.entries().map(|(seq, entry)| (seq, entry.leaf_hash(seq))).collect()
}

/// Proofs made for a tree hold for it, and with one thing changed for none.
fn proofs(data: &[u8]) {
    let mut input = Input::new(data);
    let size = 1 + input.below(70);
    let leaves: Vec<TreeHash> = (0..size).map(|n| TreeHash::of_leaf(&[n as u8, input.byte() & 1])).collect();
    let (index, old) = (input.below(size), input.below(size + 1));
    let (root, size) = (root_of(&leaves), size as u64);
    let path = inclusion_path(&leaves, index).expect("a leaf of the tree");
    let leaf = leaves.get(index).expect("a leaf of the tree");
    let place = LeafPlace { index: index as u64, size };
    assert_eq!(verify_inclusion(leaf, place, &path, &root), Ok(()));
    let proof = consistency_proof(&leaves, old).expect("a beginning of the tree");
    let before = TreeHead { size: old as u64, root: root_of(leaves.get(..old).unwrap_or_default()) };
    let whole = TreeHead { size, root };
    assert_eq!(verify_consistency(&before, &whole, &proof), Ok(()));

    let (changed_path, changed_proof) = (harm(&mut input, &path), harm(&mut input, &proof));
    assert!(changed_path == path || verify_inclusion(leaf, place, &changed_path, &root).is_err());
    assert!(changed_proof == proof || verify_consistency(&before, &whole, &changed_proof).is_err());
    // Any sizes and any hashes: refused, and never a panic.
    let (first, second) = (input.number(), input.number());
    let claimed = |size| TreeHead { size, root };
    let _ = verify_inclusion(leaf, LeafPlace { index: first, size: second }, &path, &root);
    let _ = verify_consistency(&claimed(first), &claimed(second), &proof);
}

/// One hash more, fewer, changed or moved, or all as they are.
fn harm(input: &mut Input<'_>, hashes: &[TreeHash]) -> Vec<TreeHash> {
    let mut harmed = hashes.to_vec();
    let at = input.below(hashes.len().max(1));
    match input.byte() % 5 {
        0 => harmed.push(TreeHash([7; 32])),
        1 => drop(harmed.pop()),
        2 => {
            if let Some(hash) = harmed.get_mut(at) {
                hash.0[0] ^= 1 | input.byte();
            }
        }
        3 => harmed.reverse(),
        _ => {}
    }
    harmed
}

/// A server appends, and a reader is sent pages that are right or harmed on the way.
fn reader(data: &[u8]) {
    let mut input = Input::new(data);
    let mut ledger = Ledger::new(MEMBER);
    let mut reader = FeedState::new(MEMBER);
    let mut steps = 0;
    while !input.is_empty() && steps < STEPS_MAX {
        steps += 1;
        match input.byte() % 4 {
            0 => {
                let revises = usize::from(input.byte()).checked_sub(1);
                ledger.append(input.bytes(), revises);
            }
            1 => (0..input.byte() % 40).for_each(|n| ledger.append(&[n], None)),
            2 => {
                let size = ledger.size();
                reader = follow(reader, &ledger, ledger.since(0), size, true);
            }
            _ => {
                let mut pages = ledger.since(u64::from(input.byte()) % (ledger.size() + 1));
                disturb(&mut input, &mut pages);
                let size = u64::from(input.byte()) % (ledger.size() + 2);
                reader = follow(reader, &ledger, pages, size, false);
            }
        }
    }
    let size = ledger.size();
    reader = follow(reader, &ledger, ledger.since(0), size, true);
    assert_eq!(reader.mark().map(|mark| mark.extent.size), Some(size));
}

/// The reader after pages and a signed head; `honest` when both are what the server should send.
fn follow(reader: FeedState, ledger: &Ledger, pages: Vec<FeedPage>, size: u64, honest: bool) -> FeedState {
    let from = reader.next_seq();
    let pages: Vec<_> = match honest {
        true => pages.iter().filter_map(|page| page.since(from)).collect(),
        false => pages,
    };
    let head = Signed::<FeedHead>::decode(&sign_head(&HEAD_KEY, ledger.head(size))).expect("our own head");
    let head = head.verify(&HEAD_KEY.public_key()).expect("our own signature");
    match reader.extend(&pages, &head) {
        Ok(next) => {
            assert_eq!(next.mark(), Some(head.claims()));
            assert_eq!(next.frontier().root(), head.claims().root, "what is held is what was signed");
            assert!(next.next_seq() >= from, "a feed never goes back");
            let stored = ledger.until(next.next_seq());
            assert_eq!(FeedState::from_store(*head.claims(), &stored), Ok(next.clone()));
            assert_eq!(FeedState::from_mark(*head.claims()).extend(&stored, &head), Ok(next.clone()));
            next
        }
        Err(fault) => {
            assert!(!honest, "what the server should send: {fault:?}");
            reader
        }
    }
}

fn disturb(input: &mut Input<'_>, pages: &mut Vec<FeedPage>) {
    let at = input.below(pages.len().max(1));
    match input.byte() % 5 {
        0 if at < pages.len() => drop(pages.remove(at)),
        1 => pages.reverse(),
        2 => pages.extend(pages.get(at).cloned()),
        3 => {
            if let Some(page) = pages.get_mut(at) {
                let cut = page.since(page.first_seq().plus(1));
                *page = cut.unwrap_or_else(|| page.clone());
            }
        }
        _ => {}
    }
}

fn known_ledger() -> Ledger {
    let mut ledger = Ledger::new(MEMBER);
    for (body, revises) in [(&b"\xa0"[..], None), (b"\xa1", None), (b"\xa2", Some(0)), (b"", Some(1))] {
        ledger.append(body, revises);
    }
    (0..40).for_each(|n| ledger.append(&[n; 300], None));
    ledger
}

/// A page as [`page`] reads it.
fn page_bytes(page: &FeedPage) -> Vec<u8> {
    let stored = codec::encode(&PageV1(page.clone())).expect("a page of ours");
    stored.get(2..).unwrap_or_default().to_vec()
}

/// Heads, frontiers, pages whole and erased in, proofs of several sizes, scripts of a reader.
pub fn seeds() -> Vec<Vec<u8>> {
    let ledger = known_ledger();
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut seeds = vec![
        with(0, &ledger.head(3).encode()),
        with(0, &sign_head(&HEAD_KEY, ledger.head(3))),
        with(1, &FeedState::new(MEMBER).frontier().encode()),
    ];
    let mut frontier = Frontier::new();
    for leaf in &ledger.leaves {
        frontier.append(*leaf).expect("a small tree");
    }
    seeds.push(with(1, &frontier.encode()));
    for page in &ledger.pages {
        let mut erased = page.clone();
        erased.erase(page.first_seq().plus(1)).expect("a second record");
        seeds.extend([page, &erased].map(|page| with(2, &page_bytes(page))));
    }
    for size in [0, 1, 6, 7, 31, 69] {
        let bits: Vec<u8> = (0..=size).map(|n| n % 2).collect();
        seeds.push(Script::new().raw(&[3, size]).raw(&bits).raw(&[size / 2, size / 3, 0, 2, 1, 0, 3]).done());
    }
    let script = Script::new().raw(&[4, 0, 0]).bytes(b"\xa0").raw(&[0, 1]).bytes(b"\xa1").raw(&[1, 39, 2]);
    let script = script.raw(&[3, 10, 0, 1, 42, 0, 2]).bytes(b"").raw(&[3, 0, 0, 3, 43, 3, 0, 0, 2, 9, 2]);
    seeds.push(script.done());
    seeds
}

const MEMBER: MemberId = MemberId([1; 16]);
/// Acts in one input.
const STEPS_MAX: usize = 24;
