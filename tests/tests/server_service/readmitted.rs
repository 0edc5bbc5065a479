//! Phones that a restored server has forgotten: who was a device of a member is one again, and nobody else becomes one.
//! Each attack has its answer.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::card_record::CardStanding;
use bhyt_core::cose::{Signed, Unsigned, Verified};
use bhyt_core::feed::{FeedHead, FeedPage, hand_back_one};
use bhyt_core::ids::BindingNumber;
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::record::Seq;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange};
use bhyt_core::sync::audit::{AuditAction, AuditQuery, AuditSubject};
use bhyt_core::sync::messages::{Follow, ProofBytes, Readmit, Refusal, Reply, Request};
use bhyt_core::sync::wallet::Effect;
use bhyt_core::trust::KeyUse;
use bhyt_platform::clock::Clock as _;
use bhyt_server::service::mark_restored;

use crate::shared_store::SharedStore;
use crate::world::{DAY, Phone, START, World, card_row, key, member_row, number, presentation_key, public};

/// What a phone has in hand.
struct Hand {
    phone: Phone,
    credential: Vec<u8>,
    pages: Vec<FeedPage>,
    head: Verified<FeedHead>,
}

impl Hand {
    /// A phone that has just been activated and has synced.
    async fn activated(world: &World, seed: u8, member: u8) -> Self {
        let mut phone = world.phone(seed, member).await;
        let effects = phone.sync(world).await;
        let update = effects.into_iter().find_map(|effect| match effect {
            Effect::Commit(update) => Some(update),
            _ => None,
        });
        let update = update.unwrap();
        let credential = phone.credentials()[0].clone();
        Self { phone, credential, pages: update.pages, head: update.head }
    }

    /// What it shows to be known again.
    fn shown(&self) -> Readmit {
        Readmit {
            member: self.phone.member,
            credential: self.credential.clone(),
            possession: possession(&presentation_key(self.phone.seed), self.phone.seed),
            head: self.head.bytes().to_vec(),
            record: hand_back_one(&self.pages, Seq(0)),
        }
    }

    fn claims(&self) -> CardClaims {
        let card = Signed::<CardClaims>::decode(&self.credential).unwrap();
        card.verify(&public(11)).unwrap().into_claims()
    }

    /// The same with a card that the issuer's key has signed, whoever holds that.
    fn with_claims(&self, change: impl FnOnce(&mut CardClaims)) -> Readmit {
        let mut claims = self.claims();
        change(&mut claims);
        Readmit { credential: signed(claims, &key(11)), ..self.shown() }
    }
}

fn signed(claims: CardClaims, by: &SecretKey) -> Vec<u8> {
    Unsigned::new(claims, by.public_key().key_id()).sign(by).bytes().to_vec()
}

/// That the presentation key belongs to the transport key of this seed.
fn possession(by: &SecretKey, transport: u8) -> ProofBytes {
    let proof = UnsignedProof { time: START, nonce: [7; 4], challenge: None };
    let signature = by.sign(&proof.to_be_signed(public(transport).as_bytes()));
    ProofBytes::from(&proof.seal(signature))
}

async fn ask(world: &World, seed: u8, shown: Readmit) -> Vec<Reply> {
    world.ask(seed, Request::Readmit(Box::new(shown))).await
}

async fn withdraw(world: &World, n: u8) {
    let change = CardChange::Withdraw;
    world.command(AdminCommand::ChangeCard { number: number(n), change }).await.unwrap();
}

async fn retire(world: &World, seed: u8) {
    world.command(AdminCommand::RetireDevice(public(seed).key_id().to_string())).await.unwrap();
}

async fn register(world: &World, n: u8) {
    world.command(AdminCommand::ImportMembers(vec![member_row(n)])).await.unwrap();
    world.command(AdminCommand::IssueCard(card_row(n))).await.unwrap();
}

/// The store is what it was at the backup, and the server was given the newest list.
async fn restore(world: &mut World, backup: SharedStore, terminal: u8) {
    let mut session = world.terminal(terminal).await;
    world.service.publish_due().await.unwrap();
    world.sync_terminal(terminal, &mut session).await;
    world.clock.advance(60);
    world.store = backup;
    mark_restored(&world.store, world.clock.now(), START).await.unwrap();
    world.restart().await;
    world.service.adopt_status(session.status().unwrap().list()).await.unwrap();
    world.restart().await;
}

const REFUSED: [Reply; 1] = [Reply::Refused(Refusal::NotAuthorised)];
const MALFORMED: [Reply; 1] = [Reply::Refused(Refusal::Malformed)];

#[tokio::test]
async fn a_phone_that_was_forgotten_is_told_so_and_comes_back_by_what_it_holds() {
    let mut world = World::new().await;
    world.member_with_card().await;
    let backup = world.store.deep_copy();
    world.clock.advance(60);
    let mut hand = Hand::activated(&world, 1, 1).await;
    restore(&mut world, backup, 3).await;

    let request = hand.phone.session.request(Follow::Once);
    let answer = world.ask(1, request.clone()).await;
    assert_eq!(answer, [Reply::Refused(Refusal::Forgotten)]);
    let effects = hand.phone.take(answer);
    assert!(matches!(effects[..], [Effect::Forgotten(member)] if member == hand.phone.member));
    assert_eq!(ask(&world, 1, hand.shown()).await, [Reply::Done]);
    assert_eq!(ask(&world, 1, hand.shown()).await, [Reply::Done], "twice is the same as once");
    hand.phone.sync(&world).await;
    assert_eq!(hand.phone.credentials(), [hand.credential.clone()], "the same binding as before");
    assert_eq!(readmissions(&world).await, [1], "one line in the audit trail");
    retire(&world, 1).await;
    let sets = world.terminal_sets(4).await;
    let binding = hand.claims().binding.unwrap();
    assert!(sets.binding_retired(hand.claims().status_index, binding.number), "it can be retired again");
}

/// Phones in the lines of the audit trail, by their seeds.
async fn readmissions(world: &World) -> Vec<u8> {
    let mut seeds = Vec::new();
    let operation = bhyt_core::ids::OperationId([77; 16]);
    let command = AdminCommand::ShowAudit(AuditQuery::default());
    let request = bhyt_core::sync::admin::AdminRequest { operation, command };
    for reply in world.ask(crate::world::OPERATOR, Request::Admin(request)).await {
        let Reply::Admin(AdminReply::Audit(page)) = reply else { continue };
        for line in page.lines.iter().filter(|line| line.action == AuditAction::ReadmitDevice) {
            let AuditSubject::Device { device, .. } = line.subject else { panic!("{line:?}") };
            assert_eq!(line.operator, None);
            seeds.extend((0..=255).find(|seed| public(*seed).key_id() == device));
        }
    }
    seeds
}

/// A restored town: who was there before the backup, who came and went after it.
struct Aftermath {
    world: World,
    /// Retired before the backup.
    early: Hand,
    /// Known to the backup, and active.
    known: Hand,
    /// Known to the backup, retired after it.
    stolen: Hand,
    /// Two of after the backup, of different members.
    hand: Hand,
    other: Hand,
    /// Of a member of after the backup.
    newcomer: Hand,
    /// Of after the backup and retired.
    gone: Hand,
    /// The member's card was withdrawn after the backup.
    withdrawn: Hand,
}

impl Aftermath {
    async fn of_a_restore() -> Self {
        let mut world = World::new().await;
        for n in [1, 2, 4] {
            register(&world, n).await;
        }
        let early = Hand::activated(&world, 20, 1).await;
        retire(&world, 20).await;
        let (known, stolen) = (Hand::activated(&world, 21, 1).await, Hand::activated(&world, 22, 2).await);
        let backup = world.store.deep_copy();
        world.clock.advance(60);
        let (hand, other) = (Hand::activated(&world, 1, 1).await, Hand::activated(&world, 2, 2).await);
        register(&world, 3).await;
        let newcomer = Hand::activated(&world, 3, 3).await;
        let (gone, withdrawn) = (Hand::activated(&world, 5, 1).await, Hand::activated(&world, 4, 4).await);
        retire(&world, 5).await;
        retire(&world, 22).await;
        withdraw(&world, 4).await;
        restore(&mut world, backup, 9).await;
        Self { world, early, known, stolen, hand, other, newcomer, gone, withdrawn }
    }

    /// What was signed by nobody, or for somebody else.
    fn forgeries(&self) -> Vec<Attack> {
        let Self { hand, other, .. } = self;
        let mine = presentation_key(66);
        // Whoever has the card key signs a card for a key of their own.
        let stolen_issuer = hand.with_claims(|claims| {
            let binding = claims.binding.unwrap();
            claims.binding = Some(Binding { key: mine.public_key().into(), ..binding });
        });
        let stolen_issuer = Readmit { possession: possession(&mine, 66), ..stolen_issuer };
        let forged_head = Unsigned::new(*hand.head.claims(), hand.head.key_id()).sign(&key(77));
        let with_head = |head: &[u8], shown: Readmit| Readmit { head: head.to_vec(), ..shown };
        let copied = Readmit { possession: possession(&mine, 66), ..hand.shown() };
        let others_name = Readmit { member: other.phone.member, ..hand.shown() };
        let others_head = other.head.bytes();
        let attacks = [
            ("somebody else's card, shown by a phone of its own", 66, hand.shown()),
            ("a copied card, with another presentation key over the transport key", 66, copied),
            ("another member's name", 1, others_name),
            ("another member's head", 1, with_head(others_head, hand.shown())),
            ("a head that nobody signed", 1, with_head(forged_head.bytes(), hand.shown())),
            ("no head", 1, with_head(&[], hand.shown())),
            ("a stolen card key, without a head", 66, with_head(&[], stolen_issuer.clone())),
            ("a stolen card key, with the head of another member", 66, with_head(others_head, stolen_issuer)),
            ("a card that names our key and is not signed by it", 1, forged(hand)),
            ("a card without binding", 1, hand.with_claims(|claims| claims.binding = None)),
        ];
        attacks.map(|(what, seed, shown)| (what, seed, shown, MALFORMED.to_vec())).into()
    }

    /// What is signed, and is over or was never forgotten.
    fn out_of_time(&self) -> Vec<Attack> {
        let Self { hand, withdrawn, early, .. } = self;
        let end = |days: i64| {
            hand.with_claims(|claims| {
                let binding = claims.binding.unwrap();
                claims.binding = Some(Binding { end: START.day().plus_days(days), ..binding });
            })
        };
        let rogue = Readmit { credential: signed(hand.claims(), &key(77)), ..hand.shown() };
        let later = self.world.clock.now().plus(3600);
        let card_over = hand.with_claims(|claims| claims.valid_to = Some(START.day().plus_days(-1)));
        let attacks = [
            ("a card by a key that is in no bundle", 1, rogue),
            ("a card signed after the restore", 1, hand.with_claims(|claims| claims.issued_at = later)),
            ("a carer's binding, which is shorter", 1, end(90)),
            ("a binding that has ended", 1, end(-1)),
            ("a binding that lasts longer than any", 1, end(181)),
            ("a card past its last day", 1, card_over),
            ("a phone that was retired before the backup", 20, early.shown()),
            ("a phone whose card was withdrawn", 4, withdrawn.shown()),
        ];
        attacks.map(|(what, seed, shown)| (what, seed, shown, REFUSED.to_vec())).into()
    }

    /// Phones that are retired, not to be found, or known.
    fn other_phones(&self) -> Vec<Attack> {
        let retired = |hand: &Hand| vec![Reply::Retired(hand.phone.member), Reply::Done];
        let refused = |refusal| vec![Reply::Refused(refusal)];
        let Self { early, known, stolen, newcomer, gone, .. } = self;
        let with_new_key = |hand: &Hand, seed: u8| {
            let key = presentation_key(hand.phone.seed);
            Readmit { possession: possession(&key, seed), ..hand.shown() }
        };
        let second = with_new_key(known, 68);
        vec![
            ("a phone that was retired after the backup", 5, gone.shown(), retired(gone)),
            ("one retired before it, with a new transport key", 67, with_new_key(early, 67), retired(early)),
            ("a phone that the backup knows, retired after it", 22, stolen.shown(), retired(stolen)),
            ("a second transport key of a known phone", 68, second, refused(Refusal::Conflict)),
            ("a member registered after the backup", 3, newcomer.shown(), refused(Refusal::NotFound)),
            ("a phone that is known", 21, known.shown(), vec![Reply::Done]),
        ]
    }
}

/// What it is, who asks, what is shown, and the answer.
type Attack = (&'static str, u8, Readmit, Vec<Reply>);

#[tokio::test]
async fn nobody_else_comes_in() {
    let mut aftermath = Aftermath::of_a_restore().await;
    let attacks = [aftermath.forgeries(), aftermath.out_of_time(), aftermath.other_phones()].concat();
    let world = &mut aftermath.world;
    for (what, seed, shown, expected) in attacks {
        world.clock.advance(1);
        assert_eq!(ask(world, seed, shown).await, expected, "{what}");
        world.forget_attempts().await;
    }
    assert_eq!(readmissions(world).await, [] as [u8; 0], "nobody came in");
    // The stolen phone is not given another binding.
    let stolen = &mut aftermath.stolen.phone;
    let request = stolen.session.request(Follow::Once);
    assert_eq!(world.ask(22, request).await, [Reply::Forgotten(stolen.member), Reply::Done]);
    // The card key was replaced: what it signed makes nobody known.
    world.authority.renew([(KeyUse::Card, 21), (KeyUse::Status, 12), (KeyUse::Head, 13)]);
    assert_eq!(ask(world, 1, aftermath.hand.shown()).await, REFUSED, "a card of a key that is no more");
}

fn forged(hand: &Hand) -> Readmit {
    let mut credential = hand.credential.clone();
    let last = credential.len() - 1;
    credential[last] ^= 1;
    Readmit { credential, ..hand.shown() }
}

#[tokio::test]
async fn on_a_server_that_was_never_restored_nobody_is_readmitted() {
    let world = World::new().await;
    world.member_with_card().await;
    let hand = Hand::activated(&world, 1, 1).await;
    assert_eq!(ask(&world, 1, hand.shown()).await, REFUSED);
    let stranger = Readmit { possession: possession(&presentation_key(1), 66), ..hand.shown() };
    assert_eq!(ask(&world, 66, stranger).await, REFUSED);
    let wallet =
        bhyt_core::sync::messages::SyncWallet { trust: 1, members: Vec::new(), follow: Follow::Once };
    assert_eq!(world.ask(66, Request::SyncWallet(wallet)).await, REFUSED, "and nobody is asked to try");
}

#[tokio::test]
async fn after_the_longest_binding_nobody_is_readmitted_and_who_tries_all_the_time_waits() {
    let mut world = World::new().await;
    world.member_with_card().await;
    let backup = world.store.deep_copy();
    world.clock.advance(60);
    let hand = Hand::activated(&world, 1, 1).await;
    restore(&mut world, backup, 3).await;
    for _ in 0..8 {
        assert_eq!(ask(&world, 66, hand.shown()).await, MALFORMED);
    }
    let busy = ask(&world, 66, hand.shown()).await;
    assert!(matches!(busy[..], [Reply::Refused(Refusal::Busy { .. })]), "{busy:?}");
    world.clock.advance(181 * DAY);
    assert_eq!(ask(&world, 1, hand.shown()).await, REFUSED);
    let mut hand = hand;
    let request = hand.phone.session.request(Follow::Once);
    assert_eq!(world.ask(1, request).await, REFUSED, "nor told that it was forgotten");
}

#[tokio::test]
async fn a_number_that_two_phones_have_is_retired_and_both_get_another() {
    let mut world = World::new().await;
    world.member_with_card().await;
    let before = Hand::activated(&world, 20, 1).await;
    let backup = world.store.deep_copy();
    world.clock.advance(60);
    let hand = Hand::activated(&world, 1, 1).await;
    restore(&mut world, backup, 3).await;
    // New bindings are numbered from the other end, so that this does not happen by itself.
    let mut new = Hand::activated(&world, 2, 1).await;
    let number = |hand: &Hand| hand.claims().binding.unwrap().number;
    assert_eq!([&before, &hand, &new].map(number), [0, 1, 15].map(|n| BindingNumber::new(n).unwrap()));
    let clashing = hand.with_claims(|claims| {
        let binding = claims.binding.unwrap();
        claims.binding = Some(Binding { number: number(&new), ..binding });
    });
    assert_eq!(ask(&world, 1, clashing.clone()).await, [Reply::Done]);
    assert_eq!(ask(&world, 1, clashing).await, [Reply::Done], "an answer that was lost is given again");
    let mut hand = hand;
    hand.phone.sync(&world).await;
    new.phone.sync(&world).await;
    let sets = world.terminal_sets(4).await;
    let mut numbers = Vec::new();
    for phone in [&hand.phone, &new.phone] {
        let card = Signed::<CardClaims>::decode(&phone.credentials()[0]).unwrap();
        let claims = card.verify(&public(11)).unwrap().into_claims();
        let number = claims.binding.unwrap().number;
        assert!(!sets.binding_retired(claims.status_index, number));
        numbers.push(number);
    }
    assert!(sets.binding_retired(hand.claims().status_index, BindingNumber::new(15).unwrap()));
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(sets.standing(hand.claims().status_index), CardStanding::InForce);
}

#[tokio::test]
async fn a_phone_whose_card_is_from_after_the_backup_brings_the_card_with_it() {
    let mut world = World::new().await;
    world.command(AdminCommand::ImportMembers(vec![member_row(1)])).await.unwrap();
    let backup = world.store.deep_copy();
    world.clock.advance(60);
    world.command(AdminCommand::IssueCard(card_row(1))).await.unwrap();
    let hand = Hand::activated(&world, 1, 1).await;
    restore(&mut world, backup, 3).await;
    let without = Readmit { record: None, ..hand.shown() };
    assert_eq!(ask(&world, 1, without).await, [Reply::Refused(Refusal::NotFound)], "a card nobody knows");
    let mut moved = hand.shown();
    moved.record.as_mut().unwrap().seq = Seq(1);
    assert_eq!(ask(&world, 1, moved).await, MALFORMED, "a record that was not there");
    assert_eq!(ask(&world, 1, hand.shown()).await, [Reply::Done]);
    let shown = world.command(AdminCommand::ShowCard(number(1))).await;
    let Ok(AdminReply::Card(card)) = shown else { panic!("{shown:?}") };
    assert_eq!((card.standing, card.status_index), (CardStanding::InForce, hand.claims().status_index.0));
    assert_eq!(card.bindings.len(), 1);
}
