//! The phone's own store: the trust bundle, the server, the members with their wrapped keys, how far each feed was ever
//! verified, and the proof where a server signed two feeds. Small, journaled, irreplaceable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bhyt_core::cose::Verified;
use bhyt_core::feed::FeedHead;
use bhyt_core::ids::MemberId;
use bhyt_core::limits::WALLET_MEMBERS_MAX;
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, TrustBundle};
use bhyt_platform::kv::{Batch, Kv};

use crate::error::SdkError;
use crate::stored::{
    StoredError, StoredFork, StoredGrant, StoredHead, StoredMark, StoredMember, StoredPossession,
    StoredServer, put, put_long, read, read_long,
};
use crate::vault::Vault;

/// What the own store holds, read at opening and kept in step with it.
#[derive(Debug)]
pub(crate) struct WalletOwn {
    store: Arc<dyn Kv>,
    vault: Vault,
}

/// A member that the server has just given to this device, and how it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) member: MemberId,
    pub(crate) trust: Verified<TrustBundle>,
    pub(crate) server: String,
    pub(crate) possession: StoredPossession,
    pub(crate) now: UnixSeconds,
}

/// A member as the own store knows it.
#[derive(Clone, Debug)]
pub(crate) struct OwnMember {
    pub(crate) key: SealKey,
    pub(crate) mark: Option<FeedHead>,
    pub(crate) fork: Option<StoredFork>,
    pub(crate) grant: Option<StoredGrant>,
}

impl WalletOwn {
    pub(crate) fn new(store: Arc<dyn Kv>, vault: Vault) -> Self {
        Self { store, vault }
    }

    /// Makes a member's key and keeps it with the bundle, the server and the proof, all in one commit. A member that is
    /// there already keeps its key.
    pub(crate) fn add_member(&self, admitted: &Admitted) -> Result<SealKey, SdkError> {
        let Admitted { member, trust, server, possession, now } = admitted;
        let (member, now) = (*member, *now);
        let place = member_key(member);
        let mut batch = Batch::new();
        let key = match read::<StoredMember>(self.store.as_ref(), &place)? {
            Some(held) => self.open_key(&place, &held)?,
            None => {
                let (key, wrapped_key) = self.vault.make_key(&place);
                put(&mut batch, &place, &StoredMember { wrapped_key, activated_at: now })?;
                key
            }
        };
        put_long(&mut batch, TRUST_KEY, trust.bytes())?;
        put(&mut batch, SERVER_KEY, &StoredServer { address: server.clone() })?;
        put(&mut batch, POSSESSION_KEY, possession)?;
        // From now on the member is here in their own right.
        batch.delete(&grant_key(member))?;
        self.store.commit(batch)?;
        Ok(key)
    }

    /// Keeps a grant, with a key for its dependant; one that is there stays.
    pub(crate) fn keep_grant(&self, grant: &StoredGrant) -> Result<SealKey, SdkError> {
        let (place, activated_at) = (member_key(grant.grant.dependant), grant.grant.time);
        let mut batch = Batch::new();
        let key = match read::<StoredMember>(self.store.as_ref(), &place)? {
            Some(held) => self.open_key(&place, &held)?,
            None => {
                let (key, wrapped_key) = self.vault.make_key(&place);
                put(&mut batch, &place, &StoredMember { wrapped_key, activated_at })?;
                key
            }
        };
        put(&mut batch, &grant_key(grant.grant.dependant), grant)?;
        self.store.commit(batch)?;
        Ok(key)
    }

    /// Removes a member's key, mark and evidence: what the cache still holds can no longer be read.
    pub(crate) fn remove_member(&self, member: MemberId) -> Result<(), SdkError> {
        let mut batch = Batch::new();
        batch.delete(&member_key(member))?;
        batch.delete(&mark_key(member))?;
        batch.delete(&head_key(member))?;
        batch.delete(&fork_key(member))?;
        batch.delete(&grant_key(member))?;
        Ok(self.store.commit(batch)?)
    }

    /// Keeps a newer bundle.
    pub(crate) fn keep_trust(&self, trust: &Verified<TrustBundle>) -> Result<(), SdkError> {
        let mut batch = Batch::new();
        put_long(&mut batch, TRUST_KEY, trust.bytes())?;
        Ok(self.store.commit(batch)?)
    }

    /// Keeps a head, or the statement of a new epoch, as the furthest verified, as it was signed. Comes before anything that relies on it.
    pub(crate) fn keep_mark(&self, mark: FeedHead, signed: &[u8]) -> Result<(), SdkError> {
        let signed = signed.to_vec();
        let mut batch = Batch::new();
        put(&mut batch, &mark_key(mark.member), &StoredMark { head: mark })?;
        put(&mut batch, &head_key(mark.member), &StoredHead { signed })?;
        Ok(self.store.commit(batch)?)
    }

    /// Keeps a head that parts from the mark, and the mark's own beside it.
    pub(crate) fn keep_fork(
        &self,
        member: MemberId,
        disputed: &Verified<FeedHead>,
    ) -> Result<StoredFork, SdkError> {
        let held = read::<StoredHead>(self.store.as_ref(), &head_key(member))?;
        let fork = StoredFork {
            time: disputed.claims().time,
            disputed: disputed.bytes().to_vec(),
            held: held.map(|held| held.signed),
        };
        let mut batch = Batch::new();
        put(&mut batch, &fork_key(member), &fork)?;
        self.store.commit(batch)?;
        Ok(fork)
    }

    /// The members of this phone.
    pub(crate) fn members(&self) -> Result<BTreeMap<MemberId, OwnMember>, SdkError> {
        let mut members = BTreeMap::new();
        for (place, bytes) in self.scan_members()? {
            let id = place.get(1..).and_then(|id| id.try_into().ok()).map(MemberId);
            let id = id.ok_or(StoredError::Parts)?;
            let held = bhyt_core::codec::decode(&bytes).map_err(StoredError::from)?;
            let key = self.open_key(&place, &held)?;
            let mark = read::<StoredMark>(self.store.as_ref(), &mark_key(id))?;
            let fork = read::<StoredFork>(self.store.as_ref(), &fork_key(id))?;
            let grant = read::<StoredGrant>(self.store.as_ref(), &grant_key(id))?;
            members.insert(id, OwnMember { key, mark: mark.map(|mark| mark.head), fork, grant });
        }
        Ok(members)
    }

    /// The bundle in hand. It was verified when it came; here it only has to be whole.
    pub(crate) fn trust(&self) -> Result<Option<Verified<TrustBundle>>, SdkError> {
        let bytes = read_long(self.store.as_ref(), TRUST_KEY)?;
        Ok(bytes.map(|bytes| trust::anchor(&bytes)).transpose()?)
    }

    /// Where the server is.
    pub(crate) fn server(&self) -> Result<Option<String>, SdkError> {
        let server = read::<StoredServer>(self.store.as_ref(), SERVER_KEY)?;
        Ok(server.map(|server| server.address))
    }

    /// The signed head, or statement, that the mark was taken from.
    pub(crate) fn signed_head(&self, member: MemberId) -> Result<Option<Vec<u8>>, SdkError> {
        let head = read::<StoredHead>(self.store.as_ref(), &head_key(member))?;
        Ok(head.map(|head| head.signed))
    }

    /// The proof made at the last activation; `None` when that was done by a program that did not keep it.
    pub(crate) fn possession(&self) -> Result<Option<StoredPossession>, SdkError> {
        Ok(read(self.store.as_ref(), POSSESSION_KEY)?)
    }

    fn scan_members(&self) -> Result<Vec<bhyt_platform::kv::Pair>, StoredError> {
        Ok(self.store.scan(&[MEMBER_TAG], None, WALLET_MEMBERS_MAX)?)
    }

    fn open_key(&self, place: &[u8], held: &StoredMember) -> Result<SealKey, SdkError> {
        let key = self.vault.open_key(place, &held.wrapped_key);
        Ok(key.map_err(StoredError::from)?)
    }
}

fn member_key(member: MemberId) -> Vec<u8> {
    [&[MEMBER_TAG], member.0.as_slice()].concat()
}

fn mark_key(member: MemberId) -> Vec<u8> {
    [b"m", member.0.as_slice()].concat()
}

fn head_key(member: MemberId) -> Vec<u8> {
    [b"h", member.0.as_slice()].concat()
}

fn fork_key(member: MemberId) -> Vec<u8> {
    [b"f", member.0.as_slice()].concat()
}

fn grant_key(member: MemberId) -> Vec<u8> {
    [b"g", member.0.as_slice()].concat()
}

const MEMBER_TAG: u8 = b'k';
const POSSESSION_KEY: &[u8] = b"p";
const SERVER_KEY: &[u8] = b"s";
const TRUST_KEY: &[u8] = b"t";
