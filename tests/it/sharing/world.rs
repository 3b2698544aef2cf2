//! What the tests are made of: players, films, trackers and daemons.

use crate::origin::TestOrigin;
use crate::resource::Resource;
use bytes::{Bytes, BytesMut};
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use hlswarm::ids::ByteRange;
use hlswarm::origin::{FetchRequest, Origin, OriginConfig, OriginResponse, Wanted};
use hlswarm::playlist::timeline::Segment;
use hlswarm::playlist::{self, Definitions, Playlist, Timeline, proxy_url};
use hlswarm::tracker::server::{self, ServerConfig};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Longer than anything waited for can take; reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks at what cannot be waited for.
const POLL: Duration = Duration::from_millis(5);
/// One MPEG-TS packet.
pub const PACKET: usize = 188;

/// Settings of a daemon that shares over loopback through these trackers.
pub fn config(trackers: &[&str]) -> Config {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut config = Config::default();
    config.http.listen = SocketAddr::from((loopback, 0));
    config.p2p.trackers = trackers.iter().map(|url| (*url).to_owned()).collect();
    config.p2p.bind = vec![loopback];
    // Whoever joins a swarm with members waits for a word of theirs; a busy machine may take more
    // than the second that is the default.
    config.p2p.join_wait_ms = 5_000;
    config
}

/// A daemon that shares with nobody.
pub async fn lone_daemon() -> Daemon {
    Daemon::start(&config(&[])).await.unwrap()
}

/// A player in front of a daemon.
#[derive(Clone)]
pub struct Player {
    address: SocketAddr,
    agent: String,
    client: Origin,
}

/// What a player got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended before it should have.
    pub is_cut: bool,
}

impl Answer {
    /// A header's value, or "" without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where the bytes came from.
    pub fn source(&self) -> &str {
        self.header("cache-status")
    }
}

impl Player {
    pub fn of(daemon: &Daemon) -> Self {
        Self::at(daemon.local_addr())
    }

    pub fn at(address: SocketAddr) -> Self {
        let client = Origin::new(&OriginConfig::default()).unwrap();
        Self { address, agent: "player".to_owned(), client }
    }

    /// Another player in front of the same daemon.
    pub fn another(&self, agent: &str) -> Self {
        Self { agent: agent.to_owned(), ..Self::at(self.address) }
    }

    /// The local URL of an origin's URL.
    pub fn local(&self, url: &Url) -> Url {
        format!("http://{}{}", self.address, proxy_url::local_path(url, None)).parse().unwrap()
    }

    /// Asks the daemon; the answer's body is still to come.
    pub async fn open(&self, local: &Url, wanted: Wanted) -> OriginResponse {
        assert_eq!(local.port(), Some(self.address.port()), "{local} goes around the daemon");
        let agent = HeaderValue::from_str(&self.agent).unwrap();
        let headers = HeaderMap::from_iter([(USER_AGENT, agent)]);
        let request = FetchRequest { wanted, ..FetchRequest::get(local.clone(), headers) };
        self.client.open(&request).await.unwrap()
    }

    /// Gets a local URL.
    pub async fn fetch(&self, local: &Url, wanted: Wanted) -> Answer {
        finish(self.open(local, wanted).await, BytesMut::new()).await
    }

    /// Gets an origin's URL through the daemon.
    pub async fn get(&self, url: &Url) -> Answer {
        self.fetch(&self.local(url), Wanted::Whole).await
    }

    /// Gets a segment of a timeline that came through the daemon.
    pub async fn segment(&self, segment: &Segment) -> Answer {
        let wanted = segment.range.map_or(Wanted::Whole, as_asked);
        self.fetch(&segment.url, wanted).await
    }

    /// The media playlist at an origin's URL, or the first of a multivariant one.
    pub async fn timeline(&self, url: &Url) -> Timeline {
        let mut local = self.local(url);
        loop {
            match self.playlist(&local).await {
                Playlist::Multivariant(multivariant) => {
                    local = multivariant.variants[0].url.clone()
                }
                Playlist::Media(timeline) => return timeline,
            }
        }
    }

    /// The playlist at a local URL, as it came through the daemon.
    pub async fn playlist(&self, local: &Url) -> Playlist {
        let answer = self.fetch(local, Wanted::Whole).await;
        assert_eq!((answer.status, answer.source()), (200, "hlswarm; fwd=bypass"), "{local}");
        let text = playlist::check(&answer.body).unwrap();
        playlist::read(&text, local, &Definitions::default()).unwrap()
    }

    /// What the daemon says of itself.
    pub async fn stats(&self) -> Value {
        let url = format!("http://{}/api/v1/stats", self.address).parse().unwrap();
        serde_json::from_slice(&self.fetch(&url, Wanted::Whole).await.body).unwrap()
    }

    /// Waits until the daemon says something of itself.
    pub async fn stats_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let stats = self.stats().await;
            if is_so(&stats) {
                return stats;
            }
            assert!(Instant::now() < until, "never {what}: {stats:#}");
            sleep(POLL).await;
        }
    }

    /// Waits until the daemon is connected to a peer.
    pub async fn peer_met(&self) {
        self.stats_until("a peer", |stats| has_any(&stats["peers"])).await;
    }
}

/// Whether a list of the statistics has anything in it.
pub fn has_any(list: &Value) -> bool {
    list.as_array().is_some_and(|list| !list.is_empty())
}

/// Reads an answer to its end; `held` was read of it before.
pub async fn finish(mut response: OriginResponse, mut held: BytesMut) -> Answer {
    let is_cut = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => held.extend_from_slice(&chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    let (status, headers) = (response.status.as_u16(), response.headers.clone());
    Answer { status, headers, body: held.freeze(), is_cut }
}

/// Reads at least `len` bytes of an answer.
pub async fn read(response: &mut OriginResponse, len: usize) -> BytesMut {
    let mut held = BytesMut::new();
    while held.len() < len {
        held.extend_from_slice(&response.chunk().await.unwrap().expect("more bytes"));
    }
    held
}

/// Waits until something is so, asking again and again.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never {what}");
        sleep(POLL).await;
    }
}

/// A range as a player asks for it.
fn as_asked(range: ByteRange) -> Wanted {
    let text = format!("bytes={}-{}", range.offset, range.end() - 1);
    Wanted::AsAsked(HeaderValue::from_str(&text).unwrap())
}

/// Bytes of the form of a transport stream that no other `seed` has.
pub fn transport_stream(packets: usize, seed: u64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(packets * PACKET);
    for packet in 0..packets as u64 {
        let content = (packet ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        bytes.extend_from_slice(&[0x47, 0x40, seed as u8]);
        bytes.extend_from_slice(&content.repeat(PACKET / 8 + 1)[..PACKET - 3]);
    }
    bytes.freeze()
}

/// A film made up for a test: `/film/index.m3u8` and its segments.
pub struct Film {
    pub segments: Vec<Bytes>,
    pub duration_s: u32,
}

impl Film {
    pub fn new(segments: usize, packets: usize) -> Self {
        let segments = (0..segments).map(|n| transport_stream(packets, n as u64)).collect();
        Self { segments, duration_s: 2 }
    }

    /// The origin has it from now on.
    pub fn put(&self, origin: &TestOrigin) -> Url {
        for (number, bytes) in self.segments.iter().enumerate() {
            origin.put(&Self::path(number), self.resource(number));
            assert!(bytes.len().is_multiple_of(PACKET));
        }
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{}\n", self.duration_s);
        for number in 0..self.segments.len() {
            write!(text, "#EXTINF:{},\nseg-{number}.ts\n", self.duration_s).unwrap();
        }
        text.push_str("#EXT-X-ENDLIST\n");
        origin.put("/film/index.m3u8", Resource::playlist(&text));
        origin.url("/film/index.m3u8")
    }

    pub fn path(number: usize) -> String {
        format!("/film/seg-{number}.ts")
    }

    /// A segment at the origin, to be modified.
    pub fn resource(&self, number: usize) -> Resource {
        Resource::new("video/mp2t", self.segments[number].clone())
    }

    pub fn total(&self) -> u64 {
        self.segments.iter().map(|bytes| bytes.len() as u64).sum()
    }

    /// Plays it from beginning to end, as fast as it comes; the sources of the segments.
    pub async fn play(&self, player: &Player, url: &Url) -> Vec<String> {
        let timeline = player.timeline(url).await;
        assert_eq!(timeline.segments.len(), self.segments.len());
        let mut sources = Vec::new();
        for (segment, bytes) in timeline.segments.iter().zip(&self.segments) {
            sources.push(self.expect(player, segment, bytes).await);
        }
        sources
    }

    /// Gets one segment and compares it.
    pub async fn expect(&self, player: &Player, segment: &Segment, bytes: &Bytes) -> String {
        let answer = player.segment(segment).await;
        assert_eq!((answer.status, answer.is_cut), (200, false), "{}", segment.url);
        assert!(answer.body == *bytes, "wrong bytes of {}: {}", segment.url, answer.source());
        answer.source().to_owned()
    }
}

/// The built-in tracker; it ends, with all connections, when dropped.
pub struct Tracker {
    address: SocketAddr,
    cancel: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Tracker {
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let serving = server::serve(listener, ServerConfig::default(), cancel.clone());
        let task = Some(tokio::spawn(async { serving.await.unwrap() }));
        Self { address, cancel, task }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Ends it, with all connections.
    pub async fn stop(&mut self) {
        self.cancel.cancel();
        self.task.take().unwrap().await.unwrap();
    }

    /// Comes back where it was, remembering nobody.
    pub async fn come_back(&mut self) {
        *self = Self::start_at(self.address).await;
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
