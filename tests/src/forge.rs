//! Signed objects put together by hand, so that any part of one can be wrong while the rest is right.

use bhyt_core::cbor;
use bhyt_core::cose::{Object, sig_structure};
use bhyt_core::keys::{KeyId, SecretKey, Signature};

/// A COSE_Sign1 in the making. As it begins, it is what a card key signs.
#[derive(Clone, Debug)]
pub struct Forge {
    /// Signs.
    pub key: SecretKey,
    /// The bytes of the tag; 18 is `d2`.
    pub tag: Vec<u8>,
    /// The protected header, without its byte string.
    pub protected: Vec<u8>,
    /// The unprotected header; the empty map is `a0`.
    pub unprotected: Vec<u8>,
    /// What the signature speaks of.
    pub object: Object,
    /// The payload, without its byte string.
    pub payload: Vec<u8>,
}

impl Forge {
    /// A card credential with this payload, signed by `key`.
    pub fn card(key: &SecretKey, payload: &[u8]) -> Self {
        Self {
            key: key.clone(),
            tag: vec![0xd2],
            protected: protected(-19, key.public_key().key_id()),
            unprotected: vec![0xa0],
            object: Object::Card,
            payload: payload.to_vec(),
        }
    }

    /// The bytes, with a signature that holds for them.
    pub fn sign(&self) -> Vec<u8> {
        self.join(&self.payload)
    }

    /// The bytes with another payload under the signature that was made for this one.
    pub fn with_payload_unsigned(&self, payload: &[u8]) -> Vec<u8> {
        self.join(payload)
    }

    fn join(&self, payload: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(&sig_structure(&self.protected, self.object, &self.payload));
        let parts = [bstr(&self.protected), self.unprotected.clone(), bstr(payload), bstr(&signature.0)];
        [self.tag.clone(), vec![0x84], parts.concat()].concat()
    }
}

/// The protected header {1: algorithm, 4: key id}.
pub fn protected(algorithm: i64, key_id: KeyId) -> Vec<u8> {
    cbor::encode(|e| {
        e.map(2)?.u8(1)?.i64(algorithm)?.u8(4)?.bytes(&key_id.0)?;
        Ok(())
    })
}

/// A CBOR byte string.
pub fn bstr(bytes: &[u8]) -> Vec<u8> {
    cbor::encode(|e| {
        e.bytes(bytes)?;
        Ok(())
    })
}

/// The payload of a signed card.
pub fn payload_of(card: &[u8]) -> Vec<u8> {
    let mut d = cbor::decoder(card).expect("CBOR");
    d.tag().and_then(|_| d.array()).and_then(|_| d.bytes()).and_then(|_| d.map()).expect("a COSE_Sign1");
    d.bytes().expect("a payload").to_vec()
}

/// The payload of a signed bundle.
pub fn bundle_payload_of(bundle: &[u8]) -> Vec<u8> {
    let mut d = cbor::decoder(bundle).expect("CBOR");
    d.tag().and_then(|_| d.array()).and_then(|_| d.bytes()).and_then(|_| d.map()).expect("a COSE_Sign");
    d.bytes().expect("a payload").to_vec()
}

/// A bundle of this payload, with signatures of these roots over `signed`; for a good bundle, the payload.
pub fn seal_bundle(payload: &[u8], signed: &[u8], roots: &[&SecretKey]) -> Vec<u8> {
    let signatures = roots.iter().map(|root| {
        let protected = protected(-19, root.public_key().key_id());
        let signature = root.sign(&bundle_to_be_signed(&protected, Object::Trust, signed));
        [&[0x83], &bstr(&protected)[..], &[0xa0], &bstr(&signature.0)].concat()
    });
    join_bundle(payload, &signatures.collect::<Vec<_>>())
}

/// A COSE_Sign of these signatures, each an encoded COSE_Signature.
pub fn join_bundle(payload: &[u8], signatures: &[Vec<u8>]) -> Vec<u8> {
    cbor::encode(|e| {
        e.tag(minicbor::data::Tag::new(98))?.array(4)?.bytes(&[])?.map(0)?.bytes(payload)?;
        e.array(signatures.len() as u64)?;
        e.writer_mut().extend_from_slice(&signatures.concat());
        Ok(())
    })
}

/// RFC 9052 §4.4: ["Signature", body_protected, sign_protected, external_aad, payload].
pub fn bundle_to_be_signed(protected: &[u8], object: Object, payload: &[u8]) -> Vec<u8> {
    cbor::encode(|e| {
        e.array(5)?.str("Signature")?.bytes(&[])?.bytes(protected)?;
        e.bytes(object.external_aad())?.bytes(payload)?;
        Ok(())
    })
}

/// A card's payload with another claim, in hex, in front of the card map's key −65537, and its count one higher. Claims
/// that sort elsewhere make it unordered.
pub fn with_claim(payload: &[u8], claim: &[u8]) -> Vec<u8> {
    let at = payload.windows(5).position(|bytes| bytes == CARD_MAP).expect("a card map");
    let (before, after) = payload.split_at(at);
    let (count, before) = before.split_first().expect("a map's head");
    [&[count + 1], before, claim, after].concat()
}

/// The key −65537.
const CARD_MAP: [u8; 5] = [0x3a, 0, 1, 0, 0];

/// The other ECDSA signature on P-256 that holds wherever this one does: r and n − s.
pub fn other_form(signature: &Signature) -> Signature {
    let mut borrow = 0;
    let mut bytes = signature.0;
    for (s, n) in bytes.iter_mut().skip(32).zip(P256_ORDER).rev() {
        let digit = i16::from(n) - i16::from(*s) - borrow;
        borrow = i16::from(digit < 0);
        *s = digit.rem_euclid(256) as u8;
    }
    Signature(bytes)
}

/// An ECDSA signature as a phone's keystore hands it out: DER of r and s.
pub fn to_der(signature: &Signature) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
        let digits = number.get(start..).unwrap_or_default();
        let sign = vec![0; usize::from(digits.first().is_some_and(|first| *first >= 0x80))];
        [vec![0x02, (sign.len() + digits.len()) as u8], sign, digits.to_vec()].concat()
    };
    let (r, s) = signature.0.split_at(32);
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

/// n, the order of P-256 (SEC 2 v2 §2.4.2), big-endian.
pub const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
