//! The server's service over a store in memory: phones, terminals, operators, strangers and retired keys ask for
//! anything, in any order, by well-formed requests and by any that decode.
//!
//! Nobody is answered who may not ask; an operation is done once; and in the end phones, terminals and operators are told
//! the same of every card.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::{CardRecord, CardStanding, ReducedCode};
use bhyt_core::codec;
use bhyt_core::cose::{Signed, Verified};
use bhyt_core::feed::{FeedState, current_records};
use bhyt_core::ids::{MemberId, OperationId, StatusIndex};
use bhyt_core::keys::{KeyId, SecretKey, Signature};
use bhyt_core::marks::Marks;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::presentation_key::{KeyKind, PresentationSecret};
use bhyt_core::record::Content;
use bhyt_core::seal::SealKey;
use bhyt_core::sync::admin::{
    AdminCommand, AdminReply, AdminRequest, Applied, CardChange, CardRow, CardView, MemberRow,
};
use bhyt_core::sync::messages::{Activate, Enrol, Follow, ProofBytes, Refusal, Reply, Request};
use bhyt_core::sync::operators::OperatorRole;
use bhyt_core::sync::terminal::TerminalSession;
use bhyt_core::sync::wallet::{Effect, MemberState, WalletSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::clock::ManualClock;
use bhyt_platform::entropy::SeededEntropy;
use bhyt_server::member_keys::MemberKeyFile;
use bhyt_server::service::values_operators::OperatorV2;
use bhyt_server::service::{
    KeyRing, NoHook, Peer, Service, ServiceParts, ServiceSettings, SignFault, TrustSource, authorise,
};
use bhyt_server::store::memory::MemoryStore;
use bhyt_server::store::{Commit, DocKey, DocKind, DocWrite, Expected, Store as _};

use super::frames;
use super::input::{Input, Script};
use crate::authority::Authority;

/// Acts one after the other, and then everybody is told how things stand.
pub fn run(data: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime without timers");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let mut world = World::new().await;
            let (mut input, mut steps) = (Input::new(data), 0);
            while !input.is_empty() && steps < STEPS_MAX {
                steps += 1;
                world.act(&mut input).await;
            }
            world.end().await;
        });
    });
}

/// Transport keys by number: phones 0 to 2, terminals 3 and 4, operators 5 to 7, a stranger.
static KEYS: LazyLock<Vec<SecretKey>> =
    LazyLock::new(|| (1..=9).map(|seed| SecretKey::from_seed(&[seed; 32])).collect());
static RING: LazyLock<Arc<Ring>> = LazyLock::new(|| {
    let authority = Authority::new(7);
    let bundle = Arc::new(authority.trust(&authority.bundle(1, START)));
    Arc::new(Ring { authority, bundle })
});

/// The server's keys and its one bundle.
#[derive(Debug)]
struct Ring {
    authority: Authority,
    bundle: Arc<Verified<TrustBundle>>,
}

impl Ring {
    fn keys(&self) -> [(KeyUse, &SecretKey); 3] {
        let Authority { card_key, status_key, head_key, .. } = &self.authority;
        [(KeyUse::Card, card_key), (KeyUse::Status, status_key), (KeyUse::Head, head_key)]
    }
}

impl KeyRing for Ring {
    fn key_for(&self, usage: KeyUse, _: UnixSeconds) -> Option<KeyId> {
        let found = self.keys().into_iter().find(|(used, _)| *used == usage);
        found.map(|(_, key)| key.public_key().key_id())
    }

    fn sign(&self, key: KeyId, message: &[u8]) -> Result<Signature, SignFault> {
        let found = self.keys().into_iter().find(|(_, secret)| secret.public_key().key_id() == key);
        found.map(|(_, key)| key.sign(message)).ok_or(SignFault::NoSuchKey)
    }
}

impl TrustSource for Ring {
    fn current(&self) -> Arc<Verified<TrustBundle>> {
        Arc::clone(&self.bundle)
    }

    fn all(&self) -> Vec<Vec<u8>> {
        vec![self.bundle.bytes().to_vec()]
    }

    fn since(&self, version: u64) -> Vec<Vec<u8>> {
        (version < 1).then(|| self.bundle.bytes().to_vec()).into_iter().collect()
    }
}

struct World {
    clock: ManualClock,
    service: Arc<Service<MemoryStore>>,
    operations: u128,
    codes: Vec<String>,
    phones: BTreeMap<usize, WalletSession>,
    bodies: BTreeMap<MemberId, BTreeMap<u64, bhyt_core::record::Record>>,
    terminals: BTreeMap<usize, TerminalSession>,
}

impl World {
    async fn new() -> Self {
        let (clock, store) = (ManualClock::new(START), MemoryStore::default());
        let roles: [&[OperatorRole]; 3] =
            [&OperatorRole::ALL, &[OperatorRole::Registrar], &[OperatorRole::Auditor]];
        for (operator, roles) in (OPERATOR..).zip(roles) {
            let transport_key = key(operator).public_key();
            let roles = roles.to_vec();
            let value = OperatorV2 { transport_key, roles, added: START, retired: None, label: None };
            let write = DocWrite {
                key: DocKey::new(DocKind::Operator, transport_key.key_id().0),
                expected: Expected::Absent,
                bytes: Some(codec::encode(&value).expect("a small value")),
            };
            let commit = Commit { docs: vec![write], ..Commit::default() };
            let _ = store.commit(commit).await.expect("a store in memory");
        }
        let parts = ServiceParts {
            store,
            store_key: SealKey::from_bytes([42; 32]),
            member_keys: Arc::new(MemberKeyFile::in_memory(43)),
            keys: Arc::clone(&RING) as Arc<dyn KeyRing>,
            trust: Arc::clone(&RING) as Arc<dyn TrustSource>,
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::danger_from_seed(1)),
            published: Arc::new(NoHook),
            settings: ServiceSettings::default(),
        };
        let service = Arc::new(Service::open(parts).await.expect("a service over an empty store"));
        Self {
            clock,
            service,
            operations: 1 << 64,
            codes: Vec::new(),
            phones: BTreeMap::new(),
            bodies: BTreeMap::new(),
            terminals: BTreeMap::new(),
        }
    }

    async fn act(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0..=6 => self.command(input).await,
            7 => self.activate(input).await,
            8 => self.enrol(input).await,
            9 => {
                let who = input.below(KEYS.len());
                self.sync_phone(who).await;
                self.sync_terminal(who).await;
            }
            10 => {
                if let Ok(request) = codec::decode::<Request>(input.bytes()) {
                    self.ask(input.below(KEYS.len()), request).await;
                }
            }
            _ => self.clock.advance(u64::from(input.byte()) * 3_600),
        }
    }

    /// One exchange: answered as the key table says, and never by a fault of the server's.
    async fn ask(&self, who: usize, request: Request) -> Vec<Reply> {
        let key = key(who).public_key();
        let principal = self.service.principal(&key).await.expect("a store in memory");
        let permitted = authorise(&principal, &request).is_ok();
        let seat = self.service.join(Peer { key, address: IpAddr::from([127, 0, 0, who as u8]) });
        let mut replies = Vec::new();
        self.service.answer(&seat, request, &mut replies).await.expect("a peer that listens");
        // Whoever is refused all the time is told to wait.
        let refused = match replies.as_slice() {
            [Reply::Refused(Refusal::NotAuthorised)] => true,
            [Reply::Refused(Refusal::Busy { .. })] => !permitted,
            _ => false,
        };
        assert_eq!(refused, !permitted, "who may ask is answered, and nobody else");
        let ended = matches!(replies.last(), Some(Reply::Done | Reply::Refused(_)));
        assert!(ended && !replies.contains(&Reply::Refused(Refusal::Internal)), "{:?}", replies.last());
        replies
    }

    /// An operator's command. Half of the operation ids are used again and again.
    async fn command(&mut self, input: &mut Input<'_>) {
        let (operator, flags) = (OPERATOR + input.below(3), input.byte());
        let command = draw_command(input);
        self.operations += 1;
        let operation = match flags {
            0..128 => OperationId(self.operations.to_be_bytes()),
            _ => OperationId([flags; 16]),
        };
        let request = Request::Admin(AdminRequest { operation, command });
        let first = self.ask(operator, request.clone()).await;
        match first.as_slice() {
            [Reply::Admin(AdminReply::OneTimeCode { code, .. }), Reply::Done] => {
                self.codes.push(code.clone());
                assert_eq!(self.ask(operator, request).await, first, "an operation is done once");
            }
            [Reply::Admin(AdminReply::Applied(_)), Reply::Done] => {
                let again = self.ask(operator, request).await;
                assert!(matches!(
                    again.as_slice(),
                    [Reply::Admin(AdminReply::Applied(Applied::Duplicate)), Reply::Done]
                ));
            }
            _ => {}
        }
    }

    async fn activate(&mut self, input: &mut Input<'_>) {
        let (who, alias) = (input.below(KEYS.len()), social(input.byte()));
        let code = self.code(input);
        let proof = UnsignedProof { time: START, nonce: [7; 4], challenge: None };
        let kind = if who % 2 == 0 { KeyKind::Ed25519 } else { KeyKind::P256 };
        let secret = PresentationSecret::from_bytes(kind, &[99; 32]).expect("a key");
        let signature = secret.sign(&proof.to_be_signed(key(who).public_key().as_bytes()));
        let presentation_key = secret.public_key();
        let possession = ProofBytes::from(&proof.seal(signature));
        let request = Request::from(Activate { alias, code, presentation_key, possession });
        if let [Reply::Activated(member), Reply::Done] = self.ask(who, request).await[..] {
            let state = MemberState {
                feed: FeedState::new(member),
                staged: Vec::new(),
                credentials: Vec::new(),
                presentation_key,
                grant: None,
                personal: None,
            };
            let mut members = self.phones.get(&who).map(|it| it.members().clone()).unwrap_or_default();
            members.entry(member).or_insert(state);
            self.phones.insert(who, WalletSession::new((*RING.bundle).clone(), members));
        }
    }

    async fn enrol(&mut self, input: &mut Input<'_>) {
        let (who, token) = (input.below(KEYS.len()), self.code(input));
        let request = Request::Enrol(Enrol { token, terminal_key: key(who + 1).public_key() });
        if let [Reply::Enrolled(_), Reply::Done] = self.ask(who, request).await[..] {
            let session = TerminalSession::new((*RING.bundle).clone(), None, Marks::default(), None);
            self.terminals.entry(who).or_insert(session);
        }
    }

    /// One that was made, most often; the newest first.
    fn code(&self, input: &mut Input<'_>) -> String {
        let back = usize::from(input.byte());
        self.codes.iter().rev().nth(back).cloned().unwrap_or_else(|| "ABCDEFGHJKLM".to_owned())
    }

    /// A phone takes everything that it is sent.
    async fn sync_phone(&mut self, who: usize) {
        let Some(mut session) = self.phones.remove(&who) else {
            return;
        };
        let replies = self.ask(who, session.request(Follow::Once)).await;
        if replies == [Reply::Refused(Refusal::NotAuthorised)] {
            return;
        }
        for reply in replies {
            for effect in session.handle(reply).expect("an honest server") {
                if let Effect::Commit(update) = effect {
                    let bodies = self.bodies.entry(update.member).or_default();
                    let records = update.pages.iter().flat_map(|page| page.records());
                    bodies.extend(records.map(|(seq, record)| (seq.0, record.clone())));
                }
            }
        }
        assert_eq!(session.outcome(), Some(Ok(())));
        let nothing_new = self.ask(who, session.request(Follow::Once)).await;
        assert_eq!(nothing_new, [Reply::Done], "a phone that has everything is told so");
        self.phones.insert(who, session);
    }

    async fn sync_terminal(&mut self, who: usize) {
        let Some(mut session) = self.terminals.remove(&who) else {
            return;
        };
        let replies = self.ask(who, session.request(Follow::Once)).await;
        if replies == [Reply::Refused(Refusal::NotAuthorised)] {
            return;
        }
        for reply in replies {
            session.handle(reply).expect("an honest server");
        }
        assert!(session.outcome() == Some(Ok(())) && session.status().is_some());
        self.terminals.insert(who, session);
    }

    /// Phones, terminals and operators are told the same of every card.
    async fn end(&mut self) {
        for who in 0..KEYS.len() {
            self.sync_phone(who).await;
            self.sync_terminal(who).await;
        }
        let shown = self.cards().await;
        for session in self.terminals.values() {
            let list = session.status().expect("a list after a sync").list();
            for (index, card) in &shown {
                let standing = list.lookup(StatusIndex(*index));
                // What is over leaves the list; an open-ended card never does.
                let listed = |standing: CardStanding| card.standing == standing && card.row.to.is_empty();
                assert!(card.standing == CardStanding::Withdrawn || !standing.withdrawn);
                assert!(standing.withdrawn || !listed(CardStanding::Withdrawn));
                assert!(card.standing == CardStanding::Held || !standing.held);
                assert!(standing.held || !listed(CardStanding::Held));
                let reduced = standing.reduced.map(CardStanding::Reduced);
                assert!(reduced.is_none_or(|standing| standing == card.standing));
            }
        }
        for session in self.phones.values() {
            session.members().keys().for_each(|member| self.check_feed(*member, &shown));
        }
    }

    /// The newest card of every number.
    async fn cards(&self) -> BTreeMap<u32, CardView> {
        let mut shown = BTreeMap::new();
        for n in 0..NUMBERS {
            let operation = OperationId([255 - n; 16]);
            let command = AdminCommand::ShowCard(number(n));
            let mut replies = self.ask(OPERATOR, Request::Admin(AdminRequest { operation, command })).await;
            replies.pop();
            if let Some(Reply::Admin(AdminReply::Card(card))) = replies.pop() {
                shown.insert(card.status_index, card);
            }
        }
        shown
    }

    /// Every card in a member's feed that an operator is shown stands there as it is shown.
    fn check_feed(&self, member: MemberId, shown: &BTreeMap<u32, CardView>) {
        let none = BTreeMap::new();
        let bodies = self.bodies.get(&member).unwrap_or(&none);
        let records = bodies.iter().map(|(seq, record)| (bhyt_core::record::Seq(*seq), record));
        for (_, record) in current_records(records).into_values() {
            let Content::Body(body) = &record.content else {
                continue;
            };
            let record = CardRecord::decode(body.as_bytes()).expect("a record of ours");
            let signed = Signed::<CardClaims>::decode(&record.credential).expect("a card of ours");
            let card = signed.verify(&RING.authority.card_key.public_key()).expect("our signature");
            if let Some(view) = shown.get(&card.claims().status_index.0) {
                assert_eq!(view.standing, record.standing, "a phone is told what an operator is");
                assert_eq!(view.row.member, member.to_hex());
            }
        }
    }
}

fn draw_command(input: &mut Input<'_>) -> AdminCommand {
    let kind = input.byte() % 14;
    let n = input.byte();
    let holder = || key(usize::from(n) % KEYS.len()).public_key().key_id().to_string();
    match kind {
        0 | 1 => AdminCommand::ImportMembers((0..=n % 3).map(|_| draw_member(input)).collect()),
        2 => AdminCommand::ImportCards((0..=n % 3).map(|_| draw_card(input)).collect()),
        3 | 4 => AdminCommand::IssueCard(draw_card(input)),
        5 | 6 => {
            let reduced = ReducedCode::new(120 + u64::from(n % 5)).expect("a code");
            let changes =
                [CardChange::Hold, CardChange::Release, CardChange::Withdraw, CardChange::Reduce(reduced)];
            AdminCommand::ChangeCard { number: number(n), change: *input.pick(&changes) }
        }
        7 => {
            let row = CardRow { member: String::new(), ..draw_card(input) };
            AdminCommand::ReplaceCard { number: number(n), row }
        }
        8 => AdminCommand::MakeDeviceCode(social(n)),
        9 => AdminCommand::MakeTerminalToken("79024".into()),
        10 => AdminCommand::RetireDevice(holder()),
        11 => AdminCommand::RetireTerminal(holder()),
        12 => {
            let alias = input.text();
            let reads = [
                AdminCommand::ShowMember(alias.clone()),
                AdminCommand::ShowCard(alias.clone()),
                AdminCommand::ListDevices(alias.clone()),
                AdminCommand::ListTerminals(Some(alias)),
                AdminCommand::ShowStatus,
            ];
            input.pick(&reads).clone()
        }
        _ => AdminCommand::ShowMember(social(n)),
    }
}

fn draw_member(input: &mut Input<'_>) -> MemberRow {
    let (n, how) = (input.byte(), input.byte());
    MemberRow {
        member_id: social(n),
        full_name: if how & 1 == 0 { "Nguyễn Thị Thảo".into() } else { input.text() },
        birth_date: if how & 2 == 0 { "05/03/1994".into() } else { input.text() },
        sex: "Nữ".into(),
        personal_id: if how & 4 == 0 { String::new() } else { format!("0991940000{:02}", how % 3) },
        phone: if how & 8 == 0 { String::new() } else { input.text() },
        address: String::new(),
    }
}

fn draw_card(input: &mut Input<'_>) -> CardRow {
    let (n, how) = (input.byte(), input.byte());
    CardRow {
        member: social(if how & 1 == 0 { n } else { how }),
        number: number(n),
        level: "4".into(),
        facility: if how & 2 == 0 { "79024".into() } else { input.text() },
        from: if how & 4 == 0 { "01/01/2026".into() } else { input.text() },
        to: if how & 8 == 0 { String::new() } else { "2026-12-31".into() },
        ..CardRow::default()
    }
}

fn key(who: usize) -> &'static SecretKey {
    KEYS.get(who % KEYS.len()).expect("a key by number")
}

fn social(n: u8) -> String {
    format!("99000000{:02}", n % MEMBERS)
}

/// Cards 0 to 3 are of members 0 to 3; two more of the same members.
fn number(n: u8) -> String {
    let group = if n % NUMBERS < MEMBERS { "DN499" } else { "TE199" };
    format!("{group}{}", social(n % NUMBERS))
}

/// A member with a card, a phone, a terminal; changes, syncs, a retired phone; and a request of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let operator = |acts: &[u8]| [&[0, 0, 0], acts].concat();
    let members = operator(&[0, 1, 0, 0, 1, 0]);
    let issue = operator(&[3, 0, 0, 0]);
    let (code, token) = (operator(&[8, 0]), operator(&[9, 0]));
    let join = [&code[..], &[7, 0, 0, 0], &token, &[8, 3, 0]].concat();
    let sync = [9, 0, 9, 3];
    let changes: Vec<u8> =
        [0, 1, 3, 2].iter().flat_map(|change| [&operator(&[5, 1, *change])[..], &sync].concat()).collect();
    let replace = operator(&[7, 0, 0, 0]);
    let retire = [operator(&[10, 0]), operator(&[11, 3])].concat();
    let begin = [&members[..], &issue, &join, &sync].concat();
    let mut seeds = vec![
        begin.clone(),
        [&begin[..], &changes].concat(),
        [&begin[..], &replace, &sync, &operator(&[5, 0, 0]), &sync, &[11, 200, 11, 200], &sync].concat(),
        [&begin[..], &retire, &sync, &issue].concat(),
    ];
    for request in frames::requests() {
        let bytes = codec::encode(&request).expect("a frame of ours");
        let who = if matches!(request, Request::Admin(_)) { OPERATOR as u8 } else { 0 };
        seeds.push([&begin[..], &Script::new().raw(&[10]).bytes(&bytes).raw(&[who]).done()].concat());
    }
    seeds
}

const START: UnixSeconds = UnixSeconds(1_795_399_200);
/// The first operator's number.
const OPERATOR: usize = 5;
const MEMBERS: u8 = 4;
const NUMBERS: u8 = 6;
/// Acts in one input.
const STEPS_MAX: usize = 40;
