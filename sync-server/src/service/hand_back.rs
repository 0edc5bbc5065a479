//! Records that a restored server has forgotten, handed back by phones. Each proves itself under a head that we signed, so
//! it is taken for what it says; done twice it is the same as once, and of two phones the longer one brings the rest.
//!
//! A card is known by its place in the status list. One that is not there is entered again, with its record; a later
//! revision of one that is there is appended, if its record has not gone on already. The newest list decides what became
//! of a card; a record signed after that list goes before it, but nothing brings a withdrawn card back.

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::cose::{Signed, Verified};
use bhyt_core::feed::FeedHead;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::limits::{BINDING_DAYS, BINDINGS_MAX};
use bhyt_core::record::{PageSeed, Record, RecordKind};
use bhyt_core::sync::messages::{HandBack, Refusal};
use bhyt_core::time::Day;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::make_bytes;

use super::cards::{MEMBER_CARDS_MAX, alias_card, lost_races};
use super::docs::{Found, OpenCard, OpenMember};
use super::fault::{ServiceFault, Stop};
use super::feed::FeedTail;
use super::values::{AliasV1, CardDetailsV2, CardFactsV1, DeviceV2};
use super::{ATTEMPTS_MAX, Counting, Draft, Service};
use crate::store::{Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// Takes one record back from a device that holds its member.
    pub(crate) async fn take_back(&self, device: &DeviceV2, handed: &HandBack) -> Result<(), Stop> {
        if !device.members.iter().any(|held| held.member == handed.member) {
            return Err(Refusal::NotFound.into());
        }
        self.take_back_of(handed).await
    }

    /// Takes one record back, from whoever has shown to hold its member.
    pub(crate) async fn take_back_of(&self, handed: &HandBack) -> Result<(), Stop> {
        // Of a head key that is no more nothing can be told: the record is not taken, and the phone goes on without.
        let Some(head) = self.own_head(&handed.head)? else { return Ok(()) };
        if head.claims().member != handed.member || handed.record.verify(&head).is_err() {
            return Err(Refusal::Malformed.into());
        }
        // A head of this epoch, or one that no restore has left behind, is of a feed that we have.
        let forgotten = self.restored.is_some_and(|restored| head.claims().extent.epoch < restored.epoch());
        let Some(card) = self.handed_card(&handed.record.record).filter(|_| forgotten) else {
            return Ok(());
        };
        self.enter_epoch(handed.member).await?;
        for _ in 0..ATTEMPTS_MAX {
            if self.try_take_back(handed, &card).await? == Outcome::Applied {
                return Ok(());
            }
        }
        Err(lost_races().into())
    }

    /// The place of the card that a record speaks of, if it is one that we signed.
    pub(crate) fn handed_index(&self, handed: &HandBack) -> Option<StatusIndex> {
        Some(self.handed_card(&handed.record.record)?.claims.status_index)
    }

    /// A head that a head key of the bundle has signed in its time; `None` when the bundle has no such key.
    fn own_head(&self, bytes: &[u8]) -> Result<Option<Verified<FeedHead>>, Refusal> {
        let signed = Signed::<FeedHead>::decode(bytes).map_err(|_| Refusal::Malformed)?;
        let trust = self.trust.current();
        let Some(key) = trust.claims().key(signed.key_id(), KeyUse::Head) else { return Ok(None) };
        let head = signed.verify(&key.key).map_err(|_| Refusal::Malformed)?;
        Ok(key.may_sign_at(head.claims().time).then_some(head))
    }

    /// What a record says of a card that a card key of the bundle has signed. Our server makes no other records, and a card
    /// of a key that is no more is worth nothing.
    fn handed_card(&self, record: &Record) -> Option<HandedCard> {
        let body = Some(record).filter(|record| record.kind == RecordKind::Card)?;
        let CardRecord { credential, standing } = CardRecord::decode(body.content.bytes()).ok()?;
        let signed = Signed::<CardClaims>::decode(&credential).ok()?;
        let trust = self.trust.current();
        let key = trust.claims().key(signed.key_id(), KeyUse::Card)?;
        let claims = signed.verify(&key.key).ok()?.claims().clone();
        let sound = claims.binding.is_none() && key.may_sign_at(claims.issued_at);
        sound.then_some(HandedCard { claims, credential, standing })
    }

    async fn try_take_back(&self, handed: &HandBack, card: &HandedCard) -> Result<Outcome, Stop> {
        let missing = ServiceFault::Inconsistent { what: "member" };
        let member = self.open_member(handed.member).await?.ok_or(missing)?;
        let record = &handed.record.record;
        match member.details.cards.contains(&card.claims.status_index) {
            true => {
                let known = self.open_card(&member, card.claims.status_index).await?;
                self.append_revision(&member, known, record, card.standing).await
            }
            false => self.enter_card(member, record, card).await,
        }
    }

    /// Appends a later revision of a card that is here.
    async fn append_revision(
        &self,
        member: &OpenMember,
        mut card: OpenCard,
        record: &Record,
        standing: CardStanding,
    ) -> Result<Outcome, Stop> {
        if record.revision <= card.details.revision {
            return Ok(Outcome::Applied);
        }
        let mut tail = self.feed_tail(member).await?;
        tail.set_settled(false);
        let mut draft = Draft::default();
        let withdrawn = card.details.standing == CardStanding::Withdrawn;
        if self.is_newer_than_list(record) && !withdrawn {
            let status = &mut draft.status;
            self.set_standing(&mut card, &mut tail, status, standing, record.time).await?;
        } else {
            card.details.revision += 1;
            let (first_seq, revision) = (card.details.first_seq, card.details.revision);
            self.push_again(&mut tail, Record { first_seq, revision, ..record.clone() })?;
        }
        let now = self.clock.now();
        draft.commit.appends.push(self.seal_feed(tail, &member.key, now)?);
        draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
        draft.commit.announce.push(member.id);
        let outcome = self.commit(draft).await?;
        self.publish_soon();
        Ok(outcome)
    }

    /// Enters a card that is not here, with its first record.
    async fn enter_card(
        &self,
        mut member: OpenMember,
        record: &Record,
        card: &HandedCard,
    ) -> Result<Outcome, Stop> {
        let HandedCard { claims, credential, standing } = card;
        let index = claims.status_index;
        let alias: Option<Found<AliasV1>> = self.doc("alias", &self.vault.card_alias(&claims.number)).await?;
        let newest = alias.as_ref().map(alias_card).transpose()?;
        let elsewhere = newest.is_some_and(|(owner, _)| owner != member.id);
        if elsewhere || member.details.cards.len() >= MEMBER_CARDS_MAX {
            tracing::warn!(member = %member.id, "a card that was handed back has no place");
            return Ok(Outcome::Applied);
        }
        let mut tail = self.feed_tail(&member).await?;
        tail.set_settled(false);
        let first_seq = tail.next_seq();
        self.push_again(&mut tail, Record { first_seq, revision: 0, ..record.clone() })?;
        let mut docs = Vec::new();
        let mut details = self.details_of(claims, credential, *standing);
        details.first_seq = first_seq;
        // A card that gave way to this one did so in the moment in which this one was issued.
        let gave_way = Some((CardStanding::Superseded, claims.issued_at));
        let recorded = self.recorded_standings(&member).await?;
        let mut is_newest = true;
        for mut other in self.open_cards(&member).await? {
            let same_number = other.details.facts.number == claims.number;
            if other.details.facts.issued_at > claims.issued_at {
                is_newest &= !same_number;
                continue;
            }
            let before = recorded.get(&other.details.first_seq).copied() == gave_way || same_number;
            if before && other.details.successor.is_none() {
                other.details.successor = Some(claims.number.clone());
                docs.push(other.write(&member.key, &*self.entropy)?);
            }
        }
        let entered = OpenCard { index, member: member.id, expected: Expected::Absent, details };
        if is_newest {
            let expected = alias.map_or(Expected::Absent, |alias| Expected::Revision(alias.revision));
            docs.push(self.card_alias(&entered, expected)?);
        }
        member.details.cards.push(index);
        docs.push(entered.write(&member.key, &*self.entropy)?);
        docs.push(member.write(&*self.entropy)?);
        // The slot counts the card, and its next place, which is another, stays unused.
        let mut lease = self.lease_slot().await?;
        self.reserve_index(&mut lease).await?;
        let counting = Some(Counting { lease: &mut lease, members: 0, cards: 1 });
        let mut draft = Draft { counting, ..Draft::default() };
        draft.commit.appends.push(self.seal_feed(tail, &member.key, self.clock.now())?);
        draft.commit.docs = docs;
        draft.commit.announce.push(member.id);
        Ok(self.commit(draft).await?)
    }

    /// The card's document, as the list knows what became of it.
    fn details_of(&self, claims: &CardClaims, credential: &[u8], standing: CardStanding) -> CardDetailsV2 {
        let index = claims.status_index;
        let (listed, retired) = self.publisher.listed(index);
        let until = self.clock.now().day().plus_days(BINDING_DAYS);
        let until = claims.valid_to.map_or(until, |last: Day| last.min(until));
        CardDetailsV2 {
            facts: facts_of(claims),
            standing: if listed == CardStanding::InForce { standing } else { listed },
            credential: credential.to_vec(),
            first_seq: bhyt_core::record::Seq(0),
            revision: 0,
            bindings: Vec::new(),
            retired: retired.into_iter().map(|number| (number, until)).collect(),
            successor: None,
        }
    }

    /// Appends a record as it was: its time and body stay.
    fn push_again(&self, tail: &mut FeedTail, record: Record) -> Result<(), ServiceFault> {
        tail.push(record, PageSeed(make_bytes(&*self.entropy)))
    }

    fn is_newer_than_list(&self, record: &Record) -> bool {
        let list = self.restored.and_then(|restored| restored.list);
        list.is_some_and(|list| record.time > list.time)
    }
}

impl super::publisher::Publisher {
    /// What the sets say of a card: its standing, and its retired bindings.
    fn listed(&self, index: StatusIndex) -> (CardStanding, Vec<BindingNumber>) {
        self.with_sets(|sets| {
            let numbers = (0..BINDINGS_MAX as u64).filter_map(BindingNumber::new);
            let retired = numbers.filter(|number| sets.binding_retired(index, *number));
            (sets.standing(index), retired.collect())
        })
    }
}

fn facts_of(claims: &CardClaims) -> CardFactsV1 {
    CardFactsV1 {
        number: claims.number.clone(),
        valid_from: claims.valid_from,
        valid_to: claims.valid_to,
        issued_at: claims.issued_at,
        social_number: claims.social_number.clone(),
        full_name: claims.full_name.clone(),
        birth_date: claims.birth_date,
        sex: claims.sex,
        facility: claims.facility.clone(),
        five_years: claims.five_years,
        area: claims.area.clone(),
        level: claims.level,
        status_index: claims.status_index,
    }
}

/// A card that was handed back.
struct HandedCard {
    claims: CardClaims,
    credential: Vec<u8>,
    standing: CardStanding,
}
