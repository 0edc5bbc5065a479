//! What stands on disks: journals, stored values of server and devices, sealed values, key files, the part of a snapshot,
//! backups.
//!
//! A journal gives the batches that were written, or says that it is damaged, and says the same when it is opened again;
//! a value that is read is written back; nothing opens that was not sealed here, for its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bhyt_core::codec::{self, Schema};
use bhyt_core::ids::MemberId;
use bhyt_core::key_tree::KeyTree;
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::journal::Journal;
use bhyt_platform::key_file::{KeyUsage, create_key_file, read_key_file};
use bhyt_platform::kv::{Batch, StoreError};
use bhyt_server::backup_file::{BackupEnd, BackupFault, BackupMaker, BackupPart, BackupReader, proof_key};
use bhyt_server::service::values;
use bhyt_server::service::values_members::{ErasureV1, MemberKeysMarkV1, MemberV2};
use bhyt_server::service::values_operators::{AuditV2, CodePurposeV1, OneTimeCodeV2, OperatorV2};
use bhyt_server::stored::CurrentStatusV1;

use super::input::{Input, Script};
use super::ledger::Ledger;
use super::scratch::scratch;
use crate::authority::example_card;

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 8 {
        0 => journal(data),
        1 => written_journal(data),
        2 => value(data),
        3 => sealed(data),
        4 => key_file(data),
        5 => device(data),
        6 => backup(data),
        _ => made_backup(data),
    }
}

type Image = BTreeMap<Vec<u8>, Vec<u8>>;

/// A journal of any bytes.
fn journal(data: &[u8]) {
    let path = scratch("journal");
    fs::write(&path, data).expect("a scratch file");
    let Ok((image, last)) = open(&path, None) else {
        assert_eq!(fs::read(&path).ok().as_deref(), Some(data), "a damaged journal stays as it is");
        return;
    };
    let kept = fs::read(&path).expect("a scratch file");
    assert!(data.starts_with(&kept), "only an end is cut off");
    assert_eq!(open(&path, Some(0)).ok(), Some((image.clone(), last)), "opened again it says the same");
    grow(&path, image, last);
}

/// Appends, compacts and opens again: nothing is lost.
fn grow(path: &Path, mut image: Image, last: u64) {
    let Some(next) = last.checked_add(1) else {
        return;
    };
    let (mut journal, _) = Journal::open(path, drop).expect("a journal that was opened before");
    let mut batch = Batch::new();
    batch.put(b"one more", &next.to_le_bytes()).expect("a small batch");
    assert_eq!(journal.append(&batch).ok(), Some(next));
    apply(&mut image, batch);
    drop(journal);
    assert_eq!(open(path, Some(0)).ok(), Some((image.clone(), next)), "what was appended is there");
    let (mut journal, _) = Journal::open(path, drop).expect("a journal that was opened before");
    let mut snapshot = image.iter().map(|(key, value)| {
        let mut batch = Batch::new();
        batch.put(key, value).map(|()| batch)
    });
    journal.compact(&mut snapshot).expect("room for a scratch file");
    drop(journal);
    assert_eq!(open(path, Some(0)).ok(), Some((image, next)), "a compacted journal says the same");
}

fn open(path: &Path, torn_bytes: Option<u64>) -> Result<(Image, u64), StoreError> {
    let mut image = Image::new();
    let (journal, replayed) = Journal::open(path, |batch| apply(&mut image, batch))?;
    assert!(torn_bytes.is_none_or(|bytes| bytes == replayed.torn_bytes));
    Ok((image, journal.last()))
}

fn apply(image: &mut Image, batch: Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => image.insert(key, value),
            None => image.remove(&key),
        };
    }
}

/// A journal with right checksums over any payloads, some of them in its snapshot.
fn written_journal(data: &[u8]) {
    let mut input = Input::new(data);
    let (base, in_snapshot) = (input.number(), input.byte() % 4);
    let (mut frames, mut snapshot_bytes, mut number) = (Vec::new(), 0, base);
    for at in 0..FRAMES_MAX {
        if input.is_empty() {
            break;
        }
        number = if at < in_snapshot { base } else { number.wrapping_add(1) };
        frames.extend(frame(number, input.bytes()));
        snapshot_bytes = if at < in_snapshot { frames.len() as u64 } else { snapshot_bytes };
    }
    journal(&[&header(base, snapshot_bytes)[..], &frames].concat());
}

fn header(base: u64, snapshot_bytes: u64) -> Vec<u8> {
    let fields = Script::new().raw(b"BHYTJRNL\x01\0\0\0").number(base).number(snapshot_bytes).done();
    let sum = crc32fast::hash(&fields).to_le_bytes();
    [&fields[..], &sum].concat()
}

fn frame(number: u64, payload: &[u8]) -> Vec<u8> {
    let sum = crc32fast::hash(&[&number.to_le_bytes(), payload].concat());
    let length = u32::try_from(payload.len()).expect("a short payload");
    [&length.to_le_bytes(), &number.to_le_bytes()[..], &sum.to_le_bytes(), payload].concat()
}

/// A value of the server's store; its schema number says which.
fn value(data: &[u8]) {
    macro_rules! any_of {
        ($($schema:ident)*) => {
            $(check_value::<values::$schema>(data);)*
        };
    }
    any_of! {
        MemberDetailsV1 AliasV1 CardV1 CardDetailsV2 DeviceV2 TerminalV1 OperationV1
        SlotV1 CardCounterV1 StatusEntryV1 StatusChangeV1 StatusVersionV1 FeedHeadV1 PageV1
    }
    check_value::<MemberV2>(data);
    check_value::<MemberKeysMarkV1>(data);
    check_value::<ErasureV1>(data);
    check_value::<OperatorV2>(data);
    check_value::<OneTimeCodeV2>(data);
    check_value::<AuditV2>(data);
    check_value::<CurrentStatusV1>(data);
    if let Ok(tree) = KeyTree::decode(data) {
        assert!(*tree.encode() == data, "a tree of keys has one form");
    }
}

fn check_value<T: Schema + PartialEq>(data: &[u8]) {
    if let Ok(value) = codec::decode::<T>(data) {
        let again = codec::encode(&value).expect("a value that was read fits");
        // An older schema is written as the one of today.
        assert!(again == data || !data.starts_with(&T::SCHEMA.to_le_bytes()), "a stored value has one form");
        assert!(codec::decode::<T>(&again).is_ok_and(|read| read == value), "a stored value is read back");
    }
}

/// A sealed value, and a wrapped key: neither opens but where it was made for.
fn sealed(data: &[u8]) {
    let key = store_key();
    let known = known_sealed(&key);
    for place in [PLACE, b"elsewhere"] {
        let ours = place == PLACE && data == known;
        assert_eq!(key.open(place, data).is_ok(), ours);
        assert!(key.unwrap_key(place, data).is_err(), "no body is a key");
    }
    let mut input = Input::new(data);
    let (place, nonce) = (input.bytes(), std::array::from_fn(|_| input.byte()));
    let body = input.rest();
    let sealed = key.seal(place, body, &nonce);
    assert_eq!(key.open(place, &sealed).as_deref().map(Vec::as_slice), Ok(body));
    assert_eq!(key.unwrap_key(place, &sealed).is_ok(), body.len() == 32);
}

fn known_sealed(key: &SealKey) -> Vec<u8> {
    key.seal(PLACE, b"a body", &[2; 24])
}

/// A key file that only its owner may read.
fn key_file(data: &[u8]) {
    let path = scratch("key");
    fs::write(&path, data).expect("a scratch file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a scratch file");
    if let Ok(secret) = read_key_file(&path, TERMINAL) {
        fs::remove_file(&path).expect("a scratch file");
        create_key_file(&path, TERMINAL, &secret).expect("a free name");
        assert_eq!(fs::read(&path).ok().as_deref(), Some(data), "a key file has one form");
    }
}

/// What phone and terminal keep.
fn device(data: &[u8]) {
    bhyt_sdk::fuzzing::read_stored(data);
}

/// Journals whole and torn, values of every schema that is simple to make, sealed values, key files.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let payload = b"\x03\0\x01\0\0\0\0\0\0\0\x01\0a\x01\x01\0b\x05\0\0\0value";
    let journal = [&header(7, 0)[..], &frame(8, payload), &frame(9, payload)].concat();
    let torn = journal.get(..journal.len() - 3).unwrap_or_default();
    let written = Script::new().raw(&[1]).number(5).raw(&[1]).bytes(payload).bytes(payload).bytes(payload);
    let mut seeds = vec![with(0, &journal), with(0, torn), written.done()];
    seeds.push(with(3, &known_sealed(&store_key())));
    seeds.push(Script::new().raw(&[3]).bytes(PLACE).raw(&[3; 24]).raw(&[4; 32]).done());
    seeds.push(with(4, format!("bhyt-key 1 terminal {}\n", "5a".repeat(32)).as_bytes()));
    seeds.push(with(4, format!("bhyt-key 2 terminal {}\n", "5a".repeat(32)).as_bytes()));
    seeds.push(with(6, &known_backup()));
    let writes =
        Script::new().raw(&[7, 30, 0, 1, 1]).bytes(b"one").bytes(b"two").bytes(b"key").bytes(b"value");
    seeds.push(writes.bytes(b"key").bytes(b"").done());
    seeds.extend(bhyt_sdk::fuzzing::stored_seeds().iter().map(|bytes| with(5, bytes)));
    seeds.extend(server_values().iter().map(|bytes| with(2, bytes)));
    seeds
}

/// A backup file of any bytes: whole, and then ours, or refused.
fn backup(data: &[u8]) {
    if let Ok((_, end)) = read_backup(data) {
        assert_eq!(end.is_proven_by(&store_key()), data == known_backup(), "a backup that we made");
    }
}

/// A backup of drawn bundles and writes is read as what was written, and not at all with one byte changed or cut off.
fn made_backup(data: &[u8]) {
    let mut input = Input::new(data);
    let (at, change) = (usize::from(input.short()), input.byte());
    let (mut maker, mut file) = BackupMaker::begin(proof_key(&store_key()), UnixSeconds(1));
    let mut image = Image::new();
    for _ in 0..=input.byte() % 3 {
        file.extend(maker.trust(input.bytes()));
    }
    while !input.is_empty() {
        let (key, value) = (input.bytes(), input.bytes());
        let gone = value.is_empty();
        if let Ok(frame) = maker.write(key, (!gone).then_some(value)) {
            file.extend(frame.unwrap_or_default());
            match gone {
                true => image.remove(key),
                false => image.insert(key.to_vec(), value.to_vec()),
            };
        }
    }
    file.extend(maker.end(UnixSeconds(2)));
    let (read, end) = read_backup(&file).expect("our own backup");
    assert!(read == image && end.is_proven_by(&store_key()), "a backup is what was backed up");
    assert!(!end.is_proven_by(&SealKey::from_bytes([9; 32])), "and ours alone");
    let at = at % file.len();
    assert!(read_backup(file.get(..at).unwrap_or_default()).is_err(), "a cut backup");
    if let Some(byte) = file.get_mut(at).filter(|_| change != 0) {
        *byte ^= change;
        let ours = |(_, end): (Image, BackupEnd)| end.is_proven_by(&store_key());
        assert!(!read_backup(&file).is_ok_and(ours), "a changed backup");
    }
}

fn read_backup(file: &[u8]) -> Result<(Image, BackupEnd), BackupFault> {
    let mut reader = BackupReader::begin(file)?;
    let mut image = Image::new();
    loop {
        match reader.read_part()? {
            BackupPart::Trust(_) => {}
            BackupPart::Writes(batch) => apply(&mut image, batch),
            BackupPart::End(end) => return Ok((image, end)),
        }
    }
}

fn known_backup() -> Vec<u8> {
    let (mut maker, mut file) = BackupMaker::begin(proof_key(&store_key()), UnixSeconds(1));
    file.extend(maker.trust(b"a bundle"));
    maker.write(b"key", Some(b"value")).expect("a small write");
    file.extend(maker.end(UnixSeconds(2)));
    file
}

fn store_key() -> SealKey {
    SealKey::from_bytes([1; 32])
}

fn server_values() -> Vec<Vec<u8>> {
    fn bytes<T: Schema>(value: &T) -> Vec<u8> {
        codec::encode(value).expect("a value of ours")
    }
    let (member, time, device) = (MemberId([1; 16]), UnixSeconds(5), KeyId([6; 8]));
    let transport_key = SecretKey::from_seed(&[9; 32]).public_key();
    let card = example_card();
    let details = values::MemberDetailsV1 {
        social_number: card.social_number.clone(),
        personal_number: None,
        full_name: card.full_name.clone(),
        birth_date: card.birth_date,
        sex: card.sex,
        phone: "0900000000".into(),
        address: String::new(),
        cards: vec![card.status_index],
        devices: vec![device],
    };
    let held = values::HeldMemberV2 { member, presentation_key: transport_key.into(), activated: time };
    let phone = values::DeviceV2 { transport_key, members: vec![held], activated: time, retired: Some(time) };
    let purpose = CodePurposeV1::Device(member);
    let used_by = Some(transport_key);
    let code = OneTimeCodeV2 { made_by: Some(device), purpose, expires: time, used_by, misused: 1 };
    let came = values::EntryChange::Added { until: Some(card.valid_from) };
    let change = values::EntryChangeV1 { set: 16, value: 77, change: came };
    let mut ledger = Ledger::new(member);
    (0..3).for_each(|n| ledger.append(&[n], None));
    let page = values::PageV1(ledger.since(0).remove(0));
    let current = CurrentStatusV1 { epoch: 1, number: 2, time, covers: 3, last_change: 4 };
    let alias = values::AliasV1::Card { member, index: card.status_index };
    vec![
        bytes(&details),
        bytes(&phone),
        bytes(&code),
        bytes(&values::StatusChangeV1 { changes: vec![change; 2] }),
        bytes(&page),
        bytes(&current),
        bytes(&alias),
    ]
}

const PLACE: &[u8] = b"member/one";
const TERMINAL: KeyUsage<'_> = KeyUsage::new("terminal").expect("a plain word");
/// Frames of one written journal.
const FRAMES_MAX: u8 = 16;
