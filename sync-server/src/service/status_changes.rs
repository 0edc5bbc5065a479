//! Changes of the status list, made in the same commit as what they follow from. Each commit that has some writes one
//! numbered document with them, so that any two published versions differ by a range of numbers.
//!
//! A number is taken before the commit and counts once the commit went through; a version is published only up to the
//! last number before which none is still under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::time::Day;

use super::Service;
use super::docs::{Found, write};
use super::fault::ServiceFault;
use super::values::{EntryChange, EntryChangeV1, StatusChangeV1, StatusEntryV1};
use crate::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

/// Number of the set of retired bindings.
pub(crate) const RETIRED_BINDINGS: u8 = 16;

/// The set that a card of this standing is listed in.
pub(crate) fn set_of(standing: CardStanding) -> Option<u8> {
    match standing {
        CardStanding::InForce => None,
        CardStanding::Withdrawn => Some(1),
        CardStanding::Superseded => Some(2),
        CardStanding::Held => Some(3),
        CardStanding::Reduced(code) => Some(code.value() - 110),
    }
}

/// The value of a binding in the retired set.
pub(crate) fn binding_value(index: StatusIndex, number: BindingNumber) -> u64 {
    u64::from(index.0) * 16 + u64::from(number.value())
}

/// Changes that are to go into one commit.
#[derive(Debug, Default)]
pub(crate) struct StatusDraft {
    changes: Vec<EntryChangeV1>,
    writes: Vec<DocWrite>,
}

impl StatusDraft {
    /// Lists a value until the end of a day. It must not be listed.
    pub(crate) fn add(&mut self, set: u8, value: u64, until: Option<Day>) -> Result<(), ServiceFault> {
        let entry = StatusEntryV1 { until };
        let key = entry_key(set, value);
        self.writes.push(write("status entry", key, Expected::Absent, &entry)?);
        let change = EntryChange::Added { until };
        self.changes.push(EntryChangeV1 { set, value, change });
        Ok(())
    }

    fn remove(&mut self, set: u8, value: u64, revision: u64) {
        self.writes.push(DocWrite {
            key: entry_key(set, value),
            expected: Expected::Revision(revision),
            bytes: None,
        });
        let change = EntryChange::Removed;
        self.changes.push(EntryChangeV1 { set, value, change });
    }

    /// Whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many keys it adds to a commit.
    pub(crate) fn keys(&self) -> usize {
        self.writes.len() + usize::from(!self.is_empty())
    }
}

/// The numbers of changes, and those not yet published.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    /// The number taken last.
    last: u64,
    under_way: BTreeSet<u64>,
    pending: BTreeMap<u64, Vec<EntryChangeV1>>,
}

impl ChangeLog {
    /// Begins anew: numbers up to `published` are in the published list, and `pending` come after them.
    pub(crate) fn start(&self, published: u64, pending: BTreeMap<u64, Vec<EntryChangeV1>>) {
        let last = pending.keys().next_back().copied().unwrap_or(published);
        *self.state() = LogState { last: last.max(published), under_way: BTreeSet::new(), pending };
    }

    /// What can be published now: changes, and the number up to which that is all. The changes are no longer pending.
    pub(crate) fn take(&self) -> (u64, Vec<EntryChangeV1>) {
        let mut state = self.state();
        let through = match state.under_way.first() {
            Some(first) => first.saturating_sub(1),
            None => state.last,
        };
        let later = state.pending.split_off(&through.saturating_add(1));
        let ready = std::mem::replace(&mut state.pending, later);
        (through, ready.into_values().flatten().collect())
    }

    /// Gives back what [`Self::take`] took, because it could not be published.
    pub(crate) fn give_back(&self, through: u64, changes: Vec<EntryChangeV1>) {
        if !changes.is_empty() {
            let mut state = self.state();
            let mut all = changes;
            all.extend(state.pending.remove(&through).into_iter().flatten());
            state.pending.insert(through, all);
        }
    }

    /// Whether something waits to be published.
    pub(crate) fn has_pending(&self) -> bool {
        !self.state().pending.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number taken for one commit. Dropped unsettled, it counts for nothing.
#[derive(Debug)]
pub(crate) struct ChangeTicket<'a> {
    log: &'a ChangeLog,
    number: u64,
    changes: Vec<EntryChangeV1>,
}

impl<'a> ChangeTicket<'a> {
    /// Takes a number for the draft and puts its writes into the commit; `None` when it is empty.
    pub(crate) fn take(
        log: &'a ChangeLog,
        draft: StatusDraft,
        commit: &mut Commit,
    ) -> Result<Option<Self>, ServiceFault> {
        if draft.is_empty() {
            return Ok(None);
        }
        let mut state = log.state();
        state.last += 1;
        let number = state.last;
        state.under_way.insert(number);
        drop(state);
        let ticket = Self { log, number, changes: draft.changes };
        let value = StatusChangeV1 { changes: ticket.changes.clone() };
        commit.docs.extend(draft.writes);
        commit.docs.push(write("status change", change_key(number), Expected::Absent, &value)?);
        Ok(Some(ticket))
    }

    /// The commit came to this end.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        if outcome == Outcome::Applied {
            let changes = std::mem::take(&mut self.changes);
            self.log.state().pending.insert(self.number, changes);
        }
    }
}

impl Drop for ChangeTicket<'_> {
    fn drop(&mut self) {
        self.log.state().under_way.remove(&self.number);
    }
}

impl<S: Store> Service<S> {
    /// Takes a value off the list, if it is there.
    pub(crate) async fn unlist(
        &self,
        draft: &mut StatusDraft,
        set: u8,
        value: u64,
    ) -> Result<(), ServiceFault> {
        let key = entry_key(set, value);
        let entry: Option<Found<StatusEntryV1>> = self.doc("status entry", &key).await?;
        if let Some(entry) = entry {
            draft.remove(set, value, entry.revision);
        }
        Ok(())
    }

    /// Changes numbered after `after` and up to `through`, in order, at most `docs_max` documents of them.
    pub(crate) async fn changes_between(
        &self,
        after: u64,
        through: u64,
        docs_max: usize,
    ) -> Result<Vec<(u64, Vec<EntryChangeV1>)>, ServiceFault> {
        let after = after.to_be_bytes().to_vec();
        let docs = self.store.doc_scan(DocKind::StatusChange, Some(after), docs_max).await?;
        let mut changes = Vec::with_capacity(docs.len());
        for (key, doc) in &docs {
            let number = number_of(key)?;
            if number > through {
                break;
            }
            let found: Found<StatusChangeV1> = super::docs::decode("status change", doc)?;
            changes.push((number, found.value.changes));
        }
        Ok(changes)
    }
}

/// Where an entry's document stands.
pub(crate) fn entry_key(set: u8, value: u64) -> DocKey {
    let mut id = vec![set];
    id.extend(value.to_be_bytes());
    DocKey::new(DocKind::StatusEntry, id)
}

/// Set and value of an entry's document.
pub(crate) fn entry_of(key: &DocKey) -> Result<(u8, u64), ServiceFault> {
    let unreadable = ServiceFault::Inconsistent { what: "status entry" };
    let (set, value) = key.id.split_first().ok_or(unreadable)?;
    let unreadable = ServiceFault::Inconsistent { what: "status entry" };
    let value = value.try_into().map_err(|_| unreadable)?;
    Ok((*set, u64::from_be_bytes(value)))
}

fn change_key(number: u64) -> DocKey {
    DocKey::new(DocKind::StatusChange, number.to_be_bytes())
}

fn number_of(key: &DocKey) -> Result<u64, ServiceFault> {
    let unreadable = |_| ServiceFault::Inconsistent { what: "status change" };
    let bytes = key.id.as_slice().try_into().map_err(unreadable)?;
    Ok(u64::from_be_bytes(bytes))
}
