//! What brings a phone up to date: trust bundles, then each member's feed from where the phone is, and the phone's
//! credentials. A phone that has everything gets Done and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{PERSONAL_HEADS_MAX, WALLET_MEMBERS_MAX};
use bhyt_core::merkle::TreeHash;
use bhyt_core::record::Seq;
use bhyt_core::sync::messages::{
    FeedPlace, Follow, MemberCursor, Refusal, Reply, SyncFeeds, SyncWallet, state_digest,
};

use super::Service;
use super::answer::ReplySink;
use super::bindings::Holder;
use super::fault::Stop;
use super::feed::ServedHead;
use super::feed_answer::{FeedAnswer, FeedForm};
use super::grants::Hold;
use super::hub::{Following, News, Seat};
use super::values::DeviceV2;
use crate::store::Store;

/// What a phone asks, however it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletSync {
    trust: u64,
    places: Vec<FeedPlace>,
    follow: Follow,
    form: FeedForm,
}

impl From<&SyncFeeds> for WalletSync {
    fn from(sync: &SyncFeeds) -> Self {
        let SyncFeeds { trust, members, follow } = sync.clone();
        Self { trust, places: members, follow, form: FeedForm::Blocks }
    }
}

impl From<&SyncWallet> for WalletSync {
    fn from(sync: &SyncWallet) -> Self {
        let places = sync.members.iter().map(|cursor| of_feed(*cursor));
        Self { trust: sync.trust, places: places.collect(), follow: sync.follow, form: FeedForm::Pages }
    }
}

impl<S: Store> Service<S> {
    /// Answers a phone's sync.
    pub(crate) async fn sync_wallet(
        &self,
        seat: &Seat,
        id: KeyId,
        device: &DeviceV2,
        sync: &WalletSync,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let asked: BTreeSet<MemberId> = sync.places.iter().map(|place| place.cursor.member).collect();
        let cursors = sync.places.iter().filter_map(|place| place.personal.as_ref());
        let long = cursors.into_iter().any(|cursor| cursor.heads.len() > PERSONAL_HEADS_MAX);
        if long || sync.places.len() > WALLET_MEMBERS_MAX || asked.len() < sync.places.len() {
            return Err(Refusal::Malformed.into());
        }
        let holds = self.holds_of(device).await?;
        let held = |cursor: &MemberCursor| holds.contains_key(&cursor.member);
        if sync.follow == Follow::Stay {
            // Before anything is read: what changes from here on is news.
            let cursors: Vec<_> = sync.places.iter().map(|place| place.cursor).filter(held).collect();
            seat.follow_members(sync.trust, sync.form, &cursors);
        }
        let trust = self.send_trust(sync.trust, sink).await?;
        let mut answer = FeedAnswer::new(sync.form, sink);
        let mut cursors = Vec::with_capacity(sync.places.len());
        for place in &sync.places {
            match holds.get(&place.cursor.member) {
                // Whoever was erased is not forgotten: there is nobody to come back to.
                None if self.may_have_forgotten() && !self.is_gone(place.cursor.member) => {
                    answer.send(Reply::Forgotten(place.cursor.member)).await?;
                }
                None => answer.send(Reply::Retired(place.cursor.member)).await?,
                Some(held) => {
                    cursors.push(self.sync_member(id, held, place, &mut answer).await?);
                    if let (None, Some(personal)) = (&held.grant, &place.personal) {
                        let member = place.cursor.member;
                        self.tell_personal(seat, member, personal.clone(), &mut answer).await?;
                    }
                }
            }
        }
        for (member, hold) in taken_up(&holds, |member| asked.contains(member)) {
            if sync.follow == Follow::Stay {
                seat.follow_members(trust, sync.form, &[nothing_of(*member)]);
            }
            let place = of_feed(nothing_of(*member));
            cursors.push(self.sync_member(id, hold, &place, &mut answer).await?);
        }
        if sync.follow == Follow::Stay {
            seat.follow_members(trust, sync.form, &cursors);
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
        let Following::Wallet { trust, form, mut members } = seat.following() else {
            return Ok(());
        };
        let mut answer = FeedAnswer::new(form, sink);
        let trust = self.send_trust(trust, &mut answer).await?;
        let holds = self.holds_of(device).await?;
        for member in &news.members {
            let Some(cursor) = members.get_mut(member) else {
                continue;
            };
            match holds.get(member) {
                None => {
                    *cursor = nothing_of(*member);
                    answer.send(Reply::Retired(*member)).await?;
                }
                Some(hold) => {
                    let place = of_feed(*cursor);
                    *cursor = self.sync_member(id, hold, &place, &mut answer).await?;
                    if hold.grant.is_none() {
                        self.send_personal_news(seat, *member, &mut answer).await?;
                    }
                }
            }
        }
        let there = |member: &MemberId| members.get(member).is_some_and(|it| *it != nothing_of(*member));
        let new: Vec<_> = taken_up(&holds, there).collect();
        for (member, hold) in new {
            seat.follow_members(trust, form, &[nothing_of(*member)]);
            let place = of_feed(nothing_of(*member));
            let there = self.sync_member(id, hold, &place, &mut answer).await?;
            members.insert(*member, there);
        }
        if answer.sent() > 0 {
            answer.send(Reply::Done).await?;
        }
        seat.note(Following::Wallet { trust, form, members });
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
        hold: &Hold,
        place: &FeedPlace,
        answer: &mut FeedAnswer<'_, impl ReplySink>,
    ) -> Result<MemberCursor, Stop> {
        let FeedPlace { cursor, staged, .. } = place;
        let holder = Holder::new(id, hold);
        let now = self.clock.now();
        let told = match self.restored {
            Some(_) if hold.with_records() => self.tell_epochs(cursor, answer).await?,
            _ => Some(Told::Nothing),
        };
        // It holds more than we do: it hands that back, and asks again.
        let Some(told) = told else { return Ok(*cursor) };
        let (member, credentials) = self.bound_cards(cursor.member, holder, now).await?;
        let head = match hold.with_records() {
            true => self.served_head(member.id).await?,
            false => None,
        };
        let there = place_of(member.id, head.as_ref(), &credentials, hold);
        let same = there.state == cursor.state && there.extent.size == cursor.extent.size;
        if *staged == 0 && (there == *cursor || (same && told == Told::Nothing)) {
            return Ok(there);
        }
        if let Some(held) = &hold.grant {
            answer.send(Reply::Granted(held.signed.clone())).await?;
        }
        let head = match head {
            Some(head) => {
                let from = match told {
                    Told::Nothing => continued_from(place, &head.extent),
                    // What it has is the beginning of what was kept; what it had staged is of before.
                    Told::Epochs => Seq(cursor.extent.size),
                };
                Some(self.send_feed(member.id, &member.key, from, answer).await?)
            }
            None => None,
        };
        let there = place_of(member.id, head.as_ref(), &credentials, hold);
        let reply = Reply::Credentials { member: member.id, credentials };
        answer.send(reply).await?;
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
}

/// What a phone was told of its feed before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Epochs,
}

/// Dependants that a phone is to hold and does not yet, as many as it has room for.
fn taken_up(
    holds: &BTreeMap<MemberId, Hold>,
    there: impl Fn(&MemberId) -> bool,
) -> impl Iterator<Item = (&MemberId, &Hold)> {
    let count = holds.keys().filter(|member| there(member)).count();
    let new = holds.iter().filter(move |(member, hold)| hold.grant.is_some() && !there(member));
    new.take(WALLET_MEMBERS_MAX.saturating_sub(count))
}

/// What is known of where a phone is when it has not asked just now.
fn of_feed(cursor: MemberCursor) -> FeedPlace {
    FeedPlace { cursor, staged: 0, personal: None }
}

/// Where a phone is that has nothing, not even credentials.
fn nothing_of(member: MemberId) -> MemberCursor {
    MemberCursor { member, extent: Extent { epoch: NO_EPOCH, size: 0 }, state: [0; 16] }
}

/// Where a phone is that has this head's records and these credentials.
fn place_of(
    member: MemberId,
    head: Option<&ServedHead>,
    credentials: &[Vec<u8>],
    hold: &Hold,
) -> MemberCursor {
    let nothing = Extent { epoch: NO_EPOCH, size: 0 };
    let grant = hold.grant.as_ref().map(|held| &held.signed);
    let root = head.map_or_else(TreeHash::of_empty_tree, |head| head.root);
    MemberCursor {
        member,
        extent: head.map_or(nothing, |head| head.extent),
        state: state_digest(&root.0, credentials.iter().chain(grant).map(Vec::as_slice)),
    }
}

/// Where to go on: after what the phone has, or from the start when it is in another epoch or ahead of us. The phone then
/// sees by the signed head what happened. What it has staged counts where it can follow on what is there.
fn continued_from(phone: &FeedPlace, server: &Extent) -> Seq {
    let Extent { epoch, size } = phone.cursor.extent;
    let held = if epoch == server.epoch && size <= server.size { size } else { 0 };
    let staged = held.saturating_add(phone.staged);
    Seq(if held == size && staged <= server.size { staged } else { held })
}

/// Of a phone that has seen no head.
const NO_EPOCH: Epoch = Epoch(0);
