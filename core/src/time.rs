//! Instants and civil days. What is signed carries [`UnixSeconds`]; what people read are days of the calendar in
//! Vietnam (UTC+7, no summer time). Nothing here asks a clock: callers pass the time in.

use std::fmt;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::ids::MalformedId;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The day in Vietnam that contains this instant.
    pub fn day(self) -> Day {
        let days = (self.0.min(SECONDS_MAX) + UTC_PLUS_7) / DAY_SECONDS;
        Day(i32::try_from(days).unwrap_or(i32::MAX))
    }

    /// This instant and `seconds` more; stays at the end of time instead of wrapping.
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This instant less `seconds`; stays at zero instead of wrapping.
    pub fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to this instant; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Date and time in Vietnam, `dd/MM/yyyy HH:mm`.
    pub fn display_local(self) -> String {
        let second = (self.0.min(SECONDS_MAX) + UTC_PLUS_7) % DAY_SECONDS;
        format!("{} {:02}:{:02}", self.day(), second / 3_600, second % 3_600 / 60)
    }
}

/// A day of the calendar in Vietnam, as days since 1970-01-01; negative before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32")]
pub struct Day(i32);

impl Day {
    /// From days since 1970-01-01. `None` outside the years 1800 to 2999.
    pub fn from_days(days: i64) -> Option<Self> {
        (DAY_MIN..=DAY_MAX).contains(&days).then_some(days)?.try_into().ok().map(Self)
    }

    /// From year, month and day. `None` for a date that does not exist or lies outside 1800 to 2999.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        Self::from_days(date.signed_duration_since(epoch()).num_days())
    }

    /// Reads `yyyy-MM-dd`, `dd/MM/yyyy` or `d/M/yyyy`.
    pub fn parse(text: &str) -> Option<Self> {
        let (separator, iso) = if text.contains('/') { ('/', false) } else { ('-', true) };
        let mut parts = text.trim().split(separator);
        let (a, month, b) = (parts.next()?, parts.next()?, parts.next()?);
        let (year, day) = if iso { (a, b) } else { (b, a) };
        let whole = parts.next().is_none() && year.len() == 4 && month.len() <= 2 && day.len() <= 2;
        let digits = |s: &str| s.bytes().all(|c| c.is_ascii_digit()).then(|| s.parse::<u32>().ok()).flatten();
        if !whole {
            return None;
        }
        Self::from_ymd(i32::try_from(digits(year)?).ok()?, digits(month)?, digits(day)?)
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        i64::from(self.0)
    }

    /// 00:00:00 in Vietnam of this day; zero for days before 1970-01-02.
    pub fn start(self) -> UnixSeconds {
        let seconds = self.days() * DAY_SECONDS as i64 - UTC_PLUS_7 as i64;
        UnixSeconds(u64::try_from(seconds).unwrap_or(0))
    }

    /// 00:00:00 in Vietnam of the day after this one, also of the last day there is; zero for days before 1970-01-01.
    pub fn end(self) -> UnixSeconds {
        let seconds = (self.days() + 1) * DAY_SECONDS as i64 - UTC_PLUS_7 as i64;
        UnixSeconds(u64::try_from(seconds).unwrap_or(0))
    }

    /// The day `days` later (earlier when negative), kept inside 1800 to 2999.
    pub fn plus_days(self, days: i64) -> Self {
        let day = self.days().saturating_add(days).clamp(DAY_MIN, DAY_MAX);
        Self(i32::try_from(day).unwrap_or(i32::MAX))
    }

    /// `yyyy-MM-dd`.
    pub fn iso(self) -> String {
        let date = self.date();
        format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
    }

    fn date(self) -> NaiveDate {
        epoch().checked_add_signed(chrono::TimeDelta::days(self.days())).unwrap_or(NaiveDate::MAX)
    }
}

impl TryFrom<i32> for Day {
    type Error = MalformedId;
    fn try_from(days: i32) -> Result<Self, MalformedId> {
        Self::from_days(days.into()).ok_or(MalformedId("Day"))
    }
}

impl fmt::Display for Day {
    /// `dd/MM/yyyy`, as people in Vietnam read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date();
        write!(f, "{:02}/{:02}/{:04}", date.day(), date.month(), date.year())
    }
}

/// A birth date as far as it is known; many old registers hold only a year (QĐ 4750, `NGAY_SINH`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "StoredBirthDate")]
pub enum BirthDate {
    /// The whole date.
    Day(Day),
    /// Year and month.
    Month {
        /// 1800 to 2999.
        year: u16,
        /// 1 to 12.
        month: u8,
    },
    /// The year alone, 1800 to 2999.
    Year(u16),
}

impl BirthDate {
    /// Reads a whole date in any form of [`Day::parse`], `yyyy-MM`, `MM/yyyy` or `yyyy`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(day) = Day::parse(text) {
            return Some(Self::Day(day));
        }
        if let Some((month, year)) = text.split_once('/') {
            return Self::parse(&format!("{year}-{month:0>2}"));
        }
        Self::parse_partial(text)
    }

    /// Reads `YYYY-MM` or `YYYY`, the forms a card carries as text.
    pub fn parse_partial(text: &str) -> Option<Self> {
        let number = |s: &str, length: usize| {
            (s.len() == length && s.bytes().all(|c| c.is_ascii_digit()))
                .then(|| s.parse::<u16>().ok())
                .flatten()
        };
        let in_range = |year: u16| (1_800..=2_999).contains(&year);
        match text.split_once('-') {
            None => number(text, 4).filter(|&year| in_range(year)).map(Self::Year),
            Some((year, month)) => {
                let year = number(year, 4).filter(|&year| in_range(year))?;
                let month = number(month, 2).filter(|month| (1..=12).contains(month))?;
                Some(Self::Month { year, month: u8::try_from(month).ok()? })
            }
        }
    }

    /// `yyyy-MM-dd`, `yyyy-MM` or `yyyy`.
    pub fn iso(self) -> String {
        match self {
            Self::Day(day) => day.iso(),
            Self::Month { year, month } => format!("{year:04}-{month:02}"),
            Self::Year(year) => format!("{year:04}"),
        }
    }
}

/// As it stands in a store, before its bounds are checked; the same bytes.
#[derive(Deserialize)]
enum StoredBirthDate {
    Day(Day),
    Month { year: u16, month: u8 },
    Year(u16),
}

impl TryFrom<StoredBirthDate> for BirthDate {
    type Error = MalformedId;
    fn try_from(stored: StoredBirthDate) -> Result<Self, MalformedId> {
        let date = match stored {
            StoredBirthDate::Day(day) => Self::Day(day),
            StoredBirthDate::Month { year, month } => Self::Month { year, month },
            StoredBirthDate::Year(year) => Self::Year(year),
        };
        let is_sound = matches!(date, Self::Day(_)) || Self::parse_partial(&date.iso()) == Some(date);
        is_sound.then_some(date).ok_or(MalformedId("BirthDate"))
    }
}

impl fmt::Display for BirthDate {
    /// `dd/MM/yyyy`, `MM/yyyy` or `yyyy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Month { year, month } => write!(f, "{month:02}/{year:04}"),
            Self::Year(year) => write!(f, "{year:04}"),
        }
    }
}

/// Seconds in a civil day; Vietnam has no summer time.
pub const DAY_SECONDS: u64 = 86_400;

const UTC_PLUS_7: u64 = 7 * 3_600;
const DAY_MIN: i64 = -62_091; // 1800-01-01
const DAY_MAX: i64 = 376_199; // 2999-12-31
const SECONDS_MAX: u64 = DAY_MAX as u64 * DAY_SECONDS;

fn epoch() -> NaiveDate {
    NaiveDate::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bare;

    #[test]
    fn days_turn_at_seventeen_hours_utc() {
        let day = Day::from_ymd(2026, 11, 23).unwrap();
        assert_eq!(day.start().0 % DAY_SECONDS, 17 * 3_600);
        assert_eq!(day.start().day(), day);
        assert_eq!(day.start().minus(1).day(), day.plus_days(-1));
        assert_eq!(day.start().plus(DAY_SECONDS - 1).day(), day);
        assert_eq!(day.to_string(), "23/11/2026");
        assert_eq!(day.iso(), "2026-11-23");
        assert_eq!(UnixSeconds(u64::MAX).day().iso(), "2999-12-31");
        assert_eq!(day.end(), day.plus_days(1).start());
        let last = Day::from_days(DAY_MAX).unwrap();
        assert_eq!((last.end(), last.end().minus(1).day()), (last.start().plus(DAY_SECONDS), last));
        assert_eq!(Day::from_days(0).unwrap().end(), UnixSeconds(17 * 3_600));
        assert_eq!(Day::from_days(-1).unwrap().end(), UnixSeconds(0));
        assert_eq!(day.start().plus(3_660).display_local(), "23/11/2026 01:01");
    }

    #[test]
    fn bounds_of_days_are_what_they_say() {
        assert_eq!(Day::from_days(DAY_MIN).unwrap().iso(), "1800-01-01");
        assert_eq!(Day::from_days(DAY_MAX).unwrap().iso(), "2999-12-31");
        assert!(Day::from_days(DAY_MIN - 1).is_none() && Day::from_days(DAY_MAX + 1).is_none());
        assert_eq!(Day::from_days(0).unwrap().iso(), "1970-01-01");
    }

    /// What is stored is a date when it is read, or is not read.
    #[test]
    fn stored_dates_are_inside_their_bounds() {
        let day = |days: i32| bare::decode::<Day>(&bare::encode(&days)).is_ok();
        assert!(day(DAY_MIN as i32) && day(DAY_MAX as i32) && day(-1));
        assert!(!day(DAY_MIN as i32 - 1) && !day(DAY_MAX as i32 + 1) && !day(i32::MIN) && !day(i32::MAX));
        let birth = |kind: u32, rest: &[u8]| {
            let bytes = [&kind.to_le_bytes(), rest].concat();
            let read = bare::decode::<BirthDate>(&bytes);
            read.is_ok_and(|date| bare::encode(&date) == bytes)
        };
        let year = 1994_u16.to_le_bytes();
        assert!(birth(0, &[1, 0, 0, 0]) && birth(1, &[year[0], year[1], 12]) && birth(2, &year));
        assert!(!birth(0, &[0, 0, 0, 0x7f]) && !birth(3, &year));
        assert!(!birth(1, &[year[0], year[1], 13]) && !birth(1, &[year[0], year[1], 0]));
        for year in [0, 999, 1_799, 3_000, u16::MAX] {
            let year = year.to_le_bytes();
            assert!(!birth(2, &year) && !birth(1, &[year[0], year[1], 1]));
        }
    }

    #[test]
    fn dates_are_read_in_every_form_people_use() {
        let check = |text: &str, iso: Option<&str>| {
            assert_eq!(BirthDate::parse(text).map(BirthDate::iso).as_deref(), iso, "{text:?}");
        };
        check("1994-03-05", Some("1994-03-05"));
        check("05/03/1994", Some("1994-03-05"));
        check(" 5/3/1994 ", Some("1994-03-05"));
        check("03/1994", Some("1994-03"));
        check("1994-03", Some("1994-03"));
        check("1994", Some("1994"));
        for bad in
            ["", "-", "1994-13", "30/02/1994", "1994-3-5-1", "94", "１９９４", "+994", "0000", "1994/03/05"]
        {
            check(bad, None);
        }
    }
}
