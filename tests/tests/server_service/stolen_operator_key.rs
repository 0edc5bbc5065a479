//! A stolen operator key of one role, over real sockets: what the thief gets, what it does not get, how the trail shows it,
//! and how it ends, with connections open and an import under way.

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, MemberRow, RowOutcome};
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditQuery, AuditSubject};
use bhyt_core::sync::messages::{Refusal, Reply, Request};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole};
use bhyt_platform::quic::{ClientConnection, CloseCode, CloseReason, Connected, Exchange, TransportError};

use crate::over_quic::{Running, WAIT, ask};
use crate::role_matrix::{Who, messages};
use crate::world::{activate, card_row, key, member_row, number, public, social};

const THIEF: u8 = 77;
const RETIRED: CloseReason = CloseReason::Peer(CloseCode::Retired);

/// A server with a member and a card, its first operator, and a key that was stolen.
struct Scene {
    server: Running,
    first: Connected,
    thief: Connected,
    next: std::sync::atomic::AtomicU8,
}

impl Scene {
    async fn with(roles: &[OperatorRole]) -> Self {
        let server = Running::start().await;
        let first = server.connect(&server.operator()).await.unwrap();
        // The thief's connection comes after its key was entered: before, it would be a stranger's.
        let label = OperatorLabel::parse("quay-1").unwrap();
        let new = NewOperator { key: public(THIEF), roles: roles.to_vec(), label };
        let add = AdminCommand::ChangeOperators(OperatorChange::Add(Box::new(new)));
        say(&first.connection, 200, add).await.unwrap();
        say(&first.connection, 201, AdminCommand::ImportMembers(vec![member_row(1)])).await.unwrap();
        say(&first.connection, 202, AdminCommand::IssueCard(card_row(1))).await.unwrap();
        let thief = server.connect(&key(THIEF)).await.unwrap();
        Self { server, first, thief, next: 1.into() }
    }

    async fn command(&self, command: AdminCommand) -> Result<Vec<AdminReply>, Refusal> {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        say(&self.first.connection, id, command).await
    }

    async fn retire(&self) {
        let retire = OperatorChange::Retire(public(THIEF).key_id());
        self.command(AdminCommand::ChangeOperators(retire)).await.unwrap();
    }

    /// What the trail has of the stolen key.
    async fn trail(&self) -> Vec<AuditLine> {
        let operator = Some(public(THIEF).key_id());
        let query = AuditQuery { operator, ..AuditQuery::default() };
        let pages = self.command(AdminCommand::ShowAudit(query)).await.unwrap();
        let lines = pages.into_iter().flat_map(|page| match page {
            AdminReply::Audit(page) => page.lines,
            other => panic!("{other:?}"),
        });
        lines.collect()
    }
}

async fn say(
    connection: &ClientConnection,
    id: u8,
    command: AdminCommand,
) -> Result<Vec<AdminReply>, Refusal> {
    let mut exchange = connection.open_exchange().await.unwrap();
    let operation = OperationId([id; 16]);
    told(ask(&mut exchange, &Request::Admin(AdminRequest { operation, command })).await)
}

async fn closed(connection: &ClientConnection) -> CloseReason {
    tokio::time::timeout(WAIT, connection.closed()).await.expect("the connection is closed")
}

fn told(replies: Vec<Reply>) -> Result<Vec<AdminReply>, Refusal> {
    let mut told = Vec::new();
    for reply in replies {
        match reply {
            Reply::Admin(reply) => told.push(reply),
            Reply::Done => return Ok(told),
            Reply::Refused(refusal) => return Err(refusal),
            other => panic!("{other:?}"),
        }
    }
    panic!("no end: {told:?}")
}

fn import(id: u8, rows: Vec<MemberRow>) -> Request {
    let operation = OperationId([id; 16]);
    Request::Admin(AdminRequest { operation, command: AdminCommand::ImportMembers(rows) })
}

async fn members(scene: &Scene) -> u64 {
    match scene.command(AdminCommand::ShowStatus).await.unwrap()[..] {
        [AdminReply::Status(ref status)] => status.members,
        ref other => panic!("{other:?}"),
    }
}

/// Each role alone, over the wire: its own row of the table and nothing of the others', every try in the trail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_key_of_one_role_reaches_nothing_of_the_others_and_every_try_is_seen() {
    for (who, role) in [
        (Who::Registrar, OperatorRole::Registrar),
        (Who::Enroller, OperatorRole::Enroller),
        (Who::Auditor, OperatorRole::Auditor),
        (Who::Administrator, OperatorRole::Administrator),
    ] {
        let scene = Scene::with(&[role]).await;
        let (mut denied, mut allowed) = (0, 0);
        for (name, request, may) in messages() {
            // Whoever is denied too often waits; here nobody is to.
            scene.server.clock.advance(60);
            let mut exchange = scene.thief.connection.open_exchange().await.unwrap();
            let replies = ask(&mut exchange, &request).await;
            let refused = replies == [Reply::Refused(Refusal::NotAuthorised)];
            assert_eq!(!refused, may.contains(&who), "{role:?} asks {name} and is told {replies:?}");
            if refused { denied += 1 } else { allowed += 1 }
        }
        let seen = scene.trail().await;
        let not_authorised = AuditOutcome::Refused(Refusal::NotAuthorised);
        let refused = seen.iter().filter(|line| line.outcome == not_authorised).count();
        assert_eq!(refused, denied, "{role:?}");
        // Three empty imports of the registrar leave no line; every other command leaves one.
        let unseen = if role == OperatorRole::Registrar { 3 } else { 0 };
        assert_eq!(seen.len() - refused, allowed - unseen, "{role:?}");
        scene.retire().await;
        assert_eq!(scene.thief.connection.closed().await, CloseReason::Peer(CloseCode::Retired), "{role:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_under_way_ends_with_the_key_and_nobody_comes_back() {
    let scene = Scene::with(&[OperatorRole::Registrar]).await;
    let second = scene.server.connect(&key(THIEF)).await.unwrap();
    let mut importing = scene.thief.connection.open_exchange().await.unwrap();
    let mut waiting = second.connection.open_exchange().await.unwrap();
    let stored = told(ask(&mut importing, &import(1, vec![member_row(2)])).await);
    assert_eq!(stored, Ok(vec![AdminReply::Rows(vec![RowOutcome::Stored])]));
    assert!(told(ask(&mut waiting, &import(2, vec![member_row(3)])).await).is_ok());
    assert_eq!(members(&scene).await, 3);

    scene.retire().await;
    // Both exchanges were open before. Their next frame, if it still arrives, is refused; and the connections go.
    for (exchange, id) in [(&mut importing, 3), (&mut waiting, 4)] {
        let more = codec::encode(&import(id, vec![member_row(id)])).unwrap();
        if exchange.send(&more).await.is_ok()
            && let Ok(Some(frame)) = exchange.receive(FRAME_BYTES_MAX, WAIT).await
        {
            assert_eq!(codec::decode(&frame), Ok(Reply::Refused(Refusal::NotAuthorised)));
        }
    }
    for connection in [&scene.thief.connection, &second.connection] {
        assert_eq!(closed(connection).await, RETIRED);
    }
    let again = scene.server.connect(&key(THIEF)).await.unwrap_err();
    assert_eq!(again.close_reason(), Some(RETIRED));
    assert_eq!(members(&scene).await, 3);
    // The trail tells what has to be looked at: two members, by rows; and who ended it.
    let seen: Vec<_> = scene.trail().await.iter().map(|line| (line.action, line.rows)).collect();
    assert_eq!(seen, [(AuditAction::ImportMembers, 1), (AuditAction::ImportMembers, 1)]);
    let retired = AuditSubject::Operator(public(THIEF).key_id());
    let all = scene.command(AdminCommand::ShowAudit(AuditQuery::default())).await.unwrap();
    let [AdminReply::Audit(page)] = &all[..] else { panic!("{all:?}") };
    let end = page.lines.iter().find(|line| line.action == AuditAction::RetireOperator).unwrap();
    assert_eq!((end.subject, end.operator), (retired, Some(scene.server.operator().public_key().key_id())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_of_a_stolen_enrollers_key_die_with_it() {
    let scene = Scene::with(&[OperatorRole::Enroller]).await;
    let code = |replies: Result<Vec<AdminReply>, Refusal>| match replies.unwrap().remove(0) {
        AdminReply::OneTimeCode { code, .. } => code,
        other => panic!("{other:?}"),
    };
    let thief = &scene.thief.connection;
    let used = code(say(thief, 1, AdminCommand::MakeDeviceCode(social(1))).await);
    let kept = code(say(thief, 2, AdminCommand::MakeDeviceCode(social(1))).await);
    let good = code(scene.command(AdminCommand::MakeDeviceCode(social(1))).await);
    // One is used in time: the trail names the member, whose devices show the phone that nobody knows.
    let activated = async |seed: u8, code: &str| {
        let phone = scene.server.connect(&key(seed)).await.unwrap();
        let mut exchange = phone.connection.open_exchange().await.unwrap();
        ask(&mut exchange, &activate(seed, &social(1), code)).await.remove(0)
    };
    assert!(matches!(activated(1, &used).await, Reply::Activated(_)));
    scene.retire().await;
    assert_eq!(activated(2, &kept).await, Reply::Refused(Refusal::BadCode));
    assert!(matches!(activated(3, &good).await, Reply::Activated(_)));

    let made = scene.trail().await;
    let AuditSubject::Member(member) = made[0].subject else { panic!("{made:?}") };
    let devices = scene.command(AdminCommand::ListDevices(member.to_string())).await.unwrap();
    let [AdminReply::Devices(devices)] = &devices[..] else { panic!("{devices:?}") };
    let theirs = public(1).key_id().to_string();
    assert!(devices.iter().any(|device| device.id == theirs));
    assert!(scene.command(AdminCommand::RetireDevice(theirs)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_taken_is_gone_from_the_next_frame_of_an_open_exchange() {
    let scene = Scene::with(&[OperatorRole::Registrar, OperatorRole::Auditor]).await;
    let mut importing = scene.thief.connection.open_exchange().await.unwrap();
    assert!(told(ask(&mut importing, &import(1, vec![member_row(2)])).await).is_ok());
    let roles = vec![OperatorRole::Auditor];
    let change = OperatorChange::SetRoles { operator: public(THIEF).key_id(), roles };
    scene.command(AdminCommand::ChangeOperators(change)).await.unwrap();
    let refused = told(ask(&mut importing, &import(2, vec![member_row(3)])).await);
    assert_eq!(refused, Err(Refusal::NotAuthorised));
    // The connection stays: what is left may still be asked, in this exchange too.
    let show = AdminCommand::ShowCard(number(1));
    let show = Request::Admin(AdminRequest { operation: OperationId([3; 16]), command: show });
    assert!(told(ask(&mut importing, &show).await).is_ok());
    assert_eq!(members(&scene).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_huge_or_no_command_leave_the_server_as_it_was() {
    let scene = Scene::with(&[OperatorRole::Auditor]).await;
    let send = async |connection: &ClientConnection, bytes: &[u8]| -> Result<Reply, TransportError> {
        let mut exchange: Exchange = connection.open_exchange().await?;
        exchange.send(bytes).await?;
        let frame = exchange.receive(FRAME_BYTES_MAX, WAIT).await?;
        Ok(codec::decode(&frame.expect("an answer")).unwrap())
    };
    let thief = &scene.thief.connection;
    // The largest frame there is, of nothing and of a command that is not the auditor's.
    let malformed = Reply::Refused(Refusal::Malformed);
    assert_eq!(send(thief, &vec![0; FRAME_BYTES_MAX]).await.unwrap(), malformed);
    let row = MemberRow { address: "x".repeat(3_500), ..member_row(2) };
    let huge = codec::encode(&import(1, vec![row; 70])).unwrap();
    assert!(huge.len() > FRAME_BYTES_MAX * 9 / 10);
    assert_eq!(send(thief, &huge).await.unwrap(), Reply::Refused(Refusal::NotAuthorised));
    // A registrar gets no further: more rows than a frame may have, and fields over their bound.
    assert_eq!(send(&scene.first.connection, &huge).await.unwrap(), malformed);
    // Nobody else may send so much at all.
    let stranger = scene.server.connect(&key(5)).await.unwrap();
    assert!(send(&stranger.connection, &huge).await.is_err());
    assert_eq!(members(&scene).await, 1);
    // What was no command left no line; the one that was refused did.
    let seen: Vec<_> = scene.trail().await.iter().map(|line| (line.action, line.outcome)).collect();
    assert_eq!(seen, [(AuditAction::ImportMembers, AuditOutcome::Refused(Refusal::NotAuthorised))]);
}
