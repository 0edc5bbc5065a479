//! What an issuer may sign and what we make of it. Every card here has a signature that holds: odd encodings and wrong
//! claims are malformed, newer ones need an update, and a signature made for something else is none.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::cose::Object;
use bhyt_core::ids::{from_hex, hex};
use bhyt_core::keys::KeyId;
use bhyt_core::presentation::Presentation;
use bhyt_core::presentation_key::KeyKind;
use bhyt_tests::authority::{Authority, Phone, at};
use bhyt_tests::desk::Desk;
use bhyt_tests::forge::{Forge, protected};

/// Entries of a map: key and value in hex.
type Entries = Vec<(&'static str, String)>;

/// The claims of the example card, in order.
fn claims() -> Entries {
    let claims = [
        ("01", "6442485848"),                       // iss "BHXH"
        ("02", "6f444e34393939393030303030303137"), // sub
        ("04", "1a6b368a10"),                       // exp
        ("05", "1a69555690"),                       // nbf
        ("06", "1a69462d50"),                       // iat
    ];
    claims.map(|(key, value)| (key, value.to_owned())).to_vec()
}

fn card_map() -> Entries {
    let fields = [
        ("02", "744e677579e1bb856e205468e1bb8b205468e1bbad"),
        ("03", "19227d"),
        ("04", "02"),
        ("05", "653939303234"),
        ("06", "194f10"),
        ("07", "624b31"),
        ("08", "04"),
        ("09", "1a00011170"),
    ];
    fields.map(|(key, value)| (key, value.to_owned())).to_vec()
}

/// {1: {1: 1, −1: 6, −2: x}}, with more entries in the COSE key.
fn cnf(kind: &str, curve: &str, count: u8, more: &str) -> String {
    let key = hex(&Phone::new(8).key().to_cose_key());
    let x = key.split_once("215820").unwrap().1;
    format!("a101{:02x}01{kind}{more}20{curve}215820{x}", 0xa0 + count)
}

fn map(entries: &Entries) -> String {
    let body: String = entries.iter().map(|(key, value)| format!("{key}{value}")).collect();
    format!("{:02x}{body}", 0xa0 + entries.len())
}

fn set(entries: &mut Entries, key: &'static str, value: &str) {
    match entries.iter_mut().find(|(found, _)| *found == key) {
        Some((_, found)) => value.clone_into(found),
        None => {
            let at = entries.iter().position(|(found, _)| *found > key).unwrap_or(entries.len());
            entries.insert(at, (key, value.to_owned()));
        }
    }
}

fn whole(claims: &Entries, fields: &Entries) -> Vec<u8> {
    let mut claims = claims.clone();
    claims.push(("3a00010000", map(fields)));
    unhex(&map(&claims))
}

fn unhex(text: &str) -> Vec<u8> {
    from_hex(&text.split_whitespace().collect::<String>()).unwrap()
}

/// The answer to a card of this payload, signed for real.
fn answer(payload: &[u8]) -> String {
    let authority = Authority::new(7);
    show(&Forge::card(&authority.card_key, payload))
}

fn show(forge: &Forge) -> String {
    Desk::of(&Authority::new(7), at(2026, 6, 1)).answer(&Presentation::new(forge.sign(), None))
}

const GOOD: &str = "accept fresh no_proof 000";
const MALFORMED: &str = "reject malformed 051";
const NEWER: &str = "undecided needs_update 500";
const FORGED: &str = "reject bad_signature 050";

#[test]
fn every_required_claim_is_there() {
    assert_eq!(answer(&whole(&claims(), &card_map())), GOOD);
    for missing in ["01", "02", "04", "05", "06"] {
        let mut claims = claims();
        claims.retain(|(key, _)| *key != missing);
        let expected = if missing == "04" { GOOD } else { MALFORMED };
        assert_eq!(answer(&whole(&claims, &card_map())), expected, "{missing}");
    }
    for missing in ["02", "03", "04", "05", "06", "07", "08", "09"] {
        let mut fields = card_map();
        fields.retain(|(key, _)| *key != missing);
        let expected = if ["06", "07"].contains(&missing) { GOOD } else { MALFORMED };
        assert_eq!(answer(&whole(&claims(), &fields)), expected, "{missing}");
    }
    assert_eq!(answer(&unhex(&map(&claims()))), MALFORMED);
}

#[test]
fn claims_mean_something() {
    let check = |key: &'static str, value: &str, expected: &str| {
        let mut claims = claims();
        set(&mut claims, key, value);
        assert_eq!(answer(&whole(&claims, &card_map())), expected, "{key} {value}");
    };
    check("01", "6442485859", MALFORMED);
    check("01", "00", MALFORMED);
    check("02", "6a39393030303030303137", GOOD);
    check("02", "6f444e36393939393030303030303137", MALFORMED);
    check("02", "6f646e34393939393030303030303137", MALFORMED);
    check("02", "60", MALFORMED);
    check("04", "1a6b368a11", MALFORMED); // a second after midnight
    check("04", "1a69555690", MALFORMED); // no later than nbf
    check("05", "1a6955568f", MALFORMED);
    check("05", "00", MALFORMED); // seven in the morning of 1 January 1970
    check("05", "3a69555690", MALFORMED);
    check("05", "1bffffffffffffffff", MALFORMED);
    check("06", "20", MALFORMED);
    check("06", "fb41da518b54000000", MALFORMED); // a float
    check("06", "00", GOOD);
    check("08", "a0", NEWER);
}

#[test]
fn fields_mean_something() {
    let check = |key: &'static str, value: &str, expected: &str| {
        let mut fields = card_map();
        set(&mut fields, key, value);
        assert_eq!(answer(&whole(&claims(), &fields)), expected, "{key} {value}");
    };
    check("01", "6a39393030303030303138", GOOD); // another than sub ends in
    check("01", "6a39393030303030303137", MALFORMED); // the one that sub ends in
    check("01", "69 393930303030303030", MALFORMED);
    check("02", "60", MALFORMED);
    check("02", "6145", GOOD);
    check("02", "63 4565cc", MALFORMED); // not UTF-8
    check("02", "63 65cc81", MALFORMED); // e and a combining acute: not NFC
    check("02", "62 4120", MALFORMED);
    check("03", "6431393934", GOOD);
    check("03", "67313939342d3033", GOOD);
    check("03", "67313939342d3133", MALFORMED);
    check("03", "6a313939342d30332d3035", MALFORMED); // a whole date is a number
    check("03", "3910ff", GOOD);
    check("03", "1a05265c00", MALFORMED); // after 2999
    check("03", "f6", MALFORMED);
    check("04", "03", MALFORMED);
    check("05", "64 39393032", MALFORMED);
    check("05", "65 39394b3234", GOOD);
    check("05", "65 4139303234", MALFORMED);
    check("07", "614b", MALFORMED);
    check("08", "00", MALFORMED);
    check("08", "06", MALFORMED);
    check("09", "1b0000000100000000", MALFORMED);
    check("09", "20", MALFORMED);
    check("0a", "03", MALFORMED); // a binding without cnf
    check("0b", "19509a", MALFORMED);
}

#[test]
fn a_binding_is_whole_or_absent() {
    let check = |cnf: Option<&str>, number: Option<&str>, end: Option<&str>, expected: &str| {
        let (mut claims, mut fields) = (claims(), card_map());
        cnf.into_iter().for_each(|cnf| set(&mut claims, "08", cnf));
        number.into_iter().for_each(|number| set(&mut fields, "0a", number));
        end.into_iter().for_each(|end| set(&mut fields, "0b", end));
        assert_eq!(answer(&whole(&claims, &fields)), expected, "{cnf:?} {number:?} {end:?}");
    };
    let (key, end) = (cnf("01", "06", 3, ""), Some("19509a"));
    check(Some(&key), Some("00"), end, GOOD);
    check(Some(&key), Some("0f"), end, GOOD);
    check(Some(&key), Some("10"), end, MALFORMED);
    check(Some(&key), None, end, MALFORMED);
    check(Some(&key), Some("03"), None, MALFORMED);
    check(Some(&key), None, None, MALFORMED);
    check(None, Some("03"), end, MALFORMED);
    // A label of 0 and more in a COSE key is nothing to us: 3 (alg) and 4 (key_ops).
    check(Some(&cnf("01", "06", 5, "0332 048102")), Some("03"), end, GOOD);
    check(Some("a1034101"), Some("03"), end, NEWER); // a key by its id only
}

/// The answers to a card whose `cnf` is this COSE_Key.
fn check_key(key: &str, expected: &str) {
    let (mut claims, mut fields) = (claims(), card_map());
    set(&mut claims, "08", &format!("a101{key}"));
    set(&mut fields, "0a", "03");
    set(&mut fields, "0b", "19509a");
    assert_eq!(answer(&whole(&claims, &fields)), expected, "{key}");
}

#[test]
fn a_presentation_key_is_ed25519_or_p256() {
    let p256 = |seed| hex(&Phone::of_kind(KeyKind::P256, seed).key().to_cose_key());
    let x = |seed| p256(seed).get(16..80).unwrap().to_owned();
    check_key(&p256(8), GOOD);
    check_key(&format!("a4 0102 2001 215820{} 22f4", x(8)), GOOD);
    check_key(&format!("a4 0102 2001 215820{} 22f5", x(8)), GOOD);
    check_key(&format!("a5 0102 0328 2001 215820{} 22f5", x(8)), GOOD); // 3 (alg) is nothing to us
    // P-256 it says, and it is none: no point, too short, too long, y whole, y not there.
    check_key(&format!("a4 0102 2001 215820{} 22f5", "11".repeat(32)), MALFORMED);
    check_key(&format!("a4 0102 2001 215820{} 22f5", "ff".repeat(32)), MALFORMED);
    check_key("a4 0102 2001 2141aa 22f5", MALFORMED);
    check_key(&format!("a4 0102 2001 21582104{} 22f5", x(8)), MALFORMED);
    check_key(&format!("a4 0102 2001 215820{0} 225820{0}", x(8)), MALFORMED);
    check_key(&format!("a4 0102 2001 215820{} 22f6", x(8)), MALFORMED);
    check_key(&format!("a3 0102 2001 215820{}", x(8)), MALFORMED);
    check_key("a3 0102 2001 22f5", MALFORMED);
    // Ed25519 it says, and it is none: too short, small order.
    check_key("a3010120062141aa", MALFORMED);
    check_key(&format!("a30101200621582001{}", "00".repeat(31)), MALFORMED);
}

#[test]
fn a_presentation_key_of_another_kind_needs_an_update() {
    let x = "11".repeat(32);
    check_key(&format!("a3 0101 2004 215820{x}"), NEWER); // X25519
    check_key(&format!("a4 0102 2006 215820{x} 22f5"), NEWER);
    check_key(&format!("a3 0101 2001 215820{x}"), NEWER);
    check_key(&format!("a4 0102 2002 215830{}{x} 22f5", "11".repeat(16)), NEWER); // P-384
    check_key(&format!("a4 0101 2006 215820{x} 2200"), NEWER); // more than our kind has
    // What other kinds have in the places of crv, x and y: AKP (RFC 9964), RSA, symmetric; and names that are texts.
    check_key("a3 0107 0338 30 2043aabbcc", NEWER);
    check_key("a3 0103 2043aabbcc 2143010001", NEWER);
    check_key("a2 0104 2043aabbcc", NEWER);
    check_key(&format!("a3 016161 2001 215820{x}"), NEWER);
    check_key(&format!("a3 0101 206161 215820{x}"), NEWER);
    check_key("a1 0101", NEWER);
    check_key("a0", NEWER);
}

#[test]
fn newer_claims_are_ignored_or_need_an_update() {
    let check = |in_claims: &[(&'static str, &str)], in_fields: &[(&'static str, &str)], expected: &str| {
        let (mut claims, mut fields) = (claims(), card_map());
        claims.extend(in_claims.iter().map(|(key, value)| (*key, (*value).to_owned())));
        fields.extend(in_fields.iter().map(|(key, value)| (*key, (*value).to_owned())));
        assert_eq!(answer(&whole(&claims, &fields)), expected, "{in_claims:?} {in_fields:?}");
    };
    check(&[("07", "4101")], &[], GOOD);
    check(&[("17", "a2016178028101")], &[], GOOD);
    check(&[], &[("0c", "f5"), ("17", "80")], GOOD);
    check(&[("20", "01")], &[], NEWER);
    check(&[("37", "f6")], &[], NEWER);
    check(&[], &[("20", "01")], NEWER);
    // What is ignored is deterministic too.
    check(&[("17", "1801")], &[], MALFORMED);
    check(&[("17", "c100")], &[], MALFORMED);
    check(&[("17", "f93c00")], &[], MALFORMED);
    check(&[("17", "9f01ff")], &[], MALFORMED);
    check(&[("17", &format!("{}00", "81".repeat(7)))], &[], MALFORMED);
    check(&[("6161", "01")], &[], MALFORMED);
}

#[test]
fn a_card_has_one_encoding() {
    let good = hex(&whole(&claims(), &card_map()));
    let check = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        assert_eq!(answer(&unhex(&good.replacen(from, to, 1))), MALFORMED, "{to}");
    };
    check("a601", "b80601"); // longer heads than needed
    check("624b310804", "624b31081804");
    check("6442485848", "780442485848");
    check("041a6b368a10", "041b000000006b368a10");
    check("a6016442485848", "a7 016442485848 016442485848"); // a key twice
    check("051a69555690061a69462d50", "061a69462d50051a69555690"); // out of order
    check("040205653939303234", "056539393032340402");
    check("a601", "bf01"); // indefinite
    check("a601", "a701"); // counts that do not hold
    check("a601", "a501");
    let mut longer = unhex(&good);
    longer.push(0);
    assert_eq!(answer(&longer), MALFORMED);
    assert_eq!(answer(&[]), MALFORMED);
}

#[test]
fn the_envelope_is_exactly_ours() {
    let authority = Authority::new(7);
    let key_id = authority.card_key.public_key().key_id();
    let check = |change: &dyn Fn(&mut Forge), expected: &str| {
        let mut forge = Forge::card(&authority.card_key, &whole(&claims(), &card_map()));
        change(&mut forge);
        assert_eq!(show(&forge), expected, "{forge:?}");
    };
    check(&|_| {}, GOOD);
    for tag in ["", "d1", "d8 62", "d2d2", "d9d9f7d2", "d83d", "d812"] {
        check(&|forge| forge.tag = unhex(tag), MALFORMED);
    }
    for unprotected in ["a1044101", "a10132", "80", "f6", "bfff", "b800"] {
        check(&|forge| forge.unprotected = unhex(unprotected), MALFORMED);
    }
    let kid = format!("48{}", hex(&key_id.0));
    for header in [
        String::new(),
        "a0".to_owned(),
        "a10132".to_owned(),
        format!("a104{kid}"),
        format!("a204{kid}0132"),
        format!("a3013204{kid}0500"),
        format!("a3013203{kid}04{kid}"),
        format!("a2013204 49{}00", hex(&key_id.0)),
        format!("a20165456444534104{kid}"),
        format!("a201321804{kid}"),
        format!("a2013204{kid}00"),
    ] {
        check(&|forge| forge.protected = unhex(&header), MALFORMED);
    }
    // The algorithm is the key's, whatever the message says and however it is signed.
    for algorithm in [-8, -7, -9, -50, 0, 5, i64::MIN] {
        check(&|forge| forge.protected = protected(algorithm, key_id), FORGED);
    }
    // A signature over another object is none over a card.
    for object in [Object::Present, Object::Status, Object::Trust, Object::Head] {
        check(&|forge| forge.object = object, FORGED);
    }
    check(&|forge| forge.protected = protected(-19, KeyId([0; 8])), "undecided unknown_key 500");
    check(&|forge| forge.key = authority.head_key.clone(), FORGED);
    check(&|forge| forge.payload = vec![0; 700], MALFORMED);
}
