//! The README's first command: an offline card from issue to verdict, in under half a minute.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let code = bhyt_tests::demo::run(&mut out)?;
    out.flush()?;
    Ok(code)
}
