//! Base45 (RFC 9285) as the text of a QR carries it, through [`Presentation`]. Data: `tests/vectors/base45_rfc9285.json`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::cbor::DecodeError;
use bhyt_core::ids::from_hex;
use bhyt_core::presentation::{Presentation, TEXT_PREFIX};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    pairs: Vec<Pair>,
    largest_triplet: Pair,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Pair {
    bytes: String,
    text: String,
}

#[derive(Deserialize)]
struct Refused {
    text: String,
    why: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/base45_rfc9285.json")).unwrap()
}

fn decode(base45: &str) -> Result<Presentation, DecodeError> {
    Presentation::decode_text(&format!("{TEXT_PREFIX}{base45}"))
}

/// A presentation of a short card begins with two bytes of CBOR, so the card's whole pairs stand in the text as the
/// RFC has them, three characters on.
#[test]
fn texts_of_the_rfc_stand_in_ours() {
    let vectors = vectors();
    for Pair { bytes, text } in vectors.pairs.iter().chain([&vectors.largest_triplet]) {
        let card = from_hex(bytes).unwrap();
        let ours = Presentation::new(card.clone(), None).encode_text();
        let body = ours.strip_prefix(TEXT_PREFIX).unwrap();
        let whole_pairs = text.get(..card.len() / 2 * 3).unwrap();
        let after_head = body.get(3..).unwrap();
        assert!(after_head.starts_with(whole_pairs), "{text} in {body}");
        assert_eq!(decode(body).unwrap().card_bytes(), card, "{text}");
    }
}

/// What the RFC's decoder takes is Base45 to us as well, and then no presentation.
#[test]
fn texts_of_the_rfc_are_read_as_base45() {
    let vectors = vectors();
    for Pair { text, .. } in vectors.pairs.iter().chain([&vectors.largest_triplet]) {
        let fault = decode(text).unwrap_err();
        assert_ne!(fault, DecodeError::Malformed("not Base45"), "{text}");
    }
}

#[test]
fn texts_that_the_rfc_refuses_are_refused() {
    for Refused { text, why } in vectors().refused {
        assert_eq!(decode(&text), Err(DecodeError::Malformed("not Base45")), "{text}: {why}");
        let fault = decode(&format!("BB8{text}")).unwrap_err();
        assert_eq!(fault, DecodeError::Malformed("not Base45"), "BB8{text}: {why}");
    }
}
