//! The terminal's part of a conversation: its session's effects go into the terminal's stores and files, and enrolment.

use bhyt_core::cose::Verified;
use bhyt_core::held_status::StatusFault;
use bhyt_core::ids::FacilityCode;
use bhyt_core::sync::messages::{Enrol, Follow, Refusal, Reply, Request};
use bhyt_core::sync::terminal::{TerminalFault, TerminalSession};
use bhyt_core::trust::TrustBundle;

use crate::engine::{Broken, Engine, Scene, Side, SyncReport};
use crate::error::{Refused, SdkError};
use crate::events::Event;
use crate::host::blocking;
use crate::keys::{DeviceKeys, terminal_key};
use crate::link::{Conversation, close, welcomed};
use crate::stored::StoredProgress;
use crate::terminal::Enrolment;
use crate::terminal_store::{TerminalChange, TerminalStore};
use crate::wallet_side::newest_trust;

impl Side for TerminalStore {
    type Session = TerminalSession;

    fn session(&self, _keys: &DeviceKeys) -> Result<TerminalSession, SdkError> {
        self.make_session()
    }

    fn request(session: &mut TerminalSession, follow: Follow) -> Request {
        session.request(follow)
    }

    fn outcome(session: &TerminalSession) -> Option<Result<(), Refusal>> {
        session.outcome()
    }

    fn take(
        &self,
        session: &mut TerminalSession,
        reply: Reply,
        report: &mut SyncReport,
        scene: &Scene<'_>,
    ) -> Result<(), Broken> {
        let listener = scene.listener;
        if let Reply::StatusSnapshot(piece) = &reply {
            report.received += piece.bytes.len() as u64;
        }
        let piece = matches!(reply, Reply::StatusSnapshot(_));
        let effects = match session.handle(reply) {
            Ok(effects) => effects,
            Err(fault) => return Err(self.put_right(fault, piece)?),
        };
        for effect in effects {
            let event = match self.apply(effect)? {
                TerminalChange::Trust => Event::TrustChanged { version: session.trust().claims().version },
                TerminalChange::Status(version) => Event::StatusChanged { version },
                TerminalChange::Part { received, total } => {
                    listener.on_event(Event::Progress { received, total: Some(total) });
                    continue;
                }
                TerminalChange::NoStatus => continue,
            };
            report.changes += 1;
            listener.on_event(event);
        }
        Ok(())
    }

    fn server(&self) -> Option<(String, Verified<TrustBundle>)> {
        let held = self.held();
        held.facility.as_ref()?;
        Some((held.server.clone()?, held.trust.clone()?))
    }

    fn progress(&self) -> StoredProgress {
        self.held().progress
    }

    fn note_progress(&self, progress: StoredProgress) {
        self.set_progress(progress);
    }

    fn keep_progress(&self, progress: &StoredProgress) -> Result<(), SdkError> {
        self.put_progress(progress)
    }
}

impl TerminalStore {
    /// A part of a snapshot that led nowhere is dropped. A delta that does not fit is answered by asking for a snapshot,
    /// and one that fits a full chain by asking for a delta in place of the chain, which the cursor does by itself.
    fn put_right(&self, fault: TerminalFault, piece: bool) -> Result<Broken, SdkError> {
        match fault {
            _ if piece => self.drop_part()?,
            TerminalFault::Status(StatusFault::NeedsSnapshot | StatusFault::Delta(_)) => {
                self.ask_for_snapshot();
            }
            TerminalFault::Status(StatusFault::ChainFull) => {}
            fault => return Ok(Broken::Error(fault.into())),
        }
        Ok(Broken::AskAgain(fault.into()))
    }
}

impl Engine<TerminalStore> {
    /// Asks to be enrolled with a one-time token.
    pub(crate) async fn enrol(&self, asked: Enrolment) -> Result<FacilityCode, SdkError> {
        if asked.token.len() > TOKEN_BYTES_MAX {
            return Err(SdkError::Refused { why: Refused::Code });
        }
        let trust = newest_trust(self.side.held().trust.as_ref(), &asked.trust)?;
        let key = self.keys.transport.transport_key()?;
        let terminal_key = terminal_key(&self.keys)?;
        let request = Request::Enrol(Enrol { token: asked.token, terminal_key });
        let link = welcomed(self.dialer.dial(&asked.server, trust.claims(), &key).await?).await?;
        let _turn = self.turn.lock().await;
        let mut conversation = Conversation::begin(&link.connection, &request).await?;
        let facility = match conversation.next().await? {
            Reply::Enrolled(facility) => facility,
            Reply::Refused(refusal) => return Err(refusal.into()),
            _ => return Err(SdkError::untrusted(TerminalFault::Unexpected)),
        };
        let now = self.clock.now();
        blocking(|| self.side.keep_enrolment(facility.clone(), &trust, &asked.server, now))?;
        close(&link.connection);
        Ok(facility)
    }
}

/// Bound of the request; see [`Enrol`].
const TOKEN_BYTES_MAX: usize = 64;
