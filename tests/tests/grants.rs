//! A carer's phone holds a dependant's card by a grant: told as steps, over the real SDK and server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use std::net::SocketAddr;

use bhyt_core::grant::{GrantRelation, GrantScope};
use bhyt_core::operation::Rejection;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::values::Text;
use bhyt_core::record::Seq;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied, NewGrant};
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::Day;
use bhyt_sdk::{Event, Refused, SdkError, Wallet};
use bhyt_tests::operator::{Operator, card_row};
use bhyt_tests::people::{Phone, Town};
use bhyt_tests::server::block_on;

const CARER: &str = "9900000017";
const CHILD: &str = "9900000025";
const OTHERS: [&str; 2] = ["9900000033", "9900000041"];
const DAY: u64 = 86_400;

/// A family with a card each, and the operator who entered it.
async fn family(town: &Town, server: SocketAddr) -> Operator {
    let operator = town.operator(server).await;
    for member in [CARER, CHILD].iter().chain(&OTHERS) {
        operator.register(member, "Nguyễn Thị Thử").await;
        operator.issue(card_row(member, &format!("DN499{member}"), "2026-01-01", "")).await;
    }
    operator
}

fn grant(town: &Town, dependant: &str, scope: GrantScope, days: i64) -> NewGrant {
    let until = town.now().day().plus_days(days);
    let (dependant, carer, relation) = (dependant.into(), CARER.into(), GrantRelation::Parent);
    NewGrant { dependant, carer, scope, relation, from: None, until }
}

async fn add(operator: &Operator, grant: NewGrant) {
    let added = operator.send(AdminCommand::AddGrant(Box::new(grant))).await;
    assert!(matches!(added, Ok(AdminReply::Applied(Applied::Accepted))), "{added:?}");
}

async fn revoke(operator: &Operator, dependant: &str) {
    let revoke = AdminCommand::RevokeGrant { dependant: dependant.into(), carer: CARER.into() };
    let revoked = operator.send(revoke).await;
    assert!(matches!(revoked, Ok(AdminReply::Applied(Applied::Accepted))), "{revoked:?}");
}

/// The members on a phone that are not its own.
fn charges(phone: &Phone) -> Vec<bhyt_core::ids::MemberId> {
    let all = phone.wallet.members().into_iter();
    all.filter(|member| *member != phone.member).collect()
}

fn live(town: &Town, wallet: &Wallet, member: bhyt_core::ids::MemberId) -> String {
    town.pass(1);
    wallet.live_text(member).unwrap()
}

#[test]
fn a_carers_phone_shows_the_card_proves_the_holder_and_loses_it_when_the_grant_is_revoked() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    block_on(async {
        let operator = family(&town, address).await;
        let (carer, other) =
            (town.phone(address, &operator, CARER).await, town.phone(address, &operator, OTHERS[0]).await);
        let own = town.phone(address, &operator, CHILD).await;
        let desk = town.desk(address, &operator).await;
        let events = carer.watch();
        events.wait(|event| *event == Event::UpToDate);
        add(&operator, grant(&town, CHILD, GrantScope::CardAndRecords, 300)).await;
        events.wait(|event| matches!(event, Event::MemberGranted { .. }));
        events.wait(|event| matches!(event, Event::CredentialsChanged { .. }));
        let child = charges(&carer)[0];
        assert_eq!((child, charges(&carer).len()), (own.member, 1));
        let held = carer.wallet.grant(child).unwrap();
        assert_eq!((held.relation, held.scope), (GrantRelation::Parent, GrantScope::CardAndRecords));
        assert_eq!(carer.wallet.cards(child)[0].claims.number.as_str(), format!("DN499{CHILD}"));
        let shown = live(&town, &carer.wallet, child);
        assert_eq!(desk.judge(&shown), "accept fresh proven_by_clock 000");
        other.wallet.sync().await.unwrap();
        assert!(charges(&other).is_empty(), "nobody else's phone has it");

        revoke(&operator, CHILD).await;
        events.wait(|event| matches!(event, Event::MemberRemoved { member } if *member == child));
        assert_eq!(carer.wallet.members(), [carer.member]);
        assert!(carer.wallet.cards(child).is_empty() && carer.wallet.live_text(child).is_err());
        desk.0.sync().await.unwrap();
        assert_eq!(desk.judge(&shown), "accept fresh device_retired 000", "the list names the binding");
        own.wallet.sync().await.unwrap();
        let live = live(&town, &own.wallet, child);
        assert_eq!(desk.judge(&live), "accept fresh proven_by_clock 000", "the member's own phone goes on");
        let again = AdminCommand::RevokeGrant { dependant: CHILD.into(), carer: CARER.into() };
        assert_eq!(operator.send(again).await.unwrap_err(), Refusal::NotFound);
    });
}

#[test]
fn one_connection_syncs_a_family_of_four_and_a_phone_that_was_away_wipes_what_was_revoked() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    block_on(async {
        let operator = family(&town, address).await;
        let carer = town.phone(address, &operator, CARER).await;
        for member in [CHILD].iter().chain(&OTHERS) {
            add(&operator, grant(&town, member, GrantScope::CardAndRecords, 300)).await;
        }
        carer.wallet.sync().await.unwrap();
        assert_eq!(carer.wallet.members().len(), 4);
        assert_eq!(carer.wallet.sync().await.unwrap().changes, 0, "and nothing more to say");
        for member in carer.wallet.members() {
            assert!(!carer.wallet.cards(member)[0].bindings.is_empty());
        }
        revoke(&operator, OTHERS[1]).await;
        assert_eq!(carer.wallet.members().len(), 4, "not told yet");
        carer.wallet.sync().await.unwrap();
        assert_eq!(carer.wallet.members().len(), 3);
        // A binding of a carer is renewed before it ends, and never beyond the grant.
        town.pass(60 * DAY);
        carer.wallet.sync().await.unwrap();
        let child = charges(&carer)[0];
        let end = carer.wallet.cards(child)[0].bindings[0].end;
        assert_eq!(end, town.now().day().plus_days(90));
        let list = operator.send(AdminCommand::ListGrants(CARER.into())).await.unwrap();
        assert!(matches!(&list, AdminReply::Grants(grants) if grants.len() == 2), "{list:?}");
    });
}

#[test]
fn with_the_card_alone_no_records_come_and_it_ends_on_its_last_day_though_nobody_is_asked() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let carer = block_on(async {
        let operator = family(&town, address).await;
        let desk = town.desk(address, &operator).await;
        let carer = town.phone(address, &operator, CARER).await;
        add(&operator, grant(&town, CHILD, GrantScope::Card, 10)).await;
        carer.wallet.sync().await.unwrap();
        let child = charges(&carer)[0];
        let card = &carer.wallet.cards(child)[0];
        assert_eq!(card.bindings[0].end, town.now().day().plus_days(10), "no later than the grant");
        let status = carer.wallet.status();
        let of_child = status.members.iter().find(|status| status.member == child).unwrap();
        assert_eq!((of_child.records, of_child.cards), (0, 1), "the card, and no records");
        assert_eq!(desk.judge(&live(&town, &carer.wallet, child)), "accept fresh proven_by_clock 000");
        assert_eq!(carer.wallet.sync().await.unwrap().changes, 0, "and nothing more to say");
        carer
    });
    server.stop();
    town.pass(11 * DAY);
    assert_eq!(carer.wallet.members(), [carer.member], "hidden, with no network");
    assert!(carer.wallet.status().members.iter().all(|status| status.member == carer.member));
    drop(carer);
    let carer = Wallet::open(town.config(CARER)).unwrap();
    assert_eq!(carer.members().len(), 1);
    town.clock.set(town.now().minus(11 * DAY));
    drop(carer);
    let carer = Wallet::open(town.config(CARER)).unwrap();
    assert_eq!(carer.members().len(), 1, "wiped: a clock turned back brings nothing again");
}

#[test]
fn records_are_shown_to_the_grants_last_day_and_the_dependants_own_words_never() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let (carer, child) = block_on(async {
        let operator = family(&town, address).await;
        let carer = town.phone(address, &operator, CARER).await;
        add(&operator, grant(&town, CHILD, GrantScope::CardAndRecords, 10)).await;
        carer.wallet.sync().await.unwrap();
        let child = charges(&carer)[0];
        (carer, child)
    });
    assert_eq!(carer.wallet.history(child, Seq(0)).unwrap().len(), 1, "the card's record");
    let edit = carer.wallet.edit(child, Edit::Note(Seq(0), Text::parse("của mẹ")));
    let denied = |why| matches!(why, SdkError::Refused { why: Refused::Edit(Rejection::NotPermitted) });
    assert!(denied(edit.unwrap_err()) && denied(carer.wallet.personal(child).unwrap_err()));
    block_on(carer.wallet.sync()).unwrap();
    server.stop();
    town.pass(11 * DAY);
    assert_eq!(carer.wallet.history(child, Seq(0)).unwrap(), [], "with no network, while it runs on");
}

#[test]
fn grants_that_are_none_are_refused() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = family(&town, server.address()).await;
        let good = || grant(&town, CHILD, GrantScope::Card, 10);
        let today: Day = town.now().day();
        let refused = [
            ("to oneself", NewGrant { carer: CHILD.into(), ..good() }, Refusal::Malformed),
            ("over already", NewGrant { until: today.plus_days(-1), ..good() }, Refusal::Malformed),
            (
                "over before it begins",
                NewGrant { from: Some(today.plus_days(11)), ..good() },
                Refusal::Malformed,
            ),
            ("for ever", NewGrant { until: today.plus_days(1_828), ..good() }, Refusal::Malformed),
            ("of nobody", NewGrant { dependant: "9900000092".into(), ..good() }, Refusal::NotFound),
            ("to nobody", NewGrant { carer: "9900000092".into(), ..good() }, Refusal::NotFound),
        ];
        for (what, new, refusal) in refused {
            let answer = operator.send(AdminCommand::AddGrant(Box::new(new))).await;
            assert_eq!(answer.unwrap_err(), refusal, "{what}");
        }
        add(&operator, good()).await;
        let again = operator.send(AdminCommand::AddGrant(Box::new(good()))).await;
        assert!(matches!(again, Ok(AdminReply::Applied(Applied::Duplicate))), "{again:?}");
        let other = NewGrant { scope: GrantScope::CardAndRecords, ..good() };
        let other = operator.send(AdminCommand::AddGrant(Box::new(other))).await;
        assert_eq!(other.unwrap_err(), Refusal::Conflict, "one at a time: revoke it first");
    });
}
