//! A member's pairs in one value: the engine of the embedded store takes its time, its memory and its space by the key,
//! and what it holds of a member is small and read and written together.
//!
//! To its caller this is the [`Kv`] inside. Keys `'m' member:16 suffix` stand in the member's row while that has at most
//! [`ROW_BYTES_MAX`] bytes, else under keys of their own; a pair that is not written does not move. One thread writes.
//!
//! ```text
//! row = beside u8, n × (suffix length u8, suffix, value length u16, value)
//! ```
//!
//! Suffixes ascend, lengths are little-endian. `beside` is 1 once a pair has been put beside the row: else nobody looks for
//! one there. Such a row stays, though it be empty.

use std::collections::BTreeMap;

use bhyt_core::limits::{BATCH_KEYS_MAX, VALUE_BYTES_MAX};
use bhyt_platform::kv::{Batch, Kv, Pair, StoreError};

use super::layout::MEMBER_TAG;

/// A store whose members have rows.
#[derive(Debug)]
pub(super) struct MemberRows<K> {
    inner: K,
}

impl<K: Kv> MemberRows<K> {
    pub(super) fn new(inner: K) -> Self {
        Self { inner }
    }

    /// The pairs of one member whose keys start with `prefix`, which is at least the row's key.
    fn scan_member(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        let (row_key, _) = prefix.split_at_checked(ROW_KEY_BYTES).unwrap_or((prefix, &[]));
        let row = self.inner.get(row_key)?.unwrap_or_default();
        let mut beside = Vec::new();
        if has_beside(&row) {
            let after = after.filter(|after| *after > row_key).or(Some(row_key));
            beside = self.inner.scan(prefix, after, max)?;
        }
        let inside = pairs(&row).map(|(suffix, value)| ([row_key, suffix].concat(), value.to_vec()));
        let inside = inside
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after));
        let mut all: BTreeMap<_, _> = beside.into_iter().collect();
        all.extend(inside);
        Ok(all.into_iter().take(max).collect())
    }
}

impl<K: Kv> Kv for MemberRows<K> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some((row_key, suffix)) = split(key) {
            let row = self.inner.get(row_key)?.unwrap_or_default();
            if let Some((_, value)) = pairs(&row).find(|(held, _)| *held == suffix) {
                return Ok(Some(value.to_vec()));
            }
            if !has_beside(&row) {
                return Ok(None);
            }
        }
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        if prefix.first().is_some_and(|tag| *tag != MEMBER_TAG) {
            return self.inner.scan(prefix, after, max);
        }
        if prefix.len() >= ROW_KEY_BYTES {
            return self.scan_member(prefix, after, max);
        }
        let mut found = Vec::new();
        let mut cursor = after.map(<[u8]>::to_vec);
        // A member that was told in part before.
        if let Some((row_key, after)) = after.and_then(|after| Some((split(after)?.0, after)))
            && row_key.starts_with(prefix)
        {
            found = self.scan_member(row_key, Some(after), max)?;
            cursor = Some(end_of(row_key));
        }
        while found.len() < max {
            let step = self.inner.scan(prefix, cursor.as_deref(), SCAN_STEP.min(max - found.len()))?;
            if step.is_empty() {
                break;
            }
            for (key, value) in step {
                if cursor.as_ref().is_some_and(|cursor| key <= *cursor) {
                    continue;
                }
                match key.get(..ROW_KEY_BYTES).filter(|_| key.first() == Some(&MEMBER_TAG)) {
                    Some(row_key) => {
                        found.extend(self.scan_member(row_key, None, max - found.len())?);
                        cursor = Some(end_of(row_key));
                    }
                    None => {
                        found.push((key.clone(), value));
                        cursor = Some(key);
                    }
                }
                if found.len() >= max {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.commit_all(vec![batch])
    }

    fn commit_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let mut packer = Packer { inner: &self.inner, written: BTreeMap::new() };
        let packed: Result<Vec<Batch>, StoreError> = batches.iter().map(|batch| packer.pack(batch)).collect();
        self.inner.commit_all(packed?)
    }
}

/// Turns batches into those of the inner store.
struct Packer<'k, K> {
    inner: &'k K,
    /// What the batches before this one write of members.
    written: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<K: Kv> Packer<'_, K> {
    /// A batch has at most as many keys as the one that it does the work of, but where pairs leave a row; should that
    /// make too many, rows grow instead.
    fn pack(&mut self, batch: &Batch) -> Result<Batch, StoreError> {
        let mut writes = self.writes(batch, ROW_BYTES_MAX)?;
        if writes.len() > BATCH_KEYS_MAX {
            writes = self.writes(batch, VALUE_BYTES_MAX)?;
        }
        let mut packed = Batch::new();
        for (key, value) in writes {
            match &value {
                Some(value) => packed.put(&key, value)?,
                None => packed.delete(&key)?,
            }
            if key.first() == Some(&MEMBER_TAG) {
                self.written.insert(key, value);
            }
        }
        Ok(packed)
    }

    fn writes(&self, batch: &Batch, row_bytes_max: usize) -> Result<Vec<Write>, StoreError> {
        let mut packed = Vec::new();
        let mut writes = batch.iter().peekable();
        while let Some((key, value)) = writes.next() {
            let Some((row_key, _)) = split(key) else {
                packed.push((key.to_vec(), value.map(<[u8]>::to_vec)));
                continue;
            };
            let before = self.get(row_key)?.unwrap_or_default();
            let mut row = Row::decode(&before);
            let mut next = Some((key, value));
            while let Some((key, value)) = next {
                packed.extend(self.place(&mut row, key, value, row_bytes_max)?);
                next = writes.next_if(|(key, _)| key.starts_with(row_key));
            }
            let after = row.encode();
            if after != before {
                packed.push((row_key.to_vec(), Some(after).filter(|row| !row.is_empty())));
            }
        }
        Ok(packed)
    }

    /// Puts a pair into the row, or beside it; the write beside it, if there is one.
    fn place<'b>(
        &self,
        row: &mut Row<'b>,
        key: &'b [u8],
        value: Option<&'b [u8]>,
        row_bytes_max: usize,
    ) -> Result<Option<Write>, StoreError> {
        let (_, suffix) = key.split_at_checked(ROW_KEY_BYTES).unwrap_or((key, &[]));
        let beside = !row.remove(suffix) && row.beside && self.get(key)?.is_some();
        Ok(match value {
            Some(value) if !row.take(suffix, value, row_bytes_max) => {
                row.beside = true;
                Some((key.to_vec(), Some(value.to_vec())))
            }
            _ => beside.then(|| (key.to_vec(), None)),
        })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.written.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.inner.get(key),
        }
    }
}

/// The pairs of a row.
struct Row<'b> {
    pairs: BTreeMap<&'b [u8], &'b [u8]>,
    bytes: usize,
    /// Whether pairs stand beside it, or have.
    beside: bool,
}

impl<'b> Row<'b> {
    fn decode(bytes: &'b [u8]) -> Self {
        Self { pairs: pairs(bytes).collect(), bytes: bytes.len().max(1), beside: has_beside(bytes) }
    }

    /// Takes a pair that is not there, if there is room.
    fn take(&mut self, suffix: &'b [u8], value: &'b [u8], row_bytes_max: usize) -> bool {
        let bytes = self.bytes + PAIR_BYTES + suffix.len() + value.len();
        let fits = bytes <= row_bytes_max && suffix.len() <= usize::from(u8::MAX);
        if fits {
            self.bytes = bytes;
            self.pairs.insert(suffix, value);
        }
        fits
    }

    /// Whether it was there.
    fn remove(&mut self, suffix: &[u8]) -> bool {
        let removed = self.pairs.remove(suffix);
        self.bytes -= removed.map_or(0, |value| PAIR_BYTES + suffix.len() + value.len());
        removed.is_some()
    }

    /// The bytes of the row; none when nothing would be lost without it.
    fn encode(&self) -> Vec<u8> {
        if self.pairs.is_empty() && !self.beside {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(self.bytes);
        bytes.push(u8::from(self.beside));
        for (suffix, value) in &self.pairs {
            // Both fit: `take` has looked at the first, and the second is within the row.
            bytes.push(u8::try_from(suffix.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(suffix);
            bytes.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes
    }
}

/// The pairs of a row, up to the first that is not whole: checksums below see to it that there is none.
fn pairs(row: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = row.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first()?;
        let (suffix, after) = after.split_at_checked(usize::from(*length))?;
        let (length, after) = after.split_first_chunk()?;
        let (value, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        rest = after;
        Some((suffix, value))
    })
}

fn has_beside(row: &[u8]) -> bool {
    row.first().is_some_and(|beside| *beside != 0)
}

/// The row of a member's key, and the rest of the key; `None` for other keys.
fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (row_key, suffix) = key.split_at_checked(ROW_KEY_BYTES)?;
    (key.first() == Some(&MEMBER_TAG) && !suffix.is_empty()).then_some((row_key, suffix))
}

/// A key behind all of a member's: suffixes begin with a letter.
fn end_of(row_key: &[u8]) -> Vec<u8> {
    [row_key, &[u8::MAX]].concat()
}

/// A key and its value, or none.
type Write = (Vec<u8>, Option<Vec<u8>>);

/// Bytes of a row: a member with two cards on a phone and a page of a few records. It is written whole.
const ROW_BYTES_MAX: usize = 4 * 1024;
const ROW_KEY_BYTES: usize = 1 + 16;
/// Lengths before suffix and value.
const PAIR_BYTES: usize = 1 + 2;
const SCAN_STEP: usize = 256;

const _: () = assert!(ROW_BYTES_MAX < VALUE_BYTES_MAX && VALUE_BYTES_MAX <= u16::MAX as usize);

#[cfg(test)]
#[path = "member_rows_tests.rs"]
mod tests;
