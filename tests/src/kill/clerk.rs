//! An operator who works without a pause, and looks after each restart whether what was answered is there.

use std::sync::atomic::Ordering;

use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied, RowOutcome, StatusView};

use super::world::{World, lock, operation};
use crate::dice::Dice;
use crate::ledger::{Deed, Ledger};

/// Works until the campaign is over. One deed follows on another, so that the ledger is never in doubt.
pub(super) fn work(world: &World, at: usize) {
    let mut clerk = Clerk { world, at, dice: world.dice(100 + at as u64), downs: 0, floor: None };
    let mut recent: Vec<usize> = Vec::new();
    while !world.is_over() {
        if world.line.downs() != clerk.downs {
            clerk.downs = world.line.downs();
            clerk.look_at_status();
            std::mem::take(&mut recent).into_iter().for_each(|member| clerk.look_at(member));
        }
        let Some(members) = clerk.act() else { return };
        recent.extend(members);
        let surplus = recent.len().saturating_sub(RECENT);
        recent.drain(..surplus);
        if clerk.dice.once_in(40) {
            clerk.look_at_one();
        }
    }
}

struct Clerk<'a> {
    world: &'a World,
    at: usize,
    dice: Dice,
    downs: u64,
    /// What the server's counts were at the last look.
    floor: Option<StatusView>,
}

impl Clerk<'_> {
    /// One deed, answered and noted; sometimes asked for once more.
    fn act(&mut self) -> Option<Vec<usize>> {
        let deed = self.ledger(|ledger, dice| ledger.think(dice));
        let command = self.ledger(|ledger, _| ledger.command(&deed));
        let operation = operation(&mut self.dice);
        self.answered(&deed, self.world.ask(operation, &command)?);
        let again = self.dice.once_in(20).then(|| deed.clone());
        let members = self.ledger(|ledger, _| ledger.note(deed));
        if let Some(deed) = again {
            let answer = self.world.ask(operation, &command)?;
            let once = match &answer {
                Ok(AdminReply::Applied(applied)) => *applied == Applied::Duplicate,
                Ok(AdminReply::Rows(rows)) => rows.iter().all(|row| *row == RowOutcome::Unchanged),
                _ => false,
            };
            self.world.demand(once, || format!("{} a second time: {answer:?}", name(&deed)));
        }
        Some(members)
    }

    /// The ledger thinks up only what a sound server takes.
    fn answered(&self, deed: &Deed, answer: Result<AdminReply, bhyt_core::sync::messages::Refusal>) {
        let taken = match &answer {
            Ok(AdminReply::Applied(_)) => true,
            Ok(AdminReply::Rows(rows)) => rows.iter().all(|row| !matches!(row, RowOutcome::Failed(_))),
            _ => false,
        };
        self.world.demand(taken, || format!("{} was answered {answer:?}", name(deed)));
        self.world.answered.fetch_add(1, Ordering::SeqCst);
    }

    fn ledger<T>(&mut self, work: impl FnOnce(&mut Ledger, &mut Dice) -> T) -> T {
        let ledger = self.world.ledgers.get(self.at).expect("a ledger of this clerk");
        work(&mut lock(ledger), &mut self.dice)
    }

    fn look_at_one(&mut self) {
        let known = self.ledger(|ledger, dice| match ledger.members.len() as u64 {
            0 => None,
            length => usize::try_from(dice.below(length)).ok(),
        });
        if let Some(member) = known {
            self.look_at(member);
        }
    }

    fn look_at(&mut self, member: usize) {
        look_at_member(self.world, self.at, member, &mut self.dice);
    }

    /// Counts and versions never go back.
    fn look_at_status(&mut self) {
        let Some(AdminReply::Status(now)) = self.world.ask_new(&mut self.dice, &AdminCommand::ShowStatus)
        else {
            return;
        };
        let trust = self.world.trust_version.load(Ordering::SeqCst);
        if let Some(before) = &self.floor {
            let counts = |view: &StatusView| [view.members, view.cards, view.trust_version];
            let back = counts(&now).iter().zip(counts(before)).any(|(now, before)| *now < before);
            let back =
                back || now.status_version < before.status_version || now.status_time < before.status_time;
            self.world.demand(!back, || format!("the server went back: {before:?}, then {now:?}"));
        }
        // A renewal beside the running server is taken within a second.
        self.world.demand(now.trust_version + 1 >= trust, || {
            format!("the server has bundle {}, bundle {trust} was acknowledged", now.trust_version)
        });
        self.floor = Some(now);
    }
}

/// Compares a member and all their cards with the ledger.
pub(super) fn look_at_member(world: &World, clerk: usize, member: usize, dice: &mut Dice) {
    let Some(ledger) = world.ledgers.get(clerk) else { return };
    let Some(entry) = lock(ledger).members.get(member).cloned() else { return };
    let Some(AdminReply::Member(view)) = world.ask_new(dice, &AdminCommand::ShowMember(entry.number)) else {
        return;
    };
    let differs = lock(ledger).member_differs(member, &view);
    world.check(differs.map(|differs| format!("clerk {clerk}: {differs}")));
    for (at, card) in entry.cards.iter().enumerate() {
        let number = card.row.number.clone();
        let Some(AdminReply::Card(view)) = world.ask_new(dice, &AdminCommand::ShowCard(number.clone()))
        else {
            return;
        };
        let differs = lock(ledger).card_differs(member, at, &view);
        world.check(differs.map(|differs| format!("clerk {clerk}: {differs}")));
        world.note_index(view.status_index, &number);
    }
}

/// The kind of deed; never a number.
fn name(deed: &Deed) -> &'static str {
    match deed {
        Deed::Register => "registering a member",
        Deed::Issue(..) => "issuing a card",
        Deed::Import(_) => "importing cards",
        Deed::Change(..) => "changing a card",
        Deed::Replace(..) => "replacing a card",
    }
}

/// Members that are looked at after a restart: those of the last answers.
const RECENT: usize = 3;
