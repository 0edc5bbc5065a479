//! Official records: what the server says of a member, one type a kind, parsed where bytes come in. The bytes are drawn in
//! `docs/formats.md`, section 6.
//!
//! Promises: a body that was read has only values of their types, and nothing here prints one through `Debug`. A kind or a
//! field that only a newer version knows is [`DecodeError::NeedsUpdate`], which says to keep the record and to count it,
//! never to drop it. Knows nothing of feeds: which revision stands is the reader's question.

mod benefit;
mod codes;
mod contribution;
mod dates;
mod decimal;
mod five_years;
mod form;
mod notice;
mod source;
mod text;
mod totals;
mod visit;
mod visit_lines;
mod words;

pub use benefit::{Adjustment, Benefit};
pub use codes::{
    BenefitKind, CertificateKind, CertificateState, Discharge, Fund, HolderBasis, MonthStatus,
    TreatmentResult,
};
pub use contribution::ContributionPeriod;
pub use dates::{CivilTime, MinuteOfDay, Month, MonthSpan};
pub use decimal::{Coefficient, Money, Percent, Quantity, UnitPrice};
pub use five_years::{Breaks, ContinuityRule, FiveYears, FiveYearsPreview};
pub use notice::Notice;
pub use source::SourceKey;
pub use text::{Lines, Text};
pub use totals::{FundTotals, MonthCount};
pub use visit::{Certificate, CostLine, Recorded, Visit, VisitTotals};
pub use visit_lines::{JoinedLines, SplitFault, VisitLines};

use crate::card_record::CardRecord;
use crate::cbor::DecodeError;
use crate::record::{Body, BodyFault, RecordKind};

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A card and what became of it.
    Card(CardRecord),
    /// Months paid to a fund.
    Contribution(ContributionPeriod),
    /// A benefit drawn.
    Benefit(Benefit),
    /// A visit.
    Visit(Box<Visit>),
    /// More cost lines of a visit.
    VisitLines(VisitLines),
    /// A notice.
    Notice(Notice),
}

impl Fact {
    /// Reads a body of `kind`.
    ///
    /// # Errors
    /// [`DecodeError::NeedsUpdate`] for a kind, a code or a field of a newer version.
    pub fn decode(kind: RecordKind, body: &Body) -> Result<Self, DecodeError> {
        let bytes = body.as_bytes();
        Ok(match kind {
            RecordKind::Card => Self::Card(CardRecord::decode(bytes)?),
            RecordKind::ContributionPeriod => Self::Contribution(ContributionPeriod::decode(bytes)?),
            RecordKind::Benefit => Self::Benefit(Benefit::decode(bytes)?),
            RecordKind::Visit => Self::Visit(Box::new(Visit::decode(bytes)?)),
            RecordKind::VisitLines => Self::VisitLines(VisitLines::decode(bytes)?),
            RecordKind::Notice => Self::Notice(Notice::decode(bytes)?),
            RecordKind::Unknown(_) => return Err(DecodeError::NeedsUpdate),
        })
    }

    /// The body.
    ///
    /// # Errors
    /// [`BodyFault::TooLong`] for a visit that was not [split](Visit::split) and has more lines than fit.
    pub fn encode(&self) -> Result<Body, BodyFault> {
        Body::new(match self {
            Self::Card(card) => card.encode(),
            Self::Contribution(period) => period.encode(),
            Self::Benefit(benefit) => benefit.encode(),
            Self::Visit(visit) => visit.encode(),
            Self::VisitLines(lines) => lines.encode(),
            Self::Notice(notice) => notice.encode(),
        })
    }

    /// Its kind.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Card(_) => RecordKind::Card,
            Self::Contribution(_) => RecordKind::ContributionPeriod,
            Self::Benefit(_) => RecordKind::Benefit,
            Self::Visit(_) => RecordKind::Visit,
            Self::VisitLines(_) => RecordKind::VisitLines,
            Self::Notice(_) => RecordKind::Notice,
        }
    }

    /// What its source calls it; `None` for a card, whose name is its status index.
    pub fn source_key(&self) -> Option<SourceKey> {
        match self {
            Self::Card(_) => None,
            Self::Contribution(period) => Some(period.source_key()),
            Self::Benefit(benefit) => Some(benefit.source_key()),
            Self::Visit(visit) => Some(visit.source_key()),
            Self::VisitLines(lines) => Some(lines.source_key()),
            Self::Notice(notice) => Some(notice.source_key()),
        }
    }
}
