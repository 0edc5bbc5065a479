//! The worked example of `docs/formats.md`: the bytes on the page are the bytes that the code makes.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::cose::{Signed, Unsigned};
use bhyt_core::ids::{BindingNumber, hex};
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation::{Presentation, UnsignedProof};
use bhyt_core::presentation_key::{KeyKind, PresentationSecret};
use bhyt_core::time::UnixSeconds;
use bhyt_tests::authority::{day, example_card};

#[test]
fn the_page_shows_the_bytes_that_the_code_makes() {
    let issuer = SecretKey::from_seed(&[1; 32]);
    let phone = SecretKey::from_seed(&[2; 32]);
    let binding = Binding {
        key: phone.public_key().into(),
        number: BindingNumber::new(3).unwrap(),
        end: day(2026, 6, 30),
    };
    let claims = CardClaims { binding: Some(binding), ..example_card() };
    let card = Unsigned::new(claims.clone(), issuer.public_key().key_id()).sign(&issuer);
    let proof =
        UnsignedProof { time: UnixSeconds(1_767_600_000), nonce: [0xa1, 0xb2, 0xc3, 0xd4], challenge: None };
    let signature = phone.sign(&proof.to_be_signed(card.bytes()));
    let presentation = Presentation::new(card.bytes().to_vec(), Some(proof.seal(signature)));

    let read = Signed::<CardClaims>::decode(card.bytes()).unwrap().verify(&issuer.public_key()).unwrap();
    assert_eq!(read.claims(), &claims);
    let page = include_str!("../../docs/formats.md");
    let bytes_on_page: String = page.split("```text").skip(1).map(hex_column).collect();
    assert!(bytes_on_page.contains(&hex(card.bytes())), "card:\n{}", hex(card.bytes()));
    let flat: String = page.split_whitespace().collect();
    let text: String = presentation.encode_text().split_whitespace().collect();
    assert!(flat.contains(&text), "text:\n{}", presentation.encode_text());
    for (what, key) in [("issuer", &issuer), ("phone", &phone)] {
        assert!(
            flat.contains(&hex(key.public_key().as_bytes())),
            "{what}: {}",
            hex(key.public_key().as_bytes())
        );
        assert!(flat.contains(&hex(&key.public_key().key_id().0)), "{what}: {}", key.public_key().key_id());
    }
    println!("card {} bytes, text {} characters", card.bytes().len(), presentation.encode_text().len());
}

/// The same card, held by a phone whose secure element knows only P-256.
#[test]
fn the_page_shows_the_bytes_of_a_phone_on_p256() {
    let issuer = SecretKey::from_seed(&[1; 32]);
    let phone = PresentationSecret::from_bytes(KeyKind::P256, &[2; 32]).unwrap();
    let (key, number) = (phone.public_key(), BindingNumber::new(3).unwrap());
    let binding = Binding { key, number, end: day(2026, 6, 30) };
    let claims = CardClaims { binding: Some(binding), ..example_card() };
    let card = Unsigned::new(claims, issuer.public_key().key_id()).sign(&issuer);
    let proof =
        UnsignedProof { time: UnixSeconds(1_767_600_000), nonce: [0xa1, 0xb2, 0xc3, 0xd4], challenge: None };
    let proof = proof.seal(phone.sign(&proof.to_be_signed(card.bytes())));
    assert_eq!(proof.verify(card.bytes(), &key), Ok(()));
    let signature = hex(&proof.signature.0);
    let text = Presentation::new(card.bytes().to_vec(), Some(proof)).encode_text();

    let page = include_str!("../../docs/formats.md");
    let lines = page.lines().map(|line| line.split(" ; ").next().unwrap_or_default());
    let flat: String = lines.flat_map(str::split_whitespace).collect::<String>().replace("``", "");
    for shown in [hex(&key.to_cose_key()), hex(&key.key_id().0), signature, text] {
        assert!(flat.contains(&shown.split_whitespace().collect::<String>()), "{shown}");
    }
    println!("card {} bytes", card.bytes().len());
}

/// The hexadecimal digits of a block, comments after `;` left out.
fn hex_column(block: &str) -> String {
    let block = block.split("```").next().unwrap_or_default();
    let lines = block.lines().map(|line| line.split(';').next().unwrap_or_default());
    lines.collect::<String>().split_whitespace().collect()
}
