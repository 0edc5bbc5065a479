//! Operators: imports with their faults, operations done once, and what is shown.

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::OperationId;
use bhyt_core::sync::admin::{
    AdminCommand, AdminReply, Applied, CardChange, CardRow, MemberRow, RowFault, RowField, RowOutcome,
    RowReason,
};
use bhyt_core::sync::messages::Refusal;
use bhyt_server::store::{DocKind, Store};

use crate::world::{OPERATOR, World, card_row, member_row, number, social};

async fn import_members(world: &World, rows: Vec<MemberRow>) -> Vec<RowOutcome> {
    match world.command(AdminCommand::ImportMembers(rows)).await {
        Ok(AdminReply::Rows(outcomes)) => outcomes,
        other => panic!("{other:?}"),
    }
}

async fn import_cards(world: &World, rows: Vec<CardRow>) -> Vec<RowOutcome> {
    match world.command(AdminCommand::ImportCards(rows)).await {
        Ok(AdminReply::Rows(outcomes)) => outcomes,
        other => panic!("{other:?}"),
    }
}

fn failed(field: RowField, reason: RowReason) -> RowOutcome {
    RowOutcome::Failed(RowFault { field, reason })
}

#[tokio::test]
async fn members_are_stored_amended_and_left_alone() {
    let world = World::new().await;
    let rows: Vec<MemberRow> = (0..64).map(member_row).collect();
    assert_eq!(import_members(&world, rows.clone()).await, vec![RowOutcome::Stored; 64]);
    assert_eq!(import_members(&world, rows).await, vec![RowOutcome::Unchanged; 64]);
    // Every row takes another personal number: five keys each, more than one commit holds.
    let moved = |n: u8| MemberRow { personal_id: format!("0881940000{n:02}"), ..member_row(n) };
    let rows: Vec<MemberRow> = (0..64).map(moved).collect();
    assert_eq!(import_members(&world, rows).await, vec![RowOutcome::Stored; 64]);
    let shown = world.command(AdminCommand::ShowMember("088194000003".into())).await;
    let Ok(AdminReply::Member(view)) = shown else { panic!("{shown:?}") };
    assert_eq!((view.row.member_id, view.devices, view.records), (social(3), 0, 0));
    let old = world.command(AdminCommand::ShowMember("099194000003".into())).await;
    assert_eq!(old, Err(Refusal::NotFound));
    // An absent field keeps what is stored.
    let sparse = MemberRow { member_id: social(3), phone: "0911111111".into(), ..MemberRow::default() };
    assert_eq!(import_members(&world, vec![sparse]).await, [RowOutcome::Stored]);
    let by_id = world.command(AdminCommand::ShowMember(view.id)).await;
    let Ok(AdminReply::Member(view)) = by_id else { panic!("{by_id:?}") };
    assert_eq!((view.row.phone.as_str(), view.row.sex.as_str()), ("0911111111", "F"));
}

#[tokio::test]
async fn rows_of_one_file_are_judged_against_each_other() {
    let world = World::new().await;
    let thief = MemberRow { personal_id: member_row(1).personal_id, ..member_row(2) };
    let nameless = MemberRow { full_name: String::new(), ..member_row(3) };
    let undated = MemberRow { birth_date: "1994-02-30".into(), ..member_row(4) };
    let again = MemberRow { address: "Phường 2".into(), ..member_row(1) };
    let rows = vec![member_row(1), thief, nameless, undated, again, member_row(1)];
    let outcomes = import_members(&world, rows).await;
    let expected = [
        RowOutcome::Stored,
        failed(RowField::PersonalId, RowReason::Conflict),
        failed(RowField::FullName, RowReason::Missing),
        failed(RowField::BirthDate, RowReason::Malformed),
        RowOutcome::Stored,
        RowOutcome::Stored,
    ];
    assert_eq!(outcomes, expected);
    let Ok(AdminReply::Status(status)) = world.command(AdminCommand::ShowStatus).await else { panic!() };
    assert_eq!(status.members, 1);
    let too_many = AdminCommand::ImportMembers(vec![member_row(1); 65]);
    assert_eq!(world.command(too_many).await, Err(Refusal::Malformed));
}

#[tokio::test]
async fn cards_are_imported_side_by_side_and_faults_are_named() {
    let world = World::new().await;
    import_members(&world, (0..60).map(member_row).collect()).await;
    let mut rows: Vec<CardRow> = (0..60).map(card_row).collect();
    rows.push(CardRow { member: social(77), ..card_row(77) });
    rows.push(CardRow { number: number(5), ..card_row(6) });
    rows.push(CardRow { facility: "7".into(), ..card_row(7) });
    let outcomes = import_cards(&world, rows.clone()).await;
    assert_eq!(outcomes[..60], vec![RowOutcome::Stored; 60]);
    let expected = [
        failed(RowField::Member, RowReason::NotFound),
        failed(RowField::Number, RowReason::Conflict),
        failed(RowField::Facility, RowReason::Malformed),
    ];
    assert_eq!(outcomes[60..], expected);
    let again = import_cards(&world, rows).await;
    assert_eq!(again[..60], vec![RowOutcome::Unchanged; 60]);
    let Ok(AdminReply::Status(status)) = world.command(AdminCommand::ShowStatus).await else { panic!() };
    assert_eq!((status.members, status.cards), (60, 60));
    // The number of somebody else inside a new number is the worst mistake a file can hold.
    let mixed = CardRow { number: format!("HN299{}", social(8)), ..card_row(9) };
    assert_eq!(import_cards(&world, vec![mixed]).await, [failed(RowField::Number, RowReason::Conflict)]);
}

#[tokio::test]
async fn a_later_period_of_a_number_is_a_card_of_its_own() {
    let world = World::new().await;
    import_members(&world, vec![member_row(1)]).await;
    let year = |from: &str, to: &str| CardRow { from: from.into(), to: to.into(), ..card_row(1) };
    let (first, second) = (year("2026-01-01", "2026-12-31"), year("2027-01-01", "2027-12-31"));
    let overlapping = year("2027-06-01", "2028-05-31");
    let stored = RowOutcome::Stored;
    assert_eq!(import_cards(&world, vec![first.clone(), second.clone()]).await, [stored, stored]);
    let outcomes = import_cards(&world, vec![first, second, overlapping]).await;
    let conflict = failed(RowField::Number, RowReason::Conflict);
    assert_eq!(outcomes, [RowOutcome::Unchanged, RowOutcome::Unchanged, conflict]);
    let Ok(AdminReply::Card(view)) = world.command(AdminCommand::ShowCard(number(1))).await else { panic!() };
    assert_eq!((view.row.from.as_str(), view.standing), ("2027-01-01", CardStanding::InForce));
    let mut phone = world.phone(1, 1).await;
    phone.sync(&world).await;
    assert_eq!(phone.credentials().len(), 2);
}

#[tokio::test]
async fn an_operation_is_done_once() {
    let world = World::new().await;
    import_members(&world, vec![member_row(1)]).await;
    let id = OperationId([1; 16]);
    let issue = || AdminCommand::IssueCard(card_row(1));
    let applied = |applied| Ok(AdminReply::Applied(applied));
    assert_eq!(world.command_as(OPERATOR, id, issue()).await, applied(Applied::Accepted));
    assert_eq!(world.command_as(OPERATOR, id, issue()).await, applied(Applied::Duplicate));
    let other = AdminCommand::IssueCard(card_row(2));
    assert_eq!(world.command_as(OPERATOR, id, other).await, Err(Refusal::OperationReused));
    let hold = |id| {
        let command = AdminCommand::ChangeCard { number: number(1), change: CardChange::Hold };
        world.command_as(OPERATOR, OperationId([id; 16]), command)
    };
    assert_eq!(hold(2).await, applied(Applied::Accepted));
    let release = AdminCommand::ChangeCard { number: number(1), change: CardChange::Release };
    assert_eq!(world.command(release).await, applied(Applied::Accepted));
    // Sent again, late: it is remembered as done and does not hold the card a second time.
    assert_eq!(hold(2).await, applied(Applied::Duplicate));
    let Ok(AdminReply::Card(view)) = world.command(AdminCommand::ShowCard(number(1))).await else { panic!() };
    assert_eq!(view.standing, CardStanding::InForce);
    let Ok(AdminReply::Member(view)) = world.command(AdminCommand::ShowMember(social(1))).await else {
        panic!()
    };
    assert_eq!((view.records, view.cards), (3, vec![number(1)]));
}

#[tokio::test]
async fn issues_side_by_side_of_one_operation_are_one_card() {
    let world = World::new().await;
    import_members(&world, vec![member_row(1)]).await;
    let issue = || world.command_as(OPERATOR, OperationId([1; 16]), AdminCommand::IssueCard(card_row(1)));
    let (a, b, c) = tokio::join!(issue(), issue(), issue());
    let mut applied = [a, b, c].map(|reply| match reply {
        Ok(AdminReply::Applied(applied)) => applied == Applied::Accepted,
        other => panic!("{other:?}"),
    });
    applied.sort_unstable();
    assert_eq!(applied, [false, false, true]);
}

#[tokio::test]
async fn a_replacement_is_shown_on_both_cards() {
    let world = World::new().await;
    world.member_with_card().await;
    let replace = |number: String, row| world.command(AdminCommand::ReplaceCard { number, row });
    let row = CardRow { number: "HN299NEW0000001".into(), ..CardRow::default() };
    assert!(replace(number(1), row.clone()).await.is_ok());
    let Ok(AdminReply::Card(old)) = world.command(AdminCommand::ShowCard(number(1))).await else { panic!() };
    assert_eq!((old.standing, old.successor), (CardStanding::Superseded, Some(row.number.clone())));
    assert_eq!(replace(number(1), row.clone()).await, Err(Refusal::Conflict));
    let early = CardRow { to: "2025-01-01".into(), ..CardRow::default() };
    let outcome = replace(row.number, early).await;
    let conflict = failed(RowField::To, RowReason::Conflict);
    assert_eq!(outcome, Ok(AdminReply::Rows(vec![conflict])));
    assert_eq!(replace(number(9), CardRow::default()).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn what_operators_do_leaves_a_line_without_values() {
    let world = World::new().await;
    world.member_with_card().await;
    world.command(AdminCommand::ShowMember(social(1))).await.unwrap();
    let lines = world.store.doc_scan(DocKind::Audit, None, 100).await.unwrap();
    assert_eq!(lines.len(), 3);
    for (_, line) in lines {
        let text = String::from_utf8_lossy(&line.bytes).into_owned();
        assert!(!text.contains(&social(1)) && !text.contains("Nguy"), "{text}");
    }
}

#[tokio::test]
async fn nothing_personal_stands_open_in_the_store() {
    let world = World::new().await;
    world.member_with_card().await;
    world.phone(1, 1).await.sync(&world).await;
    let member = world.phone(2, 1).await.member;
    let mut stored = Vec::new();
    for kind in [DocKind::Meta, DocKind::Member, DocKind::Alias, DocKind::Card, DocKind::Device] {
        for (key, doc) in world.store.doc_scan(kind, None, 100).await.unwrap() {
            stored.push([key.id, doc.bytes].concat());
        }
    }
    for kind in [DocKind::OneTimeCode, DocKind::Operation, DocKind::Audit, DocKind::StatusEntry] {
        for (key, doc) in world.store.doc_scan(kind, None, 100).await.unwrap() {
            stored.push([key.id, doc.bytes].concat());
        }
    }
    let pages = world.store.read(member, 0, 100).await.unwrap();
    stored.extend(pages.into_iter().map(|page| page.bytes));
    assert!(stored.len() > 10);
    for bytes in stored {
        for personal in [social(1).as_bytes(), "Thảo".as_bytes(), b"099194000001", b"79024"] {
            assert!(!bytes.windows(personal.len()).any(|window| window == personal));
        }
    }
}
