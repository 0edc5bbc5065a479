//! What the program prints with `--json`: one object a line, field names in snake_case, absent values null.

use std::time::Duration;

use bhyt_core::card::CardClaims;
use bhyt_core::status::StatusVersion;
use bhyt_core::time::UnixSeconds;
use bhyt_core::verdict::{Accept, AcceptNote, Basis, Evidence, Freshness, Holder, Outcome, Verdict};
use bhyt_sdk::{Event, SyncReport, TerminalStatus};
use serde_json::{Value, json};

use crate::exit::TerminalError;

/// A verdict. `portal_code` is the national portal's `maKetQua`, three digits; times are seconds since 1970.
pub fn verdict_json(verdict: &Verdict) -> Value {
    let accept = match verdict.outcome() {
        Outcome::Accept(accept) => Some(accept),
        _ => None,
    };
    let (outcome, reason) = match verdict.outcome() {
        Outcome::Accept(_) => ("accept", None),
        Outcome::Reject(reason) => ("reject", Some(reason.name())),
        Outcome::Undecided(reason) => ("undecided", Some(reason.name())),
    };
    let (holder, holder_reason, holder_basis) = match accept.map(|accept| accept.holder) {
        None => (None, None, None),
        Some(Holder::Proven(Basis::Clock)) => (Some("proven"), None, Some("clock")),
        Some(Holder::Proven(Basis::Challenge)) => (Some("proven"), None, Some("challenge")),
        Some(Holder::Unproven(reason)) => (Some("unproven"), Some(reason.name()), None),
    };
    let freshness = accept.map(|Accept { freshness, .. }| match freshness {
        Freshness::Fresh => "fresh",
        Freshness::Stale { .. } => "stale",
    });
    json!({
        "outcome": outcome,
        "reason": reason,
        "note": accept.and_then(|accept| accept.note).map(AcceptNote::name),
        "portal_code": format!("{:03}", verdict.portal_code()),
        "holder": holder,
        "holder_reason": holder_reason,
        "holder_basis": holder_basis,
        "freshness": freshness,
        "age_s": verdict.evidence().status_age_seconds,
        "card": verdict.card().map(card),
        "evidence": evidence(verdict.evidence()),
    })
}

/// What a terminal answers from.
pub(crate) fn status(status: &TerminalStatus) -> Value {
    json!({
        "id": status.id.map(|id| id.to_string()),
        "server": status.server,
        "facility": status.facility.as_ref().map(|facility| facility.as_str()),
        "terminal_key": status.terminal_key.map(|key| key.to_string()),
        "trust_version": status.trust_version,
        "trust_expires": status.trust_expires.map(seconds),
        "list_version": status.status_version.map(version),
        "list_time": status.status_time.map(seconds),
        "list_age_s": status.status_age_seconds,
        "list_entries": status.status_entries,
        "clock_behind_s": status.clock_behind_seconds,
        "last_success": status.last_success.map(seconds),
        "server_ahead_s": status.server_ahead_seconds,
        "problem": status.problem.map(|problem| problem.name()),
    })
}

/// What a sync brought.
pub(crate) fn report(report: SyncReport) -> Value {
    json!({ "received": report.received, "changes": report.changes })
}

/// What happened.
pub(crate) fn event(event: Event) -> Value {
    match event {
        Event::TrustChanged { version } => json!({ "event": event.name(), "version": version }),
        Event::StatusChanged { version: list } => {
            json!({ "event": event.name(), "version": version(list) })
        }
        Event::Progress { received, total } => {
            json!({ "event": event.name(), "received": received, "total": total })
        }
        Event::Disconnected { problem, retry_in } => json!({
            "event": event.name(),
            "problem": problem.name(),
            "retry_in_ms": retry_in.map(millis),
        }),
        _ => json!({ "event": event.name() }),
    }
}

/// A failure.
pub(crate) fn error(error: &TerminalError) -> Value {
    json!({ "error": error.name(), "exit": error.exit() as u8, "message": error.chain() })
}

fn card(card: &CardClaims) -> Value {
    json!({
        "number": card.number.as_str(),
        "member_id": card.social_number.as_str(),
        "full_name": card.full_name.as_str(),
        "birth_date": card.birth_date.iso(),
        "sex": card.sex.code(),
        "facility": card.facility.as_str(),
        "from": card.valid_from.iso(),
        "to": card.valid_to.map(|day| day.iso()),
        "five_years": card.five_years.map(|day| day.iso()),
        "area": card.area.as_ref().map(|area| area.as_str()),
        "level": card.level.value(),
    })
}

fn evidence(evidence: &Evidence) -> Value {
    json!({
        "key_id": evidence.card_key.map(|key| key.to_string()),
        "trust_version": evidence.trust_version,
        "list_version": evidence.status_version.map(version),
        "list_age_s": evidence.status_age_seconds,
        "clock": evidence.clock.0,
        "floor": evidence.floor.0,
        "judged_at": evidence.judged_at.0,
        "proof_time": evidence.proof_time.map(seconds),
    })
}

fn version(version: StatusVersion) -> Value {
    json!({ "epoch": version.epoch, "number": version.number })
}

fn seconds(at: UnixSeconds) -> u64 {
    at.0
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
