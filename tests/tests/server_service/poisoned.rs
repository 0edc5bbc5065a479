//! Poisoned changes of a personal document, over QUIC at the running server: each is refused with its code, the document
//! stays, the connection and the server too, and what is honest goes in afterwards.

use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::operation::{Operation, OperationAnswer, Rejection};
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::{ActorId, EntryId, Writer};
use bhyt_core::personal::values::{
    Answer, DeskLabel, Line, Petition, PetitionKind, PetitionState, Phone, Text,
};
use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::messages::{Reply, Request};
use bhyt_core::sync::personal::{PersonalCursor, PersonalReply, SyncPersonal};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::quic::ClientConnection;
use bhyt_tests::fuzz::personal::chunk;

use crate::over_quic::{Running, ask, command};
use crate::world::{activate, card_row, key, member_row, public, social};

const INSTALL: [u8; 8] = [4; 8];
const PETITION: EntryId = EntryId([5; 16]);

fn actor() -> ActorId {
    ActorId::new(public(1).key_id(), INSTALL)
}

/// A petition, and an answer to it that the phone gives itself.
fn petition_and_forged_answer() -> [Edit; 2] {
    let (subject, text) = (Line::parse("Thẻ").unwrap(), Text::parse("Sai ngày sinh").unwrap());
    let petition = Petition { kind: PetitionKind::Request, subject, text };
    let desk = DeskLabel::parse("BHXH 99").unwrap();
    let answer = Answer { state: PetitionState::Answered, at: UnixSeconds(9), desk, text: None };
    [
        Edit::HandIn { id: PETITION, at: UnixSeconds(5), petition },
        Edit::Answer { petition: PETITION, id: EntryId([1; 16]), answer },
    ]
}

/// A first change of this phone whose columns are these bytes.
fn by_hand(document: &PersonalDocument, first_op: u8, columns: &[(u8, &[u8])]) -> Vec<u8> {
    let heads = document.heads();
    let mut body = vec![heads.len() as u8];
    body.extend(heads.iter().flat_map(|hash| hash.0));
    body.push(16);
    body.extend(actor().0);
    body.extend([1, first_op, 0, 0, 0, columns.len() as u8]);
    body.extend(columns.iter().flat_map(|(specification, bytes)| [*specification, bytes.len() as u8]));
    body.extend(columns.iter().flat_map(|(_, bytes)| bytes.iter()));
    chunk(&body)
}

/// What each is, its bytes, and what its maker is told.
fn poisons(document: &PersonalDocument) -> Vec<(&'static str, Vec<u8>, Rejection)> {
    let good: [(u8, &[u8]); 6] = [
        (0x15, b"\x7f\x0dcontact/phone"),
        (0x34, &[1]),
        (0x42, &[0x7f, 1]),
        (0x56, &[0x7f, 0x97, 1]),
        (0x57, b"\x6812345678"),
        (0x70, &[0x7f, 0]),
    ];
    let with = |at: usize, bytes: &'static [u8]| {
        let mut columns = good;
        columns[at].1 = bytes;
        by_hand(document, 2, &columns)
    };
    let many: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 1, 1];
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 6 << 20], 9);
    let deflated = [&[0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 2][..], &[0xff, 0x2f], &bomb].concat();
    let mut other = PersonalDocument::begin(MemberId([99; 16]));
    let elsewhere = other.edit(&Edit::Phone(Phone::parse("0912345678")), actor(), Writer::Device);
    let answered = with(0, b"\x7f\x0dcontact/phonf");
    vec![
        ("six megabytes in seven thousand bytes", deflated, Rejection::Malformed),
        ("2^60 operations in ten bytes", with(2, many), Rejection::Malformed),
        ("2^60 values", with(3, many), Rejection::Malformed),
        ("a value that is no telephone number", with(4, b"\x681234567x"), Rejection::NotPermitted),
        ("a field that there is not", answered, Rejection::NotPermitted),
        (
            "an operation of an actor that is not there",
            by_hand(
                document,
                2,
                &[
                    good[0],
                    good[1],
                    good[2],
                    good[3],
                    good[4],
                    (0x70, &[0x7f, 1]),
                    (0x71, &[0x7f, 9]),
                    (0x73, &[0x7f, 1]),
                ],
            ),
            Rejection::Malformed,
        ),
        ("a counter that jumps", by_hand(document, 90, &good), Rejection::OutOfOrder),
        ("another member's document", elsewhere.unwrap().unwrap(), Rejection::OutOfOrder),
        ("nothing", Vec::new(), Rejection::Malformed),
    ]
}

async fn hand_in(connection: &ClientConnection, sync: SyncPersonal) -> PersonalReply {
    let mut exchange = connection.open_exchange().await.unwrap();
    match ask(&mut exchange, &Request::SyncPersonal(sync)).await.remove(0) {
        Reply::Personal(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poisoned_changes_leave_the_document_and_the_server_well() {
    let server = Running::start().await;
    let operator = server.connect(&server.operator()).await.unwrap().connection;
    command(&operator, 1, AdminCommand::ImportMembers(vec![member_row(1)])).await;
    command(&operator, 2, AdminCommand::ImportCards(vec![card_row(1)])).await;
    let code = AdminCommand::MakeDeviceCode(social(1));
    let AdminReply::OneTimeCode { code, .. } = command(&operator, 3, code).await else { panic!() };
    let phone = server.connect(&key(1)).await.unwrap().connection;
    let mut exchange = phone.open_exchange().await.unwrap();
    let replies = ask(&mut exchange, &activate(1, &social(1), &code)).await;
    let [Reply::Activated(member), Reply::Done] = replies[..] else { panic!("{replies:?}") };

    let mut document = PersonalDocument::begin(member);
    let mut next = 0_u8;
    let mut sync = |document: &PersonalDocument, change: Vec<u8>| {
        next += 1;
        let operation = Operation { id: OperationId([next; 16]), change };
        let cursor = PersonalCursor::of(document);
        SyncPersonal { member, cursor, install: INSTALL, operations: vec![operation] }
    };
    for (what, poison, rejection) in poisons(&document) {
        let reply = hand_in(&phone, sync(&document, poison)).await;
        assert_eq!(reply.answers, [OperationAnswer::Rejected(rejection)], "{what}");
        assert_eq!(reply.cursor, PersonalCursor::of(&document), "{what}");
    }
    // The honest half of the last attack goes in, the forged half does not.
    let [petition, answer] = petition_and_forged_answer();
    let change = document.edit(&petition, actor(), Writer::Device).unwrap().unwrap();
    let reply = hand_in(&phone, sync(&PersonalDocument::begin(member), change)).await;
    assert!(matches!(reply.answers[..], [OperationAnswer::Accepted(_)]), "{reply:?}");
    let forged = document.clone().edit(&answer, actor(), Writer::Desk).unwrap().unwrap();
    let reply = hand_in(&phone, sync(&document, forged)).await;
    assert_eq!(reply.answers, [OperationAnswer::Rejected(Rejection::NotPermitted)]);
    assert_eq!(reply.cursor, PersonalCursor::of(&document));
    server.stop().await;
}
