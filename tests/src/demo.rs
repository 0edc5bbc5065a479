//! The demo: everything once, from the issue of a card to eight verdicts without a network. Real QUIC, real sled, real
//! signatures; three synthetic members in temporary folders that are removed at the end.

mod scenes;
mod show;

use std::io::{self, Write};
use std::process::ExitCode;

pub use scenes::Scene;

/// Runs the demo and prints it. Success only when every verdict is as expected.
pub fn run(out: &mut impl Write) -> io::Result<ExitCode> {
    let stage = scenes::prepare(out)?;
    let scenes = stage.play(out)?;
    let wrong = scenes.iter().filter(|scene| !scene.is_as_expected()).count();
    show::summary(out, &scenes)?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
