//! Header and frames of a journal as bytes; drawn in [`crate::journal`].

use bhyt_core::limits::JOURNAL_FRAME_BYTES_MAX;

use crate::batch_bytes::encode_batch;
use crate::kv::Batch;

/// The start of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Number of the commit whose state the snapshot is; 0 for the empty one.
    pub(crate) base: u64,
    /// Bytes of the snapshot frames.
    pub(crate) snapshot_bytes: u64,
}

/// Why a header was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Not a header of a journal, or a damaged one.
    Malformed,
    /// A newer program wrote it.
    NewerSchema(u32),
}

impl Header {
    /// The bytes of this header.
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (fields, sum) = bytes.split_at_mut(HEADER_BYTES - 4);
        let parts: [&[u8]; 4] =
            [MAGIC, &SCHEMA.to_le_bytes(), &self.base.to_le_bytes(), &self.snapshot_bytes.to_le_bytes()];
        for (to, from) in fields.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        sum.copy_from_slice(&crc32fast::hash(fields).to_le_bytes());
        bytes
    }

    /// Reads a header. Magic and schema stay where they are in every schema, so that a newer one is told.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let fields = Self::decode_fields(bytes).ok_or(HeaderError::Malformed)?;
        let (magic, schema, header, sum, computed) = fields;
        if magic != MAGIC {
            return Err(HeaderError::Malformed);
        }
        if schema > SCHEMA {
            return Err(HeaderError::NewerSchema(schema));
        }
        if schema != SCHEMA || sum != computed {
            return Err(HeaderError::Malformed);
        }
        Ok(header)
    }

    fn decode_fields(bytes: &[u8; HEADER_BYTES]) -> Option<(&[u8], u32, Self, u32, u32)> {
        let (fields, sum) = bytes.split_last_chunk()?;
        let (magic, rest) = fields.split_at_checked(MAGIC.len())?;
        let (schema, rest) = rest.split_first_chunk()?;
        let (base, rest) = rest.split_first_chunk()?;
        let (snapshot_bytes, _) = rest.split_first_chunk()?;
        let header =
            Self { base: u64::from_le_bytes(*base), snapshot_bytes: u64::from_le_bytes(*snapshot_bytes) };
        let schema = u32::from_le_bytes(*schema);
        Some((magic, schema, header, u32::from_le_bytes(*sum), crc32fast::hash(fields)))
    }
}

/// What stands before the payload of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Bytes of the payload.
    pub(crate) length: u32,
    /// Number of the commit.
    pub(crate) number: u64,
    sum: u32,
}

impl FrameHead {
    /// Reads a frame head; any bytes are one.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEAD_BYTES]) -> Self {
        let [l0, l1, l2, l3, n0, n1, n2, n3, n4, n5, n6, n7, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            number: u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            sum: u32::from_le_bytes([s0, s1, s2, s3]),
        }
    }

    /// Whether `payload` is what this head was written for.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && self.sum == frame_sum(self.number, payload)
    }
}

/// A whole frame.
pub(crate) fn encode_frame(number: u64, batch: &Batch) -> Vec<u8> {
    let mut frame = vec![0; FRAME_HEAD_BYTES];
    encode_batch(batch, &mut frame);
    let (head, payload) = frame.split_at_mut(FRAME_HEAD_BYTES);
    let length = u32::try_from(payload.len()).expect("a batch stays below the frame limit");
    let sum = frame_sum(number, payload);
    let parts: [&[u8]; 3] = [&length.to_le_bytes(), &number.to_le_bytes(), &sum.to_le_bytes()];
    head.copy_from_slice(&parts.concat());
    frame
}

/// The highest frame number above `floor` and up to `ceiling` of the whole frames anywhere in `bytes`.
///
/// Looks at every offset, because after damage nobody knows where frames start.
pub(crate) fn newest_frame(bytes: &[u8], floor: u64, ceiling: u64) -> Option<u64> {
    let mut newest = None;
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk() {
        let head = FrameHead::decode(head);
        let length = head.length as usize;
        let plausible = length <= JOURNAL_FRAME_BYTES_MAX && head.number > floor && head.number <= ceiling;
        rest = match behind.split_at_checked(length).filter(|_| plausible) {
            Some((payload, after)) if head.fits(payload) => {
                newest = newest.max(Some(head.number));
                after
            }
            _ => rest.get(1..).unwrap_or_default(),
        };
    }
    newest
}

fn frame_sum(number: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Schema of the journals this program writes.
pub(crate) const SCHEMA: u32 = 1;
/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes before the payload of a frame.
pub(crate) const FRAME_HEAD_BYTES: usize = 16;
const MAGIC: &[u8] = b"BHYTJRNL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stays_readable_and_no_bit_of_it_may_change() {
        let header = Header { base: 7, snapshot_bytes: 300 };
        let bytes = header.encode();
        assert_eq!(bytes[..28], *b"BHYTJRNL\x01\0\0\0\x07\0\0\0\0\0\0\0\x2c\x01\0\0\0\0\0\0");
        assert_eq!(Header::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged).is_err(), "bit {bit}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        assert_eq!(Header::decode(&newer), Err(HeaderError::NewerSchema(2)));
    }

    #[test]
    fn a_frame_stays_readable() {
        let mut batch = Batch::new();
        batch.put(b"k", b"v").unwrap();
        let frame = encode_frame(5, &batch);
        let (head, payload) = frame.split_first_chunk().unwrap();
        assert_eq!(*head, *b"\x0b\0\0\0\x05\0\0\0\0\0\0\0\xe8\x8d\xe8\x18");
        assert_eq!(payload, b"\x01\0\x01\x01\0k\x01\0\0\0v");
        assert!(FrameHead::decode(head).fits(payload));
    }

    #[test]
    fn whole_frames_are_found_wherever_they_start() {
        let mut batch = Batch::new();
        batch.put(b"k", b"v").unwrap();
        let (first, second) = (encode_frame(5, &batch), encode_frame(6, &batch));
        for shift in 0..40 {
            let mut bytes = vec![0xee; shift];
            bytes.extend_from_slice(&first);
            bytes.extend_from_slice(&second);
            assert_eq!(newest_frame(&bytes, 4, 100), Some(6));
            assert_eq!(newest_frame(&bytes, 4, 5), Some(5));
            assert_eq!(newest_frame(&bytes, 6, 100), None);
            assert_eq!(newest_frame(&bytes[..bytes.len() - 1], 4, 100), Some(5));
        }
    }
}
