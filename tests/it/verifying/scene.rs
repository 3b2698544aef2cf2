//! A daemon, its player, and members of its swarm that the test plays.

use crate::origin::TestOrigin;
use crate::sharing::test_peer::{TestPeer, Waiting};
use crate::sharing::world::{Film, Player, Tracker, config};
use bytes::Bytes;
use futures_util::future::join_all;
use hlswarm::daemon::Daemon;
use hlswarm::playlist::Timeline;
use hlswarm::swarm::wire::Message;
use hlswarm::verify::digest::sha256;
use url::Url;

/// Packets of a segment.
pub const PACKETS: usize = 1_000;
/// What the daemon answers with when peers brought the segment.
pub const FROM_PEERS: &str = "hlswarm; fwd=miss; detail=peers";

/// A member: its id, and a loopback address of its own.
pub type Member = (&'static [u8; 20], &'static str);

pub struct Scene {
    pub origin: TestOrigin,
    pub film: Film,
    pub url: Url,
    pub player: Player,
    pub timeline: Timeline,
    pub tracker: Tracker,
    _daemon: Daemon,
}

impl Scene {
    /// A daemon connected to these members, which hold nothing yet.
    pub async fn set(segments: usize, members: &[Member]) -> (Self, Vec<TestPeer>) {
        Self::of(Film::new(segments, PACKETS), members).await
    }

    /// The same with that film.
    pub async fn of(film: Film, members: &[Member]) -> (Self, Vec<TestPeer>) {
        let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
        let url = film.put(&origin);
        let tracked = tracker.url();
        let joining =
            members.iter().map(|(id, address)| Waiting::join_as(id, address, &tracked, &url));
        let waiting = join_all(joining).await;
        let daemon = Daemon::start(&config(&[&tracked])).await.unwrap();
        let player = Player::of(&daemon);
        let timeline = player.timeline(&url).await;
        let peers = join_all(waiting.into_iter().map(Waiting::meet)).await;
        (Self { origin, film, url, player, timeline, tracker, _daemon: daemon }, peers)
    }

    /// Gets a segment, and compares it with the origin's; where it came from.
    pub async fn expect(&self, number: usize) -> String {
        let bytes = &self.film.segments[number];
        self.film.expect(&self.player, &self.timeline.segments[number], bytes).await
    }

    /// Gets a segment while that peer answers requests as it likes.
    pub async fn expect_from(
        &self,
        number: usize,
        peer: &mut TestPeer,
        has: impl Fn(u64) -> Bytes,
    ) -> String {
        let serving = async {
            peer.serve(has).await;
            std::future::pending().await
        };
        tokio::select! {
            source = self.expect(number) => source,
            () = serving => unreachable!("it is pending"),
        }
    }

    /// Waits until so many peers are left.
    pub async fn left(&self, peers: usize) {
        let is_so = |stats: &serde_json::Value| stats["peers"].as_array().unwrap().len() == peers;
        self.player.stats_until("that many peers", is_so).await;
    }

    /// Segments thrown away so far.
    pub async fn rejected(&self) -> u64 {
        self.player.stats().await["totals"]["rejected_segments"].as_u64().unwrap()
    }
}

/// Claims to have had these bytes from the origin.
pub async fn claim(peer: &mut TestPeer, segment: u64, bytes: &[u8]) {
    let sha256 = sha256(bytes);
    peer.say(&Message::Hash { segment, sha256, is_from_origin: true }).await;
    peer.is_heard(|_| {}).await;
}
