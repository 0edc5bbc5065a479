//! Personal documents and outboxes of a phone's members, in the own store: every edit and its outbox entry are one commit,
//! and so are what the server answers and what follows from it.
//!
//! Promises: an edit that was made is shown and sent, whatever dies when; a receipt is verified before it is kept; a phone
//! that was restored from a backup notices by what the server has of it, and writes under a new name from then on.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bhyt_core::codec::{self, Schema};
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::KeyId;
use bhyt_core::limits::OUTBOX_ENTRIES_MAX;
use bhyt_core::operation::Rejection;
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::personal::edit::Edit;
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::entropy::{Entropy, make_bytes};
use bhyt_platform::kv::{Batch, Kv};

use crate::error::{Refused, SdkError};
use crate::personal_state::PersonalState;
use crate::personal_values::{
    StoredEntry, StoredPersonal, StoredReceipt, document_key, entries_prefix, header_key, numbered,
    receipts_prefix,
};
use crate::stored::{StoredError, put, put_long, read, read_long};
use crate::vault::Vault;

/// All of them. Loaded when first asked for.
#[derive(Debug)]
pub(crate) struct PersonalBook {
    pub(crate) store: Arc<dyn Kv>,
    vault: Vault,
    pub(crate) entropy: Arc<dyn Entropy>,
    states: Mutex<BTreeMap<MemberId, PersonalState>>,
}

/// Whose, under which key it is sealed, and as whom this phone writes.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) member: MemberId,
    pub(crate) key: SealKey,
    pub(crate) device: KeyId,
}

impl PersonalBook {
    pub(crate) fn new(store: Arc<dyn Kv>, vault: Vault, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, vault, entropy, states: Mutex::default() }
    }

    /// Makes an edit: durable when this returns. `None` when everything was so already.
    pub(crate) fn edit(
        &self,
        owner: &Owner,
        edit: Edit,
        now: UnixSeconds,
    ) -> Result<Option<OperationId>, SdkError> {
        let id = self.make_id();
        self.change(owner, |state, batch| {
            if state.entries.len() >= OUTBOX_ENTRIES_MAX {
                return Err(refused(Rejection::Full));
            }
            let made = state.edit(owner.device, id, edit, now);
            let Some(number) = made.map_err(|refusal| refused(refusal.into()))? else { return Ok(None) };
            self.put_entry(batch, owner, number, state)?;
            Ok(Some(id))
        })
    }

    /// Takes an entry out of the outbox for good; what it did is shown no more.
    pub(crate) fn discard(&self, owner: &Owner, id: OperationId, now: UnixSeconds) -> Result<bool, SdkError> {
        self.change_entry(owner, id, now, |state, number| {
            state.entries.remove(&number);
        })
    }

    /// Lets an entry that was refused wait again, under a new id.
    pub(crate) fn retry(&self, owner: &Owner, id: OperationId, now: UnixSeconds) -> Result<bool, SdkError> {
        let new = self.make_id();
        self.change_entry(owner, id, now, |state, number| {
            if let Some(entry) = state.entries.get_mut(&number).filter(|entry| entry.parked.is_some()) {
                (entry.parked, entry.replaces, entry.id) = (None, Some(entry.id), new);
            }
        })
    }

    /// Looks at a member's document and outbox.
    pub(crate) fn look<T>(
        &self,
        owner: &Owner,
        look: impl FnOnce(&PersonalState) -> T,
    ) -> Result<T, SdkError> {
        let mut states = self.states();
        Ok(look(self.loaded(&mut states, owner)?))
    }

    /// The receipts that are kept, oldest first.
    pub(crate) fn receipts(&self, owner: &Owner) -> Result<Vec<(u64, StoredReceipt)>, SdkError> {
        self.scan(owner, &receipts_prefix(owner.member))
    }

    /// Forgets everything of a member.
    pub(crate) fn remove(&self, member: MemberId) -> Result<(), SdkError> {
        self.states().remove(&member);
        for prefix in
            [header_key(member), document_key(member), entries_prefix(member), receipts_prefix(member)]
        {
            loop {
                let found = self.store.scan(&prefix, None, REMOVED_AT_A_TIME)?;
                let mut batch = Batch::new();
                for (key, _) in &found {
                    batch.delete(key)?;
                }
                if found.is_empty() {
                    break;
                }
                self.store.commit(batch)?;
            }
        }
        Ok(())
    }

    /// Changes a member's state and commits what `change` puts into the batch; in memory only when that is durable.
    pub(crate) fn change<T>(
        &self,
        owner: &Owner,
        change: impl FnOnce(&mut PersonalState, &mut Batch) -> Result<T, SdkError>,
    ) -> Result<T, SdkError> {
        let mut states = self.states();
        let mut state = self.loaded(&mut states, owner)?.clone();
        let mut batch = Batch::new();
        let done = change(&mut state, &mut batch)?;
        if !batch.is_empty() {
            let header = StoredPersonal { install: state.install, next: state.next };
            put(&mut batch, &header_key(owner.member), &header)?;
            self.store.commit(batch)?;
        }
        states.insert(owner.member, state);
        Ok(done)
    }

    /// Puts what the server has.
    pub(crate) fn put_document(
        &self,
        batch: &mut Batch,
        owner: &Owner,
        document: &PersonalDocument,
    ) -> Result<(), SdkError> {
        let key = document_key(owner.member);
        Ok(put_long(batch, &key, &self.vault.seal(&owner.key, &key, &document.save()))?)
    }

    /// Puts one entry of the outbox.
    pub(crate) fn put_entry(
        &self,
        batch: &mut Batch,
        owner: &Owner,
        number: u64,
        state: &PersonalState,
    ) -> Result<(), SdkError> {
        let place = numbered(&entries_prefix(owner.member), number);
        match state.entries.get(&number) {
            Some(entry) => self.put_sealed(batch, owner, &place, entry),
            None => Ok(batch.delete(&place)?),
        }
    }

    pub(crate) fn put_sealed<T: Schema>(
        &self,
        batch: &mut Batch,
        owner: &Owner,
        place: &[u8],
        value: &T,
    ) -> Result<(), SdkError> {
        let body = codec::encode(value).map_err(StoredError::from)?;
        Ok(batch.put(place, &self.vault.seal(&owner.key, place, &body))?)
    }

    pub(crate) fn make_id(&self) -> OperationId {
        OperationId(make_bytes(self.entropy.as_ref()))
    }

    fn change_entry(
        &self,
        owner: &Owner,
        id: OperationId,
        now: UnixSeconds,
        change: impl FnOnce(&mut PersonalState, u64),
    ) -> Result<bool, SdkError> {
        self.change(owner, |state, batch| {
            let found = state.entries.iter().find(|(_, entry)| entry.id == id).map(|(number, _)| *number);
            let Some(number) = found else { return Ok(false) };
            let before: Vec<u64> = state.entries.keys().copied().collect();
            change(state, number);
            state.rebase(owner.device, now, || self.make_id());
            for number in before {
                self.put_entry(batch, owner, number, state)?;
            }
            Ok(true)
        })
    }

    fn loaded<'s>(
        &self,
        states: &'s mut BTreeMap<MemberId, PersonalState>,
        owner: &Owner,
    ) -> Result<&'s PersonalState, SdkError> {
        Ok(match states.entry(owner.member) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => place.insert(self.load(owner)?),
        })
    }

    fn load(&self, owner: &Owner) -> Result<PersonalState, SdkError> {
        let header = read::<StoredPersonal>(self.store.as_ref(), &header_key(owner.member))?;
        let place = document_key(owner.member);
        let acked = match read_long(self.store.as_ref(), &place)? {
            Some(sealed) => {
                let saved = owner.key.open(&place, &sealed).map_err(StoredError::from)?;
                PersonalDocument::load(&saved).map_err(SdkError::system)?
            }
            None => PersonalDocument::begin(owner.member),
        };
        let entries: Vec<(u64, StoredEntry)> = self.scan(owner, &entries_prefix(owner.member))?;
        let header =
            header.unwrap_or_else(|| StoredPersonal { install: make_bytes(self.entropy.as_ref()), next: 0 });
        let mut state = PersonalState {
            shown: acked.clone(),
            acked,
            install: header.install,
            next: header.next,
            entries: entries.into_iter().collect(),
            whole: false,
        };
        let waiting: Vec<Vec<u8>> = state.waiting().map(|entry| entry.change.clone()).collect();
        state.shown.apply(waiting.iter().map(Vec::as_slice)).map_err(SdkError::system)?;
        Ok(state)
    }

    fn scan<T: Schema>(&self, owner: &Owner, prefix: &[u8]) -> Result<Vec<(u64, T)>, SdkError> {
        let mut found = Vec::new();
        for (place, sealed) in self.store.scan(prefix, None, OUTBOX_ENTRIES_MAX + RECEIPTS_MAX)? {
            let number = place.last_chunk().map(|number| u64::from_be_bytes(*number));
            let body = owner.key.open(&place, &sealed).map_err(StoredError::from)?;
            let value = codec::decode(&body).map_err(StoredError::from)?;
            found.push((number.ok_or(StoredError::Parts)?, value));
        }
        Ok(found)
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<MemberId, PersonalState>> {
        // A panic while changing leaves the state before: each change is one assignment.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(why: Rejection) -> SdkError {
    SdkError::Refused { why: Refused::Edit(why) }
}

/// Receipts kept at most.
pub(crate) const RECEIPTS_MAX: usize = 512;
const REMOVED_AT_A_TIME: usize = 128;
