//! The body of a record of kind ContributionPeriod: months paid to one fund, as one row of the history shows them.

use super::codes::{Fund, MonthStatus};
use super::dates::MonthSpan;
use super::decimal::{Coefficient, Money};
use super::form::map_form;
use super::source::SourceKey;
use super::text::Text;
use crate::limits::{CODE_BYTES_MAX, CURRENCY_BYTES_MAX, PLACE_BYTES_MAX};
use crate::record::RecordKind;

/// One contribution period (giai đoạn tham gia).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContributionPeriod {
    /// To which fund.
    pub fund: Fund,
    /// First and last month, both counted.
    pub months: MonthSpan,
    /// What the months count for.
    pub status: MonthStatus,
    /// The employer's code (mã đơn vị); absent for those who pay themselves.
    pub employer_code: Option<Text<CODE_BYTES_MAX>>,
    /// Đơn vị.
    pub employer: Option<Text<PLACE_BYTES_MAX>>,
    /// Nghề nghiệp, chức vụ.
    pub job: Option<Text<PLACE_BYTES_MAX>>,
    /// Nơi làm việc.
    pub workplace: Option<Text<PLACE_BYTES_MAX>>,
    /// Tiền lương đóng.
    pub salary: Option<Money>,
    /// Hệ số lương: where the state pays by coefficient.
    pub coefficient: Option<Coefficient>,
    /// Loại tiền; absent for `VND`.
    pub currency: Option<Text<CURRENCY_BYTES_MAX>>,
}

map_form!(body ContributionPeriod {
    1 fund, 2 months, 3 status, 4 employer_code, 5 employer, 6 job, 7 workplace, 8 salary, 9 coefficient, 10 currency,
});

impl ContributionPeriod {
    /// One record a fund, first month and employer.
    pub fn source_key(&self) -> SourceKey {
        let employer = self.employer_code.as_ref().map_or("", |code| code.as_str());
        let from = self.months.from().months().to_be_bytes();
        let fund = self.fund.number().to_be_bytes();
        SourceKey::of(RecordKind::ContributionPeriod, &[&fund, &from, employer.as_bytes()])
    }
}
