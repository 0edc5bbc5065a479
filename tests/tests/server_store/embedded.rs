//! What only the embedded store promises: groups that keep each commit whole, the disk, and closing after a failure.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll::Ready;
use std::time::Duration;

use bhyt_core::ids::MemberId;
use bhyt_core::limits::BATCH_KEYS_MAX;
use bhyt_platform::kv::{Batch, Kv, Pair, StoreError};
use bhyt_platform::memory_kv::MemoryKv;
use bhyt_server::store::embedded::{EmbeddedOptions, EmbeddedStore};
use bhyt_server::store::{Commit, DocKind, Expected, Outcome, Shard, Store, StoreFault};

use super::{KEPT, announce, append, apply, doc, docs, head, member, page, scan, set, together};

const OPTIONS: EmbeddedOptions = EmbeddedOptions { changes_kept: KEPT, cache_bytes: 1 << 20 };

pub(crate) fn over_memory() -> EmbeddedStore {
    EmbeddedStore::over(MemoryKv::new(), OPTIONS).unwrap()
}

pub(crate) fn on_disk(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(folder, OPTIONS).unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    let commit = Commit {
        docs: vec![set("a", Expected::Absent, b"1")],
        announce: vec![member(1)],
        ..append(member(1), None, head(1, 1, b"head"), &[page(0, 5)])
    };
    apply(&store, commit).await;
    apply(&store, announce(vec![member(1); 240])).await;
    drop(store);
    let store = on_disk(folder.path());
    assert_eq!(doc(&store, "a").await, Some((1, b"1".to_vec())));
    assert_eq!(store.head(member(1)).await.unwrap(), Some(head(1, 1, b"head")));
    assert_eq!(store.read(member(1), 0, 9).await.unwrap(), [page(0, 5)]);
    // Numbers go on where they were, and so does trimming.
    apply(&store, announce([member(2)])).await;
    let shard = Shard::of(member(1));
    assert_eq!(store.tail_end(shard).await.unwrap(), 242);
    let told = store.tail(shard, 0, 1_000).await.unwrap();
    assert_eq!((told[0].number, told.len()), (129, 114));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_changes_go_when_none_of_them_is_kept() {
    let disk = Disk::new();
    let store = EmbeddedStore::over(disk.clone(), OPTIONS).unwrap();
    for _ in 0..600 {
        apply(&store, announce([member(1), MemberId([8; 16])])).await;
    }
    let tail = async |store: &EmbeddedStore| store.tail(Shard(8), 0, 1_000).await.unwrap();
    let (told, records) = (tail(&store).await, disk.inner.scan(b"c", None, 1_000).unwrap().len());
    // A trimming step, and as many as wait to be removed together.
    assert!((told.len()..told.len() + 128 + 64).contains(&records), "{records} records");
    drop(store);
    let store = EmbeddedStore::over(disk, OPTIONS).unwrap();
    assert_eq!(tail(&store).await, told);
    assert_eq!(store.tail_end(Shard(8)).await.unwrap(), 600);
}

#[tokio::test]
async fn a_store_in_use_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let _open = on_disk(folder.path());
    let fault = EmbeddedStore::open(folder.path(), OPTIONS).unwrap_err();
    let StoreFault::Embedded(cause) = fault else { panic!("{fault}") };
    assert!(matches!(*cause, StoreError::InUse { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_commits_share_batches_of_bounded_size_and_stay_whole() {
    let disk = Disk::new();
    let store = EmbeddedStore::over(disk.clone(), OPTIONS).unwrap();
    let wide = |name: &'static str, count: usize| {
        docs((0..count).map(move |id| set(&format!("{name}{id}"), Expected::Absent, b"")))
    };
    // 100 keys each: two fit a batch. The one that loses takes none, and the small one rides along.
    let commits = vec![
        wide("a", 100),
        wide("b", 100),
        Commit { docs: vec![set("b99", Expected::Absent, b""), set("z", Expected::Any, b"")], ..wide("", 0) },
        wide("c", 100),
        wide("d", 100),
        wide("e", 9),
    ];
    let outcomes = Mutex::new(vec![None; commits.len()]);
    let rest = commits.into_iter().enumerate().map(|(at, commit)| {
        let (store, outcomes) = (&store, &outcomes);
        async move {
            let outcome = store.commit(commit).await.unwrap();
            outcomes.lock().unwrap()[at] = Some(outcome);
        }
    });
    let first = apply(&store, wide("first", 1));
    disk.held(first, together(rest)).await;
    let applied = outcomes.into_inner().unwrap();
    let expected: Vec<_> = [1, 1, 0, 1, 1, 1]
        .map(|applied| Some(if applied == 1 { Outcome::Applied } else { Outcome::Lost }))
        .into();
    assert_eq!(applied, expected);
    assert_eq!(disk.batches(), [1, 200, 209]);
    assert!(disk.batches().into_iter().all(|keys| keys <= BATCH_KEYS_MAX));
    assert_eq!(scan(&store, DocKind::Terminal, None, 1_000).await.len(), 410);
    assert_eq!(doc(&store, "z").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_commit_everybody_is_told_and_nothing_is_answered() {
    let disk = Disk::new();
    let store = EmbeddedStore::over(disk.clone(), OPTIONS).unwrap();
    apply(&store, docs([set("a", Expected::Absent, b"1")])).await;
    disk.fails.store(true, Ordering::SeqCst);
    let attempt = |writer: u64| {
        let store = &store;
        async move {
            let id = format!("{writer}");
            let fault = store.commit(docs([set(&id, Expected::Absent, b"")])).await.unwrap_err();
            assert!(matches!(fault, StoreFault::Embedded(_) | StoreFault::Closed), "{fault}");
        }
    };
    together((0..20).map(attempt)).await;
    disk.fails.store(false, Ordering::SeqCst);
    let fault = store.commit(Commit::default()).await.unwrap_err();
    assert!(matches!(fault, StoreFault::Closed));
    assert!(matches!(store.head(member(1)).await, Err(StoreFault::Closed)));
    assert!(matches!(store.read(member(1), 0, 1).await, Err(StoreFault::Closed)));
    assert!(matches!(store.doc_scan(DocKind::Terminal, None, 9).await, Err(StoreFault::Closed)));
    assert!(matches!(store.tail(Shard(7), 0, 1).await, Err(StoreFault::Closed)));
    assert!(matches!(store.tail_end(Shard(7)).await, Err(StoreFault::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_a_store_closes_is_told_too() {
    // A commit that is handed over while the writer gives up: the window is narrow, hence the number.
    for _ in 0..2_000 {
        let disk = Disk::new();
        disk.fails.store(true, Ordering::SeqCst);
        let store = Arc::new(EmbeddedStore::over(disk, OPTIONS).unwrap());
        let commit = |writer: u64| {
            let store = Arc::clone(&store);
            let id = writer.to_string();
            tokio::spawn(async move { store.commit(docs([set(&id, Expected::Absent, b"")])).await })
        };
        for task in (0..8).map(commit).collect::<Vec<_>>() {
            let answer = tokio::time::timeout(PATIENCE, task).await.expect("an answer");
            answer.unwrap().unwrap_err();
        }
    }
}

/// How long one thread waits for another before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A disk that counts batches, can be held in the first of them, and can fail.
#[derive(Clone, Debug)]
struct Disk {
    inner: Arc<MemoryKv>,
    batches: Arc<Mutex<Vec<usize>>>,
    held: Arc<Mutex<Option<Hold>>>,
    fails: Arc<AtomicBool>,
}

/// Tells that the batch is there, and is told that it may go on.
type Hold = (mpsc::Sender<()>, mpsc::Receiver<()>);

impl Disk {
    fn new() -> Self {
        Self { inner: Arc::default(), batches: Arc::default(), held: Arc::default(), fails: Arc::default() }
    }

    fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }

    /// Holds the batch of `first` until everything of `rest` waits for the writer, then lets go.
    async fn held(&self, first: impl Future<Output = ()>, rest: impl Future<Output = ()>) {
        let (entered, entry) = mpsc::channel();
        let (release, held) = mpsc::channel();
        *self.held.lock().unwrap() = Some((entered, held));
        let (mut first, mut rest) = (Box::pin(first), Box::pin(rest));
        // One poll hands a commit to the writer.
        assert!(std::future::poll_fn(|c| Ready(first.as_mut().poll(c).is_pending())).await);
        entry.recv_timeout(PATIENCE).expect("the first batch reaches the disk");
        assert!(std::future::poll_fn(|c| Ready(rest.as_mut().poll(c).is_pending())).await);
        release.send(()).unwrap();
        first.await;
        rest.await;
    }
}

impl Kv for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(prefix, after, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let held = self.held.lock().unwrap().take();
        if let Some((entered, held)) = held {
            entered.send(()).unwrap();
            held.recv_timeout(PATIENCE).expect("the batch is let go");
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Closed { path: "disk".into() });
        }
        self.batches.lock().unwrap().push(batch.len());
        self.inner.commit(batch)
    }
}
