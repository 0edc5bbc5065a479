//! Counters without a race: a commit that stores members or cards leases one of a few slots, counts in it, and takes
//! the next card index from the range the slot was given. So indexes are dense, none is lost to a crash, and counts are
//! exact, with many commits under way.

use std::sync::{Mutex, PoisonError};

use bhyt_core::ids::StatusIndex;
use bhyt_core::limits::STATUS_INDEX_MAX;
use bhyt_core::status::index_order::{IndexOrderKey, index_at};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Service;
use super::docs::{Found, write};
use super::fault::ServiceFault;
use super::values::{CardCounterV1, SlotV1};
use crate::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

/// The slots that nobody has leased.
#[derive(Debug)]
pub(crate) struct Slots {
    idle: Mutex<Vec<Slot>>,
    free: Semaphore,
    order: IndexOrderKey,
}

/// What is counted, over all slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) members: u64,
    pub(crate) cards: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    number: u8,
    /// `None` when it has to be read before it is used: at the start, and after a commit whose end is not known.
    known: Option<(Expected, SlotV1)>,
}

impl Slots {
    pub(crate) fn new(order: IndexOrderKey) -> Self {
        let idle = (0..SLOTS).map(|number| Slot { number, known: None });
        Self { idle: Mutex::new(idle.collect()), free: Semaphore::new(SLOTS.into()), order }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot in the hands of one commit. Goes back when dropped; its counts are read again unless the commit's end was told.
#[derive(Debug)]
pub(crate) struct SlotLease<'a> {
    slots: &'a Slots,
    _permit: SemaphorePermit<'a>,
    number: u8,
    expected: Expected,
    value: SlotV1,
    in_doubt: bool,
}

impl SlotLease<'_> {
    /// The index that [`Self::count`] will take for the next card but `cards`, of those that
    /// [`Service::reserve_index`] has seen to.
    pub(crate) fn index_after(&self, cards: u64) -> Result<StatusIndex, ServiceFault> {
        let exhausted = ServiceFault::Inconsistent { what: "card counter" };
        if cards >= self.indexes_left() {
            return Err(exhausted);
        }
        index_at(self.value.next + cards, &self.slots.order).ok_or(exhausted)
    }

    /// Cards that can be given an index before [`Service::reserve_index`] is called again.
    pub(crate) fn indexes_left(&self) -> u64 {
        self.value.end.saturating_sub(self.value.next)
    }

    /// The write that counts these members and cards, for one commit whose end is then told by [`Self::settle`].
    pub(crate) fn count(&mut self, members: u64, cards: u64) -> Result<DocWrite, ServiceFault> {
        let value = SlotV1 {
            members: self.value.members + members,
            cards: self.value.cards + cards,
            next: self.value.next + cards,
            end: self.value.end,
        };
        self.in_doubt = true;
        write("slot", slot_key(self.number), self.expected, &value)
    }

    /// The commit with the write of [`Self::count`] came to this end.
    pub(crate) fn settle(&mut self, outcome: Outcome, members: u64, cards: u64) {
        if outcome == Outcome::Applied {
            self.value.members += members;
            self.value.cards += cards;
            self.value.next += cards;
            self.expected = next_revision(self.expected);
        }
        self.in_doubt = false;
    }
}

impl Drop for SlotLease<'_> {
    fn drop(&mut self) {
        let known = (!self.in_doubt).then_some((self.expected, self.value));
        let number = self.number;
        self.slots.idle().push(Slot { number, known });
    }
}

impl<S: Store> Service<S> {
    /// Leases a slot; waits while all are leased.
    pub(crate) async fn lease_slot(&self) -> Result<SlotLease<'_>, ServiceFault> {
        let gone = || ServiceFault::Inconsistent { what: "slot" };
        let permit = self.slots.free.acquire().await.map_err(|_| gone())?;
        let slot = self.slots.idle().pop().ok_or_else(gone)?;
        let mut lease = SlotLease {
            slots: &self.slots,
            _permit: permit,
            number: slot.number,
            expected: Expected::Absent,
            value: SlotV1::default(),
            in_doubt: slot.known.is_none(),
        };
        let known = match slot.known {
            Some(known) => known,
            None => self.read_slot(slot.number).await?,
        };
        (lease.expected, lease.value) = known;
        lease.in_doubt = false;
        Ok(lease)
    }

    /// Sees to it that the lease has a card index to give.
    pub(crate) async fn reserve_index(&self, lease: &mut SlotLease<'_>) -> Result<(), ServiceFault> {
        let key = DocKey::new(DocKind::Meta, CARD_COUNTER);
        for _ in 0..RESERVE_ATTEMPTS {
            if lease.indexes_left() > 0 {
                return Ok(());
            }
            let counter: Option<Found<CardCounterV1>> = self.doc("card counter", &key).await?;
            let (expected, first) = counter.map_or((Expected::Absent, 0), |found| {
                (Expected::Revision(found.revision), found.value.next)
            });
            let end = first + RANGE;
            if end > STATUS_INDEX_MAX + 1 {
                return Err(ServiceFault::Inconsistent { what: "card counter" });
            }
            let value = SlotV1 { next: first, end, ..lease.value };
            lease.in_doubt = true;
            let commit = Commit {
                docs: vec![
                    write("card counter", key.clone(), expected, &CardCounterV1 { next: end })?,
                    write("slot", slot_key(lease.number), lease.expected, &value)?,
                ],
                ..Commit::default()
            };
            if self.store.commit(commit).await? == Outcome::Applied {
                lease.value = value;
                lease.expected = next_revision(lease.expected);
            }
            lease.in_doubt = false;
        }
        Err(ServiceFault::LostRaces { attempts: RESERVE_ATTEMPTS })
    }

    /// What was counted in all slots. Those leased just now count as they were before.
    pub(crate) async fn totals(&self) -> Result<Totals, ServiceFault> {
        let mut totals = Totals::default();
        for number in 0..SLOTS {
            let (_, value) = self.read_slot(number).await?;
            totals.members += value.members;
            totals.cards += value.cards;
        }
        Ok(totals)
    }

    /// Every card index handed out is below this.
    pub(crate) async fn cards_end(&self) -> Result<u64, ServiceFault> {
        let key = DocKey::new(DocKind::Meta, CARD_COUNTER);
        let counter: Option<Found<CardCounterV1>> = self.doc("card counter", &key).await?;
        Ok(counter.map_or(0, |found| found.value.next))
    }

    /// The writes after which no card gets a counter below `first`: slots give back what they were given.
    pub(crate) async fn skip_to(&self, first: u64) -> Result<Vec<DocWrite>, ServiceFault> {
        let key = DocKey::new(DocKind::Meta, CARD_COUNTER);
        let mut writes = vec![write("card counter", key, Expected::Any, &CardCounterV1 { next: first })?];
        for number in 0..SLOTS {
            let (expected, value) = self.read_slot(number).await?;
            let value = SlotV1 { next: first, end: first, ..value };
            writes.push(write("slot", slot_key(number), expected, &value)?);
        }
        Ok(writes)
    }

    async fn read_slot(&self, number: u8) -> Result<(Expected, SlotV1), ServiceFault> {
        let found: Option<Found<SlotV1>> = self.doc("slot", &slot_key(number)).await?;
        Ok(match found {
            Some(found) => (Expected::Revision(found.revision), found.value),
            None => (Expected::Absent, SlotV1::default()),
        })
    }
}

fn next_revision(expected: Expected) -> Expected {
    match expected {
        Expected::Revision(revision) => Expected::Revision(revision + 1),
        Expected::Absent | Expected::Any => Expected::Revision(1),
    }
}

fn slot_key(number: u8) -> DocKey {
    DocKey::new(DocKind::Meta, [SLOT_PREFIX, &[number]].concat())
}

/// Commits that count at the same time.
const SLOTS: u8 = 16;
/// Card counters given to a slot at a time: many commits' worth of an import.
const RANGE: u64 = 1_024;
const RESERVE_ATTEMPTS: u32 = 64;
const SLOT_PREFIX: &[u8] = b"slot/";
const CARD_COUNTER: &[u8] = b"card-counter";
