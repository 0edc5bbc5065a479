//! One contract for every store of the server: in memory (the oracle), embedded over memory, and embedded on a disk.
//! What only the embedded one promises (groups, the disk, closing) is in `embedded.rs`, copies in `copies.rs`; both at random in `differential.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

#[path = "server_store/copies.rs"]
mod copies;
#[path = "server_store/differential.rs"]
mod differential;
#[path = "server_store/embedded.rs"]
mod embedded;

use bhyt_core::ids::MemberId;
use bhyt_server::store::{
    Append, BYTES_MAX, Bounded, COMMIT_KEYS_MAX, Change, Commit, DOC_ID_BYTES_MAX, DocKey, DocKind, DocWrite,
    Expected, HEAD_BYTES_MAX, Outcome, Shard, Store, StoreFault, StoredHead, StoredPage,
};

/// Changes that the stores of this suite keep for a shard.
const KEPT: u64 = 100;

macro_rules! contract {
    ($($name:ident)*) => {
        mod memory_store {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&bhyt_server::store::memory::MemoryStore::new(super::KEPT)).await;
            })*
        }
        mod embedded_over_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::embedded::over_memory()).await;
            })*
        }
        mod embedded_on_disk {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&super::embedded::on_disk(folder.path())).await;
            })*
        }
    };
}

contract! {
    a_feed_grows_only_from_the_head_that_was_expected
    several_feeds_grow_in_one_commit_or_none_does
    pages_are_read_in_order_and_never_another_members
    a_lost_race_changes_nothing
    documents_are_compared_and_set
    removed_documents_are_gone
    of_an_erased_member_nothing_is_left_and_of_others_everything
    documents_are_scanned_in_order_and_in_portions
    changes_are_told_in_order_inside_their_shard
    old_changes_are_trimmed_and_the_gap_shows
    what_breaks_a_bound_is_refused_whole
    of_racing_writers_one_wins_each_revision
    what_lost_in_a_crowd_left_nothing_behind
}

async fn a_feed_grows_only_from_the_head_that_was_expected(store: &impl Store) {
    assert_eq!(store.head(member(1)).await.unwrap(), None);
    apply(store, append(member(1), None, head(1, 1, b"first"), &[])).await;
    lose(store, append(member(1), None, head(1, 1, b"again"), &[])).await;
    lose(store, append(member(1), Some((1, 2)), head(1, 3, b"gap"), &[])).await;
    lose(store, append(member(1), Some((2, 1)), head(2, 2, b"epoch"), &[])).await;
    lose(store, append(member(2), Some((1, 1)), head(1, 2, b"who"), &[])).await;
    assert_eq!(store.head(member(1)).await.unwrap(), Some(head(1, 1, b"first")));
    assert_eq!(store.head(member(2)).await.unwrap(), None);
    apply(store, append(member(1), Some((1, 1)), head(2, 1, b"second"), &[])).await;
    assert_eq!(store.head(member(1)).await.unwrap(), Some(head(2, 1, b"second")));
}

async fn several_feeds_grow_in_one_commit_or_none_does(store: &impl Store) {
    let both = |second: Option<(u64, u64)>| {
        let mut commit = append(member(1), None, head(1, 1, b"one"), &[page(0, 1)]);
        commit.appends.extend(append(member(2), second, head(1, 1, b"two"), &[page(0, 2)]).appends);
        commit
    };
    lose(store, both(Some((1, 1)))).await;
    assert_eq!(store.head(member(1)).await.unwrap(), None);
    assert_eq!(store.read(member(1), 0, 9).await.unwrap(), []);
    apply(store, both(None)).await;
    lose(store, both(None)).await;
    assert_eq!(store.head(member(1)).await.unwrap(), Some(head(1, 1, b"one")));
    assert_eq!(store.head(member(2)).await.unwrap(), Some(head(1, 1, b"two")));
    assert_eq!(store.read(member(2), 0, 9).await.unwrap(), [page(0, 2)]);
}

async fn pages_are_read_in_order_and_never_another_members(store: &impl Store) {
    let numbers: Vec<u32> = (0..5).chain([255, 256, 70_000]).collect();
    for id in [1, 2, 3] {
        let pages: Vec<_> = numbers.iter().map(|number| page(*number, id)).collect();
        apply(store, append(member(id), None, head(1, 1, b""), &pages)).await;
    }
    apply(store, append(member(2), Some((1, 1)), head(1, 2, b""), &[page(4, 9)])).await;
    let read = async |from, max| {
        let pages = store.read(member(2), from, max).await.unwrap();
        pages.iter().map(|page| (page.number, page.bytes[0])).collect::<Vec<_>>()
    };
    let all = [(0, 2), (1, 2), (2, 2), (3, 2), (4, 9), (255, 2), (256, 2), (70_000, 2)];
    assert_eq!(read(0, 100).await, all);
    assert_eq!(read(1, 2).await, [(1, 2), (2, 2)]);
    assert_eq!(read(4, 1).await, [(4, 9)]);
    assert_eq!(read(5, 1).await, [(255, 2)]);
    assert_eq!(read(70_001, 9).await, []);
    assert_eq!(read(0, 0).await, []);
}

async fn of_an_erased_member_nothing_is_left_and_of_others_everything(store: &impl Store) {
    let doc_key = |id: u8, rest: &[u8]| DocKey::new(DocKind::Card, [&member(id).0[..], rest].concat());
    for id in [1, 2, 3] {
        // More than a batch has keys, and more than a row has room for.
        for first in [0, 150] {
            let pages: Vec<_> = (first..first + 150).map(|number| page(number, id)).collect();
            let expected = (first > 0).then_some((1, 1));
            apply(store, append(member(id), expected, head(1, 1, b"h"), &pages)).await;
        }
        let card =
            DocWrite { key: doc_key(id, &[7]), expected: Expected::Absent, bytes: Some(vec![id; 9_000]) };
        let own = DocKey::new(DocKind::Member, member(id).0);
        let own = DocWrite { key: own, expected: Expected::Absent, bytes: Some(vec![id]) };
        apply(store, docs([card, own])).await;
    }
    for _ in 0..2 {
        store.erase(member(2)).await.unwrap();
        assert_eq!(store.head(member(2)).await.unwrap(), None);
        assert_eq!(store.read(member(2), 0, 9).await.unwrap(), []);
        assert_eq!(store.doc_get(&doc_key(2, &[7])).await.unwrap(), None);
        for kind in [DocKind::Member, DocKind::Card] {
            let left = store.doc_scan(kind, None, 9).await.unwrap();
            let whose: Vec<u8> = left.iter().map(|(_, doc)| doc.bytes[0]).collect();
            assert_eq!(whose, [1, 3]);
        }
        for id in [1, 3] {
            assert_eq!(store.read(member(id), 0, 999).await.unwrap().len(), 300);
        }
    }
    apply(store, append(member(2), None, head(1, 1, b"new"), &[page(0, 9)])).await;
    assert_eq!(store.read(member(2), 0, 9).await.unwrap(), [page(0, 9)]);
}

async fn a_lost_race_changes_nothing(store: &impl Store) {
    apply(store, docs([set("taken", Expected::Absent, b"1")])).await;
    let good = append(member(1), None, head(1, 1, b""), &[page(0, 1)]);
    let with = |write| Commit {
        docs: vec![set("new", Expected::Absent, b"x"), write],
        announce: vec![member(1)],
        ..good.clone()
    };
    lose(store, with(set("taken", Expected::Absent, b"2"))).await;
    lose(store, with(set("taken", Expected::Revision(2), b"2"))).await;
    lose(store, with(set("missing", Expected::Revision(1), b"2"))).await;
    lose(store, with(remove("missing", Expected::Revision(1)))).await;
    let mut bad_head = with(set("taken", Expected::Any, b"2"));
    bad_head.appends[0].expected = Some((1, 1));
    lose(store, bad_head).await;
    assert_eq!(doc(store, "new").await, None);
    assert_eq!(doc(store, "taken").await, Some((1, b"1".to_vec())));
    assert_eq!(store.head(member(1)).await.unwrap(), None);
    assert_eq!(store.read(member(1), 0, 9).await.unwrap(), []);
    assert_eq!(store.tail(Shard::of(member(1)), 0, 9).await.unwrap(), []);
    apply(store, with(set("taken", Expected::Revision(1), b"2"))).await;
    assert_eq!(doc(store, "new").await, Some((1, b"x".to_vec())));
    assert_eq!(doc(store, "taken").await, Some((2, b"2".to_vec())));
}

async fn documents_are_compared_and_set(store: &impl Store) {
    apply(store, docs([set("a", Expected::Absent, b"1")])).await;
    apply(store, docs([set("a", Expected::Revision(1), b"2")])).await;
    lose(store, docs([set("a", Expected::Revision(1), b"3")])).await;
    apply(store, docs([set("a", Expected::Any, b"4")])).await;
    assert_eq!(doc(store, "a").await, Some((3, b"4".to_vec())));
    apply(store, docs([set("b", Expected::Any, b"")])).await;
    assert_eq!(doc(store, "b").await, Some((1, Vec::new())));
    apply(store, Commit::default()).await;
}

async fn removed_documents_are_gone(store: &impl Store) {
    apply(store, docs([set("a", Expected::Absent, b"1")])).await;
    lose(store, docs([remove("a", Expected::Absent)])).await;
    apply(store, docs([remove("a", Expected::Revision(1))])).await;
    assert_eq!(doc(store, "a").await, None);
    assert_eq!(scan(store, DocKind::Terminal, None, 9).await, Vec::<Vec<u8>>::new());
    lose(store, docs([set("a", Expected::Revision(1), b"2")])).await;
    apply(store, docs([remove("a", Expected::Any), remove("b", Expected::Absent)])).await;
    apply(store, docs([set("a", Expected::Absent, b"3")])).await;
    assert_eq!(doc(store, "a").await, Some((1, b"3".to_vec())));
}

async fn documents_are_scanned_in_order_and_in_portions(store: &impl Store) {
    let ids: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0, 0], vec![1], vec![255], vec![255; 64]];
    for kind in [DocKind::Device, DocKind::Terminal, DocKind::Alias] {
        let writes = ids.iter().rev().map(|id| DocWrite {
            key: DocKey::new(kind, id.clone()),
            expected: Expected::Absent,
            bytes: Some(vec![kind as u8]),
        });
        apply(store, docs(writes)).await;
    }
    assert_eq!(scan(store, DocKind::Terminal, None, 100).await, ids);
    assert_eq!(scan(store, DocKind::Terminal, None, 2).await, ids[..2]);
    assert_eq!(scan(store, DocKind::Terminal, Some(vec![]), 2).await, ids[1..3]);
    assert_eq!(scan(store, DocKind::Terminal, Some(vec![0, 7]), 9).await, ids[3..]);
    assert_eq!(scan(store, DocKind::Terminal, Some(vec![255; 64]), 9).await, ids[6..]);
    assert_eq!(scan(store, DocKind::Terminal, None, 0).await, ids[6..]);
    let of_member = |member: u8, rest: &[u8]| [[member; 16].as_slice(), rest].concat();
    let ids = [of_member(1, b""), of_member(1, b"b"), of_member(2, b""), of_member(2, b"a")];
    for kind in [DocKind::Member, DocKind::Card] {
        let writes = ids.iter().map(|id| DocWrite {
            key: DocKey::new(kind, id.clone()),
            expected: Expected::Absent,
            bytes: Some(vec![kind as u8]),
        });
        apply(store, docs(writes)).await;
    }
    apply(store, append(MemberId([1; 16]), None, head(1, 1, b""), &[page(0, 1)])).await;
    assert_eq!(scan(store, DocKind::Card, None, 9).await, ids);
    assert_eq!(scan(store, DocKind::Member, Some(of_member(1, b"a")), 2).await, ids[1..3]);
    assert_eq!(scan(store, DocKind::Member, Some(vec![2]), 9).await, ids[2..]);
    let many = (0..600_u32).map(|id| DocKey::new(DocKind::Audit, id.to_be_bytes()));
    for chunk in many.collect::<Vec<_>>().chunks(COMMIT_KEYS_MAX) {
        let writes = chunk.iter().map(|key| DocWrite {
            key: key.clone(),
            expected: Expected::Absent,
            bytes: Some(vec![]),
        });
        apply(store, docs(writes)).await;
    }
    assert_eq!(scan(store, DocKind::Audit, None, 1_000).await.len(), 600);
    assert_eq!(scan(store, DocKind::Audit, None, 599).await.len(), 599);
}

async fn changes_are_told_in_order_inside_their_shard(store: &impl Store) {
    let (near, far) = (member(1), MemberId([9; 16]));
    let shard = Shard::of(near);
    assert_eq!(store.tail_end(shard).await.unwrap(), 0);
    apply(store, announce([near, far, member(2)])).await;
    apply(store, announce([near, near])).await;
    let change = |number, member| Change { number, member };
    let told = [change(1, near), change(2, member(2)), change(3, near), change(4, near)];
    assert_eq!(store.tail(shard, 0, 9).await.unwrap(), told);
    assert_eq!(store.tail(shard, 1, 2).await.unwrap(), told[1..3]);
    assert_eq!(store.tail(shard, 4, 9).await.unwrap(), []);
    assert_eq!(store.tail(shard, u64::MAX, 9).await.unwrap(), []);
    assert_eq!(store.tail_end(shard).await.unwrap(), 4);
    assert_eq!(store.tail(Shard::of(far), 0, 9).await.unwrap(), [change(1, far)]);
    assert_eq!(store.tail(Shard(8), 0, 9).await.unwrap(), []);
}

async fn old_changes_are_trimmed_and_the_gap_shows(store: &impl Store) {
    for _ in 0..3 {
        apply(store, announce(vec![member(1); 200])).await;
    }
    // Trimming may follow the answer; whatever is announced after it comes behind.
    apply(store, announce([member(2)])).await;
    let told = store.tail(Shard::of(member(1)), 0, 1_000).await.unwrap();
    let numbers: Vec<u64> = told.iter().map(|change| change.number).collect();
    assert!((KEPT..KEPT + 128).contains(&(told.len() as u64)), "{} are kept", told.len());
    assert_eq!(numbers, (602 - told.len() as u64..=601).collect::<Vec<_>>());
    assert_eq!(store.tail_end(Shard::of(member(1))).await.unwrap(), 601);
}

async fn what_breaks_a_bound_is_refused_whole(store: &impl Store) {
    let refuse = async |commit: Commit, what, limit, got| {
        let fault = store.commit(commit).await.unwrap_err();
        let found = match fault {
            StoreFault::TooLarge { what, limit, got } => (what, limit, got),
            other => panic!("{other}"),
        };
        assert_eq!(found, (what, limit, got));
    };
    let many = |count: usize| docs((0..count).map(|id| set(&id.to_string(), Expected::Absent, b"")));
    refuse(many(257), Bounded::Keys, COMMIT_KEYS_MAX, 257).await;
    let one_more = Commit { announce: vec![member(1)], ..many(256) };
    refuse(one_more, Bounded::Keys, COMMIT_KEYS_MAX, 257).await;
    refuse(announce(vec![member(1); 257]), Bounded::Keys, COMMIT_KEYS_MAX, 257).await;
    let value = vec![7; BYTES_MAX + 1];
    refuse(docs([set("a", Expected::Any, &value)]), Bounded::Doc, BYTES_MAX, BYTES_MAX + 1).await;
    let (id, longer) = ("x".repeat(DOC_ID_BYTES_MAX), "x".repeat(DOC_ID_BYTES_MAX + 1));
    refuse(docs([set(&longer, Expected::Any, b"")]), Bounded::DocId, 64, 65).await;
    let large = StoredPage { number: 0, bytes: value.clone() };
    let commit = append(member(1), None, head(1, 1, b""), &[large]);
    refuse(commit, Bounded::Page, BYTES_MAX, BYTES_MAX + 1).await;
    let commit = append(member(1), None, head(1, 1, &value[..HEAD_BYTES_MAX + 1]), &[]);
    refuse(commit, Bounded::Head, HEAD_BYTES_MAX, HEAD_BYTES_MAX + 1).await;
    let nobody = DocWrite { key: DocKey::new(DocKind::Card, [7; 15]), ..set("", Expected::Any, b"") };
    assert!(matches!(store.commit(docs([nobody])).await, Err(StoreFault::NoMember)));
    let twice = docs([set("a", Expected::Any, b"1"), set("a", Expected::Any, b"2")]);
    assert!(matches!(store.commit(twice).await, Err(StoreFault::WrittenTwice)));
    let twice = append(member(1), None, head(1, 1, b""), &[page(3, 1), page(3, 2)]);
    assert!(matches!(store.commit(twice).await, Err(StoreFault::WrittenTwice)));
    let mut twice = append(member(1), None, head(1, 1, b""), &[]);
    twice.appends.extend(append(member(1), Some((1, 1)), head(1, 2, b""), &[]).appends);
    assert!(matches!(store.commit(twice).await, Err(StoreFault::WrittenTwice)));
    assert_eq!(scan(store, DocKind::Terminal, None, 9).await, Vec::<Vec<u8>>::new());
    assert_eq!(store.head(member(1)).await.unwrap(), None);
    let largest = Commit {
        docs: vec![set(&id, Expected::Any, &value[1..])],
        ..append(
            member(1),
            None,
            head(1, 1, &value[..HEAD_BYTES_MAX]),
            &[StoredPage { number: u32::MAX, bytes: value[1..].to_vec() }],
        )
    };
    apply(store, largest).await;
    assert_eq!(doc(store, &id).await, Some((1, value[1..].to_vec())));
    apply(store, many(256)).await;
}

async fn of_racing_writers_one_wins_each_revision(store: &impl Store) {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 20;
    let race = |writer: u64| async move {
        let mut wins = 0;
        while wins < ROUNDS {
            let held = store.head(member(1)).await.unwrap();
            let size = held.as_ref().map_or(0, |head| head.size);
            let expected = held.map(|head| (head.epoch, head.size));
            let own = format!("{writer}/{wins}");
            let mut commit = append(member(1), expected, head(1, size + 1, b""), &[]);
            commit.docs.push(set(&own, Expected::Absent, &size.to_be_bytes()));
            if store.commit(commit).await.unwrap() == Outcome::Applied {
                // Acknowledged is readable, at once.
                assert_eq!(doc(store, &own).await, Some((1, size.to_be_bytes().to_vec())));
                assert!(store.head(member(1)).await.unwrap().unwrap().size > size);
                wins += 1;
            }
        }
    };
    together((0..WRITERS).map(race)).await;
    let size = store.head(member(1)).await.unwrap().unwrap().size;
    assert_eq!(size, WRITERS * ROUNDS);
    let docs = store.doc_scan(DocKind::Terminal, None, 1_000).await.unwrap();
    let mut won: Vec<_> = docs.into_iter().map(|(_, doc)| doc.bytes).collect();
    won.sort_unstable();
    let each_once: Vec<_> = (0..size).map(|size| size.to_be_bytes().to_vec()).collect();
    assert_eq!(won, each_once);
}

async fn what_lost_in_a_crowd_left_nothing_behind(store: &impl Store) {
    let write = |writer: u64| async move {
        let own = |part: &str| format!("{writer:03}/{part}");
        let commit = Commit {
            docs: vec![
                set(&own("before"), Expected::Absent, b"x"),
                set("contended", Expected::Absent, &writer.to_be_bytes()),
                set(&own("after"), Expected::Absent, b"x"),
            ],
            announce: vec![member(1)],
            ..append(MemberId([writer as u8 + 2; 16]), None, head(1, 1, b""), &[page(0, 1)])
        };
        let outcome = store.commit(commit).await.unwrap();
        let present = outcome == Outcome::Applied;
        assert_eq!(doc(store, &own("before")).await.is_some(), present);
        assert_eq!(doc(store, &own("after")).await.is_some(), present);
        let head = store.head(MemberId([writer as u8 + 2; 16])).await.unwrap();
        assert_eq!(head.is_some(), present);
    };
    together((0..50).map(write)).await;
    assert_eq!(scan(store, DocKind::Terminal, None, 1_000).await.len(), 3);
    assert_eq!(store.tail_end(Shard::of(member(1))).await.unwrap(), 1);
}

/// Runs all of them at the same time.
async fn together(tasks: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut tasks: Vec<_> = tasks.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        match tasks.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

async fn apply(store: &impl Store, commit: Commit) {
    assert_eq!(store.commit(commit).await.unwrap(), Outcome::Applied);
}

async fn lose(store: &impl Store, commit: Commit) {
    assert_eq!(store.commit(commit).await.unwrap(), Outcome::Lost);
}

async fn doc(store: &impl Store, id: &str) -> Option<(u64, Vec<u8>)> {
    let found = store.doc_get(&DocKey::new(DocKind::Terminal, id)).await.unwrap();
    found.map(|doc| (doc.revision, doc.bytes))
}

async fn scan(store: &impl Store, kind: DocKind, after: Option<Vec<u8>>, max: usize) -> Vec<Vec<u8>> {
    let found = store.doc_scan(kind, after, max).await.unwrap();
    assert!(found.iter().all(|(key, _)| key.kind == kind));
    found.into_iter().map(|(key, _)| key.id).collect()
}

/// Members of one shard, neighbours in order.
fn member(number: u8) -> MemberId {
    let mut id = [7; 16];
    id[15] = number;
    MemberId(id)
}

fn head(epoch: u64, size: u64, bytes: &[u8]) -> StoredHead {
    StoredHead { epoch, size, bytes: bytes.to_vec() }
}

fn page(number: u32, fill: u8) -> StoredPage {
    StoredPage { number, bytes: vec![fill; 40] }
}

fn append(member: MemberId, expected: Option<(u64, u64)>, head: StoredHead, pages: &[StoredPage]) -> Commit {
    let pages = pages.to_vec();
    let append = Append { member, expected, head, pages };
    Commit { appends: vec![append], ..Commit::default() }
}

fn announce(members: impl Into<Vec<MemberId>>) -> Commit {
    Commit { announce: members.into(), ..Commit::default() }
}

fn docs(writes: impl IntoIterator<Item = DocWrite>) -> Commit {
    Commit { docs: writes.into_iter().collect(), ..Commit::default() }
}

fn set(id: &str, expected: Expected, bytes: &[u8]) -> DocWrite {
    let key = DocKey::new(DocKind::Terminal, id);
    DocWrite { key, expected, bytes: Some(bytes.to_vec()) }
}

fn remove(id: &str, expected: Expected) -> DocWrite {
    DocWrite { key: DocKey::new(DocKind::Terminal, id), expected, bytes: None }
}
