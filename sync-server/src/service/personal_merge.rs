//! What becomes of operations on a personal document: a pure function over stored bytes, for a thread that may be kept busy.
//!
//! Promises: a change that is refused, or at which Automerge panics, leaves the document as it was; whoever handed it in is
//! told a code. A history that has grown is rebuilt in the same step as the change that made it so, so that this change is
//! taken and only what others made meanwhile has to be made anew.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bhyt_core::ids::MemberId;
use bhyt_core::operation::{Generation, Operation, Rejection};
use bhyt_core::personal::document::{ApplyError, PersonalDocument};
use bhyt_core::personal::guard::Refusal;
use bhyt_core::personal::history::FollowError;
use bhyt_core::personal::ids::{ActorId, ChangeHash, EntryId, Writer};
use bhyt_core::personal::values::PetitionState;
use bhyt_core::receipt::ReceiptSeal;
use bhyt_core::sync::personal::{PersonalContent, PersonalCursor};

/// What somebody hands in, with what is known of each operation.
#[derive(Clone, Debug)]
pub(crate) struct HandedIn {
    pub(crate) actor: ActorId,
    pub(crate) writer: Writer,
    pub(crate) cursor: PersonalCursor,
    pub(crate) operations: Vec<(Operation, Known)>,
    /// New operations that are looked at; one more is over its device's quota.
    pub(crate) room: u32,
}

/// What the table of operations says of an id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// Nothing.
    New,
    /// It was merged with these bytes.
    Same(ReceiptSeal),
    /// It was merged with other bytes.
    Other,
}

/// What is to be answered to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Accepted,
    Duplicate(ReceiptSeal),
    Rejected(Rejection),
}

/// The document after.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) judged: Vec<Judged>,
    /// New operations that were looked at.
    pub(crate) looked_at: u32,
    /// The generation that took the operations in.
    pub(crate) generation: Generation,
    /// The document to store, when it has changed.
    pub(crate) saved: Option<Vec<u8>>,
    pub(crate) cursor: PersonalCursor,
    pub(crate) content: PersonalContent,
    /// Petitions that wait for an officer from now on.
    pub(crate) now_waiting: Vec<EntryId>,
    /// Petitions that waited and do not any more.
    pub(crate) settled: Vec<EntryId>,
}

/// Reads a stored document; a member's first one when there is none.
pub(crate) fn open(member: MemberId, saved: Option<&[u8]>) -> Result<PersonalDocument, ApplyError> {
    saved.map_or_else(|| Ok(PersonalDocument::begin(member)), PersonalDocument::load)
}

/// Judges each operation in order, up to the first that is rejected.
pub(crate) fn merge(member: MemberId, saved: Option<&[u8]>, handed: &HandedIn) -> Result<Merged, ApplyError> {
    let before = open(member, saved)?;
    let generation = before.generation();
    let from = (handed.cursor.generation == generation).then_some(handed.cursor.heads.as_slice());
    let from = from.filter(|heads| before.changes_since(heads).is_some());
    let (mut document, mut judged, mut rebuild) = (before.clone(), Vec::new(), false);
    let mut looked_at = 0;
    for (operation, known) in &handed.operations {
        let outcome = match known {
            Known::Same(seal) => Judged::Duplicate(*seal),
            Known::Other => Judged::Rejected(Rejection::Reused),
            Known::New if looked_at == handed.room => Judged::Rejected(Rejection::Quota),
            Known::New if handed.cursor.generation != generation => Judged::Rejected(Rejection::Generation),
            Known::New => match admit(&document, operation, handed) {
                Ok(Some(next)) => {
                    document = next;
                    Judged::Accepted
                }
                Ok(None) => Judged::Accepted,
                Err(refusal) => {
                    rebuild |= refusal == Some(Refusal::HistoryFull);
                    Judged::Rejected(refusal.map_or(Rejection::Malformed, Rejection::from))
                }
            },
        };
        let counts = matches!(known, Known::New) && outcome != Judged::Rejected(Rejection::Quota);
        looked_at += u32::from(counts);
        judged.push(outcome);
        if matches!(outcome, Judged::Rejected(_)) {
            break;
        }
    }
    let changed = document.changes() > before.changes();
    let (was, is) = (waiting(&before), waiting(&document));
    if rebuild || (changed && document.wants_rebuild()) {
        document = document.rebuild();
    }
    let same = document.generation() == generation;
    let content = match from.filter(|_| same) {
        Some(heads) => PersonalContent::Changes(lacking(&document, heads, handed)),
        None => PersonalContent::Document(document.save()),
    };
    Ok(Merged {
        judged,
        looked_at,
        generation,
        saved: (changed || !same).then(|| document.save()),
        cursor: PersonalCursor::of(&document),
        content,
        now_waiting: is.difference(&was).copied().collect(),
        settled: was.difference(&is).copied().collect(),
    })
}

fn lacking(document: &PersonalDocument, heads: &[ChangeHash], handed: &HandedIn) -> Vec<Vec<u8>> {
    let own = |change: &&[u8]| handed.operations.iter().any(|(operation, _)| operation.change == *change);
    let lacking = document.changes_since(heads).unwrap_or_default().into_iter();
    lacking.filter(|change| !own(change)).map(<[u8]>::to_vec).collect()
}

/// The document with the operation; `None` where it is in it already, handed in under an id that was forgotten. An error
/// without a refusal is a panic.
fn admit(
    document: &PersonalDocument,
    operation: &Operation,
    handed: &HandedIn,
) -> Result<Option<PersonalDocument>, Option<Refusal>> {
    let admit = || document.admit(&operation.change, handed.actor, handed.writer);
    // The document is only read: a panic leaves it as it was.
    match catch_unwind(AssertUnwindSafe(admit)) {
        Ok(Ok(next)) => Ok(Some(next)),
        Ok(Err(Refusal::Follow(FollowError::Known))) => Ok(None),
        Ok(Err(refusal)) => Err(Some(refusal)),
        Err(_) => Err(None),
    }
}

/// Petitions that were handed in, and whose last answer does not end the matter.
fn waiting(document: &PersonalDocument) -> BTreeSet<EntryId> {
    let petitions = document.view().petitions.into_iter();
    let waits = petitions.filter(|(_, petition)| {
        let settled = matches!(petition.state(), Some(PetitionState::Answered | PetitionState::Declined));
        petition.handed_in.is_some() && !settled
    });
    waits.map(|(id, _)| id).collect()
}
