//! Every kind of asker against every kind of request: what is not spelt out here as permitted is refused.

use bhyt_core::card_record::ReducedCode;
use bhyt_core::ids::OperationId;
use bhyt_core::sync::admin::{AdminCommand, AdminRequest, CardChange, CardRow};
use bhyt_core::sync::messages::{Follow, Refusal, Reply, Request, SyncTerminal, SyncWallet};
use bhyt_core::trust::KeyUse;
use bhyt_server::service::values::{DeviceV2, OperatorRole, OperatorV1, TerminalV1};
use bhyt_server::service::{Next, Principal, authorise};

use crate::world::{START, World, activate, activate_p256, enrol, peer, public, social};

fn requests() -> Vec<(&'static str, Request)> {
    let wallet = SyncWallet { trust: 1, members: Vec::new(), follow: Follow::Once };
    let terminal = SyncTerminal { trust: 1, status: None, partial: None, follow: Follow::Once };
    let mut requests = vec![
        ("activate", activate(1, "x", "y")),
        ("activate p256", activate_p256(1, "x", "y")),
        ("enrol", enrol(1, "x")),
        ("wallet", Request::SyncWallet(wallet)),
        ("terminal", Request::SyncTerminal(terminal)),
    ];
    requests.extend(commands().into_iter().map(|(name, command)| {
        (name, Request::Admin(AdminRequest { operation: OperationId([0; 16]), command }))
    }));
    requests
}

fn commands() -> Vec<(&'static str, AdminCommand)> {
    let text = String::new;
    let change = |change| AdminCommand::ChangeCard { number: String::new(), change };
    let reduce = CardChange::Reduce(ReducedCode::new(120).unwrap());
    vec![
        ("import members", AdminCommand::ImportMembers(Vec::new())),
        ("import cards", AdminCommand::ImportCards(Vec::new())),
        ("issue", AdminCommand::IssueCard(CardRow::default())),
        ("withdraw", change(CardChange::Withdraw)),
        ("reduce", change(reduce)),
        ("hold", change(CardChange::Hold)),
        ("release", change(CardChange::Release)),
        ("replace", AdminCommand::ReplaceCard { number: text(), row: CardRow::default() }),
        ("device code", AdminCommand::MakeDeviceCode(text())),
        ("device retire", AdminCommand::RetireDevice(text())),
        ("terminal token", AdminCommand::MakeTerminalToken(text())),
        ("terminal retire", AdminCommand::RetireTerminal(text())),
        ("show member", AdminCommand::ShowMember(text())),
        ("show card", AdminCommand::ShowCard(text())),
        ("device list", AdminCommand::ListDevices(text())),
        ("terminal list", AdminCommand::ListTerminals(None)),
        ("status", AdminCommand::ShowStatus),
    ]
}

fn operator(roles: &[OperatorRole]) -> Principal {
    let value = OperatorV1 { transport_key: public(1), roles: roles.to_vec(), added: START, retired: None };
    Principal::Operator(public(1).key_id(), value)
}

/// Each asker with everything it may ask.
fn permitted() -> Vec<(Principal, Vec<&'static str>)> {
    let id = public(1).key_id();
    let device = DeviceV2 { transport_key: public(1), members: Vec::new(), activated: START, retired: None };
    let terminal = TerminalV1 {
        transport_key: public(1),
        terminal_key: public(2),
        facility: bhyt_core::ids::FacilityCode::parse("79024").unwrap(),
        enrolled: START,
        retired: None,
    };
    let registrar = ["import members", "import cards", "issue", "withdraw", "reduce", "hold"];
    let registrar = [&registrar[..], &["release", "replace", "show member", "show card", "status"]];
    let enroller = ["device code", "device retire", "terminal token", "terminal retire"];
    let enroller = [&enroller[..], &["device list", "terminal list", "status"]];
    let auditor = ["show member", "show card", "device list", "terminal list", "status"];
    vec![
        (Principal::Stranger, vec!["activate", "activate p256", "enrol"]),
        (Principal::Device(id, device), vec!["activate", "activate p256", "wallet"]),
        (Principal::Terminal(id, terminal), vec!["enrol", "terminal"]),
        (Principal::Retired, vec![]),
        (operator(&[]), vec![]),
        (operator(&[OperatorRole::Registrar]), registrar.concat()),
        (operator(&[OperatorRole::Enroller]), enroller.concat()),
        (operator(&[OperatorRole::Auditor]), auditor.to_vec()),
        (operator(&OperatorRole::ALL), commands().into_iter().map(|(name, _)| name).collect()),
    ]
}

#[test]
fn nobody_may_ask_what_is_not_theirs() {
    let requests = requests();
    for (principal, permitted) in permitted() {
        for (name, request) in &requests {
            let expected = match permitted.contains(name) {
                true => Ok(()),
                false => Err(Refusal::NotAuthorised),
            };
            let got = authorise(&principal, request).map(|_| ());
            assert_eq!(got, expected, "{principal:?} asks {name}");
        }
        let known = |name: &&str| requests.iter().any(|(known, _)| known == name);
        assert!(permitted.iter().all(known));
    }
}

#[tokio::test]
async fn the_key_table_decides_at_each_exchange() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let seat = world.service.join(peer(1));
    let request = phone.session.request(Follow::Once);
    assert_eq!(world.ask_at(&seat, request.clone()).await.last(), Some(&Reply::Done));
    let device = public(1).key_id().to_string();
    world.command(AdminCommand::RetireDevice(device.clone())).await.unwrap();
    let mut replies = Vec::new();
    let next = world.service.answer(&seat, request, &mut replies).await.unwrap();
    assert_eq!((next, replies), (Next::Close, vec![Reply::Refused(Refusal::NotAuthorised)]));
    // Nor does a new code help a retired key.
    let code = world.code(AdminCommand::MakeDeviceCode(social(1))).await;
    let replies = world.ask(1, activate(1, &social(1), &code)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::NotAuthorised)]);
    let unknown = AdminCommand::RetireDevice("0011223344556677".into());
    assert_eq!(world.command(unknown).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn a_member_that_the_device_does_not_hold_is_to_be_wiped() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let Request::SyncWallet(mut sync) = phone.session.request(Follow::Once) else { panic!() };
    let stranger = bhyt_core::ids::MemberId([7; 16]);
    sync.members[0].member = stranger;
    let replies = world.ask(1, Request::SyncWallet(sync.clone())).await;
    assert_eq!(replies, [Reply::Retired(stranger), Reply::Done]);
    sync.members.push(sync.members[0]);
    let replies = world.ask(1, Request::SyncWallet(sync)).await;
    assert_eq!(replies, [Reply::Refused(Refusal::Malformed)]);
}

#[tokio::test]
async fn without_a_key_for_it_nothing_is_issued() {
    let world = World::new().await;
    world.member_with_card().await;
    world.authority.renew([(KeyUse::Operator, 11), (KeyUse::Status, 12), (KeyUse::Head, 13)]);
    let refused = world.command(AdminCommand::IssueCard(crate::world::card_row(1))).await;
    // Known already: said without signing.
    assert!(refused.is_ok());
    let row = CardRow { number: "TE199KT00000001".into(), ..crate::world::card_row(1) };
    assert_eq!(world.command(AdminCommand::IssueCard(row)).await, Err(Refusal::Internal));
}
