//! Erasure of a member, told as steps with the real programs' parts: the member is erased, phone and desk learn of it, and
//! an older backup does not bring the member back.

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::erasure::ErasureReason;
use bhyt_core::sync::messages::Refusal;
use bhyt_server::member_keys;
use bhyt_server::restore::RestoreError;
use bhyt_tests::operator::{Operator, card_row};
use bhyt_tests::people::Town;
use bhyt_tests::server::block_on;

const MEMBER: &str = "9900000017";
const CARD: &str = "DN4999900000017";
const OTHER: &str = "9900000025";
const OTHER_CARD: &str = "DN4999900000025";

async fn is_known(operator: &Operator, alias: &str) -> bool {
    match operator.send(AdminCommand::ShowMember(alias.into())).await {
        Ok(AdminReply::Member(_)) => true,
        Err(Refusal::NotFound) => false,
        other => panic!("{other:?}"),
    }
}

/// Erases at once.
fn town() -> Town {
    let town = Town::found();
    let settings = town.server.data().join("server.toml");
    let text = std::fs::read_to_string(&settings).expect("settings");
    assert!(text.contains("#wait_days = 7"));
    std::fs::write(&settings, text.replace("#wait_days = 7", "wait_days = 0")).expect("settings");
    town
}

#[test]
fn an_erased_member_leaves_phone_and_desk_and_no_backup_brings_it_back() {
    let town = town();
    let server = town.open();
    let address = server.address();
    let (backup, safe) = (town.path("backup"), town.path("members.tree"));
    let keys = town.server.data().join("keys");
    member_keys::copy(&keys, &safe).unwrap();
    let (phone, other, desk, id) = block_on(async {
        let operator = town.operator(address).await;
        for (member, card) in [(MEMBER, CARD), (OTHER, OTHER_CARD)] {
            operator.register(member, "Nguyễn Thị Thử").await;
            operator.issue(card_row(member, card, "2026-01-01", "")).await;
        }
        let desk = town.desk(address, &operator).await;
        let phone = town.phone(address, &operator, MEMBER).await;
        let other = town.phone(address, &operator, OTHER).await;
        let code = phone.live();
        operator.back_up(&backup).await;
        assert!(desk.accepts(&code));
        let erase = AdminCommand::EraseMember { member: MEMBER.into(), reason: ErasureReason::Request };
        assert!(matches!(operator.send(erase).await, Ok(AdminReply::Applied(_))));
        assert!(!is_known(&operator, MEMBER).await && is_known(&operator, OTHER).await);
        desk.0.sync().await.unwrap();
        let id = phone.member;
        assert_eq!(desk.judge(&phone.wallet.printed_text(id).unwrap()), "reject withdrawn 110");
        // The phone is told, and wipes.
        let _ = phone.wallet.sync().await;
        assert!(phone.numbers().is_empty());
        (phone, other, desk, id)
    });
    server.stop();

    // The copy of before would open the backup: it is no copy of these keys any more until it is made anew.
    assert_eq!(member_keys::show(&safe).unwrap().erased, 0);
    assert_eq!(member_keys::copy(&keys, &safe).unwrap().erased, 1);

    let restored = town.server.restored(&backup).unwrap();
    restored.adopt(&town.path("desk").join("status/status")).unwrap();
    let server = restored.start(address);
    block_on(async {
        let operator = town.operator(address).await;
        assert!(!is_known(&operator, MEMBER).await && !is_known(&operator, &id.to_hex()).await);
        assert!(is_known(&operator, OTHER).await);
        let shown = operator.send(AdminCommand::ShowCard(CARD.into())).await;
        assert_eq!(shown.unwrap_err(), Refusal::NotFound);
        other.wallet.sync().await.unwrap();
        assert_eq!(other.numbers(), [OTHER_CARD]);
        let _ = phone.wallet.sync().await;
        assert!(phone.numbers().is_empty());
        desk.0.sync().await.unwrap();
        // Registered again it is somebody new.
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let again = town.phone_named("again", address, &operator, MEMBER).await;
        assert!(again.member != id && again.numbers() == [CARD]);
        assert!(desk.accepts(&again.live()), "the new card has a place of its own");
    });
    server.stop();
}

#[test]
fn phones_that_were_off_at_an_erasure_are_wiped_by_a_server_that_came_back_from_before_it() {
    let town = town();
    let server = town.open();
    let address = server.address();
    let backup = town.path("backup");
    let phones = block_on(async {
        let operator = town.operator(address).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let desk = town.desk(address, &operator).await;
        let known = town.phone_named("known", address, &operator, MEMBER).await;
        operator.back_up(&backup).await;
        let forgotten = town.phone_named("forgotten", address, &operator, MEMBER).await;
        let erase = AdminCommand::EraseMember { member: MEMBER.into(), reason: ErasureReason::Request };
        assert!(matches!(operator.send(erase).await, Ok(AdminReply::Applied(_))));
        desk.0.sync().await.unwrap();
        [known, forgotten]
    });
    server.stop();
    let restored = town.server.restored(&backup).unwrap();
    restored.adopt(&town.path("desk").join("status/status")).unwrap();
    let _server = restored.start(address);
    block_on(async {
        for (phone, name) in phones.iter().zip(["known", "forgotten"]) {
            assert_eq!(phone.numbers(), [CARD]);
            let _ = phone.wallet.sync().await;
            assert!(phone.wallet.members().is_empty(), "{name} to the backup");
        }
    });
}

#[test]
fn a_backup_is_not_restored_without_the_members_keys_or_with_older_ones() {
    let town = town();
    let server = town.open();
    let address = server.address();
    let (backup, later) = (town.path("backup"), town.path("later"));
    let keys = town.server.data().join("keys");
    let before = town.path("members.tree");
    member_keys::copy(&keys, &before).unwrap();
    block_on(async {
        let operator = town.operator(address).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.back_up(&backup).await;
        let erase = AdminCommand::EraseMember { member: MEMBER.into(), reason: ErasureReason::Mistake };
        assert!(matches!(operator.send(erase).await, Ok(AdminReply::Applied(_))));
        operator.back_up(&later).await;
    });
    server.stop();
    let tree = keys.join("members.tree");
    let newest = std::fs::read(&tree).unwrap();
    std::fs::remove_file(&tree).unwrap();
    let error = town.server.restored(&backup).unwrap_err();
    assert!(matches!(error, RestoreError::MemberKeys(_)), "{error}");
    std::fs::copy(&before, &tree).unwrap();
    let error = town.server.restored(&later).unwrap_err();
    assert!(matches!(error, RestoreError::Service(_)), "{error}");
    std::fs::write(&tree, newest).unwrap();
    town.server.restored(&later).unwrap();
}
