//! Brotli (RFC 7932), and nothing else, in one module: what travels of a feed is compressed here and read back, each
//! block with the ones before it as its dictionary.
//!
//! Promises: reading back allocates the length that was declared and checked, and what a window of
//! [`WINDOW_BITS`] costs, whatever the bytes say. Refuses: a larger window, bytes for another length than the one
//! declared, and bytes left over.

use brotli::enc::{BrotliCompressCustomIoCustomDict, BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, IoReaderWrapper, IoWriterWrapper};

use crate::limits::COMPRESS_WINDOW_BYTES;

/// Compresses `bytes`, after `before` that the reader has too.
pub(crate) fn compress(bytes: &[u8], before: &[u8]) -> Vec<u8> {
    let params = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW_BITS,
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut packed = Vec::new();
    let mut input = vec![0; BUFFER_BYTES];
    let mut output = vec![0; BUFFER_BYTES];
    BrotliCompressCustomIoCustomDict(
        &mut IoReaderWrapper(&mut &*bytes),
        &mut IoWriterWrapper(&mut packed),
        &mut input,
        &mut output,
        &params,
        StandardAlloc::default(),
        &mut |_, _, _, _| (),
        dictionary(before),
        std::io::ErrorKind::UnexpectedEof.into(),
    )
    .expect("memory takes what memory gives");
    packed
}

/// Reads back exactly `length` bytes, which the caller has held against a bound.
pub(crate) fn decompress(packed: &[u8], before: &[u8], length: usize) -> Result<Vec<u8>, DecompressFault> {
    // The state would take memory for whatever window the first byte asks for.
    if window_bits(*packed.first().ok_or(DecompressFault)?).is_none_or(|bits| bits > WINDOW_BITS) {
        return Err(DecompressFault);
    }
    let alloc = StandardAlloc::default;
    let dictionary = dictionary(before).to_vec().into();
    let mut state = BrotliState::new_with_custom_dictionary(alloc(), alloc(), alloc(), dictionary);
    let mut bytes = vec![0; length];
    let (mut left_in, mut at_in, mut left_out, mut at_out, mut total) = (packed.len(), 0, length, 0, 0);
    let result = BrotliDecompressStream(
        &mut left_in,
        &mut at_in,
        packed,
        &mut left_out,
        &mut at_out,
        &mut bytes,
        &mut total,
        &mut state,
    );
    match result {
        BrotliResult::ResultSuccess if left_in == 0 && left_out == 0 => Ok(bytes),
        _ => Err(DecompressFault),
    }
}

/// Bytes that are not what [`compress`] makes of that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compressed bytes do not read back")]
pub(crate) struct DecompressFault;

/// What a window holds of what came before.
fn dictionary(before: &[u8]) -> &[u8] {
    before.get(before.len().saturating_sub(COMPRESS_WINDOW_BYTES)..).unwrap_or_default()
}

/// RFC 7932 §9.1: the window that a stream asks for; `None` for the large windows that are no part of it.
fn window_bits(first: u8) -> Option<i32> {
    if first & 1 == 0 {
        return Some(16);
    }
    match i32::from(first >> 1 & 7) {
        0 => match i32::from(first >> 4 & 7) {
            0 => Some(17),
            1 => None,
            bits => Some(8 + bits),
        },
        bits => Some(17 + bits),
    }
}

/// 256 kB: a dictionary of [`COMPRESS_WINDOW_BYTES`] and a block behind it.
const WINDOW_BITS: i32 = 18;
/// Measured on a life of records: within 5 % of zstd's best in a twentieth of its time; docs/adr/0019.
const QUALITY: i32 = 6;
const BUFFER_BYTES: usize = 16 * 1024;
const _: () = assert!(COMPRESS_WINDOW_BYTES + 64 * 1024 < 1 << WINDOW_BITS);

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        (0..)
            .flat_map(|n: u32| format!("Khám {} lần; ", n.wrapping_mul(2_654_435_761) % 977).into_bytes())
            .take(bytes)
            .collect()
    }

    #[test]
    fn what_is_compressed_reads_back_with_what_came_before() {
        let text = text(400_000);
        for before in [0, 1, 5_000, 300_000] {
            for length in [0, 1, 700, 40_000] {
                let (before, rest) = text.split_at(before);
                let packed = compress(&rest[..length], before);
                assert_eq!(decompress(&packed, before, length).unwrap(), rest[..length]);
                assert!(length < 700 || packed.len() < length / 2, "{length}: {}", packed.len());
            }
        }
        let (before, rest) = text.split_at(20_000);
        let repeated = compress(&before[..9_000], before);
        assert!(repeated.len() < 100, "{} bytes for what was there already", repeated.len());
        assert!(repeated.len() * 20 < compress(&rest[..9_000], &[]).len());
    }

    #[test]
    fn other_lengths_cuts_and_what_is_left_over_are_refused() {
        let text = text(5_000);
        let packed = compress(&text, &[]);
        for length in [0, 4_999, 5_001, 40_000] {
            assert_eq!(decompress(&packed, &[], length), Err(DecompressFault));
        }
        for cut in 0..packed.len() {
            assert_eq!(decompress(&packed[..cut], &[], 5_000), Err(DecompressFault));
        }
        assert_eq!(decompress(&[&packed[..], &[0]].concat(), &[], 5_000), Err(DecompressFault));
    }

    #[test]
    fn a_bomb_is_no_longer_than_it_said_and_large_windows_are_refused() {
        let bomb = compress(&vec![0; 50 << 20], &[]);
        assert!(bomb.len() < 2_000, "{} bytes", bomb.len());
        assert_eq!(decompress(&bomb, &[], 40_000), Err(DecompressFault));
        assert_eq!(window_bits(bomb[0]), Some(WINDOW_BITS));
        let mut wide = compress(&text(5_000), &[]);
        // 24 bits: 1, 111.
        wide[0] |= 0x0f;
        assert_eq!(window_bits(wide[0]), Some(24));
        assert_eq!(decompress(&wide, &[], 5_000), Err(DecompressFault));
        assert_eq!(window_bits(0x11), None);
    }
}
