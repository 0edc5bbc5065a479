//! Memory and descriptors of the server and of this process over time, and how they grow. Reads `/proc`; where there is
//! none, nothing is measured, and that is said.

use std::fmt;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::town::Town;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge {
    /// Server's memory, server's descriptors, ours, ours.
    series: [Vec<(f64, f64)>; 4],
}

/// How something went over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    /// In the middle of all.
    pub(super) median: f64,
    pub(super) largest: f64,
    /// What it grew by from the first sample to the last, by the line through all of them.
    pub(super) growth: f64,
}

pub(super) const NAMES: [&str; 4] =
    ["server.rss_mb", "server.descriptors", "clients.rss_mb", "clients.descriptors"];

impl Gauge {
    /// Measures. A server that has just begun is left out.
    pub(super) fn look(&mut self, town: &Town, elapsed: Duration) {
        let at = elapsed.as_secs_f64();
        let server = town.server_id().filter(|_| town.server_age() >= town.settles_after());
        let values = [
            server.and_then(rss_mb),
            server.and_then(descriptors),
            rss_mb(std::process::id()),
            descriptors(std::process::id()),
        ];
        for (series, value) in self.series.iter_mut().zip(values) {
            series.extend(value.map(|value| (at, value)));
        }
    }

    /// The courses, without the first third, in which caches fill.
    pub(super) fn courses(&self) -> [Option<Course>; 4] {
        self.series.each_ref().map(|series| course(series.get(series.len() / 3..)?))
    }

    pub(super) fn to_json(&self) -> Value {
        let courses = NAMES.iter().zip(self.courses()).map(|(name, course)| {
            let value = course.map(|course| {
                json!({ "median": course.median, "largest": course.largest, "growth": course.growth })
            });
            ((*name).to_owned(), value.unwrap_or(Value::Null))
        });
        Value::Object(courses.collect())
    }
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, series) in NAMES.iter().zip(&self.series) {
            match series.last() {
                Some((_, value)) => write!(f, "{name} {value:.0}  ")?,
                None => write!(f, "{name} -  ")?,
            }
        }
        Ok(())
    }
}

/// The line through the samples by the median of all slopes (Theil and Sen), which a few outliers do not bend.
fn course(samples: &[(f64, f64)]) -> Option<Course> {
    let (first, last) = (samples.first()?.0, samples.last()?.0);
    let mut slopes: Vec<f64> = Vec::new();
    for (at, (x, y)) in samples.iter().enumerate() {
        let later = samples.get(at + 1..).unwrap_or_default();
        slopes
            .extend(later.iter().filter(|(next, _)| next > x).map(|(next, value)| (value - y) / (next - x)));
    }
    let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
    Some(Course {
        largest: values.iter().copied().fold(0.0, f64::max),
        median: median(values)?,
        growth: median(slopes).unwrap_or_default() * (last - first),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn rss_mb(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1_024.0)
}

fn descriptors(id: u32) -> Option<f64> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_line_and_outliers_do_not_bend_it() {
        let flat: Vec<(f64, f64)> = (0..100).map(|at| (f64::from(at), 50.0 + f64::from(at % 7))).collect();
        assert!(course(&flat).unwrap().growth.abs() < 1.0);
        let mut leak: Vec<(f64, f64)> =
            (0..100).map(|at| (f64::from(at), 50.0 + f64::from(at) * 0.5)).collect();
        assert!((course(&leak).unwrap().growth - 49.5).abs() < 0.5);
        leak.iter_mut().step_by(10).for_each(|(_, value)| *value = 500.0);
        assert!((course(&leak).unwrap().growth - 49.5).abs() < 5.0);
        assert_eq!(course(&[]), None);
    }
}
