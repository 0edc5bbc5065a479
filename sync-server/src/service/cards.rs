//! Cards: issued one by one or by file, and shown. A card, its place in the status list, its record in the member's feed
//! and the operation that asked for it are one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::cose::Unsigned;
use bhyt_core::ids::{CardNumber, MemberId, StatusIndex};
use bhyt_core::limits::IMPORT_ROWS_MAX;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind};
use bhyt_core::sync::admin::{Applied, CardRow, CardView, RowFault, RowField, RowOutcome, RowReason};
use bhyt_core::sync::audit::AuditAction;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::Day;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::make_bytes;

use super::card_terms::CardTerms;
use super::docs::{Found, OpenCard, OpenMember, write};
use super::fault::{ServiceFault, Stop};
use super::feed::FeedTail;
use super::members::alias_member;
use super::operations::Operation;
use super::rows::{Alias, CardFields, fault, parse_card_number};
use super::slots::SlotLease;
use super::values::{AliasV1, CardDetailsV2, CardFactsV1, OperationAnswerV1};
use super::{ATTEMPTS_MAX, Counting, Draft, Service};
use crate::exit::chain;
use crate::store::{Commit, DocWrite, Expected, Outcome, Store};

/// Whether an operation is remembered, or is the same when done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remember {
    Operation,
    Nothing,
}

impl<S: Store> Service<S> {
    /// Issues the cards of an import, one outcome a row. Rows of different members go side by side.
    pub(crate) async fn import_cards(
        self: &Arc<Self>,
        operation: Operation,
        rows: Vec<CardRow>,
    ) -> Result<Vec<RowOutcome>, Stop> {
        if rows.len() > IMPORT_ROWS_MAX {
            return Err(Refusal::Malformed.into());
        }
        let mut outcomes = vec![None; rows.len()];
        let mut of_member: BTreeMap<String, Vec<(usize, CardRow)>> = BTreeMap::new();
        for (at, row) in rows.into_iter().enumerate() {
            of_member.entry(row.member.clone()).or_default().push((at, row));
        }
        let mut tasks = tokio::task::JoinSet::new();
        for rows in of_member.into_values() {
            let service = Arc::clone(self);
            tasks.spawn(async move {
                let mut done = Vec::with_capacity(rows.len());
                for (at, row) in rows {
                    done.push((at, service.import_card(&operation, &row).await));
                }
                done
            });
        }
        while let Some(done) = tasks.join_next().await {
            for (at, outcome) in done.unwrap_or_default() {
                if let Some(place) = outcomes.get_mut(at) {
                    *place = Some(outcome);
                }
            }
        }
        let internal = RowOutcome::Failed(fault(RowField::Number, RowReason::Internal));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(internal)).collect())
    }

    /// Issues one card and remembers the operation.
    pub(crate) async fn issue_card(
        &self,
        operation: &Operation,
        row: &CardRow,
    ) -> Result<Result<Applied, RowFault>, Stop> {
        if self.done_before(operation).await?.is_some() {
            return Ok(Ok(Applied::Duplicate));
        }
        Ok(match self.issue(operation, row, Remember::Operation).await? {
            RowOutcome::Stored => Ok(Applied::Accepted),
            RowOutcome::Unchanged => Ok(Applied::Duplicate),
            RowOutcome::Failed(fault) => Err(fault),
        })
    }

    /// A card as an operator sees it. That it was looked at is audited.
    pub(crate) async fn show_card(&self, operation: &Operation, number: &str) -> Result<CardView, Stop> {
        let number = parse_card_number(number).ok_or(Refusal::Malformed)?;
        let (member, card) = self.find_card(&number).await?.ok_or(Refusal::NotFound)?;
        self.note_done(operation, AuditAction::ShowCard, card.subject()).await?;
        let CardDetailsV2 { facts, standing, bindings, successor, .. } = &card.details;
        let bindings = bindings.iter().map(|binding| {
            let number = binding.number.value();
            (number, binding.device.to_string(), binding.end.iso())
        });
        Ok(CardView {
            row: to_row(&member, facts),
            standing: *standing,
            status_index: card.index.0,
            issued_at: facts.issued_at,
            bindings: bindings.collect(),
            successor: successor.as_ref().map(|number| number.as_str().to_owned()),
        })
    }

    /// The newest card of this number, with its member.
    pub(crate) async fn find_card(
        &self,
        number: &CardNumber,
    ) -> Result<Option<(OpenMember, OpenCard)>, ServiceFault> {
        let alias: Option<Found<AliasV1>> = self.doc("alias", &self.vault.card_alias(number)).await?;
        let Some((owner, index)) = alias.map(|alias| alias_card(&alias)).transpose()? else {
            return Ok(None);
        };
        let missing = ServiceFault::Inconsistent { what: "member" };
        let member = self.open_member(owner).await?.ok_or(missing)?;
        let card = self.open_card(&member, index).await?;
        Ok(Some((member, card)))
    }

    /// Signs a new card and puts it, with its record, where it belongs. The index is the lease's next.
    pub(crate) fn make_card(
        &self,
        member: &mut OpenMember,
        tail: &mut FeedTail,
        facts: CardFactsV1,
    ) -> Result<OpenCard, ServiceFault> {
        let at = facts.issued_at;
        let claims = facts.claims(at);
        let signed = self.sign(KeyUse::Card, at, |key| Unsigned::new(claims, key))?;
        let record = CardRecord { credential: signed.bytes().to_vec(), standing: CardStanding::InForce };
        let first_seq = tail.next_seq();
        let body = card_body(&record)?;
        tail.push(
            Record::first(first_seq, RecordKind::Card, body, at),
            PageSeed(make_bytes(&*self.entropy)),
        )?;
        member.details.cards.push(facts.status_index);
        Ok(OpenCard {
            index: facts.status_index,
            member: member.id,
            expected: Expected::Absent,
            details: CardDetailsV2 {
                facts,
                standing: CardStanding::InForce,
                credential: record.credential,
                first_seq,
                revision: 0,
                bindings: Vec::new(),
                retired: Vec::new(),
                successor: None,
            },
        })
    }

    async fn import_card(&self, operation: &Operation, row: &CardRow) -> RowOutcome {
        match self.issue(operation, row, Remember::Nothing).await {
            Ok(outcome) => outcome,
            Err(stop) => {
                tracing::error!(error = chain(&stop), "row not issued");
                RowOutcome::Failed(fault(RowField::Number, RowReason::Internal))
            }
        }
    }

    async fn issue(
        &self,
        operation: &Operation,
        row: &CardRow,
        remember: Remember,
    ) -> Result<RowOutcome, Stop> {
        let wanted = match Wanted::parse(row) {
            Ok(wanted) => wanted,
            Err(fault) => return Ok(RowOutcome::Failed(fault)),
        };
        let mut lease = self.lease_slot().await?;
        self.reserve_index(&mut lease).await?;
        for _ in 0..ATTEMPTS_MAX {
            let step = self.try_issue(operation, &wanted, remember, &mut lease).await?;
            if let Some(outcome) = step {
                return Ok(outcome);
            }
            // Lost: maybe to the same operation, sent twice.
            if remember == Remember::Operation && self.done_before(operation).await?.is_some() {
                return Ok(RowOutcome::Unchanged);
            }
        }
        Err(lost_races().into())
    }

    /// `None` when the commit was lost.
    async fn try_issue(
        &self,
        operation: &Operation,
        wanted: &Wanted,
        remember: Remember,
        lease: &mut SlotLease<'_>,
    ) -> Result<Option<RowOutcome>, Stop> {
        let failed = |field, reason| Ok(Some(RowOutcome::Failed(fault(field, reason))));
        let Some(mut member) = self.find_member(&wanted.member).await? else {
            return failed(RowField::Member, RowReason::NotFound);
        };
        let facts = wanted.terms.facts(&member.details, lease.index_after(0)?, operation.now);
        let before = match self.judge_number(&member, &facts).await? {
            Ok(before) => before,
            Err(outcome) => return Ok(Some(outcome)),
        };
        if member.details.cards.len() >= MEMBER_CARDS_MAX {
            return failed(RowField::Member, RowReason::Conflict);
        }
        let mut tail = self.feed_tail(&member).await?;
        let card = self.make_card(&mut member, &mut tail, facts)?;
        let expected =
            before.as_ref().map_or(Expected::Absent, |(_, revision)| Expected::Revision(*revision));
        let mut docs = vec![
            card.write(&member.key, &*self.entropy)?,
            member.write(&*self.entropy)?,
            self.card_alias(&card, expected)?,
            self.audit(operation, AuditAction::IssueCard, card.subject(), 0)?,
        ];
        if let Some((mut before, _)) = before {
            before.details.successor = Some(card.details.facts.number.clone());
            docs.push(before.write(&member.key, &*self.entropy)?);
        }
        if remember == Remember::Operation {
            docs.push(operation.remember(OperationAnswerV1::Applied)?);
        }
        let commit = Commit {
            appends: vec![self.seal_feed(tail, &member.key, operation.now)?],
            docs,
            announce: vec![member.id],
        };
        let draft =
            Draft { commit, counting: Some(Counting { lease, members: 0, cards: 1 }), ..Draft::default() };
        let outcome = self.commit(draft).await?;
        Ok((outcome == Outcome::Applied).then_some(RowOutcome::Stored))
    }

    /// Whether the number is free for a card that says this, or is that of an earlier period of the same member's, which
    /// then comes with the revision of its alias. Else what becomes of the row.
    async fn judge_number(
        &self,
        member: &OpenMember,
        facts: &CardFactsV1,
    ) -> Result<Result<Option<(OpenCard, u64)>, RowOutcome>, ServiceFault> {
        let conflict = RowOutcome::Failed(fault(RowField::Number, RowReason::Conflict));
        let alias: Option<Found<AliasV1>> = self.doc("alias", &self.vault.card_alias(&facts.number)).await?;
        let Some(alias) = alias else {
            let conflicts = self.names_another(&facts.number, member).await?;
            return Ok(if conflicts { Err(conflict) } else { Ok(None) });
        };
        let (owner, newest) = alias_card(&alias)?;
        if owner != member.id {
            return Ok(Err(conflict));
        }
        let mut cards = self.open_cards(member).await?;
        if cards.iter().any(|card| card.details.facts.says_the_same(facts)) {
            return Ok(Err(RowOutcome::Unchanged));
        }
        let newest = cards.iter().position(|card| card.index == newest).map(|at| cards.swap_remove(at));
        let newest = newest.ok_or(ServiceFault::Inconsistent { what: "alias" })?;
        let over_before = newest.details.facts.valid_to.is_some_and(|last| last < facts.valid_from);
        Ok(if over_before { Ok(Some((newest, alias.revision))) } else { Err(conflict) })
    }

    /// The write that makes the card the newest of its number.
    pub(crate) fn card_alias(&self, card: &OpenCard, expected: Expected) -> Result<DocWrite, ServiceFault> {
        let alias = AliasV1::Card { member: card.member, index: card.index };
        let key = self.vault.card_alias(&card.details.facts.number);
        write("alias", key, expected, &alias)
    }

    /// Whether the number's last ten digits are the mã số BHXH of somebody else: the worst mistake a file can hold.
    pub(crate) async fn names_another(
        &self,
        number: &CardNumber,
        member: &OpenMember,
    ) -> Result<bool, ServiceFault> {
        let Some(inside) = number.social_number() else {
            return Ok(false);
        };
        if inside == member.details.social_number {
            return Ok(false);
        }
        let found: Option<Found<AliasV1>> = self.doc("alias", &self.vault.social_alias(&inside)).await?;
        let bearer = found.as_ref().map(alias_member).transpose()?;
        Ok(bearer.is_some_and(|bearer| bearer != member.id))
    }
}

/// What an issue asks for.
struct Wanted {
    member: Alias,
    terms: CardTerms,
}

impl Wanted {
    fn parse(row: &CardRow) -> Result<Self, RowFault> {
        if row.member.trim().is_empty() {
            return Err(fault(RowField::Member, RowReason::Missing));
        }
        let malformed = || fault(RowField::Member, RowReason::Malformed);
        let member = Alias::parse(&row.member).ok_or_else(malformed)?;
        let terms = CardTerms::of_issue(CardFields::parse(row)?)?;
        Ok(Self { member, terms })
    }
}

/// The card that a card number's alias stands for.
pub(crate) fn alias_card(alias: &Found<AliasV1>) -> Result<(MemberId, StatusIndex), ServiceFault> {
    match alias.value {
        AliasV1::Card { member, index } => Ok((member, index)),
        AliasV1::Member(_) => Err(ServiceFault::Inconsistent { what: "alias" }),
    }
}

/// The body of a card's record.
pub(crate) fn card_body(record: &CardRecord) -> Result<Body, ServiceFault> {
    Body::new(record.encode()).map_err(|_| ServiceFault::Inconsistent { what: "card record" })
}

/// Others were faster each time.
pub(crate) fn lost_races() -> ServiceFault {
    ServiceFault::LostRaces { attempts: ATTEMPTS_MAX }
}

fn to_row(member: &OpenMember, facts: &CardFactsV1) -> CardRow {
    let iso = |day: Option<Day>| day.map_or_else(String::new, Day::iso);
    CardRow {
        member: member.id.to_hex(),
        number: facts.number.as_str().to_owned(),
        level: facts.level.value().to_string(),
        facility: facts.facility.as_str().to_owned(),
        from: facts.valid_from.iso(),
        to: iso(facts.valid_to),
        five_years: iso(facts.five_years),
        area: facts.area.as_ref().map_or_else(String::new, |area| area.as_str().to_owned()),
    }
}

/// Cards of one member, all of their life; an index is four bytes in the member's document.
pub(crate) const MEMBER_CARDS_MAX: usize = 256;
