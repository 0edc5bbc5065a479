//! A batch as bytes, for the journal and for a server's backup.
//!
//! ```text
//! batch  = count u16, count × write          all numbers little-endian
//! write  = 0 u8, key length u16, key                                  a removal
//!        | 1 u8, key length u16, key, value length u32, value         a new value
//! ```
//!
//! Keys ascend, so a batch has one form. Decoding refuses every other: bounds exceeded, keys out of order, bytes left.

use crate::kv::Batch;

/// The bytes of `batch`, appended to `out`.
pub fn encode_batch(batch: &Batch, out: &mut Vec<u8>) {
    out.extend_from_slice(&number::<u16>(batch.len()).to_le_bytes());
    for (key, value) in batch.iter() {
        out.push(if value.is_some() { PUT } else { DELETE });
        out.extend_from_slice(&number::<u16>(key.len()).to_le_bytes());
        out.extend_from_slice(key);
        if let Some(value) = value {
            out.extend_from_slice(&number::<u32>(value.len()).to_le_bytes());
            out.extend_from_slice(value);
        }
    }
}

/// The batch that `bytes` are the one form of.
pub fn decode_batch(bytes: &[u8]) -> Option<Batch> {
    let mut batch = Batch::new();
    let (count, mut rest) = split_u16(bytes)?;
    let mut key_before: Option<&[u8]> = None;
    for _ in 0..count {
        let (kind, after_kind) = rest.split_first()?;
        let (key_length, after_length) = split_u16(after_kind)?;
        let (key, after_key) = after_length.split_at_checked(key_length.into())?;
        if key_before.is_some_and(|before| before >= key) {
            return None;
        }
        key_before = Some(key);
        rest = match *kind {
            DELETE => {
                batch.delete(key).ok()?;
                after_key
            }
            PUT => {
                let (length, after_length) = after_key.split_first_chunk()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let (value, after_value) = after_length.split_at_checked(length)?;
                batch.put(key, value).ok()?;
                after_value
            }
            _ => return None,
        };
    }
    rest.is_empty().then_some(batch)
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_le_bytes(*number), rest))
}

/// Lengths inside a batch are bounded when it is built.
fn number<N: TryFrom<usize>>(length: usize) -> N {
    N::try_from(length).ok().expect("a batch checks its bounds when it is built")
}

const DELETE: u8 = 0;
const PUT: u8 = 1;

#[cfg(test)]
mod tests {
    use bhyt_core::limits::{BATCH_KEYS_MAX, JOURNAL_FRAME_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

    use super::*;

    fn encoded(batch: &Batch) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_batch(batch, &mut bytes);
        bytes
    }

    fn small() -> Batch {
        let mut batch = Batch::new();
        batch.put(b"b", b"value").unwrap();
        batch.delete(b"a").unwrap();
        batch.put(b"", b"").unwrap();
        batch
    }

    #[test]
    fn these_bytes_stay_readable() {
        let bytes = b"\x03\0\x01\0\0\0\0\0\0\0\x01\0a\x01\x01\0b\x05\0\0\0value";
        assert_eq!(encoded(&small()), bytes);
        assert_eq!(decode_batch(bytes), Some(small()));
    }

    #[test]
    fn the_largest_batch_fits_a_frame() {
        let mut batch = Batch::new();
        for number in 0..BATCH_KEYS_MAX {
            let mut key = vec![0xff; KEY_BYTES_MAX - 2];
            key.extend_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
            batch.put(&key, &vec![7; VALUE_BYTES_MAX]).unwrap();
        }
        let bytes = encoded(&batch);
        assert_eq!(bytes.len(), JOURNAL_FRAME_BYTES_MAX);
        assert_eq!(decode_batch(&bytes), Some(batch));
    }

    #[test]
    fn every_other_form_is_refused() {
        let good = encoded(&small());
        for length in 0..good.len() {
            assert_eq!(decode_batch(&good[..length]), None, "cut to {length}");
        }
        let longer = [good.as_slice(), b"\0"].concat();
        assert_eq!(decode_batch(&longer), None);
        for bad in [
            b"\x02\0\0\x01\0b\0\x01\0a".as_slice(),
            b"\x02\0\0\x01\0a\0\x01\0a",
            b"\x01\0\x02\x01\0a",
            b"\x01\0\0\x01\x01",
            b"\xff\xff",
        ] {
            assert_eq!(decode_batch(bad), None, "{bad:?}");
        }
    }
}
