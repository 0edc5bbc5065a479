//! Amounts of money and other decimal numbers, as integers of their last place: no float ever holds one.
//!
//! Each is bounded by what the ministry's tables can say (15 digits). Read from text with a point for its decimals, as
//! tables carry it; shown as people in Vietnam write it, `5.453.400,00` and `3,66`.

use std::fmt;

use minicbor::Decoder;

use super::form::{Value, Writer};
use crate::cbor::{DecodeError, EncodeResult};
use crate::limits::DECIMAL_UNITS_MAX;

/// Declares a decimal: its doc, name, places after the point, and how many of them are always shown.
macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident, $places:literal, shown $shown:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(i64);

        impl $name {
            /// From units of the last place; `None` beyond 15 digits.
            pub fn from_units(units: i64) -> Option<Self> {
                (-DECIMAL_UNITS_MAX..=DECIMAL_UNITS_MAX).contains(&units).then_some(Self(units))
            }

            /// Units of the last place.
            pub fn units(self) -> i64 {
                self.0
            }

            /// Reads `-?digits(.digits)?`. `None` for another form, and for places that cannot be kept unless they are zeros:
            /// nothing is rounded.
            pub fn parse(text: &str) -> Option<Self> {
                parse_units(text, $places).and_then(Self::from_units)
            }

            /// The sum; `None` beyond 15 digits.
            pub fn plus(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).and_then(Self::from_units)
            }

            /// As [`Self::parse`] reads it, for tables and JSON.
            pub fn plain(self) -> String {
                written(self.0, $places, $shown, None, '.')
            }
        }

        impl fmt::Display for $name {
            /// `.` for thousands, `,` for decimals.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&written(self.0, $places, $shown, Some('.'), ','))
            }
        }

        impl fmt::Debug for $name {
            /// The type alone: the value is personal data.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl Value for $name {
            fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
                e.i64(self.0)?.ok()
            }
            fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Self::from_units(d.i64()?).ok_or(DecodeError::Malformed(stringify!($name)))
            }
        }
    };
}

decimal!(
    /// An amount in đồng, kept in xu (hundredths). Below zero where something is taken back.
    Money, 2, shown 2
);
decimal!(
    /// The price of one unit, in thousandths of a đồng (`DON_GIA`).
    UnitPrice, 3, shown 2
);
decimal!(
    /// How much of something, in thousandths (`SO_LUONG`).
    Quantity, 3, shown 0
);
decimal!(
    /// A salary or allowance coefficient (hệ số), in ten-thousandths.
    Coefficient, 4, shown 2
);
decimal!(
    /// A rate in per cent, in hundredths of one per cent (`MUC_HUONG`).
    Percent, 2, shown 0
);

/// Units of the last of `places`.
fn parse_units(text: &str, places: usize) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |digits: &str| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    // Longer than the largest with all its places: no need to read on.
    if !numeric(whole) || !numeric(part) || digits.len() > 40 {
        return None;
    }
    let part = part.trim_end_matches('0');
    if part.len() > places {
        return None;
    }
    let units: i64 = format!("{whole}{part:0<places$}").parse().ok()?;
    Some(if negative { -units } else { units })
}

/// With at least `shown` of `places` after the mark, and more only where they are not zeros.
fn written(units: i64, places: usize, shown: usize, thousands: Option<char>, mark: char) -> String {
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let mut text = String::from(if units < 0 { "-" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.extend(thousands);
        }
        text.push(digit);
    }
    let kept = part.trim_end_matches('0').len().max(shown);
    if let Some(part) = part.get(..kept).filter(|part| !part.is_empty()) {
        text.push(mark);
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        let check = |text: &str, shown: &str| {
            let money = Money::parse(text).unwrap();
            assert_eq!(money.to_string(), shown, "{text}");
            assert_eq!(Money::parse(&money.plain()), Some(money));
        };
        check("5453400", "5.453.400,00");
        check("5453400.00", "5.453.400,00");
        check("0.5", "0,50");
        check("999.99", "999,99");
        check("1000", "1.000,00");
        check("-123456.7", "-123.456,70");
        check("0", "0,00");
        assert_eq!(Coefficient::parse("3.66").unwrap().to_string(), "3,66");
        assert_eq!(Coefficient::parse("3").unwrap().to_string(), "3,00");
        assert_eq!(Coefficient::parse("2.3412").unwrap().to_string(), "2,3412");
        assert_eq!(Quantity::parse("10.000").unwrap().to_string(), "10");
        assert_eq!(Quantity::parse("1250.5").unwrap().to_string(), "1.250,5");
        assert_eq!(UnitPrice::parse("1234.5678"), None);
        assert_eq!(UnitPrice::parse("1234.567").unwrap().to_string(), "1.234,567");
        assert_eq!(Percent::parse("80").unwrap().to_string(), "80");
    }

    #[test]
    fn nothing_is_rounded_and_nothing_else_is_a_number() {
        for bad in [
            "", "-", ".", "1.", ".5", "+1", "1,5", "1.005", "1 000", "1e3", "0x1", "--1", "١", "NaN", "1.2.3",
        ] {
            assert_eq!(Money::parse(bad), None, "{bad:?}");
        }
        let most = "9999999999999.99";
        assert_eq!(Money::parse(most).unwrap().plain(), most);
        assert_eq!(Money::parse("-9999999999999.99").unwrap().units(), -DECIMAL_UNITS_MAX);
        assert_eq!(Money::parse("10000000000000"), None);
        assert_eq!(Money::parse(&"9".repeat(60)), None);
        assert_eq!(Money::parse("1.2500000000").unwrap().units(), 125);
        assert_eq!(Money::parse(most).unwrap().plus(Money::from_units(1).unwrap()), None);
    }
}
