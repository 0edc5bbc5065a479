//! Terminals: enrolled with a one-time token, listed, retired.

use bhyt_core::ids::FacilityCode;
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{AdminReply, Applied, SigningTerminal, TerminalView};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::{Enrol, Refusal, Reply};

use super::answer::{Peer, ReplySink};
use super::cards::lost_races;
use super::codes::use_code;
use super::docs::{Found, decode, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::rows::parse_facility;
use super::values::{OperationAnswerV1, TerminalV1};
use super::values_operators::CodePurposeV1;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{Commit, DocKind, Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// Makes a token for a terminal of this facility.
    pub(crate) async fn make_terminal_token(
        &self,
        operation: &Operation,
        facility: &str,
    ) -> Result<AdminReply, Stop> {
        let facility = parse_facility(facility).ok_or(Refusal::Malformed)?;
        self.make_code(operation, CodePurposeV1::Terminal(facility)).await
    }

    /// Enrols the peer.
    pub(crate) async fn enrol(&self, peer: &Peer, request: &Enrol) -> Result<FacilityCode, Stop> {
        if request.token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed.into());
        }
        let now = self.clock.now();
        self.attempts.check(peer, now)?;
        for _ in 0..ATTEMPTS_MAX {
            match self.try_enrol(peer, request).await {
                Ok(Some(facility)) => return Ok(facility),
                Ok(None) => {}
                Err(stop) => {
                    if matches!(stop, Stop::Refused(Refusal::BadCode)) {
                        self.attempts.fail(peer, now);
                    }
                    return Err(stop);
                }
            }
        }
        Err(lost_races().into())
    }

    /// `None` when the commit was lost.
    async fn try_enrol(&self, peer: &Peer, request: &Enrol) -> Result<Option<FacilityCode>, Stop> {
        let now = self.clock.now();
        let (code_key, code) = self.find_code(&request.token, now).await?.ok_or(Refusal::BadCode)?;
        let facility = match &code.value.purpose {
            CodePurposeV1::Terminal(facility) => facility.clone(),
            CodePurposeV1::Device(_) => {
                self.count_misuse(code_key, code).await?;
                return Err(Refusal::BadCode.into());
            }
        };
        let key = holder_key(DocKind::Terminal, peer.key.key_id());
        let terminal: Option<Found<TerminalV1>> = self.doc("terminal", &key).await?;
        if let Some(user) = code.value.used_by {
            let same = |terminal: &Found<TerminalV1>| {
                terminal.value.terminal_key == request.terminal_key && terminal.value.facility == facility
            };
            return match user == peer.key && terminal.as_ref().is_some_and(same) {
                true => Ok(Some(facility)),
                false => Err(Refusal::BadCode.into()),
            };
        }
        // A terminal that moves to another facility comes with a new key.
        if terminal.is_some() {
            return Err(Refusal::Conflict.into());
        }
        let value = TerminalV1 {
            transport_key: peer.key,
            terminal_key: request.terminal_key,
            facility: facility.clone(),
            enrolled: now,
            retired: None,
        };
        let commit = Commit {
            docs: vec![
                write("terminal", key, Expected::Absent, &value)?,
                use_code(code_key, &code, peer.key)?,
            ],
            ..Commit::default()
        };
        let draft = Draft { commit, ..Draft::default() };
        let outcome = self.commit(draft).await?;
        Ok((outcome == Outcome::Applied).then_some(facility))
    }

    /// Sends all terminals, or one facility's, in pieces that fit a frame each.
    pub(crate) async fn list_terminals(
        &self,
        operation: &Operation,
        facility: Option<&str>,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let facility = match facility {
            Some(text) => Some(parse_facility(text).ok_or(Refusal::Malformed)?),
            None => None,
        };
        self.note_done(operation, AuditAction::ListTerminals, AuditSubject::Nothing).await?;
        let mut after = None;
        loop {
            let docs = self.store.doc_scan(DocKind::Terminal, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { break };
            after = Some(last.id.clone());
            let mut views = Vec::new();
            for (key, doc) in &docs {
                let found: Found<TerminalV1> = decode("terminal", doc)?;
                if facility.as_ref().is_none_or(|facility| *facility == found.value.facility) {
                    views.push(view(&key.id, &found.value)?);
                }
            }
            if !views.is_empty() {
                sink.send(Reply::Admin(AdminReply::SigningTerminals(views))).await?;
            }
        }
        Ok(())
    }

    /// Retires a terminal for good.
    pub(crate) async fn retire_terminal(&self, operation: &Operation, id: &str) -> Result<Applied, Stop> {
        let id = KeyId::from_hex(id.trim()).ok_or(Refusal::Malformed)?;
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Applied::Duplicate);
            }
            let key = holder_key(DocKind::Terminal, id);
            let found: Option<Found<TerminalV1>> = self.doc("terminal", &key).await?;
            let found = found.ok_or(Refusal::NotFound)?;
            if found.value.retired.is_some() {
                return Ok(Applied::Duplicate);
            }
            let terminal = TerminalV1 { retired: Some(operation.now), ..found.value };
            let commit = Commit {
                docs: vec![
                    write("terminal", key, Expected::Revision(found.revision), &terminal)?,
                    operation.remember(OperationAnswerV1::Applied)?,
                    self.audit(operation, AuditAction::RetireTerminal, AuditSubject::Terminal(id), 0)?,
                ],
                ..Commit::default()
            };
            let draft = Draft { commit, ..Draft::default() };
            if self.commit(draft).await? == Outcome::Applied {
                self.hub.retire(&terminal.transport_key);
                return Ok(Applied::Accepted);
            }
        }
        Err(lost_races().into())
    }
}

fn view(id: &[u8], terminal: &TerminalV1) -> Result<SigningTerminal, ServiceFault> {
    let bad_id = |_| ServiceFault::Inconsistent { what: "terminal" };
    let view = TerminalView {
        id: KeyId(id.try_into().map_err(bad_id)?).to_string(),
        facility: terminal.facility.as_str().to_owned(),
        enrolled: terminal.enrolled,
        retired: terminal.retired,
    };
    Ok(SigningTerminal { terminal: view, terminal_key: terminal.terminal_key.key_id() })
}

const TOKEN_BYTES_MAX: usize = 64;
/// Terminals read at a time, and in one frame at most: 256 of 90 bytes.
const SCAN_DOCS: usize = 256;
