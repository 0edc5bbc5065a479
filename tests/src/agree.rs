//! Whether what phones and terminals hold agrees with what operators know to have done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bhyt_core::card_record::CardStanding;
use bhyt_core::held_status::HeldStatus;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::marks::Marks;
use bhyt_core::status::{Standing, StatusList};
use bhyt_core::trust::anchor;

use crate::ledger::MemberEntry;

/// Where the cards that a phone shows, each with the name of its state, are not exactly those of its member.
pub fn cards_differ(entry: &MemberEntry, mut shown: Vec<(String, String)>) -> Option<String> {
    let cards = entry.cards.iter();
    let mut known: Vec<_> =
        cards.map(|card| (card.row.number.clone(), state(card.standing).to_owned())).collect();
    known.sort();
    shown.sort();
    (shown != known)
        .then(|| format!("a phone shows {} cards otherwise than the {} that stand", shown.len(), known.len()))
}

/// Where the status list in a file is not exactly these cards and retired bindings. The file is verified by the bundle in
/// the file `trust`, as a terminal would.
pub fn list_differs(
    path: &Path,
    trust: &Path,
    cards: &BTreeMap<u32, CardStanding>,
    bindings: &BTreeSet<(u32, u8)>,
) -> Option<String> {
    let bundle = fs::read(trust).ok().and_then(|bytes| anchor(&bytes).ok());
    let (Some(bundle), Ok(bytes)) = (bundle, fs::read(path)) else { return Some("no list".into()) };
    let held = match HeldStatus::decode(&bytes, bundle.claims(), &Marks::default()) {
        Ok((held, _)) => held,
        Err(error) => return Some(format!("a list that does not verify: {error}")),
    };
    let list = held.list();
    let wrong = cards.iter().filter(|(index, standing)| !names(list, **index, **standing)).count();
    let missing = bindings.iter().filter(|(index, number)| {
        let number = BindingNumber::new(u64::from(*number));
        number.is_none_or(|number| !list.binding_retired(StatusIndex(*index), number))
    });
    let (missing, expected) = (missing.count(), (cards.len() + bindings.len()) as u64);
    (wrong + missing > 0 || list.entries() != expected).then(|| {
        format!(
            "list {:?} has {} entries, expected {expected}; {wrong} cards and {missing} bindings are not in it",
            list.version(),
            list.entries()
        )
    })
}

/// The card's standing, and no other, is listed.
fn names(list: &StatusList, index: u32, standing: CardStanding) -> bool {
    let mut wanted = Standing::default();
    match standing {
        CardStanding::InForce => {}
        CardStanding::Withdrawn => wanted.withdrawn = true,
        CardStanding::Reduced(code) => wanted.reduced = Some(code),
        CardStanding::Superseded => wanted.superseded = true,
        CardStanding::Held => wanted.held = true,
    }
    list.lookup(StatusIndex(index)) == wanted
}

/// The name of the state of a card in its dates.
fn state(standing: CardStanding) -> &'static str {
    match standing {
        CardStanding::InForce => "in_force",
        CardStanding::Withdrawn => "withdrawn",
        CardStanding::Reduced(_) => "reduced",
        CardStanding::Superseded => "superseded",
        CardStanding::Held => "held",
    }
}
