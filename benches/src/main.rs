//! `bhyt-bench`: every figure beside the limit it is held against, measured in the same run.

mod bare;
mod card;
mod chance;
mod child;
mod figure;
mod first_sync;
mod groups;
mod growth;
mod idle;
mod import;
mod import_bare;
mod personal;
mod phone;
mod plot;
mod push;
mod report;
mod run;
mod sample;
mod status;
mod sync;
mod town;
mod verify;
mod wallet;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::groups::GROUPS;
use crate::run::{Format, Run, Scale};

/// Measures what the project promises, and what physics and cryptography allow, side by side.
#[derive(Debug, Parser)]
#[command(version, after_help = HELP)]
struct Cli {
    /// Only the figures whose id begins so.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
    /// One JSON object a line: id, value, unit, limit, ratio, goal, holds.
    #[arg(long)]
    json: bool,
    /// Writes the table to this file too, with machine and time, and a plot beside it (the same name in .svg).
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// A hundredth of the work: shows that everything runs, its times say little.
    #[arg(long)]
    quick: bool,
    /// A part in a measurement, played for another process of this program.
    #[arg(long, hide = true, num_args = 1.., value_name = "NAME", allow_hyphen_values = true)]
    child: Vec<String>,
}

const HELP: &str = "\
Examples:
  cargo build --release --bins && target/release/bhyt-bench
  bhyt-bench --only status --json
  bhyt-bench --report docs/benchmarks.md

It starts the project's programs that lie beside it. Progress goes to stderr.

A figure that misses its goal is printed like the others.

Exit codes:
  0    everything was measured
  64   the command line is not understood, or no figure has such an id
  74   the report cannot be written
  101  something could not be measured; stderr says what";

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // Help and version are no mistakes.
        let code = if error.use_stderr() { USAGE } else { 0 };
        let _ = error.print();
        std::process::exit(code.into())
    });
    if let Some((name, arguments)) = cli.child.split_first() {
        return match child::play(name, arguments) {
            Some(()) => ExitCode::SUCCESS,
            None => fail(USAGE, "no such part"),
        };
    }
    let format = if cli.json { Format::Json } else { Format::Text };
    let scale = if cli.quick { Scale::Hundredth } else { Scale::Full };
    let mut run = Run::new(scale, format, cli.only);
    let wanted = GROUPS.iter().filter(|group| group.promises.iter().any(|promise| run.wants(promise)));
    let wanted: Vec<_> = wanted.collect();
    if wanted.is_empty() {
        let ids: Vec<_> = GROUPS.iter().flat_map(|group| group.promises).map(|promise| promise.id).collect();
        return fail(USAGE, &format!("no figure has such an id; there are:\n  {}", ids.join("\n  ")));
    }
    for group in wanted {
        (group.measure)(&mut run);
    }
    if let Some(path) = cli.report {
        let plot = path.with_extension("svg");
        let page = report::page(&run, &plot);
        if let Err(error) =
            std::fs::write(&plot, plot::draw(run.points())).and_then(|()| std::fs::write(path, page))
        {
            return fail(IO, &format!("the report cannot be written: {error}"));
        }
    }
    ExitCode::SUCCESS
}

/// Runs a future to its end on a runtime of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn fail(code: u8, why: &str) -> ExitCode {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "bhyt-bench: {why}");
    ExitCode::from(code)
}

const USAGE: u8 = 64;
const IO: u8 = 74;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_example_parses() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let examples = HELP.lines().filter_map(|line| line.trim().strip_prefix("bhyt-bench "));
        let parsed = examples.map(|example| {
            let words = ["bhyt-bench"].into_iter().chain(example.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"))
        });
        assert_eq!(parsed.count(), 2);
    }
}
