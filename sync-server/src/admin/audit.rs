//! `admin audit`: lines of the audit trail, printed as they come. When the line breaks it goes on where it was.

use std::io::{self, Write as _};
use std::time::Duration;

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::audit::{AuditLine, AuditOutcome, AuditQuery, AuditSubject};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::args_operators::AuditArgs;
use super::client::AdminClient;
use super::error::AdminError;
use super::outcome::{field_name, reason_name, refusal_name};
use super::print::Output;

/// Asks for the lines and prints them.
pub(super) async fn run(client: &AdminClient, output: &Output, args: AuditArgs) -> Result<(), AdminError> {
    let mut query = query_of(args, SystemClock.now());
    if !output.json {
        write_line(&HEADER)?;
    }
    let mut failures = 0;
    loop {
        let command = AdminCommand::ShowAudit(query.clone());
        let asked = client.stream(command, |reply| {
            let AdminReply::Audit(page) = reply else { return Err(AdminError::Unexpected) };
            for line in &page.lines {
                match output.json {
                    true => write_line(&[value_of(line).to_string()])?,
                    false => write_line(&columns(line))?,
                }
            }
            query.after = Some(page.last);
            failures = 0;
            Ok(())
        });
        match asked.await {
            Ok(()) => return Ok(()),
            // Whoever reads has seen enough.
            Err(AdminError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) if error.is_passing() && failures < FAILURES_MAX => {
                failures += 1;
                sleep(PAUSE * failures).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn query_of(args: AuditArgs, now: UnixSeconds) -> AuditQuery {
    AuditQuery {
        from: Some(args.from.map_or_else(|| now.minus(DEFAULT_SECONDS), |moment| moment.begins)),
        until: args.to.map(|moment| moment.ends),
        operator: args.operator,
        member: args.member.unwrap_or_default(),
        card: args.card.unwrap_or_default(),
        refused: args.refused,
        after: None,
    }
}

fn value_of(line: &AuditLine) -> Value {
    let mut value = json!({
        "time": line.time.0,
        "operator": line.operator.map(|operator| operator.to_string()),
        "action": line.action.name(),
    });
    let mut put = |name: &str, given: Value| {
        if let Value::Object(fields) = &mut value {
            fields.insert(name.to_owned(), given);
        }
    };
    match line.subject {
        AuditSubject::Nothing => {}
        AuditSubject::Member(member) => put("member", json!(member.to_string())),
        AuditSubject::Card { member, index } => {
            put("member", json!(member.to_string()));
            put("status_index", json!(index.0));
        }
        AuditSubject::Device { device, member } => {
            put("device", json!(device.to_string()));
            put("member", json!(member.map(|member| member.to_string())));
        }
        AuditSubject::Terminal(terminal) => put("terminal", json!(terminal.to_string())),
        AuditSubject::Operator(operator) => put("about_operator", json!(operator.to_string())),
    }
    put("outcome", json!(outcome_name(&line.outcome)));
    match line.outcome {
        AuditOutcome::Done | AuditOutcome::Unchanged => {}
        AuditOutcome::Refused(refusal) => put("reason", json!(refusal_name(refusal))),
        AuditOutcome::Field(fault) => {
            put("field", json!(field_name(fault.field)));
            put("reason", json!(reason_name(fault.reason)));
        }
        AuditOutcome::Rows { unchanged, failed } => {
            put("unchanged", json!(unchanged));
            put("failed", json!(failed));
        }
    }
    if line.rows > 0 {
        put("rows", json!(line.rows));
    }
    put("operation", json!(line.operation.to_string()));
    value
}

fn columns(line: &AuditLine) -> [String; 5] {
    let about = match line.subject {
        AuditSubject::Nothing => "-".to_owned(),
        AuditSubject::Member(member) => format!("member {member}"),
        AuditSubject::Card { member, index } => format!("member {member} card {}", index.0),
        AuditSubject::Device { device, .. } => format!("device {device}"),
        AuditSubject::Terminal(terminal) => format!("terminal {terminal}"),
        AuditSubject::Operator(operator) => format!("operator {operator}"),
    };
    let outcome = match line.outcome {
        AuditOutcome::Done if line.rows > 0 => format!("done, {} rows", line.rows),
        AuditOutcome::Done => "done".to_owned(),
        AuditOutcome::Unchanged => "unchanged".to_owned(),
        AuditOutcome::Refused(refusal) => format!("REFUSED: {refusal}"),
        AuditOutcome::Field(fault) => {
            format!("NOT DONE: {} {}", field_name(fault.field), reason_name(fault.reason))
        }
        AuditOutcome::Rows { unchanged, failed } => {
            format!("{unchanged} rows unchanged, {failed} failed")
        }
    };
    [
        format!("{}:{:02}", line.time.display_local(), line.time.0 % 60),
        line.operator.map_or_else(|| "(server machine)".to_owned(), |operator| operator.to_string()),
        line.action.name().to_owned(),
        about,
        outcome,
    ]
}

fn outcome_name(outcome: &AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome::Done => "done",
        AuditOutcome::Unchanged => "unchanged",
        AuditOutcome::Refused(_) => "refused",
        AuditOutcome::Field(_) => "field",
        AuditOutcome::Rows { .. } => "rows",
    }
}

/// One line on standard output: a value alone, or columns of fixed width.
fn write_line<T: AsRef<str>>(columns: &[T]) -> Result<(), AdminError> {
    let mut line = String::new();
    for (column, width) in columns.iter().zip(WIDTHS) {
        line.push_str(&format!("{:<width$}  ", column.as_ref()));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line.trim_end()).map_err(AdminError::Output)
}

const HEADER: [&str; 5] = ["time", "operator", "action", "about", "outcome"];
/// The longest of each: a moment, a key id, `make_terminal_token`, a member and a card.
const WIDTHS: [usize; 5] = [19, 16, 19, 31, 0];
/// Without a first day, the last seven.
const DEFAULT_SECONDS: u64 = 7 * 86_400;
/// Times in a row that nothing more comes.
const FAILURES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::ids::{OperationId, StatusIndex};
    use bhyt_core::keys::KeyId;
    use bhyt_core::sync::admin::{RowFault, RowField, RowReason};
    use bhyt_core::sync::audit::{AuditAction, ShortMember};
    use bhyt_core::sync::messages::Refusal;

    #[test]
    fn a_line_is_columns_for_a_person_and_an_object_for_a_program() {
        let line = AuditLine {
            time: UnixSeconds(1_795_399_265),
            operator: Some(KeyId([0x48; 8])),
            action: AuditAction::HoldCard,
            subject: AuditSubject::Card { member: ShortMember([0xf4; 4]), index: StatusIndex(48_663) },
            outcome: AuditOutcome::Done,
            rows: 0,
            operation: OperationId([7; 16]),
        };
        let text =
            ["23/11/2026 09:01:05", "4848484848484848", "hold_card", "member f4f4f4f4 card 48663", "done"];
        assert_eq!(columns(&line), text);
        let value = json!({
            "time": 1_795_399_265, "operator": "4848484848484848", "action": "hold_card",
            "member": "f4f4f4f4", "status_index": 48_663, "outcome": "done", "operation": "07070707",
        });
        assert_eq!(value_of(&line), value);
        let fault = RowFault { field: RowField::Level, reason: RowReason::Malformed };
        let last = |outcome, rows| columns(&AuditLine { outcome, rows, ..line }).concat();
        for (outcome, rows, end) in [
            (AuditOutcome::Refused(Refusal::NotAuthorised), 0, "REFUSED: not authorised"),
            (AuditOutcome::Field(fault), 0, "NOT DONE: level malformed"),
            (AuditOutcome::Rows { unchanged: 2, failed: 1 }, 3, "2 rows unchanged, 1 failed"),
            (AuditOutcome::Done, 64, "done, 64 rows"),
        ] {
            assert!(last(outcome, rows).ends_with(end));
        }
        let offline = AuditLine { operator: None, subject: AuditSubject::Nothing, ..line };
        assert_eq!(columns(&offline)[1..4], ["(server machine)", "hold_card", "-"]);
        assert_eq!(value_of(&offline)["operator"], Value::Null);
        let longest = AuditSubject::Card { member: ShortMember([0; 4]), index: StatusIndex(u32::MAX) };
        assert!(columns(&AuditLine { subject: longest, ..line })[3].len() <= WIDTHS[3]);
    }
}
