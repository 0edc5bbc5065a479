//! The terms of a card: what an operator says of it, complete. With the member's details they are what it says.

use bhyt_core::ids::{BenefitLevel, CardNumber, FacilityCode, LivingArea, StatusIndex};
use bhyt_core::sync::admin::{RowFault, RowField};
use bhyt_core::time::{Day, UnixSeconds};

use super::rows::{CardFields, demanded};
use super::values::{CardFactsV1, MemberDetailsV1};

/// What an operator says of a card.
#[derive(Clone)]
pub(crate) struct CardTerms {
    pub(crate) number: CardNumber,
    level: BenefitLevel,
    facility: FacilityCode,
    from: Day,
    to: Option<Day>,
    five_years: Option<Day>,
    area: Option<LivingArea>,
}

impl CardTerms {
    /// The terms of a new card: number, level, facility and first day have to be there.
    pub(crate) fn of_issue(fields: CardFields) -> Result<Self, RowFault> {
        Ok(Self {
            number: demanded(RowField::Number, fields.number)?,
            level: demanded(RowField::Level, fields.level)?,
            facility: demanded(RowField::Facility, fields.facility)?,
            from: demanded(RowField::From, fields.from)?,
            to: fields.to,
            five_years: fields.five_years,
            area: fields.area,
        })
    }

    /// The terms of the card that follows on `old`: what is absent stays as it was.
    pub(crate) fn of_successor(fields: CardFields, old: &CardFactsV1) -> Result<Self, RowFault> {
        fields.check_dates(Some(old.valid_from))?;
        let from = fields.from.unwrap_or(old.valid_from);
        Ok(Self {
            number: fields.number.unwrap_or_else(|| old.number.clone()),
            level: fields.level.unwrap_or(old.level),
            facility: fields.facility.unwrap_or_else(|| old.facility.clone()),
            from,
            // A new period that begins after the old one's end is not ended by it.
            to: fields.to.or_else(|| old.valid_to.filter(|to| *to >= from)),
            five_years: fields.five_years.or(old.five_years),
            area: fields.area.or_else(|| old.area.clone()),
        })
    }

    /// What a card of this member with these terms says.
    pub(crate) fn facts(
        &self,
        member: &MemberDetailsV1,
        status_index: StatusIndex,
        issued_at: UnixSeconds,
    ) -> CardFactsV1 {
        CardFactsV1 {
            number: self.number.clone(),
            valid_from: self.from,
            valid_to: self.to,
            issued_at,
            social_number: member.social_number.clone(),
            full_name: member.full_name.clone(),
            birth_date: member.birth_date,
            sex: member.sex,
            facility: self.facility.clone(),
            five_years: self.five_years,
            area: self.area.clone(),
            level: self.level,
            status_index,
        }
    }
}
