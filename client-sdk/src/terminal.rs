//! The clinic: answers a scanned code in an instant and offline, and keeps what it answers from up to date.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bhyt_core::ids::FacilityCode;
use bhyt_core::keys::KeyId;
use bhyt_core::presentation::{Challenge, Presentation};
use bhyt_core::replay::ReplayCache;
use bhyt_core::status::StatusVersion;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::Policy;
use bhyt_core::verdict::{AcceptNote, Outcome, Verdict};
use bhyt_core::verify::{Now, verify, verify_text};
use bhyt_platform::entropy::make_bytes;
use bhyt_platform::quic::ClientSettings;

use crate::config::{Config, Ground, Kind};
use crate::engine::{Engine, SyncReport};
use crate::error::{Problem, SdkError};
use crate::events::{EventListener, NoListener};
use crate::host::{Host, Work};
use crate::keeper::{Keeper, Note};
use crate::keys::{device_id, terminal_key};
use crate::seen_cards::SeenCards;
use crate::terminal_store::{HeldTerminal, TerminalStore};
use crate::watching::Watching;

/// A clinic's terminal.
///
/// Verification is offline: it opens no socket and writes nothing before the answer. What must be remembered of it is
/// written right after, and is durable when the terminal is dropped.
///
/// ```
/// use bhyt_sdk::{Config, SdkError, Terminal};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let terminal = Terminal::open(Config::new(folder.path()))?;
/// // With a token from the operator:
/// // terminal.enrol(Enrolment { server, trust, token }).await?;
/// match terminal.verify_text("BHYT1:…") {
///     Ok(verdict) => println!("{:03}", verdict.portal_code()),
///     Err(SdkError::NotActivated) => println!("enrol this terminal first"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Terminal {
    /// Both dropped before the host: no work outlives its terminal.
    watching: Watching,
    _keeping: Work<Infallible>,
    engine: Arc<Engine<TerminalStore>>,
    replay: Mutex<ReplayCache>,
    seen: SeenCards,
    keeper: Keeper,
    host: Host,
}

/// What enrolment needs.
#[derive(Clone)]
pub struct Enrolment {
    /// Host and port of the server.
    pub server: String,
    /// The bytes of the trust bundle, from a hand that is trusted.
    pub trust: Vec<u8>,
    /// The one-time token.
    pub token: String,
}

/// What a terminal answers from, and how old it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalStatus {
    /// Where the server is; `None` before enrolment.
    pub server: Option<String>,
    /// Where the terminal is enrolled.
    pub facility: Option<FacilityCode>,
    /// What the operator's list of terminals calls this one.
    pub id: Option<KeyId>,
    /// The terminal's key, as the operator lists it.
    pub terminal_key: Option<KeyId>,
    /// Version of the trust bundle in hand.
    pub trust_version: Option<u64>,
    /// When the next bundle is due.
    pub trust_expires: Option<UnixSeconds>,
    /// Version of the status list in hand; `None` when there is none, and nothing can be accepted.
    pub status_version: Option<StatusVersion>,
    /// When the list was made.
    pub status_time: Option<UnixSeconds>,
    /// Seconds since then.
    pub status_age_seconds: Option<u64>,
    /// Cards and bindings that the list names.
    pub status_entries: Option<u64>,
    /// Seconds by which this terminal's clock is behind what has certainly happened; tell the clerk to set it.
    pub clock_behind_seconds: Option<u64>,
    /// When a sync last went through.
    pub last_success: Option<UnixSeconds>,
    /// How far the server's clock was ahead of this one's at the last connection.
    pub server_ahead_seconds: Option<i64>,
    /// What kept the last sync from going through; `None` when it did.
    pub problem: Option<Problem>,
}

impl Terminal {
    /// Opens the data of a terminal, or makes it.
    pub fn open(config: Config) -> Result<Self, SdkError> {
        let ground = Ground::open(config, Kind::Terminal)?;
        let (own, cache) = (ground.own, ground.cache);
        let folder = ground.data.join(STATUS_FOLDER);
        let store = TerminalStore::open(own.clone(), cache.clone(), &folder)?;
        if ground.full {
            store.note_full();
        }
        let replay = Mutex::new(store.replay()?);
        let key = store.seen_key(&ground.vault)?;
        let seen = SeenCards::new(cache.clone(), ground.vault, key);
        seen.prune()?;
        let keeper = Keeper::start(own, cache)?;
        let settings = ClientSettings::terminal();
        let engine = Engine::new(store, ground.keys, ground.clock, ground.entropy, settings);
        let (engine, host) = (Arc::new(engine), Host::start()?);
        let noting = engine.clone();
        let keeping = host.run(async move { noting.keep_progress().await });
        Ok(Self { watching: Watching::default(), _keeping: keeping, engine, replay, seen, keeper, host })
    }

    /// Enrols this terminal, and syncs. It is enrolled when this returns, even if the sync that follows did not go
    /// through; see [`Self::status`].
    pub async fn enrol(&self, asked: Enrolment) -> Result<FacilityCode, SdkError> {
        let engine = self.engine.clone();
        let work = async move {
            let facility = engine.enrol(asked).await?;
            if let Err(error) = engine.sync(&NoListener).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "enrolled; the first sync did not go through");
            }
            Ok(facility)
        };
        self.host.run(work).await
    }

    /// Brings trust bundle and status list up to date, once. A snapshot that broke off goes on where it was.
    pub async fn sync(&self) -> Result<SyncReport, SdkError> {
        self.sync_with(Arc::new(NoListener)).await
    }

    /// [`Self::sync`], telling what happens.
    pub async fn sync_with(&self, listener: Arc<dyn EventListener>) -> Result<SyncReport, SdkError> {
        let engine = self.engine.clone();
        self.host.run(async move { engine.sync(listener.as_ref()).await }).await
    }

    /// Syncs, and stays connected for news until [`Self::unwatch`]. Reconnects by itself, with growing pauses. A second
    /// call replaces the listener of the first.
    pub fn watch(&self, listener: Arc<dyn EventListener>) {
        let engine = self.engine.clone();
        self.watching.begin(self.host.run(async move { engine.watch(listener.as_ref()).await }));
    }

    /// Stops [`Self::watch`]; returns when it has stopped. Without effect when nothing is watched.
    pub async fn unwatch(&self) {
        self.watching.stop().await;
        self.engine.forget_live();
    }

    /// Waits until [`Self::watch`] ends by itself, because only the application can help: the reason.
    pub async fn watch_ended(&self) -> SdkError {
        self.watching.ended().await
    }

    /// Stops everything, makes durable what is to be remembered, and says goodbye to the server.
    pub async fn close(&self) {
        self.unwatch().await;
        self.keeper.flushed().await;
        let engine = self.engine.clone();
        let goodbye = async move {
            engine.shutdown().await;
            Ok(())
        };
        // It waits a second at most and cannot fail.
        let _ = self.host.run(goodbye).await;
    }

    /// Answers the text of a scanned code, from what is here. Everything that can be wrong with a code is a verdict; an
    /// error says that this terminal was never enrolled.
    pub fn verify_text(&self, text: &str) -> Result<Verdict, SdkError> {
        self.answer(text, |verdict, _| verdict)
    }

    /// [`Self::verify_text`] at a desk that shows `challenge`: a code that was filmed elsewhere and forwarded does not prove
    /// its holder here, only an answer to the challenge does.
    pub fn verify_answer(&self, text: &str, challenge: &Challenge) -> Result<Verdict, SdkError> {
        self.answer(text, |verdict, presentation| verdict.demanding(challenge, presentation))
    }

    fn answer(
        &self,
        text: &str,
        demand: impl FnOnce(Verdict, &Presentation) -> Verdict,
    ) -> Result<Verdict, SdkError> {
        let clock = self.engine.clock.now();
        let held = self.engine.side.held();
        let trust = held.trust.as_ref().ok_or(SdkError::NotActivated)?;
        let now = Now { clock, floor: held.marks.floor(trust.claims()) };
        let status = held.status.as_deref();
        // Held until the proof is remembered: of two scans of one code only one proves the holder.
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(presentation) = Presentation::decode_text(text) else {
            return Ok(verify_text(text, trust, status, &replay, now));
        };
        let verdict = demand(verify(&presentation, trust, status, &replay, now), &presentation);
        if let Some(proof) = verdict.relied_on() {
            let challenge = presentation.proof().and_then(|proof| proof.challenge);
            let policy = &trust.claims().policy;
            let remembered = replay.remember(proof, challenge.as_ref(), policy);
            self.keeper.keep(Note::Proof(remembered));
        }
        drop(replay);
        Ok(self.relate(verdict, &presentation, &held, clock))
    }

    /// A challenge for the desk's screen: a phone that answers it proves its holder whatever its clock says. Good for
    /// one answer, for as long as a proof is taken.
    pub fn challenge(&self) -> Result<Challenge, SdkError> {
        let held = self.engine.side.held();
        let trust = held.trust.as_ref().ok_or(SdkError::NotActivated)?;
        let Policy { proof_age_seconds, .. } = trust.claims().policy;
        let terminal = terminal_key(&self.engine.keys)?.key_id();
        let challenge = Challenge { terminal, random: make_bytes(self.engine.entropy.as_ref()) };
        let now = self.engine.clock.now();
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        replay.show_challenge(challenge, now.plus(proof_age_seconds), now);
        Ok(challenge)
    }

    /// Waits until everything that answers have asked to be remembered is durable; whether it is.
    pub fn flush(&self) -> bool {
        self.keeper.flush()
    }

    /// What this terminal answers from, and how old it is.
    pub fn status(&self) -> TerminalStatus {
        let now = self.engine.clock.now();
        let held = self.engine.side.held();
        let trust = held.trust.as_ref().map(|trust| trust.claims());
        let list = held.status.as_ref().map(|status| status.list());
        let floor = trust.map(|trust| held.marks.floor(trust));
        TerminalStatus {
            server: held.server.clone(),
            facility: held.facility.clone(),
            id: device_id(&self.engine.keys),
            terminal_key: terminal_key(&self.engine.keys).ok().map(|key| key.key_id()),
            trust_version: trust.map(|trust| trust.version),
            trust_expires: trust.map(|trust| trust.expires),
            status_version: list.map(|list| list.version()),
            status_time: list.map(|list| list.time()),
            status_age_seconds: list.map(|list| now.since(list.time())),
            status_entries: list.map(|list| list.entries()),
            clock_behind_seconds: floor.map(|floor| floor.since(now)).filter(|behind| *behind > 0),
            last_success: held.progress.last_success,
            server_ahead_seconds: held.progress.server_ahead_seconds,
            problem: held.progress.problem,
        }
    }

    /// Relates an accepted card to those seen before: a superseded one to its successor, and any other is remembered
    /// as the one that may succeed.
    fn relate(
        &self,
        verdict: Verdict,
        presentation: &Presentation,
        held: &HeldTerminal,
        seen_at: UnixSeconds,
    ) -> Verdict {
        let (Some(card), Some(trust)) = (verdict.card().cloned(), &held.trust) else {
            return verdict;
        };
        match verdict.outcome() {
            Outcome::Accept(accept) if matches!(accept.note, Some(AcceptNote::Superseded(_))) => {
                match self.seen.of_person(&card, trust.claims()) {
                    Some(successor) => verdict.with_successor(&successor),
                    None => verdict,
                }
            }
            Outcome::Accept(_) => {
                let seen = self.seen.remember(&card, presentation.card_bytes(), seen_at);
                self.keeper.keep(Note::Card(seen));
                verdict
            }
            _ => verdict,
        }
    }
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrolment").field("server", &self.server).finish_non_exhaustive()
    }
}

const STATUS_FOLDER: &str = "status";
