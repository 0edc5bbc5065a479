//! `bhyt-server admin`: an operator's commands, sent to a running server.
//!
//! The server's key is pinned from the trust bundle, the operator's is proven in the handshake. Each command has an
//! operation id of its own, so one that has to be sent again is done once.

mod args;
mod args_grants;
mod args_operators;
mod args_records;
mod audit;
mod backup;
mod chunk;
mod client;
mod confirm;
mod csv_file;
mod csv_rows;
mod error;
mod export;
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod outcome;
pub(crate) mod print;
mod record_reader;
mod records;
mod zip;

use std::path::Path;

use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange};
use bhyt_core::sync::operators::OperatorChange;

use crate::exit::{Exit, Failure};

pub use args::{AdminArgs, AdminWhat, CardFieldArgs, CardWhat, DeviceWhat, MemberWhat, TerminalWhat};
pub use args_grants::{GrantWhat, NewGrantArgs};
pub use args_operators::{AuditArgs, Moment, NewOperatorArgs, OperatorWhat};
pub use args_records::{RecordImportArgs, RecordRowArgs, RecordTable, RecordWhat};
pub use error::AdminError;

use client::AdminClient;
use csv_rows::Table;
use print::Output;

/// Runs one command.
///
/// # Errors
/// [`AdminError`], with the exit code that belongs to it.
pub async fn run(args: AdminArgs) -> Result<(), AdminError> {
    let output = Output { json: args.json };
    if let AdminWhat::Record(RecordWhat::Import(args)) = &args.what
        && args.dry_run
    {
        return records::check(&output, args);
    }
    let client = AdminClient::connect(&args).await?;
    let done = act(&client, &output, args.what).await;
    client.close().await;
    done
}

/// Reads a file of records as `record import --dry-run` does, and prints what it holds.
///
/// # Errors
/// [`AdminError`], when a row is not taken or the file cannot be read.
pub fn check_records(file: &Path, table: RecordTable) -> Result<(), AdminError> {
    let args = RecordImportArgs { table, retract: false, dry_run: true, file: file.to_owned() };
    records::check(&Output { json: true }, &args)
}

async fn act(client: &AdminClient, output: &Output, what: AdminWhat) -> Result<(), AdminError> {
    let command = match what {
        AdminWhat::Member(MemberWhat::Import { file }) => {
            return import::run(client, output, Table::Members, &file).await;
        }
        AdminWhat::Card(CardWhat::Import { file }) => {
            return import::run(client, output, Table::Cards, &file).await;
        }
        AdminWhat::Record(what) => return records::run(client, output, what).await,
        AdminWhat::Backup { file } => return backup::run(client, output, &file).await,
        AdminWhat::Member(MemberWhat::Show { member }) => AdminCommand::ShowMember(member),
        AdminWhat::Member(MemberWhat::Erase { member, reason, yes }) => {
            confirm::erasure(&member, yes)?;
            AdminCommand::EraseMember { member, reason }
        }
        AdminWhat::Member(MemberWhat::Export { member, out }) => {
            return export::run(client, output, member, &out).await;
        }
        AdminWhat::Member(MemberWhat::Keep { member }) => AdminCommand::KeepMember(member),
        AdminWhat::Erasures => AdminCommand::ListErasures,
        AdminWhat::Card(what) => card_command(what)?,
        AdminWhat::Device(DeviceWhat::Code { member }) => AdminCommand::MakeDeviceCode(member),
        AdminWhat::Device(DeviceWhat::List { member }) => AdminCommand::ListDevices(member),
        AdminWhat::Device(DeviceWhat::Retire { device }) => AdminCommand::RetireDevice(device),
        AdminWhat::Terminal(TerminalWhat::Enrol { facility }) => AdminCommand::MakeTerminalToken(facility),
        AdminWhat::Terminal(TerminalWhat::List { facility }) => AdminCommand::ListTerminals(facility),
        AdminWhat::Terminal(TerminalWhat::Retire { terminal }) => AdminCommand::RetireTerminal(terminal),
        AdminWhat::Operator(OperatorWhat::List) => AdminCommand::ListOperators,
        AdminWhat::Operator(what) => {
            let change = operator_change(what)?;
            let operator = change.operator();
            let replies = client.command(AdminCommand::ChangeOperators(change)).await?;
            return output.operator(&replies, operator);
        }
        AdminWhat::Grant(what) => grant_command(what),
        AdminWhat::Audit(args) => return audit::run(client, output, args).await,
        AdminWhat::Status => AdminCommand::ShowStatus,
    };
    let keeps = matches!(command, AdminCommand::KeepMember(_));
    let as_token = matches!(command, AdminCommand::MakeTerminalToken(_));
    let list = match &command {
        AdminCommand::ListTerminals(_) => Some(print::List::Terminals),
        AdminCommand::ListDevices(_) => Some(print::List::Devices),
        AdminCommand::ListOperators => Some(print::List::Operators),
        AdminCommand::ListErasures => Some(print::List::Erasures),
        AdminCommand::ListGrants(_) => Some(print::List::Grants),
        _ => None,
    };
    let replies = client.command(command).await?;
    match replies.first() {
        Some(AdminReply::Applied(applied)) if keeps => output.kept(*applied),
        _ => output.replies(&replies, list, as_token),
    }
}

fn card_command(what: CardWhat) -> Result<AdminCommand, AdminError> {
    let change = |number, change| AdminCommand::ChangeCard { number, change };
    Ok(match what {
        CardWhat::Show { number } => AdminCommand::ShowCard(number),
        CardWhat::Issue { member, number, fields } => AdminCommand::IssueCard(fields.row(member, number)),
        CardWhat::Replace { number, new_number, fields } => AdminCommand::ReplaceCard {
            number,
            row: fields.row(String::new(), new_number.unwrap_or_default()),
        },
        CardWhat::Withdraw { number, .. } => change(number, CardChange::Withdraw),
        CardWhat::Reduce { number, reason } => change(number, CardChange::Reduce(reason)),
        CardWhat::Hold { number, .. } => change(number, CardChange::Hold),
        CardWhat::Release { number, .. } => change(number, CardChange::Release),
        CardWhat::Import { .. } => return Err(AdminError::Unexpected),
    })
}

fn grant_command(what: GrantWhat) -> AdminCommand {
    match what {
        GrantWhat::Add(args) => AdminCommand::AddGrant(Box::new((*args).into())),
        GrantWhat::Revoke { member, carer } => AdminCommand::RevokeGrant { dependant: member, carer },
        GrantWhat::List { member } => AdminCommand::ListGrants(member),
    }
}

fn operator_change(what: OperatorWhat) -> Result<OperatorChange, AdminError> {
    Ok(match what {
        OperatorWhat::Add(args) => OperatorChange::Add(Box::new((*args).into())),
        OperatorWhat::Roles { operator, roles } => OperatorChange::SetRoles { operator, roles },
        OperatorWhat::Retire { operator } => OperatorChange::Retire(operator),
        OperatorWhat::List => return Err(AdminError::Unexpected),
    })
}

impl Failure for AdminError {
    fn exit(&self) -> Exit {
        self.exit_code()
    }
}
