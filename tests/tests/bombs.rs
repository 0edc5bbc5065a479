//! Small bytes that claim to be much: entries by the billion, gaps as long as the world, edits by the million, chains, lengths
//! that nothing follows, pieces of a snapshot one byte each. Each is signed for real where anybody could sign it.
//!
//! Memory is the peak of a process of its own (`VmHWM` of Linux), read after the bomb lies in memory and again after it went
//! off; time is bounded by counted work, which is the number of entries and pieces. The child is this test binary again,
//! told by an environment variable which bomb to take from which file.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use std::env;
use std::fs;
use std::process::Command;

use bhyt_core::codec;
use bhyt_core::cose::{Object, Unsigned, Verified};
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::limits::{FRAME_BYTES_MAX, STATUS_BYTES_MAX, STATUS_DELTA_BYTES_MAX, STATUS_DELTAS_MAX};
use bhyt_core::marks::Marks;
use bhyt_core::presentation::Presentation;
use bhyt_core::sync::messages::{Reply, Request, SnapshotPiece};
use bhyt_core::sync::terminal::{TerminalEffect, TerminalSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, TrustBundle};
use bhyt_tests::authority::{Authority, ListDraft, at};
use bhyt_tests::forge::{Forge, bundle_payload_of, payload_of, seal_bundle};
use bhyt_tests::frames::{replies, requests};
use bhyt_tests::surgery::{Item, foreign_forms};
use sha2::{Digest as _, Sha256};

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);
const MIB: u64 = 1 << 20;
/// What a process grows by when it first runs the code that reads lists.
const FLOOR: u64 = 2 * MIB;

fn authority() -> Authority {
    Authority::new(7)
}

fn sign(payload: &Item) -> Vec<u8> {
    let authority = authority();
    Forge { object: Object::Status, ..Forge::card(&authority.status_key, &payload.encode()) }.sign()
}

/// A snapshot of version `number` over 2^`bits` indexes, with these sets as they stand and a hash that is right for them.
fn snapshot(number: u64, bits: u32, sets: &[(u8, u64, Vec<u8>)]) -> Item {
    let mut draft = ListDraft::new(number, NOON.plus(number));
    draft.indexes_below = 1 << bits;
    let tree = Item::parse(&payload_of(&authority().sign_list(&draft.list())));
    let sets = encode_sets(sets);
    let hash = Item::Bytes(Sha256::digest(sets.encode()).to_vec());
    tree.with("5", sets).with("6", hash)
}

fn encode_sets(sets: &[(u8, u64, Vec<u8>)]) -> Item {
    let set = |(number, count, gaps): &(u8, u64, Vec<u8>)| {
        (
            Item::Int(i128::from(*number)),
            Item::Array(vec![Item::Int(i128::from(*count)), Item::Bytes(gaps.clone())]),
        )
    };
    Item::Map(sets.iter().map(set).collect())
}

/// A delta from `number` to the next, over 2^`bits` indexes, with these edits of set 1, which lead to `after`.
fn delta(number: u64, bits: u32, edits: [(u64, Vec<u8>); 2], after: &[(u8, u64, Vec<u8>)]) -> Item {
    let draft = |number| {
        let mut draft = ListDraft::new(number, NOON.plus(number));
        draft.indexes_below = 1 << bits;
        draft.list()
    };
    let tree = Item::parse(&payload_of(&authority().sign_delta(&draft(number), &draft(number + 1))));
    let parts = edits.into_iter().flat_map(|(count, gaps)| [Item::Int(i128::from(count)), Item::Bytes(gaps)]);
    let counts =
        after.iter().map(|(set, count, _)| (Item::Int(i128::from(*set)), Item::Int(i128::from(*count))));
    tree.with("6", Item::Bytes(Sha256::digest(encode_sets(after).encode()).to_vec()))
        .with("8", Item::Map(vec![(Item::Int(1), Item::Array(parts.collect()))]))
        .with("9", Item::Map(counts.collect()))
}

/// Every index of 2^`bits`, one bit each.
fn dense(bits: u32) -> (u64, Vec<u8>) {
    (1 << bits, vec![0xff; 1 << (bits - 3)])
}

/// Many bombs in one file, one after the other.
fn pack(bombs: &[Vec<u8>]) -> Vec<u8> {
    Item::Array(bombs.iter().cloned().map(Item::Bytes).collect()).encode()
}

fn unpack(file: &[u8]) -> Vec<Vec<u8>> {
    let Item::Array(items) = Item::parse(file) else { panic!("a packed file") };
    items
        .into_iter()
        .map(|item| if let Item::Bytes(bytes) = item { bytes } else { panic!("bytes") })
        .collect()
}

/// What the child does with a file, and what it says of it.
fn set_off(role: &str, file: &[u8]) -> String {
    let authority = authority();
    let held = authority.trust(&authority.bundle(1, NOON.minus(86_400)));
    let offer = |before: Option<&HeldStatus>, bytes: &[u8], marks: &Marks| {
        HeldStatus::accept(before, bytes, held.claims(), marks)
    };
    let fault =
        |error: StatusFault| format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
    match role {
        "one" => match offer(None, file, &Marks::default()) {
            Ok((status, _)) => format!("{} entries", status.list().entries()),
            Err(error) => fault(error),
        },
        "many" => {
            let each = unpack(file).into_iter().map(|bytes| match offer(None, &bytes, &Marks::default()) {
                Ok(_) => "taken".to_owned(),
                Err(error) => fault(error),
            });
            let said: std::collections::BTreeSet<String> = each.collect();
            said.into_iter().collect::<Vec<_>>().join(" ")
        }
        "pair" => {
            let parts = unpack(file);
            let [first, second] = &parts[..] else { panic!("a list and a delta") };
            let (first, marks) = offer(None, first, &Marks::default()).unwrap();
            match offer(Some(&first), second, &marks) {
                Ok((status, _)) => format!("{} entries", status.list().entries()),
                Err(error) => fault(error),
            }
        }
        "file" => match HeldStatus::decode(file, held.claims(), &Marks::default()) {
            Ok((status, _)) => format!("{} entries", status.list().entries()),
            Err(error) => fault(error),
        },
        "pieces" => take_pieces(&held),
        "frames" => {
            for bytes in spoilt_frames() {
                // Read or refused: `fields/frames` says which. Here is only what it takes.
                let _ = (codec::decode::<Request>(&bytes), codec::decode::<Reply>(&bytes));
            }
            "all tried".to_owned()
        }
        "lengths" => {
            for bytes in unpack(file) {
                let read = [
                    trust::anchor(&bytes).is_ok(),
                    offer(None, &bytes, &Marks::default()).is_ok(),
                    HeldStatus::decode(&bytes, held.claims(), &Marks::default()).is_ok(),
                    Presentation::decode(&bytes).is_ok(),
                    bhyt_core::card_record::CardRecord::decode(&bytes).is_ok(),
                ];
                assert_eq!(read, [false; 5], "{bytes:02x?}");
            }
            "none read".to_owned()
        }
        other => panic!("no {other}"),
    }
}

/// Every frame with a length of a million, of 2^32 and of 2^64 in every place.
fn spoilt_frames() -> impl Iterator<Item = Vec<u8>> {
    let requests = requests().into_iter().map(|request| codec::encode(&request).unwrap());
    let replies = replies().into_iter().map(|reply| codec::encode(&reply).unwrap());
    let lengths = [1_u64 << 20, 1 << 32, u64::MAX];
    requests.chain(replies).flat_map(move |frame| {
        let places = (2..frame.len()).flat_map(move |place| lengths.map(|length| (place, length)));
        places.map(move |(place, length)| {
            let mut bytes = frame.clone();
            bytes.iter_mut().skip(place).zip(length.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            bytes
        })
    })
}

/// A server that announces the largest snapshot there is and sends it byte by byte.
fn take_pieces(trust: &Verified<TrustBundle>) -> String {
    let mut session = TerminalSession::new(trust.clone(), None, Marks::default(), None);
    let (mut kept, total) = (0, STATUS_BYTES_MAX as u64);
    for offset in 0..PIECES {
        let version = bhyt_core::status::StatusVersion { epoch: 1, number: 1 };
        let piece = SnapshotPiece { version, offset, total, bytes: vec![7] };
        for effect in session.handle(Reply::StatusSnapshot(piece)).unwrap() {
            let TerminalEffect::KeepPart(piece) = effect else { panic!("{effect:?}") };
            kept += piece.bytes.len();
        }
    }
    format!("{kept} bytes to keep")
}

const PIECES: u64 = 100_000;
const ROLE: &str = "BHYT_BOMB_ROLE";
const FILE: &str = "BHYT_BOMB_FILE";
const MARK: &str = "answer: ";

/// Only when another test has started this process for it.
#[test]
fn child() {
    let (Ok(role), Ok(path)) = (env::var(ROLE), env::var(FILE)) else { return };
    let file = fs::read(path).unwrap();
    let before = peak_kib();
    let said = set_off(&role, &file);
    println_answer(&format!("{} {said}", peak_kib() - before));
}

fn println_answer(text: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout().lock(), "{MARK}{text}").unwrap();
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// What the bomb comes to in a process of its own, and that it takes no more than `bytes_max` there.
fn check(role: &str, bomb: &[u8], expected: &str, bytes_max: u64) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bomb).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(FILE, file.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.lines().find_map(|line| line.split_once(MARK)).map(|(_, answer)| answer);
    let answer =
        answer.unwrap_or_else(|| panic!("{role}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let (kib, said) = answer.split_once(' ').unwrap();
    assert_eq!(said, expected, "{role}");
    let used = kib.parse::<u64>().unwrap() * 1_024;
    assert!(used <= bytes_max, "{role}: {used} bytes for a bomb of {}, at most {bytes_max}", bomb.len());
}

/// A hundred bytes that claim entries by the million and more: neither sets nor skip tables are made for them.
#[test]
fn a_list_that_claims_more_entries_than_it_has_bits_is_refused_by_its_number() {
    let counts = [1 << 20, 1 << 24, (1 << 24) + 1, 1 << 32, 1 << 36, u64::MAX];
    let mut bombs = Vec::new();
    for count in counts {
        for set in [1, 16] {
            bombs.push(sign(&snapshot(1, 32, &[(set, count, vec![0xff; 12])])));
        }
        let all: Vec<_> = (1..=23).map(|set| (set, count, vec![0xff; 3])).collect();
        bombs.push(sign(&snapshot(1, 32, &all)));
        for edits in [[(count, vec![0xff; 12]), (0, Vec::new())], [(0, Vec::new()), (count, vec![0xff; 12])]]
        {
            bombs.push(sign(&delta(1, 32, edits, &[(1, count, Vec::new())])));
        }
    }
    check("many", &pack(&bombs), "Unreadable", FLOOR);
}

/// One value behind the longest run of zeros that fits: read once, no memory but the bytes and their copies.
#[test]
fn a_gap_as_long_as_the_list_is_read_once() {
    let mut gaps = vec![0; STATUS_BYTES_MAX - 1_024];
    *gaps.last_mut().unwrap() = 1;
    let bomb = sign(&snapshot(1, 32, &[(1, 1, gaps)]));
    check("one", &bomb, "Unreadable", 5 * bomb.len() as u64);
}

/// Every index listed, at one bit each: eight entries a byte, and not one more.
#[test]
fn a_list_of_everybody_takes_its_bytes_and_no_more() {
    let (count, gaps) = dense(20);
    let bomb = sign(&snapshot(1, 20, &[(1, count, gaps)]));
    check("one", &bomb, &format!("{count} entries"), FLOOR + 8 * bomb.len() as u64);
    assert!(count <= 8 * bomb.len() as u64);
}

/// The largest delta there can be, one bit an edit: a million and three quarters of them.
#[test]
fn a_delta_of_nothing_but_edits_stays_within_its_memory() {
    let bytes = STATUS_DELTA_BYTES_MAX - 512;
    let (count, gaps) = (8 * bytes as u64, vec![0xff; bytes]);
    // Most of the universe, so that the code has one bit an edit.
    let after = [(1, count, gaps.clone())];
    let bomb = sign(&delta(1, 21, [(count, gaps), (0, Vec::new())], &after));
    assert!(bomb.len() <= STATUS_DELTA_BYTES_MAX);
    let base = sign(&snapshot(1, 21, &[]));
    // An edit takes 16 bytes of memory; the rest are copies of the bytes.
    let bytes_max = FLOOR + 16 * count + 8 * bytes as u64;
    check("pair", &pack(&[base, bomb]), &format!("{count} entries"), bytes_max);
}

/// A whole chain of deltas that list everybody and take them out again: what one step takes is free before the next.
#[test]
fn a_chain_of_large_deltas_takes_no_more_than_one_of_them() {
    let bits = 17;
    let (count, gaps) = dense(bits);
    let none = (0, Vec::new());
    let full = [(1, count, gaps.clone())];
    let steps = (0..STATUS_DELTAS_MAX as u64).map(|step| {
        let list = delta(1 + step, bits, [(count, gaps.clone()), none.clone()], &full);
        let clear = delta(1 + step, bits, [none.clone(), (count, gaps.clone())], &[]);
        sign(if step % 2 == 0 { &list } else { &clear })
    });
    let parts: Vec<Item> = steps.map(Item::Bytes).collect();
    let file = Item::Array(vec![Item::Bytes(sign(&snapshot(1, bits, &[]))), Item::Array(parts)]).encode();
    check("file", &file, "0 entries", FLOOR + 16 * count + 8 * file.len() as u64);
}

#[test]
fn pieces_of_one_byte_cost_one_byte_each() {
    check("pieces", &[], &format!("{PIECES} bytes to keep"), FLOOR);
}

/// Every length in every object, put to a million, to 2^32 and to 2^64, and nothing behind it.
#[test]
fn a_length_that_nothing_follows_takes_no_memory() {
    let authority = authority();
    let bundle = authority.sign_bundle(&authority.bundle(1, NOON));
    let [a, b, _] = &authority.roots;
    let list = Item::parse(&payload_of(&authority.sign_list(&ListDraft::new(1, NOON).list())));
    let inside = Item::parse(&bundle_payload_of(&bundle));
    let lengths = |tree: &Item, wrap: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut bombs = Vec::new();
        for path in tree.paths() {
            let forms =
                foreign_forms(tree.at(&path)).into_iter().filter(|(what, _)| what.starts_with("length"));
            bombs.extend(forms.map(|(_, raw)| wrap(&tree.with(&path, Item::Raw(raw)).encode())));
        }
        bombs
    };
    let card = Item::parse(&authority.sign_card(bhyt_tests::authority::example_card()));
    let bombs = [
        lengths(&Item::parse(&bundle), &<[u8]>::to_vec),
        lengths(&inside, &|payload| seal_bundle(payload, payload, &[a, b])),
        lengths(&list, &|payload| {
            Forge { object: Object::Status, ..Forge::card(&authority.status_key, payload) }.sign()
        }),
        lengths(&card, &<[u8]>::to_vec),
        lengths(&Item::Array(vec![card.clone(), Item::Raw(vec![0xf6])]), &<[u8]>::to_vec),
        lengths(
            &Item::Array(vec![Item::Bytes(bundle.clone()), Item::Array(vec![Item::Bytes(bundle.clone())])]),
            &<[u8]>::to_vec,
        ),
    ];
    check("lengths", &pack(&bombs.concat()), "none read", FLOOR);
}

/// A frame that says it holds a million rows, or 2^64 bytes of text, in every place where a length can stand.
#[test]
fn a_frame_that_claims_to_be_long_takes_no_memory() {
    check("frames", &[], "all tried", FLOOR + 2 * FRAME_BYTES_MAX as u64);
}

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
    let list = ListDraft::new(1, NOON).list();
    let key = authority().status_key;
    let same = Unsigned::new(list.clone(), key.public_key().key_id()).sign(&key);
    assert_eq!(same.bytes(), authority().sign_list(&list), "seeds give the same keys in every process");
}
