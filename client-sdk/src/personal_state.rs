//! One member's personal document on a phone, without a store: what the server has, what is shown, and the edits between
//! the two. Whatever is decided here is committed by [`crate::personal_book`] before it counts.
//!
//! Promises: what is shown is what the server has and every edit that waits, in order. When the document begins anew, or an
//! edit is refused, the others are made again on what the server has; an edit whose bytes change gets a new id, linked to the
//! old one, so that no id ever stands for two things.

use std::collections::BTreeMap;

use bhyt_core::ids::OperationId;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{OPERATIONS_BYTES_MAX, OPERATIONS_MAX};
use bhyt_core::operation::{Operation, Rejection};
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::guard::Refusal;
use bhyt_core::personal::ids::{ActorId, Writer};
use bhyt_core::sync::personal::{PersonalCursor, SyncPersonal};
use bhyt_core::time::UnixSeconds;

use crate::personal_values::StoredEntry;

/// A member's document and outbox.
#[derive(Clone, Debug)]
pub(crate) struct PersonalState {
    /// What the server is known to have.
    pub(crate) acked: PersonalDocument,
    /// The same with the edits that wait.
    pub(crate) shown: PersonalDocument,
    pub(crate) install: [u8; 8],
    /// The number of the next entry or receipt.
    pub(crate) next: u64,
    /// By number; those that wait and those that are parked.
    pub(crate) entries: BTreeMap<u64, StoredEntry>,
    /// The server is to send all of it.
    pub(crate) whole: bool,
}

impl PersonalState {
    /// What is to be asked of the server: the edits that wait, as many as one request takes.
    pub(crate) fn request(&self) -> SyncPersonal {
        let (member, install) = (self.acked.member(), self.install);
        if self.whole {
            return SyncPersonal { member, cursor: PersonalCursor::NOTHING, install, operations: Vec::new() };
        }
        let mut bytes = 0;
        let waiting = self.waiting().take(OPERATIONS_MAX).take_while(|entry| {
            bytes += entry.change.len();
            bytes <= OPERATIONS_BYTES_MAX
        });
        let operations =
            waiting.map(|entry| Operation { id: entry.id, change: entry.change.clone() }).collect();
        SyncPersonal { member, cursor: PersonalCursor::of(&self.acked), install, operations }
    }

    /// The edits that wait for the server, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &StoredEntry> {
        self.entries.values().filter(|entry| entry.parked.is_none())
    }

    /// Makes an edit under this id. `None` when everything was so already.
    pub(crate) fn edit(
        &mut self,
        key: KeyId,
        id: OperationId,
        edit: Edit,
        now: UnixSeconds,
    ) -> Result<Option<u64>, Refusal> {
        let actor = ActorId::new(key, self.install);
        let Some(change) = self.shown.edit(&edit, actor, Writer::Device)? else { return Ok(None) };
        let entry = StoredEntry { id, replaces: None, edit, change, made_at: now, parked: None };
        Ok(Some(self.add(entry)))
    }

    /// Puts an entry behind all others.
    pub(crate) fn add(&mut self, entry: StoredEntry) -> u64 {
        let number = self.next;
        self.next += 1;
        self.entries.insert(number, entry);
        number
    }

    /// Makes every edit that waits again on what the server has. `make_id` draws ids for those whose bytes change.
    pub(crate) fn rebase(&mut self, key: KeyId, now: UnixSeconds, make_id: impl Fn() -> OperationId) {
        let actor = ActorId::new(key, self.install);
        self.shown = self.acked.clone();
        let mut done = Vec::new();
        for (number, entry) in &mut self.entries {
            if entry.parked.is_some() {
                continue;
            }
            match self.shown.edit(&entry.edit, actor, Writer::Device) {
                Ok(Some(change)) if change == entry.change => {}
                Ok(Some(change)) => {
                    entry.replaces = Some(entry.id);
                    (entry.id, entry.change) = (make_id(), change);
                }
                // It is so already, or was handed in once before: nothing is left to be done.
                Ok(None) | Err(Refusal::Final) => done.push(*number),
                Err(refusal) => entry.parked = Some((Rejection::from(refusal), now)),
            }
        }
        for number in done {
            self.entries.remove(&number);
        }
    }
}
