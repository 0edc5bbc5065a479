//! Columns of an Automerge change: runs of values, read under a bound.
//!
//! A run says how often a value stands there, so ten bytes can stand for 2^60 rows, and Automerge would walk them all. Here
//! rows are counted before they are made.

use super::chunk::ChunkError;

/// Reads numbers and bytes from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], ChunkError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ChunkError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ChunkError> {
        self.take(N)?.try_into().map_err(|_| ChunkError::Malformed)
    }

    /// LEB128 without a sign, in its shortest form.
    pub(crate) fn unsigned(&mut self) -> Result<u64, ChunkError> {
        let (bytes, last) = self.leb128()?;
        let value = bytes.iter().rev().fold(0_u128, |value, byte| value << 7 | u128::from(byte & 0x7f));
        if bytes.len() > 1 && last == 0 {
            return Err(ChunkError::Malformed);
        }
        u64::try_from(value).map_err(|_| ChunkError::Malformed)
    }

    /// LEB128 with a sign, in its shortest form.
    pub(crate) fn signed(&mut self) -> Result<i64, ChunkError> {
        let (bytes, last) = self.leb128()?;
        let value = bytes.iter().rev().fold(0_i128, |value, byte| value << 7 | i128::from(byte & 0x7f));
        let value = if last & 0x40 == 0 { value } else { value - (1_i128 << (7 * bytes.len())) };
        let before_last = bytes.iter().rev().nth(1).copied().unwrap_or(0);
        let is_overlong = bytes.len() > 1
            && (last == 0 && before_last & 0x40 == 0 || last == 0x7f && before_last & 0x40 != 0);
        if is_overlong {
            return Err(ChunkError::Malformed);
        }
        i64::try_from(value).map_err(|_| ChunkError::Malformed)
    }

    /// A length that is no greater than `max`.
    pub(crate) fn length(&mut self, max: usize) -> Result<usize, ChunkError> {
        usize::try_from(self.unsigned()?).ok().filter(|&length| length <= max).ok_or(ChunkError::TooMany)
    }

    fn leb128(&mut self) -> Result<(&'a [u8], u8), ChunkError> {
        let length = self.0.iter().take(LEB128_BYTES_MAX).position(|byte| byte & 0x80 == 0);
        let bytes = self.take(length.ok_or(ChunkError::Malformed)? + 1)?;
        Ok((bytes, bytes.last().copied().unwrap_or(0)))
    }
}

/// The rows of a run-length column, at most `rows_max`. A row is `None` where the column says null.
pub(crate) fn read_runs<'a, T: Clone>(
    column: &'a [u8],
    rows_max: usize,
    read: impl Fn(&mut Reader<'a>) -> Result<T, ChunkError>,
) -> Result<Vec<Option<T>>, ChunkError> {
    let mut reader = Reader(column);
    let mut rows = Vec::new();
    while !reader.is_empty() {
        let count = reader.signed()?;
        let length = if count == 0 { reader.unsigned()? } else { count.unsigned_abs() };
        let length = usize::try_from(length).ok().filter(|&length| length <= rows_max - rows.len());
        let length = length.ok_or(ChunkError::TooMany)?;
        if count > 0 {
            let value = read(&mut reader)?;
            rows.extend(std::iter::repeat_n(Some(value), length));
        } else if count == 0 {
            rows.extend(std::iter::repeat_n(None, length));
        } else {
            for _ in 0..length {
                rows.push(Some(read(&mut reader)?));
            }
        }
    }
    Ok(rows)
}

/// As [`read_runs`], where no row may be null.
pub(crate) fn read_full_runs<'a, T: Clone>(
    column: &'a [u8],
    rows_max: usize,
    read: impl Fn(&mut Reader<'a>) -> Result<T, ChunkError>,
) -> Result<Vec<T>, ChunkError> {
    read_runs(column, rows_max, read)?.into_iter().map(|row| row.ok_or(ChunkError::Malformed)).collect()
}

/// A column of numbers of which each says how much greater it is than the one before.
pub(crate) fn read_deltas(column: &[u8], rows_max: usize) -> Result<Vec<i64>, ChunkError> {
    let mut value = 0_i64;
    let steps = read_full_runs(column, rows_max, Reader::signed)?;
    let add = |step| {
        value = value.checked_add(step).ok_or(ChunkError::Malformed)?;
        Ok(value)
    };
    steps.into_iter().map(add).collect()
}

/// Bytes of 64 bits in sevens.
const LEB128_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        let unsigned = |bytes: &[u8]| Reader(bytes).unsigned();
        assert_eq!(unsigned(&[0]), Ok(0));
        assert_eq!(unsigned(&[0xe5, 0x8e, 0x26]), Ok(624_485));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        for bad in [&[][..], &[0x80], &[0x80, 0], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(unsigned(bad), Err(ChunkError::Malformed), "{bad:?}");
        }
        let signed = |bytes: &[u8]| Reader(bytes).signed();
        assert_eq!(signed(&[0x7f]), Ok(-1));
        assert_eq!(signed(&[0xc0, 0xbb, 0x78]), Ok(-123_456));
        assert_eq!(signed(&[0xff, 0]), Ok(127));
        for bad in [&[0xff_u8, 0x7f][..], &[0x80, 0], &[0x80; 10]] {
            assert_eq!(signed(bad), Err(ChunkError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn rows_are_counted_before_they_are_made() {
        let runs = |bytes: &[u8]| read_runs(bytes, 8, Reader::unsigned);
        assert_eq!(runs(&[3, 7, 0x7e, 1, 2, 0, 2]).unwrap().len(), 7);
        assert_eq!(runs(&[9, 7]), Err(ChunkError::TooMany));
        assert_eq!(runs(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), Err(ChunkError::TooMany));
        assert_eq!(runs(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 1]), Err(ChunkError::TooMany));
        assert_eq!(runs(&[8, 7, 0x7f, 1]), Err(ChunkError::TooMany));
        let lowest = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
        assert_eq!(runs(&lowest), Err(ChunkError::TooMany));
        assert_eq!(read_deltas(&[2, 3, 0x7f, 0x7e], 8), Ok(vec![3, 6, 4]));
    }
}
