//! One document on several machines: edits, conflicts, storing, beginning anew.

use super::document::{ApplyError, PersonalDocument, change_hash};
use super::edit::Edit;
use super::guard::Refusal;
use super::history::FollowError;
use super::ids::{ActorId, EntryId, Writer};
use super::stored::StoredError;
use super::values::{Answer, DeskLabel, Line, Petition, PetitionKind, PetitionState, Phone, Text};
use super::view::Field;
use crate::ids::MemberId;
use crate::keys::KeyId;
use crate::operation::Generation;
use crate::record::Seq;
use crate::time::UnixSeconds;

const MEMBER: MemberId = MemberId([7; 16]);
const TEXT: &str = "Đề nghị xem lại lượt khám ngày 12/3";

fn actor(n: u8) -> ActorId {
    ActorId::new(KeyId([n; 8]), [n; 8])
}

fn phone(n: u64) -> Edit {
    Edit::Phone(Phone::parse(&format!("09{n:08}")))
}

fn petition() -> Petition {
    let (subject, text) = (Line::parse("Lượt khám").unwrap(), Text::parse(TEXT).unwrap());
    Petition { kind: PetitionKind::Dispute(Seq(4)), subject, text }
}

fn answer(at: u64, state: PetitionState) -> Answer {
    Answer { state, at: UnixSeconds(at), desk: DeskLabel::parse("BHXH Quận 99").unwrap(), text: None }
}

/// Edits as a device and returns the change.
fn by(document: &mut PersonalDocument, n: u8, edit: &Edit) -> Vec<u8> {
    document.edit(edit, actor(n), Writer::Device).unwrap().unwrap()
}

#[test]
fn a_petition_goes_to_the_desk_and_comes_back_answered() {
    let mut mine = PersonalDocument::begin(MEMBER);
    let id = EntryId([1; 16]);
    let mut sent = vec![by(&mut mine, 1, &Edit::Draft(id, Some(petition())))];
    sent.push(by(&mut mine, 1, &Edit::HandIn { id, at: UnixSeconds(5), petition: petition() }));
    let mut desk = PersonalDocument::begin(MEMBER);
    for change in &sent {
        desk = desk.admit(change, actor(1), Writer::Device).unwrap();
    }
    let at_desk = desk.heads();
    for (n, state) in [(2, PetitionState::Answered), (1, PetitionState::Received)] {
        let answer = answer(u64::from(n), state);
        let edit = Edit::Answer { petition: id, id: EntryId([n; 16]), answer };
        desk.edit(&edit, actor(9), Writer::Desk).unwrap().unwrap();
    }
    assert_eq!(mine.apply(desk.changes_since(&at_desk).unwrap().into_iter()), Ok(2));
    assert_eq!(mine.apply(desk.changes_since(&[]).unwrap().into_iter()), Ok(0));
    let shown = &mine.view().petitions[&id];
    assert_eq!(shown.state(), Some(PetitionState::Answered));
    assert_eq!(shown.answers.len(), 2);
    assert_eq!(shown.handed_in.as_ref().unwrap().petition, petition());
    assert_eq!(shown.draft, None);
    let again = Edit::HandIn { id, at: UnixSeconds(6), petition: petition() };
    assert_eq!(mine.edit(&again, actor(1), Writer::Device), Err(Refusal::Final));
}

#[test]
fn two_values_of_one_field_stay_until_it_is_written_again() {
    let (mut one, mut two) = (PersonalDocument::begin(MEMBER), PersonalDocument::begin(MEMBER));
    let first = by(&mut one, 1, &phone(1));
    let second = by(&mut two, 2, &phone(2));
    one.apply([second.as_slice()].into_iter()).unwrap();
    two.apply([first.as_slice()].into_iter()).unwrap();
    let number = |n: u64| Phone::parse(&format!("09{n:08}")).unwrap();
    // As many operations before each: the greater actor id wins.
    let both = Field { value: number(2), others: vec![number(1)] };
    assert_eq!(one.view().phone, Some(both));
    assert_eq!(two.view(), one.view());
    let rebuilt = one.rebuild();
    assert_eq!(rebuilt.view(), one.view());
    assert_eq!(rebuilt.generation(), Generation(2));
    by(&mut one, 1, &phone(1));
    assert_eq!(one.view().phone, Some(Field { value: number(1), others: vec![] }));
}

#[test]
fn an_edit_that_changes_nothing_is_no_change() {
    let mut document = PersonalDocument::begin(MEMBER);
    by(&mut document, 1, &phone(1));
    assert_eq!(document.edit(&phone(1), actor(1), Writer::Device), Ok(None));
    assert_eq!(document.edit(&Edit::Email(None), actor(1), Writer::Device), Ok(None));
    let removed = Edit::RemoveReminder(EntryId([3; 16]));
    assert_eq!(document.edit(&removed, actor(1), Writer::Device), Ok(None));
}

#[test]
fn stored_bytes_give_the_document_back_and_every_harm_is_an_error() {
    let mut document = PersonalDocument::begin(MEMBER);
    for n in 0..40 {
        by(&mut document, 1 + (n % 3) as u8, &phone(n));
    }
    let stored = document.save();
    let loaded = PersonalDocument::load(&stored).unwrap();
    assert_eq!((loaded.view(), loaded.save()), (document.view(), stored.clone()));
    assert!(stored.len() < 40 * 40, "{} bytes", stored.len());
    for at in 0..stored.len() {
        assert!(PersonalDocument::load(&stored[..at]).is_err(), "cut at {at}");
        let mut harmed = stored.clone();
        harmed[at] ^= 0x55;
        let opened = PersonalDocument::load(&harmed);
        assert!(opened.is_err(), "changed at {at}");
    }
    let newer = [[2, 0].as_slice(), &stored[2..]].concat();
    assert_eq!(PersonalDocument::load(&newer).unwrap_err(), ApplyError::Stored(StoredError::Schema(2)));
    let huge = [&[1, 0, 0xff, 0xff, 0xff, 0xff], &stored[6..]].concat();
    assert_eq!(PersonalDocument::load(&huge).unwrap_err(), ApplyError::Stored(StoredError::TooLarge));
}

#[test]
fn nothing_of_the_past_is_in_a_rebuilt_document() {
    let mut document = PersonalDocument::begin(MEMBER);
    let id = EntryId([1; 16]);
    let note = Text::parse("một điều riêng tư").unwrap();
    by(&mut document, 1, &Edit::Note(Seq(3), Some(note.clone())));
    by(&mut document, 1, &Edit::HandIn { id, at: UnixSeconds(5), petition: petition() });
    by(&mut document, 1, &Edit::Note(Seq(3), None));
    let holds = |document: &PersonalDocument, text: &str| {
        document
            .changes_since(&[])
            .unwrap()
            .into_iter()
            .any(|change| change.windows(text.len()).any(|it| it == text.as_bytes()))
    };
    assert!(holds(&document, note.as_str()) && holds(&document, TEXT));
    let rebuilt = document.rebuild();
    assert_eq!(rebuilt.view(), document.view());
    assert!(!holds(&rebuilt, note.as_str()) && holds(&rebuilt, TEXT));
    assert_eq!(rebuilt.save(), document.rebuild().save());
    assert!(!holds(&document.rebuild_without(&[id]), TEXT));
}

#[test]
fn an_edit_made_offline_is_made_again_on_the_next_generation() {
    let mut mine = PersonalDocument::begin(MEMBER);
    let shared = by(&mut mine, 1, &phone(1));
    let server = PersonalDocument::begin(MEMBER).admit(&shared, actor(1), Writer::Device).unwrap();
    let offline = phone(2);
    let old_change = by(&mut mine, 1, &offline);
    let server = server.rebuild();
    let refused = server.admit(&old_change, actor(1), Writer::Device).unwrap_err();
    assert_eq!(refused, Refusal::Follow(FollowError::Seq { expected: 1, got: 2 }));
    let mut mine = PersonalDocument::load(&server.save()).unwrap();
    let change = by(&mut mine, 1, &offline);
    let server = server.admit(&change, actor(1), Writer::Device).unwrap();
    assert_eq!(server.view().phone.unwrap().value, Phone::parse("0900000002").unwrap());
}

#[test]
fn without_a_refused_change_the_others_stand() {
    let mut mine = PersonalDocument::begin(MEMBER);
    let before = by(&mut mine, 1, &phone(1));
    let refused = by(&mut mine, 1, &phone(2));
    by(&mut mine, 1, &phone(3));
    let kept = mine.without(change_hash(&refused).unwrap());
    assert_eq!(kept.changes(), 2);
    assert!(kept.knows(&change_hash(&before).unwrap()));
    assert_eq!(kept.view().phone.unwrap().value, Phone::parse("0900000001").unwrap());
}
