//! Terminals: status lists as snapshot and delta, through restarts and a change of key.

use bhyt_core::card_record::ReducedCode;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::status::Standing;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange, CardRow};
use bhyt_core::sync::messages::{Follow, Reply, Request, SyncTerminal};
use bhyt_core::sync::terminal::TerminalSession;
use bhyt_core::trust::KeyUse;

use crate::world::{DAY, World, card_row, member_row, number};

fn standing(session: &TerminalSession, index: StatusIndex) -> Standing {
    session.status().unwrap().list().lookup(index)
}

async fn index_of(world: &World, n: u8) -> StatusIndex {
    match world.command(AdminCommand::ShowCard(number(n))).await {
        Ok(AdminReply::Card(view)) => StatusIndex(view.status_index),
        other => panic!("{other:?}"),
    }
}

async fn change(world: &World, n: u8, change: CardChange) {
    world.command(AdminCommand::ChangeCard { number: number(n), change }).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_first_and_then_deltas() {
    let world = World::new().await;
    world.member_with_card().await;
    let index = index_of(&world, 1).await;
    let mut terminal = world.terminal(9).await;
    let replies = world.sync_terminal(9, &mut terminal).await;
    assert!(matches!(replies[..], [Reply::StatusSnapshot(_), Reply::Done]), "{replies:?}");
    assert_eq!(standing(&terminal, index), Standing::default());
    assert_eq!(world.sync_terminal(9, &mut terminal).await, [Reply::Done]);

    change(&world, 1, CardChange::Hold).await;
    let replies = world.sync_terminal(9, &mut terminal).await;
    assert!(matches!(replies[..], [Reply::StatusDelta(_), Reply::Done]), "{replies:?}");
    assert!(standing(&terminal, index).held);

    change(&world, 1, CardChange::Release).await;
    let code = ReducedCode::new(122).unwrap();
    change(&world, 1, CardChange::Reduce(code)).await;
    world.sync_terminal(9, &mut terminal).await;
    let expected = Standing { reduced: Some(code), ..Standing::default() };
    assert_eq!(standing(&terminal, index), expected);
}

#[tokio::test]
async fn lists_go_on_after_a_restart_and_old_versions_still_get_deltas() {
    let mut world = World::new().await;
    world.member_with_card().await;
    let index = index_of(&world, 1).await;
    let mut terminal = world.terminal(9).await;
    world.sync_terminal(9, &mut terminal).await;
    change(&world, 1, CardChange::Hold).await;
    // Not published yet when the server stops.
    world.restart().await;
    change(&world, 1, CardChange::Withdraw).await;
    let replies = world.sync_terminal(9, &mut terminal).await;
    assert!(matches!(replies[..], [Reply::StatusDelta(_), Reply::Done]), "{replies:?}");
    let expected = Standing { withdrawn: true, ..Standing::default() };
    assert_eq!(standing(&terminal, index), expected);
    let version = terminal.status().unwrap().list().version();
    assert!(version.epoch == 1 && version.number >= 3, "{version:?}");
}

#[tokio::test]
async fn a_new_status_key_begins_a_new_epoch_with_a_snapshot() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut terminal = world.terminal(9).await;
    world.sync_terminal(9, &mut terminal).await;
    world.authority.renew([(KeyUse::Card, 11), (KeyUse::Status, 22), (KeyUse::Head, 13)]);
    world.service.trust_changed().await.unwrap();
    let replies = world.sync_terminal(9, &mut terminal).await;
    assert!(matches!(replies[..], [Reply::Trust(_), Reply::StatusSnapshot(_), Reply::Done]));
    assert_eq!(terminal.status().unwrap().list().version().epoch, 2);
}

#[tokio::test]
async fn a_snapshot_is_taken_up_where_it_broke_off() {
    let world = World::new().await;
    world.terminal(9).await;
    let sync = |partial| {
        Request::SyncTerminal(SyncTerminal { trust: 1, status: None, partial, follow: Follow::Once })
    };
    let whole = world.ask(9, sync(None)).await;
    let [Reply::StatusSnapshot(whole), Reply::Done] = &whole[..] else { panic!("{whole:?}") };
    let rest = world.ask(9, sync(Some((whole.version, 10)))).await;
    let [Reply::StatusSnapshot(rest), Reply::Done] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!((rest.offset, rest.total), (10, whole.total));
    assert_eq!(rest.bytes, whole.bytes[10..]);
}

#[tokio::test]
async fn a_list_is_made_anew_each_hour_and_entries_leave_with_their_cards() {
    let world = World::new().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(1)])).await.unwrap();
    let row = CardRow { to: "30/11/2026".into(), ..card_row(1) };
    world.command(AdminCommand::IssueCard(row)).await.unwrap();
    change(&world, 1, CardChange::Withdraw).await;
    let mut terminal = world.terminal(9).await;
    world.sync_terminal(9, &mut terminal).await;
    assert_eq!(terminal.status().unwrap().list().entries(), 1);
    world.clock.advance(3_600);
    world.service.publish_due().await.unwrap();
    let replies = world.sync_terminal(9, &mut terminal).await;
    let [Reply::StatusDelta(delta), Reply::Done] = &replies[..] else { panic!("{replies:?}") };
    assert!(delta.len() < 250, "{} bytes", delta.len());
    assert_eq!(terminal.status().unwrap().list().time(), world.service.now());
    // The card's last day is 30 November; START is the 23rd.
    world.clock.advance(8 * DAY);
    world.service.publish_due().await.unwrap();
    world.sync_terminal(9, &mut terminal).await;
    assert_eq!(terminal.status().unwrap().list().entries(), 0);
}

#[tokio::test]
async fn a_retired_device_ends_its_binding_and_nobody_elses() {
    let world = World::new().await;
    world.member_with_card().await;
    let index = index_of(&world, 1).await;
    let (mut first, mut second) = (world.phone(1, 1).await, world.phone(2, 1).await);
    first.sync(&world).await;
    second.sync(&world).await;
    let mut terminal = world.terminal(9).await;
    world.sync_terminal(9, &mut terminal).await;
    let device = crate::world::public(1).key_id().to_string();
    world.command(AdminCommand::RetireDevice(device)).await.unwrap();
    world.sync_terminal(9, &mut terminal).await;
    let list = terminal.status().unwrap().list();
    let retired = |number| list.binding_retired(index, BindingNumber::new(number).unwrap());
    assert!(retired(0) && !retired(1));
    assert_eq!(list.lookup(index), Standing::default());
    // The next phone does not get the retired number.
    world.phone(3, 1).await;
    let Ok(AdminReply::Card(view)) = world.command(AdminCommand::ShowCard(number(1))).await else { panic!() };
    let numbers: Vec<u8> = view.bindings.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, [1, 2]);
    assert!(second.sync(&world).await.is_empty());
}
