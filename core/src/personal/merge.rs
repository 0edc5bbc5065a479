//! Automerge, and nothing else, in one module: a map of byte strings that several machines change while apart.
//!
//! Promises: only changes that [`super::chunk`] has read come in; nothing random gets out, although Automerge draws an
//! actor id for every new document: it is put away before anything is written. Which of several values wins is
//! Automerge's rule, the greatest operation id.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{Automerge, Change, ExpandedChange, ObjId, ROOT, ReadDoc, ScalarValue};

use super::chunk::OpId;
use super::ids::{ActorId, ChangeHash};

/// A merged map.
#[derive(Clone, Debug)]
pub(crate) struct Merge(Automerge);

/// Automerge refused what [`super::chunk`] had let through, or what we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Automerge does not take this change")]
pub struct MergeError;

impl Merge {
    /// The empty map.
    pub(crate) fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the random actor id is replaced at once")]
        let empty = Automerge::new();
        Self(empty.with_actor(automerge::ActorId::from([0_u8; 16])))
    }

    /// Takes changes whose dependencies are here or among them, and which have been read by [`super::chunk`].
    pub(crate) fn apply<'a>(&mut self, changes: impl Iterator<Item = &'a [u8]>) -> Result<(), MergeError> {
        let changes = changes.map(read_canonical).collect::<Result<Vec<_>, _>>()?;
        self.0.apply_changes(changes).map_err(|_| MergeError)
    }

    /// Writes fields as `actor` in one change, and returns its bytes; `None` when everything was so already.
    pub(crate) fn write(
        &mut self,
        actor: ActorId,
        fields: impl Iterator<Item = (String, Option<Vec<u8>>)>,
    ) -> Result<Option<Vec<u8>>, MergeError> {
        self.0.set_actor(automerge::ActorId::from(actor.0));
        let mut transaction = self.0.transaction();
        for (key, value) in fields {
            let written = match value {
                Some(bytes) => transaction.put(ROOT, key, ScalarValue::Bytes(bytes)),
                None => transaction.delete(ROOT, key),
            };
            written.map_err(|_| MergeError)?;
        }
        let (hash, _) = transaction.commit_with(CommitOptions::default().with_time(0));
        let Some(hash) = hash else { return Ok(None) };
        let change = self.0.get_change_by_hash(&hash).ok_or(MergeError)?;
        Ok(Some(change.raw_bytes().to_vec()))
    }

    /// Every field with its values, the winner first.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
        self.0.keys(ROOT).map(|key| {
            let values = self.values(&key);
            (key, values)
        })
    }

    /// The values of one field, the winner first.
    pub(crate) fn values(&self, key: &str) -> Vec<Vec<u8>> {
        let all = self.0.get_all(ROOT, key).unwrap_or_default();
        all.into_iter().rev().filter_map(|(value, _)| value.into_bytes().ok()).collect()
    }

    /// The operations whose values stood in a field for whoever knew `heads`, in order.
    pub(crate) fn operations_at(&self, key: &str, heads: &[ChangeHash]) -> Vec<OpId> {
        let heads: Vec<automerge::ChangeHash> =
            heads.iter().map(|hash| automerge::ChangeHash(hash.0)).collect();
        let all = self.0.get_all_at(ROOT, key, &heads).unwrap_or_default();
        let mut operations: Vec<OpId> = all.into_iter().filter_map(|(_, id)| operation(&id)).collect();
        operations.sort_unstable();
        operations
    }
}

/// A change that Automerge would write in these very bytes. The chunk was read to its end already, so an actor that is not
/// there, or more operations than there may be, do not come this far.
fn read_canonical(bytes: &[u8]) -> Result<Change, MergeError> {
    let change = Change::try_from(bytes).map_err(|_| MergeError)?;
    let again = Change::from(ExpandedChange::from(&change));
    (again.raw_bytes() == bytes).then_some(change).ok_or(MergeError)
}

fn operation(id: &ObjId) -> Option<OpId> {
    match id {
        ObjId::Id(counter, actor, _) => {
            Some(OpId { counter: *counter, actor: ActorId(actor.to_bytes().try_into().ok()?) })
        }
        ObjId::Root => None,
    }
}
