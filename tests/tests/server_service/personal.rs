//! The personal document at the server: operations merged once, answered with receipts, and refused without harm.

use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::operation::{Operation, OperationAnswer, OperationHash, Rejection};
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::{ActorId, Writer};
use bhyt_core::personal::values::Phone;
use bhyt_core::receipt::Receipt;
use bhyt_core::sync::messages::{Follow, MemberCursor, Refusal, Reply, Request, SyncWallet};
use bhyt_core::sync::personal::{PersonalContent, PersonalCursor, PersonalReply, SyncPersonal};
use bhyt_server::store::{Commit, DocKind};

use crate::world::{START, World, peer, public};

/// A phone's part of a document, by hand.
pub(crate) struct Hand {
    seed: u8,
    install: u8,
    document: PersonalDocument,
    cursor: PersonalCursor,
    next: u16,
}

impl Hand {
    pub(crate) fn new(seed: u8, member: MemberId) -> Self {
        let document = PersonalDocument::begin(member);
        let cursor = PersonalCursor::of(&document);
        Self { seed, install: 1, document, cursor, next: 0 }
    }

    pub(crate) fn edit(&mut self, edit: &Edit) -> Operation {
        let actor = ActorId::new(public(self.seed).key_id(), [self.install; 8]);
        let change = self.document.edit(edit, actor, Writer::Device).unwrap().unwrap();
        self.next += 1;
        let [high, low] = self.next.to_be_bytes();
        let id = [[self.seed, self.install, high, low]; 4].concat();
        Operation { id: OperationId(id.try_into().unwrap()), change }
    }

    fn request(&self, operations: Vec<Operation>) -> SyncPersonal {
        let install = [self.install; 8];
        SyncPersonal { member: self.document.member(), cursor: self.cursor.clone(), install, operations }
    }

    /// Takes the content of a reply, and is where the server is.
    fn take(&mut self, reply: &PersonalReply) {
        match &reply.content {
            PersonalContent::Changes(changes) => {
                self.document.apply(changes.iter().map(Vec::as_slice)).unwrap();
            }
            PersonalContent::Document(bytes) => self.document = PersonalDocument::load(bytes).unwrap(),
        }
        self.cursor = PersonalCursor::of(&self.document);
        assert_eq!(self.cursor, reply.cursor, "nothing is missing");
    }

    fn phone(&self) -> String {
        self.document.view().phone.map(|phone| phone.value.as_str().to_owned()).unwrap_or_default()
    }
}

fn number(last: u8) -> Edit {
    Edit::Phone(Phone::parse(&format!("09000000{last:02}")))
}

pub(crate) async fn hand_in(world: &World, hand: &Hand, operations: Vec<Operation>) -> PersonalReply {
    let mut replies = world.ask(hand.seed, Request::SyncPersonal(hand.request(operations))).await;
    assert_eq!(replies.pop(), Some(Reply::Done));
    match replies.pop() {
        Some(Reply::Personal(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

fn rejected(reply: &PersonalReply) -> Rejection {
    match reply.answers.last() {
        Some(OperationAnswer::Rejected(rejection)) => *rejection,
        other => panic!("{other:?}"),
    }
}

/// How many were accepted, and nothing else was answered.
fn accepted(reply: &PersonalReply) -> usize {
    assert!(reply.answers.iter().all(|it| matches!(it, OperationAnswer::Accepted(_))), "{:?}", reply.answers);
    reply.answers.len()
}

#[tokio::test]
async fn an_edit_is_merged_once_and_its_receipt_is_the_same_however_often_it_comes() {
    let mut world = World::new().await;
    world.member_with_card().await;
    let member = world.phone(1, 1).await.member;
    let mut hand = Hand::new(1, member);
    let operation = hand.edit(&number(1));
    let first = hand_in(&world, &hand, vec![operation.clone()]).await;
    let [OperationAnswer::Accepted(seal)] = first.answers[..] else { panic!("{first:?}") };
    assert_eq!(first.content, PersonalContent::Changes(Vec::new()), "nobody else wrote");
    let bytes = seal.join(member, operation.id, OperationHash::of(&operation.change));
    let receipt = Receipt::verify(&bytes, world.authority.first().claims()).unwrap();
    assert_eq!(receipt.claims().time, START);

    // The answer was lost; the server has been restarted since.
    world.clock.advance(60);
    world.restart().await;
    let again = hand_in(&world, &hand, vec![operation.clone()]).await;
    assert_eq!(again.answers, [OperationAnswer::Duplicate(seal)]);
    assert_eq!(again.cursor, first.cursor);
    hand.take(&again);

    let other = Operation { id: operation.id, ..hand.edit(&number(2)) };
    let reused = hand_in(&world, &hand, vec![other]).await;
    assert_eq!((rejected(&reused), reused.cursor), (Rejection::Reused, first.cursor));
}

#[tokio::test]
async fn two_phones_that_were_apart_meet_and_each_learns_of_the_other_in_the_same_exchange() {
    let world = World::new().await;
    world.member_with_card().await;
    let member = world.phone(1, 1).await.member;
    world.phone(2, 1).await;
    let (mut one, mut two) = (Hand::new(1, member), Hand::new(2, member));
    let (first, second) = (one.edit(&number(1)), two.edit(&number(2)));
    one.take(&hand_in(&world, &one, vec![first]).await);
    let reply = hand_in(&world, &two, vec![second]).await;
    assert!(matches!(&reply.content, PersonalContent::Changes(changes) if changes.len() == 1), "{reply:?}");
    two.take(&reply);
    one.take(&hand_in(&world, &one, Vec::new()).await);
    assert_eq!(one.document.view(), two.document.view());
    let phone = one.document.view().phone.unwrap();
    assert_eq!(phone.others.len(), 1, "the number that did not win is there beside it");
}

#[tokio::test]
async fn whoever_stays_is_pushed_what_others_edit_and_not_its_own() {
    let world = World::new().await;
    world.member_with_card().await;
    let phone = world.phone(1, 1).await;
    world.phone(2, 1).await;
    let seat = world.service.join(peer(1));
    let extent = Extent { epoch: Epoch(0), size: 0 };
    let members = vec![MemberCursor { member: phone.member, extent, state: [0; 16] }];
    let follow = SyncWallet { trust: 1, members, follow: Follow::Stay };
    world.ask_at(&seat, Request::SyncWallet(follow)).await;
    let (mut one, mut two) = (Hand::new(1, phone.member), Hand::new(2, phone.member));
    let own = one.edit(&number(1));
    world.ask_at(&seat, Request::SyncPersonal(one.request(vec![own]))).await;
    one.cursor = PersonalCursor::of(&one.document);
    let mut told = Vec::new();
    while let Some(news) = seat.news_now() {
        world.service.send_news(&seat, &news, &mut told).await.unwrap();
    }
    assert!(
        !told.iter().any(|reply| matches!(reply, Reply::Personal(_))),
        "its own edit is no news: {told:?}"
    );
    let other = two.edit(&number(2));
    hand_in(&world, &two, vec![other]).await;
    let mut told = Vec::new();
    while let Some(news) = seat.news_now() {
        world.service.send_news(&seat, &news, &mut told).await.unwrap();
    }
    let pushed = told.iter().find_map(|reply| match reply {
        Reply::Personal(reply) => Some(reply.clone()),
        _ => None,
    });
    one.take(&pushed.expect("pushed"));
}

#[tokio::test]
async fn a_change_that_may_not_be_is_refused_and_harms_nothing() {
    let world = World::new().await;
    world.member_with_card().await;
    let member = world.phone(1, 1).await.member;
    world.phone(2, 1).await;
    let mut hand = Hand::new(1, member);
    let good = hand.edit(&number(1));
    let before = hand_in(&world, &hand, Vec::new()).await.cursor;
    let named = |change: Vec<u8>| Operation { id: OperationId([9; 16]), change };
    let flipped: Vec<Vec<u8>> = (0..good.change.len())
        .map(|at| {
            let mut change = good.change.clone();
            change[at] ^= 1;
            change
        })
        .collect();
    let junk = [Vec::new(), vec![0; 40], b"\x85\x6f\x4a\x83".to_vec(), vec![0xff; 4_000]];
    for change in flipped.into_iter().chain(junk) {
        let reply = hand_in(&world, &hand, vec![named(change)]).await;
        assert_eq!(reply.answers.len(), 1);
        rejected(&reply);
        assert_eq!(reply.cursor, before);
    }
    // Another device hands in what this one made.
    let thief = Hand { seed: 2, document: PersonalDocument::begin(member), ..Hand::new(2, member) };
    assert_eq!(rejected(&hand_in(&world, &thief, vec![good.clone()]).await), Rejection::Author);
    // What comes after the first that is refused is not looked at.
    let reply = hand_in(&world, &hand, vec![named(vec![1]), good.clone()]).await;
    assert_eq!(reply.answers, [OperationAnswer::Rejected(Rejection::Malformed)]);
    // And the good one goes in as if nothing had been.
    let reply = hand_in(&world, &hand, vec![good]).await;
    assert!(matches!(reply.answers[..], [OperationAnswer::Accepted(_)]), "{reply:?}");
}

#[tokio::test]
async fn what_is_not_looked_at_does_not_count_against_the_hour() {
    let world = World::new().await;
    world.member_with_card().await;
    let member = world.phone(1, 1).await.member;
    let mut hand = Hand::new(1, member);
    let bad = |n: u16| {
        let id = n.to_be_bytes().repeat(8).try_into().unwrap();
        Operation { id: OperationId(id), change: vec![1] }
    };
    let good: Vec<_> = (1..32).map(|n| hand.edit(&number(n))).collect();
    let operations = [vec![bad(0)], good.clone()].concat();
    for _ in 0..20 {
        let reply = hand_in(&world, &hand, operations.clone()).await;
        assert_eq!(reply.answers, [OperationAnswer::Rejected(Rejection::Malformed)]);
    }
    // An hour has 512: twenty were looked at.
    assert_eq!(accepted(&hand_in(&world, &hand, good.clone()).await), 31);
    for n in 0..512 - 20 - 31 {
        assert_eq!(rejected(&hand_in(&world, &hand, vec![bad(n)]).await), Rejection::Malformed);
    }
    assert_eq!(rejected(&hand_in(&world, &hand, vec![bad(0)]).await), Rejection::Quota);
    let again = hand_in(&world, &hand, good).await;
    assert!(again.answers.iter().all(|answer| matches!(answer, OperationAnswer::Duplicate(_))), "{again:?}");
    world.clock.advance(3_600);
    assert_eq!(rejected(&hand_in(&world, &hand, vec![bad(0)]).await), Rejection::Malformed);
}

#[tokio::test]
async fn operations_that_others_were_faster_than_count_once_against_the_hour() {
    let world = World::new().await;
    world.member_with_card().await;
    let member = world.phone(1, 1).await.member;
    world.phone(2, 1).await;
    let (mut one, mut two) = (Hand::new(1, member), Hand::new(2, member));
    let operations: Vec<_> = (0..32).map(|n| one.edit(&number(n))).collect();
    let writes_document = |commit: &Commit| commit.docs.iter().any(|doc| doc.key.kind == DocKind::Personal);
    let mut held = world.store.hold_next(writes_document);
    let faster = async {
        for n in 0..16 {
            held.reached().await;
            let operation = two.edit(&number(n));
            two.take(&hand_in(&world, &two, vec![operation]).await);
            std::mem::replace(&mut held, world.store.hold_next(writes_document)).release();
        }
        held.reached().await;
        held.release();
        std::future::pending().await
    };
    // An hour has 512: counted anew each time, the seventeenth would be over.
    let reply = tokio::select! {
        reply = hand_in(&world, &one, operations) => reply,
        () = faster => unreachable!("it waits for the reply"),
    };
    assert_eq!(accepted(&reply), 32);
}

#[tokio::test]
async fn a_member_that_the_device_does_not_hold_is_none_of_its_business() {
    let world = World::new().await;
    world.member_with_card().await;
    world.phone(1, 1).await;
    let mut hand = Hand::new(1, MemberId([7; 16]));
    let operation = hand.edit(&number(1));
    let replies = world.ask(1, Request::SyncPersonal(hand.request(vec![operation.clone()]))).await;
    assert_eq!(replies, [Reply::Retired(MemberId([7; 16])), Reply::Done]);
    let many = vec![operation; bhyt_core::limits::OPERATIONS_MAX + 1];
    let replies = world.ask(1, Request::SyncPersonal(hand.request(many))).await;
    assert_eq!(replies, [Reply::Refused(Refusal::Malformed)]);
}

#[tokio::test]
async fn a_history_that_has_grown_begins_anew_and_an_edit_for_the_old_one_is_made_again() {
    let world = World::new().await;
    world.member_with_card().await;
    let member = world.phone(1, 1).await.member;
    world.phone(2, 1).await;
    let (mut busy, mut away) = (Hand::new(1, member), Hand::new(2, member));
    away.take(&hand_in(&world, &away, Vec::new()).await);
    let late = away.edit(&number(99));
    let mut edits = 0_u32;
    let first = busy.document.generation();
    let mut handed = None;
    while busy.document.generation() == first {
        edits += 1;
        let operation = busy.edit(&number(u8::try_from(edits % 90).unwrap()));
        handed.get_or_insert_with(|| operation.clone());
        // An hour has only so many.
        world.clock.advance(60);
        let reply = hand_in(&world, &busy, vec![operation]).await;
        assert!(matches!(reply.answers[..], [OperationAnswer::Accepted(_)]), "the last one too: {reply:?}");
        busy.take(&reply);
        assert!(edits < 1_000);
    }
    assert_eq!(busy.phone(), format!("09000000{:02}", edits % 90), "the value stays");
    let reply = hand_in(&world, &away, vec![late]).await;
    assert_eq!(rejected(&reply), Rejection::Generation);
    assert!(matches!(reply.content, PersonalContent::Document(_)));
    away.take(&reply);
    away.install = 2;
    let anew = away.edit(&number(99));
    let reply = hand_in(&world, &away, vec![anew]).await;
    assert!(matches!(reply.answers[..], [OperationAnswer::Accepted(_)]), "{reply:?}");
    assert_eq!(away.phone(), "0900000099");
    // An operation of the generation before is remembered still.
    let reply = hand_in(&world, &busy, vec![handed.unwrap()]).await;
    assert!(matches!(reply.answers[..], [OperationAnswer::Duplicate(_)]), "{reply:?}");
}

#[tokio::test]
async fn a_phone_says_in_its_sync_how_far_it_is_and_gets_what_it_lacks_in_the_same_answer() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    world.phone(2, 1).await;
    let (mut here, mut there) = (Hand::new(1, phone.member), Hand::new(2, phone.member));
    let Request::SyncFeeds(sync) = phone.session.request(Follow::Once) else { panic!() };
    let at = |cursor: &PersonalCursor| {
        let mut sync = sync.clone();
        sync.members[0].personal = Some(cursor.clone());
        Request::SyncFeeds(sync)
    };
    assert_eq!(world.ask(1, at(&here.cursor)).await, [Reply::Done], "nobody has written anything");

    let operation = there.edit(&number(2));
    there.take(&hand_in(&world, &there, vec![operation]).await);
    let replies = world.ask(1, at(&here.cursor)).await;
    let [Reply::Personal(reply), Reply::Done] = &replies[..] else { panic!("{replies:?}") };
    here.take(reply);
    assert_eq!(here.phone(), there.phone());
    assert_eq!(world.ask(1, at(&here.cursor)).await, [Reply::Done], "now it has everything");

    let replies = world.ask(1, at(&PersonalCursor::NOTHING)).await;
    let [Reply::Personal(whole), Reply::Done] = &replies[..] else { panic!("{replies:?}") };
    assert!(matches!(whole.content, PersonalContent::Document(_)));
    let heads = vec![here.cursor.heads[0]; bhyt_core::limits::PERSONAL_HEADS_MAX + 1];
    let long = PersonalCursor { heads, ..here.cursor };
    assert_eq!(world.ask(1, at(&long)).await, [Reply::Refused(Refusal::Malformed)]);
}
