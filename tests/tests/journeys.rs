//! The journeys of docs and README, told as steps: real server, real phones and terminals, over QUIC and sled.

use std::sync::Arc;

use bhyt_core::keys::Signature;
use bhyt_core::p256_keys::{P256SecretKey, signature_from_der};
use bhyt_core::presentation_key::{KeyKind, PresentationKey};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange, CardRow};
use bhyt_core::time::DAY_SECONDS;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::OsEntropy;
use bhyt_sdk::{
    CardState, DeviceKeys, Event, KeyError, KeyFiles, Missing, PresentationKeys, SdkError, Wallet,
};
use bhyt_server::folder::DataFolder;
use bhyt_server::trust_command::{Renewal, renew};
use bhyt_tests::forge::to_der;
use bhyt_tests::operator::card_row;
use bhyt_tests::people::{Phone, Town};
use bhyt_tests::server::block_on;

const MEMBER: &str = "9900000017";
const CARD: &str = "DN4999900000017";
const NEW_CARD: &str = "HT2999900000017";

#[test]
fn an_issued_card_reaches_a_connected_phone_by_itself() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        let phone = town.phone(server.address(), &operator, MEMBER).await;
        assert!(phone.numbers().is_empty(), "no card yet");
        let events = phone.watch();
        events.wait(|event| *event == Event::UpToDate);

        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;

        events.wait(|event| matches!(event, Event::RecordsChanged { member } if *member == phone.member));
        assert_eq!(phone.numbers(), [CARD], "the card is there when the event tells of it");
        events.wait(|event| matches!(event, Event::CredentialsChanged { .. }));
        let desk = town.desk(server.address(), &operator).await;
        assert_eq!(desk.judge(&phone.live()), ACCEPTED);
    });
}

#[test]
fn without_a_network_the_card_is_shown_and_judged_for_a_month_and_more() {
    let town = Town::found();
    let server = town.open();
    let (phone, desk) = block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let phone = town.phone(server.address(), &operator, MEMBER).await;
        (phone, town.desk(server.address(), &operator).await)
    });
    server.stop();

    assert_eq!(desk.judge(&phone.live()), ACCEPTED);
    let picture = phone.live();
    town.pass(600);
    assert_eq!(desk.judge(&picture), "accept fresh proof_stale 000");
    let paper = phone.wallet.printed_text(phone.member).unwrap();
    assert_eq!(desk.judge(&paper), "accept fresh no_proof 000");
    town.pass(20 * DAY_SECONDS);
    assert!(desk.judge(&phone.live()).starts_with("accept stale"), "twenty days later");
    town.pass(11 * DAY_SECONDS);
    assert_eq!(desk.judge(&phone.live()), "undecided status_too_old 500", "too old to answer, not refused");
    assert_eq!(phone.numbers(), [CARD], "the phone shows the card for as long as it likes");
}

#[test]
fn a_phone_and_a_terminal_that_were_off_come_back_as_they_were() {
    let town = Town::found();
    let server = town.open();
    let (member, text) = block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let phone = town.phone(server.address(), &operator, MEMBER).await;
        let desk = town.desk(server.address(), &operator).await;
        let text = phone.live();
        assert_eq!(desk.judge(&text), ACCEPTED);
        (phone.member, text)
    });
    server.stop();

    let phone = Phone { wallet: Wallet::open(town.config(MEMBER)).unwrap(), member };
    let desk = bhyt_tests::people::Desk(bhyt_sdk::Terminal::open(town.config("desk")).unwrap());
    assert_eq!(phone.numbers(), [CARD]);
    assert_eq!(desk.judge(&text), "accept fresh proof_seen_before 000", "remembered over a restart");
    town.pass(1);
    assert_eq!(desk.judge(&phone.live()), ACCEPTED);
}

#[test]
fn a_withdrawn_card_is_refused_after_one_sync_and_a_held_one_comes_back() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let phone = town.phone(server.address(), &operator, MEMBER).await;
        let desk = town.desk(server.address(), &operator).await;
        let change = async |change| {
            operator.send(AdminCommand::ChangeCard { number: CARD.into(), change }).await.unwrap();
            desk.0.sync().await.unwrap();
            phone.wallet.sync().await.unwrap();
            town.pass(1);
        };
        change(CardChange::Hold).await;
        assert_eq!(desk.judge(&phone.live()), "undecided held 500");
        change(CardChange::Release).await;
        assert_eq!(desk.judge(&phone.live()), ACCEPTED);
        let paper = phone.live();
        change(CardChange::Withdraw).await;
        assert_eq!(desk.judge(&paper), "reject withdrawn 110");
        assert_eq!(phone.wallet.cards(phone.member)[0].state, CardState::Withdrawn, "the phone says so too");
    });
}

/// A secure element that knows only P-256: its key never leaves it, and it hands signatures out as DER.
#[derive(Debug)]
struct Element(P256SecretKey);

impl PresentationKeys for Element {
    fn public_key(&self) -> Result<PresentationKey, KeyError> {
        Ok(self.0.public_key().into())
    }

    fn sign(&self, to_be_signed: &[u8]) -> Result<Signature, KeyError> {
        let der = to_der(&self.0.sign(to_be_signed));
        signature_from_der(&der).ok_or(KeyError::Missing)
    }
}

#[test]
fn phones_on_p256_hold_a_card_beside_one_on_ed25519() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let plain = town.phone(server.address(), &operator, MEMBER).await;
        let config = town.config("files").with_new_presentation_key(KeyKind::P256);
        let files = town.phone_with(config, server.address(), &operator, MEMBER).await;
        let element = Arc::new(Element(P256SecretKey::from_bytes(&[7; 32]).unwrap()));
        let (missing, entropy) = (Missing::Make, OsEntropy::open().unwrap());
        let keys = KeyFiles::of_phone(&town.path("element"), KeyKind::P256, missing, &entropy).unwrap();
        let config = town.config("element").with_keys(DeviceKeys { presentation: element, ..keys });
        let element = town.phone_with(config, server.address(), &operator, MEMBER).await;
        let desk = town.desk(server.address(), &operator).await;
        for (phone, kind) in [(&plain, KeyKind::Ed25519), (&files, KeyKind::P256), (&element, KeyKind::P256)]
        {
            assert_eq!(phone.wallet.status().presentation_key, Some(kind));
            let live = phone.live();
            assert_eq!(desk.judge(&live), ACCEPTED);
            assert_eq!(desk.judge(&live), "accept fresh proof_seen_before 000");
        }
        // A kind is settled when the phone is new.
        drop(files);
        let reopened = Wallet::open(town.config("files")).unwrap();
        assert_eq!(reopened.status().presentation_key, Some(KeyKind::P256));

        let device = element.wallet.status().id.unwrap().to_string();
        operator.send(AdminCommand::RetireDevice(device)).await.unwrap();
        desk.0.sync().await.unwrap();
        assert_eq!(desk.judge(&element.live()), "accept fresh device_retired 000");
        assert_eq!(desk.judge(&plain.live()), ACCEPTED);
    });
}

#[test]
fn a_replaced_card_gives_way_to_its_successor() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let phone = town.phone(server.address(), &operator, MEMBER).await;
        let old = phone.wallet.printed_text(phone.member).unwrap();
        town.pass(60);
        let row = CardRow { number: NEW_CARD.into(), level: "2".into(), ..CardRow::default() };
        operator.send(AdminCommand::ReplaceCard { number: CARD.into(), row }).await.unwrap();
        let desk = town.desk(server.address(), &operator).await;
        assert_eq!(desk.judge(&old), "accept fresh no_proof superseded 000", "successor not seen");
        phone.wallet.sync().await.unwrap();
        assert_eq!(phone.numbers()[0], NEW_CARD, "the new card first");
        assert_eq!(desk.judge(&phone.live()), ACCEPTED);
        assert_eq!(desk.judge(&old), "accept fresh no_proof superseded 004", "successor in hand");
    });
}

#[test]
fn a_phone_that_changes_its_address_stays_connected() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        let phone = town.phone(server.address(), &operator, MEMBER).await;
        let events = phone.watch();
        events.wait(|event| *event == Event::UpToDate);
        phone.wallet.network_changed().await.unwrap();
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        events.wait(|event| matches!(event, Event::RecordsChanged { .. }));
        assert_eq!(phone.numbers(), [CARD]);
    });
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_found_again() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let (phone, events) = block_on(async {
        let operator = town.operator(address).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        let phone = town.phone(address, &operator, MEMBER).await;
        let events = phone.watch();
        events.wait(|event| *event == Event::UpToDate);
        (phone, events)
    });
    server.stop();
    events.wait(|event| matches!(event, Event::Disconnected { retry_in: Some(_), .. }));

    let server = town.server.start(address);
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        // The app is told that there is a network again, and need not sit out the pause.
        phone.wallet.network_changed().await.unwrap();
    });
    events.wait(|event| matches!(event, Event::RecordsChanged { .. }));
    assert_eq!(phone.numbers(), [CARD]);
}

#[test]
fn a_retired_phone_syncs_no_more_and_proves_nothing() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let lost = town.phone_named("lost", server.address(), &operator, MEMBER).await;
        let kept = town.phone_named("kept", server.address(), &operator, MEMBER).await;
        let desk = town.desk(server.address(), &operator).await;
        let Ok(AdminReply::Devices(devices)) = operator.send(AdminCommand::ListDevices(MEMBER.into())).await
        else {
            panic!("devices are listed");
        };
        let first = devices.iter().min_by_key(|device| device.activated).unwrap();
        operator.send(AdminCommand::RetireDevice(first.id.clone())).await.unwrap();
        desk.0.sync().await.unwrap();
        assert_eq!(desk.judge(&kept.live()), ACCEPTED, "the other phone goes on");
        assert_eq!(desk.judge(&lost.live()), "accept fresh device_retired 000", "the card is still good");
        let answer = lost.wallet.sync().await;
        assert!(matches!(answer, Err(SdkError::Refused { .. })), "{answer:?}");
        kept.wallet.sync().await.unwrap();
        assert_eq!(kept.numbers(), [CARD]);
    });
}

#[test]
fn keys_change_while_a_phone_is_away_for_months() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let phone = block_on(async {
        let operator = town.operator(address).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        town.phone(address, &operator, MEMBER).await
    });
    let before = phone.live();
    server.stop();
    town.pass(100 * DAY_SECONDS);

    // New card, status and head keys; the old card key signs no more, the old status key is out.
    let folder = DataFolder::new(&town.server.data());
    let old = old_keys(&town);
    let renewal = Renewal {
        root_keys: town.server.report().root_keys[..2].to_vec(),
        add: vec![KeyUse::Card, KeyUse::Status, KeyUse::Head],
        close: old.iter().filter(|(usage, _)| *usage != KeyUse::Status).map(|(_, key)| *key).collect(),
        retire: old.iter().filter(|(usage, _)| *usage == KeyUse::Status).map(|(_, key)| *key).collect(),
        ..Renewal::default()
    };
    renew(&folder, &renewal, town.now(), &OsEntropy::open().unwrap()).unwrap();
    let server = town.server.start(address);
    block_on(async {
        let operator = town.operator(server.address()).await;
        let desk = town.desk(server.address(), &operator).await;
        assert_eq!(desk.judge(&before), "accept fresh proof_stale 000", "signed by the old key, still good");
        assert_eq!(desk.judge(&phone.live()), ACCEPTED, "and its binding still counts");
        operator.issue(card_row(MEMBER, "GD4999900000017", "2026-02-01", "")).await;
        phone.wallet.sync().await.unwrap();
        assert_eq!(phone.wallet.status().trust_version, Some(2));
        assert_eq!(phone.numbers().len(), 2, "signed by the new keys");
        town.pass(1);
        assert_eq!(desk.judge(&phone.live()), ACCEPTED);
    });
}

fn old_keys(town: &Town) -> Vec<(KeyUse, bhyt_core::keys::KeyId)> {
    let trust = bhyt_core::trust::anchor(&town.server.trust_bytes()).expect("our own bundle");
    let keys = trust.claims().keys.iter().filter(|key| key.usage != KeyUse::Transport);
    keys.map(|key| (key.usage, key.key.key_id())).collect()
}

const ACCEPTED: &str = "accept fresh proven_by_clock 000";
