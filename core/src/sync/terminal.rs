//! The terminal's side of a sync, without I/O: trust bundles and status lists in, effects out. What a step changes is
//! made durable in the order of the effects: marks before the list that raised them is used.

use crate::cose::Verified;
use crate::held_status::{HeldStatus, StatusFault};
use crate::limits::STATUS_BYTES_MAX;
use crate::marks::{self, Marks};
use crate::status::StatusVersion;
use crate::sync::messages::{Follow, Refusal, Reply, Request, SnapshotPiece, SyncTerminal};
use crate::trust::{self, TrustBundle, TrustError};

/// One sync, or the news of one connection.
#[derive(Clone, Debug)]
pub struct TerminalSession {
    trust: Verified<TrustBundle>,
    status: Option<HeldStatus>,
    marks: Marks,
    partial: Option<PartialSnapshot>,
    outcome: Option<Result<(), Refusal>>,
}

/// A snapshot that has come in part. Kept over restarts, so that a broken line does not begin again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSnapshot {
    /// Which.
    pub version: StatusVersion,
    /// Bytes of the whole.
    pub total: u64,
    /// The bytes from the start.
    pub bytes: Vec<u8>,
}

impl TerminalSession {
    /// A session over what the terminal holds.
    pub fn new(
        trust: Verified<TrustBundle>,
        status: Option<HeldStatus>,
        marks: Marks,
        partial: Option<PartialSnapshot>,
    ) -> Self {
        Self { trust, status, marks, partial, outcome: None }
    }

    /// The request that brings everything up to date, and begins the exchange.
    pub fn request(&mut self, follow: Follow) -> Request {
        self.outcome = None;
        Request::SyncTerminal(SyncTerminal {
            trust: self.trust.claims().version,
            status: self.status.as_ref().map(|status| (status.cursor(), status.key_id())),
            partial: self.partial.as_ref().map(|partial| (partial.version, partial.bytes.len() as u64)),
            follow,
        })
    }

    /// Takes one reply. What it returns is to be made durable, in order, before the next is handled.
    pub fn handle(&mut self, reply: Reply) -> Result<Vec<TerminalEffect>, TerminalFault> {
        match reply {
            Reply::Done => {
                self.outcome = Some(Ok(()));
                Ok(Vec::new())
            }
            Reply::Refused(refusal) => {
                self.outcome = Some(Err(refusal));
                Ok(Vec::new())
            }
            Reply::Trust(bytes) => self.take_trust(&bytes),
            Reply::StatusDelta(bytes) => self.take_status(&bytes),
            Reply::StatusSnapshot(piece) => self.take_piece(piece),
            _ => Err(TerminalFault::Unexpected),
        }
    }

    /// How the exchange ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Result<(), Refusal>> {
        self.outcome
    }

    /// The trust bundle in force now.
    pub fn trust(&self) -> &Verified<TrustBundle> {
        &self.trust
    }

    /// The status list in force now.
    pub fn status(&self) -> Option<&HeldStatus> {
        self.status.as_ref()
    }

    /// The marks in force now.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// A bundle that no longer names a status key, or says that the key could not have signed then, takes marks and list
    /// of that key with it.
    fn take_trust(&mut self, bytes: &[u8]) -> Result<Vec<TerminalEffect>, TerminalFault> {
        let Some(next) = trust::accept(&self.trust, bytes)? else {
            return Ok(Vec::new());
        };
        self.marks = std::mem::take(&mut self.marks).under(next.claims());
        self.trust = next.clone();
        let mut effects = vec![TerminalEffect::TakeTrust { trust: next, marks: self.marks.clone() }];
        let trust = self.trust.claims();
        let floor = self.marks.floor(trust);
        let list_stands =
            |status: &HeldStatus| marks::check_signer(trust, status.key_id(), status.mark(), floor).is_ok();
        if self.status.as_ref().is_some_and(|status| !list_stands(status)) {
            self.status = None;
            effects.push(TerminalEffect::DropStatus);
        }
        Ok(effects)
    }

    fn take_status(&mut self, bytes: &[u8]) -> Result<Vec<TerminalEffect>, TerminalFault> {
        let (next, marks) =
            HeldStatus::accept(self.status.as_ref(), bytes, self.trust.claims(), &self.marks)?;
        self.status = Some(next.clone());
        self.marks = marks.clone();
        self.partial = None;
        Ok(vec![TerminalEffect::TakeStatus { status: Box::new(next), marks }])
    }

    fn take_piece(&mut self, piece: SnapshotPiece) -> Result<Vec<TerminalEffect>, TerminalFault> {
        if piece.total > STATUS_BYTES_MAX as u64 || piece.bytes.is_empty() {
            return Err(TerminalFault::TooMuch);
        }
        let fits =
            |partial: &PartialSnapshot| partial.version == piece.version && partial.total == piece.total;
        let mut partial = match self.partial.take().filter(fits) {
            Some(partial) if partial.bytes.len() as u64 == piece.offset => partial,
            _ if piece.offset == 0 => {
                PartialSnapshot { version: piece.version, total: piece.total, bytes: Vec::new() }
            }
            _ => return Err(TerminalFault::Unexpected),
        };
        partial.bytes.extend_from_slice(&piece.bytes);
        match (partial.bytes.len() as u64).cmp(&partial.total) {
            std::cmp::Ordering::Less => {
                self.partial = Some(partial);
                Ok(vec![TerminalEffect::KeepPart(piece)])
            }
            // A snapshot that came whole and is not taken is not kept: the next sync begins it again.
            std::cmp::Ordering::Equal => self.take_status(&partial.bytes),
            std::cmp::Ordering::Greater => Err(TerminalFault::TooMuch),
        }
    }
}

/// What the terminal is to make durable, in the order given.
#[derive(Clone, Debug)]
pub enum TerminalEffect {
    /// A new trust bundle, and the marks that stay in force under it: one commit.
    TakeTrust {
        /// The bundle.
        trust: Verified<TrustBundle>,
        /// The marks.
        marks: Marks,
    },
    /// The list's key has left the bundle: forget the list.
    DropStatus,
    /// A new list: its marks durable before it is used, and the list itself before its marks, or a power cut between the
    /// two leaves a terminal with none.
    TakeStatus {
        /// The list.
        status: Box<HeldStatus>,
        /// The marks.
        marks: Marks,
    },
    /// A piece of a snapshot has come, and others are to come: it goes behind those before it, and one that starts at 0
    /// begins anew. Keeping it is an economy, not a duty. One piece costs one piece, however many there are.
    KeepPart(SnapshotPiece),
}

/// The server's answer cannot be used. What is in force stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TerminalFault {
    /// A frame that has no place in this exchange.
    #[error("unexpected frame")]
    Unexpected,
    /// More than the bounds allow.
    #[error("more than the bounds allow")]
    TooMuch,
    /// The trust bundle is not taken.
    #[error("trust bundle not taken")]
    Trust(#[from] TrustError),
    /// The status list is not taken.
    #[error("status list not taken")]
    Status(#[from] StatusFault),
}
