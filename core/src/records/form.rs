//! The common form of record bodies: a deterministic CBOR map with small integer keys, whose fields are listed once, so
//! that writer and reader cannot disagree.
//!
//! Promises: whatever is read is written back to the same bytes, but for unknown keys ≥ 0, which are left out. Refuses
//! bodies over their bound before anything is read, arrays over theirs before memory is taken, empty arrays (they are left
//! out instead), and null.

use minicbor::{Decoder, Encoder};

use crate::cbor::{DecodeError, EncodeResult};
use crate::ids::FacilityCode;
use crate::record::Seq;
use crate::time::{Day, UnixSeconds};

/// Where values are written.
pub(super) type Writer<'a> = Encoder<&'a mut Vec<u8>>;

/// A type that stands at one key.
pub(super) trait Value: Sized {
    /// Writes it.
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult;
    /// Reads and parses it.
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError>;
    /// How many of it an array holds at most.
    const COUNT_MAX: usize = 0;
}

/// A field of a map: a value that must be there, may be there, or is there several times.
pub(super) trait Field: Sized {
    /// Whether it takes a key.
    fn is_there(&self) -> bool;
    /// Writes the value.
    fn write_field(&self, e: &mut Writer<'_>) -> EncodeResult;
    /// Reads the value.
    fn read_field(d: &mut Decoder<'_>) -> Result<Self, DecodeError>;
    /// What a map without the key says; `None` when it must be there.
    fn absent() -> Option<Self>;
}

impl<T: Value> Field for T {
    fn is_there(&self) -> bool {
        true
    }
    fn write_field(&self, e: &mut Writer<'_>) -> EncodeResult {
        self.write(e)
    }
    fn read_field(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::read(d)
    }
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Value> Field for Option<T> {
    fn is_there(&self) -> bool {
        self.is_some()
    }
    fn write_field(&self, e: &mut Writer<'_>) -> EncodeResult {
        self.as_ref().map_or(Ok(()), |value| value.write(e))
    }
    fn read_field(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::read(d).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Value> Field for Vec<T> {
    fn is_there(&self) -> bool {
        !self.is_empty()
    }
    fn write_field(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.array(self.len() as u64)?;
        self.iter().try_for_each(|value| value.write(e))
    }
    fn read_field(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let count = d.array()?.and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| (1..=T::COUNT_MAX).contains(count));
        (0..count.ok_or(DecodeError::Malformed("count of a list"))?).map(|_| T::read(d)).collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// Gives a struct its map: `key field` a line, keys ascending. `body` gives it `encode` and `decode` besides, for a whole
/// record; `value` lets it stand inside of another.
macro_rules! map_form {
    (body $name:ident { $($key:literal $field:ident),* $(,)? }) => {
        $crate::records::form::map_form!(value $name { $($key $field),* });

        impl $name {
            /// The body's bytes: deterministic CBOR, `docs/formats.md` 6.
            pub fn encode(&self) -> Vec<u8> {
                $crate::cbor::encode(|e| $crate::records::form::Value::write(self, e))
            }

            /// Reads a body.
            ///
            /// # Errors
            /// [`DecodeError::NeedsUpdate`](crate::cbor::DecodeError::NeedsUpdate) for what a newer version wrote.
            pub fn decode(bytes: &[u8]) -> Result<Self, $crate::cbor::DecodeError> {
                if bytes.len() > $crate::limits::BODY_BYTES_MAX {
                    return Err($crate::cbor::DecodeError::Malformed("body over its bound"));
                }
                $crate::records::form::Value::read(&mut $crate::cbor::decoder(bytes)?)
            }
        }
    };
    (value $name:ident $(, at most $most:path)? { $($key:literal $field:ident),* $(,)? }) => {
        impl $crate::records::form::Value for $name {
            fn write(&self, e: &mut $crate::records::form::Writer<'_>) -> $crate::cbor::EncodeResult {
                use $crate::records::form::Field;
                let count = [$(self.$field.is_there()),*].into_iter().filter(|is_there| *is_there).count();
                e.map(count as u64)?;
                $(if self.$field.is_there() {
                    e.u8($key)?;
                    self.$field.write_field(e)?;
                })*
                Ok(())
            }

            fn read(d: &mut minicbor::Decoder<'_>) -> Result<Self, $crate::cbor::DecodeError> {
                use $crate::cbor::{DecodeError, Key, read_map};
                use $crate::records::form::Field;
                $(let mut $field = None;)*
                read_map(d, |key, d| {
                    match key {
                        $($key => $field = Some(Field::read_field(d)?),)*
                        _ => return Ok(Key::Unknown),
                    }
                    Ok(Key::Known)
                })?;
                let missing = DecodeError::Malformed(concat!(stringify!($name), " without a field"));
                Ok(Self { $($field: $field.or_else(Field::absent).ok_or(missing)?),* })
            }

            $(const COUNT_MAX: usize = $most;)?
        }
    };
}
pub(super) use map_form;

impl Value for FacilityCode {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.str(self.as_str())?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::parse(d.str()?).ok_or(DecodeError::Malformed("facility code"))
    }
}

impl Value for Day {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.i64(self.days())?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::from_days(d.i64()?).ok_or(DecodeError::Malformed("day"))
    }
}

impl Value for UnixSeconds {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.u64(self.0)?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self(d.u64()?))
    }
}

impl Value for Seq {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.u64(self.0)?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self(d.u64()?))
    }
}

impl Value for u16 {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.u16(*self)?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(d.u16()?)
    }
}

impl<const N: usize> Value for [u8; N] {
    fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
        e.bytes(self)?.ok()
    }
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        crate::cbor::read_bytes(d, "byte string of another length")
    }
}
