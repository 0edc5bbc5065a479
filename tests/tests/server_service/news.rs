//! News: who stays hears of what concerns it, and of nothing else.

use bhyt_core::sync::admin::{AdminCommand, CardChange};
use bhyt_core::sync::messages::{Follow, Reply};
use bhyt_core::trust::KeyUse;
use bhyt_server::service::{Next, Seat};

use crate::world::{World, card_row, member_row, number, peer, public};

/// What a seat is sent now; nothing when nothing woke it.
async fn news(world: &World, seat: &Seat) -> (Vec<Reply>, Next) {
    let mut replies = Vec::new();
    let mut next = Next::Stay;
    while let Some(news) = seat.news_now() {
        next = world.service.send_news(seat, &news, &mut replies).await.unwrap();
    }
    (replies, next)
}

#[tokio::test]
async fn a_phone_that_stays_is_told_of_its_member_and_of_no_other() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let seat = world.service.join(peer(1));
    let replies = world.ask_at(&seat, phone.session.request(Follow::Stay)).await;
    phone.take(replies);
    assert_eq!(news(&world, &seat).await.0, []);

    let change = AdminCommand::ChangeCard { number: number(1), change: CardChange::Hold };
    world.command(change).await.unwrap();
    let (replies, _) = news(&world, &seat).await;
    assert!(matches!(
        replies[..],
        [Reply::FeedHead { .. }, Reply::FeedBlock { .. }, Reply::Credentials { .. }, Reply::Done]
    ));
    phone.take(replies);
    assert_eq!(phone.feed().next_seq().0, 2);

    world.command(AdminCommand::ImportMembers(vec![member_row(2)])).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(2))).await.unwrap();
    assert_eq!(news(&world, &seat).await.0, []);
    // What came as news is not sent again.
    assert!(phone.sync(&world).await.is_empty());
}

#[tokio::test]
async fn a_phone_that_does_not_stay_is_told_nothing() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let seat = world.service.join(peer(1));
    world.ask_at(&seat, phone.session.request(Follow::Once)).await;
    let change = AdminCommand::ChangeCard { number: number(1), change: CardChange::Hold };
    world.command(change).await.unwrap();
    assert!(seat.news_now().is_none());
}

#[tokio::test]
async fn a_terminal_that_stays_gets_each_list_and_each_bundle() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut terminal = world.terminal(9).await;
    let seat = world.service.join(peer(9));
    for reply in world.ask_at(&seat, terminal.request(Follow::Stay)).await {
        terminal.handle(reply).unwrap();
    }
    let change = AdminCommand::ChangeCard { number: number(1), change: CardChange::Withdraw };
    world.command(change).await.unwrap();
    world.service.publish_due().await.unwrap();
    let (replies, _) = news(&world, &seat).await;
    assert!(matches!(replies[..], [Reply::StatusDelta(_), Reply::Done]), "{replies:?}");
    for reply in replies {
        terminal.handle(reply).unwrap();
    }
    assert_eq!(terminal.status().unwrap().list().entries(), 1);

    world.authority.renew([(KeyUse::Card, 21), (KeyUse::Status, 12), (KeyUse::Head, 13)]);
    world.service.trust_changed().await.unwrap();
    let (replies, _) = news(&world, &seat).await;
    assert!(matches!(replies[..], [Reply::Trust(_), Reply::Done]), "{replies:?}");
}

#[tokio::test]
async fn a_retired_device_is_told_to_wipe_and_is_closed() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let seat = world.service.join(peer(1));
    world.ask_at(&seat, phone.session.request(Follow::Stay)).await;
    world.command(AdminCommand::RetireDevice(public(1).key_id().to_string())).await.unwrap();
    let (replies, next) = news(&world, &seat).await;
    assert_eq!(replies, [Reply::Retired(phone.member), Reply::Done]);
    assert_eq!(next, Next::Close);
}

#[tokio::test]
async fn a_seat_that_is_left_is_forgotten() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let seat = world.service.join(peer(1));
    world.ask_at(&seat, phone.session.request(Follow::Stay)).await;
    drop(seat);
    let seat = world.service.join(peer(1));
    let change = AdminCommand::ChangeCard { number: number(1), change: CardChange::Hold };
    world.command(change).await.unwrap();
    assert!(seat.news_now().is_none());
}
