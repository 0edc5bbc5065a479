//! An operator's command: carried out, and noted in the audit trail whatever becomes of it. A line that is not in the
//! commit of its change is written here before the answer leaves.

use std::sync::Arc;

use bhyt_core::ids::OperationId;
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{
    AdminCommand, AdminReply, AdminRequest, Applied, CardChange, RowFault, RowOutcome, StatusView,
};
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditSubject};
use bhyt_core::sync::messages::{Refusal, Reply, Request};

use super::answer::{Peer, ReplySink};
use super::audit::line;
use super::fault::Stop;
use super::operations::Operation;
use super::principal::Principal;
use super::rows::parse_card_number;
use super::values_operators::CodePurposeV1;
use super::{Service, operators};
use crate::store::Store;

impl<S: Store> Service<S> {
    /// Carries a command out and answers it.
    pub(crate) async fn command(
        self: &Arc<Self>,
        operator: KeyId,
        request: &AdminRequest,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let operation = Operation::new(&self.vault, operator, request, self.clock.now())?;
        let mut answered = match self.check_command(&request.command) {
            Ok(()) => self.carry_out(&operation, &request.command, sink).await,
            Err(refusal) => Err(refusal.into()),
        };
        // Sent again while it was still under way, it finds its own effect in its way: it was done, and that is the answer.
        if matches!(answered, Err(Stop::Refused(_)))
            && matches!(self.done_before(&operation).await, Ok(Some(_)))
        {
            answered = self.carry_out(&operation, &request.command, sink).await;
        }
        if let Some((outcome, rows)) = still_to_note(&request.command, &answered) {
            let action = action_of(&request.command);
            let subject = self.subject_of(&request.command).await;
            let noted = self.note(&line(&operation, action, subject, outcome, rows)).await;
            // A fault is told as it is: what kept the line from being written is seldom another.
            if !matches!(answered, Err(Stop::Fault(_))) {
                noted?;
            }
        }
        match answered? {
            Some(reply) => sink.send(Reply::Admin(reply)).await,
            None => Ok(()),
        }
    }

    /// Refuses an operator who asked for what it may not, and notes that. One that does so all the time waits, and is not
    /// noted again meanwhile, so that no key fills the trail.
    pub(crate) async fn deny(&self, peer: &Peer, principal: &Principal, request: &Request) -> Stop {
        let Principal::Operator(operator, _) = principal else { return Refusal::NotAuthorised.into() };
        let now = self.clock.now();
        self.denials.fail(peer, now);
        let (operation, action, subject) = match request {
            Request::Admin(AdminRequest { operation, command }) => {
                (*operation, action_of(command), subject_named(command))
            }
            Request::Activate(_)
            | Request::ActivateP256(_)
            | Request::Enrol(_)
            | Request::SyncWallet(_)
            | Request::SyncFeeds(_)
            | Request::SyncTerminal(_)
            | Request::HandBack(_)
            | Request::SyncPersonal(_)
            | Request::Readmit(_) => {
                (OperationId([0; 16]), AuditAction::ForeignMessage, AuditSubject::Nothing)
            }
        };
        let outcome = AuditOutcome::Refused(Refusal::NotAuthorised);
        let operator = Some(*operator);
        let line = AuditLine { time: now, operator, action, subject, outcome, rows: 0, operation };
        match self.note(&line).await {
            Ok(()) => Refusal::NotAuthorised.into(),
            Err(fault) => fault.into(),
        }
    }

    /// What is to be answered; `None` where the answer went out piece by piece.
    async fn carry_out(
        self: &Arc<Self>,
        operation: &Operation,
        command: &AdminCommand,
        sink: &mut impl ReplySink,
    ) -> Result<Option<AdminReply>, Stop> {
        let reply = match command {
            AdminCommand::ImportMembers(rows) => {
                AdminReply::Rows(self.import_members(operation, rows).await?)
            }
            AdminCommand::ImportCards(rows) => AdminReply::Rows(self.import_cards(operation, rows).await?),
            AdminCommand::ImportRecords(rows) => {
                AdminReply::Rows(self.import_records(operation, rows).await?)
            }
            AdminCommand::ShowMember(alias) => AdminReply::Member(self.show_member(operation, alias).await?),
            AdminCommand::ShowCard(number) => AdminReply::Card(self.show_card(operation, number).await?),
            AdminCommand::IssueCard(row) => of_row(self.issue_card(operation, row).await?),
            AdminCommand::ChangeCard { number, change } => {
                AdminReply::Applied(self.change_card(operation, number, *change).await?)
            }
            AdminCommand::ReplaceCard { number, row } => {
                of_row(self.replace_card(operation, number, row).await?)
            }
            AdminCommand::MakeDeviceCode(alias) => {
                let member = self.demand_member(alias).await?;
                let purpose = CodePurposeV1::Device(member.id);
                self.make_code(operation, purpose).await?
            }
            AdminCommand::ListDevices(alias) => {
                AdminReply::Devices(self.list_devices(operation, alias).await?)
            }
            AdminCommand::RetireDevice(id) => AdminReply::Applied(self.retire_device(operation, id).await?),
            AdminCommand::MakeTerminalToken(facility) => {
                self.make_terminal_token(operation, facility).await?
            }
            AdminCommand::RetireTerminal(id) => {
                AdminReply::Applied(self.retire_terminal(operation, id).await?)
            }
            AdminCommand::ListTerminals(facility) => {
                return self.list_terminals(operation, facility.as_deref(), sink).await.map(|()| None);
            }
            AdminCommand::Backup => return self.send_backup(operation, sink).await.map(|()| None),
            AdminCommand::ShowStatus => AdminReply::Status(self.show_status(operation).await?),
            AdminCommand::ChangeOperators(change) => {
                AdminReply::Applied(self.change_operators(operation, change).await?)
            }
            AdminCommand::ListOperators => return self.list_operators(operation, sink).await.map(|()| None),
            AdminCommand::AddGrant(new) => AdminReply::Applied(self.add_grant(operation, new).await?),
            AdminCommand::RevokeGrant { dependant, carer } => {
                AdminReply::Applied(self.revoke_grant(operation, dependant, carer).await?)
            }
            AdminCommand::ListGrants(alias) => AdminReply::Grants(self.list_grants(operation, alias).await?),
            AdminCommand::ShowAudit(query) => {
                return self.show_audit(operation, query, sink).await.map(|()| None);
            }
            AdminCommand::EraseMember { member, reason } => {
                AdminReply::Applied(self.ask_erasure(operation, member, *reason).await?)
            }
            AdminCommand::KeepMember(alias) => AdminReply::Applied(self.keep_member(operation, alias).await?),
            AdminCommand::ExportMember(alias) => {
                return self.export_member(operation, alias, sink).await.map(|()| None);
            }
            AdminCommand::ListErasures => return self.list_erasures(operation, sink).await.map(|()| None),
        };
        Ok(Some(reply))
    }

    async fn show_status(&self, operation: &Operation) -> Result<StatusView, Stop> {
        self.note_done(operation, AuditAction::ShowStatus, AuditSubject::Nothing).await?;
        let totals = self.totals().await?;
        let trust = self.trust.current();
        let status = self.publisher.current();
        Ok(StatusView {
            members: totals.members.saturating_sub(self.vault.members_mark().erased),
            cards: totals.cards,
            connections: self.hub.connections(),
            trust_version: trust.claims().version,
            trust_expires: trust.claims().expires,
            status_version: (status.version.epoch, status.version.number),
            status_time: status.time,
            status_entries: status.entries,
            uptime_seconds: self.clock.now().since(self.started),
        })
    }

    /// What a command is about, looked up: for a line that is written because it was not done.
    async fn subject_of(&self, command: &AdminCommand) -> AuditSubject {
        let (alias, number) = match command {
            AdminCommand::ShowMember(alias)
            | AdminCommand::MakeDeviceCode(alias)
            | AdminCommand::ListDevices(alias)
            | AdminCommand::EraseMember { member: alias, .. }
            | AdminCommand::KeepMember(alias)
            | AdminCommand::ExportMember(alias)
            | AdminCommand::ListGrants(alias)
            | AdminCommand::RevokeGrant { dependant: alias, .. } => (Some(alias), None),
            AdminCommand::AddGrant(new) => (Some(&new.dependant), None),
            AdminCommand::IssueCard(row) => (Some(&row.member), None),
            AdminCommand::ShowCard(number)
            | AdminCommand::ChangeCard { number, .. }
            | AdminCommand::ReplaceCard { number, .. } => (None, Some(number)),
            _ => return subject_named(command),
        };
        if let Some(alias) = alias
            && let Ok(member) = self.demand_member(alias).await
        {
            return member.subject();
        }
        if let Some(number) = number.and_then(|number| parse_card_number(number))
            && let Ok(Some((_, card))) = self.find_card(&number).await
        {
            return card.subject();
        }
        AuditSubject::Nothing
    }
}

/// The line that the commits and readings of a command have not left: its outcome, and the rows it speaks of.
fn still_to_note(
    command: &AdminCommand,
    answered: &Result<Option<AdminReply>, Stop>,
) -> Option<(AuditOutcome, u32)> {
    match answered {
        Ok(Some(AdminReply::Applied(Applied::Duplicate))) => Some((AuditOutcome::Unchanged, 0)),
        Ok(Some(AdminReply::Rows(outcomes))) => of_rows(command, outcomes),
        Ok(_) | Err(Stop::PeerGone) => None,
        Err(Stop::Refused(refusal)) => Some((AuditOutcome::Refused(*refusal), 0)),
        Err(Stop::Fault(_)) => Some((AuditOutcome::Refused(Refusal::Internal), 0)),
    }
}

fn of_rows(command: &AdminCommand, outcomes: &[RowOutcome]) -> Option<(AuditOutcome, u32)> {
    let is_import = matches!(
        command,
        AdminCommand::ImportMembers(_) | AdminCommand::ImportCards(_) | AdminCommand::ImportRecords(_)
    );
    if !is_import {
        return outcomes.iter().find_map(|outcome| match outcome {
            RowOutcome::Failed(fault) => Some((AuditOutcome::Field(*fault), 0)),
            _ => None,
        });
    }
    let count = |wanted: fn(&RowOutcome) -> bool| {
        u32::try_from(outcomes.iter().filter(|outcome| wanted(outcome)).count()).unwrap_or(u32::MAX)
    };
    let unchanged = count(|outcome| matches!(outcome, RowOutcome::Unchanged));
    let failed = count(|outcome| matches!(outcome, RowOutcome::Failed(_)));
    let rows = unchanged.saturating_add(failed);
    (rows > 0).then_some((AuditOutcome::Rows { unchanged, failed }, rows))
}

/// What the trail calls a command.
fn action_of(command: &AdminCommand) -> AuditAction {
    match command {
        AdminCommand::ImportMembers(_) => AuditAction::ImportMembers,
        AdminCommand::ImportCards(_) => AuditAction::ImportCards,
        AdminCommand::ImportRecords(_) => AuditAction::ImportRecords,
        AdminCommand::ShowMember(_) => AuditAction::ShowMember,
        AdminCommand::ShowCard(_) => AuditAction::ShowCard,
        AdminCommand::IssueCard(_) => AuditAction::IssueCard,
        AdminCommand::ChangeCard { change, .. } => action_of_change(*change),
        AdminCommand::ReplaceCard { .. } => AuditAction::ReplaceCard,
        AdminCommand::MakeDeviceCode(_) => AuditAction::MakeDeviceCode,
        AdminCommand::ListDevices(_) => AuditAction::ListDevices,
        AdminCommand::RetireDevice(_) => AuditAction::RetireDevice,
        AdminCommand::MakeTerminalToken(_) => AuditAction::MakeTerminalToken,
        AdminCommand::ListTerminals(_) => AuditAction::ListTerminals,
        AdminCommand::RetireTerminal(_) => AuditAction::RetireTerminal,
        AdminCommand::ShowStatus => AuditAction::ShowStatus,
        AdminCommand::Backup => AuditAction::Backup,
        AdminCommand::ChangeOperators(change) => operators::action_of(change),
        AdminCommand::ListOperators => AuditAction::ListOperators,
        AdminCommand::ShowAudit(_) => AuditAction::ShowAudit,
        AdminCommand::EraseMember { .. } => AuditAction::EraseMember,
        AdminCommand::KeepMember(_) => AuditAction::KeepMember,
        AdminCommand::ListErasures => AuditAction::ListErasures,
        AdminCommand::ExportMember(_) => AuditAction::ExportMember,
        AdminCommand::AddGrant(_) => AuditAction::AddGrant,
        AdminCommand::RevokeGrant { .. } => AuditAction::RevokeGrant,
        AdminCommand::ListGrants(_) => AuditAction::ListGrants,
    }
}

/// What the trail calls a change of a card.
pub(crate) fn action_of_change(change: CardChange) -> AuditAction {
    match change {
        CardChange::Withdraw => AuditAction::WithdrawCard,
        CardChange::Reduce(_) => AuditAction::ReduceCard,
        CardChange::Hold => AuditAction::HoldCard,
        CardChange::Release => AuditAction::ReleaseCard,
    }
}

/// What a command is about by its own words, with nothing looked up: for who may not ask, and shall not measure either
/// whether a number is known.
fn subject_named(command: &AdminCommand) -> AuditSubject {
    let id = |text: &String| KeyId::from_hex(text.trim());
    let subject = match command {
        AdminCommand::RetireDevice(text) => {
            id(text).map(|device| AuditSubject::Device { device, member: None })
        }
        AdminCommand::RetireTerminal(text) => id(text).map(AuditSubject::Terminal),
        AdminCommand::ChangeOperators(change) => Some(AuditSubject::Operator(change.operator())),
        _ => None,
    };
    subject.unwrap_or(AuditSubject::Nothing)
}

/// A faulty field is told as an import tells it.
fn of_row(outcome: Result<Applied, RowFault>) -> AdminReply {
    match outcome {
        Ok(applied) => AdminReply::Applied(applied),
        Err(fault) => AdminReply::Rows(vec![RowOutcome::Failed(fault)]),
    }
}
