//! The command line of `bhyt-server admin record`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What can be done about official records.
#[derive(Clone, Debug, Subcommand)]
pub enum RecordWhat {
    /// Store records of a file, correct those that say something else by now, or retract them; rows that were not taken
    /// are listed in FILE.errors.csv.
    #[command(after_help = IMPORT_HELP)]
    Import(RecordImportArgs),
    /// Store one record, or correct it.
    #[command(after_help = ADD_HELP)]
    Add(RecordRowArgs),
    /// Retract one record: its name is enough (visits: facility, case; contributions: fund, from, employer_code; benefits:
    /// kind, regime, decision, from; notices: id), with whatever columns its table demands besides.
    Retract(RecordRowArgs),
}

/// Which file, and what to do with it.
#[derive(Clone, Debug, Args)]
pub struct RecordImportArgs {
    /// What the file holds.
    #[arg(long, value_name = "TABLE")]
    pub table: RecordTable,
    /// Retract the records that the file names.
    #[arg(long)]
    pub retract: bool,
    /// Read and check the file, and send nothing. Whether members are known is not looked up.
    #[arg(long)]
    pub dry_run: bool,
    /// CSV with a header, or the ministry's XML.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// One row of a table.
#[derive(Clone, Debug, Args)]
pub struct RecordRowArgs {
    /// Of which table.
    #[arg(long, value_name = "TABLE")]
    pub table: RecordTable,
    /// Fields of the row.
    #[arg(value_name = "COLUMN=VALUE", required = true)]
    pub fields: Vec<String>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordTable {
    /// Contribution periods.
    Contributions,
    /// Benefits drawn.
    Benefits,
    /// Visits, with cost lines and papers.
    Visits,
    /// Notices.
    Notices,
    /// The ministry's envelope GIAMDINHHS: visits by XML1, XML2, XML3, certificates, and check-ins.
    Xml,
}

const IMPORT_HELP: &str = "\
Columns (the first ones have to be there):
  contributions  member,fund,from,to  status,employer_code,employer,job,workplace,salary,coefficient,currency
  benefits       member,kind  regime,decision,decided,from,to,amount,payer,account,bank,months,adjustments
  visits         member,facility,case,entered  left,facility_name,department,diagnosis,disease,other_diseases,
                 traditional,care_form,category,result,discharge,settled,total,total_in_scope,total_fund,
                 total_co_payment,total_own,total_other,total_drugs,total_supplies,total_fund_outside,
                 line_code,line_name,line_unit,line_quantity,line_unit_price,line_rate,line_amount,line_fund,
                 line_other,line_own,line_co_payment,line_group,
                 certificate_serial,certificate_kind,certificate_issued,certificate_state
  notices        member,id,title,time  text

Rows of visits that follow each other with the same member, facility and case are one visit: each may have a cost line and
a paper. An import that was cut short is run again: what is stored already is unchanged.

Examples:
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key record import --table visits visits.csv
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key record import --table xml hoso.xml --dry-run
Exit codes: 0 every row is stored, or was before; 65 some rows were not taken (they are listed) or the file is none of its
kind; 69 the server cannot be reached (run it again); 77 refused.";

const ADD_HELP: &str = "\
Example:
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key record add --table contributions \
member=9900000017 fund=BHXH from=01/2026 to=06/2026 salary=5453400";
