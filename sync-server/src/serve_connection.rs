//! One connection: its exchanges, each a task of its own, and its news. Both stand in one task, so that an idle
//! connection costs one.

use std::sync::Arc;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::keys::PublicKey;
use bhyt_core::sync::messages::{Hello, Refusal, Reply, Request};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::quic::{Arrival, CloseCode, Exchange, ServerConnection};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::exit::chain;
use crate::service::{Next, Peer, Principal, ReplySink, Seat, Service, Stop};
use crate::store::Store;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) service: Arc<Service<S>>,
    /// Bounds the exchanges under way.
    pub(crate) exchanges: Semaphore,
}

/// Serves one client until its connection ends.
pub(crate) async fn serve_connection<S: Store>(arrival: Arrival, shared: Arc<Shared<S>>) {
    let Some(key) = PublicKey::from_bytes(arrival.peer_key().as_bytes()) else {
        return arrival.refuse(CloseCode::BadFrame);
    };
    let address = arrival.remote_address().ip();
    let principal = match shared.service.principal(&key).await {
        Ok(Principal::Retired) => return arrival.refuse(CloseCode::Retired),
        Ok(principal) => principal,
        Err(fault) => {
            tracing::error!(error = chain(&fault), "key not looked up");
            let retry_after = BUSY_FOR;
            return arrival.refuse(CloseCode::Busy { retry_after });
        }
    };
    let id = arrival.id();
    let Ok(connection) = arrival.welcome(&hello(shared.service.now())).await else {
        return;
    };
    tracing::debug!(%id, key = %key.key_id(), "connected");
    let seat = shared.service.join(Peer { key, address });
    let kind = match principal {
        Principal::Operator(..) => Kind::Operator,
        _ => Kind::Other,
    };
    let limit = Service::<S>::request_bytes_max(&principal);
    drop(principal);
    let taking = Taking { shared: Arc::clone(&shared), seat: Arc::clone(&seat), kind, limit };
    tokio::select! {
        () = take_exchanges(&connection, &taking) => {}
        () = push_news(&connection, &shared.service, &seat) => {}
    }
    tracing::debug!(%id, "disconnected");
}

/// Whether several requests may follow each other in one exchange: an operator's import does that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Operator,
    Other,
}

#[derive(Debug)]
struct Taking<S> {
    shared: Arc<Shared<S>>,
    seat: Arc<Seat>,
    kind: Kind,
    limit: usize,
}

impl<S> Clone for Taking<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seat: Arc::clone(&self.seat), ..*self }
    }
}

async fn take_exchanges<S: Store>(connection: &ServerConnection, taking: &Taking<S>) {
    while let Ok(exchange) = connection.accept_exchange().await {
        // Not ended with the connection: what was begun is finished, and only its answer is lost.
        tokio::spawn(serve_exchange(exchange, connection.clone(), taking.clone()));
    }
}

async fn serve_exchange<S: Store>(mut exchange: Exchange, connection: ServerConnection, taking: Taking<S>) {
    let shared = &taking.shared;
    loop {
        let Ok(Some(frame)) = exchange.receive(taking.limit, REQUEST_WITHIN).await else {
            break;
        };
        let next = match (codec::decode::<Request>(&frame), shared.exchanges.try_acquire()) {
            (Ok(request), Ok(_permit)) => {
                let mut sink = ExchangeSink(&mut exchange);
                shared.service.answer(&taking.seat, request, &mut sink).await
            }
            (Ok(_), Err(_)) => {
                let retry_after_seconds = u32::try_from(BUSY_FOR.as_secs()).unwrap_or(u32::MAX);
                let busy = Reply::Refused(Refusal::Busy { retry_after_seconds });
                ExchangeSink(&mut exchange).send(busy).await.map(|()| Next::Stay)
            }
            (Err(_), _) => {
                let malformed = Reply::Refused(Refusal::Malformed);
                ExchangeSink(&mut exchange).send(malformed).await.map(|()| Next::Stay)
            }
        };
        match next {
            Err(_) => return,
            Ok(Next::Close) => {
                // Time for the refusal to arrive; the close would overtake it.
                let _ = exchange.delivered(LAST_WORDS).await;
                return connection.close(CloseCode::Retired);
            }
            Ok(Next::Stay) if taking.kind == Kind::Other => break,
            Ok(Next::Stay) => {}
        }
    }
    // Counts as running until the answer is there, so that a shutdown waits for it.
    let _ = exchange.delivered(DELIVERED_WITHIN).await;
}

async fn push_news<S: Store>(connection: &ServerConnection, service: &Service<S>, seat: &Seat) {
    loop {
        let news = seat.news().await;
        match service.send_news(seat, &news, &mut PushSink(connection)).await {
            Ok(Next::Stay) => {}
            Ok(Next::Close) => {
                let _ = timeout(LAST_WORDS, connection.closed()).await;
                return connection.close(CloseCode::Retired);
            }
            Err(Stop::PeerGone) => return,
            Err(stop) => {
                // How far the client is, is not known now: it comes back and says so.
                tracing::error!(error = chain(&stop), "news not sent");
                let retry_after = BUSY_FOR;
                return connection.close(CloseCode::Busy { retry_after });
            }
        }
    }
}

/// Replies into an exchange.
struct ExchangeSink<'e>(&'e mut Exchange);

impl ReplySink for ExchangeSink<'_> {
    async fn send(&mut self, reply: Reply) -> Result<(), Stop> {
        self.0.send(&encode(&reply)?).await.map_err(|_| Stop::PeerGone)
    }
}

/// Replies as news, each on a stream of its own; clients take streams in the order they were begun.
struct PushSink<'c>(&'c ServerConnection);

impl ReplySink for PushSink<'_> {
    async fn send(&mut self, reply: Reply) -> Result<(), Stop> {
        self.0.push(&encode(&reply)?).await.map_err(|_| Stop::PeerGone)
    }
}

fn encode(reply: &Reply) -> Result<Vec<u8>, Stop> {
    codec::encode(reply)
        .map_err(|source| Stop::Fault(crate::service::ServiceFault::Value { what: "reply", source }))
}

fn hello(time: UnixSeconds) -> Vec<u8> {
    codec::encode(&Hello { time }).unwrap_or_default()
}

/// A client sends a request in one go.
const REQUEST_WITHIN: Duration = Duration::from_secs(20);
/// A phone in a tunnel has this long to take the end of an answer.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);
const LAST_WORDS: Duration = Duration::from_secs(2);
const BUSY_FOR: Duration = Duration::from_secs(15);
