//! The end of a campaign: nobody is killed any more, and everything has to agree with what was acknowledged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bhyt_core::card_record::CardStanding;
use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use serde_json::Value;

use super::clerk::look_at_member;
use super::desk::Desk;
use super::phone::Phone;
use super::world::{Shown, World, lock};
use crate::agree::{cards_differ, list_differs};

/// Brings everybody up to date and compares.
pub(super) fn compare(world: &World, phones: &mut [Phone<'_>], desks: &mut [Desk<'_>]) {
    if world.has_failed() {
        return;
    }
    compare_server(world);
    for phone in phones.iter_mut() {
        compare_phone(world, phone);
    }
    // Activation and syncs of the last phones may have come after the first look.
    for desk in desks.iter_mut() {
        compare_desk(world, desk);
    }
    for phone in phones.iter() {
        for desk in desks.iter_mut() {
            show(world, phone, desk);
        }
    }
    compare_rejected(world);
}

/// What no program may leave behind, whatever it lived through.
pub(super) fn look_at_folders(world: &World) {
    walk(world.folder(), &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let below_blobs = path.parent().is_some_and(|parent| parent.ends_with("blobs"));
        world.demand(!below_blobs, || format!("{} is nowhere synced", path.display()));
        world.demand(!name.contains(".corrupt-"), || format!("{} was set aside", path.display()));
        if path.extension().is_some_and(|end| end == "log") {
            let log = fs::read_to_string(path).unwrap_or_default();
            world.demand(!log.contains("panicked"), || format!("{name} tells of a panic"));
        }
    });
}

fn compare_server(world: &World) {
    std::thread::scope(|threads| {
        for (clerk, ledger) in world.ledgers.iter().enumerate() {
            threads.spawn(move || {
                let mut dice = world.dice(400 + clerk as u64);
                let count = lock(ledger).members.len();
                (0..count).for_each(|member| look_at_member(world, clerk, member, &mut dice));
            });
        }
    });
    let members = world.ledgers.iter().map(|ledger| lock(ledger).members.len() as u64).sum();
    let cards = world.ledgers.iter().map(|ledger| lock(ledger).cards()).sum();
    let mut dice = world.dice(4);
    let Some(AdminReply::Status(status)) = world.ask_new(&mut dice, &AdminCommand::ShowStatus) else {
        return;
    };
    world.demand((status.members, status.cards) == (members, cards), || {
        format!(
            "{} members and {} cards, {members} and {cards} were acknowledged",
            status.members, status.cards
        )
    });
    *lock(&world.held) = [members, cards, listed(world).len() as u64];
}

fn compare_phone(world: &World, phone: &mut Phone<'_>) {
    let until = Instant::now() + PATIENCE;
    while !phone.is_activated() && Instant::now() < until && !world.has_failed() {
        phone.activate(false);
    }
    while !phone.sync() {
        if Instant::now() > until {
            world.fail("a phone does not come up to date");
            return;
        }
    }
    let records = phone.look();
    let shown = phone.cards();
    let Some((clerk, member)) = phone.member() else { return };
    let Some(ledger) = world.ledgers.get(clerk) else { return };
    let ledger = lock(ledger);
    let Some(entry) = ledger.place_of(member).and_then(|at| ledger.members.get(at)) else { return };
    world.demand(records == entry.records, || {
        format!("a phone has {records} records, the feed {}", entry.records)
    });
    let word =
        |card: &Value, name: &str| card.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let shown = shown.iter().map(|card| (word(card, "number"), word(card, "state"))).collect();
    world.check(cards_differ(entry, shown));
}

fn compare_desk(world: &World, desk: &mut Desk<'_>) {
    let until = Instant::now() + PATIENCE;
    while !desk.is_enrolled() && Instant::now() < until && !world.has_failed() {
        desk.enrol(false);
    }
    // The last list follows the last change by half a second.
    let differs = loop {
        desk.sync();
        let path = world.path(&desk.name()).join("status").join("status");
        let (trust, retired) = (world.data().join("trust.cose"), lock(&world.retired).clone());
        let differs = list_differs(&path, &trust, &listed(world), &retired);
        if differs.is_none() || Instant::now() > until {
            break differs;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    world.check(differs.map(|differs| format!("{}: {differs}", desk.name())));
    desk.look();
}

/// A phone shows its card, and the terminal says what the ledger says; the same code proves nobody a second time.
fn show(world: &World, phone: &Phone<'_>, desk: &mut Desk<'_>) {
    let Some(shown) = phone.live_code() else { return };
    let standing = world.ledgers.iter().find_map(|ledger| {
        let ledger = lock(ledger);
        let mut cards = ledger.members.iter().flat_map(|member| &member.cards);
        cards.find(|card| card.row.number == shown.number).map(|card| card.standing)
    });
    let Some(standing) = standing else {
        world.fail("a phone shows a card that nobody issued");
        return;
    };
    let verdicts = desk.verify(&[shown.clone(), Shown { text: shown.text, number: shown.number }]);
    let word = |at: usize, name: &str| -> String {
        let word = verdicts.get(at).and_then(|verdict| verdict.get(name)?.as_str());
        word.unwrap_or_default().to_owned()
    };
    let (outcome, reason) = (word(0, "outcome"), word(0, "reason"));
    let expected = match standing {
        CardStanding::InForce | CardStanding::Superseded => ("accept", ""),
        CardStanding::Held => ("undecided", "held"),
        CardStanding::Withdrawn => ("reject", "withdrawn"),
        CardStanding::Reduced(_) => ("reject", "reduced"),
    };
    world.demand((outcome.as_str(), reason.as_str()) == expected, || {
        format!("a card that is {standing:?} was answered {outcome} {reason}")
    });
    if outcome == "accept" {
        world.demand(word(0, "holder") == "proven", || format!("a live code: {}", word(0, "holder_reason")));
        world.demand(word(1, "holder_reason") == "proof_seen_before", || {
            format!("the same code again: {} {}", word(1, "holder"), word(1, "holder_reason"))
        });
    }
}

/// Whatever was rejected, at whatever moment, was so, and is still.
fn compare_rejected(world: &World) {
    for (number, reason) in lock(&world.rejected).iter() {
        let standing = world.ledgers.iter().find_map(|ledger| {
            let ledger = lock(ledger);
            let mut cards = ledger.members.iter().flat_map(|member| &member.cards);
            cards.find(|card| card.row.number == *number).map(|card| card.standing)
        });
        let so = matches!(
            (reason.as_str(), standing),
            ("withdrawn" | "reduced", Some(CardStanding::Withdrawn))
                | ("reduced", Some(CardStanding::Reduced(_)))
        );
        world.demand(so, || format!("a card that is {standing:?} was rejected as {reason}"));
    }
}

fn listed(world: &World) -> BTreeMap<u32, CardStanding> {
    world.ledgers.iter().flat_map(|ledger| lock(ledger).listed()).collect()
}

fn walk(folder: &Path, look: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        look(&path);
        if path.is_dir() {
            walk(&path, look);
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
