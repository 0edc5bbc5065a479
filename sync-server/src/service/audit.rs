//! The audit trail: a line for each command of an operator, done or not, with what it was about in short ids and no value.
//! The line of a change is in the commit of the change; the line of a reading is there before anything is read out.
//! Lines are kept for as long as the settings say, and removed in small steps.

use std::sync::atomic::Ordering;

use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::AdminReply;
use bhyt_core::sync::audit::{
    AuditAction, AuditLine, AuditOutcome, AuditPage, AuditPlace, AuditQuery, AuditSubject, ShortMember,
};
use bhyt_core::sync::messages::{Refusal, Reply};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::entropy::{Entropy, make_bytes};

use super::answer::ReplySink;
use super::docs::{Found, decode, write};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::rows::parse_card_number;
use super::values_operators::AuditV3;
use super::{Draft, Service};
use crate::store::{COMMIT_KEYS_MAX, Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// The line of what this operation does, for the commit that does it.
    pub(crate) fn audit(
        &self,
        operation: &Operation,
        action: AuditAction,
        subject: AuditSubject,
        rows: u32,
    ) -> Result<DocWrite, ServiceFault> {
        self.line_write(&line(operation, action, subject, AuditOutcome::Done, rows))
    }

    /// Notes that something is read out.
    pub(crate) async fn note_done(
        &self,
        operation: &Operation,
        action: AuditAction,
        subject: AuditSubject,
    ) -> Result<(), ServiceFault> {
        self.note(&line(operation, action, subject, AuditOutcome::Done, 0)).await
    }

    /// Writes a line by itself.
    pub(crate) async fn note(&self, line: &AuditLine) -> Result<(), ServiceFault> {
        let commit = Commit { docs: vec![self.line_write(line)?], ..Commit::default() };
        // No other line has its place, so there is nobody to lose to.
        let _ = self.commit(Draft { commit, ..Draft::default() }).await?;
        Ok(())
    }

    /// Sends the lines that were asked for, oldest first, a reply for each step of the search.
    pub(crate) async fn show_audit(
        &self,
        operation: &Operation,
        query: &AuditQuery,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let wanted = self.wanted(query).await?;
        self.note_done(operation, AuditAction::ShowAudit, wanted.subject()).await?;
        let until = query.until.unwrap_or_else(|| operation.now.plus(1));
        let from = query.from.unwrap_or(UnixSeconds(0)).0.to_be_bytes().to_vec();
        let mut after = query.after.map_or_else(|| from.clone(), |place| place.to_vec().max(from.clone()));
        loop {
            let docs = self.store.doc_scan(DocKind::Audit, Some(after), SCAN_LINES).await?;
            let Some((last, _)) = docs.last() else { return Ok(()) };
            let (end, over) = (place_of(last)?, time_of(last)? >= until);
            let mut lines = Vec::new();
            for (key, doc) in &docs {
                let last = place_of(key)?;
                let found: Found<AuditV3> = decode("audit line", doc)?;
                lines.extend(found.value.lines().filter(|line| line.time < until && wanted.takes(line)));
                if lines.len() > SCAN_LINES && last != end {
                    let lines = std::mem::take(&mut lines);
                    sink.send(Reply::Admin(AdminReply::Audit(AuditPage { last, lines }))).await?;
                }
            }
            let last = end;
            sink.send(Reply::Admin(AdminReply::Audit(AuditPage { last, lines }))).await?;
            if over {
                return Ok(());
            }
            after = last.to_vec();
        }
    }

    /// Removes the lines that are older than they are kept, some in a commit. Says how many.
    ///
    /// # Errors
    /// [`ServiceFault`]; what is left is removed next time.
    pub async fn trim_audit(&self) -> Result<u64, ServiceFault> {
        let before = self.clock.now().minus(self.settings.audit_kept.as_secs());
        let mut removed = 0;
        loop {
            let mut docs = Vec::new();
            for (key, _) in self.store.doc_scan(DocKind::Audit, None, TRIM_LINES).await? {
                if time_of(&key)? < before {
                    docs.push(DocWrite { key, expected: Expected::Any, bytes: None });
                }
            }
            let count = docs.len();
            if count > 0 && self.store.commit(Commit { docs, ..Commit::default() }).await? == Outcome::Lost {
                return Err(ServiceFault::LostRaces { attempts: 1 });
            }
            removed += count as u64;
            if count < TRIM_LINES {
                return Ok(removed);
            }
        }
    }

    /// The lines of what this operation does to several, in one document; at least one.
    pub(crate) fn audit_each(
        &self,
        operation: &Operation,
        action: AuditAction,
        subjects: &[AuditSubject],
    ) -> Result<DocWrite, ServiceFault> {
        let (first, others) = subjects.split_first().unwrap_or((&AuditSubject::Nothing, &[]));
        let first = line(operation, action, *first, AuditOutcome::Done, 0);
        self.lines_write(&AuditV3 { first, others: others.to_vec() })
    }

    /// The write of a line, for the commit of what it tells.
    pub(crate) fn line_write(&self, line: &AuditLine) -> Result<DocWrite, ServiceFault> {
        self.lines_write(&AuditV3 { first: *line, others: Vec::new() })
    }

    fn lines_write(&self, lines: &AuditV3) -> Result<DocWrite, ServiceFault> {
        let number = self.audit_lines.fetch_add(1, Ordering::Relaxed);
        lines_write(lines, number, &*self.entropy)
    }

    async fn wanted(&self, query: &AuditQuery) -> Result<Wanted, Stop> {
        if query.member.len().max(query.card.len()) > FILTER_BYTES_MAX {
            return Err(Refusal::Malformed.into());
        }
        let mut wanted = Wanted { operator: query.operator, refused: query.refused, about: About::Any };
        if !query.member.is_empty() {
            let member = self.demand_member(&query.member).await?;
            wanted.about = About::Member(member.id.into());
        }
        if !query.card.is_empty() {
            let number = parse_card_number(&query.card).ok_or(Refusal::Malformed)?;
            let (_, card) = self.find_card(&number).await?.ok_or(Refusal::NotFound)?;
            wanted.about = About::Subject(card.subject());
        }
        Ok(wanted)
    }
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    operator: Option<KeyId>,
    refused: bool,
    about: About,
}

#[derive(Clone, Copy, Debug)]
enum About {
    Any,
    Member(ShortMember),
    Subject(AuditSubject),
}

impl Wanted {
    fn takes(&self, line: &AuditLine) -> bool {
        let done = matches!(line.outcome, AuditOutcome::Done | AuditOutcome::Unchanged);
        let about = match self.about {
            About::Any => true,
            About::Member(member) => line.subject.member() == Some(member),
            About::Subject(subject) => line.subject == subject,
        };
        about && !(self.refused && done) && self.operator.is_none_or(|it| line.operator == Some(it))
    }

    fn subject(&self) -> AuditSubject {
        match self.about {
            About::Any => self.operator.map_or(AuditSubject::Nothing, AuditSubject::Operator),
            About::Member(member) => AuditSubject::Member(member),
            About::Subject(subject) => subject,
        }
    }
}

/// A line of this operation.
pub(crate) fn line(
    operation: &Operation,
    action: AuditAction,
    subject: AuditSubject,
    outcome: AuditOutcome,
    rows: u32,
) -> AuditLine {
    let Operation { operator, id, now, .. } = *operation;
    AuditLine { time: now, operator: Some(operator), action, subject, outcome, rows, operation: id }
}

/// The write of a line.
pub(crate) fn line_write(
    line: &AuditLine,
    number: u32,
    entropy: &dyn Entropy,
) -> Result<DocWrite, ServiceFault> {
    lines_write(&AuditV3 { first: *line, others: Vec::new() }, number, entropy)
}

/// The write of lines. Their place is their time, their number among those of this process, and four random bytes: so
/// lines of one second stand in their order, and no two have one place.
fn lines_write(lines: &AuditV3, number: u32, entropy: &dyn Entropy) -> Result<DocWrite, ServiceFault> {
    let random = make_bytes::<4>(entropy);
    let place = [&lines.first.time.0.to_be_bytes()[..], &number.to_be_bytes(), &random].concat();
    write("audit line", DocKey::new(DocKind::Audit, place), Expected::Absent, lines)
}

fn place_of(key: &DocKey) -> Result<AuditPlace, ServiceFault> {
    key.id.as_slice().try_into().map_err(|_| ServiceFault::Inconsistent { what: "audit line" })
}

fn time_of(key: &DocKey) -> Result<UnixSeconds, ServiceFault> {
    let time = key.id.first_chunk().ok_or(ServiceFault::Inconsistent { what: "audit line" })?;
    Ok(UnixSeconds(u64::from_be_bytes(*time)))
}

/// Documents looked at for one reply, and lines told in it, give or take one document's: they are well within a frame, and are read in some milliseconds, so
/// that whoever waits hears something however seldom what they look for is.
const SCAN_LINES: usize = 512;
/// Lines removed in one commit.
const TRIM_LINES: usize = 128;
const FILTER_BYTES_MAX: usize = 1_024;
const _: () = assert!(TRIM_LINES <= COMMIT_KEYS_MAX);
