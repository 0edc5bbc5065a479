//! Everything that fuzzing has left behind, run once more without it: the seeds of each target, its corpus, and what once
//! went wrong. A failure names the file.

use std::fs;
use std::path::{Path, PathBuf};

use bhyt_tests::fuzz::{TARGETS, Target};

/// Bytes of all corpora together.
const CORPUS_BYTES_MAX: u64 = 2 * 1024 * 1024;

#[test]
fn every_seed_passes() {
    for target in TARGETS {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            run(target, seed, &format!("seed {number}"));
        }
    }
}

#[test]
fn every_kept_input_passes() {
    for target in TARGETS {
        for file in kept(target, "corpus").into_iter().chain(kept(target, "regressions")) {
            let bytes = fs::read(&file).expect("a file of a corpus");
            run(target, &bytes, &file.display().to_string());
        }
    }
}

#[test]
fn corpora_belong_to_targets_and_stay_small() {
    for kind in ["corpus", "regressions"] {
        for entry in fs::read_dir(folder().join(kind)).expect("the kept inputs") {
            let name = entry.expect("an entry").file_name();
            assert!(TARGETS.iter().any(|target| *target.name == *name), "{kind} of no target: {name:?}");
        }
    }
    let bytes: u64 = TARGETS
        .iter()
        .flat_map(|target| kept(target, "corpus"))
        .map(|file| file.metadata().expect("a file of a corpus").len())
        .sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes: minimise them (CONTRIBUTING.md)");
}

#[test]
fn every_target_is_built_and_every_one_built_is_a_target() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("the manifest of the fuzz targets");
    let built: Vec<&str> =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")).collect();
    let named: Vec<String> = TARGETS.iter().map(|target| format!("{}.rs\"", target.name)).collect();
    assert_eq!(built, named);
}

fn run(target: &Target, bytes: &[u8], what: &str) {
    let passed = std::panic::catch_unwind(|| (target.run)(bytes));
    assert!(passed.is_ok(), "{} fails on {what}", target.name);
}

fn kept(target: &Target, kind: &str) -> Vec<PathBuf> {
    let folder = folder().join(kind).join(target.name);
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort_unstable();
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
