//! The status list as an IETF Token Status List: the draft's own vectors, what an export says of every card beside what the
//! terminal's list says, and that neither passes for the other. People's own readers do the same in `tests/tools/check.py`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::cbor::DecodeError;
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::ids::StatusIndex;
use bhyt_core::keys::{KeyId, PublicKey, Signature};
use bhyt_core::marks::{Marks, StatusRefusal};
use bhyt_core::status::StatusList;
use bhyt_core::status::token::{TokenPieces, TokenTerms, TokenUri};
use bhyt_core::sync::admin::{AdminCommand, CardChange};
use bhyt_core::time::DAY_SECONDS;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::OsEntropy;
use bhyt_server::exit::{Exit, Failure};
use bhyt_server::folder::DataFolder;
use bhyt_server::status_command::{ExportError, ExportReport, export};
use bhyt_server::trust_command::{Renewal, renew};
use bhyt_tests::authority::{Authority, ListDraft, at};
use bhyt_tests::forge::bstr;
use bhyt_tests::operator::card_row;
use bhyt_tests::people::{Desk, Town};
use bhyt_tests::server::block_on;
use minicbor::Decoder;
use serde_json::Value;

/// A token taken apart: protected header, payload, signature.
fn parts(token: &[u8]) -> [Vec<u8>; 3] {
    let mut d = Decoder::new(token);
    assert_eq!(d.array().unwrap(), Some(4));
    let protected = d.bytes().unwrap().to_vec();
    assert_eq!(d.map().unwrap(), Some(0));
    [protected, d.bytes().unwrap().to_vec(), d.bytes().unwrap().to_vec()]
}

/// RFC 9052 §4.4 with empty `external_aad`.
fn signed_bytes(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    [b"\x84\x6aSignature1".as_slice(), &bstr(protected), &bstr(&[]), &bstr(payload)].concat()
}

/// The inflated statuses of a token.
fn statuses(token: &[u8]) -> Vec<u8> {
    let [_, payload, _] = parts(token);
    let mut d = Decoder::new(&payload);
    for _ in 0..d.map().unwrap().unwrap() {
        if d.u64().unwrap() != 65_533 {
            d.skip().unwrap();
            continue;
        }
        assert_eq!((d.map().unwrap(), d.str().unwrap()), (Some(2), "lst"));
        let statuses = miniz_oxide::inflate::decompress_to_vec_zlib(d.bytes().unwrap()).unwrap();
        assert_eq!((d.str().unwrap(), d.u8().unwrap()), ("bits", 2));
        return statuses;
    }
    panic!("no status list");
}

fn status_at(statuses: &[u8], index: usize) -> u8 {
    statuses[index / 4] >> (index % 4 * 2) & 3
}

fn terms(key_id: KeyId) -> TokenTerms {
    let uri = TokenUri::parse("https://bhyt.example/status").unwrap();
    TokenTerms { uri, life_seconds: 30 * DAY_SECONDS, ttl_seconds: DAY_SECONDS, key_id }
}

/// The bytes that the draft's compressed statuses inflate to are the bytes that we compress. Value 3 is nothing of ours.
#[test]
fn statuses_are_the_drafts_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/token_status_list.json")).unwrap();
    for vector in vectors.as_array().unwrap() {
        let name = &vector["name"];
        let theirs = unbase64url(vector["lst"].as_str().unwrap());
        let mut theirs = miniz_oxide::inflate::decompress_to_vec_zlib(&theirs).unwrap();
        let mut draft = ListDraft::new(1, at(2026, 6, 1));
        draft.indexes_below = vector["size"].as_u64().unwrap();
        for (index, value) in vector["statuses"].as_object().unwrap() {
            let (index, value) = (index.parse::<u32>().unwrap(), value.as_u64().unwrap() as u8);
            assert_eq!(status_at(&theirs, index as usize), value, "{name}: {index}");
            match value {
                1 => draft.sets.set_standing(StatusIndex(index), CardStanding::Withdrawn),
                2 => draft.sets.set_standing(StatusIndex(index), CardStanding::Held),
                _ => theirs[index as usize / 4] &= !(3 << (index % 4 * 2)),
            }
        }
        let key = Authority::new(7).status_key;
        let list = draft.list();
        let pieces = TokenPieces::new(&list, terms(key.public_key().key_id())).unwrap();
        let ours: Vec<_> = pieces.map(|piece| statuses(&piece.sign(&key))).collect();
        assert_eq!(ours, [theirs], "{name}");
    }
    assert_eq!(vectors.as_array().unwrap().len(), 2);
}

/// What others are told of a card: 0 valid, 1 invalid, 2 suspended.
fn expected(list: &StatusList, index: u32) -> u8 {
    let standing = list.lookup(StatusIndex(index));
    match () {
        () if standing.withdrawn || standing.reduced.is_some() => 1,
        () if standing.held => 2,
        () => 0,
    }
}

/// A town with six cards, of which four do not stand as they were issued, and a desk that has synced.
struct Scene {
    town: Town,
    desk: Desk,
    folder: DataFolder,
}

const CARDS: [&str; 6] = [
    "DN4999900000017",
    "HT2999900000017",
    "GD4999900000017",
    "TE1999900000017",
    "HS4999900000017",
    "CH4999900000017",
];

impl Scene {
    fn new() -> Self {
        let town = Town::found();
        let server = town.open();
        let desk = block_on(async {
            let operator = town.operator(server.address()).await;
            operator.register("9900000017", "Nguyễn Thị Thử").await;
            for number in CARDS {
                operator.issue(card_row("9900000017", number, "2026-01-01", "")).await;
            }
            let changes =
                [CardChange::Withdraw, CardChange::Reduce(ReducedCode::new(122).unwrap()), CardChange::Hold];
            for (number, change) in CARDS.into_iter().zip(changes) {
                let command = AdminCommand::ChangeCard { number: number.into(), change };
                operator.send(command).await.unwrap();
            }
            town.pass(1);
            town.desk(server.address(), &operator).await
        });
        server.stop();
        let folder = DataFolder::new(&town.server.data());
        Self { town, desk, folder }
    }

    /// Ends the desk, so that its files are whole.
    fn close(self) -> (Town, DataFolder) {
        self.desk.0.flush();
        (self.town, self.folder)
    }
}

fn list_file(town: &Town) -> PathBuf {
    town.path("desk").join("status/status")
}

fn run(town: &Town, folder: &DataFolder) -> Result<ExportReport, ExportError> {
    let uri = TokenUri::parse("https://bhyt.example/status").unwrap();
    export(folder, &list_file(town), &uri, &town.path("www"), town.now())
}

fn add_key(town: &Town, folder: &DataFolder) {
    let root_keys = town.server.report().root_keys[..2].to_vec();
    let renewal = Renewal { root_keys, add: vec![KeyUse::TokenStatus], ..Renewal::default() };
    renew(folder, &renewal, town.now(), &OsEntropy::open().unwrap()).unwrap();
}

#[test]
fn an_export_says_of_every_card_what_the_list_says() {
    let (town, folder) = Scene::new().close();
    let refused = run(&town, &folder).unwrap_err();
    assert!(matches!(refused, ExportError::NoKey) && refused.exit() == Exit::Refused);
    assert!(!town.path("www").exists());
    add_key(&town, &folder);

    let report = run(&town, &folder).unwrap();
    let token = fs::read(&report.tokens[0].file).unwrap();
    assert_eq!((report.tokens.len(), report.tokens[0].bytes), (1, token.len()));
    assert_eq!(report.tokens[0].uri, "https://bhyt.example/status/0");
    let [protected, payload, signature] = parts(&token);
    let key = PublicKey::from_bytes(&from_hex(&report.public_key)).unwrap();
    assert_eq!(key.key_id().to_string(), report.key_id);
    let signature = Signature(signature.try_into().unwrap());
    assert_eq!(key.verify(&signed_bytes(&protected, &payload), &signature), Ok(()));
    let media_type = b"\x10\x78\x1aapplication/statuslist+cwt";
    assert!(protected.ends_with(media_type), "{protected:02x?}");

    let held = read_list(&town, &folder);
    let (list, statuses) = (held.list(), statuses(&token));
    let mut counts = BTreeMap::new();
    for index in 0..u32::try_from(report.tokens[0].indexes).unwrap() {
        let found = status_at(&statuses, index as usize);
        assert_eq!(found, expected(list, index), "{index}");
        *counts.entry(found).or_insert(0) += 1;
    }
    let covered = list.head().covers.indexes_below();
    assert_eq!((report.tokens[0].indexes, statuses.len() as u64), (covered, covered / 4));
    assert_eq!(counts, BTreeMap::from([(0, covered - 3), (1, 2), (2, 1)]));
    assert_eq!(report.time, list.time().0);
    assert_eq!(report.expires, list.time().0 + 30 * DAY_SECONDS);
    // The same list is the same token, whenever it is exported.
    town.pass(5);
    run(&town, &folder).unwrap();
    assert_eq!(fs::read(&report.tokens[0].file).unwrap(), token);
}

#[test]
fn a_list_that_is_not_taken_is_not_exported() {
    let (town, folder) = Scene::new().close();
    add_key(&town, &folder);
    let good = fs::read(list_file(&town)).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    for bytes in [bad, good[..good.len() - 1].to_vec(), Vec::new()] {
        fs::write(list_file(&town), bytes).unwrap();
        let error = run(&town, &folder).unwrap_err();
        assert!(matches!(error, ExportError::List { .. }) && error.exit() == Exit::Data, "{error}");
    }
    fs::remove_file(list_file(&town)).unwrap();
    assert_eq!(run(&town, &folder).unwrap_err().exit(), Exit::Io);
    fs::write(list_file(&town), good).unwrap();
    town.pass(30 * DAY_SECONDS);
    let error = run(&town, &folder).unwrap_err();
    assert!(matches!(error, ExportError::TooOld { .. }) && error.exit() == Exit::Refused, "{error}");
    assert!(!town.path("www").exists());
}

/// One way: no COSE tag, another header, another `external_aad`, a key of another use. Each alone is enough.
#[test]
fn a_token_is_no_status_list_of_ours() {
    let authority = Authority::new(7);
    let list = ListDraft::new(1, at(2026, 6, 1)).list();
    let key = &authority.status_key;
    let key_id = key.public_key().key_id();
    let token = TokenPieces::new(&list, terms(key_id)).unwrap().next().unwrap().sign(key);
    let mut bundle = authority.bundle(1, at(2026, 5, 1));
    let take = |bytes: &[u8], bundle: &_| {
        HeldStatus::accept(None, bytes, bundle, &Marks::default()).map(|_| ()).unwrap_err()
    };
    let malformed = |what| StatusFault::Unreadable(DecodeError::Malformed(what));
    assert_eq!(take(&token, &bundle), malformed("unexpected CBOR item"));
    let tagged = [&[0xd2], &token[..]].concat();
    assert_eq!(take(&tagged, &bundle), malformed("protected header"));
    // The same payload and signature under a header of ours, were it signed by a status key.
    let [_, payload, signature] = parts(&token);
    let header = bhyt_tests::forge::protected(-19, key_id);
    let ours = |header: &[u8]| {
        [&[0xd2, 0x84][..], &bstr(header), &[0xa0], &bstr(&payload), &bstr(&signature)].concat()
    };
    assert_eq!(take(&ours(&header), &bundle), StatusFault::Unverified);
    // And as it is: by a key that signs tokens and nothing else.
    bundle.keys[1].usage = KeyUse::TokenStatus;
    let unknown = StatusFault::Refused(StatusRefusal::UnknownKey);
    assert_eq!(take(&ours(&header), &bundle), unknown);
    assert_eq!(take(&authority.sign_list(&list), &bundle), unknown);
}

/// The other way: what a status key signed does not verify as a token, whatever is taken for its `external_aad`.
#[test]
fn a_status_list_of_ours_is_no_token() {
    let authority = Authority::new(7);
    let signed = authority.sign_list(&ListDraft::new(1, at(2026, 6, 1)).list());
    let [protected, payload, signature] = parts(&signed[1..]);
    let signature = Signature(signature.try_into().unwrap());
    let key = authority.status_key.public_key();
    assert!(key.verify(&signed_bytes(&protected, &payload), &signature).is_err());
}

fn read_list(town: &Town, folder: &DataFolder) -> HeldStatus {
    let keeper = bhyt_server::trust_keeper::TrustKeeper::open(folder).unwrap();
    let bytes = fs::read(list_file(town)).unwrap();
    HeldStatus::decode(&bytes, keeper.current().claims(), &Marks::default()).unwrap().0
}

fn from_hex<const N: usize>(text: &str) -> [u8; N] {
    bhyt_core::ids::from_hex(text).unwrap().try_into().unwrap()
}

/// RFC 4648 §5, without padding.
fn unbase64url(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit).unwrap();
        (bits, held) = ((bits << 6 | value as u32) & 0xffff, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
