//! Documents as typed values: read with their revision, and written so that a lost race is noticed. Members and cards
//! are opened here and sealed again, each bound to its place.

use bhyt_core::codec::{self, Schema};
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::keys::KeyId;
use bhyt_core::seal::SealKey;
use bhyt_core::sync::audit::AuditSubject;
use bhyt_platform::entropy::{Entropy, make_bytes};

use super::Service;
use super::fault::ServiceFault;
use super::values::{CardDetailsV2, CardV1, MemberDetailsV1};
use super::values_members::{MemberV2, WrappedKeyV1};
use crate::store::{Doc, DocKey, DocKind, DocWrite, Expected, Store};

/// A stored value and the revision it was read at.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) revision: u64,
    pub(crate) value: T,
}

/// A member, opened.
pub(crate) struct OpenMember {
    pub(crate) id: MemberId,
    pub(crate) expected: Expected,
    pub(crate) key: SealKey,
    pub(crate) wrapped_key: WrappedKeyV1,
    pub(crate) details: MemberDetailsV1,
}

impl OpenMember {
    /// How the audit trail names the member.
    pub(crate) fn subject(&self) -> AuditSubject {
        AuditSubject::Member(self.id.into())
    }

    /// The write that stores the details as they are now.
    pub(crate) fn write(&self, entropy: &dyn Entropy) -> Result<DocWrite, ServiceFault> {
        let body = encode("member's details", &self.details)?;
        let place = member_place(self.id);
        let sealed = self.key.seal(&place, &body, &make_bytes::<24>(entropy));
        let value = MemberV2 { wrapped_key: self.wrapped_key.clone(), sealed };
        write("member", member_key(self.id), self.expected, &value)
    }
}

/// A card, opened.
pub(crate) struct OpenCard {
    pub(crate) index: StatusIndex,
    pub(crate) member: MemberId,
    pub(crate) expected: Expected,
    pub(crate) details: CardDetailsV2,
}

impl OpenCard {
    /// How the audit trail names the card.
    pub(crate) fn subject(&self) -> AuditSubject {
        AuditSubject::Card { member: self.member.into(), index: self.index }
    }

    /// The write that stores the card as it is now. `key` is its member's.
    pub(crate) fn write(&self, key: &SealKey, entropy: &dyn Entropy) -> Result<DocWrite, ServiceFault> {
        let body = encode("card's details", &self.details)?;
        let sealed = key.seal(&card_place(self.index), &body, &make_bytes::<24>(entropy));
        let value = CardV1 { member: self.member, sealed };
        write("card", card_key(self.member, self.index), self.expected, &value)
    }
}

impl<S: Store> Service<S> {
    /// One document as a value.
    pub(crate) async fn doc<T: Schema>(
        &self,
        what: &'static str,
        key: &DocKey,
    ) -> Result<Option<Found<T>>, ServiceFault> {
        let doc = self.store.doc_get(key).await?;
        doc.map(|doc| decode(what, &doc)).transpose()
    }

    /// Opens a member; `None` when there is none, or none any more.
    pub(crate) async fn open_member(&self, id: MemberId) -> Result<Option<OpenMember>, ServiceFault> {
        if self.is_being_erased(id) {
            return Ok(None);
        }
        self.open_any_member(id).await
    }

    /// Opens a member, also one that is being erased.
    pub(crate) async fn open_any_member(&self, id: MemberId) -> Result<Option<OpenMember>, ServiceFault> {
        let Some(found) = self.doc::<MemberV2>("member", &member_key(id)).await? else {
            return Ok(None);
        };
        let opened = self.vault.member_key(id, &found.value.wrapped_key, &*self.entropy)?;
        let Some((key, wrapped_key)) = opened else { return Ok(None) };
        let details = open("member", &key, &member_place(id), &found.value.sealed)?;
        Ok(Some(OpenMember { id, expected: Expected::Revision(found.revision), key, wrapped_key, details }))
    }

    /// Opens a card of this member; it must be there.
    pub(crate) async fn open_card(
        &self,
        member: &OpenMember,
        index: StatusIndex,
    ) -> Result<OpenCard, ServiceFault> {
        let missing = ServiceFault::Inconsistent { what: "card" };
        let found: Found<CardV1> = self.doc("card", &card_key(member.id, index)).await?.ok_or(missing)?;
        if found.value.member != member.id {
            return Err(ServiceFault::Inconsistent { what: "card" });
        }
        let details = open("card", &member.key, &card_place(index), &found.value.sealed)?;
        Ok(OpenCard { index, member: member.id, expected: Expected::Revision(found.revision), details })
    }

    /// All cards of a member, oldest first.
    pub(crate) async fn open_cards(&self, member: &OpenMember) -> Result<Vec<OpenCard>, ServiceFault> {
        let mut cards = Vec::with_capacity(member.details.cards.len());
        for index in &member.details.cards {
            cards.push(self.open_card(member, *index).await?);
        }
        Ok(cards)
    }
}

/// Where a member's document stands.
pub(crate) fn member_key(id: MemberId) -> DocKey {
    DocKey::new(DocKind::Member, id.0)
}

/// Where a card's document stands.
pub(crate) fn card_key(member: MemberId, index: StatusIndex) -> DocKey {
    DocKey::new(DocKind::Card, [member.0.as_slice(), &index.0.to_be_bytes()].concat())
}

/// Whose card's document this is, and its place in the status list.
pub(crate) fn card_of_key(key: &DocKey) -> Option<(MemberId, StatusIndex)> {
    let (member, index) = key.id.split_first_chunk()?;
    Some((MemberId(*member), StatusIndex(u32::from_be_bytes(index.try_into().ok()?))))
}

/// Where the document of a key holder of this kind stands.
pub(crate) fn holder_key(kind: DocKind, id: KeyId) -> DocKey {
    DocKey::new(kind, id.0)
}

/// Reads a document's value.
pub(crate) fn decode<T: Schema>(what: &'static str, doc: &Doc) -> Result<Found<T>, ServiceFault> {
    let value = codec::decode(&doc.bytes).map_err(|source| ServiceFault::Value { what, source })?;
    Ok(Found { revision: doc.revision, value })
}

/// The write of a value.
pub(crate) fn write<T: Schema>(
    what: &'static str,
    key: DocKey,
    expected: Expected,
    value: &T,
) -> Result<DocWrite, ServiceFault> {
    Ok(DocWrite { key, expected, bytes: Some(encode(what, value)?) })
}

/// The bytes of a value.
pub(crate) fn encode<T: Schema>(what: &'static str, value: &T) -> Result<Vec<u8>, ServiceFault> {
    codec::encode(value).map_err(|source| ServiceFault::Value { what, source })
}

/// Opens a sealed value and reads it.
pub(crate) fn open<T: Schema>(
    what: &'static str,
    key: &SealKey,
    place: &[u8],
    sealed: &[u8],
) -> Result<T, ServiceFault> {
    let body = key.open(place, sealed).map_err(|source| ServiceFault::Sealed { what, source })?;
    codec::decode(&body).map_err(|source| ServiceFault::Value { what, source })
}

fn member_place(id: MemberId) -> Vec<u8> {
    [b"member/".as_slice(), &id.0].concat()
}

fn card_place(index: StatusIndex) -> Vec<u8> {
    [b"card/".as_slice(), &index.0.to_be_bytes()].concat()
}
