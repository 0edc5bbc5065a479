//! The server's store in memory: the oracle of the contract suite, and the store of simulations. Nothing survives it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bhyt_core::ids::MemberId;

use super::copy::{CopiedWrite, CopySource, StoreCopy};
use super::layout::{self, ChangeLog};
use super::{
    CHANGES_KEPT, Change, Commit, Doc, DocKey, DocKind, Outcome, Shard, Store, StoreFault, StoredHead,
    StoredPage,
};

/// Ordered maps behind a lock. Never fails, but for commits that break a bound.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    changes_kept: u64,
}

impl MemoryStore {
    /// An empty store that keeps `changes_kept` changes for each shard, give or take a trimming step.
    pub fn new(changes_kept: u64) -> Self {
        Self { state: Mutex::default(), changes_kept }
    }

    /// Never held across an await. A panic elsewhere cannot leave the maps half changed: nothing in a change panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryStore {
    /// What is here now, in a store of its own.
    fn clone(&self) -> Self {
        Self { state: Mutex::new(self.state().clone()), changes_kept: self.changes_kept }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(CHANGES_KEPT)
    }
}

impl Store for MemoryStore {
    async fn head(&self, member: MemberId) -> Result<Option<StoredHead>, StoreFault> {
        Ok(self.state().heads.get(&member).cloned())
    }

    async fn read(
        &self,
        member: MemberId,
        from: u32,
        pages_max: usize,
    ) -> Result<Vec<StoredPage>, StoreFault> {
        let state = self.state();
        let pages = state.pages.range((member, from)..=(member, u32::MAX));
        let pages = pages
            .take(pages_max)
            .map(|((_, number), bytes)| StoredPage { number: *number, bytes: bytes.clone() });
        Ok(pages.collect())
    }

    async fn doc_get(&self, key: &DocKey) -> Result<Option<Doc>, StoreFault> {
        Ok(self.state().docs.get(key).cloned())
    }

    async fn doc_scan(
        &self,
        kind: DocKind,
        after: Option<Vec<u8>>,
        docs_max: usize,
    ) -> Result<Vec<(DocKey, Doc)>, StoreFault> {
        let start = match after {
            Some(id) => Bound::Excluded(DocKey::new(kind, id)),
            None => Bound::Included(DocKey::new(kind, [])),
        };
        let state = self.state();
        let docs = state.docs.range((start, Bound::Unbounded));
        Ok(docs
            .take_while(|(key, _)| key.kind == kind)
            .take(docs_max)
            .map(|(key, doc)| (key.clone(), doc.clone()))
            .collect())
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreFault> {
        commit.checked_keys()?;
        let mut state = self.state();
        if !state.expects(&commit) {
            return Ok(Outcome::Lost);
        }
        state.apply(commit, self.changes_kept);
        Ok(Outcome::Applied)
    }

    async fn erase(&self, member: MemberId) -> Result<(), StoreFault> {
        let mut state = self.state();
        state.heads.remove(&member);
        state.pages.retain(|(held, _), _| *held != member);
        state.docs.retain(|key, _| !(key.kind.is_of_member() && key.id.starts_with(&member.0)));
        Ok(())
    }

    async fn tail(&self, shard: Shard, after: u64, changes_max: usize) -> Result<Vec<Change>, StoreFault> {
        let state = self.state();
        let start = Bound::Excluded((shard, after));
        let changes = state.changes.range((start, Bound::Included((shard, u64::MAX))));
        let changes = changes
            .take(changes_max)
            .map(|((_, number), member)| Change { number: *number, member: *member });
        Ok(changes.collect())
    }

    async fn tail_end(&self, shard: Shard) -> Result<u64, StoreFault> {
        let state = self.state();
        Ok(state.logs.get(&shard).copied().unwrap_or_default().newest)
    }

    async fn copy(&self) -> Result<StoreCopy, StoreFault> {
        Ok(StoreCopy::new(Once(Some(self.state().pairs()))))
    }
}

/// A copy made in one piece: the lock is held for as long as that takes.
struct Once(Option<Vec<CopiedWrite>>);

impl CopySource for Once {
    fn next(&mut self) -> Result<Option<Vec<CopiedWrite>>, StoreFault> {
        Ok(self.0.take())
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    heads: BTreeMap<MemberId, StoredHead>,
    pages: BTreeMap<(MemberId, u32), Vec<u8>>,
    docs: BTreeMap<DocKey, Doc>,
    changes: BTreeMap<(Shard, u64), MemberId>,
    logs: BTreeMap<Shard, ChangeLog>,
}

impl State {
    fn expects(&self, commit: &Commit) -> bool {
        let heads = commit.appends.iter().all(|append| {
            let stored = self.heads.get(&append.member);
            stored.map(|head| (head.epoch, head.size)) == append.expected
        });
        heads
            && commit.docs.iter().all(|write| {
                let stored = self.docs.get(&write.key);
                write.expected.is_met_by(stored.map(|doc| doc.revision))
            })
    }

    /// Everything but announced changes, which no follower asks for after a restart, as the embedded store would hold it.
    fn pairs(&self) -> Vec<CopiedWrite> {
        let heads =
            self.heads.iter().map(|(member, head)| (layout::head_key(*member), layout::encode_head(head)));
        let pages = self.pages.iter().map(|((member, number), bytes)| {
            let page = StoredPage { number: *number, bytes: bytes.clone() };
            (layout::page_key(*member, *number), layout::encode_page(&page))
        });
        let docs = self
            .docs
            .iter()
            .map(|(key, doc)| (layout::doc_key(key), layout::encode_doc(doc.revision, &doc.bytes)));
        let all = heads.chain(pages).chain(docs);
        all.map(|(key, value)| (key, Some(value))).collect()
    }

    fn apply(&mut self, commit: Commit, changes_kept: u64) {
        for append in commit.appends {
            for page in append.pages {
                self.pages.insert((append.member, page.number), page.bytes);
            }
            self.heads.insert(append.member, append.head);
        }
        for write in commit.docs {
            let revision = self.docs.get(&write.key).map_or(0, |doc| doc.revision) + 1;
            match write.bytes {
                Some(bytes) => self.docs.insert(write.key, Doc { revision, bytes }),
                None => self.docs.remove(&write.key),
            };
        }
        for member in commit.announce {
            let shard = Shard::of(member);
            let log = self.logs.entry(shard).or_default();
            log.newest += 1;
            self.changes.insert((shard, log.newest), member);
            while let Some(numbers) = log.trim(changes_kept) {
                for number in numbers {
                    self.changes.remove(&(shard, number));
                }
            }
        }
    }
}
