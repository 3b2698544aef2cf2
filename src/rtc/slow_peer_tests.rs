//! What a peer that takes nothing costs its sender. The two talk through a middleman on 127.0.0.1
//! who goes silent, so that nothing is acknowledged from then on.

use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::contract_tests::{loopback, message};
use super::peer::SEND_BUFFER_BYTES_MAX;
use super::{Connector, MESSAGE_BYTES_MAX, RtcError};

/// One of the two ends of the middleman, known to a side as the other.
async fn end() -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap())
}

fn port(sdp: &str) -> u16 {
    let candidate = sdp.lines().find(|line| line.contains(" typ host")).unwrap();
    candidate.split(' ').nth(5).unwrap().parse().unwrap()
}

/// The same description, reached through the middleman.
fn through(sdp: &str, end: &UdpSocket) -> String {
    let at = |port: u16| format!(" 127.0.0.1 {port} ");
    sdp.replace(&at(port(sdp)), &at(end.local_addr().unwrap().port()))
}

async fn pass_on(from: Arc<UdpSocket>, by: Arc<UdpSocket>, to: u16) {
    let mut datagram = vec![0; 65_536];
    while let Ok((bytes, _)) = from.recv_from(&mut datagram).await {
        // What is lost here is sent again.
        let _ = by.send_to(&datagram[..bytes], ("127.0.0.1", to)).await;
    }
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_sent_only_so_much() {
    let tasks = TaskTracker::new();
    let net = loopback(&tasks);
    let silent = CancellationToken::new();
    let (one, other) = (end().await, end().await);
    let offer = net.offer().await.unwrap();
    let answer = net.answer(&through(&offer.sdp, &one)).await.unwrap();
    let there = pass_on(other.clone(), one.clone(), port(&answer.sdp));
    let back = pass_on(one, other.clone(), port(&offer.sdp));
    tokio::spawn(silent.clone().run_until_cancelled_owned(there));
    tokio::spawn(silent.clone().run_until_cancelled_owned(back));
    offer.pending.accept(&through(&answer.sdp, &other)).await.unwrap();
    let (sender, receiver) = tokio::join!(offer.pending.opened(), answer.pending.opened());
    let (sender, receiver) = (sender.unwrap(), receiver.unwrap());

    sender.send(message(1, MESSAGE_BYTES_MAX)).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap(), message(1, MESSAGE_BYTES_MAX));
    silent.cancel();
    // Who finds the buffer not yet full may fill it beyond its size by one message.
    let admitted = SEND_BUFFER_BYTES_MAX / MESSAGE_BYTES_MAX + 1;
    let mut sent = 0;
    let sending = async {
        while sent <= admitted {
            sender.send(message(sent, MESSAGE_BYTES_MAX)).await?;
            sent += 1;
        }
        Ok::<_, RtcError>(())
    };
    let closing = async {
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        sender.close().await;
    };
    let (ended, ()) = tokio::join!(sending, closing);
    assert_eq!(ended, Err(RtcError::Closed), "waits for room until there is no hope of any");
    assert!((1..=admitted).contains(&sent), "{sent}");
}
