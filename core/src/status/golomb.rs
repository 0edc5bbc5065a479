//! Golomb coding of strictly ascending values below a universe U: the gaps of a random subset are geometric, and for
//! those this code is the best one that codes gap by gap (Gallager and van Voorhis, 1975).
//!
//! The code, for an independent implementer:
//!
//! - The parameter follows from U and the number of values k, in integers: with U below 2^36 + 1 and k at least 1,
//!   `M = max(1, floor((45426·U + 10027·k) / (65536·k)))`, which is ln 2 · U/k + 0.153 rounded down.
//! - A value v after the value p is the gap `g = v − p − 1`; the first value is its own gap.
//! - `q = floor(g / M)` is written as q zero bits and a one bit; `r = g − q·M` in truncated binary: with
//!   `c = floor(lg M)` and `s = 2^(c+1) − M`, r below s as c bits, any other as `r + s` in c + 1 bits.
//! - Most significant bit first; the last byte is filled up with zero bits. No values are no bytes.
//!
//! A reader refuses what a writer would not have written: bits that end early, filling that is not zero or is a byte
//! and more, values not below U. It never allocates, and takes time in the bytes and values, whichever are more.

use super::bits::{BitReader, BitWriter};

/// Largest universe: 2^32 indexes times 16 bindings.
pub const UNIVERSE_MAX: u64 = 1 << 36;

/// Why values do not code, or bytes are no coded values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GolombError {
    /// The universe is beyond [`UNIVERSE_MAX`], or holds fewer values than were announced.
    #[error("no {count} values fit below {universe}")]
    Universe {
        /// The universe asked for.
        universe: u64,
        /// The values announced.
        count: u64,
    },
    /// To write: a value is not above the one before it.
    #[error("values do not ascend")]
    NotAscending,
    /// A value is not below the universe.
    #[error("a value is not below the universe")]
    OutsideUniverse,
    /// More or fewer values were written than announced.
    #[error("not as many values as announced")]
    Count,
    /// The bytes end before the announced number of values.
    #[error("the bytes end within the values")]
    Truncated,
    /// The bits behind the last value are not zero, or more than fill a byte.
    #[error("the filling behind the last value is not canonical")]
    Filling,
}

/// The code for one pair of universe and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GolombCode {
    parameter: u64,
    /// c: bits of a short remainder.
    short_bits: u32,
    /// s: remainders below are short.
    short_below: u64,
}

impl GolombCode {
    /// The code for `count` values below `universe`.
    ///
    /// # Errors
    /// [`GolombError::Universe`] when the universe is beyond [`UNIVERSE_MAX`] or holds fewer than `count` values.
    pub fn for_values(universe: u64, count: u64) -> Result<Self, GolombError> {
        if universe > UNIVERSE_MAX || count > universe {
            return Err(GolombError::Universe { universe, count });
        }
        let k = count.max(1);
        Ok(Self::with_parameter(((LN2 * universe + OFFSET * k) / (SCALE * k)).max(1)))
    }

    /// M.
    pub fn parameter(&self) -> u64 {
        self.parameter
    }

    /// No `count` values take fewer bits than this.
    fn bits_min(&self, count: u64) -> u64 {
        count.saturating_mul(1 + u64::from(self.short_bits))
    }

    fn with_parameter(parameter: u64) -> Self {
        let short_bits = parameter.ilog2();
        Self { parameter, short_bits, short_below: (2 << short_bits) - parameter }
    }
}

/// Writes ascending values, one by one.
#[derive(Debug)]
pub struct GapWriter {
    code: GolombCode,
    bits: BitWriter,
    universe: u64,
    /// The least value that may come next.
    floor: u64,
    /// Values still to come.
    left: u64,
}

impl GapWriter {
    /// For exactly `count` values below `universe`.
    ///
    /// # Errors
    /// As [`GolombCode::for_values`].
    pub fn new(universe: u64, count: u64) -> Result<Self, GolombError> {
        let code = GolombCode::for_values(universe, count)?;
        // Remainder, stop bit, and 1.5 bits of quotient a value; only a wish, so cut off at 16 MiB.
        let bytes = (code.bits_min(count) + count + count / 2) / 8 + 16;
        let bits = BitWriter::with_capacity(bytes.min(1 << 24) as usize);
        Ok(Self { code, bits, universe, floor: 0, left: count })
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// [`GolombError::NotAscending`], [`GolombError::OutsideUniverse`], or [`GolombError::Count`] for one too many.
    #[inline]
    pub fn push(&mut self, value: u64) -> Result<(), GolombError> {
        let gap = value.checked_sub(self.floor).ok_or(GolombError::NotAscending)?;
        if value >= self.universe {
            return Err(GolombError::OutsideUniverse);
        }
        self.left = self.left.checked_sub(1).ok_or(GolombError::Count)?;
        self.floor = value + 1;
        let code = &self.code;
        let mut zeros = gap / code.parameter;
        let rest = gap % code.parameter;
        let (rest, rest_bits) = if rest < code.short_below {
            (rest, code.short_bits)
        } else {
            (rest + code.short_below, code.short_bits + 1)
        };
        while zeros > ZEROS_AT_ONCE {
            let run = zeros.min(u64::from(BitWriter::PUT_BITS_MAX));
            self.bits.put(0, run as u32);
            zeros -= run;
        }
        self.bits.put(1 << rest_bits | rest, zeros as u32 + 1 + rest_bits);
        Ok(())
    }

    /// Where the next value's code will start, in bits, and the least value that may come next.
    #[inline]
    pub(super) fn place(&self) -> (u64, u64) {
        (self.bits.position(), self.floor)
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`GolombError::Count`] when fewer values came than were announced.
    pub fn finish(self) -> Result<Vec<u8>, GolombError> {
        if self.left != 0 {
            return Err(GolombError::Count);
        }
        Ok(self.bits.finish())
    }
}

/// Reads values back, one by one.
#[derive(Debug, Clone)]
pub struct GapReader<'a> {
    code: GolombCode,
    bits: BitReader<'a>,
    universe: u64,
    floor: u64,
    left: u64,
}

impl<'a> GapReader<'a> {
    /// For exactly `count` values below `universe` in `bytes`.
    ///
    /// # Errors
    /// As [`GolombCode::for_values`]; [`GolombError::Truncated`] at once when so few bytes cannot hold the values.
    pub fn new(universe: u64, count: u64, bytes: &'a [u8]) -> Result<Self, GolombError> {
        let code = GolombCode::for_values(universe, count)?;
        if code.bits_min(count) > bytes.len() as u64 * 8 {
            return Err(GolombError::Truncated);
        }
        Ok(Self { code, bits: BitReader::at(bytes, 0), universe, floor: 0, left: count })
    }

    /// The same values from the middle: `place` is what [`Self::place`] was before the last `left` values.
    pub(super) fn resume(self, place: (u64, u64), left: u64, bytes: &'a [u8]) -> Self {
        let (position_bits, floor) = place;
        Self { bits: BitReader::at(bytes, position_bits), floor, left, ..self }
    }

    /// The next value; `None` behind the last.
    ///
    /// # Errors
    /// [`GolombError::Truncated`], [`GolombError::OutsideUniverse`].
    // Called in a loop from few places: out of line it costs more than what it does.
    #[inline(always)]
    pub fn next_value(&mut self) -> Result<Option<u64>, GolombError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let value = self.floor + self.next_gap()?;
        if value >= self.universe {
            return Err(GolombError::OutsideUniverse);
        }
        self.floor = value + 1;
        Ok(Some(value))
    }

    /// Where the next value's code starts, in bits, and the least value that it can stand for.
    #[inline]
    pub(super) fn place(&self) -> (u64, u64) {
        (self.bits.position(), self.floor)
    }

    /// Checks what stands behind the last value. Call it when [`GapReader::next_value`] has given `None`.
    ///
    /// # Errors
    /// [`GolombError::Filling`]; [`GolombError::Count`] when values are left.
    pub fn finish(mut self) -> Result<(), GolombError> {
        if self.left != 0 {
            return Err(GolombError::Count);
        }
        self.bits.refill();
        if self.bits.valid() >= 8 || self.bits.window() != 0 {
            return Err(GolombError::Filling);
        }
        Ok(())
    }

    #[inline(always)]
    fn next_gap(&mut self) -> Result<u64, GolombError> {
        // Refilled when it runs low, not each time: the load would stand in the chain from gap to gap.
        let code = &self.code;
        if self.bits.window().leading_zeros() + code.short_bits + 2 > self.bits.valid() {
            self.bits.refill();
        }
        let zeros = self.bits.window().leading_zeros();
        if zeros + code.short_bits + 2 > self.bits.valid() {
            let (gap, bits) = next_gap_slowly(self.bits.clone(), *code)?;
            self.bits = bits;
            return Ok(gap);
        }
        let rest = self.bits.window() << zeros << 1;
        // Two shifts: `short_bits` may be 0.
        let short = rest >> 1 >> (63 - code.short_bits);
        let long = rest >> (63 - code.short_bits);
        let is_long = short >= code.short_below;
        let remainder = if is_long { long - code.short_below } else { short };
        self.bits.consume(zeros + 1 + code.short_bits + u32::from(is_long));
        Ok(u64::from(zeros) * code.parameter + remainder)
    }
}

/// [`GapReader::next_gap`] for quotients and bits that do not stand in one window, and at the end of the bytes. By
/// value, so that a reader stays in registers while this is not called.
#[cold]
fn next_gap_slowly(mut bits: BitReader<'_>, code: GolombCode) -> Result<(u64, BitReader<'_>), GolombError> {
    let zeros = bits.take_zeros().ok_or(GolombError::Truncated)?;
    let mut remainder = bits.take(code.short_bits).ok_or(GolombError::Truncated)?;
    if remainder >= code.short_below {
        let last = bits.take(1).ok_or(GolombError::Truncated)?;
        remainder = (remainder << 1 | last) - code.short_below;
    }
    // Far above any universe, and far from overflowing.
    Ok((zeros.saturating_mul(code.parameter).min(2 * UNIVERSE_MAX) + remainder, bits))
}

/// ln 2 in units of 1/[`SCALE`].
const LN2: u64 = 45_426;
/// 0.153: the optimum is ceil(ln(2−p) / −ln(1−p)) with p = k/U, and ln 2/p − 0.847 is the start of its series.
const OFFSET: u64 = 10_027;
const SCALE: u64 = 65_536;
/// Zeros that fit into one [`BitWriter::put`] before the stop bit and the longest remainder.
const ZEROS_AT_ONCE: u64 = 24;
const _: () = assert!(ZEROS_AT_ONCE as u32 + 1 + UNIVERSE_MAX.ilog2() < BitWriter::PUT_BITS_MAX);
