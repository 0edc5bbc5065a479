//! Changes of a personal document from an untrusted machine, and stored documents.
//!
//! A change's bytes get the right magic, length and hash here, so that what lies behind them is reached. What is admitted is
//! what an edit of the view could have made: the document loads again as itself, whoever takes the same changes in another
//! order sees the same, a rebuild shows the same, nothing that was handed in or answered changed, and no device wrote an
//! answer. What is refused has left everything as it was.

use std::sync::OnceLock;

use bhyt_core::ids::MemberId;
use bhyt_core::keys::KeyId;
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::{ActorId, EntryId, Writer};
use bhyt_core::personal::values::{
    Answer, DeskLabel, Email, Line, Petition, PetitionKind, PetitionState, Phone, Text,
};
use bhyt_core::record::Seq;
use bhyt_core::time::UnixSeconds;
use sha2::{Digest, Sha256};

use super::input::{Input, Script};

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => stored(input.rest()),
        1 => whole(input.rest()),
        2 => taken(input),
        _ => bodies(input),
    }
}

/// Bytes as they come.
fn whole(change: &[u8]) {
    for writer in [Writer::Device, Writer::Desk] {
        offer(common(), change, writer);
    }
}

/// Several changes one after the other, each a body behind the document's heads and under a hash of its own.
fn bodies(mut input: Input<'_>) {
    let mut document = common().clone();
    for _ in 0..4 {
        let writer = *input.pick(&[Writer::Device, Writer::Desk]);
        let rest = input.bytes();
        let heads = document.heads();
        let mut body = vec![heads.len() as u8];
        body.extend(heads.iter().flat_map(|hash| hash.0));
        body.extend(rest);
        if let Some(after) = offer(&document, &chunk(&body), writer) {
            document = after;
        }
    }
}

fn offer(document: &PersonalDocument, change: &[u8], writer: Writer) -> Option<PersonalDocument> {
    let before = document.view();
    let after = document.admit(change, actor(), writer);
    assert_eq!(document.view(), before, "a copy was changed");
    let after = after.ok()?;
    assert_eq!(after.changes(), document.changes() + 1);
    let view = after.view();
    for (id, petition) in &before.petitions {
        let now = view.petitions.get(id).cloned().unwrap_or_default();
        if petition.handed_in.is_some() {
            assert_eq!(now.handed_in, petition.handed_in, "what was handed in stands");
        }
        let said = &now.answers;
        assert!(petition.answers.iter().all(|answer| said.contains(answer)), "what was answered stands");
        assert!(writer == Writer::Desk || *said == petition.answers, "a device answers nothing");
    }
    let kept = [before.notes == view.notes, before.reminders == view.reminders];
    assert!(writer == Writer::Device || kept == [true, true], "what is private is the member's");
    same_again(&after);
    Some(after)
}

/// Stored and loaded, delivered backwards, rebuilt: always the same.
fn same_again(document: &PersonalDocument) {
    let view = document.view();
    let loaded = PersonalDocument::load(&document.save()).expect("what was saved");
    assert_eq!((loaded.view(), loaded.heads()), (view.clone(), document.heads()));
    let mut other = PersonalDocument::begin_generation(document.member(), document.generation());
    let changes = document.changes_since(&[]).expect("all of them");
    other.apply(changes.into_iter().rev()).expect("the same changes");
    assert_eq!(other.view(), view);
    assert_eq!(document.rebuild().view(), view);
}

/// Changes as from the server: bounded and without a panic, whatever they are.
fn taken(mut input: Input<'_>) {
    let mut document = common().clone();
    let changes: Vec<Vec<u8>> = (0..3).map(|_| chunk(input.bytes())).collect();
    if document.apply(changes.iter().map(Vec::as_slice)).is_ok_and(|new| new > 0) {
        let loaded = PersonalDocument::load(&document.save()).expect("what was saved");
        assert_eq!(loaded.view(), document.view());
    }
}

fn stored(bytes: &[u8]) {
    // As it is, and as what deflates to it: a deflated form behind the length is made here.
    for bytes in [bytes.to_vec(), deflated(bytes)] {
        if let Ok(document) = PersonalDocument::load(&bytes) {
            let again = PersonalDocument::load(&document.save()).expect("what was saved");
            assert_eq!(again.view(), document.view());
            document.rebuild();
        }
    }
}

/// Deflate with stored blocks: RFC 1951 §3.2.4.
fn deflated(plain: &[u8]) -> Vec<u8> {
    let plain = plain.get(..0xffff).unwrap_or(plain);
    let length = plain.len() as u16;
    let mut bytes = vec![1, 0];
    bytes.extend(u32::from(length).to_le_bytes());
    bytes.push(1);
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(plain);
    bytes
}

/// A change's bytes: magic, checksum, kind and length before a body, whatever it is.
pub fn chunk(body: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    let mut left = body.len();
    while left > 0x7f {
        length.push(0x80 | (left & 0x7f) as u8);
        left >>= 7;
    }
    length.push(left as u8);
    let hash = Sha256::new().chain_update([1]).chain_update(&length).chain_update(body).finalize();
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83];
    bytes.extend(hash.iter().take(4));
    bytes.push(1);
    bytes.extend(length);
    bytes.extend(body);
    bytes
}

/// What stands behind the length of a change that is not longer than 16 kB.
fn body_of(change: &[u8]) -> &[u8] {
    let is_long = change.get(9).is_some_and(|length| length & 0x80 != 0);
    change.get(if is_long { 11 } else { 10 }..).unwrap_or_default()
}

/// And behind its dependencies.
fn rest_of(change: &[u8]) -> &[u8] {
    let body = body_of(change);
    let count = body.first().map_or(0, |count| usize::from(*count));
    body.get(1 + 32 * count..).unwrap_or_default()
}

fn actor() -> ActorId {
    ActorId::new(KeyId([2; 8]), [2; 8])
}

/// A document with something in every kind of field, and two values in one.
fn common() -> &'static PersonalDocument {
    static COMMON: OnceLock<PersonalDocument> = OnceLock::new();
    COMMON.get_or_init(|| {
        let mut document = PersonalDocument::begin(MemberId([1; 16]));
        let beside = PersonalDocument::begin(MemberId([1; 16])).edit(&phone(2), other(4), Writer::Device);
        let id = EntryId([7; 16]);
        let mut edits = edits();
        edits.push(Edit::HandIn { id, at: UnixSeconds(5), petition: petition() });
        for edit in edits {
            document.edit(&edit, other(3), Writer::Device).expect("an honest edit");
        }
        document.edit(&answer(id, 1), other(9), Writer::Desk).expect("an honest answer");
        let beside = beside.expect("an honest edit").expect("a change");
        document.admit(&beside, other(4), Writer::Device).expect("an honest change")
    })
}

fn edits() -> Vec<Edit> {
    let id = EntryId([8; 16]);
    let line = || Line::parse("Lấy thuốc").expect("a line");
    vec![
        phone(1),
        Edit::Email(Email::parse("a@vd.vn")),
        Edit::Note(Seq(3), Text::parse("một điều riêng")),
        Edit::AddReminder { id, text: line(), due: UnixSeconds(9) },
        Edit::ReminderDone(id, true),
        Edit::Draft(id, Some(petition())),
    ]
}

fn other(n: u8) -> ActorId {
    ActorId::new(KeyId([n; 8]), [n; 8])
}

fn phone(n: u64) -> Edit {
    Edit::Phone(Phone::parse(&format!("09{n:08}")))
}

fn petition() -> Petition {
    let subject = Line::parse("Thẻ").expect("a line");
    Petition { kind: PetitionKind::Dispute(Seq(3)), subject, text: Text::parse("Sai ngày").expect("a text") }
}

fn answer(petition: EntryId, id: u8) -> Edit {
    let desk = DeskLabel::parse("BHXH 99").expect("a label");
    let answer = Answer { state: PetitionState::Received, at: UnixSeconds(9), desk, text: None };
    Edit::Answer { petition, id: EntryId([id; 16]), answer }
}

/// Every honest edit on the common document, as a body and as it is; stored documents.
pub fn seeds() -> Vec<Vec<u8>> {
    let id = EntryId([7; 16]);
    let mut honest: Vec<(Edit, Writer)> = edits().into_iter().map(|edit| (edit, Writer::Device)).collect();
    honest.extend([
        (phone(5), Writer::Device),
        (Edit::Note(Seq(3), None), Writer::Device),
        (Edit::RemoveReminder(EntryId([8; 16])), Writer::Device),
        (Edit::HandIn { id: EntryId([8; 16]), at: UnixSeconds(6), petition: petition() }, Writer::Device),
        (answer(id, 2), Writer::Desk),
    ]);
    let mut seeds = Vec::new();
    for (edit, writer) in honest {
        let made = common().clone().edit(&edit, actor(), writer).expect("an honest edit");
        let Some(change) = made else { continue };
        let which = u8::from(writer == Writer::Desk);
        seeds.push(Script::new().raw(&[3, which]).bytes(rest_of(&change)).done());
        seeds.push(Script::new().raw(&[2]).bytes(body_of(&change)).done());
        seeds.push([&[1], change.as_slice()].concat());
    }
    seeds.push([&[0], common().save().as_slice()].concat());
    seeds.push([&[0], common().rebuild().save().as_slice()].concat());
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_reach_what_lies_behind_the_hash() {
        let admitted = seeds().into_iter().filter(|seed| {
            let mut input = Input::new(seed);
            let is_body = input.byte() == 3;
            let writer = *input.pick(&[Writer::Device, Writer::Desk]);
            let heads = common().heads();
            let deps: Vec<u8> = heads.iter().flat_map(|hash| hash.0).collect();
            let body = [&[heads.len() as u8], deps.as_slice(), input.bytes()].concat();
            is_body && common().admit(&chunk(&body), actor(), writer).is_ok()
        });
        assert!(admitted.count() >= 5);
    }
}
