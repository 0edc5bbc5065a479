//! How large a card and a live code are. The fixture: a number of 15 characters, a name of 22 bytes, five-year date,
//! area, presentation key, binding.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::cose::Unsigned;
use bhyt_core::ids::{
    BenefitLevel, BindingNumber, CardNumber, FacilityCode, FullName, LivingArea, Sex, SocialNumber,
    StatusIndex,
};
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation::{Presentation, UnsignedProof};
use bhyt_core::time::{BirthDate, Day, UnixSeconds};
use bhyt_sdk::QrMatrix;

use crate::figure::{Figure, Goal, Promise};
use crate::run::{Group, Run};

/// `card.bytes`.
pub(crate) const CARD: &Group = &Group { promises: &[CARD_BYTES], measure: card };
/// `live.bytes`, `live.qr_version`.
pub(crate) const LIVE: &Group = &Group { promises: &[LIVE_BYTES, LIVE_VERSION], measure: live };

fn card(run: &mut Run) {
    let (_, card) = sign(&SecretKey::from_seed(&[1; 32]), &SecretKey::from_seed(&[2; 32]), 70_000);
    run.found(Figure::value(&CARD_BYTES, card.len() as f64));
}

fn live(run: &mut Run) {
    let phone = SecretKey::from_seed(&[2; 32]);
    let (_, card) = sign(&SecretKey::from_seed(&[1; 32]), &phone, 70_000);
    let presentation = present(&phone, card, [1, 2, 3, 4]);
    let code = QrMatrix::for_screen(&presentation.encode_text()).expect("a code");
    run.found(Figure::value(&LIVE_BYTES, presentation.encode().len() as f64));
    run.found(Figure::value(&LIVE_VERSION, f64::from(code.version())));
}

/// The fixture's card, signed, held by `phone`.
pub(crate) fn sign(issuer: &SecretKey, phone: &SecretKey, index: u32) -> (CardClaims, Vec<u8>) {
    let claims = CardClaims {
        number: known(CardNumber::parse("DN4999900000017")),
        valid_from: day(2026, 1, 1),
        valid_to: Some(day(2026, 12, 31)),
        issued_at: day(2025, 12, 20).start(),
        binding: Some(Binding {
            key: phone.public_key().into(),
            number: known(BindingNumber::new(3)),
            end: day(2026, 12, 1),
        }),
        social_number: known(SocialNumber::parse("9900000017")),
        full_name: known(FullName::parse("Nguyễn Văn Mẫu An")),
        birth_date: BirthDate::Day(day(1994, 3, 5)),
        sex: Sex::Male,
        facility: known(FacilityCode::parse("99024")),
        five_years: Some(day(2025, 6, 1)),
        area: LivingArea::parse("K1"),
        level: known(BenefitLevel::new(4)),
        status_index: StatusIndex(index),
    };
    let card = Unsigned::new(claims.clone(), issuer.public_key().key_id()).sign(issuer);
    (claims, card.bytes().to_vec())
}

/// A live presentation of now.
pub(crate) fn present(phone: &SecretKey, card: Vec<u8>, nonce: [u8; 4]) -> Presentation {
    let proof = UnsignedProof { time: now(), nonce, challenge: None };
    let signature = phone.sign(&proof.to_be_signed(&card));
    Presentation::new(card, Some(proof.seal(signature)))
}

/// Noon of 1 June 2026 in Vietnam.
pub(crate) fn now() -> UnixSeconds {
    day(2026, 6, 1).start().plus(43_200)
}

pub(crate) fn day(year: i32, month: u32, of_month: u32) -> Day {
    known(Day::from_ymd(year, month, of_month))
}

fn known<T>(value: Option<T>) -> T {
    value.expect("the fixture is well formed")
}

const CARD_BYTES: Promise = Promise {
    id: "card.bytes",
    unit: "bytes",
    limit_unit: "",
    goal: Goal::AtMost(250.0),
    how: "The signed card of a fixed fixture: a number of 15 characters, a name of 22 bytes, a five-year date, area, \
          presentation key and binding.",
    cause: "",
};
const LIVE_BYTES: Promise = Promise {
    id: "live.bytes",
    unit: "bytes",
    limit_unit: "",
    goal: Goal::AtMost(330.0),
    how: "That card with a proof of this moment, before Base45.",
    cause: "",
};
const LIVE_VERSION: Promise = Promise {
    id: "live.qr_version",
    unit: "version at L",
    limit_unit: "",
    goal: Goal::AtMost(12.0),
    how: "The QR code of that text as the phone draws it on its screen, at error correction L.",
    cause: "",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixture_has_everything_that_its_description_says() {
        let (claims, _) = sign(&SecretKey::from_seed(&[1; 32]), &SecretKey::from_seed(&[2; 32]), 70_000);
        assert_eq!(claims.number.as_str().len(), 15);
        assert_eq!(claims.full_name.as_str().len(), 22);
        assert!(claims.five_years.is_some() && claims.area.is_some() && claims.binding.is_some());
    }
}
