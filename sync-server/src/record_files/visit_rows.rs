//! The CSV table of visits: a row for the visit, or several that follow each other, each with a cost line, a paper, or both.
//! Rows of one member, facility and case are one visit; what it says of itself stands in the first of them.

use bhyt_core::ids::FacilityCode;
use bhyt_core::limits::{CERTIFICATES_MAX, OTHER_DISEASES_MAX, VISIT_LINES_MAX};
use bhyt_core::records::{
    Certificate, CertificateKind, CertificateState, CivilTime, CostLine, Money, Percent, Quantity, UnitPrice,
    Visit, VisitTotals,
};
use bhyt_core::time::Day;

use super::fields::{FieldFault, Fields, code_number};
use super::{FoundRecord, new_visit};

/// Names of the columns; the first [`REQUIRED`] have to be there.
pub const COLUMNS: &[&str] = &[
    "member",
    "facility",
    "case",
    "entered",
    "left",
    "facility_name",
    "department",
    "diagnosis",
    "disease",
    "other_diseases",
    "traditional",
    "care_form",
    "category",
    "result",
    "discharge",
    "settled",
    "total",
    "total_in_scope",
    "total_fund",
    "total_co_payment",
    "total_own",
    "total_other",
    "total_drugs",
    "total_supplies",
    "total_fund_outside",
    "line_code",
    "line_name",
    "line_unit",
    "line_quantity",
    "line_unit_price",
    "line_rate",
    "line_amount",
    "line_fund",
    "line_other",
    "line_own",
    "line_co_payment",
    "line_group",
    "certificate_serial",
    "certificate_kind",
    "certificate_issued",
    "certificate_state",
];
/// How many of the columns have to be there.
pub const REQUIRED: usize = 4;

/// Gathers the rows of one visit.
#[derive(Debug, Default)]
pub struct VisitRows {
    open: Option<OpenVisit>,
}

/// A visit whose rows are being read.
#[derive(Debug)]
struct OpenVisit {
    line: u64,
    /// Member, facility and case, as they stand.
    names: [String; 3],
    read: Result<Visit, (u64, FieldFault)>,
}

/// A visit that is whole, with the line of its first row; or why it is not taken, with the line of that.
pub type ReadVisit = Result<(u64, FoundRecord), (u64, FieldFault)>;

impl VisitRows {
    /// Takes the next row; the visit before is whole when another begins.
    pub fn push<'r>(&mut self, line: u64, text_of: &'r dyn Fn(&str) -> &'r str) -> Option<ReadVisit> {
        let fields = Fields::new(text_of);
        let names = ["member", "facility", "case"].map(|field| fields.text(field).to_owned());
        let before = match self.open.take() {
            Some(open) if open.names == names => {
                self.open = Some(open);
                None
            }
            before => {
                let read = visit(&fields).map_err(|fault| (line, fault));
                self.open = Some(OpenVisit { line, names, read });
                before.map(OpenVisit::close)
            }
        };
        if let Some(OpenVisit { read, .. }) = &mut self.open
            && let Ok(visit) = read
            && let Err(fault) = add_line(visit, &fields)
        {
            *read = Err((line, fault));
        }
        before
    }

    /// A line that is no row: the visit that it may have been a part of is not taken.
    pub fn spoil(&mut self, line: u64) {
        if let Some(open) = &mut self.open {
            open.read = open.read.clone().and(Err((line, FieldFault { field: "line", reason: "malformed" })));
        }
    }

    /// The last visit, at the end of the file.
    pub fn finish(&mut self) -> Option<ReadVisit> {
        self.open.take().map(OpenVisit::close)
    }
}

impl OpenVisit {
    fn close(self) -> ReadVisit {
        let Self { line, names, read } = self;
        let [member, ..] = names;
        if member.is_empty() {
            return Err((line, FieldFault { field: "member", reason: "missing" }));
        }
        let record = new_visit(read?, "line_code").map_err(|fault| (line, fault))?;
        Ok((line, FoundRecord { member, also: String::new(), record, only_if_new: false }))
    }
}

fn visit(fields: &Fields<'_>) -> Result<Visit, FieldFault> {
    let money = |field| fields.may(field, Money::parse);
    let totals = VisitTotals {
        all: money("total")?,
        in_scope: money("total_in_scope")?,
        fund: money("total_fund")?,
        co_payment: money("total_co_payment")?,
        own: money("total_own")?,
        other: money("total_other")?,
        drugs: money("total_drugs")?,
        supplies: money("total_supplies")?,
        fund_outside: money("total_fund_outside")?,
    };
    Ok(Visit {
        facility: fields.need("facility", FacilityCode::parse)?,
        case: fields.need_line("case")?,
        entered: fields.need("entered", CivilTime::parse)?,
        left: fields.may("left", CivilTime::parse)?,
        facility_name: fields.line("facility_name")?,
        department: fields.line("department")?,
        diagnosis: fields.line("diagnosis")?,
        disease: fields.line("disease")?,
        other_diseases: fields.codes("other_diseases", OTHER_DISEASES_MAX)?,
        traditional: fields.line("traditional")?,
        care_form: fields.line("care_form")?,
        category: fields.line("category")?,
        result: fields.may("result", code_number)?.map(Into::into),
        discharge: fields.may("discharge", code_number)?.map(Into::into),
        settled: fields.may("settled", CivilTime::parse)?,
        totals: (totals != VisitTotals::default()).then_some(totals),
        lines: Vec::new(),
        more_parts: None,
        certificates: Vec::new(),
        recorded: None,
    })
}

/// The cost line and the paper of a row, where it has them.
fn add_line(visit: &mut Visit, fields: &Fields<'_>) -> Result<(), FieldFault> {
    let is_there = |prefix: &str| {
        let mut columns = COLUMNS.iter().filter(|column| column.starts_with(prefix));
        columns.any(|column| !fields.text(column).is_empty())
    };
    if is_there("line_") {
        if visit.lines.len() >= VISIT_LINES_MAX {
            return Err(FieldFault { field: "line_code", reason: "too_many" });
        }
        visit.lines.push(cost_line(fields)?);
    }
    if is_there("certificate_") {
        if visit.certificates.len() >= CERTIFICATES_MAX {
            return Err(FieldFault { field: "certificate_serial", reason: "too_many" });
        }
        visit.certificates.push(Certificate {
            serial: fields.need_line("certificate_serial")?,
            kind: fields.need("certificate_kind", certificate_kind)?,
            issued: fields.may("certificate_issued", Day::parse)?,
            state: fields.may("certificate_state", code_number)?.map(CertificateState::from),
        });
    }
    Ok(())
}

fn cost_line(fields: &Fields<'_>) -> Result<CostLine, FieldFault> {
    let money = |field| fields.may(field, Money::parse);
    Ok(CostLine {
        code: fields.need_line("line_code")?,
        name: fields.need_line("line_name")?,
        unit: fields.line("line_unit")?,
        quantity: fields.may("line_quantity", Quantity::parse)?,
        unit_price: fields.may("line_unit_price", UnitPrice::parse)?,
        rate: fields.may("line_rate", Percent::parse)?,
        amount: money("line_amount")?,
        fund: money("line_fund")?,
        other: money("line_other")?,
        own: money("line_own")?,
        co_payment: money("line_co_payment")?,
        group: fields.line("line_group")?,
    })
}

/// The number of the ministry's table that carries such papers.
fn certificate_kind(text: &str) -> Option<CertificateKind> {
    code_number(text).map(CertificateKind::from).filter(|kind| CertificateKind::KNOWN.contains(kind))
}
