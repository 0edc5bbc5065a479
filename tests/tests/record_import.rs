//! Official records from files to a phone: the operator's own program against a server of its own, killed on the way, and
//! run again.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole};
use bhyt_platform::entropy::OsEntropy;
use bhyt_server::admin::{
    self, AdminArgs, AdminError, AdminWhat, RecordImportArgs, RecordRowArgs, RecordTable, RecordWhat,
};
use bhyt_server::exit::{Exit, Failure as _};
use bhyt_server::keys::parse_public_key;
use bhyt_server::operator_command::make_key;
use bhyt_tests::operator::{Operator, card_row};
use bhyt_tests::people::Town;
use bhyt_tests::server::block_on;

const MEMBER: &str = "9900000017";

fn file(town: &Town, name: &str, content: &str) -> PathBuf {
    let path = town.path(name);
    std::fs::write(&path, content).unwrap();
    path
}

async fn record(town: &Town, server: SocketAddr, what: RecordWhat) -> Result<(), AdminError> {
    admin::run(AdminArgs {
        server: server.to_string(),
        trust: town.server.trust().to_owned(),
        key: town.server.report().operator_key.clone(),
        json: true,
        what: AdminWhat::Record(what),
    })
    .await
}

async fn import(town: &Town, server: SocketAddr, table: RecordTable, file: &Path) -> Result<(), AdminError> {
    let args = RecordImportArgs { table, retract: false, dry_run: false, file: file.to_owned() };
    record(town, server, RecordWhat::Import(args)).await
}

/// A member, and an operator.
async fn registered(town: &Town, server: SocketAddr) -> Operator {
    let operator = town.operator(server).await;
    operator.register(MEMBER, "Nguyễn Thị Thử").await;
    operator
}

async fn records(operator: &Operator) -> u64 {
    match operator.send(AdminCommand::ShowMember(MEMBER.into())).await {
        Ok(AdminReply::Member(view)) => view.records,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_of_every_table_reach_the_phone_and_come_once() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let at = server.address();
        let operator = registered(&town, at).await;
        operator.issue(card_row(MEMBER, "DN4999900000017", "2026-01-01", "")).await;
        let phone = town.phone(at, &operator, MEMBER).await;
        phone.wallet.sync().await.unwrap();
        assert_eq!(records(&operator).await, 1);
        let contributions = file(&town, "contributions.csv", &contributions(40));
        let visits = file(&town, "visits.csv", include_str!("../vectors/records/visits.csv"));
        let xml = file(&town, "hoso.xml", include_str!("../vectors/records/hoso.xml"));
        for _ in 0..2 {
            import(&town, at, RecordTable::Contributions, &contributions).await.unwrap();
            let some = import(&town, at, RecordTable::Visits, &visits).await.unwrap_err();
            assert!(matches!(some, AdminError::RowsFailed { rows: 4, failed: 2, .. }), "{some:?}");
            assert_eq!(some.exit(), Exit::Data);
            import(&town, at, RecordTable::Xml, &xml).await.unwrap();
            assert_eq!(records(&operator).await, 1 + 40 + 2 + 2);
        }
        let faults = std::fs::read_to_string(town.path("visits.csv.errors.csv")).unwrap();
        assert_eq!(faults, "line,field,reason\n5,entered,malformed\n6,line_name,missing\n");
        // What verifies against the signed head, and nothing else, makes this succeed.
        phone.wallet.sync().await.unwrap();
        let row = |table, fields: &[&str]| RecordRowArgs {
            table,
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        let wage =
            row(RecordTable::Contributions, &["member=9900000017", "fund=1", "from=01/2026", "to=02/2026"]);
        record(&town, at, RecordWhat::Add(wage.clone())).await.unwrap();
        record(&town, at, RecordWhat::Retract(wage)).await.unwrap();
        assert_eq!(records(&operator).await, 47);
        let unknown =
            row(RecordTable::Visits, &["member=9900000099", "facility=99024", "case=1", "entered=2026"]);
        let error = record(&town, at, RecordWhat::Add(unknown)).await.unwrap_err();
        assert_eq!(error.to_string(), "member: not_found");
        let wrong = row(RecordTable::Visits, &["member=9900000017", "case=1"]);
        let error = record(&town, at, RecordWhat::Add(wrong)).await.unwrap_err();
        assert_eq!(error.to_string(), "facility: missing");
        let args = RecordImportArgs { table: RecordTable::Xml, retract: true, dry_run: false, file: xml };
        record(&town, at, RecordWhat::Import(args)).await.unwrap();
        assert_eq!(records(&operator).await, 49);
        phone.wallet.sync().await.unwrap();
    });
}

/// A registrar's key of its own: a third connection of one key closes the first.
async fn registrar(town: &Town, operator: &Operator) -> PathBuf {
    let path = town.path("registrar.key");
    let report = make_key(&path, &OsEntropy::open().unwrap()).unwrap();
    let key = parse_public_key(&report.public_key).unwrap();
    let (roles, label) = (vec![OperatorRole::Registrar], OperatorLabel::parse("quay-1").unwrap());
    let add = OperatorChange::Add(Box::new(NewOperator { key, roles, label }));
    operator.send(AdminCommand::ChangeOperators(add)).await.unwrap();
    path
}

/// Months of years long past, one a row.
fn contributions(count: u32) -> String {
    let row = |n: u32| {
        let month = format!("{:02}/{}", n % 12 + 1, 1990 + n / 12);
        format!("{MEMBER},BHXH,{month},{month},counted,TA9901A\n")
    };
    let rows: String = (0..count).map(row).collect();
    format!("member,fund,from,to,status,employer_code\n{rows}")
}

/// Kill -9 of the importing program after some rows, at three places: run again, each row is there once.
#[test]
fn an_import_that_is_killed_is_run_again_and_every_record_is_there_once() {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let at = server.address();
        let operator = registered(&town, at).await;
        let key = registrar(&town, &operator).await;
        let rows = 2_000;
        let visits: String =
            (0..rows).map(|n| format!("{MEMBER},99024,LK-{n},2026-03-02,Viêm họng cấp\n")).collect();
        let visits = file(&town, "visits.csv", &format!("member,facility,case,entered,diagnosis\n{visits}"));
        for enough in [1, 300, 900] {
            let mut import = spawn_import(&town, at, &key, &visits);
            while records(&operator).await < enough && import.try_wait().unwrap().is_none() {
                // An operator has a rate of questions.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            import.kill().unwrap();
            import.wait().unwrap();
            let there = records(&operator).await;
            assert!(there >= enough && there <= rows, "{there} of {rows}");
        }
        import(&town, at, RecordTable::Visits, &visits).await.unwrap();
        assert_eq!(records(&operator).await, rows);
        let phone = town.phone(at, &operator, MEMBER).await;
        phone.wallet.sync().await.unwrap();
    });
}

fn spawn_import(town: &Town, server: SocketAddr, key: &Path, file: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhyt-kill"));
    command.args(["as-server", "admin", "--server", &server.to_string(), "--trust"]).arg(town.server.trust());
    command.arg("--key").arg(key);
    command.args(["record", "import", "--table", "visits"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}
