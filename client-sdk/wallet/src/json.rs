//! What the program prints with `--json`: one object, field names in snake_case, absent values null.

use std::time::Duration;

use bhyt_core::card::CardClaims;
use bhyt_core::ids::MemberId;
use bhyt_core::time::UnixSeconds;
use bhyt_sdk::{CardView, Event, MemberStatus, QrMatrix, SyncReport, WalletStatus};
use serde_json::{Value, json};

use crate::exit::WalletError;

/// One card.
pub(crate) fn card(member: MemberId, card: &CardView) -> Value {
    let claims = &card.claims;
    json!({
        "member": member.to_hex(),
        "number": claims.number.as_str(),
        "member_id": claims.social_number.as_str(),
        "full_name": claims.full_name.as_str(),
        "birth_date": claims.birth_date.iso(),
        "sex": claims.sex.code(),
        "facility": claims.facility.as_str(),
        "from": claims.valid_from.iso(),
        "to": claims.valid_to.map(|day| day.iso()),
        "five_years": claims.five_years.map(|day| day.iso()),
        "area": claims.area.as_ref().map(|area| area.as_str()),
        "level": claims.level.value(),
        "state": card.state.name(),
        "updated_at": card.updated_at.0,
        "bindings": card.bindings.iter().map(|binding| json!({
            "number": binding.number.value(),
            "end": binding.end.iso(),
        })).collect::<Vec<_>>(),
    })
}

/// The status; `card` finds the first card of a member, which says who that is.
pub(crate) fn status(status: &WalletStatus, card: impl Fn(MemberId) -> Option<CardClaims>) -> Value {
    let members = status.members.iter().map(|member| member_status(member, card(member.member)));
    json!({
        "id": status.id.map(|id| id.to_string()),
        "presentation_key": status.presentation_key.map(|kind| kind.name()),
        "server": status.server,
        "members": members.collect::<Vec<_>>(),
        "last_success": status.last_success.map(seconds),
        "data_age_s": status.data_age_seconds,
        "server_ahead_s": status.server_ahead_seconds,
        "trust_version": status.trust_version,
        "trust_expires": status.trust_expires.map(seconds),
        "problem": status.problem.map(|problem| problem.name()),
    })
}

fn member_status(member: &MemberStatus, card: Option<CardClaims>) -> Value {
    json!({
        "member": member.member.to_hex(),
        "member_id": card.as_ref().map(|card| card.social_number.as_str()),
        "full_name": card.as_ref().map(|card| card.full_name.as_str()),
        "records": member.records,
        "cards": member.cards,
        "updated_at": member.updated_at.map(seconds),
        "forked_at": member.forked_at.map(seconds),
        "forgotten": member.forgotten,
        "grant": member.grant.map(|grant| json!({
            "carer": grant.carer.to_hex(),
            "relation": grant.relation.name(),
            "scope": grant.scope.name(),
            "from": grant.from.iso(),
            "until": grant.until.iso(),
        })),
    })
}

/// A code: its text, its size in modules, and until when to show it.
pub(crate) fn code(text: &str, code: &QrMatrix, until: Option<UnixSeconds>) -> Value {
    json!({ "text": text, "version": code.version(), "size": code.size(), "until": until.map(seconds) })
}

/// What a sync brought.
pub(crate) fn report(report: SyncReport) -> Value {
    json!({ "received": report.received, "changes": report.changes })
}

/// What happened.
pub(crate) fn event(event: Event) -> Value {
    let mut line = json!({ "event": event.name() });
    let fields = match event {
        Event::UpToDate => json!({}),
        Event::RecordsChanged { member }
        | Event::CredentialsChanged { member }
        | Event::PersonalChanged { member }
        | Event::OutboxChanged { member }
        | Event::MemberGranted { member }
        | Event::MemberRemoved { member } => json!({ "member": member.to_hex() }),
        Event::TrustChanged { version } => json!({ "version": version }),
        Event::StatusChanged { version } => {
            json!({ "version": { "epoch": version.epoch, "number": version.number } })
        }
        Event::Progress { received, total } => json!({ "received": received, "total": total }),
        Event::Disconnected { problem, retry_in } => {
            json!({ "problem": problem.name(), "retry_in_ms": retry_in.map(millis) })
        }
    };
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
        line.extend(fields);
    }
    line
}

/// A failure.
pub(crate) fn error(error: &WalletError) -> Value {
    json!({ "error": error.name(), "exit": error.exit() as u8, "message": error.chain() })
}

fn seconds(at: UnixSeconds) -> u64 {
    at.0
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
