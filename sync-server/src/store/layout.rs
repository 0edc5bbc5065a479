//! Keys and values of the embedded store, byte for byte.
//!
//! Numbers in keys are big-endian, so that order of keys is order of numbers. A member's first byte is its shard, so a
//! shard is one range of keys.
//!
//! ```text
//! key                               value, after a schema number (2 bytes, little-endian)
//! 'm' member:16 'h'                 1: epoch:8 size:8 bytes          newest head
//! 'm' member:16 'p' number:4        2: bytes                         page
//! 'd' kind:1 id:0–64                3: revision:8 bytes              document
//! 'c' shard:1 number:8              4: member:16                     announced change
//! 'n' shard:1                       5: first:8 newest:8              which changes of the shard are kept
//! ```
//!
//! Numbers in values are little-endian. A value of another schema or length is [`StoreFault::Unreadable`].

use bhyt_core::ids::MemberId;

use super::{Change, Doc, DocKey, DocKind, Shard, StoreFault, StoredHead, StoredPage};

/// Where a member's head is.
pub(super) fn head_key(member: MemberId) -> Vec<u8> {
    [b"m".as_slice(), &member.0, b"h"].concat()
}

/// What the keys of a member's pages begin with.
pub(super) fn page_prefix(member: MemberId) -> Vec<u8> {
    [b"m".as_slice(), &member.0, b"p"].concat()
}

/// Where a page is.
pub(super) fn page_key(member: MemberId, number: u32) -> Vec<u8> {
    [page_prefix(member).as_slice(), &number.to_be_bytes()].concat()
}

/// What the keys of a kind's documents begin with.
pub(super) fn doc_prefix(kind: DocKind) -> Vec<u8> {
    vec![b'd', kind as u8]
}

/// Where a document is.
pub(super) fn doc_key(key: &DocKey) -> Vec<u8> {
    [doc_prefix(key.kind).as_slice(), &key.id].concat()
}

/// What the keys of a shard's changes begin with.
pub(super) fn change_prefix(shard: Shard) -> Vec<u8> {
    vec![b'c', shard.0]
}

/// Where a change is.
pub(super) fn change_key(shard: Shard, number: u64) -> Vec<u8> {
    [change_prefix(shard).as_slice(), &number.to_be_bytes()].concat()
}

/// Where a shard says which changes it keeps.
pub(super) fn change_log_key(shard: Shard) -> Vec<u8> {
    vec![b'n', shard.0]
}

/// Which changes of a shard are kept: `first` to `newest`. None before the first change, when `first` is one ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChangeLog {
    pub(super) first: u64,
    pub(super) newest: u64,
}

impl ChangeLog {
    /// Takes the numbers to trim out of the log, a step at a time, when more than `kept` and a step are there.
    pub(super) fn trim(&mut self, kept: u64) -> Option<std::ops::Range<u64>> {
        let kept_now = (self.newest + 1).saturating_sub(self.first);
        if kept_now < kept.saturating_add(TRIM_STEP) {
            return None;
        }
        let trimmed = self.first..self.first + TRIM_STEP;
        self.first = trimmed.end;
        Some(trimmed)
    }
}

impl Default for ChangeLog {
    fn default() -> Self {
        Self { first: 1, newest: 0 }
    }
}

/// Changes trimmed at a time: enough that a batch of its own is seldom, few enough that it is small.
pub(super) const TRIM_STEP: u64 = 128;

pub(super) fn encode_head(head: &StoredHead) -> Vec<u8> {
    value(HEAD, &[&head.epoch.to_le_bytes(), &head.size.to_le_bytes(), &head.bytes])
}

pub(super) fn decode_head(stored: &[u8]) -> Result<StoredHead, StoreFault> {
    let read = || {
        let (epoch, rest) = body(HEAD, stored)?.split_first_chunk()?;
        let (size, bytes) = rest.split_first_chunk()?;
        Some(StoredHead {
            epoch: u64::from_le_bytes(*epoch),
            size: u64::from_le_bytes(*size),
            bytes: bytes.to_vec(),
        })
    };
    read().ok_or(StoreFault::Unreadable { what: "head" })
}

pub(super) fn encode_page(page: &StoredPage) -> Vec<u8> {
    value(PAGE, &[&page.bytes])
}

pub(super) fn decode_page(key: &[u8], stored: &[u8]) -> Result<StoredPage, StoreFault> {
    let read = || {
        let number = key.last_chunk()?;
        Some(StoredPage { number: u32::from_be_bytes(*number), bytes: body(PAGE, stored)?.to_vec() })
    };
    read().ok_or(StoreFault::Unreadable { what: "page" })
}

pub(super) fn encode_doc(revision: u64, bytes: &[u8]) -> Vec<u8> {
    value(DOC, &[&revision.to_le_bytes(), bytes])
}

pub(super) fn decode_doc(stored: &[u8]) -> Result<Doc, StoreFault> {
    let read = || {
        let (revision, bytes) = body(DOC, stored)?.split_first_chunk()?;
        Some(Doc { revision: u64::from_le_bytes(*revision), bytes: bytes.to_vec() })
    };
    read().ok_or(StoreFault::Unreadable { what: "document" })
}

/// The document's id, from its key.
pub(super) fn doc_id(key: &[u8]) -> Vec<u8> {
    key.get(2..).unwrap_or_default().to_vec()
}

pub(super) fn encode_change(member: MemberId) -> Vec<u8> {
    value(CHANGE, &[&member.0])
}

pub(super) fn decode_change(key: &[u8], stored: &[u8]) -> Result<Change, StoreFault> {
    let read = || {
        let number = key.last_chunk()?;
        Some(Change {
            number: u64::from_be_bytes(*number),
            member: MemberId(body(CHANGE, stored)?.try_into().ok()?),
        })
    };
    read().ok_or(StoreFault::Unreadable { what: "change" })
}

pub(super) fn encode_change_log(log: ChangeLog) -> Vec<u8> {
    value(CHANGE_LOG, &[&log.first.to_le_bytes(), &log.newest.to_le_bytes()])
}

pub(super) fn decode_change_log(stored: &[u8]) -> Result<ChangeLog, StoreFault> {
    let read = || {
        let (first, newest) = body(CHANGE_LOG, stored)?.split_first_chunk()?;
        Some(ChangeLog {
            first: u64::from_le_bytes(*first),
            newest: u64::from_le_bytes(newest.try_into().ok()?),
        })
    };
    read().ok_or(StoreFault::Unreadable { what: "change log" })
}

fn value(schema: u16, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.extend_from_slice(&schema.to_le_bytes());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn body(schema: u16, stored: &[u8]) -> Option<&[u8]> {
    stored.strip_prefix(&schema.to_le_bytes())
}

const HEAD: u16 = 1;
const PAGE: u16 = 2;
const DOC: u16 = 3;
const CHANGE: u16 = 4;
const CHANGE_LOG: u16 = 5;

/// The largest head of fixed fields: schema, epoch and size.
const OVERHEAD_BYTES: usize = 2 + 8 + 8;
const _: () = assert!(super::BYTES_MAX + OVERHEAD_BYTES <= bhyt_core::limits::VALUE_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::ids::hex;

    const MEMBER: MemberId = MemberId([0xab; 16]);

    #[test]
    fn keys_are_golden() {
        let member = "ab".repeat(16);
        assert_eq!(hex(&head_key(MEMBER)), format!("6d{member}68"));
        assert_eq!(hex(&page_key(MEMBER, 258)), format!("6d{member}7000000102"));
        let key = DocKey::new(DocKind::Operator, [1, 2]);
        assert_eq!(hex(&doc_key(&key)), "64070102");
        assert_eq!(doc_id(&doc_key(&key)), key.id);
        assert_eq!(hex(&change_key(Shard(0xab), 258)), "63ab0000000000000102");
        assert_eq!(hex(&change_log_key(Shard(0xab))), "6eab");
    }

    #[test]
    fn values_are_golden_and_read_back() {
        let head = StoredHead { epoch: 1, size: 2, bytes: vec![9] };
        let bytes = encode_head(&head);
        assert_eq!(hex(&bytes), "01000100000000000000020000000000000009");
        assert_eq!(decode_head(&bytes).unwrap(), head);
        let page = StoredPage { number: 7, bytes: vec![9] };
        assert_eq!(hex(&encode_page(&page)), "020009");
        let read = decode_page(&page_key(MEMBER, 7), &encode_page(&page));
        assert_eq!(read.unwrap(), page);
        let bytes = encode_doc(3, &[9]);
        assert_eq!(hex(&bytes), "0300030000000000000009");
        assert_eq!(decode_doc(&bytes).unwrap().revision, 3);
        let bytes = encode_change(MEMBER);
        assert_eq!(hex(&bytes), format!("0400{}", "ab".repeat(16)));
        let read = decode_change(&change_key(Shard(0xab), 5), &bytes).unwrap();
        assert_eq!((read.number, read.member), (5, MEMBER));
        let log = ChangeLog { first: 1, newest: 2 };
        let bytes = encode_change_log(log);
        assert_eq!(hex(&bytes), "050001000000000000000200000000000000");
        assert_eq!(decode_change_log(&bytes).unwrap(), log);
    }

    #[test]
    fn other_schemas_and_lengths_are_not_read() {
        let doc = encode_doc(1, &[]);
        assert!(decode_head(&doc).is_err() && decode_doc(&doc[..9]).is_err());
        assert!(decode_change(&change_key(Shard(0), 1), &[4, 0, 1]).is_err());
        assert!(decode_change_log(&[5, 0, 1]).is_err());
    }

    #[test]
    fn a_log_is_trimmed_in_steps() {
        let mut log = ChangeLog { first: 1, newest: 10 + TRIM_STEP - 1 };
        assert_eq!(log.trim(10), None);
        log.newest += 1;
        assert_eq!(log.trim(10), Some(1..1 + TRIM_STEP));
        assert_eq!(log.trim(10), None);
        assert_eq!(ChangeLog::default().trim(0), None);
    }
}
