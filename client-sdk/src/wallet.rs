//! The phone: a family's cards, shown at once and offline, kept up to date when there is a network.

use std::convert::Infallible;
use std::sync::Arc;

use bhyt_core::grant::Grant;
use bhyt_core::ids::MemberId;
use bhyt_core::keys::Signature;
use bhyt_core::presentation::Challenge;
use bhyt_platform::entropy::make_bytes;
use bhyt_platform::quic::ClientSettings;

use crate::card_copies::CardCopies;
use crate::config::{Config, Ground, Kind};
use crate::engine::{Engine, SyncReport};
use crate::error::SdkError;
use crate::events::{Event, EventListener, NoListener};
use crate::host::{Host, Work, blocking};
use crate::present::{PreparedPresentation, without_proof};
use crate::view::{CardView, ForkEvidence, ShownCard, WalletStatus, shown_cards, wallet_status};
use crate::wallet_store::WalletStore;
use crate::watching::Watching;

/// A member's phone.
///
/// What shows cards answers in an instant from memory and never waits for network or disk; records are read from disk. What speaks to the server is
/// `async`, runs on threads of the SDK, and may be awaited on any executor; dropping the future gives it up, and
/// whatever was committed stays.
///
/// ```
/// use bhyt_sdk::{Config, SdkError, Wallet};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let wallet = Wallet::open(Config::new(folder.path()))?;
/// // Before activation there is nobody on this phone. With a code from the agency:
/// // wallet.activate(Activation { server, trust, alias, code }).await?;
/// for member in wallet.members() {
///     for card in wallet.cards(member) {
///         println!("{} {}", card.claims.number.as_str(), card.state.name());
///     }
///     let text = wallet.live_text(member)?;
///     let code = bhyt_sdk::QrMatrix::for_screen(&text)?;
///     assert!(code.version() <= 12);
/// }
/// assert_eq!(wallet.status().members.len(), 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Wallet {
    /// Both dropped before the host: no work outlives its wallet.
    watching: Watching,
    _keeping: Work<Infallible>,
    pub(crate) engine: Arc<Engine<WalletStore>>,
    host: Host,
}

/// What activation needs.
#[derive(Clone)]
pub struct Activation {
    /// Host and port of the server.
    pub server: String,
    /// The bytes of the trust bundle, from a hand that is trusted: the application's package, an agency's desk.
    pub trust: Vec<u8>,
    /// Mã số BHXH, personal number, or member id.
    pub alias: String,
    /// The one-time code.
    pub code: String,
}

impl Wallet {
    /// Opens the data of a phone, or makes it.
    pub fn open(config: Config) -> Result<Self, SdkError> {
        let ground = Ground::open(config, Kind::Phone)?;
        let copies = CardCopies::new(&ground.data.join(COPIES_FOLDER), ground.vault.clone());
        let store = WalletStore::open(ground.own, ground.cache, ground.vault, copies)?;
        if ground.full {
            store.note_full();
        } else {
            store.end_grants(ground.clock.now())?;
        }
        let settings = ClientSettings::phone();
        let engine = Engine::new(store, ground.keys, ground.clock, ground.entropy, settings);
        let (engine, host) = (Arc::new(engine), Host::start()?);
        let noting = engine.clone();
        let keeping = host.run(async move { noting.keep_progress().await });
        Ok(Self { watching: Watching::default(), _keeping: keeping, engine, host })
    }

    /// Takes a member onto this phone, and syncs. The member is there when this returns, even if the sync that follows
    /// did not go through; see [`Self::status`].
    pub async fn activate(&self, asked: Activation) -> Result<MemberId, SdkError> {
        let engine = self.engine.clone();
        let work = async move {
            let member = engine.activate(asked).await?;
            if let Err(error) = engine.sync(&NoListener).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "activated; the first sync did not go through");
            }
            Ok(member)
        };
        self.host.run(work).await
    }

    /// Brings all members of this phone up to date, once.
    pub async fn sync(&self) -> Result<SyncReport, SdkError> {
        self.sync_with(Arc::new(NoListener)).await
    }

    /// [`Self::sync`], telling what happens.
    pub async fn sync_with(&self, listener: Arc<dyn EventListener>) -> Result<SyncReport, SdkError> {
        let engine = self.engine.clone();
        let work = async move {
            for member in blocking(|| engine.side.end_grants(engine.clock.now()))? {
                listener.on_event(Event::MemberRemoved { member });
            }
            engine.sync(listener.as_ref()).await
        };
        self.host.run(work).await
    }

    /// Syncs, and stays connected for news until [`Self::unwatch`]: in the foreground. Reconnects by itself, with
    /// growing pauses. A second call replaces the listener of the first.
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

    /// To be called when the phone has changed or regained its network: connections move over, waits are cut short.
    pub async fn network_changed(&self) -> Result<(), SdkError> {
        let engine = self.engine.clone();
        self.host.run(async move { engine.network_changed() }).await
    }

    /// Stops everything and says goodbye to the server. Data is durable at any time; this only is polite.
    pub async fn close(&self) {
        self.unwatch().await;
        let engine = self.engine.clone();
        let goodbye = async move {
            engine.shutdown().await;
            Ok(())
        };
        // It waits a second at most and cannot fail.
        let _ = self.host.run(goodbye).await;
    }

    /// The members on this phone.
    pub fn members(&self) -> Vec<MemberId> {
        let held = self.engine.side.held();
        let today = held.today(self.engine.clock.now());
        let shown = held.members.iter().filter(|(_, member)| member.is_held_on(today));
        shown.map(|(member, _)| *member).collect()
    }

    /// The grant by which this phone holds a member, on a carer's phone: it ends on its last day, or when it is revoked.
    /// `None` of a member who is here in their own right.
    pub fn grant(&self, member: MemberId) -> Option<Grant> {
        self.engine.side.held().members.get(&member)?.grant.as_ref().map(|held| held.grant)
    }

    /// The cards of a member, the one to show first in front; empty when there are none.
    pub fn cards(&self, member: MemberId) -> Vec<CardView> {
        self.shown(member).into_iter().map(|card| card.view).collect()
    }

    /// How up to date this phone is.
    pub fn status(&self) -> WalletStatus {
        wallet_status(&self.engine.side.held(), &self.engine.keys, self.engine.clock.now())
    }

    /// The two signed heads, when the server was seen to sign two feeds of a member; see [`crate::MemberStatus`].
    pub fn fork_evidence(&self, member: MemberId) -> Option<ForkEvidence> {
        let held = self.engine.side.held();
        let fork = held.members.get(&member)?.fork.clone()?;
        Some(ForkEvidence { held: fork.held, disputed: fork.disputed })
    }

    /// The text of a live code for the first card that this device holds: card and a proof of now. Made anew every
    /// [`crate::LIVE_CODE_LIFE`]. Asks the presentation key, which may ask the user.
    ///
    /// Fails with [`SdkError::NotActivated`] when the device holds no binding for the card: sync first, or show
    /// [`Self::printed_text`].
    pub fn live_text(&self, member: MemberId) -> Result<String, SdkError> {
        let prepared = self.prepare_live(member, None)?;
        let signature: Signature = self.engine.keys.presentation.sign(&prepared.to_be_signed())?;
        Ok(prepared.seal(signature))
    }

    /// A live presentation for an application that signs itself; with `challenge`, an answer to that terminal alone.
    pub fn prepare_live(
        &self,
        member: MemberId,
        challenge: Option<Challenge>,
    ) -> Result<PreparedPresentation, SdkError> {
        let card = self.shown(member).into_iter().find_map(|card| card.bound);
        let nonce = make_bytes(self.engine.entropy.as_ref());
        let card = card.ok_or(SdkError::NotActivated)?;
        Ok(PreparedPresentation::new(card, self.engine.clock.now(), nonce, challenge))
    }

    /// The text of the card as issued, without proof, for paper: a terminal says that the card is good, and to compare
    /// a photo document.
    pub fn printed_text(&self, member: MemberId) -> Result<String, SdkError> {
        let card = self.shown(member).into_iter().next().ok_or(SdkError::NotActivated)?;
        Ok(without_proof(card.issued))
    }

    pub(crate) fn engine(&self) -> &Engine<WalletStore> {
        &self.engine
    }

    fn shown(&self, member: MemberId) -> Vec<ShownCard> {
        let held = self.engine.side.held();
        let today = held.today(self.engine.clock.now());
        match (held.members.get(&member), &held.trust) {
            (Some(member), Some(trust)) if member.is_held_on(today) => {
                shown_cards(member, trust.claims(), self.engine.clock.now())
            }
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activation").field("server", &self.server).finish_non_exhaustive()
    }
}

const COPIES_FOLDER: &str = "cards";
