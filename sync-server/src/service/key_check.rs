//! Whether the store is sealed under the key at hand, asked before anything is read or written: under another key no
//! number would be found, and everything new would be lost to whoever holds the right one.

use super::Service;
use super::docs::{Found, decode};
use super::fault::ServiceFault;
use super::values::MemberV1;
use crate::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};
use bhyt_core::ids::MemberId;

impl<S: Store> Service<S> {
    /// Compares the store's mark of its key with ours. A store without one gets it, once a member has opened under our
    /// key; then nothing else is written by this.
    ///
    /// # Errors
    /// [`ServiceFault::WrongStoreKey`]; nothing was written.
    pub(crate) async fn check_store_key(&self) -> Result<(), ServiceFault> {
        let key = DocKey::new(DocKind::Meta, KEY_CHECK);
        let ours = self.vault.key_check();
        if let Some(doc) = self.store.doc_get(&key).await? {
            return if doc.bytes == ours { Ok(()) } else { Err(ServiceFault::WrongStoreKey) };
        }
        if let Some((member, doc)) = self.store.doc_scan(DocKind::Member, None, 1).await?.first() {
            let bad_id = |_| ServiceFault::Inconsistent { what: "member" };
            let id = MemberId(member.id.as_slice().try_into().map_err(bad_id)?);
            let found: Found<MemberV1> = decode("member", doc)?;
            let opened = self.vault.member_key(id, &found.value.wrapped_key);
            opened.map_err(|_| ServiceFault::WrongStoreKey)?;
        }
        let mark = DocWrite { key, expected: Expected::Absent, bytes: Some(ours.to_vec()) };
        match self.store.commit(Commit { docs: vec![mark], ..Commit::default() }).await? {
            Outcome::Applied => Ok(()),
            Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
        }
    }
}

const KEY_CHECK: &[u8] = b"key-check";
