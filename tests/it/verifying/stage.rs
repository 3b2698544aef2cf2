//! A daemon in the swarm of a film, and one peer that holds all of it but the beginning.

use crate::origin::TestOrigin;
use crate::resource::Resource;
use crate::sharing::test_peer::{TestPeer, Waiting};
use crate::sharing::world::{Film, Player, Tracker, config};
use bytes::Bytes;
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use hlswarm::playlist::Timeline;
use hlswarm::verify::digest::sha256;
use serde_json::{Map, Value, json};

pub const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
/// Where a hash list is looked for.
pub const BESIDE: &str = "/film/segments-sha256.json";

/// The daemon, its player, and everything around it.
pub struct Stage {
    pub origin: TestOrigin,
    pub film: Film,
    pub player: Player,
    pub timeline: Timeline,
    pub daemon: Daemon,
    _tracker: Tracker,
}

impl Stage {
    /// It is set before the player has asked for any segment; `set` changes what the origin has
    /// and how the daemon is set.
    pub async fn set(
        segments: usize,
        set: impl FnOnce(&TestOrigin, &Film, &mut Config),
    ) -> (Self, TestPeer) {
        let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
        let film = Film::new(segments, 1_000);
        let url = film.put(&origin);
        let mut config = config(&[&tracker.url()]);
        set(&origin, &film, &mut config);
        let waiting = Waiting::join(&tracker.url(), &url).await;
        let daemon = Daemon::start(&config).await.unwrap();
        let player = Player::of(&daemon);
        let timeline = player.timeline(&url).await;
        let peer = waiting.meet().await;
        player.peer_met().await;
        (Self { origin, film, player, timeline, daemon, _tracker: tracker }, peer)
    }

    /// The player gets one segment; where it came from.
    pub async fn play(&self, number: usize) -> String {
        let (segment, bytes) = (&self.timeline.segments[number], &self.film.segments[number]);
        self.film.expect(&self.player, segment, bytes).await
    }

    /// The player gets the first segment from the origin, and the peer claims to hold the others:
    /// from now on they are asked for, ahead of the player.
    pub async fn begin(&self, peer: &TestPeer) {
        peer.announce(&(1..self.film.segments.len() as u64).collect::<Vec<_>>()).await;
        assert_eq!(self.play(0).await, FROM_ORIGIN);
    }

    /// Waits until `n` segments are proved by `what`.
    pub async fn proved(&self, what: &str, n: usize) -> Value {
        let is_so = |stats: &Value| stats["streams"][0]["checked_by"][what] == n;
        self.player.stats_until(what, is_so).await
    }

    /// Requests for segments behind the first: those for all of one or its end, and those for
    /// slices.
    pub fn asked(&self) -> (usize, usize) {
        let paths = (1..self.film.segments.len()).map(Film::path);
        let seen: Vec<_> = paths.flat_map(|path| self.origin.requests_for(&path)).collect();
        let gets = seen.iter().filter(|seen| seen.method == http::Method::GET);
        let (slices, fetches): (Vec<_>, Vec<_>) = gets.partition(|seen| seen.is_slice());
        (fetches.len(), slices.len())
    }
}

/// Answers all requests for segments of `film` until the daemon leaves, each as `change` says.
pub async fn serve(peer: &mut TestPeer, film: &[Bytes], change: impl Fn(usize, Bytes) -> Bytes) {
    while let Some(asked) = peer.requested().await {
        let number = asked.segment as usize;
        peer.answer(&asked, &change(number, film[number].clone())).await;
    }
}

/// A peer that is honest for as long as the test lasts.
pub fn serve_honestly(mut peer: TestPeer, film: &Film) -> tokio::task::JoinHandle<()> {
    let film = film.segments.clone();
    tokio::spawn(async move { serve(&mut peer, &film, |_, bytes| bytes).await })
}

/// A hash list of the film.
pub fn hash_list(film: &Film) -> Resource {
    let hash =
        |bytes: &Bytes| sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let files = film.segments.iter().enumerate();
    let files: Map<_, _> =
        files.map(|(n, bytes)| (format!("seg-{n}.ts"), json!(hash(bytes)))).collect();
    Resource::new("application/json", Value::Object(files).to_string())
}
