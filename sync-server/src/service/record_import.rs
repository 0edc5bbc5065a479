//! Official records from operators' files: stored, corrected and retracted, by the names that their sources gave them.
//!
//! All rows of one member are judged in their order and end under one signed head, in one commit with the index that
//! knows them again; members share commits. So a file may be sent again, whole or in part, and whatever was stored before
//! is unchanged.
//!
//! Refuses bodies that we would not write ourselves: a kind, a field or a form that this version does not know is never
//! signed. Two names that name two members are a conflict: the worst mistake a file can hold.

use std::collections::{BTreeMap, VecDeque};

use bhyt_core::ids::MemberId;
use bhyt_core::limits::{FEED_RECORDS_MAX, IMPORT_ROWS_MAX};
use bhyt_core::record::{Body, Content, PageSeed, Record, RecordKind, Seq};
use bhyt_core::records::{Fact, SourceKey, VisitLines};
use bhyt_core::sync::admin::{RowFault, RowField, RowOutcome, RowReason};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::Refusal;
use bhyt_core::sync::records::{NewRecord, RecordChange, RecordRow};
use bhyt_platform::entropy::make_bytes;

use super::cards::{alias_card, lost_races};
use super::docs::Found;
use super::fault::{ServiceFault, Stop};
use super::feed::FeedTail;
use super::operations::Operation;
use super::record_index::RecordIndex;
use super::rows::{Alias, fault, parse_card_number};
use super::values::AliasV1;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::exit::chain;
use crate::store::{COMMIT_KEYS_MAX, Commit, Outcome, Store};

/// The rows of one member, with their places in the frame.
struct OfMember {
    member: MemberId,
    rows: Vec<(usize, Wanted)>,
}

/// A row that may be done: bodies that were read, and their names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Put,
    PutIfNew,
    Retract,
}

struct Wanted {
    verb: Verb,
    name: SourceKey,
    kind: RecordKind,
    body: Body,
    parts: Vec<(SourceKey, Body)>,
}

/// What one commit will write.
#[derive(Default)]
struct Staged {
    commit: Commit,
    members: Vec<OfMember>,
    outcomes: Vec<(usize, RowOutcome)>,
    changed: Vec<AuditSubject>,
    keys: usize,
}

/// What became of a member's rows, and what they change, if they do.
struct Made {
    outcomes: Vec<(usize, RowOutcome)>,
    commit: Option<(AuditSubject, Commit)>,
}

impl<S: Store> Service<S> {
    /// Stores, corrects and retracts records, one outcome a row.
    pub(crate) async fn import_records(
        &self,
        operation: &Operation,
        rows: &[RecordRow],
    ) -> Result<Vec<RowOutcome>, Stop> {
        if rows.len() > IMPORT_ROWS_MAX {
            return Err(Refusal::Malformed.into());
        }
        let mut outcomes = vec![RowOutcome::Failed(fault(RowField::Record, RowReason::Internal)); rows.len()];
        let mut set = |at: usize, outcome| {
            if let Some(place) = outcomes.get_mut(at) {
                *place = outcome;
            }
        };
        let mut waiting = self.sort_rows(rows, &mut set).await;
        let mut lost = 0;
        while !waiting.is_empty() && lost < ATTEMPTS_MAX {
            let staged = self.stage_members(operation, &mut waiting).await;
            match self.commit_staged(operation, staged, &mut set).await {
                Ok(again) if again.is_empty() => {}
                Ok(again) => {
                    lost += 1;
                    waiting.extend(again);
                }
                Err(fault) => tracing::error!(error = chain(&fault), "records not stored"),
            }
        }
        if !waiting.is_empty() {
            tracing::error!(error = chain(&lost_races()), "records not stored");
        }
        Ok(outcomes)
    }

    /// Rows by member, each member's in their order. Those that are not to be done have their outcome.
    async fn sort_rows(
        &self,
        rows: &[RecordRow],
        set: &mut impl FnMut(usize, RowOutcome),
    ) -> VecDeque<OfMember> {
        let mut places: BTreeMap<MemberId, usize> = BTreeMap::new();
        let mut members: VecDeque<OfMember> = VecDeque::new();
        for (at, row) in rows.iter().enumerate() {
            let wanted = match Wanted::parse(&row.change) {
                Ok(wanted) => wanted,
                Err(fault) => {
                    set(at, RowOutcome::Failed(fault));
                    continue;
                }
            };
            match self.member_of_row(row).await {
                Ok(Ok(member)) => {
                    let place = *places.entry(member).or_insert(members.len());
                    match members.get_mut(place) {
                        Some(of_member) => of_member.rows.push((at, wanted)),
                        None => members.push_back(OfMember { member, rows: vec![(at, wanted)] }),
                    }
                }
                Ok(Err(fault)) => set(at, RowOutcome::Failed(fault)),
                Err(fault) => tracing::error!(error = chain(&fault), "row not looked at"),
            }
        }
        members
    }

    /// Whose row it is.
    async fn member_of_row(&self, row: &RecordRow) -> Result<Result<MemberId, RowFault>, ServiceFault> {
        let failed = |reason| Ok(Err(fault(RowField::Member, reason)));
        if row.member.trim().is_empty() {
            return failed(RowReason::Missing);
        }
        let mut found = None;
        for text in [&row.member, &row.also] {
            if text.trim().is_empty() {
                continue;
            }
            if text.len() > NAME_TEXT_BYTES_MAX {
                return failed(RowReason::TooLong);
            }
            let Some(name) = MemberName::parse(text) else { return failed(RowReason::Malformed) };
            match (found, self.named_member(&name).await?) {
                (Some(one), Some(other)) if one != other => return failed(RowReason::Conflict),
                (_, Some(id)) => found = Some(id),
                (_, None) => {}
            }
        }
        Ok(found.ok_or_else(|| fault(RowField::Member, RowReason::NotFound)))
    }

    async fn named_member(&self, name: &MemberName) -> Result<Option<MemberId>, ServiceFault> {
        match name {
            MemberName::Alias(alias) => self.alias_id(alias).await,
            MemberName::Card(number) => {
                let key = self.vault.card_alias(number);
                let alias: Option<Found<AliasV1>> = self.doc("alias", &key).await?;
                Ok(alias.as_ref().map(alias_card).transpose()?.map(|(member, _)| member))
            }
        }
    }

    /// As many members as one commit takes.
    async fn stage_members(&self, operation: &Operation, waiting: &mut VecDeque<OfMember>) -> Staged {
        let mut staged = Staged::default();
        while let Some(of_member) = waiting.pop_front() {
            let made = match self.stage_member(operation, &of_member).await {
                Ok(made) => made,
                Err(fault) => {
                    // Its rows keep the outcome that says so.
                    tracing::error!(error = chain(&fault), "records of a member not stored");
                    continue;
                }
            };
            let keys = made.commit.as_ref().map_or(0, |(_, commit)| keys_of(commit));
            if staged.keys + keys > KEYS_OF_MEMBERS_MAX && staged.keys > 0 {
                waiting.push_front(of_member);
                break;
            }
            staged.keys += keys;
            staged.outcomes.extend(made.outcomes);
            if let Some((subject, commit)) = made.commit {
                staged.changed.push(subject);
                staged.commit.appends.extend(commit.appends);
                staged.commit.docs.extend(commit.docs);
                staged.commit.announce.extend(commit.announce);
                staged.members.push(of_member);
            }
            // Signing takes its time, and others are waiting too.
            tokio::task::yield_now().await;
        }
        staged
    }

    /// Commits, and says what became of the rows; when others were faster, the members whose rows are to be done again.
    async fn commit_staged(
        &self,
        operation: &Operation,
        staged: Staged,
        set: &mut impl FnMut(usize, RowOutcome),
    ) -> Result<Vec<OfMember>, ServiceFault> {
        let Staged { mut commit, members, outcomes, changed, .. } = staged;
        if !changed.is_empty() {
            commit.docs.push(self.audit_each(operation, AuditAction::ImportRecords, &changed)?);
            let outcome = self.commit(Draft { commit, ..Draft::default() }).await?;
            if outcome == Outcome::Lost {
                // Rows that change nothing are done; the others get their outcome when they are.
                let again = |at: &usize| members.iter().any(|it| it.rows.iter().any(|(row, _)| row == at));
                outcomes.into_iter().filter(|(at, _)| !again(at)).for_each(|(at, outcome)| set(at, outcome));
                return Ok(members);
            }
        }
        outcomes.into_iter().for_each(|(at, outcome)| set(at, outcome));
        Ok(Vec::new())
    }

    async fn stage_member(&self, operation: &Operation, of: &OfMember) -> Result<Made, ServiceFault> {
        let OfMember { member, rows } = of;
        let Some(member) = self.open_member(*member).await? else {
            let gone = RowOutcome::Failed(fault(RowField::Member, RowReason::NotFound));
            return Ok(Made { outcomes: rows.iter().map(|(at, _)| (*at, gone)).collect(), commit: None });
        };
        let mut tail = self.feed_tail(&member).await?;
        let mut index = self.record_index(&member, &tail).await?;
        let before = tail.next_seq();
        let mut outcomes = Vec::with_capacity(rows.len());
        for (at, wanted) in rows {
            let mut feed = Feed { tail: &mut tail, index: &mut index, operation };
            let mut make_seed = || PageSeed(make_bytes(&*self.entropy));
            outcomes.push((*at, feed.take(wanted, &mut make_seed)?));
        }
        let end = tail.next_seq();
        if end == before {
            return Ok(Made { outcomes, commit: None });
        }
        let mut docs = index.writes(&member, end, &*self.entropy)?;
        // As it is: a member that is being erased meanwhile gets nothing more.
        docs.push(member.write(&*self.entropy)?);
        let appends = vec![self.seal_feed(tail, &member.key, operation.now)?];
        let commit = Commit { appends, docs, announce: vec![member.id] };
        Ok(Made { outcomes, commit: Some((member.subject(), commit)) })
    }
}

/// A number that a source names a member by.
enum MemberName {
    Alias(Alias),
    /// A card whose number does not end in a mã số BHXH.
    Card(bhyt_core::ids::CardNumber),
}

impl MemberName {
    fn parse(text: &str) -> Option<Self> {
        if let Some(alias) = Alias::parse(text) {
            return Some(Self::Alias(alias));
        }
        let number = parse_card_number(text)?;
        Some(match number.social_number() {
            Some(inside) => Self::Alias(Alias::Social(inside)),
            None => Self::Card(number),
        })
    }
}

impl Wanted {
    /// Reads the bodies of a row, which have to be just what we would write.
    fn parse(change: &RecordChange) -> Result<Self, RowFault> {
        let malformed = || fault(RowField::Record, RowReason::Malformed);
        let record = change.record();
        if !record.fits() {
            return Err(fault(RowField::Record, RowReason::TooLong));
        }
        let fact = Fact::decode(record.kind, &record.body).map_err(|_| malformed())?;
        let name = match &fact {
            // Cards are issued, lines go with their visit, and what a terminal recorded it sends itself.
            Fact::Card(_) | Fact::VisitLines(_) => None,
            Fact::Visit(visit) if visit.recorded.is_some() => None,
            fact => fact.source_key(),
        };
        let name = name.filter(|_| fact.encode().as_ref() == Ok(&record.body)).ok_or_else(malformed)?;
        let parts_said = match &fact {
            Fact::Visit(visit) => visit.more_parts.unwrap_or_default(),
            _ => 0,
        };
        if usize::from(parts_said) != record.parts.len() {
            return Err(malformed());
        }
        let parts: Option<Vec<_>> =
            (1..).zip(&record.parts).map(|(number, body)| part_of(name, number, body)).collect();
        let verb = match change {
            RecordChange::Put(_) => Verb::Put,
            RecordChange::PutIfNew(_) => Verb::PutIfNew,
            RecordChange::Retract(_) => Verb::Retract,
        };
        let NewRecord { kind, body, .. } = record.clone();
        Ok(Self { verb, name, kind, body, parts: parts.ok_or_else(malformed)? })
    }
}

/// The name of a part that is this visit's, and in its place.
fn part_of(visit: SourceKey, number: u16, body: &Body) -> Option<(SourceKey, Body)> {
    let fact = Fact::decode(RecordKind::VisitLines, body).ok()?;
    let Fact::VisitLines(lines) = &fact else { return None };
    let in_place = lines.visit == visit.0 && lines.part == number;
    (in_place && fact.encode().as_ref() == Ok(body)).then(|| (lines.source_key(), body.clone()))
}

/// A member's feed while rows go into it.
struct Feed<'f> {
    tail: &'f mut FeedTail,
    index: &'f mut RecordIndex,
    operation: &'f Operation,
}

impl Feed<'_> {
    fn take(
        &mut self,
        wanted: &Wanted,
        make_seed: &mut impl FnMut() -> PageSeed,
    ) -> Result<RowOutcome, ServiceFault> {
        let known = self.index.find(&wanted.name);
        let outcome = match (wanted.verb, known) {
            (Verb::PutIfNew, Some(_)) => return Ok(RowOutcome::Unchanged),
            (Verb::Put | Verb::PutIfNew, None) => RowOutcome::Stored,
            (Verb::Put, Some(_)) => RowOutcome::Corrected,
            (Verb::Retract, Some(known)) if known.is_retracted() => return Ok(RowOutcome::Unchanged),
            (Verb::Retract, Some(_)) => RowOutcome::Retracted,
            (Verb::Retract, None) => {
                return Ok(RowOutcome::Failed(fault(RowField::Record, RowReason::NotFound)));
            }
        };
        let stale = self.stale_parts(wanted);
        let records = 1 + wanted.parts.len() + stale.len();
        let places_left = FEED_RECORDS_MAX.saturating_sub(self.tail.next_seq().0);
        if !self.index.has_room(records) || (records as u64) > places_left {
            return Ok(RowOutcome::Failed(fault(RowField::Record, RowReason::TooLong)));
        }
        let before = self.tail.next_seq();
        if wanted.verb == Verb::Retract {
            self.push(wanted.name, wanted.kind, Content::Tombstone, make_seed)?;
        } else {
            self.push(wanted.name, wanted.kind, Content::Body(wanted.body.clone()), make_seed)?;
            for (name, body) in &wanted.parts {
                self.push(*name, RecordKind::VisitLines, Content::Body(body.clone()), make_seed)?;
            }
        }
        for name in stale {
            self.push(name, RecordKind::VisitLines, Content::Tombstone, make_seed)?;
        }
        Ok(if self.tail.next_seq() == before { RowOutcome::Unchanged } else { outcome })
    }

    /// Names of parts that stand and that the visit has no more.
    fn stale_parts(&self, wanted: &Wanted) -> Vec<SourceKey> {
        if wanted.kind != RecordKind::Visit {
            return Vec::new();
        }
        let kept = if wanted.verb == Verb::Retract { 0 } else { wanted.parts.len() };
        let name = |part| VisitLines { visit: wanted.name.0, part, lines: Vec::new() }.source_key();
        let names = (1..=u16::MAX).map(name).skip(kept);
        names.take_while(|name| self.index.find(name).is_some_and(|known| !known.is_retracted())).collect()
    }

    /// The next revision of a record, or its first; nothing when the latest says the same.
    fn push(
        &mut self,
        name: SourceKey,
        kind: RecordKind,
        content: Content,
        make_seed: &mut impl FnMut() -> PageSeed,
    ) -> Result<(), ServiceFault> {
        let time = self.operation.now;
        let (first_seq, revision): (Seq, u32) = match self.index.find(&name) {
            Some(known) if known.says(&content) => return Ok(()),
            Some(known) => (known.first_seq, known.revision.saturating_add(1)),
            None => (self.tail.next_seq(), 0),
        };
        let record = Record { kind, first_seq, revision, time, content };
        self.index.enter(name, &record);
        self.tail.push(record, make_seed())
    }
}

/// Keys that a member's part of a commit takes.
fn keys_of(commit: &Commit) -> usize {
    commit.docs.len() + commit.appends.iter().map(|append| 1 + append.pages.len()).sum::<usize>()
}

/// Besides the members a commit has audit lines and the announced changes.
const KEYS_OF_MEMBERS_MAX: usize = COMMIT_KEYS_MAX - 2;
/// Bytes of a number that a source names a member by.
const NAME_TEXT_BYTES_MAX: usize = 64;
