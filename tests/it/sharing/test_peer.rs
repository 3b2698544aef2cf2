//! A peer that the test plays itself: real signalling and a real data channel, any behaviour.

use super::world::DEADLINE;
use bytes::Bytes;
use hlswarm::ids::{InfoHash, PeerId};
use hlswarm::playlist::identity::g2_direct;
use hlswarm::rtc::{Connector, Link, MESSAGE_BYTES_MAX, RtcConfig, WebRtcConnector};
use hlswarm::swarm::wire::{Decoded, Decoder, Message, encode};
use hlswarm::tracker::session::{Membership, SessionConfig, Timings, TrackerEvent, TrackerSession};
use std::sync::Arc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

/// A member of a swarm that waits to be met; it makes no offers, so whoever comes later does.
pub struct Waiting {
    membership: Membership,
    connector: WebRtcConnector,
    guard: DropGuard,
    _session: TrackerSession,
}

/// The test's end of a connection to a daemon.
pub struct TestPeer {
    link: Arc<dyn Link>,
    decoder: Decoder,
    _membership: Membership,
    _guard: DropGuard,
}

/// What the daemon sent.
#[derive(Debug)]
pub enum Said {
    Message(Message),
    Payload(Bytes),
}

impl Waiting {
    /// Becomes a member of the swarm of the media playlist at `url`.
    pub async fn join(tracker: &str, url: &Url) -> Self {
        Self::join_swarm(tracker, g2_direct(url).info_hash).await
    }

    async fn join_swarm(tracker: &str, hash: InfoHash) -> Self {
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let session = SessionConfig {
            url: tracker.to_owned(),
            peer_id: PeerId(*b"-XX0001-a-test's-own"),
            origin_header: None,
            timings: Timings::default(),
        };
        let session = TrackerSession::spawn(session, &tasks, cancel.clone());
        let mut membership = session.join(hash);
        loop {
            match timeout(DEADLINE, membership.recv()).await.unwrap().unwrap() {
                TrackerEvent::OffersWanted => membership.announce(Vec::new()),
                TrackerEvent::Announced { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        let connector = WebRtcConnector::new(RtcConfig {
            bind: vec!["127.0.0.1".parse().unwrap()],
            include_loopback: true,
            stun: Vec::new(),
            mdns: false,
            tasks,
        });
        Self { membership, connector, guard: cancel.drop_guard(), _session: session }
    }

    /// Answers the first offer, and is connected.
    pub async fn meet(mut self) -> TestPeer {
        let link = timeout(DEADLINE, async {
            loop {
                let event = self.membership.recv().await.unwrap();
                let TrackerEvent::Offer { peer, offer_id, sdp } = event else { continue };
                let answer = self.connector.answer(&sdp).await.unwrap();
                self.membership.answer(peer, offer_id, answer.sdp);
                break answer.pending.opened().await.unwrap();
            }
        });
        let link = link.await.expect("a connection");
        let decoder = Decoder::default();
        TestPeer { link, decoder, _membership: self.membership, _guard: self.guard }
    }
}

impl TestPeer {
    /// What the daemon says next; `None` once it has closed the connection.
    pub async fn hear(&mut self) -> Option<Said> {
        loop {
            let received = timeout(DEADLINE, self.link.receive()).await.expect("a word")?;
            match self.decoder.decode(&received) {
                Decoded::Message(message) => return Some(Said::Message(message)),
                Decoded::Payload => return Some(Said::Payload(received)),
                Decoded::Partial => {}
                Decoded::Ignored(error) => panic!("the daemon said something unknown: {error}"),
            }
        }
    }

    /// Waits for a request: segment, its number, and the first byte wanted.
    pub async fn requested(&mut self) -> Option<(u64, u64, u64)> {
        loop {
            if let Said::Message(Message::Request { segment, request, from }) = self.hear().await? {
                return Some((segment, request, from));
            }
        }
    }

    /// Says something; a daemon that has closed the connection hears it no more.
    pub async fn say(&self, message: &Message) {
        for part in encode(message, MESSAGE_BYTES_MAX) {
            let _gone = self.link.send(part.into()).await;
        }
    }

    /// Claims to hold these segments.
    pub async fn announce(&self, loaded: &[u64]) {
        self.say(&Message::Announcement { loaded: loaded.to_vec(), loading: Vec::new() }).await;
    }

    /// Sends payload, in as many messages as it takes.
    pub async fn send(&self, bytes: &Bytes) {
        for chunk in bytes.chunks(MESSAGE_BYTES_MAX) {
            let _gone = self.link.send(bytes.slice_ref(chunk)).await;
        }
    }

    /// Ends the connection.
    pub async fn close(&self) {
        self.link.close().await;
    }
}
