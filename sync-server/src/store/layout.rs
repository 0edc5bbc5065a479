//! Keys and values of the embedded store, byte for byte.
//!
//! Numbers in keys are big-endian, so that order of keys is order of numbers.
//!
//! ```text
//! key                               value, after a schema number (2 bytes, little-endian)
//! 'm' member:16 'h'                 1: epoch:8 size:8 bytes          newest head
//! 'm' member:16 'p' number:4        2: bytes                         page
//! 'm' member:16 'd' kind:1 id:0–48  3: revision:8 bytes              document of a member
//! 'd' kind:1 id:0–64                3: revision:8 bytes              any other document
//! 'c' record:8                      4: (number:8 member:16) × n      changes announced in one batch
//! ```
//!
//! Numbers in values are little-endian. A value of another schema or length is [`StoreFault::Unreadable`].

use bhyt_core::ids::MemberId;

use super::{Change, Doc, DocKey, DocKind, StoreFault, StoredHead, StoredPage};

/// What the keys of members begin with.
pub(super) const MEMBER_TAG: u8 = b'm';
const DOC_TAG: u8 = b'd';
const MEMBER_BYTES: usize = size_of::<MemberId>();

/// Where a member's head is.
pub(super) fn head_key(member: MemberId) -> Vec<u8> {
    [b"m".as_slice(), &member.0, b"h"].concat()
}

/// What all keys of a member begin with.
pub(super) fn member_prefix(member: MemberId) -> Vec<u8> {
    [[MEMBER_TAG].as_slice(), &member.0].concat()
}

/// What the keys of a member's pages begin with.
pub(super) fn page_prefix(member: MemberId) -> Vec<u8> {
    [b"m".as_slice(), &member.0, b"p"].concat()
}

/// Where a page is.
pub(super) fn page_key(member: MemberId, number: u32) -> Vec<u8> {
    [page_prefix(member).as_slice(), &number.to_be_bytes()].concat()
}

/// What the keys of a kind's documents begin with; those of members have others between them.
pub(super) fn doc_prefix(kind: DocKind) -> Vec<u8> {
    if kind.is_of_member() { vec![MEMBER_TAG] } else { vec![DOC_TAG, kind as u8] }
}

/// Where a document is.
pub(super) fn doc_key(key: &DocKey) -> Vec<u8> {
    match of_member(key) {
        Some((member, rest)) => [&[MEMBER_TAG], member, &[DOC_TAG, key.kind as u8], rest].concat(),
        None => [doc_prefix(key.kind).as_slice(), &key.id].concat(),
    }
}

/// What the keys of records of changes begin with.
pub(super) const RECORD_PREFIX: &[u8] = b"c";

/// Where a record of changes is.
pub(super) fn record_key(number: u64) -> Vec<u8> {
    [RECORD_PREFIX, &number.to_be_bytes()].concat()
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

/// The id of a document of this kind, from its key; `None` where something else stands.
pub(super) fn doc_id(kind: DocKind, key: &[u8]) -> Option<Vec<u8>> {
    if !kind.is_of_member() {
        return key.strip_prefix(&[DOC_TAG, kind as u8]).map(<[u8]>::to_vec);
    }
    let (member, rest) = key.strip_prefix(&[MEMBER_TAG])?.split_at_checked(MEMBER_BYTES)?;
    Some([member, rest.strip_prefix(&[DOC_TAG, kind as u8])?].concat())
}

fn of_member(key: &DocKey) -> Option<(&[u8], &[u8])> {
    key.id.split_at_checked(MEMBER_BYTES).filter(|_| key.kind.is_of_member())
}

pub(super) fn encode_record(changes: &[Change]) -> Vec<u8> {
    let mut bytes = value(RECORD, &[]);
    for change in changes {
        bytes.extend_from_slice(&change.number.to_le_bytes());
        bytes.extend_from_slice(&change.member.0);
    }
    bytes
}

/// The number of a record, and its changes.
pub(super) fn decode_record(key: &[u8], stored: &[u8]) -> Result<(u64, Vec<Change>), StoreFault> {
    let read = || {
        let number = u64::from_be_bytes(*key.last_chunk()?);
        let (changes, rest) = body(RECORD, stored)?.as_chunks::<RECORD_ENTRY_BYTES>();
        let changes = changes.iter().map(|entry| {
            let (number, member) = entry.split_first_chunk()?;
            let member = MemberId(member.try_into().ok()?);
            Some(Change { number: u64::from_le_bytes(*number), member })
        });
        rest.is_empty().then(|| changes.collect::<Option<Vec<_>>>())?.map(|changes| (number, changes))
    };
    read().ok_or(StoreFault::Unreadable { what: "record of changes" })
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
const RECORD: u16 = 4;
/// Bytes of one change in a record.
pub(super) const RECORD_ENTRY_BYTES: usize = 8 + 16;

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
        assert_eq!(doc_id(DocKind::Operator, &doc_key(&key)), Some(key.id));
        let id = [MEMBER.0.as_slice(), &[1, 2]].concat();
        let key = DocKey::new(DocKind::Card, id);
        assert_eq!(hex(&doc_key(&key)), format!("6d{member}64040102"));
        assert_eq!(doc_id(DocKind::Card, &doc_key(&key)), Some(key.id.clone()));
        assert_eq!(doc_id(DocKind::Member, &doc_key(&key)), None);
        assert_eq!(doc_id(DocKind::Member, &head_key(MEMBER)), None);
        assert_eq!(hex(&record_key(258)), "630000000000000102");
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
        let changes = [3, 4].map(|number| Change { number, member: MEMBER });
        let bytes = encode_record(&changes);
        let member = "ab".repeat(16);
        assert_eq!(hex(&bytes), format!("04000300000000000000{member}0400000000000000{member}"));
        assert_eq!(decode_record(&record_key(7), &bytes).unwrap(), (7, changes.to_vec()));
    }

    #[test]
    fn other_schemas_and_lengths_are_not_read() {
        let doc = encode_doc(1, &[]);
        assert!(decode_head(&doc).is_err() && decode_doc(&doc[..9]).is_err());
        assert!(decode_record(&record_key(1), &[4, 0, 1]).is_err());
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
