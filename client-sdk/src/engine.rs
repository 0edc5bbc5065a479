//! Conversations with the server, for phone and terminal alike: one sync, and staying connected for news. The session in
//! core decides; here its requests travel, and its effects are made durable before anybody is told. One conversation at a
//! time changes what is held.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bhyt_core::cose::Verified;
use bhyt_core::sync::backoff::Backoff;
use bhyt_core::sync::messages::{Follow, Refusal, Reply, Request};
use bhyt_core::sync::personal::SyncPersonal;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::TrustBundle;
use bhyt_platform::clock::Clock;
use bhyt_platform::entropy::{Entropy, make_bytes};
use bhyt_platform::quic::{ClientConnection, ClientSettings, News};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::error::{Problem, SdkError};
use crate::events::{Event, EventListener};
use crate::host::blocking;
use crate::keys::DeviceKeys;
use crate::link::{Conversation, Dialer, Link, ahead_seconds, close, ended, next_news, welcomed};
use crate::stored::StoredProgress;

/// What phone and terminal do differently in a conversation.
pub(crate) trait Side: Send + Sync + std::fmt::Debug + 'static {
    /// The session in core.
    type Session: Send;

    /// A session over what is held now.
    fn session(&self, keys: &DeviceKeys) -> Result<Self::Session, SdkError>;

    /// The request that brings everything up to date.
    fn request(session: &mut Self::Session, follow: Follow) -> Request;

    /// How the exchange ended; `None` while it goes on.
    fn outcome(session: &Self::Session) -> Option<Result<(), Refusal>>;

    /// Hands a reply to the session and makes what it decides durable, then tells. May wait for the disk.
    fn take(
        &self,
        session: &mut Self::Session,
        reply: Reply,
        report: &mut SyncReport,
        scene: &Scene<'_>,
    ) -> Result<(), Broken>;

    /// A request to make before the next exchange, so that it can go through.
    fn errand(&self) -> Option<Request> {
        None
    }

    /// Takes a reply to what [`Self::errand`] asked for; the last is Done or Refused. May wait for the disk.
    fn take_errand(&self, _reply: Reply, _listener: &dyn EventListener) -> Result<(), SdkError> {
        Err(SdkError::untrusted(UnexpectedReply))
    }

    /// What is to be handed in.
    fn outgoing(&self, _keys: &DeviceKeys) -> Result<Vec<SyncPersonal>, SdkError> {
        Ok(Vec::new())
    }

    /// Takes the answer to one of those; the next of the same kind, if there is more to hand in. May wait for the disk.
    fn take_answer(
        &self,
        _asked: &SyncPersonal,
        _reply: Reply,
        _scene: &Scene<'_>,
    ) -> Result<Option<SyncPersonal>, SdkError> {
        Err(SdkError::untrusted(UnexpectedReply))
    }

    /// Where the server is and what is trusted; `None` before activation.
    fn server(&self) -> Option<(String, Verified<TrustBundle>)>;

    /// How the last syncs went.
    fn progress(&self) -> StoredProgress;

    /// An exchange has ended: what need not be durable before anybody is told may be written now. May wait for the disk.
    fn settle(&self) {}

    /// Notes how a sync went, in memory.
    fn note_progress(&self, progress: StoredProgress);

    /// Keeps that on disk. Waits for it.
    fn keep_progress(&self, progress: &StoredProgress) -> Result<(), SdkError>;
}

/// For whom a side takes something, when, and who is told.
#[derive(Debug)]
pub(crate) struct Scene<'s> {
    pub(crate) keys: &'s DeviceKeys,
    pub(crate) now: UnixSeconds,
    pub(crate) listener: &'s dyn EventListener,
}

/// What a sync brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Records received by a phone, bytes of status snapshots by a terminal.
    pub received: u64,
    /// Things that changed: 0 when everything was up to date.
    pub changes: u64,
}

/// Why an exchange ended early.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What is held has been put right so that asking once more may go through.
    AskAgain(SdkError),
    /// Anything else.
    Error(SdkError),
}

/// Everything that speaks to the server for one device.
#[derive(Debug)]
pub(crate) struct Engine<S> {
    pub(crate) side: S,
    pub(crate) keys: DeviceKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) dialer: Dialer,
    /// One conversation at a time changes what is held.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// The connection that stays for news, for other conversations to use.
    live: Mutex<Option<ClientConnection>>,
    nudge: Notify,
    /// There is something to hand in.
    pub(crate) outgoing: Notify,
    /// How the last syncs went, as it is on disk.
    kept: Mutex<StoredProgress>,
    noted: Notify,
}

impl<S: Side> Engine<S> {
    pub(crate) fn new(
        side: S,
        keys: DeviceKeys,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: ClientSettings,
    ) -> Self {
        Self {
            kept: Mutex::new(side.progress()),
            noted: Notify::new(),
            side,
            keys,
            clock,
            entropy,
            dialer: Dialer::new(settings),
            turn: tokio::sync::Mutex::new(()),
            live: Mutex::new(None),
            nudge: Notify::new(),
            outgoing: Notify::new(),
        }
    }

    /// Brings everything up to date, over the connection that stays for news if there is one.
    pub(crate) async fn sync(&self, listener: &dyn EventListener) -> Result<SyncReport, SdkError> {
        let live = self.live_slot().clone();
        let done = match live {
            Some(connection) => self.converse(&connection, Follow::Stay, listener).await,
            None => self.sync_alone(listener).await,
        };
        self.note_outcome(done.as_ref().err());
        done
    }

    /// Keeps how syncs went, a while after they did: nobody waits for the disk to hear that there is nothing new.
    pub(crate) async fn keep_progress(&self) -> Result<Infallible, SdkError> {
        loop {
            self.noted.notified().await;
            sleep(PROGRESS_GATHERED).await;
            self.keep_progress_now();
        }
    }

    /// Stays connected and takes news until the work is given up, or until only the application can help.
    pub(crate) async fn watch(&self, listener: &dyn EventListener) -> Result<(), SdkError> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.follow(&mut backoff, listener).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            *self.live_slot() = None;
            self.note_outcome(Some(&error));
            let problem = error.problem();
            let retry_in = self.retry_in(&error, &mut backoff);
            log_disconnected(&error, retry_in);
            listener.on_event(Event::Disconnected { problem, retry_in });
            let Some(wait) = retry_in else { return Err(error) };
            // Whoever knows that the network is back cuts the wait short.
            let _ = timeout(wait, self.nudge.notified()).await;
        }
    }

    /// The network has changed: moves to a fresh socket, and tries at once.
    pub(crate) fn network_changed(&self) -> Result<(), SdkError> {
        self.dialer.rebind()?;
        self.nudge.notify_one();
        Ok(())
    }

    /// Forgets the connection of a watch that was given up.
    pub(crate) fn forget_live(&self) {
        if let Some(connection) = self.live_slot().take() {
            close(&connection);
        }
    }

    /// Tells the server that we go, and keeps what is still to be kept.
    pub(crate) async fn shutdown(&self) {
        self.dialer.shutdown().await;
        self.keep_progress_now();
    }

    async fn sync_alone(&self, listener: &dyn EventListener) -> Result<SyncReport, SdkError> {
        let (link, report) = self.dial_and_converse(Follow::Once, listener).await?;
        close(&link.connection);
        Ok(report)
    }

    async fn follow(
        &self,
        backoff: &mut Backoff,
        listener: &dyn EventListener,
    ) -> Result<Infallible, SdkError> {
        let (Link { connection, mut news, .. }, _) = self.dial_and_converse(Follow::Stay, listener).await?;
        *self.live_slot() = Some(connection.clone());
        backoff.reset();
        self.note_outcome(None);
        listener.on_event(Event::UpToDate);
        loop {
            tokio::select! {
                first = next_news(&mut news) => match first {
                    Ok(first) => self.take_news(first, &connection, &mut news, listener).await?,
                    // One push was bad; asking again tells what it held, or that the connection is gone.
                    Err(_) => { self.converse(&connection, Follow::Stay, listener).await?; }
                },
                () = self.outgoing.notified() => {
                    let _turn = self.turn.lock().await;
                    self.hand_in(&connection, listener).await?;
                }
                () = self.nudge.notified() => {
                    self.converse(&connection, Follow::Stay, listener).await?;
                }
                error = ended(&connection) => return Err(error),
            }
            listener.on_event(Event::UpToDate);
        }
    }

    /// Takes one push, up to its end. One that does not follow on from what is held by now is asked for instead.
    async fn take_news(
        &self,
        first: Reply,
        connection: &ClientConnection,
        news: &mut News,
        listener: &dyn EventListener,
    ) -> Result<(), SdkError> {
        let turn = self.turn.lock().await;
        let mut session = self.side.session(&self.keys)?;
        let mut report = SyncReport::default();
        let mut reply = first;
        loop {
            let taken = blocking(|| self.side.take(&mut session, reply, &mut report, &self.scene(listener)));
            if taken.is_err() {
                break;
            }
            if S::outcome(&session).is_some() {
                if self.side.errand().is_some() {
                    break;
                }
                self.note_outcome(None);
                return Ok(());
            }
            match timeout(NEWS_WITHIN, next_news(news)).await {
                Ok(Ok(next)) => reply = next,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        drop(turn);
        self.converse(connection, Follow::Stay, listener).await?;
        Ok(())
    }

    /// One request and its answer, and again when the side has put something right, or has to first.
    async fn converse(
        &self,
        connection: &ClientConnection,
        follow: Follow,
        listener: &dyn EventListener,
    ) -> Result<SyncReport, SdkError> {
        let _turn = self.turn.lock().await;
        let mut asks_left = ASKED_AGAIN_MAX;
        for _ in 0..ROUNDS_MAX {
            self.run_errands(connection, listener).await?;
            // Side by side: neither needs the other's answer, and together they take one round trip.
            let exchange = self.exchange(connection, follow, listener);
            let (done, handed_in) = tokio::join!(exchange, self.hand_in(connection, listener));
            match done {
                Err(Broken::AskAgain(_)) if asks_left > 0 => asks_left -= 1,
                Ok(_) if self.side.errand().is_some() => {}
                done => {
                    let report = done?;
                    if handed_in.is_err() {
                        // A receipt may be signed by a key that only the exchange beside it has told of.
                        self.hand_in(connection, listener).await?;
                    }
                    return Ok(report);
                }
            }
        }
        Err(SdkError::untrusted(UnexpectedReply))
    }

    /// Makes the requests that have to come before the next exchange.
    async fn run_errands(
        &self,
        connection: &ClientConnection,
        listener: &dyn EventListener,
    ) -> Result<(), SdkError> {
        while let Some(request) = self.side.errand() {
            let mut conversation = Conversation::begin(connection, &request).await?;
            loop {
                let reply = conversation.next().await?;
                let last = matches!(reply, Reply::Done | Reply::Refused(_));
                blocking(|| self.side.take_errand(reply, listener))?;
                if last {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn exchange(
        &self,
        connection: &ClientConnection,
        follow: Follow,
        listener: &dyn EventListener,
    ) -> Result<SyncReport, Broken> {
        let mut session = self.side.session(&self.keys)?;
        let mut report = SyncReport::default();
        let request = S::request(&mut session, follow);
        let mut conversation = Conversation::begin(connection, &request).await?;
        loop {
            let reply = conversation.next().await?;
            blocking(|| self.side.take(&mut session, reply, &mut report, &self.scene(listener)))?;
            match S::outcome(&session) {
                None => {}
                Some(Ok(())) => return Ok(report),
                // What has to be asked first may change the answer.
                Some(Err(_)) if self.side.errand().is_some() => return Ok(report),
                Some(Err(refusal)) => return Err(Broken::Error(refusal.into())),
            }
        }
    }

    /// Connects, and asks while the server's Hello is under way: one round trip for both. The connection is closed when
    /// either fails.
    async fn dial_and_converse(
        &self,
        follow: Follow,
        listener: &dyn EventListener,
    ) -> Result<(Link, SyncReport), SdkError> {
        let (server, trust) = self.side.server().ok_or(SdkError::NotActivated)?;
        let key = self.keys.transport.transport_key()?;
        let opened = self.dialer.dial(&server, trust.claims(), &key).await?;
        let connection = opened.connection().clone();
        let (link, report) = tokio::join!(welcomed(opened), self.converse(&connection, follow, listener));
        // Why the server does not welcome us says more than that the exchange broke.
        let link = link?;
        let ahead = Some(ahead_seconds(&link.hello, self.clock.now()));
        self.note_progress(StoredProgress { server_ahead_seconds: ahead, ..self.side.progress() });
        let report = report.inspect_err(|_| close(&connection))?;
        Ok((link, report))
    }

    pub(crate) fn scene<'s>(&'s self, listener: &'s dyn EventListener) -> Scene<'s> {
        Scene { keys: &self.keys, now: self.clock.now(), listener }
    }

    fn note_outcome(&self, error: Option<&SdkError>) {
        blocking(|| self.side.settle());
        let mut progress = self.side.progress();
        progress.problem = error.map(SdkError::problem);
        if error.is_none() {
            progress.last_success = Some(self.clock.now());
        }
        self.note_progress(progress);
    }

    fn note_progress(&self, progress: StoredProgress) {
        self.side.note_progress(progress);
        self.noted.notify_one();
    }

    /// For the status view after a restart. That this fails is the next commit's to notice.
    fn keep_progress_now(&self) {
        let progress = self.side.progress();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept == progress {
            return;
        }
        match blocking(|| self.side.keep_progress(&progress)) {
            Ok(()) => *kept = progress,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "outcome of a sync not kept");
            }
        }
    }

    fn retry_in(&self, error: &SdkError, backoff: &mut Backoff) -> Option<Duration> {
        let asked = match error {
            SdkError::Offline { retry_after, .. } => *retry_after,
            // A hostile network, or a phone still locked: both pass.
            SdkError::Untrusted { .. } | SdkError::Locked { .. } => None,
            _ => return None,
        };
        let random = u64::from_le_bytes(make_bytes(self.entropy.as_ref()));
        Some(backoff.after_failure(asked, random))
    }

    fn live_slot(&self) -> MutexGuard<'_, Option<ClientConnection>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<SdkError> for Broken {
    fn from(error: SdkError) -> Self {
        Self::Error(error)
    }
}

impl From<Broken> for SdkError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::AskAgain(error) | Broken::Error(error) => error,
        }
    }
}

fn log_disconnected(error: &SdkError, retry_in: Option<Duration>) {
    let retry_ms = retry_in.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let problem = error.problem();
    let error: &dyn std::error::Error = error;
    match problem {
        Problem::Offline => tracing::info!(error, retry_ms, "disconnected"),
        _ => tracing::warn!(error, retry_ms, "disconnected"),
    }
}

/// Of two syncs within this time only the later is kept on disk.
const PROGRESS_GATHERED: Duration = Duration::from_secs(1);
/// Something that has no place there, or does not come to an end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("unexpected reply")]
struct UnexpectedReply;

/// Times that one sync asks again after putting something right: records on their way, and then those held.
const ASKED_AGAIN_MAX: u32 = 2;
/// Exchanges until everything is in step: each new epoch of a feed may take one.
const ROUNDS_MAX: u32 = 12;
/// Time between two frames of one push.
const NEWS_WITHIN: Duration = Duration::from_secs(30);
