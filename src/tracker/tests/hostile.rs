//! Clients and trackers that mean harm, or are merely broken.

use super::*;
use crate::tracker::message::{AnnounceEvent, ClientMessage, Counts, ServerMessage};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_async, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(tracker: &Running) -> Socket {
    connect_async(tracker.url()).await.unwrap().0
}

/// Reads until the tracker ends the connection.
async fn is_disconnected(mut socket: Socket) {
    within(async { while let Some(Ok(_)) = socket.next().await {} }).await;
}

/// The tracker still serves someone else.
async fn is_alive(tracker: &Running) {
    let client = Client::start(9, tracker.url());
    let mut member = client.session.join(InfoHash([b'z'; 20]));
    until(&mut member, &[], swarm_of(1)).await;
    client.stop().await;
}

#[tokio::test]
async fn a_client_that_talks_nonsense_is_disconnected() {
    let tracker = Running::start(ServerConfig::default()).await;
    let mut socket = connect(&tracker).await;
    for text in ["", "{", "[]", "null", "{}", "\u{0}", r#"{"action":"announce"}"#, "x", "y"] {
        if socket.send(Message::text(text)).await.is_err() {
            break;
        }
    }
    is_disconnected(socket).await;
    is_alive(&tracker).await;
    tracker.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_a_megabyte_is_disconnected() {
    let tracker = Running::start(ServerConfig::default()).await;
    let mut socket = connect(&tracker).await;
    let _broken_off = socket.send(Message::text(" ".repeat(1 << 20))).await;
    is_disconnected(socket).await;
    is_alive(&tracker).await;
    tracker.stop().await;
}

#[tokio::test]
async fn a_client_that_floods_and_never_reads_harms_nobody_else() {
    let config = ServerConfig { messages_burst: 50, messages_per_s: 20, ..Default::default() };
    let tracker = Running::start(config).await;
    let mut socket = connect(&tracker).await;
    let flood = tokio::spawn(async move {
        for n in 0..u8::MAX {
            let message = ClientMessage::Announce {
                hash: InfoHash([n; 20]),
                peer: peer(3),
                event: Some(AnnounceEvent::Started),
                is_seed: false,
                wanted: 10,
                offers: (0..10).map(offer).collect(),
                tracker_id: None,
            };
            if socket.send(Message::text(message.to_json())).await.is_err() {
                break;
            }
        }
        socket
    });
    is_alive(&tracker).await;
    // Keeps the connection until the others were served.
    drop(within(flood).await.unwrap());
    tracker.has_members(0).await;
    tracker.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_refused_and_the_others_stay() {
    let config = ServerConfig { connections_max: 1, ..Default::default() };
    let tracker = Running::start(config).await;
    let first = Client::start(1, tracker.url());
    let mut member = first.session.join(HASH);
    until(&mut member, &[], swarm_of(1)).await;
    let second = Client::start(2, tracker.url());
    let mut refused = second.session.join(HASH);
    until(&mut refused, &[], |event| matches!(event, TrackerEvent::Failed { .. }).then_some(()))
        .await;
    until(&mut member, &[], swarm_of(1)).await;
    first.stop().await;
    until(&mut refused, &[], swarm_of(1)).await;
    second.stop().await;
    tracker.stop().await;
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_turned_away() {
    let tracker = Running::start(ServerConfig::default()).await;
    let mut stream = TcpStream::connect(tracker.address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    tracker.stop().await;
}

/// A tracker that greets each announce with `replies` and says what it heard.
async fn strange_tracker(replies: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let mut heard = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                heard.push(text.as_str().to_owned());
                for reply in &replies {
                    socket.send(Message::text(reply.as_str())).await.unwrap();
                }
            }
        }
        heard
    });
    (url, task)
}

#[tokio::test]
async fn nonsense_from_a_tracker_is_passed_over_and_its_id_repeated() {
    let counts = Counts { complete: 0, incomplete: 3 };
    let tracker_id = Some("again".to_owned());
    let announced =
        ServerMessage::Announced { hash: HASH, interval_s: Some(1), counts, tracker_id };
    let echo = ServerMessage::Offer { hash: HASH, peer: peer(1), offer: offer(1) };
    let elsewhere =
        ServerMessage::Offer { hash: InfoHash([1; 20]), peer: peer(2), offer: offer(1) };
    let mut replies = vec!["}".to_owned(), "[1]".to_owned(), r#"{"offer":7}"#.to_owned()];
    let long = Offer { sdp: "x".repeat(100_000), ..offer(2) };
    replies.push(ServerMessage::Offer { hash: HASH, peer: peer(2), offer: long }.to_json());
    replies.extend([echo.to_json(), elsewhere.to_json(), announced.to_json()]);
    let (url, tracker) = strange_tracker(replies).await;
    let client = Client::start(1, url);
    let mut member = client.session.join(HASH);
    for _ in 0..3 {
        until(&mut member, &[], |event| {
            assert!(!matches!(event, TrackerEvent::Offer { .. }), "{event:?}");
            swarm_of(3)(event)
        })
        .await;
    }
    client.stop().await;
    let heard = within(tracker).await.unwrap();
    let (first, last) = (&heard[0], heard.last().unwrap());
    assert!(first.contains("started") && !first.contains("again"), "{first}");
    assert!(last.contains("stopped") && last.contains("again"), "{last}");
}

#[tokio::test]
async fn a_refused_swarm_is_not_announced_again() {
    let refusal = ServerMessage::Failure { hash: Some(HASH), reason: "not here".to_owned() };
    let (url, tracker) = strange_tracker(vec![refusal.to_json()]).await;
    let client = Client::start(1, url);
    let mut member = client.session.join(HASH);
    let reason = until(&mut member, &[], |event| match event {
        TrackerEvent::Failed { reason } => Some(reason.clone()),
        _ => None,
    })
    .await;
    assert_eq!(reason, "not here");
    // Needed by no swarm that the tracker accepts, the connection ends by itself.
    let heard = within(tracker).await.unwrap();
    assert_eq!(heard.len(), 1, "{heard:?}");
    client.stop().await;
}

#[tokio::test]
async fn a_tracker_that_sends_too_much_is_left() {
    let (url, tracker) = strange_tracker(vec!["x".repeat(2 << 20)]).await;
    let client = Client::start(1, url);
    let mut member = client.session.join(HASH);
    let reason = until(&mut member, &[], |event| match event {
        TrackerEvent::Failed { reason } => Some(reason.clone()),
        _ => None,
    })
    .await;
    assert!(reason.contains("too long"), "{reason}");
    client.stop().await;
    tracker.abort();
}
