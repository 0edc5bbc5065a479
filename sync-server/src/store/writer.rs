//! The one thread that writes: it joins the commits that are waiting into a few batches, and one wait for the disk.
//!
//! Each commit is judged against the store and what the group has taken so far, so that of two that expect the same the
//! first wins, whether they meet in one group or not. Nobody is answered before the group is durable: one that lost to a
//! commit that then failed has not lost to anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use bhyt_core::ids::MemberId;
use bhyt_core::limits::BATCH_KEYS_MAX;
use bhyt_platform::kv::Batch;
use tokio::sync::{mpsc, oneshot};

use super::changes::{ChangeIndex, RECORD_CHANGES_MAX};
use super::layout;
use super::view::{Values, View};
use super::{Append, Change, Commit, DocWrite, Expected, Outcome, Shard, StoreFault, StoredHead};

/// A commit and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) commit: Commit,
    /// Keys to remove, whatever they hold.
    pub(super) removals: Vec<Vec<u8>>,
    /// Keys it writes at most.
    pub(super) keys: usize,
    pub(super) answer: oneshot::Sender<Result<Outcome, StoreFault>>,
}

/// The writer; lives on its thread until the last sender is gone or a commit has failed.
#[derive(Debug)]
pub(super) struct Writer {
    view: Arc<View>,
    changes: Arc<ChangeIndex>,
    requests: mpsc::Receiver<Request>,
}

impl Writer {
    pub(super) fn new(view: Arc<View>, changes: Arc<ChangeIndex>, requests: mpsc::Receiver<Request>) -> Self {
        Self { view, changes, requests }
    }

    /// Writes until there is nobody left to write for, or a commit fails.
    pub(super) fn run(mut self) {
        let mut waiting = None;
        while let Some(first) = waiting.take().or_else(|| self.requests.blocking_recv()) {
            let (group, answers, left) = self.gather(first);
            waiting = left;
            if let Err(fault) = self.write(group) {
                for (answer, _) in answers {
                    let _ = answer.send(Err(fault.clone()));
                }
                return;
            }
            for (answer, outcome) in answers {
                // Nobody to tell: the caller was dropped, its commit stands.
                let _ = answer.send(outcome);
            }
        }
    }

    /// Judges commits while there are any waiting and the group has room; also the one that found no room.
    fn gather(&mut self, first: Request) -> (Group, Vec<Answer>, Option<Request>) {
        let (mut group, mut answers) = (Group::default(), Vec::new());
        let mut next = Some(first);
        while let Some(request) = next.take() {
            let room = group.make_room(request.keys, request.commit.announce.len());
            if !room || answers.len() >= ANSWERS_MAX {
                return (group, answers, Some(request));
            }
            let outcome = self.judge(&mut group, request.commit, request.removals);
            answers.push((request.answer, outcome));
            next = self.requests.try_recv().ok();
        }
        (group, answers, None)
    }

    /// Takes the commit into the group if everything it expects is so. A fault of reading leaves the group as it was.
    fn judge(
        &self,
        group: &mut Group,
        commit: Commit,
        removals: Vec<Vec<u8>>,
    ) -> Result<Outcome, StoreFault> {
        let mut writes = Values::new();
        for key in removals {
            group.read(&self.view, &key)?;
            writes.insert(key, None);
        }
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
        group.take(writes);
        for member in commit.announce {
            group.announce(member, &self.changes);
        }
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

    /// Makes the group durable, with the changes that it announces, and without records that nobody needs any more.
    fn write(&self, mut group: Group) -> Result<(), StoreFault> {
        let first = self.changes.next_record();
        let mut records = Vec::new();
        for part in &mut group.parts {
            if !part.announced.is_empty() {
                let key = layout::record_key(first + records.len() as u64);
                group.before.insert(key.clone(), None);
                part.after.insert(key, Some(layout::encode_record(&part.announced)));
                records.push(std::mem::take(&mut part.announced));
            }
        }
        let done = self.changes.done_records();
        let mut removals = Part::default();
        for number in &done {
            let key = layout::record_key(*number);
            group.read(&self.view, &key)?;
            removals.after.insert(key, None);
        }
        if !done.is_empty() {
            group.parts.push(removals);
        }
        let batches: Result<Vec<Batch>, StoreFault> = group.parts.iter().map(Part::batch).collect();
        self.view.commit(batches?, group.before)?;
        self.changes.note(first, records, &done);
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

/// Who waits for what.
type Answer = (oneshot::Sender<Result<Outcome, StoreFault>>, Result<Outcome, StoreFault>);

/// Commits that become durable together, in one batch or a few: what their keys held before, and what they hold after.
#[derive(Debug, Default)]
struct Group {
    before: Values,
    parts: Vec<Part>,
    /// The newest change of each shard that has some in this group.
    newest: BTreeMap<Shard, u64>,
}

/// What goes into one batch.
#[derive(Debug, Default)]
struct Part {
    after: Values,
    announced: Vec<Change>,
}

impl Group {
    /// Sees to it that the last part has room for so many keys and changes; `false` when the group is full.
    fn make_room(&mut self, keys: usize, announced: usize) -> bool {
        let fits = |part: &Part| {
            part.keys() + keys <= BATCH_KEYS_MAX && part.announced.len() + announced <= RECORD_CHANGES_MAX
        };
        if self.parts.last().is_some_and(fits) {
            return true;
        }
        let room = self.parts.len() < PARTS_MAX;
        if room {
            self.parts.push(Part::default());
        }
        room
    }

    /// What the key holds once the group is written.
    fn read(&mut self, view: &View, key: &[u8]) -> Result<Option<&[u8]>, StoreFault> {
        if !self.before.contains_key(key) {
            self.before.insert(key.to_vec(), view.get(key)?);
        }
        let held = self.parts.iter().rev().find_map(|part| part.after.get(key));
        Ok(held.or_else(|| self.before.get(key)).and_then(|value| value.as_deref()))
    }

    fn take(&mut self, writes: Values) {
        if let Some(part) = self.parts.last_mut() {
            part.after.extend(writes);
        }
    }

    fn announce(&mut self, member: MemberId, changes: &ChangeIndex) {
        let shard = Shard::of(member);
        let newest = self.newest.entry(shard).or_insert_with(|| changes.newest(shard));
        *newest += 1;
        let change = Change { number: *newest, member };
        if let Some(part) = self.parts.last_mut() {
            part.announced.push(change);
        }
    }
}

impl Part {
    /// Keys so far, with the record of its changes.
    fn keys(&self) -> usize {
        self.after.len() + usize::from(!self.announced.is_empty())
    }

    fn batch(&self) -> Result<Batch, StoreFault> {
        let mut batch = Batch::new();
        for (key, value) in &self.after {
            match value {
                Some(value) => batch.put(key, value)?,
                None => batch.delete(key)?,
            }
        }
        Ok(batch)
    }
}

/// Commits of one group at most: lost ones take no keys, and must not keep the others from the disk.
const ANSWERS_MAX: usize = 1_024;
/// Batches of one group: enough to share a wait for the disk, few enough that the first does not wait long.
const PARTS_MAX: usize = 8;
