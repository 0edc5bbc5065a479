//! Every message against everybody who can send one, and every kind of news against everybody who can wait for it. The
//! tables say who may; a blank is a refusal. A message that is not in the table does not compile.

use bhyt_core::card_record::ReducedCode;
use bhyt_core::feed::{Epoch, Extent, HandedRecord};
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::KeyId;
use bhyt_core::record::{Body, Record, RecordKind, Salt, Seq};
use bhyt_core::sync::admin::{AdminCommand, AdminRequest, CardChange, CardRow};
use bhyt_core::sync::audit::AuditQuery;
use bhyt_core::sync::erasure::ErasureReason;
use bhyt_core::sync::messages::{
    Follow, HandBack, MemberCursor, Refusal, Reply, Request, SyncFeeds, SyncTerminal, SyncWallet,
};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole};
use bhyt_core::sync::personal::{PersonalCursor, SyncPersonal};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_server::service::{Next, Seat};
use bhyt_tests::frames::{new_grant, readmit};

use crate::world::{
    World, activate, activate_p256, enrol, enter_operator, member_row, number, peer, public, social,
};

/// Who asks. Each has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A key that is in no table: one that was never entered, or one that a server restored from an older backup does not
    /// know any more.
    Stranger,
    Phone,
    Terminal,
    Registrar,
    Enroller,
    Auditor,
    Administrator,
    /// An operator with no role at all.
    NoRole,
    /// A phone, a terminal and an operator with every role, all of them retired.
    RetiredPhone,
    RetiredTerminal,
    RetiredOperator,
}

use Who::*;

const EVERYBODY: [Who; 11] = [
    Stranger,
    Phone,
    Terminal,
    Registrar,
    Enroller,
    Auditor,
    Administrator,
    NoRole,
    RetiredPhone,
    RetiredTerminal,
    RetiredOperator,
];

impl Who {
    /// What the key is made of.
    pub(crate) fn seed(self) -> u8 {
        100 + self as u8
    }
}

/// A world in which each of them is what it says.
pub(crate) async fn populated() -> World {
    let world = World::new().await;
    world.member_with_card().await;
    for who in [Phone, RetiredPhone] {
        world.phone(who.seed(), 1).await;
    }
    for who in [Terminal, RetiredTerminal] {
        world.terminal(who.seed()).await;
    }
    for (who, roles) in [
        (Registrar, &[OperatorRole::Registrar][..]),
        (Enroller, &[OperatorRole::Enroller]),
        (Auditor, &[OperatorRole::Auditor]),
        (Administrator, &[OperatorRole::Administrator]),
        (NoRole, &[]),
        (RetiredOperator, &OperatorRole::ALL),
    ] {
        enter_operator(&world.store, who.seed(), roles).await;
    }
    let id = |who: Who| public(who.seed()).key_id();
    world.command(AdminCommand::RetireDevice(id(RetiredPhone).to_string())).await.unwrap();
    world.command(AdminCommand::RetireTerminal(id(RetiredTerminal).to_string())).await.unwrap();
    let retire = OperatorChange::Retire(id(RetiredOperator));
    world.command(AdminCommand::ChangeOperators(retire)).await.unwrap();
    world
}

fn change(change: CardChange) -> AdminCommand {
    AdminCommand::ChangeCard { number: String::new(), change }
}

fn erase() -> AdminCommand {
    AdminCommand::EraseMember { member: String::new(), reason: ErasureReason::Request }
}

fn wallet(follow: Follow) -> SyncWallet {
    SyncWallet { trust: 1, members: Vec::new(), follow }
}

fn terminal(follow: Follow) -> SyncTerminal {
    SyncTerminal { trust: 1, status: None, partial: None, follow }
}

fn new_operator() -> Box<NewOperator> {
    let label = OperatorLabel::parse("x").unwrap();
    Box::new(NewOperator { key: public(99), roles: vec![OperatorRole::Auditor], label })
}

const NOBODY: KeyId = KeyId([0; 8]);

/// A table: pattern, example, and who may. From the patterns comes a function without a wildcard, so that a new variant
/// does not compile until it has a line here; from the examples, the messages that are tried.
macro_rules! table {
    ($name:ident: $kind:ty { $($pattern:pat => $example:expr, [$($who:ident)*];)* }) => {
        fn $name() -> Vec<(&'static str, $kind, Vec<Who>)> {
            // Never called: it is what makes the table whole.
            fn _every_variant(message: &$kind) {
                match message { $($pattern => {})* }
            }
            vec![$((stringify!($pattern), $example, vec![$($who),*])),*]
        }
    };
}

table! { requests: Request {
    Request::Activate(_)     => activate(1, "x", "y"),                            [Stranger Phone];
    Request::ActivateP256(_) => activate_p256(1, "x", "y"),                       [Stranger Phone];
    Request::Enrol(_)        => enrol(1, "x"),                                    [Stranger Terminal];
    Request::SyncWallet(_)   => Request::SyncWallet(wallet(Follow::Once)),        [Phone];
    Request::SyncFeeds(_)    => sync_feeds(),                                     [Phone];
    Request::SyncTerminal(_) => Request::SyncTerminal(terminal(Follow::Once)),    [Terminal];
    Request::HandBack(_)     => hand_back(),                                      [Phone];
    Request::SyncPersonal(_) => sync_personal(),                                  [Phone];
    // On a server that has forgotten nobody it changes nothing; see `readmitted`.
    Request::Readmit(_)      => Request::Readmit(Box::new(readmit())),            [Stranger Phone];
    // Each command has a line below; this is the one that every role has.
    Request::Admin(_)        => admin(AdminCommand::ShowStatus),                  [Registrar Enroller Auditor Administrator];
} }

table! { commands: AdminCommand {
    AdminCommand::ImportMembers(_)     => AdminCommand::ImportMembers(vec![]),           [Registrar];
    AdminCommand::ImportCards(_)       => AdminCommand::ImportCards(vec![]),             [Registrar];
    AdminCommand::ImportRecords(_)     => AdminCommand::ImportRecords(vec![]),           [Registrar];
    AdminCommand::IssueCard(_)         => AdminCommand::IssueCard(CardRow::default()),   [Registrar];
    AdminCommand::ChangeCard { change: CardChange::Withdraw, .. }  => change(CardChange::Withdraw), [Registrar];
    AdminCommand::ChangeCard { change: CardChange::Reduce(_), .. } => change(reduce()),            [Registrar];
    AdminCommand::ChangeCard { change: CardChange::Hold, .. }      => change(CardChange::Hold),     [Registrar];
    AdminCommand::ChangeCard { change: CardChange::Release, .. }   => change(CardChange::Release),  [Registrar];
    AdminCommand::ReplaceCard { .. }   => replace(),                                     [Registrar];
    AdminCommand::ShowMember(_)        => AdminCommand::ShowMember(social(1)),           [Registrar Auditor];
    AdminCommand::ShowCard(_)          => AdminCommand::ShowCard(number(1)),             [Registrar Auditor];
    AdminCommand::MakeDeviceCode(_)    => AdminCommand::MakeDeviceCode(social(1)),       [Enroller];
    AdminCommand::RetireDevice(_)      => AdminCommand::RetireDevice(String::new()),     [Enroller];
    AdminCommand::MakeTerminalToken(_) => AdminCommand::MakeTerminalToken("99024".into()), [Enroller];
    AdminCommand::RetireTerminal(_)    => AdminCommand::RetireTerminal(String::new()),   [Enroller];
    AdminCommand::ListDevices(_)       => AdminCommand::ListDevices(social(1)),          [Enroller Auditor];
    AdminCommand::ListTerminals(_)     => AdminCommand::ListTerminals(None),             [Enroller Auditor];
    AdminCommand::ShowAudit(_)         => AdminCommand::ShowAudit(AuditQuery::default()), [Auditor];
    AdminCommand::EraseMember { .. }   => erase(), [Registrar];
    AdminCommand::KeepMember(_)        => AdminCommand::KeepMember(social(1)),           [Registrar];
    AdminCommand::ExportMember(_)      => AdminCommand::ExportMember(social(1)),         [Registrar];
    AdminCommand::ListErasures         => AdminCommand::ListErasures,                    [Registrar Auditor Administrator];
    AdminCommand::ListOperators        => AdminCommand::ListOperators,                   [Auditor Administrator];
    AdminCommand::ChangeOperators(OperatorChange::Add(_))       => operators(OperatorChange::Add(new_operator())), [Administrator];
    AdminCommand::ChangeOperators(OperatorChange::SetRoles { .. }) => operators(roles()),       [Administrator];
    AdminCommand::ChangeOperators(OperatorChange::Retire(_))    => operators(OperatorChange::Retire(NOBODY)), [Administrator];
    AdminCommand::Backup               => AdminCommand::Backup,                          [Administrator];
    AdminCommand::AddGrant(_)          => AdminCommand::AddGrant(Box::new(new_grant())), [Enroller];
    AdminCommand::RevokeGrant { .. }   => revoke_grant(),                                [Enroller];
    AdminCommand::ListGrants(_)        => AdminCommand::ListGrants(social(1)),           [Enroller Auditor];
    AdminCommand::ShowStatus           => AdminCommand::ShowStatus,  [Registrar Enroller Auditor Administrator];
} }

fn sync_feeds() -> Request {
    Request::SyncFeeds(SyncFeeds { trust: 1, members: Vec::new(), follow: Follow::Once })
}

fn sync_personal() -> Request {
    let (member, cursor) = (MemberId([0; 16]), PersonalCursor::NOTHING);
    Request::SyncPersonal(SyncPersonal { member, cursor, install: [0; 8], operations: Vec::new() })
}

fn hand_back() -> Request {
    let body = Body::new(vec![0xa0]).unwrap();
    let record = Record::first(Seq(0), RecordKind::Card, body, UnixSeconds(0));
    let record = HandedRecord { seq: Seq(0), salt: Salt([0; 16]), record, path: Vec::new() };
    Request::HandBack(HandBack { member: MemberId([0; 16]), head: Vec::new(), record })
}

fn revoke_grant() -> AdminCommand {
    AdminCommand::RevokeGrant { dependant: social(1), carer: social(2) }
}

fn reduce() -> CardChange {
    CardChange::Reduce(ReducedCode::new(120).unwrap())
}

fn replace() -> AdminCommand {
    AdminCommand::ReplaceCard { number: String::new(), row: CardRow::default() }
}

fn operators(change: OperatorChange) -> AdminCommand {
    AdminCommand::ChangeOperators(change)
}

fn roles() -> OperatorChange {
    OperatorChange::SetRoles { operator: NOBODY, roles: vec![OperatorRole::Auditor] }
}

fn admin(command: AdminCommand) -> Request {
    Request::Admin(AdminRequest { operation: OperationId([0; 16]), command })
}

/// Every message, with who may send it.
pub(crate) fn messages() -> Vec<(&'static str, Request, Vec<Who>)> {
    let commands = commands().into_iter().map(|(name, command, may)| (name, admin(command), may));
    requests().into_iter().chain(commands).collect()
}

#[tokio::test]
async fn everybody_may_ask_what_the_table_says_and_nothing_else() {
    for who in EVERYBODY {
        let world = populated().await;
        for (name, request, may) in messages() {
            // Whoever is denied too often waits; here nobody is to.
            world.clock.advance(3_600);
            let seat = world.service.join(peer(who.seed()));
            let mut replies = Vec::new();
            let next = world.service.answer(&seat, request, &mut replies).await.unwrap();
            let denied = replies == [Reply::Refused(Refusal::NotAuthorised)];
            assert_eq!(!denied, may.contains(&who), "{who:?} asks {name} and is told {replies:?}");
            let retired = matches!(who, RetiredPhone | RetiredTerminal | RetiredOperator);
            assert_eq!(next == Next::Close, retired, "{who:?} asks {name}");
        }
    }
}

/// What somebody is told of what happens, by the kind of each reply; and whether the connection is to end.
async fn news(world: &World, seat: &Seat) -> (Vec<&'static str>, Next) {
    let (mut replies, mut next) = (Vec::new(), Next::Stay);
    while let Some(news) = seat.news_now() {
        next = world.service.send_news(seat, &news, &mut replies).await.unwrap();
    }
    let kind = |reply: &Reply| match reply {
        Reply::Done => None,
        Reply::Feed(_) | Reply::FeedHead { .. } | Reply::FeedBlock { .. } | Reply::Epoch { .. } => {
            Some("feed")
        }
        Reply::Credentials { .. } => Some("cards"),
        Reply::Trust(_) => Some("trust"),
        Reply::StatusDelta(_) | Reply::StatusSnapshot(_) => Some("status"),
        Reply::Retired(_) => Some("retired"),
        Reply::Personal(_) => Some("personal"),
        Reply::Forgotten(_) => Some("forgotten"),
        Reply::Granted(_) => Some("granted"),
        Reply::Activated(_) | Reply::Enrolled(_) | Reply::Admin(_) | Reply::Refused(_) => Some("an answer"),
    };
    (replies.iter().filter_map(kind).collect(), next)
}

/// Asks to stay in every way there is, as a phone that follows member 1 and as a terminal.
async fn stay(world: &World, who: Who) -> std::sync::Arc<Seat> {
    world.service.publish_due().await.unwrap();
    let seat = world.service.join(peer(who.seed()));
    let shown = world.command(AdminCommand::ShowMember(social(1))).await.unwrap();
    let bhyt_core::sync::admin::AdminReply::Member(view) = shown else { panic!("{shown:?}") };
    let member = MemberId::from_hex(&view.id).unwrap();
    let extent = Extent { epoch: Epoch(0), size: 0 };
    let members = vec![MemberCursor { member, extent, state: [0; 16] }];
    world.ask_at(&seat, Request::SyncWallet(SyncWallet { members, ..wallet(Follow::Stay) })).await;
    world.ask_at(&seat, Request::SyncTerminal(terminal(Follow::Stay))).await;
    assert!(seat.news_now().is_none());
    seat
}

#[tokio::test]
async fn everybody_is_told_what_the_table_says_and_nothing_else() {
    for who in EVERYBODY {
        let of = |told: &[(Who, &[&'static str])]| -> Vec<&'static str> {
            told.iter().find(|(of, _)| *of == who).map_or_else(Vec::new, |(_, replies)| replies.to_vec())
        };
        let world = populated().await;
        let seat = stay(&world, who).await;
        // A card of the member that is followed is held: its phones and every terminal.
        let hold = AdminCommand::ChangeCard { number: number(1), change: CardChange::Hold };
        world.command(hold).await.unwrap();
        world.service.publish_due().await.unwrap();
        let told = news(&world, &seat).await.0;
        assert_eq!(told, of(&[(Phone, &["feed", "cards"]), (Terminal, &["status"])]), "{who:?}");
        // Another member comes: nobody.
        world.command(AdminCommand::ImportMembers(vec![member_row(2)])).await.unwrap();
        world.command(AdminCommand::IssueCard(crate::world::card_row(2))).await.unwrap();
        assert_eq!(news(&world, &seat).await.0, of(&[]), "{who:?}");
        // A trust bundle: whoever stays.
        world.authority.renew([(KeyUse::Card, 21), (KeyUse::Status, 12), (KeyUse::Head, 13)]);
        world.service.trust_changed().await.unwrap();
        let told = news(&world, &seat).await.0;
        assert_eq!(told, of(&[(Phone, &["trust"]), (Terminal, &["trust"])]), "{who:?}");
        // An operator comes and goes: nobody else.
        for change in [OperatorChange::Add(new_operator()), OperatorChange::Retire(public(99).key_id())] {
            world.command(operators(change)).await.unwrap();
        }
        assert_eq!(news(&world, &seat).await, (of(&[]), Next::Stay), "{who:?}");
    }
}

#[tokio::test]
async fn whoever_is_retired_is_told_to_wipe_what_it_held_and_is_closed() {
    for who in [Phone, Terminal, Registrar, Enroller, Auditor, Administrator, NoRole] {
        let world = populated().await;
        let seat = stay(&world, who).await;
        let id = public(who.seed()).key_id();
        let retire = match who {
            Phone => AdminCommand::RetireDevice(id.to_string()),
            Terminal => AdminCommand::RetireTerminal(id.to_string()),
            _ => operators(OperatorChange::Retire(id)),
        };
        world.command(retire).await.unwrap();
        let told = if who == Phone { vec!["retired"] } else { vec![] };
        assert_eq!(news(&world, &seat).await, (told, Next::Close), "{who:?}");
        for (name, request, _) in messages() {
            let mut replies = Vec::new();
            let next = world.service.answer(&seat, request, &mut replies).await.unwrap();
            assert_eq!(replies, [Reply::Refused(Refusal::NotAuthorised)], "{who:?} asks {name}");
            assert_eq!(next, Next::Close);
        }
    }
}
