//! What becomes of a card: withdrawn, reduced, held, released, replaced. Each change is a revision of the card's record,
//! an entry of the status list that comes or goes, and the operation, in one commit.

use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::record::{Content, PageSeed, Record, RecordKind};
use bhyt_core::sync::admin::{Applied, CardChange, CardRow, RowFault, RowField, RowReason};
use bhyt_core::sync::audit::AuditAction;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::entropy::make_bytes;

use super::card_terms::CardTerms;
use super::cards::{MEMBER_CARDS_MAX, alias_card, card_body, lost_races};
use super::commands::action_of_change;
use super::docs::{Found, OpenCard};
use super::fault::{ServiceFault, Stop};
use super::feed::FeedTail;
use super::operations::Operation;
use super::rows::{CardFields, fault, parse_card_number};
use super::slots::SlotLease;
use super::status_changes::{StatusDraft, set_of};
use super::values::{AliasV1, OperationAnswerV1};
use super::{ATTEMPTS_MAX, Counting, Draft, Service};
use crate::store::{Commit, Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// Changes the standing of a card. A card that stands so already is left alone.
    pub(crate) async fn change_card(
        &self,
        operation: &Operation,
        number: &str,
        change: CardChange,
    ) -> Result<Applied, Stop> {
        let number = parse_card_number(number).ok_or(Refusal::Malformed)?;
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Applied::Duplicate);
            }
            let (member, mut card) = self.find_card(&number).await?.ok_or(Refusal::NotFound)?;
            let Some(standing) = next_standing(card.details.standing, change)? else {
                return Ok(Applied::Duplicate);
            };
            let mut tail = self.feed_tail(&member).await?;
            let mut status = StatusDraft::default();
            self.set_standing(&mut card, &mut tail, &mut status, standing, operation.now).await?;
            let commit = Commit {
                appends: vec![self.seal_feed(tail, &member.key, operation.now)?],
                docs: vec![
                    card.write(&member.key, &*self.entropy)?,
                    operation.remember(OperationAnswerV1::Applied)?,
                    self.audit(operation, action_of_change(change), card.subject(), 0)?,
                ],
                announce: vec![member.id],
            };
            let draft = Draft { commit, status, counting: None };
            if self.commit(draft).await? == Outcome::Applied {
                self.publish_soon();
                return Ok(Applied::Accepted);
            }
        }
        Err(lost_races().into())
    }

    /// Issues the card that follows on another. The old one is superseded, unless it is out already.
    pub(crate) async fn replace_card(
        &self,
        operation: &Operation,
        number: &str,
        row: &CardRow,
    ) -> Result<Result<Applied, RowFault>, Stop> {
        let number = parse_card_number(number).ok_or(Refusal::Malformed)?;
        if !row.member.trim().is_empty() {
            return Ok(Err(fault(RowField::Member, RowReason::Conflict)));
        }
        let fields = match CardFields::parse(row) {
            Ok(fields) => fields,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut lease = self.lease_slot().await?;
        self.reserve_index(&mut lease).await?;
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Ok(Applied::Duplicate));
            }
            let (member, card) = self.find_card(&number).await?.ok_or(Refusal::NotFound)?;
            let terms = match CardTerms::of_successor(fields.clone(), &card.details.facts) {
                Ok(terms) => terms,
                Err(fault) => return Ok(Err(fault)),
            };
            let replacing = Replacing { member, card, terms };
            match self.try_replace(operation, replacing, &mut lease).await? {
                Ok(Outcome::Lost) => {}
                Ok(Outcome::Applied) => {
                    self.publish_soon();
                    return Ok(Ok(Applied::Accepted));
                }
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Err(lost_races().into())
    }

    async fn try_replace(
        &self,
        operation: &Operation,
        replacing: Replacing,
        lease: &mut SlotLease<'_>,
    ) -> Result<Result<Outcome, RowFault>, Stop> {
        let Replacing { mut member, mut card, terms } = replacing;
        if card.details.successor.is_some() || member.details.cards.len() >= MEMBER_CARDS_MAX {
            return Err(Refusal::Conflict.into());
        }
        let alias_key = self.vault.card_alias(&terms.number);
        let alias: Option<Found<AliasV1>> = self.doc("alias", &alias_key).await?;
        let taken = alias.as_ref().map(alias_card).transpose()?;
        if taken.is_some_and(|(_, index)| index != card.index)
            || self.names_another(&terms.number, &member).await?
        {
            return Ok(Err(fault(RowField::Number, RowReason::Conflict)));
        }
        let facts = terms.facts(&member.details, lease.index_after(0)?, operation.now);
        let mut tail = self.feed_tail(&member).await?;
        let mut status = StatusDraft::default();
        card.details.successor = Some(facts.number.clone());
        if matches!(card.details.standing, CardStanding::InForce | CardStanding::Held) {
            let standing = CardStanding::Superseded;
            self.set_standing(&mut card, &mut tail, &mut status, standing, operation.now).await?;
        }
        let successor = self.make_card(&mut member, &mut tail, facts)?;
        let expected = alias.map_or(Expected::Absent, |alias| Expected::Revision(alias.revision));
        let commit = Commit {
            appends: vec![self.seal_feed(tail, &member.key, operation.now)?],
            docs: vec![
                card.write(&member.key, &*self.entropy)?,
                successor.write(&member.key, &*self.entropy)?,
                member.write(&*self.entropy)?,
                self.card_alias(&successor, expected)?,
                operation.remember(OperationAnswerV1::Applied)?,
                self.audit(operation, AuditAction::ReplaceCard, card.subject(), 0)?,
            ],
            announce: vec![member.id],
        };
        let draft = Draft { commit, status, counting: Some(Counting { lease, members: 0, cards: 1 }) };
        Ok(Ok(self.commit(draft).await?))
    }

    /// Gives the card another standing: in its document, its record and the status list.
    pub(crate) async fn set_standing(
        &self,
        card: &mut OpenCard,
        tail: &mut FeedTail,
        status: &mut StatusDraft,
        standing: CardStanding,
        now: UnixSeconds,
    ) -> Result<(), ServiceFault> {
        let details = &mut card.details;
        let value = u64::from(card.index.0);
        if let Some(set) = set_of(details.standing) {
            self.unlist(status, set, value).await?;
        }
        let until = details.facts.valid_to;
        let over = until.is_some_and(|last| last < now.day());
        if let Some(set) = set_of(standing).filter(|_| !over) {
            status.add(set, value, until)?;
        }
        details.standing = standing;
        details.revision = details.revision.saturating_add(1);
        let body = card_body(&CardRecord { credential: details.credential.clone(), standing })?;
        let record = Record {
            kind: RecordKind::Card,
            first_seq: details.first_seq,
            revision: details.revision,
            time: now,
            content: Content::Body(body),
        };
        tail.push(record, PageSeed(make_bytes(&*self.entropy)))
    }
}

/// A card, whose it is, and the terms of the one that follows on it.
struct Replacing {
    member: super::docs::OpenMember,
    card: OpenCard,
    terms: CardTerms,
}

/// What a change makes of a standing; `None` when it is so already.
///
/// A withdrawn card stays withdrawn, and a superseded one does not come back: both get a successor instead.
fn next_standing(now: CardStanding, change: CardChange) -> Result<Option<CardStanding>, Refusal> {
    use CardStanding as Is;
    let next = match (change, now) {
        (CardChange::Withdraw, _) => Is::Withdrawn,
        (CardChange::Reduce(code), Is::InForce | Is::Held | Is::Reduced(_)) => Is::Reduced(code),
        (CardChange::Hold, Is::InForce | Is::Held) => Is::Held,
        (CardChange::Release, Is::Held | Is::InForce) => Is::InForce,
        (CardChange::Reduce(_), Is::Withdrawn | Is::Superseded)
        | (CardChange::Hold | CardChange::Release, Is::Withdrawn | Is::Superseded | Is::Reduced(_)) => {
            return Err(Refusal::Conflict);
        }
    };
    Ok((next != now).then_some(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::card_record::ReducedCode;

    #[test]
    fn only_these_changes_are_possible() {
        use CardStanding as Is;
        let code = |number| ReducedCode::new(number).unwrap();
        let conflict = Err(Refusal::Conflict);
        for (now, change, expected) in [
            (Is::InForce, CardChange::Withdraw, Ok(Some(Is::Withdrawn))),
            (Is::Superseded, CardChange::Withdraw, Ok(Some(Is::Withdrawn))),
            (Is::Withdrawn, CardChange::Withdraw, Ok(None)),
            (Is::Withdrawn, CardChange::Release, conflict),
            (Is::Withdrawn, CardChange::Reduce(code(120)), conflict),
            (Is::InForce, CardChange::Hold, Ok(Some(Is::Held))),
            (Is::Held, CardChange::Release, Ok(Some(Is::InForce))),
            (Is::InForce, CardChange::Release, Ok(None)),
            (Is::Reduced(code(120)), CardChange::Release, conflict),
            (Is::Reduced(code(120)), CardChange::Reduce(code(121)), Ok(Some(Is::Reduced(code(121))))),
            (Is::Reduced(code(120)), CardChange::Reduce(code(120)), Ok(None)),
            (Is::Superseded, CardChange::Hold, conflict),
        ] {
            assert_eq!(next_standing(now, change), expected, "{now:?} {change:?}");
        }
    }
}
