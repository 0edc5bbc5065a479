//! `bhyt-server status export`: a status list as IETF Token Status Lists, for readers that know nothing of ours.
//!
//! It works beside a running server and reads no store: the list comes as the file that a terminal keeps, and is verified as
//! a terminal does. Whatever web server stands outside hands the tokens out; their signatures are what makes them good.
//!
//! Promises: one token in memory at a time, each file whole or as it was before. Refuses: a list that the bundle in force
//! does not take, one so old that its tokens would be over, one with a set of no known meaning, and to sign with any key but
//! one of use token-status.

use std::fs;
use std::path::{Path, PathBuf};

use bhyt_core::held_status::{FILE_BYTES_MAX, HeldStatus, StatusFault};
use bhyt_core::ids::hex;
use bhyt_core::keys::SecretKey;
use bhyt_core::marks::Marks;
use bhyt_core::status::StatusVersion;
use bhyt_core::status::token::{TokenError, TokenPieces, TokenTerms, TokenUri, UnsignedToken};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_platform::files::{self, FileAccess, FileError, FileOperation};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::folder::{DataFolder, io_at};
use crate::keys::{KeysError, ServerKeys};
use crate::trust_keeper::{TrustKeeper, TrustKeeperError};

/// What an export made: what its JSON says.
#[derive(Clone, Debug, Serialize)]
pub struct ExportReport {
    /// Epoch and number of the list.
    pub version: [u64; 2],
    /// When the list was made, in seconds since 1970; when the tokens say they were issued.
    pub time: u64,
    /// When they are over.
    pub expires: u64,
    /// Who signed: 16 hexadecimal digits,
    pub key_id: String,
    /// and the Ed25519 key, 64 of them.
    pub public_key: String,
    /// The tokens.
    pub tokens: Vec<TokenReport>,
}

/// One token.
#[derive(Clone, Debug, Serialize)]
pub struct TokenReport {
    /// Where it was written.
    pub file: PathBuf,
    /// Where readers look for it.
    pub uri: String,
    /// Cards it speaks of.
    pub indexes: u64,
    /// Its size.
    pub bytes: usize,
}

/// Writes the tokens of the list in the file `list` to the folder `out`.
///
/// # Errors
/// [`ExportError`]. What was written before a failure is whole, and of this list.
pub fn export(
    folder: &DataFolder,
    list: &Path,
    uri: &TokenUri,
    out: &Path,
    now: UnixSeconds,
) -> Result<ExportReport, ExportError> {
    let keeper = TrustKeeper::open(folder)?;
    let bundle = keeper.current();
    let bundle = bundle.claims();
    let file = files::read_bounded(list, FILE_BYTES_MAX)?;
    let refused = |source| ExportError::List { path: list.to_owned(), source };
    let (held, _) = HeldStatus::decode(&file, bundle, &Marks::default()).map_err(refused)?;
    let list = held.list();
    let keys = ServerKeys::load(&folder.keys())?;
    let key = keys.signing_key(bundle, KeyUse::TokenStatus, now).ok_or(ExportError::NoKey)?;
    let life_seconds = bundle.policy.stale_seconds;
    let expires = list.time().plus(life_seconds);
    if now >= expires {
        return Err(ExportError::TooOld { time: list.time() });
    }
    let key_id = key.public_key().key_id();
    // A time to live is positive (draft §5.2), a policy may have none.
    let ttl_seconds = bundle.policy.fresh_seconds.max(1);
    let pieces = TokenPieces::new(list, TokenTerms { uri: uri.clone(), life_seconds, ttl_seconds, key_id })?;
    fs::create_dir_all(out).map_err(io_at(FileOperation::Create, out))?;
    let tokens = pieces.map(|piece| write(piece, key, uri, out)).collect::<Result<_, _>>()?;
    let StatusVersion { epoch, number } = list.version();
    Ok(ExportReport {
        version: [u64::from(epoch), number],
        time: list.time().0,
        expires: expires.0,
        key_id: key_id.to_string(),
        public_key: hex(key.public_key().as_bytes()),
        tokens,
    })
}

fn write(
    piece: UnsignedToken,
    key: &SecretKey,
    uri: &TokenUri,
    out: &Path,
) -> Result<TokenReport, ExportError> {
    let (number, indexes) = (piece.number(), piece.indexes());
    let file = out.join(format!("{number}.cwt"));
    let bytes = piece.sign(key);
    files::write_atomic(&file, &bytes, FileAccess::AllMayRead)?;
    Ok(TokenReport { file, uri: uri.of(number), indexes, bytes: bytes.len() })
}

/// What `status export` says to a person.
pub fn describe(report: &ExportReport) -> String {
    let tokens = report.tokens.iter().map(|token| {
        format!("  {:>9} bytes  {:>10} cards  {}\n", token.bytes, token.indexes, token.file.display())
    });
    format!(
        "\
Status list {epoch}.{number} of {time} as Token Status Lists:

{tokens}
  signed by  {key_id}  {public_key}
  over at    {expires}

Serve them as application/statuslist+cwt, and export again after each sync: a reader takes a token for as new as it says.
",
        epoch = report.version[0],
        number = report.version[1],
        time = UnixSeconds(report.time).display_local(),
        tokens = tokens.collect::<String>(),
        key_id = report.key_id,
        public_key = report.public_key,
        expires = UnixSeconds(report.expires).display_local(),
    )
}

/// Why there are no tokens, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The bundles are not in order.
    #[error("trust bundles")]
    Trust(#[from] TrustKeeperError),
    /// The keys cannot be read.
    #[error("a key")]
    Keys(#[from] KeysError),
    /// A file cannot be read or written.
    #[error("a file")]
    File(#[from] FileError),
    /// No terminal with this bundle would take the list.
    #[error("the list in {} is not taken", .path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StatusFault,
    },
    /// The list cannot be told to others.
    #[error("made by a newer version of this program")]
    Token(#[from] TokenError),
    /// No key for it is here and in its window.
    #[error("no token-status key signs now; `trust renew --add-key token-status` makes one")]
    NoKey,
    /// Its tokens would be over.
    #[error("the list is of {}, too old; sync the terminal first", .time.display_local())]
    TooOld {
        /// When it was made.
        time: UnixSeconds,
    },
}

impl Failure for ExportError {
    fn exit(&self) -> Exit {
        match self {
            Self::Trust(error) => error.exit(),
            Self::Keys(error) => error.exit(),
            Self::File(_) => Exit::Io,
            Self::List { .. } | Self::Token(_) => Exit::Data,
            Self::NoKey | Self::TooOld { .. } => Exit::Refused,
        }
    }
}
