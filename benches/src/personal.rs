//! The personal document after a long life: ten thousand edits on three machines, one of them away until the document has
//! begun anew. How much of the disk it takes, and how long it takes to open.

use std::time::Instant;

use bhyt_core::personal::document::PersonalDocument;
use bhyt_tests::dice::Dice;
use bhyt_tests::family::Family;

use crate::figure::{Figure, Goal, Promise};
use crate::run::{Group, Run, Scale};
use crate::sample;

/// `personal.bytes`, `personal.open_ms`.
pub(crate) const PERSONAL: &Group = &Group { promises: &[BYTES, OPEN], measure };

fn measure(run: &mut Run) {
    let edits = run.scale.of(EDITS);
    run.say(&format!("personal: {edits} edits on three machines"));
    let family = live(edits, run.scale);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("document");
    std::fs::write(&path, family.largest.as_slice()).expect("a file");
    let bytes = std::fs::metadata(&path).expect("the file").len();
    run.found(Figure::value(&BYTES, bytes as f64).and("every final value kept", true));
    let times: Vec<f64> = (0..run.scale.of(OPENINGS))
        .map(|_| {
            let began = Instant::now();
            let bytes = std::fs::read(&path).expect("the file");
            let document = PersonalDocument::load(&bytes).expect("what was saved");
            std::hint::black_box(document.view());
            began.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    run.found(Figure::value(&OPEN, sample::median(&times)));
}

struct Life {
    largest: Vec<u8>,
}

/// So many edits that changed something. [`Family::check`] panics where a final value is not kept, and then there is no
/// figure.
fn live(edits: u64, scale: Scale) -> Life {
    let mut dice = Dice::new(SEED);
    let mut family = Family::new();
    let mut largest = Vec::new();
    let mut made = 0;
    let mut rebuilds_away = 0;
    while made < edits {
        let which = dice.below(3) as usize;
        let edit = family.chance_edit(which, &mut dice);
        made += u64::from(family.edit(which, edit));
        // Away until the document has begun anew, home once, and away again.
        let is_away = which == AWAY && family.rebuilds() <= rebuilds_away;
        if !is_away {
            family.meet(which);
            rebuilds_away = if which == AWAY { family.rebuilds() } else { rebuilds_away };
        }
        if made.is_multiple_of(100) {
            let saved = family.server.save();
            largest = if saved.len() > largest.len() { saved } else { largest };
        }
    }
    family.check();
    let begun_anew = scale == Scale::Hundredth || family.rebuilds() > 1;
    assert!(begun_anew, "the document never began anew");
    Life { largest: if largest.is_empty() { family.server.save() } else { largest } }
}

const EDITS: u64 = 10_000;
const OPENINGS: u64 = 2_000;
const SEED: u64 = 4;
/// The machine that stays away.
const AWAY: usize = 1;

const BYTES: Promise = Promise {
    id: "personal.bytes",
    unit: "bytes",
    limit_unit: "",
    goal: Goal::AtMost(65_536.0),
    how: "A personal document on disk at its largest, looked at every 100 of 10,000 edits by three actors (two phones and a \
          desk; contact details, notes, reminders, petitions, answers), one of which is away each time until the document \
          has begun anew. Afterwards all three show the same, and every field what was last written to it.",
    cause: "",
};
const OPEN: Promise = Promise {
    id: "personal.open_ms",
    unit: "ms",
    limit_unit: "",
    goal: Goal::AtMost(10.0),
    how: "The median of 2,000 times: that file read, inflated, every change of it read and hashed, merged, and the whole view made.",
    cause: "",
};
