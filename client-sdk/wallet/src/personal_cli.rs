//! The part of the command line that is about a member's own words.

use clap::{Args, Subcommand};

use crate::cli::Whose;

/// Contact details.
#[derive(Clone, Debug, Subcommand)]
pub enum ContactCommand {
    /// Change them on this phone, with or without a network; the next sync sends them.
    Set(ContactSet),
}

/// What to change.
#[derive(Clone, Debug, Args)]
#[group(id = "details", required = true, multiple = true, args = ["phone", "email"])]
pub struct ContactSet {
    /// Telephone: 8 to 15 digits, perhaps after a +. Empty takes it away.
    #[arg(long, value_name = "NUMBER")]
    pub phone: Option<String>,
    /// E-mail. Empty takes it away.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Whose.
    #[command(flatten)]
    pub whose: Whose,
}

/// Petitions.
#[derive(Clone, Debug, Subcommand)]
pub enum PetitionCommand {
    /// Hand one in, once and for all; it waits for the network, and its receipt proves when the server took it.
    Send(PetitionSend),
}

/// What to hand in.
#[derive(Clone, Debug, Args)]
pub struct PetitionSend {
    /// In one line.
    #[arg(long, value_name = "LINE")]
    pub title: String,
    /// A question, for something to be explained.
    #[arg(long, group = "kind")]
    pub question: bool,
    /// Feedback, for something to be better.
    #[arg(long, group = "kind")]
    pub feedback: bool,
    /// A dispute: this record tells of what did not happen so.
    #[arg(long, group = "kind", value_name = "RECORD")]
    pub dispute: Option<u64>,
    /// A correction: this record should read otherwise.
    #[arg(long, group = "kind", value_name = "RECORD")]
    pub correction: Option<u64>,
    /// In full.
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Whose.
    #[command(flatten)]
    pub whose: Whose,
}

/// What to do with an edit that the server has not taken.
#[derive(Clone, Debug, Subcommand)]
pub enum OutboxCommand {
    /// Let an edit that was refused wait again, under a new id.
    Retry(OutboxEdit),
    /// Throw an edit away.
    Discard(OutboxEdit),
}

/// Which.
#[derive(Clone, Debug, Args)]
pub struct OutboxEdit {
    /// Its id, as `outbox` prints it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Whose.
    #[command(flatten)]
    pub whose: Whose,
}
