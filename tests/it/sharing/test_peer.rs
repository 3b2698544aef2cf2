//! A peer that the test plays itself: real signalling and a real data channel, any behaviour.

use bytes::Bytes;
use hlswarm::ids::{InfoHash, PeerId};
use hlswarm::playlist::identity::g2_direct;
use hlswarm::rtc::{Connector, Link, MESSAGE_BYTES_MAX, RtcConfig, WebRtcConnector};
use hlswarm::swarm::wire::{Decoded, Decoder, Message, encode};
use hlswarm::tracker::message::{Offer, OfferId};
use hlswarm::tracker::session::{Membership, SessionConfig, Timings, TrackerEvent, TrackerSession};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

/// Longer than anything waited for can take; reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(30);
/// A member that is no browser and no hlswarm.
pub const STRANGER: &[u8; 20] = b"-XX0001-a-test's-own";

/// A member of a swarm that waits to be met; it makes no offers, so whoever comes later does.
pub struct Waiting {
    id: PeerId,
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

/// What the daemon asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub segment: u64,
    pub request: u64,
    /// First byte wanted.
    pub from: u64,
    /// First byte not wanted, where members of our kind are asked for a part.
    pub end: Option<u64>,
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
        Self::join_as(STRANGER, "127.0.0.1", tracker, url).await
    }

    /// The same with an id and a loopback address of one's own.
    pub async fn join_as(id: &[u8; 20], address: &str, tracker: &str, url: &Url) -> Self {
        let hash = g2_direct(url).info_hash;
        Self::join_swarm(PeerId(*id), address.parse().unwrap(), tracker, hash).await
    }

    /// Becomes a member of any swarm.
    pub async fn join_swarm(id: PeerId, address: IpAddr, tracker: &str, hash: InfoHash) -> Self {
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let session = SessionConfig {
            url: tracker.to_owned(),
            peer_id: id,
            origin_header: None,
            timings: Timings::default(),
        };
        let session = TrackerSession::spawn(session, &tasks, cancel.clone());
        let mut membership = session.join(hash);
        loop {
            match timeout(DEADLINE, membership.recv()).await.unwrap().unwrap() {
                TrackerEvent::OffersWanted { .. } => membership.announce(Vec::new()),
                TrackerEvent::Announced { .. } => break,
                // Of somebody who was here before: it is left waiting.
                TrackerEvent::Offer { .. } => {}
                // It tries again by itself, until the tracker is back.
                TrackerEvent::Failed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let connector = WebRtcConnector::new(RtcConfig {
            bind: vec![address],
            // It would be 127.0.0.1 beside the one it is bound to.
            include_loopback: false,
            stun: Vec::new(),
            mdns: None,
            tasks,
        });
        Self { id, membership, connector, guard: cancel.drop_guard(), _session: session }
    }

    /// Offers itself to everybody, and is connected once one of them, the daemon, has answered.
    pub async fn call(mut self) -> TestPeer {
        let link = timeout(DEADLINE, async {
            let mut offers = Vec::new();
            let mut pending = Vec::new();
            // The tracker hands each to another member.
            for number in 0..5 {
                let offer = self.connector.offer().await.unwrap();
                let mut offer_id = OfferId(self.id.0);
                offer_id.0[19] = b'0' + number;
                offers.push(Offer { offer_id, sdp: offer.sdp });
                pending.push((offer_id, offer.pending));
            }
            self.membership.announce(offers);
            loop {
                let event = self.membership.recv().await.unwrap();
                let TrackerEvent::Answer { offer_id, sdp, .. } = event else { continue };
                let (_, pending) = pending.iter().find(|(id, _)| *id == offer_id).unwrap();
                pending.accept(&sdp).await.unwrap();
                break pending.opened().await.unwrap();
            }
        });
        let link = link.await.expect("an answer");
        let decoder = Decoder::default();
        TestPeer { link, decoder, _membership: self.membership, _guard: self.guard }
    }

    /// Answers the first offer, and is connected.
    pub async fn meet(self) -> TestPeer {
        self.try_to_meet().await.expect("a connection")
    }

    /// The same; `None` if nobody offers anything in time, or is gone before it is connected.
    pub async fn try_to_meet(mut self) -> Option<TestPeer> {
        let link = timeout(DEADLINE, async {
            loop {
                let event = self.membership.recv().await?;
                let TrackerEvent::Offer { peer, offer_id, sdp } = event else { continue };
                let answer = self.connector.answer(&sdp).await.ok()?;
                self.membership.answer(peer, offer_id, answer.sdp);
                break answer.pending.opened().await.ok();
            }
        });
        let link = link.await.ok()??;
        let decoder = Decoder::default();
        Some(TestPeer { link, decoder, _membership: self.membership, _guard: self.guard })
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

    /// Waits for a request; `None` once the daemon has hung up.
    pub async fn requested(&mut self) -> Option<Asked> {
        loop {
            let Said::Message(message) = self.hear().await? else { continue };
            match message {
                Message::Request { segment, request, from } => {
                    return Some(Asked { segment, request, from, end: None });
                }
                Message::RequestPart { segment, request, from, end } => {
                    return Some(Asked { segment, request, from, end: Some(end) });
                }
                _ => {}
            }
        }
    }

    /// Sends what was asked for, as if that were the segment.
    pub async fn answer(&self, asked: &Asked, bytes: &Bytes) {
        let Asked { segment, request, from, end } = *asked;
        let total = bytes.len() as u64;
        let end_at = end.unwrap_or(total).min(total);
        let part = bytes.slice(from.min(end_at) as usize..end_at as usize);
        let size = part.len() as u64;
        self.say(&match end {
            None => Message::Data { segment, size, request },
            Some(_) => Message::Part { segment, size, request, total },
        })
        .await;
        self.send(&part).await;
        self.say(&Message::Completed { segment, request }).await;
    }

    /// Whether the daemon has heard everything said so far; `heard` is told what it said meanwhile.
    pub async fn is_heard(&mut self, mut heard: impl FnMut(Message)) {
        let (segment, request) = (u64::from(u32::MAX), 999);
        self.say(&Message::Request { segment, request, from: 0 }).await;
        let answer = Message::Absent { segment, request };
        loop {
            match self.hear().await.expect("an answer") {
                Said::Message(message) if message == answer => return,
                Said::Message(message) => heard(message),
                Said::Payload(_) => panic!("payload nobody asked for"),
            }
        }
    }

    /// Answers every request with what `has` makes of the segment, until the daemon hangs up.
    pub async fn serve(&mut self, has: impl Fn(u64) -> Bytes) {
        while let Some(asked) = self.requested().await {
            self.answer(&asked, &has(asked.segment)).await;
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
