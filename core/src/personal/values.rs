//! What may stand in a field of the personal document. Each is a type that cannot hold a malformed value, whoever made it.
//!
//! Texts are NFC, without control characters but the line feed where several lines are allowed, and without space at the
//! ends. None prints: they are personal data.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::ids::{FullName, text_newtype};
use crate::limits::{
    PERSONAL_EMAIL_BYTES_MAX, PERSONAL_LABEL_BYTES_MAX, PERSONAL_LINE_BYTES_MAX, PERSONAL_TEXT_BYTES_MAX,
};
use crate::record::Seq;
use crate::time::UnixSeconds;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $bytes_max:expr, $accepts:expr) => {
        text_newtype!($(#[$doc])* $name);

        impl $name {
            /// Makes NFC of what somebody typed and cuts space at the ends; `None` when it is still not of this form.
            pub fn normalise(text: &str) -> Option<Self> {
                // Bounded before the copy: NFC shrinks at most threefold.
                (text.len() <= 4 * $bytes_max).then_some(())?;
                Self::parse(text.nfc().collect::<String>().trim())
            }

            /// Takes what is in its form already.
            pub fn parse(text: &str) -> Option<Self> {
                let accepts: fn(&str) -> bool = $accepts;
                let fits = (1..=$bytes_max).contains(&text.len()) && text.trim().len() == text.len();
                (fits && unicode_normalization::is_nfc(text) && accepts(text)).then(|| Self(text.to_owned()))
            }
        }
    };
}

text!(
    /// A telephone number: 8 to 15 digits, perhaps after a `+`.
    Phone,
    16,
    |text| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        (8..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit())
    }
);
text!(
    /// An address of e-mail: one `@` with something on both sides, no spaces. Whether it exists, only a message tells.
    Email,
    PERSONAL_EMAIL_BYTES_MAX,
    |text| {
        let sides = text.split_once('@');
        let whole = |side: &str| !side.is_empty() && !side.contains('@');
        sides.is_some_and(|(left, right)| whole(left) && whole(right))
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    }
);
text!(
    /// Mã tỉnh of the national list of units: two digits.
    ProvinceCode,
    2,
    |text| text.len() == 2 && text.bytes().all(|c| c.is_ascii_digit())
);
text!(
    /// Mã xã, phường, đặc khu of the national list of units: five digits.
    WardCode,
    5,
    |text| text.len() == 5 && text.bytes().all(|c| c.is_ascii_digit())
);
text!(
    /// One line: a street, a subject, what a reminder says.
    Line,
    PERSONAL_LINE_BYTES_MAX,
    is_one_line
);
text!(
    /// Several lines: a note, a petition, an answer.
    Text,
    PERSONAL_TEXT_BYTES_MAX,
    |text| !text.contains(|c: char| c.is_control() && c != '\n')
);
text!(
    /// The desk that answered, as an operator's label.
    DeskLabel,
    PERSONAL_LABEL_BYTES_MAX,
    is_one_line
);

/// Where somebody lives. One value: two addresses never mix into a third.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The province.
    pub province: ProvinceCode,
    /// The ward or commune.
    pub ward: WardCode,
    /// House and street, or hamlet.
    pub street: Option<Line>,
}

/// Whom to call when the member cannot be reached. One value, like an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContactPerson {
    /// Their name.
    pub name: FullName,
    /// Their number.
    pub phone: Phone,
}

/// What a petition wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PetitionKind {
    /// Kiến nghị: something should be done.
    Request,
    /// Hỏi đáp: something should be explained.
    Question,
    /// Góp ý: something should be better.
    Feedback,
    /// Khiếu nại: a record tells of what did not happen so.
    Dispute(Seq),
    /// Đề nghị điều chỉnh: a record should read otherwise.
    Correction(Seq),
}

impl PetitionKind {
    /// The record that it is about, by the place of its first revision.
    pub fn record(self) -> Option<Seq> {
        match self {
            Self::Dispute(record) | Self::Correction(record) => Some(record),
            Self::Request | Self::Question | Self::Feedback => None,
        }
    }
}

/// What a member writes to an agency. One value: a draft is replaced as a whole, and what was handed in never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Petition {
    /// What it wants.
    pub kind: PetitionKind,
    /// In one line.
    pub subject: Line,
    /// In full.
    pub text: Text,
}

/// How far a petition is, as an officer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PetitionState {
    /// Đã tiếp nhận.
    Received,
    /// Đang xử lý.
    InProgress,
    /// Cần bổ sung: the officer asks for more.
    NeedsMore,
    /// Đã trả lời.
    Answered,
    /// Không thụ lý: not a matter of this agency; the answer says whose.
    Declined,
}

/// One answer of an officer. Never changed; the next answer follows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// How far the petition is now.
    pub state: PetitionState,
    /// When it was given, by the desk's clock.
    pub at: UnixSeconds,
    /// Who gave it.
    pub desk: DeskLabel,
    /// In words; a new state alone has none.
    pub text: Option<Text>,
}

fn is_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_take_their_own_form_only() {
        for good in ["0912345678", "+84912345678", "02838290000"] {
            assert!(Phone::parse(good).is_some(), "{good}");
        }
        for bad in ["", "0912 345 678", "1234567", "+", "0912345678901234", "09123456７8"] {
            assert!(Phone::parse(bad).is_none(), "{bad}");
        }
        assert!(Email::parse("a.b@vd.vn").is_some());
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(Email::parse(bad).is_none(), "{bad:?}");
        }
        assert_eq!(Line::normalise("  Nguye\u{302}\u{303}n Trãi ").unwrap().as_str(), "Nguyễn Trãi");
        assert!(
            Line::parse("a\nb").is_none() && Text::parse("a\nb").is_some() && Text::parse("a\tb").is_none()
        );
        assert!(Line::parse(&"x".repeat(PERSONAL_LINE_BYTES_MAX + 1)).is_none());
        assert_eq!(format!("{:?}", Phone::parse("0912345678").unwrap()), "Phone(…)");
    }
}
