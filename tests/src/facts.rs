//! Official records of people who do not exist: one full example of each kind, for formats, seeds and feeds.
//!
//! Promises: every optional field is there, so that a table over the example is a table over the format. Member numbers,
//! facilities and prices are made up.

use bhyt_core::ids::FacilityCode;
use bhyt_core::record::Seq;
use bhyt_core::records::{
    Adjustment, Benefit, BenefitKind, Certificate, CertificateKind, CertificateState, CivilTime, Coefficient,
    ContributionPeriod, CostLine, Discharge, Fact, Fund, HolderBasis, Lines, Money, Month, MonthSpan,
    MonthStatus, Notice, Percent, Quantity, Recorded, Text, TreatmentResult, UnitPrice, Visit, VisitLines,
    VisitTotals,
};
use bhyt_core::time::{Day, UnixSeconds};

/// Text that is in its form.
///
/// # Panics
/// When it is not.
pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::parse(text).expect("text in its form")
}

/// An amount as tables write it.
///
/// # Panics
/// When it is none.
pub fn money(amount: &str) -> Money {
    Money::parse(amount).expect("an amount")
}

/// Months as people write them: `10/2016`, `05/2017`.
///
/// # Panics
/// When they are none.
pub fn months(from: &str, to: &str) -> MonthSpan {
    let month = |text| Month::parse(text).expect("a month");
    MonthSpan::new(month(from), month(to)).expect("months in order")
}

/// A time in any form of [`CivilTime::parse`].
///
/// # Panics
/// When it is none.
pub fn civil(time: &str) -> CivilTime {
    CivilTime::parse(time).expect("a time")
}

/// A teacher's months in a state school.
pub fn contribution() -> ContributionPeriod {
    ContributionPeriod {
        fund: Fund::Bhxh,
        months: months("07/2019", "12/2019"),
        status: MonthStatus::Counted,
        employer_code: Some(text("HC0999")),
        employer: Some(text("Trường Tiểu học Thử Nghiệm")),
        job: Some(text("Giáo viên")),
        workplace: Some(text("Phường Thử, TP. Mẫu")),
        salary: Some(money("5453400")),
        coefficient: Coefficient::parse("3.66"),
        currency: Some(text("VND")),
    }
}

/// A pension that was adjusted once.
pub fn benefit() -> Benefit {
    let slip = Adjustment {
        from: Day::from_ymd(2024, 7, 1).expect("a day"),
        amount: money("6900000"),
        number: Some(text("15/PĐC")),
        reason: Some(text("Tăng 15% theo nghị định")),
    };
    Benefit {
        kind: BenefitKind::Monthly,
        regime: Some(text("Lương hưu")),
        decision: Some(text("1234/QĐ-BHXH")),
        decided: Some(civil("20/12/2023")),
        from: Some(civil("01/2024")),
        to: Some(civil("2040")),
        amount: Some(money("6000000")),
        payer: Some(text("Bưu điện Mẫu")),
        account: Some(text("9900000000017")),
        bank: Some(text("Ngân hàng Thử Nghiệm")),
        months: Some(12),
        adjustments: vec![slip],
    }
}

/// A cost line with everything.
pub fn cost_line() -> CostLine {
    CostLine {
        code: text("40.573"),
        name: text("Amoxicilin 500mg"),
        unit: Some(text("Viên")),
        quantity: Quantity::parse("21"),
        unit_price: UnitPrice::parse("1234.567"),
        rate: Percent::parse("80"),
        amount: Some(money("25925.91")),
        fund: Some(money("20740.73")),
        other: Some(money("0")),
        own: Some(money("0")),
        co_payment: Some(money("5185.18")),
        group: Some(text("15")),
    }
}

/// A stay of three days, recorded at a clinic.
pub fn visit() -> Visit {
    let certificate = Certificate {
        serial: text("99024/26/000123"),
        kind: CertificateKind::SickLeave,
        issued: Day::from_ymd(2026, 3, 5),
        state: Some(CertificateState::Issued),
    };
    Visit {
        facility: FacilityCode::parse("99024").expect("a facility"),
        case: text("LK-2026-000123"),
        entered: civil("02/03/2026 08:15"),
        left: Some(civil("05/03/2026 16:00")),
        facility_name: Some(text("Trạm y tế phường Mẫu")),
        department: Some(text("Khoa Nội")),
        diagnosis: Some(text("Viêm dạ dày, không đặc hiệu")),
        disease: Some(text("K29.7")),
        other_diseases: vec![text("I10"), text("E11.9")],
        traditional: Some(text("U55.261")),
        care_form: Some(text("03")),
        category: Some(text("1.11")),
        result: Some(TreatmentResult::Better),
        discharge: Some(Discharge::Discharged),
        settled: Some(civil("2026-03-05")),
        totals: Some(totals()),
        lines: vec![cost_line()],
        more_parts: Some(1),
        certificates: vec![certificate],
        recorded: Some(Recorded {
            terminal: [7; 8],
            operation: [8; 16],
            basis: Some(HolderBasis::Challenge),
            time: UnixSeconds(1_772_700_000),
        }),
    }
}

fn totals() -> VisitTotals {
    VisitTotals {
        all: Some(money("30000")),
        in_scope: Some(money("25925.91")),
        fund: Some(money("20740.73")),
        co_payment: Some(money("5185.18")),
        own: Some(money("4074.09")),
        other: Some(money("0")),
        drugs: Some(money("25925.91")),
        supplies: Some(money("1")),
        fund_outside: Some(money("2")),
    }
}

/// More lines of [`visit`].
pub fn visit_lines() -> VisitLines {
    VisitLines { visit: visit().source_key().0, part: 1, lines: vec![cost_line()] }
}

/// A notice about the first record of a feed.
///
/// # Panics
/// Never: the text is in its form.
pub fn notice() -> Notice {
    Notice {
        id: [9; 16],
        title: text("Thẻ sắp hết hạn"),
        text: Some(Lines::parse("Thẻ của ông/bà hết hạn ngày 31/12/2026.\n\nMời gia hạn.").expect("lines")),
        time: UnixSeconds(1_764_000_000),
        about: Some(Seq(0)),
    }
}

/// One of each kind but cards.
pub fn facts() -> Vec<Fact> {
    vec![
        Fact::Contribution(contribution()),
        Fact::Benefit(benefit()),
        Fact::Visit(Box::new(visit())),
        Fact::VisitLines(visit_lines()),
        Fact::Notice(notice()),
    ]
}
