//! An issuing authority, a phone and a terminal made of bytes: what the verdict tests are told in. Synthetic people
//! only; every key comes from a seed, every time is an argument.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::cose::{Unsigned, Verified};
use bhyt_core::ids::{
    BenefitLevel, BindingNumber, CardNumber, FacilityCode, FullName, LivingArea, Sex, SocialNumber,
    StatusIndex,
};
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation::{Challenge, Presentation, UnsignedProof};
use bhyt_core::presentation_key::{KeyKind, PresentationKey, PresentationSecret};
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::delta::Delta;
use bhyt_core::status::list::{Covers, StatusHead};
use bhyt_core::status::{StatusList, StatusVersion};
use bhyt_core::time::{BirthDate, Day, UnixSeconds};
use bhyt_core::trust::{self, IndexRange, KeyUse, Policy, RootSet, TrustBundle, TrustedKey};

/// Keys of everybody who signs.
#[derive(Debug)]
pub struct Authority {
    /// Three root keys; two must sign.
    pub roots: [SecretKey; 3],
    /// Signs cards.
    pub card_key: SecretKey,
    /// Signs status lists.
    pub status_key: SecretKey,
    /// Signs feed heads.
    pub head_key: SecretKey,
    /// Signs receipts.
    pub receipt_key: SecretKey,
}

impl Authority {
    /// The authority of a seed.
    pub fn new(seed: u8) -> Self {
        let key = |part: u8| SecretKey::from_seed(&[seed, part].repeat(16).try_into().expect("32 bytes"));
        let [card_key, status_key, head_key, receipt_key] = [4, 5, 6, 7].map(key);
        Self { roots: [key(1), key(2), key(3)], card_key, status_key, head_key, receipt_key }
    }

    /// Version `version`, issued at `issued`, for 400 days, knowing no status list.
    pub fn bundle(&self, version: u64, issued: UnixSeconds) -> TrustBundle {
        TrustBundle {
            version,
            issued,
            expires: issued.plus(400 * DAY),
            roots: RootSet::new(self.roots.iter().map(SecretKey::public_key).collect(), 2)
                .expect("three keys"),
            keys: vec![
                trusted(&self.card_key, KeyUse::Card),
                trusted(&self.status_key, KeyUse::Status),
                trusted(&self.head_key, KeyUse::Head),
            ],
            policy: Policy::default(),
            status: None::<StatusVersion>,
        }
    }

    /// The bytes of a bundle, signed by the first two roots.
    pub fn sign_bundle(&self, bundle: &TrustBundle) -> Vec<u8> {
        let [first, second, _] = &self.roots;
        bundle.sign(&[first, second])
    }

    /// A bundle, signed and verified.
    pub fn trust(&self, bundle: &TrustBundle) -> Verified<TrustBundle> {
        trust::anchor(&self.sign_bundle(bundle)).expect("our own bundle")
    }

    /// A card's signed bytes.
    pub fn sign_card(&self, claims: CardClaims) -> Vec<u8> {
        Unsigned::new(claims, self.card_key.public_key().key_id()).sign(&self.card_key).bytes().to_vec()
    }

    /// A status snapshot's signed bytes.
    pub fn sign_list(&self, list: &StatusList) -> Vec<u8> {
        sign_list(&self.status_key, list)
    }

    /// The signed bytes of the delta from one list to another.
    pub fn sign_delta(&self, from: &StatusList, to: &StatusList) -> Vec<u8> {
        let delta = Delta::between(from, to).expect("lists that follow each other");
        Unsigned::new(delta, self.status_key.public_key().key_id()).sign(&self.status_key).bytes().to_vec()
    }
}

/// A key of a bundle, without an end and for all indexes.
pub fn trusted(key: &SecretKey, usage: KeyUse) -> TrustedKey {
    TrustedKey {
        key: key.public_key(),
        usage,
        signs_from: UnixSeconds(0),
        signs_until: None,
        verify_until: None,
        ranges: Vec::new(),
    }
}

/// A status snapshot's signed bytes, by any key.
pub fn sign_list(key: &SecretKey, list: &StatusList) -> Vec<u8> {
    Unsigned::new(list.clone(), key.public_key().key_id()).sign(key).bytes().to_vec()
}

/// A status list in the making: nothing listed, indexes below 131,072 covered, cards known that were signed up to its
/// time.
#[derive(Clone, Debug)]
pub struct ListDraft {
    /// What is listed.
    pub sets: StatusSets,
    /// Epoch and number.
    pub version: StatusVersion,
    /// When it is made.
    pub time: UnixSeconds,
    /// Indexes below are covered,
    pub indexes_below: u64,
    /// except these.
    pub reserved: Vec<IndexRange>,
}

impl ListDraft {
    /// Number `number` of epoch 1, made at `time`.
    pub fn new(number: u64, time: UnixSeconds) -> Self {
        Self {
            sets: StatusSets::default(),
            version: StatusVersion { epoch: 1, number },
            time,
            indexes_below: 131_072,
            reserved: Vec::new(),
        }
    }

    /// The list.
    pub fn list(&self) -> StatusList {
        let covers =
            Covers::new(self.indexes_below, self.time, self.reserved.clone()).expect("ranges in order");
        let head = StatusHead { version: self.version, time: self.time, covers };
        self.sets.to_list(head).expect("a list")
    }
}

/// A member's phone: its presentation key.
#[derive(Debug)]
pub struct Phone(PresentationSecret);

impl Phone {
    /// The phone of a seed.
    pub fn new(seed: u8) -> Self {
        Self::of_kind(KeyKind::Ed25519, seed)
    }

    /// The phone of a seed, with a key of this kind.
    pub fn of_kind(kind: KeyKind, seed: u8) -> Self {
        Self(PresentationSecret::from_bytes(kind, &[seed; 32]).expect("a key"))
    }

    /// Its public key.
    pub fn key(&self) -> PresentationKey {
        self.0.public_key()
    }

    /// Binding 3 of this phone, until `end`.
    pub fn binding(&self, end: Day) -> Binding {
        Binding { key: self.0.public_key(), number: BindingNumber::new(3).expect("a number"), end }
    }

    /// A live presentation made at `time`.
    pub fn present(&self, card: &[u8], time: UnixSeconds, challenge: Option<Challenge>) -> Presentation {
        self.prove(card, UnsignedProof { time, nonce: [1, 2, 3, 4], challenge })
    }

    /// A live presentation with this proof.
    pub fn prove(&self, card: &[u8], proof: UnsignedProof) -> Presentation {
        let signature = self.0.sign(&proof.to_be_signed(card));
        Presentation::new(card.to_vec(), Some(proof.seal(signature)))
    }
}

/// The card of the examples: Nguyễn Thị Thử, valid through 2026, five-year date and area present, no binding.
pub fn example_card() -> CardClaims {
    CardClaims {
        number: CardNumber::parse("DN4999900000017").expect("a number"),
        valid_from: day(2026, 1, 1),
        valid_to: Some(day(2026, 12, 31)),
        issued_at: at(2025, 12, 20),
        binding: None,
        social_number: SocialNumber::parse("9900000017").expect("a number"),
        full_name: FullName::parse("Nguyễn Thị Thử").expect("a name"),
        birth_date: BirthDate::Day(day(1994, 3, 5)),
        sex: Sex::Female,
        facility: FacilityCode::parse("99024").expect("a code"),
        five_years: Some(day(2025, 6, 1)),
        area: LivingArea::parse("K1"),
        level: BenefitLevel::new(4).expect("a level"),
        status_index: StatusIndex(70_000),
    }
}

/// A day that exists.
pub fn day(year: i32, month: u32, day: u32) -> Day {
    Day::from_ymd(year, month, day).expect("a day that exists")
}

/// Noon in Vietnam of that day.
pub fn at(year: i32, month: u32, of_month: u32) -> UnixSeconds {
    day(year, month, of_month).start().plus(DAY / 2)
}

/// Seconds in a day.
pub const DAY: u64 = 86_400;
