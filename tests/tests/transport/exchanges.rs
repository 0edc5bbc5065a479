//! Exchanges and news: what is said arrives whole, and what is cut short never looks complete.

use super::*;

#[tokio::test]
async fn frames_of_every_size_come_back() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    for size in [0, 1, 1_199, 16_384, 65_537, FRAME_BYTES_MAX] {
        check_echo(&connected.connection, &server, &vec![7; size]).await;
    }
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_its_exchange_only() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(&[0; 2_000]).await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    let received = seen.receive(1_999, SECOND).await;
    assert!(matches!(received, Err(TransportError::FrameTooLarge { limit: 1_999, got: 2_000 })));
    assert_refused(asked.receive(100, PATIENCE).await, RefuseCode::BadFrame);
    check_echo(&connected.connection, &server, b"still here").await;
}

#[tokio::test]
async fn a_frame_that_does_not_come_ends_its_exchange_only() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(b"one").await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    assert_eq!(seen.receive(100, PATIENCE).await.unwrap().as_deref(), Some(&b"one"[..]));
    let waited = seen.receive(100, Duration::from_millis(50)).await;
    assert!(matches!(waited, Err(TransportError::SlowPeer { .. })), "{waited:?}");
    assert_refused(asked.receive(100, PATIENCE).await, RefuseCode::Slow);
    check_echo(&connected.connection, &server, b"still here").await;
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(b"only this").await.unwrap();
    asked.finish().unwrap();
    assert!(matches!(asked.send(b"more").await, Err(TransportError::Finished)));
    let mut seen = server.accept_exchange().await.unwrap();
    assert!(seen.receive(100, PATIENCE).await.unwrap().is_some());
    assert_eq!(seen.receive(100, PATIENCE).await.unwrap(), None);
    for part in [b"a", b"b", b"c"] {
        seen.send(part).await.unwrap();
        assert_eq!(asked.receive(100, PATIENCE).await.unwrap().as_deref(), Some(&part[..]));
    }
    seen.finish().unwrap();
    assert_eq!(asked.receive(100, PATIENCE).await.unwrap(), None);
}

#[tokio::test]
async fn an_exchange_that_is_dropped_never_looks_complete() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(b"question").await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    seen.receive(100, PATIENCE).await.unwrap();
    drop(asked);
    assert_refused(seen.receive(100, PATIENCE).await, RefuseCode::Cancelled);
    assert_refused(seen.send(b"answer").await, RefuseCode::Cancelled);
}

#[tokio::test]
async fn a_wait_that_is_cut_off_loses_no_bytes() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let payload = vec![9; FRAME_BYTES_MAX];
    let mut asked = connected.connection.open_exchange().await.unwrap();
    let reading = async {
        let mut seen = server.accept_exchange().await.unwrap();
        let mut cuts = 0;
        loop {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => cuts += 1,
                frame = seen.receive(FRAME_BYTES_MAX, PATIENCE) => break (frame, cuts),
            }
        }
    };
    let (sent, read) = tokio::join!(asked.send(&payload), timeout(PATIENCE, reading));
    sent.unwrap();
    let (frame, cuts) = read.unwrap();
    assert!(frame.unwrap().is_some_and(|frame| frame == payload));
    assert!(cuts > 4, "{cuts}");
}

#[tokio::test]
async fn news_arrives_in_order_and_a_bad_one_is_skipped() {
    let world = World::new();
    let (mut connected, server) = world.pair(1).await;
    for news in [&b"first"[..], &[0; 500], b"third"] {
        server.push(news).await.unwrap();
    }
    assert_eq!(connected.news.next(100).await.unwrap(), b"first");
    let second = connected.news.next(100).await;
    assert!(matches!(second, Err(TransportError::FrameTooLarge { limit: 100, got: 500 })));
    assert_eq!(connected.news.next(100).await.unwrap(), b"third");
}

#[tokio::test]
async fn an_answer_is_delivered_when_its_reader_leaves_after_one_frame() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(b"question").await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    seen.receive(100, PATIENCE).await.unwrap();
    seen.send(b"answer").await.unwrap();
    assert!(asked.receive(100, PATIENCE).await.unwrap().is_some());
    drop(asked);
    seen.delivered(PATIENCE).await.unwrap();
}
