//! The clinic's verification program: answers a scanned code, a picture or pasted text, offline, in Vietnamese and
//! English or as JSON.
//!
//! [`run`] is the whole program: `main` parses, builds the parts and calls it; tests and the demo call it with parts of
//! their own.

mod cli;
mod exit;
mod json;
mod picture;
mod run;
mod text;

pub use cli::{Cli, Command, Source};
pub use exit::{Ended, Exit, TerminalError};
pub use json::verdict_json;
pub use picture::{PictureError, read_code};
pub use run::{Colours, Output, Parts, run};
