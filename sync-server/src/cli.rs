//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use bhyt_core::keys::KeyId;
use bhyt_core::status::token::TokenUri;
use bhyt_core::trust::KeyUse;
use clap::{Args, Parser, Subcommand};

use crate::admin::{AdminArgs, NewOperatorArgs};
use crate::keys::parse_usage;
use crate::policy_change::PolicyChange;
use crate::trust_command::Renewal;

/// The sync server of offline health-insurance cards, and its operator's commands.
#[derive(Clone, Debug, Parser)]
#[command(name = "bhyt-server", version, after_help = HELP, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a new server: data folder, keys, first trust bundle, first operator.
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
    /// Make root keys alone, on a machine without network, for a change of the root set.
    #[command(after_help = ROOT_KEYS_HELP)]
    RootKeys(RootKeysArgs),
    /// Trust bundles: the root-signed list of keys.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// The status list, for readers of others.
    #[command(subcommand)]
    Status(StatusCommand),
    /// Serve phones, terminals and operators until SIGINT or SIGTERM.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Make a data folder from a backup and the keys that were kept apart from it.
    #[command(after_help = RESTORE_HELP)]
    Restore(RestoreArgs),
    /// Give a restored server the newest status list in circulation; it issues nothing before. The server is stopped.
    #[command(after_help = ADOPT_HELP)]
    Adopt(AdoptArgs),
    /// The tree of members' keys: copied to where it is kept, and looked at.
    #[command(subcommand, after_help = MEMBER_KEYS_HELP)]
    MemberKeys(MemberKeysCommand),
    /// An operator's commands, sent to a running server.
    Admin(AdminArgs),
    /// Make an operator's key; and change who the operators are while the server is stopped, without any key.
    #[command(subcommand, after_help = OPERATOR_HELP)]
    Operator(OperatorCommand),
}

/// What can be done about the tree of members' keys.
#[derive(Clone, Debug, Subcommand)]
pub enum MemberKeysCommand {
    /// Copy it over an older copy, which is destroyed; the server may be running.
    Copy {
        /// The data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The copy.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Print one JSON object instead of text: tree, erased, file.
        #[arg(long)]
        json: bool,
    },
    /// Say which tree a file holds, and how many members were erased.
    Show {
        /// The tree, or a copy of it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print one JSON object instead of text: tree, erased, file.
        #[arg(long)]
        json: bool,
    },
    /// Make it for a data folder of an earlier version, which has none.
    Make {
        /// The data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Print one JSON object instead of text: tree, erased, file.
        #[arg(long)]
        json: bool,
    },
}

/// What can be done about operators without a running server.
#[derive(Clone, Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make an operator's key, on the machine where it will be used.
    Key {
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Print one JSON object instead of text: id, public_key, key.
        #[arg(long)]
        json: bool,
    },
    /// Enter an operator into the store of a server that is stopped.
    Add {
        /// The data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Who.
        #[command(flatten)]
        operator: Box<NewOperatorArgs>,
        /// Print one JSON object instead of text: result, id.
        #[arg(long)]
        json: bool,
    },
    /// List the operators in the store of a server that is stopped.
    List {
        /// The data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Print one JSON object instead of text: operators.
        #[arg(long)]
        json: bool,
    },
    /// Retire an operator for good, in the store of a server that is stopped.
    Retire {
        /// The data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The operator's id, 16 hexadecimal digits.
        #[arg(value_name = "OPERATOR", value_parser = key_id)]
        operator: KeyId,
        /// Print one JSON object instead of text: result, id.
        #[arg(long)]
        json: bool,
    },
}

/// What to make a server from.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The data folder; new or empty.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Folder for the three root keys and the operator's key; new or empty, and not inside the data folder.
    #[arg(long, value_name = "DIR")]
    pub root_keys: PathBuf,
    /// Print one JSON object instead of text: issuer_key, root_fingerprint, trust, operator_key, root_keys.
    #[arg(long)]
    pub json: bool,
}

/// Which root keys to make.
#[derive(Clone, Debug, Args)]
pub struct RootKeysArgs {
    /// The folder for the keys; new or empty.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How many.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub count: u8,
    /// Print one JSON object instead of text: root_keys, threshold, root_fingerprint.
    #[arg(long)]
    pub json: bool,
}

/// What can be done about trust bundles.
#[derive(Clone, Debug, Subcommand)]
pub enum TrustCommand {
    /// Sign the next trust bundle with root keys and put it in force; a running server takes it within a second.
    #[command(after_help = RENEW_HELP)]
    Renew(RenewArgs),
}

/// What the next bundle shall be.
#[derive(Clone, Debug, Args)]
pub struct RenewArgs {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Root keys that sign; as many as the threshold, 2 unless the roots were changed.
    #[arg(long = "root-key", value_name = "FILE", required = true, num_args = 1..)]
    pub root_keys: Vec<PathBuf>,
    /// All root keys from now on, made elsewhere; more than half of them will have to sign.
    #[arg(long = "new-root", value_name = "FILE", num_args = 1..)]
    pub new_roots: Vec<PathBuf>,
    /// Make a new key for this use: card, status, head, transport or token-status.
    #[arg(long = "add-key", value_name = "USE", num_args = 0.., default_missing_value = "card", value_parser = usage)]
    pub add: Vec<KeyUse>,
    /// Days from now when the new keys begin to sign, so that terminals know them before they meet them.
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=400))]
    pub start_in_days: u32,
    /// A key that signs no more from now on; what it signed stays good.
    #[arg(long = "close-key", value_name = "KID", num_args = 1.., value_parser = key_id)]
    pub close: Vec<KeyId>,
    /// A key to take out: what it signed, every card too, is good no more.
    #[arg(long = "retire-key", value_name = "KID", num_args = 1.., value_parser = key_id)]
    pub retire: Vec<KeyId>,
    /// Print one JSON object instead of text: version, expires, trust, root_fingerprint, policy, added.
    #[arg(long)]
    pub json: bool,
    /// What changes of the policy. Last, because its heading holds for everything after it.
    #[command(flatten, next_help_heading = "Policy, where it changes")]
    pub policy: PolicyChange,
}

impl From<RenewArgs> for Renewal {
    fn from(args: RenewArgs) -> Self {
        Self {
            root_keys: args.root_keys,
            new_roots: args.new_roots,
            add: args.add,
            start_in_days: args.start_in_days,
            close: args.close,
            retire: args.retire,
            policy: args.policy,
        }
    }
}

/// What can be done about the status list beside the server.
#[derive(Clone, Debug, Subcommand)]
pub enum StatusCommand {
    /// Write a status list as IETF Token Status Lists (CWT), signed by a token-status key.
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
}

/// What to export, and where to.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The data folder, for trust bundle and key; the server may be running.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The status list: `status/status` of a terminal that has just synced. It is verified as a terminal does.
    #[arg(long, value_name = "FILE")]
    pub status: PathBuf,
    /// Where readers will find the tokens: token N at URI/N.
    #[arg(long, value_name = "URI", value_parser = token_uri)]
    pub uri: TokenUri,
    /// Folder for the tokens, N.cwt each; made when it is not there, files in it are replaced.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print one JSON object instead of text: version, time, expires, key_id, public_key, tokens.
    #[arg(long)]
    pub json: bool,
}

/// What to serve.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The data folder that `init` made.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// UDP address and port to listen on; goes before the one in server.toml. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// A file to write the bound address to, in one line, once clients can come; removed at the end.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// What to restore.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The backup that `admin backup` made.
    #[arg(value_name = "FILE")]
    pub backup: PathBuf,
    /// The data folder; new or empty.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The server's keys: a copy of `keys/`.
    #[arg(long, value_name = "DIR")]
    pub keys: PathBuf,
    /// Trust bundles made after the backup, oldest first; without them phones know more than the server.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub trust: Vec<PathBuf>,
    /// The newest status list in circulation: `status/status` of the terminal that synced last. `adopt` takes it later.
    #[arg(long, value_name = "FILE")]
    pub status: Option<PathBuf>,
    /// Print one JSON object instead of text: backup_time, trust_version, pairs_written, erased, adopted.
    #[arg(long)]
    pub json: bool,
}

/// What to adopt.
#[derive(Clone, Debug, Args)]
pub struct AdoptArgs {
    /// The data folder that `restore` made.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The newest status list in circulation: `status/status` of the terminal that synced last.
    #[arg(long, value_name = "FILE")]
    pub status: PathBuf,
    /// Print one JSON object instead of text: epoch, number, time, unknown_entries, released, newer.
    #[arg(long)]
    pub json: bool,
}

fn usage(word: &str) -> Result<KeyUse, &'static str> {
    parse_usage(word).ok_or("one of card, status, head, transport, token-status")
}

fn token_uri(text: &str) -> Result<TokenUri, &'static str> {
    TokenUri::parse(text).ok_or("a URI without query, fragment and final slash")
}

pub(crate) fn key_id(text: &str) -> Result<KeyId, &'static str> {
    KeyId::from_hex(text.trim()).ok_or("16 hexadecimal digits")
}

const HELP: &str = "\
Examples:
  bhyt-server init --data ./data --root-keys ./roots
  bhyt-server serve --data ./data
  bhyt-server trust renew --data ./data --root-key /usb1/root-1.key /usb2/root-2.key

Logs are JSON on stderr and hold no personal data; BHYT_LOG sets their level, and server.toml when it is not set.

Exit codes:
  0   done
  64  the command line is not understood
  65  a file or stored value is not what it should be
  69  the server cannot be reached
  70  internal fault
  74  reading or writing failed
  75  the data folder is in use by another process
  77  refused: the message says by which rule";
const INIT_HELP: &str = "\
Examples:
  bhyt-server init --data ./data --root-keys ./roots
  bhyt-server init --data /srv/bhyt --root-keys /media/usb/roots --json";
const MEMBER_KEYS_HELP: &str = "\
Examples:
  bhyt-server member-keys copy --data ./data --to /media/safe/members.tree
  bhyt-server member-keys show /media/safe/members.tree --json";
const SERVE_HELP: &str = "\
Examples:
  bhyt-server serve --data ./data
  bhyt-server serve --data ./data --listen '[::]:4433'
  bhyt-server serve --data ./data --listen 127.0.0.1:0 --ready-file ./address";
const RESTORE_HELP: &str = "\
Examples:
  bhyt-server restore bhyt.backup --data ./data --keys /media/safe/keys --status /media/clinic/status
  bhyt-server restore bhyt.backup --data ./data --keys /media/safe/keys --trust trust.cose --json";
const ADOPT_HELP: &str = "\
Examples:
  bhyt-server adopt --data ./data --status /media/clinic/status";
const OPERATOR_HELP: &str = "\
Examples:
  bhyt-server operator key --out operator.key
  bhyt-server operator list --data ./data
  bhyt-server operator add --data ./data --public-key 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c \
--role administrator --label office-2
  bhyt-server operator retire --data ./data 0011223344556677 --json

Roles:
  registrar      members and cards
  enroller       phones and terminals
  auditor        reads what both do, and the audit trail; changes nothing
  administrator  operators, and backups

`list`, `add` and `retire` need the server stopped: they are the way back when the last administrator's key is lost or
stolen. While the server runs, an administrator uses `bhyt-server admin … operator`.";
const ROOT_KEYS_HELP: &str = "\
Examples:
  bhyt-server root-keys --out ./new-roots
  bhyt-server root-keys --out /media/usb/roots --count 1 --json";
const RENEW_HELP: &str = "\
Examples:
  bhyt-server trust renew --data ./data --root-key /usb1/root-1.key --root-key /usb2/root-2.key
  bhyt-server trust renew --data ./data --root-key r1 r2 --add-key card --start-in-days 30
  bhyt-server trust renew --data ./data --root-key r1 r2 --add-key status --retire-key 0011223344556677
  bhyt-server trust renew --data ./data --root-key r1 r2 --close-key 0011223344556677 --json
  bhyt-server trust renew --data ./data --root-key r1 r2 --add-key token-status
  bhyt-server trust renew --data ./data --root-key r1 r2 --new-root n1 n2 n3
  bhyt-server trust renew --data ./data --root-key r1 r2 --stale-days 45 --proof-age 90";

const EXPORT_HELP: &str = "\
Examples:
  bhyt-terminal --data ./desk sync
  bhyt-server status export --data ./data --status ./desk/status/status --uri https://bhyt.example/status --out ./www/status
  bhyt-server status export --data ./data --status ./desk/status/status --uri https://bhyt.example/status --out ./www/status --json";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_every_example_parses() {
        Cli::command().debug_assert();
        let help = [
            HELP,
            INIT_HELP,
            SERVE_HELP,
            RENEW_HELP,
            RESTORE_HELP,
            ADOPT_HELP,
            OPERATOR_HELP,
            EXPORT_HELP,
            ROOT_KEYS_HELP,
        ]
        .join("\n");
        let examples = help.lines().filter(|line| line.trim().starts_with("bhyt-server "));
        let parsed = examples.map(|line| {
            let line = line.replace('\'', "");
            Cli::try_parse_from(line.split_whitespace()).map_err(|error| format!("{line}: {error}"))
        });
        assert_eq!(parsed.collect::<Result<Vec<_>, _>>().unwrap().len(), 26);
    }

    #[test]
    fn values_are_typed_at_once() {
        let renew = |rest: &str| {
            let line = format!("bhyt-server trust renew --data d --root-key a {rest}");
            let cli = Cli::try_parse_from(line.split_whitespace()).ok()?;
            match cli.command {
                Command::Trust(TrustCommand::Renew(args)) => Some(Renewal::from(args)),
                _ => None,
            }
        };
        let renewal = renew("b --add-key card head --retire-key 00112233445566ff").unwrap();
        assert_eq!(renewal.root_keys.len(), 2);
        assert_eq!(renewal.add, [KeyUse::Card, KeyUse::Head]);
        assert_eq!(renewal.retire, [KeyId([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xff])]);
        for bad in ["--add-key operator", "--retire-key 0011", "--start-in-days 401"] {
            assert!(renew(bad).is_none(), "{bad}");
        }
    }
}
