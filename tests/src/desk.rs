//! A clinic's desk: what a terminal holds and what its clock says. Its answer is one line, so that a test is a table:
//! outcome, freshness, holder, note, and the portal's code.

use bhyt_core::cose::Verified;
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::marks::Marks;
use bhyt_core::presentation::{Challenge, Presentation};
use bhyt_core::replay::ReplayCache;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::TrustBundle;
use bhyt_core::verdict::{Accept, Basis, Freshness, Holder, Outcome, Verdict};
use bhyt_core::verify::{Now, verify};

use crate::authority::{Authority, DAY, ListDraft};

/// What a terminal decides from.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The keys.
    pub trust: Verified<TrustBundle>,
    /// The list.
    pub status: Option<HeldStatus>,
    /// What never goes back.
    pub marks: Marks,
    /// Proofs seen and challenges shown.
    pub replay: ReplayCache,
    /// What the clock says.
    pub clock: UnixSeconds,
}

impl Desk {
    /// A desk with a bundle, and no list.
    pub fn without_list(trust: Verified<TrustBundle>, clock: UnixSeconds) -> Self {
        Self { trust, status: None, marks: Marks::default(), replay: ReplayCache::default(), clock }
    }

    /// A desk with a bundle and a list.
    pub fn new(trust: Verified<TrustBundle>, list: &[u8], clock: UnixSeconds) -> Self {
        let mut desk = Self::without_list(trust, clock);
        desk.take_list(list).expect("a list to begin with");
        desk
    }

    /// The desk of most tests: bundle 1 made thirty days ago, and a list made just now.
    pub fn of(authority: &Authority, clock: UnixSeconds) -> Self {
        Self::with_list(authority, &ListDraft::new(1, clock), clock)
    }

    /// The same with another list.
    pub fn with_list(authority: &Authority, list: &ListDraft, clock: UnixSeconds) -> Self {
        let trust = authority.trust(&authority.bundle(1, clock.minus(30 * DAY)));
        Self::new(trust, &authority.sign_list(&list.list()), clock)
    }

    /// Takes a snapshot or delta, as a terminal does: marks first.
    pub fn take_list(&mut self, bytes: &[u8]) -> Result<(), StatusFault> {
        let (status, marks) =
            HeldStatus::accept(self.status.as_ref(), bytes, self.trust.claims(), &self.marks)?;
        self.marks = marks;
        self.status = Some(status);
        Ok(())
    }

    /// Clock and floor.
    pub fn now(&self) -> Now {
        Now { clock: self.clock, floor: self.marks.floor(self.trust.claims()) }
    }

    /// The verdict, with nothing remembered.
    pub fn verify(&self, presentation: &Presentation) -> Verdict {
        verify(presentation, &self.trust, self.status.as_ref(), &self.replay, self.now())
    }

    /// The verdict in one line.
    pub fn answer(&self, presentation: &Presentation) -> String {
        line(&self.verify(presentation))
    }

    /// The verdict in one line, and the proof remembered that it rests on, as a terminal does.
    pub fn scan(&mut self, presentation: &Presentation) -> String {
        let verdict = self.verify(presentation);
        if let Some(proof) = verdict.relied_on() {
            let challenge = presentation.proof().and_then(|proof| proof.challenge);
            self.replay.remember(proof, challenge.as_ref(), &self.trust.claims().policy);
        }
        line(&verdict)
    }

    /// Shows a challenge for two minutes.
    pub fn show(&mut self, challenge: Challenge) {
        self.replay.show_challenge(challenge, self.clock.plus(120), self.clock);
    }
}

/// A verdict in one line: `accept fresh no_proof 000`, `reject expired 010`, `undecided held 500`.
pub fn line(verdict: &Verdict) -> String {
    let words = match verdict.outcome() {
        Outcome::Accept(accept) => accepted(&accept),
        Outcome::Reject(reason) => format!("reject {}", reason.name()),
        Outcome::Undecided(reason) => format!("undecided {}", reason.name()),
    };
    format!("{words} {:03}", verdict.portal_code())
}

fn accepted(accept: &Accept) -> String {
    let freshness = match accept.freshness {
        Freshness::Fresh => "fresh".to_owned(),
        Freshness::Stale { age_seconds } => format!("stale:{age_seconds}"),
    };
    let holder = match accept.holder {
        Holder::Proven(Basis::Clock) => "proven_by_clock",
        Holder::Proven(Basis::Challenge) => "proven_by_challenge",
        Holder::Unproven(reason) => reason.name(),
    };
    let note = accept.note.map_or_else(String::new, |note| format!(" {}", note.name()));
    format!("accept {freshness} {holder}{note}")
}
