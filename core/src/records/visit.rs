//! The body of a record of kind Visit: what one stay or consultation was for, what it cost and which papers it gave, from
//! the ministry's summary and detail tables or from a clinic's terminal.
//!
//! A visit is named by its facility and that facility's case number (`MA_CSKCB`, `MA_LK`). Cost lines stand in it as far
//! as they fit; the rest are records of their own (`visit_lines.rs`).

use super::codes::{CertificateKind, CertificateState, Discharge, HolderBasis, TreatmentResult};
use super::dates::CivilTime;
use super::decimal::{Money, Percent, Quantity, UnitPrice};
use super::form::map_form;
use super::source::SourceKey;
use super::text::Text;
use crate::ids::FacilityCode;
use crate::limits::{
    CASE_BYTES_MAX, CERTIFICATES_MAX, CODE_BYTES_MAX, DIAGNOSIS_BYTES_MAX, ITEM_CODE_BYTES_MAX,
    ITEM_NAME_BYTES_MAX, LABEL_BYTES_MAX, PLACE_BYTES_MAX, VISIT_LINES_MAX,
};
use crate::record::RecordKind;
use crate::time::{Day, UnixSeconds};

/// One visit (lượt khám chữa bệnh).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Where (`MA_CSKCB`).
    pub facility: FacilityCode,
    /// The facility's own number of the case (`MA_LK`).
    pub case: Text<CASE_BYTES_MAX>,
    /// Ngày vào.
    pub entered: CivilTime,
    /// Ngày ra; absent while the patient is there.
    pub left: Option<CivilTime>,
    /// The facility's name as it was then.
    pub facility_name: Option<Text<PLACE_BYTES_MAX>>,
    /// Khoa.
    pub department: Option<Text<LABEL_BYTES_MAX>>,
    /// Chẩn đoán ra viện.
    pub diagnosis: Option<Text<DIAGNOSIS_BYTES_MAX>>,
    /// ICD-10 of the main disease (`MA_BENH_CHINH`).
    pub disease: Option<Text<CODE_BYTES_MAX>>,
    /// ICD-10 of others (`MA_BENH_KT`).
    pub other_diseases: Vec<Text<CODE_BYTES_MAX>>,
    /// Codes of traditional medicine (`MA_BENH_YHCT`).
    pub traditional: Option<Text<ITEM_CODE_BYTES_MAX>>,
    /// Care form (`MA_LOAI_KCB`), as its list has it: `01`, `03`, …
    pub care_form: Option<Text<CODE_BYTES_MAX>>,
    /// Category of the patient (`MA_DOITUONG_KCB`): `1.11` is a code, no number.
    pub category: Option<Text<CODE_BYTES_MAX>>,
    /// Kết quả điều trị.
    pub result: Option<TreatmentResult>,
    /// Loại ra viện.
    pub discharge: Option<Discharge>,
    /// Ngày thanh toán.
    pub settled: Option<CivilTime>,
    /// What it came to.
    pub totals: Option<VisitTotals>,
    /// Cost lines, as many as fit.
    pub lines: Vec<CostLine>,
    /// How many records of more lines belong to it; absent for none.
    pub more_parts: Option<u16>,
    /// Papers given.
    pub certificates: Vec<Certificate>,
    /// How a clinic's terminal recorded it; absent on what facilities sent by table.
    pub recorded: Option<Recorded>,
}

/// What a visit came to, in đồng.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitTotals {
    /// Everything (`T_TONGCHI_BV`).
    pub all: Option<Money>,
    /// In the scope of insurance (`T_TONGCHI_BH`).
    pub in_scope: Option<Money>,
    /// The fund's share (`T_BHTT`).
    pub fund: Option<Money>,
    /// The patient's co-payment (`T_BNCCT`).
    pub co_payment: Option<Money>,
    /// What the patient pays alone (`T_BNTT`).
    pub own: Option<Money>,
    /// Other sources (`T_NGUONKHAC`).
    pub other: Option<Money>,
    /// Drugs (`T_THUOC`).
    pub drugs: Option<Money>,
    /// Supplies (`T_VTYT`).
    pub supplies: Option<Money>,
    /// Of the fund's share, what is outside the facility's quota (`T_BHTT_GDV`).
    pub fund_outside: Option<Money>,
}

/// One cost line (chi phí).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostLine {
    /// Mã chi phí.
    pub code: Text<ITEM_CODE_BYTES_MAX>,
    /// Tên chi phí.
    pub name: Text<ITEM_NAME_BYTES_MAX>,
    /// Đơn vị tính.
    pub unit: Option<Text<LABEL_BYTES_MAX>>,
    /// Số lượng.
    pub quantity: Option<Quantity>,
    /// Đơn giá.
    pub unit_price: Option<UnitPrice>,
    /// Mức hưởng.
    pub rate: Option<Percent>,
    /// Thành tiền.
    pub amount: Option<Money>,
    /// BHYT thanh toán.
    pub fund: Option<Money>,
    /// Nguồn khác.
    pub other: Option<Money>,
    /// Người bệnh tự trả.
    pub own: Option<Money>,
    /// Người bệnh cùng chi trả.
    pub co_payment: Option<Money>,
    /// Nhóm chi phí (`MA_NHOM`).
    pub group: Option<Text<CODE_BYTES_MAX>>,
}

/// A paper that a facility gave (TT 56/2017).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Số seri.
    pub serial: Text<LABEL_BYTES_MAX>,
    /// Loại chứng từ.
    pub kind: CertificateKind,
    /// Ngày cấp.
    pub issued: Option<Day>,
    /// Trạng thái.
    pub state: Option<CertificateState>,
}

/// How a clinic's terminal recorded a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Key id of the terminal that signed it.
    pub terminal: [u8; 8],
    /// The operation that carried it.
    pub operation: [u8; 16],
    /// What proved that the patient was there; absent when nothing did.
    pub basis: Option<HolderBasis>,
    /// When, by the terminal's clock.
    pub time: UnixSeconds,
}

map_form!(body Visit {
    1 facility, 2 case, 3 entered, 4 left, 5 facility_name, 6 department, 7 diagnosis, 8 disease, 9 other_diseases,
    10 traditional, 11 care_form, 12 category, 13 result, 14 discharge, 15 settled, 16 totals, 17 lines, 18 more_parts,
    19 certificates, 20 recorded,
});
map_form!(value VisitTotals {
    1 all, 2 in_scope, 3 fund, 4 co_payment, 5 own, 6 other, 7 drugs, 8 supplies, 9 fund_outside,
});
map_form!(value CostLine, at most VISIT_LINES_MAX {
    1 code, 2 name, 3 unit, 4 quantity, 5 unit_price, 6 rate, 7 amount, 8 fund, 9 other, 10 own, 11 co_payment,
    12 group,
});
map_form!(value Certificate, at most CERTIFICATES_MAX { 1 serial, 2 kind, 3 issued, 4 state });
map_form!(value Recorded { 1 terminal, 2 operation, 3 basis, 4 time });

impl Visit {
    /// One record a facility and case.
    pub fn source_key(&self) -> SourceKey {
        SourceKey::of(RecordKind::Visit, &[self.facility.as_str().as_bytes(), self.case.as_str().as_bytes()])
    }
}
