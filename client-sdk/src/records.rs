//! What a phone shows of official records: contributions by fund, benefits by kind, the visit book by year, notices, and
//! the history of one record. Owned values of what the server last signed; a member never edits one.
//!
//! Rows are newest first, and neighbouring rows are not merged: each is one record, as the source sent it. Every view says
//! how old it is and how many records need a newer version of this software to be read.

use bhyt_core::record::Seq;
use bhyt_core::records::{
    Benefit, BenefitKind, CivilTime, ContributionPeriod, Fact, FiveYearsPreview, FundTotals, Notice, Visit,
};
use bhyt_core::time::{Day, UnixSeconds};

/// Which record a row is, and how it came to be as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordInfo {
    /// The record's name in its member's feed: the place of its first revision. For [`crate::Wallet::history`].
    pub id: Seq,
    /// How often it was corrected.
    pub revision: u32,
    /// When the server recorded what is shown ("updated at").
    pub updated_at: UnixSeconds,
}

/// How far what is shown can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When the server signed the feed that the rows are from; `None` before the first sync.
    pub signed_at: Option<UnixSeconds>,
    /// Seconds since a sync last went through; `None` before the first.
    pub data_age_seconds: Option<u64>,
    /// Records that stand and that only a newer version can read, of this view or of kinds that nobody here knows. They
    /// are kept: tell the user to update the application.
    pub needs_update: u32,
    /// Records of this view whose bytes are of no form that was ever written: the server's fault, to be reported.
    pub unreadable: u32,
}

/// One row of the contribution history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContributionView {
    /// Which record.
    pub info: RecordInfo,
    /// What it says.
    pub period: ContributionPeriod,
}

/// One fund's tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundView {
    /// Newest first.
    pub rows: Vec<ContributionView>,
    /// Over all rows; names the fund.
    pub totals: FundTotals,
}

/// The contribution history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContributionsView {
    /// All four funds, in the order of the tabs.
    pub funds: Vec<FundView>,
    /// When five continuous years are or will be full, as the server signed it on the card. This one counts.
    pub five_years: Option<Day>,
    /// The same as this phone makes it out from the rows: a preview, to be named so wherever it is shown.
    pub five_years_preview: Option<FiveYearsPreview>,
    /// How old this is.
    pub freshness: Freshness,
}

/// One row of the benefits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenefitView {
    /// Which record.
    pub info: RecordInfo,
    /// What it says.
    pub benefit: Benefit,
}

/// One kind's tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenefitTab {
    /// Which kind.
    pub kind: BenefitKind,
    /// Newest first.
    pub rows: Vec<BenefitView>,
}

/// The benefits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenefitsView {
    /// The four known kinds in the order of the tabs, and behind them kinds that this version has no name for.
    pub tabs: Vec<BenefitTab>,
    /// How old this is.
    pub freshness: Freshness,
}

/// One visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitView {
    /// Which record.
    pub info: RecordInfo,
    /// What it says, with the cost lines of all its parts.
    pub visit: Visit,
    /// Records of more cost lines that are not here; the totals are those of the whole visit.
    pub missing_parts: u32,
}

/// The visits that began in one year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitYear {
    /// Which year.
    pub year: i32,
    /// Newest first.
    pub visits: Vec<VisitView>,
}

/// The visit book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitsView {
    /// Newest first; years without visits are left out.
    pub years: Vec<VisitYear>,
    /// How old this is.
    pub freshness: Freshness,
}

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeView {
    /// Which record.
    pub info: RecordInfo,
    /// What it says.
    pub notice: Notice,
}

/// The notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticesView {
    /// Newest first.
    pub notices: Vec<NoticeView>,
    /// How old this is.
    pub freshness: Freshness,
}

/// One revision of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionView {
    /// 0 for the first.
    pub revision: u32,
    /// When the server recorded it.
    pub recorded_at: UnixSeconds,
    /// What it says.
    pub content: RevisionContent,
}

/// What a revision says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionContent {
    /// This.
    Stands(Box<Fact>),
    /// That the record no longer stands.
    Retracted,
    /// What only a newer version can read.
    NeedsUpdate,
    /// Nothing that was ever a form of this kind.
    Unreadable,
}

impl RevisionContent {
    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stands(_) => "stands",
            Self::Retracted => "retracted",
            Self::NeedsUpdate => "needs_update",
            Self::Unreadable => "unreadable",
        }
    }
}

/// When a benefit was, for its place among others: its beginning, or its decision.
pub(crate) fn benefit_time(benefit: &Benefit) -> Option<CivilTime> {
    benefit.from.or(benefit.decided)
}
