//! A phone that dies at every single commit of its life, and what it finds when it opens again.

use std::sync::atomic::{AtomicUsize, Ordering};

use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{Epoch, Extent, FeedHead, FeedState};
use bhyt_core::keys::SecretKey;
use bhyt_core::merkle::Frontier;
use bhyt_core::record::{Body, Content, PageSeed, Record, RecordKind};
use bhyt_core::sync::messages::ProofBytes;
use bhyt_core::trust::{self, Policy, RootSet, TrustBundle};
use bhyt_platform::entropy::SeededEntropy;
use bhyt_platform::kv::{Batch, Pair, StoreError};
use bhyt_platform::memory_kv::MemoryKv;
use bhyt_platform::store_key::StoreKey;

use super::*;

fn admitted() -> Admitted {
    let proof =
        ProofBytes { time: UnixSeconds(2), nonce: [1; 4], signature_r: [2; 32], signature_s: [3; 32] };
    let presentation_key = SecretKey::from_seed(&[7; 32]).public_key().into();
    let possession = StoredPossession { presentation_key, proof };
    Admitted { member: MEMBER, trust: bundle(), server: "server:1".into(), possession, now: UnixSeconds(3) }
}

const MEMBER: MemberId = MemberId([0x99; 16]);
/// One for all pages, which only tests may.
const SEED: PageSeed = PageSeed([1; 32]);

/// A store whose process dies when the budget of commits is used up.
#[derive(Debug)]
struct DyingKv {
    inner: Arc<MemoryKv>,
    budget: Arc<AtomicUsize>,
}

impl Kv for DyingKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(prefix, after, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let left = self.budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match left {
            Ok(_) => self.inner.commit(batch),
            Err(_) => Err(StoreError::Closed { path: "dead".into() }),
        }
    }
}

/// A disk that outlives its phone.
#[derive(Clone, Default)]
struct Disk {
    own: Arc<MemoryKv>,
    cache: Arc<MemoryKv>,
    copies: Option<Arc<tempfile::TempDir>>,
}

impl Disk {
    fn open(&self, commits: usize) -> Result<WalletStore, SdkError> {
        let budget = Arc::new(AtomicUsize::new(commits));
        let dying =
            |inner: &Arc<MemoryKv>| Arc::new(DyingKv { inner: inner.clone(), budget: budget.clone() });
        let entropy = Arc::new(SeededEntropy::danger_from_seed(commits as u64));
        let vault = Vault::new(&StoreKey::new([5; 32]), entropy);
        // Without a folder there is nowhere to copy to.
        let nowhere = std::path::Path::new("/dev/null");
        let folder = self.copies.as_ref().map_or(nowhere, |folder| folder.path());
        let copies = CardCopies::new(folder, vault.clone());
        WalletStore::open(dying(&self.own), dying(&self.cache), vault, copies)
    }
}

/// A server's feed: a card, many visits, and the card withdrawn at the end.
struct Feed {
    pages: Vec<FeedPage>,
    key: SecretKey,
}

impl Feed {
    fn new(visits: usize) -> Self {
        let body = |standing| Body::new(CardRecord { credential: vec![7; 200], standing }.encode()).unwrap();
        let time = UnixSeconds(1_000);
        let card = Record::first(Seq(0), RecordKind::Card, body(CardStanding::InForce), time);
        let visit = |n| {
            let fact = Body::new(vec![0xa0; 4_000]).unwrap();
            Record::first(Seq(1 + n as u64), RecordKind::Visit, fact, time)
        };
        let end = card.corrected(body(CardStanding::Withdrawn), time);
        let records = std::iter::once(card).chain((0..visits).map(visit)).chain([end]);
        let mut pages = vec![FeedPage::new(Seq(0), SEED)];
        for record in records {
            if pages.last().unwrap().is_closed() {
                let next = pages.last().unwrap().next_seq();
                pages.push(FeedPage::new(next, SEED));
            }
            pages.last_mut().unwrap().push(record).unwrap();
        }
        Self { pages, key: SecretKey::from_seed(&[6; 32]) }
    }

    fn size(&self) -> u64 {
        self.pages.last().unwrap().next_seq().0
    }

    /// What the session makes of the answer to a phone at `feed`, when the server's feed had `size` records.
    fn update(&self, feed: &FeedState, size: u64) -> MemberUpdate {
        let mut frontier = Frontier::new();
        let entries = self.pages.iter().flat_map(FeedPage::entries);
        for (seq, entry) in entries.take(size as usize) {
            frontier.append(entry.leaf_hash(seq)).unwrap();
        }
        let extent = Extent { epoch: Epoch(1), size };
        let (root, time) = (frontier.root(), UnixSeconds(1_000 + size));
        let head = FeedHead { member: MEMBER, extent, root, time };
        let head = Unsigned::new(head, self.key.public_key().key_id()).sign(&self.key);
        let pages = self.pages.iter().filter_map(|page| cut(page, feed.next_seq().0, size));
        let pages: Vec<FeedPage> = pages.collect();
        let feed = feed.extend(&pages, &head).unwrap();
        MemberUpdate { member: MEMBER, feed, pages, head }
    }
}

/// The records of `page` from `from` to before `to`.
fn cut(page: &FeedPage, from: u64, to: u64) -> Option<FeedPage> {
    let page = page.since(Seq(from))?;
    let mut cut = FeedPage::new(page.first_seq(), SEED);
    for (seq, record) in page.records().filter(|(seq, _)| seq.0 < to) {
        assert_eq!(cut.push(record.clone()).unwrap(), seq);
    }
    (cut.count() > 0).then_some(cut)
}

fn bundle() -> Verified<TrustBundle> {
    let root = SecretKey::from_seed(&[8; 32]);
    let bundle = TrustBundle {
        version: 1,
        issued: UnixSeconds(1),
        expires: UnixSeconds(9),
        roots: RootSet::new(vec![root.public_key()], 1).unwrap(),
        keys: Vec::new(),
        policy: Policy::default(),
        status: None,
    };
    trust::anchor(&bundle.sign(&[&root])).unwrap()
}

/// Activation and syncs at the given sizes, from wherever the store stands. Ends early when the phone dies.
fn live(store: &WalletStore, feed: &Feed, sizes: &[u64]) -> Result<(), SdkError> {
    if store.held().members.is_empty() {
        store.add_member(admitted())?;
    }
    for size in sizes {
        let state = store.held().members.get(&MEMBER).unwrap().cached.feed.clone();
        let behind = state.mark().is_none_or(|mark| mark.extent.size <= *size);
        if behind && state.next_seq().0 < *size {
            let update = feed.update(&state, *size);
            store.apply(Effect::Commit(Box::new(update)))?;
        }
        store.apply(Effect::Credentials { member: MEMBER, credentials: Vec::new() })?;
    }
    Ok(())
}

fn standings(store: &WalletStore) -> Vec<CardStanding> {
    let held = store.held();
    let Some(member) = held.members.get(&MEMBER) else { return Vec::new() };
    let bodies = member.cached.cards.iter().filter_map(|record| match &record.content {
        Content::Body(body) => Some(CardRecord::decode(body.as_bytes()).unwrap().standing),
        Content::Tombstone => None,
    });
    bodies.collect()
}

#[test]
fn a_phone_that_dies_at_any_commit_shows_before_or_after_and_mends_at_the_next_sync() {
    // Three visits fill a page; the third sync brings more pages than two batches take.
    let feed = Feed::new(13 * 3);
    let sizes = [1, 5, feed.size() - 1, feed.size()];
    let mut deaths = 0;
    for commits in 0.. {
        let disk = Disk::default();
        let store = disk.open(commits).unwrap();
        let died = live(&store, &feed, &sizes).is_err();
        let before = standings(&store);
        drop(store);

        let store = disk.open(usize::MAX).unwrap();
        let after = standings(&store);
        assert!(after.len() <= 1 && after.len() >= before.len(), "{commits}: {before:?} {after:?}");
        live(&store, &feed, &sizes[3..]).unwrap();
        assert_eq!(standings(&store), [CardStanding::Withdrawn], "{commits}");
        drop(store);
        let store = disk.open(0).unwrap();
        let member = store.held().members.get(&MEMBER).unwrap().clone();
        assert_eq!(member.cached.feed.next_seq(), Seq(feed.size()), "{commits}");
        if !died {
            break;
        }
        deaths += 1;
    }
    assert!(deaths >= 10, "{deaths} commits");
}

#[test]
fn a_wiped_member_leaves_nothing_at_whatever_commit_the_phone_dies() {
    let feed = Feed::new(10);
    for commits in 0..4 {
        let disk = Disk::default();
        live(&disk.open(usize::MAX).unwrap(), &feed, &[feed.size()]).unwrap();
        let store = disk.open(commits).unwrap();
        let wiped = store.apply(Effect::Wipe(MEMBER)).is_ok();
        drop(store);
        let store = disk.open(usize::MAX).unwrap();
        assert_eq!(store.held().members.is_empty(), commits > 0, "{commits} {wiped}");
        if commits > 0 {
            assert_eq!(disk.cache.scan(b"", None, 9).unwrap().len(), 0, "{commits}");
        }
    }
}

#[test]
fn what_is_stored_is_sealed_for_its_place() {
    let (feed, disk) = (Feed::new(10), Disk::default());
    live(&disk.open(usize::MAX).unwrap(), &feed, &[feed.size()]).unwrap();
    let pages = disk.cache.scan(b"p", None, 9).unwrap();
    assert!(pages.len() >= 2);
    for (_, value) in &pages {
        assert!(!value.windows(20).any(|window| window == [7; 20] || window == [0xa0; 20]));
    }
    // Two pages that trade places open at neither: the records are dropped and fetched again.
    let mut batch = Batch::new();
    batch.put(&pages[0].0, &pages[1].1).unwrap();
    batch.put(&pages[1].0, &pages[0].1).unwrap();
    disk.cache.commit(batch).unwrap();
    let store = disk.open(usize::MAX).unwrap();
    assert!(standings(&store).is_empty());
    live(&store, &feed, &[feed.size()]).unwrap();
    assert_eq!(standings(&store), [CardStanding::Withdrawn]);
}

#[test]
fn a_phone_without_its_cache_shows_the_card_as_it_was_and_mends_at_the_next_sync() {
    let feed = Feed::new(10);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut disk = Disk { copies: Some(folder.clone()), ..Disk::default() };
    let sync = |disk: &Disk, size: u64| {
        let store = disk.open(usize::MAX).unwrap();
        live(&store, &feed, &[size]).unwrap();
        store.copy_cards();
    };
    sync(&disk, feed.size() - 1);
    let copy = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&copy).unwrap();
    assert!(!bytes.windows(20).any(|window| window == [7; 20]), "sealed");

    disk.cache = Arc::default();
    let store = disk.open(0).unwrap_err();
    assert!(matches!(store, SdkError::System { .. }), "a cache that fails is told");
    let store = disk.open(usize::MAX).unwrap();
    assert_eq!(standings(&store), [CardStanding::InForce], "as it last was");
    drop(store);
    sync(&disk, feed.size());
    assert_eq!(standings(&disk.open(0).unwrap()), [CardStanding::Withdrawn]);

    // A copy with a flipped bit is none.
    for at in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut harmed = bytes.clone();
        harmed[at] ^= 1;
        std::fs::write(&copy, harmed).unwrap();
        disk.cache = Arc::default();
        assert!(standings(&disk.open(usize::MAX).unwrap()).is_empty(), "byte {at}");
    }
    // Nor is there one of a member who is gone.
    std::fs::write(&copy, &bytes).unwrap();
    disk.open(usize::MAX).unwrap().apply(Effect::Wipe(MEMBER)).unwrap();
    assert!(!copy.exists());
}
