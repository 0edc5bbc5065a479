//! Text of official records, in the one form that they keep: Unicode NFC, single spaces, no control characters, and a
//! bound in bytes that is part of the type.

use std::fmt;

use minicbor::Decoder;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::form::{Value, Writer};
use crate::cbor::{DecodeError, EncodeResult};
use crate::limits::OTHER_DISEASES_MAX;

/// One line of text, 1 to `MAX` bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Brings what a register holds into its form. `None` when nothing is left of it, or too much.
    pub fn normalise(text: &str) -> Option<Self> {
        Self::parse(&one_line(text, MAX)?)
    }

    /// The same, but what is too long is cut after a whole character and ends in "…". For free text that others wrote at
    /// any length, where a shorter text is better than no record.
    pub fn shorten(text: &str) -> Option<Self> {
        // A prefix of the input that is long enough for whatever MAX bytes can come from.
        let line = one_line(bytes_prefix(text, 4 * MAX), MAX)?;
        if line.len() <= MAX {
            return Self::parse(&line);
        }
        let kept = bytes_prefix(&line, MAX.checked_sub(MARK.len())?).trim_end();
        Self::parse(&format!("{kept}{MARK}"))
    }

    /// Takes text that is in its form already; `None` otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX).contains(&text.len());
        (fits && is_plain(text) && is_spaced(text) && is_nfc(text)).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Several lines of text, 1 to `MAX` bytes: lines as [`Text`], some of them empty, joined by line feeds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lines<const MAX: usize>(String);

impl<const MAX: usize> Lines<MAX> {
    /// Brings text into its form: spaces at the ends of lines and empty lines at both ends go. `None` when nothing is left
    /// of it, or too much.
    pub fn normalise(text: &str) -> Option<Self> {
        if text.len() > 4 * MAX {
            return None;
        }
        let lines: Option<Vec<String>> = text.trim().lines().map(|line| one_line(line, MAX)).collect();
        Self::parse(&lines?.join("\n"))
    }

    /// Takes text that is in its form already; `None` otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX).contains(&text.len());
        let trimmed = !text.starts_with('\n') && !text.ends_with('\n');
        let sound = |line: &str| line.is_empty() || (is_plain(line) && is_spaced(line) && is_nfc(line));
        (fits && trimmed && text.split('\n').all(sound)).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands for the rest of a text that was cut.
const MARK: &str = "…";

/// NFC and single spaces; `None` when it is so long that no form of it fits `max` (NFC shrinks at most threefold, and
/// runs of spaces are cut off with the rest).
fn one_line(text: &str, max: usize) -> Option<String> {
    if text.len() > 4 * max {
        return None;
    }
    let composed: String = text.nfc().collect();
    Some(composed.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn is_spaced(text: &str) -> bool {
    text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
}

/// As much of the text's beginning as fits `bytes`, whole characters.
fn bytes_prefix(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

macro_rules! text_value {
    ($($name:ident)*) => {$(
        impl<const MAX: usize> Value for $name<MAX> {
            fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
                e.str(&self.0)?.ok()
            }
            fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Self::parse(d.str()?).ok_or(DecodeError::Malformed("text of a record"))
            }
            // The only list of plain texts.
            const COUNT_MAX: usize = OTHER_DISEASES_MAX;
        }

        impl<const MAX: usize> fmt::Debug for $name<MAX> {
            /// The length alone: the text is personal data.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }
    )*};
}
text_value! { Text Lines }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_nfc_with_single_spaces_within_its_bound() {
        let read = |text: &str| Text::<16>::normalise(text).map(|text| text.0);
        assert_eq!(read(" Vie\u{302}m  da\u{323} \n da\u{300}y "), Some("Viêm dạ dày".into()));
        assert_eq!(read("K29.7"), Some("K29.7".into()));
        for bad in ["", "  ", "a\u{0}b", "seventeen bytes !", &" ".repeat(100)] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert!(Text::<16>::parse("a  b").is_none() && Text::<16>::parse("e\u{301}").is_none());
        assert_eq!(format!("{:?}", Text::<16>::parse("bí mật").unwrap()), "Text(9 bytes)");
    }

    #[test]
    fn text_that_is_too_long_is_cut_after_a_whole_character() {
        let cut = |text: &str| Text::<10>::shorten(text).map(|text| text.0);
        assert_eq!(cut("0123456789").as_deref(), Some("0123456789"));
        assert_eq!(cut("0123456789a").as_deref(), Some("0123456…"));
        assert_eq!(cut("012345 789a").as_deref(), Some("012345…"));
        assert_eq!(cut("01234\u{1ec5}\u{1ec5}").as_deref(), Some("01234…"));
        assert_eq!(cut(&"ễ".repeat(1_000)).as_deref(), Some("ễễ…"));
        assert_eq!(cut("   ").as_deref(), None);
    }

    #[test]
    fn lines_keep_their_breaks_and_nothing_else() {
        let read = |text: &str| Lines::<40>::normalise(text).map(|text| text.0);
        assert_eq!(read("\n a  b \r\n\r\n c\n\n").as_deref(), Some("a b\n\nc"));
        assert_eq!(read(" \n "), None);
        for bad in ["a\rb", "a\u{7}", "\na", "a\n", "a \nb"] {
            assert!(Lines::<40>::parse(bad).is_none(), "{bad:?}");
        }
    }
}
