//! Figures as lines of a table, on the screen and in docs/benchmarks.md.

use std::fmt::Write as _;

use bhyt_core::time::UnixSeconds;

use crate::figure::Figure;

/// One figure for a person.
pub(crate) fn line(figure: &Figure) -> String {
    let holds = if figure.holds { "holds" } else { "MISSED" };
    format!("{:28}{:>14} {:14}{:12}{holds}", figure.id, number(figure.value), figure.unit, figure.goal)
}

/// The page of docs/benchmarks.md.
pub(crate) fn page(figures: &[Figure]) -> String {
    let mut page = String::from(
        "# Benchmarks\n\nMade by `cargo run --release --bin bhyt-bench -- --report docs/benchmarks.md`. Ratios are \
         measured side by side in one run;\nabsolute times are this machine's.\n\n",
    );
    // Writing into a String does not fail.
    let _ = writeln!(
        page,
        "Made on {}, on {}. Figures of sync, push, import and the wallet's start are to come.\n",
        today(),
        machine()
    );
    page.push_str("| id | value | unit | limit | goal | holds |\n|---|---|---|---|---|---|\n");
    for figure in figures {
        let limit = figure.limit.map_or_else(|| "–".to_owned(), number);
        let holds = if figure.holds { "yes" } else { "**no**" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {limit} | {} | {holds} |",
            figure.id,
            number(figure.value),
            figure.unit,
            figure.goal
        );
    }
    page
}

fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(since.as_secs()).day().iso()
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?.to_owned();
        Some(line.split(':').nth(1)?.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.unwrap_or_else(|| "unknown processor".to_owned()))
}
