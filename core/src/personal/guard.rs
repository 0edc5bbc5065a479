//! Admission of a change that somebody else made. It trusts nothing: not the bytes, not who sent them, not what they say.
//!
//! In this order, the cheap and the certain first: length; the chunk, read to its end without Automerge; whether it follows
//! from what is here; whose it is; each operation, its field, its value, and that it replaces what stood in that field for
//! whoever wrote it and nothing else; then Automerge, on a copy; then the size of what came out. A refused change leaves the
//! document as it was. Patches are never asked: they do not show a value that waits behind a conflict.
//!
//! What a machine writes itself passes here too, so no machine makes what another refuses. A caller that can catch a panic
//! still puts one around it: Automerge is large.

use super::chunk::{Chunk, ChunkError, Operation};
use super::document::PersonalDocument;
use super::history::FollowError;
use super::ids::{ActorId, Writer};
use super::key::{Key, Times};
use crate::limits::{
    OPERATION_BYTES_MAX, PERSONAL_ACTORS_MAX, PERSONAL_ANSWERS_MAX, PERSONAL_BYTES_MAX,
    PERSONAL_CHANGE_OPERATIONS_MAX, PERSONAL_CHANGES_MAX, PERSONAL_HEADS_MAX, PERSONAL_VALUES_BYTES_MAX,
    PERSONAL_VALUES_MAX,
};

/// Why a change was refused. The document is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than a change may be.
    #[error("a change of {got} bytes, at most {OPERATION_BYTES_MAX} allowed")]
    TooLong {
        /// The length found.
        got: usize,
    },
    /// Not a change of a personal document.
    #[error("not a change of a personal document")]
    Chunk(#[source] ChunkError),
    /// Does not follow from what is here.
    #[error("does not follow from what is here")]
    Follow(#[source] FollowError),
    /// Made in another's name.
    #[error("made in another's name")]
    Actor,
    /// The document has as many changes, bytes, actors or heads as it may have. It begins anew before it takes any more.
    #[error("the history is full")]
    HistoryFull,
    /// A field that there is not.
    #[error("a field that there is not")]
    Field,
    /// A field that is not this writer's.
    #[error("a field that is not this writer's")]
    Writer,
    /// A value that does not belong in its field.
    #[error("a value that does not belong in its field")]
    Value,
    /// Replaces something else than what stood in its field.
    #[error("replaces something else than what stood in its field")]
    Replaces,
    /// One field twice in one change.
    #[error("one field twice in one change")]
    Twice,
    /// What was handed in or answered already stands as it is.
    #[error("what stands there does not change any more")]
    Final,
    /// An answer to what was not handed in.
    #[error("an answer to what was not handed in")]
    NotHandedIn,
    /// Automerge did not take it.
    #[error("Automerge does not take it")]
    Merge,
    /// More values, or more bytes of them, than a document may hold. Something has to be taken away first.
    #[error("the document is full")]
    DocumentFull,
}

/// The document with one more change, made by `actor` in the name of a `writer`; the caller knows both from the connection.
pub(super) fn admit(
    document: &PersonalDocument,
    bytes: &[u8],
    actor: ActorId,
    writer: Writer,
) -> Result<PersonalDocument, Refusal> {
    if bytes.len() > OPERATION_BYTES_MAX {
        return Err(Refusal::TooLong { got: bytes.len() });
    }
    let chunk = Chunk::decode(bytes, PERSONAL_CHANGE_OPERATIONS_MAX).map_err(Refusal::Chunk)?;
    if chunk.actor != actor {
        return Err(Refusal::Actor);
    }
    document.history.check(&chunk).map_err(Refusal::Follow)?;
    if is_full(document, &actor, bytes.len()) {
        return Err(Refusal::HistoryFull);
    }
    for (place, operation) in chunk.operations.iter().enumerate() {
        if chunk.operations.iter().take(place).any(|other| other.key == operation.key) {
            return Err(Refusal::Twice);
        }
        check_operation(document, &chunk, operation, writer)?;
    }
    let mut after = document.clone();
    after.merge.apply(std::iter::once(bytes)).map_err(|_| Refusal::Merge)?;
    after.history.push(&chunk, bytes.to_vec());
    if after.history.heads().len() > PERSONAL_HEADS_MAX {
        return Err(Refusal::HistoryFull);
    }
    check_size(&after)?;
    Ok(after)
}

fn is_full(document: &PersonalDocument, actor: &ActorId, more_bytes: usize) -> bool {
    let history = &document.history;
    let new_actor = usize::from(!history.has_written(actor));
    history.changes().len() >= PERSONAL_CHANGES_MAX
        || history.bytes() + more_bytes > PERSONAL_BYTES_MAX
        || history.actors() + new_actor > PERSONAL_ACTORS_MAX
}

fn check_operation(
    document: &PersonalDocument,
    chunk: &Chunk,
    operation: &Operation,
    writer: Writer,
) -> Result<(), Refusal> {
    let key = Key::parse(&operation.key).ok_or(Refusal::Field)?;
    if !key.is_writable_by(writer) {
        return Err(Refusal::Writer);
    }
    if let Some(bytes) = &operation.value {
        key.decode_value(bytes).map_err(|_| Refusal::Value)?;
    }
    let stood = document.merge.operations_at(&operation.key, &chunk.deps);
    let takes_nothing_away = operation.value.is_none() && stood.is_empty();
    if operation.replaces != stood || takes_nothing_away {
        return Err(Refusal::Replaces);
    }
    if key.times() == Times::Once
        && (operation.value.is_none() || !document.merge.values(&operation.key).is_empty())
    {
        return Err(Refusal::Final);
    }
    match key {
        Key::Answer(petition, _) => {
            let handed_in = document.merge.values(&Key::HandedIn(petition).to_text());
            (!handed_in.is_empty()).then_some(()).ok_or(Refusal::NotHandedIn)
        }
        _ => Ok(()),
    }
}

fn check_size(document: &PersonalDocument) -> Result<(), Refusal> {
    let (mut values, mut bytes) = (0, 0);
    let mut answers = std::collections::BTreeMap::new();
    for (key, all) in document.merge.fields() {
        values += all.len();
        bytes += all.iter().map(|value| key.len() + value.len()).sum::<usize>();
        if let Some(Key::Answer(petition, _)) = Key::parse(&key) {
            *answers.entry(petition).or_insert(0_usize) += 1;
        }
    }
    let fits = values <= PERSONAL_VALUES_MAX
        && bytes <= PERSONAL_VALUES_BYTES_MAX
        && answers.values().all(|&count| count <= PERSONAL_ANSWERS_MAX);
    fits.then_some(()).ok_or(Refusal::DocumentFull)
}
