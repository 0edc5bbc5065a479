//! A memory store that outlives its service, as a disk does, and in which a write can be made to fail or to wait.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bhyt_core::ids::MemberId;
use bhyt_server::store::memory::MemoryStore;
use bhyt_server::store::{
    Change, Commit, Doc, DocKey, DocKind, Outcome, Shard, Store, StoreCopy, StoreFault, StoredHead,
    StoredPage,
};
use tokio::sync::oneshot::{self, Receiver, Sender};

#[derive(Clone, Debug, Default)]
pub(crate) struct SharedStore {
    inner: Arc<MemoryStore>,
    /// Writes until one fails.
    failing: Arc<AtomicU32>,
    /// Turns that the next commit lets pass.
    waiting: Arc<AtomicU32>,
    /// What holds a commit until it is released.
    gate: Arc<Mutex<Option<Gate>>>,
}

#[derive(Debug)]
struct Gate {
    holds: fn(&Commit) -> bool,
    reached: Sender<()>,
    opened: Receiver<()>,
}

/// A commit that is to wait.
pub(crate) struct Held {
    reached: Receiver<()>,
    open: Sender<()>,
}

impl Held {
    /// Returns once the commit is there and waits.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    pub(crate) fn release(self) {
        self.open.send(()).unwrap();
    }
}

impl SharedStore {
    /// The `n`th write from now on fails, and all after it, until this is called again; 0 is never.
    pub(crate) fn fail_in(&self, n: u32) {
        self.failing.store(n, Ordering::SeqCst);
    }

    /// The next commit lets others have this many turns first.
    pub(crate) fn hold_up(&self, turns: u32) {
        self.waiting.store(turns, Ordering::SeqCst);
    }

    /// The next commit of this kind waits until it is released; others overtake it.
    pub(crate) fn hold_next(&self, holds: fn(&Commit) -> bool) -> Held {
        let (reached, is_reached) = oneshot::channel();
        let (open, opened) = oneshot::channel();
        *self.gate.lock().unwrap() = Some(Gate { holds, reached, opened });
        Held { reached: is_reached, open }
    }

    async fn wait(&self, commit: &Commit) {
        let gate = self.gate.lock().unwrap().take_if(|gate| (gate.holds)(commit));
        if let Some(gate) = gate {
            gate.reached.send(()).unwrap();
            gate.opened.await.unwrap();
        }
    }

    fn write(&self) -> Result<(), StoreFault> {
        match self.failing.load(Ordering::SeqCst) {
            0 => Ok(()),
            1 => Err(StoreFault::Closed),
            left => {
                self.failing.store(left - 1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

impl SharedStore {
    /// As a backup: what is here now, and nothing that comes after.
    pub(crate) fn deep_copy(&self) -> Self {
        Self { inner: Arc::new(self.inner.as_ref().clone()), ..Self::default() }
    }
}

impl Store for SharedStore {
    async fn head(&self, member: MemberId) -> Result<Option<StoredHead>, StoreFault> {
        self.inner.head(member).await
    }

    async fn read(
        &self,
        member: MemberId,
        from: u32,
        pages_max: usize,
    ) -> Result<Vec<StoredPage>, StoreFault> {
        self.inner.read(member, from, pages_max).await
    }

    async fn doc_get(&self, key: &DocKey) -> Result<Option<Doc>, StoreFault> {
        self.inner.doc_get(key).await
    }

    async fn doc_scan(
        &self,
        kind: DocKind,
        after: Option<Vec<u8>>,
        docs_max: usize,
    ) -> Result<Vec<(DocKey, Doc)>, StoreFault> {
        self.inner.doc_scan(kind, after, docs_max).await
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreFault> {
        // As with a disk, others get on meanwhile: who staged at the same time races for the same revisions.
        for _ in 0..=self.waiting.swap(0, Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        self.wait(&commit).await;
        self.write()?;
        self.inner.commit(commit).await
    }

    async fn erase(&self, member: MemberId) -> Result<(), StoreFault> {
        self.write()?;
        self.inner.erase(member).await
    }

    async fn tail(&self, shard: Shard, after: u64, changes_max: usize) -> Result<Vec<Change>, StoreFault> {
        self.inner.tail(shard, after, changes_max).await
    }

    async fn tail_end(&self, shard: Shard) -> Result<u64, StoreFault> {
        self.inner.tail_end(shard).await
    }

    async fn copy(&self) -> Result<StoreCopy, StoreFault> {
        self.inner.copy().await
    }
}
