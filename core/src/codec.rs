//! bincode, and nothing else, in one module: frames between our own programs and values in our stores. Never what is
//! signed (docs/adr/0006). A schema number stands before the bytes, integers have fixed width, reading is from slices
//! under a limit, and bytes left over are refused. One frozen struct a schema number: a changed struct is a new one.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type with frozen bytes.
pub trait Schema: Serialize + DeserializeOwned {
    /// Stands before the bytes, little-endian; never reused for other bytes.
    const SCHEMA: u16;
    /// Bytes at most, schema number included.
    const BYTES_MAX: usize;

    /// Reads a value from bytes of the schema that this one took the place of. Without one, every other number is unknown.
    fn decode_older(found: u16, _bytes: &[u8]) -> Result<Self, CodecError> {
        Err(CodecError::UnknownSchema { found, known: Self::SCHEMA })
    }
}

/// Gives structs their schema numbers and bounds, a line each: `Name 130 BYTES_MAX;`.
#[macro_export]
macro_rules! schemas {
    ($($name:ident $number:literal $bytes_max:expr;)*) => {
        $(impl $crate::codec::Schema for $name {
            const SCHEMA: u16 = $number;
            const BYTES_MAX: usize = $bytes_max;
        })*
    };
}

/// Why bytes are not a value of the expected schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A schema number that this version does not know.
    #[error("schema {found} where {known} is known")]
    UnknownSchema {
        /// In the bytes.
        found: u16,
        /// Ours.
        known: u16,
    },
    /// More bytes than the type may have.
    #[error("{got} bytes, at most {limit} allowed")]
    TooLarge {
        /// The bound.
        limit: usize,
        /// The length found.
        got: usize,
    },
    /// Cut short, left over, or not of the type's form.
    #[error("malformed bytes")]
    Malformed,
}

/// Schema number and value. An error says that the value is larger than its type allows.
pub fn encode<T: Schema>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = T::SCHEMA.to_le_bytes().to_vec();
    options(T::BYTES_MAX).serialize_into(&mut bytes, value).map_err(|_| {
        let got = options(usize::MAX).serialized_size(value).unwrap_or(u64::MAX);
        CodecError::TooLarge { limit: T::BYTES_MAX, got: usize::try_from(got).unwrap_or(usize::MAX) }
    })?;
    Ok(bytes)
}

/// Reads a value of `T`'s schema, or of one that it replaced, from exactly these bytes.
pub fn decode<T: Schema>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > T::BYTES_MAX {
        return Err(CodecError::TooLarge { limit: T::BYTES_MAX, got: bytes.len() });
    }
    let (schema, body) = bytes.split_first_chunk().ok_or(CodecError::Malformed)?;
    let found = u16::from_le_bytes(*schema);
    if found != T::SCHEMA {
        return T::decode_older(found, bytes);
    }
    options(T::BYTES_MAX).deserialize(body).map_err(|_| CodecError::Malformed)
}

fn options(limit: usize) -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(limit as u64)
        .reject_trailing_bytes()
}

/// For tests of types that travel inside others: their bytes without a schema number.
#[cfg(test)]
pub(crate) mod bare {
    use super::*;

    pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
        options(usize::MAX).serialize(value).unwrap()
    }

    pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        options(usize::MAX).deserialize(bytes).map_err(|_| CodecError::Malformed)
    }
}
