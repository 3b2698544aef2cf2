//! The contract of the traits, checked against both connectors: real ones over loopback, and the
//! one in memory. No test waits for the clock or opens anything but 127.0.0.1.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use sha1::{Digest, Sha1};
use tokio_util::task::TaskTracker;

use super::memory::MemoryNet;
use super::{
    Connector, GATHER_TIMEOUT, Link, MESSAGE_BYTES_MAX, Path, Pending, RtcConfig, RtcError,
    WebRtcConnector,
};

/// More than every buffer between a sender and a receiver that does not read: the crate's queue of
/// 256 messages, both SCTP buffers, sockets.
const MESSAGES_UNREAD_MAX: usize = 400;

pub(super) fn loopback(tasks: &TaskTracker) -> WebRtcConnector {
    WebRtcConnector::new(RtcConfig {
        bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        include_loopback: true,
        stun: Vec::new(),
        mdns: None,
        tasks: tasks.clone(),
    })
}

struct Pair {
    offerer: Arc<dyn Link>,
    answerer: Arc<dyn Link>,
}

async fn connect(net: &dyn Connector) -> Pair {
    let offer = net.offer().await.unwrap();
    let answer = net.answer(&offer.sdp).await.unwrap();
    offer.pending.accept(&answer.sdp).await.unwrap();
    let (offerer, answerer) = tokio::join!(offer.pending.opened(), answer.pending.opened());
    assert_eq!(offer.pending.opened().await.err(), Some(RtcError::Closed), "only once");
    Pair { offerer: offerer.unwrap(), answerer: answerer.unwrap() }
}

pub(super) fn message(seed: usize, len: usize) -> Bytes {
    (0..len).map(|i| (i.wrapping_mul(31) ^ seed.wrapping_mul(17) ^ (i >> 8)) as u8).collect()
}

async fn carries_messages_in_order_both_ways(net: &dyn Connector) {
    let Pair { offerer, answerer } = connect(net).await;
    assert_eq!((offerer.path(), answerer.path()), (Path::Host, Path::Host));
    for (from, to) in [(&offerer, &answerer), (&answerer, &offerer)] {
        let sending = async {
            for i in 0..100 {
                from.send(message(i, 1 + i * 7)).await.unwrap();
            }
            from.send(message(1, MESSAGE_BYTES_MAX)).await.unwrap();
            let too_long = from.send(message(1, MESSAGE_BYTES_MAX + 1)).await;
            assert_eq!(too_long, Err(RtcError::TooLong(MESSAGE_BYTES_MAX + 1)));
        };
        let receiving = async {
            for i in 0..100 {
                assert_eq!(to.receive().await.unwrap(), message(i, 1 + i * 7));
            }
            assert_eq!(to.receive().await.unwrap(), message(1, MESSAGE_BYTES_MAX));
        };
        tokio::join!(sending, receiving);
    }
}

async fn transfers_thirty_megabytes_intact(net: &dyn Connector) {
    const BYTES: usize = 30_000_000;
    let Pair { offerer, answerer } = connect(net).await;
    let sender = tokio::spawn(async move {
        let mut sent = Sha1::new();
        let mut left = BYTES;
        while left > 0 {
            let next = message(left, left.min(MESSAGE_BYTES_MAX));
            left -= next.len();
            sent.update(&next);
            offerer.send(next).await.unwrap();
        }
        (sent.finalize(), offerer)
    });
    let (mut received, mut bytes) = (Sha1::new(), 0);
    while bytes < BYTES {
        let next = answerer.receive().await.unwrap();
        bytes += next.len();
        received.update(&next);
    }
    assert_eq!(bytes, BYTES);
    assert_eq!(received.finalize(), sender.await.unwrap().0);
}

async fn a_sender_waits_for_a_receiver_that_does_not_read(net: &dyn Connector) {
    let Pair { offerer, answerer } = connect(net).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let sender = tokio::spawn(async move {
        loop {
            let next = message(counter.load(Ordering::SeqCst), MESSAGE_BYTES_MAX);
            if offerer.send(next).await.is_err() {
                return;
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    // The receiver reads far fewer than the sender could have sent meanwhile.
    for i in 0..5 {
        assert_eq!(answerer.receive().await.unwrap(), message(i, MESSAGE_BYTES_MAX));
    }
    assert!(sent.load(Ordering::SeqCst) < MESSAGES_UNREAD_MAX);
    answerer.close().await;
    sender.await.unwrap();
    assert!(sent.load(Ordering::SeqCst) < MESSAGES_UNREAD_MAX);
}

async fn closing_is_seen_by_the_other_side(net: &dyn Connector) {
    let Pair { offerer, answerer } = connect(net).await;
    offerer.close().await;
    assert_eq!(offerer.send(message(1, 10)).await, Err(RtcError::Closed));
    assert_eq!(offerer.receive().await, None);
    assert_eq!(answerer.receive().await, None);
    assert_eq!(answerer.send(message(1, 10)).await, Err(RtcError::Closed));
}

async fn a_link_dropped_in_mid_transfer_ends_the_other(net: &dyn Connector) {
    let Pair { offerer, answerer } = connect(net).await;
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        while offerer.send(message(sent, MESSAGE_BYTES_MAX)).await.is_ok() {
            sent += 1;
        }
    });
    answerer.receive().await.unwrap();
    drop(answerer);
    sender.await.unwrap();
}

async fn unusable_descriptions_are_errors(net: &dyn Connector) {
    for garbage in ["", "garbage", "v=0\r\n", "{\"type\":\"offer\"}", "\u{0}"] {
        assert!(matches!(net.answer(garbage).await.err(), Some(RtcError::Sdp(_))), "{garbage:?}");
        let offer = net.offer().await.unwrap();
        let accepted = offer.pending.accept(garbage).await;
        assert!(matches!(accepted, Err(RtcError::Sdp(_))), "{garbage:?}");
    }
}

async fn an_unanswered_offer_can_be_closed(net: &dyn Connector) {
    let offer = net.offer().await.unwrap();
    let pending: Arc<dyn Pending> = offer.pending.into();
    let waiting = Arc::clone(&pending);
    let opened = tokio::spawn(async move { waiting.opened().await.err() });
    pending.close().await;
    assert_eq!(opened.await.unwrap(), Some(RtcError::Closed));
}

async fn an_offer_given_up_half_way_leaves_nothing_behind(net: &dyn Connector) {
    // One poll: enough to have begun.
    drop(net.offer().now_or_never());
}

macro_rules! contract {
    ($($check:ident),* $(,)?) => {
        mod over_webrtc {
            use super::*;
            $(#[tokio::test]
            async fn $check() {
                let tasks = TaskTracker::new();
                super::$check(&loopback(&tasks)).await;
                // Every connection was closed or dropped, so every task of the crate ends; and
                // with its driver, each connection's sockets.
                tasks.close();
                tasks.wait().await;
            })*
        }
        mod in_memory {
            use super::*;
            $(#[tokio::test]
            async fn $check() {
                let net = MemoryNet::new();
                super::$check(&net).await;
                assert_eq!(net.pending(), 0);
            })*
        }
    };
}

contract!(
    carries_messages_in_order_both_ways,
    transfers_thirty_megabytes_intact,
    a_sender_waits_for_a_receiver_that_does_not_read,
    closing_is_seen_by_the_other_side,
    a_link_dropped_in_mid_transfer_ends_the_other,
    unusable_descriptions_are_errors,
    an_unanswered_offer_can_be_closed,
    an_offer_given_up_half_way_leaves_nothing_behind,
);

#[tokio::test]
async fn a_link_knows_the_socket_on_the_other_side() {
    let tasks = TaskTracker::new();
    let net = loopback(&tasks);
    let offer = net.offer().await.unwrap();
    let answer = net.answer(&offer.sdp).await.unwrap();
    offer.pending.accept(&answer.sdp).await.unwrap();
    let (offerer, answerer) = tokio::join!(offer.pending.opened(), answer.pending.opened());
    for (link, described) in [(offerer.unwrap(), answer.sdp), (answerer.unwrap(), offer.sdp)] {
        let remote = link.remote().expect("an address");
        let named = format!(" 127.0.0.1 {} typ host", remote.port());
        assert!(remote.ip().is_loopback() && described.contains(&named), "{remote}");
        assert!(link.is_near());
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_leaves_in_time_when_a_stun_server_is_silent() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tasks = TaskTracker::new();
    let stun = vec![format!("stun:{}", silent.local_addr().unwrap())];
    let bind = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let config = RtcConfig { bind, include_loopback: true, stun, mdns: None, tasks: tasks.clone() };
    let began = tokio::time::Instant::now();
    let offer = WebRtcConnector::new(config).offer().await.unwrap();
    assert!(offer.sdp.contains(" typ host"), "with what is known by then");
    assert_eq!(began.elapsed().as_secs(), GATHER_TIMEOUT.as_secs());
}
