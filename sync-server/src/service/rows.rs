//! Rows of operators, parsed: text as it stood in a file becomes values that cannot be malformed, or a fault that names
//! field and reason and never the value. Empty text is an absent field.

use bhyt_core::ids::{
    BenefitLevel, CardNumber, FacilityCode, FullName, LivingArea, MemberId, PersonalNumber, Sex, SocialNumber,
};
use bhyt_core::sync::admin::{CardRow, MemberRow, RowFault, RowField, RowReason};
use bhyt_core::time::{BirthDate, Day};

/// Any name a member goes by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Alias {
    Social(SocialNumber),
    Personal(PersonalNumber),
    Id(MemberId),
}

impl Alias {
    /// Ten digits, twelve digits, or 32 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        SocialNumber::parse(text)
            .map(Self::Social)
            .or_else(|| PersonalNumber::parse(text).map(Self::Personal))
            .or_else(|| MemberId::from_hex(text).map(Self::Id))
    }
}

/// A member's row.
#[derive(Clone)]
pub(crate) struct MemberFields {
    pub(crate) social_number: SocialNumber,
    pub(crate) personal_number: Option<PersonalNumber>,
    pub(crate) full_name: Option<FullName>,
    pub(crate) birth_date: Option<BirthDate>,
    pub(crate) sex: Option<Sex>,
    pub(crate) phone: Option<String>,
    pub(crate) address: Option<String>,
}

impl MemberFields {
    /// Reads a row; the first bad field is the one reported.
    pub(crate) fn parse(row: &MemberRow) -> Result<Self, RowFault> {
        let member = required(RowField::Member, &row.member_id, SocialNumber::parse)?;
        Ok(Self {
            social_number: member,
            personal_number: optional(RowField::PersonalId, &row.personal_id, PersonalNumber::parse)?,
            full_name: optional(RowField::FullName, &row.full_name, FullName::normalise)?,
            birth_date: optional(RowField::BirthDate, &row.birth_date, BirthDate::parse)?,
            sex: optional(RowField::Sex, &row.sex, parse_sex)?,
            phone: bounded_text(RowField::Phone, &row.phone, PHONE_BYTES_MAX)?,
            address: bounded_text(RowField::Address, &row.address, ADDRESS_BYTES_MAX)?,
        })
    }
}

/// A card's row. What is absent is `None`; who issues demands it, who replaces keeps what was.
#[derive(Clone)]
pub(crate) struct CardFields {
    pub(crate) number: Option<CardNumber>,
    pub(crate) level: Option<BenefitLevel>,
    pub(crate) facility: Option<FacilityCode>,
    pub(crate) from: Option<Day>,
    pub(crate) to: Option<Day>,
    pub(crate) five_years: Option<Day>,
    pub(crate) area: Option<LivingArea>,
}

impl CardFields {
    /// Reads a row without its member; the first bad field is the one reported.
    pub(crate) fn parse(row: &CardRow) -> Result<Self, RowFault> {
        let fields = Self {
            number: optional(RowField::Number, &row.number, parse_card_number)?,
            level: optional(RowField::Level, &row.level, parse_level)?,
            facility: optional(RowField::Facility, &row.facility, parse_facility)?,
            from: optional(RowField::From, &row.from, parse_validity_day)?,
            to: optional(RowField::To, &row.to, parse_validity_day)?,
            five_years: optional(RowField::FiveYears, &row.five_years, Day::parse)?,
            area: optional(RowField::Area, &row.area, parse_area)?,
        };
        fields.check_dates(None)?;
        Ok(fields)
    }

    /// The last day is not before the first, which may stand on the card that is replaced.
    pub(crate) fn check_dates(&self, from_before: Option<Day>) -> Result<(), RowFault> {
        match (self.from.or(from_before), self.to) {
            (Some(from), Some(to)) if to < from => Err(fault(RowField::To, RowReason::Conflict)),
            _ => Ok(()),
        }
    }
}

/// A card number as people type it: upper case, without spaces or hyphens.
pub(crate) fn parse_card_number(text: &str) -> Option<CardNumber> {
    CardNumber::parse(&compact(text))
}

/// A facility code as people type it: `79024`, `79-024`, `79 – 024`.
pub(crate) fn parse_facility(text: &str) -> Option<FacilityCode> {
    FacilityCode::parse(&compact(text))
}

/// A fault in this field.
pub(crate) fn fault(field: RowField, reason: RowReason) -> RowFault {
    RowFault { field, reason }
}

/// An absent field that has to be there.
pub(crate) fn demanded<T>(field: RowField, value: Option<T>) -> Result<T, RowFault> {
    value.ok_or_else(|| fault(field, RowReason::Missing))
}

fn required<T>(field: RowField, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, RowFault> {
    demanded(field, optional(field, text, parse)?)
}

fn optional<T>(
    field: RowField,
    text: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, RowFault> {
    let text = text.trim();
    if text.len() > FIELD_BYTES_MAX {
        return Err(fault(field, RowReason::TooLong));
    }
    if text.is_empty() {
        return Ok(None);
    }
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(fault(field, RowReason::Malformed)),
    }
}

fn bounded_text(field: RowField, text: &str, bytes_max: usize) -> Result<Option<String>, RowFault> {
    if text.trim().len() > bytes_max {
        return Err(fault(field, RowReason::TooLong));
    }
    let plain = |text: &str| (!text.chars().any(char::is_control)).then(|| text.to_owned());
    optional(field, text, plain)
}

fn parse_sex(text: &str) -> Option<Sex> {
    match text.to_lowercase().as_str() {
        "m" | "1" | "nam" => Some(Sex::Male),
        // Precomposed and decomposed.
        "f" | "2" | "nữ" | "nu\u{31b}\u{303}" => Some(Sex::Female),
        "u" | "0" => Some(Sex::Unknown),
        _ => None,
    }
}

fn parse_level(text: &str) -> Option<BenefitLevel> {
    text.parse().ok().and_then(BenefitLevel::new)
}

fn parse_area(text: &str) -> Option<LivingArea> {
    LivingArea::parse(&text.to_uppercase()).filter(|area| matches!(area.as_str(), "K1" | "K2" | "K3"))
}

/// A day that nbf and exp can carry: seconds since 1970 at both ends, and a day after it.
fn parse_validity_day(text: &str) -> Option<Day> {
    Day::parse(text).filter(|day| day.days() > 0 && day.plus_days(1) > *day)
}

fn compact(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '–'))
        .flat_map(char::to_uppercase)
        .collect()
}

/// Bytes of one field.
const FIELD_BYTES_MAX: usize = 1_024;
const PHONE_BYTES_MAX: usize = 32;
const ADDRESS_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn member_row() -> MemberRow {
        MemberRow {
            member_id: "9900000017".into(),
            full_name: "Nguyễn Văn  An".into(),
            birth_date: "5/3/1994".into(),
            sex: "Nam".into(),
            ..MemberRow::default()
        }
    }

    #[test]
    fn members_are_read_in_the_forms_people_use() {
        let fields = MemberFields::parse(&member_row()).ok().unwrap();
        assert_eq!(fields.full_name.unwrap().as_str(), "Nguyễn Văn An");
        assert_eq!(fields.sex, Some(Sex::Male));
        assert!(fields.personal_number.is_none() && fields.phone.is_none());
        for (text, sex) in [("F", Sex::Female), ("nữ", Sex::Female), ("0", Sex::Unknown)] {
            assert_eq!(parse_sex(text), Some(sex), "{text}");
        }
    }

    #[test]
    fn a_bad_field_is_named_with_its_reason() {
        let check = |change: fn(&mut MemberRow), field, reason| {
            let mut row = member_row();
            change(&mut row);
            let got = MemberFields::parse(&row).err();
            assert_eq!(got, Some(RowFault { field, reason }));
        };
        check(|row| row.member_id.clear(), RowField::Member, RowReason::Missing);
        check(|row| row.member_id.push('1'), RowField::Member, RowReason::Malformed);
        check(|row| row.birth_date = "31/02/1990".into(), RowField::BirthDate, RowReason::Malformed);
        check(|row| row.sex = "x".into(), RowField::Sex, RowReason::Malformed);
        check(|row| row.personal_id = "123".into(), RowField::PersonalId, RowReason::Malformed);
        check(|row| row.phone = "0".repeat(40), RowField::Phone, RowReason::TooLong);
        check(|row| row.address = "a\u{7}b".into(), RowField::Address, RowReason::Malformed);
        check(|row| row.full_name = "x".repeat(2_000), RowField::FullName, RowReason::TooLong);
    }

    #[test]
    fn cards_are_read_and_dates_in_the_wrong_order_are_not() {
        let row = CardRow {
            number: "dn 4 99 9900000017".into(),
            level: "4".into(),
            facility: "79 – 024".into(),
            from: "01/01/2026".into(),
            to: "2026-12-31".into(),
            area: "k1".into(),
            ..CardRow::default()
        };
        let fields = CardFields::parse(&row).ok().unwrap();
        assert_eq!(fields.number.unwrap().as_str(), "DN4999900000017");
        assert_eq!(fields.facility.unwrap().as_str(), "79024");
        assert_eq!(fields.area.unwrap().as_str(), "K1");
        let check = |change: fn(&mut CardRow), field, reason| {
            let mut row = row.clone();
            change(&mut row);
            let got = CardFields::parse(&row).err();
            assert_eq!(got, Some(RowFault { field, reason }));
        };
        check(|row| row.to = "2025-12-31".into(), RowField::To, RowReason::Conflict);
        check(|row| row.level = "6".into(), RowField::Level, RowReason::Malformed);
        check(|row| row.area = "X1".into(), RowField::Area, RowReason::Malformed);
        check(|row| row.from = "1960-01-01".into(), RowField::From, RowReason::Malformed);
        check(|row| row.to = "2999-12-31".into(), RowField::To, RowReason::Malformed);
    }
}
