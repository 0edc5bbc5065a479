//! Operators without a running server: keys, and the way back when the last administrator's key is in foreign hands.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bhyt_core::codec;
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied};
use bhyt_core::sync::audit::{AuditAction, AuditQuery, AuditSubject};
use bhyt_core::sync::messages::Refusal;
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, anchor};
use bhyt_platform::clock::ManualClock;
use bhyt_platform::entropy::{Entropy, SeededEntropy};
use bhyt_platform::quic::{Client, ClientSettings, CloseCode, CloseReason, TransportKey};
use bhyt_server::exit::{Exit, Failure};
use bhyt_server::folder::DataFolder;
use bhyt_server::host::Parts;
use bhyt_server::keys::{parse_public_key, read_operator_key};
use bhyt_server::operator_command::{OperatorError, change, describe_key, make_key, read};
use bhyt_server::service::values_operators::AuditV3;
use bhyt_server::store::{DocKind, Store};
use bhyt_tests::operator::Operator;
use bhyt_tests::server::{ServerFolder, any_port, block_on};

const NOW: UnixSeconds = UnixSeconds(1_795_399_200);

fn entropy() -> SeededEntropy {
    SeededEntropy::danger_from_seed(5)
}

fn new(key: PublicKey, roles: &[OperatorRole], label: &str) -> OperatorChange {
    let label = OperatorLabel::parse(label).unwrap();
    OperatorChange::Add(Box::new(NewOperator { key, roles: roles.to_vec(), label }))
}

fn first(server: &ServerFolder) -> KeyId {
    read_operator_key(&server.report().operator_key).unwrap().public_key().key_id()
}

/// A key made as `operator key` makes it, with what it prints.
fn made(folder: &Path, name: &str, entropy: &dyn Entropy) -> (PathBuf, PublicKey) {
    let path = folder.join(name);
    let report = make_key(&path, entropy).unwrap();
    let key = parse_public_key(&report.public_key).unwrap();
    assert_eq!(key, read_operator_key(&path).unwrap().public_key());
    assert_eq!(report.id, key.key_id().to_string());
    let text = describe_key(&report);
    assert!(text.contains(&report.id) && text.contains(&report.public_key));
    assert!(make_key(&path, entropy).is_err_and(|error| error.exit() == Exit::Refused));
    (path, key)
}

#[test]
fn a_key_is_made_where_it_is_used_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let (_, key) = made(folder.path(), "operator.key", &entropy());
    let text = bhyt_core::ids::hex(key.as_bytes());
    assert_eq!(parse_public_key(&format!(" {text}\n")), Some(key));
    for bad in [text.get(..62).unwrap(), &"00".repeat(32), &text.replace(|c: char| c.is_ascii_digit(), "z")] {
        assert_eq!(parse_public_key(bad), None, "{bad}");
    }
}

#[test]
fn the_table_is_changed_with_the_server_stopped_by_its_own_rules() {
    let server = ServerFolder::make_with(Arc::new(ManualClock::new(NOW)));
    let folder = DataFolder::new(&server.data());
    let keys = tempfile::tempdir().unwrap();
    let entropy = entropy();
    let (_, key) = made(keys.path(), "a", &entropy);
    let first = first(&server);
    let do_it = |wanted: OperatorChange| block_on(change(&folder, &wanted, NOW, &entropy));
    let refused = |wanted, expected| match do_it(wanted).unwrap_err() {
        OperatorError::Refused(refusal) => assert_eq!(refusal, expected),
        other => panic!("{other}"),
    };
    refused(OperatorChange::Retire(first), Refusal::LastAdministrator);
    refused(OperatorChange::Retire(key.key_id()), Refusal::NotFound);
    assert_eq!(do_it(new(key, &[OperatorRole::Auditor], "a")).unwrap(), Applied::Accepted);
    assert_eq!(do_it(new(key, &[OperatorRole::Auditor], "a")).unwrap(), Applied::Duplicate);
    refused(OperatorChange::Retire(first), Refusal::LastAdministrator);
    let (_, key) = made(keys.path(), "b", &entropy);
    assert_eq!(do_it(new(key, &[OperatorRole::Administrator], "b")).unwrap(), Applied::Accepted);
    assert_eq!(do_it(OperatorChange::Retire(first)).unwrap(), Applied::Accepted);
    let views = block_on(read(&folder)).unwrap();
    let active: Vec<_> = views.iter().filter(|view| view.retired.is_none()).collect();
    assert_eq!((views.len(), active.len()), (3, 2));

    // Each change has its line, of nobody's key.
    let parts = Parts::open(&folder, Arc::new(ManualClock::new(NOW)), Arc::new(self::entropy())).unwrap();
    let lines = block_on(parts.service.store.doc_scan(DocKind::Audit, None, 100)).unwrap();
    let lines = lines.iter().map(|(_, doc)| codec::decode::<AuditV3>(&doc.bytes).unwrap());
    let lines: Vec<_> = lines.flat_map(|lines| lines.lines().collect::<Vec<_>>()).collect();
    let mut told: Vec<_> = lines.iter().map(|line| (line.action, line.subject, line.operator)).collect();
    told.retain(|line| line.1 == AuditSubject::Operator(first));
    let about_first = |action| (action, AuditSubject::Operator(first), None);
    told.sort_by_key(|line| line.0 == AuditAction::RetireOperator);
    assert_eq!(told, [about_first(AuditAction::AddOperator), about_first(AuditAction::RetireOperator)]);
    // And a store that is in use is left alone.
    assert_eq!(block_on(read(&folder)).unwrap_err().exit(), Exit::InUse);
}

#[test]
fn what_is_no_servers_folder_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataFolder::new(folder.path());
    assert_eq!(block_on(read(&data)).unwrap_err().exit(), Exit::Data);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_only_administrators_key_is_stolen_and_the_machine_is_the_way_back() {
    let server = ServerFolder::make_with(Arc::new(ManualClock::new(NOW)));
    let keys = tempfile::tempdir().unwrap();
    let entropy = entropy();
    let stolen = server.report().operator_key.clone();
    let running = server.start(any_port());
    let (trust, address) = (server.trust().to_owned(), running.address());
    // The thief makes a key of every role for itself, and does not have to stop there.
    let (thiefs, thiefs_key) = made(keys.path(), "thief.key", &entropy);
    block_on(async {
        let thief = Operator::connect(address, &trust, &stolen).await;
        let all = AdminCommand::ChangeOperators(new(thiefs_key, &OperatorRole::ALL, "x"));
        assert_eq!(thief.send(all).await, Ok(AdminReply::Applied(Applied::Accepted)));
        let thief = Operator::connect(address, &trust, &thiefs).await;
        let out = AdminCommand::ChangeOperators(OperatorChange::Retire(first(&server)));
        assert_eq!(thief.send(out).await, Ok(AdminReply::Applied(Applied::Accepted)));
    });
    running.stop();

    let (new_path, new_key) = made(keys.path(), "office-2.key", &entropy);
    let folder = DataFolder::new(&server.data());
    let roles = [OperatorRole::Administrator, OperatorRole::Auditor];
    for wanted in [new(new_key, &roles, "office-2"), OperatorChange::Retire(thiefs_key.key_id())] {
        block_on(change(&folder, &wanted, NOW, &entropy)).unwrap();
    }

    let running = server.start(any_port());
    block_on(async {
        for path in [&stolen, &thiefs] {
            let trust = anchor(&server.trust_bytes()).unwrap();
            let pin = trust.claims().keys_for(KeyUse::Transport).next().unwrap().key;
            let key = TransportKey::from_seed(&read_operator_key(path).unwrap().seed());
            let client = Client::bind(None).unwrap();
            let settings = ClientSettings::terminal();
            let refused = client.connect(running.address(), (&pin).into(), &key, &settings).await;
            let retired = Some(CloseReason::Peer(CloseCode::Retired));
            assert_eq!(refused.unwrap_err().close_reason(), retired);
        }
        let back = Operator::connect(running.address(), &trust, &new_path).await;
        // The trail says who entered whom.
        let shown = back.send(AdminCommand::ShowAudit(AuditQuery::default())).await;
        let Ok(AdminReply::Audit(page)) = shown else { panic!("{shown:?}") };
        let by = |subject: KeyId, action: AuditAction| {
            let about = AuditSubject::Operator(subject);
            let line = page.lines.iter().find(|line| line.subject == about && line.action == action);
            line.unwrap().operator
        };
        assert_eq!(by(thiefs_key.key_id(), AuditAction::AddOperator), Some(first(&server)));
        assert_eq!(by(first(&server), AuditAction::RetireOperator), Some(thiefs_key.key_id()));
        assert_eq!(by(thiefs_key.key_id(), AuditAction::RetireOperator), None);
        assert_eq!(by(new_key.key_id(), AuditAction::AddOperator), None);
    });
    running.stop();
}
