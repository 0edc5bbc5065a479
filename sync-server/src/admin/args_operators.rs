//! The command line of `admin operator` and `admin audit`.

use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::sync::operators::{NewOperator, OperatorLabel, OperatorRole};
use bhyt_core::time::{Day, UnixSeconds};
use clap::{Args, Subcommand};

use crate::cli::key_id;
use crate::keys::parse_public_key;

/// What can be done about operators.
#[derive(Clone, Debug, Subcommand)]
pub enum OperatorWhat {
    /// Enter an operator, whose key was made with `bhyt-server operator key`.
    Add(Box<NewOperatorArgs>),
    /// List operators, retired ones too.
    List,
    /// Give an operator exactly these roles, from its next command on.
    Roles {
        /// The operator's id, 16 hexadecimal digits.
        #[arg(value_name = "OPERATOR", value_parser = key_id)]
        operator: KeyId,
        /// All roles from now on: registrar, enroller, auditor, administrator.
        #[arg(long = "role", value_name = "ROLE", required = true, num_args = 1.., value_parser = role)]
        roles: Vec<OperatorRole>,
    },
    /// Retire an operator for good: from its next command on, and its connections are closed.
    Retire {
        /// The operator's id, 16 hexadecimal digits.
        #[arg(value_name = "OPERATOR", value_parser = key_id)]
        operator: KeyId,
    },
}

/// An operator to enter.
#[derive(Clone, Debug, Args)]
pub struct NewOperatorArgs {
    /// The public key that `operator key` printed, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    pub public_key: PublicKey,
    /// What it may do: registrar, enroller, auditor, administrator.
    #[arg(long = "role", value_name = "ROLE", required = true, num_args = 1.., value_parser = role)]
    pub roles: Vec<OperatorRole>,
    /// What lists call it: a desk or a task, not a person. Up to 32 of a-z, 0-9, '.', '_' and '-'.
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub label: OperatorLabel,
}

impl From<NewOperatorArgs> for NewOperator {
    fn from(args: NewOperatorArgs) -> Self {
        Self { key: args.public_key, roles: args.roles, label: args.label }
    }
}

/// Which lines of the audit trail.
#[derive(Clone, Debug, Default, Args)]
pub struct AuditArgs {
    /// From this day or moment on, in Vietnam; the last seven days when not given.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub from: Option<Moment>,
    /// Up to this moment, or to the end of this day; up to now when not given.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub to: Option<Moment>,
    /// Of this operator: its id, 16 hexadecimal digits.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    pub operator: Option<KeyId>,
    /// About this member, by any number or by the short id that the trail shows.
    #[arg(long, value_name = "ID", conflicts_with = "card")]
    pub member: Option<String>,
    /// About this card.
    #[arg(long, value_name = "NUMBER")]
    pub card: Option<String>,
    /// Only what was not done.
    #[arg(long)]
    pub refused: bool,
}

/// A day or a moment of one, as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Where it begins.
    pub begins: UnixSeconds,
    /// Where it ends: a day later for a day.
    pub ends: UnixSeconds,
}

/// `yyyy-MM-dd` or `dd/MM/yyyy`, and `HH:mm` or `HH:mm:ss` after a space or a `T`.
fn moment(text: &str) -> Result<Moment, &'static str> {
    let form = "yyyy-MM-dd or dd/MM/yyyy, and HH:mm after it if need be";
    let (day, time) =
        text.trim().split_once([' ', 'T']).map_or_else(|| (text.trim(), None), |(a, b)| (a, Some(b)));
    let day = Day::parse(day).ok_or(form)?;
    let Some(time) = time else {
        return Ok(Moment { begins: day.start(), ends: day.start().plus(86_400) });
    };
    let mut parts = time.split(':');
    let mut part = |bound: u64, otherwise: Option<u64>| match parts.next() {
        Some(part) => part.parse().ok().filter(|value| part.len() == 2 && *value < bound),
        None => otherwise,
    };
    let (hour, minute, second) = (part(24, None), part(60, None), part(60, Some(0)));
    let (Some(hour), Some(minute), Some(second), None) = (hour, minute, second, parts.next()) else {
        return Err(form);
    };
    let at = day.start().plus(hour * 3_600 + minute * 60 + second);
    Ok(Moment { begins: at, ends: at })
}

fn role(word: &str) -> Result<OperatorRole, &'static str> {
    OperatorRole::parse(word).ok_or("one of registrar, enroller, auditor, administrator")
}

fn label(text: &str) -> Result<OperatorLabel, &'static str> {
    OperatorLabel::parse(text).ok_or("1 to 32 of a-z, 0-9, '.', '_' and '-'")
}

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    parse_public_key(text).ok_or("64 hexadecimal digits, as `operator key` prints them")
}

pub(super) const AUDIT_HELP: &str = "\
Examples:
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key audit --from 2026-11-01
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key audit --operator 0011223344556677 \
--from 2026-11-23T09:00 --to 2026-11-23T09:30
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key audit --member 9900000017 --json

A line holds ids in short form and no values: `member show 3f2a91bc` finds the member of a short id. With --json each line \
is one JSON object.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_those_of_vietnam() {
        let start = Day::parse("2026-11-23").unwrap().start();
        let day = Moment { begins: start, ends: start.plus(86_400) };
        assert_eq!((moment("2026-11-23"), moment(" 23/11/2026 ")), (Ok(day), Ok(day)));
        for (text, second) in [("2026-11-23T09:05", 32_700), ("23/11/2026 23:59:59", 86_399)] {
            let at = start.plus(second);
            assert_eq!(moment(text), Ok(Moment { begins: at, ends: at }));
        }
        for bad in
            ["", "2026-11-31", "2026-11-23T", "2026-11-23T9:05", "2026-11-23T24:00", "2026-11-23T09:05:00:00"]
        {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
