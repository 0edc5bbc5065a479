//! The command line of `admin grant`.

use bhyt_core::grant::{GrantRelation, GrantScope};
use bhyt_core::sync::admin::NewGrant;
use bhyt_core::time::Day;
use clap::{Args, Subcommand};

/// What can be done about grants.
#[derive(Clone, Debug, Subcommand)]
pub enum GrantWhat {
    /// Let a carer's phones hold a member's card. The phones take it up at their next sync, without a code.
    #[command(after_help = HELP)]
    Add(Box<NewGrantArgs>),
    /// End a grant now: the carer's phones wipe what they hold of the member at their next contact.
    Revoke {
        /// The member whose card it is, by any number.
        #[arg(long, value_name = "ID")]
        member: String,
        /// The carer, by any number.
        #[arg(long, value_name = "ID")]
        carer: String,
    },
    /// List the grants that a member has given or holds.
    List {
        /// The member, by any number.
        #[arg(long, value_name = "ID")]
        member: String,
    },
}

/// A grant to enter. Dates are yyyy-MM-dd or dd/MM/yyyy.
#[derive(Clone, Debug, Args)]
pub struct NewGrantArgs {
    /// The member whose card it is, by any number.
    #[arg(long, value_name = "ID")]
    pub member: String,
    /// The carer, by any number.
    #[arg(long, value_name = "ID")]
    pub carer: String,
    /// What the carer is to the member: parent, guardian, spouse, child, other.
    #[arg(long, value_name = "RELATION", value_parser = relation)]
    pub relation: GrantRelation,
    /// How much: the card alone, or card and records.
    #[arg(long, value_name = "card|records", default_value = "records", value_parser = scope)]
    pub scope: GrantScope,
    /// The first day; today when not given.
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub from: Option<Day>,
    /// The last day; five years after the first at most.
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub until: Day,
}

impl From<NewGrantArgs> for NewGrant {
    fn from(args: NewGrantArgs) -> Self {
        let NewGrantArgs { member, carer, relation, scope, from, until } = args;
        Self { dependant: member, carer, scope, relation, from, until }
    }
}

fn relation(word: &str) -> Result<GrantRelation, &'static str> {
    GrantRelation::parse(word).ok_or("one of parent, guardian, spouse, child, other")
}

fn scope(word: &str) -> Result<GrantScope, &'static str> {
    GrantScope::parse(word).ok_or("card or records")
}

fn day(text: &str) -> Result<Day, &'static str> {
    Day::parse(text).ok_or("yyyy-MM-dd or dd/MM/yyyy")
}

const HELP: &str = "\
Examples:
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key grant add --member 9900000025 \
--carer 9900000017 --relation parent --until 2027-12-31
  bhyt-server admin --server localhost:4433 --trust trust.cose --key operator.key grant revoke --member 9900000025 \
--carer 9900000017";
