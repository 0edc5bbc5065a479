//! One-time codes: one answer for everything that is wrong, and none for the patient guesser.

use bhyt_core::ids::OperationId;
use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::messages::{Refusal, Reply, Request};

use crate::world::{
    DAY, OPERATOR, Phone, World, activate, activate_p256, enrol, member_row, p256_key, social,
};

const BAD_CODE: [Reply; 1] = [Reply::Refused(Refusal::BadCode)];

async fn member_code(world: &World, n: u8) -> String {
    world.code(AdminCommand::MakeDeviceCode(social(n))).await
}

#[tokio::test]
async fn whatever_is_wrong_has_one_answer() {
    let world = World::new().await;
    let rows = vec![member_row(1), member_row(2)];
    world.command(AdminCommand::ImportMembers(rows)).await.unwrap();
    let code = member_code(&world, 1).await;
    let token = world.code(AdminCommand::MakeTerminalToken("79024".into())).await;
    for (alias, code) in [
        (social(1), "ABCD-EFGH-2345".to_owned()),
        (social(2), code.clone()),
        (social(9), code.clone()),
        ("x".to_owned(), code.clone()),
        (social(1), String::new()),
        (social(1), token.clone()),
    ] {
        assert_eq!(world.ask(1, activate(1, &alias, &code)).await, BAD_CODE, "{alias}");
    }
    assert_eq!(world.ask(2, enrol(2, &code)).await, BAD_CODE);
    // Tried with other members' numbers and as a token four times now; still good.
    assert!(matches!(world.ask(3, activate(3, &social(1), &code)).await[0], Reply::Activated(_)));
}

#[tokio::test]
async fn a_code_dies_after_a_day_and_after_being_tried_for_others_too_often() {
    let world = World::new().await;
    let rows = vec![member_row(1), member_row(2)];
    world.command(AdminCommand::ImportMembers(rows)).await.unwrap();
    let code = member_code(&world, 1).await;
    world.clock.advance(DAY);
    assert_eq!(world.ask(1, activate(1, &social(1), &code)).await, BAD_CODE);
    let code = member_code(&world, 1).await;
    for seed in 10..15 {
        assert_eq!(world.ask(seed, activate(seed, &social(2), &code)).await, BAD_CODE);
    }
    assert_eq!(world.ask(1, activate(1, &social(1), &code)).await, BAD_CODE);
}

#[tokio::test]
async fn a_code_is_used_once_and_its_user_may_ask_again() {
    let world = World::new().await;
    world.member_with_card().await;
    let code = member_code(&world, 1).await;
    let first = world.ask(1, activate(1, &social(1), &code)).await;
    assert!(matches!(first[..], [Reply::Activated(_), Reply::Done]));
    world.clock.advance(2 * DAY);
    assert_eq!(world.ask(1, activate(1, &social(1), &code)).await, first);
    assert_eq!(world.ask(2, activate(2, &social(1), &code)).await, BAD_CODE);
    let token = world.code(AdminCommand::MakeTerminalToken("79024".into())).await;
    let first = world.ask(9, enrol(9, &token)).await;
    assert!(matches!(first[..], [Reply::Enrolled(_), Reply::Done]));
    assert_eq!(world.ask(9, enrol(9, &token)).await, first);
    assert_eq!(world.ask(8, enrol(8, &token)).await, BAD_CODE);
}

#[tokio::test]
async fn a_guesser_is_made_to_wait() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.extend(world.ask(1, activate(1, &social(1), "AAAA-AAAA-AAAA")).await);
    }
    assert_eq!(answers[..8], vec![Reply::Refused(Refusal::BadCode); 8]);
    assert!(matches!(answers[8], Reply::Refused(Refusal::Busy { .. })), "{answers:?}");
    // Even with the right code, until the time is over.
    let code = member_code(&world, 1).await;
    assert!(matches!(world.ask(1, activate(1, &social(1), &code)).await[0], Reply::Refused(_)));
    world.clock.advance(600);
    assert!(matches!(world.ask(1, activate(1, &social(1), &code)).await[0], Reply::Activated(_)));
}

#[tokio::test]
async fn a_key_that_is_not_held_is_not_bound() {
    let world = World::new().await;
    world.member_with_card().await;
    let code = member_code(&world, 1).await;
    // Peer 1 brings the proof that peer 2 made over its own transport key.
    let replies = world.ask(1, activate(2, &social(1), &code)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::Malformed)]);
    let Request::Activate(mut long) = activate(1, &social(1), &code) else { panic!() };
    long.code = "A".repeat(65);
    let replies = world.ask(1, Request::Activate(long)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::Malformed)]);
}

#[tokio::test]
async fn a_key_on_p256_is_bound_like_any_other() {
    let world = World::new().await;
    world.member_with_card().await;
    let code = member_code(&world, 1).await;
    let theirs = world.ask(1, activate_p256(2, &social(1), &code)).await;
    assert_eq!(theirs, [Reply::Refused(Refusal::Malformed)], "the proof of another phone");
    let replies = world.ask(1, activate_p256(1, &social(1), &code)).await;
    let [Reply::Activated(member), Reply::Done] = replies[..] else { panic!("{replies:?}") };
    assert_eq!(world.ask(1, activate_p256(1, &social(1), &code)).await, replies, "an answer that was lost");
    assert_eq!(world.ask(1, activate(1, &social(1), &code)).await, BAD_CODE, "with another key");
    // The session takes only credentials that are bound to its key.
    let mut phone = Phone::new(&world, 1, member, p256_key(1).public_key());
    phone.sync(&world).await;
    assert_eq!(phone.credentials().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_gives_the_same_code_again() {
    let world = World::new().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(1)])).await.unwrap();
    let id = OperationId([5; 16]);
    let make = |n| AdminCommand::MakeDeviceCode(social(n));
    let first = world.command_as(OPERATOR, id, make(1)).await;
    world.clock.advance(60);
    assert!(matches!(first, Ok(AdminReply::OneTimeCode { .. })));
    assert_eq!(world.command_as(OPERATOR, id, make(1)).await, first);
    let other = world.command_as(OPERATOR, OperationId([6; 16]), make(1)).await;
    assert_ne!(other, first);
}

#[tokio::test]
async fn a_member_has_sixteen_devices_at_most() {
    let world = World::new().await;
    world.member_with_card().await;
    for seed in 1..=16 {
        world.phone(seed, 1).await;
    }
    let code = member_code(&world, 1).await;
    let replies = world.ask(17, activate(17, &social(1), &code)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::NoFreeBinding)]);
}
