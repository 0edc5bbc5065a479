//! Whether the store is sealed under the key at hand, asked before anything is read or written: under another key no
//! number would be found, and everything new would be lost to whoever holds the right one.

use super::Service;
use super::docs::{Found, decode, write};
use super::fault::ServiceFault;
use super::parts::MemberKeysMark;
use super::values_members::{MemberKeysMarkV1, MemberV2};
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
            let found: Found<MemberV2> = decode("member", doc)?;
            let opened = self.vault.member_key(id, &found.value.wrapped_key, &*self.entropy);
            opened.map_err(|_| ServiceFault::WrongStoreKey)?;
        }
        let mark = DocWrite { key, expected: Expected::Absent, bytes: Some(ours.to_vec()) };
        match self.store.commit(Commit { docs: vec![mark], ..Commit::default() }).await? {
            Outcome::Applied => Ok(()),
            Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
        }
    }
}

impl<S: Store> Service<S> {
    /// Compares the store's mark of the members' keys with those at hand, and notes how many were erased.
    ///
    /// # Errors
    /// [`ServiceFault::WrongMemberKeys`]; nothing was written.
    pub(crate) async fn check_member_keys(&self) -> Result<(), ServiceFault> {
        check_members_mark(&self.store, self.vault.members_mark()).await
    }
}

/// Compares a store's mark of the members' keys with those at hand: under another tree nobody could be read, and under an
/// older copy whoever was erased would be back. Notes how many were erased.
///
/// # Errors
/// [`ServiceFault::WrongMemberKeys`]; nothing was written.
pub async fn check_members_mark<S: Store>(store: &S, mark: MemberKeysMark) -> Result<(), ServiceFault> {
    let key = DocKey::new(DocKind::Meta, MEMBER_KEYS);
    let MemberKeysMark { tree, erased } = mark;
    let ours = MemberKeysMarkV1 { tree, erased };
    let doc = store.doc_get(&key).await?;
    let found: Option<Found<MemberKeysMarkV1>> = doc.map(|doc| decode("mark", &doc)).transpose()?;
    let expected = match found {
        Some(found) if found.value == ours => return Ok(()),
        Some(found) if found.value.tree != tree || found.value.erased > erased => {
            return Err(ServiceFault::WrongMemberKeys);
        }
        Some(found) => Expected::Revision(found.revision),
        None => Expected::Absent,
    };
    let mark = write("mark", key, expected, &ours)?;
    match store.commit(Commit { docs: vec![mark], ..Commit::default() }).await? {
        Outcome::Applied => Ok(()),
        Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
    }
}

const KEY_CHECK: &[u8] = b"key-check";
const MEMBER_KEYS: &[u8] = b"member-keys";
