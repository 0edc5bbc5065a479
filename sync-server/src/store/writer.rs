//! The one thread that writes: it joins the commits that are waiting into one batch, and one wait for the disk.
//!
//! Each commit is judged against the store and what the group has taken so far, so that of two that expect the same the
//! first wins, whether they meet in one group or not. Nobody is answered before the group is durable: one that lost to a
//! commit that then failed has not lost to anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use bhyt_core::limits::BATCH_KEYS_MAX;
use bhyt_platform::kv::Batch;
use tokio::sync::{mpsc, oneshot};

use super::layout::{self, ChangeLog};
use super::view::{Values, View};
use super::{Append, Commit, DocWrite, Expected, Outcome, Shard, StoreFault, StoredHead};

/// A commit and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) commit: Commit,
    /// Keys it writes at most.
    pub(super) keys: usize,
    pub(super) answer: oneshot::Sender<Result<Outcome, StoreFault>>,
}

/// The writer; lives on its thread until the last sender is gone or a commit has failed.
#[derive(Debug)]
pub(super) struct Writer {
    view: Arc<View>,
    requests: mpsc::Receiver<Request>,
    logs: BTreeMap<Shard, ChangeLog>,
    changes_kept: u64,
}

impl Writer {
    pub(super) fn new(view: Arc<View>, requests: mpsc::Receiver<Request>, changes_kept: u64) -> Self {
        Self { view, requests, logs: BTreeMap::new(), changes_kept }
    }

    /// Writes until there is nobody left to write for, or a commit fails.
    pub(super) fn run(mut self) {
        let mut waiting = None;
        while let Some(first) = waiting.take().or_else(|| self.requests.blocking_recv()) {
            let (group, answers, left) = self.gather(first);
            waiting = left;
            let shards: Vec<Shard> = group.shards.iter().copied().collect();
            if let Err(fault) = self.view.commit_group(group) {
                for (answer, _) in answers {
                    let _ = answer.send(Err(fault.clone()));
                }
                return;
            }
            for (answer, outcome) in answers {
                // Nobody to tell: the caller was dropped, its commit stands.
                let _ = answer.send(outcome);
            }
            if shards.into_iter().any(|shard| self.trim(shard).is_err()) {
                return;
            }
        }
    }

    /// Judges commits while there are any waiting and the group has room; also the one that found no room.
    fn gather(&mut self, first: Request) -> (Group, Vec<Answer>, Option<Request>) {
        let (mut group, mut answers) = (Group::default(), Vec::new());
        let mut next = Some(first);
        while let Some(request) = next.take() {
            if group.after.len() + request.keys > BATCH_KEYS_MAX || answers.len() >= ANSWERS_MAX {
                return (group, answers, Some(request));
            }
            let outcome = self.judge(&mut group, request.commit);
            answers.push((request.answer, outcome));
            next = self.requests.try_recv().ok();
        }
        (group, answers, None)
    }

    /// Takes the commit into the group if everything it expects is so. A fault of reading leaves the group as it was.
    fn judge(&mut self, group: &mut Group, commit: Commit) -> Result<Outcome, StoreFault> {
        let mut writes = Values::new();
        for append in commit.appends {
            if !self.judge_append(group, append, &mut writes)? {
                return Ok(Outcome::Lost);
            }
        }
        for write in commit.docs {
            if !self.judge_doc(group, write, &mut writes)? {
                return Ok(Outcome::Lost);
            }
        }
        let mut logs = BTreeMap::new();
        for member in commit.announce {
            let shard = Shard::of(member);
            let log = match logs.get(&shard) {
                Some(log) => *log,
                None => self.log(shard)?,
            };
            let newest = log.newest + 1;
            logs.insert(shard, ChangeLog { newest, ..log });
            let key = layout::change_key(shard, newest);
            group.before.insert(key.clone(), None);
            writes.insert(key, Some(layout::encode_change(member)));
        }
        for (shard, log) in logs {
            let key = layout::change_log_key(shard);
            group.read(&self.view, &key)?;
            writes.insert(key, Some(layout::encode_change_log(log)));
            self.logs.insert(shard, log);
            group.shards.insert(shard);
        }
        group.after.extend(writes);
        Ok(Outcome::Applied)
    }

    fn judge_append(
        &self,
        group: &mut Group,
        append: Append,
        writes: &mut Values,
    ) -> Result<bool, StoreFault> {
        let key = layout::head_key(append.member);
        let stored = group.read(&self.view, &key)?;
        let stored = stored.map(layout::decode_head).transpose()?;
        if stored.map(|StoredHead { epoch, size, .. }| (epoch, size)) != append.expected {
            return Ok(false);
        }
        writes.insert(key, Some(layout::encode_head(&append.head)));
        for page in append.pages {
            let key = layout::page_key(append.member, page.number);
            group.read(&self.view, &key)?;
            writes.insert(key, Some(layout::encode_page(&page)));
        }
        Ok(true)
    }

    fn judge_doc(&self, group: &mut Group, write: DocWrite, writes: &mut Values) -> Result<bool, StoreFault> {
        let key = layout::doc_key(&write.key);
        let stored = group.read(&self.view, &key)?;
        let revision = stored.map(layout::decode_doc).transpose()?;
        let revision = revision.map(|doc| doc.revision);
        if !write.expected.is_met_by(revision) {
            return Ok(false);
        }
        let next = revision.unwrap_or(0) + 1;
        let value = write.bytes.map(|bytes| layout::encode_doc(next, &bytes));
        writes.insert(key, value);
        Ok(true)
    }

    fn log(&self, shard: Shard) -> Result<ChangeLog, StoreFault> {
        match self.logs.get(&shard) {
            Some(log) => Ok(*log),
            None => self.view.change_log(shard),
        }
    }

    /// Removes changes that are too old to keep, in batches of their own.
    fn trim(&mut self, shard: Shard) -> Result<(), StoreFault> {
        let Some(mut log) = self.logs.get(&shard).copied() else {
            return Ok(());
        };
        while let Some(numbers) = log.trim(self.changes_kept) {
            let mut group = Group::default();
            for number in numbers {
                let key = layout::change_key(shard, number);
                group.read(&self.view, &key)?;
                group.after.insert(key, None);
            }
            let key = layout::change_log_key(shard);
            group.read(&self.view, &key)?;
            group.after.insert(key, Some(layout::encode_change_log(log)));
            self.view.commit_group(group)?;
            self.logs.insert(shard, log);
        }
        Ok(())
    }
}

impl Drop for Writer {
    /// Nothing is written any more, whatever the reason; a reader must not take that for a quiet store.
    fn drop(&mut self) {
        self.view.close();
        // Taken one by one until the channel says that it is empty: a commit handed over just now would stay in a channel
        // that is only dropped, and its caller would wait for ever.
        self.requests.close();
        while let Some(request) = self.requests.blocking_recv() {
            let _ = request.answer.send(Err(StoreFault::Closed));
        }
    }
}

impl Expected {
    /// Whether a stored document of this revision, or none, is what was expected.
    pub(super) fn is_met_by(self, stored: Option<u64>) -> bool {
        match self {
            Self::Absent => stored.is_none(),
            Self::Revision(revision) => stored == Some(revision),
            Self::Any => true,
        }
    }
}

impl View {
    /// Which changes of a shard are kept.
    pub(super) fn change_log(&self, shard: Shard) -> Result<ChangeLog, StoreFault> {
        let stored = self.get(&layout::change_log_key(shard))?;
        let log = stored.as_deref().map(layout::decode_change_log).transpose();
        Ok(log?.unwrap_or_default())
    }

    fn commit_group(&self, group: Group) -> Result<(), StoreFault> {
        let mut batch = Batch::new();
        for (key, value) in &group.after {
            match value {
                Some(value) => batch.put(key, value)?,
                None => batch.delete(key)?,
            }
        }
        self.commit(batch, group.before)
    }
}

/// Who waits for what.
type Answer = (oneshot::Sender<Result<Outcome, StoreFault>>, Result<Outcome, StoreFault>);

/// Commits that go into one batch: what their keys held before it, and what they hold after.
#[derive(Debug, Default)]
struct Group {
    before: Values,
    after: Values,
    shards: std::collections::BTreeSet<Shard>,
}

impl Group {
    /// What the key holds once the group is written.
    fn read(&mut self, view: &View, key: &[u8]) -> Result<Option<&[u8]>, StoreFault> {
        if !self.before.contains_key(key) {
            self.before.insert(key.to_vec(), view.get(key)?);
        }
        let held = self.after.get(key).or_else(|| self.before.get(key));
        Ok(held.and_then(|value| value.as_deref()))
    }
}

/// Commits of one group at most: lost ones take no keys, and must not keep the others from the disk.
const ANSWERS_MAX: usize = 1_024;
