//! Answers on standard output: one JSON object, or text for a person.

use std::io::{self, Write as _};
use std::path::Path;

use bhyt_core::card_record::CardStanding;
use bhyt_core::grant::Grant;
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{
    AdminReply, Applied, CardView, DeviceView, MemberView, RowOutcome, StatusView, TerminalView,
};
use bhyt_core::sync::erasure::ErasureView;
use bhyt_core::sync::operators::{OperatorLabel, OperatorView};
use bhyt_core::time::UnixSeconds;
use serde_json::{Value, json};

use super::backup::BackupReport;
use super::error::AdminError;
use super::import::ImportReport;
use super::outcome::{applied_name, kept_name, outcome_name, standing_name};
use super::record_reader::FileNotes;

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
    Operators,
    Erasures,
    Grants,
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

    /// Prints what became of a change of the table of operators.
    pub(super) fn operator(&self, replies: &[AdminReply], operator: KeyId) -> Result<(), AdminError> {
        match replies.first() {
            Some(AdminReply::Applied(applied)) => self.print(&operator_change_value(*applied, operator)),
            _ => Err(AdminError::Unexpected),
        }
    }

    /// Prints what became of a wish to take an erasure back.
    pub(super) fn kept(&self, applied: Applied) -> Result<(), AdminError> {
        self.print(&json!({ "result": kept_name(applied) }))
    }

    /// Prints what became of an import.
    pub(super) fn import(&self, report: &ImportReport) -> Result<(), AdminError> {
        let errors_file = report.errors_file.as_ref().map(|path| path.display().to_string());
        self.print(&json!({
            "rows": report.rows,
            "ok": report.stored + report.unchanged,
            "failed": report.failed,
            "errors_file": errors_file,
        }))
    }

    /// Prints what became of an import of records.
    pub(super) fn records(
        &self,
        report: &ImportReport,
        notes: FileNotes,
        dry_run: bool,
    ) -> Result<(), AdminError> {
        let errors_file = report.errors_file.as_ref().map(|path| path.display().to_string());
        let mut value = json!({ "rows": report.rows });
        let mut add = |name: &str, counted: Value| {
            value.as_object_mut().map(|fields| fields.insert(name.to_owned(), counted))
        };
        match dry_run {
            true => drop(add("good", json!(report.stored))),
            false => {
                add("stored", json!(report.stored));
                add("corrected", json!(report.corrected));
                add("retracted", json!(report.retracted));
                add("unchanged", json!(report.unchanged));
            }
        }
        add("failed", json!(report.failed));
        add("errors_file", json!(errors_file));
        add("unknown_fields", json!(notes.unknown_fields));
        add("files_passed_over", json!(notes.passed_over));
        self.print(&value)
    }

    /// Prints what became of one record.
    pub(super) fn record(&self, outcome: RowOutcome) -> Result<(), AdminError> {
        self.print(&json!({ "result": outcome_name(outcome) }))
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

    /// Prints what an export holds.
    pub(super) fn export(&self, path: &Path, files: u64, records: u64) -> Result<(), AdminError> {
        self.print(&json!({ "file": path.display().to_string(), "files": files, "records": records }))
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
        AdminReply::Devices(_)
        | AdminReply::Terminals(_)
        | AdminReply::SigningTerminals(_)
        | AdminReply::Backup(_)
        | AdminReply::Operators(_)
        | AdminReply::Grants(_)
        | AdminReply::Audit(_)
        | AdminReply::Erasures(_)
        | AdminReply::Export(_) => return Err(AdminError::Unexpected),
        AdminReply::Status(view) => status_value(view),
    })
}

pub(super) fn member_value(view: &MemberView) -> Value {
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

pub(super) fn card_value(view: &CardView) -> Value {
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
            AdminReply::Terminals(views) => {
                rows.extend(views.iter().map(|view| terminal_value(view, None)));
            }
            AdminReply::SigningTerminals(views) => {
                rows.extend(views.iter().map(|it| terminal_value(&it.terminal, Some(it.terminal_key))));
            }
            AdminReply::Operators(views) => rows.extend(views.iter().map(operator_value)),
            AdminReply::Erasures(views) => rows.extend(views.iter().map(erasure_value)),
            AdminReply::Grants(grants) => rows.extend(grants.iter().map(grant_value)),
            _ => {}
        }
    }
    match list {
        List::Devices => json!({ "devices": rows }),
        List::Terminals => json!({ "terminals": rows }),
        List::Operators => json!({ "operators": rows }),
        List::Erasures => json!({ "erasures": rows }),
        List::Grants => json!({ "grants": rows }),
    }
}

pub(super) fn device_value(view: &DeviceView) -> Value {
    json!({ "id": view.id, "activated": view.activated.0, "retired": seconds(view.retired) })
}

fn terminal_value(view: &TerminalView, terminal_key: Option<KeyId>) -> Value {
    json!({
        "id": view.id,
        "terminal_key": terminal_key.map(|key| key.to_string()),
        "facility": view.facility,
        "enrolled": view.enrolled.0,
        "retired": seconds(view.retired),
    })
}

fn erasure_value(view: &ErasureView) -> Value {
    json!({
        "member": view.member.to_string(),
        "reason": view.reason.name(),
        "asked_by": view.asked_by.to_string(),
        "asked": view.asked.0,
        "due": view.due.0,
        "done": seconds(view.done),
    })
}

fn grant_value(grant: &Grant) -> Value {
    json!({
        "member": grant.dependant.to_hex(),
        "carer": grant.carer.to_hex(),
        "relation": grant.relation.name(),
        "scope": grant.scope.name(),
        "from": grant.from.iso(),
        "until": grant.until.iso(),
        "granted": grant.time.0,
    })
}

/// An operator, for a list of them.
pub(crate) fn operator_value(view: &OperatorView) -> Value {
    let roles: Vec<&str> = view.roles.iter().map(|role| role.name()).collect();
    json!({
        "id": view.id.to_string(),
        "label": view.label.as_ref().map(OperatorLabel::as_str),
        "roles": roles,
        "added": view.added.0,
        "retired": seconds(view.retired),
    })
}

/// What became of a change of an operator.
pub(crate) fn operator_change_value(applied: Applied, operator: KeyId) -> Value {
    json!({ "result": applied_name(applied), "id": operator.to_string() })
}

fn seconds(time: Option<UnixSeconds>) -> Option<u64> {
    time.map(|time| time.0)
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// One line a value; a list of things is a table.
pub(crate) fn to_text(value: &Value) -> String {
    let mut text = String::new();
    let Value::Object(fields) = value else { return format!("{value}\n") };
    for (name, value) in fields {
        match (value, COLUMNS.iter().find(|(list, _)| list == name)) {
            (Value::Array(rows), Some((_, columns))) => text.push_str(&table(name, rows, columns)),
            (Value::Array(rows), None) => {
                text.push_str(&format!("{name}: {}\n", rows.len()));
                for row in rows {
                    text.push_str(&format!("  {}\n", line_of(name, row)));
                }
            }
            (value, _) => text.push_str(&format!("{name}: {}\n", line_of(name, value))),
        }
    }
    text
}

/// How many there are; then their fields in these columns, each as wide as what is in it.
fn table(name: &str, rows: &[Value], columns: &[&str]) -> String {
    let mut lines = vec![columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>()];
    let cell = |row: &Value, column: &&str| line_of(column, row.get(column).unwrap_or(&Value::Null));
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    let width = |at: usize| {
        lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = format!("{name}: {}\n", rows.len());
    for line in if rows.is_empty() { &[] } else { lines.as_slice() } {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
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
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(|item| line_of("", item)).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    }
}

/// Lists that are tables, with their columns.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("grants", &["member", "carer", "relation", "scope", "from", "until", "granted"]),
    ("devices", &["id", "activated", "retired"]),
    ("terminals", &["id", "facility", "terminal_key", "enrolled", "retired"]),
    ("operators", &["id", "label", "roles", "added", "retired"]),
    ("erasures", &["member", "reason", "asked_by", "asked", "due", "done"]),
];

/// Seconds since 1970 in JSON, dates for a person.
const TIMES: [&str; 14] = [
    "granted",
    "added",
    "asked",
    "began",
    "done",
    "due",
    "ended",
    "expires",
    "issued_at",
    "activated",
    "retired",
    "enrolled",
    "trust_expires",
    "status_time",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_for_a_person() {
        let operators = [
            json!({ "id": "0011", "label": "quay-1", "roles": ["registrar", "auditor"], "added": 0, "retired": null }),
            json!({ "id": "2233", "label": null, "roles": [], "added": 0, "retired": 86_400 }),
        ];
        let expected = "\
operators: 2
  id    label   roles              added             retired
  0011  quay-1  registrar+auditor  01/01/1970 07:00  -
  2233  -       -                  01/01/1970 07:00  02/01/1970 07:00
";
        assert_eq!(to_text(&json!({ "operators": operators })), expected);
        assert_eq!(to_text(&json!({ "terminals": [] })), "terminals: 0\n");
        assert_eq!(to_text(&json!({ "cards": ["a"], "devices": 1 })), "cards: 1\n  a\ndevices: 1\n");
    }
}
