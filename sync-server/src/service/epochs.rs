//! Feeds after a restore. A member's feed enters the epoch of the restore when it is first touched: the statement over
//! what was kept is signed and stored with the head, and every phone that comes from before is given it.
//!
//! A feed is *settled* when its records say of each card what its document says: after a restore the newest status list,
//! and records that phones handed back, may have changed a standing that no record tells of yet.

use std::collections::BTreeMap;

use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{Epoch, EpochReason, EpochStatement, Extent, FeedHead, current_records};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::EPOCHS_KEPT_MAX;
use bhyt_core::merkle::Frontier;
use bhyt_core::record::{Content, PageSeed, Record, RecordKind, Seq};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::make_bytes;
use serde::{Deserialize, Serialize};

use super::cards::{card_body, lost_races};
use super::docs::{OpenMember, encode};
use super::fault::ServiceFault;
use super::feed::ServedHead;
use super::values::FeedHeadV1;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{Append, Commit, Outcome, Store, StoredHead};

/// What stands beside a feed's epoch and size in its stored head; a feed that never had a second epoch is stored as
/// [`FeedHeadV1`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedHeadV2 {
    /// The signed head.
    pub(crate) signed: Vec<u8>,
    /// The key that signed it.
    pub(crate) signed_by: KeyId,
    /// When it was signed.
    pub(crate) time: UnixSeconds,
    /// The tree's frontier.
    pub(crate) frontier: Vec<u8>,
    /// The number of the last page, which is the place of its first record.
    pub(crate) last_page: u32,
    /// The epochs that restores opened, oldest first; at most [`EPOCHS_KEPT_MAX`].
    pub(crate) epochs: Vec<OpenedEpochV1>,
    /// Whether the records say of each card what its document says.
    pub(crate) settled: bool,
}

/// An epoch that a restore opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenedEpochV1 {
    /// The epoch.
    pub(crate) epoch: Epoch,
    /// Records kept.
    pub(crate) kept: u64,
    /// The signed statement.
    pub(crate) signed: Vec<u8>,
}

impl Schema for FeedHeadV2 {
    const SCHEMA: u16 = 131;
    const BYTES_MAX: usize = FeedHeadV1::BYTES_MAX;

    fn decode_older(_: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode::<FeedHeadV1>(bytes).map(Self::from)
    }
}

impl FeedHeadV2 {
    pub(crate) fn decode(head: &StoredHead) -> Result<Self, ServiceFault> {
        codec::decode(&head.bytes).map_err(|source| ServiceFault::Value { what: "feed head", source })
    }

    pub(crate) fn encode(self) -> Result<Vec<u8>, ServiceFault> {
        if !self.epochs.is_empty() {
            return encode("feed head", &self);
        }
        let Self { signed, signed_by, time, frontier, last_page, .. } = self;
        encode("feed head", &FeedHeadV1 { signed, signed_by, time, frontier, last_page })
    }
}

impl From<FeedHeadV1> for FeedHeadV2 {
    fn from(head: FeedHeadV1) -> Self {
        let FeedHeadV1 { signed, signed_by, time, frontier, last_page } = head;
        Self { signed, signed_by, time, frontier, last_page, epochs: Vec::new(), settled: true }
    }
}

impl<S: Store> Service<S> {
    /// Sees to it that the member's feed is in the epoch of this server's restore, if it had one.
    pub(crate) async fn enter_epoch(&self, member: MemberId) -> Result<(), ServiceFault> {
        let Some(restored) = self.restored else { return Ok(()) };
        for _ in 0..ATTEMPTS_MAX {
            let stored = self.store.head(member).await?;
            if stored.as_ref().is_some_and(|head| Epoch(head.epoch) >= restored.epoch()) {
                return Ok(());
            }
            let append = self.open_epoch(member, stored, restored.epoch())?;
            let commit = Commit { appends: vec![append], ..Commit::default() };
            if self.store.commit(commit).await? == Outcome::Applied {
                return Ok(());
            }
        }
        Err(lost_races())
    }

    /// Makes the records say of each card what its document says.
    pub(crate) async fn settle(&self, member: MemberId) -> Result<(), ServiceFault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(head) = self.served_head(member).await?.filter(|head| !head.is_settled()) else {
                return Ok(());
            };
            if self.try_settle(member, head).await? == Outcome::Applied {
                return Ok(());
            }
        }
        Err(lost_races())
    }

    fn open_epoch(
        &self,
        member: MemberId,
        stored: Option<StoredHead>,
        epoch: Epoch,
    ) -> Result<Append, ServiceFault> {
        let expected = stored.as_ref().map(|head| (head.epoch, head.size));
        let (before, size) = stored.as_ref().map_or((0, 0), |head| (head.epoch, head.size));
        let kept = stored.as_ref().map(FeedHeadV2::decode).transpose()?;
        let empty = (UnixSeconds(0), Frontier::new().encode(), 0, Vec::new());
        let (since, frontier, last_page, mut epochs) =
            kept.map_or(empty, |kept| (kept.time, kept.frontier, kept.last_page, kept.epochs));
        let root = Frontier::decode(&frontier)?.root();
        let (time, extent) = (self.clock.now().max(since), Extent { epoch, size });
        let reason = EpochReason::Restored;
        let statement = EpochStatement { member, before: Epoch(before), kept: extent, root, time, reason };
        let statement = self.sign(KeyUse::Head, time, |key| Unsigned::new(statement, key))?;
        let head = FeedHead { member, extent, root, time };
        let head = self.sign(KeyUse::Head, time, |key| Unsigned::new(head, key))?;
        epochs.push(OpenedEpochV1 { epoch, kept: size, signed: statement.bytes().to_vec() });
        epochs.drain(..epochs.len().saturating_sub(EPOCHS_KEPT_MAX));
        let (signed, signed_by) = (head.bytes().to_vec(), head.key_id());
        let value = FeedHeadV2 { signed, signed_by, time, frontier, last_page, epochs, settled: false };
        let head = StoredHead { epoch: epoch.0, size, bytes: value.encode()? };
        Ok(Append { member, expected, head, pages: Vec::new() })
    }

    async fn try_settle(&self, member: MemberId, head: ServedHead) -> Result<Outcome, ServiceFault> {
        let missing = ServiceFault::Inconsistent { what: "member" };
        let member = self.open_member(member).await?.ok_or(missing)?;
        let recorded = self.recorded_standings(&member).await?;
        let now = self.clock.now();
        let mut tail = self.feed_tail(&member).await?;
        let mut draft = Draft::default();
        for mut card in self.open_cards(&member).await? {
            let details = &mut card.details;
            let said = recorded.get(&details.first_seq).map(|(standing, _)| *standing);
            if said == Some(details.standing) {
                continue;
            }
            details.revision = details.revision.saturating_add(1);
            let credential = details.credential.clone();
            let body = card_body(&CardRecord { credential, standing: details.standing })?;
            let record = Record {
                kind: RecordKind::Card,
                first_seq: details.first_seq,
                revision: details.revision,
                time: now,
                content: Content::Body(body),
            };
            tail.push(record, PageSeed(make_bytes(&*self.entropy)))?;
            draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
        }
        tail.set_settled(true);
        let append = match draft.commit.docs.is_empty() {
            true => head.settled()?,
            false => self.seal_feed(tail, &member.key, now)?,
        };
        draft.commit.appends.push(append);
        draft.commit.announce.push(member.id);
        self.commit(draft).await
    }

    /// What the latest record of each card says and since when, by the place of its first.
    pub(crate) async fn recorded_standings(
        &self,
        member: &OpenMember,
    ) -> Result<BTreeMap<Seq, (CardStanding, UnixSeconds)>, ServiceFault> {
        let (mut pages, mut from) = (Vec::new(), Seq(0));
        loop {
            let more = self.feed_pages(member.id, &member.key, from, PAGES_AT_ONCE).await?;
            let Some(last) = more.last() else { break };
            from = last.next_seq();
            pages.extend(more);
        }
        let records = current_records(pages.iter().flat_map(bhyt_core::feed::FeedPage::records));
        let cards = records.into_iter().filter(|(_, (_, record))| record.kind == RecordKind::Card);
        let standings = cards.map(|(first_seq, (_, record))| {
            let card = CardRecord::decode(record.content.bytes());
            let card = card.map_err(|_| ServiceFault::Inconsistent { what: "card record" })?;
            Ok((first_seq, (card.standing, record.time)))
        });
        standings.collect()
    }
}

const PAGES_AT_ONCE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::ids::hex;

    #[test]
    fn stored_bytes_are_frozen_and_a_feed_of_one_epoch_is_stored_as_ever() {
        let v1 = FeedHeadV1 {
            signed: vec![1],
            signed_by: KeyId([2; 8]),
            time: UnixSeconds(3),
            frontier: vec![4],
            last_page: 5,
        };
        let v2 = FeedHeadV2::from(v1.clone());
        assert_eq!(v2.clone().encode().unwrap(), codec::encode(&v1).unwrap());
        let opened = OpenedEpochV1 { epoch: Epoch(6), kept: 7, signed: vec![8] };
        let v2 = FeedHeadV2 { epochs: vec![opened], settled: false, ..v2 };
        let bytes = v2.clone().encode().unwrap();
        let golden = "8300010000000000000001020202020202020203000000000000000100000000000000040500000001000000000000\
                      000600000000000000070000000000000001000000000000000800";
        assert_eq!(hex(&bytes), golden);
        let stored = StoredHead { epoch: 6, size: 9, bytes };
        assert_eq!(FeedHeadV2::decode(&stored).unwrap(), v2);
    }
}
