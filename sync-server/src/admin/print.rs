//! Answers on standard output: one JSON object, or text for a person.

use std::io::{self, Write as _};

use bhyt_core::card_record::CardStanding;
use bhyt_core::sync::admin::{
    AdminReply, CardView, DeviceView, MemberView, RowOutcome, StatusView, TerminalView,
};
use bhyt_core::time::UnixSeconds;
use serde_json::{Value, json};

use super::backup::BackupReport;
use super::error::AdminError;
use super::import::ImportReport;
use super::outcome::{applied_name, standing_name};

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
}

/// An answer that may come in several pieces, or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Devices,
    Terminals,
}

impl Output {
    /// Prints what a command was answered.
    pub(super) fn replies(
        &self,
        replies: &[AdminReply],
        list: Option<List>,
        as_token: bool,
    ) -> Result<(), AdminError> {
        let value = match list {
            Some(list) => list_value(replies, list),
            None => value_of(replies.first().ok_or(AdminError::Unexpected)?, as_token)?,
        };
        self.print(&value)
    }

    /// Prints what became of an import.
    pub(super) fn import(&self, report: &ImportReport) -> Result<(), AdminError> {
        let errors_file = report.errors_file.as_ref().map(|path| path.display().to_string());
        self.print(&json!({
            "rows": report.rows,
            "ok": report.ok,
            "failed": report.failed,
            "errors_file": errors_file,
        }))
    }

    /// Prints what a backup holds.
    pub(super) fn backup(&self, report: &BackupReport) -> Result<(), AdminError> {
        self.print(&json!({
            "file": report.file.display().to_string(),
            "bytes": report.bytes,
            "began": report.began.0,
            "ended": report.ended.0,
        }))
    }

    fn print(&self, value: &Value) -> Result<(), AdminError> {
        let text = match self.json {
            true => format!("{value}\n"),
            false => to_text(value),
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(AdminError::Output)
    }
}

fn value_of(reply: &AdminReply, as_token: bool) -> Result<Value, AdminError> {
    Ok(match reply {
        AdminReply::Applied(applied) => json!({ "result": applied_name(*applied) }),
        AdminReply::Rows(outcomes) => match outcomes.first() {
            Some(RowOutcome::Failed(fault)) => return Err(AdminError::Field(*fault)),
            _ => return Err(AdminError::Unexpected),
        },
        AdminReply::Member(view) => member_value(view),
        AdminReply::Card(view) => card_value(view),
        AdminReply::OneTimeCode { code, expires } => match as_token {
            true => json!({ "token": code, "expires": expires.0 }),
            false => json!({ "code": code, "expires": expires.0 }),
        },
        AdminReply::Devices(_) | AdminReply::Terminals(_) | AdminReply::Backup(_) => {
            return Err(AdminError::Unexpected);
        }
        AdminReply::Status(view) => status_value(view),
    })
}

fn member_value(view: &MemberView) -> Value {
    json!({
        "id": view.id,
        "member_id": view.row.member_id,
        "full_name": view.row.full_name,
        "birth_date": view.row.birth_date,
        "sex": view.row.sex,
        "personal_id": given(&view.row.personal_id),
        "phone": given(&view.row.phone),
        "address": given(&view.row.address),
        "cards": view.cards,
        "devices": view.devices,
        "records": view.records,
    })
}

fn card_value(view: &CardView) -> Value {
    let reason = match view.standing {
        CardStanding::Reduced(code) => Some(code.value()),
        _ => None,
    };
    let bindings = view
        .bindings
        .iter()
        .map(|(number, device, end)| json!({ "number": number, "device": device, "end": end }));
    json!({
        "number": view.row.number,
        "member": view.row.member,
        "level": view.row.level.parse::<u8>().ok(),
        "facility": view.row.facility,
        "from": view.row.from,
        "to": given(&view.row.to),
        "five_years": given(&view.row.five_years),
        "area": given(&view.row.area),
        "standing": standing_name(view.standing),
        "reason": reason,
        "status_index": view.status_index,
        "issued_at": view.issued_at.0,
        "bindings": bindings.collect::<Vec<_>>(),
        "successor": view.successor,
    })
}

fn status_value(view: &StatusView) -> Value {
    let (epoch, number) = view.status_version;
    json!({
        "members": view.members,
        "cards": view.cards,
        "connections": view.connections,
        "trust_version": view.trust_version,
        "trust_expires": view.trust_expires.0,
        "status_version": { "epoch": epoch, "number": number },
        "status_time": view.status_time.0,
        "status_entries": view.status_entries,
        "uptime_seconds": view.uptime_seconds,
    })
}

fn list_value(replies: &[AdminReply], list: List) -> Value {
    let mut rows = Vec::new();
    for reply in replies {
        match reply {
            AdminReply::Devices(views) => rows.extend(views.iter().map(device_value)),
            AdminReply::Terminals(views) => rows.extend(views.iter().map(terminal_value)),
            _ => {}
        }
    }
    match list {
        List::Devices => json!({ "devices": rows }),
        List::Terminals => json!({ "terminals": rows }),
    }
}

fn device_value(view: &DeviceView) -> Value {
    json!({ "id": view.id, "activated": view.activated.0, "retired": seconds(view.retired) })
}

fn terminal_value(view: &TerminalView) -> Value {
    json!({
        "id": view.id,
        "facility": view.facility,
        "enrolled": view.enrolled.0,
        "retired": seconds(view.retired),
    })
}

fn seconds(time: Option<UnixSeconds>) -> Option<u64> {
    time.map(|time| time.0)
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// One line a value, lists indented.
fn to_text(value: &Value) -> String {
    let mut text = String::new();
    let Value::Object(fields) = value else { return format!("{value}\n") };
    for (name, value) in fields {
        match value {
            Value::Array(rows) => {
                text.push_str(&format!("{name}: {}\n", rows.len()));
                for row in rows {
                    text.push_str(&format!("  {}\n", line_of(name, row)));
                }
            }
            value => text.push_str(&format!("{name}: {}\n", line_of(name, value))),
        }
    }
    text
}

fn line_of(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if TIMES.contains(&name) => {
            number.as_u64().map_or_else(|| number.to_string(), |at| UnixSeconds(at).display_local())
        }
        Value::Object(fields) => {
            let parts = fields.iter().map(|(name, value)| format!("{name} {}", line_of(name, value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Seconds since 1970 in JSON, dates for a person.
const TIMES: [&str; 9] = [
    "began",
    "ended",
    "expires",
    "issued_at",
    "activated",
    "retired",
    "enrolled",
    "trust_expires",
    "status_time",
];
