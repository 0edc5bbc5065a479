//! `bhyt-kill`: kill -9 at random moments until done; says by its exit code whether everything acknowledged is there.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use bhyt_tests::kill::Campaign;
use bhyt_tests::program::play_if_asked;
use clap::Parser;

/// Kills server, phones and terminals under load, and checks that nothing acknowledged is lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "bhyt-kill", version, after_help = HELP_END)]
struct Cli {
    /// How many to kill.
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u32,
    /// What everything is drawn from; another one each time when not given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Keep everybody's data here, a folder that is new or empty. Default: a temporary one, kept when something failed.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

const HELP_END: &str = "\
Examples:
  bhyt-kill                          200 kills, a minute
  bhyt-kill --kills 2000             ten minutes
  bhyt-kill --kills 200 --seed 7     what was found with seed 7, again
  bhyt-kill --json --keep ./data

Progress goes to stderr. Exit codes:
  0   everything acknowledged is there, once
  1   something is not: the lines that begin with FAILED, and the data folder
  64  the command line is not understood
  74  a folder or process could not be made";

fn main() -> ExitCode {
    if let Some(played) = play_if_asked() {
        return played;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; that printing them fails changes nothing.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    match run(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("bhyt-kill: {error}"));
            ExitCode::from(74)
        }
    }
}

fn run(cli: &Cli) -> io::Result<bool> {
    let temporary = tempfile::Builder::new().prefix("bhyt-kill-").tempdir()?;
    let folder = cli.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let seed = cli.seed.unwrap_or_else(now_nanos);
    tell(&format!("seed {seed}"));
    let campaign = Campaign { kills: cli.kills, seed, executable: std::env::current_exe()?, folder };
    let outcome = campaign.run(tell);
    let well = outcome.failures.is_empty();
    if !well && cli.keep.is_none() {
        tell(&format!("everybody's data: {}", temporary.keep().display()));
    }
    let text = if cli.json { format!("{}\n", outcome.to_json()) } else { outcome.to_string() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(well)
}

fn tell(line: &str) {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{line}");
}

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
