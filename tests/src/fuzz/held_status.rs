//! The status list that a terminal holds: files as found on its disk or a stick, and a terminal that is sent snapshots,
//! deltas and bundles in any order, by keys that come and go.
//!
//! A file that is read is written back the same; what is taken is a list that the server made; versions, times and the
//! floor never go back under one bundle; what is held survives a restart; an honest list is taken in the end.

use std::sync::LazyLock;

use bhyt_core::card_record::CardStanding;
use bhyt_core::cose::{Object, Unsigned, Verified};
use bhyt_core::held_status::HeldStatus;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::STATUS_DELTAS_MAX;
use bhyt_core::marks::Marks;
use bhyt_core::status::StatusList;
use bhyt_core::status::delta::Delta;
use bhyt_core::trust::{KeyUse, TrustBundle, TrustedKey};

use super::input::{Input, Script};
use crate::authority::{Authority, ListDraft, at, sign_list, trusted};
use crate::forge::{Forge, bstr};

/// An input that begins as a file does is one; any other is a script.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0x82, _)) => file(data),
        Some((kind, data)) if kind % 2 == 0 => signed_file(data),
        Some((_, data)) => script(data),
        None => {}
    }
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(7));
static OTHER_KEY: LazyLock<SecretKey> = LazyLock::new(|| Authority::new(9).status_key);

fn file(bytes: &[u8]) {
    let trust = AUTHORITY.trust(&AUTHORITY.bundle(1, at(2026, 5, 1)));
    let Ok((held, marks)) = HeldStatus::decode(bytes, trust.claims(), &Marks::default()) else {
        return;
    };
    assert_eq!(held.encode(), bytes, "a file has one form");
    check_restart(&held, trust.claims(), &marks);
}

/// A file of payloads that the status key signs: snapshot first, then deltas.
fn signed_file(data: &[u8]) {
    let mut input = Input::new(data);
    let mut parts = Vec::new();
    while !input.is_empty() && parts.len() <= STATUS_DELTAS_MAX {
        parts.push(sign(&AUTHORITY.status_key, input.bytes()));
    }
    if let Some((snapshot, deltas)) = parts.split_first() {
        file(&file_of(snapshot, deltas));
    }
}

fn file_of(snapshot: &[u8], deltas: &[Vec<u8>]) -> Vec<u8> {
    let deltas_head = bhyt_core::cbor::encode(|e| {
        e.array(deltas.len() as u64)?;
        Ok(())
    });
    let deltas: Vec<u8> = deltas.iter().flat_map(|delta| bstr(delta)).collect();
    [&[0x82], &bstr(snapshot)[..], &deltas_head, &deltas].concat()
}

/// Any payload, signed as a status list by this key.
fn sign(key: &SecretKey, payload: &[u8]) -> Vec<u8> {
    Forge { object: Object::Status, ..Forge::card(key, payload) }.sign()
}

/// A server that publishes and a terminal that is sent things.
struct World {
    draft: ListDraft,
    lists: Vec<StatusList>,
    trust: Verified<TrustBundle>,
    held: Option<HeldStatus>,
    marks: Marks,
    /// A key has signed what no server of ours makes.
    key_stolen: bool,
}

fn script(data: &[u8]) {
    let mut input = Input::new(data);
    let draft = ListDraft::new(1, at(2026, 6, 1));
    let mut world = World {
        lists: vec![draft.list()],
        draft,
        trust: AUTHORITY.trust(&bundle(1, 0b11)),
        held: None,
        marks: Marks::default(),
        key_stolen: false,
    };
    let mut steps = 0;
    while !input.is_empty() && steps < STEPS_MAX {
        steps += 1;
        world.act(&mut input);
    }
    world.end();
}

impl World {
    fn act(&mut self, input: &mut Input<'_>) {
        match input.byte() % 6 {
            0 => self.publish(input),
            1 => {
                let bytes = sign_list(key(input), self.list(input));
                self.take(&bytes);
            }
            2 => {
                let key = key(input);
                if let Ok(delta) = Delta::between(self.list(input), self.list(input)) {
                    let signed = Unsigned::new(delta, key.public_key().key_id()).sign(key);
                    self.take(signed.bytes());
                }
            }
            3 => {
                let bytes = sign(key(input), input.bytes());
                self.key_stolen |= self.take(&bytes);
            }
            4 => self.renew_trust(input),
            _ => self.restart(),
        }
    }

    fn publish(&mut self, input: &mut Input<'_>) {
        let standings = [CardStanding::InForce, CardStanding::Withdrawn, CardStanding::Held];
        for _ in 0..input.byte() % 32 {
            let index = StatusIndex(input.short().into());
            self.draft.sets.set_standing(index, *input.pick(&standings));
            let number = BindingNumber::new(u64::from(index.0 % 16)).expect("a binding's number");
            self.draft.sets.retire_binding(index, number);
        }
        let step = input.byte();
        self.draft.version.epoch += u32::from(step >> 7);
        self.draft.version.number += 1 + u64::from(step & 15);
        self.draft.time = self.draft.time.plus(step.into());
        self.lists.push(self.draft.list());
    }

    fn list(&self, input: &mut Input<'_>) -> &StatusList {
        // From the newest backwards, so that scripts stay what they are when more is published.
        let back = input.below(self.lists.len());
        self.lists.iter().rev().nth(back).expect("the first at least")
    }

    /// Whether it was taken.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let trust = self.trust.claims();
        let before = self.marks.floor(trust);
        let accepted = HeldStatus::accept(self.held.as_ref(), bytes, trust, &self.marks);
        let Ok((next, marks)) = accepted else {
            return false;
        };
        assert!(marks.floor(trust) >= before, "the floor never goes back");
        assert_eq!(marks.status(next.key_id()), Some(next.mark()));
        if let Some(held) = &self.held {
            assert!(next.list().version() >= held.list().version(), "versions never go back");
        }
        check_restart(&next, trust, &marks);
        (self.held, self.marks) = (Some(next), marks);
        true
    }

    /// A terminal takes the marks that stay, and the list if it stands under the new bundle.
    fn renew_trust(&mut self, input: &mut Input<'_>) {
        let mut next = bundle(self.trust.claims().version + 1, input.byte());
        next.status = (input.byte() & 1 == 1).then(|| self.list(input).version());
        self.trust = AUTHORITY.trust(&next);
        self.marks = std::mem::take(&mut self.marks).under(self.trust.claims());
        self.restart();
    }

    fn restart(&mut self) {
        let file = self.held.take().map(|held| held.encode());
        let read = file.map(|file| HeldStatus::decode(&file, self.trust.claims(), &self.marks));
        self.held = read.and_then(Result::ok).map(|(held, _)| held);
    }

    /// What is held is a list of ours; and the newest is taken by whoever has been told no lies.
    fn end(mut self) {
        if self.key_stolen {
            return;
        }
        let ours = |held: &HeldStatus| self.lists.iter().any(|list| list == held.list());
        assert!(self.held.as_ref().is_none_or(ours), "a list that the server made");
        self.draft.version.epoch += 1;
        self.draft.time = self.draft.time.plus(1);
        let newest = sign_list(&AUTHORITY.status_key, &self.draft.list());
        let key_id = AUTHORITY.status_key.public_key().key_id();
        let key = self.trust.claims().key(key_id, KeyUse::Status).cloned();
        let may = key.is_some_and(|key| key.may_sign_at(self.draft.time));
        assert_eq!(self.take(&newest), may, "an honest list is taken");
    }
}

/// What is held is read back, and is the same then.
fn check_restart(held: &HeldStatus, trust: &TrustBundle, marks: &Marks) {
    let file = held.encode();
    let (again, marks_again) = HeldStatus::decode(&file, trust, marks).expect("a file of ours");
    assert_eq!((again.encode(), &marks_again), (file, marks), "a restart changes nothing");
    assert!(again.list() == held.list() && again.cursor() == held.cursor());
}

fn key(input: &mut Input<'_>) -> &'static SecretKey {
    if input.byte() & 1 == 0 { &AUTHORITY.status_key } else { &OTHER_KEY }
}

/// A bundle with none, one or both of the status keys; either may have signed its last list.
fn bundle(version: u64, keys: u8) -> TrustBundle {
    let mut bundle = AUTHORITY.bundle(version, at(2026, 5, 1));
    bundle.keys.retain(|key| key.usage != KeyUse::Status);
    for (bit, key) in [&AUTHORITY.status_key, &*OTHER_KEY].into_iter().enumerate() {
        if keys >> bit & 1 == 1 {
            let signs_until = (keys >> (bit + 2) & 1 == 1).then(|| at(2026, 6, 1).plus(200));
            bundle.keys.push(TrustedKey { signs_until, ..trusted(key, KeyUse::Status) });
        }
    }
    bundle
}

/// Files with and without deltas, as signed and as payloads, and scripts.
pub fn seeds() -> Vec<Vec<u8>> {
    use bhyt_core::cose::Payload as _;
    let mut draft = ListDraft::new(1, at(2026, 6, 1));
    let mut lists = vec![draft.list()];
    for number in 2..=4 {
        (0..9).for_each(|at| draft.sets.set_standing(StatusIndex(number * 1_000 + at), CardStanding::Held));
        draft.version.number = number.into();
        draft.time = draft.time.plus(60);
        lists.push(draft.list());
    }
    let snapshot = lists.first().expect("a first list");
    let deltas: Vec<Delta> = lists
        .iter()
        .zip(lists.iter().skip(1))
        .map(|(before, after)| Delta::between(before, after).expect("lists that follow each other"))
        .collect();
    let key = &AUTHORITY.status_key;
    let signed: Vec<Vec<u8>> = deltas.iter().map(|delta| sign(key, &delta.encode())).collect();
    let mut seeds =
        vec![file_of(&sign_list(key, snapshot), &[]), file_of(&sign_list(key, snapshot), &signed)];
    let payloads = Script::new().raw(&[0]).bytes(&snapshot.encode());
    seeds.push(deltas.iter().fold(payloads, |script, delta| script.bytes(&delta.encode())).done());
    // Publish 2 changes; the newest as a snapshot; publish; a delta from the one before; restart; a new bundle; a delta.
    let script = Script::new().raw(&[1, 0, 2, 1, 0, 1, 9, 9, 1, 1, 1, 0, 0, 0, 1, 3, 3, 2, 1]);
    let script = script.raw(&[2, 0, 1, 0, 5, 4, 3, 1, 0, 0, 0, 129, 1, 1, 0, 3, 1]).bytes(&snapshot.encode());
    seeds.push(script.raw(&[4, 0b0101, 0, 1, 0, 0]).done());
    // Seventeen deltas one after the other: the chain is full before the last.
    let mut full = Script::new().raw(&[1, 1, 0, 0]);
    for step in 0..17 {
        full = full.raw(&[0, 1, step, 0, 1, 1]).raw(&[2, 0, 1, 0]);
    }
    seeds.push(full.done());
    seeds
}

/// Acts in one input.
const STEPS_MAX: usize = 48;
