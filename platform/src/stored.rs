//! What a store on disk keeps beside the caller's bytes, so that it notices what its engine does not: an engine that finds
//! a damaged segment drops it without a word, and answers with older values.
//!
//! ```text
//! stored value = CRC-32 of key and value u32, value                     all numbers little-endian
//! tally        = commits u64, pairs u64, sum u64, mark + 1 u64 (0 without a mark)
//! ```
//!
//! The tally changes with every commit and in the same batch: its sum is that of a weight for each pair, so a pair that is
//! missing, left over or of another age is noticed when all pairs are counted again.

/// A value with its checksum.
pub(crate) fn encode_stored(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.len() + size_of::<u32>());
    stored.extend_from_slice(&checksum(key, value).to_le_bytes());
    stored.extend_from_slice(value);
    stored
}

/// The value inside a stored value; `None` when its checksum is not that of `key` and the value.
pub(crate) fn decode_stored<'a>(key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, value) = stored.split_first_chunk()?;
    (u32::from_le_bytes(*sum) == checksum(key, value)).then_some(value)
}

/// What all pairs of a store add up to, and how often it was committed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Commits since the store was made.
    pub(crate) commits: u64,
    /// A number of the caller's that came with the newest commit that had one.
    pub(crate) mark: Option<u64>,
    pairs: u64,
    sum: u64,
}

impl Tally {
    /// Counts a pair in.
    pub(crate) fn add(&mut self, stored: &[u8]) {
        self.pairs = self.pairs.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight(stored));
    }

    /// Counts a pair out.
    pub(crate) fn remove(&mut self, stored: &[u8]) {
        self.pairs = self.pairs.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(weight(stored));
    }

    /// Whether both are of the same pairs.
    pub(crate) fn same_pairs(&self, other: &Self) -> bool {
        (self.pairs, self.sum) == (other.pairs, other.sum)
    }

    /// The bytes of this tally.
    pub(crate) fn encode(&self) -> [u8; TALLY_BYTES] {
        let mark = self.mark.map_or(0, |mark| mark.saturating_add(1));
        let mut bytes = [0; TALLY_BYTES];
        let fields = [self.commits, self.pairs, self.sum, mark];
        for (to, from) in bytes.chunks_exact_mut(size_of::<u64>()).zip(fields) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        bytes
    }

    /// Reads a tally.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; TALLY_BYTES] = bytes.try_into().ok()?;
        let mut fields = bytes
            .chunks_exact(size_of::<u64>())
            .map(|field| field.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
        let mut field = || fields.next();
        let (commits, pairs, sum, mark) = (field()?, field()?, field()?, field()?);
        Some(Self { commits, mark: mark.checked_sub(1), pairs, sum })
    }
}

/// Spreads checksum and length of a pair over 64 bits (the finalizer of SplitMix64), so that sums of few do not meet.
fn weight(stored: &[u8]) -> u64 {
    let sum = stored.first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    let mut mixed = ((stored.len() as u64) << 32 | u64::from(sum)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

const TALLY_BYTES: usize = 4 * size_of::<u64>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_bytes_stay_readable() {
        let stored = encode_stored(b"key", b"value");
        assert_eq!(stored, b"\xe6\xf3\x55\xc6value");
        assert_eq!(decode_stored(b"key", &stored), Some(b"value".as_slice()));
        assert_eq!(decode_stored(b"kez", &stored), None);
        assert_eq!(decode_stored(b"key", &stored[..3]), None);
        let mut tally = Tally { commits: 3, mark: Some(8), ..Tally::default() };
        tally.add(&stored);
        let bytes = tally.encode();
        assert_eq!(bytes[..16], *b"\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0");
        assert_eq!(bytes[16..24], *b"\x3c\x54\xd9\xea\x2d\x49\xbd\x1e");
        assert_eq!(bytes[24..], *b"\x09\0\0\0\0\0\0\0");
        assert_eq!(Tally::decode(&bytes), Some(tally));
        assert_eq!(Tally::decode(&Tally::default().encode()), Some(Tally::default()));
        assert_eq!(Tally::decode(&bytes[1..]), None);
    }

    #[test]
    fn a_tally_is_of_pairs_in_any_order_and_notices_an_older_one() {
        let pairs: Vec<_> = (0..9_u8).map(|number| encode_stored(&[number], b"v")).collect();
        let (mut there, mut back) = (Tally::default(), Tally::default());
        pairs.iter().for_each(|pair| there.add(pair));
        pairs.iter().rev().for_each(|pair| back.add(pair));
        assert!(there.same_pairs(&back));
        back.remove(&pairs[4]);
        assert!(!there.same_pairs(&back));
        back.add(&encode_stored(&[4], b"older"));
        assert!(!there.same_pairs(&back));
        pairs.iter().for_each(|pair| there.remove(pair));
        assert!(there.same_pairs(&Tally::default()));
    }
}
