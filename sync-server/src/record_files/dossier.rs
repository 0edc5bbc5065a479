//! A dossier of the ministry's tables as visits: XML1 is the visit, XML2 and XML3 its cost lines, the certificates' tables
//! its papers. A check-in (XML0) is a visit that has begun, and never takes the place of one that is known better.
//!
//! Names the member by the card, and by the citizen's number beside it. The rows of a dossier belong together by `MA_LK`.

use bhyt_core::ids::FacilityCode;
use bhyt_core::limits::{CERTIFICATES_MAX, OTHER_DISEASES_MAX};
use bhyt_core::records::{
    Certificate, CertificateKind, CertificateState, CivilTime, CostLine, Money, Percent, Quantity, Text,
    UnitPrice, Visit, VisitTotals,
};
use bhyt_core::time::Day;

use super::envelope::{Dossier, DossierFault};
use super::fields::{FieldFault, Fields, code_number};
use super::tables::{Row, Table, read_rows};
use super::{FoundRecord, new_visit};

/// What a dossier holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visits {
    /// Visits, or why one is not taken.
    pub found: Vec<Result<FoundRecord, PlacedFault>>,
    /// Fields that none of the decisions knows.
    pub unknown_fields: u64,
    /// Files of tables that say nothing that a member's records have.
    pub passed_over: u64,
}

/// Why a visit is not taken, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFault {
    /// The line of the envelope.
    pub line: u64,
    /// `TABLE:line in the table's file/FIELD`, or an element of the envelope.
    pub field: String,
    /// The word.
    pub reason: &'static str,
}

impl From<DossierFault> for PlacedFault {
    fn from(fault: DossierFault) -> Self {
        Self { line: fault.line, field: fault.field.to_owned(), reason: fault.reason }
    }
}

/// A row with where it stands.
struct Placed {
    table: Table,
    name: String,
    line: u64,
    row: Row,
}

impl Placed {
    fn fault(&self, fault: FieldFault) -> PlacedFault {
        let field = format!("{}:{}/{}", self.name, self.row.line, fault.field);
        PlacedFault { line: self.line, field, reason: fault.reason }
    }

    fn case(&self) -> &str {
        self.row.text("MA_LK")
    }

    fn read<T>(
        &self,
        parse: impl for<'f> FnOnce(&Fields<'f>) -> Result<T, FieldFault>,
    ) -> Result<T, PlacedFault> {
        parse(&Fields::new(&|field| self.row.text(field))).map_err(|fault| self.fault(fault))
    }
}

/// The visits of a dossier that this facility sent.
pub fn read_visits(dossier: &Dossier, facility: &str) -> Visits {
    let mut visits = Visits::default();
    if let Some(fault) = dossier.fault {
        visits.found.push(Err(fault.into()));
        return visits;
    }
    let rows = match placed_rows(dossier, &mut visits) {
        Ok(rows) => rows,
        Err(fault) => {
            visits.found.push(Err(fault));
            return visits;
        }
    };
    let of = |table: Table| rows.iter().filter(move |row| row.table == table);
    let mut cases = Vec::new();
    for summary in of(Table::Summary) {
        cases.push(summary.case());
        let rows = rows.iter().filter(|row| row.case() == summary.case());
        visits.found.push(read_visit(summary, rows, facility));
    }
    for check_in in of(Table::CheckIn).filter(|row| !cases.contains(&row.case())) {
        visits.found.push(read_visit(check_in, std::iter::empty(), facility));
    }
    let is_part = |row: &&Placed| !matches!(row.table, Table::Summary | Table::CheckIn);
    if let Some(stray) = rows.iter().filter(is_part).find(|row| !cases.contains(&row.case())) {
        let fault = FieldFault { field: "MA_LK", reason: "not_found" };
        visits.found.push(Err(stray.fault(fault)));
    } else if visits.found.is_empty() {
        let fault = PlacedFault { line: dossier.line, field: "XML1".into(), reason: "missing" };
        visits.found.push(Err(fault));
    }
    visits
}

fn placed_rows(dossier: &Dossier, visits: &mut Visits) -> Result<Vec<Placed>, PlacedFault> {
    let mut placed = Vec::new();
    for file in &dossier.files {
        let Some(table) = Table::parse(&file.table) else {
            visits.passed_over += 1;
            continue;
        };
        let read = read_rows(table, &file.content).map_err(|fault| PlacedFault {
            line: file.line,
            field: format!("{}:{}", file.table, fault.line),
            reason: fault.reason,
        })?;
        visits.unknown_fields += read.unknown_fields;
        let rows = read.rows.into_iter();
        placed.extend(rows.map(|row| Placed { table, name: file.table.clone(), line: file.line, row }));
    }
    Ok(placed)
}

/// A visit from its first row, and the other rows of its case.
fn read_visit<'p>(
    first: &'p Placed,
    rows: impl Iterator<Item = &'p Placed>,
    facility: &str,
) -> Result<FoundRecord, PlacedFault> {
    let (member, also) = first.read(names)?;
    let mut visit = first.read(summary)?;
    if !facility.is_empty() && visit.facility.as_str() != facility {
        return Err(first.fault(FieldFault { field: "MA_CSKCB", reason: "conflict" }));
    }
    for row in rows {
        match row.table {
            Table::Medicines => visit.lines.push(row.read(medicine)?),
            Table::Services => visit.lines.push(row.read(service)?),
            Table::CheckIn | Table::Summary => {}
            _ if visit.certificates.len() >= CERTIFICATES_MAX => {
                return Err(row.fault(FieldFault { field: "MA_LK", reason: "too_many" }));
            }
            table => visit.certificates.push(row.read(|fields| certificate(table, fields))?),
        }
    }
    let record = new_visit(visit, "STT").map_err(|fault| first.fault(fault))?;
    Ok(FoundRecord { member, also, record, only_if_new: first.table == Table::CheckIn })
}

/// The card, and the citizen's number if it is one; passports and other papers are nobody's alias.
fn names(fields: &Fields<'_>) -> Result<(String, String), FieldFault> {
    let is_number = |text: &&str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let citizen = Some(fields.text("SO_CCCD")).filter(is_number);
    // Cards that followed on each other during the visit; the last is the one that people have.
    let card = fields.text("MA_THE_BHYT").rsplit(';').map(str::trim).find(|card| !card.is_empty());
    match (card, citizen) {
        (Some(card), citizen) => Ok((card.to_owned(), citizen.unwrap_or_default().to_owned())),
        (None, Some(citizen)) => Ok((citizen.to_owned(), String::new())),
        (None, None) => Err(FieldFault { field: "MA_THE_BHYT", reason: "missing" }),
    }
}

/// XML1, and XML0, whose fields have the same names.
fn summary(fields: &Fields<'_>) -> Result<Visit, FieldFault> {
    let money = |field| fields.may(field, Money::parse);
    let totals = VisitTotals {
        all: money("T_TONGCHI_BV")?,
        in_scope: money("T_TONGCHI_BH")?,
        fund: money("T_BHTT")?,
        co_payment: money("T_BNCCT")?,
        own: money("T_BNTT")?,
        other: money("T_NGUONKHAC")?,
        drugs: money("T_THUOC")?,
        supplies: money("T_VTYT")?,
        fund_outside: money("T_BHTT_GDV")?,
    };
    let diagnosis = match fields.text("CHAN_DOAN_RV") {
        "" => "CHAN_DOAN_VAO",
        _ => "CHAN_DOAN_RV",
    };
    Ok(Visit {
        facility: fields.need("MA_CSKCB", FacilityCode::parse)?,
        case: fields.need_line("MA_LK")?,
        entered: fields.need("NGAY_VAO", CivilTime::parse_ministry)?,
        left: fields.may("NGAY_RA", CivilTime::parse_ministry)?,
        facility_name: None,
        department: fields.line("MA_KHOA")?,
        diagnosis: fields.may(diagnosis, Text::shorten)?,
        disease: fields.line("MA_BENH_CHINH")?,
        other_diseases: fields.codes("MA_BENH_KT", OTHER_DISEASES_MAX)?,
        traditional: fields.line("MA_BENH_YHCT")?,
        care_form: fields.line("MA_LOAI_KCB")?,
        category: fields.line("MA_DOITUONG_KCB")?,
        result: fields.may("KET_QUA_DTRI", code_number)?.map(Into::into),
        discharge: fields.may("MA_LOAI_RV", code_number)?.map(Into::into),
        settled: fields.may("NGAY_TTOAN", CivilTime::parse_ministry)?,
        totals: (totals != VisitTotals::default()).then_some(totals),
        lines: Vec::new(),
        more_parts: None,
        certificates: Vec::new(),
        recorded: None,
    })
}

fn medicine(fields: &Fields<'_>) -> Result<CostLine, FieldFault> {
    cost_line(fields, "MA_THUOC", "TEN_THUOC", "DON_GIA")
}

fn service(fields: &Fields<'_>) -> Result<CostLine, FieldFault> {
    let is_supply = fields.text("MA_DICH_VU").is_empty() || !fields.text("MA_VAT_TU").is_empty();
    match is_supply {
        true => cost_line(fields, "MA_VAT_TU", "TEN_VAT_TU", "DON_GIA_BV"),
        false => cost_line(fields, "MA_DICH_VU", "TEN_DICH_VU", "DON_GIA_BV"),
    }
}

fn cost_line(
    fields: &Fields<'_>,
    code: &'static str,
    name: &'static str,
    unit_price: &'static str,
) -> Result<CostLine, FieldFault> {
    Ok(CostLine {
        code: fields.need_line(code)?,
        name: fields.need(name, Text::shorten)?,
        unit: fields.line("DON_VI_TINH")?,
        quantity: fields.may("SO_LUONG", Quantity::parse)?,
        unit_price: fields.may(unit_price, UnitPrice::parse)?,
        rate: fields.may("MUC_HUONG", Percent::parse)?,
        amount: fields.may("THANH_TIEN_BV", Money::parse)?,
        fund: fields.may("T_BHTT", Money::parse)?,
        other: fields.may("T_NGUONKHAC", Money::parse)?,
        own: fields.may("T_BNTT", Money::parse)?,
        co_payment: fields.may("T_BNCCT", Money::parse)?,
        group: fields.line("MA_NHOM")?,
    })
}

fn certificate(table: Table, fields: &Fields<'_>) -> Result<Certificate, FieldFault> {
    let (kind, serials, issued): (_, &[&'static str], _) = match table {
        Table::Birth => (CertificateKind::Birth, &["SO"], "NGAY_CT"),
        Table::Pregnancy => (CertificateKind::PregnancyLeave, &["SO_SERI", "SO_CT"], "NGAY_CT"),
        Table::SickLeave => (CertificateKind::SickLeave, &["SO_SERI", "SO_CT"], "NGAY_CT"),
        Table::Transfer => {
            (CertificateKind::Transfer, &["SO_CHUYENTUYEN", "GIAY_CHUYEN_TUYEN", "SO_HOSO"], "NGAY_RA")
        }
        Table::Appointment => (CertificateKind::Appointment, &["SO_GIAYHEN_KL"], "NGAY_CT"),
        _ => (CertificateKind::Discharge, &["SO_LUU_TRU"], "NGAY_CT"),
    };
    let first = serials.first().copied().unwrap_or_default();
    let serial = serials.iter().copied().find(|field| !fields.text(field).is_empty()).unwrap_or(first);
    Ok(Certificate {
        serial: fields.need_line(serial)?,
        kind,
        issued: fields.may(issued, ministry_day)?,
        state: Some(CertificateState::Issued),
    })
}

fn ministry_day(text: &str) -> Option<Day> {
    match CivilTime::parse_ministry(text)? {
        CivilTime::Day(day) => Some(day),
        CivilTime::Minute(at) => Some(at.day()),
        CivilTime::Year(_) | CivilTime::Month(_) => None,
    }
}
