//! QR codes as a matrix of modules (ISO/IEC 18004). The one file that knows the encoder; how modules become light is the
//! application's.
//!
//! Promises: a presentation with a name of up to 40 bytes fits version 12 on screen, challenge included; longer names
//! make a larger code, never none. Refuses: a text that no presentation has.

use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};

use bhyt_core::limits::QR_TEXT_CHARS_MAX;

/// A square of dark and light modules, without the quiet zone: draw [`QUIET_MODULES`] light ones on each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrMatrix {
    size: u32,
    version: u8,
    level: QrLevel,
    dark: Vec<bool>,
}

impl QrMatrix {
    /// For a screen: error correction L, because a lit screen has no dirt and small codes scan from further away.
    pub fn for_screen(text: &str) -> Result<Self, QrError> {
        Self::encode(text, QrLevel::Low)
    }

    /// For paper, which is creased and stained: error correction Q when that needs no more than one version more than M,
    /// else M.
    pub fn for_paper(text: &str) -> Result<Self, QrError> {
        let medium = Self::encode(text, QrLevel::Medium)?;
        match Self::encode(text, QrLevel::Quartile) {
            Ok(quartile) if quartile.version <= medium.version + 1 => Ok(quartile),
            _ => Ok(medium),
        }
    }

    /// Modules on a side.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// 1 to 40; a side has 17 + 4 · version modules.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// How much of the code may be lost.
    pub fn level(&self) -> QrLevel {
        self.level
    }

    /// Whether the module in column `x` and row `y` is dark. What lies outside is light, like the quiet zone.
    pub fn is_dark(&self, x: u32, y: u32) -> bool {
        let inside = x < self.size && y < self.size;
        inside && self.dark.get((y * self.size + x) as usize).copied().unwrap_or(false)
    }

    /// All modules row by row, `true` for dark: for callers that copy the matrix in one go.
    pub fn modules(&self) -> Vec<bool> {
        self.dark.clone()
    }

    fn encode(text: &str, level: QrLevel) -> Result<Self, QrError> {
        if text.is_empty() || text.len() > QR_TEXT_CHARS_MAX {
            return Err(QrError::TextLength { limit: QR_TEXT_CHARS_MAX, got: text.len() });
        }
        // No boost: the level is the one asked for, as the format says, and the smallest version.
        let code = QrCode::encode_segments_advanced(
            &QrSegment::make_segments(text),
            level.engine(),
            Version::MIN,
            Version::MAX,
            None,
            false,
        )
        .map_err(|_| QrError::TextLength { limit: QR_TEXT_CHARS_MAX, got: text.len() })?;
        let side = 0..code.size();
        let dark = side.clone().flat_map(|y| side.clone().map(move |x| (x, y)));
        Ok(Self {
            size: code.size().unsigned_abs(),
            version: code.version().value(),
            level,
            dark: dark.map(|(x, y)| code.get_module(x, y)).collect(),
        })
    }
}

/// Error correction: how much of a code may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QrLevel {
    /// L, 7 %.
    Low,
    /// M, 15 %.
    Medium,
    /// Q, 25 %.
    Quartile,
}

impl QrLevel {
    fn engine(self) -> QrCodeEcc {
        match self {
            Self::Low => QrCodeEcc::Low,
            Self::Medium => QrCodeEcc::Medium,
            Self::Quartile => QrCodeEcc::Quartile,
        }
    }
}

/// Why a text has no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// Empty, or longer than a presentation may be.
    #[error("text of {got} characters, 1 to {limit} allowed")]
    TextLength {
        /// Characters allowed.
        limit: usize,
        /// Characters given.
        got: usize,
    },
}

/// Light modules that belong on each side of a code (ISO/IEC 18004 §6.3.8).
pub const QUIET_MODULES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_grow_with_the_text_and_levels_are_kept() {
        let check = |chars: usize, version: u8| {
            let text = format!("BHYT1:{}", "A".repeat(chars - 6));
            let screen = QrMatrix::for_screen(&text).unwrap();
            assert_eq!((screen.version(), screen.level()), (version, QrLevel::Low), "{chars}");
            assert_eq!(screen.size(), 17 + 4 * u32::from(version));
            assert_ne!(QrMatrix::for_paper(&text).unwrap().level(), QrLevel::Low);
        };
        // Capacities of alphanumeric text at level L (ISO/IEC 18004 table 7).
        for (chars, version) in [(468, 11), (469, 12), (535, 12), (536, 13), (619, 13), (620, 14)] {
            check(chars, version);
        }
    }

    #[test]
    fn finders_stand_in_three_corners_and_outside_is_light() {
        let code = QrMatrix::for_screen("BHYT1:ABC").unwrap();
        let last = code.size() - 1;
        assert!(code.is_dark(0, 0) && code.is_dark(last, 0) && code.is_dark(0, last));
        assert!(!code.is_dark(code.size(), 0) && !code.is_dark(0, code.size()));
        assert_eq!(code.modules().len(), (code.size() * code.size()) as usize);
    }

    #[test]
    fn no_text_and_too_much_of_it_are_refused() {
        for text in [String::new(), "A".repeat(QR_TEXT_CHARS_MAX + 1)] {
            assert!(matches!(QrMatrix::for_screen(&text), Err(QrError::TextLength { .. })));
        }
        assert!(QrMatrix::for_screen(&"A".repeat(QR_TEXT_CHARS_MAX)).is_ok());
    }
}
