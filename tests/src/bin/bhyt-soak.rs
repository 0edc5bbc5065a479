//! `bhyt-soak`: a small town over bad lines for as long as asked; says by its exit code whether everybody agrees in the end
//! and nothing has grown.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bhyt_tests::program::play_if_asked;
use bhyt_tests::soak::{Outcome, Soak};
use clap::Parser;

/// Lets phones, terminals, operators and a server live over bad lines, and checks what they hold and what they take.
#[derive(Debug, Parser)]
#[command(name = "bhyt-soak", version, after_help = HELP_END)]
struct Cli {
    /// Minutes that everybody lives; bringing everybody up to date comes after it. Memory is judged from 10 on.
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    minutes: f64,
    /// Members' phones.
    #[arg(long, value_name = "N", default_value_t = 200)]
    phones: usize,
    /// Clinics' terminals.
    #[arg(long, value_name = "N", default_value_t = 20)]
    terminals: usize,
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
  bhyt-soak                                           an hour, 200 phones, 20 terminals
  bhyt-soak --minutes 0.4 --phones 8 --terminals 2    as tests/run does
  bhyt-soak --minutes 10 --seed 7 --json --keep ./data

It takes about 16 file descriptors a phone or terminal: `ulimit -n 8192` before a large one.

Progress goes to stderr. Exit codes:
  0   everybody agrees, and nothing has grown
  1   something is not so: the lines that begin with FAILED, and the data folder
  64  the command line is not understood
  74  a folder or process could not be made";

fn main() -> ExitCode {
    if let Some(played) = play_if_asked() {
        return played;
    }
    fix_allocator();
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
            tell(&format!("bhyt-soak: {error}"));
            ExitCode::from(74)
        }
    }
}

fn run(cli: &Cli) -> io::Result<bool> {
    let temporary = tempfile::Builder::new().prefix("bhyt-soak-").tempdir()?;
    let folder = cli.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let seed = cli.seed.unwrap_or_else(now_nanos);
    tell(&format!("seed {seed}"));
    let life = Duration::try_from_secs_f64(cli.minutes * 60.0).map_err(io::Error::other)?;
    let (phones, terminals) = (cli.phones, cli.terminals);
    let executable = std::env::current_exe()?;
    let outcome = Soak { life, phones, terminals, seed, executable, folder }.run(tell);
    let well = outcome.failures.is_empty();
    if !well && cli.keep.is_none() {
        tell(&format!("everybody's data: {}", temporary.keep().display()));
    }
    let text = if cli.json { format!("{}\n", outcome.report) } else { text(&outcome) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(well)
}

/// Begins anew with an allocator that gives back what is freed, as far as it can be told to: with hundreds of stores that
/// are opened again and again on changing threads, what glibc keeps for later would hide a leak. By default it learns from
/// the first large buffer that is freed to keep the next ones, and makes a heap for each of many threads, of which each
/// keeps the holes that closed stores have left. Measured with 110 devices: what is in use stood still after three
/// minutes, and what was kept free went on growing.
fn fix_allocator() {
    #[cfg(target_os = "linux")]
    if std::env::var_os(MMAP_THRESHOLD).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        use std::os::unix::process::CommandExt as _;
        let mut anew = std::process::Command::new(program);
        anew.args(std::env::args_os().skip(1)).env(MMAP_THRESHOLD, "131072").env(HEAPS_MAX, "2");
        // Returns only when it failed; then it goes on as it is.
        let _ = anew.exec();
    }
}

/// One line a value.
fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (name, value) in outcome.report.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(parts) => {
                parts.iter().for_each(|(part, value)| text += &format!("{name} {part}: {value}\n"))
            }
            None if name == "failures" => {}
            None => text += &format!("{name}: {value}\n"),
        }
    }
    match outcome.failures.as_slice() {
        [] => text += "everybody agrees, and nothing has grown\n",
        failures => failures.iter().for_each(|failure| text += &format!("FAILED: {failure}\n")),
    }
    text
}

fn tell(line: &str) {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Bytes from which on glibc's malloc maps a buffer by itself; a number here also keeps it from changing its mind.
#[cfg(target_os = "linux")]
const MMAP_THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
/// Heaps that glibc's malloc makes at most.
#[cfg(target_os = "linux")]
const HEAPS_MAX: &str = "MALLOC_ARENA_MAX";

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
