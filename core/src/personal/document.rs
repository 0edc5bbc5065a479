//! One member's personal document: edited here, merged with what others edited, stored, and begun anew.
//!
//! ```
//! use bhyt_core::ids::MemberId;
//! use bhyt_core::keys::KeyId;
//! use bhyt_core::personal::document::PersonalDocument;
//! use bhyt_core::personal::edit::Edit;
//! use bhyt_core::personal::ids::{ActorId, Writer};
//! use bhyt_core::personal::values::Phone;
//!
//! // The same beginning on the phone, which has not met the server yet, and on the server.
//! let mut phone = PersonalDocument::begin(MemberId([1; 16]));
//! let server = PersonalDocument::begin(MemberId([1; 16]));
//!
//! let actor = ActorId::new(KeyId([2; 8]), [3; 8]);
//! let edit = Edit::Phone(Phone::parse("0912345678"));
//! let change = phone.edit(&edit, actor, Writer::Device)?.expect("nothing stood there");
//!
//! let server = server.admit(&change, actor, Writer::Device)?;
//! assert_eq!(server.view(), phone.view());
//! # Ok::<(), bhyt_core::personal::guard::Refusal>(())
//! ```
//!
//! Promises: whatever the order in which changes arrive, the same changes give the same view. Loading and applying are
//! bounded and do not panic. A rebuilt document has the same values, conflicts included, and none of the past.
//! Refuses changes of another member or generation: every change builds on the beginning, which names both.

use std::fmt;

use super::chunk::{Chunk, ChunkError};
use super::edit::Edit;
use super::guard::{self, Refusal};
use super::history::{FollowError, History};
use super::ids::{ActorId, ChangeHash, EntryId, Writer};
use super::key::{Key, Value};
use super::merge::{Merge, MergeError};
use super::stored::{self, StoredError};
use super::view::PersonalView;
use crate::ids::MemberId;
use crate::limits::{
    PERSONAL_BESIDE_MAX, PERSONAL_BYTES_MAX, PERSONAL_BYTES_REBUILD, PERSONAL_CHANGES_MAX,
    PERSONAL_CHANGES_REBUILD, PERSONAL_VALUES_MAX,
};
use crate::operation::Generation;

/// A document in memory.
#[derive(Clone)]
pub struct PersonalDocument {
    member: MemberId,
    generation: Generation,
    pub(super) history: History,
    pub(super) merge: Merge,
}

/// Why changes from the server, or stored bytes, do not make a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The stored form is not one.
    #[error("stored bytes do not open")]
    Stored(#[from] StoredError),
    /// Not a change of a personal document.
    #[error("not a change of a personal document")]
    Chunk(#[from] ChunkError),
    /// Changes that do not follow from what is here and from each other.
    #[error("changes that do not follow")]
    Follow(#[from] FollowError),
    /// Not the beginning of a document.
    #[error("not the beginning of a document")]
    Beginning,
    /// More changes or bytes than a document may have.
    #[error("more than a document may have")]
    TooLarge,
    /// Automerge did not take them.
    #[error("changes that do not merge")]
    Merge(#[from] MergeError),
}

impl PersonalDocument {
    /// A member's first document, with nothing in it: the same bytes wherever it is made.
    pub fn begin(member: MemberId) -> Self {
        Self::begin_generation(member, Generation::FIRST)
    }

    /// The beginning of a later one of a member's documents, as [`Self::begin`].
    pub fn begin_generation(member: MemberId, generation: Generation) -> Self {
        let mut merge = Merge::new();
        let identity = (Key::Identity.to_text(), Some(Value::Identity(member, generation).encode()));
        let written = merge.write(ActorId::rebuild(0), std::iter::once(identity));
        let change = written.ok().flatten().expect("the first value of an empty map is a change");
        let chunk = Chunk::decode(&change, 1).expect("one byte string at one key");
        let mut history = History::default();
        history.push(&chunk, change);
        Self { member, generation, history, merge }
    }

    /// Reads what [`Self::save`] wrote.
    pub fn load(bytes: &[u8]) -> Result<Self, ApplyError> {
        let changes = stored::decode(bytes)?;
        let first = Chunk::decode(changes.first().ok_or(ApplyError::Beginning)?, 1)?;
        let identity = first.operations.first().and_then(|operation| operation.value.as_deref());
        let Some(Ok(Value::Identity(member, generation))) = identity.map(|it| Key::Identity.decode_value(it))
        else {
            return Err(ApplyError::Beginning);
        };
        let mut document = Self::begin_generation(member, generation);
        if !document.history.knows(&first.hash) {
            return Err(ApplyError::Beginning);
        }
        document.apply(changes.iter().skip(1).map(Vec::as_slice))?;
        Ok(document)
    }

    /// Makes an edit. Returns the change to be sent; `None` when everything was so already. Refused as the server would.
    pub fn edit(&mut self, edit: &Edit, actor: ActorId, writer: Writer) -> Result<Option<Vec<u8>>, Refusal> {
        let fields =
            edit.writes().into_iter().map(|(key, value)| (key.to_text(), value.map(|it| it.encode())));
        let written = self.merge.clone().write(actor, fields).map_err(|_| Refusal::Merge)?;
        let Some(change) = written else { return Ok(None) };
        *self = self.admit(&change, actor, writer)?;
        Ok(Some(change))
    }

    /// The document with a change that `actor` sent in the name of a `writer`; see [`guard`].
    pub fn admit(&self, change: &[u8], actor: ActorId, writer: Writer) -> Result<Self, Refusal> {
        guard::admit(self, change, actor, writer)
    }

    /// Takes changes that the server has admitted, in any order; those that are here already are passed over. Returns how
    /// many were new. Takes all of them or none.
    pub fn apply<'a>(&mut self, changes: impl Iterator<Item = &'a [u8]>) -> Result<usize, ApplyError> {
        let mut waiting = Vec::new();
        let mut room = PERSONAL_BYTES_MAX;
        for bytes in changes {
            room = room.checked_sub(bytes.len()).ok_or(ApplyError::TooLarge)?;
            let chunk = Chunk::decode(bytes, PERSONAL_VALUES_MAX)?;
            waiting.push((chunk, bytes));
            if waiting.len() > PERSONAL_CHANGES_MAX {
                return Err(ApplyError::TooLarge);
            }
        }
        let mut history = self.history.clone();
        let mut taken = Vec::new();
        let mut hole = None;
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(chunk, bytes)| match history.check(chunk) {
                Ok(()) => {
                    history.push(chunk, bytes.to_vec());
                    taken.push(*bytes);
                    false
                }
                Err(FollowError::Known) => false,
                Err(error) => {
                    hole = Some(error);
                    true
                }
            });
            if let (Some(error), true) = (hole, waiting.len() == before) {
                return Err(error.into());
            }
        }
        if history.changes().len() > PERSONAL_CHANGES_MAX || history.bytes() > PERSONAL_BYTES_MAX {
            return Err(ApplyError::TooLarge);
        }
        let mut merge = self.merge.clone();
        merge.apply(taken.iter().copied())?;
        (self.history, self.merge) = (history, merge);
        Ok(taken.len())
    }

    /// The next generation: the same values, those beside them too (at most [`PERSONAL_BESIDE_MAX`] a field), and
    /// no trace of any other.
    ///
    /// Who makes it from the same changes gets the same bytes. Edits that were not admitted yet are made again on it.
    pub fn rebuild(&self) -> Self {
        self.rebuild_without(&[])
    }

    /// As [`Self::rebuild`], without some petitions, their drafts and answers: what was handed in has no other way out.
    pub fn rebuild_without(&self, petitions: &[EntryId]) -> Self {
        let mut next = Self::begin_generation(self.member, self.generation.next());
        let stays = |key: &str| match Key::parse(key) {
            Some(Key::Identity) => false,
            Some(Key::Draft(id) | Key::HandedIn(id) | Key::Answer(id, _)) => !petitions.contains(&id),
            _ => true,
        };
        let fields: Vec<(String, Vec<Vec<u8>>)> = self.merge.fields().filter(|(key, _)| stays(key)).collect();
        let ranks = fields.iter().map(|(_, values)| values.len()).max().unwrap_or(0).min(PERSONAL_BESIDE_MAX);
        // One writer a rank, each knowing the beginning alone. The fields of a rank are some of those of the rank before it,
        // in one order, so no worse value gets a higher operation number; at a tie the better rank has the greater actor id.
        let beginning = next.merge.clone();
        let changes: Vec<Vec<u8>> = (0..ranks)
            .filter_map(|rank| {
                let of_rank = fields
                    .iter()
                    .filter_map(|(key, values)| Some((key.clone(), Some(values.get(rank)?.clone()))));
                let actor = ActorId::rebuild(u64::MAX - rank as u64);
                beginning.clone().write(actor, of_rank).expect("a key of the root takes bytes")
            })
            .collect();
        next.apply(changes.iter().map(Vec::as_slice)).expect("values of a document fit into a document");
        next
    }

    /// The document without a change that the server refused, and without what builds on it. The edits that were dropped
    /// with it are then made again.
    pub fn without(&self, refused: ChangeHash) -> Self {
        let mut kept = Self::begin_generation(self.member, self.generation);
        let changes = self.history.without(&refused);
        kept.apply(changes.into_iter()).expect("what was merged with more merges with less");
        kept
    }

    /// Whose it is.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// Which of the member's documents.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The newest changes: those that no other builds on. With them a machine says what it has.
    pub fn heads(&self) -> Vec<ChangeHash> {
        self.history.heads()
    }

    /// What somebody lacks who has `heads` and all that they build on, in an order in which it can be applied. `None` when
    /// one of them is not here.
    pub fn changes_since(&self, heads: &[ChangeHash]) -> Option<Vec<&[u8]>> {
        self.history.since(heads)
    }

    /// How many changes it holds.
    pub fn changes(&self) -> usize {
        self.history.changes().len()
    }

    /// Whether a change is in it.
    pub fn knows(&self, change: &ChangeHash) -> bool {
        self.history.knows(change)
    }

    /// Whether enough of the past has gathered that the server should [`Self::rebuild`].
    pub fn wants_rebuild(&self) -> bool {
        self.changes() >= PERSONAL_CHANGES_REBUILD || self.history.bytes() >= PERSONAL_BYTES_REBUILD
    }

    /// Everything in it.
    pub fn view(&self) -> PersonalView {
        PersonalView::of(self.merge.fields())
    }

    /// For a store: schema number first, bounded by [`crate::limits::PERSONAL_STORED_BYTES_MAX`].
    pub fn save(&self) -> Vec<u8> {
        stored::encode(&self.history)
    }
}

/// The name of a change, of bytes that were made or admitted here.
pub fn change_hash(change: &[u8]) -> Option<ChangeHash> {
    super::chunk::hash(change).ok()
}

/// Who wrote a change, of bytes that were made or admitted here.
pub fn change_actor(change: &[u8]) -> Option<ActorId> {
    Chunk::decode(change, PERSONAL_VALUES_MAX).ok().map(|chunk| chunk.actor)
}

impl fmt::Debug for PersonalDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonalDocument({}, {:?}, {} changes)", self.member, self.generation, self.changes())
    }
}
