//! kill -9 in the middle of everything, a few times, with seeds that have found something. `tests/run faults` kills 200
//! times with a new seed, `bhyt-kill --kills 2000` more than that.

use std::path::Path;

use bhyt_tests::kill::Campaign;

/// Each with what it found:
/// 1: a `trust renew` that was killed locked out the next one, until somebody removed its lock.
const SEEDS: [u64; 1] = [1];

#[test]
fn whatever_is_killed_what_was_acknowledged_is_there_once() {
    for seed in SEEDS {
        let folder = tempfile::tempdir().unwrap();
        let campaign = Campaign {
            kills: 25,
            seed,
            executable: Path::new(env!("CARGO_BIN_EXE_bhyt-kill")).to_owned(),
            folder: folder.path().to_owned(),
        };
        let outcome = campaign.run(|line| println!("{line}"));
        println!("{outcome}");
        assert!(outcome.failures.is_empty(), "seed {seed}");
        assert!(outcome.total() >= 25);
    }
}
