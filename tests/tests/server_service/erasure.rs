//! Erasure of a member: what is left of whom, wherever it was interrupted, and what an older store is worth then.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::codec;
use bhyt_core::cose::Signed;
use bhyt_core::grant::{GrantRelation, GrantScope};
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::EntryId;
use bhyt_core::personal::values::{Line, Petition, PetitionKind, Text};
use bhyt_core::seal::SealKey;
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::reason::SetNumber;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied, NewGrant};
use bhyt_core::sync::audit::{AuditQuery, ShortMember};
use bhyt_core::sync::erasure::{ErasureReason, ErasureView};
use bhyt_core::sync::messages::{Follow, Refusal, Reply, Request, SyncWallet};
use bhyt_server::member_keys::MemberKeyFile;
use bhyt_server::service::values_members::{MemberV2, WrappedKeyV1};
use bhyt_server::service::{Service, ServiceFault, sweep_erased};
use bhyt_server::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};
use bhyt_tests::papers::{put, visit, visit_record};

use crate::personal::{Hand, hand_in};
use crate::shared_store::SharedStore;
use crate::world::{
    DAY, Phone, START, STORE_KEY, World, card_row, member_row, number, open_under, public, social,
};

fn erase(n: u8) -> AdminCommand {
    AdminCommand::EraseMember { member: social(n), reason: ErasureReason::Request }
}

/// Two members with a card, a phone, a record and a petition each, who have each other's cards on their phones.
async fn two() -> (World, Phone, Phone) {
    let world = World::new().await;
    for n in [1, 2] {
        world.command(AdminCommand::ImportMembers(vec![member_row(n)])).await.unwrap();
        world.command(AdminCommand::IssueCard(card_row(n))).await.unwrap();
        let record = put(&social(n), visit_record(visit("LK-1", 2)));
        world.command(AdminCommand::ImportRecords(vec![record])).await.unwrap();
    }
    let (mut first, mut second) = (world.phone(1, 1).await, world.phone(2, 2).await);
    grant(&world, 1, 2, 300).await;
    grant(&world, 2, 1, 300).await;
    for phone in [&mut first, &mut second] {
        phone.sync(&world).await;
        assert_eq!(phone.session.members().len(), 2);
        hand_petition_in(&world, phone).await;
    }
    (world, first, second)
}

async fn grant(world: &World, dependant: u8, carer: u8, days: i64) {
    let (dependant, carer, until) =
        (social(dependant), social(carer), world.service.now().day().plus_days(days));
    let (scope, relation) = (GrantScope::CardAndRecords, GrantRelation::Spouse);
    let grant = NewGrant { dependant, carer, scope, relation, from: None, until };
    let added = world.command(AdminCommand::AddGrant(Box::new(grant))).await;
    assert_eq!(added, Ok(AdminReply::Applied(Applied::Accepted)));
}

async fn hand_petition_in(world: &World, phone: &Phone) {
    let (subject, text) = (Line::parse("Thẻ").unwrap(), Text::parse("Sai ngày sinh").unwrap());
    let petition = Petition { kind: PetitionKind::Request, subject, text };
    let mut hand = Hand::new(phone.seed, phone.member);
    let operation = hand.edit(&Edit::HandIn { id: EntryId([5; 16]), at: START, petition });
    hand_in(world, &hand, vec![operation]).await;
}

/// The binding by which a phone shows this member's card.
fn binding_of(phone: &Phone, member: MemberId) -> (StatusIndex, Binding) {
    let card = Signed::<CardClaims>::decode(&phone.session.members()[&member].credentials[0]).unwrap();
    let claims = card.verify(&public(11)).unwrap().into_claims();
    (claims.status_index, claims.binding.unwrap())
}

async fn erasures(world: &World) -> Vec<ErasureView> {
    match world.command(AdminCommand::ListErasures).await {
        Ok(AdminReply::Erasures(views)) => views,
        other => panic!("{other:?}"),
    }
}

/// Where the store says this member's id, in key or value, whatever kind of thing it is.
async fn traces(store: &SharedStore, member: MemberId) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut copy = store.copy().await.unwrap();
    while let Some((writes, rest)) = copy.next().await.unwrap() {
        for (key, value) in writes {
            let bytes = [key.as_slice(), &value.unwrap_or_default()].concat();
            if bytes.windows(16).any(|window| window == member.0) {
                found.push(key);
            }
        }
        copy = rest;
    }
    found
}

/// Of an erased member: that it was erased, and codes that nobody used yet, which open nothing and are trimmed.
fn may_stay(key: &[u8]) -> bool {
    [DocKind::Erasure, DocKind::OneTimeCode].iter().any(|kind| key.starts_with(&[b'd', *kind as u8]))
}

async fn check_gone(world: &World, phone: &mut Phone) {
    let member = phone.member;
    for alias in [social(1), format!("0991940000{:02}", 1), member.to_hex()] {
        let shown = world.command(AdminCommand::ShowMember(alias)).await;
        assert_eq!(shown, Err(Refusal::NotFound));
    }
    assert_eq!(world.command(AdminCommand::ShowCard(number(1))).await, Err(Refusal::NotFound));
    assert_eq!(world.store.head(member).await.unwrap(), None);
    assert_eq!(world.store.read(member, 0, 9).await.unwrap(), []);
    let traces = traces(&world.store, member).await;
    assert!(traces.iter().all(|key| may_stay(key)), "{traces:?}");
    // The card is listed, and so is what the phone had of the other member; it is told to wipe both.
    let mut terminal = world.terminal(9).await;
    world.sync_terminal(9, &mut terminal).await;
    let list = terminal.status().expect("a list").list();
    let withdrawn = list.sets().find(|(set, _)| *set == SetNumber::new(1).unwrap());
    assert_eq!(withdrawn.expect("a set").1.iter().count(), 1);
    let held: Vec<_> = phone.session.members().keys().copied().collect();
    for other in held.iter().filter(|other| **other != member) {
        let (index, binding) = binding_of(phone, *other);
        assert!(StatusSets::from_list(list).binding_retired(index, binding.number));
    }
    let replies = world.ask(phone.seed, phone.session.request(Follow::Once)).await;
    let told: Vec<_> = held.into_iter().map(Reply::Retired).chain([Reply::Done]).collect();
    assert_eq!(replies, told);
}

async fn check_there(world: &World, phone: &mut Phone) {
    let shown = world.command(AdminCommand::ShowMember(social(2))).await;
    assert!(matches!(&shown, Ok(AdminReply::Member(view)) if view.records == 2), "{shown:?}");
    phone.sync(world).await;
    assert_eq!(phone.credentials().len(), 1);
    assert_eq!(phone.session.members().len(), 1, "of the other nothing is left");
}

#[tokio::test]
async fn an_erased_member_is_gone_and_everybody_else_stays() {
    let (world, mut first, mut second) = two().await;
    assert_eq!(world.command(erase(1)).await, Ok(AdminReply::Applied(Applied::Accepted)));
    assert_eq!(world.command(erase(1)).await, Ok(AdminReply::Applied(Applied::Duplicate)));
    let [waiting] = erasures(&world).await[..] else { panic!() };
    assert_eq!((waiting.member, waiting.done), (ShortMember::from(first.member), None));
    world.clock.advance(waiting.due.since(waiting.asked) - 1);
    assert_eq!(world.service.erase_due().await.unwrap(), 0);
    assert!(world.command(AdminCommand::ShowMember(social(1))).await.is_ok(), "there is time");
    world.clock.advance(1);
    assert_eq!(world.service.erase_due().await.unwrap(), 1);
    check_gone(&world, &mut first).await;
    check_there(&world, &mut second).await;
    let [done] = erasures(&world).await[..] else { panic!() };
    assert_eq!(done.done, Some(done.due));
    // The person may come again, as somebody else.
    world.command(AdminCommand::ImportMembers(vec![member_row(1)])).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(1))).await.unwrap();
    let mut again = world.phone(3, 1).await;
    again.sync(&world).await;
    assert!(again.member != first.member && again.credentials().len() == 1);
}

#[tokio::test]
async fn an_erasure_can_be_taken_back_until_it_begins() {
    let (world, first, _) = two().await;
    world.command(erase(1)).await.unwrap();
    let keep = AdminCommand::KeepMember(social(1));
    assert_eq!(world.command(keep.clone()).await, Ok(AdminReply::Applied(Applied::Accepted)));
    assert_eq!(world.command(keep.clone()).await, Ok(AdminReply::Applied(Applied::Duplicate)));
    world.clock.advance(30 * DAY);
    assert_eq!(world.service.erase_due().await.unwrap(), 0);
    assert!(!world.authority.members().is_erased(first.member));
    world.command(erase(1)).await.unwrap();
    world.clock.advance(7 * DAY);
    world.service.erase_due().await.unwrap();
    assert_eq!(world.command(keep).await, Err(Refusal::NotFound));
    let audit = AdminCommand::ShowAudit(AuditQuery::default());
    let Ok(AdminReply::Audit(page)) = world.command(audit).await else { panic!() };
    let of_server = page.lines.iter().filter(|line| line.operator.is_none());
    assert_eq!(of_server.map(|line| line.action.name()).collect::<Vec<_>>(), ["erase_member"]);
}

#[tokio::test]
async fn an_erasure_goes_on_from_wherever_it_stopped() {
    let mut stops = 0;
    for n in 1.. {
        let (mut world, mut first, mut second) = two().await;
        world.command(erase(1)).await.unwrap();
        world.clock.advance(7 * DAY);
        world.store.fail_in(n);
        if world.service.erase_due().await.is_ok() {
            break;
        }
        stops += 1;
        world.store.fail_in(0);
        world.restart().await;
        // Nobody sees a member that is half gone.
        if erasures(&world).await.len() == 1 && n > 1 {
            let shown = world.command(AdminCommand::ShowMember(first.member.to_hex())).await;
            assert_eq!(shown, Err(Refusal::NotFound), "stopped at write {n}");
        }
        assert_eq!(world.service.erase_due().await.unwrap(), 1, "stopped at write {n}");
        check_gone(&world, &mut first).await;
        check_there(&world, &mut second).await;
    }
    assert!(stops >= 6, "{stops}");
}

#[tokio::test]
async fn an_older_store_and_every_key_that_is_left_open_nothing_of_an_erased_member() {
    let (mut world, first, _) = two().await;
    let (older, older_still) = (world.store.deep_copy(), world.store.deep_copy());
    world.command(erase(1)).await.unwrap();
    world.clock.advance(7 * DAY);
    world.service.erase_due().await.unwrap();
    world.store = older;
    world.restart().await;
    let shown = world.command(AdminCommand::ShowMember(first.member.to_hex())).await;
    assert_eq!(shown, Err(Refusal::NotFound));
    assert!(world.command(AdminCommand::ShowMember(social(2))).await.is_ok(), "everybody else is there");
    // With the keys of before it would be read: that is what was taken away.
    world.authority.danger_set_members(MemberKeyFile::in_memory(43));
    world.store = older_still;
    world.restart().await;
    assert!(world.command(AdminCommand::ShowMember(first.member.to_hex())).await.is_ok());
}

#[tokio::test]
async fn a_backup_that_is_swept_names_nobody_who_was_erased_since() {
    let (world, first, second) = two().await;
    let backup = world.store.deep_copy();
    assert!(traces(&backup, first.member).await.len() > 12);
    sweep_erased(&backup, |member| member == first.member).await.unwrap();
    let traces_left = traces(&backup, first.member).await;
    assert!(traces_left.iter().all(|key| may_stay(key)), "{traces_left:?}");
    assert!(traces(&backup, second.member).await.len() > 6);
}

#[tokio::test]
async fn grants_that_were_over_long_before_an_erasure_tell_nothing_of_it_either() {
    let (world, first, _) = two().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(3)])).await.unwrap();
    grant(&world, 3, 1, 10).await;
    world.clock.advance(11 * DAY);
    // What is over leaves when another is entered, on both sides.
    world.command(AdminCommand::RevokeGrant { dependant: social(2), carer: social(1) }).await.unwrap();
    grant(&world, 2, 1, 10).await;
    world.command(erase(1)).await.unwrap();
    world.clock.advance(7 * DAY);
    world.service.erase_due().await.unwrap();
    let traces = traces(&world.store, first.member).await;
    assert!(traces.iter().all(|key| may_stay(key)), "{traces:?}");
}

#[tokio::test]
async fn a_grant_that_is_entered_while_its_carer_is_erased_does_not_outlive_the_carer() {
    for turns in 0..40 {
        let (world, ..) = two().await;
        world.command(AdminCommand::ImportMembers(vec![member_row(3)])).await.unwrap();
        let carer = world.phone(3, 3).await.member;
        world.command(erase(3)).await.unwrap();
        world.clock.advance(7 * DAY);
        let until = world.service.now().day().plus_days(9);
        let (scope, relation) = (GrantScope::Card, GrantRelation::Child);
        let grant = NewGrant { dependant: social(1), carer: social(3), scope, relation, from: None, until };
        // Ready to be written before the erasure begins, and written later and later.
        world.store.hold_up(turns);
        let enter = world.command(AdminCommand::AddGrant(Box::new(grant)));
        let (_, erased) = tokio::join!(enter, world.service.erase_due());
        assert_eq!(erased.unwrap(), 1);
        let traces = traces(&world.store, carer).await;
        assert!(traces.iter().all(|key| may_stay(key)), "after {turns} turns: {traces:?}");
    }
}

#[tokio::test]
async fn an_erasure_that_fails_holds_up_no_other_and_nobody_on_the_same_phone() {
    let (world, first, second) = two().await;
    // The first in the order of their ids is the one that fails.
    let (broken, sound) = if first.member < second.member { (&first, &second) } else { (&second, &first) };
    world.command(AdminCommand::ImportMembers(vec![member_row(3)])).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(3))).await.unwrap();
    let (held, other) = (world.phone(5, broken.seed).await, world.phone(5, 3).await);
    for n in [1, 2] {
        world.command(erase(n)).await.unwrap();
    }
    for (key, doc) in world.store.doc_scan(DocKind::Alias, None, 99).await.unwrap() {
        if doc.bytes.windows(16).any(|window| window == broken.member.0) {
            let write = DocWrite { key, expected: Expected::Any, bytes: Some(vec![0xff]) };
            let commit = Commit { docs: vec![write], ..Commit::default() };
            assert_eq!(world.store.commit(commit).await.unwrap(), Outcome::Applied);
        }
    }
    world.clock.advance(7 * DAY);
    assert!(matches!(world.service.erase_due().await, Err(ServiceFault::Value { .. })));
    let done: Vec<_> = erasures(&world).await.iter().map(|it| (it.member, it.done.is_some())).collect();
    assert_eq!(done, [(broken.member.into(), false), (sound.member.into(), true)]);
    let cursors = [held.session, other.session].map(|mut session| match session.request(Follow::Once) {
        Request::SyncWallet(sync) => sync.members,
        Request::SyncFeeds(sync) => sync.members.iter().map(|place| place.cursor).collect(),
        other => panic!("{other:?}"),
    });
    let sync = SyncWallet { trust: 1, members: cursors.concat(), follow: Follow::Once };
    let replies = world.ask(5, Request::SyncWallet(sync)).await;
    assert!(replies.contains(&Reply::Retired(broken.member)), "{replies:?}");
    let got = |reply: &Reply| matches!(reply, Reply::Credentials { member, .. } if *member == other.member);
    assert!(replies.iter().any(got) && replies.last() == Some(&Reply::Done), "{replies:?}");
}

#[tokio::test]
async fn members_keys_of_another_server_or_an_older_copy_of_them_are_not_taken() {
    let (world, ..) = two().await;
    world.command(erase(1)).await.unwrap();
    world.clock.advance(7 * DAY);
    world.service.erase_due().await.unwrap();
    for seed in [43, 44] {
        world.authority.danger_set_members(MemberKeyFile::in_memory(seed));
        let opened: Result<Service<_>, _> =
            open_under(SealKey::from_bytes(STORE_KEY), &world.clock, &world.authority, &world.store, 9).await;
        assert!(matches!(opened, Err(ServiceFault::WrongMemberKeys)), "{seed}");
    }
}

#[tokio::test]
async fn a_member_of_an_earlier_version_is_read_and_wrapped_anew_with_the_next_write() {
    let (mut world, first, _) = two().await;
    let key = DocKey::new(DocKind::Member, first.member.0);
    write_as_before(&world, first.member).await;
    world.restart().await;
    assert!(world.command(AdminCommand::ShowMember(social(1))).await.is_ok());
    let mut row = member_row(1);
    row.phone = "0900000001".into();
    world.command(AdminCommand::ImportMembers(vec![row])).await.unwrap();
    let doc = world.store.doc_get(&key).await.unwrap().unwrap();
    let member: MemberV2 = codec::decode(&doc.bytes).unwrap();
    assert!(matches!(member.wrapped_key, WrappedKeyV1::Tree(_)));
    assert!(world.command(AdminCommand::ShowMember(social(1))).await.is_ok());
}

/// Writes a member as an earlier version did: its key under a key of the store's.
pub(crate) async fn write_as_before(world: &World, id: MemberId) {
    let key = DocKey::new(DocKind::Member, id.0);
    let doc = world.store.doc_get(&key).await.unwrap().unwrap();
    let member: MemberV2 = codec::decode(&doc.bytes).unwrap();
    let WrappedKeyV1::Tree(wrapped) = member.wrapped_key else { panic!("written as before already") };
    let wrapping = world.authority.members().wrapping_key(id).unwrap();
    let secret = wrapping.unwrap_key(&id.0, &wrapped).unwrap();
    let older = SealKey::from_bytes(STORE_KEY).derive(b"bhyt/member-keys/v1");
    let wrapped = older.wrap(&id.0, &secret, &[1; 24]);
    let part = |bytes: &[u8]| [&(bytes.len() as u64).to_le_bytes(), bytes].concat();
    let bytes = [vec![101, 0], part(&wrapped), part(&member.sealed)].concat();
    let write = DocWrite { key, expected: Expected::Any, bytes: Some(bytes) };
    let commit = Commit { docs: vec![write], ..Commit::default() };
    assert_eq!(world.store.commit(commit).await.unwrap(), Outcome::Applied);
}
