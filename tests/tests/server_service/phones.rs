//! Phones: what a sync brings, and what it costs when there is nothing.

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::codec;
use bhyt_core::cose::Signed;
use bhyt_core::feed::{BlockWindow, Epoch, Extent};
use bhyt_core::limits::{BINDING_DAYS, BINDING_RENEW_DAYS};
use bhyt_core::record::Content;
use bhyt_core::sync::admin::{AdminCommand, CardChange, CardRow};
use bhyt_core::sync::messages::{FeedPlace, Follow, Hello, MemberCursor, Reply, Request, SyncWallet};
use bhyt_core::sync::wallet::Effect;
use bhyt_core::trust::KeyUse;

use crate::world::{DAY, Phone, START, World, activate_p256, card_row, key, number, p256_key, social};

#[tokio::test]
async fn a_card_is_issued_and_reaches_the_phone_signed_and_bound() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let effects = phone.sync(&world).await;
    let [Effect::Commit(update), Effect::Credentials { credentials, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(update.feed.next_seq().0, 1);
    let claims = credentials[0].claims();
    assert_eq!(claims.number.as_str(), number(1));
    let binding = claims.binding.unwrap();
    assert_eq!((binding.number.value(), binding.end), (0, START.day().plus_days(BINDING_DAYS)));
    assert!(phone.sync(&world).await.is_empty());
}

#[tokio::test]
async fn a_sync_with_nothing_new_costs_under_200_bytes_with_hello() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let request = phone.session.request(Follow::Once);
    let replies = world.ask(1, request.clone()).await;
    assert_eq!(replies, [Reply::Done]);
    let frames = [
        codec::encode(&Hello { time: START }).unwrap(),
        codec::encode(&request).unwrap(),
        codec::encode(&Reply::Done).unwrap(),
    ];
    let bytes: usize = frames.iter().map(|frame| 4 + frame.len()).sum();
    assert!(bytes <= 200, "{bytes} bytes");
}

#[tokio::test]
async fn each_change_of_a_card_is_a_revision_that_joins_on() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let mut seen = Vec::new();
    for change in [CardChange::Hold, CardChange::Release, CardChange::Withdraw] {
        world.clock.advance(60);
        world.command(AdminCommand::ChangeCard { number: number(1), change }).await.unwrap();
        let effects = phone.sync(&world).await;
        let Effect::Commit(update) = &effects[0] else { panic!("{effects:?}") };
        assert_eq!(update.pages.len(), 1);
        let (seq, record) = update.pages[0].records().last().unwrap();
        let Content::Body(body) = &record.content else { panic!() };
        seen.push((seq.0, record.revision, CardRecord::decode(body.as_bytes()).unwrap().standing));
    }
    use CardStanding as Is;
    assert_eq!(seen, [(1, 1, Is::Held), (2, 2, Is::InForce), (3, 3, Is::Withdrawn)]);
    assert!(phone.credentials().is_empty());
}

#[tokio::test]
async fn a_replaced_card_stays_until_its_successor_is_there() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let row = CardRow { level: "2".into(), from: "2026-12-01".into(), ..CardRow::default() };
    world.command(AdminCommand::ReplaceCard { number: number(1), row }).await.unwrap();
    let effects = phone.sync(&world).await;
    let Effect::Credentials { credentials, .. } = &effects[1] else { panic!("{effects:?}") };
    let [new, old] = &credentials[..] else { panic!("{effects:?}") };
    let (new, old) = (new.claims(), old.claims());
    assert_eq!((new.level.value(), old.level.value()), (2, 4));
    assert_eq!(new.number, old.number);
    assert_ne!(new.status_index, old.status_index);
    assert_eq!(phone.feed().next_seq().0, 3);
}

#[tokio::test]
async fn bindings_are_renewed_in_the_second_half_of_their_life() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let end = |phone: &Phone| {
        let card = Signed::<CardClaims>::decode(&phone.credentials()[0]).unwrap();
        card.verify(&key(11).public_key()).unwrap().claims().binding.unwrap().end
    };
    let first = end(&phone);
    world.clock.advance((BINDING_DAYS - BINDING_RENEW_DAYS) as u64 * DAY);
    assert!(phone.sync(&world).await.is_empty());
    world.clock.advance(DAY);
    phone.sync(&world).await;
    assert_eq!(end(&phone), world.service.now().day().plus_days(BINDING_DAYS));
    assert!(end(&phone) > first);
    // Away for longer than a binding lasts: the number may have gone to somebody else, so it is a new one.
    world.clock.advance(200 * DAY);
    phone.sync(&world).await;
    assert_eq!(end(&phone), world.service.now().day().plus_days(BINDING_DAYS));
}

#[tokio::test]
async fn a_phone_in_another_epoch_or_ahead_is_told_from_the_start() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    for extent in [Extent { epoch: Epoch(1), size: 7 }, Extent { epoch: Epoch(9), size: 1 }] {
        let Request::SyncFeeds(mut sync) = phone.session.request(Follow::Once) else { panic!() };
        let cursor = MemberCursor { extent, state: [0; 16], ..sync.members[0].cursor };
        // What it had staged is of there too.
        sync.members[0] = FeedPlace { cursor, staged: 1, personal: None };
        let replies = world.ask(1, Request::SyncFeeds(sync)).await;
        let [Reply::FeedHead { .. }, Reply::FeedBlock { block, .. }, Reply::Credentials { .. }, Reply::Done] =
            &replies[..]
        else {
            panic!("{replies:?}")
        };
        let pages = BlockWindow::default().read_block(block).unwrap();
        assert_eq!(pages[0].first_seq().0, 0);
        // A phone of the first version reads pages as they are.
        let old = SyncWallet { trust: 9, members: vec![cursor], follow: Follow::Once };
        let replies = world.ask(1, Request::SyncWallet(old)).await;
        let [Reply::Feed(feed), Reply::Credentials { .. }, Reply::Done] = &replies[..] else {
            panic!("{replies:?}")
        };
        assert_eq!(feed.pages, pages);
        assert!(feed.head.is_some());
    }
}

#[tokio::test]
async fn a_long_feed_comes_in_pages_and_from_where_the_phone_is() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    for round in 0..45 {
        for change in [CardChange::Hold, CardChange::Release] {
            world.command(AdminCommand::ChangeCard { number: number(1), change }).await.unwrap();
        }
        if round == 20 {
            phone.sync(&world).await;
        }
    }
    let effects = phone.sync(&world).await;
    let Effect::Commit(update) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((update.pages[0].first_seq().0, update.feed.next_seq().0), (43, 91));
    let mut new_phone = world.phone(2, 1).await;
    new_phone.sync(&world).await;
    assert_eq!(new_phone.feed(), phone.feed());
}

#[tokio::test]
async fn two_phones_hold_one_card_under_two_numbers_and_a_new_card_reaches_both() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phones = [world.phone(1, 1).await, world.phone(2, 1).await];
    for phone in &mut phones {
        phone.sync(&world).await;
    }
    assert_ne!(phones[0].credentials(), phones[1].credentials());
    let row = CardRow { number: "TE199KT00000001".into(), ..card_row(1) };
    world.command(AdminCommand::IssueCard(row)).await.unwrap();
    for phone in &mut phones {
        phone.sync(&world).await;
        assert_eq!(phone.credentials().len(), 2);
    }
}

#[tokio::test]
async fn a_phone_that_moves_to_a_key_on_p256_gives_up_its_old_hold() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut terminal = world.terminal(9).await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let bound = |phone: &Phone| {
        let card = Signed::<CardClaims>::decode(&phone.credentials()[0]).unwrap();
        let key = world.authority.first().claims().key(card.key_id(), KeyUse::Card).unwrap().key;
        let claims = card.verify(&key).unwrap().into_claims();
        (claims.status_index, claims.binding.unwrap())
    };
    let (index, old) = bound(&phone);

    let code = world.code(AdminCommand::MakeDeviceCode(social(1))).await;
    let replies = world.ask(1, activate_p256(1, &social(1), &code)).await;
    assert!(matches!(replies[..], [Reply::Activated(_), Reply::Done]), "{replies:?}");
    let mut moved = Phone::new(&world, 1, phone.member, p256_key(1).public_key());
    moved.sync(&world).await;
    let (same_index, new) = bound(&moved);
    assert_eq!((same_index, new.key), (index, p256_key(1).public_key()));
    assert_ne!(new.number, old.number);
    world.sync_terminal(9, &mut terminal).await;
    let list = terminal.status().unwrap().list();
    assert!(list.binding_retired(index, old.number) && !list.binding_retired(index, new.number));
}

#[tokio::test]
async fn what_a_retired_key_signed_is_signed_again() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let old = phone.credentials().to_vec();
    world.authority.renew([(KeyUse::Card, 21), (KeyUse::Status, 12), (KeyUse::Head, 23)]);
    let effects = phone.sync(&world).await;
    assert!(matches!(effects[0], Effect::TakeTrust(_)), "{effects:?}");
    assert_ne!(phone.credentials(), old);
    // A phone that is new now is given the old records under a head that it can verify.
    let mut new_phone = world.phone(2, 1).await;
    new_phone.sync(&world).await;
    assert_eq!(new_phone.feed().frontier(), phone.feed().frontier());
    // Nobody signs cards any more: records still come.
    let mut third = world.phone(3, 1).await;
    world.authority.renew([(KeyUse::Operator, 21), (KeyUse::Status, 12), (KeyUse::Head, 23)]);
    world.clock.advance(100 * DAY);
    third.sync(&world).await;
    assert_eq!((third.feed().next_seq().0, third.credentials().len()), (1, 0));
}

#[tokio::test]
async fn what_a_key_signed_after_it_was_closed_is_signed_again() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    let old = phone.credentials().to_vec();
    // Closed a second after: nothing is wrong with it.
    let keys = |first: u8| [(KeyUse::Card, first), (KeyUse::Status, first + 1), (KeyUse::Head, first + 2)];
    world.authority.close_all(START.plus(1), keys(21));
    world.clock.advance(10);
    phone.sync(&world).await;
    assert_eq!(phone.credentials(), old);
    // Closed the moment before.
    let mut world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    world.authority.close_all(START, keys(21));
    world.clock.advance(10);
    phone.sync(&world).await;
    let signed = Signed::<CardClaims>::decode(&phone.credentials()[0]).unwrap();
    assert_eq!((phone.credentials().len(), signed.key_id()), (1, key(21).public_key().key_id()));
    world.restart().await;
    let mut new_phone = world.phone(2, 1).await;
    new_phone.sync(&world).await;
    assert_eq!(new_phone.feed().frontier(), phone.feed().frontier());
}
