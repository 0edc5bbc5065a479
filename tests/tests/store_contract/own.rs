//! The own store: each half made again from the other, compaction, and when it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use bhyt_core::limits::{JOURNAL_COMPACT_BYTES_MIN, VALUE_BYTES_MAX};
use bhyt_platform::kv::{Batch, Damage, Kv, Pair, StoreError};
use bhyt_platform::own_kv::OwnKv;
use bhyt_platform::own_recovery::{IndexLoss, IndexRecovery, JournalLoss, JournalRecovery, Recovery};
use bhyt_platform::sled_kv::SledKv;
use bhyt_platform::store_folder::StoreKind;
use tempfile::TempDir;

use crate::fixture::{OPTIONS, deletes, everything, flip, puts};

#[test]
fn a_whole_store_opens_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let (_, recovery) = OwnKv::open(&folder.path().join("own"), OPTIONS).unwrap();
    assert!(recovery.is_quiet());
    assert!(matches!(recovery.journal, JournalRecovery::Made));
    let own = filled();
    let recovery = own.mended();
    assert!(recovery.is_quiet());
    assert!(matches!(recovery.journal, JournalRecovery::Whole { commits: COMMITS }));
    assert!(matches!(recovery.index, IndexRecovery::Whole));
}

#[test]
fn an_index_that_is_gone_is_built_again() {
    let own = filled();
    fs::remove_dir_all(own.index()).unwrap();
    let recovery = own.mended();
    assert!(matches!(recovery.index, IndexRecovery::Rebuilt { moved_to: None, why: IndexLoss::Missing }));
    assert!(own.mended().is_quiet());
}

#[test]
fn an_index_that_is_damaged_is_set_aside_and_built_again() {
    for file in ["conf", "SCHEMA"] {
        let own = filled();
        fs::write(own.index().join(file), b"segment_size: none at all").unwrap();
        let recovery = own.mended();
        let IndexRecovery::Rebuilt { moved_to: Some(moved_to), why: IndexLoss::Damaged(_) } = recovery.index
        else {
            panic!("{file}: {recovery:?}");
        };
        assert!(moved_to.ends_with("index.corrupt-1"));
        assert!(moved_to.is_dir());
        assert!(own.mended().is_quiet());
    }
}

/// Whatever byte of the index is flipped, the store opens and holds everything.
#[test]
fn an_index_with_a_flipped_byte_loses_nothing() {
    let own = filled();
    let database = own.index().join("db");
    let whole = own.copy_of_index();
    let used = fs::read(&database).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let mut rebuilt = 0;
    for offset in (0..used).step_by(used / 30) {
        own.put_index_back(&whole);
        flip(&database, offset);
        rebuilt += usize::from(matches!(own.mended().index, IndexRecovery::Rebuilt { .. }));
    }
    assert!(rebuilt > 20, "{rebuilt}");
}

#[test]
fn an_index_with_keys_too_few_too_many_or_of_another_value_is_noticed() {
    for wrong in [deletes(&[b"document"]), puts(&[(b"erased", b"long ago")]), puts(&[(b"mark", b"1")])] {
        let own = filled();
        let index = SledKv::open(&own.index(), StoreKind::Own, OPTIONS).unwrap();
        index.commit(wrong).unwrap();
        drop(index);
        let recovery = own.mended();
        let differs = matches!(recovery.index, IndexRecovery::Rebuilt { why: IndexLoss::Differs, .. });
        assert!(differs, "{recovery:?}");
    }
}

#[test]
fn an_index_that_missed_the_newest_commit_is_given_it() {
    let own = filled();
    let before = own.copy_of_index();
    own.commit(puts(&[(b"outbox", b"visit"), (b"mark", b"9")]));
    own.put_index_back(&before);
    let recovery = own.mended_to(&[(b"mark", b"9"), (b"outbox", b"visit")]);
    assert!(matches!(recovery.index, IndexRecovery::CaughtUp), "{recovery:?}");
}

#[test]
fn a_journal_that_is_gone_is_written_again() {
    let own = filled();
    fs::remove_file(own.journal()).unwrap();
    let recovery = own.mended();
    assert!(matches!(
        recovery.journal,
        JournalRecovery::Written { commit: COMMITS, why: JournalLoss::Missing }
    ));
    assert!(own.mended().is_quiet());
    fs::remove_dir_all(own.index()).unwrap();
    assert!(!own.mended().is_quiet());
}

#[test]
fn a_journal_older_than_the_index_is_written_again() {
    let own = filled();
    let before = fs::read(own.journal()).unwrap();
    own.commit(puts(&[(b"mark", b"9")]));
    fs::write(own.journal(), before).unwrap();
    let recovery = own.mended_to(&[(b"mark", b"9")]);
    assert!(matches!(
        recovery.journal,
        JournalRecovery::Written { commit, why: JournalLoss::Behind { last: COMMITS } }
            if commit == COMMITS + 1
    ));
}

#[test]
fn a_damaged_journal_is_kept_aside_and_written_again() {
    for offset in [0, 33, 60] {
        let own = filled();
        flip(&own.journal(), offset);
        let damaged = fs::read(own.journal()).unwrap();
        let recovery = own.mended();
        let JournalRecovery::Written { why: JournalLoss::Damaged { moved_to, .. }, .. } = recovery.journal
        else {
            panic!("byte {offset}: {recovery:?}");
        };
        assert_eq!(fs::read(moved_to).unwrap(), damaged);
        assert!(own.mended().is_quiet());
    }
}

#[test]
fn with_both_halves_lost_it_refuses_and_removes_nothing() {
    let check = |ruin: &dyn Fn(&Own), expected: &dyn Fn(Damage) -> bool| {
        let own = filled();
        ruin(&own);
        let journal = fs::read(own.journal()).ok();
        for _ in 0..2 {
            let error = OwnKv::open(&own.path(), OPTIONS).unwrap_err();
            let StoreError::Corrupt { what, .. } = error else { panic!("{error:?}") };
            assert!(expected(what), "{what:?}");
        }
        assert_eq!(fs::read(own.journal()).ok(), journal);
    };
    let in_journal = |what| matches!(what, Damage::JournalFrame { newest: COMMITS, .. });
    let gone = |what| what == Damage::JournalMissing;
    check(
        &|own| {
            flip(&own.journal(), 40);
            fs::remove_dir_all(own.index()).unwrap();
        },
        &in_journal,
    );
    check(
        &|own| {
            flip(&own.journal(), 40);
            fs::write(own.index().join("conf"), b"segment_size: none at all").unwrap();
        },
        &in_journal,
    );
    check(
        &|own| {
            let before = own.copy_of_index();
            own.commit(puts(&[(b"mark", b"9")]));
            own.put_index_back(&before);
            flip(&own.journal(), 40);
        },
        &|what| matches!(what, Damage::JournalFrame { newest, .. } if newest == COMMITS + 1),
    );
    check(
        &|own| {
            fs::remove_file(own.journal()).unwrap();
            fs::remove_dir_all(own.index()).unwrap();
        },
        &gone,
    );
}

#[test]
fn a_torn_commit_is_reported_and_gone() {
    let own = filled();
    let mut bytes = fs::read(own.journal()).unwrap();
    bytes.extend_from_slice(b"half a frame");
    fs::write(own.journal(), bytes).unwrap();
    let recovery = own.mended();
    assert!(matches!(recovery.journal, JournalRecovery::Torn { commits: COMMITS, bytes: 12 }));
    assert!(own.mended().is_quiet());
}

#[test]
fn the_journal_stays_within_its_bound_and_loses_nothing() {
    let own = filled();
    let (store, _) = OwnKv::open(&own.path(), OPTIONS).unwrap();
    let mut largest = 0;
    for round in 0..200_u8 {
        let mut batch = Batch::new();
        batch.put(b"draft", &vec![round; VALUE_BYTES_MAX]).unwrap();
        store.commit(batch).unwrap();
        largest = largest.max(store.journal_bytes());
    }
    assert!(largest <= JOURNAL_COMPACT_BYTES_MIN + VALUE_BYTES_MAX as u64, "{largest}");
    assert!(store.journal_bytes() < largest);
    drop(store);
    fs::remove_dir_all(own.index()).unwrap();
    own.mended_to(&[(b"draft", &vec![199; VALUE_BYTES_MAX])]);
}

/// A store of a few commits, closed.
struct Own {
    folder: TempDir,
    held: Vec<Pair>,
}

const COMMITS: u64 = 3;

fn filled() -> Own {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = OwnKv::open(&folder.path().join("own"), OPTIONS).unwrap();
    store.commit(puts(&[(b"document", &[7; 3_000]), (b"mark", b"1")])).unwrap();
    store.commit(puts(&[(b"mark", b"2"), (b"draft", b"")])).unwrap();
    store.commit(deletes(&[b"draft"])).unwrap();
    let held = everything(&store);
    Own { folder, held }
}

impl Own {
    fn path(&self) -> PathBuf {
        self.folder.path().join("own")
    }

    fn journal(&self) -> PathBuf {
        self.path().join("journal")
    }

    fn index(&self) -> PathBuf {
        self.path().join("index")
    }

    fn commit(&self, batch: Batch) {
        OwnKv::open(&self.path(), OPTIONS).unwrap().0.commit(batch).unwrap();
    }

    /// Opens the store, which must hold what it held.
    fn mended(&self) -> Recovery {
        self.mended_to(&[])
    }

    /// Opens the store, which must hold what it held, but for `changed`.
    fn mended_to(&self, changed: &[(&[u8], &[u8])]) -> Recovery {
        let (store, recovery) = OwnKv::open(&self.path(), OPTIONS).unwrap();
        let mut expected: std::collections::BTreeMap<_, _> = self.held.iter().cloned().collect();
        expected.extend(changed.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        assert_eq!(everything(&store), expected.into_iter().collect::<Vec<_>>(), "{recovery:?}");
        recovery
    }

    fn copy_of_index(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_files(&self.index(), copy.path());
        copy
    }

    fn put_index_back(&self, copy: &TempDir) {
        fs::remove_dir_all(self.index()).unwrap();
        fs::create_dir(self.index()).unwrap();
        copy_files(copy.path(), &self.index());
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
