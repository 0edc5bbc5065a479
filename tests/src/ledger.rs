//! What an operator knows to have done: members, cards and what became of them, as a model beside the real server. It
//! thinks up what to do next, notes what was acknowledged, and says where the server's answers differ from it.
//!
//! Promises: what it thinks up is always something that a sound server takes, so that a refusal is a fault. One ledger is
//! one operator's: nobody else changes its members.

use std::collections::BTreeMap;

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::sync::admin::{AdminCommand, CardChange, CardRow, CardView, MemberRow, MemberView};

use crate::dice::Dice;

/// The members of one operator.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Tells this operator's members from all others'; below 100.
    operator: u8,
    first_day: String,
    /// In the order in which they were registered.
    pub members: Vec<MemberEntry>,
}

/// A member as the operator knows them.
#[derive(Clone, Debug)]
pub struct MemberEntry {
    /// Mã số BHXH.
    pub number: String,
    /// Cards, oldest first.
    pub cards: Vec<CardEntry>,
    /// Records that their feed must have.
    pub records: u64,
}

/// A card as the operator knows it.
#[derive(Clone, Debug)]
pub struct CardEntry {
    /// As issued.
    pub row: CardRow,
    /// What became of it.
    pub standing: CardStanding,
    /// Its place in the status list, once the server was asked.
    pub index: Option<u32>,
    /// The number of the card that followed.
    pub successor: Option<String>,
}

/// Something to do. Places are those in the ledger.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Take a new member in.
    Register,
    /// Issue a card.
    Issue(CardRow, usize),
    /// Issue several, of several members.
    Import(Vec<(CardRow, usize)>),
    /// Change a card's standing.
    Change(usize, usize, CardChange),
    /// Issue a successor.
    Replace(usize, usize, CardRow),
}

impl Ledger {
    /// An operator with no members; cards begin on `first_day`.
    pub fn new(operator: u8, first_day: &str) -> Self {
        Self { operator, first_day: first_day.to_owned(), members: Vec::new() }
    }

    /// Something that may be done now.
    pub fn think(&self, dice: &mut Dice) -> Deed {
        // A small town, and much that happens in it.
        let wanted = MEMBERS_AT_FIRST + self.cards() / CARDS_A_MEMBER;
        if (self.members.len() as u64) < wanted {
            return Deed::Register;
        }
        let thought = match dice.below(12) {
            0..3 => self.issue(dice),
            3 => Some(Deed::Import(self.some_rows(dice))),
            4..10 => self.change(dice),
            _ => self.replacement(dice),
        };
        thought.or_else(|| self.issue(dice)).unwrap_or(Deed::Register)
    }

    /// How the deed is asked for.
    pub fn command(&self, deed: &Deed) -> AdminCommand {
        match deed {
            Deed::Register => AdminCommand::ImportMembers(vec![self.new_member()]),
            Deed::Issue(row, _) => AdminCommand::IssueCard(row.clone()),
            Deed::Import(rows) => {
                AdminCommand::ImportCards(rows.iter().map(|(row, _)| row.clone()).collect())
            }
            Deed::Change(member, card, change) => {
                let number = self.card(*member, *card).row.number.clone();
                AdminCommand::ChangeCard { number, change: *change }
            }
            Deed::Replace(member, card, row) => {
                let number = self.card(*member, *card).row.number.clone();
                AdminCommand::ReplaceCard { number, row: row.clone() }
            }
        }
    }

    /// The server has acknowledged the deed. Members and cards that it was about.
    pub fn note(&mut self, deed: Deed) -> Vec<usize> {
        match deed {
            Deed::Register => {
                let number = self.new_member().member_id;
                self.members.push(MemberEntry { number, cards: Vec::new(), records: 0 });
                vec![self.members.len() - 1]
            }
            Deed::Issue(row, at) => {
                self.add_card(at, row);
                vec![at]
            }
            Deed::Import(rows) => {
                let places = rows.iter().map(|(_, at)| *at).collect();
                rows.into_iter().for_each(|(row, at)| self.add_card(at, row));
                places
            }
            Deed::Change(member, card, change) => {
                let entry = self.card_mut(member, card);
                let next = after(entry.standing, change).expect("thought of as possible");
                if next != entry.standing {
                    entry.standing = next;
                    self.member_mut(member).records += 1;
                }
                vec![member]
            }
            Deed::Replace(member, card, mut row) => {
                let old = self.card_mut(member, card);
                old.successor = Some(row.number.clone());
                let superseded = matches!(old.standing, CardStanding::InForce | CardStanding::Held);
                if superseded {
                    old.standing = CardStanding::Superseded;
                }
                let kept = old.row.clone();
                row = CardRow { number: row.number, level: row.level, ..kept };
                self.member_mut(member).records += u64::from(superseded);
                self.add_card(member, row);
                vec![member]
            }
        }
    }

    /// Where a member as the server shows them differs from the one known here.
    pub fn member_differs(&self, at: usize, view: &MemberView) -> Option<String> {
        let entry = self.members.get(at)?;
        let known: Vec<&str> = entry.cards.iter().rev().map(|card| card.row.number.as_str()).collect();
        if view.row.member_id != entry.number {
            return Some(format!("member {at} is another"));
        }
        if view.cards != known {
            return Some(format!(
                "member {at} has {} cards, {} were acknowledged",
                view.cards.len(),
                known.len()
            ));
        }
        (view.records != entry.records)
            .then(|| format!("member {at} has {} records, expected {}", view.records, entry.records))
    }

    /// Where a card as the server shows it differs from the one known here. Notes its index the first time.
    pub fn card_differs(&mut self, member: usize, card: usize, view: &CardView) -> Option<String> {
        let entry = self.card_mut(member, card);
        let place = format!("card {card} of member {member}");
        let row = CardRow { member: entry.row.member.clone(), ..view.row.clone() };
        if row != entry.row {
            return Some(format!("{place} says something else than was issued"));
        }
        if view.standing != entry.standing {
            return Some(format!("{place} is {:?}, acknowledged was {:?}", view.standing, entry.standing));
        }
        if view.successor != entry.successor {
            return Some(format!("{place} has another successor"));
        }
        let index = *entry.index.get_or_insert(view.status_index);
        (index != view.status_index).then(|| format!("{place} has index {}, had {index}", view.status_index))
    }

    /// What a status list must name, of cards whose index is known.
    pub fn listed(&self) -> BTreeMap<u32, CardStanding> {
        let cards = self.members.iter().flat_map(|member| &member.cards);
        let listed = cards.filter(|card| card.standing != CardStanding::InForce);
        listed.filter_map(|card| Some((card.index?, card.standing))).collect()
    }

    /// Cards of all members.
    pub fn cards(&self) -> u64 {
        self.members.iter().map(|member| member.cards.len() as u64).sum()
    }

    /// The place of a member.
    pub fn place_of(&self, number: &str) -> Option<usize> {
        self.members.iter().position(|member| member.number == number)
    }

    /// A card; it is there.
    pub fn card(&self, member: usize, card: usize) -> &CardEntry {
        self.members.get(member).and_then(|member| member.cards.get(card)).expect("a place in this ledger")
    }

    fn card_mut(&mut self, member: usize, card: usize) -> &mut CardEntry {
        self.member_mut(member).cards.get_mut(card).expect("a place in this ledger")
    }

    fn member_mut(&mut self, member: usize) -> &mut MemberEntry {
        self.members.get_mut(member).expect("a place in this ledger")
    }

    fn add_card(&mut self, member: usize, row: CardRow) {
        let member = self.member_mut(member);
        member.records += 1;
        let standing = CardStanding::InForce;
        member.cards.push(CardEntry { row, standing, index: None, successor: None });
    }

    fn new_member(&self) -> MemberRow {
        MemberRow {
            member_id: format!("99{:02}{:06}", self.operator, self.members.len() + 1),
            full_name: "Nguyễn Thị Thử".into(),
            birth_date: "1994-03-05".into(),
            sex: "F".into(),
            ..MemberRow::default()
        }
    }

    /// The row of the card after the next `ahead` of a member.
    fn new_row(&self, at: usize, ahead: usize, dice: &mut Dice) -> CardRow {
        let member = self.members.get(at).expect("a place in this ledger");
        let serial = member.cards.len() + ahead;
        let group = GROUPS.get(serial / 100).expect("fewer cards than numbers");
        let level = 1 + dice.below(5);
        CardRow {
            member: member.number.clone(),
            number: format!("{group}{level}{:02}{}", serial % 100, member.number),
            level: level.to_string(),
            facility: "99024".into(),
            from: self.first_day.clone(),
            ..CardRow::default()
        }
    }

    fn issue(&self, dice: &mut Dice) -> Option<Deed> {
        let at = self.with_room(dice, 1)?;
        Some(Deed::Issue(self.new_row(at, 0, dice), at))
    }

    fn some_rows(&self, dice: &mut Dice) -> Vec<(CardRow, usize)> {
        let mut ahead: BTreeMap<usize, usize> = BTreeMap::new();
        let mut rows = Vec::new();
        for _ in 0..2 + dice.below(5) {
            let Some(at) = self.with_room(dice, 8) else { continue };
            let ahead = ahead.entry(at).or_default();
            rows.push((self.new_row(at, *ahead, dice), at));
            *ahead += 1;
        }
        rows
    }

    fn with_room(&self, dice: &mut Dice, room: usize) -> Option<usize> {
        let at = pick(dice, self.members.len())?;
        let member = self.members.get(at)?;
        (member.cards.len() + room <= MEMBER_CARDS_MAX).then_some(at)
    }

    /// A change that is possible, of some card; also one that changes nothing.
    fn change(&self, dice: &mut Dice) -> Option<Deed> {
        let (member, card) = self.some_card(dice)?;
        let standing = self.card(member, card).standing;
        let code = ReducedCode::new(120 + dice.below(5))?;
        let changes = [
            CardChange::Hold,
            CardChange::Hold,
            CardChange::Release,
            CardChange::Reduce(code),
            CardChange::Withdraw,
        ];
        let change = *dice.pick(&changes);
        after(standing, change).map(|_| Deed::Change(member, card, change))
    }

    fn replacement(&self, dice: &mut Dice) -> Option<Deed> {
        let (member, card) = self.some_card(dice)?;
        let entry = self.card(member, card);
        let room = self.members.get(member)?.cards.len() < MEMBER_CARDS_MAX;
        if entry.successor.is_some() || !room {
            return None;
        }
        let row = self.new_row(member, 0, dice);
        let row = CardRow { number: row.number, level: row.level, ..CardRow::default() };
        Some(Deed::Replace(member, card, row))
    }

    fn some_card(&self, dice: &mut Dice) -> Option<(usize, usize)> {
        let member = pick(dice, self.members.len())?;
        Some((member, pick(dice, self.members.get(member)?.cards.len())?))
    }
}

/// What a change makes of a standing; `None` where a server must refuse it.
fn after(now: CardStanding, change: CardChange) -> Option<CardStanding> {
    use CardStanding as Is;
    match (change, now) {
        (CardChange::Withdraw, _) => Some(Is::Withdrawn),
        (CardChange::Reduce(code), Is::InForce | Is::Held | Is::Reduced(_)) => Some(Is::Reduced(code)),
        (CardChange::Hold, Is::InForce | Is::Held) => Some(Is::Held),
        (CardChange::Release, Is::InForce | Is::Held) => Some(Is::InForce),
        _ => None,
    }
}

fn pick(dice: &mut Dice, length: usize) -> Option<usize> {
    if length == 0 { None } else { usize::try_from(dice.below(length as u64)).ok() }
}

/// Cards of one member: every sync of a phone carries what is new of them, and looks at all.
const MEMBER_CARDS_MAX: usize = 24;
/// Members before anything else is done; phones take them.
const MEMBERS_AT_FIRST: u64 = 8;
/// Cards after which there is to be one more member.
const CARDS_A_MEMBER: u64 = 8;
const GROUPS: [&str; 4] = ["DN", "HT", "GD", "TE"];
