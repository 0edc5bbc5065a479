//! A server of a few lines, over the real transport: enough of the protocol to test the SDK against, and easy to make
//! misbehave. One member with one feed, one status list, one trust bundle.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::codec;
use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{BlockWindow, Epoch, Extent, FeedHead, FeedPage};
use bhyt_core::ids::{FacilityCode, MemberId};
use bhyt_core::limits::{FRAME_BYTES_MAX, STATUS_DELTAS_MAX};
use bhyt_core::merkle::Frontier;
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Seq};
use bhyt_core::status::StatusList;
use bhyt_core::sync::messages::{
    Activate, FeedPlace, Follow, Hello, Refusal, Reply, Request, SnapshotPiece, SyncFeeds, SyncTerminal,
    state_digest,
};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::clock::{Clock, ManualClock};
use bhyt_platform::entropy::SeededEntropy;
use bhyt_platform::quic::{
    CloseCode, Families, Listener, ServerConfig, ServerConnection, ServerLimits, TransportKey,
};
use bhyt_sdk::Config;
use bhyt_tests::authority::{Authority, DAY, at, day, example_card, trusted};

/// The member of these tests.
pub(crate) const MEMBER: MemberId = MemberId([0x99; 16]);
/// The code and token that this server takes, once each.
pub(crate) const CODE: &str = "CODE-1";
/// Noon of the day on which these tests happen.
pub(crate) fn today() -> UnixSeconds {
    at(2026, 11, 23)
}

/// What a device opens with: a folder, the tests' clock, and randomness that repeats.
pub(crate) fn config(folder: &tempfile::TempDir, clock: &ManualClock, seed: u64) -> Config {
    Config::new(folder.path())
        .with_clock(Arc::new(clock.clone()))
        .with_entropy(Arc::new(SeededEntropy::danger_from_seed(seed)))
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) clock: ManualClock,
    listener: Arc<Listener>,
    state: Arc<Mutex<State>>,
}

/// What it knows, for tests to change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) authority: Authority,
    pub(crate) bundle: TrustBundle,
    pub(crate) code: Option<&'static str>,
    pub(crate) token: Option<&'static str>,
    pub(crate) claims: CardClaims,
    pub(crate) records: Vec<Record>,
    pub(crate) holder: Option<PresentationKey>,
    pub(crate) held: bool,
    /// Feeds sent with other records than those signed; counts down.
    pub(crate) feeds_forged: usize,
    pub(crate) list: Option<StatusList>,
    /// Lists before it, from which this server has deltas.
    pub(crate) past: Vec<StatusList>,
    pub(crate) piece_bytes: usize,
    /// Pieces sent before the line breaks; counts down.
    pub(crate) pieces_left: usize,
    pub(crate) asked: Vec<Request>,
    time: UnixSeconds,
    connections: Vec<ServerConnection>,
}

impl Server {
    /// Starts with one card on record. Must be called inside a tokio runtime.
    pub(crate) fn start(clock: &ManualClock) -> Self {
        let state = Arc::new(Mutex::new(State::new(clock.now())));
        Self::listen(clock, "127.0.0.1:0", state)
    }

    /// The same server again, after [`Self::stop`].
    pub(crate) async fn restart(self) -> Self {
        let (clock, address, state) = (self.clock.clone(), self.address.clone(), self.state.clone());
        drop(self);
        lock(&state).connections.clear();
        // The transport lets go of the port when the last task of the old one has ended.
        eventually("port free", || std::net::UdpSocket::bind(&address).is_ok()).await;
        Self::listen(&clock, &address, state)
    }

    fn listen(clock: &ManualClock, address: &str, state: Arc<Mutex<State>>) -> Self {
        let listener = Listener::bind(&ServerConfig {
            listen: address.parse().unwrap(),
            families: Families::OfAddress,
            key: TransportKey::from_seed(&[9; 32]),
            limits: ServerLimits::default(),
        });
        let listener = Arc::new(listener.unwrap());
        let server = Self {
            address: listener.local_address().to_string(),
            clock: clock.clone(),
            listener: listener.clone(),
            state: state.clone(),
        };
        let clock = clock.clone();
        tokio::spawn(async move {
            while let Some(arrival) = listener.accept().await {
                let hello = codec::encode(&Hello { time: clock.now() }).unwrap();
                let Ok(connection) = arrival.welcome(&hello).await else { continue };
                lock(&state).connections.push(connection.clone());
                tokio::spawn(serve(connection, state.clone()));
            }
        });
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The bytes of the trust bundle in force.
    pub(crate) fn trust(&self) -> Vec<u8> {
        let state = self.state();
        state.authority.sign_bundle(&state.bundle)
    }

    /// Appends a revision of the card's record and pushes it.
    pub(crate) async fn change_card(&self, standing: CardStanding) {
        let (pushes, connections) = {
            let mut state = self.state();
            let from = state.records.len();
            let body = card_body(&state.authority, &state.claims, standing);
            let card = state.records.iter().rfind(|record| record.kind == RecordKind::Card);
            let next = card.unwrap().corrected(body, self.clock.now());
            state.records.push(next);
            state.time = self.clock.now();
            let mut pushes = state.feed_from(from);
            pushes.push(Reply::Done);
            (pushes, state.connections.clone())
        };
        push(&connections, &pushes).await;
    }

    /// Publishes a list to whoever stays.
    pub(crate) async fn publish(&self, list: &StatusList) {
        let (delta, connections) = {
            let mut state = self.state();
            let held = state.list.replace(list.clone()).unwrap();
            let delta = state.authority.sign_delta(&held, list);
            state.past.push(held);
            (delta, state.connections.clone())
        };
        push(&connections, &[Reply::StatusDelta(delta), Reply::Done]).await;
    }

    /// Takes the member from the device and tells it.
    pub(crate) async fn retire(&self) {
        let connections = {
            let mut state = self.state();
            state.held = false;
            state.connections.clone()
        };
        push(&connections, &[Reply::Retired(MEMBER), Reply::Done]).await;
    }

    /// Pushes something.
    pub(crate) async fn push(&self, replies: &[Reply]) {
        let connections = self.state().connections.clone();
        push(&connections, replies).await;
    }

    /// Goes away; nobody answers on its port any more.
    pub(crate) async fn stop(&self) {
        let retry_after = Duration::from_secs(7);
        let code = CloseCode::Goodbye { retry_after };
        self.listener.shutdown(code, Duration::from_secs(1)).await;
    }
}

impl State {
    fn new(now: UnixSeconds) -> Self {
        let authority = Authority::new(1);
        let issued = now.minus(30 * DAY);
        let mut bundle = authority.bundle(1, issued);
        let transport = bhyt_core::keys::SecretKey::from_seed(&[9; 32]);
        bundle.keys.push(trusted(&transport, KeyUse::Transport));
        let claims = example_card();
        let body = card_body(&authority, &claims, CardStanding::InForce);
        let first = Record::first(Seq(0), RecordKind::Card, body, now.minus(DAY));
        Self {
            authority,
            bundle,
            code: Some(CODE),
            token: Some(CODE),
            claims,
            records: vec![first],
            holder: None,
            held: true,
            feeds_forged: 0,
            list: None,
            past: Vec::new(),
            piece_bytes: 64 * 1024,
            pieces_left: usize::MAX,
            asked: Vec::new(),
            time: now,
            connections: Vec::new(),
        }
    }

    /// Adds records that are no cards, to make a long feed.
    pub(crate) fn add_visits(&mut self, count: usize) {
        for _ in 0..count {
            let seq = Seq(self.records.len() as u64);
            let body = Body::new(vec![0xa0; 300]).unwrap();
            self.records.push(Record::first(seq, RecordKind::Visit, body, self.time));
        }
    }

    /// The credential bound to the device.
    pub(crate) fn bound(&self) -> Vec<u8> {
        let mut claims = self.claims.clone();
        claims.binding = Some(bhyt_core::card::Binding {
            key: self.holder.unwrap(),
            number: bhyt_core::ids::BindingNumber::new(3).unwrap(),
            end: day(2027, 4, 1),
        });
        self.authority.sign_card(claims)
    }

    fn pages(&self) -> Vec<FeedPage> {
        let seed = |number: usize| PageSeed([number as u8; 32]);
        let mut pages = vec![FeedPage::new(Seq(0), seed(0))];
        for record in &self.records {
            if pages.last().unwrap().is_closed() {
                let next = pages.last().unwrap().next_seq();
                pages.push(FeedPage::new(next, seed(pages.len())));
            }
            pages.last_mut().unwrap().push(record.clone()).unwrap();
        }
        pages
    }

    fn head(&self) -> FeedHead {
        let mut frontier = Frontier::new();
        for page in self.pages() {
            for (seq, entry) in page.entries() {
                frontier.append(entry.leaf_hash(seq)).unwrap();
            }
        }
        let extent = Extent { epoch: Epoch(1), size: self.records.len() as u64 };
        FeedHead { member: MEMBER, extent, root: frontier.root(), time: self.time }
    }

    /// The head, and the blocks that lead to it.
    fn feed_from(&mut self, size: usize) -> Vec<Reply> {
        let from = Seq(size as u64);
        let pages = self.pages();
        let pages = pages.iter().filter(|page| page.next_seq() > from);
        let key = &self.authority.head_key;
        let head = Unsigned::new(self.head(), key.public_key().key_id()).sign(key);
        let mut pages: Vec<FeedPage> = pages.filter_map(|page| page.since(from)).collect();
        if self.feeds_forged > 0 {
            self.feeds_forged -= 1;
            pages = pages.iter().map(forged).collect();
        }
        let mut replies = vec![Reply::FeedHead { member: MEMBER, head: head.bytes().to_vec() }];
        let (mut window, mut rest) = (BlockWindow::default(), &pages[..]);
        while !rest.is_empty() {
            let (block, count) = window.make_block(rest);
            rest = &rest[count..];
            replies.push(Reply::FeedBlock { member: MEMBER, block });
        }
        replies
    }

    fn answer(&mut self, request: Request) -> Vec<Reply> {
        // Beside each sync; what it does is told in `edits`.
        if !matches!(request, Request::SyncPersonal(_)) {
            self.asked.push(request.clone());
        }
        match request {
            Request::Activate(activate) => self.answer_activation(activate.any_key()),
            Request::ActivateP256(activate) => self.answer_activation(activate.any_key()),
            Request::Enrol(enrol) => match self.token.take_if(|token| *token == enrol.token) {
                Some(_) => vec![Reply::Enrolled(FacilityCode::parse("99024").unwrap()), Reply::Done],
                None => vec![Reply::Refused(Refusal::BadCode)],
            },
            Request::SyncFeeds(sync) => self.answer_wallet(&sync),
            Request::SyncTerminal(sync) => self.answer_terminal(&sync),
            Request::SyncWallet(_)
            | Request::Admin(_)
            | Request::HandBack(_)
            | Request::SyncPersonal(_)
            | Request::Readmit(_) => {
                vec![Reply::Refused(Refusal::NotAuthorised)]
            }
        }
    }

    fn answer_activation(&mut self, activate: Activate) -> Vec<Reply> {
        match self.code.take_if(|expected| *expected == activate.code) {
            Some(_) => {
                self.holder = Some(activate.presentation_key);
                vec![Reply::Activated(MEMBER), Reply::Done]
            }
            None => vec![Reply::Refused(Refusal::BadCode)],
        }
    }

    fn answer_wallet(&mut self, sync: &SyncFeeds) -> Vec<Reply> {
        let mut replies = self.trust_after(sync.trust);
        for FeedPlace { cursor, staged, .. } in &sync.members {
            if !self.held {
                replies.push(Reply::Retired(cursor.member));
                continue;
            }
            let (head, bound) = (self.head(), self.bound());
            let state = state_digest(&head.root.0, [bound.as_slice()]);
            if (cursor.extent, cursor.state) != (head.extent, state) {
                replies.extend(self.feed_from((cursor.extent.size + staged) as usize));
                replies.push(Reply::Credentials { member: MEMBER, credentials: vec![bound] });
            }
        }
        replies.push(Reply::Done);
        replies
    }

    fn answer_terminal(&mut self, sync: &SyncTerminal) -> Vec<Reply> {
        let mut replies = self.trust_after(sync.trust);
        if let Some(list) = self.list.clone() {
            let has = |list: &StatusList| sync.status.is_some_and(|(version, _)| version == list.version());
            if let Some(from) = self.past.iter().position(has) {
                let lists: Vec<_> = self.past[from..].iter().chain([&list]).collect();
                // A long way in one step.
                let stride = if lists.len() > STATUS_DELTAS_MAX + 1 { lists.len() - 1 } else { 1 };
                let stops: Vec<_> = lists.into_iter().step_by(stride).collect();
                let delta = |pair: &[&StatusList]| self.authority.sign_delta(pair[0], pair[1]);
                replies.extend(stops.windows(2).map(|pair| Reply::StatusDelta(delta(pair))));
            } else if !has(&list) {
                let from = sync.partial.filter(|(version, _)| *version == list.version());
                let bytes = self.authority.sign_list(&list);
                let total = bytes.len() as u64;
                let offset = from.map_or(0, |(_, offset)| offset as usize);
                let mut at = offset;
                for piece in bytes[offset..].chunks(self.piece_bytes) {
                    if self.pieces_left == 0 {
                        return replies;
                    }
                    self.pieces_left -= 1;
                    replies.push(Reply::StatusSnapshot(SnapshotPiece {
                        version: list.version(),
                        offset: at as u64,
                        total,
                        bytes: piece.to_vec(),
                    }));
                    at += piece.len();
                }
            }
        }
        replies.push(Reply::Done);
        replies
    }

    fn trust_after(&self, version: u64) -> Vec<Reply> {
        let newer = version < self.bundle.version;
        newer.then(|| Reply::Trust(self.authority.sign_bundle(&self.bundle))).into_iter().collect()
    }
}

/// The page as a liar sends it: each record was recorded a second later.
fn forged(page: &FeedPage) -> FeedPage {
    let mut other = FeedPage::new(page.first_seq(), PageSeed([0; 32]));
    for (_, record) in page.records() {
        other.push(Record { time: record.time.plus(1), ..record.clone() }).unwrap();
    }
    other
}

/// Waits for something that another task brings about, for ten seconds at most.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether a request asks to stay.
pub(crate) fn stays(request: &Request) -> bool {
    match request {
        Request::SyncFeeds(sync) => sync.follow == Follow::Stay,
        Request::SyncTerminal(sync) => sync.follow == Follow::Stay,
        _ => false,
    }
}

/// The body of a card's record.
pub(crate) fn card_body(authority: &Authority, claims: &CardClaims, standing: CardStanding) -> Body {
    let credential = authority.sign_card(claims.clone());
    Body::new(CardRecord { credential, standing }.encode()).unwrap()
}

async fn serve(connection: ServerConnection, state: Arc<Mutex<State>>) {
    while let Ok(mut exchange) = connection.accept_exchange().await {
        let within = Duration::from_secs(5);
        let Ok(Some(frame)) = exchange.receive(FRAME_BYTES_MAX, within).await else { continue };
        let replies = lock(&state).answer(codec::decode(&frame).unwrap());
        for reply in replies {
            if exchange.send(&codec::encode(&reply).unwrap()).await.is_err() {
                break;
            }
        }
        let _ = exchange.finish();
    }
}

async fn push(connections: &[ServerConnection], replies: &[Reply]) {
    for connection in connections {
        for reply in replies {
            // Connections that have ended take no news.
            let _ = connection.push(&codec::encode(reply).unwrap()).await;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
