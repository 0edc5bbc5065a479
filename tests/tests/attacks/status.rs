//! Attacks on status lists by somebody who carries them, reorders them, or has the status key: deltas out of order, for
//! another list, with another hash or count, of another epoch, cut and changed; files that are put together by hand; and
//! lists at the ends of what they can say. Memory and time stand in `bombs`.

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::CardStanding;
use bhyt_core::cbor::DecodeError;
use bhyt_core::cose::Object;
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::limits::STATUS_DELTAS_MAX;
use bhyt_core::presentation::Presentation;
use bhyt_core::status::list::StatusError;
use bhyt_core::status::{StatusList, StatusVersion};
use bhyt_core::time::UnixSeconds;
use bhyt_tests::authority::{Authority, ListDraft, Phone, at, day, example_card};
use bhyt_tests::desk::Desk;
use bhyt_tests::forge::{Forge, payload_of};
use bhyt_tests::surgery::Item;

/// Lists 10 to 10 + `steps` of epoch 1: each holds one card more, and one that was held is withdrawn.
fn history(steps: u64) -> Vec<StatusList> {
    let mut draft = ListDraft::new(10, NOON);
    (0..=steps)
        .map(|step| {
            (draft.version.number, draft.time) = (10 + step, NOON.plus(step));
            let list = draft.list();
            draft.sets.set_standing(StatusIndex(100 + step as u32), CardStanding::Held);
            draft.sets.set_standing(StatusIndex(99 + step as u32), CardStanding::Withdrawn);
            list
        })
        .collect()
}

struct Terminal {
    authority: Authority,
    lists: Vec<StatusList>,
    desk: Desk,
}

impl Terminal {
    fn new(steps: u64) -> Self {
        let (authority, lists) = (Authority::new(7), history(steps));
        let trust = authority.trust(&authority.bundle(1, NOON.minus(86_400)));
        let desk = Desk::new(trust, &authority.sign_list(lists.first().unwrap()), NOON);
        Self { authority, lists, desk }
    }

    /// The signed delta from one list of the history to another.
    fn delta(&self, from: usize, to: usize) -> Vec<u8> {
        self.authority.sign_delta(self.lists.get(from).unwrap(), self.lists.get(to).unwrap())
    }

    fn held(&self) -> u64 {
        self.desk.status.as_ref().unwrap().list().version().number - 10
    }

    /// Signed for real, whatever it says.
    fn sign(&self, payload: &[u8]) -> Vec<u8> {
        Forge { object: Object::Status, ..Forge::card(&self.authority.status_key, payload) }.sign()
    }

    /// Offers bytes; whatever is refused leaves everything as it was.
    fn refuses(&mut self, bytes: &[u8], fault: StatusFault) {
        let before = (self.desk.status.as_ref().map(HeldStatus::encode), self.desk.marks.clone());
        assert_eq!(self.desk.take_list(bytes), Err(fault));
        assert_eq!((self.desk.status.as_ref().map(HeldStatus::encode), self.desk.marks.clone()), before);
    }

    fn read_file(&self, parts: &[Vec<u8>]) -> Result<StatusVersion, StatusFault> {
        let (snapshot, deltas) = parts.split_first().unwrap();
        let deltas = deltas.iter().map(|part| Item::Bytes(part.clone())).collect();
        let file = Item::Array(vec![Item::Bytes(snapshot.clone()), Item::Array(deltas)]).encode();
        HeldStatus::decode(&file, self.desk.trust.claims(), &self.desk.marks)
            .map(|(held, _)| held.list().version())
    }
}

/// Every order of four deltas: each is taken when its turn has come and at no other time, and the last leads to the list
/// that was built anew.
#[test]
fn deltas_are_taken_in_their_order_and_in_no_other() {
    for order in orders(4) {
        let mut terminal = Terminal::new(4);
        for step in order.iter().copied() {
            let delta = terminal.delta(step, step + 1);
            if terminal.held() == step as u64 {
                terminal.desk.take_list(&delta).unwrap();
            } else {
                terminal.refuses(&delta, StatusFault::NeedsSnapshot);
            }
            let held = terminal.desk.status.as_ref().unwrap().list();
            assert_eq!(held, &terminal.lists[terminal.held() as usize], "{order:?}");
        }
        // Whoever held them back has delayed the terminal and nothing else: one step brings it up to date.
        if terminal.held() < 4 {
            let all = terminal.delta(terminal.held() as usize, 4);
            terminal.desk.take_list(&all).unwrap();
        }
        assert_eq!(terminal.desk.status.as_ref().unwrap().list(), &terminal.lists[4]);
    }
}

/// All orders of 0 to `count` − 1.
fn orders(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |orders, next| {
        let with = |order: &Vec<usize>, at: usize| {
            let mut order = order.clone();
            order.insert(at, next);
            order
        };
        orders
            .iter()
            .flat_map(|order| (0..=order.len()).map(|at| with(order, at)).collect::<Vec<_>>())
            .collect()
    })
}

/// Each bit of the hash, signed again: the list that results is another one, and is not taken.
#[test]
fn a_delta_with_another_hash_leads_nowhere() {
    let mut terminal = Terminal::new(1);
    let tree = Item::parse(&payload_of(&terminal.delta(0, 1)));
    let Item::Bytes(hash) = tree.at("6").clone() else { panic!("a hash") };
    for bit in 0..hash.len() * 8 {
        let mut other = hash.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let bytes = terminal.sign(&tree.with("6", Item::Bytes(other)).encode());
        terminal.refuses(&bytes, StatusFault::Delta(StatusError::Digest));
    }
}

/// One more and one fewer in each set, a set that is not there, and one that is left out.
#[test]
fn a_delta_with_another_count_leads_nowhere() {
    let mut terminal = Terminal::new(3);
    for to in 1..=3 {
        let tree = Item::parse(&payload_of(&terminal.delta(0, to)));
        let counts: Vec<String> = tree.paths().into_iter().filter(|path| path.starts_with("9.")).collect();
        assert_eq!(counts.len(), 2, "held and withdrawn");
        let mut spoilt = Vec::new();
        for path in &counts {
            let Item::Int(count) = tree.at(path).clone() else { panic!("a count") };
            let others = [count + 1, count - 1, count + (1 << 32), (1 << 64) - 1]
                .into_iter()
                .filter(|count| *count > 0);
            spoilt.extend(others.map(|other| tree.with(path, Item::Int(other))));
            spoilt.push(tree.without(path).unwrap());
        }
        let one_more = tree.at("9").with_entry(Item::Int(2), Item::Int(1));
        spoilt.push(tree.with("9", one_more));
        for tree in spoilt {
            let bytes = terminal.sign(&tree.encode());
            terminal.refuses(&bytes, StatusFault::Delta(StatusError::Counts));
        }
    }
}

#[test]
fn a_delta_of_another_epoch_or_backwards_leads_nowhere() {
    let mut terminal = Terminal::new(2);
    let step = terminal.delta(0, 1);
    let tree = Item::parse(&payload_of(&step));
    for epoch in [0, 2, (1 << 32) - 1] {
        let bytes = terminal.sign(&tree.with("2[0]", Item::Int(epoch)).encode());
        terminal.refuses(&bytes, StatusFault::NeedsSnapshot);
    }
    for number in [0, 9, 10] {
        let bytes = terminal.sign(&tree.with("2[1]", Item::Int(number)).encode());
        terminal.refuses(&bytes, StatusFault::Delta(StatusError::NotForward));
    }
    // A step that was taken is not taken again, nor another step to the same version.
    terminal.desk.take_list(&step).unwrap();
    terminal.refuses(&step, StatusFault::NeedsSnapshot);
    let mut other = ListDraft::new(11, NOON.plus(1));
    other.sets.set_standing(StatusIndex(9), CardStanding::Withdrawn);
    let fork = terminal.authority.sign_delta(&terminal.lists[0], &other.list());
    terminal.refuses(&fork, StatusFault::NeedsSnapshot);
}

/// As it came: every cut, every bit.
#[test]
fn a_delta_that_was_touched_is_not_taken() {
    let mut terminal = Terminal::new(1);
    let delta = terminal.delta(0, 1);
    for cut in 0..delta.len() {
        let found = terminal.desk.take_list(&delta[..cut]).unwrap_err();
        assert!(
            matches!(found, StatusFault::Unreadable(DecodeError::Malformed(_))),
            "cut at {cut}: {found:?}"
        );
    }
    for bit in 0..delta.len() * 8 {
        let mut touched = delta.clone();
        touched[bit / 8] ^= 1 << (bit % 8);
        let found = terminal.desk.take_list(&touched).unwrap_err();
        let named = matches!(
            found,
            StatusFault::Unreadable(DecodeError::Malformed(_))
                | StatusFault::Unverified
                | StatusFault::Refused(bhyt_core::marks::StatusRefusal::UnknownKey)
        );
        assert!(named, "bit {bit}: {found:?}");
    }
    terminal.desk.take_list(&delta).unwrap();
}

#[test]
fn a_file_put_together_by_hand_is_a_chain_or_nothing() {
    let terminal = Terminal::new(STATUS_DELTAS_MAX as u64 + 1);
    let snapshot = |at: usize| terminal.authority.sign_list(&terminal.lists[at]);
    let steps = |count: usize| (0..count).map(|at| terminal.delta(at, at + 1)).collect::<Vec<_>>();
    let file = |first: Vec<u8>, deltas: Vec<Vec<u8>>| terminal.read_file(&[vec![first], deltas].concat());
    let version = |number: u64| Ok(StatusVersion { epoch: 1, number });
    assert_eq!(file(snapshot(0), Vec::new()), version(10));
    assert_eq!(file(snapshot(0), steps(16)), version(26));
    let malformed = |what| Err(StatusFault::Unreadable(DecodeError::Malformed(what)));
    assert_eq!(file(snapshot(0), steps(17)), malformed("deltas"));
    // The same step twice, one left out, two in the wrong order.
    let first = steps(3);
    let needs_snapshot = Err(StatusFault::NeedsSnapshot);
    assert_eq!(file(snapshot(0), [&first[..1], &first[..]].concat()), needs_snapshot);
    assert_eq!(file(snapshot(0), [&first[..], &first[2..]].concat()), needs_snapshot);
    assert_eq!(file(snapshot(0), vec![first[0].clone(), first[2].clone()]), needs_snapshot);
    assert_eq!(file(snapshot(0), vec![first[1].clone(), first[0].clone()]), needs_snapshot);
    // A step from the beginning would make those before it needless, and a second snapshot all of them.
    assert_eq!(
        file(snapshot(0), vec![first[0].clone(), terminal.delta(0, 2)]),
        malformed("not a chain of deltas")
    );
    assert_eq!(file(snapshot(0), vec![first[0].clone(), snapshot(2)]), malformed("not a chain of deltas"));
    assert_eq!(file(snapshot(0), vec![snapshot(0)]), malformed("not a chain of deltas"));
    assert_eq!(file(first[0].clone(), first.clone()), needs_snapshot);
    assert_eq!(file(Vec::new(), Vec::new()), malformed("cut short"));
    let bundle = terminal.authority.sign_bundle(terminal.desk.trust.claims());
    assert_eq!(file(bundle, Vec::new()), malformed("not a COSE_Sign1"));
}

/// 2^32 cards, the last of them, and the last binding there can be.
#[test]
fn a_list_of_all_indexes_answers_to_its_last() {
    let (authority, phone) = (Authority::new(7), Phone::new(8));
    let mut draft = ListDraft { indexes_below: 1 << 32, ..ListDraft::new(1, NOON) };
    let last = StatusIndex(u32::MAX);
    draft.sets.set_standing(StatusIndex(0), CardStanding::Withdrawn);
    draft.sets.retire_binding(last, BindingNumber::new(15).unwrap());
    let mut desk = Desk::with_list(&authority, &draft, NOON);
    let card = |index, number| {
        let mut binding = phone.binding(day(2026, 11, 1));
        binding.number = BindingNumber::new(number).unwrap();
        authority.sign_card(CardClaims { status_index: index, binding: Some(binding), ..example_card() })
    };
    let check = |desk: &Desk, index, number, expected: &str| {
        let shown = phone.present(&card(index, number), NOON, None);
        assert_eq!(desk.answer(&shown), expected, "{index:?} {number}");
    };
    check(&desk, last, 15, "accept fresh device_retired 000");
    check(&desk, last, 14, "accept fresh proven_by_clock 000");
    check(&desk, StatusIndex(u32::MAX - 1), 15, "accept fresh proven_by_clock 000");
    check(&desk, StatusIndex(0), 0, "reject withdrawn 110");
    check(&desk, StatusIndex(1), 0, "accept fresh proven_by_clock 000");
    // The last card is withdrawn by a delta over the whole universe, and comes back by another.
    let first = draft.list();
    (draft.version.number, draft.time) = (2, NOON.plus(1));
    draft.sets.set_standing(last, CardStanding::Withdrawn);
    let second = draft.list();
    desk.take_list(&authority.sign_delta(&first, &second)).unwrap();
    check(&desk, last, 14, "reject withdrawn 110");
    (draft.version.number, draft.time) = (3, NOON.plus(2));
    draft.sets.set_standing(last, CardStanding::InForce);
    desk.take_list(&authority.sign_delta(&second, &draft.list())).unwrap();
    check(&desk, last, 14, "accept fresh proven_by_clock 000");
    // A list of no indexes at all speaks of nobody, and refuses nobody.
    let empty = ListDraft { indexes_below: 0, ..ListDraft::new(1, NOON) };
    let desk = Desk::with_list(&authority, &empty, NOON);
    let printed = Presentation::new(card(last, 0), None);
    assert_eq!(desk.answer(&printed), "undecided not_covered 500");
}

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}
