//! What a phone hands back to a restored server is taken for what the server signed, once, and for nothing else.

use bhyt_core::cose::{Unsigned, Verified};
use bhyt_core::feed::{EpochReason, EpochStatement, FeedHead, FeedPage, HandedRecord, hand_back};
use bhyt_core::ids::MemberId;
use bhyt_core::record::{Body, Content, Seq};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange};
use bhyt_core::sync::messages::{HandBack, Refusal, Reply, Request};
use bhyt_core::sync::wallet::{Effect, SyncFault};
use bhyt_platform::clock::Clock as _;
use bhyt_server::service::mark_restored;

use crate::world::{Phone, World, card_row, key, member_row, number, social};

/// The pages of a phone that has just read its feed, and the head over them.
async fn read(phone: &mut Phone, world: &World) -> (Vec<FeedPage>, Verified<FeedHead>) {
    let effects = phone.sync(world).await;
    let update = effects.into_iter().find_map(|effect| match effect {
        Effect::Commit(update) => Some(update),
        _ => None,
    });
    let update = update.unwrap();
    (update.pages, update.head)
}

/// The server goes through a restore that has forgotten nothing.
async fn restored(world: &mut World) {
    world.clock.advance(60);
    let mut terminal = world.terminal(3).await;
    world.sync_terminal(3, &mut terminal).await;
    mark_restored(&world.store, world.clock.now(), world.clock.now()).await.unwrap();
    world.restart().await;
    world.service.adopt_status(terminal.status().unwrap().list()).await.unwrap();
    world.restart().await;
}

async fn records(world: &World, n: u8) -> u64 {
    match world.command(AdminCommand::ShowMember(social(n))).await {
        Ok(AdminReply::Member(view)) => view.records,
        other => panic!("{other:?}"),
    }
}

fn request(member: MemberId, head: &Verified<FeedHead>, record: HandedRecord) -> Request {
    Request::HandBack(HandBack { member, head: head.bytes().to_vec(), record })
}

#[tokio::test]
async fn a_record_is_taken_back_for_what_was_signed_and_for_nothing_else() {
    let mut world = World::new().await;
    world.member_with_card().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(2)])).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(2))).await.unwrap();
    for change in [CardChange::Hold, CardChange::Release] {
        world.clock.advance(60);
        world.command(AdminCommand::ChangeCard { number: number(1), change }).await.unwrap();
    }
    let (mut phone, mut other) = (world.phone(1, 1).await, world.phone(2, 2).await);
    let ((pages, head), (others, other_head)) =
        (read(&mut phone, &world).await, read(&mut other, &world).await);
    restored(&mut world).await;

    let handed = hand_back(&pages, Seq(0));
    let malformed = [Reply::Refused(Refusal::Malformed)];
    for record in &handed {
        let answer = world.ask(1, request(phone.member, &head, record.clone())).await;
        assert_eq!(answer, [Reply::Done], "known already");
        let mut changed = record.clone();
        changed.record.content = Content::Body(Body::new(vec![0xa0]).unwrap());
        assert_eq!(world.ask(1, request(phone.member, &head, changed)).await, malformed);
        let mut moved = record.clone();
        moved.seq = Seq(record.seq.0 + 1);
        assert_eq!(world.ask(1, request(phone.member, &head, moved)).await, malformed);
    }
    let foreign = hand_back(&others, Seq(0)).remove(0);
    let answer = world.ask(1, request(phone.member, &other_head, foreign.clone())).await;
    assert_eq!(answer, malformed, "a head of another member");
    let answer = world.ask(1, request(other.member, &other_head, foreign.clone())).await;
    assert_eq!(answer, [Reply::Refused(Refusal::NotFound)], "a member that is not on this phone");
    let forged = Unsigned::new(*head.claims(), head.key_id()).sign(&key(77));
    let forged = HandBack { member: phone.member, head: forged.bytes().to_vec(), record: handed[0].clone() };
    assert_eq!(world.ask(1, Request::HandBack(forged)).await, malformed, "a head that nobody signed");
    assert_eq!((records(&world, 1).await, records(&world, 2).await), (3, 1), "nothing was appended");

    // The phone is level: it follows without reading anything again, and has nothing to hand back.
    let effects = phone.sync(&world).await;
    assert!(matches!(&effects[..], [Effect::Epoch { .. }, ..]), "{effects:?}");
    assert_eq!(phone.feed().next_seq(), Seq(3));
    assert!(phone.sync(&world).await.is_empty());
}

#[tokio::test]
async fn a_statement_by_another_key_opens_no_epoch() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let (_, head) = read(&mut phone, &world).await;
    let FeedHead { member, mut extent, root, time } = *head.claims();
    let before = extent.epoch;
    extent.epoch.0 += 1;
    let reason = EpochReason::Restored;
    let statement = EpochStatement { member, before, kept: extent, root, time, reason };
    for (key_id, signer) in [(head.key_id(), key(77)), (key(77).public_key().key_id(), key(77))] {
        let signed = Unsigned::new(statement, key_id).sign(&signer);
        let reply = Reply::Epoch { member, statement: signed.bytes().to_vec() };
        assert_eq!(phone.session.handle(reply).unwrap_err(), SyncFault::BadHead);
    }
    // A head is no statement, whoever signed it.
    let reply = Reply::Epoch { member, statement: head.bytes().to_vec() };
    assert_eq!(phone.session.handle(reply).unwrap_err(), SyncFault::BadHead);
    assert_eq!(phone.feed().mark(), Some(head.claims()));
}
