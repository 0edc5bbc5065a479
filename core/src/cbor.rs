//! Deterministic CBOR (RFC 8949 §4.2.1). [`check_deterministic`] refuses everything that would not re-encode to the
//! same bytes; after it, minicbor reads the values. Refuses floats, indefinite lengths, undefined and unassigned
//! simple values, and tags but the outermost: nothing of ours carries them.

use minicbor::{Decoder, Encoder};

use crate::limits::CBOR_DEPTH_MAX;

/// Why bytes are not an object of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not of the form that the format prescribes; the text names the object or rule.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Well-formed, and from a newer version that this program does not understand.
    #[error("made by a newer version")]
    NeedsUpdate,
}

impl From<minicbor::decode::Error> for DecodeError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed("unexpected CBOR item")
    }
}

/// Checks that `bytes` is exactly one deterministic CBOR item, at most [`CBOR_DEPTH_MAX`] deep.
pub fn check_deterministic(bytes: &[u8]) -> Result<(), DecodeError> {
    match check_item(bytes, CBOR_DEPTH_MAX)? {
        [] => Ok(()),
        _ => Err(DecodeError::Malformed("bytes after the end")),
    }
}

/// A decoder over one deterministic item: checks first, reads after.
pub fn decoder(bytes: &[u8]) -> Result<Decoder<'_>, DecodeError> {
    check_deterministic(bytes)?;
    Ok(Decoder::new(bytes))
}

/// Builds bytes with a minicbor encoder, whose heads are always the shortest. Callers write map keys in order.
pub fn encode(build: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> EncodeResult) -> Vec<u8> {
    let mut bytes = Vec::new();
    build(&mut Encoder::new(&mut bytes)).expect("writing to a Vec cannot fail");
    bytes
}

/// What a closure given to [`encode`] returns.
pub type EncodeResult = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

/// Whether a map reader knew a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The value was read.
    Known,
    /// The value was left unread.
    Unknown,
}

/// Reads a map with integer keys. `read` is called with each key and reads its value if it knows it. Unknown keys
/// ≥ 0 are skipped, an unknown negative one is [`DecodeError::NeedsUpdate`]: the extension rule of the formats.
pub fn read_map<'b>(
    decoder: &mut Decoder<'b>,
    mut read: impl FnMut(i64, &mut Decoder<'b>) -> Result<Key, DecodeError>,
) -> Result<(), DecodeError> {
    let length = decoder.map()?.ok_or(DecodeError::Malformed("indefinite map"))?;
    for _ in 0..length {
        // No key of any object is near the ends: one that no i64 holds is as unknown as they are.
        let key = i128::from(decoder.int()?).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        match read(key, decoder)? {
            Key::Known => {}
            Key::Unknown if key >= 0 => decoder.skip()?,
            Key::Unknown => return Err(DecodeError::NeedsUpdate),
        }
    }
    Ok(())
}

/// Reads an array head and refuses any other length than `length`.
pub fn read_array(decoder: &mut Decoder<'_>, length: u64, what: &'static str) -> Result<(), DecodeError> {
    match decoder.array()? {
        Some(found) if found == length => Ok(()),
        _ => Err(DecodeError::Malformed(what)),
    }
}

/// Reads a byte string of exactly `N` bytes.
pub fn read_bytes<const N: usize>(
    decoder: &mut Decoder<'_>,
    what: &'static str,
) -> Result<[u8; N], DecodeError> {
    decoder.bytes()?.try_into().map_err(|_| DecodeError::Malformed(what))
}

fn check_item(bytes: &[u8], depth: usize) -> Result<&[u8], DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::Malformed("nested too deep"))?;
    let (major, argument, mut rest) = read_head(bytes)?;
    match major {
        0 | 1 => Ok(rest),
        2 | 3 => {
            let length = usize::try_from(argument).map_err(|_| TRUNCATED)?;
            let (content, rest) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
            let is_text = major == 2 || std::str::from_utf8(content).is_ok();
            is_text.then_some(rest).ok_or(DecodeError::Malformed("text is not UTF-8"))
        }
        4 => {
            for _ in 0..argument {
                rest = check_item(rest, depth)?;
            }
            Ok(rest)
        }
        5 => check_entries(rest, argument, depth),
        // A tag names a whole COSE structure, and nothing inside one has any.
        6 if depth == CBOR_DEPTH_MAX - 1 => check_item(rest, depth),
        6 => Err(DecodeError::Malformed("a tag inside")),
        // false, true, null
        7 if (20..=22).contains(&argument) && bytes.first() == Some(&(0xe0 | argument as u8)) => Ok(rest),
        _ => Err(DecodeError::Malformed("simple value or float")),
    }
}

/// RFC 8949 §4.2.1: "The keys in every map MUST be sorted in the bytewise lexicographic order of their
/// deterministic encodings." Strictly ascending keys also rule out duplicates.
fn check_entries(bytes: &[u8], count: u64, depth: usize) -> Result<&[u8], DecodeError> {
    let (mut rest, mut previous): (&[u8], &[u8]) = (bytes, &[]);
    for _ in 0..count {
        let after_key = check_item(rest, depth)?;
        let key = rest.get(..rest.len() - after_key.len()).ok_or(TRUNCATED)?;
        if !previous.is_empty() && previous >= key {
            return Err(DecodeError::Malformed("map keys not in order"));
        }
        previous = key;
        rest = check_item(after_key, depth)?;
    }
    Ok(rest)
}

/// Major type, argument and what follows. RFC 8949 §4.2.1: "preferred serialization MUST be used", so a longer head
/// than the argument needs is refused, and so are the indefinite and reserved forms 28 to 31.
fn read_head(bytes: &[u8]) -> Result<(u8, u64, &[u8]), DecodeError> {
    let (&first, rest) = bytes.split_first().ok_or(TRUNCATED)?;
    let (major, info) = (first >> 5, first & 0x1f);
    let length = match info {
        0..=23 => return Ok((major, u64::from(info), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(DecodeError::Malformed("indefinite length")),
    };
    let (argument, rest) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    let argument = argument.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    let shortest = match length {
        1 => argument >= 24,
        2 => argument > 0xff,
        4 => argument > 0xffff,
        _ => argument > 0xffff_ffff,
    };
    shortest.then_some((major, argument, rest)).ok_or(DecodeError::Malformed("not the shortest form"))
}

const TRUNCATED: DecodeError = DecodeError::Malformed("cut short");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::from_hex;

    #[test]
    fn deterministic_items_pass_and_others_do_not() {
        let check = |hex: &str, good: bool| {
            assert_eq!(check_deterministic(&from_hex(hex).unwrap()).is_ok(), good, "{hex}");
        };
        for good in [
            "00",
            "1818",
            "3a00010000",
            "40",
            "43010203",
            "80",
            "a10102",
            "a2012002f6",
            "d28301f5f4",
            "62c3bc",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            "1817",
            "190018",
            "1a00000018",
            "1b0000000000000001", // longer heads than needed
            "5f4101ff",
            "9f01ff",
            "bf0102ff", // indefinite
            "a201020103",
            "a202010103",
            "a220010102", // duplicate and unordered keys
            "f7",
            "f0",
            "f814",
            "f93c00",
            "fb3ff0000000000000", // undefined, simple, float
            "d2d200",
            "81d200",
            "a100c100", // a tag inside
            "0000",
            "42aa",
            "8201",
            "61ff",
            "5b7fffffffffffffff00",
            "9b7fffffffffffffff00",
            "1c",
        ] {
            check(bad, false);
        }
        check(&format!("{}00", "81".repeat(CBOR_DEPTH_MAX - 1)), true);
        check(&format!("{}00", "81".repeat(CBOR_DEPTH_MAX)), false);
        check(&"81".repeat(2_000), false);
    }
}
