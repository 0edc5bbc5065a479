//! What the key table and the signing keys decide at each exchange; who may ask what is the table in `role_matrix`.

use bhyt_core::sync::admin::{AdminCommand, CardRow};
use bhyt_core::sync::messages::{Follow, Refusal, Reply, Request};
use bhyt_core::trust::KeyUse;
use bhyt_server::service::Next;

use crate::world::{World, activate, peer, public, social};

#[tokio::test]
async fn the_key_table_decides_at_each_exchange() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let seat = world.service.join(peer(1));
    let request = phone.session.request(Follow::Once);
    assert_eq!(world.ask_at(&seat, request.clone()).await.last(), Some(&Reply::Done));
    let device = public(1).key_id().to_string();
    world.command(AdminCommand::RetireDevice(device.clone())).await.unwrap();
    let mut replies = Vec::new();
    let next = world.service.answer(&seat, request, &mut replies).await.unwrap();
    assert_eq!((next, replies), (Next::Close, vec![Reply::Refused(Refusal::NotAuthorised)]));
    // Nor does a new code help a retired key.
    let code = world.code(AdminCommand::MakeDeviceCode(social(1))).await;
    let replies = world.ask(1, activate(1, &social(1), &code)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::NotAuthorised)]);
    let unknown = AdminCommand::RetireDevice("0011223344556677".into());
    assert_eq!(world.command(unknown).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn a_member_that_the_device_does_not_hold_is_to_be_wiped() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let Request::SyncFeeds(mut sync) = phone.session.request(Follow::Once) else { panic!() };
    let stranger = bhyt_core::ids::MemberId([7; 16]);
    sync.members[0].cursor.member = stranger;
    let replies = world.ask(1, Request::SyncFeeds(sync.clone())).await;
    assert_eq!(replies, [Reply::Retired(stranger), Reply::Done]);
    sync.members.push(sync.members[0].clone());
    let replies = world.ask(1, Request::SyncFeeds(sync)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::Malformed)]);
}

#[tokio::test]
async fn without_a_key_for_it_nothing_is_issued() {
    let world = World::new().await;
    world.member_with_card().await;
    world.authority.renew([(KeyUse::Operator, 11), (KeyUse::Status, 12), (KeyUse::Head, 13)]);
    let refused = world.command(AdminCommand::IssueCard(crate::world::card_row(1))).await;
    // Known already: said without signing.
    assert!(refused.is_ok());
    let row = CardRow { number: "TE199KT00000001".into(), ..crate::world::card_row(1) };
    assert_eq!(world.command(AdminCommand::IssueCard(row)).await, Err(Refusal::Internal));
}
