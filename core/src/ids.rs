//! Names of things: members, cards, facilities, operations. Each is a type that cannot hold a malformed value.
//! None prints in full through `Debug`: logs and errors carry the short form only.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::limits::{BINDINGS_MAX, NAME_BYTES_MAX};

/// A member: 16 random bytes, also what signed bytes carry. Numbers people know are aliases of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub [u8; 16]);

/// An operation, born where it was made; scoped to its member or facility.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(pub [u8; 16]);

macro_rules! opaque_id {
    ($name:ident) => {
        impl $name {
            /// All 32 hexadecimal digits, for files and command lines, never for logs.
            pub fn to_hex(self) -> String {
                hex(&self.0)
            }

            /// Reads 32 hexadecimal digits.
            pub fn from_hex(text: &str) -> Option<Self> {
                from_hex(text)?.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            /// The short form, safe in logs: the first four bytes.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
opaque_id!(MemberId);
opaque_id!(OperationId);

/// A text that is of its type's form: what [`crate::personal::values`] has in common with this module. The type adds `parse`.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text, in its one form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::ids::MalformedId;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text).ok_or($crate::ids::MalformedId(stringify!($name)))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Debug for $name {
            /// The type alone: the value is personal data.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}
pub(crate) use text_newtype;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $accepts:expr) => {
        text_newtype!($(#[$doc])* $name);

        impl $name {
            /// Reads the printed form; `None` when it is not one.
            pub fn parse(text: &str) -> Option<Self> {
                let accepts: fn(&[u8]) -> bool = $accepts;
                accepts(text.as_bytes()).then(|| Self(text.to_owned()))
            }
        }
    };
}

text_id!(
    /// A card number as printed: 15 characters (object group, level digit, province, ten characters; old cards have
    /// letters in the last ten), or the ten digits that the card of 2021 prints. Upper case.
    CardNumber,
    |text| match text {
        [a, b, level, p, q, rest @ ..] if text.len() == 15 => {
            a.is_ascii_uppercase()
                && b.is_ascii_uppercase()
                && (b'1'..=b'5').contains(level)
                && p.is_ascii_digit()
                && q.is_ascii_digit()
                && rest.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
        }
        _ => all_digits(text, 10),
    }
);
text_id!(
    /// Mã số BHXH: ten digits, one for life.
    SocialNumber,
    |text| all_digits(text, 10)
);
text_id!(
    /// Số định danh cá nhân: twelve digits.
    PersonalNumber,
    |text| all_digits(text, 12)
);
text_id!(
    /// Mã CSKCB: two digits of province, three digits or capital letters.
    FacilityCode,
    |text| text.len() == 5
        && text.iter().take(2).all(u8::is_ascii_digit)
        && text.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
);
text_id!(
    /// Mã khu vực (living area), `K1` to `K3` today: two capital letters or digits.
    LivingArea,
    |text| text.len() == 2 && text.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
);

impl CardNumber {
    /// The social-insurance number inside the number, when its last ten characters are digits.
    pub fn social_number(&self) -> Option<SocialNumber> {
        self.0.get(self.0.len().checked_sub(10)?..).and_then(SocialNumber::parse)
    }

    /// The object group (`DN`, `QN`, …) and issuing province (`79`, `97`, …); `None` on the ten-digit form.
    pub fn group_and_province(&self) -> Option<(&str, &str)> {
        (self.0.len() == 15).then_some(())?;
        Some((self.0.get(..2)?, self.0.get(3..5)?))
    }
}

text_newtype!(
    /// A person's full name in Unicode NFC, 1 to [`NAME_BYTES_MAX`] bytes, without control characters and without
    /// space at either end or twice in a row.
    FullName
);

impl FullName {
    /// Normalises what a register holds: NFC, single spaces, none at the ends.
    pub fn normalise(text: &str) -> Option<Self> {
        // Bounded before the copy: NFC of a longer input could not fit either (it shrinks at most threefold).
        if text.len() > 4 * NAME_BYTES_MAX {
            return None;
        }
        let composed: String = text.nfc().collect();
        Self::parse(&composed.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Takes a name that is in its normal form already; `None` otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        let plain = !text.chars().any(char::is_control);
        let spaced = text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace));
        (fits && plain && spaced && unicode_normalization::is_nfc(text)).then(|| Self(text.to_owned()))
    }
}

/// Sex as the card carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sex {
    /// Not known (0).
    Unknown,
    /// Nam (1).
    Male,
    /// Nữ (2).
    Female,
}

impl Sex {
    /// From the code 0, 1 or 2.
    pub fn from_code(code: u64) -> Option<Self> {
        [Self::Unknown, Self::Male, Self::Female].into_iter().find(|sex| sex.code() == code)
    }

    /// 0 unknown, 1 male, 2 female.
    pub fn code(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Male => 1,
            Self::Female => 2,
        }
    }
}

/// Mức hưởng, 1 to 5. A field of its own: printed digits lag behind the law (NQ 261/2025/QH15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct BenefitLevel(u8);

/// A card's place in the status list. Belongs to the card through every signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatusIndex(pub u32);

/// The number of one device's hold on a card, 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct BindingNumber(u8);

macro_rules! small_number {
    ($name:ident, $range:expr) => {
        impl $name {
            /// `None` outside the range.
            pub fn new(value: u64) -> Option<Self> {
                u8::try_from(value).ok().filter(|value| $range.contains(value)).map(Self)
            }

            /// The number.
            pub fn value(self) -> u8 {
                self.0
            }
        }

        impl TryFrom<u8> for $name {
            type Error = MalformedId;
            fn try_from(value: u8) -> Result<Self, MalformedId> {
                Self::new(u64::from(value)).ok_or(MalformedId(stringify!($name)))
            }
        }

        impl From<$name> for u8 {
            fn from(number: $name) -> u8 {
                number.0
            }
        }
    };
}
small_number!(BenefitLevel, (1..=5));
small_number!(BindingNumber, (0..BINDINGS_MAX as u8));

/// A text or number that is not of its type's form. Says which type, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}")]
pub struct MalformedId(pub &'static str);

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal digits of either case, at most 4,096 of them; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 4_096 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

fn all_digits(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_in_use_are_taken_and_others_are_not() {
        for good in ["DN4999900000017", "9900000017", "TE199KT0000000A", "QN5979900000017"] {
            assert!(CardNumber::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "DN6999900000017", "dn4999900000017", "DN499990000001", "990000001A", "DN4A99900000017"]
        {
            assert!(CardNumber::parse(bad).is_none(), "{bad}");
        }
        let number = CardNumber::parse("DN4999900000017").unwrap();
        assert_eq!(number.social_number().unwrap().as_str(), "9900000017");
        assert_eq!(number.group_and_province(), Some(("DN", "99")));
        assert_eq!(format!("{number:?}"), "CardNumber(…)");
    }

    #[test]
    fn names_are_nfc_with_single_spaces() {
        let decomposed = "Nguye\u{302}\u{303}n  Thi\u{323} Tha\u{309}o ";
        assert_eq!(FullName::normalise(decomposed).unwrap().as_str(), "Nguyễn Thị Thảo");
        assert!(FullName::parse(decomposed).is_none());
        for bad in ["", " ", "a\u{0}b", "a\tb", " a", "a ", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(FullName::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn hexadecimal_is_read_back() {
        let id = MemberId([0xa5; 16]);
        assert_eq!(MemberId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(id.to_string(), "a5a5a5a5");
        assert!(from_hex("abc").is_none() && from_hex("zz").is_none() && from_hex("+1").is_none());
    }
}
