//! Bits in and out of bytes, the most significant bit of each byte first. Knows nothing of what the bits mean.
//! Reading past the end is an answer (`None`), never a panic; the last byte is filled up with zero bits.

/// Appends bits to a growing buffer.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits not yet in `bytes`, left-aligned; what lies behind them is zero.
    pending: u64,
    /// How many bits are pending, below 64 between calls.
    pending_bits: u32,
}

impl BitWriter {
    /// Most bits that one [`BitWriter::put`] takes.
    pub(super) const PUT_BITS_MAX: u32 = 63;

    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), pending: 0, pending_bits: 0 }
    }

    /// Appends the low `count` bits of `bits`; the others must be zero, and `count` in 1..=63.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!((1..=Self::PUT_BITS_MAX).contains(&count) && bits >> count == 0);
        let free = 64 - self.pending_bits;
        if count < free {
            self.pending |= bits << (free - count);
            self.pending_bits += count;
        } else {
            let over = count - free;
            self.bytes.extend_from_slice(&(self.pending | bits >> over).to_be_bytes());
            // Two shifts, because `over` may be 0 and a shift by 64 is not defined.
            self.pending = bits << (63 - over) << 1;
            self.pending_bits = over;
        }
    }

    /// Bits written so far.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.pending_bits)
    }

    /// The bytes, the last one filled up with zero bits.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let rest = self.pending.to_be_bytes();
        self.bytes.extend(rest.iter().take(self.pending_bits.div_ceil(8) as usize));
        self.bytes
    }
}

/// Reads bits through a 64-bit window.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The first byte that is not counted in `valid` yet.
    next: usize,
    /// The coming bits, left-aligned. Behind the valid ones stand true bits of `bytes` or zeros, never others.
    window: u64,
    /// How many bits of the window may be consumed, never 64.
    valid: u32,
}

impl<'a> BitReader<'a> {
    /// Starts at bit `position`; a position behind the end reads as the end.
    pub(super) fn at(bytes: &'a [u8], position: u64) -> Self {
        let next = usize::try_from(position / 8).unwrap_or(usize::MAX).min(bytes.len());
        let mut reader = Self { bytes, next, window: 0, valid: 0 };
        reader.refill();
        let skipped = ((position % 8) as u32).min(reader.valid);
        reader.consume(skipped);
        reader
    }

    /// Tops the window up: at least 56 valid bits, or all that are left.
    #[inline]
    pub(super) fn refill(&mut self) {
        let Some(chunk) = self.bytes.get(self.next..).and_then(<[u8]>::first_chunk::<8>) else {
            *self = self.clone().refilled_at_end();
            return;
        };
        self.window |= u64::from_be_bytes(*chunk) >> self.valid;
        let whole = (63 - self.valid) / 8;
        self.next += whole as usize;
        self.valid += whole * 8;
    }

    /// The coming bits, left-aligned; only the first [`BitReader::valid`] of them count.
    #[inline]
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Bits of the window that may be consumed.
    #[inline]
    pub(super) fn valid(&self) -> u32 {
        self.valid
    }

    /// Steps over `count` bits, at most [`BitReader::valid`] of them.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        debug_assert!(count <= self.valid);
        self.window <<= count;
        self.valid -= count;
    }

    /// The length of the coming run of zero bits, stepping over it and the one bit behind it.
    pub(super) fn take_zeros(&mut self) -> Option<u64> {
        let mut zeros = 0;
        loop {
            self.refill();
            let run = self.window.leading_zeros();
            if run < self.valid {
                self.consume(run + 1);
                return Some(zeros + u64::from(run));
            }
            if self.valid == 0 {
                return None;
            }
            zeros += u64::from(self.valid);
            self.consume(self.valid);
        }
    }

    /// The coming `count` bits as a number; `count` at most 56.
    pub(super) fn take(&mut self, count: u32) -> Option<u64> {
        self.refill();
        if count > self.valid {
            return None;
        }
        let value = self.window.checked_shr(64 - count).unwrap_or(0);
        self.consume(count);
        Some(value)
    }

    /// Bits read so far.
    pub(super) fn position(&self) -> u64 {
        self.next as u64 * 8 - u64::from(self.valid)
    }

    /// By value, like everything rare here: a reader whose address is never taken stays in registers.
    #[cold]
    fn refilled_at_end(mut self) -> Self {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let whole = (rest.len() as u32).min((63 - self.valid) / 8);
        let mut chunk = [0; 8];
        for (to, from) in chunk.iter_mut().zip(rest) {
            *to = *from;
        }
        self.window |= u64::from_be_bytes(chunk) >> self.valid;
        self.next += whole as usize;
        self.valid += whole * 8;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::testing::Lcg;

    #[test]
    fn what_was_put_is_taken() {
        let mut random = Lcg::new(1);
        for _ in 0..200 {
            let fields: Vec<(u64, u32)> = (0..random.below(100))
                .map(|_| {
                    let count = 1 + random.below(56) as u32;
                    (random.next_u64() >> (64 - count), count)
                })
                .collect();
            let mut writer = BitWriter::with_capacity(0);
            fields.iter().for_each(|&(bits, count)| writer.put(bits, count));
            let length = writer.position();
            let bytes = writer.finish();
            assert_eq!(bytes.len() as u64, length.div_ceil(8));
            let mut reader = BitReader::at(&bytes, 0);
            let mut position = 0;
            for (bits, count) in fields {
                assert_eq!(reader.position(), position);
                assert_eq!(BitReader::at(&bytes, position).take(count), Some(bits));
                assert_eq!(reader.take(count), Some(bits));
                position += u64::from(count);
            }
            assert_eq!(reader.take(56), None);
        }
    }

    #[test]
    fn runs_of_zeros_are_counted_over_windows() {
        for run in [0_u64, 1, 7, 55, 56, 57, 63, 64, 65, 1_000] {
            let mut writer = BitWriter::with_capacity(0);
            (0..run).for_each(|_| writer.put(0, 1));
            writer.put(1, 1);
            let bytes = writer.finish();
            let mut reader = BitReader::at(&bytes, 0);
            assert_eq!(reader.take_zeros(), Some(run));
            assert_eq!(reader.position(), run + 1);
            assert_eq!(reader.take_zeros(), None, "padding is no code");
            assert_eq!(BitReader::at(&bytes, run + 99).take_zeros(), None);
        }
    }
}
