//! `server.toml`: every setting with its default, read once at the start into typed parts. An unknown key or a value out of
//! range is refused with its place, so that a misspelt setting never counts for nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bhyt_core::limits::{AUDIT_DAYS_MIN, ERASURE_DAYS_MAX};
use bhyt_platform::files::{self, FileError};
use bhyt_platform::quic::{Families, ServerLimits};
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::service::ServiceSettings;
use crate::store::embedded::EmbeddedOptions;

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen (UDP).
    pub listen: SocketAddr,
    /// How much is logged.
    pub log: LogLevel,
    /// The longest time between a change of a card's standing and the list that tells of it.
    pub status_publish: Duration,
    /// The longest time between two status lists, changes or not.
    pub status_resign: Duration,
    /// How long a one-time code or token is good.
    pub code_lifetime: Duration,
    /// How long a line of the audit trail is kept.
    pub audit_kept: Duration,
    /// How long an erasure waits before nothing brings the member back.
    pub erasure_waits: Duration,
    /// Bounds on what clients may take.
    pub limits: ServerLimits,
    /// The embedded store.
    pub store: EmbeddedOptions,
}

impl Config {
    /// Reads the settings in a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = files::read_bounded(path, CONFIG_BYTES_MAX)?;
        let text = str::from_utf8(&bytes).map_err(|_| ConfigError::NotText { path: path.to_owned() })?;
        Self::parse(path, text)
    }

    /// Whether IPv4 is served through an IPv6 socket too: with the address `[::]`, which stands for all.
    pub fn families(&self) -> Families {
        match self.listen.ip() {
            IpAddr::V6(address) if address.is_unspecified() => Families::Both,
            _ => Families::OfAddress,
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: ConfigFile = toml::from_str(text).map_err(|source| ConfigError::Malformed {
            path: path.to_owned(),
            line: line_of(text, source.span().map_or(0, |span| span.start)),
            source: TomlFault(Box::new(source)),
        })?;
        let range = |key, got, min, max| check_range(path, Setting { key, got, min, max });
        let ConfigFile { status, codes, audit, erasure, limits, store, .. } = file;
        range("status.publish_seconds", status.publish_seconds, 1, 3_600)?;
        range("status.resign_seconds", status.resign_seconds, 60, 86_400)?;
        range("codes.lifetime_hours", codes.lifetime_hours, 1, 720)?;
        range("audit.keep_days", audit.keep_days, AUDIT_DAYS_MIN, 36_500)?;
        range("erasure.wait_days", erasure.wait_days, 0, ERASURE_DAYS_MAX)?;
        range("store.cache_megabytes", store.cache_megabytes, 1, 1 << 20)?;
        Ok(Self {
            listen: file.listen,
            log: file.log,
            status_publish: Duration::from_secs(status.publish_seconds),
            status_resign: Duration::from_secs(status.resign_seconds),
            code_lifetime: Duration::from_secs(codes.lifetime_hours * 3_600),
            audit_kept: Duration::from_secs(audit.keep_days * 86_400),
            erasure_waits: Duration::from_secs(erasure.wait_days * 86_400),
            limits: limits.typed(range)?,
            store: EmbeddedOptions {
                cache_bytes: store.cache_megabytes * MEGABYTE,
                ..EmbeddedOptions::default()
            },
        })
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may need a hand.
    Warn,
    /// And what happened: starts, stops, new trust bundles.
    Info,
    /// And each connection, and each request that is refused.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name, as in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("settings cannot be read")]
    File(#[from] FileError),
    /// The file is no text.
    #[error("{} is no UTF-8 text", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Not TOML, an unknown key, or a value of another type.
    #[error("{}:{line}: not understood", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        source: TomlFault,
    },
    /// A number that makes no sense.
    #[error("{}: {key} is {got}; it must lie between {min} and {max}", .path.display())]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// Which setting.
        key: &'static str,
        /// What is set.
        got: u64,
        /// The least that is taken.
        min: u64,
        /// The most that is taken.
        max: u64,
    },
}

/// What is wrong with a line of the settings. One line, without the excerpt that the parser draws.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message())]
pub struct TomlFault(Box<toml::de::Error>);

impl Failure for ConfigError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(_) => Exit::Io,
            Self::NotText { .. } | Self::Malformed { .. } | Self::OutOfRange { .. } => Exit::Data,
        }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConfigFile {
    listen: SocketAddr,
    log: LogLevel,
    status: StatusSection,
    codes: CodesSection,
    audit: AuditSection,
    erasure: ErasureSection,
    limits: LimitsSection,
    store: StoreSection,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4433)),
            log: LogLevel::Info,
            status: StatusSection::default(),
            codes: CodesSection::default(),
            audit: AuditSection::default(),
            erasure: ErasureSection::default(),
            limits: LimitsSection::default(),
            store: StoreSection::default(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StatusSection {
    publish_seconds: u64,
    resign_seconds: u64,
}

impl Default for StatusSection {
    fn default() -> Self {
        Self { publish_seconds: 60, resign_seconds: 3_600 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CodesSection {
    lifetime_hours: u64,
}

impl Default for CodesSection {
    fn default() -> Self {
        Self { lifetime_hours: 24 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AuditSection {
    keep_days: u64,
}

impl Default for AuditSection {
    fn default() -> Self {
        Self { keep_days: 365 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsSection {
    connections: u64,
    connections_per_address: u64,
    arrivals_per_second: u64,
    arrivals_burst: u64,
    exchanges_per_second: u64,
    exchanges_burst: u64,
    idle_seconds: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let limits = ServerLimits::default();
        Self {
            connections: limits.connections_max as u64,
            connections_per_address: limits.connections_per_address_max as u64,
            arrivals_per_second: limits.arrivals_per_second.into(),
            arrivals_burst: limits.arrivals_burst.into(),
            exchanges_per_second: limits.exchanges_per_second.into(),
            exchanges_burst: limits.exchanges_burst.into(),
            idle_seconds: limits.idle.as_secs(),
        }
    }
}

impl LimitsSection {
    fn typed(
        &self,
        range: impl Fn(&'static str, u64, u64, u64) -> Result<u32, ConfigError>,
    ) -> Result<ServerLimits, ConfigError> {
        let count = |key, got| range(key, got, 1, 10_000_000);
        let connections = count("limits.connections", self.connections)?;
        let per_address = count("limits.connections_per_address", self.connections_per_address)?;
        let idle = range("limits.idle_seconds", self.idle_seconds, 10, 3_600)?;
        Ok(ServerLimits {
            connections_max: connections as usize,
            connections_per_address_max: per_address as usize,
            arrivals_per_second: count("limits.arrivals_per_second", self.arrivals_per_second)?,
            arrivals_burst: count("limits.arrivals_burst", self.arrivals_burst)?,
            exchanges_per_second: count("limits.exchanges_per_second", self.exchanges_per_second)?,
            exchanges_burst: count("limits.exchanges_burst", self.exchanges_burst)?,
            idle: Duration::from_secs(idle.into()),
            ..ServerLimits::default()
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ErasureSection {
    wait_days: u64,
}

impl Default for ErasureSection {
    fn default() -> Self {
        Self { wait_days: ServiceSettings::default().erasure_waits.as_secs() / 86_400 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreSection {
    cache_megabytes: u64,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self { cache_megabytes: EmbeddedOptions::default().cache_bytes / MEGABYTE }
    }
}

struct Setting {
    key: &'static str,
    got: u64,
    min: u64,
    max: u64,
}

fn check_range(path: &Path, setting: Setting) -> Result<u32, ConfigError> {
    let Setting { key, got, min, max } = setting;
    let inside = u32::try_from(got).ok().filter(|_| (min..=max).contains(&got));
    inside.ok_or_else(|| ConfigError::OutOfRange { path: path.to_owned(), key, got, min, max })
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// What `init` writes: every setting, with its default and what it means.
pub const CONFIG_TEMPLATE: &str = r#"# Settings of bhyt-server, read when `serve` starts. A line that begins with # keeps the default that it shows.
# An unknown name or a value out of range keeps the server from starting.

# UDP address and port on which phones, terminals and operators connect. Only this machine can reach 127.0.0.1;
# "0.0.0.0:4433" listens on every IPv4 address, "[::]:4433" on every address. `serve --listen` goes before this.
listen = "127.0.0.1:4433"

# How much goes to the log (JSON on stderr, no personal data): error, warn, info, debug or trace.
#log = "info"

[status]
# The longest time between a change of a card's standing and the status list that tells of it, 1 to 3600.
#publish_seconds = 60
# The longest time between two status lists when nothing changes, 60 to 86400. Terminals call a list fresh for a day.
#resign_seconds = 3600

[codes]
# How long a one-time code for a phone, or token for a terminal, is good, 1 to 720.
#lifetime_hours = 24

[audit]
# How long a line of the audit trail is kept, 184 to 36500. The law asks for six months; 184 days are the longest six.
#keep_days = 365

[erasure]
# How long the erasure of a member waits, and can be taken back, 0 to 18. The law asks for it within 20 days.
#wait_days = 7

[limits]
# Connections in total; about 30 kB of memory each.
#connections = 100000
# Connections of one address. Mobile carriers put thousands of phones behind one.
#connections_per_address = 4096
# New connections of one address, a second in the long run and at once.
#arrivals_per_second = 64
#arrivals_burst = 512
# Exchanges of one phone, terminal or operator, a second in the long run and at once.
#exchanges_per_second = 16
#exchanges_burst = 128
# Silence after which a connection is dropped, 10 to 3600, unless the client asks for less.
#idle_seconds = 300

[store]
# Memory for pages of the store; expect two to three times as much in use.
#cache_megabytes = 64
"#;

/// Bytes of a settings file; the template has under 3 kB.
const CONFIG_BYTES_MAX: usize = 64 * 1024;
const MEGABYTE: u64 = 1024 * 1024;

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
