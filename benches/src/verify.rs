//! What a whole verification costs beside the two signatures in it.

use std::hint::black_box;
use std::time::Instant;

use bhyt_core::cose::{Unsigned, Verified};
use bhyt_core::held_status::HeldStatus;
use bhyt_core::keys::SecretKey;
use bhyt_core::marks::Marks;
use bhyt_core::replay::ReplayCache;
use bhyt_core::trust::{KeyUse, Policy, RootSet, TrustBundle, TrustedKey, anchor};
use bhyt_core::verdict::Outcome;
use bhyt_core::verify::{Now, verify_text};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::card::{now, present, sign};
use crate::chance::Chance;
use crate::figure::{Figure, Goal, Promise};
use crate::run::{Group, Run, Scale};
use crate::sample::Pairs;
use crate::status::{CARDS, national_list};

/// `verify.ratio`.
pub(crate) const VERIFY: &Group = &Group { promises: &[VERIFY_RATIO], measure: verify };

fn verify(run: &mut Run) {
    let scale = run.scale;
    let issuer = SecretKey::from_seed(&[1; 32]);
    let status_key = SecretKey::from_seed(&[5; 32]);
    let trust = trust(&issuer, &status_key);
    let list = Unsigned::new(national_list(0.01, scale), status_key.public_key().key_id()).sign(&status_key);
    let taken = HeldStatus::accept(None, list.bytes(), trust.claims(), &Marks::default());
    let (status, marks) = taken.expect("our own list");
    let now = Now { clock: now(), floor: marks.floor(trust.claims()) };

    let mut chance = Chance::new(7);
    let texts = make_texts(&issuer, &status, scale, &mut chance);
    let signatures = make_signatures(texts.len(), &mut chance);
    let replay = ReplayCache::default();
    let mut pairs = Pairs::default();
    for (texts, signatures) in texts.chunks(TURN).zip(signatures.chunks(TURN)) {
        let started = Instant::now();
        for text in texts {
            let verdict = verify_text(black_box(text), &trust, Some(&status), &replay, now);
            assert!(matches!(verdict.outcome(), Outcome::Accept(_)), "a good card");
        }
        let ours = started.elapsed();
        let started = Instant::now();
        for (key, message, signature) in signatures {
            let key = VerifyingKey::from_bytes(black_box(key)).expect("a key");
            key.verify_strict(message, signature).expect("a signature");
        }
        pairs.add(ours, 2 * started.elapsed());
    }
    run.found(Figure::ratio(&VERIFY_RATIO, pairs.ratio(), pairs.limit() * 1e6 / TURN as f64));
}

fn make_texts(issuer: &SecretKey, status: &HeldStatus, scale: Scale, chance: &mut Chance) -> Vec<String> {
    let wanted = scale.of(10_000).max(TURN as u64);
    let mut texts = Vec::new();
    while (texts.len() as u64) < wanted {
        let index = chance.below(scale.of(CARDS)) as u32;
        let standing = status.list().lookup(bhyt_core::ids::StatusIndex(index));
        if standing != bhyt_core::status::Standing::default() {
            continue;
        }
        let phone = SecretKey::from_seed(&chance.bytes());
        let (_, card) = sign(issuer, &phone, index);
        texts.push(present(&phone, card, chance.bytes()).encode_text());
    }
    texts
}

fn make_signatures(count: usize, chance: &mut Chance) -> Vec<([u8; 32], Vec<u8>, Signature)> {
    let make = |_| {
        let key = SigningKey::from_bytes(&chance.bytes());
        let message = chance.bytes::<200>().to_vec();
        (key.verifying_key().to_bytes(), message.clone(), key.sign(&message))
    };
    (0..count).map(make).collect()
}

/// A bundle in force that names a card key and a status key.
pub(crate) fn trust(issuer: &SecretKey, status: &SecretKey) -> Verified<TrustBundle> {
    let root = SecretKey::from_seed(&[9; 32]);
    let issued = now().minus(86_400);
    let key = |key: &SecretKey, usage| TrustedKey {
        key: key.public_key(),
        usage,
        signs_from: bhyt_core::time::UnixSeconds(0),
        signs_until: None,
        verify_until: None,
        ranges: Vec::new(),
    };
    let bundle = TrustBundle {
        version: 1,
        issued,
        expires: issued.plus(400 * 86_400),
        roots: RootSet::new(vec![root.public_key()], 1).expect("a root"),
        keys: vec![key(issuer, KeyUse::Card), key(status, KeyUse::Status)],
        policy: Policy::default(),
        status: None,
    };
    anchor(&bundle.sign(&[&root])).expect("our own bundle")
}

/// Verifications in one turn; short enough that both sides see the same machine.
const TURN: usize = 100;

const VERIFY_RATIO: Promise = Promise {
    id: "verify.ratio",
    unit: "ratio",
    limit_unit: "µs",
    goal: Goal::AtMost(1.15),
    how: "Live presentation, text in, verdict out, of 10,000 distinct cards and keys, each once, with the national list \
          loaded; ÷ 2 × (`from_bytes` + `verify_strict`) of ed25519-dalek with as many distinct keys, in turns of 100.",
    cause: "",
};
