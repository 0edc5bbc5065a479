//! How long somebody has paid to a fund: distinct months, each counted once, whatever the rows say twice.
//!
//! A month that several rows name is a conflict to be shown (double payment is refunded), and counts for one thing: paid
//! out before reserved before counted before late. So a month that was paid out never counts again, and a month that one
//! employer owes counts when another has paid it.

use std::collections::BTreeMap;

use super::codes::{Fund, MonthStatus};
use super::contribution::ContributionPeriod;
use super::dates::{Month, MonthSpan};
use crate::words::Words;

/// What the rows of one fund come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundTotals {
    /// Which fund.
    pub fund: Fund,
    /// Months that count: the total of the header.
    pub counted: MonthCount,
    /// Months paid out or used, which count no more.
    pub paid_out: MonthCount,
    /// Months reserved (bảo lưu).
    pub reserved: MonthCount,
    /// Months that employers owe (chậm đóng).
    pub late: MonthCount,
    /// Months that more than one row names, oldest first, neighbours joined.
    pub conflicts: Vec<MonthSpan>,
}

impl FundTotals {
    /// Over the rows of `fund`; those of others are left out.
    pub fn of<'a>(fund: Fund, rows: impl IntoIterator<Item = &'a ContributionPeriod>) -> Self {
        let mut totals = Self {
            fund,
            counted: MonthCount(0),
            paid_out: MonthCount(0),
            reserved: MonthCount(0),
            late: MonthCount(0),
            conflicts: Vec::new(),
        };
        // How many rows of each status begin and end at each month: a row costs two steps, however long it is.
        let mut steps: BTreeMap<i64, [i64; 4]> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| row.fund == fund) {
            for (at, step) in [(row.months.from().months(), 1), (row.months.to().months() + 1, -1)] {
                if let Some(rows) = steps.entry(at).or_default().get_mut(place(row.status)) {
                    *rows += step;
                }
            }
        }
        let (mut rows, mut from) = ([0; 4], 0);
        for (month, steps) in steps {
            totals.take(from, month, rows);
            rows.iter_mut().zip(steps).for_each(|(rows, step)| *rows += step);
            from = month;
        }
        totals
    }

    /// Takes the months from one step to the next, in which nothing begins or ends.
    fn take(&mut self, from: i64, next: i64, rows: [i64; 4]) {
        let has = |status: MonthStatus| rows.get(place(status)).is_some_and(|rows| *rows > 0);
        let Some(status) = STRONGEST_FIRST.into_iter().find(|status| has(*status)) else { return };
        let months = u32::try_from(next - from).unwrap_or_default();
        match status {
            MonthStatus::Counted => self.counted.0 += months,
            MonthStatus::PaidOut => self.paid_out.0 += months,
            MonthStatus::Reserved => self.reserved.0 += months,
            MonthStatus::Late => self.late.0 += months,
        }
        if rows.iter().sum::<i64>() > 1 {
            let joined = self.conflicts.pop_if(|span| span.to().months() + 1 == from);
            let first = joined.map_or_else(|| Month::from_months(from), |span| Some(span.from()));
            let last = Month::from_months(next - 1);
            self.conflicts.extend(first.zip(last).and_then(|(first, last)| MonthSpan::new(first, last)));
        }
    }
}

/// A number of months, said in years and months.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthCount(pub u32);

impl MonthCount {
    /// `12 năm 2 tháng`; what is zero is left out, and nothing at all is `0 tháng`.
    pub fn words(self) -> Words {
        let (years, months) = (self.0 / 12, self.0 % 12);
        let many = |count: u32, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let (vi, en) = match (years, months) {
            (0, _) => (format!("{months} tháng"), many(months, "month")),
            (_, 0) => (format!("{years} năm"), many(years, "year")),
            _ => (format!("{years} năm {months} tháng"), many(years, "year") + " " + &many(months, "month")),
        };
        Words { vi, en }
    }
}

fn place(status: MonthStatus) -> usize {
    usize::from(status.number()) - 1
}

const STRONGEST_FIRST: [MonthStatus; 4] =
    [MonthStatus::PaidOut, MonthStatus::Reserved, MonthStatus::Counted, MonthStatus::Late];
