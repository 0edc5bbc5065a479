//! The SDK's reference program: a member's wallet on the command line. It shows how an application uses
//! [`bhyt_sdk::Wallet`], and is what tests and the demo drive.
//!
//! [`run`] is the whole program: `main` parses, builds the parts and calls it; tests call it with parts of their own.

mod cli;
mod draw;
mod exit;
mod json;
mod page;
mod personal;
mod personal_cli;
mod personal_json;
mod personal_text;
mod records_json;
mod records_text;
mod run;
mod text;

pub use cli::{Cli, Command, Whose};
pub use draw::{draw_png, draw_svg, draw_terminal};
pub use exit::{Exit, WalletError};
pub use personal_cli::{
    ContactCommand, ContactSet, OutboxCommand, OutboxEdit, PetitionCommand, PetitionSend,
};
pub use run::{Output, Parts, run};
