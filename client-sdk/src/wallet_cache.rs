//! The phone's cache: records, cursor and credentials of each member, sealed under the member's key for the place they
//! stand at. Everything here can be fetched again.
//!
//! Promises: what is read is what one head signs. Pages beyond the cursor do not count, so an update that needs several
//! commits writes its pages first and the cursor last, and is seen whole or not at all; those that follow on it are found
//! again as staged ones, which no head speaks for. A feed that is read again from
//! its beginning is written beside the old one, under the next generation, and takes its place with the cursor.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bhyt_core::codec;
use bhyt_core::feed::{FeedHead, FeedPage, FeedState};
use bhyt_core::ids::MemberId;
use bhyt_core::limits::BATCH_KEYS_MAX;
use bhyt_core::record::{Content, Record, RecordKind, Seq};
use bhyt_core::seal::SealKey;
use bhyt_core::sync::wallet::MemberUpdate;
use bhyt_platform::kv::{Batch, Kv};

use crate::staged_pages::StagedPages;
use crate::stored::{
    PROGRESS_KEY, StoredCredentials, StoredCursor, StoredError, StoredPage, StoredProgress, put, read,
};
use crate::vault::Vault;

/// The cache's store and what seals into it.
#[derive(Debug)]
pub(crate) struct WalletCache {
    store: Arc<dyn Kv>,
    vault: Vault,
}

/// All pages of a feed as they were verified.
#[derive(Debug)]
pub(crate) struct HeldPages {
    pub(crate) pages: Vec<FeedPage>,
    /// The head over them.
    pub(crate) signed_head: Vec<u8>,
}

/// One member as the cache holds it.
#[derive(Clone, Debug)]
pub(crate) struct CachedMember {
    pub(crate) feed: FeedState,
    pub(crate) cards: CardRecords,
    pub(crate) credentials: Vec<Vec<u8>>,
    pub(crate) staged: StagedPages,
    generation: Option<u32>,
    last_page: Option<FeedPage>,
}

impl CachedMember {
    /// Nothing cached; `mark` is the furthest head ever verified.
    pub(crate) fn empty(member: MemberId, mark: Option<FeedHead>) -> Self {
        Self {
            feed: mark.map_or_else(|| FeedState::new(member), FeedState::from_mark),
            cards: CardRecords::default(),
            credentials: Vec::new(),
            staged: StagedPages::default(),
            generation: None,
            last_page: None,
        }
    }

    /// Whether a head speaks for anything here.
    pub(crate) fn has_records(&self) -> bool {
        self.generation.is_some()
    }

    /// The generation that pages behind those held are of.
    fn generation_ahead(&self) -> u32 {
        match self.generation {
            Some(held) if self.feed.next_seq() > Seq(0) => held,
            Some(old) => old.saturating_add(1),
            None => 0,
        }
    }

    /// The same records for showing, and a feed that is to be read again from its beginning up to `mark` and beyond.
    pub(crate) fn reread_from(mut self, mark: FeedHead) -> Self {
        self.feed = match self.feed.mark() == Some(&mark) {
            true => self.feed.reread(),
            false => FeedState::from_mark(mark),
        };
        self.staged.forget();
        self
    }
}

/// The latest revision of each record of kind Card, by the record's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct CardRecords {
    records: BTreeMap<Seq, Record>,
}

impl CardRecords {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The latest revisions as they were kept.
    pub(crate) fn of_records(records: Vec<Record>) -> Self {
        Self { records: records.into_iter().map(|record| (record.first_seq, record)).collect() }
    }

    fn take(&mut self, page: &FeedPage) {
        for (_, record) in page.records().filter(|(_, record)| record.kind == RecordKind::Card) {
            match record.content {
                Content::Body(_) => self.records.insert(record.first_seq, record.clone()),
                Content::Tombstone => self.records.remove(&record.first_seq),
            };
        }
    }
}

impl WalletCache {
    pub(crate) fn new(store: Arc<dyn Kv>, vault: Vault) -> Self {
        Self { store, vault }
    }

    /// What is cached of `member`, beginning anew from `mark` when there are no records. Removes what an interrupted update
    /// left and cannot be gone on from.
    pub(crate) fn load(
        &self,
        member: MemberId,
        key: &SealKey,
        mark: Option<FeedHead>,
    ) -> Result<CachedMember, StoredError> {
        let cursor = self.read_sealed::<StoredCursor>(key, &cursor_key(member))?;
        let (mut pages, mut staged) = (Vec::new(), Vec::<FeedPage>::new());
        let (generation, end) =
            cursor.as_ref().map_or((0, Seq(0)), |cursor| (cursor.generation, cursor.head.next_seq()));
        let held = page_key(member, generation, Seq(0))..page_key(member, generation, end);
        let ahead = page_key(member, generation, end)..page_key(member, generation, Seq(u64::MAX));
        self.sweep(member, |place, sealed| {
            if !held.contains(place) && !ahead.contains(place) {
                return Ok(Fate::Removed);
            }
            let StoredPage { page } = codec::decode(&key.open(place, sealed)?)?;
            let next = staged.last().map_or(end, FeedPage::next_seq);
            match held.contains(place) {
                true => pages.push(page),
                false if page.first_seq() == next => staged.push(page),
                false => return Ok(Fate::Removed),
            }
            Ok(Fate::Kept)
        })?;
        let credentials = self.read_sealed::<StoredCredentials>(key, &credentials_key(member))?;
        let mut cards = CardRecords::default();
        pages.iter().for_each(|page| cards.take(page));
        let empty = CachedMember::empty(member, mark);
        let feed = match &cursor {
            Some(cursor) => FeedState::from_store(cursor.head, &pages).map_err(|_| StoredError::Parts)?,
            None => empty.feed,
        };
        Ok(CachedMember {
            feed,
            cards,
            credentials: credentials.map(|held| held.credentials).unwrap_or_default(),
            staged: StagedPages::of_cache(staged),
            generation: cursor.map(|cursor| cursor.generation),
            last_page: pages.into_iter().next_back(),
        })
    }

    /// All pages of a member, and the signed head over them; `None` when there are none.
    pub(crate) fn pages(&self, member: MemberId, key: &SealKey) -> Result<Option<HeldPages>, StoredError> {
        let Some(cursor) = self.read_sealed::<StoredCursor>(key, &cursor_key(member))? else {
            return Ok(None);
        };
        let mut pages = Vec::new();
        let counted = counted(member, &cursor);
        self.sweep(member, |place, sealed| {
            if counted.contains(place) {
                let stored: StoredPage = codec::decode(&key.open(place, sealed)?)?;
                pages.push(stored.page);
            }
            Ok(Fate::Kept)
        })?;
        Ok(Some(HeldPages { pages, signed_head: cursor.signed_head }))
    }

    /// Visits the pages of a member one by one, from any thread, and writes nothing; what a sync changes meanwhile makes it
    /// begin again. `visit` is given the end of the feed, beyond which records do not count yet.
    pub(crate) fn read_pages<T>(
        &self,
        member: MemberId,
        key: &SealKey,
        begin: impl Fn() -> T,
        mut visit: impl FnMut(&mut T, &FeedPage, Seq),
    ) -> Result<T, StoredError> {
        for _ in 0..READS_MAX {
            let mut read = begin();
            let Some(cursor) = self.read_sealed::<StoredCursor>(key, &cursor_key(member))? else {
                return Ok(read);
            };
            let (prefix, end) = (page_prefix(member, cursor.generation), Seq(cursor.head.extent.size));
            let (mut after, mut next): (Option<Vec<u8>>, Seq) = (None, Seq(0));
            loop {
                let found = self.store.scan(&prefix, after.as_deref(), PAGES_PER_READ)?;
                for (place, sealed) in &found {
                    let stored: StoredPage = codec::decode(&key.open(place, sealed)?)?;
                    if stored.page.first_seq() == next && next < end {
                        visit(&mut read, &stored.page, end);
                        next = stored.page.next_seq();
                    }
                }
                match found.into_iter().next_back() {
                    Some((place, _)) if next < end => after = Some(place),
                    _ => break,
                }
            }
            if next >= end {
                return Ok(read);
            }
        }
        Err(StoredError::Parts)
    }

    /// Keeps new records and the cursor over them. What is returned stands in the store when this returns.
    pub(crate) fn commit_update(
        &self,
        key: &SealKey,
        held: &CachedMember,
        update: &MemberUpdate,
    ) -> Result<CachedMember, StoredError> {
        let mut next = CachedMember { feed: update.feed.clone(), ..held.clone() };
        let generation = held.generation_ahead();
        if held.feed.next_seq() == Seq(0) {
            next.generation = Some(generation);
            next.cards = CardRecords::default();
            next.last_page = None;
        }
        let kept = next.staged.kept_of(&update.pages);
        self.remove_pages(update.member, generation, next.staged.stale())?;
        let (joined, runs) = match kept {
            0 => join(next.last_page.as_ref(), &update.pages),
            // Those that stand there already are pages of their own.
            _ => (None, update.pages.get(kept..).unwrap_or_default()),
        };
        let (early, last) = runs.split_at(runs.len().saturating_sub(PAGES_PER_BATCH));
        for pages in early.chunks(PAGES_PER_BATCH) {
            let mut batch = Batch::new();
            self.put_pages(&mut batch, key, update.member, generation, pages)?;
            self.store.commit(batch)?;
        }
        let mut batch = Batch::new();
        self.put_pages(&mut batch, key, update.member, generation, last)?;
        // A page that was there already changes only together with the cursor.
        self.put_pages(&mut batch, key, update.member, generation, joined.as_slice())?;
        let cursor = StoredCursor {
            generation,
            head: *update.head.claims(),
            signed_head: update.head.bytes().to_vec(),
        };
        self.put_sealed(&mut batch, key, &cursor_key(update.member), &cursor)?;
        self.store.commit(batch)?;
        update.pages.iter().for_each(|page| next.cards.take(page));
        let last = if kept == 0 { runs.last() } else { update.pages.last() };
        next.last_page = last.cloned().or(joined).or(next.last_page);
        next.staged = StagedPages::default();
        if next.generation != held.generation {
            let counted = counted(update.member, &cursor);
            self.sweep(update.member, |place, _| Ok(Fate::kept_if(counted.contains(place))))?;
        }
        Ok(next)
    }

    /// Keeps staged pages where they will stand when a head speaks for them.
    pub(crate) fn keep_staged(
        &self,
        member: MemberId,
        key: &SealKey,
        held: &CachedMember,
    ) -> Result<(), StoredError> {
        let generation = held.generation_ahead();
        self.remove_pages(member, generation, held.staged.stale())?;
        for pages in held.staged.unkept().chunks(PAGES_PER_BATCH) {
            let mut batch = Batch::new();
            self.put_pages(&mut batch, key, member, generation, pages)?;
            self.store.commit(batch)?;
        }
        Ok(())
    }

    /// Keeps the credentials of a member in place of those before.
    pub(crate) fn keep_credentials(
        &self,
        member: MemberId,
        key: &SealKey,
        credentials: Vec<Vec<u8>>,
    ) -> Result<(), StoredError> {
        let mut batch = Batch::new();
        let held = StoredCredentials { credentials };
        self.put_sealed(&mut batch, key, &credentials_key(member), &held)?;
        Ok(self.store.commit(batch)?)
    }

    /// Removes everything of a member. The cursor goes last: while it is there, what is left is found.
    pub(crate) fn remove_member(&self, member: MemberId) -> Result<(), StoredError> {
        self.sweep(member, |_, _| Ok(Fate::Removed))?;
        let mut batch = Batch::new();
        batch.delete(&cursor_key(member))?;
        batch.delete(&credentials_key(member))?;
        Ok(self.store.commit(batch)?)
    }

    /// Removes what is cached of members that this phone no longer holds.
    pub(crate) fn remove_others(&self, held: &[MemberId]) -> Result<(), StoredError> {
        for tag in [CURSOR_TAG, CREDENTIALS_TAG, PAGE_TAG] {
            let mut after: Option<Vec<u8>> = None;
            while let Some((key, _)) = self.store.scan(&[tag], after.as_deref(), 1)?.pop() {
                let id = key.get(1..17).and_then(|id| id.try_into().ok()).map(MemberId);
                let id = id.ok_or(StoredError::Parts)?;
                if !held.contains(&id) {
                    self.remove_member(id)?;
                }
                // Past every key of this member.
                after = Some([&[tag], id.0.as_slice(), &[0xff; 13]].concat());
            }
        }
        Ok(())
    }

    /// How the last syncs went.
    pub(crate) fn progress(&self) -> Result<StoredProgress, StoredError> {
        Ok(read(self.store.as_ref(), PROGRESS_KEY)?.unwrap_or_default())
    }

    /// Keeps how a sync went.
    pub(crate) fn keep_progress(&self, progress: &StoredProgress) -> Result<(), StoredError> {
        let mut batch = Batch::new();
        put(&mut batch, PROGRESS_KEY, progress)?;
        Ok(self.store.commit(batch)?)
    }

    /// Visits all pages of a member in order, and removes those that are not to stay.
    fn sweep(
        &self,
        member: MemberId,
        mut visit: impl FnMut(&Vec<u8>, &[u8]) -> Result<Fate, StoredError>,
    ) -> Result<(), StoredError> {
        let prefix = [&[PAGE_TAG], member.0.as_slice()].concat();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = self.store.scan(&prefix, after.as_deref(), PAGES_PER_BATCH)?;
            let mut batch = Batch::new();
            for (place, sealed) in &found {
                if visit(place, sealed)? == Fate::Removed {
                    batch.delete(place)?;
                }
            }
            if !batch.is_empty() {
                self.store.commit(batch)?;
            }
            match found.into_iter().next_back() {
                Some((place, _)) => after = Some(place),
                None => return Ok(()),
            }
        }
    }

    fn remove_pages(&self, member: MemberId, generation: u32, places: &[Seq]) -> Result<(), StoredError> {
        for places in places.chunks(PAGES_PER_BATCH) {
            let mut batch = Batch::new();
            for first in places {
                batch.delete(&page_key(member, generation, *first))?;
            }
            self.store.commit(batch)?;
        }
        Ok(())
    }

    fn put_pages(
        &self,
        batch: &mut Batch,
        key: &SealKey,
        member: MemberId,
        generation: u32,
        pages: &[FeedPage],
    ) -> Result<(), StoredError> {
        for page in pages {
            let place = page_key(member, generation, page.first_seq());
            self.put_sealed(batch, key, &place, &StoredPage { page: page.clone() })?;
        }
        Ok(())
    }

    fn read_sealed<T: codec::Schema>(&self, key: &SealKey, place: &[u8]) -> Result<Option<T>, StoredError> {
        let Some(sealed) = self.store.get(place)? else { return Ok(None) };
        Ok(Some(codec::decode(&key.open(place, &sealed)?)?))
    }

    fn put_sealed<T: codec::Schema>(
        &self,
        batch: &mut Batch,
        key: &SealKey,
        place: &[u8],
        value: &T,
    ) -> Result<(), StoredError> {
        let sealed = self.vault.seal(key, place, &codec::encode(value)?);
        Ok(batch.put(place, &sealed)?)
    }
}

/// What becomes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Removed,
}

impl Fate {
    fn kept_if(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::Removed }
    }
}

/// Where the pages stand that the cursor speaks of.
fn counted(member: MemberId, cursor: &StoredCursor) -> Range<Vec<u8>> {
    let page = |seq| page_key(member, cursor.generation, seq);
    page(Seq(0))..page(cursor.head.next_seq())
}

/// The news of the open page joined to it where it fits, and the runs that are pages of their own.
fn join<'a>(last: Option<&FeedPage>, runs: &'a [FeedPage]) -> (Option<FeedPage>, &'a [FeedPage]) {
    if let (Some(last), Some((first, rest))) = (last, runs.split_first()) {
        let mut joined = last.clone();
        if joined.absorb(first).is_ok() {
            return (Some(joined), rest);
        }
    }
    (None, runs)
}

fn cursor_key(member: MemberId) -> Vec<u8> {
    [&[CURSOR_TAG], member.0.as_slice()].concat()
}

fn credentials_key(member: MemberId) -> Vec<u8> {
    [&[CREDENTIALS_TAG], member.0.as_slice()].concat()
}

fn page_prefix(member: MemberId, generation: u32) -> Vec<u8> {
    [&[PAGE_TAG], member.0.as_slice(), &generation.to_be_bytes()].concat()
}

fn page_key(member: MemberId, generation: u32, first_seq: Seq) -> Vec<u8> {
    [page_prefix(member, generation).as_slice(), &first_seq.0.to_be_bytes()].concat()
}

const PAGE_TAG: u8 = b'p';
const CURSOR_TAG: u8 = b'c';
const CREDENTIALS_TAG: u8 = b'd';
/// Pages in memory at a time while a feed is read for showing.
const PAGES_PER_READ: usize = 8;
/// How often a read begins again when a sync replaces the feed under it; each time takes a whole sync.
const READS_MAX: usize = 8;
/// Pages in one commit: at 16 kB each these are 2 MB. Few in unit tests, so that small feeds need several commits.
const PAGES_PER_BATCH: usize = if cfg!(test) { 4 } else { 128 };
const _: () = assert!(PAGES_PER_BATCH + 2 <= BATCH_KEYS_MAX);
