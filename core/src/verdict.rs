//! The one answer of verification. Three outcomes, because the law has three (NĐ 188/2025 Đ38: a clinic that cannot
//! check admits the patient and checks later), and two questions kept apart: is the card good, is the holder proven.

use crate::card::CardClaims;
use crate::card_record::ReducedCode;
use crate::keys::KeyId;
use crate::presentation::{Challenge, Presentation};
use crate::replay::SeenProof;
use crate::status::StatusVersion;
use crate::time::UnixSeconds;

/// The answer to one presentation. The card's claims can be read from here and from nowhere before.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) card: Option<CardClaims>,
    pub(crate) evidence: Evidence,
    pub(crate) relied_on: Option<SeenProof>,
}

impl Verdict {
    /// What was decided.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What the card says; `None` when its signature was not verified. Present beside a refusal too, so that the clerk
    /// sees what is refused.
    pub fn card(&self) -> Option<&CardClaims> {
        self.card.as_ref()
    }

    /// What the answer rests on.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The proof that the terminal must remember, when the holder was proven by it.
    pub fn relied_on(&self) -> Option<SeenProof> {
        self.relied_on
    }

    /// The code that the national portal answers in this case (`maKetQua`).
    pub fn portal_code(&self) -> u16 {
        match self.outcome {
            Outcome::Accept(accept) => accept.note.map_or(0, AcceptNote::portal_code),
            Outcome::Reject(reason) => reason.portal_code(),
            Outcome::Undecided(_) => 500,
        }
    }

    /// The same verdict at a desk that shows `challenge`: only an answer to it proves the holder. A proof by the clocks may
    /// have been filmed elsewhere a minute ago, and is neither relied on nor remembered.
    pub fn demanding(mut self, challenge: &Challenge, presentation: &Presentation) -> Self {
        let answered = presentation.proof().is_some_and(|proof| proof.challenge.as_ref() == Some(challenge));
        if let Outcome::Accept(Accept { holder: holder @ Holder::Proven(_), .. }) = &mut self.outcome
            && !answered
        {
            *holder = Holder::Unproven(UnprovenReason::ChallengeUnanswered);
            self.relied_on = None;
        }
        self
    }

    /// The same verdict with the knowledge that `successor` has been seen: a superseded card in its dates is then
    /// answered 004. Without effect on any other verdict, and for a card of another person or an earlier one.
    pub fn with_successor(mut self, successor: &CardClaims) -> Self {
        // The first day comes first: a card is signed again, with a new time, whenever a device renews its hold.
        let age = |card: &CardClaims| (card.valid_from, card.issued_at);
        let follows = self.card.as_ref().is_some_and(|card| {
            card.social_number == successor.social_number
                && card.status_index != successor.status_index
                && age(card) <= age(successor)
        });
        if let Outcome::Accept(Accept { note: Some(AcceptNote::Superseded(seen)), .. }) = &mut self.outcome
            && follows
        {
            *seen = Successor::InHand;
        }
        self
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Hợp lệ.
    Accept(Accept),
    /// Không hợp lệ: proven so.
    Reject(RejectReason),
    /// Chưa xác minh được: admit the patient, check again later.
    Undecided(UndecidedReason),
}

/// A good card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// How new the knowledge is.
    pub freshness: Freshness,
    /// Whether the person at the desk holds the card.
    pub holder: Holder,
    /// What the clerk should know besides.
    pub note: Option<AcceptNote>,
}

/// How new the status list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Within the policy's fresh time.
    Fresh,
    /// Older, and still good for an answer; seconds.
    Stale {
        /// Age of the list.
        age_seconds: u64,
    },
}

/// Whether the holder is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The card's own device made a fresh proof.
    Proven(Basis),
    /// No such proof: compare a photo document.
    Unproven(UnprovenReason),
}

/// What makes a proof fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Its time is now.
    Clock,
    /// It answers this terminal's challenge.
    Challenge,
}

/// Why a holder is not proven, on a card that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnprovenReason {
    /// A printed card, or one without a device.
    NoProof,
    /// Made too long ago: a screenshot, or a phone whose clock is behind.
    ProofStale,
    /// Made ahead of now: a phone whose clock is ahead.
    ProofFromFuture,
    /// Used here before, or made for another check than this one (a spent challenge, another terminal's).
    ProofSeenBefore,
    /// The device was retired from the card.
    DeviceRetired,
    /// The device's hold on the card has ended; it renews at sync.
    BindingEnded,
    /// This terminal's clock is behind what it knows to have happened.
    ClockUntrusted,
    /// The desk asked for an answer to its challenge, and this is a proof without one.
    ChallengeUnanswered,
}

impl UnprovenReason {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoProof => "no_proof",
            Self::ProofStale => "proof_stale",
            Self::ProofFromFuture => "proof_from_future",
            Self::ProofSeenBefore => "proof_seen_before",
            Self::DeviceRetired => "device_retired",
            Self::BindingEnded => "binding_ended",
            Self::ClockUntrusted => "clock_untrusted",
            Self::ChallengeUnanswered => "challenge_unanswered",
        }
    }
}

/// What the clerk should know of a good card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptNote {
    /// A new card was issued; this one still stands in its dates.
    Superseded(Successor),
    /// Issued by the army: check the card and an identity document.
    ArmyManaged,
    /// Issued by the police: the same.
    PoliceManaged,
}

impl AcceptNote {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Superseded(_) => "superseded",
            Self::ArmyManaged => "army_managed",
            Self::PoliceManaged => "police_managed",
        }
    }

    fn portal_code(self) -> u16 {
        match self {
            Self::Superseded(Successor::InHand) => 4,
            Self::Superseded(Successor::NotSeen) => 0,
            Self::ArmyManaged => 1,
            Self::PoliceManaged => 2,
        }
    }
}

/// Whether this terminal has seen the card that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// Not yet.
    NotSeen,
    /// Yes.
    InHand,
}

/// Why a card is refused. Each of these is proven; missing or old knowledge never refuses anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Not a card of ours.
    Malformed,
    /// The signature does not hold, or the key may not sign this card.
    BadSignature,
    /// Thu hồi.
    Withdrawn,
    /// Báo giảm.
    Reduced(ReducedCode),
    /// Its first day is still to come.
    NotYetValid,
    /// Its last day is over.
    Expired,
    /// Its last day is over and a new card was issued.
    Superseded,
    /// The proof was not made by the card's device.
    BadProof,
}

impl RejectReason {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::Withdrawn => "withdrawn",
            Self::Reduced(_) => "reduced",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::BadProof => "bad_proof",
        }
    }

    fn portal_code(self) -> u16 {
        match self {
            Self::Malformed => 51,
            Self::BadSignature | Self::BadProof => 50,
            Self::Withdrawn => 110,
            Self::Reduced(code) => u16::from(code.value()),
            Self::NotYetValid | Self::Expired => 10,
            Self::Superseded => 3,
        }
    }
}

/// Why nothing could be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndecidedReason {
    /// Made by a newer version than this program understands.
    NeedsUpdate,
    /// No such key in the trust bundle.
    UnknownKey,
    /// The list should speak of this card and does not.
    NotCovered,
    /// The dates depend on which of clock and floor is right.
    ClockUntrusted,
    /// Tạm giữ.
    Held,
    /// The status list is too old to answer.
    StatusTooOld,
    /// There is no status list.
    NoStatusList,
    /// The trust bundle is long over.
    TrustExpired,
}

impl UndecidedReason {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NeedsUpdate => "needs_update",
            Self::UnknownKey => "unknown_key",
            Self::NotCovered => "not_covered",
            Self::ClockUntrusted => "clock_untrusted",
            Self::Held => "held",
            Self::StatusTooOld => "status_too_old",
            Self::NoStatusList => "no_status_list",
            Self::TrustExpired => "trust_expired",
        }
    }
}

/// What a verdict rests on, for the log of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The key that signed the card, as far as it was read.
    pub card_key: Option<KeyId>,
    /// The trust bundle's version.
    pub trust_version: u64,
    /// The status list's version.
    pub status_version: Option<StatusVersion>,
    /// The status list's age at the time used.
    pub status_age_seconds: Option<u64>,
    /// What the terminal's clock said.
    pub clock: UnixSeconds,
    /// The earliest that it can be.
    pub floor: UnixSeconds,
    /// The later of both: the time that dates were judged at.
    pub judged_at: UnixSeconds,
    /// When the phone made the proof.
    pub proof_time: Option<UnixSeconds>,
}
