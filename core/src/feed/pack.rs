//! Pages as one run of bytes, for compressing: what is alike in every record stands together, numbers are short, and
//! bodies lie one behind the other. Bytes: `docs/formats.md`, "Feed".
//!
//! Promises: pages that join on to each other read back as they were. Refuses: pages over their bounds, numbers beyond
//! their kind, bytes left over. Reading allocates in proportion to the bytes, whatever they say.

use crate::feed::page::{FeedPage, Leaf, Leaves, PageParts};
use crate::limits::{FEED_RECORDS_MAX, PAGE_RECORDS_MAX};
use crate::merkle::TreeHash;
use crate::record::{Body, Content, PageSeed, Record, RecordKind, Salt, Seq};
use crate::time::UnixSeconds;

/// The bytes of these pages. Each begins where the one before ends.
pub(super) fn pack(pages: &[FeedPage]) -> Vec<u8> {
    let records: Vec<(Seq, &Record)> = pages.iter().flat_map(FeedPage::records).collect();
    let mut bytes = Vec::new();
    put(&mut bytes, pages.first().map_or(0, |page| page.first_seq().0));
    put(&mut bytes, pages.len() as u64);
    pages.iter().for_each(|page| put_shape(&mut bytes, page));
    records.iter().for_each(|(_, record)| put(&mut bytes, u64::from(record.kind.number())));
    records.iter().for_each(|(seq, record)| put(&mut bytes, seq.0.wrapping_sub(record.first_seq.0)));
    records.iter().for_each(|(_, record)| put(&mut bytes, u64::from(record.revision)));
    let mut before = 0;
    for (_, record) in &records {
        put(&mut bytes, zigzag(record.time.0.wrapping_sub(before)));
        before = record.time.0;
    }
    records.iter().for_each(|(_, record)| put(&mut bytes, record.content.bytes().len() as u64));
    records.iter().for_each(|(_, record)| bytes.extend(record.content.bytes()));
    bytes
}

/// Reads pages back.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<FeedPage>, UnpackFault> {
    let mut reader = Reader { rest: bytes };
    let first = reader.number()?;
    let mut shapes = Vec::new();
    for _ in 0..reader.number()? {
        shapes.push(reader.shape()?);
    }
    let mut records = reader.records(&record_places(first, &shapes)?)?.into_iter();
    if !reader.rest.is_empty() {
        return Err(UnpackFault);
    }
    let mut pages: Vec<FeedPage> = Vec::new();
    for shape in shapes {
        let first_seq = pages.last().map_or(Seq(first), FeedPage::next_seq);
        let leaves = shape.filled(&mut records)?;
        pages.push(FeedPage::try_from(PageParts { first_seq, leaves }).map_err(|_| UnpackFault)?);
    }
    Ok(pages)
}

/// Bytes that are no packed pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed pages malformed")]
pub(super) struct UnpackFault;

/// A page without its records.
enum Shape {
    Seeded { seed: PageSeed, count: usize },
    Salted(Vec<Mark>),
}

/// What a page that was erased in keeps beside a record, or of one.
enum Mark {
    Kept(Salt),
    Erased(TreeHash),
}

impl Shape {
    fn filled(self, records: &mut impl Iterator<Item = Record>) -> Result<Leaves, UnpackFault> {
        match self {
            Self::Seeded { seed, count } => {
                let records: Vec<Record> = records.take(count).collect();
                if records.len() == count { Ok(Leaves::Seeded { seed, records }) } else { Err(UnpackFault) }
            }
            Self::Salted(marks) => {
                let leaves = marks.into_iter().map(|mark| match mark {
                    Mark::Kept(salt) => Ok(Leaf::Kept { salt, record: records.next().ok_or(UnpackFault)? }),
                    Mark::Erased(hash) => Ok(Leaf::Erased { hash }),
                });
                Ok(Leaves::Salted(leaves.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// Where the records stand; erased leaves are left out.
fn record_places(first: u64, shapes: &[Shape]) -> Result<Vec<u64>, UnpackFault> {
    let mut next = first;
    let mut places = Vec::new();
    for shape in shapes {
        let (count, marks) = match shape {
            Shape::Seeded { count, .. } => (*count, None),
            Shape::Salted(marks) => (marks.len(), Some(marks)),
        };
        for index in 0..count {
            if marks.and_then(|marks| marks.get(index)).is_none_or(|mark| matches!(mark, Mark::Kept(_))) {
                places.push(next);
            }
            next = next.checked_add(1).filter(|next| *next <= FEED_RECORDS_MAX).ok_or(UnpackFault)?;
        }
    }
    Ok(places)
}

fn put_shape(bytes: &mut Vec<u8>, page: &FeedPage) {
    match page.leaves() {
        Leaves::Seeded { seed, records } => {
            put(bytes, 2 * records.len() as u64);
            bytes.extend(seed.0);
        }
        Leaves::Salted(leaves) => {
            put(bytes, 2 * leaves.len() as u64 + 1);
            for leaf in leaves {
                match leaf {
                    Leaf::Kept { salt, .. } => {
                        bytes.push(0);
                        bytes.extend(salt.0);
                    }
                    Leaf::Erased { hash } => {
                        bytes.push(1);
                        bytes.extend(hash.0);
                    }
                }
            }
        }
    }
}

/// LEB128: seven bits a byte, the low ones first, the high bit set in all but the last.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A difference, small numbers for small ones of either sign.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ ((difference.cast_signed() >> 63).cast_unsigned())
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], UnpackFault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(UnpackFault)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UnpackFault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(UnpackFault)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, UnpackFault> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(UnpackFault);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(UnpackFault)
    }

    fn column(&mut self, count: usize) -> Result<Vec<u64>, UnpackFault> {
        (0..count).map(|_| self.number()).collect()
    }

    fn shape(&mut self) -> Result<Shape, UnpackFault> {
        let number = self.number()?;
        let count = usize::try_from(number >> 1).map_err(|_| UnpackFault)?;
        if count > PAGE_RECORDS_MAX {
            return Err(UnpackFault);
        }
        if number & 1 == 0 {
            return Ok(Shape::Seeded { seed: PageSeed(self.array()?), count });
        }
        let marks = (0..count).map(|_| match self.array()? {
            [0] => Ok(Mark::Kept(Salt(self.array()?))),
            [1] => Ok(Mark::Erased(TreeHash(self.array()?))),
            _ => Err(UnpackFault),
        });
        Ok(Shape::Salted(marks.collect::<Result<_, _>>()?))
    }

    fn records(&mut self, places: &[u64]) -> Result<Vec<Record>, UnpackFault> {
        let count = places.len();
        let (kinds, backs) = (self.column(count)?, self.column(count)?);
        let (revisions, times, lengths) = (self.column(count)?, self.column(count)?, self.column(count)?);
        let mut records = Vec::with_capacity(count);
        let mut time = 0_u64;
        let places = places.iter().zip(backs).map(|(place, back)| Seq(place.wrapping_sub(back)));
        let numbers = kinds.into_iter().zip(revisions).zip(times.into_iter().zip(lengths));
        for (first_seq, ((kind, revision), (later, length))) in places.zip(numbers) {
            time = time.wrapping_add(unzigzag(later));
            records.push(Record {
                kind: RecordKind::from(u16::try_from(kind).map_err(|_| UnpackFault)?),
                first_seq,
                revision: u32::try_from(revision).map_err(|_| UnpackFault)?,
                time: UnixSeconds(time),
                content: self.content(length)?,
            });
        }
        Ok(records)
    }

    fn content(&mut self, length: u64) -> Result<Content, UnpackFault> {
        let bytes = self.take(usize::try_from(length).map_err(|_| UnpackFault)?)?;
        if bytes.is_empty() {
            return Ok(Content::Tombstone);
        }
        Ok(Content::Body(Body::new(bytes.to_vec()).map_err(|_| UnpackFault)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::hex;

    fn page(first: u64, count: u64) -> FeedPage {
        let mut page = FeedPage::new(Seq(first), PageSeed([5; 32]));
        for seq in first..first + count {
            let body = Body::new(vec![0xa0; 1 + seq as usize % 3]).unwrap();
            page.push(Record::first(Seq(seq), RecordKind::Visit, body, UnixSeconds(1_000 + seq))).unwrap();
        }
        page
    }

    /// Two pages, one of which was erased in, with a correction, a retraction and a time that went back.
    fn pages() -> Vec<FeedPage> {
        let mut second = page(302, 2);
        let (_, first) = second.records().next().unwrap();
        let corrected = first.corrected(Body::new(vec![0xa1]).unwrap(), UnixSeconds(9));
        let retracted = corrected.retracted(UnixSeconds(u64::MAX));
        for record in [corrected, retracted] {
            second.push(record).unwrap();
        }
        second.erase(Seq(303)).unwrap();
        vec![page(300, 2), second]
    }

    #[test]
    fn pages_are_these_bytes_and_read_back() {
        let bytes = pack(&pages());
        let (seed, salt) = ("05".repeat(32), |seq| hex(&PageSeed([5; 32]).derive_salt(Seq(seq)).0));
        let erased = page(302, 2).entries().last().map(|(seq, entry)| hex(&entry.leaf_hash(seq).0)).unwrap();
        let expected = [
            "ac02 02".to_owned(),
            format!("04 {seed}"),
            format!("09 00{} 01{erased} 00{} 00{}", salt(302), salt(304), salt(305)),
            "0404040404 0000000203 0000000102".to_owned(),
            "a814 02 02 9914 13".to_owned(),
            "0102030100 a0 a0a0 a0a0a0 a1".to_owned(),
        ];
        assert_eq!(hex(&bytes), expected.concat().replace(' ', ""));
        assert_eq!(unpack(&bytes), Ok(pages()));
        assert_eq!(unpack(&pack(&[])), Ok(Vec::new()));
    }

    #[test]
    fn whatever_is_cut_left_over_or_out_of_bounds_is_refused() {
        let bytes = pack(&pages());
        for cut in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..cut]), Err(UnpackFault), "cut at {cut}");
        }
        assert_eq!(unpack(&[&bytes[..], &[0]].concat()), Err(UnpackFault));
        // A page of none, of too many, places beyond the longest feed, more pages than bytes, and no number at all.
        let seed = [5; 32];
        assert_eq!(unpack(&[&[0, 1, 0][..], &seed].concat()), Err(UnpackFault));
        assert_eq!(unpack(&[&[0, 1, 66][..], &seed, &[0; 5 * 33]].concat()), Err(UnpackFault));
        assert_eq!(unpack(&[&[0xff, 0xff, 0x3f, 1, 6][..], &seed, &[0; 15]].concat()), Err(UnpackFault));
        assert_eq!(unpack(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(UnpackFault));
        assert_eq!(unpack(&[0xff; 11]), Err(UnpackFault));
    }

    #[test]
    fn numbers_are_as_short_as_they_are_small_and_none_is_lost() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(Reader { rest: &bytes }.number(), Ok(number));
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert_eq!((zigzag(1), zigzag(0_u64.wrapping_sub(1))), (2, 1));
    }
}
