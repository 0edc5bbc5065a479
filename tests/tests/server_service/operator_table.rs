//! Operators: entered, given other roles and retired by administrators alone; there is always one left.

use bhyt_core::ids::OperationId;
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, Applied};
use bhyt_core::sync::messages::{Refusal, Reply, Request};
use bhyt_core::sync::operators::OperatorRole::{Administrator, Auditor, Enroller, Registrar};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole, OperatorView};

use crate::world::{OPERATOR, START, World, activate, enrol, enter_operator, public, social};

fn id(seed: u8) -> KeyId {
    public(seed).key_id()
}

fn new(key: PublicKey, roles: &[OperatorRole]) -> OperatorChange {
    let label = OperatorLabel::parse("quay-1").unwrap();
    OperatorChange::Add(Box::new(NewOperator { key, roles: roles.to_vec(), label }))
}

fn set_roles(seed: u8, roles: &[OperatorRole]) -> OperatorChange {
    OperatorChange::SetRoles { operator: id(seed), roles: roles.to_vec() }
}

async fn change(world: &World, change: OperatorChange) -> Result<Applied, Refusal> {
    applied(world.command(AdminCommand::ChangeOperators(change)).await)
}

fn applied(reply: Result<AdminReply, Refusal>) -> Result<Applied, Refusal> {
    match reply {
        Ok(AdminReply::Applied(applied)) => Ok(applied),
        Err(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

async fn listed(world: &World) -> Vec<OperatorView> {
    let request = AdminRequest { operation: OperationId([9; 16]), command: AdminCommand::ListOperators };
    let mut views = Vec::new();
    for reply in world.ask(OPERATOR, Request::Admin(request)).await {
        match reply {
            Reply::Admin(AdminReply::Operators(some)) => views.extend(some),
            Reply::Done => {}
            other => panic!("{other:?}"),
        }
    }
    views
}

#[tokio::test]
async fn an_operator_is_entered_given_roles_and_retired() {
    let world = World::new().await;
    let code = || world.command_as(1, OperationId([1; 16]), AdminCommand::MakeTerminalToken("99024".into()));
    assert_eq!(code().await, Err(Refusal::NotAuthorised));
    assert_eq!(change(&world, new(public(1), &[Registrar])).await, Ok(Applied::Accepted));
    assert_eq!(code().await, Err(Refusal::NotAuthorised));
    assert_eq!(change(&world, set_roles(1, &[Enroller, Auditor])).await, Ok(Applied::Accepted));
    assert!(matches!(code().await, Ok(AdminReply::OneTimeCode { .. })));
    let view = |views: Vec<OperatorView>| views.into_iter().find(|view| view.id == id(1)).unwrap();
    let expected = OperatorView {
        id: id(1),
        label: OperatorLabel::parse("quay-1"),
        roles: vec![Enroller, Auditor],
        added: START,
        retired: None,
    };
    assert_eq!(view(listed(&world).await), expected);
    world.clock.advance(60);
    assert_eq!(change(&world, OperatorChange::Retire(id(1))).await, Ok(Applied::Accepted));
    assert_eq!(code().await, Err(Refusal::NotAuthorised));
    let retired = Some(START.plus(60));
    assert_eq!(view(listed(&world).await), OperatorView { retired, ..expected });
}

#[tokio::test]
async fn what_is_so_already_is_left_alone_and_a_retired_key_stays_retired() {
    let world = World::new().await;
    let duplicate = Ok(Applied::Duplicate);
    assert_eq!(change(&world, new(public(1), &[Registrar, Auditor])).await, Ok(Applied::Accepted));
    // Roles are a set: another order says the same.
    assert_eq!(change(&world, new(public(1), &[Auditor, Registrar])).await, duplicate);
    assert_eq!(change(&world, set_roles(1, &[Registrar, Auditor])).await, duplicate);
    assert_eq!(change(&world, new(public(1), &[Enroller])).await, Err(Refusal::Conflict));
    assert_eq!(change(&world, OperatorChange::Retire(id(1))).await, Ok(Applied::Accepted));
    assert_eq!(change(&world, OperatorChange::Retire(id(1))).await, duplicate);
    assert_eq!(change(&world, new(public(1), &[Registrar, Auditor])).await, Err(Refusal::Conflict));
    assert_eq!(change(&world, set_roles(1, &[Enroller])).await, Err(Refusal::Conflict));
    for bad in [&[][..], &[Registrar, Registrar]] {
        assert_eq!(change(&world, new(public(2), bad)).await, Err(Refusal::Malformed));
        assert_eq!(change(&world, set_roles(OPERATOR, bad)).await, Err(Refusal::Malformed));
    }
    assert_eq!(change(&world, set_roles(3, &[Enroller])).await, Err(Refusal::NotFound));
    assert_eq!(change(&world, OperatorChange::Retire(id(3))).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn a_key_has_one_use() {
    let world = World::new().await;
    world.member_with_card().await;
    world.phone(1, 1).await;
    world.terminal(2).await;
    for seed in [1, 2] {
        assert_eq!(change(&world, new(public(seed), &[Auditor])).await, Err(Refusal::Conflict));
    }
    // Nor does an operator become a phone or a terminal.
    let code = world.code(AdminCommand::MakeDeviceCode(social(1))).await;
    let token = world.code(AdminCommand::MakeTerminalToken("99024".into())).await;
    for request in [activate(OPERATOR, &social(1), &code), enrol(OPERATOR, &token)] {
        assert_eq!(world.ask(OPERATOR, request).await, [Reply::Refused(Refusal::NotAuthorised)]);
    }
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let world = World::new().await;
    let last = Err(Refusal::LastAdministrator);
    let without = [Registrar, Enroller, Auditor];
    assert_eq!(change(&world, OperatorChange::Retire(id(OPERATOR))).await, last);
    assert_eq!(change(&world, set_roles(OPERATOR, &without)).await, last);
    // A retired administrator is none, and other roles do not count.
    enter_operator(&world.store, 1, &[Administrator]).await;
    enter_operator(&world.store, 2, &without).await;
    assert_eq!(change(&world, OperatorChange::Retire(id(1))).await, Ok(Applied::Accepted));
    assert_eq!(change(&world, OperatorChange::Retire(id(OPERATOR))).await, last);
    assert_eq!(change(&world, new(public(3), &[Administrator])).await, Ok(Applied::Accepted));
    assert_eq!(change(&world, OperatorChange::Retire(id(OPERATOR))).await, Ok(Applied::Accepted));
}

#[tokio::test]
async fn administrators_who_retire_each_other_at_once_leave_one() {
    for round in 0..32 {
        let world = World::new().await;
        enter_operator(&world.store, 1, &[Administrator]).await;
        let retire = |by: u8, whom: u8| {
            let command = AdminCommand::ChangeOperators(OperatorChange::Retire(id(whom)));
            world.command_as(by, OperationId([round; 16]), command)
        };
        let (a, b) = tokio::join!(retire(OPERATOR, 1), retire(1, OPERATOR));
        let done = [&a, &b].into_iter().filter(|reply| reply.is_ok()).count();
        assert_eq!(done, 1, "{a:?} {b:?}");
        let left = if a.is_ok() { OPERATOR } else { 1 };
        let shown = world.command_as(left, OperationId([99; 16]), AdminCommand::ShowStatus).await;
        assert!(shown.is_ok(), "{shown:?}");
    }
}

#[tokio::test]
async fn an_operation_of_one_operator_is_none_of_anothers() {
    let world = World::new().await;
    world.member_with_card().await;
    for (seed, roles) in [(1, [Enroller]), (2, [Enroller]), (3, [Registrar])] {
        enter_operator(&world.store, seed, &roles).await;
    }
    let operation = OperationId([7; 16]);
    let code = |seed| world.command_as(seed, operation, AdminCommand::MakeDeviceCode(social(1)));
    let (first, second) = (code(1).await, code(2).await);
    let Ok(AdminReply::OneTimeCode { code: mine, .. }) = &first else { panic!("{first:?}") };
    let Ok(AdminReply::OneTimeCode { code: theirs, .. }) = &second else { panic!("{second:?}") };
    assert_ne!(mine, theirs);
    assert_eq!(code(1).await, first);
    assert_eq!(code(3).await, Err(Refusal::NotAuthorised));
}
