//! The journal by itself: what a torn end is, what damage is, and what a snapshot keeps.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use bhyt_platform::journal::{Journal, Replayed};
use bhyt_platform::kv::{Batch, Damage, StoreError};
use tempfile::TempDir;

use crate::fixture::{deletes, flip, puts};

#[test]
fn every_appended_batch_comes_back_in_order() {
    let (_folder, path, batches, _) = three_commits();
    let (journal, replayed, found) = open(&path).unwrap();
    assert_eq!(found, batches);
    assert_eq!(replayed, Replayed { commits: 3, torn_bytes: 0 });
    assert_eq!(journal.last(), 3);
    assert_eq!(journal.bytes(), fs::metadata(&path).unwrap().len());
}

#[test]
fn a_torn_end_is_cut_off_whatever_is_left_of_it() {
    let (_folder, path, batches, ends) = three_commits();
    let whole = fs::read(&path).unwrap();
    for length in ends[1] + 1..ends[2] {
        for garbage in [false, true] {
            let mut bytes = whole[..length].to_vec();
            if garbage {
                // The file had its new length, but not all of its bytes.
                bytes.resize(ends[2], 0);
            }
            fs::write(&path, &bytes).unwrap();
            let (mut journal, replayed, found) = open(&path).unwrap();
            let torn_bytes = (bytes.len() - ends[1]) as u64;
            assert_eq!(replayed, Replayed { commits: 2, torn_bytes }, "cut to {length}");
            assert_eq!(found, batches[..2]);
            assert_eq!(fs::read(&path).unwrap(), whole[..ends[1]]);
            assert_eq!(journal.append(&batches[2]).unwrap(), 3);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_middle_is_damage_and_nothing_is_changed() {
    let (_folder, path, _, ends) = three_commits();
    let whole = fs::read(&path).unwrap();
    for offset in 32..ends[1] {
        flip(&path, offset);
        let before = fs::read(&path).unwrap();
        let error = open(&path).unwrap_err();
        let StoreError::Corrupt { what: Damage::JournalFrame { offset: at, newest }, .. } = error else {
            panic!("byte {offset}: {error:?}");
        };
        let start = if offset < ends[0] { 32 } else { ends[0] };
        assert_eq!((at, newest), (start as u64, 3), "byte {offset}");
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_damaged_header_is_damage_that_says_what_can_still_be_read() {
    let (_folder, path, _, _) = three_commits();
    for offset in (0..32).filter(|offset| !(8..12).contains(offset)) {
        flip(&path, offset);
        let error = open(&path).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { what: Damage::JournalHeader { newest: 3 }, .. }),
            "byte {offset}: {error:?}"
        );
        flip(&path, offset);
    }
    for length in [0, 31] {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..length]).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn a_snapshot_replaces_what_came_before_and_is_never_torn() {
    let (_folder, path, _, _) = three_commits();
    let (mut journal, _, _) = open(&path).unwrap();
    let state = puts(&[(b"all", b"of it")]);
    journal.compact(&mut iter::once(Ok(state.clone()))).unwrap();
    assert_eq!((journal.last(), journal.bytes()), (3, fs::metadata(&path).unwrap().len()));
    let snapshot_end = journal.bytes() as usize;
    let next = deletes(&[b"all"]);
    assert_eq!(journal.append(&next).unwrap(), 4);
    drop(journal);
    let (journal, replayed, found) = open(&path).unwrap();
    assert_eq!(found, [state, next]);
    assert_eq!((replayed.commits, journal.last()), (1, 4));
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for length in 32..snapshot_end {
        fs::write(&path, &whole[..length]).unwrap();
        let error = open(&path).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { what: Damage::JournalFrame { .. }, .. }),
            "cut to {length}: {error:?}"
        );
    }
}

#[test]
fn a_snapshot_that_fails_leaves_the_journal_as_it_was() {
    let (folder, path, batches, _) = three_commits();
    let before = fs::read(&path).unwrap();
    let (mut journal, _, _) = open(&path).unwrap();
    let failing = || StoreError::Closed { path: PathBuf::new() };
    let mut half = [Ok(batches[0].clone()), Err(failing())].into_iter();
    assert!(matches!(journal.compact(&mut half), Err(StoreError::Closed { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(journal.append(&batches[0]).unwrap(), 4);
}

#[test]
fn a_frame_out_of_order_is_damage() {
    let (_folder, path, _, ends) = three_commits();
    let whole = fs::read(&path).unwrap();
    let without_second = [&whole[..ends[0]], &whole[ends[1]..]].concat();
    fs::write(&path, without_second).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

fn open(path: &Path) -> Result<(Journal, Replayed, Vec<Batch>), StoreError> {
    let mut found = Vec::new();
    let (journal, replayed) = Journal::open(path, |batch| found.push(batch))?;
    Ok((journal, replayed, found))
}

/// A journal of three commits, the batches, and where each frame ends.
fn three_commits() -> (TempDir, PathBuf, Vec<Batch>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let batches = vec![
        puts(&[(b"a", b"first"), (b"b", b"\0\0\0\0")]),
        puts(&[(b"a", b"second")]),
        deletes(&[b"b", b"c"]),
    ];
    let mut journal = Journal::create(&path, 0, &mut iter::empty()).unwrap();
    let mut ends = Vec::new();
    for batch in &batches {
        journal.append(batch).unwrap();
        ends.push(journal.bytes() as usize);
    }
    (folder, path, batches, ends)
}
