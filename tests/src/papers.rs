//! Official records of synthetic people, as an import sends them: visits, contribution periods, notices.

use bhyt_core::ids::FacilityCode;
use bhyt_core::record::Body;
use bhyt_core::records::{
    CivilTime, ContributionPeriod, CostLine, Fact, Fund, Money, Month, MonthSpan, MonthStatus, Notice, Text,
    Visit,
};
use bhyt_core::sync::records::{NewRecord, RecordChange, RecordRow};
use bhyt_core::time::UnixSeconds;

/// A visit of this case with as many cost lines.
///
/// # Panics
/// Never for a case of up to a hundred bytes.
pub fn visit(case: &str, lines: usize) -> Visit {
    Visit {
        facility: FacilityCode::parse("99024").expect("a code"),
        case: text(case),
        entered: CivilTime::parse("2026-03-02 08:15").expect("a minute"),
        left: CivilTime::parse("2026-03-02 10:40"),
        facility_name: Text::normalise("Trạm y tế xã Thử"),
        department: None,
        diagnosis: Text::normalise("Viêm họng cấp"),
        disease: Text::normalise("J02"),
        other_diseases: vec![text("J00"), text("R50")],
        traditional: None,
        care_form: Text::normalise("01"),
        category: Text::normalise("1.2"),
        result: Some(2.into()),
        discharge: Some(1.into()),
        settled: None,
        totals: None,
        lines: (0..lines).map(cost_line).collect(),
        more_parts: None,
        certificates: Vec::new(),
        recorded: None,
    }
}

fn cost_line(number: usize) -> CostLine {
    CostLine {
        code: text(&format!("40.{number}")),
        name: text("Amoxicilin 500 mg, viên nang, hộp 10 vỉ x 10 viên"),
        unit: Text::normalise("Viên"),
        quantity: None,
        unit_price: None,
        rate: None,
        amount: Money::parse("15000.00"),
        fund: Money::parse("12000.00"),
        other: None,
        own: None,
        co_payment: Money::parse("3000.00"),
        group: Text::normalise("4"),
    }
}

/// A month paid to the fund of health insurance.
///
/// # Panics
/// When there is no such month.
pub fn contribution(month: &str) -> ContributionPeriod {
    let month = Month::parse(month).expect("a month");
    ContributionPeriod {
        fund: Fund::Bhyt,
        months: MonthSpan::new(month, month).expect("one month"),
        status: MonthStatus::Counted,
        employer_code: Text::normalise("TA9901A"),
        employer: Text::normalise("Công ty Thử Nghiệm"),
        job: None,
        workplace: None,
        salary: Money::parse("5453400"),
        coefficient: None,
        currency: None,
    }
}

/// A notice.
///
/// # Panics
/// Never.
pub fn notice(id: u8, title: &str) -> Notice {
    Notice { id: [id; 16], title: text(title), text: None, time: UnixSeconds(1_795_399_200), about: None }
}

/// The visit as it travels: itself, and the lines that it has no room for.
///
/// # Panics
/// When it has more lines than any visit.
pub fn visit_record(visit: Visit) -> NewRecord {
    let (visit, parts) = visit.split().expect("a visit within its bounds");
    let parts = parts.into_iter().map(|part| body(&Fact::VisitLines(part)));
    let parts = parts.collect();
    NewRecord { parts, ..record(&Fact::Visit(Box::new(visit))) }
}

/// Any other fact as it travels.
///
/// # Panics
/// When it is no body.
pub fn record(fact: &Fact) -> NewRecord {
    NewRecord { kind: fact.kind(), body: body(fact), parts: Vec::new() }
}

/// The row that stores a record of the member of this number.
pub fn put(member: &str, record: NewRecord) -> RecordRow {
    RecordRow { member: member.into(), also: String::new(), change: RecordChange::Put(record) }
}

fn body(fact: &Fact) -> Body {
    fact.encode().expect("a body within its bound")
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::normalise(text).expect("a text within its bound")
}
