//! The audit trail: every command leaves a line, whatever becomes of it; it is found again, and old lines go.

use bhyt_core::ids::OperationId;
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, CardChange, CardRow};
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditQuery, AuditSubject};
use bhyt_core::sync::messages::{Refusal, Reply, Request};
use bhyt_core::sync::operators::OperatorRole;
use bhyt_core::time::UnixSeconds;
use bhyt_server::store::{DocKind, Store};

use crate::role_matrix::{Who, messages, populated};
use crate::world::{
    DAY, OPERATOR, START, World, activate, card_row, enter_operator, member_row, number, public, social,
};

const AUDITOR: u8 = 150;

async fn world() -> World {
    let world = World::new().await;
    enter_operator(&world.store, AUDITOR, &[OperatorRole::Auditor]).await;
    world
}

/// The lines asked for, without those of who asks.
async fn lines(world: &World, query: AuditQuery) -> Vec<AuditLine> {
    let command = AdminCommand::ShowAudit(query);
    let request = AdminRequest { operation: OperationId([200; 16]), command };
    let mut lines = Vec::new();
    for reply in world.ask(AUDITOR, Request::Admin(request)).await {
        match reply {
            Reply::Admin(AdminReply::Audit(page)) => lines.extend(page.lines),
            Reply::Done => {}
            other => panic!("{other:?}"),
        }
    }
    let asking = Some(public(AUDITOR).key_id());
    lines.retain(|line| line.operator != asking);
    lines
}

fn short(lines: &[AuditLine]) -> Vec<(AuditAction, AuditOutcome)> {
    lines.iter().map(|line| (line.action, line.outcome)).collect()
}

fn hold(n: u8) -> AdminCommand {
    AdminCommand::ChangeCard { number: number(n), change: CardChange::Hold }
}

#[tokio::test]
async fn every_command_leaves_a_line_whatever_becomes_of_it() {
    let world = populated().await;
    enter_operator(&world.store, AUDITOR, &[OperatorRole::Auditor]).await;
    for who in [Who::Registrar, Who::Enroller, Who::Auditor, Who::Administrator, Who::NoRole] {
        for (name, request, _) in messages() {
            world.clock.advance(3_600);
            let query = || AuditQuery {
                from: Some(world.service.now()),
                operator: Some(public(who.seed()).key_id()),
                ..AuditQuery::default()
            };
            let is_import = name.contains("Import");
            let replies = world.ask(who.seed(), request).await;
            let found = lines(&world, query()).await;
            let denied = replies == [Reply::Refused(Refusal::NotAuthorised)];
            match found[..] {
                // An empty file has no rows to speak of.
                [] => assert!(is_import && !denied, "{who:?} {name}"),
                [line] => {
                    let outcome = AuditOutcome::Refused(Refusal::NotAuthorised);
                    assert_eq!(line.outcome == outcome, denied, "{who:?} {name}: {line:?}");
                }
                _ => panic!("{who:?} {name}: {found:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_line_says_what_became_of_the_command_and_about_whom() {
    let world = world().await;
    world.member_with_card().await;
    let import = |rows: Vec<CardRow>| world.command(AdminCommand::ImportCards(rows));
    world.clock.advance(10);
    import(vec![card_row(1), CardRow { level: "9".into(), ..card_row(1) }]).await.unwrap();
    world.command(AdminCommand::IssueCard(CardRow { level: "9".into(), ..card_row(1) })).await.unwrap();
    world.command(hold(1)).await.unwrap();
    world.command(hold(1)).await.unwrap();
    world.command(hold(9)).await.unwrap_err();
    world.command(AdminCommand::RetireDevice("0011223344556677".into())).await.unwrap_err();
    let found = lines(&world, AuditQuery { from: Some(START.plus(10)), ..AuditQuery::default() }).await;
    use AuditAction::{HoldCard, ImportCards, IssueCard, RetireDevice};
    let not_found = AuditOutcome::Refused(Refusal::NotFound);
    let expected = [
        (ImportCards, AuditOutcome::Rows { unchanged: 1, failed: 1 }),
        (IssueCard, field_of(&found)),
        (HoldCard, AuditOutcome::Done),
        (HoldCard, AuditOutcome::Unchanged),
        (HoldCard, not_found),
        (RetireDevice, not_found),
    ];
    assert_eq!(short(&found), expected);
    let held = found.iter().find(|line| short(&[**line]) == [(HoldCard, AuditOutcome::Done)]).unwrap();
    let AuditSubject::Card { member, .. } = held.subject else { panic!("{held:?}") };
    let unknown = found.iter().find(|line| short(&[**line]) == [(HoldCard, not_found)]).unwrap();
    assert_eq!(unknown.subject, AuditSubject::Nothing);
    let device = AuditSubject::Device { device: KeyId::from_hex("0011223344556677").unwrap(), member: None };
    assert!(found.iter().any(|line| line.subject == device));
    // The short id of a line finds the member again.
    let shown = world.command(AdminCommand::ShowMember(member.to_string())).await;
    let Ok(AdminReply::Member(view)) = shown else { panic!("{shown:?}") };
    assert_eq!(view.row.member_id, social(1));
    // But nobody activates a phone with it.
    let code = world.code(AdminCommand::MakeDeviceCode(social(1))).await;
    let replies = world.ask(1, activate(1, &member.to_string(), &code)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::BadCode)]);
}

fn field_of(lines: &[AuditLine]) -> AuditOutcome {
    let field = lines.iter().find(|line| matches!(line.outcome, AuditOutcome::Field(_)));
    field.expect("a field that was not taken").outcome
}

#[tokio::test]
async fn lines_are_found_by_time_operator_member_card_and_outcome() {
    let world = world().await;
    world.member_with_card().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(2)])).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(2))).await.unwrap();
    world.clock.advance(100);
    enter_operator(&world.store, 1, &[OperatorRole::Registrar]).await;
    world.command_as(1, OperationId([1; 16]), hold(2)).await.unwrap();
    world.clock.advance(100);
    world.command_as(1, OperationId([2; 16]), hold(1)).await.unwrap();
    world.command_as(1, OperationId([3; 16]), AdminCommand::ListOperators).await.unwrap_err();
    let check = async |query: AuditQuery, expected: &[AuditAction]| {
        let found: Vec<_> = lines(&world, query).await.iter().map(|line| line.action).collect();
        assert_eq!(found, expected);
    };
    use AuditAction::{HoldCard, IssueCard, ListOperators};
    let any = AuditQuery::default;
    let at = |seconds| Some(START.plus(seconds));
    check(AuditQuery { from: at(100), until: at(200), ..any() }, &[HoldCard]).await;
    check(AuditQuery { from: at(101), until: at(200), ..any() }, &[]).await;
    check(AuditQuery { member: social(2), ..any() }, &[IssueCard, HoldCard]).await;
    check(AuditQuery { card: number(1), from: at(1), ..any() }, &[HoldCard]).await;
    check(AuditQuery { refused: true, ..any() }, &[ListOperators]).await;
    let operator = Some(public(1).key_id());
    check(AuditQuery { operator, until: at(200), ..any() }, &[HoldCard]).await;
    check(AuditQuery { operator: Some(public(9).key_id()), ..any() }, &[]).await;
    for query in [AuditQuery { member: "x".repeat(1_025), ..any() }, AuditQuery { card: "x".into(), ..any() }]
    {
        let refused = world.command_as(AUDITOR, OperationId([9; 16]), AdminCommand::ShowAudit(query)).await;
        assert_eq!(refused, Err(Refusal::Malformed));
    }
}

#[tokio::test]
async fn a_long_trail_comes_in_pieces_and_goes_on_where_it_was_left() {
    let world = world().await;
    let count = 1_300;
    for n in 0..count {
        world.clock.advance(1);
        world.command(AdminCommand::ShowStatus).await.unwrap();
        assert!(n < count);
    }
    let command = AdminCommand::ShowAudit(AuditQuery::default());
    let request = AdminRequest { operation: OperationId([200; 16]), command };
    let replies = world.ask(AUDITOR, Request::Admin(request)).await;
    let mut pages = Vec::new();
    for reply in replies {
        let size = bhyt_core::codec::encode(&reply).unwrap().len();
        assert!(size < bhyt_core::limits::FRAME_BYTES_MAX / 2, "{size}");
        if let Reply::Admin(AdminReply::Audit(page)) = reply {
            pages.push(page);
        }
    }
    assert_eq!(pages.len(), 3);
    let all: Vec<AuditLine> = pages.iter().flat_map(|page| page.lines.clone()).collect();
    assert!(all.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let after = Some(pages[0].last);
    let rest = lines(&world, AuditQuery { after, ..AuditQuery::default() }).await;
    let shown = all.iter().skip(pages[0].lines.len()).filter(|line| line.action == AuditAction::ShowStatus);
    assert_eq!(rest, shown.copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn lines_are_kept_for_a_year_and_then_removed() {
    let world = world().await;
    for _ in 0..300 {
        world.clock.advance(1);
        world.command(AdminCommand::ShowStatus).await.unwrap();
    }
    let kept = async || world.store.doc_scan(DocKind::Audit, None, 10_000).await.unwrap().len();
    assert_eq!((world.service.trim_audit().await.unwrap(), kept().await), (0, 300));
    world.clock.set(UnixSeconds(START.0 + 365 * DAY + 200));
    // The line of second 200 is a year old, and kept; those before are older.
    assert_eq!((world.service.trim_audit().await.unwrap(), kept().await), (199, 101));
    world.clock.set(UnixSeconds(START.0 + 400 * DAY));
    assert_eq!((world.service.trim_audit().await.unwrap(), kept().await), (101, 0));
}

#[tokio::test]
async fn a_key_that_is_denied_all_the_time_waits_and_does_not_fill_the_trail() {
    let world = world().await;
    enter_operator(&world.store, 1, &[OperatorRole::Enroller]).await;
    let try_as = |n: u8| world.command_as(1, OperationId([n; 16]), hold(1));
    let mut told = Vec::new();
    for n in 0..100 {
        told.push(try_as(n).await.unwrap_err());
    }
    let denied = told.iter().filter(|refusal| **refusal == Refusal::NotAuthorised).count();
    assert_eq!(denied, 32);
    assert!(told[32..].iter().all(|refusal| matches!(refusal, Refusal::Busy { .. })));
    assert_eq!(lines(&world, AuditQuery::default()).await.len(), 32);
    // What it may do has to wait too; others do not.
    let status = |seed| world.command_as(seed, OperationId([200; 16]), AdminCommand::ShowStatus);
    assert!(matches!(status(1).await, Err(Refusal::Busy { .. })));
    assert!(status(OPERATOR).await.is_ok());
    world.clock.advance(600);
    assert!(status(1).await.is_ok());
}
