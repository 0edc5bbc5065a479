//! Official records of an import: known again by the names that their sources gave them, under one head a member and
//! commit, whatever comes twice, changed, at once or broken.

use bhyt_core::feed::Entry;
use bhyt_core::ids::MemberId;
use bhyt_core::limits::{BODY_BYTES_MAX, INDEX_PIECE_RECORDS};
use bhyt_core::record::{Body, Content, Record, RecordKind};
use bhyt_core::records::Fact;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, RowFault, RowField, RowOutcome, RowReason};
use bhyt_core::sync::audit::AuditQuery;
use bhyt_core::sync::erasure::ErasureReason;
use bhyt_core::sync::messages::{Follow, Refusal, Reply};
use bhyt_core::sync::records::{NewRecord, RecordChange, RecordRow};
use bhyt_core::sync::wallet::Effect;
use bhyt_server::store::{Commit, DocKind, DocWrite, Expected, Outcome, Store};
use bhyt_tests::papers::{contribution, notice, put, record, visit, visit_record};

use RowOutcome::{Corrected, Retracted, Stored, Unchanged};

use crate::world::{DAY, Phone, World, card_row, member_row, number, peer, social};

async fn import(world: &World, rows: Vec<RecordRow>) -> Vec<RowOutcome> {
    match world.command(AdminCommand::ImportRecords(rows)).await {
        Ok(AdminReply::Rows(outcomes)) => outcomes,
        other => panic!("{other:?}"),
    }
}

async fn one(world: &World, row: RecordRow) -> RowOutcome {
    let [outcome] = import(world, vec![row]).await[..] else { panic!("one row, one outcome") };
    outcome
}

fn failed(field: RowField, reason: RowReason) -> RowOutcome {
    RowOutcome::Failed(RowFault { field, reason })
}

fn of_visit(case: &str, lines: usize) -> RecordRow {
    put(&social(1), visit_record(visit(case, lines)))
}

fn retract(record: NewRecord) -> RecordRow {
    RecordRow { change: RecordChange::Retract(record), ..put(&social(1), visit_record(visit("x", 0))) }
}

/// What a sync brings, record by record.
async fn news(world: &World, phone: &mut Phone) -> Vec<Record> {
    let effects = phone.sync(world).await;
    let pages = effects.into_iter().filter_map(|effect| match effect {
        Effect::Commit(update) => Some(update.pages),
        _ => None,
    });
    let mut records = Vec::new();
    for page in pages.flatten() {
        for (_, entry) in page.entries() {
            let Entry::Record { record, .. } = entry else { panic!("nothing was erased") };
            records.push(record.clone());
        }
    }
    records
}

async fn member_and_phone(world: &World) -> Phone {
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    assert_eq!(news(world, &mut phone).await.len(), 1);
    phone
}

#[tokio::test]
async fn a_record_is_known_again_by_the_name_that_its_source_gave_it() {
    let world = World::new().await;
    let mut phone = member_and_phone(&world).await;
    assert_eq!(one(&world, of_visit("LK-1", 2)).await, Stored);
    assert_eq!(one(&world, of_visit("LK-1", 2)).await, Unchanged);
    assert_eq!(one(&world, of_visit("LK-1", 3)).await, Corrected);
    assert_eq!(one(&world, of_visit("LK-2", 3)).await, Stored);
    let gone = retract(visit_record(visit("LK-1", 0)));
    assert_eq!(one(&world, gone.clone()).await, Retracted);
    assert_eq!(one(&world, gone).await, Unchanged);
    let nobody = retract(visit_record(visit("LK-9", 0)));
    assert_eq!(one(&world, nobody).await, failed(RowField::Record, RowReason::NotFound));
    // What was retracted may come again.
    assert_eq!(one(&world, of_visit("LK-1", 3)).await, Corrected);
    let got: Vec<_> = news(&world, &mut phone)
        .await
        .iter()
        .map(|record| (record.first_seq.0, record.revision, record.content == Content::Tombstone))
        .collect();
    assert_eq!(got, [(1, 0, false), (1, 1, false), (3, 0, false), (1, 2, true), (1, 3, false)]);
}

#[tokio::test]
async fn a_row_that_only_announces_leaves_what_is_there() {
    let world = World::new().await;
    world.member_with_card().await;
    let check_in = |case: &str| RecordRow {
        change: RecordChange::PutIfNew(visit_record(visit(case, 0))),
        ..of_visit(case, 0)
    };
    assert_eq!(one(&world, check_in("LK-1")).await, Stored);
    assert_eq!(one(&world, of_visit("LK-1", 4)).await, Corrected);
    assert_eq!(one(&world, check_in("LK-1")).await, Unchanged);
}

#[tokio::test]
async fn lines_without_room_are_records_that_come_and_go_with_their_visit() {
    let world = World::new().await;
    let mut phone = member_and_phone(&world).await;
    let long = visit_record(visit("LK-1", 120));
    let parts = long.parts.len();
    assert!(parts >= 2, "{parts}");
    assert_eq!(one(&world, put(&social(1), long)).await, Stored);
    assert_eq!(news(&world, &mut phone).await.len(), 1 + parts);
    assert_eq!(one(&world, of_visit("LK-1", 120)).await, Unchanged);
    assert_eq!(news(&world, &mut phone).await.len(), 0);
    // A line more at the end touches the last part alone, or adds one.
    assert_eq!(one(&world, of_visit("LK-1", 121)).await, Corrected);
    assert!(news(&world, &mut phone).await.len() <= 2);
    // With two lines there is no part any more.
    assert_eq!(one(&world, of_visit("LK-1", 2)).await, Corrected);
    let records = news(&world, &mut phone).await;
    let gone = records.iter().filter(|record| record.content == Content::Tombstone).count();
    assert_eq!((gone, records.len()), (parts, 1 + parts));
    assert!(records[1..].iter().all(|record| record.kind == RecordKind::VisitLines));
    assert_eq!(one(&world, of_visit("LK-1", 2)).await, Unchanged);
}

#[tokio::test]
async fn rows_of_many_members_go_in_together_and_each_is_asked_for_by_any_of_its_numbers() {
    let world = World::new().await;
    let members: Vec<_> = (1..=20).map(member_row).collect();
    world.command(AdminCommand::ImportMembers(members)).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(3))).await.unwrap();
    let name = |n: u8| match n % 3 {
        0 => number(n),
        1 => social(n),
        _ => member_row(n).personal_id,
    };
    let rows: Vec<_> = (0..60)
        .map(|at: u8| {
            let fact = Fact::Contribution(contribution(&format!("2026-{:02}", 1 + at / 20)));
            put(&name(1 + at % 20), record(&fact))
        })
        .collect();
    assert_eq!(import(&world, rows.clone()).await, vec![Stored; 60]);
    assert_eq!(import(&world, rows).await, vec![Unchanged; 60]);
    for n in 1..=20 {
        let mut phone = world.phone(n, n).await;
        let records = news(&world, &mut phone).await;
        assert_eq!(records.len(), if n == 3 { 4 } else { 3 }, "member {n}");
    }
}

#[tokio::test]
async fn rows_that_name_nobody_or_two_people_are_not_taken() {
    let world = World::new().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(1), member_row(2)])).await.unwrap();
    let row = |member: &str, also: &str| RecordRow {
        member: member.into(),
        also: also.into(),
        ..of_visit("LK-1", 1)
    };
    let (one, other) = (member_row(1), member_row(2));
    let outcomes = import(
        &world,
        vec![
            row(&one.member_id, &other.personal_id),
            row("", ""),
            row("9900000099", ""),
            row("99", ""),
            row(&"9".repeat(100), ""),
            row("9900000099", &one.personal_id),
            row(&one.member_id, &one.personal_id),
        ],
    )
    .await;
    let member = |reason| failed(RowField::Member, reason);
    let expected = [
        member(RowReason::Conflict),
        member(RowReason::Missing),
        member(RowReason::NotFound),
        member(RowReason::Malformed),
        member(RowReason::TooLong),
        Stored,
        Unchanged,
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn bodies_that_we_would_not_write_are_not_signed() {
    let world = World::new().await;
    world.member_with_card().await;
    let malformed = failed(RowField::Record, RowReason::Malformed);
    let good = visit_record(visit("LK-1", 120));
    let with = |change: &dyn Fn(&mut NewRecord)| {
        let mut record = good.clone();
        change(&mut record);
        put(&social(1), record)
    };
    let body = |bytes: &[u8]| Body::new(bytes.to_vec()).unwrap();
    // A field of a newer version, key 23, and a body in another form.
    let newer = [good.body.as_bytes(), &[0x17, 0x01]].concat();
    let mut recorded = visit("LK-1", 0);
    recorded.recorded = Some(bhyt_core::records::Recorded {
        terminal: [1; 8],
        operation: [2; 16],
        basis: None,
        time: crate::world::START,
    });
    let rows = vec![
        with(&|record| record.kind = RecordKind::Card),
        with(&|record| record.kind = RecordKind::Benefit),
        with(&|record| record.kind = RecordKind::Unknown(99)),
        with(&|record| record.kind = RecordKind::VisitLines),
        with(&|record| record.body = body(&[0xa0])),
        with(&|record| record.body = body(&newer[..newer.len().min(BODY_BYTES_MAX)])),
        with(&|record| record.parts.truncate(1)),
        with(&|record| record.parts.swap(0, 1)),
        with(&|record| record.parts.push(body(&[0xa0]))),
        put(&social(1), visit_record(recorded)),
    ];
    let count = rows.len();
    let outcomes = import(&world, rows).await;
    assert_eq!(outcomes, vec![malformed; count]);
    let long = with(&|record| record.parts = vec![record.parts[0].clone(); 42]);
    assert_eq!(one(&world, long).await, failed(RowField::Record, RowReason::TooLong));
    let rows = vec![of_visit("LK-1", 0); 65];
    assert_eq!(world.command(AdminCommand::ImportRecords(rows)).await, Err(Refusal::Malformed));
}

/// The index is a copy: thrown away, it is what the feed says again, corrections and retractions too.
#[tokio::test]
async fn an_index_that_is_behind_catches_up_with_the_feed() {
    let mut world = World::new().await;
    world.member_with_card().await;
    let many = INDEX_PIECE_RECORDS + 10;
    let rows: Vec<_> = (0..many).map(|n| of_visit(&format!("LK-{n}"), 1)).collect();
    for rows in rows.chunks(40) {
        assert_eq!(import(&world, rows.to_vec()).await, vec![Stored; rows.len()]);
    }
    let pieces = async || world.store.doc_scan(DocKind::RecordIndex, None, 9).await.unwrap();
    let last = pieces().await[1].1.revision;
    one(&world, of_visit("LK-3", 2)).await;
    one(&world, retract(visit_record(visit("LK-4", 0)))).await;
    let pieces = pieces().await;
    // How far the index has read stands in the last piece; with the first alone, both would be read at every import.
    assert_eq!((pieces.len(), pieces[1].1.revision), (2, last + 2));
    let remove = |(key, _)| DocWrite { key, expected: Expected::Any, bytes: None };
    let docs = pieces.into_iter().map(remove).collect();
    let outcome = world.store.commit(Commit { docs, ..Commit::default() }).await.unwrap();
    assert_eq!(outcome, Outcome::Applied);
    world.restart().await;
    for (at, rows) in rows.chunks(40).enumerate() {
        let mut expected = vec![Unchanged; rows.len()];
        if at == 0 {
            // Both say something else by now.
            expected[3..5].fill(Corrected);
        }
        assert_eq!(import(&world, rows.to_vec()).await, expected);
    }
}

#[tokio::test]
async fn of_two_who_send_the_same_at_once_one_stores_it() {
    let world = World::new().await;
    let mut phone = member_and_phone(&world).await;
    let rows = || (0..10).map(|n| of_visit(&format!("LK-{n}"), 1)).collect::<Vec<_>>();
    let (one, other) = tokio::join!(import(&world, rows()), import(&world, rows()));
    let both: Vec<_> = one.into_iter().zip(other).collect();
    assert!(both.iter().all(|pair| matches!(pair, (Stored, Unchanged) | (Unchanged, Stored))), "{both:?}");
    assert_eq!(news(&world, &mut phone).await.len(), 10);
}

#[tokio::test]
async fn a_member_that_is_erased_while_its_records_are_on_their_way_gets_none() {
    let world = World::new().await;
    let phone = member_and_phone(&world).await;
    let erase = AdminCommand::EraseMember { member: social(1), reason: ErasureReason::Request };
    world.command(erase).await.unwrap();
    world.clock.advance(30 * DAY);
    let mut held = world.store.hold_next(|commit| !commit.appends.is_empty());
    let (outcome, ()) = tokio::join!(one(&world, of_visit("LK-1", 1)), async {
        held.reached().await;
        assert_eq!(world.service.erase_due().await.unwrap(), 1);
        held.release();
    });
    assert_eq!(outcome, failed(RowField::Member, RowReason::NotFound));
    assert_eq!(world.store.head(phone.member).await.unwrap(), None, "nothing was written again");
}

#[tokio::test]
async fn a_phone_that_stays_hears_of_a_visit_and_the_trail_of_who_brought_it() {
    let world = World::new().await;
    let mut phone = member_and_phone(&world).await;
    let seat = world.service.join(peer(1));
    let replies = world.ask_at(&seat, phone.session.request(Follow::Stay)).await;
    phone.take(replies);
    let rows = vec![of_visit("LK-1", 1), put(&social(1), record(&Fact::Notice(notice(1, "Thử"))))];
    assert_eq!(import(&world, rows.clone()).await, [Stored, Stored]);
    let mut replies = Vec::new();
    let news = seat.news_now().expect("news");
    world.service.send_news(&seat, &news, &mut replies).await.unwrap();
    assert!(
        matches!(replies[..], [Reply::FeedHead { .. }, Reply::FeedBlock { .. }, .., Reply::Done]),
        "{replies:?}"
    );
    phone.take(replies);
    assert_eq!(phone.feed().next_seq().0, 3);
    assert_eq!(import(&world, rows).await, [Unchanged, Unchanged]);
    assert!(seat.news_now().is_none(), "nothing new, nothing told");

    let query = AuditQuery { member: social(1), ..AuditQuery::default() };
    let shown = world.command(AdminCommand::ShowAudit(query)).await.unwrap();
    let AdminReply::Audit(page) = shown else { panic!("{shown:?}") };
    let lines = page.lines.iter().filter(|line| line.action.name() == "import_records");
    let member: Vec<_> = lines.map(|line| line.subject.member()).collect();
    assert_eq!(member, [Some(MemberId::into(phone.member))]);
}
