//! Totals of contribution periods, against a model that writes every month down.

use std::collections::{BTreeMap, BTreeSet};

use bhyt_core::records::{
    Breaks, ContinuityRule, ContributionPeriod, FiveYears, FiveYearsPreview, Fund, FundTotals, Month,
    MonthCount, MonthSpan, MonthStatus,
};
use bhyt_tests::facts;
use proptest::prelude::*;

fn row(fund: Fund, months: MonthSpan, status: MonthStatus) -> ContributionPeriod {
    ContributionPeriod { fund, months, status, ..facts::contribution() }
}

fn bhxh(from: &str, to: &str, status: MonthStatus) -> ContributionPeriod {
    row(Fund::Bhxh, facts::months(from, to), status)
}

#[test]
fn both_months_of_a_row_count_and_years_are_said() {
    let rows = [
        bhxh("07/2017", "07/2017", MonthStatus::Counted),
        bhxh("06/2017", "06/2017", MonthStatus::Counted),
        bhxh("10/2016", "05/2017", MonthStatus::Counted),
        bhxh("01/2006", "04/2017", MonthStatus::PaidOut),
        row(Fund::Bhtn, facts::months("01/2009", "12/2020"), MonthStatus::Counted),
    ];
    let totals = FundTotals::of(Fund::Bhxh, &rows);
    assert_eq!((totals.counted, totals.paid_out), (MonthCount(3), MonthCount(136)));
    assert_eq!(totals.conflicts, [facts::months("10/2016", "04/2017")]);
    assert_eq!(FundTotals::of(Fund::Bhtn, &rows).counted, MonthCount(144));
    for (months, vi, en) in [
        (146, "12 năm 2 tháng", "12 years 2 months"),
        (0, "0 tháng", "0 months"),
        (1, "1 tháng", "1 month"),
        (12, "1 năm", "1 year"),
        (25, "2 năm 1 tháng", "2 years 1 month"),
    ] {
        let words = MonthCount(months).words();
        assert_eq!((words.vi.as_str(), words.en.as_str()), (vi, en));
    }
}

#[test]
fn five_years_are_full_after_sixty_months_and_short_breaks_keep_them() {
    let month = |text: &str| Month::parse(text).unwrap();
    let check = |spans: &[(&str, &str)], rule, now: &str, expected: Option<(&str, u32, &str, FiveYears)>| {
        let rows: Vec<_> = spans
            .iter()
            .map(|(from, to)| row(Fund::Bhyt, facts::months(from, to), MonthStatus::Counted))
            .collect();
        let found = FiveYearsPreview::of(&rows, rule, month(now));
        let expected = expected.map(|(since, months, full_from, state)| FiveYearsPreview {
            since: month(since),
            months,
            full_from: month(full_from),
            state,
        });
        assert_eq!(found, expected, "{spans:?}");
    };
    let each = ContinuityRule::default();
    let together = ContinuityRule { breaks: Breaks::Together, ..each };
    let whole = [("06/2020", "05/2025")];
    check(&whole, each, "06/2025", Some(("06/2020", 60, "06/2025", FiveYears::Full)));
    check(&whole, each, "08/2025", Some(("06/2020", 60, "06/2025", FiveYears::Full)));
    check(&whole, each, "10/2025", None);
    let short = [("06/2020", "04/2025")];
    check(&short, each, "05/2025", Some(("06/2020", 59, "06/2025", FiveYears::IfItGoesOn)));
    // Three months between: kept. Four: begun anew.
    let kept = [("01/2020", "12/2020"), ("04/2021", "12/2025")];
    check(&kept, each, "12/2025", Some(("01/2020", 69, "04/2025", FiveYears::Full)));
    let broken = [("01/2020", "12/2020"), ("05/2021", "12/2025")];
    check(&broken, each, "12/2025", Some(("05/2021", 56, "05/2026", FiveYears::IfItGoesOn)));
    let twice = [("01/2020", "12/2020"), ("03/2021", "12/2021"), ("03/2022", "12/2025")];
    check(&twice, each, "12/2025", Some(("01/2020", 68, "05/2025", FiveYears::Full)));
    // Two months and two: four together.
    check(&twice, together, "12/2025", Some(("03/2022", 46, "03/2027", FiveYears::IfItGoesOn)));
    // One, one and two: four together.
    let thrice =
        [("01/2020", "12/2020"), ("02/2021", "12/2021"), ("02/2022", "12/2022"), ("03/2023", "12/2025")];
    check(&thrice, together, "12/2025", Some(("03/2023", 34, "03/2028", FiveYears::IfItGoesOn)));
    check(&[], each, "12/2025", None);
    let late = [row(Fund::Bhyt, facts::months("01/2020", "12/2025"), MonthStatus::Late)];
    assert_eq!(FiveYearsPreview::of(&late, each, month("12/2025")), None);
}

fn rows() -> impl Strategy<Value = Vec<ContributionPeriod>> {
    let one = (0_i64..120, 0_i64..24, 1_u64..5, 1_u64..5).prop_map(|(from, length, fund, status)| {
        let month = |months| Month::from_months(480 + months).expect("a month");
        let months = MonthSpan::new(month(from), month(from + length)).expect("months in order");
        let fund = Fund::from_number(fund).expect("a fund");
        row(fund, months, MonthStatus::from_number(status).expect("a status"))
    });
    prop::collection::vec(one, 0..20)
}

/// Rows of health insurance that count, with breaks between them.
fn insured() -> impl Strategy<Value = Vec<ContributionPeriod>> {
    let count = |rows: Vec<ContributionPeriod>| {
        rows.into_iter().map(|period| row(Fund::Bhyt, period.months, MonthStatus::Counted)).collect()
    };
    prop_oneof![rows(), rows().prop_map(count)]
}

fn each_month(span: MonthSpan) -> impl Iterator<Item = i64> {
    span.from().months()..=span.to().months()
}

proptest! {
    #[test]
    fn totals_are_those_of_a_list_of_every_month(rows in rows()) {
        for fund in Fund::ALL {
            let mut months: BTreeMap<i64, Vec<MonthStatus>> = BTreeMap::new();
            for row in rows.iter().filter(|row| row.fund == *fund) {
                each_month(row.months).for_each(|month| months.entry(month).or_default().push(row.status));
            }
            let of = |status: MonthStatus| months.values().filter(move |rows| rows.contains(&status));
            let totals = FundTotals::of(*fund, &rows);
            let (paid, reserved) = (MonthStatus::PaidOut, MonthStatus::Reserved);
            let counted = of(MonthStatus::Counted).filter(|rows| !rows.contains(&paid) && !rows.contains(&reserved));
            let late = of(MonthStatus::Late).filter(|rows| rows.iter().all(|status| *status == MonthStatus::Late));
            prop_assert_eq!(totals.counted.0 as usize, counted.count());
            prop_assert_eq!(totals.paid_out.0 as usize, of(paid).count());
            prop_assert_eq!(totals.reserved.0 as usize, of(reserved).filter(|rows| !rows.contains(&paid)).count());
            prop_assert_eq!(totals.late.0 as usize, late.count());
            let conflicts: BTreeSet<i64> = totals.conflicts.iter().copied().flat_map(each_month).collect();
            let twice: BTreeSet<i64> = months.iter().filter(|(_, rows)| rows.len() > 1).map(|(at, _)| *at).collect();
            prop_assert_eq!(conflicts, twice);
            let apart = totals.conflicts.windows(2).all(|pair| pair[0].to().plus(1) < Some(pair[1].from()));
            prop_assert!(apart, "neighbouring conflicts are joined");
        }
    }

    /// Walks month by month from the end backwards, as a person with a calendar would.
    #[test]
    fn five_years_are_those_of_a_list_of_every_month(rows in insured(), now in 480_i64..660, most in 0_u32..6, together: bool) {
        let rule = ContinuityRule {
            break_months_max: most,
            breaks: if together { Breaks::Together } else { Breaks::Each },
        };
        let counts = |row: &&ContributionPeriod| row.fund == Fund::Bhyt && row.status == MonthStatus::Counted;
        let months: BTreeSet<i64> = rows.iter().filter(counts).flat_map(|row| each_month(row.months)).collect();
        let mut run: Vec<i64> = Vec::new();
        let mut broken = 0;
        let follows = |last: i64, next: i64, broken: i64| {
            let gap = (next - last - 1).max(0);
            gap == 0 || if together { broken + gap <= i64::from(most) } else { gap <= i64::from(most) }
        };
        for month in &months {
            match run.last() {
                Some(last) if follows(*last, *month, broken) => broken += month - last - 1,
                _ => (run, broken) = (Vec::new(), 0),
            }
            run.push(*month);
        }
        let kept = run.last().is_some_and(|last| follows(*last, now, broken));
        let found = FiveYearsPreview::of(&rows, rule, Month::from_months(now).unwrap());
        prop_assert_eq!(found.is_some(), kept);
        if let Some(found) = found {
            let last = run.last().unwrap();
            let full = run.get(59).copied();
            prop_assert_eq!(found.since.months(), run[0]);
            prop_assert_eq!(found.months as usize, run.len());
            prop_assert_eq!(found.state == FiveYears::Full, full.is_some());
            let expected = full.unwrap_or(last + 60 - run.len() as i64) + 1;
            prop_assert_eq!(found.full_from.months(), expected);
        }
    }
}
