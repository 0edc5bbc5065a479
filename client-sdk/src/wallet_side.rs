//! The phone's part of a conversation: its session's effects go into the wallet's stores, and activation.

use bhyt_core::cose::Verified;
use bhyt_core::feed::FeedFault;
use bhyt_core::ids::MemberId;
use bhyt_core::operation::Operation;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::sync::messages::{Activate, Follow, ProofBytes, Refusal, Reply, Request};
use bhyt_core::sync::personal::{PersonalReply, SyncPersonal};
use bhyt_core::sync::wallet::{SyncFault, WalletSession};
use bhyt_core::trust::{self, TrustBundle, TrustError};
use bhyt_platform::entropy::make_bytes;

use crate::engine::{Broken, Engine, Scene, Side, SyncReport};
use crate::error::{Refused, SdkError};
use crate::events::{Event, EventListener};
use crate::host::blocking;
use crate::keys::DeviceKeys;
use crate::link::{Conversation, close, welcomed};
use crate::stored::{StoredPossession, StoredProgress};
use crate::wallet::Activation;
use crate::wallet_own::Admitted;
use crate::wallet_store::{Change, WalletStore};

impl Side for WalletStore {
    type Session = WalletSession;

    fn session(&self, keys: &DeviceKeys) -> Result<WalletSession, SdkError> {
        let requests = self.personal_requests(keys)?.into_iter();
        // Those with edits to hand in are asked about as they are handed in.
        let asked = requests.filter(|request| request.operations.is_empty());
        let asked = asked.map(|request| (request.member, request.cursor)).collect();
        self.make_session(keys.presentation.public_key()?, &asked)
    }

    fn request(session: &mut WalletSession, follow: Follow) -> Request {
        session.request(follow)
    }

    fn outcome(session: &WalletSession) -> Option<Result<(), Refusal>> {
        session.outcome()
    }

    fn take(
        &self,
        session: &mut WalletSession,
        reply: Reply,
        report: &mut SyncReport,
        scene: &Scene<'_>,
    ) -> Result<(), Broken> {
        let listener = scene.listener;
        if let Reply::Personal(news) = &reply {
            if self.take_personal(&[], news, scene)? {
                return Err(Broken::AskAgain(SdkError::untrusted(SyncFault::Unexpected)));
            }
            return Ok(());
        }
        let is_block = matches!(reply, Reply::FeedBlock { .. });
        let awaited = session.awaited();
        let effects = match session.handle(reply) {
            Ok(effects) => effects,
            Err(fault) => return Err(self.put_right(session, fault)?),
        };
        if is_block {
            report.received += awaited.saturating_sub(session.awaited());
            let total = Some(report.received + session.awaited());
            listener.on_event(Event::Progress { received: report.received, total });
        }
        for effect in effects {
            let Some(change) = self.apply(effect)? else { continue };
            report.changes += 1;
            self.tell(change, listener);
        }
        Ok(())
    }

    fn outgoing(&self, keys: &DeviceKeys) -> Result<Vec<SyncPersonal>, SdkError> {
        let mut requests = self.personal_requests(keys)?;
        requests.retain(|request| !request.operations.is_empty());
        Ok(requests)
    }

    fn take_answer(
        &self,
        asked: &SyncPersonal,
        reply: Reply,
        scene: &Scene<'_>,
    ) -> Result<Option<SyncPersonal>, SdkError> {
        let Reply::Personal(reply) = reply else { return Err(SdkError::untrusted(SyncFault::Unexpected)) };
        if reply.member != asked.member {
            return Err(SdkError::untrusted(SyncFault::UnknownMember));
        }
        let again = self.take_personal(&asked.operations, &reply, scene)?;
        let owner = self.owner(asked.member, scene.keys)?;
        again.then(|| self.personal().look(&owner, |state| state.request())).transpose()
    }

    fn errand(&self) -> Option<Request> {
        // Who is not known hands nothing back.
        self.next_readmission().or_else(|| self.next_hand_back())
    }

    fn take_errand(&self, reply: Reply, listener: &dyn EventListener) -> Result<(), SdkError> {
        if self.next_readmission().is_some() {
            if let Some(change) = self.take_readmission(reply)? {
                self.tell(change, listener);
            }
            return Ok(());
        }
        match reply {
            Reply::Done => self.handed_back(),
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Err(SdkError::untrusted(SyncFault::Unexpected)),
        }
    }

    fn server(&self) -> Option<(String, Verified<TrustBundle>)> {
        let held = self.held();
        Some((held.server.clone()?, held.trust.clone()?))
    }

    fn progress(&self) -> StoredProgress {
        self.held().progress
    }

    fn note_progress(&self, progress: StoredProgress) {
        self.set_progress(progress);
    }

    fn settle(&self) {
        if let Err(error) = self.keep_all_staged() {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "records on their way not kept; they are fetched again");
        }
        self.copy_cards();
    }

    fn keep_progress(&self, progress: &StoredProgress) -> Result<(), SdkError> {
        self.put_progress(progress)
    }
}

impl WalletStore {
    /// What is to be said to the server about the personal document of each of the phone's own members.
    fn personal_requests(&self, keys: &DeviceKeys) -> Result<Vec<SyncPersonal>, SdkError> {
        let own: Vec<_> = {
            let held = self.held();
            let own = held.members.iter().filter(|(_, member)| member.grant.is_none());
            own.map(|(id, _)| *id).collect()
        };
        let request = |member| self.personal().look(&self.owner(member, keys)?, |state| state.request());
        own.into_iter().map(request).collect()
    }
}

impl WalletStore {
    /// Takes what the server says of a personal document, and tells; whether there is more to ask or to hand in.
    fn take_personal(
        &self,
        operations: &[Operation],
        reply: &PersonalReply,
        scene: &Scene<'_>,
    ) -> Result<bool, SdkError> {
        let member = reply.member;
        let (owner, listener) = (self.owner(member, scene.keys)?, scene.listener);
        let trust = self.held().trust.clone().ok_or(SdkError::NotActivated)?;
        let taken = self.personal().take(&owner, operations, reply, trust.claims(), scene.now)?;
        if taken.document {
            listener.on_event(Event::PersonalChanged { member });
        }
        if taken.outbox {
            listener.on_event(Event::OutboxChanged { member });
        }
        Ok(taken.again)
    }

    fn tell(&self, change: Change, listener: &dyn EventListener) {
        listener.on_event(match change {
            Change::Trust => {
                let version = self.held().trust.as_ref().map_or(0, |trust| trust.claims().version);
                Event::TrustChanged { version }
            }
            Change::Records(member) => Event::RecordsChanged { member },
            Change::Credentials(member) => Event::CredentialsChanged { member },
            Change::Granted(member) => Event::MemberGranted { member },
            Change::Removed(member) => Event::MemberRemoved { member },
        });
    }

    /// Records that do not lead to their head are fetched again: first those that no head spoke for yet, then, once, all
    /// from the beginning, since either those here are damaged, or a fork shows itself as one. Of a fork both heads are
    /// kept; what is shown stays as it was.
    fn put_right(&self, session: &WalletSession, fault: SyncFault) -> Result<Broken, SdkError> {
        if fault == SyncFault::TooMuch {
            self.forget_all_staged()?;
        }
        let SyncFault::Feed { member, fault: why } = &fault else {
            return Ok(Broken::Error(fault.into()));
        };
        match why {
            FeedFault::Short { .. }
            | FeedFault::TooLong { .. }
            | FeedFault::RootMismatch { .. }
            | FeedFault::Chain(_)
            | FeedFault::Frontier(_)
                if self.forget_staged(*member)? || self.reread(*member) =>
            {
                return Ok(Broken::AskAgain(fault.into()));
            }
            FeedFault::Fork { .. } => {
                if let Some(disputed) = session.disputed() {
                    self.keep_fork(*member, disputed)?;
                }
            }
            // A gap is a push that was missed, and asked for from where the phone is; the others speak of the head alone.
            _ => {}
        }
        Ok(Broken::Error(fault.into()))
    }
}

impl Engine<WalletStore> {
    /// Asks for a member with a one-time code, and takes it in.
    pub(crate) async fn activate(&self, asked: Activation) -> Result<MemberId, SdkError> {
        if asked.alias.len() > ALIAS_BYTES_MAX || asked.code.len() > CODE_BYTES_MAX {
            return Err(SdkError::Refused { why: Refused::Code });
        }
        let trust = newest_trust(self.side.held().trust.as_ref(), &asked.trust)?;
        let key = self.keys.transport.transport_key()?;
        let presentation_key = self.keys.presentation.public_key()?;
        let proof = self.prove_possession(key.public_key().as_bytes())?;
        let possession = StoredPossession { presentation_key, proof: proof.clone() };
        let Activation { alias, code, server, .. } = asked;
        let request = Request::from(Activate { alias, code, presentation_key, possession: proof });
        let link = welcomed(self.dialer.dial(&server, trust.claims(), &key).await?).await?;
        let _turn = self.turn.lock().await;
        let mut conversation = Conversation::begin(&link.connection, &request).await?;
        let member = match conversation.next().await? {
            Reply::Activated(member) => member,
            Reply::Refused(refusal) => return Err(refusal.into()),
            _ => return Err(SdkError::untrusted(SyncFault::Unexpected)),
        };
        let now = self.clock.now();
        let admitted = Admitted { member, trust, server, possession, now };
        blocking(|| self.side.add_member(admitted))?;
        close(&link.connection);
        Ok(member)
    }

    fn prove_possession(&self, transport_key: &[u8]) -> Result<ProofBytes, SdkError> {
        let proof = UnsignedProof {
            time: self.clock.now(),
            nonce: make_bytes(self.entropy.as_ref()),
            challenge: None,
        };
        let to_be_signed = proof.to_be_signed(transport_key);
        let signature = blocking(|| self.keys.presentation.sign(&to_be_signed))?;
        Ok(ProofBytes::from(&proof.seal(signature)))
    }
}

/// The newer of the bundle in hand and the one given. A given one that does not follow the one in hand is refused: it
/// belongs to another server, or somebody made it up.
pub(crate) fn newest_trust(
    held: Option<&Verified<TrustBundle>>,
    given: &[u8],
) -> Result<Verified<TrustBundle>, SdkError> {
    let Some(held) = held else { return Ok(trust::anchor(given)?) };
    match trust::accept(held, given) {
        Ok(Some(newer)) => Ok(newer),
        Ok(None) | Err(TrustError::Rollback { .. }) => Ok(held.clone()),
        Err(error) => Err(error.into()),
    }
}

/// Bounds of the request; see [`Activate`].
const ALIAS_BYTES_MAX: usize = 32;
const CODE_BYTES_MAX: usize = 64;
