//! Pages closing, cut, joined, erased and read back.

use super::*;
use crate::codec::bare;
use crate::limits::BODY_BYTES_MAX;
use crate::record::{Body, RecordKind};
use crate::time::UnixSeconds;

fn record(seq: u64, length: usize) -> Record {
    let body = Body::new(vec![seq as u8; length]).unwrap();
    Record::first(Seq(seq), RecordKind::Visit, body, UnixSeconds(seq))
}

fn page(first: u64, count: u64) -> FeedPage {
    let mut page = FeedPage::new(Seq(first), PageSeed([5; 32]));
    for seq in first..first + count {
        assert_eq!(page.push(record(seq, 10)), Ok(Seq(seq)));
    }
    page
}

fn hashes(page: &FeedPage) -> Vec<(Seq, TreeHash)> {
    page.entries().map(|(seq, entry)| (seq, entry.leaf_hash(seq))).collect()
}

#[test]
fn a_page_closes_by_count_and_by_bytes() {
    let mut full = page(64, PAGE_RECORDS_MAX as u64);
    let closed = PageFault::Closed { next_seq: Seq(96) };
    assert!(full.is_closed());
    assert_eq!(full.push(record(96, 1)), Err(closed));

    let mut heavy = FeedPage::new(Seq(0), PageSeed([5; 32]));
    for seq in 0..3 {
        heavy.push(record(seq, BODY_BYTES_MAX)).unwrap();
    }
    assert!(heavy.is_closed(), "the third passed {PAGE_BYTES_MAX} bytes");
    assert_eq!(heavy.push(record(3, 1)), Err(PageFault::Closed { next_seq: Seq(3) }));

    let mut at_end = FeedPage::new(Seq(FEED_RECORDS_MAX), PageSeed([5; 32]));
    let closed = PageFault::Closed { next_seq: Seq(FEED_RECORDS_MAX) };
    assert_eq!(at_end.push(record(FEED_RECORDS_MAX, 1)), Err(closed));
}

#[test]
fn a_run_cut_out_has_the_same_leaves_and_joins_again() {
    let whole = page(32, 9);
    let news = whole.since(Seq(37)).unwrap();
    assert_eq!(hashes(&news), hashes(&whole)[5..]);
    let mut held = page(32, 5);
    held.absorb(&news).unwrap();
    assert_eq!(held, whole);

    assert_eq!(whole.since(Seq(3)), Some(whole.clone()));
    assert_eq!(whole.since(Seq(41)), None);
    assert_eq!(whole.since(Seq(u64::MAX)), None);
    let not_next = PageFault::NotNext { expected: Seq(41), got: Seq(37) };
    assert_eq!(held.absorb(&news), Err(not_next));
    let other = FeedPage::new(Seq(41), PageSeed([6; 32]));
    assert_eq!(held.absorb(&other), Err(PageFault::OtherSeed { first_seq: Seq(41) }));
    let too_many = page(41, PAGE_RECORDS_MAX as u64);
    assert_eq!(held.absorb(&too_many), Err(PageFault::Closed { next_seq: Seq(64) }));
    assert_eq!(held, whole);
}

#[test]
fn erasing_leaves_every_leaf_and_neither_body_nor_seed() {
    let whole = page(32, 4);
    let mut erased = whole.clone();
    erased.erase(Seq(34)).unwrap();
    assert_eq!(hashes(&erased), hashes(&whole));
    assert_eq!(erased.records().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [32, 33, 35]);
    assert!(erased.is_closed());
    let bytes = bare::encode(&erased);
    let (seed, salt) = ([5; 32], PageSeed([5; 32]).derive_salt(Seq(34)));
    for gone in [seed.as_slice(), &salt.0, &[34; 10]] {
        assert!(!bytes.windows(gone.len()).any(|window| window == gone));
    }
    let once = erased.clone();
    erased.erase(Seq(34)).unwrap();
    assert_eq!(erased, once);
    assert_eq!(erased.erase(Seq(36)), Err(PageFault::NotHere { seq: Seq(36) }));
    assert_eq!(hashes(&erased.since(Seq(34)).unwrap()), hashes(&whole)[2..]);
}

#[test]
fn stored_pages_read_back_and_oversized_ones_do_not() {
    let whole = page(32, 4);
    let mut erased = whole.clone();
    erased.erase(Seq(33)).unwrap();
    let full = page(0, PAGE_RECORDS_MAX as u64);
    for page in [&whole, &erased, &full] {
        let bytes = bare::encode(page);
        assert_eq!(&bare::decode::<FeedPage>(&bytes).unwrap(), page);
    }
    let refused = |first: u64, records: Vec<Record>| {
        let leaves = Leaves::Seeded { seed: PageSeed([5; 32]), records };
        let bytes = bare::encode(&FeedPage { first_seq: Seq(first), leaves });
        assert!(bare::decode::<FeedPage>(&bytes).is_err());
    };
    refused(0, (0..=PAGE_RECORDS_MAX as u64).map(|seq| record(seq, 1)).collect());
    refused(0, (0..4).map(|seq| record(seq, BODY_BYTES_MAX)).collect());
    refused(0, Vec::new());
    refused(FEED_RECORDS_MAX, vec![record(0, 1)]);
    refused(u64::MAX, vec![record(0, 1)]);
}
