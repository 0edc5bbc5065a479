//! Cards: issued one by one, and shown. A card, its place in the status list, its record in the member's feed
//! and the operation that asked for it are one commit.

use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::cose::Unsigned;
use bhyt_core::ids::{CardNumber, MemberId, StatusIndex};
use bhyt_core::record::{Body, PageSeed, Record, RecordKind};
use bhyt_core::sync::admin::{Applied, CardRow, CardView, RowFault, RowField, RowOutcome, RowReason};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
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
use crate::store::{Append, Commit, DocWrite, Expected, Outcome, Store};

/// A card that may be issued.
pub(crate) struct Judged {
    pub(crate) member: OpenMember,
    pub(crate) facts: CardFactsV1,
    /// The card of an earlier period with the same number, and the revision of the number's alias.
    before: Option<(OpenCard, u64)>,
}

/// A signed card, and what keeps it.
pub(crate) struct MadeCard {
    pub(crate) append: Append,
    pub(crate) docs: Vec<DocWrite>,
    pub(crate) subject: AuditSubject,
}

impl MadeCard {
    /// Keys that it adds to a commit.
    pub(crate) fn keys(&self) -> usize {
        1 + self.append.pages.len() + self.docs.len()
    }
}

impl<S: Store> Service<S> {
    /// Issues one card and remembers the operation.
    pub(crate) async fn issue_card(
        &self,
        operation: &Operation,
        row: &CardRow,
    ) -> Result<Result<Applied, RowFault>, Stop> {
        if self.done_before(operation).await?.is_some() {
            return Ok(Ok(Applied::Duplicate));
        }
        Ok(match self.issue(operation, row).await? {
            RowOutcome::Stored | RowOutcome::Corrected | RowOutcome::Retracted => Ok(Applied::Accepted),
            RowOutcome::Unchanged => Ok(Applied::Duplicate),
            RowOutcome::Failed(fault) => Err(fault),
        })
    }

    /// A card as an operator sees it. That it was looked at is audited.
    pub(crate) async fn show_card(&self, operation: &Operation, number: &str) -> Result<CardView, Stop> {
        let number = parse_card_number(number).ok_or(Refusal::Malformed)?;
        let (member, card) = self.find_card(&number).await?.ok_or(Refusal::NotFound)?;
        self.note_done(operation, AuditAction::ShowCard, card.subject()).await?;
        Ok(view_of(&member, &card.details, card.index))
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
        let Some(member) = self.open_member(owner).await? else {
            // Its number is about to go.
            let missing = ServiceFault::Inconsistent { what: "member" };
            return if self.is_gone(owner) { Ok(None) } else { Err(missing) };
        };
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

    async fn issue(&self, operation: &Operation, row: &CardRow) -> Result<RowOutcome, Stop> {
        let wanted = match Wanted::parse(row) {
            Ok(wanted) => wanted,
            Err(fault) => return Ok(RowOutcome::Failed(fault)),
        };
        let mut lease = self.lease_slot().await?;
        self.reserve_index(&mut lease).await?;
        for _ in 0..ATTEMPTS_MAX {
            let step = self.try_issue(operation, &wanted, &mut lease).await?;
            if let Some(outcome) = step {
                return Ok(outcome);
            }
            // Lost: maybe to the same operation, sent twice.
            if self.done_before(operation).await?.is_some() {
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
        lease: &mut SlotLease<'_>,
    ) -> Result<Option<RowOutcome>, Stop> {
        let judged = match self.judge_card(operation, wanted, lease.index_after(0)?).await? {
            Ok(judged) => judged,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let member = judged.member.id;
        let MadeCard { append, mut docs, subject } = self.write_card(operation, judged).await?;
        docs.push(self.audit(operation, AuditAction::IssueCard, subject, 0)?);
        docs.push(operation.remember(OperationAnswerV1::Applied)?);
        let commit = Commit { appends: vec![append], docs, announce: vec![member] };
        let draft =
            Draft { commit, counting: Some(Counting { lease, members: 0, cards: 1 }), ..Draft::default() };
        let outcome = self.commit(draft).await?;
        Ok((outcome == Outcome::Applied).then_some(RowOutcome::Stored))
    }

    /// What is to be issued, at this place in the status list; or what becomes of the row without it.
    pub(crate) async fn judge_card(
        &self,
        operation: &Operation,
        wanted: &Wanted,
        index: StatusIndex,
    ) -> Result<Result<Judged, RowOutcome>, Stop> {
        let failed = |field, reason| Ok(Err(RowOutcome::Failed(fault(field, reason))));
        let Some(member) = self.find_member(&wanted.member).await? else {
            return failed(RowField::Member, RowReason::NotFound);
        };
        let facts = wanted.terms.facts(&member.details, index, operation.now);
        let before = match self.judge_number(&member, &facts).await? {
            Ok(before) => before,
            Err(outcome) => return Ok(Err(outcome)),
        };
        if member.details.cards.len() >= MEMBER_CARDS_MAX {
            return failed(RowField::Member, RowReason::Conflict);
        }
        Ok(Ok(Judged { member, facts, before }))
    }

    /// Signs the card and its feed: what a commit has to write of it. Nothing of it leaves before that.
    pub(crate) async fn write_card(
        &self,
        operation: &Operation,
        judged: Judged,
    ) -> Result<MadeCard, ServiceFault> {
        let Judged { mut member, facts, before } = judged;
        let mut tail = self.feed_tail(&member).await?;
        let card = self.make_card(&mut member, &mut tail, facts)?;
        let expected =
            before.as_ref().map_or(Expected::Absent, |(_, revision)| Expected::Revision(*revision));
        let subject = card.subject();
        let mut docs = vec![
            card.write(&member.key, &*self.entropy)?,
            member.write(&*self.entropy)?,
            self.card_alias(&card, expected)?,
        ];
        if let Some((mut before, _)) = before {
            before.details.successor = Some(card.details.facts.number);
            docs.push(before.write(&member.key, &*self.entropy)?);
        }
        Ok(MadeCard { append: self.seal_feed(tail, &member.key, operation.now)?, docs, subject })
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
pub(crate) struct Wanted {
    member: Alias,
    terms: CardTerms,
}

impl Wanted {
    pub(crate) fn parse(row: &CardRow) -> Result<Self, RowFault> {
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

/// A card as an operator sees it.
pub(crate) fn view_of(member: &OpenMember, details: &CardDetailsV2, index: StatusIndex) -> CardView {
    let CardDetailsV2 { facts, standing, bindings, successor, .. } = details;
    let bindings = bindings.iter().map(|binding| {
        let number = binding.number.value();
        (number, binding.device.to_string(), binding.end.iso())
    });
    CardView {
        row: to_row(member, facts),
        standing: *standing,
        status_index: index.0,
        issued_at: facts.issued_at,
        bindings: bindings.collect(),
        successor: successor.as_ref().map(|number| number.as_str().to_owned()),
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
