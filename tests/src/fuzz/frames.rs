//! Frames of both directions, operators' among them. What is read is written back the same, and whatever a client sends
//! is authorised for nobody but those who may ask it.

use std::sync::LazyLock;

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::codec::{self, Schema};
use bhyt_core::feed::{BlockWindow, Epoch, Extent};
use bhyt_core::ids::{FacilityCode, MemberId, OperationId, StatusIndex};
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::presentation_key::KeyKind;
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::admin::{
    AdminCommand, AdminReply, AdminRequest, Applied, CardChange, CardRow, CardView, DeviceView, MemberRow,
    MemberView, RowFault, RowField, RowOutcome, RowReason, SigningTerminal, StatusView, TerminalView,
};
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditPage, AuditQuery, AuditSubject};
use bhyt_core::sync::erasure::ErasureReason;
use bhyt_core::sync::messages::{
    Activate, Enrol, FeedPlace, FeedReply, Follow, Hello, MemberCursor, ProofBytes, Refusal, Reply, Request,
    SnapshotPiece, SyncFeeds, SyncTerminal, SyncWallet,
};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole, OperatorView};
use bhyt_core::time::UnixSeconds;
use bhyt_server::service::values_operators::OperatorV2;
use bhyt_server::service::{Principal, authorise};

use super::ledger::Ledger;
use crate::authority::Phone;
use crate::papers;

/// The kind of an input is its first byte; the rest is one frame's payload.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => drop(read::<Hello>(data)),
        1 => drop(read::<Reply>(data)),
        _ => {
            if let Some(request) = read::<Request>(data) {
                check_authorisation(&request);
            }
        }
    }
}

fn read<T: Schema + PartialEq + std::fmt::Debug>(data: &[u8]) -> Option<T> {
    let value: T = codec::decode(data).ok()?;
    assert_eq!(codec::encode(&value).as_deref(), Ok(data), "a frame has one form");
    // Whatever stands in a frame may be printed: it must not take longer than reading it.
    assert!(data.len() > FRAME_PRINTED_MAX || !format!("{value:?}").is_empty());
    Some(value)
}

static KEY: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::from_seed(&[9; 32]));

/// An operator without roles, a stranger and a retired key may next to nothing.
fn check_authorisation(request: &Request) {
    let transport_key = KEY.public_key();
    let (roles, added) = (Vec::new(), UnixSeconds(0));
    let operator = OperatorV2 { transport_key, roles, added, retired: None, label: None };
    let operator = Principal::Operator(transport_key.key_id(), operator);
    assert!(authorise(&operator, request).is_err(), "no role, no command");
    assert!(authorise(&Principal::Retired, request).is_err(), "a retired key asks nothing");
    let opening = matches!(
        request,
        Request::Activate(_) | Request::ActivateP256(_) | Request::Enrol(_) | Request::Readmit(_)
    );
    assert_eq!(authorise(&Principal::Stranger, request).is_ok(), opening, "a stranger begins, or nothing");
}

/// One frame of every variant.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![seed(0, &Hello { time: TIME })];
    seeds.extend(requests().iter().map(|request| seed(2, request)));
    seeds.extend(replies().iter().map(|reply| seed(1, reply)));
    seeds
}

fn seed<T: Schema>(kind: u8, frame: &T) -> Vec<u8> {
    [&[kind], &codec::encode(frame).expect("a frame of ours")[..]].concat()
}

/// Requests of every kind.
pub(crate) fn requests() -> Vec<Request> {
    let text = || "9900000017".to_owned();
    let key = KEY.public_key();
    let possession = ProofBytes { time: TIME, nonce: [1; 4], signature_r: [2; 32], signature_s: [3; 32] };
    let cursor = MemberCursor { member: MEMBER, extent: Extent { epoch: Epoch(1), size: 3 }, state: [4; 16] };
    let member = MemberRow { member_id: text(), full_name: "Thử".into(), ..MemberRow::default() };
    let card = CardRow { member: text(), number: format!("DN499{}", text()), ..CardRow::default() };
    let commands = [
        AdminCommand::ImportMembers(vec![member]),
        AdminCommand::ImportCards(vec![card.clone(), card.clone()]),
        AdminCommand::ShowMember(text()),
        AdminCommand::ShowCard(text()),
        AdminCommand::IssueCard(card.clone()),
        AdminCommand::ChangeCard { number: text(), change: CardChange::Withdraw },
        AdminCommand::ChangeCard { number: text(), change: CardChange::Reduce(reduced()) },
        AdminCommand::ReplaceCard { number: text(), row: card },
        AdminCommand::MakeDeviceCode(text()),
        AdminCommand::ListDevices(text()),
        AdminCommand::RetireDevice(text()),
        AdminCommand::MakeTerminalToken("79024".into()),
        AdminCommand::ListTerminals(Some("79024".into())),
        AdminCommand::ListTerminals(None),
        AdminCommand::RetireTerminal(text()),
        AdminCommand::ShowStatus,
        AdminCommand::Backup,
        AdminCommand::ChangeOperators(OperatorChange::Add(Box::new(NewOperator {
            key,
            roles: OperatorRole::ALL.to_vec(),
            label: OperatorLabel::parse("quay-1").expect("a label"),
        }))),
        AdminCommand::ChangeOperators(OperatorChange::SetRoles {
            operator: key.key_id(),
            roles: vec![OperatorRole::Auditor],
        }),
        AdminCommand::ChangeOperators(OperatorChange::Retire(key.key_id())),
        AdminCommand::ListOperators,
        AdminCommand::EraseMember { member: text(), reason: ErasureReason::Order },
        AdminCommand::KeepMember(text()),
        AdminCommand::ListErasures,
        AdminCommand::ExportMember(text()),
        AdminCommand::ShowAudit(AuditQuery { member: text(), ..AuditQuery::default() }),
        AdminCommand::ImportRecords(vec![papers::put(
            &text(),
            papers::visit_record(papers::visit("LK-1", 60)),
        )]),
    ];
    let admin = |command| Request::Admin(AdminRequest { operation: OperationId([5; 16]), command });
    let presentation_key = Phone::of_kind(KeyKind::P256, 8).key();
    let activate = Activate { alias: text(), code: text(), presentation_key, possession };
    let mut requests: Vec<_> = commands.into_iter().map(admin).collect();
    requests.extend([
        Request::from(Activate { presentation_key: key.into(), ..activate.clone() }),
        Request::from(activate),
        Request::Enrol(Enrol { token: text(), terminal_key: key }),
        Request::SyncWallet(SyncWallet { trust: 1, members: vec![cursor; 2], follow: Follow::Stay }),
        Request::SyncFeeds(sync_feeds(cursor)),
        Request::SyncTerminal(SyncTerminal {
            trust: 1,
            status: Some((VERSION, key.key_id())),
            partial: Some((VERSION, 9)),
            follow: Follow::Once,
        }),
        Request::SyncPersonal(crate::frames::sync_personal()),
        Request::Readmit(Box::new(crate::frames::readmit())),
    ]);
    requests.extend(crate::frames::grant_commands().map(admin));
    requests
}

fn sync_feeds(cursor: MemberCursor) -> SyncFeeds {
    let personal = Some(crate::frames::sync_personal().cursor);
    let members =
        vec![FeedPlace { cursor, staged: 9, personal: None }, FeedPlace { cursor, staged: 0, personal }];
    SyncFeeds { trust: 1, members, follow: Follow::Stay }
}

/// Replies of every kind.
fn replies() -> Vec<Reply> {
    let mut ledger = Ledger::new(MEMBER);
    ledger.append(b"\xa0", None);
    let feed = FeedReply { member: MEMBER, pages: ledger.since(0), head: Some(vec![7; 9]) };
    let bytes = vec![8; 9];
    let mut replies = vec![
        Reply::Done,
        Reply::Refused(Refusal::Busy { retry_after_seconds: 9 }),
        Reply::Refused(Refusal::OperationReused),
        Reply::Activated(MEMBER),
        Reply::Enrolled(FacilityCode::parse("79024").expect("a code")),
        Reply::Trust(bytes.clone()),
        Reply::Feed(feed),
        Reply::FeedHead { member: MEMBER, head: bytes.clone() },
        Reply::FeedBlock { member: MEMBER, block: BlockWindow::default().make_block(&ledger.since(0)).0 },
        Reply::Credentials { member: MEMBER, credentials: vec![bytes.clone(); 3] },
        Reply::Retired(MEMBER),
        Reply::StatusDelta(bytes.clone()),
        Reply::StatusSnapshot(SnapshotPiece { version: VERSION, offset: 3, total: 12, bytes }),
        Reply::Forgotten(MEMBER),
        Reply::Refused(Refusal::Forgotten),
    ];
    replies.extend(crate::frames::grant_replies());
    replies.extend(crate::frames::personal_replies().map(Reply::Personal));
    replies.extend(admin_replies().into_iter().map(Reply::Admin));
    replies
}

fn admin_replies() -> Vec<AdminReply> {
    let text = || "9900000017".to_owned();
    let id = KeyId([1; 8]).to_string();
    let fault = RowFault { field: RowField::FullName, reason: RowReason::Malformed };
    let member =
        MemberView { id: id.clone(), row: MemberRow::default(), cards: vec![text()], devices: 1, records: 2 };
    let card = CardView {
        row: CardRow::default(),
        standing: CardStanding::Reduced(reduced()),
        status_index: 7,
        issued_at: TIME,
        bindings: vec![(3, id.clone(), "2026-11-01".into())],
        successor: Some(text()),
    };
    let device = DeviceView { id: id.clone(), activated: TIME, retired: Some(TIME) };
    let audit = AuditLine {
        time: TIME,
        operator: Some(KeyId([1; 8])),
        action: AuditAction::HoldCard,
        subject: AuditSubject::Card { member: MEMBER.into(), index: StatusIndex(7) },
        outcome: AuditOutcome::Field(fault),
        rows: 1,
        operation: OperationId([5; 16]),
    };
    let operator = OperatorView {
        id: KeyId([1; 8]),
        label: OperatorLabel::parse("quay-1"),
        roles: OperatorRole::ALL.to_vec(),
        added: TIME,
        retired: None,
    };
    let terminal = TerminalView { id, facility: "79024".into(), enrolled: TIME, retired: None };
    let status = StatusView {
        members: 1,
        cards: 2,
        connections: 3,
        trust_version: 4,
        trust_expires: TIME,
        status_version: (1, 2),
        status_time: TIME,
        status_entries: 5,
        uptime_seconds: 6,
    };
    vec![
        AdminReply::Applied(Applied::Duplicate),
        AdminReply::Rows(vec![
            RowOutcome::Stored,
            RowOutcome::Unchanged,
            RowOutcome::Failed(fault),
            RowOutcome::Corrected,
            RowOutcome::Retracted,
        ]),
        AdminReply::Member(member),
        AdminReply::Card(card),
        AdminReply::OneTimeCode { code: text(), expires: TIME },
        AdminReply::Devices(vec![device]),
        AdminReply::Terminals(vec![terminal.clone()]),
        AdminReply::SigningTerminals(vec![SigningTerminal { terminal, terminal_key: KeyId([2; 8]) }]),
        AdminReply::Operators(vec![operator]),
        AdminReply::Audit(AuditPage { last: [6; 16], lines: vec![audit; 2] }),
        AdminReply::Status(status),
        AdminReply::Backup(vec![9; 20]),
    ]
}

fn reduced() -> ReducedCode {
    ReducedCode::new(121).expect("a code")
}

const MEMBER: MemberId = MemberId([1; 16]);
const TIME: UnixSeconds = UnixSeconds(1_795_399_200);
const VERSION: StatusVersion = StatusVersion { epoch: 1, number: 2 };
/// Frames up to here are printed too.
const FRAME_PRINTED_MAX: usize = 1_024;
