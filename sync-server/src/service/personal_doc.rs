//! A member's personal document in the store: loaded when somebody asks for it and forgotten afterwards, sealed under the
//! member's key, written so that a lost race is noticed.
//!
//! Promises: what is loaded is one document as it was at one moment, though its parts are read one after the other.

use bhyt_core::ids::MemberId;
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::seal::SealKey;
use bhyt_core::sync::personal::PersonalCursor;
use bhyt_platform::entropy::make_bytes;
use zeroize::Zeroizing;

use super::Service;
use super::docs::{Found, write};
use super::fault::ServiceFault;
use super::values_personal::{PART_BYTES, PARTS_MAX, PersonalPartV1, PersonalV1};
use crate::store::{DocKey, DocKind, DocWrite, Expected, Store};

/// A document as it was found.
#[derive(Debug)]
pub(crate) struct FoundPersonal {
    expected: Expected,
    parts: u8,
    /// What [`bhyt_core::personal::document::PersonalDocument::save`] wrote; `None` before the first change.
    pub(crate) saved: Option<Zeroizing<Vec<u8>>>,
}

impl<S: Store> Service<S> {
    /// Whether a member's document is where `cursor` says, without opening it.
    pub(crate) async fn is_personal_at(
        &self,
        member: MemberId,
        cursor: &PersonalCursor,
    ) -> Result<bool, ServiceFault> {
        let found: Option<Found<PersonalV1>> = self.doc(WHAT, &header_key(member)).await?;
        Ok(match found {
            Some(found) => found.value.stamp == self.vault.personal_stamp(member, cursor),
            None => *cursor == PersonalCursor::of(&PersonalDocument::begin(member)),
        })
    }

    /// Loads a member's document.
    pub(crate) async fn find_personal(
        &self,
        member: MemberId,
        key: &SealKey,
    ) -> Result<FoundPersonal, ServiceFault> {
        let mut before = None;
        loop {
            let Some(found) = self.doc::<PersonalV1>(WHAT, &header_key(member)).await? else {
                return Ok(FoundPersonal { expected: Expected::Absent, parts: 0, saved: None });
            };
            let (revision, parts) = (found.revision, found.value.parts);
            let mut sealed = found.value.first;
            for number in 0..parts.min(PARTS_MAX) {
                let part: Option<Found<PersonalPartV1>> =
                    self.doc("part of a personal document", &part_key(member, number)).await?;
                sealed.extend(part.map(|part| part.value.bytes).unwrap_or_default());
            }
            match key.open(&place(member), &sealed) {
                Ok(saved) => {
                    let expected = Expected::Revision(revision);
                    return Ok(FoundPersonal { expected, parts, saved: Some(saved) });
                }
                // It was written while its parts were read, unless nobody wrote.
                Err(_) if before != Some(revision) => before = Some(revision),
                Err(source) => return Err(ServiceFault::Sealed { what: WHAT, source }),
            }
        }
    }

    /// The writes that store the document as it is now, at `cursor`.
    pub(crate) fn write_personal(
        &self,
        member: MemberId,
        key: &SealKey,
        found: &FoundPersonal,
        saved: &[u8],
        cursor: &PersonalCursor,
    ) -> Result<Vec<DocWrite>, ServiceFault> {
        let sealed = key.seal(&place(member), saved, &make_bytes::<24>(&*self.entropy));
        let mut chunks = sealed.chunks(PART_BYTES).map(<[u8]>::to_vec);
        let first = chunks.next().unwrap_or_default();
        let mut writes = Vec::new();
        let mut parts = 0;
        for bytes in chunks {
            let value = PersonalPartV1 { bytes };
            writes.push(write(
                "part of a personal document",
                part_key(member, parts),
                Expected::Any,
                &value,
            )?);
            parts += 1;
        }
        for number in parts..found.parts {
            writes.push(DocWrite { key: part_key(member, number), expected: Expected::Any, bytes: None });
        }
        let stamp = self.vault.personal_stamp(member, cursor);
        let header = PersonalV1 { stamp, parts, first };
        writes.push(write(WHAT, header_key(member), found.expected, &header)?);
        Ok(writes)
    }
}

fn header_key(member: MemberId) -> DocKey {
    DocKey::new(DocKind::Personal, member.0)
}

fn part_key(member: MemberId, number: u8) -> DocKey {
    DocKey::new(DocKind::PersonalPart, [member.0.as_slice(), &[number]].concat())
}

fn place(member: MemberId) -> Vec<u8> {
    [b"personal/".as_slice(), &member.0].concat()
}

const WHAT: &str = "personal document";
