//! A phone and a terminal whose files lost or changed bytes while they were off: what they show is what was signed, what is
//! lost is said or fetched again, and nothing needs a hand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use bhyt_core::ids::MemberId;
use bhyt_sdk::{Config, SdkError, Terminal, Wallet};
use bhyt_tests::desk::line;
use bhyt_tests::dice::Dice;
use bhyt_tests::operator::card_row;
use bhyt_tests::people::{Desk, Phone, Town};
use bhyt_tests::server::{RunningServer, block_on};

const MEMBER: &str = "9900000017";
const CARD: &str = "DN4999900000017";
const ACCEPTED: &str = "accept fresh proven_by_clock 000";
const SEED: u64 = 20_261_124;

#[test]
fn a_phone_with_a_harmed_file_shows_its_card_and_is_right_after_a_sync() {
    let scene = Scene::set();
    let mut dice = Dice::new(SEED);
    let mut set_aside = 0;
    for file in ["cache/db", "cache/conf", "own/journal", "own/index/db", "own/index/conf", "cards"] {
        for round in 0..4 {
            let copy = scene.copy_of(MEMBER);
            let path = only_file(&copy.path().join(file));
            harm(&path, &mut dice);
            let what = format!("seed {SEED}, {file}, round {round}");
            let opened = Wallet::open(scene.config(copy.path()));
            let phone = Phone {
                wallet: opened.unwrap_or_else(|error| panic!("{what}: {error:?}")),
                member: scene.member,
            };
            assert_eq!(phone.numbers(), [CARD], "{what}: shown without a network");
            assert!(phone.wallet.live_text(scene.member).is_ok(), "{what}: and as a live code");
            block_on(phone.wallet.sync()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(phone.numbers(), [CARD], "{what}: after a sync");
            assert_eq!(phone.wallet.status().members[0].records, 1, "{what}");
            assert_eq!(phone.wallet.fork_evidence(scene.member), None, "{what}");
            drop(phone);
            set_aside += usize::from(copy.path().join("cache.corrupt-1").exists());
            let again =
                Phone { wallet: Wallet::open(scene.config(copy.path())).unwrap(), member: scene.member };
            assert_eq!(again.numbers(), [CARD], "{what}: the second time");
        }
    }
    assert!(set_aside > 0, "no cache was harmed so that it was noticed: this test shows nothing");
}

#[test]
fn a_phone_that_has_lost_both_halves_of_what_is_irreplaceable_says_so_and_removes_nothing() {
    let scene = Scene::set();
    let copy = scene.copy_of(MEMBER);
    let journal = copy.path().join("own/journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[40] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    fs::remove_dir_all(copy.path().join("own/index")).unwrap();
    for _ in 0..2 {
        let opened = Wallet::open(scene.config(copy.path()));
        assert!(matches!(opened, Err(SdkError::System { .. })), "{opened:?}");
    }
    assert_eq!(fs::read(&journal).unwrap(), bytes);
}

/// Every eighth byte of the list, and each of its ends.
#[test]
fn a_terminal_with_a_harmed_list_accepts_nobody_by_it_and_is_right_after_a_sync() {
    let scene = Scene::set();
    let whole = fs::read(scene.town.path("desk").join("status/status")).unwrap();
    let phone = Phone { wallet: Wallet::open(scene.town.config(MEMBER)).unwrap(), member: scene.member };
    let places = (0..whole.len()).step_by(8).chain([whole.len() - 1]);
    let flipped = places.map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    });
    let cut = [whole[..whole.len() / 2].to_vec(), Vec::new()];
    let copy = scene.copy_of("desk");
    let list = copy.path().join("status/status");
    for (round, bytes) in flipped.chain(cut).enumerate() {
        fs::write(&list, bytes).unwrap();
        let terminal = Terminal::open(scene.config(copy.path())).unwrap();
        assert_eq!(terminal.status().status_version, None, "round {round}: no list is taken");
        let verdict = terminal.verify_text(&phone.live()).unwrap();
        assert_eq!(line(&verdict), "undecided no_status_list 500", "round {round}");
    }
    let desk = Desk(Terminal::open(scene.config(copy.path())).unwrap());
    block_on(desk.0.sync()).unwrap();
    scene.town.pass(1);
    assert_eq!(desk.judge(&phone.live()), ACCEPTED);
}

#[test]
fn a_terminal_with_a_harmed_store_still_knows_the_proofs_that_it_took() {
    let scene = Scene::set();
    let mut dice = Dice::new(SEED);
    for file in ["own/journal", "own/index/db", "cache/db", "cache/conf"] {
        for round in 0..4 {
            let copy = scene.copy_of("desk");
            harm(&copy.path().join(file), &mut dice);
            let what = format!("seed {SEED}, {file}, round {round}");
            let opened = Terminal::open(scene.config(copy.path()));
            let terminal = opened.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            let verdict = terminal.verify_text(&scene.taken).unwrap();
            assert_eq!(line(&verdict), "accept fresh proof_seen_before 000", "{what}");
        }
    }
}

/// A phone and a terminal that were up to date and have been closed, and their server.
struct Scene {
    town: Town,
    member: MemberId,
    /// A live code that the terminal has accepted.
    taken: String,
    _server: RunningServer,
}

impl Scene {
    fn set() -> Self {
        let town = Town::found();
        let server = town.open();
        let (member, taken) = block_on(async {
            let operator = town.operator(server.address()).await;
            operator.register(MEMBER, "Nguyễn Thị Thử").await;
            operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
            let phone = town.phone(server.address(), &operator, MEMBER).await;
            let desk = town.desk(server.address(), &operator).await;
            let taken = phone.live();
            assert_eq!(desk.judge(&taken), ACCEPTED);
            phone.wallet.close().await;
            desk.0.close().await;
            (phone.member, taken)
        });
        Self { town, member, taken, _server: server }
    }

    /// A device's folder once more.
    fn copy_of(&self, name: &str) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_files(&self.town.path(name), copy.path());
        copy
    }

    fn config(&self, folder: &Path) -> Config {
        Config::new(folder).with_clock(self.town.clock.clone())
    }
}

/// A bit flipped, an end cut off, zeros, or other bytes; where the file has any.
fn harm(path: &Path, dice: &mut Dice) {
    let mut bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = usize::try_from(dice.below(used as u64)).unwrap();
    let end = used.min(at + 1 + usize::try_from(dice.below(512)).unwrap());
    match dice.below(4) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes.truncate(at),
        2 => bytes[at..end].fill(0),
        _ => bytes[at..end].iter_mut().for_each(|byte| *byte = dice.throw().to_le_bytes()[0]),
    }
    fs::write(path, bytes).unwrap();
}

/// The path, or the one file in the folder.
fn only_file(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => fs::read_dir(path).unwrap().next().unwrap().unwrap().path(),
        false => path.to_owned(),
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_files(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
