//! A service over the memory store, with a clock that is moved by hand, and clients that believe nothing unverified.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::shared_store::SharedStore;
use bhyt_core::cose::Verified;
use bhyt_core::feed::FeedState;
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::{KeyId, PublicKey, SecretKey, Signature};
use bhyt_core::marks::Marks;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::presentation_key::{KeyKind, PresentationKey, PresentationSecret};
use bhyt_core::seal::SealKey;
use bhyt_core::status::build::StatusSets;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, CardRow, MemberRow};
use bhyt_core::sync::messages::{Activate, Enrol, Follow, ProofBytes, Refusal, Reply, Request};
use bhyt_core::sync::operators::OperatorRole;
use bhyt_core::sync::terminal::TerminalSession;
use bhyt_core::sync::wallet::{Effect, MemberState, WalletSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, KeyUse, Policy, RootSet, TrustBundle, TrustedKey};
use bhyt_platform::clock::ManualClock;
use bhyt_platform::entropy::SeededEntropy;
use bhyt_server::member_keys::MemberKeyFile;
use bhyt_server::service::values_operators::OperatorV2;
use bhyt_server::service::{
    KeyRing, MemberKeys, NoHook, Peer, Seat, Service, ServiceFault, ServiceParts, ServiceSettings, SignFault,
    TrustSource,
};
use bhyt_server::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

/// 23 November 2026, 09:00 in Vietnam.
pub(crate) const START: UnixSeconds = UnixSeconds(1_795_399_200);
pub(crate) const DAY: u64 = 86_400;
/// Signs receipts in every bundle.
const RECEIPT_KEY: u8 = 14;
pub(crate) const STORE_KEY: [u8; 32] = [42; 32];

pub(crate) type TestService = Service<SharedStore>;

/// Keys and bundles of the server, changed by hand.
#[derive(Debug)]
pub(crate) struct Authority {
    keys: Mutex<BTreeMap<KeyId, (KeyUse, SecretKey)>>,
    bundles: Mutex<Vec<Arc<Verified<TrustBundle>>>>,
    members: Mutex<Arc<MemberKeyFile>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self {
            keys: Mutex::default(),
            bundles: Mutex::default(),
            members: Mutex::new(Arc::new(MemberKeyFile::in_memory(43))),
        };
        authority.renew([(KeyUse::Card, 11), (KeyUse::Status, 12), (KeyUse::Head, 13)]);
        authority
    }

    /// A new bundle that names these keys and no others.
    pub(crate) fn renew(&self, keys: [(KeyUse, u8); 3]) {
        self.renew_keeping(Vec::new(), keys);
    }

    /// The same, where every key so far stays in the bundle and was closed at `at`.
    pub(crate) fn close_all(&self, at: UnixSeconds, keys: [(KeyUse, u8); 3]) {
        let close = |key: &TrustedKey| TrustedKey { signs_until: Some(at), ..key.clone() };
        let closed = self.current().claims().keys.iter().map(close).collect();
        self.renew_keeping(closed, keys);
    }

    fn renew_keeping(&self, kept: Vec<TrustedKey>, keys: [(KeyUse, u8); 3]) {
        let root = SecretKey::from_seed(&[1; 32]);
        let closed = kept.iter().any(|key| key.usage == KeyUse::Receipt);
        let receipts = (!closed).then_some((KeyUse::Receipt, RECEIPT_KEY));
        let named: Vec<_> = keys.into_iter().chain(receipts).collect();
        let named = named.into_iter().map(|(usage, seed)| (usage, SecretKey::from_seed(&[seed; 32])));
        let named: Vec<_> = named.collect();
        let mut bundles = self.bundles.lock().unwrap();
        let bundle = TrustBundle {
            version: bundles.len() as u64 + 1,
            issued: START,
            expires: UnixSeconds(START.0 + 400 * DAY),
            roots: RootSet::new(vec![root.public_key()], 1).unwrap(),
            keys: kept.into_iter().chain(named.iter().map(|(usage, key)| trusted(*usage, key))).collect(),
            policy: Policy::default(),
            status: None,
        };
        bundles.push(Arc::new(trust::anchor(&bundle.sign(&[&root])).unwrap()));
        let named = named.into_iter().map(|(usage, key)| (key.public_key().key_id(), (usage, key)));
        *self.keys.lock().unwrap() = named.collect();
    }

    pub(crate) fn members(&self) -> Arc<dyn MemberKeys> {
        Arc::clone(&*self.members.lock().unwrap()) as Arc<dyn MemberKeys>
    }

    /// Other members' keys from the next start on.
    pub(crate) fn danger_set_members(&self, keys: MemberKeyFile) {
        *self.members.lock().unwrap() = Arc::new(keys);
    }

    pub(crate) fn first(&self) -> Verified<TrustBundle> {
        (*self.bundles.lock().unwrap()[0]).clone()
    }
}

fn trusted(usage: KeyUse, key: &SecretKey) -> TrustedKey {
    TrustedKey {
        key: key.public_key(),
        usage,
        signs_from: UnixSeconds(0),
        signs_until: None,
        verify_until: None,
        ranges: Vec::new(),
    }
}

impl KeyRing for Authority {
    fn key_for(&self, usage: KeyUse, _: UnixSeconds) -> Option<KeyId> {
        let keys = self.keys.lock().unwrap();
        keys.iter().find(|(_, (used, _))| *used == usage).map(|(id, _)| *id)
    }

    fn sign(&self, key: KeyId, message: &[u8]) -> Result<Signature, SignFault> {
        let keys = self.keys.lock().unwrap();
        keys.get(&key).map(|(_, key)| key.sign(message)).ok_or(SignFault::NoSuchKey)
    }
}

impl TrustSource for Authority {
    fn current(&self) -> Arc<Verified<TrustBundle>> {
        Arc::clone(self.bundles.lock().unwrap().last().unwrap())
    }

    fn since(&self, version: u64) -> Vec<Vec<u8>> {
        let current = self.current();
        let newer = (current.claims().version > version).then(|| current.bytes().to_vec());
        newer.into_iter().collect()
    }

    fn all(&self) -> Vec<Vec<u8>> {
        self.bundles.lock().unwrap().iter().map(|bundle| bundle.bytes().to_vec()).collect()
    }
}

/// The server's world.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) authority: Arc<Authority>,
    pub(crate) store: SharedStore,
    pub(crate) service: Arc<TestService>,
    operations: Mutex<u128>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::new(START);
        let authority = Arc::new(Authority::new());
        let store = SharedStore::default();
        enter_operator(&store, OPERATOR, &OperatorRole::ALL).await;
        let service = open(&clock, &authority, &store, 1).await;
        Self { clock, authority, store, service, operations: Mutex::new(0) }
    }

    /// As after a restart: what was in memory is gone.
    pub(crate) async fn restart(&mut self) {
        self.service = open(&self.clock, &self.authority, &self.store, 2).await;
    }

    /// One exchange on a connection of its own.
    pub(crate) async fn ask(&self, seed: u8, request: Request) -> Vec<Reply> {
        let seat = self.service.join(peer(seed));
        self.ask_at(&seat, request).await
    }

    pub(crate) async fn ask_at(&self, seat: &Seat, request: Request) -> Vec<Reply> {
        let mut replies = Vec::new();
        self.service.answer(seat, request, &mut replies).await.unwrap();
        replies
    }

    /// A command with an operation id of its own.
    pub(crate) async fn command(&self, command: AdminCommand) -> Result<AdminReply, Refusal> {
        let id = {
            let mut operations = self.operations.lock().unwrap();
            *operations += 1;
            OperationId(operations.to_be_bytes())
        };
        self.command_as(OPERATOR, id, command).await
    }

    pub(crate) async fn command_as(
        &self,
        seed: u8,
        operation: OperationId,
        command: AdminCommand,
    ) -> Result<AdminReply, Refusal> {
        let mut replies = self.ask(seed, Request::Admin(AdminRequest { operation, command })).await;
        match replies.pop() {
            Some(Reply::Refused(refusal)) => Err(refusal),
            Some(Reply::Done) => match replies.pop() {
                Some(Reply::Admin(reply)) => Ok(reply),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// A one-time code or token.
    pub(crate) async fn code(&self, command: AdminCommand) -> String {
        match self.command(command).await {
            Ok(AdminReply::OneTimeCode { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    /// Member A with one card.
    pub(crate) async fn member_with_card(&self) {
        self.command(AdminCommand::ImportMembers(vec![member_row(1)])).await.unwrap();
        self.command(AdminCommand::IssueCard(card_row(1))).await.unwrap();
    }

    /// A phone of member `n`.
    pub(crate) async fn phone(&self, seed: u8, n: u8) -> Phone {
        let code = self.code(AdminCommand::MakeDeviceCode(social(n))).await;
        let replies = self.ask(seed, activate(seed, &social(n), &code)).await;
        let [Reply::Activated(member), Reply::Done] = replies[..] else { panic!("{replies:?}") };
        Phone::new(self, seed, member, presentation_key(seed).public_key().into())
    }

    pub(crate) async fn terminal(&self, seed: u8) -> TerminalSession {
        let token = self.code(AdminCommand::MakeTerminalToken("79024".into())).await;
        let replies = self.ask(seed, enrol(seed, &token)).await;
        assert!(matches!(replies[..], [Reply::Enrolled(_), Reply::Done]), "{replies:?}");
        TerminalSession::new(self.authority.first(), None, Marks::default(), None)
    }

    /// The sets of the newest list, as a terminal of this seed gets them.
    pub(crate) async fn terminal_sets(&self, seed: u8) -> StatusSets {
        self.service.publish_due().await.unwrap();
        let mut session = self.terminal(seed).await;
        self.sync_terminal(seed, &mut session).await;
        StatusSets::from_list(session.status().unwrap().list())
    }

    /// Whoever has failed too often need not wait any more.
    pub(crate) async fn forget_attempts(&mut self) {
        self.restart().await;
    }

    /// One sync of a terminal; returns the replies it took.
    pub(crate) async fn sync_terminal(&self, seed: u8, session: &mut TerminalSession) -> Vec<Reply> {
        let replies = self.ask(seed, session.request(Follow::Once)).await;
        for reply in &replies {
            session.handle(reply.clone()).unwrap();
        }
        assert_eq!(session.outcome(), Some(Ok(())));
        replies
    }
}

/// A phone that verifies what it gets.
pub(crate) struct Phone {
    pub(crate) seed: u8,
    pub(crate) member: MemberId,
    pub(crate) session: WalletSession,
}

impl Phone {
    pub(crate) fn new(world: &World, seed: u8, member: MemberId, presentation_key: PresentationKey) -> Self {
        let (feed, credentials) = (FeedState::new(member), Vec::new());
        let state = MemberState {
            feed,
            staged: Vec::new(),
            credentials,
            presentation_key,
            grant: None,
            personal: None,
        };
        let members = BTreeMap::from([(member, state)]);
        Self { seed, member, session: WalletSession::new(world.authority.first(), members) }
    }

    /// One sync; returns what was new.
    pub(crate) async fn sync(&mut self, world: &World) -> Vec<Effect> {
        let request = self.session.request(Follow::Once);
        let replies = world.ask(self.seed, request).await;
        let effects = self.take(replies);
        assert_eq!(self.session.outcome(), Some(Ok(())));
        effects
    }

    pub(crate) fn take(&mut self, replies: Vec<Reply>) -> Vec<Effect> {
        replies.into_iter().flat_map(|reply| self.session.handle(reply).unwrap()).collect()
    }

    pub(crate) fn credentials(&self) -> &[Vec<u8>] {
        &self.session.members()[&self.member].credentials
    }

    pub(crate) fn feed(&self) -> &FeedState {
        &self.session.members()[&self.member].feed
    }
}

pub(crate) const OPERATOR: u8 = 200;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn public(seed: u8) -> PublicKey {
    key(seed).public_key()
}

pub(crate) fn presentation_key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed ^ 0xff; 32])
}

pub(crate) fn p256_key(seed: u8) -> PresentationSecret {
    PresentationSecret::from_bytes(KeyKind::P256, &[seed; 32]).unwrap()
}

pub(crate) fn peer(seed: u8) -> Peer {
    Peer { key: public(seed), address: IpAddr::from([127, 0, 0, seed]) }
}

pub(crate) fn activate(seed: u8, alias: &str, code: &str) -> Request {
    activate_with(&PresentationSecret::Ed25519(presentation_key(seed)), seed, alias, code)
}

pub(crate) fn activate_p256(seed: u8, alias: &str, code: &str) -> Request {
    activate_with(&p256_key(seed), seed, alias, code)
}

fn activate_with(key: &PresentationSecret, seed: u8, alias: &str, code: &str) -> Request {
    let proof = UnsignedProof { time: START, nonce: [7; 4], challenge: None };
    let signature = key.sign(&proof.to_be_signed(public(seed).as_bytes()));
    Request::from(Activate {
        alias: alias.into(),
        code: code.into(),
        presentation_key: key.public_key(),
        possession: ProofBytes::from(&proof.seal(signature)),
    })
}

pub(crate) fn enrol(seed: u8, token: &str) -> Request {
    Request::Enrol(Enrol {
        token: token.into(),
        terminal_key: SecretKey::from_seed(&[seed ^ 0xff; 32]).public_key(),
    })
}

/// Mã số BHXH of the `n`th member.
pub(crate) fn social(n: u8) -> String {
    format!("99000000{n:02}")
}

pub(crate) fn number(n: u8) -> String {
    format!("DN499{}", social(n))
}

pub(crate) fn member_row(n: u8) -> MemberRow {
    MemberRow {
        member_id: social(n),
        full_name: "Nguyễn Thị Thảo".into(),
        birth_date: "05/03/1994".into(),
        sex: "Nữ".into(),
        personal_id: format!("0991940000{n:02}"),
        phone: "0900000000".into(),
        address: "Phường 1".into(),
    }
}

pub(crate) fn card_row(n: u8) -> CardRow {
    CardRow {
        member: social(n),
        number: number(n),
        level: "4".into(),
        facility: "79024".into(),
        from: "01/01/2026".into(),
        ..CardRow::default()
    }
}

async fn open(
    clock: &ManualClock,
    authority: &Arc<Authority>,
    store: &SharedStore,
    seed: u64,
) -> Arc<TestService> {
    let key = SealKey::from_bytes(STORE_KEY);
    Arc::new(open_under(key, clock, authority, store, seed).await.unwrap())
}

pub(crate) async fn open_under(
    store_key: SealKey,
    clock: &ManualClock,
    authority: &Arc<Authority>,
    store: &SharedStore,
    seed: u64,
) -> Result<TestService, ServiceFault> {
    let parts = ServiceParts {
        store: store.clone(),
        store_key,
        member_keys: authority.members(),
        keys: Arc::clone(authority) as Arc<dyn KeyRing>,
        trust: Arc::clone(authority) as Arc<dyn TrustSource>,
        clock: Arc::new(clock.clone()),
        entropy: Arc::new(SeededEntropy::danger_from_seed(seed)),
        published: Arc::new(NoHook),
        settings: ServiceSettings::default(),
    };
    Service::open(parts).await
}

pub(crate) async fn enter_operator(store: &impl Store, seed: u8, roles: &[OperatorRole]) {
    let transport_key = public(seed);
    let value = OperatorV2 { transport_key, roles: roles.to_vec(), added: START, retired: None, label: None };
    let write = DocWrite {
        key: DocKey::new(DocKind::Operator, public(seed).key_id().0),
        expected: Expected::Absent,
        bytes: Some(bhyt_core::codec::encode(&value).unwrap()),
    };
    let commit = Commit { docs: vec![write], ..Commit::default() };
    assert_eq!(store.commit(commit).await.unwrap(), Outcome::Applied);
}
