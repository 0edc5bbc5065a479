//! Figures as lines on the screen, and as the page docs/benchmarks.md: the table, what was missed and why, the plot, and
//! how each figure is kept honest.

use std::fmt::Write as _;
use std::path::Path;

use bhyt_core::time::UnixSeconds;

use crate::figure::{Figure, Promise};
use crate::run::Run;

/// One figure for a person.
pub(crate) fn line(figure: &Figure) -> String {
    let Promise { id, unit, limit_unit, .. } = figure.promise;
    let holds = if figure.holds { "holds" } else { "MISSED" };
    let limit = figure.limit.map(|limit| format!("limit {} {limit_unit}", number(limit)));
    let (value, limit) = (number(figure.value), limit.unwrap_or_default());
    format!("{id:30}{value:>10} {unit:14}{:14}{holds:8}{limit}", figure.goal).trim_end().to_owned()
}

/// The page. `plot` is the picture beside it.
pub(crate) fn page(run: &Run, plot: &Path) -> String {
    let figures = run.figures();
    let plot = plot.file_name().unwrap_or_default().to_string_lossy();
    let mut page = String::from(INTRODUCTION);
    // Writing into a String does not fail; the same below.
    let _ = writeln!(page, "\nMade on {}, on {}.", today(), machine());
    if let Some(shortfall) = run.shortfall() {
        let _ = writeln!(page, "{shortfall}");
    }
    table(&mut page, figures);
    missed(&mut page, figures);
    let _ = writeln!(page, "\n## How cost grows\n\n![How cost grows]({plot})");
    page.push_str("\n## How each figure is kept honest\n\n");
    for Figure { promise: Promise { id, how, .. }, .. } in figures {
        let _ = writeln!(page, "- `{id}`: {how}");
    }
    page
}

fn table(page: &mut String, figures: &[Figure]) {
    page.push_str("\n| id | value | unit | limit | goal | holds |\n|---|---|---|---|---|---|\n");
    for figure in figures {
        let Promise { id, unit, limit_unit, .. } = figure.promise;
        let limit = figure.limit.map(|limit| format!("{} {limit_unit}", number(limit)));
        let limit = limit.unwrap_or_else(|| "–".to_owned());
        let holds = if figure.holds { "yes" } else { "**no**" };
        let (value, goal) = (number(figure.value), &figure.goal);
        let _ = writeln!(page, "| `{id}` | {value} | {unit} | {limit} | {goal} | {holds} |");
    }
}

/// A goal that is missed stays; what makes it so stands here once it has been measured.
fn missed(page: &mut String, figures: &[Figure]) {
    let mut missed = figures.iter().filter(|figure| !figure.holds).peekable();
    if missed.peek().is_some() {
        page.push_str("\n## Missed goals, and their measured causes\n\n");
    }
    for Figure { promise: Promise { id, cause, .. }, .. } in missed {
        let cause = if cause.is_empty() { "Not yet understood." } else { cause };
        let _ = writeln!(page, "- `{id}`: {cause}");
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        whole if whole >= 10.0 && value.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        whole if whole >= 1.0 && value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(since.as_secs()).day().iso()
}

/// What the absolute times depend on, and whether others were at work on it.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (processors, memory, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        Some(line.split(':').nth(1)?.trim().to_owned())
    };
    let model = field(&processors, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kilobytes = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let gigabytes = kilobytes.unwrap_or_default().div_ceil(1 << 20);
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    format!("{model}, {cores} cores, {gigabytes} GB, Linux {kernel}; load average at the end {load}")
}

const INTRODUCTION: &str = "\
# Benchmarks

Made by `cargo build --release --bins && target/release/bhyt-bench --report docs/benchmarks.md`.

Every figure stands beside its goal, and a ratio beside the limit that it is held against: what cryptography, information
theory or bare QUIC allow. Ratios are measured ÷ limit; both sides are measured in the same run, in turn (A B A B …), and
the ratio is the median over neighbours, so that a noisy machine harms neither. Absolute times are this machine's. A goal
that is missed stays in the table with its measured cause.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goal;
    use crate::run::{Format, Scale};

    const MISSED: Promise = Promise {
        id: "x.ratio",
        unit: "ratio",
        limit_unit: "µs",
        goal: Goal::AtMost(1.1),
        how: "It is counted.",
        cause: "",
    };

    #[test]
    fn a_missed_goal_stays_with_its_place_for_a_cause() {
        let mut run = Run::new(Scale::Hundredth, Format::Text, Some("x".to_owned()));
        run.found(Figure::ratio(&MISSED, 1.25, 80.0));
        let page = page(&run, Path::new("docs/benchmarks.svg"));
        assert!(page.contains("| `x.ratio` | 1.250 | ratio | 80 µs | ≤ 1.1 | **no** |"), "{page}");
        assert!(page.contains("causes\n\n- `x.ratio`: Not yet understood.\n"), "{page}");
        assert!(page.contains("(benchmarks.svg)") && page.contains("- `x.ratio`: It is counted."), "{page}");
        assert!(page.contains("Not a whole run: a hundredth of the work, only `x…`."), "{page}");
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let texts = [238.0, 1.0, 1.00461, 2_033_793.4, 37.87, 0.25].map(number);
        assert_eq!(texts, ["238", "1", "1.005", "2033793", "37.9", "0.250"]);
    }
}
