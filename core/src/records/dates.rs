//! Months of contribution, and times as far as they are known: hospital tables carry `yyyymmddHHMM` in local time, with
//! zeros for what nobody wrote down (QĐ 4750).

use std::fmt;

use minicbor::Decoder;
use minicbor::data::Type;

use super::form::{Value, Writer};
use crate::cbor::{DecodeError, EncodeResult};
use crate::time::Day;

/// A month of the calendar, as months since January 1970; negative before. The years 1800 to 2999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i16);

impl Month {
    /// `None` outside 1800 to 2999 and 1 to 12.
    pub fn new(year: i32, month: u32) -> Option<Self> {
        if !(1_800..=2_999).contains(&year) || !(1..=12).contains(&month) {
            return None;
        }
        i16::try_from((year - 1_970) * 12 + i32::try_from(month).ok()? - 1).ok().map(Self)
    }

    /// From months since January 1970; `None` outside 1800 to 2999.
    pub fn from_months(months: i64) -> Option<Self> {
        (MONTH_MIN..=MONTH_MAX).contains(&months).then(|| i16::try_from(months).ok().map(Self)).flatten()
    }

    /// The month that contains `day`.
    pub fn of(day: Day) -> Self {
        let iso = day.iso();
        Self::parse(iso.get(..7).unwrap_or_default()).expect("a day has a month")
    }

    /// Reads `MM/yyyy`, `yyyy-MM` or `yyyyMM`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (year, month) = match (text.split_once('/'), text.split_once('-')) {
            (Some((month, year)), None) => (year, month),
            (None, Some((year, month))) => (year, month),
            _ if text.len() == 6 => (text.get(..4)?, text.get(4..)?),
            _ => return None,
        };
        let number =
            |digits: &str| digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?;
        let shaped = year.len() == 4 && (1..=2).contains(&month.len());
        shaped.then(|| Self::new(number(year)? as i32, number(month)?))?
    }

    /// Months since January 1970.
    pub fn months(self) -> i64 {
        i64::from(self.0)
    }

    /// The year, 1800 to 2999.
    pub fn year(self) -> i32 {
        1_970 + i32::from(self.0).div_euclid(12)
    }

    /// 1 to 12.
    pub fn number(self) -> u32 {
        i32::from(self.0).rem_euclid(12).unsigned_abs() + 1
    }

    /// Its first day.
    pub fn first_day(self) -> Day {
        Day::from_ymd(self.year(), self.number(), 1).expect("every month begins")
    }

    /// The month `months` later (earlier when negative); `None` outside 1800 to 2999.
    pub fn plus(self, months: i64) -> Option<Self> {
        Self::from_months(self.months().checked_add(months)?)
    }

    /// `yyyy-MM`.
    pub fn iso(self) -> String {
        format!("{:04}-{:02}", self.year(), self.number())
    }
}

impl fmt::Display for Month {
    /// `MM/yyyy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}/{:04}", self.number(), self.year())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Month({self})")
    }
}

/// A first and a last month, both counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonthSpan {
    from: Month,
    to: Month,
}

impl MonthSpan {
    /// `None` when it ends before it begins.
    pub fn new(from: Month, to: Month) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    /// The first month.
    pub fn from(self) -> Month {
        self.from
    }

    /// The last month.
    pub fn to(self) -> Month {
        self.to
    }

    /// How many months: (toY − fromY) · 12 + (toM − fromM) + 1.
    pub fn count(self) -> u32 {
        u32::try_from(self.to.months() - self.from.months() + 1).unwrap_or_default()
    }
}

/// A day or a minute in Vietnam (UTC+7), as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum CivilTime {
    /// The year alone, 1800 to 2999.
    Year(u16),
    /// Year and month.
    Month(Month),
    /// The day.
    Day(Day),
    /// The day, and minutes since its midnight, 0 to 1439.
    Minute(MinuteOfDay),
}

/// A minute of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MinuteOfDay {
    day: Day,
    minute: u16,
}

impl MinuteOfDay {
    /// `None` when a day has no such minute.
    pub fn new(day: Day, hour: u32, minute: u32) -> Option<Self> {
        let minute = (hour < 24 && minute < 60).then_some(hour * 60 + minute)?;
        Some(Self { day, minute: u16::try_from(minute).ok()? })
    }

    /// The day.
    pub fn day(self) -> Day {
        self.day
    }

    /// Minutes since its midnight, 0 to 1439.
    pub fn minute(self) -> u16 {
        self.minute
    }
}

impl CivilTime {
    /// Reads the ministry's `yyyyMMddHHmm`, with zeros for what is not known, and `yyyyMMdd`.
    pub fn parse_ministry(text: &str) -> Option<Self> {
        if ![8, 12].contains(&text.len()) || !text.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let year = i32::try_from(year).ok()?;
        let clock = if text.len() == 12 { number(8..12)? } else { 0 };
        match (month, day, clock) {
            (0, 0, 0) => Self::year(year),
            (_, 0, 0) => Month::new(year, month).map(Self::Month),
            // Midnight and "not known" are the same in the table, and the second is what is written so.
            (_, _, 0) => Day::from_ymd(year, month, day).map(Self::Day),
            _ => {
                let day = Day::from_ymd(year, month, day)?;
                MinuteOfDay::new(day, clock / 100, clock % 100).map(Self::Minute)
            }
        }
    }

    /// Reads `yyyy-MM-dd HH:mm`, `dd/MM/yyyy HH:mm`, or less of it: a day in any form of [`Day::parse`], a month in any
    /// form of [`Month::parse`], a year.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((day, clock)) = text.split_once([' ', 'T']) {
            let (hour, minute) = clock.split_once(':')?;
            let number = |digits: &str| {
                let shaped = digits.len() == 2 && digits.bytes().all(|c| c.is_ascii_digit());
                shaped.then(|| digits.parse::<u32>().ok()).flatten()
            };
            return MinuteOfDay::new(Day::parse(day)?, number(hour)?, number(minute)?).map(Self::Minute);
        }
        let year =
            || (text.len() == 4 && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok());
        let whole = Day::parse(text).map(Self::Day).or_else(|| Month::parse(text).map(Self::Month));
        whole.or_else(|| Self::year(year()??))
    }

    /// The year.
    pub fn in_year(self) -> i32 {
        self.first_day().map_or_else(i32::default, |day| Month::of(day).year())
    }

    /// The first day that it may be.
    pub fn first_day(self) -> Option<Day> {
        match self {
            Self::Year(year) => Day::from_ymd(i32::from(year), 1, 1),
            Self::Month(month) => Some(month.first_day()),
            Self::Day(day) => Some(day),
            Self::Minute(at) => Some(at.day),
        }
    }

    /// `yyyy-MM-ddTHH:mm`, or as much of it as is known.
    pub fn iso(self) -> String {
        match self {
            Self::Year(year) => format!("{year:04}"),
            Self::Month(month) => month.iso(),
            Self::Day(day) => day.iso(),
            Self::Minute(at) => format!("{}T{:02}:{:02}", at.day.iso(), at.minute / 60, at.minute % 60),
        }
    }

    fn year(year: i32) -> Option<Self> {
        u16::try_from(year).ok().filter(|year| (1_800..=2_999).contains(year)).map(Self::Year)
    }

    fn precision(self) -> u8 {
        match self {
            Self::Year(_) => 0,
            Self::Month(_) => 1,
            Self::Day(_) => 2,
            Self::Minute(_) => 3,
        }
    }

    fn sort_key(self) -> (Option<Day>, u16, u8) {
        let minute = if let Self::Minute(at) = self { at.minute } else { 0 };
        (self.first_day(), minute, self.precision())
    }
}

impl PartialOrd for CivilTime {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CivilTime {
    /// By the earliest that it may be; what is known less exactly first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl fmt::Display for CivilTime {
    /// `dd/MM/yyyy HH:mm`, or as much of it as is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Year(year) => write!(f, "{year:04}"),
            Self::Month(month) => month.fmt(f),
            Self::Day(day) => day.fmt(f),
            Self::Minute(at) => write!(f, "{} {:02}:{:02}", at.day, at.minute / 60, at.minute % 60),
        }
    }
}

impl fmt::Debug for CivilTime {
    /// The type alone: when somebody was ill is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CivilTime(…)")
    }
}

impl Value for Month {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.i64(self.months())?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::from_months(d.i64()?).ok_or(DecodeError::Malformed("month"))
    }
}

impl Value for MonthSpan {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.array(2)?;
        self.from.write(e)?;
        self.to.write(e)
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        crate::cbor::read_array(d, 2, "months from and to")?;
        Self::new(Month::read(d)?, Month::read(d)?).ok_or(DecodeError::Malformed("months from and to"))
    }
}

impl Value for CivilTime {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        match self {
            Self::Minute(at) => e.i64(at.day.days() * MINUTES_OF_DAY + i64::from(at.minute))?.ok(),
            partial => e.str(&partial.iso())?.ok(),
        }
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let malformed = DecodeError::Malformed("civil time");
        if d.datatype()? != Type::String {
            let minutes = d.i64()?;
            let day = Day::from_days(minutes.div_euclid(MINUTES_OF_DAY)).ok_or(malformed)?;
            let minute = u16::try_from(minutes.rem_euclid(MINUTES_OF_DAY)).map_err(|_| malformed)?;
            return Ok(Self::Minute(MinuteOfDay { day, minute }));
        }
        let text = d.str()?;
        // The ISO form and no other, so that a time has one encoding.
        let read = Self::parse(text).filter(|read| read.iso() == text && read.precision() < 3);
        read.ok_or(malformed)
    }
}

const MINUTES_OF_DAY: i64 = 24 * 60;
const MONTH_MIN: i64 = -170 * 12; // 1800-01
const MONTH_MAX: i64 = 1_030 * 12 - 1; // 2999-12

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_count_from_1970_and_are_read_in_every_form() {
        let check = |text: &str, months: Option<i64>| {
            assert_eq!(Month::parse(text).map(Month::months), months, "{text:?}");
        };
        check("01/1970", Some(0));
        check("12/1969", Some(-1));
        check("7/2019", Some(594));
        check("2019-07", Some(594));
        check("201907", Some(594));
        check("01/1800", Some(MONTH_MIN));
        check("12/2999", Some(MONTH_MAX));
        for bad in ["", "13/2019", "0/2019", "07/19", "2019", "07/2019/1", "+7/2019", "2019-7-1", "01/1799"] {
            check(bad, None);
        }
        for months in MONTH_MIN..=MONTH_MAX {
            let month = Month::from_months(months).unwrap();
            assert_eq!(Month::new(month.year(), month.number()), Some(month));
            assert_eq!(
                (Month::parse(&month.to_string()), Month::of(month.first_day())),
                (Some(month), month)
            );
        }
        assert!(Month::from_months(MONTH_MIN - 1).is_none() && Month::from_months(MONTH_MAX + 1).is_none());
        let span = MonthSpan::new(Month::parse("11/2018").unwrap(), Month::parse("02/2019").unwrap());
        assert_eq!(span.unwrap().count(), 4);
    }

    #[test]
    fn times_are_kept_as_far_as_they_are_known() {
        let check = |ministry: &str, shown: Option<&str>| {
            let read = CivilTime::parse_ministry(ministry);
            assert_eq!(read.map(|time| time.to_string()).as_deref(), shown, "{ministry:?}");
            if let Some(time) = read {
                assert_eq!(
                    (CivilTime::parse(&time.to_string()), CivilTime::parse(&time.iso())),
                    (read, read)
                );
            }
        };
        check("202611240930", Some("24/11/2026 09:30"));
        check("202611240000", Some("24/11/2026"));
        check("20261124", Some("24/11/2026"));
        check("202611000000", Some("11/2026"));
        check("196000000000", Some("1960"));
        for bad in ["", "2026", "202611242400", "202611240960", "20261324", "202611240a30", "202600240000"] {
            check(bad, None);
        }
        let sorted = ["2025", "2025-01", "2025-01-01", "2025-01-01 00:01", "2025-01-02"];
        let times: Vec<CivilTime> = sorted.iter().map(|text| CivilTime::parse(text).unwrap()).collect();
        assert!(times.is_sorted() && times.iter().all(|time| time.in_year() == 2025));
    }
}
