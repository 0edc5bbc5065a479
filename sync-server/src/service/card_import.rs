//! Import of cards: rows are judged one after the other and signed, and written in as few commits as their keys allow. A
//! row whose member or number an earlier row of the same commit has changed waits for the next one, so that it is judged
//! against what is stored. A row that says what is known already changes nothing, so a file may be sent again.

use std::collections::BTreeSet;

use bhyt_core::ids::{CardNumber, MemberId, StatusIndex};
use bhyt_core::limits::IMPORT_ROWS_MAX;
use bhyt_core::sync::admin::{CardRow, RowField, RowOutcome, RowReason};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::Refusal;

use super::cards::{Wanted, lost_races};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::rows::fault;
use super::{ATTEMPTS_MAX, Counting, Draft, Service};
use crate::exit::chain;
use crate::store::{COMMIT_KEYS_MAX, Commit, Outcome, Store};

/// A row that is not done with: its place in the import, and what it asks for.
type Waiting = (usize, Wanted);

/// What one commit will write.
#[derive(Default)]
struct Staged {
    commit: Commit,
    rows: Vec<Waiting>,
    members: BTreeSet<MemberId>,
    numbers: BTreeSet<CardNumber>,
    issued: Vec<AuditSubject>,
    keys: usize,
}

/// What became of a row for now.
enum Step {
    Done(RowOutcome),
    Staged,
    /// It needs to see what is staged.
    Waits,
}

impl<S: Store> Service<S> {
    /// Issues the cards of an import, one outcome a row.
    pub(crate) async fn import_cards(
        &self,
        operation: &Operation,
        rows: &[CardRow],
    ) -> Result<Vec<RowOutcome>, Stop> {
        if rows.len() > IMPORT_ROWS_MAX {
            return Err(Refusal::Malformed.into());
        }
        let mut outcomes = vec![RowOutcome::Failed(fault(RowField::Number, RowReason::Internal)); rows.len()];
        let mut set = |at: usize, outcome| {
            if let Some(place) = outcomes.get_mut(at) {
                *place = outcome;
            }
        };
        let mut waiting: Vec<Waiting> = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            match Wanted::parse(row) {
                Ok(wanted) => waiting.push((at, wanted)),
                Err(fault) => set(at, RowOutcome::Failed(fault)),
            }
        }
        let mut lost = 0;
        while !waiting.is_empty() && lost < ATTEMPTS_MAX {
            let mut later = Vec::new();
            match self.import_round(operation, waiting, &mut later, &mut set).await {
                Ok(Outcome::Applied) => {}
                Ok(Outcome::Lost) => lost += 1,
                Err(fault) => tracing::error!(error = chain(&fault), "rows not issued"),
            }
            later.sort_unstable_by_key(|(at, _)| *at);
            waiting = later;
        }
        if !waiting.is_empty() {
            tracing::error!(error = chain(&lost_races()), "rows not issued");
        }
        Ok(outcomes)
    }

    /// One commit's worth of rows; those for the next one go to `later`. Rows without an outcome after a fault keep the
    /// one they have.
    async fn import_round(
        &self,
        operation: &Operation,
        waiting: Vec<Waiting>,
        later: &mut Vec<Waiting>,
        set: &mut impl FnMut(usize, RowOutcome),
    ) -> Result<Outcome, ServiceFault> {
        let mut lease = self.lease_slot().await?;
        self.reserve_index(&mut lease).await?;
        let mut staged = Staged::default();
        for (at, wanted) in waiting {
            let number = staged.rows.len() as u64;
            if staged.keys + KEYS_OF_A_CARD > KEYS_OF_CARDS_MAX || number >= lease.indexes_left() {
                later.push((at, wanted));
                continue;
            }
            let index = lease.index_after(number)?;
            match self.stage_card(operation, &mut staged, &wanted, index).await {
                Ok(Step::Staged) => staged.rows.push((at, wanted)),
                Ok(Step::Waits) => later.push((at, wanted)),
                Ok(Step::Done(outcome)) => set(at, outcome),
                Err(stop) => tracing::error!(error = chain(&stop), "row not issued"),
            }
            // Signing takes its time, and others are waiting too.
            tokio::task::yield_now().await;
        }
        let Staged { mut commit, rows, issued, .. } = staged;
        if rows.is_empty() {
            return Ok(Outcome::Applied);
        }
        commit.docs.push(self.audit_each(operation, AuditAction::IssueCard, &issued)?);
        let cards = rows.len() as u64;
        let counting = Some(Counting { lease: &mut lease, members: 0, cards });
        let outcome = self.commit(Draft { commit, counting, ..Draft::default() }).await?;
        match outcome {
            Outcome::Applied => rows.iter().for_each(|(at, _)| set(*at, RowOutcome::Stored)),
            Outcome::Lost => later.extend(rows),
        }
        Ok(outcome)
    }

    async fn stage_card(
        &self,
        operation: &Operation,
        staged: &mut Staged,
        wanted: &Wanted,
        index: StatusIndex,
    ) -> Result<Step, Stop> {
        let judged = match self.judge_card(operation, wanted, index).await? {
            Ok(judged) => judged,
            // What an earlier row has done to the member or the number may be why.
            Err(outcome) => return Ok(Step::Done(outcome)),
        };
        let number = judged.facts.number.clone();
        if staged.members.contains(&judged.member.id) || staged.numbers.contains(&number) {
            return Ok(Step::Waits);
        }
        let member = judged.member.id;
        let made = self.write_card(operation, judged).await?;
        staged.keys += made.keys();
        staged.members.insert(member);
        staged.numbers.insert(number);
        staged.commit.appends.push(made.append);
        staged.commit.docs.extend(made.docs);
        staged.issued.push(made.subject);
        staged.commit.announce.push(member);
        Ok(Step::Staged)
    }
}

/// Head, page, card, member and alias; a second page, and the card before.
const KEYS_OF_A_CARD: usize = 7;
/// Besides the cards a commit has audit lines, a slot and the announced changes.
const KEYS_OF_CARDS_MAX: usize = COMMIT_KEYS_MAX - 3;
