//! `bhyt-bench`: every figure beside the limit it is held against, measured in the same run.

mod card;
mod chance;
mod figure;
mod report;
mod status;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::figure::Figure;

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
    /// Writes the table to this file too, with machine and time.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// A hundredth of the work: shows that everything runs, its times say little.
    #[arg(long)]
    quick: bool,
}

const HELP: &str = "\
Examples:
  cargo run --release --bin bhyt-bench
  cargo run --release --bin bhyt-bench -- --only status --json
  cargo run --release --bin bhyt-bench -- --report docs/benchmarks.md

A figure that misses its goal is printed like the others; the exit code is 0 when everything was measured.";

fn main() -> io::Result<ExitCode> {
    let cli = Cli::parse();
    let scale = if cli.quick { Scale::Hundredth } else { Scale::Full };
    let wanted = |prefix: &str| {
        cli.only.as_deref().is_none_or(|only| only.starts_with(prefix) || prefix.starts_with(only))
    };
    let mut out = io::stdout().lock();
    let mut all = Vec::new();
    let groups: [(&str, Measure); 4] =
        [("card", card::card), ("live", card::live), ("verify", verify::verify), ("status", status::status)];
    for (_, measure) in groups.into_iter().filter(|(prefix, _)| wanted(prefix)) {
        for figure in measure(scale) {
            if cli.only.as_deref().is_some_and(|only| !figure.id.starts_with(only)) {
                continue;
            }
            match cli.json {
                true => writeln!(out, "{}", serde_json::to_string(&figure).map_err(io::Error::other)?)?,
                false => writeln!(out, "{}", report::line(&figure))?,
            }
            out.flush()?;
            all.push(figure);
        }
    }
    if let Some(path) = cli.report {
        std::fs::write(path, report::page(&all))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures figures whose ids begin alike.
type Measure = fn(Scale) -> Vec<Figure>;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Full,
    Hundredth,
}

impl Scale {
    /// `full`, or a hundredth of it.
    fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Hundredth => full / 100,
        }
    }
}
