//! What brings a phone up to date: trust bundles, then each member's feed from where the phone is, with the signed head
//! in the last piece, and the phone's credentials. A phone that has everything gets Done and nothing else.

use std::collections::BTreeSet;

use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::WALLET_MEMBERS_MAX;
use bhyt_core::merkle::TreeHash;
use bhyt_core::record::Seq;
use bhyt_core::seal::SealKey;
use bhyt_core::sync::messages::{FeedReply, Follow, MemberCursor, Refusal, Reply, SyncWallet, state_digest};

use super::Service;
use super::answer::ReplySink;
use super::bindings::Holder;
use super::fault::{ServiceFault, Stop};
use super::feed::ServedHead;
use super::hub::{Following, News, Seat};
use super::values::{DeviceV2, HeldMemberV2};
use crate::store::Store;

impl<S: Store> Service<S> {
    /// Answers a phone's sync.
    pub(crate) async fn sync_wallet(
        &self,
        seat: &Seat,
        id: KeyId,
        device: &DeviceV2,
        sync: &SyncWallet,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let asked: BTreeSet<MemberId> = sync.members.iter().map(|cursor| cursor.member).collect();
        if sync.members.len() > WALLET_MEMBERS_MAX || asked.len() < sync.members.len() {
            return Err(Refusal::Malformed.into());
        }
        let held = |cursor: &&MemberCursor| holding(device, cursor.member).is_some();
        if sync.follow == Follow::Stay {
            // Before anything is read: what changes from here on is news.
            let cursors: Vec<_> = sync.members.iter().filter(held).copied().collect();
            seat.follow_members(sync.trust, &cursors);
        }
        let trust = self.send_trust(sync.trust, sink).await?;
        let mut cursors = Vec::with_capacity(sync.members.len());
        for cursor in &sync.members {
            match holding(device, cursor.member) {
                None if self.may_have_forgotten() => sink.send(Reply::Forgotten(cursor.member)).await?,
                None => sink.send(Reply::Retired(cursor.member)).await?,
                Some(held) => cursors.push(self.sync_member(id, held, cursor, sink).await?),
            }
        }
        if sync.follow == Follow::Stay {
            seat.follow_members(trust, &cursors);
        }
        Ok(())
    }

    /// Sends a phone that stays what is new of the members it follows, and Done when there was anything.
    pub(crate) async fn send_wallet_news(
        &self,
        seat: &Seat,
        id: KeyId,
        device: &DeviceV2,
        news: &News,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let Following::Wallet { trust, mut members } = seat.following() else {
            return Ok(());
        };
        let mut counted = Counted { sink, sent: 0 };
        let trust = self.send_trust(trust, &mut counted).await?;
        for member in &news.members {
            let Some(cursor) = members.get_mut(member) else {
                continue;
            };
            match holding(device, *member) {
                None => counted.send(Reply::Retired(*member)).await?,
                Some(held) => {
                    *cursor = self.sync_member(id, held, cursor, &mut counted).await?;
                    self.send_personal_news(seat, *member, &mut counted).await?;
                }
            }
        }
        if counted.sent > 0 {
            counted.send(Reply::Done).await?;
        }
        seat.note(Following::Wallet { trust, members });
        Ok(())
    }

    /// Tells a phone whose key was retired which members it no longer holds.
    pub(crate) async fn send_retired(&self, seat: &Seat, sink: &mut impl ReplySink) -> Result<(), Stop> {
        if let Following::Wallet { members, .. } = seat.following() {
            for member in members.into_keys() {
                sink.send(Reply::Retired(member)).await?;
            }
            sink.send(Reply::Done).await?;
        }
        Ok(())
    }

    /// Sends the trust bundles after `version`; returns the version in force.
    pub(crate) async fn send_trust(&self, version: u64, sink: &mut impl ReplySink) -> Result<u64, Stop> {
        let current = self.trust.current().claims().version;
        if version < current {
            for bundle in self.trust.since(version) {
                sink.send(Reply::Trust(bundle)).await?;
            }
        }
        Ok(current)
    }

    /// Brings one member on one phone up to date; returns where the phone is then.
    async fn sync_member(
        &self,
        id: KeyId,
        held: &HeldMemberV2,
        cursor: &MemberCursor,
        sink: &mut impl ReplySink,
    ) -> Result<MemberCursor, Stop> {
        let holder = Holder { device: id, key: held.presentation_key };
        let now = self.clock.now();
        let told = match self.restored {
            Some(_) => self.tell_epochs(cursor, sink).await?,
            None => Some(Told::Nothing),
        };
        // It holds more than we do: it hands that back, and asks again.
        let Some(told) = told else { return Ok(*cursor) };
        let (member, credentials) = self.bound_cards(held.member, holder, now).await?;
        let head = self.served_head(held.member).await?;
        let there = place(held.member, head.as_ref(), &credentials);
        let same = there.state == cursor.state && there.extent.size == cursor.extent.size;
        if there == *cursor || (same && told == Told::Nothing) {
            return Ok(there);
        }
        let head = match head {
            Some(head) => {
                let from = match told {
                    Told::Nothing => continued_from(&cursor.extent, &head.extent),
                    // What it has is the beginning of what was kept.
                    Told::Epochs => Seq(cursor.extent.size),
                };
                Some(self.send_feed(held.member, &member.key, from, sink).await?)
            }
            None => None,
        };
        let there = place(held.member, head.as_ref(), &credentials);
        let reply = Reply::Credentials { member: held.member, credentials };
        sink.send(reply).await?;
        Ok(there)
    }

    /// Gives a phone that comes from an earlier epoch the statements of those that followed, up to one that kept less than
    /// it holds; then `None`.
    async fn tell_epochs(
        &self,
        cursor: &MemberCursor,
        sink: &mut impl ReplySink,
    ) -> Result<Option<Told>, Stop> {
        let (member, mut told) = (cursor.member, Told::Nothing);
        let of_before = cursor.extent.epoch > NO_EPOCH;
        if of_before || self.store.head(member).await?.is_some() {
            self.enter_epoch(member).await?;
        }
        let head = self.served_head(member).await?;
        let epochs = head.as_ref().filter(|_| of_before).map_or(&[][..], ServedHead::epochs);
        for opened in epochs.iter().filter(|opened| opened.epoch > cursor.extent.epoch) {
            sink.send(Reply::Epoch { member, statement: opened.signed.clone() }).await?;
            if cursor.extent.size > opened.kept {
                return Ok(None);
            }
            told = Told::Epochs;
        }
        self.settle(member).await?;
        Ok(Some(told))
    }

    /// Sends the records from `from` on, as far as the feed goes by then; returns the head that went with the last.
    async fn send_feed(
        &self,
        member: MemberId,
        key: &SealKey,
        mut from: Seq,
        sink: &mut impl ReplySink,
    ) -> Result<ServedHead, Stop> {
        let mut stalled = 0;
        while stalled < STALLS_MAX {
            let pages = self.feed_pages(member, key, from, PAGES_IN_FRAME).await?;
            let end = pages.last().map_or(from, |page| page.next_seq());
            // Read after the pages, so it covers them; a head that went on meanwhile has more pages to follow.
            let missing = ServiceFault::Inconsistent { what: "feed head" };
            let head = self.served_head(member).await?.ok_or(missing)?;
            let head = match end.0 == head.extent.size {
                true => self.trusted_head(head).await?,
                false => None,
            };
            stalled += u32::from(end == from && head.is_none());
            if head.is_some() || end > from {
                let signed = head.as_ref().map(|head| head.signed().to_vec());
                sink.send(Reply::Feed(FeedReply { member, pages, head: signed })).await?;
            }
            if let Some(head) = head {
                return Ok(head);
            }
            from = end;
        }
        Err(ServiceFault::Inconsistent { what: "feed" }.into())
    }
}

/// What a phone was told of its feed before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Epochs,
}

/// Counts what goes through.
struct Counted<'s, K> {
    sink: &'s mut K,
    sent: u32,
}

impl<K: ReplySink> ReplySink for Counted<'_, K> {
    async fn send(&mut self, reply: Reply) -> Result<(), Stop> {
        self.sent += 1;
        self.sink.send(reply).await
    }
}

fn holding(device: &DeviceV2, member: MemberId) -> Option<&HeldMemberV2> {
    device.members.iter().find(|held| held.member == member)
}

/// Where a phone is that has this head's records and these credentials.
fn place(member: MemberId, head: Option<&ServedHead>, credentials: &[Vec<u8>]) -> MemberCursor {
    let nothing = Extent { epoch: NO_EPOCH, size: 0 };
    let root = head.map_or_else(TreeHash::of_empty_tree, |head| head.root);
    MemberCursor {
        member,
        extent: head.map_or(nothing, |head| head.extent),
        state: state_digest(&root.0, credentials.iter().map(Vec::as_slice)),
    }
}

/// Where to go on: where the phone is, or from the start when it is in another epoch or ahead of us. The phone then sees
/// by the signed head what happened.
fn continued_from(phone: &Extent, server: &Extent) -> Seq {
    match phone.epoch == server.epoch && phone.size <= server.size {
        true => Seq(phone.size),
        false => Seq(0),
    }
}

/// Of a phone that has seen no head.
const NO_EPOCH: Epoch = Epoch(0);
/// Pages in one frame: each is at most 16 kB.
const PAGES_IN_FRAME: usize = 8;
/// Times that nothing new may be found where the head says there is something.
const STALLS_MAX: u32 = 3;
