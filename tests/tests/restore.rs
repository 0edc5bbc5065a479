//! Backup and restore, told as steps: a server dies and comes back from a backup on another disk, at the same address;
//! phones and terminals that saw more than it remembers come right by themselves.

use std::path::Path;
use std::sync::Arc;

use bhyt_core::card_record::CardStanding;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange, CardRow, CardView};
use bhyt_core::sync::messages::Refusal;
use bhyt_platform::entropy::OsEntropy;
use bhyt_sdk::{Activation, CardState, Event, Refused, SdkError};
use bhyt_server::cli::{Cli, Command};
use bhyt_server::folder::DataFolder;
use bhyt_server::host::Parts;
use bhyt_server::restore::{Restore, RestoreError, restore};
use bhyt_tests::operator::{Operator, card_row};
use bhyt_tests::people::{Desk, Phone, Town};
use bhyt_tests::server::{ServerFolder, block_on};
use clap::Parser as _;

const MEMBER: &str = "9900000017";
const CARD: &str = "DN4999900000017";
const OTHER: &str = "9900000025";
const OTHER_CARD: &str = "DN4999900000025";

async fn change(operator: &Operator, number: &str, change: CardChange) {
    let reply = operator.send(AdminCommand::ChangeCard { number: number.into(), change }).await;
    assert!(matches!(reply, Ok(AdminReply::Applied(_))), "{reply:?}");
}

async fn shown(operator: &Operator, number: &str) -> CardView {
    match operator.send(AdminCommand::ShowCard(number.into())).await {
        Ok(AdminReply::Card(card)) => card,
        other => panic!("no card: {other:?}"),
    }
}

#[test]
fn what_was_withdrawn_after_the_backup_stays_withdrawn_and_a_restored_server_waits_to_be_told() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let backup = town.path("backup");
    let (desk, paper, indexes) = block_on(async {
        let operator = town.operator(address).await;
        for (member, card) in [(MEMBER, CARD), (OTHER, OTHER_CARD)] {
            operator.register(member, "Nguyễn Thị Thử").await;
            operator.issue(card_row(member, card, "2026-01-01", "")).await;
        }
        change(&operator, OTHER_CARD, CardChange::Hold).await;
        let desk = town.desk(address, &operator).await;
        operator.back_up(&backup).await;
        let phone = town.phone(address, &operator, MEMBER).await;
        let paper = phone.wallet.printed_text(phone.member).unwrap();
        change(&operator, CARD, CardChange::Withdraw).await;
        change(&operator, OTHER_CARD, CardChange::Release).await;
        operator.issue(card_row(OTHER, "GD4999900000025", "2026-01-01", "")).await;
        desk.0.sync().await.unwrap();
        assert_eq!(desk.judge(&paper), "reject withdrawn 110");
        let after = shown(&operator, "GD4999900000025").await.status_index;
        (desk, paper, [shown(&operator, CARD).await.status_index, after])
    });
    let before = desk.0.status().status_version.expect("a list");
    server.stop();

    let restored = town.server.restored(&backup).unwrap();
    let server = restored.start(address);
    block_on(async {
        let operator = town.operator(address).await;
        assert_eq!(shown(&operator, CARD).await.standing, CardStanding::InForce);
        let row = card_row(OTHER, "HT2999900000025", "2026-01-01", "");
        let refused = operator.send(AdminCommand::IssueCard(row)).await;
        assert_eq!(refused.unwrap_err(), Refusal::AwaitsStatus);
        let change = AdminCommand::ChangeCard { number: CARD.into(), change: CardChange::Hold };
        assert_eq!(operator.send(change).await.unwrap_err(), Refusal::AwaitsStatus);
        assert!(desk.0.sync().await.is_err(), "and no list goes out");
    });
    server.stop();

    let adopted = restored.adopt(&town.path("desk").join("status/status")).unwrap();
    assert_eq!((adopted.unknown_entries, adopted.released, adopted.newer), (1, 1, true));
    let again = restored.adopt(&town.path("desk").join("status/status"));
    assert!(matches!(again, Err(RestoreError::Service(_))), "{again:?}");
    let _server = restored.start(address);
    block_on(async {
        let operator = town.operator(address).await;
        desk.0.sync().await.expect("a newer list");
        assert_eq!(desk.judge(&paper), "reject withdrawn 110");
        let now = desk.0.status().status_version.expect("a list");
        assert!(now.epoch > before.epoch, "{now:?} after {before:?}");
        let card = shown(&operator, CARD).await;
        assert_eq!(card.standing, CardStanding::Withdrawn);
        assert_eq!(shown(&operator, OTHER_CARD).await.standing, CardStanding::InForce);
        operator.issue(card_row(OTHER, "HT2999900000025", "2026-01-01", "")).await;
        let new = shown(&operator, "HT2999900000025").await.status_index;
        assert!(!indexes.contains(&new) && u64::from(new) >= 16 * 65_536, "{new}");
    });
}

#[test]
fn a_backup_that_is_harmed_or_of_other_keys_makes_nothing() {
    let town = Town::found();
    let server = town.open();
    let backup = town.path("backup");
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.back_up(&backup).await;
    });
    server.stop();
    let good = std::fs::read(&backup).unwrap();
    let data = town.path("restored");
    let keys = town.server.data().join("keys");
    let attempt = |backup: &Path, keys: &Path| {
        let (backup, keys) = (backup.to_owned(), keys.to_owned());
        let asked = Restore { backup, data: data.clone(), keys, trust: Vec::new() };
        block_on(restore(&asked, town.now()))
    };
    let harmed = town.path("harmed");
    for at in (0..good.len()).step_by(good.len() / 64) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&harmed, &bytes).unwrap();
        let error = attempt(&harmed, &keys).unwrap_err();
        assert!(matches!(error, RestoreError::Backup { .. }), "byte {at}: {error}");
        std::fs::write(&harmed, &good[..at]).unwrap();
        let error = attempt(&harmed, &keys).unwrap_err();
        assert!(matches!(error, RestoreError::Backup { .. }), "cut at {at}: {error}");
    }
    let other = ServerFolder::make();
    let error = attempt(&backup, &other.data().join("keys")).unwrap_err();
    assert!(matches!(error, RestoreError::OtherStoreKey), "{error}");
    assert!(!data.exists(), "nothing was made");
    attempt(&backup, &keys).unwrap();
    let error = attempt(&backup, &keys).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
}

#[test]
fn phones_that_were_ahead_level_and_offline_all_come_right_by_themselves() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let backup = town.path("backup");
    let (ahead, further, level, offline, desk) = block_on(async {
        let operator = town.operator(address).await;
        for (member, card) in [(MEMBER, CARD), (OTHER, OTHER_CARD)] {
            operator.register(member, "Nguyễn Thị Thử").await;
            operator.issue(card_row(member, card, "2026-01-01", "")).await;
        }
        let ahead = town.phone_named("ahead", address, &operator, MEMBER).await;
        let further = town.phone_named("further", address, &operator, MEMBER).await;
        let level = town.phone_named("level", address, &operator, OTHER).await;
        let offline = town.phone_named("offline", address, &operator, MEMBER).await;
        let desk = town.desk(address, &operator).await;
        operator.back_up(&backup).await;
        town.pass(60);
        // One card for one of them, a successor for another: only the phones will know.
        operator.issue(card_row(MEMBER, "GD4999900000017", "2026-02-01", "")).await;
        ahead.wallet.sync().await.unwrap();
        let row = CardRow { number: "HT2999900000017".into(), level: "2".into(), ..CardRow::default() };
        operator.send(AdminCommand::ReplaceCard { number: CARD.into(), row }).await.unwrap();
        change(&operator, OTHER_CARD, CardChange::Hold).await;
        further.wallet.sync().await.unwrap();
        desk.0.sync().await.unwrap();
        (ahead, further, level, offline, desk)
    });
    let held = further.numbers();
    assert_eq!((held.len(), ahead.numbers().len(), offline.numbers().len()), (3, 2, 1));
    server.stop();

    town.pass(3_600);
    let restored = town.server.restored(&backup).unwrap();
    restored.adopt(&town.path("desk").join("status/status")).unwrap();
    let server = restored.start(address);
    block_on(async {
        let operator = town.operator(address).await;
        desk.0.sync().await.unwrap();
        ahead.wallet.sync().await.expect("hands one card back");
        assert_eq!(ahead.numbers(), ["GD4999900000017", CARD], "the server does not know of a successor yet");
        offline.wallet.sync().await.expect("was behind, and is now as far as the other");
        assert_eq!(offline.numbers(), ahead.numbers());
        further.wallet.sync().await.expect("hands the rest back");
        assert_eq!(further.numbers(), held, "nothing lost");
        for phone in [&ahead, &offline, &further] {
            phone.wallet.sync().await.unwrap();
            assert_eq!(phone.numbers(), held, "nothing doubled");
            town.pass(1);
            assert_eq!(desk.judge(&phone.live()), "accept fresh proven_by_clock 000");
            assert_eq!(phone.wallet.sync().await.unwrap().changes, 0, "and nothing more to say");
        }
        assert_eq!(level.wallet.sync().await.unwrap().received, 1, "the standing that the list told");
        assert_eq!(level.wallet.cards(level.member)[0].state, CardState::Held);
        life_goes_on(&operator, &further, &offline).await;
    });
    server.stop();
}

/// The cards stand as they did, and what becomes of them reaches both phones, connected or not.
async fn life_goes_on(operator: &Operator, connected: &Phone, other: &Phone) {
    for (number, standing) in [
        (CARD, CardStanding::Superseded),
        ("GD4999900000017", CardStanding::InForce),
        ("HT2999900000017", CardStanding::InForce),
        (OTHER_CARD, CardStanding::Held),
    ] {
        assert_eq!(shown(operator, number).await.standing, standing, "{number}");
    }
    let events = connected.watch();
    events.wait(|event| *event == Event::UpToDate);
    change(operator, "GD4999900000017", CardChange::Withdraw).await;
    events.wait(|event| matches!(event, Event::RecordsChanged { .. }));
    other.wallet.sync().await.expect("synced");
    for phone in [connected, other] {
        let cards = phone.wallet.cards(phone.member);
        assert_eq!(cards.iter().filter(|card| card.state == CardState::Withdrawn).count(), 1);
    }
}

#[test]
fn a_phone_that_was_activated_after_the_backup_comes_right_by_itself_and_a_terminal_comes_anew() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let backup = town.path("backup");
    let (mut family, known, desk, list) = block_on(async {
        let operator = town.operator(address).await;
        for (member, card) in [(MEMBER, CARD), (OTHER, OTHER_CARD)] {
            operator.register(member, "Nguyễn Thị Thử").await;
            operator.issue(card_row(member, card, "2026-01-01", "")).await;
        }
        let known = town.phone_named("known", address, &operator, OTHER).await;
        operator.back_up(&backup).await;
        // One phone is new altogether, and has a family on it; another takes one member more.
        let family = vec![town.phone_named("new", address, &operator, MEMBER).await];
        family[0].take(&town, address, &operator, OTHER).await;
        operator.issue(card_row(MEMBER, "GD4999900000017", "2026-02-01", "")).await;
        family[0].wallet.sync().await.unwrap();
        known.take(&town, address, &operator, MEMBER).await;
        known.wallet.sync().await.unwrap();
        let desk = town.desk(address, &operator).await;
        (family, known, desk, town.path("desk").join("status/status"))
    });
    family.push(known);
    server.stop();

    town.pass(3_600);
    let restored = town.server.restored(&backup).unwrap();
    restored.adopt(&list).unwrap();
    let _server = restored.start(address);
    block_on(async {
        let operator = town.operator(address).await;
        let error = desk.0.sync().await.unwrap_err();
        assert!(matches!(error, SdkError::Refused { why: Refused::Retired }), "{error:?}");
        let desk = town.desk_named("desk-2", address, &operator).await;
        for phone in &family {
            phone.wallet.sync().await.expect("comes right");
            assert_eq!(phone.wallet.sync().await.expect("synced").changes, 0, "and nothing more to say");
            let status = phone.wallet.status();
            assert!(status.members.len() == 2 && status.members.iter().all(|member| !member.forgotten));
            for member in phone.wallet.members() {
                town.pass(1);
                let live = phone.wallet.live_text(member).unwrap();
                assert_eq!(desk.judge(&live), "accept fresh proven_by_clock 000");
            }
        }
        assert_eq!(shown(&operator, "GD4999900000017").await.bindings.len(), 2, "handed back, held by both");
        let AdminReply::Devices(devices) =
            operator.send(AdminCommand::ListDevices(MEMBER.into())).await.unwrap()
        else {
            panic!("devices");
        };
        assert_eq!(devices.len(), 2, "both can be retired");
        retired_it_is_gone(&operator, &desk, &family[0], &devices[0].id).await;
    });
}

/// A phone that came back is a phone like any other: retired it wipes, and what was photographed of it proves nobody.
async fn retired_it_is_gone(operator: &Operator, desk: &Desk, phone: &Phone, id: &str) {
    let live = phone.live();
    let events = phone.watch();
    events.wait(|event| *event == Event::UpToDate);
    operator.send(AdminCommand::RetireDevice(id.into())).await.expect("retired");
    events.wait(|event| matches!(event, Event::MemberRemoved { .. }));
    events.wait(|event| matches!(event, Event::MemberRemoved { .. }));
    assert!(phone.wallet.members().is_empty());
    desk.0.sync().await.expect("synced");
    assert_eq!(desk.judge(&live), "accept fresh device_retired 000");
}

#[test]
fn a_member_of_after_the_backup_is_gone_and_the_phone_says_so_and_shows_what_it_has() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let backup = town.path("backup");
    let (phone, list) = block_on(async {
        let operator = town.operator(address).await;
        operator.back_up(&backup).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let phone = town.phone(address, &operator, MEMBER).await;
        town.desk(address, &operator).await;
        (phone, town.path("desk").join("status/status"))
    });
    server.stop();

    town.pass(60);
    let restored = town.server.restored(&backup).unwrap();
    let server = restored.start(address);
    block_on(async {
        let error = phone.wallet.sync().await.unwrap_err();
        assert!(matches!(error, SdkError::Offline { retry_after: Some(_), .. }), "not yet: {error:?}");
    });
    server.stop();
    restored.adopt(&list).unwrap();
    let _server = restored.start(address);
    block_on(async {
        let operator = town.operator(address).await;
        for _ in 0..2 {
            let error = phone.wallet.sync().await.unwrap_err();
            assert!(matches!(error, SdkError::Refused { why: Refused::Forgotten }), "{error:?}");
        }
        assert!(phone.wallet.status().members[0].forgotten);
        assert_eq!(phone.numbers(), [CARD], "it shows what it has");
        // Registered again, the member is another one to the server; the phone is activated for that one.
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let (server, trust) = (address.to_string(), town.server.trust_bytes());
        let code = operator.device_code(MEMBER).await;
        let again = Activation { server, trust, alias: MEMBER.into(), code };
        let member = phone.wallet.activate(again).await.unwrap();
        assert_ne!(member, phone.member);
        phone.wallet.sync().await.expect("the one that is known syncs");
        assert!(phone.wallet.cards(member)[0].bindings.len() == 1);
    });
}

#[test]
fn the_operators_program_takes_a_backup_and_a_folder_without_its_end_does_not_start() {
    let town = Town::found();
    let server = town.open();
    let backup = town.path("backup");
    std::fs::write(&backup, b"an older one").unwrap();
    let args = format!(
        "bhyt-server admin --server {} --trust {} --key {} --json backup {}",
        server.address(),
        town.server.trust().display(),
        town.server.report().operator_key.display(),
        backup.display(),
    );
    let Command::Admin(args) = Cli::try_parse_from(args.split_whitespace()).unwrap().command else {
        panic!("an operator's command");
    };
    block_on(async { bhyt_server::admin::run(args).await.unwrap() });
    server.stop();
    let restored = town.server.restored(&backup).unwrap();
    // What `restore` writes last; before it nothing runs on the folder.
    let trust = restored.data().join("trust.cose");
    let kept = std::fs::read(&trust).unwrap();
    std::fs::remove_file(&trust).unwrap();
    let open = || {
        let entropy = Arc::new(OsEntropy::open().unwrap());
        Parts::open(&DataFolder::new(&restored.data()), town.clock.clone(), entropy).map(drop)
    };
    assert!(open().is_err());
    std::fs::write(&trust, kept).unwrap();
    open().unwrap();
}
