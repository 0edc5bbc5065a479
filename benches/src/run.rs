//! One run: how much is measured, what was found, and what whoever waits is told meanwhile. Figures go to stdout as they
//! are found, progress to stderr.

use std::io::{self, Write as _};
use std::time::Instant;

use crate::figure::{Figure, Promise};
use crate::plot::{Panel, Point};
use crate::report;

/// Figures that are measured together.
#[derive(Debug)]
pub(crate) struct Group {
    /// What it may find.
    pub(crate) promises: &'static [Promise],
    /// Finds it. What cannot be measured is a panic: there is no figure then, and no exit code 0.
    pub(crate) measure: fn(&mut Run),
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    Hundredth,
}

impl Scale {
    /// `full`, or a hundredth of it.
    pub(crate) fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Hundredth => full / 100,
        }
    }
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// What a group measures into.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scale: Scale,
    format: Format,
    /// Only the figures whose id begins so.
    only: Option<String>,
    started: Instant,
    figures: Vec<Figure>,
    points: Vec<Point>,
}

impl Run {
    pub(crate) fn new(scale: Scale, format: Format, only: Option<String>) -> Self {
        let (figures, points) = (Vec::new(), Vec::new());
        Self { scale, format, only, started: Instant::now(), figures, points }
    }

    /// Takes and prints a figure, if it was asked for.
    pub(crate) fn found(&mut self, figure: Figure) {
        if !self.wants(figure.promise) {
            return;
        }
        let line = match self.format {
            Format::Json => figure.json().expect("a figure is plain JSON"),
            Format::Text => report::line(&figure),
        };
        // Nobody reads stdout any more: the report, if any, is still wanted.
        let _ = writeln!(io::stdout(), "{line}");
        self.figures.push(figure);
    }

    /// A point of a curve in the plot.
    pub(crate) fn point(&mut self, panel: Panel, series: &'static str, x: f64, y: f64) {
        self.points.push(Point { panel, series, x, y });
    }

    /// Tells whoever waits what is going on.
    pub(crate) fn say(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        let _ = writeln!(io::stderr(), "[{seconds:4} s] {what}");
    }

    /// Whether a figure was asked for.
    pub(crate) fn wants(&self, promise: &Promise) -> bool {
        self.only.as_deref().is_none_or(|only| promise.id.starts_with(only))
    }

    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// What is not a whole run, said in a sentence.
    pub(crate) fn shortfall(&self) -> Option<String> {
        let quick = (self.scale == Scale::Hundredth).then(|| "a hundredth of the work".to_owned());
        let only = self.only.as_ref().map(|only| format!("only `{only}…`"));
        let parts: Vec<_> = [quick, only].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("Not a whole run: {}.", parts.join(", ")))
    }
}
