//! Attacks on the trust bundle, which is a small TUF root, and what the published advisories of TUF programs would be here.
//!
//! | advisory | what it was | here |
//! |---|---|---|
//! | CVE-2020-6174 (python-tuf), CVE-2020-15093 (tough) | one key's signatures counted several times | [`a_key_counts_once_however_often_it_signs`] |
//! | GMS-2022-4197 (python-tuf) | the same for the new root set of a root change | [`a_root_change_is_signed_by_both_thresholds_and_by_nobody_less`] |
//! | CVE-2020-6173 (python-tuf) | a heap of bad signatures takes minutes | [`a_heap_of_bad_signatures_is_bounded`] |
//! | CVE-2020-15163 (python-tuf) | a root that failed was kept and trusted next time; own threshold not asked | [`what_was_refused_is_neither_kept_nor_built_upon`] |
//! | CVE-2022-29173 (go-tuf), CVE-2025-2888 (tough) | versions compared with nothing, or kept before the checks had passed | [`what_was_refused_is_neither_kept_nor_built_upon`], [`a_list_that_was_refused_leaves_no_mark`] |
//! | CVE-2025-2885 (tough) | the version of the next root not checked | [`nothing_leads_back_to_an_older_bundle`]: a version may be skipped, a change of roots never |
//! | CVE-2026-23992 (go-tuf) | a threshold of 0 is met by nobody's signatures | [`a_threshold_of_none_is_no_threshold`] |
//! | CVE-2026-23991 (go-tuf) | malformed metadata panics | `fields/trust` |
//! | CVE-2015-9258 (Notary) | the message chooses the algorithm | `fields/envelope`: the algorithm is the key's |
//! | CVE-2015-9259 (Notary) | an expired root is taken for ever | [`an_expired_bundle_refuses_nobody_and_accepts_nobody`] |
//! | CVE-2021-41131 (python-tuf), CVE-2021-41149 and -41150 (tough), CVE-2026-24137 (sigstore), CVE-2026-24686 (go-tuf) | names in metadata become paths of files | cannot be: a bundle names no file, role or address |
//! | CVE-2024-47534 (go-tuf), CVE-2025-2886, CVE-2025-2887, GHSA-j8x2-777p-23fc and CVE-2026-6967 (tough) | delegations followed in the wrong order, in circles, or unchecked | cannot be: there are no delegations, the roots name every key themselves |

use bhyt_core::cbor::DecodeError;
use bhyt_core::cose::Verified;
use bhyt_core::held_status::StatusFault;
use bhyt_core::keys::{KeyId, SecretKey, Signature};
use bhyt_core::limits::{TRUST_BYTES_MAX, TRUST_SIGNATURES_MAX};
use bhyt_core::marks::{Marks, StatusRefusal};
use bhyt_core::presentation::Presentation;
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::messages::Reply;
use bhyt_core::sync::terminal::{TerminalFault, TerminalSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, RootSet, Roots, TrustBundle, TrustError};
use bhyt_tests::authority::{Authority, DAY, ListDraft, at, example_card};
use bhyt_tests::desk::Desk;
use bhyt_tests::forge::{bundle_payload_of, seal_bundle};
use bhyt_tests::surgery::Item;

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn roots(keys: &[&SecretKey], threshold: usize) -> RootSet {
    RootSet::new(keys.iter().map(|key| key.public_key()).collect(), threshold).unwrap()
}

/// A terminal that holds version 5 of 1 June 2026.
struct Terminal {
    authority: Authority,
    held: Verified<TrustBundle>,
}

impl Terminal {
    fn new() -> Self {
        let authority = Authority::new(7);
        let held = authority.trust(&authority.bundle(5, at(2026, 6, 1)));
        Self { authority, held }
    }

    fn next(&self) -> TrustBundle {
        self.authority.bundle(6, at(2026, 7, 1))
    }

    fn offer(&self, bytes: &[u8]) -> Result<u64, TrustError> {
        trust::accept(&self.held, bytes).map(|next| next.map_or(5, |next| next.claims().version))
    }
}

#[test]
fn nothing_leads_back_to_an_older_bundle() {
    let terminal = Terminal::new();
    let sign = |bundle: &TrustBundle| terminal.authority.sign_bundle(bundle);
    for got in 0..5 {
        // However new it says it is.
        let older = TrustBundle { version: got, ..terminal.next() };
        assert_eq!(terminal.offer(&sign(&older)), Err(TrustError::Rollback { held: 5, got }));
    }
    assert_eq!(
        terminal.offer(&sign(&TrustBundle { version: 5, ..terminal.next() })),
        Err(TrustError::Fork { version: 5 })
    );
    for version in [6, 7, 1_000, u64::MAX] {
        assert_eq!(terminal.offer(&sign(&TrustBundle { version, ..terminal.next() })), Ok(version));
    }
    // By old roots, after they were left, not even forward.
    let [a, b, _] = &terminal.authority.roots;
    let (d, e) = (secret(21), secret(22));
    let changed = TrustBundle { roots: roots(&[&d, &e], 2), ..terminal.next() };
    let held = trust::accept(&terminal.held, &changed.sign(&[a, b, &d, &e])).unwrap().unwrap();
    for version in [0, 5, 6, 7, u64::MAX] {
        let back = terminal.authority.sign_bundle(&TrustBundle { version, ..terminal.next() });
        assert_eq!(
            trust::accept(&held, &back).unwrap_err(),
            TrustError::TooFewSignatures { of: Roots::Held }
        );
    }
}

/// Every set of signers there is, out of the three old roots, two new ones, one of both sets, and a stranger.
#[test]
fn a_root_change_is_signed_by_both_thresholds_and_by_nobody_less() {
    let terminal = Terminal::new();
    let [a, b, c] = &terminal.authority.roots;
    let (d, e, stranger) = (secret(21), secret(22), secret(99));
    let next = TrustBundle { roots: roots(&[c, &d, &e], 2), ..terminal.next() };
    let all = [a, b, c, &d, &e, &stranger];
    for signers in 1_u32..1 << all.len() {
        let signs = |at: usize| signers >> at & 1 == 1;
        let count = |keys: [usize; 3]| keys.into_iter().filter(|at| signs(*at)).count();
        let (old, new) = (count([0, 1, 2]), count([2, 3, 4]));
        let keys: Vec<&SecretKey> = (0..all.len()).filter(|at| signs(*at)).map(|at| all[at]).collect();
        let expected = match (old >= 2, new >= 2) {
            (false, _) => Err(TrustError::TooFewSignatures { of: Roots::Held }),
            (true, false) => Err(TrustError::TooFewSignatures { of: Roots::Own }),
            (true, true) => Ok(6),
        };
        assert_eq!(terminal.offer(&next.sign(&keys)), expected, "{signers:06b}");
        // In another order too; and as an anchor the old roots say nothing.
        let turned: Vec<&SecretKey> = keys.iter().rev().copied().collect();
        assert_eq!(terminal.offer(&next.sign(&turned)), expected, "{signers:06b}");
        assert_eq!(trust::anchor(&next.sign(&keys)).is_ok(), new >= 2, "{signers:06b}");
    }
}

#[test]
fn a_key_counts_once_however_often_it_signs() {
    let terminal = Terminal::new();
    let [a, b, c] = &terminal.authority.roots;
    let next = terminal.next();
    for signers in [&[a, a][..], &[a, a, a], &[a, b, b], &[c, a, b, c]] {
        assert_eq!(terminal.offer(&next.sign(signers)), Err(TrustError::DuplicateSigner));
    }
    // Under the names of the others: a name is part of what is signed, and is looked up, never believed.
    let id = |key: &SecretKey| key.public_key().key_id();
    let as_other = |key: &SecretKey, name: KeyId| (name, key.sign(&next.to_be_signed(name)));
    let by_a = as_other(a, id(a));
    for forged in [
        as_other(a, id(b)),
        (id(b), a.sign(&next.to_be_signed(id(a)))),
        (id(b), by_a.1),
        as_other(a, KeyId([0; 8])),
        (id(b), Signature([0; 64])),
    ] {
        let found = terminal.offer(&next.seal(&[by_a, forged]));
        assert_eq!(found, Err(TrustError::TooFewSignatures { of: Roots::Held }));
    }
    // A root set in which one key stands twice is none: it would reach its threshold alone.
    let payload = bundle_payload_of(&next.sign(&[a, b]));
    let tree = Item::parse(&payload);
    let doubled = tree.with("4[1]", tree.at("4[0]").clone()).encode();
    let found = terminal.offer(&seal_bundle(&doubled, &doubled, &[a, b]));
    assert_eq!(found, Err(TrustError::Unreadable(DecodeError::Malformed("root keys"))));
}

#[test]
fn a_threshold_of_none_is_no_threshold() {
    let terminal = Terminal::new();
    let [a, b, _] = &terminal.authority.roots;
    let tree = Item::parse(&bundle_payload_of(&terminal.next().sign(&[a, b])));
    let malformed = Err(TrustError::Unreadable(DecodeError::Malformed("root keys")));
    for threshold in [0, 4, 16, 1 << 32, (1 << 64) - 1] {
        let payload = tree.with("5", Item::Int(threshold)).encode();
        assert_eq!(terminal.offer(&seal_bundle(&payload, &payload, &[a, b])), malformed, "{threshold}");
        // Nobody's signature does not reach it either: there is no bundle without one.
        let unsigned = terminal.offer(&seal_bundle(&payload, &payload, &[]));
        assert!(matches!(unsigned, Err(TrustError::Unreadable(DecodeError::Malformed(_)))));
    }
    // Nor is a set without keys one.
    for count in [Item::Int(0), Item::Int(1)] {
        let payload = tree.with("4", Item::Array(Vec::new())).with("5", count).encode();
        assert_eq!(terminal.offer(&seal_bundle(&payload, &payload, &[a, b])), malformed);
    }
}

/// Of a known root one signature is checked, of anybody else none, and there are 32 at most.
#[test]
fn a_heap_of_bad_signatures_is_bounded() {
    let terminal = Terminal::new();
    let [a, b, _] = &terminal.authority.roots;
    let next = terminal.next();
    let junk = |count: usize| (0..count).map(|at| (KeyId([at as u8; 8]), Signature([at as u8; 64])));
    let good = [a, b].map(|root| {
        let id = root.public_key().key_id();
        (id, root.sign(&next.to_be_signed(id)))
    });
    let with = |count: usize| next.seal(&junk(count).chain(good).collect::<Vec<_>>());
    assert_eq!(terminal.offer(&with(TRUST_SIGNATURES_MAX - 2)), Ok(6));
    let malformed = Err(TrustError::Unreadable(DecodeError::Malformed("number of signatures")));
    for count in [TRUST_SIGNATURES_MAX - 1, 255, 400] {
        assert_eq!(terminal.offer(&with(count)), malformed, "{count} besides");
    }
    // And what is longer than a bundle may be is not even looked at.
    let long = with(900);
    assert!(long.len() > TRUST_BYTES_MAX);
    assert_eq!(
        terminal.offer(&long),
        Err(TrustError::Unreadable(DecodeError::Malformed("trust bundle too long")))
    );
}

/// A chain of three, the second of them not rightly signed: nothing of it is kept, nothing is taken that builds upon it,
/// and the right one is taken afterwards as if nothing had been.
#[test]
fn what_was_refused_is_neither_kept_nor_built_upon() {
    let terminal = Terminal::new();
    let [a, b, _] = &terminal.authority.roots;
    let (d, e, f) = (secret(21), secret(22), secret(23));
    let sixth = terminal.next();
    let seventh = TrustBundle { version: 7, roots: roots(&[&d, &e], 2), ..sixth.clone() };
    let eighth = TrustBundle { version: 8, ..seventh.clone() };
    let mut session = TerminalSession::new(terminal.held.clone(), None, Marks::default(), None);
    let too_few = |of| TerminalFault::Trust(TrustError::TooFewSignatures { of });
    assert_eq!(session.handle(Reply::Trust(sixth.sign(&[a, b]))).unwrap().len(), 1);
    for (bytes, fault) in [
        // Its own roots have signed it, and one of ours.
        (seventh.sign(&[a, &d, &e]), too_few(Roots::Held)),
        // Ours have, and not its own.
        (seventh.sign(&[a, b, &d]), too_few(Roots::Own)),
        // What would follow on it, rightly signed by its roots.
        (eighth.sign(&[&d, &e]), too_few(Roots::Held)),
        (eighth.sign(&[&d, &e, &f]), too_few(Roots::Held)),
    ] {
        assert_eq!(session.handle(Reply::Trust(bytes)).unwrap_err(), fault);
        assert_eq!(session.trust().claims().version, 6);
    }
    // One who noted the refused version would be stuck now.
    for (bytes, version) in [(seventh.sign(&[a, b, &d, &e]), 7), (eighth.sign(&[&d, &e]), 8)] {
        assert_eq!(session.handle(Reply::Trust(bytes)).unwrap().len(), 1);
        assert_eq!(session.trust().claims().version, version);
    }
}

/// The same for lists: a version that was seen and refused is not a mark, or one bad list would keep all others out.
#[test]
fn a_list_that_was_refused_leaves_no_mark() {
    let authority = Authority::new(7);
    let noon = at(2026, 6, 1);
    let mut desk = Desk::with_list(&authority, &ListDraft::new(10, noon), noon);
    let marks = desk.marks.clone();
    let end = desk.trust.claims().expires;
    let far = |time| {
        let version = StatusVersion { epoch: u32::MAX, number: u64::MAX };
        ListDraft { version, ..ListDraft::new(1, time) }.list()
    };
    let forged = {
        let mut bytes = authority.sign_list(&far(end));
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    for (bytes, fault) in [
        (forged, StatusFault::Unverified),
        (bhyt_tests::authority::sign_list(&authority.card_key, &far(end)), StatusRefusal::UnknownKey.into()),
        (authority.sign_list(&far(end.plus(1))), StatusRefusal::FromTheFuture.into()),
        (authority.sign_list(&far(noon.minus(1))), StatusRefusal::TimeWentBack.into()),
    ] {
        assert_eq!(desk.take_list(&bytes), Err(fault));
        assert_eq!(desk.marks, marks);
    }
    desk.take_list(&authority.sign_list(&ListDraft::new(11, noon.plus(1)).list())).unwrap();
}

/// Somebody keeps bundle and lists from a terminal, for good. Nobody is ever refused because of it; in the end nothing is
/// decided any more, and until then every answer says how old it is.
#[test]
fn a_freeze_refuses_nobody_and_ends_undecided() {
    let authority = Authority::new(7);
    let noon = at(2026, 6, 1);
    let bundle = authority.bundle(1, noon);
    let mut desk =
        Desk::new(authority.trust(&bundle), &authority.sign_list(&ListDraft::new(1, noon).list()), noon);
    let card = bhyt_core::card::CardClaims { valid_to: None, ..example_card() };
    let card = Presentation::new(authority.sign_card(card), None);
    for day in 0..700 {
        desk.clock = noon.plus(day * DAY);
        let expected = match day {
            0..=1 => "accept fresh no_proof 000".to_owned(),
            2..=30 => format!("accept stale:{} no_proof 000", day * DAY),
            _ => "undecided status_too_old 500".to_owned(),
        };
        assert_eq!(desk.answer(&card), expected, "day {day}");
    }
    // The lists come and the bundle does not: it vouches for none that is later than its own end.
    let bytes = authority.sign_list(&ListDraft::new(2, noon.plus(400 * DAY + 1)).list());
    assert_eq!(desk.take_list(&bytes), Err(StatusRefusal::FromTheFuture.into()));
    desk.take_list(&authority.sign_list(&ListDraft::new(2, noon.plus(400 * DAY)).list())).unwrap();
    for (day, expected) in [
        (400, "accept fresh no_proof 000"),
        (401, "accept fresh no_proof 000"),
        (430, "accept stale:2592000 no_proof 000"),
        (431, "undecided status_too_old 500"),
        (999_999, "undecided status_too_old 500"),
    ] {
        desk.clock = noon.plus(day * DAY);
        assert_eq!(desk.answer(&card), expected, "day {day}");
    }
}

/// Also as the first bundle of a new terminal, that somebody gives an old stick to.
#[test]
fn an_expired_bundle_refuses_nobody_and_accepts_nobody() {
    let authority = Authority::new(7);
    let old = authority.bundle(1, at(2024, 1, 1));
    let card = Presentation::new(authority.sign_card(example_card()), None);
    let now = at(2026, 6, 1);
    let mut desk = Desk::without_list(authority.trust(&old), now);
    // By its clock the card stands, by all that the terminal has proof of its first day is years ahead.
    assert_eq!(desk.answer(&card), "undecided clock_untrusted 500");
    let beyond = authority.sign_list(&ListDraft::new(1, now).list());
    assert_eq!(desk.take_list(&beyond), Err(StatusRefusal::FromTheFuture.into()));
    // The last list that such a bundle can vouch for is of the end of its life.
    desk.take_list(&authority.sign_list(&ListDraft::new(1, old.expires).list())).unwrap();
    assert_eq!(desk.answer(&card), "undecided clock_untrusted 500");
    let open =
        bhyt_core::card::CardClaims { valid_to: None, valid_from: at(2024, 1, 2).day(), ..example_card() };
    let open = Presentation::new(authority.sign_card(open), None);
    assert_eq!(desk.answer(&open), "undecided status_too_old 500");
}

/// Bundles at the ends of what numbers can say: taken by whoever's roots sign them, and no answer turns red by it.
#[test]
fn a_bundle_without_keys_knows_nobody_and_refuses_nobody() {
    let authority = Authority::new(7);
    let noon = at(2026, 6, 1);
    let card = Presentation::new(authority.sign_card(example_card()), None);
    let empty = TrustBundle { keys: Vec::new(), ..authority.bundle(1, noon) };
    let mut desk = Desk::without_list(authority.trust(&empty), noon);
    assert_eq!(desk.answer(&card), "undecided unknown_key 500");
    let list = authority.sign_list(&ListDraft::new(1, noon).list());
    assert_eq!(desk.take_list(&list), Err(StatusRefusal::UnknownKey.into()));
    for issued in [0, 1, noon.0, u64::MAX - 1, u64::MAX] {
        let issued = UnixSeconds(issued);
        for expires in [0, noon.0, u64::MAX] {
            let bundle =
                TrustBundle { expires: UnixSeconds(expires), issued, ..authority.bundle(u64::MAX, noon) };
            let desk = Desk::without_list(authority.trust(&bundle), noon);
            assert!(desk.answer(&card).starts_with("undecided"), "{issued:?} {expires}");
        }
    }
}
