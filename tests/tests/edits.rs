//! Journey 2, "Edit offline": a member's own words, edited without a network, merged later with what others wrote, proven by
//! receipts. Real server, real phones, over QUIC and sled.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bhyt_core::operation::{OperationHash, Rejection};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::values::{Line, Petition, PetitionKind, Phone as Number, Text};
use bhyt_core::receipt::Receipt;
use bhyt_core::record::Seq;
use bhyt_core::trust;
use bhyt_sdk::{Event, OutboxState, Wallet};
use bhyt_tests::operator::Operator;
use bhyt_tests::people::{Phone, Town};
use bhyt_tests::server::block_on;

const MEMBER: &str = "9900000017";

fn number(last: u32) -> Edit {
    Edit::Phone(Number::parse(&format!("0900{last:06}")))
}

fn note(record: u64, text: &str) -> Edit {
    Edit::Note(Seq(record), Text::parse(text))
}

fn petition(subject: &str) -> Petition {
    Petition {
        kind: PetitionKind::Correction(Seq(3)),
        subject: Line::parse(subject).unwrap(),
        text: Text::parse("Giai đoạn tháng 5 đến tháng 7 còn thiếu.").unwrap(),
    }
}

fn shown(phone: &Phone) -> String {
    let view = phone.wallet.personal(phone.member).unwrap();
    view.phone.map(|phone| phone.value.as_str().to_owned()).unwrap_or_default()
}

fn waiting(phone: &Phone) -> usize {
    phone.wallet.outbox(phone.member).unwrap().len()
}

/// A member, and an operator.
async fn registered(town: &Town, server: SocketAddr) -> Operator {
    let operator = town.operator(server).await;
    operator.register(MEMBER, "Nguyễn Thị Thử").await;
    operator
}

async fn two_phones(town: &Town, server: SocketAddr) -> [Phone; 2] {
    let operator = registered(town, server).await;
    let one = town.phone_named("one", server, &operator, MEMBER).await;
    [one, town.phone_named("two", server, &operator, MEMBER).await]
}

#[test]
fn an_edit_made_offline_is_shown_at_once_outlives_a_restart_and_is_taken_later() {
    let town = Town::found();
    let server = town.open();
    let phone = block_on(async {
        let operator = registered(&town, server.address()).await;
        town.phone(server.address(), &operator, MEMBER).await
    });
    let address = server.address();
    server.stop();

    phone.wallet.edit(phone.member, number(1)).unwrap().unwrap();
    assert_eq!(phone.wallet.edit(phone.member, number(1)).unwrap(), None, "it is so already");
    let id = phone.wallet.make_entry_id();
    let (at, text) = (town.now(), petition("Thiếu ba tháng đóng"));
    phone.wallet.edit(phone.member, Edit::HandIn { id, at, petition: text.clone() }).unwrap().unwrap();
    assert_eq!((shown(&phone).as_str(), waiting(&phone)), ("0900000001", 2));
    let member = phone.member;
    drop(phone);

    let phone = Phone { wallet: Wallet::open(town.config(MEMBER)).unwrap(), member };
    assert_eq!((shown(&phone).as_str(), waiting(&phone)), ("0900000001", 2), "after a restart");
    town.pass(3_600);
    let server = town.server.start(address);
    block_on(phone.wallet.sync()).unwrap();
    assert_eq!((shown(&phone).as_str(), waiting(&phone)), ("0900000001", 0));
    server.stop();

    // Without anybody's help the member proves that the petition was handed in, and when.
    let receipts = phone.wallet.receipts(member).unwrap();
    let proof = receipts.iter().find(|receipt| matches!(receipt.edit, Edit::HandIn { .. })).unwrap();
    let bundle = trust::anchor(&town.server.trust_bytes()).unwrap();
    let receipt = Receipt::verify(&proof.signed, bundle.claims()).unwrap();
    assert_eq!(receipt.claims().time, town.now());
    assert_eq!(receipt.claims().change, OperationHash::of(&proof.change));
    assert_eq!((receipt.claims().member, receipt.claims().operation), (member, proof.operation));
    let view = phone.wallet.personal(member).unwrap();
    assert_eq!(view.petitions[&id].handed_in.as_ref().unwrap().petition, text);
}

#[test]
fn two_phones_that_edit_apart_meet_and_the_value_that_did_not_win_stays_beside_the_other() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let [one, two] = two_phones(&town, server.address()).await;
        one.wallet.edit(one.member, number(1)).unwrap();
        two.wallet.edit(two.member, number(2)).unwrap();
        two.wallet.edit(two.member, note(7, "Hỏi lại bác sĩ")).unwrap();
        one.wallet.sync().await.unwrap();
        let events = one.watch();
        events.wait(|event| *event == Event::UpToDate);

        two.wallet.sync().await.unwrap();

        events.wait(|event| matches!(event, Event::PersonalChanged { .. }));
        let (here, there) = (one.wallet.personal(one.member), two.wallet.personal(two.member));
        let here = here.unwrap();
        assert_eq!(here, there.unwrap(), "both show the same");
        assert_eq!(here.phone.as_ref().unwrap().others.len(), 1);
        assert_eq!(here.notes[&Seq(7)].value.as_str(), "Hỏi lại bác sĩ");
        assert_eq!((waiting(&one), waiting(&two)), (0, 0));

        // While connected an edit goes by itself.
        one.wallet.edit(one.member, number(3)).unwrap();
        events.wait(|event| matches!(event, Event::OutboxChanged { .. }));
        assert_eq!(waiting(&one), 0);
        two.wallet.sync().await.unwrap();
        assert_eq!(shown(&two), "0900000003");
        let view = two.wallet.personal(two.member).unwrap();
        assert!(view.phone.unwrap().others.is_empty(), "whoever writes again settles it");
    });
}

#[test]
fn a_phone_that_was_restored_from_a_backup_loses_nothing_and_doubles_nothing() {
    let town = Town::found();
    let server = town.open();
    let (member, backup) = (
        block_on(async {
            let operator = registered(&town, server.address()).await;
            let phone = town.phone(server.address(), &operator, MEMBER).await;
            phone.wallet.edit(phone.member, number(1)).unwrap();
            phone.wallet.sync().await.unwrap();
            phone.wallet.close().await;
            phone.member
        }),
        town.path("backup"),
    );
    copy(&town.path(MEMBER), &backup);
    let open = || Phone { wallet: Wallet::open(town.config(MEMBER)).unwrap(), member };
    let phone = open();
    phone.wallet.edit(member, note(1, "một")).unwrap();
    block_on(phone.wallet.sync()).unwrap();
    block_on(phone.wallet.close());
    drop(phone);

    fs::remove_dir_all(town.path(MEMBER)).unwrap();
    copy(&backup, &town.path(MEMBER));
    let phone = open();
    // With the number that the server knows another change by.
    phone.wallet.edit(member, note(2, "hai")).unwrap();
    block_on(phone.wallet.sync()).unwrap();
    block_on(phone.wallet.sync()).unwrap();
    let view = phone.wallet.personal(member).unwrap();
    let notes: Vec<_> = view.notes.values().map(|note| note.value.as_str()).collect();
    assert_eq!((notes, waiting(&phone)), (vec!["một", "hai"], 0));
    phone.wallet.edit(member, note(3, "ba")).unwrap();
    block_on(phone.wallet.sync()).unwrap();
    assert_eq!(phone.wallet.personal(member).unwrap().notes.len(), 3);
    assert_eq!(waiting(&phone), 0);
}

#[test]
fn a_history_that_began_anew_takes_the_edits_that_were_made_on_the_old_one() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let [away, busy] = two_phones(&town, server.address()).await;
        away.wallet.edit(away.member, note(9, "ở xa")).unwrap();
        for round in 0..5 {
            for edit in 0..100 {
                busy.wallet.edit(busy.member, number(round * 100 + edit)).unwrap();
            }
            busy.wallet.sync().await.unwrap();
            assert_eq!(waiting(&busy), 0, "round {round}");
            town.pass(3_600);
        }
        away.wallet.sync().await.unwrap();
        assert_eq!(waiting(&away), 0);
        assert_eq!(shown(&away), "0900000499");
        busy.wallet.sync().await.unwrap();
        let here = busy.wallet.personal(busy.member).unwrap();
        assert_eq!(here.notes[&Seq(9)].value.as_str(), "ở xa", "not lost");
        assert_eq!(here, away.wallet.personal(away.member).unwrap());
    });
}

#[test]
fn what_the_server_refuses_is_parked_where_the_user_sees_it_and_holds_nothing_up() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let [one, two] = two_phones(&town, server.address()).await;
        // One petition, handed in on two phones with two texts: what was handed in first stands.
        let (id, at) = (one.wallet.make_entry_id(), town.now());
        let hand_in = |subject| Edit::HandIn { id, at, petition: petition(subject) };
        one.wallet.edit(one.member, hand_in("Bản thứ nhất")).unwrap();
        two.wallet.edit(two.member, hand_in("Bản thứ hai")).unwrap();
        two.wallet.edit(two.member, number(5)).unwrap();
        one.wallet.sync().await.unwrap();
        two.wallet.sync().await.unwrap();
        let left = two.wallet.outbox(two.member).unwrap();
        let [parked] = &left[..] else { panic!("{left:?}") };
        assert!(
            matches!(parked.state, OutboxState::Rejected { why: Rejection::NotPermitted, .. }),
            "{parked:?}"
        );
        assert_eq!(shown(&two), "0900000005", "what came behind it went through");
        let view = two.wallet.personal(two.member).unwrap();
        assert_eq!(view.petitions[&id].handed_in.as_ref().unwrap().petition.subject.as_str(), "Bản thứ nhất");
        assert!(two.wallet.discard(two.member, parked.id).unwrap());
        assert_eq!(waiting(&two), 0);
        one.wallet.sync().await.unwrap();
        assert_eq!(one.wallet.personal(one.member).unwrap(), two.wallet.personal(two.member).unwrap());
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}
