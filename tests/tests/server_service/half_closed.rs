//! Connections and exchanges that are left half open, over real QUIC: each ends by its own code, and costs nobody else
//! anything.

use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::limits::{EXCHANGES_PARALLEL_MAX, FRAME_BYTES_MAX};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, Applied};
use bhyt_core::sync::messages::{Follow, Refusal, Reply, Request, SyncTerminal};
use bhyt_platform::quic::{ClientConnection, CloseCode, CloseReason, Connected, RefuseCode, TransportError};
use tokio::time::timeout;

use crate::over_quic::{Running, WAIT, ask};
use crate::world::{enrol, key, public};

/// What only a terminal may ask: a stranger is refused in one word.
fn question() -> Request {
    Request::SyncTerminal(SyncTerminal { trust: 0, status: None, partial: None, follow: Follow::Once })
}

async fn is_answered(connection: &ClientConnection) {
    let mut exchange = timeout(WAIT, connection.open_exchange()).await.unwrap().unwrap();
    let replies = timeout(WAIT, ask(&mut exchange, &question())).await.unwrap();
    assert_eq!(replies, [Reply::Refused(Refusal::NotAuthorised)]);
}

async fn command(operator: &Connected, id: u8, command: AdminCommand) -> Vec<Reply> {
    let mut exchange = operator.connection.open_exchange().await.unwrap();
    ask(&mut exchange, &Request::Admin(AdminRequest { operation: OperationId([id; 16]), command })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_left_half_open_cost_nobody_else() {
    let server = Running::start().await;
    let stranger = server.connect(&key(1)).await.unwrap().connection;
    let other = server.connect(&key(2)).await.unwrap().connection;
    // Opened, and nothing asked: all but one of those that a client may have.
    let mut silent = Vec::new();
    for _ in 1..EXCHANGES_PARALLEL_MAX {
        silent.push(stranger.open_exchange().await.unwrap());
    }
    is_answered(&stranger).await;
    is_answered(&other).await;
    // Ended by the client before it asked anything: ended by the server too, with nothing in it.
    for mut exchange in silent {
        exchange.finish().unwrap();
        assert_eq!(timeout(WAIT, exchange.receive(FRAME_BYTES_MAX, WAIT)).await.unwrap().unwrap(), None);
    }
    // Asked, and neither ended nor read: given up by the client. As many as would fill the connection, and again.
    for _ in 0..3 * EXCHANGES_PARALLEL_MAX {
        let mut exchange = timeout(WAIT, stranger.open_exchange()).await.unwrap().unwrap();
        exchange.send(&codec::encode(&question()).unwrap()).await.unwrap();
    }
    is_answered(&stranger).await;
    is_answered(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_told_so_and_the_connection_goes_on() {
    let server = Running::start().await;
    let stranger = server.connect(&key(1)).await.unwrap().connection;
    for nonsense in [&b""[..], b"\x02", b"\xff\xff\0\0", &[0; 4_000]] {
        let mut exchange = stranger.open_exchange().await.unwrap();
        exchange.send(nonsense).await.unwrap();
        let reply = exchange.receive(FRAME_BYTES_MAX, WAIT).await.unwrap().unwrap();
        assert_eq!(codec::decode(&reply), Ok(Reply::Refused(Refusal::Malformed)));
    }
    // More than anybody but an operator may send: a key that activates may be followed by a phone's largest edit.
    let mut exchange = stranger.open_exchange().await.unwrap();
    // The server stops reading at the length; what is still on its way is not taken.
    let _ = exchange.send(&[0; 200 * 1024]).await;
    match exchange.receive(FRAME_BYTES_MAX, WAIT).await {
        Err(TransportError::ExchangeRefused { code }) => assert_eq!(code, RefuseCode::BadFrame),
        other => panic!("{other:?}"),
    }
    is_answered(&stranger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_key_is_shut_out_on_the_open_connection_and_on_every_new_one() {
    let server = Running::start().await;
    let operator = server.connect(&server.operator()).await.unwrap();
    let token = command(&operator, 1, AdminCommand::MakeTerminalToken("79024".into())).await;
    let [Reply::Admin(AdminReply::OneTimeCode { code, .. }), Reply::Done] = &token[..] else {
        panic!("{token:?}")
    };
    let terminal = server.connect(&key(1)).await.unwrap().connection;
    let mut exchange = terminal.open_exchange().await.unwrap();
    let replies = ask(&mut exchange, &enrol(1, code)).await;
    assert!(matches!(replies[..], [Reply::Enrolled(_), Reply::Done]), "{replies:?}");
    let mut exchange = terminal.open_exchange().await.unwrap();
    assert_eq!(ask(&mut exchange, &question()).await.last(), Some(&Reply::Done));

    // It is asked for each exchange, not for the handshake: the same connection, and nothing has been closed yet.
    let retire = AdminCommand::RetireTerminal(public(1).key_id().to_string());
    let mut early = terminal.open_exchange().await.unwrap();
    let retired = command(&operator, 2, retire).await;
    assert_eq!(retired, [Reply::Admin(AdminReply::Applied(Applied::Accepted)), Reply::Done]);
    assert_eq!(ask(&mut early, &question()).await, [Reply::Refused(Refusal::NotAuthorised)]);
    let ended = timeout(WAIT, terminal.closed()).await.unwrap();
    assert_eq!(ended, CloseReason::Peer(CloseCode::Retired));
    for _ in 0..3 {
        let refused = server.connect(&key(1)).await.unwrap_err();
        assert_eq!(refused.close_reason(), Some(CloseReason::Peer(CloseCode::Retired)));
    }
    // Whoever else is connected notices nothing.
    assert_eq!(command(&operator, 3, AdminCommand::ShowStatus).await.last(), Some(&Reply::Done));
    assert!(timeout(Duration::from_millis(50), operator.connection.closed()).await.is_err());
}
