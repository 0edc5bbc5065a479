//! The embedded store: the whole server's data in one [`Kv`], one thread that writes, readers beside it.
//!
//! Promises: a commit is durable when it is acknowledged, and atomic even where it shared a batch with others; after a
//! failed commit the store is closed, and every call says so. Refuses nothing that the trait does not refuse.
//!
//! Reads run on the caller's thread: they take 2 to 100 µs, about what the way to the blocking pool and back would
//! cost. Scans of documents, which may be long, take that way.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bhyt_core::ids::MemberId;
use bhyt_platform::kv::Kv;
use bhyt_platform::sled_kv::{SledKv, SledOptions};
use bhyt_platform::store_folder::StoreKind;
use tokio::sync::{mpsc, oneshot};

use super::changes::ChangeIndex;
use super::layout;
use super::member_rows::MemberRows;
use super::view::View;
use super::writer::{Request, Writer};
use super::{
    CHANGES_KEPT, Change, Commit, Doc, DocKey, DocKind, Outcome, Shard, Store, StoreCopy, StoreFault,
    StoredHead, StoredPage,
};

/// A store in a [`Kv`] of its own. Dropping it waits for the batch that is under way, and closes it.
#[derive(Debug)]
pub struct EmbeddedStore {
    view: Arc<View>,
    changes: Arc<ChangeIndex>,
    /// `None` only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// What a host may choose about the embedded store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Changes kept for each shard, give or take a trimming step. Default [`CHANGES_KEPT`].
    pub changes_kept: u64,
    /// Bytes of pages held in memory; two to three times as much will be in use. Default 64 MiB.
    pub cache_bytes: u64,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { changes_kept: CHANGES_KEPT, cache_bytes: 64 * 1024 * 1024 }
    }
}

impl EmbeddedStore {
    /// Opens the store in `folder`, or makes it.
    pub fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, StoreFault> {
        let sled = SledOptions { cache_bytes: options.cache_bytes };
        Self::over(SledKv::open(folder, StoreKind::Server, sled)?, options)
    }

    /// The pairs of the store in `folder`, to fill a new one from a copy: nobody else has it open meanwhile.
    pub fn open_pairs(folder: &Path, options: EmbeddedOptions) -> Result<impl Kv, StoreFault> {
        let sled = SledOptions { cache_bytes: options.cache_bytes };
        Ok(MemberRows::new(SledKv::open(folder, StoreKind::Server, sled)?))
    }

    /// A store over a [`Kv`] that nobody else writes to.
    pub fn over(kv: impl Kv, options: EmbeddedOptions) -> Result<Self, StoreFault> {
        let view = Arc::new(View::new(MemberRows::new(kv)));
        let changes = Arc::new(ChangeIndex::load(&view, options.changes_kept)?);
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let writer = Writer::new(Arc::clone(&view), Arc::clone(&changes), waiting);
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreFault::NoWriter(Arc::new(error)))?;
        Ok(Self { view, changes, requests: Some(requests), writer: Some(writer) })
    }
}

impl EmbeddedStore {
    /// Has the writer write, and waits until it has.
    async fn write(
        &self,
        commit: Commit,
        removals: Vec<Vec<u8>>,
        keys: usize,
    ) -> Result<Outcome, StoreFault> {
        let (answer, answered) = oneshot::channel();
        let request = Request { commit, removals, keys, answer };
        let requests = self.requests.as_ref().ok_or(StoreFault::Closed)?;
        let sent = requests.send(request).await;
        sent.map_err(|_| StoreFault::Closed)?;
        answered.await.unwrap_or(Err(StoreFault::Closed))
    }
}

impl Store for EmbeddedStore {
    async fn head(&self, member: MemberId) -> Result<Option<StoredHead>, StoreFault> {
        let stored = self.view.get(&layout::head_key(member))?;
        stored.as_deref().map(layout::decode_head).transpose()
    }

    async fn read(
        &self,
        member: MemberId,
        from: u32,
        pages_max: usize,
    ) -> Result<Vec<StoredPage>, StoreFault> {
        let after = from.checked_sub(1).map(|last| layout::page_key(member, last));
        let prefix = layout::page_prefix(member);
        let pairs = self.view.scan(&prefix, after.as_deref(), pages_max)?;
        pairs.iter().map(|(key, stored)| layout::decode_page(key, stored)).collect()
    }

    async fn doc_get(&self, key: &DocKey) -> Result<Option<Doc>, StoreFault> {
        let stored = self.view.get(&layout::doc_key(key))?;
        stored.as_deref().map(layout::decode_doc).transpose()
    }

    async fn doc_scan(
        &self,
        kind: DocKind,
        after: Option<Vec<u8>>,
        docs_max: usize,
    ) -> Result<Vec<(DocKey, Doc)>, StoreFault> {
        let view = Arc::clone(&self.view);
        tokio::task::spawn_blocking(move || scan_docs(&view, kind, after, docs_max))
            .await
            // The runtime is going down and runs no more tasks.
            .unwrap_or(Err(StoreFault::Closed))
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreFault> {
        let keys = commit.checked_keys()?;
        self.write(commit, Vec::new(), keys).await
    }

    async fn erase(&self, member: MemberId) -> Result<(), StoreFault> {
        let prefix = layout::member_prefix(member);
        loop {
            let pairs = self.view.scan(&prefix, None, ERASE_STEP)?;
            if pairs.is_empty() {
                return Ok(());
            }
            let removals: Vec<_> = pairs.into_iter().map(|(key, _)| key).collect();
            let keys = removals.len();
            let _ = self.write(Commit::default(), removals, keys).await?;
        }
    }

    async fn tail(&self, shard: Shard, after: u64, changes_max: usize) -> Result<Vec<Change>, StoreFault> {
        self.view.check_open()?;
        Ok(self.changes.tail(shard, after, changes_max))
    }

    async fn tail_end(&self, shard: Shard) -> Result<u64, StoreFault> {
        self.view.check_open()?;
        Ok(self.changes.newest(shard))
    }

    async fn copy(&self) -> Result<StoreCopy, StoreFault> {
        Ok(StoreCopy::new(self.view.copy()?))
    }

    async fn closed(&self) -> StoreFault {
        if let Some(requests) = &self.requests {
            requests.closed().await;
        }
        self.view.failure().unwrap_or(StoreFault::Closed)
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has closed the view on its way; there is nothing left to do about it here.
            let _ = writer.join();
        }
    }
}

/// In steps, so that a long scan does not hold up the writer, and readers behind it.
fn scan_docs(
    view: &View,
    kind: DocKind,
    after: Option<Vec<u8>>,
    docs_max: usize,
) -> Result<Vec<(DocKey, Doc)>, StoreFault> {
    let prefix = layout::doc_prefix(kind);
    let mut after = after.map(|id| layout::doc_key(&DocKey::new(kind, id)));
    let mut docs = Vec::new();
    while docs.len() < docs_max {
        let max = SCAN_STEP.min(docs_max - docs.len());
        let pairs = view.scan(&prefix, after.as_deref(), max)?;
        let complete = pairs.len() < max;
        for (key, stored) in pairs {
            if let Some(id) = layout::doc_id(kind, &key) {
                docs.push((DocKey::new(kind, id), layout::decode_doc(&stored)?));
            }
            after = Some(key);
        }
        if complete {
            break;
        }
    }
    Ok(docs)
}

/// Keys of a member that are removed in one batch.
const ERASE_STEP: usize = 128;
/// Commits that may wait for the writer; further callers wait to join them.
const WAITING_MAX: usize = 1_024;
/// Documents scanned at a time.
const SCAN_STEP: usize = 256;
