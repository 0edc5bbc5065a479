//! What stands around a payload: tag, headers, signature; the same for every object that is signed. Junk in an unprotected
//! header, another algorithm, a key of another use, and a signature that was made for another object.

use bhyt_core::card::CardClaims;
use bhyt_core::cbor::DecodeError;
use bhyt_core::cose::{Object, Payload, Signed, VerifyError};
use bhyt_core::feed::{EpochStatement, FeedHead};
use bhyt_core::grant::Grant;
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::receipt::Receipt;
use bhyt_core::status::payload::StatusMessage;
use bhyt_core::trust::{self, TrustError};
use bhyt_tests::authority::{Authority, ListDraft, at, example_card};
use bhyt_tests::forge::{
    Forge, bstr, bundle_payload_of, bundle_to_be_signed, join_bundle, payload_of, protected,
};
use bhyt_tests::surgery::{Item, foreign_forms, other_types};

/// Its name, as its key signs it, and how it is read.
type SignedObject = (&'static str, Forge, fn(&[u8], &SecretKey) -> String);

/// The signed objects in a COSE_Sign1, all of them.
fn objects() -> Vec<SignedObject> {
    let authority = Authority::new(7);
    let (mut first, noon) = (ListDraft::new(1, at(2026, 6, 1)), at(2026, 6, 1));
    let snapshot = first.list();
    (first.version.number, first.time) = (2, noon.plus(1));
    let delta = authority.sign_delta(&snapshot, &first.list());
    let head = FeedHead {
        member: bhyt_core::ids::MemberId([1; 16]),
        extent: bhyt_core::feed::Extent { epoch: bhyt_core::feed::Epoch(1), size: 0 },
        root: bhyt_core::merkle::TreeHash([2; 32]),
        time: noon,
    };
    let epoch = EpochStatement {
        member: head.member,
        before: bhyt_core::feed::Epoch(1),
        kept: bhyt_core::feed::Extent { epoch: bhyt_core::feed::Epoch(2), size: 0 },
        root: head.root,
        time: noon,
        reason: bhyt_core::feed::EpochReason::Restored,
    };
    let grant = Grant {
        dependant: head.member,
        carer: bhyt_core::ids::MemberId([5; 16]),
        scope: bhyt_core::grant::GrantScope::Card,
        relation: bhyt_core::grant::GrantRelation::Parent,
        from: noon.day(),
        until: noon.day(),
        time: noon,
    };
    let receipt = Receipt {
        member: head.member,
        operation: bhyt_core::ids::OperationId([3; 16]),
        change: bhyt_core::operation::OperationHash([4; 32]),
        generation: bhyt_core::operation::Generation(1),
        time: noon,
    };
    let forge = |object, key: &SecretKey, payload: &[u8]| Forge { object, ..Forge::card(key, payload) };
    let status = |bytes: &[u8]| forge(Object::Status, &authority.status_key, &payload_of(bytes));
    vec![
        (
            "card",
            Forge::card(&authority.card_key, &payload_of(&authority.sign_card(example_card()))),
            read::<CardClaims>,
        ),
        ("snapshot", status(&authority.sign_list(&snapshot)), read::<StatusMessage>),
        ("delta", status(&delta), read::<StatusMessage>),
        ("head", forge(Object::Head, &authority.head_key, &head.encode()), read::<FeedHead>),
        ("epoch", forge(Object::Epoch, &authority.head_key, &epoch.encode()), read::<EpochStatement>),
        ("grant", forge(Object::Grant, &authority.head_key, &grant.encode()), read::<Grant>),
        ("receipt", forge(Object::Receipt, &authority.receipt_key, &receipt.encode()), read::<Receipt>),
    ]
}

fn read<T: Payload>(bytes: &[u8], key: &SecretKey) -> String {
    match Signed::<T>::decode(bytes)
        .map_err(VerifyError::from)
        .and_then(|signed| signed.verify(&key.public_key()))
    {
        Ok(read) => {
            assert_eq!(read.bytes(), bytes);
            GOOD.to_owned()
        }
        Err(VerifyError::BadSignature) => FORGED.to_owned(),
        Err(VerifyError::Payload(DecodeError::Malformed(_))) => MALFORMED.to_owned(),
        Err(VerifyError::Payload(DecodeError::NeedsUpdate)) => "needs update".to_owned(),
    }
}

#[test]
fn every_part_of_an_envelope_and_every_way_to_spoil_it() {
    for (what, forge, read) in objects() {
        let good = forge.sign();
        let tree = Item::parse(&good);
        assert_eq!(tree.paths(), [".", "#", "#[0]", "#[1]", "#[2]", "#[3]"]);
        let check = |changed: Vec<u8>, how: &str, expected: &str| {
            assert_eq!(read(&changed, &forge.key), expected, "{what}: {how}");
        };
        check(good.clone(), "as it is", GOOD);
        for path in tree.paths() {
            for (how, raw) in foreign_forms(tree.at(&path)) {
                check(tree.with(&path, Item::Raw(raw)).encode(), &format!("{path} as {how}"), MALFORMED);
            }
            for other in other_types(tree.at(&path)) {
                check(tree.with(&path, other).encode(), &format!("{path} of another type"), MALFORMED);
            }
            for changed in [tree.without(&path), tree.doubled(&path)].into_iter().flatten() {
                check(changed.encode(), &format!("{path} gone or twice"), MALFORMED);
            }
        }
        for tag in [0, 17, 19, 24, 61, 96, 97, 98, 55_799, u64::MAX] {
            let Item::Tag(_, inside) = &tree else { panic!("a tag") };
            check(Item::Tag(tag, inside.clone()).encode(), &format!("tag {tag}"), MALFORMED);
        }
        for cut in 0..good.len() {
            check(good[..cut].to_vec(), &format!("cut at {cut}"), MALFORMED);
        }
        check([&good[..], &[0]].concat(), "one byte more", MALFORMED);
    }
}

/// Nothing may stand in an unprotected header: it is not signed, and two objects would differ only in it.
#[test]
fn junk_in_an_unprotected_header_is_malformed() {
    for (what, forge, read) in objects() {
        for (key, value) in [
            (Item::Int(1), Item::Int(-19)),
            (Item::Int(2), Item::Array(vec![Item::Int(1)])),
            (Item::Int(3), Item::Int(0)),
            (Item::Int(4), Item::Bytes(vec![1; 8])),
            (Item::Int(5), Item::Bytes(Vec::new())),
            (Item::Int(33), Item::Bytes(vec![0; 99])),
            (Item::Int(99), Item::Int(0)),
            (Item::Int(-1), Item::Map(Vec::new())),
            (Item::Text(b"x".to_vec()), Item::Text(Vec::new())),
        ] {
            let unprotected = Item::Map(vec![(key.clone(), value)]).encode();
            let junk = Forge { unprotected, ..forge.clone() };
            assert_eq!(read(&junk.sign(), &forge.key), MALFORMED, "{what}: {key:?}");
        }
    }
}

/// The header is signed with the rest, so it is signed anew here. Its algorithm is the key's, whatever it says.
#[test]
fn a_protected_header_is_algorithm_and_key_id_and_nothing_else() {
    for (what, forge, read) in objects() {
        let check = |protected: Vec<u8>, how: &str, expected: &str| {
            let changed = Forge { protected, ..forge.clone() };
            assert_eq!(read(&changed.sign(), &forge.key), expected, "{what}: {how}");
        };
        let key_id = forge.key.public_key().key_id();
        let tree = Item::parse(&forge.protected);
        assert_eq!(tree.paths(), [".", "1", "4"]);
        for path in tree.paths() {
            for (how, raw) in foreign_forms(tree.at(&path)) {
                check(tree.with(&path, Item::Raw(raw)).encode(), &format!("{path} as {how}"), MALFORMED);
            }
            for other in other_types(tree.at(&path)) {
                check(tree.with(&path, other).encode(), &format!("{path} of another type"), MALFORMED);
            }
            for changed in
                [tree.without(&path), tree.doubled(&path), tree.swapped(&path)].into_iter().flatten()
            {
                check(changed.encode(), &format!("{path} moved"), MALFORMED);
            }
        }
        for key in [0, 2, 3, 5, 16, 99, -1, -65_537] {
            check(
                tree.with_entry(Item::Int(key), Item::Int(0)).encode(),
                &format!("{key} besides"),
                MALFORMED,
            );
        }
        for algorithm in [-8, -7, -9, -18, -20, -48, -50, -257, 0, 1, 5, 19, i64::MIN, i64::MAX] {
            check(protected(algorithm, key_id), &format!("algorithm {algorithm}"), FORGED);
        }
        for algorithm in [-(1_i128 << 64), (1 << 64) - 1] {
            check(tree.with("1", Item::Int(algorithm)).encode(), "an algorithm beyond 64 bits", MALFORMED);
        }
        for length in [0, 7, 9, 32] {
            check(
                tree.with("4", Item::Bytes(vec![1; length])).encode(),
                "a key id of another length",
                MALFORMED,
            );
        }
        // The key was looked up by another id than the one that is signed.
        check(protected(-19, KeyId([0; 8])), "another key's id", FORGED);
    }
}

/// Each payload under each other object's context, and by each other key; and each signature under each other payload.
#[test]
fn a_signature_is_for_one_object_and_of_one_key() {
    let all = objects();
    for (what, forge, read) in &all {
        let objects =
            [Object::Card, Object::Present, Object::Status, Object::Trust, Object::Head, Object::Epoch]
                .into_iter()
                .chain([Object::Receipt, Object::Grant]);
        for object in objects {
            let expected = if object == forge.object { GOOD } else { FORGED };
            let other = Forge { object, ..forge.clone() };
            assert_eq!(read(&other.sign(), &forge.key), expected, "{what} as {object:?}");
        }
        // Head and epoch are of one key: their contexts, above, keep them apart.
        let of_others = |other: &Forge| other.key.public_key() != forge.key.public_key();
        for (by, other, _) in all.iter().filter(|(_, other, _)| of_others(other)) {
            let by_other = Forge { key: other.key.clone(), ..forge.clone() };
            assert_eq!(read(&by_other.sign(), &forge.key), FORGED, "{what} by the key of a {by}");
            assert_eq!(read(&by_other.sign(), &other.key), FORGED, "{what} with the id of its own key");
            let moved =
                Item::parse(&forge.sign()).with("#[3]", Item::parse(&other.sign()).at("#[3]").clone());
            assert_eq!(read(&moved.encode(), &forge.key), FORGED, "{what} under the signature of a {by}");
        }
    }
}

/// S + L, R and A of small order, and each flipped bit.
#[test]
fn a_signature_has_one_form() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    for (what, forge, read) in objects() {
        let tree = Item::parse(&forge.sign());
        let Item::Bytes(signature) = tree.at("#[3]").clone() else { panic!("a signature") };
        let check = |signature: Vec<u8>, how: &str| {
            let changed = tree.with("#[3]", Item::Bytes(signature));
            assert_eq!(read(&changed.encode(), &forge.key), FORGED, "{what}: {how}");
        };
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(flipped, &format!("bit {bit}"));
        }
        let (r, s) = signature.split_at(32);
        let mut carry = 0;
        let sum = s.iter().zip(ORDER).map(|(a, b)| {
            carry += u16::from(*a) + u16::from(b);
            let byte = carry as u8;
            carry >>= 8;
            byte
        });
        check([r, &sum.collect::<Vec<u8>>()].concat(), "S + L");
        check([&[0; 32], s].concat(), "R of no order");
        check([[1].as_slice(), &[0; 31], s].concat(), "R the neutral point");
        check(vec![0; 64], "zeros");
        check(vec![0xff; 64], "ones");
    }
}

fn offer(bytes: &[u8]) -> String {
    match trust::anchor(bytes) {
        Ok(_) => GOOD.to_owned(),
        Err(TrustError::Unreadable(DecodeError::Malformed(_))) => MALFORMED.to_owned(),
        Err(TrustError::TooFewSignatures { .. }) => FORGED.to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// A bundle is in a COSE_Sign: its own envelope, and one for each signature.
#[test]
fn every_part_of_a_bundles_envelope_and_every_way_to_spoil_it() {
    let authority = Authority::new(7);
    let good = authority.sign_bundle(&authority.bundle(1, at(2026, 6, 1)));
    let tree = Item::parse(&good);
    let parts = [".", "#", "#[0]", "#[1]", "#[2]", "#[3]"].map(str::to_owned).to_vec();
    let signatures = (0..2).flat_map(|at| ["", "[0]", "[1]", "[2]"].map(|part| format!("#[3][{at}]{part}")));
    assert_eq!(tree.paths(), parts.into_iter().chain(signatures).collect::<Vec<_>>());
    let check = |changed: Item, how: &str, expected: &str| {
        assert_eq!(offer(&changed.encode()), expected, "{how}");
    };
    check(tree.clone(), "as it is", GOOD);
    for path in tree.paths() {
        for (how, raw) in foreign_forms(tree.at(&path)) {
            check(tree.with(&path, Item::Raw(raw)), &format!("{path} as {how}"), MALFORMED);
        }
        for other in other_types(tree.at(&path)) {
            check(tree.with(&path, other), &format!("{path} of another type"), MALFORMED);
        }
        let signature = ["#[3][0]", "#[3][1]"].contains(&path.as_str());
        if let Some(without) = tree.without(&path) {
            check(without, &format!("{path} gone"), if signature { FORGED } else { MALFORMED });
        }
        if let Some(doubled) = tree.doubled(&path) {
            check(doubled, &format!("{path} twice"), if signature { "DuplicateSigner" } else { MALFORMED });
        }
    }
    for path in ["#[1]", "#[3][0][1]", "#[3][1][1]"] {
        for key in [1, 4, 33, -1] {
            let junk = tree.at(path).with_entry(Item::Int(key), Item::Int(0));
            check(tree.with(path, junk), &format!("{key} in {path}"), MALFORMED);
        }
    }
    check(tree.with("#[0]", Item::Bytes(vec![0xa0])), "a body header that says nothing", MALFORMED);
    for at in 0..2 {
        let path = format!("#[3][{at}][2]");
        let Item::Bytes(signature) = tree.at(&path).clone() else { panic!("a signature") };
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(tree.with(&path, Item::Bytes(flipped)), &format!("{path}, bit {bit}"), FORGED);
        }
    }
}

/// As above, each header signed for real: another algorithm, another context, a signature made for a COSE_Sign1.
#[test]
fn a_root_signs_a_bundle_and_nothing_else_passes_for_it() {
    let authority = Authority::new(7);
    let payload = bundle_payload_of(&authority.sign_bundle(&authority.bundle(1, at(2026, 6, 1))));
    let [a, b, _] = &authority.roots;
    let signature = |key: &SecretKey, header: &[u8], to_be_signed: &[u8]| {
        [&[0x83], &bstr(header)[..], &[0xa0], &bstr(&key.sign(to_be_signed).0)].concat()
    };
    let header = |key: &SecretKey| protected(-19, key.public_key().key_id());
    let by = |key: &SecretKey, object| {
        signature(key, &header(key), &bundle_to_be_signed(&header(key), object, &payload))
    };
    let with_b = |second: Vec<u8>| offer(&join_bundle(&payload, &[by(a, Object::Trust), second]));
    assert_eq!(with_b(by(b, Object::Trust)), GOOD);
    for object in [
        Object::Card,
        Object::Present,
        Object::Status,
        Object::Head,
        Object::Epoch,
        Object::Receipt,
        Object::Grant,
    ] {
        assert_eq!(with_b(by(b, object)), FORGED, "{object:?}");
    }
    for algorithm in [-8, -7, -9, -50, 0] {
        let header = protected(algorithm, b.public_key().key_id());
        let signed = signature(b, &header, &bundle_to_be_signed(&header, Object::Trust, &payload));
        assert_eq!(with_b(signed), FORGED, "{algorithm}");
    }
    let as_sign1 = bhyt_core::cose::sig_structure(&header(b), Object::Trust, &payload);
    assert_eq!(with_b(signature(b, &header(b), &as_sign1)), FORGED);
}

const GOOD: &str = "taken";
const MALFORMED: &str = "malformed";
const FORGED: &str = "bad signature";
