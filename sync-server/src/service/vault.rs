//! The keys that the store is sealed under. Members' keys are wrapped under keys that can be taken away; from the store's
//! own key come one that makes blind indexes, and one that makes one-time codes. Nothing here is stored.

use std::fmt;
use std::sync::Arc;

use bhyt_core::ids::{CardNumber, MemberId, PersonalNumber, SocialNumber};
use bhyt_core::seal::SealKey;
use bhyt_core::sync::personal::PersonalCursor;
use bhyt_platform::entropy::{Entropy, make_bytes};

use super::fault::ServiceFault;
use super::parts::{MemberKeys, MemberKeysMark};
use super::values_members::WrappedKeyV1;
use super::values_personal::Stamp;
use crate::backup_file;
use crate::store::{DocKey, DocKind, StoreFault};

/// Derives and wraps keys under the store's key.
#[derive(Clone)]
pub(crate) struct Vault {
    members: Arc<dyn MemberKeys>,
    older_wrapping: SealKey,
    index: SealKey,
    codes: SealKey,
    order: SealKey,
    check: SealKey,
    backup: SealKey,
}

impl Vault {
    /// The vault under this store key and these members' keys.
    pub(crate) fn new(store_key: &SealKey, members: Arc<dyn MemberKeys>) -> Self {
        Self {
            members,
            older_wrapping: store_key.derive(b"bhyt/member-keys/v1"),
            index: store_key.derive(b"bhyt/index/v1"),
            codes: store_key.derive(b"bhyt/codes/v1"),
            order: store_key.derive(b"bhyt/index-order/v1"),
            check: store_key.derive(b"bhyt/key-check/v1"),
            backup: backup_file::proof_key(store_key),
        }
    }

    /// A new member's id, key, and the key in its wrapped form.
    pub(crate) fn make_member(&self, entropy: &dyn Entropy) -> (MemberId, SealKey, WrappedKeyV1) {
        loop {
            let id = MemberId(make_bytes(entropy));
            let key = SealKey::from_bytes(make_bytes(entropy));
            // Never the place of one who was erased.
            if let Some(wrapped) = self.wrap(id, &key, entropy) {
                return (id, key, wrapped);
            }
        }
    }

    /// Unwraps a member's key, and wraps it as it is wrapped now where it was not; `None` once the member is erased.
    pub(crate) fn member_key(
        &self,
        member: MemberId,
        wrapped: &WrappedKeyV1,
        entropy: &dyn Entropy,
    ) -> Result<Option<(SealKey, WrappedKeyV1)>, ServiceFault> {
        let Some(wrapping) = self.members.wrapping_key(member) else { return Ok(None) };
        let (under, bytes) = match wrapped {
            WrappedKeyV1::Tree(bytes) => (&wrapping, bytes),
            WrappedKeyV1::Store(bytes) => (&self.older_wrapping, bytes),
        };
        let key = under.unwrap_key(&member.0, bytes);
        let key = key.map_err(|source| ServiceFault::Sealed { what: "member key", source })?;
        let wrapped = match wrapped {
            WrappedKeyV1::Tree(_) => wrapped.clone(),
            WrappedKeyV1::Store(_) => {
                WrappedKeyV1::Tree(wrapping.wrap(&member.0, &key, &make_bytes::<24>(entropy)))
            }
        };
        Ok(Some((key, wrapped)))
    }

    /// Whether this member was erased.
    pub(crate) fn is_erased(&self, member: MemberId) -> bool {
        self.members.is_erased(member)
    }

    /// Takes this member's wrapping key away for good.
    pub(crate) async fn erase(&self, member: MemberId) -> Result<(), ServiceFault> {
        let members = Arc::clone(&self.members);
        let erased = tokio::task::spawn_blocking(move || members.erase(member)).await;
        // The runtime is going down: it is done again at the next start.
        erased.map_err(|_| StoreFault::Closed)??;
        Ok(())
    }

    /// Which members' keys these are, and how many were taken away.
    pub(crate) fn members_mark(&self) -> MemberKeysMark {
        self.members.mark()
    }

    fn wrap(&self, member: MemberId, key: &SealKey, entropy: &dyn Entropy) -> Option<WrappedKeyV1> {
        let wrapping = self.members.wrapping_key(member)?;
        Some(WrappedKeyV1::Tree(wrapping.wrap(&member.0, key, &make_bytes::<24>(entropy))))
    }

    /// Where the alias document of a mã số BHXH stands.
    pub(crate) fn social_alias(&self, number: &SocialNumber) -> DocKey {
        self.alias(b"social/", number.as_str())
    }

    /// Where the alias document of a personal number stands.
    pub(crate) fn personal_alias(&self, number: &PersonalNumber) -> DocKey {
        self.alias(b"personal/", number.as_str())
    }

    /// Where the alias document of a card number stands: right behind that of the mã số BHXH inside, if there is one, since
    /// who asks for the one has just asked for the other.
    pub(crate) fn card_alias(&self, number: &CardNumber) -> DocKey {
        let mut alias = self.alias(b"card/", number.as_str());
        if let Some(inside) = number.social_number() {
            let of_card = alias.id.get(..CARD_BLIND_BYTES).unwrap_or_default().to_vec();
            alias = self.social_alias(&inside);
            alias.id.extend(of_card);
        }
        alias
    }

    /// Where a one-time code's document stands.
    pub(crate) fn code_key(&self, code: &str) -> DocKey {
        let id = self.codes.blind(&[b"name/", code.as_bytes()].concat());
        DocKey::new(DocKind::OneTimeCode, id)
    }

    /// 32 bytes that nobody without the store key can tell from random ones; the same for the same `origin`.
    pub(crate) fn derive_code_bytes(&self, origin: &[u8]) -> [u8; 32] {
        self.codes.blind(&[b"make/", origin].concat())
    }

    /// A keyed hash of an operator's command: equal for equal commands, and nothing to guess numbers with.
    pub(crate) fn hash_command(&self, command: &[u8]) -> [u8; 32] {
        self.index.blind(&[b"command/", command].concat())
    }

    /// A keyed hash of how far a personal document is: equal for equal cursors of one member, and tells nothing of it.
    pub(crate) fn personal_stamp(&self, member: MemberId, cursor: &PersonalCursor) -> Stamp {
        let heads = cursor.heads.iter().flat_map(|head| head.0);
        let generation = cursor.generation.0.to_le_bytes();
        let place = b"personal-stamp/".iter().copied().chain(member.0).chain(generation).chain(heads);
        let mut stamp = [0; 16];
        for (to, from) in stamp.iter_mut().zip(self.index.blind(&place.collect::<Vec<_>>())) {
            *to = from;
        }
        stamp
    }

    /// Tells this store key from others, and tells nothing about it.
    pub(crate) fn key_check(&self) -> [u8; 16] {
        let mut check = [0; 16];
        for (to, from) in check.iter_mut().zip(self.check.blind(b"store")) {
            *to = from;
        }
        check
    }

    /// The key that proves backups.
    pub(crate) fn backup_key(&self) -> SealKey {
        self.backup.clone()
    }

    /// What makes the order of status indexes unpredictable.
    pub(crate) fn index_order_key(&self) -> [u8; 32] {
        self.order.blind(b"blocks")
    }

    fn alias(&self, kind: &[u8], number: &str) -> DocKey {
        let id = self.index.blind(&[kind, number.as_bytes()].concat());
        DocKey::new(DocKind::Alias, id)
    }
}

/// Bytes of a card number's blind index behind that of the number inside it, which tells the rest.
const CARD_BLIND_BYTES: usize = 16;

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}
