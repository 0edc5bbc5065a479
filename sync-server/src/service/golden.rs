//! For tests of stored values: a value has exactly its golden bytes, and harmed ones are never taken for another.

use std::fmt;

use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::ids::hex;

/// The bytes are never edited, only added.
pub(super) fn check<T: Schema + PartialEq + fmt::Debug>(value: &T, golden: &str) {
    let bytes = codec::encode(value).unwrap();
    assert_eq!(hex(&bytes), golden);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
    check_harmed::<T>(&bytes);
}

/// Cut, longer, of another schema or with a bit changed, bytes are refused, or are a value that has exactly these bytes.
fn check_harmed<T: Schema>(bytes: &[u8]) {
    let fault = |bytes: &[u8]| codec::decode::<T>(bytes).err();
    for cut in 0..bytes.len() {
        assert_eq!(fault(&bytes[..cut]), Some(CodecError::Malformed), "cut at {cut}");
    }
    assert_eq!(fault(&[bytes, &[0]].concat()), Some(CodecError::Malformed));
    let limit = T::BYTES_MAX;
    assert_eq!(fault(&vec![0; limit + 1]), Some(CodecError::TooLarge { limit, got: limit + 1 }));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(value) = codec::decode::<T>(&changed) {
            assert_eq!(codec::encode(&value).unwrap(), changed, "bit {bit}");
        }
    }
}
