//! One frame of each kind, with every field filled: what tests of frames are made of. Synthetic people only.

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::feed::{Epoch, Extent, FeedPage, HandedRecord};
use bhyt_core::grant::{Grant, GrantRelation, GrantScope};
use bhyt_core::ids::{FacilityCode, MemberId, OperationId};
use bhyt_core::keys::{KeyId, PublicKey, SecretKey};
use bhyt_core::merkle::TreeHash;
use bhyt_core::operation::{Generation, Operation, OperationAnswer, Rejection};
use bhyt_core::personal::ids::ChangeHash;
use bhyt_core::presentation_key::{KeyKind, PresentationKey, PresentationSecret};
use bhyt_core::receipt::ReceiptSeal;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Salt, Seq};
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::admin::{
    AdminCommand, AdminReply, AdminRequest, Applied, CardChange, CardRow, CardView, DeviceView, MemberRow,
    MemberView, NewGrant, RowFault, RowField, RowOutcome, RowReason, StatusView, TerminalView,
};
use bhyt_core::sync::messages::{
    Activate, Enrol, FeedReply, Follow, MemberCursor, ProofBytes, Readmit, Refusal, Reply, Request,
    SnapshotPiece, SyncTerminal, SyncWallet,
};
use bhyt_core::sync::personal::{PersonalContent, PersonalCursor, PersonalReply, SyncPersonal};
use bhyt_core::time::{Day, UnixSeconds};

const MEMBER: MemberId = MemberId([1; 16]);
const VERSION: StatusVersion = StatusVersion { epoch: 2, number: 3 };
const TIME: UnixSeconds = UnixSeconds(1_780_290_000);

/// Every kind of request; of operators, every command.
pub fn requests() -> Vec<Request> {
    let cursor =
        MemberCursor { member: MEMBER, extent: Extent { epoch: Epoch(1), size: 300 }, state: [4; 16] };
    let enrol = Enrol { token: "7T-KEN".to_owned(), terminal_key: public(2) };
    let terminal = SyncTerminal {
        trust: 5,
        status: Some((VERSION, KeyId([6; 8]))),
        partial: Some((VERSION, 700)),
        follow: Follow::Stay,
    };
    let first = SyncTerminal { status: None, partial: None, follow: Follow::Once, ..terminal };
    let admin = commands()
        .into_iter()
        .map(|command| Request::Admin(AdminRequest { operation: OperationId([9; 16]), command }));
    [
        activate(public(3).into()),
        activate(p256()),
        Request::Enrol(enrol),
        Request::SyncWallet(SyncWallet { trust: 5, members: vec![cursor, cursor], follow: Follow::Once }),
        Request::SyncTerminal(terminal),
        Request::SyncTerminal(first),
    ]
    .into_iter()
    .chain(admin)
    .chain([Request::SyncPersonal(sync_personal())])
    .chain([Request::Readmit(Box::new(readmit())), without_record()])
    .chain(
        grant_commands()
            .map(|command| Request::Admin(AdminRequest { operation: OperationId([9; 16]), command })),
    )
    .collect()
}

/// A phone hands two operations in.
pub fn sync_personal() -> SyncPersonal {
    let operation = |id| Operation { id: OperationId([id; 16]), change: vec![id; 90] };
    SyncPersonal {
        member: MEMBER,
        cursor: PersonalCursor { generation: Generation(1), heads: vec![ChangeHash([5; 32])] },
        install: [4; 8],
        operations: vec![operation(6), operation(7)],
    }
}

/// Every answer that an operation has, and both kinds of content.
pub fn personal_replies() -> [PersonalReply; 2] {
    let seal = ReceiptSeal {
        time: TIME,
        generation: Generation(1),
        key: KeyId([8; 8]),
        signature_r: [9; 32],
        signature_s: [10; 32],
    };
    let rejected = [Rejection::Generation, Rejection::Other(999)].map(OperationAnswer::Rejected);
    let answers = [OperationAnswer::Accepted(seal), OperationAnswer::Duplicate(seal)];
    let reply = PersonalReply {
        member: MEMBER,
        answers: answers.into_iter().chain(rejected).collect(),
        content: PersonalContent::Changes(vec![vec![11; 90]]),
        cursor: PersonalCursor { generation: Generation(1), heads: vec![ChangeHash([5; 32])] },
    };
    let content = PersonalContent::Document(vec![12; 200]);
    [reply.clone(), PersonalReply { content, answers: Vec::new(), ..reply }]
}

/// What a phone shows that a restored server has forgotten.
pub fn readmit() -> Readmit {
    let body = Body::new(vec![0xa1, 7]).expect("a body");
    let record = HandedRecord {
        seq: Seq(3),
        salt: Salt([6; 16]),
        record: Record::first(Seq(3), RecordKind::Card, body, TIME),
        path: vec![TreeHash([7; 32])],
    };
    let (credential, head) = (vec![0xd2, 0x84], vec![0xd2]);
    Readmit { member: MEMBER, credential, possession: possession(), head, record: Some(record) }
}

/// A grant to enter.
pub fn new_grant() -> NewGrant {
    let day = |days| Day::from_days(days).expect("a day");
    NewGrant {
        dependant: "9900000025".to_owned(),
        carer: "9900000017".to_owned(),
        scope: GrantScope::Card,
        relation: GrantRelation::Spouse,
        from: Some(day(20_700)),
        until: day(21_000),
    }
}

/// Every command about grants.
pub fn grant_commands() -> [AdminCommand; 3] {
    let NewGrant { dependant, carer, .. } = new_grant();
    [
        AdminCommand::AddGrant(Box::new(new_grant())),
        AdminCommand::RevokeGrant { dependant: dependant.clone(), carer },
        AdminCommand::ListGrants(dependant),
    ]
}

/// The answers about grants, to a phone and to an operator.
pub fn grant_replies() -> [Reply; 2] {
    let NewGrant { scope, relation, from, until, .. } = new_grant();
    let (dependant, carer, from) = (MEMBER, MemberId([2; 16]), from.unwrap_or(until));
    let grant = Grant { dependant, carer, scope, relation, from, until, time: TIME };
    [Reply::Granted(vec![0xd2, 0x84]), Reply::Admin(AdminReply::Grants(vec![grant]))]
}

fn without_record() -> Request {
    Request::Readmit(Box::new(Readmit { record: None, ..readmit() }))
}

/// Every kind of reply; to operators, every answer.
pub fn replies() -> Vec<Reply> {
    let refusals = [
        Refusal::NotAuthorised,
        Refusal::BadCode,
        Refusal::Malformed,
        Refusal::NotFound,
        Refusal::Conflict,
        Refusal::NoFreeBinding,
        Refusal::Busy { retry_after_seconds: 15 },
        Refusal::Internal,
        Refusal::OperationReused,
        Refusal::AwaitsStatus,
    ];
    let feed = FeedReply { member: MEMBER, pages: vec![page(0), erased()], head: Some(vec![0xd2, 0x84]) };
    let piece = SnapshotPiece { version: VERSION, offset: 1, total: 9, bytes: vec![1, 2, 3] };
    [
        Reply::Done,
        Reply::Activated(MEMBER),
        Reply::Enrolled(FacilityCode::parse("99024").expect("a code")),
        Reply::Trust(vec![0xd8, 0x62]),
        Reply::Feed(feed),
        Reply::Feed(FeedReply { member: MEMBER, pages: Vec::new(), head: None }),
        Reply::Credentials { member: MEMBER, credentials: vec![vec![0xd2], Vec::new()] },
        Reply::Retired(MEMBER),
        Reply::StatusDelta(vec![0xd2]),
        Reply::StatusSnapshot(piece),
    ]
    .into_iter()
    .chain(refusals.map(Reply::Refused))
    .chain(answers().into_iter().map(Reply::Admin))
    .chain(personal_replies().map(Reply::Personal))
    .chain([Reply::Forgotten(MEMBER), Reply::Refused(Refusal::Forgotten)])
    .chain(grant_replies())
    .collect()
}

fn commands() -> Vec<AdminCommand> {
    let text = || "9900000017".to_owned();
    let change = |change| AdminCommand::ChangeCard { number: text(), change };
    let reduced = ReducedCode::new(121).expect("a code");
    vec![
        AdminCommand::ImportMembers(vec![member_row(), MemberRow::default()]),
        AdminCommand::ImportCards(vec![card_row(), CardRow::default()]),
        AdminCommand::ShowMember(text()),
        AdminCommand::ShowCard(text()),
        AdminCommand::IssueCard(card_row()),
        change(CardChange::Withdraw),
        change(CardChange::Reduce(reduced)),
        change(CardChange::Hold),
        change(CardChange::Release),
        AdminCommand::ReplaceCard { number: text(), row: card_row() },
        AdminCommand::MakeDeviceCode(text()),
        AdminCommand::ListDevices(text()),
        AdminCommand::RetireDevice("0102030405060708".to_owned()),
        AdminCommand::MakeTerminalToken("99024".to_owned()),
        AdminCommand::ListTerminals(Some("99024".to_owned())),
        AdminCommand::ListTerminals(None),
        AdminCommand::RetireTerminal("0102030405060708".to_owned()),
        AdminCommand::ShowStatus,
        AdminCommand::Backup,
    ]
}

fn answers() -> Vec<AdminReply> {
    let fault = RowFault { field: RowField::FullName, reason: RowReason::TooLong };
    let id = || "0102030405060708".to_owned();
    let card = CardView {
        row: card_row(),
        standing: CardStanding::Held,
        status_index: 7,
        issued_at: TIME,
        bindings: vec![(3, id(), "2026-06-30".to_owned())],
        successor: Some("9900000018".to_owned()),
    };
    let member = MemberView {
        id: "01".repeat(16),
        row: member_row(),
        cards: vec!["DN4999900000017".to_owned()],
        devices: 1,
        records: 2,
    };
    let device = DeviceView { id: id(), activated: TIME, retired: Some(TIME) };
    let terminal = TerminalView { id: id(), facility: "99024".to_owned(), enrolled: TIME, retired: None };
    let status = StatusView {
        members: 1,
        cards: 2,
        connections: 3,
        trust_version: 4,
        trust_expires: TIME,
        status_version: (1, 5),
        status_time: TIME,
        status_entries: 6,
        uptime_seconds: 7,
    };
    vec![
        AdminReply::Applied(Applied::Accepted),
        AdminReply::Applied(Applied::Duplicate),
        AdminReply::Rows(vec![RowOutcome::Stored, RowOutcome::Unchanged, RowOutcome::Failed(fault)]),
        AdminReply::Member(member),
        AdminReply::Card(card),
        AdminReply::OneTimeCode { code: "7T-KEN".to_owned(), expires: TIME },
        AdminReply::Devices(vec![device]),
        AdminReply::Terminals(vec![terminal]),
        AdminReply::Status(status),
    ]
}

fn activate(presentation_key: PresentationKey) -> Request {
    let (alias, code) = ("9900000017".to_owned(), "7T-KEN".to_owned());
    Request::from(Activate { alias, code, presentation_key, possession: possession() })
}

fn possession() -> ProofBytes {
    ProofBytes { time: TIME, nonce: [1; 4], signature_r: [2; 32], signature_s: [3; 32] }
}

fn page(first: u64) -> FeedPage {
    let mut page = FeedPage::new(Seq(first), PageSeed([5; 32]));
    for seq in first..first + 2 {
        let body = Body::new(vec![0xa1, seq as u8]).expect("a body");
        page.push(Record::first(Seq(seq), RecordKind::Visit, body, TIME)).expect("an open page");
    }
    page
}

/// A page of which the first record was erased.
fn erased() -> FeedPage {
    let mut page = page(2);
    page.erase(Seq(2)).expect("it is there");
    page
}

fn member_row() -> MemberRow {
    MemberRow {
        member_id: "9900000017".to_owned(),
        full_name: "Nguyễn Thị Thử".to_owned(),
        birth_date: "1994-03-05".to_owned(),
        sex: "F".to_owned(),
        personal_id: "099194000017".to_owned(),
        phone: "0990000017".to_owned(),
        address: "99 Phố Thử".to_owned(),
    }
}

fn card_row() -> CardRow {
    CardRow {
        member: "9900000017".to_owned(),
        number: "DN4999900000017".to_owned(),
        level: "4".to_owned(),
        facility: "99024".to_owned(),
        from: "2026-01-01".to_owned(),
        to: "2026-12-31".to_owned(),
        five_years: "2025-06-01".to_owned(),
        area: "K1".to_owned(),
    }
}

fn public(seed: u8) -> PublicKey {
    SecretKey::from_seed(&[seed; 32]).public_key()
}

fn p256() -> PresentationKey {
    PresentationSecret::from_bytes(KeyKind::P256, &[1; 32]).expect("a scalar").public_key()
}
