//! What only stores on a disk can get wrong: two openers, newer and foreign stores, damage, files where none may be.

use std::fs;
use std::path::Path;

use bhyt_core::limits::{BATCH_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use bhyt_platform::cache_kv::{CacheOpening, SET_ASIDE_KEPT, open_or_set_aside, replace_damaged};
use bhyt_platform::kv::{Batch, Damage, Kv, Pair, StoreError};
use bhyt_platform::own_kv::OwnKv;
use bhyt_platform::sled_kv::SledKv;
use bhyt_platform::store_folder::{StoreKind, set_aside};

use crate::fixture::{Draw, Engine, Fixture, OPTIONS, everything, files_of, puts};

#[test]
fn a_store_is_open_once() {
    for engine in [Engine::Sled, Engine::Own] {
        let mut store = Fixture::new(engine);
        let error = engine.open(&store.path()).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{engine:?}: {error:?}");
        let error = set_aside(&store.path()).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{engine:?}: {error:?}");
        store.kv().commit(puts(&[(b"still", b"works")])).unwrap();
        store.reopen();
        assert_eq!(store.kv().get(b"still").unwrap(), Some(b"works".to_vec()));
    }
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_was() {
    for engine in [Engine::Sled, Engine::Own] {
        let folder = filled(engine);
        let path = folder.path().join("store");
        let schema = path.join("SCHEMA");
        let line = fs::read_to_string(&schema).unwrap();
        fs::write(&schema, line.replacen(" 1 ", " 2 ", 1) + "and more\n").unwrap();
        let before = files_of(&path);
        let error = engine.open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NewerVersion { found: 2, known: 1, .. }), "{error:?}");
        assert_eq!(files_of(&path), before, "{engine:?}");
    }
}

#[test]
fn a_newer_half_of_an_own_store_is_refused_and_left_as_it_was() {
    for half in ["index/SCHEMA", "journal"] {
        let folder = filled(Engine::Own);
        let path = folder.path().join("store");
        let mut bytes = fs::read(path.join(half)).unwrap();
        if half == "journal" {
            bytes[8] = 2;
        } else {
            bytes[11] = b'2';
        }
        // A torn tail, which an older program would have cut off.
        fs::write(path.join(half), bytes).unwrap();
        let journal = path.join("journal");
        fs::write(&journal, [fs::read(&journal).unwrap(), b"torn".to_vec()].concat()).unwrap();
        let before = files_of(&path);
        let error = Engine::Own.open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NewerVersion { found: 2, known: 1, .. }), "{error:?}");
        assert_eq!(files_of(&path), before, "{half}");
    }
}

#[test]
fn another_kind_or_a_strange_folder_is_refused_and_left_as_it_was() {
    let check = |path: &Path, open: &dyn Fn(&Path) -> Option<StoreError>| {
        let before = files_of(path);
        let error = open(path).unwrap();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
        assert_eq!(files_of(path), before);
    };
    let open_server = |path: &Path| SledKv::open(path, StoreKind::Server, OPTIONS).err();
    let open_cache = |path: &Path| open_or_set_aside(path, OPTIONS).err();
    let open_own = |path: &Path| OwnKv::open(path, OPTIONS).err();
    let cache = filled(Engine::Sled);
    check(&cache.path().join("store"), &open_server);
    check(&cache.path().join("store"), &open_own);
    let own = filled(Engine::Own);
    check(&own.path().join("store"), &open_cache);
    let strange = tempfile::tempdir().unwrap();
    fs::write(strange.path().join("photo.jpg"), b"not ours").unwrap();
    check(strange.path(), &open_cache);
    check(strange.path(), &open_own);
}

#[test]
fn an_unreadable_schema_is_damage() {
    for (content, what) in [
        (b"".to_vec(), Damage::SchemaFile),
        (b"bhyt-store 1 cache".to_vec(), Damage::SchemaFile),
        (b"bhyt-store 0 cache\n".to_vec(), Damage::SchemaFile),
        (b"bhyt-store one cache\n".to_vec(), Damage::SchemaFile),
        (b"\xff\xfe".to_vec(), Damage::SchemaFile),
        (vec![b'x'; 300], Damage::FileTooLong),
    ] {
        let folder = filled(Engine::Sled);
        let path = folder.path().join("store");
        fs::write(path.join("SCHEMA"), &content).unwrap();
        let error = Engine::Sled.open(&path).unwrap_err();
        let StoreError::Corrupt { what: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, what, "{content:?}");
    }
}

#[test]
fn an_interrupted_creation_is_finished() {
    for engine in [Engine::Sled, Engine::Own] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("lock"), b"").unwrap();
        fs::write(path.join(".SCHEMA.1-2.bhyt-tmp"), b"bhyt-st").unwrap();
        assert_eq!(everything(&*engine.open(&path).unwrap()), []);
        assert!(!path.join(".SCHEMA.1-2.bhyt-tmp").exists());
    }
}

#[test]
fn a_snapshot_that_a_full_disk_cut_short_harms_no_store() {
    for (engine, database) in [(Engine::Sled, "."), (Engine::Own, "index")] {
        let folder = filled(engine);
        let path = folder.path().join("store");
        let before = everything(&*engine.open(&path).unwrap());
        assert!(!before.is_empty());
        let unfinished = path.join(database).join("snap.00000000000FFFFF.generating");
        for cut_short in [b"".as_slice(), b"half of a snapshot"] {
            fs::write(&unfinished, cut_short).unwrap();
            assert_eq!(everything(&*engine.open(&path).unwrap()), before, "{engine:?}");
            assert!(!unfinished.exists(), "{engine:?}");
        }
    }
}

#[test]
fn a_damaged_cache_is_set_aside_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    for round in 1..=4_u32 {
        let (cache, opening) = open_or_set_aside(&path, OPTIONS).unwrap();
        match opening {
            CacheOpening::Made => assert_eq!(round, 1),
            CacheOpening::SetAside { moved_to, why } => {
                let expected = format!("cache.corrupt-{}", round - 1);
                assert_eq!(moved_to.file_name().unwrap().to_str(), Some(expected.as_str()));
                assert!(matches!(why, StoreError::Corrupt { .. }), "{why:?}");
            }
            CacheOpening::Existing => panic!("round {round}"),
        }
        assert_eq!(everything(&cache), []);
        cache.commit(puts(&[(b"k", b"v")])).unwrap();
        drop(cache);
        // Nonsense, and what the engine takes for another version of itself.
        let damage: &[u8] = match round % 2 {
            0 => b"segment_size: a lot\nuse_compression: maybe\n1234",
            _ => b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n1234",
        };
        fs::write(path.join("conf"), damage).unwrap();
    }
    let kept = fs::read_dir(folder.path()).unwrap().count() - 1;
    assert_eq!(kept, SET_ASIDE_KEPT);
}

#[test]
fn a_cache_found_damaged_later_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let (cache, _) = open_or_set_aside(&path, OPTIONS).unwrap();
    cache.commit(puts(&[(b"k", b"v")])).unwrap();
    drop(cache);
    let why = StoreError::Corrupt { path: path.clone(), what: Damage::Checksum };
    let (cache, opening) = replace_damaged(&path, OPTIONS, why).unwrap();
    assert!(matches!(opening, CacheOpening::SetAside { .. }));
    assert_eq!(everything(&cache), []);
}

/// Whatever happens to the database's bytes, a store that opens and verifies holds exactly what it held. The engine by
/// itself goes on with older values, of all keys or of some, in most of these cases.
#[test]
fn damage_in_the_database_never_goes_unnoticed() {
    let draw = Draw::new(5);
    let (folder, held) = several_segments(&draw);
    let path = folder.path().join("store");
    let database = fs::read(path.join("db")).unwrap();
    let (mut round, mut mixtures) = (0, 0);
    // Until the worst case has been seen, which one in ten rounds is.
    while round < 40 || (mixtures == 0 && round < 1_000) {
        round += 1;
        let copy = tempfile::tempdir().unwrap();
        let copied = copy.path().join("store");
        copy_folder(&path, &copied);
        fs::write(copied.join("db"), damaged(&database, &draw)).unwrap();
        let opened = SledKv::open(&copied, StoreKind::Cache, OPTIONS);
        match opened.and_then(|store| store.verify().map(|()| store)) {
            Ok(store) => assert_eq!(everything(&store), held, "round {round}"),
            Err(StoreError::Corrupt { what, .. }) => mixtures += usize::from(what == Damage::Tally),
            Err(error) => panic!("round {round}: {error:?}"),
        }
    }
    assert!(mixtures > 0, "no round mixed old values with new ones: this test shows nothing");
}

#[test]
fn a_store_that_came_back_older_is_noticed() {
    let folder = filled(Engine::Sled);
    let path = folder.path().join("store");
    let before = fs::read(path.join("db")).unwrap();
    let store = SledKv::open(&path, StoreKind::Cache, OPTIONS).unwrap();
    (0..3_u8).for_each(|key| store.commit(puts(&[(&[key], b"v")])).unwrap());
    drop(store);
    fs::write(path.join("db"), before).unwrap();
    for _ in 0..2 {
        let error = SledKv::open(&path, StoreKind::Cache, OPTIONS).unwrap_err();
        let StoreError::Corrupt { what, .. } = error else { panic!("{error:?}") };
        assert_eq!(what, Damage::RolledBack { lost: 3 });
    }
}

#[test]
fn the_largest_values_leave_no_files_that_nothing_syncs() {
    for engine in [Engine::Sled, Engine::Own] {
        let store = Fixture::new(engine);
        let draw = Draw::new(9);
        let keys: Vec<Vec<u8>> = (0..700).map(|_| draw.bytes(KEY_BYTES_MAX)).collect();
        for _ in 0..4 {
            let mut batch = Batch::new();
            while batch.len() < BATCH_KEYS_MAX {
                let value = draw.bytes(VALUE_BYTES_MAX);
                batch.put(&keys[draw.below(keys.len())], &value).unwrap();
            }
            store.kv().commit(batch).unwrap();
        }
        let blobs: Vec<_> = files_of(&store.path()).into_keys().filter(|file| below_blobs(file)).collect();
        assert_eq!(blobs, Vec::<std::path::PathBuf>::new(), "{engine:?}");
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_a_store() {
    use std::os::unix::fs::PermissionsExt;
    for engine in [Engine::Sled, Engine::Own] {
        let store = Fixture::new(engine);
        let mode = fs::metadata(store.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{engine:?}");
    }
}

fn filled(engine: Engine) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = engine.open(&folder.path().join("store")).unwrap();
    store.commit(puts(&[(b"k", b"v")])).unwrap();
    folder
}

/// A cache of about seven segments whose keys were written many times, and what it holds.
fn several_segments(draw: &Draw) -> (tempfile::TempDir, Vec<Pair>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SledKv::open(&folder.path().join("store"), StoreKind::Cache, OPTIONS).unwrap();
    for number in 0..400_u64 {
        let mut batch = Batch::new();
        batch.put(b"cursor", &number.to_be_bytes()).unwrap();
        for _ in 0..6 {
            let key = u64::try_from(draw.below(300)).unwrap();
            batch.put(&key.to_be_bytes(), &draw.bytes(draw.below(VALUE_BYTES_MAX))).unwrap();
        }
        store.commit(batch).unwrap();
    }
    let held = everything(&store);
    (folder, held)
}

/// A bit flipped, an end cut off, a page of zeros, or a few bytes overwritten.
fn damaged(bytes: &[u8], draw: &Draw) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = draw.below(bytes.len());
    let end = bytes.len().min(at + 1 + draw.below(4_096));
    match draw.below(4) {
        0 => bytes[at] ^= 1 << draw.below(8),
        1 => bytes.truncate(at),
        2 => bytes[at..end].fill(0),
        _ => bytes[at..end].copy_from_slice(&draw.bytes(end - at)),
    }
    bytes
}

fn below_blobs(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "blobs")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
