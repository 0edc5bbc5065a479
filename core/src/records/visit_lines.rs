//! The body of a record of kind VisitLines: cost lines of a visit that do not fit into its own record. A stay of weeks has
//! hundreds, and a record's body has 4 KiB.
//!
//! Parts are numbered from 1, and the visit says how many there are. Whoever appends them does it together with the
//! visit, under one head; whoever reads joins what is there and says what is missing.

use super::form::{Value, map_form};
use super::source::SourceKey;
use super::visit::{CostLine, Visit};
use crate::cbor;
use crate::limits::{BODY_BYTES_MAX, VISIT_LINES_MAX, VISIT_PARTS_MAX};
use crate::record::RecordKind;

/// More cost lines of one visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitLines {
    /// Of which visit: its [`SourceKey`].
    pub visit: [u8; 16],
    /// Which part, from 1.
    pub part: u16,
    /// The lines.
    pub lines: Vec<CostLine>,
}

map_form!(body VisitLines { 1 visit, 2 part, 3 lines });

impl VisitLines {
    /// One record a visit and part.
    pub fn source_key(&self) -> SourceKey {
        SourceKey::of(RecordKind::VisitLines, &[&self.visit, &self.part.to_be_bytes()])
    }
}

/// Why a visit cannot be split into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitFault {
    /// Over [`VISIT_LINES_MAX`] lines.
    #[error("{got} cost lines, at most {VISIT_LINES_MAX}")]
    TooManyLines {
        /// Lines there.
        got: usize,
    },
    /// Over [`VISIT_PARTS_MAX`] parts: the lines are very long.
    #[error("cost lines fill {got} records, at most {VISIT_PARTS_MAX}")]
    TooManyParts {
        /// Parts needed.
        got: usize,
    },
}

impl Visit {
    /// The visit as records: itself with as many of its first lines as fit, and the parts with the others in order.
    ///
    /// # Errors
    /// [`SplitFault`] for more than any stay has.
    pub fn split(mut self) -> Result<(Self, Vec<VisitLines>), SplitFault> {
        if self.lines.len() > VISIT_LINES_MAX {
            return Err(SplitFault::TooManyLines { got: self.lines.len() });
        }
        let visit = self.source_key().0;
        // With a number of parts, and the longest head of an array: what is measured is the most it can become.
        let lines = std::mem::take(&mut self.lines);
        self.more_parts = Some(u16::MAX);
        let bare = self.encode().len() + FRAME_BYTES;
        let (own, mut rest) = fill(bare, &lines);
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let part = u16::try_from(parts.len() + 1).unwrap_or(u16::MAX);
            let bare = VisitLines { visit, part, lines: Vec::new() }.encode().len() + FRAME_BYTES;
            let (taken, left) = fill(bare, rest);
            parts.push(VisitLines { visit, part, lines: taken.to_vec() });
            rest = left;
        }
        if parts.len() > VISIT_PARTS_MAX {
            return Err(SplitFault::TooManyParts { got: parts.len() });
        }
        self.lines = own.to_vec();
        self.more_parts = u16::try_from(parts.len()).ok().filter(|parts| *parts > 0);
        Ok((self, parts))
    }

    /// All lines, those of the parts after the visit's own, and how many parts are missing. Parts of other visits, and
    /// such as an earlier revision had and this one has no more, are left out.
    pub fn join<'a>(&'a self, parts: impl IntoIterator<Item = &'a VisitLines>) -> JoinedLines<'a> {
        let (visit, count) = (self.source_key().0, self.more_parts.unwrap_or_default());
        let mut found: Vec<&VisitLines> = parts.into_iter().filter(|part| part.visit == visit).collect();
        found.retain(|part| (1..=count).contains(&part.part));
        found.sort_by_key(|part| part.part);
        found.dedup_by_key(|part| part.part);
        let missing = usize::from(count) - found.len();
        let lines = self.lines.iter().chain(found.into_iter().flat_map(|part| &part.lines)).collect();
        JoinedLines { lines, missing_parts: missing }
    }
}

/// The cost lines of a visit, from all its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedLines<'a> {
    /// In order.
    pub lines: Vec<&'a CostLine>,
    /// Parts that are not there.
    pub missing_parts: usize,
}

/// As many of the first lines as a body with `used` bytes has room for; at least one when it has room for the longest.
fn fill(used: usize, lines: &[CostLine]) -> (&[CostLine], &[CostLine]) {
    let mut room = BODY_BYTES_MAX.saturating_sub(used);
    let mut count = 0;
    for line in lines {
        let bytes = cbor::encode(|e| line.write(e)).len();
        if bytes > room {
            break;
        }
        room -= bytes;
        count += 1;
    }
    lines.split_at(count)
}

/// Key and array head of the lines.
const FRAME_BYTES: usize = 1 + 3;
