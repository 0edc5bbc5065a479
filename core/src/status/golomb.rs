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
        Ok(Self::with_parameter(
            ((LN2 * universe + OFFSET * k) / (SCALE * k)).max(1),
        ))
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
        Self {
            parameter,
            short_bits,
            short_below: (2 << short_bits) - parameter,
        }
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
        Ok(Self {
            code,
            bits,
            universe,
            floor: 0,
            left: count,
        })
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// [`GolombError::NotAscending`], [`GolombError::OutsideUniverse`], or [`GolombError::Count`] for one too many.
    #[inline]
    pub fn push(&mut self, value: u64) -> Result<(), GolombError> {
        let gap = value
            .checked_sub(self.floor)
            .ok_or(GolombError::NotAscending)?;
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
        self.bits
            .put(1 << rest_bits | rest, zeros as u32 + 1 + rest_bits);
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
        Ok(Self {
            code,
            bits: BitReader::at(bytes, 0),
            universe,
            floor: 0,
            left: count,
        })
    }

    /// The same values from the middle: `place` is what [`Self::place`] was before the last `left` values.
    pub(super) fn resume(self, place: (u64, u64), left: u64, bytes: &'a [u8]) -> Self {
        let (position_bits, floor) = place;
        Self {
            bits: BitReader::at(bytes, position_bits),
            floor,
            left,
            ..self
        }
    }

    /// The next value; `None` behind the last.
    ///
    /// # Errors
    /// [`GolombError::Truncated`], [`GolombError::OutsideUniverse`].
    #[inline]
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

    #[inline]
    fn next_gap(&mut self) -> Result<u64, GolombError> {
        self.bits.refill();
        let window = self.bits.window();
        let zeros = window.leading_zeros();
        let code = &self.code;
        if zeros + code.short_bits + 2 > self.bits.valid() {
            return self.next_gap_slowly();
        }
        let rest = window << zeros << 1;
        // Two shifts: `short_bits` may be 0.
        let short = rest >> 1 >> (63 - code.short_bits);
        let long = rest >> (63 - code.short_bits);
        let is_long = short >= code.short_below;
        let remainder = if is_long {
            long - code.short_below
        } else {
            short
        };
        self.bits
            .consume(zeros + 1 + code.short_bits + u32::from(is_long));
        Ok(u64::from(zeros) * code.parameter + remainder)
    }

    /// The same for quotients and bits that do not stand in one window, and at the end of the bytes.
    #[cold]
    fn next_gap_slowly(&mut self) -> Result<u64, GolombError> {
        let zeros = self.bits.take_zeros().ok_or(GolombError::Truncated)?;
        let code = &self.code;
        let mut remainder = self
            .bits
            .take(code.short_bits)
            .ok_or(GolombError::Truncated)?;
        if remainder >= code.short_below {
            let last = self.bits.take(1).ok_or(GolombError::Truncated)?;
            remainder = (remainder << 1 | last) - code.short_below;
        }
        // Far above any universe, and far from overflowing.
        Ok(zeros.saturating_mul(code.parameter).min(2 * UNIVERSE_MAX) + remainder)
    }
}

/// ln 2 in units of 1/[`SCALE`].
const LN2: u64 = 45_426;
/// 0.153: the optimum is ceil(ln(2−p) / −ln(1−p)) with p = k/U, and ln 2/p − 0.847 is the start of its series.
const OFFSET: u64 = 10_027;
const SCALE: u64 = 65_536;
/// Zeros that fit into one [`BitWriter::put`] before the stop bit and the longest remainder.
const ZEROS_AT_ONCE: u64 = 24;
const _: () =
    assert!(ZEROS_AT_ONCE as u32 + 1 + UNIVERSE_MAX.ilog2() + 1 <= BitWriter::PUT_BITS_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::testing::{Lcg, floor_bits};

    fn write(universe: u64, values: &[u64]) -> Result<Vec<u8>, GolombError> {
        let mut writer = GapWriter::new(universe, values.len() as u64)?;
        values.iter().try_for_each(|&value| writer.push(value))?;
        writer.finish()
    }

    fn read(universe: u64, count: u64, bytes: &[u8]) -> Result<Vec<u64>, GolombError> {
        let mut reader = GapReader::new(universe, count, bytes)?;
        let mut values = Vec::new();
        while let Some(value) = reader.next_value()? {
            values.push(value);
        }
        reader.finish().map(|()| values)
    }

    fn check(universe: u64, values: &[u64]) {
        let bytes = write(universe, values).unwrap();
        assert_eq!(
            read(universe, values.len() as u64, &bytes).as_deref(),
            Ok(values)
        );
    }

    #[test]
    fn what_was_written_is_read() {
        let mut random = Lcg::new(2);
        for universe in [1, 2, 3, 64, 1_000, 1 << 20, UNIVERSE_MAX - 1, UNIVERSE_MAX] {
            for count in [0, 1, 2, 3, 17, 500, 1_000] {
                let count = universe.min(count);
                check(universe, &random.subset(universe, count));
                check(universe, &(0..count).collect::<Vec<_>>());
                check(universe, &(universe - count..universe).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_description() {
        // k = 3, U = 20: M = floor((45426·20 + 10027·3) / 196608) = 4; gaps 2, 4, 11 are 1|10, 01|00, 001|11.
        assert_eq!(GolombCode::for_values(20, 3).unwrap().parameter(), 4);
        assert_eq!(write(20, &[2, 7, 20]), Err(GolombError::OutsideUniverse));
        assert_eq!(write(20, &[2, 7, 19]).unwrap(), [0b1100_1000, 0b0111_0000]);
        // k = 3, U = 14: M = 3, c = 1, s = 1; gaps 0, 2, 4: 1|0, 1|11, 01|10.
        assert_eq!(GolombCode::for_values(14, 3).unwrap().parameter(), 3);
        assert_eq!(write(14, &[0, 3, 8]).unwrap(), [0b1011_1011, 0b0000_0000]);
    }

    #[test]
    fn the_parameter_is_the_best_one() {
        for count in (1..500_000_u64).step_by(1_009) {
            let p = count as f64 / 1e6;
            let best = ((2.0 - p).ln() / -(1.0 - p).ln()).ceil().max(1.0) as u64;
            let code = GolombCode::for_values(1_000_000, count).unwrap();
            assert!(
                code.parameter().abs_diff(best) <= 1 + best / 50_000,
                "{count} {code:?} {best}"
            );
        }
    }

    #[test]
    fn size_is_near_the_entropy() {
        let mut random = Lcg::new(3);
        let universe = 4_000_000;
        for (per_10_000, ratio_max) in [
            (1, 1.008),
            (10, 1.005),
            (100, 1.005),
            (200, 1.006),
            (500, 1.007),
            (2_000, 1.015),
            (5_000, 1.001),
        ] {
            let count = universe / 10_000 * per_10_000;
            let size = write(universe, &random.subset(universe, count))
                .unwrap()
                .len();
            let ratio = size as f64 * 8.0 / floor_bits(universe, &[count]);
            println!("density {per_10_000}/10000: {ratio:.5}");
            assert!(ratio < ratio_max, "{per_10_000}: {ratio}");
        }
    }

    #[test]
    fn what_a_writer_would_not_write_is_refused() {
        assert_eq!(write(UNIVERSE_MAX + 1, &[]).map_err(|_| ()), Err(()));
        assert_eq!(
            write(1, &[0, 0]),
            Err(GolombError::Universe {
                universe: 1,
                count: 2
            })
        );
        assert_eq!(write(9, &[4, 4]), Err(GolombError::NotAscending));
        assert_eq!(write(9, &[9]), Err(GolombError::OutsideUniverse));
        assert_eq!(
            GapWriter::new(9, 1).unwrap().finish(),
            Err(GolombError::Count)
        );
        let mut full = GapWriter::new(9, 0).unwrap();
        assert_eq!(full.push(1), Err(GolombError::Count));

        let bytes = write(20, &[2, 7, 19]).unwrap();
        assert_eq!(
            read(20, 3, &[bytes[0], bytes[1] | 1]),
            Err(GolombError::Filling)
        );
        assert_eq!(
            read(20, 3, &[bytes[0], bytes[1], 0]),
            Err(GolombError::Filling)
        );
        assert_eq!(read(20, 0, &[0]), Err(GolombError::Filling));
        assert_eq!(read(20, 3, &bytes[..1]), Err(GolombError::Truncated));
        assert_eq!(
            read(UNIVERSE_MAX, UNIVERSE_MAX, &[255; 64]),
            Err(GolombError::Truncated)
        );
        // M is 1: the value is the run of zeros.
        assert_eq!(
            read(2, 2, &[0b0010_1000]),
            Err(GolombError::OutsideUniverse)
        );
    }

    #[test]
    fn harmed_bytes_never_panic_and_never_alias() {
        let mut random = Lcg::new(4);
        for (universe, count) in [(300, 100), (5_000, 40), (UNIVERSE_MAX, 30)] {
            let values = random.subset(universe, count);
            let bytes = write(universe, &values).unwrap();
            for length in 0..bytes.len() {
                assert!(read(universe, count, &bytes[..length]).is_err());
            }
            for bit in 0..bytes.len() * 8 {
                let mut harmed = bytes.clone();
                harmed[bit / 8] ^= 0x80 >> (bit % 8);
                if let Ok(other) = read(universe, count, &harmed) {
                    assert_ne!(other, values);
                    assert_eq!(
                        write(universe, &other).unwrap(),
                        harmed,
                        "one set, one encoding"
                    );
                }
            }
            let noise: Vec<u8> = (0..999).map(|_| random.next_u64() as u8).collect();
            assert!(read(universe, count, &noise).is_err());
        }
    }
}
