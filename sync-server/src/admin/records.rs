//! `record import`, `add` and `retract`: official records of files, or of a row on the command line.

use std::collections::BTreeMap;

use bhyt_core::sync::admin::{AdminCommand, AdminReply, RowOutcome};
use bhyt_core::sync::records::RecordRow;

use super::args_records::{RecordImportArgs, RecordRowArgs, RecordTable, RecordWhat};
use super::client::AdminClient;
use super::error::AdminError;
use super::import::{check_all, send_all};
use super::print::Output;
use super::record_reader::RecordReader;
use crate::record_files::columns::PlainTable;
use crate::record_files::fields::FieldFault;
use crate::record_files::visit_rows::{self, VisitRows};
use crate::record_files::{FoundRecord, RecordVerb};

/// Does what needs the server.
pub(super) async fn run(client: &AdminClient, output: &Output, what: RecordWhat) -> Result<(), AdminError> {
    match what {
        RecordWhat::Import(args) => {
            let reader = open(&args)?;
            let (report, reader) = send_all(client, reader, &args.file, MEMBER_FIELD).await?;
            output.records(&report, reader.notes(), args.dry_run)?;
            report.failure()
        }
        RecordWhat::Add(args) => one(client, output, &args, RecordVerb::Put).await,
        RecordWhat::Retract(args) => one(client, output, &args, RecordVerb::Retract).await,
    }
}

/// Reads a file as an import would, without a server.
pub(super) fn check(output: &Output, args: &RecordImportArgs) -> Result<(), AdminError> {
    let (report, reader) = check_all(open(args)?, &args.file, MEMBER_FIELD)?;
    output.records(&report, reader.notes(), args.dry_run)?;
    report.failure()
}

fn open(args: &RecordImportArgs) -> Result<RecordReader, AdminError> {
    let verb = if args.retract { RecordVerb::Retract } else { RecordVerb::Put };
    RecordReader::open(&args.file, args.table, verb)
}

async fn one(
    client: &AdminClient,
    output: &Output,
    args: &RecordRowArgs,
    verb: RecordVerb,
) -> Result<(), AdminError> {
    let row = read_row(args).map_err(|FieldFault { field, reason }| AdminError::Row { field, reason })?;
    let row: RecordRow = row.into_row(verb);
    let replies = client.command(AdminCommand::ImportRecords(vec![row])).await?;
    match replies.first() {
        Some(AdminReply::Rows(outcomes)) => match outcomes.first() {
            Some(RowOutcome::Failed(fault)) => Err(AdminError::Field(*fault)),
            Some(outcome) => output.record(*outcome),
            None => Err(AdminError::Unexpected),
        },
        _ => Err(AdminError::Unexpected),
    }
}

/// The record of a row on the command line.
fn read_row(args: &RecordRowArgs) -> Result<FoundRecord, FieldFault> {
    let table = match args.table {
        RecordTable::Contributions => Some(PlainTable::Contributions),
        RecordTable::Benefits => Some(PlainTable::Benefits),
        RecordTable::Notices => Some(PlainTable::Notices),
        RecordTable::Visits => None,
        RecordTable::Xml => return Err(FieldFault { field: "table", reason: "has no rows" }),
    };
    let columns = table.map_or(visit_rows::COLUMNS, PlainTable::columns);
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in &args.fields {
        let split = pair.split_once('=').filter(|(name, _)| columns.contains(name));
        let (name, value) = split.ok_or(FieldFault { field: "COLUMN=VALUE", reason: "unknown column" })?;
        fields.insert(name, value);
    }
    let text_of = |name: &str| fields.get(name).copied().unwrap_or_default();
    match table {
        Some(table) => table.read(&text_of),
        None => {
            let mut rows = VisitRows::default();
            rows.push(1, &text_of);
            let missing = FieldFault { field: "member", reason: "missing" };
            let visit = rows.finish().ok_or(missing)?;
            visit.map(|(_, found)| found).map_err(|(_, fault)| fault)
        }
    }
}

const MEMBER_FIELD: &str = "member";
