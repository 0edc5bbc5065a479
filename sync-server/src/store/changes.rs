//! Announced changes of the embedded store: on the disk one record a batch, in memory by shard.
//!
//! A record is written in the batch of the commits that announce, and removed when none of its changes is kept any more.
//! So an import of many cards costs one key a batch, whatever shards they are in, and a follower reads no disk. What is in
//! memory is what is durable: changes are noted after their batch. Holds a few hundred changes for each shard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bhyt_core::ids::MemberId;
use bhyt_core::limits::BATCH_KEYS_MAX;

use super::layout::{self, ChangeLog, TRIM_STEP};
use super::view::View;
use super::{BYTES_MAX, Change, Shard, StoreFault};

/// Which changes are kept, and in which records they are.
#[derive(Debug)]
pub(super) struct ChangeIndex {
    state: Mutex<State>,
    kept: u64,
}

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<Shard, ShardChanges>,
    /// Records that are there: how many of their changes are kept.
    records: BTreeMap<u64, usize>,
    next_record: u64,
    /// Records that nobody needs any more.
    done: VecDeque<u64>,
}

#[derive(Debug, Default)]
struct ShardChanges {
    log: ChangeLog,
    /// From `log.first` on: whose the change is, and its record.
    changes: VecDeque<(MemberId, u64)>,
}

impl ChangeIndex {
    /// Reads all records, and leaves out what is too old to be kept.
    pub(super) fn load(view: &View, kept: u64) -> Result<Self, StoreFault> {
        let index = Self { state: Mutex::default(), kept };
        let mut after: Option<Vec<u8>> = None;
        loop {
            let pairs = view.scan(layout::RECORD_PREFIX, after.as_deref(), LOAD_STEP)?;
            for (key, stored) in &pairs {
                let (number, changes) = layout::decode_record(key, stored)?;
                index.state().take(number, changes, kept);
            }
            match pairs.into_iter().last() {
                Some((last, _)) => after = Some(last),
                None => return Ok(index),
            }
        }
    }

    /// The number of the shard's newest change; 0 before the first.
    pub(super) fn newest(&self, shard: Shard) -> u64 {
        self.state().shards.get(&shard).map_or(0, |shard| shard.log.newest)
    }

    /// Changes of a shard after number `after`, in order, at most `max`.
    pub(super) fn tail(&self, shard: Shard, after: u64, max: usize) -> Vec<Change> {
        let state = self.state();
        let Some(ShardChanges { log, changes }) = state.shards.get(&shard) else {
            return Vec::new();
        };
        let numbered =
            (log.first..).zip(changes).map(|(number, (member, _))| Change { number, member: *member });
        numbered.filter(|change| change.number > after).take(max).collect()
    }

    /// The number of the next record.
    pub(super) fn next_record(&self) -> u64 {
        self.state().next_record
    }

    /// Records to remove with the next batch, no more than one batch takes; none while there are only a few.
    pub(super) fn done_records(&self) -> Vec<u64> {
        let state = self.state();
        match state.done.len() < DONE_MIN {
            true => Vec::new(),
            false => state.done.iter().take(BATCH_KEYS_MAX).copied().collect(),
        }
    }

    /// Notes records that have become durable, numbered from `first` on, and that the `removed` ones are gone.
    pub(super) fn note(&self, first: u64, records: Vec<Vec<Change>>, removed: &[u64]) {
        let mut state = self.state();
        state.done.drain(..removed.len());
        for (number, changes) in (first..).zip(records) {
            state.take(number, changes, self.kept);
        }
    }

    /// Never held while something is read or written. A panic elsewhere cannot leave it half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardChanges {
    /// Takes a change that stands in `record`; the records of those that are let go for it.
    ///
    /// A record outlives some of its changes. When they are read again, they are told by the gap behind them, or by not
    /// being the first of a trimming step.
    fn take(&mut self, change: Change, record: u64, kept: u64) -> Vec<u64> {
        let mut let_go = Vec::new();
        if change.number != self.log.newest + 1 {
            let_go.extend(self.changes.drain(..).map(|(_, record)| record));
            self.log.first = change.number;
        }
        self.log.newest = change.number;
        if self.changes.is_empty() && change.number % TRIM_STEP != 1 {
            self.log.first = change.number + 1;
            let_go.push(record);
            return let_go;
        }
        self.changes.push_back((change.member, record));
        for _ in self.log.trim(kept).into_iter().flatten() {
            let_go.extend(self.changes.pop_front().map(|(_, record)| record));
        }
        let_go
    }
}

impl State {
    /// Takes a record, and lets go of what became too old.
    fn take(&mut self, record: u64, changes: Vec<Change>, kept: u64) {
        self.next_record = record + 1;
        self.records.insert(record, changes.len());
        for change in changes {
            let shard = self.shards.entry(Shard::of(change.member)).or_default();
            for record in shard.take(change, record, kept) {
                self.let_go(record);
            }
        }
    }

    /// One change less of this record is kept.
    fn let_go(&mut self, record: u64) {
        if let Some(left) = self.records.get_mut(&record) {
            *left -= 1;
            if *left == 0 {
                self.records.remove(&record);
                self.done.push_back(record);
            }
        }
    }
}

/// Changes of one record: what a value holds.
pub(super) const RECORD_CHANGES_MAX: usize = BYTES_MAX / layout::RECORD_ENTRY_BYTES;
/// Records read at a time when the store is opened.
const LOAD_STEP: usize = 256;
/// Records that wait for a batch that removes them.
const DONE_MIN: usize = 64;

const _: () = assert!(RECORD_CHANGES_MAX >= super::COMMIT_KEYS_MAX);
