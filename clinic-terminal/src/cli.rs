//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A clinic's terminal: verifies health-insurance cards, offline.
#[derive(Clone, Debug, Parser)]
#[command(name = "bhyt-terminal", version, after_help = HELP_END)]
pub struct Cli {
    /// Folder of this terminal's data; made when it is not there.
    #[arg(long, global = true, value_name = "DIR", default_value = "./desk")]
    pub data: PathBuf,
    /// Print JSON instead of text: one object a line.
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
        Self::try_parse_from(["bhyt-terminal"].iter().chain(words))
    }
}

/// What the terminal can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Enrol this terminal with a one-time token, and sync.
    Enrol {
        /// Host and port of the server.
        #[arg(long, value_name = "ADDR")]
        server: String,
        /// The trust bundle, from a hand that is trusted.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// The one-time token from the operator.
        #[arg(long, value_name = "TOKEN")]
        token: String,
    },
    /// Bring trust bundle and status list up to date.
    Sync {
        /// Stay connected until interrupted.
        #[arg(long)]
        watch: bool,
    },
    /// Show what this terminal answers from, and how old it is.
    Status,
    /// Answer a code: accept, reject or undecided. Needs no network.
    Verify(Source),
}

/// Where the code comes from.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// The text of the code.
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// A picture of the code, PNG or JPEG.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// A scanner or pipe on stdin: one text a line, one verdict a line.
    #[arg(value_name = "-", value_parser = ["-"])]
    pub stdin: Option<String>,
}

const HELP_END: &str = "\
Examples:
  bhyt-terminal --data ./desk enrol --server 127.0.0.1:4433 --trust ./trust.cose --token TOKEN
  bhyt-terminal --data ./desk sync
  bhyt-terminal --data ./desk verify --image card.png
  bhyt-terminal --data ./desk verify - --json       one verdict a line, for a scanner or another program

Logs are JSON on stderr and hold no personal data; BHYT_LOG sets their level (default: warn).

Exit codes:
  0    done; of verify: accept, every line of it
  1    of verify: reject; with - at least one line
  2    of verify: undecided; with - at least one line, and none rejected
  64   the command line is not understood
  65   a file, or what was found, is not what it should be; there is no code in it; not enrolled
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
        let examples = HELP_END.lines().filter_map(|line| line.trim().strip_prefix("bhyt-terminal "));
        let mut count = 0;
        for example in examples {
            let command = example.split("   ").next().unwrap();
            let arguments = ["bhyt-terminal"].into_iter().chain(command.split_whitespace());
            assert!(Cli::try_parse_from(arguments).is_ok(), "{example}");
            count += 1;
        }
        assert_eq!(count, 4);
    }

    #[test]
    fn a_code_comes_from_exactly_one_place() {
        for arguments in [&[][..], &["--text", "a", "-"], &["--text", "a", "--image", "b"], &["x"]] {
            let whole = ["bhyt-terminal", "verify"].iter().chain(arguments);
            assert!(Cli::try_parse_from(whole).is_err(), "{arguments:?}");
        }
    }
}
