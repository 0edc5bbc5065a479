//! Fields of a row by their names, parsed into types that cannot be wrong, or a fault with the field and the reason.

use bhyt_core::records::Text;

/// Why a row is not taken: a field and a word, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The field.
    pub field: &'static str,
    /// The word.
    pub reason: &'static str,
}

/// Reads fields of one row. Space around a text does not count, and an empty text is an absent field.
pub(super) struct Fields<'r> {
    text_of: &'r dyn Fn(&str) -> &'r str,
}

impl<'r> Fields<'r> {
    pub(super) fn new(text_of: &'r dyn Fn(&str) -> &'r str) -> Self {
        Self { text_of }
    }

    pub(super) fn text(&self, field: &str) -> &'r str {
        (self.text_of)(field).trim()
    }

    /// A field that may be absent.
    pub(super) fn may<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, FieldFault> {
        match self.text(field) {
            "" => Ok(None),
            text => parse(text).map(Some).ok_or(FieldFault { field, reason: "malformed" }),
        }
    }

    /// A field that has to be there.
    pub(super) fn need<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FieldFault> {
        self.may(field, parse)?.ok_or(FieldFault { field, reason: "missing" })
    }

    /// A line of text.
    pub(super) fn line<const MAX: usize>(
        &self,
        field: &'static str,
    ) -> Result<Option<Text<MAX>>, FieldFault> {
        line_of(field, self.text(field))
    }

    /// A line of text that has to be there.
    pub(super) fn need_line<const MAX: usize>(&self, field: &'static str) -> Result<Text<MAX>, FieldFault> {
        self.line(field)?.ok_or(FieldFault { field, reason: "missing" })
    }

    /// Codes between semicolons.
    pub(super) fn codes<const MAX: usize>(
        &self,
        field: &'static str,
        count_max: usize,
    ) -> Result<Vec<Text<MAX>>, FieldFault> {
        let codes = self.text(field).split(';').map(str::trim).filter(|code| !code.is_empty());
        let codes: Vec<_> =
            codes.take(count_max + 1).filter_map(|code| line_of(field, code).transpose()).collect();
        if codes.len() > count_max {
            return Err(FieldFault { field, reason: "too_many" });
        }
        codes.into_iter().collect()
    }
}

fn line_of<const MAX: usize>(field: &'static str, text: &str) -> Result<Option<Text<MAX>>, FieldFault> {
    if text.is_empty() {
        return Ok(None);
    }
    let reason = if text.len() > MAX { "too_long" } else { "malformed" };
    Text::normalise(text).map(Some).ok_or(FieldFault { field, reason })
}

/// A number that stands for something.
pub(super) fn code_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
