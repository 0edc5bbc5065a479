//! A terminal's sync, frame by frame: trust before status, a snapshot in pieces over a line that breaks, and what becomes
//! of the list in force when something cannot be used.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card_record::CardStanding;
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::{STATUS_BYTES_MAX, STATUS_DELTAS_MAX};
use bhyt_core::marks::{Marks, StatusRefusal};
use bhyt_core::status::{StatusList, StatusVersion};
use bhyt_core::sync::messages::{Follow, Refusal, Reply, Request, SnapshotPiece, SyncTerminal};
use bhyt_core::sync::terminal::{PartialSnapshot, TerminalEffect, TerminalFault, TerminalSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, RootSet, Roots, TrustBundle, TrustError};
use bhyt_tests::authority::{Authority, ListDraft, at, sign_list, trusted};

/// A terminal with bundle 1 of 1 May 2026, and no list yet.
struct Terminal {
    authority: Authority,
    session: TerminalSession,
}

impl Terminal {
    fn new() -> Self {
        let authority = Authority::new(7);
        let trust = authority.trust(&authority.bundle(1, at(2026, 5, 1)));
        let session = TerminalSession::new(trust, None, Marks::default(), None);
        Self { authority, session }
    }

    /// With list 1 in force.
    fn with_list() -> Self {
        let mut terminal = Self::new();
        let bytes = terminal.authority.sign_list(&list(1));
        terminal.takes(pieces(1, &bytes, usize::MAX).remove(0), &["status 1"]);
        terminal
    }

    /// The effects of a frame, in words.
    fn takes(&mut self, reply: Reply, expected: &[&str]) {
        let effects = self.session.handle(reply).unwrap();
        let words: Vec<String> = effects.iter().map(|effect| self.words(effect)).collect();
        assert_eq!(words, expected);
    }

    fn words(&self, effect: &TerminalEffect) -> String {
        match effect {
            TerminalEffect::TakeTrust { trust, marks } => {
                assert_eq!(marks, self.session.marks());
                format!("trust {}", trust.claims().version)
            }
            TerminalEffect::DropStatus => "no status".to_owned(),
            TerminalEffect::TakeStatus { status, marks } => {
                assert_eq!(marks.status(status.key_id()), Some(status.mark()));
                format!("status {}", status.list().version().number)
            }
            TerminalEffect::KeepPart(piece) => {
                format!("{} of {}", piece.offset + piece.bytes.len() as u64, piece.total)
            }
        }
    }

    /// A frame that cannot be used: the fault, and what is in force stays.
    fn refuses(&mut self, reply: Reply, expected: TerminalFault) {
        let held = |session: &TerminalSession| {
            let status = session.status().map(HeldStatus::encode);
            (session.trust().bytes().to_vec(), status, session.marks().clone())
        };
        let before = held(&self.session);
        assert_eq!(self.session.handle(reply).unwrap_err(), expected);
        assert_eq!(held(&self.session), before);
    }

    fn asks(&mut self) -> SyncTerminal {
        match self.session.request(Follow::Stay) {
            Request::SyncTerminal(sync) => sync,
            other => panic!("{other:?}"),
        }
    }

    fn restart(&mut self, partial: Option<PartialSnapshot>) {
        let old = self.session.clone();
        let status = old.status().cloned();
        self.session = TerminalSession::new(old.trust().clone(), status, old.marks().clone(), partial);
    }

    fn next_bundle(&self) -> TrustBundle {
        self.authority.bundle(2, at(2026, 6, 1))
    }
}

fn version(number: u64) -> StatusVersion {
    StatusVersion { epoch: 1, number }
}

/// List `number` of 1 June; it holds the cards below its number.
fn list(number: u64) -> StatusList {
    let mut draft = ListDraft::new(number, at(2026, 6, 1).plus(number));
    (0..number).for_each(|index| draft.sets.set_standing(StatusIndex(index as u32), CardStanding::Held));
    draft.list()
}

/// A snapshot in pieces of this many bytes.
fn pieces(number: u64, bytes: &[u8], size: usize) -> Vec<Reply> {
    let piece = |(at, chunk): (usize, &[u8])| {
        let (offset, total) = ((at * size) as u64, bytes.len() as u64);
        Reply::StatusSnapshot(SnapshotPiece {
            version: version(number),
            offset,
            total,
            bytes: chunk.to_vec(),
        })
    };
    bytes.chunks(size).enumerate().map(|(at, chunk)| piece((at, chunk))).collect()
}

fn piece(offset: u64, total: u64, length: usize) -> Reply {
    Reply::StatusSnapshot(SnapshotPiece { version: version(1), offset, total, bytes: vec![7; length] })
}

#[test]
fn the_first_sync_brings_a_bundle_and_a_list() {
    let mut terminal = Terminal::new();
    let asked = terminal.asks();
    assert_eq!((asked.trust, asked.status, asked.partial), (1, None, None));
    let bytes = terminal.authority.sign_bundle(&terminal.next_bundle());
    terminal.takes(Reply::Trust(bytes.clone()), &["trust 2"]);
    terminal.takes(Reply::Trust(bytes), &[]);
    let snapshot = terminal.authority.sign_list(&list(1));
    terminal.takes(pieces(1, &snapshot, usize::MAX).remove(0), &["status 1"]);
    terminal.takes(Reply::StatusDelta(terminal.authority.sign_delta(&list(1), &list(2))), &["status 2"]);
    assert_eq!(terminal.session.outcome(), None);
    terminal.takes(Reply::Done, &[]);
    assert_eq!(terminal.session.outcome(), Some(Ok(())));

    let asked = terminal.asks();
    let key_id = terminal.authority.status_key.public_key().key_id();
    assert_eq!((asked.trust, asked.status), (2, Some((version(2), key_id))));
    assert_eq!(terminal.session.outcome(), None);
    let refusal = Refusal::NotAuthorised;
    terminal.takes(Reply::Refused(refusal), &[]);
    assert_eq!(terminal.session.outcome(), Some(Err(refusal)));
}

#[test]
fn a_snapshot_goes_on_where_the_line_broke() {
    let mut terminal = Terminal::new();
    let snapshot = terminal.authority.sign_list(&list(1));
    let total = snapshot.len();
    let mut frames = pieces(1, &snapshot, 50).into_iter();
    terminal.takes(frames.next().unwrap(), &[&format!("50 of {total}")]);
    terminal.takes(frames.next().unwrap(), &[&format!("100 of {total}")]);
    let bytes = snapshot[..100].to_vec();
    terminal.restart(Some(PartialSnapshot { version: version(1), total: total as u64, bytes }));
    assert_eq!(terminal.asks().partial, Some((version(1), 100)));
    let left = frames.len();
    for frame in frames.by_ref().take(left - 1) {
        terminal.session.handle(frame).unwrap();
    }
    terminal.takes(frames.next().unwrap(), &["status 1"]);
    assert_eq!(terminal.asks().partial, None);
}

#[test]
fn pieces_of_another_snapshot_begin_anew() {
    let mut terminal = Terminal::new();
    let (old, new) = (terminal.authority.sign_list(&list(1)), terminal.authority.sign_list(&list(3)));
    terminal.session.handle(pieces(1, &old, 50).remove(0)).unwrap();
    let total = new.len();
    terminal.takes(pieces(3, &new, 60).remove(0), &[&format!("60 of {total}")]);
    assert_eq!(terminal.asks().partial, Some((version(3), 60)));
    // A delta that comes meanwhile makes the part useless.
    let mut terminal = Terminal::with_list();
    terminal.session.handle(pieces(3, &new, 60).remove(0)).unwrap();
    terminal.takes(Reply::StatusDelta(terminal.authority.sign_delta(&list(1), &list(2))), &["status 2"]);
    assert_eq!(terminal.asks().partial, None);
}

#[test]
fn pieces_that_do_not_join_or_are_too_much_are_refused() {
    let check = |frames: &[Reply], expected: TerminalFault| {
        let mut terminal = Terminal::with_list();
        let (last, before) = frames.split_last().unwrap();
        for frame in before {
            terminal.session.handle(frame.clone()).unwrap();
        }
        terminal.refuses(last.clone(), expected);
        assert_eq!(terminal.asks().partial, None, "begun again");
    };
    let (unexpected, too_much) = (TerminalFault::Unexpected, TerminalFault::TooMuch);
    check(&[piece(1, 10, 1)], unexpected.clone());
    check(&[piece(0, 10, 4), piece(3, 10, 1)], unexpected.clone());
    check(&[piece(0, 10, 4), piece(5, 10, 1)], unexpected.clone());
    check(&[piece(0, 10, 4), piece(4, 11, 1)], unexpected);
    check(&[piece(0, 10, 11)], too_much.clone());
    check(&[piece(0, 10, 4), piece(4, 10, 7)], too_much.clone());
    check(&[piece(0, 0, 1)], too_much);
    let mut terminal = Terminal::with_list();
    let fault = terminal.session.handle(piece(0, 3, 3)).unwrap_err();
    assert!(matches!(fault, TerminalFault::Status(StatusFault::Unreadable(_))), "{fault:?}");
    assert_eq!(terminal.asks().partial, None);
    // Neither an announcement beyond the bound nor nothing at all is begun.
    let mut terminal = Terminal::with_list();
    terminal.refuses(piece(0, STATUS_BYTES_MAX as u64 + 1, 1), TerminalFault::TooMuch);
    terminal.refuses(piece(0, u64::MAX, 1), TerminalFault::TooMuch);
    terminal.refuses(piece(0, 10, 0), TerminalFault::TooMuch);
}

#[test]
fn a_snapshot_that_is_not_taken_is_begun_again() {
    let mut terminal = Terminal::with_list();
    let mut forged = terminal.authority.sign_list(&list(2));
    *forged.last_mut().unwrap() ^= 1;
    let frames = pieces(2, &forged, 100);
    let (last, before) = frames.split_last().unwrap();
    for frame in before {
        terminal.session.handle(frame.clone()).unwrap();
    }
    terminal.refuses(last.clone(), TerminalFault::Status(StatusFault::Unverified));
    assert_eq!(terminal.asks().partial, None);
    // Nor is the right one with another's name.
    let other = sign_list(&terminal.authority.card_key, &list(2));
    let unknown = TerminalFault::Status(StatusFault::Refused(StatusRefusal::UnknownKey));
    terminal.refuses(pieces(2, &other, usize::MAX).remove(0), unknown);
}

#[test]
fn a_bundle_without_the_status_key_takes_marks_and_list_with_it() {
    let mut terminal = Terminal::with_list();
    let new_key = SecretKey::from_seed(&[60; 32]);
    let mut bundle = terminal.next_bundle();
    bundle.keys[1] = trusted(&new_key, KeyUse::Status);
    let bytes = terminal.authority.sign_bundle(&bundle);
    terminal.takes(Reply::Trust(bytes), &["trust 2", "no status"]);
    assert!(terminal.session.status().is_none());
    assert_eq!(terminal.session.marks(), &Marks::default());
    assert_eq!(terminal.asks().status, None);
    let new_list = sign_list(&new_key, &list(1));
    terminal.takes(pieces(1, &new_list, usize::MAX).remove(0), &["status 1"]);

    // So does one that keeps the key and closes its window before the list, or closes the key.
    for (signs_until, verify_until) in [(Some(at(2026, 6, 1)), None), (None, Some(at(2026, 6, 1).plus(1)))] {
        let mut terminal = Terminal::with_list();
        let mut bundle = terminal.next_bundle();
        (bundle.keys[1].signs_until, bundle.keys[1].verify_until) = (signs_until, verify_until);
        let bytes = terminal.authority.sign_bundle(&bundle);
        terminal.takes(Reply::Trust(bytes), &["trust 2", "no status"]);
    }
    // One that only adds a key does not.
    let mut terminal = Terminal::with_list();
    let mut bundle = terminal.next_bundle();
    bundle.keys.push(trusted(&new_key, KeyUse::Status));
    let bytes = terminal.authority.sign_bundle(&bundle);
    terminal.takes(Reply::Trust(bytes), &["trust 2"]);
}

#[test]
fn root_changes_come_in_turn() {
    let mut terminal = Terminal::with_list();
    let (d, e) = (SecretKey::from_seed(&[61; 32]), SecretKey::from_seed(&[62; 32]));
    let [a, b, _] = terminal.authority.roots.clone();
    let roots = |key: &SecretKey| RootSet::new(vec![key.public_key()], 1).unwrap();
    let second = TrustBundle { roots: roots(&d), ..terminal.next_bundle() };
    let third = TrustBundle { version: 3, roots: roots(&e), ..terminal.next_bundle() };
    let (second, third) = (second.sign(&[&a, &b, &d]), third.sign(&[&d, &e]));
    let too_few = TrustError::TooFewSignatures { of: Roots::Held };
    terminal.refuses(Reply::Trust(third.clone()), TerminalFault::Trust(too_few));
    terminal.takes(Reply::Trust(second), &["trust 2"]);
    terminal.takes(Reply::Trust(third), &["trust 3"]);
    let older = terminal.authority.sign_bundle(&terminal.next_bundle());
    terminal.refuses(Reply::Trust(older), TerminalFault::Trust(too_few));
}

#[test]
fn deltas_that_do_not_fit_say_what_is_needed() {
    let mut terminal = Terminal::with_list();
    let delta = |from, to| Reply::StatusDelta(Authority::new(7).sign_delta(&list(from), &list(to)));
    terminal.refuses(delta(2, 3), TerminalFault::Status(StatusFault::NeedsSnapshot));
    let full = STATUS_DELTAS_MAX as u64;
    for number in 1..=full {
        terminal.takes(delta(number, number + 1), &[&format!("status {}", number + 1)]);
    }
    terminal.refuses(delta(full + 1, full + 2), TerminalFault::Status(StatusFault::ChainFull));
    // Asked again, the server begins at the snapshot, and the chain is one step long.
    let key_id = terminal.authority.status_key.public_key().key_id();
    assert_eq!(terminal.asks().status, Some((version(1), key_id)));
    terminal.takes(delta(1, full + 2), &[&format!("status {}", full + 2)]);
    assert_eq!(terminal.asks().status, Some((version(full + 2), key_id)));
}

#[test]
fn frames_of_other_exchanges_have_no_place() {
    let mut terminal = Terminal::with_list();
    terminal.refuses(Reply::Retired(MemberId([1; 16])), TerminalFault::Unexpected);
    terminal.refuses(Reply::Activated(MemberId([1; 16])), TerminalFault::Unexpected);
    assert_eq!(terminal.session.marks().floor(terminal.session.trust().claims()), UnixSeconds(1_780_290_001));
}
