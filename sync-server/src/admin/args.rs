//! The command line of `bhyt-server admin`. Values travel as they were typed: the server judges them, in one place.

use std::path::PathBuf;

use bhyt_core::card_record::ReducedCode;
use bhyt_core::sync::admin::CardRow;
use bhyt_core::sync::erasure::ErasureReason;
use clap::{Args, Subcommand};

use super::args_grants::GrantWhat;
use super::args_operators::{AUDIT_HELP, AuditArgs, OperatorWhat};
use super::args_records::RecordWhat;

/// Which server, who asks, and what.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct AdminArgs {
    /// Host and port of the server.
    #[arg(long, value_name = "ADDR")]
    pub server: String,
    /// The trust bundle, for the server's key.
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
    /// The operator's key.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub what: AdminWhat,
}

/// What an operator can do.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminWhat {
    /// Members.
    #[command(subcommand)]
    Member(MemberWhat),
    /// Cards.
    #[command(subcommand)]
    Card(CardWhat),
    /// Official records: contribution periods, benefits, visits, notices.
    #[command(subcommand)]
    Record(RecordWhat),
    /// Members' phones.
    #[command(subcommand)]
    Device(DeviceWhat),
    /// Clinics' machines.
    #[command(subcommand)]
    Terminal(TerminalWhat),
    /// Dependants' cards on carers' phones.
    #[command(subcommand)]
    Grant(GrantWhat),
    /// Who commands the server.
    #[command(subcommand)]
    Operator(OperatorWhat),
    /// Show the audit trail: who asked what, about whom, when, and what became of it.
    #[command(after_help = AUDIT_HELP)]
    Audit(AuditArgs),
    /// Counts and ages of the server.
    Status,
    /// Erasures of members: those that are due and those that were done.
    Erasures,
    /// Take a backup of everything that the running server stores; no key is in it.
    Backup {
        /// The file to write; one that is there is replaced when the backup is whole.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What can be done about members.
#[derive(Clone, Debug, Subcommand)]
pub enum MemberWhat {
    /// Add or amend members from a CSV file; rows that were not taken are listed in FILE.errors.csv.
    Import {
        /// CSV with the columns member_id,full_name,birth_date,sex,personal_id,phone,address.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show a member.
    Show {
        /// Mã số BHXH (10 digits), personal number (12 digits) or member id (32 hexadecimal digits).
        #[arg(value_name = "ID")]
        member: String,
    },
    /// Erase a member for good, in every backup too; it can be taken back for as many days as server.toml says.
    Erase {
        /// The member, by any number.
        #[arg(value_name = "ID")]
        member: String,
        /// Why: request (the member asks), mistake (registered by mistake or twice), order (of an authority or a court).
        #[arg(long, value_name = "WHY", value_parser = erasure_reason)]
        reason: ErasureReason,
        /// Do not ask back.
        #[arg(long)]
        yes: bool,
    },
    /// Write member, cards, devices and all records into one archive, for the member.
    Export {
        /// The member, by any number.
        #[arg(value_name = "ID")]
        member: String,
        /// The archive (ZIP); a file that is there is not replaced (77).
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take an erasure back that has not begun.
    Keep {
        /// The member, by any number.
        #[arg(value_name = "ID")]
        member: String,
    },
}

/// What can be done about cards.
#[derive(Clone, Debug, Subcommand)]
pub enum CardWhat {
    /// Issue a card.
    Issue {
        /// The member, by any number.
        #[arg(long, value_name = "ID")]
        member: String,
        /// Card number.
        #[arg(long, value_name = "N")]
        number: String,
        /// What the card says.
        #[command(flatten)]
        fields: CardFieldArgs,
    },
    /// Issue cards from a CSV file; rows that were not taken are listed in FILE.errors.csv.
    Import {
        /// CSV with the columns member,number,level,facility,from,to,five_years,area.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show a card.
    Show {
        /// Card number.
        #[arg(value_name = "NUMBER")]
        number: String,
    },
    /// Withdraw a card for good (thu hồi).
    Withdraw {
        /// Card number.
        #[arg(long, value_name = "N")]
        number: String,
        /// The portal's code; there is one.
        #[arg(long, value_name = "CODE", default_value = "110", value_parser = ["110"])]
        reason: String,
    },
    /// Reduce a card (báo giảm).
    Reduce {
        /// Card number.
        #[arg(long, value_name = "N")]
        number: String,
        /// The portal's code, 120 to 124.
        #[arg(long, value_name = "CODE", default_value = "120", value_parser = reduced_code)]
        reason: ReducedCode,
    },
    /// Hold a card for now (tạm giữ).
    Hold {
        /// Card number.
        #[arg(long, value_name = "N")]
        number: String,
        /// The portal's code; there is one.
        #[arg(long, value_name = "CODE", default_value = "500", value_parser = ["500"])]
        reason: String,
    },
    /// Let a held card stand again.
    Release {
        /// Card number.
        #[arg(long, value_name = "N")]
        number: String,
        /// The portal's code; there is one.
        #[arg(long, value_name = "CODE", default_value = "000", value_parser = ["000"])]
        reason: String,
    },
    /// Issue the card that follows on another; what is not given stays as it is.
    Replace {
        /// Number of the card that is replaced.
        #[arg(long, value_name = "N")]
        number: String,
        /// Number of the new card; the same when not given.
        #[arg(long, value_name = "N")]
        new_number: Option<String>,
        /// What the new card says.
        #[command(flatten)]
        fields: CardFieldArgs,
    },
}

/// What a card says. Dates are yyyy-MM-dd or dd/MM/yyyy.
#[derive(Clone, Debug, Default, Args)]
pub struct CardFieldArgs {
    /// Benefit level.
    #[arg(long, value_name = "LEVEL", value_parser = ["1", "2", "3", "4", "5"])]
    pub level: Option<String>,
    /// Initial facility.
    #[arg(long, value_name = "CODE")]
    pub facility: Option<String>,
    /// First day.
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// Last day; open-ended when not given.
    #[arg(long, value_name = "DATE")]
    pub to: Option<String>,
    /// Day of five continuous years.
    #[arg(long, value_name = "DATE")]
    pub five_years: Option<String>,
    /// Living area: K1, K2 or K3.
    #[arg(long, value_name = "AREA")]
    pub area: Option<String>,
}

impl CardFieldArgs {
    pub(super) fn row(self, member: String, number: String) -> CardRow {
        CardRow {
            member,
            number,
            level: self.level.unwrap_or_default(),
            facility: self.facility.unwrap_or_default(),
            from: self.from.unwrap_or_default(),
            to: self.to.unwrap_or_default(),
            five_years: self.five_years.unwrap_or_default(),
            area: self.area.unwrap_or_default(),
        }
    }
}

/// What can be done about phones.
#[derive(Clone, Debug, Subcommand)]
pub enum DeviceWhat {
    /// Make a one-time code with which a phone activates.
    Code {
        /// The member, by any number.
        #[arg(long, value_name = "ID")]
        member: String,
    },
    /// List a member's devices.
    List {
        /// The member, by any number.
        #[arg(long, value_name = "ID")]
        member: String,
    },
    /// Retire a device for good.
    Retire {
        /// The device's id, 16 hexadecimal digits.
        #[arg(value_name = "DEVICE")]
        device: String,
    },
}

/// What can be done about terminals.
#[derive(Clone, Debug, Subcommand)]
pub enum TerminalWhat {
    /// Make a one-time token with which a terminal enrols.
    Enrol {
        /// Where the terminal stands.
        #[arg(long, value_name = "CODE")]
        facility: String,
    },
    /// List terminals.
    List {
        /// Of this facility only.
        #[arg(long, value_name = "CODE")]
        facility: Option<String>,
    },
    /// Retire a terminal for good.
    Retire {
        /// The terminal's id, 16 hexadecimal digits.
        #[arg(value_name = "ID")]
        terminal: String,
    },
}

fn erasure_reason(text: &str) -> Result<ErasureReason, &'static str> {
    let known = ErasureReason::ALL.into_iter().find(|reason| reason.name() == text);
    known.ok_or("one of request, mistake, order")
}

fn reduced_code(text: &str) -> Result<ReducedCode, &'static str> {
    text.parse().ok().and_then(ReducedCode::new).ok_or("120 to 124")
}

const HELP: &str = "\
Examples:
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key member import members.csv
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key card issue --member 9900000017 \
--number DN4999900000017 --level 4 --facility 99024 --from 2026-01-01
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key device code --member 9900000017 --json
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key terminal enrol --facility 99024
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key record import --table visits visits.csv
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key backup bhyt.backup";
