//! One exchange: who asks is looked up, the request is authorised, and the answer goes out reply by reply, ending in
//! Done or Refused.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use bhyt_core::keys::PublicKey;
use bhyt_core::limits::{FRAME_BYTES_MAX, OPERATIONS_BYTES_MAX, OPERATIONS_MAX};
use bhyt_core::sync::messages::{Refusal, Reply, Request};

use super::Service;
use super::authorise::{Permit, authorise};
use super::fault::Stop;
use super::hub::{News, Seat};
use super::principal::Principal;
use crate::exit::chain;
use crate::store::Store;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The transport key it has proven.
    pub key: PublicKey,
    /// Where it was when it connected.
    pub address: IpAddr,
}

/// Takes replies on their way to a peer.
pub trait ReplySink: Send {
    /// Sends one reply; waits while the peer is slow.
    ///
    /// # Errors
    /// [`Stop::PeerGone`].
    fn send(&mut self, reply: Reply) -> impl Future<Output = Result<(), Stop>> + Send;
}

impl ReplySink for Vec<Reply> {
    async fn send(&mut self, reply: Reply) -> Result<(), Stop> {
        self.push(reply);
        Ok(())
    }
}

/// What follows for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    Stay,
    /// Its key is retired: it is to be closed.
    Close,
}

impl<S: Store> Service<S> {
    /// Takes a seat for a new connection of this peer. Hold it for as long as the connection lives.
    pub fn join(&self, peer: Peer) -> Arc<Seat> {
        self.hub.join(peer.key, peer.address)
    }

    /// Answers one request. What goes wrong is logged here; the peer is told its code.
    ///
    /// # Errors
    /// [`Stop::PeerGone`] alone.
    pub async fn answer(
        self: &Arc<Self>,
        seat: &Seat,
        request: Request,
        sink: &mut impl ReplySink,
    ) -> Result<Next, Stop> {
        let (stop, next) = match self.principal(&seat.peer().key).await {
            Ok(Principal::Retired) => (Err(Refusal::NotAuthorised.into()), Next::Close),
            Ok(principal) => {
                let done = self.handle(seat, &principal, &request, sink).await;
                (done, Next::Stay)
            }
            Err(fault) => (Err(fault.into()), Next::Stay),
        };
        let last = match stop {
            Ok(()) => Reply::Done,
            Err(stop) => Reply::Refused(told(&stop)?),
        };
        sink.send(last).await?;
        Ok(next)
    }

    /// Sends what is new to a seat that stays, ending in Done.
    ///
    /// # Errors
    /// [`Stop`]; nothing is known then of how far the client is, and its connection is best closed.
    pub async fn send_news(&self, seat: &Seat, news: &News, sink: &mut impl ReplySink) -> Result<Next, Stop> {
        let principal = self.principal(&seat.peer().key).await?;
        match principal {
            Principal::Device(id, device) if !news.retired => {
                self.send_wallet_news(seat, id, &device, news, sink).await?;
                Ok(Next::Stay)
            }
            Principal::Terminal(..) if !news.retired => {
                self.send_terminal_news(seat, sink).await?;
                Ok(Next::Stay)
            }
            Principal::Retired => {
                self.send_retired(seat, sink).await?;
                Ok(Next::Close)
            }
            Principal::Stranger
            | Principal::Device(..)
            | Principal::Terminal(..)
            | Principal::Operator(..) => Ok(Next::Stay),
        }
    }

    /// The largest frame that this kind of peer may send as long as it is connected. Whoever is unknown may become a device
    /// on this very connection.
    pub fn request_bytes_max(principal: &Principal) -> usize {
        match principal {
            Principal::Operator(..) => FRAME_BYTES_MAX,
            Principal::Device(..) | Principal::Stranger => DEVICE_REQUEST_BYTES_MAX,
            Principal::Terminal(..) | Principal::Retired => REQUEST_BYTES_MAX,
        }
    }

    async fn handle(
        self: &Arc<Self>,
        seat: &Seat,
        principal: &Principal,
        request: &Request,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        if let Principal::Operator(..) = principal {
            self.denials.check(seat.peer(), self.clock.now())?;
        }
        let Ok(permit) = authorise(principal, request) else {
            self.check_forgotten(principal, request)?;
            return Err(self.deny(seat.peer(), principal, request).await);
        };
        if !matches!(permit, Permit::Command(..)) {
            self.check_issuing()?;
        }
        match permit {
            Permit::Activate(activate) => {
                let member = self.activate(seat.peer(), &activate).await?;
                sink.send(Reply::Activated(member)).await
            }
            Permit::Enrol(enrol) => {
                let facility = self.enrol(seat.peer(), enrol).await?;
                sink.send(Reply::Enrolled(facility)).await
            }
            Permit::Wallet(id, device, sync) => self.sync_wallet(seat, id, device, &sync, sink).await,
            Permit::Personal(id, device, sync) => self.sync_personal(seat, id, device, sync, sink).await,
            Permit::HandBack(device, handed) => self.take_back(device, handed).await,
            Permit::Readmit(shown) => self.readmit(seat.peer(), shown, sink).await,
            Permit::Terminal(_, _, sync) => self.sync_terminal(seat, sync, sink).await,
            Permit::Command(id, request) => self.command(id, request, sink).await,
        }
    }
}

/// What the peer is told, after the log was told more.
fn told(stop: &Stop) -> Result<Refusal, Stop> {
    match stop {
        Stop::Refused(refusal) => {
            tracing::debug!(%refusal, "request refused");
            Ok(*refusal)
        }
        Stop::Fault(fault) => {
            tracing::error!(error = chain(fault), "request failed");
            Ok(Refusal::Internal)
        }
        Stop::PeerGone => Err(Stop::PeerGone),
    }
}

/// Bytes of a phone's request: operations, with their ids and lengths.
const DEVICE_REQUEST_BYTES_MAX: usize = OPERATIONS_BYTES_MAX + 32 * OPERATIONS_MAX + 1_024;
/// Bytes of a request of anybody else but an operator.
const REQUEST_BYTES_MAX: usize = 4 * 1024;
