//! The bodies of the fuzz targets, one module each: what is done with any bytes, and what must hold then. `tests/fuzz`
//! gives them to libFuzzer; `tests/tests/fuzz.rs` runs seeds, corpus and regressions in plain `cargo test`.
//!
//! A target refuses by panicking. Where bytes stand behind a signature or a checksum, the target makes that itself, so
//! that what lies behind is reached; where nobody could have signed, it demands that nothing was accepted.

pub mod card;
pub mod feed;
pub mod frames;
pub mod held_status;
pub mod input;
pub mod personal;
pub mod picture;
pub mod record_files;
pub mod records;
pub mod service;
pub mod sessions;
pub mod status;
pub mod stored;
pub mod text;
pub mod trust;

mod ledger;
mod scratch;

use std::path::Path;

/// A target by name.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As in `cargo fuzz run`; also its folders' name.
    pub name: &'static str,
    /// What is done with an input.
    pub run: fn(&[u8]),
    /// Inputs to begin from: our own valid objects.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident)*) => {
        /// All targets.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*];
    };
}
targets! { card feed frames held_status personal picture record_files records service sessions status stored text trust }

/// Writes a target's seeds into the folder that `BHYT_FUZZ_SEEDS` names, if it does: each under its number.
///
/// # Panics
/// When the folder cannot be written.
pub fn write_seeds(seeds: fn() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os("BHYT_FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in seeds().into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number:03}"));
        std::fs::write(path, seed).expect("the folder for seeds");
    }
}
