//! The body of a record of kind Benefit: what was drawn from a fund, by which decision, and how it was adjusted since.

use super::codes::BenefitKind;
use super::dates::CivilTime;
use super::decimal::Money;
use super::form::map_form;
use super::source::SourceKey;
use super::text::Text;
use crate::limits::{ADJUSTMENTS_MAX, LABEL_BYTES_MAX, PLACE_BYTES_MAX};
use crate::record::RecordKind;
use crate::time::Day;

/// One benefit drawn (chế độ đã hưởng).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Benefit {
    /// How it is drawn.
    pub kind: BenefitKind,
    /// Chế độ: ốm đau, thai sản, lương hưu, tai nạn lao động, …
    pub regime: Option<Text<LABEL_BYTES_MAX>>,
    /// Số quyết định hưởng.
    pub decision: Option<Text<LABEL_BYTES_MAX>>,
    /// Ngày quyết định.
    pub decided: Option<CivilTime>,
    /// From when.
    pub from: Option<CivilTime>,
    /// Until when; absent while it goes on.
    pub to: Option<CivilTime>,
    /// Số tiền: once, or each month.
    pub amount: Option<Money>,
    /// Đơn vị chi trả, or the employer it came through.
    pub payer: Option<Text<PLACE_BYTES_MAX>>,
    /// Số tài khoản.
    pub account: Option<Text<LABEL_BYTES_MAX>>,
    /// Tên ngân hàng.
    pub bank: Option<Text<PLACE_BYTES_MAX>>,
    /// Months of benefit (thất nghiệp).
    pub months: Option<u16>,
    /// Phiếu điều chỉnh, oldest first.
    pub adjustments: Vec<Adjustment>,
}

/// One adjustment slip (phiếu điều chỉnh).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// From which day.
    pub from: Day,
    /// The amount from then on.
    pub amount: Money,
    /// Its number.
    pub number: Option<Text<LABEL_BYTES_MAX>>,
    /// Why.
    pub reason: Option<Text<LABEL_BYTES_MAX>>,
}

map_form!(body Benefit {
    1 kind, 2 regime, 3 decision, 4 decided, 5 from, 6 to, 7 amount, 8 payer, 9 account, 10 bank, 11 months,
    12 adjustments,
});
map_form!(value Adjustment, at most ADJUSTMENTS_MAX { 1 from, 2 amount, 3 number, 4 reason });

impl Benefit {
    /// One record a kind, regime, decision and beginning.
    pub fn source_key(&self) -> SourceKey {
        let text = |field: &Option<Text<LABEL_BYTES_MAX>>| {
            field.as_ref().map_or(String::new(), |text| text.as_str().to_owned())
        };
        let from = self.from.map_or(String::new(), CivilTime::iso);
        let (regime, decision, kind) = (text(&self.regime), text(&self.decision), self.kind.number());
        SourceKey::of(
            RecordKind::Benefit,
            &[&kind.to_be_bytes(), regime.as_bytes(), decision.as_bytes(), from.as_bytes()],
        )
    }
}
