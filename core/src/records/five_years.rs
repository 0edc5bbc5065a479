//! A preview of when five continuous years of health insurance are full. The date that counts is the one on the signed
//! card; this is what a phone shows beside it while the server has not said it yet, and it says that it is a preview.
//!
//! Months of insurance follow on one another when the break between them is short enough (NĐ 146/2018, Điều 12 khoản 5: "gián
//! đoạn tối đa không quá 03 tháng"). The months of a break are not counted. Whether the law means each break or all
//! of them is not settled, so both are parameters.

use super::codes::{Fund, MonthStatus};
use super::contribution::ContributionPeriod;
use super::dates::{Month, MonthSpan};

/// How breaks are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContinuityRule {
    /// Months of a break that keep continuity.
    pub break_months_max: u32,
    /// What they are held against.
    pub breaks: Breaks,
}

/// Which breaks the bound is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// Each one.
    Each,
    /// All since the beginning, together.
    Together,
}

impl Default for ContinuityRule {
    /// Each break of at most three months.
    fn default() -> Self {
        Self { break_months_max: 3, breaks: Breaks::Each }
    }
}

/// Computed on the phone; never in place of the signed date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveYearsPreview {
    /// The first month of the continuous time.
    pub since: Month,
    /// Months of insurance since then, breaks not counted.
    pub months: u32,
    /// The month from whose first day five years are full; for fewer months, if insurance goes on without a break.
    pub full_from: Month,
    /// Whether they are full.
    pub state: FiveYears,
}

/// Whether five years are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiveYears {
    /// They are.
    Full,
    /// They will be, if insurance goes on.
    IfItGoesOn,
}

impl FiveYearsPreview {
    /// From rows of BHYT that count, as of month `now`. `None` when there are none, or the time has been broken off.
    pub fn of<'a>(
        rows: impl IntoIterator<Item = &'a ContributionPeriod>,
        rule: ContinuityRule,
        now: Month,
    ) -> Option<Self> {
        let counts = |row: &&ContributionPeriod| row.fund == Fund::Bhyt && row.status == MonthStatus::Counted;
        let mut spans: Vec<MonthSpan> = rows.into_iter().filter(counts).map(|row| row.months).collect();
        spans.sort_unstable();
        let mut run: Option<Run> = None;
        for span in spans {
            match &mut run {
                Some(run) if rule.keeps(run, span.from()) => run.extend(span),
                _ => run = Some(Run::begin(span)),
            }
        }
        let run = run.filter(|run| rule.keeps(run, now))?;
        let missing = FIVE_YEARS.saturating_sub(run.months);
        let (state, full_from) = match run.full {
            Some(last) => (FiveYears::Full, last.plus(1)?),
            None => (FiveYears::IfItGoesOn, run.last.plus(1 + i64::from(missing))?),
        };
        Some(Self { since: run.first, months: run.months, full_from, state })
    }
}

impl ContinuityRule {
    /// Whether insurance that goes on, or is judged, in `next` follows on what was before.
    fn keeps(self, run: &Run, next: Month) -> bool {
        let gap = u32::try_from(next.months() - run.last.months() - 1).unwrap_or(0);
        match self.breaks {
            Breaks::Each => gap <= self.break_months_max,
            Breaks::Together => gap == 0 || run.broken.saturating_add(gap) <= self.break_months_max,
        }
    }
}

/// Continuous time.
struct Run {
    first: Month,
    last: Month,
    months: u32,
    /// Months of breaks in it.
    broken: u32,
    /// The month that made five years full.
    full: Option<Month>,
}

impl Run {
    fn begin(span: MonthSpan) -> Self {
        let mut run = Self { first: span.from(), last: span.from(), months: 1, broken: 0, full: None };
        run.extend(span);
        run
    }

    /// Takes months that begin no earlier than the last span did; months that are there already are not counted again.
    fn extend(&mut self, span: MonthSpan) {
        let gap = u32::try_from(span.from().months() - self.last.months() - 1).unwrap_or(0);
        let new = u32::try_from(span.to().months() - self.last.months()).unwrap_or(0).saturating_sub(gap);
        if new == 0 {
            return;
        }
        if self.full.is_none() && self.months + new >= FIVE_YEARS {
            self.full = span.to().plus(i64::from(FIVE_YEARS) - i64::from(self.months + new));
        }
        self.broken += gap;
        self.months += new;
        self.last = span.to();
    }
}

const FIVE_YEARS: u32 = 60;
