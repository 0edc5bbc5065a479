//! The one function that verifies. Rows of the verdict table (docs/formats.md, "Verdict") are numbered in the code; the
//! first that applies decides. Pure: same arguments, same verdict.

use crate::card::{Binding, CardClaims, Validity};
use crate::cbor::DecodeError;
use crate::cose::{Signed, Verified, VerifyError};
use crate::held_status::HeldStatus;
use crate::keys::KeyId;
use crate::limits::CLOCK_DOUBT_DAYS;
use crate::marks;
use crate::presentation::{Presentation, Proof};
use crate::replay::{ReplayCache, SeenProof};
use crate::status::{Coverage, Standing};
use crate::time::{DAY_SECONDS, UnixSeconds};
use crate::trust::{KeyUse, Policy, TrustBundle};
use crate::verdict::{
    Accept, AcceptNote, Basis, Evidence, Freshness, Holder, Outcome, RejectReason, Successor,
    UndecidedReason, UnprovenReason, Verdict,
};

/// What the terminal's clock says, and the earliest that it can be ([`crate::marks::Marks::floor`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock.
    pub clock: UnixSeconds,
    /// The latest time that a status list or bundle proves to have come.
    pub floor: UnixSeconds,
}

impl Now {
    /// A clock below the floor is wrong: the card is judged at the floor.
    pub fn judged_at(self) -> UnixSeconds {
        self.clock.max(self.floor)
    }
}

/// Answers a scanned text. As [`verify`], with the reading of the text as its first row.
pub fn verify_text(
    text: &str,
    trust: &Verified<TrustBundle>,
    status: Option<&HeldStatus>,
    replay: &ReplayCache,
    now: Now,
) -> Verdict {
    match Presentation::decode_text(text) {
        Ok(presentation) => verify(&presentation, trust, status, replay, now),
        Err(error) => Check::new(trust, status, replay, now).end(unreadable(error)),
    }
}

/// Answers a presentation: is the card good, and is the holder proven. Never fails; whatever cannot be decided is
/// [`Outcome::Undecided`]. The caller remembers [`Verdict::relied_on`] in the replay cache.
pub fn verify(
    presentation: &Presentation,
    trust: &Verified<TrustBundle>,
    status: Option<&HeldStatus>,
    replay: &ReplayCache,
    now: Now,
) -> Verdict {
    let mut check = Check::new(trust, status, replay, now);
    check.evidence.proof_time = presentation.proof().map(|proof| proof.time);
    let outcome = check.decide(presentation).unwrap_or_else(|outcome| outcome);
    check.end(outcome)
}

/// One verification on its way.
struct Check<'a> {
    trust: &'a TrustBundle,
    status: Option<&'a HeldStatus>,
    replay: &'a ReplayCache,
    now: Now,
    card: Option<CardClaims>,
    evidence: Evidence,
    relied_on: Option<SeenProof>,
}

/// A row of the table either passes with a value or decides.
type Row<T> = Result<T, Outcome>;

impl<'a> Check<'a> {
    fn new(
        trust: &'a Verified<TrustBundle>,
        status: Option<&'a HeldStatus>,
        replay: &'a ReplayCache,
        now: Now,
    ) -> Self {
        let trust = trust.claims();
        // The bundle in hand was made, whatever floor the caller brings; a list in force raises it below.
        let floor = now.floor.max(trust.issued);
        // A list that the bundle would not take now is no list: a stolen key is undone by the next bundle.
        let status =
            status.filter(|status| marks::check_signer(trust, status.key_id(), status.mark(), floor).is_ok());
        let floor = status.map_or(floor, |status| floor.max(status.list().time()));
        let now = Now { floor, ..now };
        let judged_at = now.judged_at();
        let evidence = Evidence {
            card_key: None,
            trust_version: trust.version,
            status_version: status.map(|status| status.list().version()),
            status_age_seconds: status.map(|status| judged_at.since(status.list().time())),
            clock: now.clock,
            floor: now.floor,
            judged_at,
            proof_time: None,
        };
        Self { trust, status, replay, now, card: None, evidence, relied_on: None }
    }

    fn end(self, outcome: Outcome) -> Verdict {
        Verdict { outcome, card: self.card, evidence: self.evidence, relied_on: self.relied_on }
    }

    fn decide(&mut self, presentation: &Presentation) -> Row<Outcome> {
        let card = self.read_card(presentation.card_bytes())?;
        let standing = self.check_standing(&card)?;
        self.check_dates(&card, &standing)?;
        let freshness = self.check_knowledge(&standing)?;
        let holder = self.check_holder(presentation, card.binding.as_ref(), &card)?;
        let note = match card.number.group_and_province() {
            _ if standing.superseded => Some(AcceptNote::Superseded(Successor::NotSeen)),
            Some(("QN", _) | (_, "97")) => Some(AcceptNote::ArmyManaged),
            Some(("CA", _) | (_, "98")) => Some(AcceptNote::PoliceManaged),
            _ => None,
        };
        Ok(Outcome::Accept(Accept { freshness, holder, note }))
    }

    /// Rows 1 to 3: the card's shape, key and signature. Claims are read after the signature holds, and kept for the
    /// verdict whatever follows.
    fn read_card(&mut self, bytes: &[u8]) -> Row<CardClaims> {
        let signed = Signed::<CardClaims>::decode(bytes).map_err(unreadable)?;
        let key_id = signed.key_id();
        self.evidence.card_key = Some(key_id);
        let key = self.trust.key(key_id, KeyUse::Card).ok_or_else(|| self.unknown_key(key_id))?;
        let card = match signed.verify(&key.key) {
            Ok(card) => card.into_claims(),
            Err(VerifyError::BadSignature) => {
                return Err(Outcome::Reject(RejectReason::BadSignature));
            }
            Err(VerifyError::Payload(error)) => return Err(unreadable(error)),
        };
        // The key's end is judged by the floor: a clock that runs ahead must not turn cards red.
        let permitted = key.may_sign_at(card.issued_at)
            && key.covers(card.status_index)
            && key.verifies_at(self.now.floor);
        if !permitted {
            return Err(Outcome::Reject(RejectReason::BadSignature));
        }
        self.card = Some(card.clone());
        Ok(card)
    }

    /// A key of another use is known, and may not sign cards.
    fn unknown_key(&self, key_id: KeyId) -> Outcome {
        let known = self
            .trust
            .keys
            .iter()
            .any(|key| key.key.key_id() == key_id && !matches!(key.usage, KeyUse::Other(_)));
        if known {
            Outcome::Reject(RejectReason::BadSignature)
        } else {
            Outcome::Undecided(UndecidedReason::UnknownKey)
        }
    }

    /// Rows 2 (a newer reason), 4 and 5: what the status list says. Without a list nothing is said here; row 8 follows.
    fn check_standing(&self, card: &CardClaims) -> Row<Standing> {
        let Some(status) = self.status else {
            return Ok(Standing::default());
        };
        let list = status.list();
        let standing = list.lookup(card.status_index);
        if standing.unknown_reason {
            return Err(Outcome::Undecided(UndecidedReason::NeedsUpdate));
        }
        if list.coverage(card.status_index, card.issued_at) == Coverage::NotCovered {
            return Err(Outcome::Undecided(UndecidedReason::NotCovered));
        }
        if standing.withdrawn {
            return Err(Outcome::Reject(RejectReason::Withdrawn));
        }
        match standing.reduced {
            Some(code) => Err(Outcome::Reject(RejectReason::Reduced(code))),
            None => Ok(standing),
        }
    }

    /// Rows 6 and 7: the dates, by clock and by floor.
    fn check_dates(&self, card: &CardClaims, standing: &Standing) -> Row<()> {
        let (clock, floor) = (self.now.clock, self.now.floor);
        let apart = clock.since(floor).max(floor.since(clock));
        if card.validity_at(clock) != card.validity_at(floor) && apart > CLOCK_DOUBT_DAYS * DAY_SECONDS {
            return Err(Outcome::Undecided(UndecidedReason::ClockUntrusted));
        }
        match card.validity_at(self.now.judged_at()) {
            Validity::Valid => Ok(()),
            Validity::NotYet => Err(Outcome::Reject(RejectReason::NotYetValid)),
            Validity::Over if standing.superseded => Err(Outcome::Reject(RejectReason::Superseded)),
            Validity::Over => Err(Outcome::Reject(RejectReason::Expired)),
        }
    }

    /// Row 8: whether enough is known, and how new it is.
    fn check_knowledge(&self, standing: &Standing) -> Row<Freshness> {
        let undecided = |reason| Err(Outcome::Undecided(reason));
        let policy = &self.trust.policy;
        if standing.held {
            return undecided(UndecidedReason::Held);
        }
        let Some(age_seconds) = self.evidence.status_age_seconds else {
            return undecided(UndecidedReason::NoStatusList);
        };
        if age_seconds > policy.stale_seconds {
            return undecided(UndecidedReason::StatusTooOld);
        }
        if self.now.judged_at() >= self.trust.expires.plus(policy.trust_grace_seconds) {
            return undecided(UndecidedReason::TrustExpired);
        }
        let fresh = age_seconds <= policy.fresh_seconds;
        Ok(if fresh { Freshness::Fresh } else { Freshness::Stale { age_seconds } })
    }

    /// Row 9 and the holder's part of row 10.
    fn check_holder(
        &mut self,
        presentation: &Presentation,
        binding: Option<&Binding>,
        card: &CardClaims,
    ) -> Row<Holder> {
        let Some(proof) = presentation.proof() else {
            return Ok(Holder::Unproven(UnprovenReason::NoProof));
        };
        let bytes = presentation.card_bytes();
        let binding = binding.filter(|binding| proof.verify(bytes, &binding.key).is_ok());
        let binding = binding.ok_or(Outcome::Reject(RejectReason::BadProof))?;
        let retired =
            self.status.is_some_and(|s| s.list().binding_retired(card.status_index, binding.number));
        if retired {
            return Ok(Holder::Unproven(UnprovenReason::DeviceRetired));
        }
        if self.now.judged_at().day() > binding.end {
            return Ok(Holder::Unproven(UnprovenReason::BindingEnded));
        }
        let seen = SeenProof { key: proof.replay_key(bytes), time: proof.time };
        match self.check_freshness(proof, &seen) {
            Ok(basis) => {
                let time = match basis {
                    Basis::Clock => proof.time,
                    Basis::Challenge => self.now.clock,
                };
                self.relied_on = Some(SeenProof { time, ..seen });
                Ok(Holder::Proven(basis))
            }
            Err(reason) => Ok(Holder::Unproven(reason)),
        }
    }

    /// Whether the proof was made for this check: by this terminal's challenge, or by the clocks of both sides.
    fn check_freshness(&self, proof: &Proof, seen: &SeenProof) -> Result<Basis, UnprovenReason> {
        let Policy { proof_age_seconds: age, proof_ahead_seconds: ahead, .. } = self.trust.policy;
        let clock = self.now.clock;
        if self.replay.has_seen(&seen.key) {
            return Err(UnprovenReason::ProofSeenBefore);
        }
        match &proof.challenge {
            Some(challenge) if self.replay.awaits(challenge, clock) => return Ok(Basis::Challenge),
            // Made for another terminal, or for a challenge that is spent or over.
            Some(_) => return Err(UnprovenReason::ProofSeenBefore),
            None => {}
        }
        // Servers and terminals never agree to the second: a floor this little ahead is no doubt.
        if clock.plus(ahead) < self.now.floor {
            return Err(UnprovenReason::ClockUntrusted);
        }
        if proof.time > clock.plus(ahead) {
            return Err(UnprovenReason::ProofFromFuture);
        }
        if proof.time < clock.minus(age) || proof.time < self.replay.forgotten_before() {
            return Err(UnprovenReason::ProofStale);
        }
        Ok(Basis::Clock)
    }
}

fn unreadable(error: DecodeError) -> Outcome {
    match error {
        DecodeError::Malformed(_) => Outcome::Reject(RejectReason::Malformed),
        DecodeError::NeedsUpdate => Outcome::Undecided(UndecidedReason::NeedsUpdate),
    }
}
