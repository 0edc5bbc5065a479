//! The command line.

use std::path::PathBuf;

use bhyt_core::presentation_key::KeyKind;
use clap::{Parser, Subcommand};

use crate::personal_cli::{ContactCommand, OutboxCommand, PetitionCommand};

/// A member's wallet: keeps health-insurance cards, shows them offline.
#[derive(Clone, Debug, Parser)]
#[command(name = "bhyt-wallet", version, after_help = HELP_END)]
pub struct Cli {
    /// Folder of this phone's data; made when it is not there.
    #[arg(long, global = true, value_name = "DIR", default_value = "./phone")]
    pub data: PathBuf,
    /// Print JSON instead of text: one object, or one a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the words after the program's name; for callers that are no command line.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn of_words(words: &[&str]) -> Result<Self, clap::Error> {
        Self::try_parse_from(["bhyt-wallet"].iter().chain(words))
    }
}

/// What the wallet can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Take a member onto this phone with a one-time code, and sync.
    Activate {
        /// Host and port of the server.
        #[arg(long, value_name = "ADDR")]
        server: String,
        /// The trust bundle, from a hand that is trusted.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Mã số BHXH, personal number, or member id.
        #[arg(long, value_name = "ID")]
        member: String,
        /// The one-time code from the agency.
        #[arg(long, value_name = "CODE")]
        code: String,
        /// The presentation key that a new phone draws: ed25519, the default, or p256. A phone keeps what it has.
        #[arg(long, value_name = "KIND", value_parser = parse_kind)]
        presentation_key: Option<KeyKind>,
    },
    /// Bring everything up to date.
    Sync {
        /// Stay connected, and print what arrives, until interrupted.
        #[arg(long)]
        watch: bool,
    },
    /// Show the cards.
    Card {
        /// Only this member: mã số BHXH, or id as `status` prints it.
        #[arg(long, value_name = "ID")]
        member: Option<String>,
    },
    /// Show the contribution history: the four funds with their totals.
    Contributions {
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show the benefits drawn.
    Benefits {
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show the visit book: visits by year, with cost lines and papers.
    Visits {
        /// Only visits that began in this year.
        #[arg(long, value_name = "YEAR")]
        year: Option<i32>,
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show what the agency has told the member.
    Notices {
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show every revision of one record, retractions among them.
    History {
        /// The record's number, as the other commands print it.
        #[arg(value_name = "RECORD")]
        record: u64,
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show what the member keeps here: contact details, notes, reminders, petitions with their answers.
    Personal {
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Contact details.
    #[command(subcommand)]
    Contact(ContactCommand),
    /// Keep a private note on a record.
    Note {
        /// The record's number, as the other commands print it.
        #[arg(value_name = "RECORD")]
        record: u64,
        /// The note. Empty takes it away.
        #[arg(value_name = "TEXT")]
        text: String,
        /// Whose.
        #[command(flatten)]
        whose: Whose,
    },
    /// Petitions, disputes and requests for correction.
    #[command(subcommand)]
    Petition(PetitionCommand),
    /// Show what the server has not taken: what waits, and what was refused, and why.
    Outbox {
        /// What to do with one of them.
        #[command(subcommand)]
        command: Option<OutboxCommand>,
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show the receipts of what the server has taken; --json holds the signed bytes.
    Receipts {
        /// Of whom.
        #[command(flatten)]
        whose: Whose,
    },
    /// Show how up to date this phone is.
    Status,
    /// Show the code of a card: live, for a screen, or for paper.
    Qr {
        /// The card without a proof, for paper.
        #[arg(long)]
        print: bool,
        /// Where to: a .png or .svg file, or - for the text that the code holds. Default: drawn in the terminal.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Whose card: mã số BHXH, or id as `status` prints it. Default: the member who is here in their own right.
        #[arg(long, value_name = "ID")]
        member: Option<String>,
    },
}

/// Whose records.
#[derive(Clone, Debug, clap::Args)]
pub struct Whose {
    /// Which member: mã số BHXH, or id as `status` prints it. Default: the one who is here in their own right.
    #[arg(long, value_name = "ID")]
    pub member: Option<String>,
}

fn parse_kind(name: &str) -> Result<KeyKind, &'static str> {
    KeyKind::parse(name).ok_or("ed25519 or p256")
}

const HELP_END: &str = "\
Examples:
  bhyt-wallet --data ./phone activate --server 127.0.0.1:4433 --trust ./trust.cose --member 9900000017 --code CODE
  bhyt-wallet --data ./phone activate --server HOST:4433 --trust ./trust.cose --member 9900000017 --code CODE --presentation-key p256
  bhyt-wallet --data ./phone sync --watch
  bhyt-wallet --data ./phone card
  bhyt-wallet --data ./phone contributions
  bhyt-wallet --data ./phone visits --year 2026
  bhyt-wallet --data ./phone --json benefits
  bhyt-wallet --data ./phone history 12
  bhyt-wallet --data ./phone contact set --phone 0900000001 --email thu@vidu.vn
  bhyt-wallet --data ./phone note 12 Hỏi-lại-bác-sĩ
  bhyt-wallet --data ./phone petition send --title Thiếu-tháng --correction 12 Thiếu-tháng-5/2026
  bhyt-wallet --data ./phone personal
  bhyt-wallet --data ./phone outbox
  bhyt-wallet --data ./phone outbox discard 0123456789abcdef0123456789abcdef
  bhyt-wallet --data ./phone --json receipts
  bhyt-wallet --data ./phone qr                     drawn in the terminal
  bhyt-wallet --data ./phone qr --out card.png      a live code as a picture
  bhyt-wallet --data ./phone qr --print --out card.svg
  bhyt-wallet --data ./phone qr --member 9900000025   the card of somebody in care
  bhyt-wallet --data ./phone qr --out - | bhyt-terminal --data ./desk verify -

Logs are JSON on stderr and hold no personal data; BHYT_LOG sets their level (default: warn).

Exit codes:
  0    done
  64   the command line is not understood, or a value is not of its form
  65   a file, or what was found, is not what it should be; nothing is activated, or there is no card, record or edit
  69   the server cannot be reached, or is busy
  70   internal fault, or made by a newer version: update this program
  74   reading or writing failed
  75   the data folder is in use by another process
  77   refused: by the server, or a key is locked
  130  interrupted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_example_parses() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let examples = HELP_END.lines().filter_map(|line| line.trim().strip_prefix("bhyt-wallet "));
        let mut count = 0;
        for example in examples {
            let command = example.split(" | ").next().unwrap().split("   ").next().unwrap();
            let arguments = ["bhyt-wallet"].into_iter().chain(command.split_whitespace());
            assert!(Cli::try_parse_from(arguments).is_ok(), "{example}");
            count += 1;
        }
        assert_eq!(count, 20);
    }
}
