//! One card at one desk: what the tables of verdicts are made of. Noon of 1 June 2026 unless a case says otherwise; the
//! card is in its dates and not listed, the list is of that noon.

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::CardStanding;
use bhyt_core::presentation::Presentation;
use bhyt_core::status::reason::SetNumber;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{TrustBundle, TrustedKey};
use bhyt_core::verdict::Verdict;

use crate::authority::{Authority, DAY, ListDraft, Phone, at, example_card};
use crate::desk::{Desk, line};
use crate::forge::{Forge, payload_of, with_claim};

/// Everything that a verdict is made of, to be changed by a test.
#[derive(Debug)]
pub struct Case {
    /// Who signs.
    pub authority: Authority,
    /// The terminal's bundle.
    pub bundle: TrustBundle,
    /// The card.
    pub card: CardClaims,
    /// The terminal's list.
    pub list: Option<ListDraft>,
    /// The terminal's clock.
    pub clock: UnixSeconds,
    /// What becomes of the signed card on its way.
    pub show: Show,
}

/// Makes of a signed card what is shown at this time.
pub type Show = fn(&Authority, &[u8], UnixSeconds) -> Presentation;

impl Default for Case {
    fn default() -> Self {
        let (authority, clock) = (Authority::new(7), at(2026, 6, 1));
        let bundle = authority.bundle(1, clock.minus(30 * DAY));
        let list = Some(ListDraft::new(1, clock));
        Self { authority, bundle, card: example_card(), list, clock, show: printed }
    }
}

impl Case {
    /// The usual case, changed.
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut case = Self::default();
        change(&mut case);
        case
    }

    /// The list, of a case that has one.
    pub fn list(&mut self) -> &mut ListDraft {
        self.list.as_mut().expect("a case with a list")
    }

    /// Lists the card.
    pub fn stand(&mut self, standing: CardStanding) {
        let index = self.card.status_index;
        self.list().sets.set_standing(index, standing);
    }

    /// Puts the card in several sets at once, which a server of ours never does.
    pub fn stand_in(&mut self, sets: &[i64]) {
        let index = u64::from(self.card.status_index.0);
        for set in sets {
            self.list().sets.insert(SetNumber::new(*set).expect("a set's number"), index);
        }
    }

    /// Takes the card's key out of the bundle.
    pub fn forget_card_key(&mut self) {
        self.bundle.keys.remove(0);
    }

    /// The card's window of signing ended the day before the card was signed.
    pub fn end_key_before_card(&mut self) {
        let before = self.card.issued_at.minus(DAY);
        self.card_key().signs_until = Some(before);
    }

    /// 180 days after the bundle's end, under a policy that takes lists as old as that: under the usual one they are too
    /// old first.
    pub fn let_trust_expire(&mut self) {
        self.bundle.policy.stale_seconds = 999 * DAY;
        self.card.valid_to = None;
        let end = self.bundle.expires;
        self.list().time = end;
        self.clock = end.plus(180 * DAY);
    }

    /// The card's key in the bundle.
    pub fn card_key(&mut self) -> &mut TrustedKey {
        self.bundle.keys.first_mut().expect("a bundle of the authority's")
    }

    /// The verdict.
    pub fn verify(&self) -> Verdict {
        let trust = self.authority.trust(&self.bundle);
        let desk = match &self.list {
            Some(list) => Desk::new(trust, &self.authority.sign_list(&list.list()), self.clock),
            None => Desk::without_list(trust, self.clock),
        };
        let card = self.authority.sign_card(self.card.clone());
        desk.verify(&(self.show)(&self.authority, &card, self.clock))
    }

    /// The verdict in one line.
    pub fn answer(&self) -> String {
        line(&self.verify())
    }
}

/// As on paper.
pub fn printed(_: &Authority, card: &[u8], _: UnixSeconds) -> Presentation {
    Presentation::new(card.to_vec(), None)
}

/// With a proof by a phone that the card does not name.
pub fn with_foreign_proof(_: &Authority, card: &[u8], clock: UnixSeconds) -> Presentation {
    Phone::new(99).present(card, clock, None)
}

/// With a byte after its end.
pub fn with_extra_byte(_: &Authority, card: &[u8], _: UnixSeconds) -> Presentation {
    Presentation::new([card, &[0]].concat(), None)
}

/// With one bit of the signature changed.
pub fn with_bad_signature(_: &Authority, card: &[u8], _: UnixSeconds) -> Presentation {
    let mut card = card.to_vec();
    card.last_mut().into_iter().for_each(|last| *last ^= 1);
    Presentation::new(card, None)
}

/// With the claim {−1: 1}, signed for real.
pub fn with_negative_claim(authority: &Authority, card: &[u8], _: UnixSeconds) -> Presentation {
    let payload = with_claim(&payload_of(card), &[0x20, 0x01]);
    Presentation::new(Forge::card(&authority.card_key, &payload).sign(), None)
}

/// Claims that are no card, {1: "BHXH"}, signed for real.
pub fn without_claims(authority: &Authority, _: &[u8], _: UnixSeconds) -> Presentation {
    let payload = [0xa1, 1, 0x64, b'B', b'H', b'X', b'H'];
    Presentation::new(Forge::card(&authority.card_key, &payload).sign(), None)
}
