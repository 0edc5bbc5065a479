//! Attacks on a personal document, each with its exact refusal. The attacker has the whole of Automerge, a device of the
//! member, and bytes of its own. After each refusal the document is what it was, and takes an honest change.

use automerge::legacy::{OpId, OpType};
use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{Automerge, AutomergeError, Change, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue};

use super::chunk::{self, ChunkError, write_unsigned};
use super::document::PersonalDocument;
use super::edit::Edit;
use super::guard::Refusal;
use super::history::FollowError;
use super::ids::{ActorId, EntryId, Writer};
use super::key::{Key, Value};
use super::values::{Answer, DeskLabel, Line, Petition, PetitionKind, PetitionState, Phone, Text};
use crate::ids::MemberId;
use crate::keys::KeyId;
use crate::limits::{OPERATION_BYTES_MAX, PERSONAL_CHANGES_MAX, PERSONAL_HEADS_MAX};
use crate::record::Seq;
use crate::time::UnixSeconds;

const PETITION: EntryId = EntryId([5; 16]);

fn actor(n: u8) -> ActorId {
    ActorId::new(KeyId([n; 8]), [n; 8])
}

fn phone(n: u64) -> Edit {
    Edit::Phone(Phone::parse(&format!("09{n:08}")))
}

fn petition() -> Petition {
    let (subject, text) = (Line::parse("Thẻ").unwrap(), Text::parse("Sai ngày sinh").unwrap());
    Petition { kind: PetitionKind::Request, subject, text }
}

fn answer(id: u8, state: PetitionState) -> Edit {
    let desk = DeskLabel::parse("BHXH 99").unwrap();
    let answer = Answer { state, at: UnixSeconds(9), desk, text: None };
    Edit::Answer { petition: PETITION, id: EntryId([id; 16]), answer }
}

/// A document with a phone number, a petition that was handed in by device 1, and an answer of desk 9.
fn document() -> PersonalDocument {
    let mut document = PersonalDocument::begin(MemberId([7; 16]));
    let handed_in = Edit::HandIn { id: PETITION, at: UnixSeconds(5), petition: petition() };
    for edit in [phone(1), handed_in] {
        document.edit(&edit, actor(1), Writer::Device).unwrap().unwrap();
    }
    document.edit(&answer(1, PetitionState::Received), actor(9), Writer::Desk).unwrap().unwrap();
    document
}

/// The attacker's own copy, free of every guard.
fn copy_of(document: &PersonalDocument) -> Automerge {
    #[allow(clippy::disallowed_methods, reason = "attackers may have any actor id")]
    let mut copy = Automerge::new();
    let changes = document.changes_since(&[]).unwrap();
    copy.apply_changes(changes.into_iter().map(|bytes| Change::try_from(bytes).unwrap())).unwrap();
    copy
}

/// One change by Automerge's own hand.
fn write_with(
    mut copy: Automerge,
    by: ActorId,
    options: CommitOptions,
    write: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
) -> Vec<u8> {
    copy.set_actor(automerge::ActorId::from(by.0));
    let mut transaction = copy.transaction();
    write(&mut transaction).unwrap();
    transaction.commit_with(options);
    copy.get_last_local_change().unwrap().raw_bytes().to_vec()
}

fn write(
    document: &PersonalDocument,
    by: ActorId,
    with: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
) -> Vec<u8> {
    write_with(copy_of(document), by, CommitOptions::default().with_time(0), with)
}

/// One change that sets a key to these bytes.
fn put(document: &PersonalDocument, by: ActorId, key: &str, bytes: &[u8]) -> Vec<u8> {
    write(document, by, |tx| tx.put(ROOT, key, ScalarValue::Bytes(bytes.to_vec())))
}

/// The same change, spoilt and written again by Automerge.
fn spoil(change: &[u8], spoil: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let mut expanded = ExpandedChange::from(&Change::try_from(change).unwrap());
    spoil(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

/// The first change of device 2, its columns written by hand.
fn columns(document: &PersonalDocument, columns: &[(u64, &[u8])]) -> Vec<u8> {
    let first_op = document.history.changes().len() as u64 + 1;
    let mut rest = vec![16];
    rest.extend(actor(2).0);
    rest.extend([1, first_op as u8, 0, 0, 0, columns.len() as u8]);
    for (specification, bytes) in columns {
        write_unsigned(&mut rest, *specification);
        write_unsigned(&mut rest, bytes.len() as u64);
    }
    rest.extend(columns.iter().flat_map(|(_, bytes)| bytes.iter()));
    chunk::join(&document.heads(), &rest)
}

/// What device 2 is told; the document takes an honest change afterwards.
fn check(document: &PersonalDocument, change: &[u8], refusal: Refusal) {
    check_as(document, change, Writer::Device, refusal);
}

fn check_as(document: &PersonalDocument, change: &[u8], writer: Writer, refusal: Refusal) {
    let (view, heads) = (document.view(), document.heads());
    let refused = document.admit(change, actor(2), writer).map(|after| after.view());
    assert_eq!(refused, Err(refusal));
    assert_eq!((document.view(), document.heads()), (view, heads));
    let honest = document.clone().edit(&phone(77), actor(3), Writer::Device).unwrap().unwrap();
    document.admit(&honest, actor(3), Writer::Device).unwrap();
}

fn key(key: Key) -> String {
    key.to_text()
}

#[test]
fn what_is_not_one_plain_change_is_not_read_further() {
    let document = document();
    let good = put(&document, actor(2), "contact/phone", &Value::Flag(true).encode());
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 4 << 20], 9);
    assert!(bomb.len() < OPERATION_BYTES_MAX);
    for (kind, body) in [(0, &good[10..]), (2, &bomb), (3, &good[10..]), (9, b"")] {
        let mut chunk = [&[0x85, 0x6f, 0x4a, 0x83, 1, 2, 3, 4, kind], body].concat();
        check(&document, &chunk, Refusal::Chunk(ChunkError::Kind(kind)));
        chunk[0] = 0;
        check(&document, &chunk, Refusal::Chunk(ChunkError::Magic));
    }
    let whole = copy_of(&document).save();
    check(&document, &whole, Refusal::Chunk(ChunkError::Kind(0)));
    let long = vec![0; OPERATION_BYTES_MAX + 1];
    check(&document, &long, Refusal::TooLong { got: OPERATION_BYTES_MAX + 1 });
    check(&document, &[good.clone(), good.clone()].concat(), Refusal::Chunk(ChunkError::Malformed));
    check(&document, b"", Refusal::Chunk(ChunkError::Magic));
    let mut other = good;
    *other.last_mut().unwrap() ^= 1;
    check(&document, &other, Refusal::Chunk(ChunkError::Checksum));
}

#[test]
fn every_cut_and_every_changed_byte_of_the_body_is_refused_without_a_panic() {
    let document = document();
    let change = document.clone().edit(&phone(3), actor(2), Writer::Device).unwrap().unwrap();
    let (deps, rest) = chunk::split(&change).unwrap();
    for at in 0..rest.len() {
        for mask in [1, 0x80, 0xff] {
            let mut harmed = rest.to_vec();
            harmed[at] ^= mask;
            // Under a hash of its own. Another number is another value, and may be admitted.
            let admitted = document.admit(&chunk::join(&deps, &harmed), actor(2), Writer::Device);
            let is_digit = admitted.as_ref().is_ok_and(|after| after.view().phone != document.view().phone);
            assert!(admitted.is_err() || is_digit, "{at} ^ {mask}");
        }
        let cut = chunk::join(&deps, &rest[..at]);
        assert!(document.admit(&cut, actor(2), Writer::Device).is_err(), "cut at {at}");
    }
}

#[test]
fn a_run_that_claims_more_rows_than_there_may_be_is_not_walked() {
    let document = document();
    let good: Vec<(u64, &[u8])> = vec![
        (0x15, b"\x7f\x0dcontact/phone"),
        (0x34, &[1]),
        (0x42, &[0x7f, 1]),
        (0x56, &[0x7f, 0x17]),
        (0x57, b"\xf5"),
        (0x70, &[0x7f, 0]),
    ];
    // As far as the value, which is no telephone number.
    check(&document, &columns(&document, &good), Refusal::Value);
    // An address of e-mail, and the same with a run of one where Automerge writes a row that stands alone.
    let mut email = good.clone();
    email[0] = (0x15, b"\x7f\x0dcontact/email");
    email[3] = (0x56, &[0x7f, 0x47]);
    email[4] = (0x57, b"\x63a@b");
    assert!(document.admit(&columns(&document, &email), actor(2), Writer::Device).is_ok());
    email[2] = (0x42, &[1, 1]);
    check(&document, &columns(&document, &email), Refusal::Merge);
    let many: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 1, 1];
    for (at, (specification, _)) in good.iter().enumerate().filter(|(_, (it, _))| ![0x34, 0x57].contains(it))
    {
        let mut bomb = good.clone();
        bomb[at] = (*specification, many);
        check(&document, &columns(&document, &bomb), Refusal::Chunk(ChunkError::TooMany));
    }
    let mut switched = good.clone();
    switched[1] = (0x34, &[0, 1]);
    check(&document, &columns(&document, &switched), Refusal::Chunk(ChunkError::Malformed));
    // A value longer than what there is, and one that is replaced under an actor that is not there.
    let mut long = good.clone();
    long[3] = (0x56, &[0x7f, 0xf7, 0xff, 0xff, 0xff, 7]);
    check(&document, &columns(&document, &long), Refusal::Chunk(ChunkError::Malformed));
    let mut nobody = good.clone();
    nobody[5] = (0x70, &[0x7f, 1]);
    nobody.extend([(0x71, [0x7f, 9].as_slice()), (0x73, &[0x7f, 2])]);
    check(&document, &columns(&document, &nobody), Refusal::Chunk(ChunkError::Malformed));
}

#[test]
fn a_compressed_or_unknown_column_is_refused_by_its_number() {
    let document = document();
    for specification in [0x01, 0x02, 0x11, 0x13, 0x1d, 0x5e, 0x5f, 0x94, 0xa5, 0x1000] {
        let change = columns(&document, &[(specification, &[1])]);
        check(&document, &change, Refusal::Chunk(ChunkError::Column(specification)));
    }
}

#[test]
fn nobody_writes_in_anothers_name_twice_or_out_of_turn() {
    let document = document();
    let phone_value = Value::Phone(Phone::parse("0988888888").unwrap()).encode();
    let by = |n| put(&document, actor(n), "contact/phone", &phone_value);
    check(&document, &by(1), Refusal::Actor);
    // Another install of the same key: the caller says which one this connection is.
    check(
        &document,
        &put(&document, ActorId::new(KeyId([2; 8]), [1; 8]), "contact/phone", &phone_value),
        Refusal::Actor,
    );
    let good = by(2);
    let after = document.admit(&good, actor(2), Writer::Device).unwrap();
    check(&after, &good, Refusal::Follow(FollowError::Known));
    let other = spoil(&good, |change| change.seq = 2);
    check(&document, &other, Refusal::Follow(FollowError::Seq { expected: 1, got: 2 }));
    check(
        &after,
        &put(&document, actor(2), "contact/email", b"\x61a"),
        Refusal::Follow(FollowError::Seq { expected: 2, got: 1 }),
    );
    let far = spoil(&good, |change| change.start_op = 4_000_000_000.try_into().unwrap());
    let counter =
        FollowError::Counter { expected: document.history.changes().len() as u64 + 1, got: 4_000_000_000 };
    check(&document, &far, Refusal::Follow(counter));
    let end = spoil(&good, |change| change.start_op = u64::from(u32::MAX).try_into().unwrap());
    check(&document, &end, Refusal::Chunk(ChunkError::Malformed));
    let forgetful = spoil(&good, |change| {
        change.seq = 2;
        change.start_op = 5.try_into().unwrap();
    });
    check(&after, &forgetful, Refusal::Follow(FollowError::Forgetful));
}

#[test]
fn a_change_of_another_member_of_an_old_generation_or_of_nothing_has_no_place() {
    let document = document();
    let mut other = PersonalDocument::begin(MemberId([8; 16]));
    let change = other.edit(&phone(5), actor(2), Writer::Device).unwrap().unwrap();
    check(&document, &change, Refusal::Follow(FollowError::UnknownDependency));
    let mut old = document.clone();
    let change = old.edit(&phone(5), actor(2), Writer::Device).unwrap().unwrap();
    check(&document.rebuild(), &change, Refusal::Follow(FollowError::UnknownDependency));
    let alone = spoil(&change, |change| {
        change.deps.clear();
        change.start_op = 1.try_into().unwrap();
    });
    check(&document, &alone, Refusal::Follow(FollowError::UnknownDependency));
}

#[test]
fn a_field_is_written_by_whose_it_is_and_a_forged_answer_hides_behind_no_conflict() {
    let mut document = document();
    let forged = Value::Petition(petition()).encode();
    let answer_key = key(Key::Answer(PETITION, EntryId([1; 16])));
    // Beside the desk's answer, from before the device knew it: Automerge's patches would show a conflict and no value.
    let mut old = PersonalDocument::begin(MemberId([7; 16]));
    let before: Vec<&[u8]> = document.changes_since(&[]).unwrap();
    old.apply(before.into_iter().take(3)).unwrap();
    check(&document, &put(&old, actor(2), &answer_key, &forged), Refusal::Writer);
    check(&document, &write(&document, actor(2), |tx| tx.delete(ROOT, &answer_key)), Refusal::Writer);
    check(&document, &write(&document, actor(2), |tx| tx.delete(ROOT, "id")), Refusal::Writer);
    check(&document, &put(&document, actor(2), "id", &forged), Refusal::Writer);
    for private in
        [Key::Note(Seq(1)), Key::ReminderDone(PETITION), Key::Draft(PETITION), Key::HandedIn(PETITION)]
    {
        let change = put(&document, actor(2), &key(private), &forged);
        check_as(&document, &change, Writer::Desk, Refusal::Writer);
    }
    // On its own field an old dependency makes a conflict, and the conflict is shown.
    let number = Value::Phone(Phone::parse("0988888888").unwrap()).encode();
    let beside = put(&PersonalDocument::begin(MemberId([7; 16])), actor(2), "contact/phone", &number);
    document = document.admit(&beside, actor(2), Writer::Device).unwrap();
    assert_eq!(document.view().phone.unwrap().others.len(), 1);
}

#[test]
fn an_operation_replaces_what_stood_in_its_own_field_and_nothing_else() {
    let document = document();
    let number = Value::Phone(Phone::parse("0988888888").unwrap()).encode();
    let change = put(&document, actor(2), "contact/phone", &number);
    let copy = copy_of(&document);
    let (_, answered) = copy.get(ROOT, key(Key::Answer(PETITION, EntryId([1; 16])))).unwrap().unwrap();
    let automerge::ObjId::Id(counter, desk, _) = answered else { panic!("an operation") };
    // Marked as replaced from the side, the answer would be gone for everybody.
    let aside = spoil(&change, |change| change.operations[0].pred = vec![OpId(counter, desk)].into());
    check(&document, &aside, Refusal::Replaces);
    check(&document, &spoil(&change, |change| change.operations[0].pred = vec![].into()), Refusal::Replaces);
    let nothing = spoil(&change, |change| {
        change.operations[0].pred = vec![].into();
        change.operations[0].key = automerge::legacy::Key::Map("contact/email".into());
        change.operations[0].action = OpType::Delete;
    });
    check(&document, &nothing, Refusal::Replaces);
    let twice = spoil(&change, |change| change.operations.push(change.operations[0].clone()));
    check(&document, &twice, Refusal::Twice);
}

#[test]
fn what_was_handed_in_and_answered_stands() {
    let document = document();
    let handed_in = key(Key::HandedIn(PETITION));
    let again = Value::HandedIn(UnixSeconds(6), petition()).encode();
    check(&document, &put(&document, actor(2), &handed_in, &again), Refusal::Final);
    check(&document, &write(&document, actor(2), |tx| tx.delete(ROOT, &handed_in)), Refusal::Final);
    // From before the other device handed it in.
    let old = PersonalDocument::begin(MemberId([7; 16]));
    check(&document, &put(&old, actor(2), &handed_in, &again), Refusal::Final);
    let Edit::Answer { answer: said, .. } = answer(1, PetitionState::Declined) else { panic!("an answer") };
    let said = Value::Answer(said).encode();
    let answered = key(Key::Answer(PETITION, EntryId([1; 16])));
    check_as(&document, &put(&document, actor(2), &answered, &said), Writer::Desk, Refusal::Final);
    let elsewhere = key(Key::Answer(EntryId([6; 16]), EntryId([1; 16])));
    check_as(&document, &put(&document, actor(2), &elsewhere, &said), Writer::Desk, Refusal::NotHandedIn);
}

#[test]
fn fields_and_values_have_their_forms() {
    let document = document();
    for field in
        ["", "x", "contact", "contact/fax", "contact/phone/", "note/007", "note/-1", "reminder/5/text"]
    {
        check(&document, &put(&document, actor(2), field, b"\xf5"), Refusal::Field);
    }
    let upper = key(Key::Draft(EntryId([0xab; 16]))).to_uppercase();
    check(&document, &put(&document, actor(2), &upper, b"\xf5"), Refusal::Field);
    check(&document, &put(&document, actor(2), &"x".repeat(97), b""), Refusal::Chunk(ChunkError::TooMany));
    let long = "x".repeat(4_001);
    let text = minicbor::to_vec(&long).unwrap();
    for (field, value) in [
        ("note/1", text.as_slice()),
        ("note/1", b""),
        ("note/1", b"\x60"),
        ("note/1", b"\x78\x01a"),
        ("note/1", b"\x62a\x00"),
        ("contact/phone", b"\x670912345"),
        ("contact/phone", b"\xf6"),
        ("contact/address", b"\x83\x6299\x6599001\xf5"),
        ("reminder/05050505050505050505050505050505/done", b"\x01"),
    ] {
        check(&document, &put(&document, actor(2), field, value), Refusal::Value);
    }
}

#[test]
fn objects_lists_texts_counters_marks_and_notes_in_the_margin_have_no_form() {
    let document = document();
    let operation = |action, value| Refusal::Chunk(ChunkError::Operation { action, value });
    for (kind, action) in [(ObjType::Map, 0), (ObjType::List, 2), (ObjType::Text, 4), (ObjType::Table, 6)] {
        let change = write(&document, actor(2), |tx| tx.put_object(ROOT, "note/1", kind).map(|_| ()));
        check(&document, &change, operation(action, 0));
    }
    let inside = write(&document, actor(2), |tx| {
        let map = tx.put_object(ROOT, "note/1", ObjType::Map)?;
        tx.put(map, "a", 1)
    });
    check(&document, &inside, Refusal::Chunk(ChunkError::Column(1)));
    for (value, kind) in [
        (ScalarValue::Str("a".repeat(5_000).into()), 6),
        (ScalarValue::counter(1), 8),
        (ScalarValue::Int(1), 4),
        (ScalarValue::Uint(1), 3),
        (ScalarValue::F64(1.0), 5),
        (ScalarValue::Timestamp(1), 9),
        (ScalarValue::Boolean(true), 2),
        (ScalarValue::Null, 0),
        (ScalarValue::Unknown { type_code: 12, bytes: vec![1] }, 12),
    ] {
        let change = write(&document, actor(2), |tx| tx.put(ROOT, "note/1", value.clone()));
        check(&document, &change, operation(1, kind));
    }
    let increment = spoil(&put(&document, actor(2), "note/1", b"\xf5"), |change| {
        change.operations[0].action = OpType::Increment(1);
    });
    check(&document, &increment, operation(5, 4));
    let marked = write(&document, actor(2), |tx| {
        let text = tx.put_object(ROOT, "note/1", ObjType::Text)?;
        tx.splice_text(&text, 0, 0, "abc")?;
        let mark = automerge::marks::Mark::new("bold".into(), true, 0, 2);
        tx.mark(&text, mark, automerge::marks::ExpandMark::Both)
    });
    check(&document, &marked, Refusal::Chunk(ChunkError::Column(1)));
    let put = |tx: &mut Transaction<'_>| tx.put(ROOT, "note/1", ScalarValue::Bytes(vec![0x61, 0x61]));
    for options in [CommitOptions::default().with_time(1), CommitOptions::default().with_message("a")] {
        let change = write_with(copy_of(&document), actor(2), options, put);
        check(&document, &change, Refusal::Chunk(ChunkError::Appendix));
    }
    let author = automerge::Author::from(b"nobody".as_slice());
    let signed = copy_of(&document).with_author(Some(author.into_owned()));
    let change = write_with(signed, actor(2), CommitOptions::default().with_time(0), put);
    check(&document, &change, Refusal::Chunk(ChunkError::Appendix));
}

#[test]
fn a_document_fills_up_to_its_bounds_and_a_rebuild_makes_room() {
    let mut document = document();
    let note = Text::parse(&"x".repeat(4_000)).unwrap();
    let mut refused = None;
    for record in 0..100 {
        if let Err(refusal) =
            document.edit(&Edit::Note(Seq(record), Some(note.clone())), actor(1), Writer::Device)
        {
            refused = Some((record, refusal));
            break;
        }
    }
    assert_eq!(refused, Some((16, Refusal::DocumentFull)));
    document.edit(&Edit::Note(Seq(0), None), actor(1), Writer::Device).unwrap().unwrap();
    let mut n = 0;
    let full = loop {
        n += 1;
        if let Err(refusal) = document.edit(&phone(n), actor(1), Writer::Device) {
            break refusal;
        }
    };
    assert_eq!((full, document.changes()), (Refusal::HistoryFull, PERSONAL_CHANGES_MAX));
    assert!(document.wants_rebuild());
    let mut next = document.rebuild();
    assert_eq!(next.view(), document.view());
    next.edit(&phone(n), actor(1), Writer::Device).unwrap().unwrap();
    assert!(!next.wants_rebuild());
}

#[test]
fn many_that_never_heard_of_each_other_end_at_the_bound_of_heads() {
    let beginning = PersonalDocument::begin(MemberId([7; 16]));
    let mut document = beginning.clone();
    for n in 1..=PERSONAL_HEADS_MAX as u8 {
        let change = beginning.clone().edit(&phone(n.into()), actor(n), Writer::Device).unwrap().unwrap();
        document = document.admit(&change, actor(n), Writer::Device).unwrap();
    }
    let change = { beginning }.edit(&phone(99), actor(99), Writer::Device).unwrap().unwrap();
    let refused = document.admit(&change, actor(99), Writer::Device).unwrap_err();
    assert_eq!(refused, Refusal::HistoryFull);
    let next = document.rebuild();
    assert_eq!(next.heads().len(), 8);
    assert_eq!(next.view().phone.unwrap().value, document.view().phone.unwrap().value);
    let joined = document.edit(&phone(50), actor(1), Writer::Device).unwrap();
    assert!(joined.is_some() && document.heads().len() == 1);
}
