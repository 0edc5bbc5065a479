//! The store as it is on the disk: reads that never see a batch that is still on its way there.
//!
//! The engine shows a batch a moment before it is durable. A head that was read in that moment, sent to a phone and lost
//! with the power would leave the phone with a longer signed feed than the server has. So while batches are under way the
//! view remembers what their keys held before, and answers from that; readers wait for no disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bhyt_platform::kv::{Batch, Kv, Pair};

use super::StoreFault;
use super::copy::{CopiedWrite, CopySource, Recording};

/// Keys with their values, or `None` where there is none.
pub(super) type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What is durable in a [`Kv`]. One thread writes, any number read.
#[derive(Debug)]
pub(super) struct View {
    kv: Box<dyn Kv>,
    /// What the keys of the batches that are under way held before them.
    before: RwLock<Values>,
    closed: AtomicBool,
    /// The commit that failed.
    failure: OnceLock<StoreFault>,
    /// What a copy that is under way has yet to take. Locked after `before` where both are.
    recording: Mutex<Option<Recording>>,
}

impl View {
    pub(super) fn new(kv: impl Kv) -> Self {
        Self {
            kv: Box::new(kv),
            before: RwLock::default(),
            closed: AtomicBool::new(false),
            failure: OnceLock::new(),
            recording: Mutex::default(),
        }
    }

    /// The durable value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFault> {
        // Held while the engine is asked, so that no batch begins between the two looks.
        let before = self.readable()?;
        match before.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.kv.get(key)?),
        }
    }

    /// Durable pairs, as [`Kv::scan`] finds them.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<Vec<Pair>, StoreFault> {
        let before = self.readable()?;
        let hidden = || {
            before
                .range(prefix.to_vec()..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after))
        };
        let count = hidden().count();
        if count == 0 {
            return Ok(self.kv.scan(prefix, after, max)?);
        }
        // As many more as may be hidden, so that `max` of them are left when there are that many.
        let now = self.kv.scan(prefix, after, max.saturating_add(count))?;
        let mut pairs: BTreeMap<_, _> =
            now.into_iter().filter(|(key, _)| !before.contains_key(key)).collect();
        for (key, value) in hidden() {
            pairs.extend(value.clone().map(|value| (key.clone(), value)));
        }
        Ok(pairs.into_iter().take(max).collect())
    }

    /// Applies batches; durable, and seen by readers, when this returns. `before` holds what each of their keys held. After
    /// an error the view is closed.
    pub(super) fn commit(&self, batches: Vec<Batch>, before: Values) -> Result<(), StoreFault> {
        *self.write() = before;
        let result = self.kv.commit_all(batches).map_err(StoreFault::from);
        if let Err(fault) = &result {
            // Only the first counts: after it nothing is committed.
            let _ = self.failure.set(fault.clone());
            self.close();
        }
        let mut before = self.write();
        if let Some(recording) = self.recording().as_mut() {
            recording.push(self.values_now(before.keys()));
        }
        before.clear();
        result
    }

    /// Begins a copy of everything.
    pub(super) fn copy(self: &Arc<Self>) -> Result<ViewCopy, StoreFault> {
        let mut recording = self.recording();
        if recording.is_some() {
            return Err(StoreFault::CopyUnderWay);
        }
        *recording = Some(Recording::default());
        Ok(ViewCopy { view: Arc::clone(self), after: None, walked: false, ended: false })
    }

    /// Refuses every call from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Why the view closed, if a commit failed.
    pub(super) fn failure(&self) -> Option<StoreFault> {
        self.failure.get().cloned()
    }

    /// Refuses when the view is closed.
    pub(super) fn check_open(&self) -> Result<(), StoreFault> {
        self.readable().map(drop)
    }

    /// The oldest commit that a copy has yet to take. When there is none and this was the `last` look, nothing is recorded
    /// from the same moment on.
    fn recorded(&self, last: bool) -> Result<Option<Vec<CopiedWrite>>, StoreFault> {
        let mut recording = self.recording();
        let commit = recording.as_mut().map_or(Ok(None), Recording::pop)?;
        if last && commit.is_none() {
            *recording = None;
        }
        Ok(commit)
    }

    fn recording(&self) -> MutexGuard<'_, Option<Recording>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn values_now<'k>(
        &self,
        keys: impl Iterator<Item = &'k Vec<u8>>,
    ) -> Result<Vec<CopiedWrite>, StoreFault> {
        keys.map(|key| Ok((key.clone(), self.kv.get(key)?))).collect()
    }

    fn readable(&self) -> Result<RwLockReadGuard<'_, Values>, StoreFault> {
        let before = self.before.read().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock: a failed commit closes the view before it stops hiding what it wrote.
        if self.closed.load(Ordering::SeqCst) {
            return Err(StoreFault::Closed);
        }
        Ok(before)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Values> {
        self.before.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of a view; see [`StoreCopy`](super::StoreCopy).
#[derive(Debug)]
pub(super) struct ViewCopy {
    view: Arc<View>,
    /// The last key that the walk has seen.
    after: Option<Vec<u8>>,
    walked: bool,
    /// Nothing is recorded for it any more, perhaps for another.
    ended: bool,
}

impl CopySource for ViewCopy {
    fn next(&mut self) -> Result<Option<Vec<CopiedWrite>>, StoreFault> {
        loop {
            // What was committed before this look comes before the step that follows, and the rest after it.
            if let Some(commit) = self.view.recorded(self.walked)? {
                return Ok(Some(commit));
            }
            if self.walked {
                self.ended = true;
                return Ok(None);
            }
            let pairs = self.view.scan(b"", self.after.as_deref(), COPY_STEP)?;
            self.walked = pairs.len() < COPY_STEP;
            if let Some((last, _)) = pairs.last() {
                self.after = Some(last.clone());
                return Ok(Some(pairs.into_iter().map(|(key, value)| (key, Some(value))).collect()));
            }
        }
    }
}

impl Drop for ViewCopy {
    fn drop(&mut self) {
        if !self.ended {
            *self.view.recording() = None;
        }
    }
}

/// Pairs that a copy reads at a time: a megabyte at most.
const COPY_STEP: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_platform::kv::StoreError;
    use bhyt_platform::memory_kv::MemoryKv;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::{Arc, Barrier};

    /// Applies a batch at once and then waits, as a slow disk would, or fails.
    #[derive(Debug)]
    struct SlowKv {
        inner: MemoryKv,
        sync: Arc<OnceLock<[Barrier; 2]>>,
        fails: bool,
    }

    impl Kv for SlowKv {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.inner.get(key)
        }

        fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
            self.inner.scan(prefix, after, max)
        }

        fn commit(&self, batch: Batch) -> Result<(), StoreError> {
            self.inner.commit(batch)?;
            for barrier in self.sync.get().into_iter().flatten() {
                barrier.wait();
            }
            match self.fails && self.sync.get().is_some() {
                true => Err(StoreError::Foreign { path: "".into() }),
                false => Ok(()),
            }
        }
    }

    fn put(view: &View, pairs: &[(&[u8], Option<&[u8]>)]) -> Result<(), StoreFault> {
        let (mut batch, mut before) = (Batch::new(), Values::new());
        for (key, value) in pairs {
            before.insert(key.to_vec(), view.get(key).unwrap());
            match value {
                Some(value) => batch.put(key, value).unwrap(),
                None => batch.delete(key).unwrap(),
            }
        }
        view.commit(vec![batch], before)
    }

    fn keys(view: &View, after: Option<&[u8]>, max: usize) -> Vec<u8> {
        let pairs = view.scan(b"k", after, max).unwrap();
        pairs.iter().map(|(key, _)| key[1]).collect()
    }

    /// A view of k1, k2, k3, k6 on which a batch is stuck that changes k1, removes k2 and adds k0, k4 and k5.
    fn stuck(fails: bool, look: impl FnOnce(&View)) -> View {
        let sync = Arc::new(OnceLock::new());
        let kv = SlowKv { inner: MemoryKv::new(), sync: Arc::clone(&sync), fails };
        let view = View::new(kv);
        put(&view, &[(b"k1", Some(b"a")), (b"k2", Some(b"b")), (b"k3", Some(b"c")), (b"k6", Some(b"d"))])
            .unwrap();
        let [begun, end] = sync.get_or_init(|| [Barrier::new(2), Barrier::new(2)]);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let new = Some(b"new".as_slice());
                put(&view, &[(b"k0", new), (b"k1", new), (b"k2", None), (b"k4", new), (b"k5", new)])
            });
            begun.wait();
            // The writer is let go whatever was seen, or a failed look would wait for it for ever.
            let looked = catch_unwind(AssertUnwindSafe(|| look(&view)));
            end.wait();
            looked.unwrap_or_else(|seen| resume_unwind(seen));
            assert_eq!(writer.join().unwrap().is_err(), fails);
        });
        view
    }

    #[test]
    fn a_batch_is_seen_when_it_is_durable_and_not_before() {
        let view = stuck(false, |view| {
            assert_eq!(view.get(b"k0").unwrap(), None);
            assert_eq!(view.get(b"k1").unwrap().as_deref(), Some(b"a".as_slice()));
            assert_eq!(view.get(b"k2").unwrap().as_deref(), Some(b"b".as_slice()));
            assert_eq!(keys(view, None, 9), b"1236");
            assert_eq!(keys(view, None, 2), b"12");
            assert_eq!(keys(view, Some(b"k1"), 1), b"2");
            // Two hidden keys stand before it in the engine.
            assert_eq!(keys(view, Some(b"k3"), 1), b"6");
            assert!(view.scan(b"k", None, 1).unwrap() == [(b"k1".to_vec(), b"a".to_vec())]);
        });
        assert_eq!(keys(&view, None, 9), b"013456");
        assert_eq!(view.get(b"k1").unwrap().as_deref(), Some(b"new".as_slice()));
    }

    #[test]
    fn nothing_is_read_after_a_failed_commit() {
        let view = stuck(true, |view| assert_eq!(keys(view, None, 9), b"1236"));
        assert!(matches!(view.get(b"k1"), Err(StoreFault::Closed)));
        assert!(matches!(view.scan(b"k", None, 9), Err(StoreFault::Closed)));
    }
}
