//! A phone that a restored server has forgotten shows what makes it known again: each card bound to it, the proof that its
//! two keys belong together, and the signed head of the member's feed. In the background, without the user: the proof is
//! the one that was made at activation.
//!
//! Promises: nothing is wiped unless the server says that the binding was retired. Refuses nothing: a member that cannot be
//! readmitted stays as it is, and the status says that it has to be activated anew.

use std::collections::{BTreeSet, VecDeque};

use bhyt_core::card_record::CardRecord;
use bhyt_core::feed::{FeedPage, hand_back_one};
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::record::{Record, RecordKind};
use bhyt_core::sync::messages::{Readmit, Refusal, Reply, Request};
use bhyt_core::sync::wallet::{Effect, SyncFault};
use bhyt_core::trust::TrustBundle;

use crate::error::SdkError;
use crate::view::verify_card;
use crate::wallet_cache::HeldPages;
use crate::wallet_store::{Change, WalletStore};

/// What is still to be shown, and who is known again.
#[derive(Debug, Default)]
pub(crate) struct Readmission {
    left: VecDeque<Readmit>,
    known: BTreeSet<MemberId>,
}

impl WalletStore {
    /// The server does not know that this phone holds the member: [`Self::next_readmission`] asks for it, unless that was
    /// refused before.
    pub(crate) fn begin_readmission(&self, member: MemberId) -> Result<(), SdkError> {
        let forgotten = self.held().members.get(&member).is_none_or(|held| held.forgotten);
        let under_way = self.readmission().left.iter().any(|shown| shown.member == member);
        if forgotten || under_way {
            return Ok(());
        }
        let shown = self.what_is_shown(member)?;
        if shown.is_empty() {
            self.change_member(member, |held| held.forgotten = true);
        }
        let mut readmission = self.readmission();
        readmission.known.remove(&member);
        readmission.left.extend(shown);
        Ok(())
    }

    /// The next request to be made.
    pub(crate) fn next_readmission(&self) -> Option<Request> {
        self.readmission().left.front().cloned().map(|shown| Request::Readmit(Box::new(shown)))
    }

    /// Takes a reply to that request.
    pub(crate) fn take_readmission(&self, reply: Reply) -> Result<Option<Change>, SdkError> {
        let Some(member) = self.readmission().left.front().map(|shown| shown.member) else {
            return Err(SdkError::untrusted(SyncFault::Unexpected));
        };
        match reply {
            Reply::Done => {
                let mut readmission = self.readmission();
                readmission.known.insert(member);
                readmission.left.pop_front();
                Ok(None)
            }
            // Of a phone that is known by another card this is an old number.
            Reply::Retired(retired) if retired == member && self.readmission().known.contains(&member) => {
                Ok(None)
            }
            Reply::Retired(retired) if retired == member => {
                // The Done that follows takes the first away.
                let mut seen = false;
                self.readmission()
                    .left
                    .retain(|shown| shown.member != member || !std::mem::replace(&mut seen, true));
                self.apply(Effect::Wipe(member))
            }
            Reply::Refused(refusal @ (Refusal::Busy { .. } | Refusal::Internal)) => Err(refusal.into()),
            Reply::Refused(refusal) => {
                tracing::warn!(%member, %refusal, "a card does not make this phone known again");
                let last = {
                    let mut readmission = self.readmission();
                    readmission.left.pop_front();
                    let more = readmission.left.iter().any(|shown| shown.member == member);
                    !more && !readmission.known.contains(&member)
                };
                if last {
                    self.change_member(member, |held| held.forgotten = true);
                }
                Ok(None)
            }
            _ => Err(SdkError::untrusted(SyncFault::Unexpected)),
        }
    }

    /// A request for each credential, the newest first; none when something is missing.
    fn what_is_shown(&self, member: MemberId) -> Result<Vec<Readmit>, SdkError> {
        let (credentials, trust) = {
            let held = self.held();
            let Some(trust) = held.trust.clone() else { return Ok(Vec::new()) };
            let credentials = held.members.get(&member).map(|held| held.cached.credentials.clone());
            (credentials.unwrap_or_default(), trust)
        };
        let pages = self.pages_of(member)?.map(|(pages, _)| pages);
        let head = match &pages {
            Some(pages) => Some(pages.signed_head.clone()),
            None => self.signed_head(member)?,
        };
        let (Some(head), Some(possession)) = (head, self.possession()?) else { return Ok(Vec::new()) };
        let cards = credentials.iter().filter_map(|bytes| verify_card(bytes, trust.claims()));
        let mut cards: Vec<_> = cards
            .filter(|card| card.claims().binding.is_some_and(|it| it.key == possession.presentation_key))
            .collect();
        cards.sort_by_key(|card| std::cmp::Reverse(card.claims().issued_at));
        let shown = cards.into_iter().map(|card| Readmit {
            member,
            credential: card.bytes().to_vec(),
            possession: possession.proof.clone(),
            head: head.clone(),
            record: pages.as_ref().and_then(|HeldPages { pages, .. }| {
                let first = first_of(pages, card.claims().status_index, trust.claims())?;
                hand_back_one(pages, first)
            }),
        });
        Ok(shown.collect())
    }
}

/// Where the record of a card begins.
fn first_of(pages: &[FeedPage], index: StatusIndex, trust: &TrustBundle) -> Option<bhyt_core::record::Seq> {
    let of_card = |record: &Record| {
        let card = Some(record).filter(|record| record.kind == RecordKind::Card)?;
        let card = CardRecord::decode(card.content.bytes()).ok()?;
        let card = verify_card(&card.credential, trust)?;
        (card.claims().status_index == index).then_some(())
    };
    let mut records = pages.iter().flat_map(FeedPage::records);
    records.find(|(_, record)| of_card(record).is_some()).map(|(seq, _)| seq)
}
