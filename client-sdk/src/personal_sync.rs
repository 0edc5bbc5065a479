//! What a phone makes of the server's answer about a personal document. Nothing is applied in part: answers, what others
//! changed, receipts and what has to be made again are one commit.

use bhyt_core::ids::OperationId;
use bhyt_core::operation::{Operation, OperationAnswer};
use bhyt_core::personal::document::{ApplyError, PersonalDocument, change_actor, change_hash};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::ActorId;
use bhyt_core::receipt::Receipt;
use bhyt_core::sync::personal::{PersonalContent, PersonalCursor, PersonalReply};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::TrustBundle;
use bhyt_platform::entropy::make_bytes;
use bhyt_platform::kv::Batch;

use crate::error::SdkError;
use crate::personal_book::{Owner, PersonalBook};
use crate::personal_state::PersonalState;
use crate::personal_values::{StoredEntry, StoredReceipt, numbered, receipts_prefix};

/// What an answer changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What is shown.
    pub(crate) document: bool,
    /// What waits, or why it does not go.
    pub(crate) outbox: bool,
    /// There is more to hand in, or to ask for.
    pub(crate) again: bool,
}

impl PersonalBook {
    /// Takes an answer to `operations`, or news, when there are none.
    pub(crate) fn take(
        &self,
        owner: &Owner,
        operations: &[Operation],
        reply: &PersonalReply,
        trust: &TrustBundle,
        now: UnixSeconds,
    ) -> Result<Taken, SdkError> {
        let signed = verified_receipts(owner, operations, reply, trust)?;
        self.change(owner, |state, batch| {
            let before: Vec<u64> = state.entries.keys().copied().collect();
            let shown = state.shown.heads();
            let Some(content) = read_content(owner, state, operations, reply)? else {
                state.whole = true;
                return Ok(Taken { again: true, ..Taken::default() });
            };
            let mut rebase = content.replaced;
            if content.restored {
                state.install = make_bytes(self.entropy.as_ref());
                rebase = true;
            }
            let changed = state.acked.heads() != content.acked.heads();
            state.acked = content.acked;
            state.whole = false;
            let (mut waits, mut receipts) = (false, Vec::new());
            for ((operation, answer), signed) in operations.iter().zip(&reply.answers).zip(&signed) {
                let number = number_of(state, operation.id);
                match answer {
                    OperationAnswer::Accepted(seal) | OperationAnswer::Duplicate(seal) => {
                        // Thrown away, or made again, while it was under way: what is shown is made anew with it.
                        let number = number.or_else(|| {
                            rebase = true;
                            number_of_successor(state, operation.id)
                        });
                        let entry = number.and_then(|number| state.entries.remove(&number));
                        receipts.extend(entry.map(|StoredEntry { edit, .. }| StoredReceipt {
                            id: operation.id,
                            edit,
                            change: operation.change.clone(),
                            signed: signed.clone(),
                            taken_at: seal.time,
                            generation: seal.generation,
                        }));
                    }
                    OperationAnswer::Rejected(_) if number.is_none() => {}
                    OperationAnswer::Rejected(why) if why.passes() => waits = true,
                    OperationAnswer::Rejected(why) => {
                        rebase = true;
                        if !why.wants_rebase() {
                            let entry = number.and_then(|number| state.entries.get_mut(&number));
                            entry.into_iter().for_each(|entry| entry.parked = Some((*why, now)));
                        } else if !content.replaced {
                            // What it says of us is not what we know of ourselves.
                            state.install = make_bytes(self.entropy.as_ref());
                        }
                    }
                }
            }
            let kept = match content.forgotten || !receipts.is_empty() {
                true => self.receipts(owner)?,
                false => Vec::new(),
            };
            if content.forgotten {
                requeue(state, kept.iter().map(|(_, receipt)| receipt), || self.make_id());
            }
            if rebase {
                state.rebase(owner.device, now, || self.make_id());
            } else {
                let fresh = content.fresh.iter().map(Vec::as_slice);
                state.shown.apply(fresh).map_err(SdkError::untrusted)?;
            }
            let outbox = rebase || !receipts.is_empty();
            if changed || outbox {
                self.put_taken(batch, owner, state, &before)?;
                self.keep_receipts(batch, owner, state, receipts, &kept)?;
            }
            let again = !waits && state.waiting().next().is_some();
            Ok(Taken { document: shown != state.shown.heads(), outbox, again })
        })
    }

    fn put_taken(
        &self,
        batch: &mut Batch,
        owner: &Owner,
        state: &PersonalState,
        before: &[u64],
    ) -> Result<(), SdkError> {
        self.put_document(batch, owner, &state.acked)?;
        let new = state.entries.keys().filter(|number| !before.contains(number));
        for number in before.iter().chain(new) {
            self.put_entry(batch, owner, *number, state)?;
        }
        Ok(())
    }

    /// Keeps receipts of petitions for good, and of other edits the last ones.
    fn keep_receipts(
        &self,
        batch: &mut Batch,
        owner: &Owner,
        state: &mut PersonalState,
        receipts: Vec<StoredReceipt>,
        kept: &[(u64, StoredReceipt)],
    ) -> Result<(), SdkError> {
        let prefix = receipts_prefix(owner.member);
        let passing: Vec<u64> = kept
            .iter()
            .filter(|(_, receipt)| !is_petition(&receipt.edit))
            .map(|(number, _)| *number)
            .collect();
        let new = receipts.iter().filter(|receipt| !is_petition(&receipt.edit)).count();
        let surplus = (passing.len() + new).saturating_sub(PASSING_RECEIPTS_MAX);
        for number in passing.iter().take(surplus) {
            batch.delete(&numbered(&prefix, *number))?;
        }
        for receipt in receipts {
            let place = numbered(&prefix, state.next);
            state.next += 1;
            self.put_sealed(batch, owner, &place, &receipt)?;
        }
        Ok(())
    }
}

/// The content of an answer, as a document.
struct Content {
    acked: PersonalDocument,
    /// The changes that came.
    fresh: Vec<Vec<u8>>,
    /// It takes the place of another document.
    replaced: bool,
    /// The server has more of us than we know: this phone was restored from a backup.
    restored: bool,
    /// The server knows less than it did: it was restored from a backup.
    forgotten: bool,
}

/// `None` when what came does not lead to where the server says that it leads: all of it is asked for.
fn read_content(
    owner: &Owner,
    state: &PersonalState,
    operations: &[Operation],
    reply: &PersonalReply,
) -> Result<Option<Content>, SdkError> {
    let own = |change: &[u8]| state.entries.values().any(|entry| entry.change == change);
    let by_us = |change: &[u8]| {
        let actor = ActorId::new(owner.device, state.install);
        change_actor(change) == Some(actor)
    };
    let content = match &reply.content {
        PersonalContent::Changes(changes) => {
            let taken = operations.iter().zip(&reply.answers);
            let taken = taken.filter(|(_, answer)| !matches!(answer, OperationAnswer::Rejected(_)));
            let taken = taken.map(|(operation, _)| operation.change.as_slice());
            let mut acked = state.acked.clone();
            if acked.apply(changes.iter().map(Vec::as_slice).chain(taken)).is_err() {
                return Ok(None);
            }
            let restored = changes.iter().any(|change| by_us(change) && !own(change));
            Content { acked, fresh: changes.clone(), replaced: false, restored, forgotten: false }
        }
        PersonalContent::Document(bytes) => {
            let acked = PersonalDocument::load(bytes).map_err(SdkError::untrusted)?;
            let held = &state.acked;
            if acked.member() != owner.member {
                return Err(SdkError::untrusted(ApplyError::Beginning));
            }
            let same = acked.generation() == held.generation();
            let lacks = same && acked.changes_since(&held.heads()).is_none();
            let forgotten = lacks || acked.generation() < held.generation();
            Content { restored: same || forgotten, acked, fresh: Vec::new(), replaced: true, forgotten }
        }
    };
    if PersonalCursor::of(&content.acked) == reply.cursor {
        return Ok(Some(content));
    }
    match content.replaced {
        true => Err(SdkError::untrusted(ApplyError::Beginning)),
        false => Ok(None),
    }
}

/// The signed bytes of each receipt, verified; of an operation that was rejected, none.
fn verified_receipts(
    owner: &Owner,
    operations: &[Operation],
    reply: &PersonalReply,
    trust: &TrustBundle,
) -> Result<Vec<Vec<u8>>, SdkError> {
    let answers = operations.iter().zip(&reply.answers);
    let signed = answers.map(|(operation, answer)| match answer {
        OperationAnswer::Rejected(_) => Ok(Vec::new()),
        OperationAnswer::Accepted(seal) | OperationAnswer::Duplicate(seal) => {
            let signed = seal.join(owner.member, operation.id, operation.hash());
            Receipt::verify(&signed, trust).map_err(SdkError::untrusted)?;
            Ok(signed)
        }
    });
    signed.collect()
}

/// Edits that a restored server has forgotten wait again, before all others. What an earlier document took in is in this one
/// by its values, and may have been changed since.
fn requeue<'r>(
    state: &mut PersonalState,
    kept: impl Iterator<Item = &'r StoredReceipt>,
    make_id: impl Fn() -> OperationId,
) {
    let waiting = std::mem::take(&mut state.entries);
    for receipt in kept {
        let here = change_hash(&receipt.change).is_some_and(|hash| state.acked.knows(&hash));
        if !here && receipt.generation >= state.acked.generation() {
            let (edit, change, made_at) = (receipt.edit.clone(), receipt.change.clone(), receipt.taken_at);
            let entry = StoredEntry {
                id: make_id(),
                replaces: Some(receipt.id),
                edit,
                change,
                made_at,
                parked: None,
            };
            state.add(entry);
        }
    }
    for entry in waiting.into_values() {
        state.add(entry);
    }
}

/// Of the entry that stands for one that was made again under another id.
fn number_of_successor(state: &PersonalState, id: OperationId) -> Option<u64> {
    let successor = state.entries.iter().find(|(_, entry)| entry.replaces == Some(id));
    successor.map(|(number, _)| *number)
}

fn number_of(state: &PersonalState, id: OperationId) -> Option<u64> {
    state.entries.iter().find(|(_, entry)| entry.id == id).map(|(number, _)| *number)
}

pub(crate) fn is_petition(edit: &Edit) -> bool {
    matches!(edit, Edit::HandIn { .. })
}

/// Receipts of edits that are no petitions.
const PASSING_RECEIPTS_MAX: usize = 64;

#[cfg(test)]
#[path = "personal_sync_tests.rs"]
mod tests;
