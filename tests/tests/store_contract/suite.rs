//! What every engine promises, each promise a case that runs over each engine.

use bhyt_core::limits::{BATCH_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use bhyt_platform::kv::{Batch, Bounded, Pair, StoreError};

use crate::fixture::{Engine, Fixture, deletes, everything, puts};

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        contract!(@engine memory Memory $($case)*);
        contract!(@engine sled Sled $($case)*);
        contract!(@engine own Own $($case)*);
    };
    (@engine $module:ident $engine:ident $($case:ident)*) => {
        mod $module {
            use super::{Engine, Fixture};
            $(#[test] fn $case() { super::$case(Fixture::new(Engine::$engine)); })*
        }
    };
}

contract!(
    a_value_comes_back_until_it_is_deleted,
    the_last_write_of_a_key_wins,
    a_batch_is_seen_whole,
    scans_ascend_within_prefix_and_bounds,
    prefixes_of_ff_bytes_end_where_they_should,
    the_longest_and_shortest_are_kept,
    what_was_committed_is_there_after_reopening,
);

fn a_value_comes_back_until_it_is_deleted(store: Fixture) {
    assert_eq!(store.kv().get(b"a").unwrap(), None);
    store.kv().commit(puts(&[(b"a", b"1")])).unwrap();
    assert_eq!(store.kv().get(b"a").unwrap(), Some(b"1".to_vec()));
    store.kv().commit(puts(&[(b"a", b"2")])).unwrap();
    assert_eq!(store.kv().get(b"a").unwrap(), Some(b"2".to_vec()));
    store.kv().commit(deletes(&[b"a", b"never there"])).unwrap();
    assert_eq!(store.kv().get(b"a").unwrap(), None);
    store.kv().commit(Batch::new()).unwrap();
    assert_eq!(everything(store.kv()), []);
}

fn the_last_write_of_a_key_wins(store: Fixture) {
    let mut batch = puts(&[(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]);
    batch.put(b"a", b"2").unwrap();
    batch.delete(b"b").unwrap();
    batch.delete(b"c").unwrap();
    batch.put(b"c", b"3").unwrap();
    store.kv().commit(batch).unwrap();
    assert_eq!(everything(store.kv()), pairs(&[(b"a", b"2"), (b"c", b"3")]));
}

/// Writers move one amount between many keys; whoever scans must always see the same sum.
fn a_batch_is_seen_whole(store: Fixture) {
    let write = |shift: u8| {
        let mut batch = Batch::new();
        for key in 0..40_u8 {
            batch.put(&[b'k', key], &[shift]).unwrap();
        }
        store.kv().commit(batch).unwrap();
    };
    write(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=30).for_each(write));
        while !writer.is_finished() {
            let seen = store.kv().scan(b"k", None, 100).unwrap();
            assert_eq!(seen.len(), 40);
            assert!(seen.windows(2).all(|two| two[0].1 == two[1].1));
        }
    });
    assert_eq!(store.kv().get(&[b'k', 39]).unwrap(), Some(vec![30]));
}

fn scans_ascend_within_prefix_and_bounds(store: Fixture) {
    let all: &[(&[u8], &[u8])] =
        &[(b"a", b""), (b"b", b"1"), (b"b\0", b"2"), (b"ba", b"3"), (b"bb", b"4"), (b"c", b"5")];
    store.kv().commit(puts(all)).unwrap();
    let check = |prefix: &[u8], after: Option<&[u8]>, max: usize, expected: &[&[u8]]| {
        let found = store.kv().scan(prefix, after, max).unwrap();
        let keys: Vec<&[u8]> = found.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(keys, expected, "prefix {prefix:?} after {after:?} max {max}");
    };
    check(b"", None, 10, &[b"a", b"b", b"b\0", b"ba", b"bb", b"c"]);
    check(b"", None, 2, &[b"a", b"b"]);
    check(b"", None, 0, &[]);
    check(b"b", None, 10, &[b"b", b"b\0", b"ba", b"bb"]);
    check(b"b", Some(b"b"), 10, &[b"b\0", b"ba", b"bb"]);
    check(b"b", Some(b"b"), 1, &[b"b\0"]);
    check(b"b", Some(b"b\0\0"), 10, &[b"ba", b"bb"]);
    check(b"b", Some(b"a"), 10, &[b"b", b"b\0", b"ba", b"bb"]);
    check(b"b", Some(b""), 10, &[b"b", b"b\0", b"ba", b"bb"]);
    check(b"b", Some(b"bb"), 10, &[]);
    check(b"b", Some(b"zz"), 10, &[]);
    check(b"", Some(b"c"), usize::MAX, &[]);
    check(b"d", None, usize::MAX, &[]);
    check(b"bb", None, usize::MAX, &[b"bb"]);
}

fn prefixes_of_ff_bytes_end_where_they_should(store: Fixture) {
    let keys: [&[u8]; 6] = [b"", b"\0", b"\xfe", b"\xff", b"\xff\xff", b"\xff\xff\0"];
    for key in keys {
        store.kv().commit(puts(&[(key, key)])).unwrap();
    }
    let check = |prefix: &[u8], after: Option<&[u8]>, expected: &[&[u8]]| {
        let found = store.kv().scan(prefix, after, 10).unwrap();
        assert_eq!(found, expected.iter().map(|key| (key.to_vec(), key.to_vec())).collect::<Vec<_>>());
    };
    check(b"", None, &keys);
    check(b"", Some(b""), &keys[1..]);
    check(b"\xff", None, &keys[3..]);
    check(b"\xff\xff", None, &keys[4..]);
    check(b"\xff\xff", Some(b"\xff\xff"), &keys[5..]);
    check(b"\xff\xff\xff", None, &[]);
    check(b"\xfe", None, &keys[2..3]);
    assert_eq!(store.kv().get(b"").unwrap(), Some(Vec::new()));
}

fn the_longest_and_shortest_are_kept(mut store: Fixture) {
    let key = vec![0xff; KEY_BYTES_MAX];
    let value = vec![0xee; VALUE_BYTES_MAX];
    store.kv().commit(puts(&[(&key, &value), (b"", b"")])).unwrap();
    store.reopen();
    assert_eq!(everything(store.kv()), [(vec![], vec![]), (key.clone(), value)]);
    assert_eq!(store.kv().get(&vec![0xff; KEY_BYTES_MAX + 1]).unwrap(), None);
    assert_eq!(store.kv().scan(&key, Some(&key), 1).unwrap(), []);
}

fn what_was_committed_is_there_after_reopening(mut store: Fixture) {
    for round in 0..5_u8 {
        store.kv().commit(puts(&[(&[round], b"kept"), (b"last", &[round])])).unwrap();
        store.kv().commit(deletes(&[&[round.wrapping_sub(1)]])).unwrap();
        store.reopen();
        let expected = pairs(&[(&[round], b"kept"), (b"last", &[round])]);
        assert_eq!(everything(store.kv()), expected);
    }
}

/// A batch is bounded where it is built, so no engine has a case for it.
#[test]
fn a_batch_never_exceeds_its_bounds() {
    let check = |result: Result<(), StoreError>, what: Bounded, limit: usize| {
        let error = result.unwrap_err();
        let StoreError::TooLarge { what: found, limit: bound, got } = error else {
            panic!("{error:?}");
        };
        assert_eq!((found, bound, got), (what, limit, limit + 1));
    };
    let mut batch = Batch::new();
    let long_key = vec![1; KEY_BYTES_MAX + 1];
    check(batch.put(&long_key, b""), Bounded::Key, KEY_BYTES_MAX);
    check(batch.delete(&long_key), Bounded::Key, KEY_BYTES_MAX);
    let long_value = vec![1; VALUE_BYTES_MAX + 1];
    check(batch.put(b"k", &long_value), Bounded::Value, VALUE_BYTES_MAX);
    assert!(batch.is_empty());
    for key in 0..BATCH_KEYS_MAX {
        batch.put(&key.to_be_bytes(), b"v").unwrap();
    }
    check(batch.put(b"one more", b"v"), Bounded::Batch, BATCH_KEYS_MAX);
    check(batch.delete(b"one more"), Bounded::Batch, BATCH_KEYS_MAX);
    batch.put(&0_usize.to_be_bytes(), b"again").unwrap();
    assert_eq!(batch.len(), BATCH_KEYS_MAX);
}

fn pairs(pairs: &[(&[u8], &[u8])]) -> Vec<Pair> {
    pairs.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}
