//! Scenarios: inputs at virtual times, outputs as short lines. Nothing here sleeps or connects.

mod demands;
mod kin;
mod laws;
mod patience;
mod peers;
mod pieces;
mod reach;
mod relay;
mod seats;
mod seeding;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::wire::{CHUNK_BYTES, Message};
use super::*;

/// One swarm on a clock of its own.
struct Script {
    swarm: Swarm,
    start: Instant,
    now_ms: u64,
    /// Whether announcements appear among the outputs.
    shows_announcements: bool,
    /// Everything that came out so far.
    log: Vec<String>,
}

/// A part of a segment that a peer was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    peer: u32,
    request: u64,
    from: u64,
    end: u64,
}

impl Part {
    fn len(&self) -> u64 {
        self.end - self.from
    }
}

const PLAYER: PlayerId = PlayerId(1);
/// Bytes of every segment in the scenarios.
const SIZE: u64 = 1_000_000;
/// Chunks of every segment, the last of them short.
const CHUNKS: u64 = SIZE.div_ceil(CHUNK_BYTES);

/// What the scenarios count on, whatever the defaults are tuned to.
fn settings() -> Config {
    Config {
        join_wait: Duration::from_secs(1),
        prefetch: Duration::from_secs(60),
        prefetch_segments: 15,
        origin_margin: Duration::from_millis(900),
        origin_margin_factor: 2.0,
        urgent_first_byte: Duration::from_millis(700),
        ramp_doubling: Duration::from_secs(1),
        rescue_after: Duration::from_secs(5),
        origin_lead: Duration::from_secs(15),
        hold_max: Duration::from_secs(8),
        ..Config::default()
    }
}

impl Script {
    /// A swarm that knows 100 segments of 4 s and is still joining.
    fn joining(is_live: bool) -> Self {
        Self::with(settings(), is_live)
    }

    fn with(config: Config, is_live: bool) -> Self {
        Self::named(PeerId(*b"-HS0001-abcdefghijkl"), config, is_live)
    }

    fn named(me: PeerId, config: Config, is_live: bool) -> Self {
        let start = Instant::now();
        let swarm = Swarm::new(config, me, 7, start);
        let mut script =
            Self { swarm, start, now_ms: 0, shows_announcements: false, log: Vec::new() };
        script.input(timeline(0..100, is_live));
        script
    }

    /// A swarm that has joined and is connected to `peers` that hold nothing yet.
    fn joined(is_live: bool, peers: u32) -> Self {
        let mut script = Self::joining(is_live);
        script.input(Input::Alone);
        (1..=peers).for_each(|peer| drop(script.connect(peer)));
        script
    }

    /// Hands in an input now; what came of it.
    fn input(&mut self, input: Input) -> Vec<String> {
        let now = self.now();
        self.swarm.handle(now, input);
        self.drain()
    }

    /// Lets time pass, with a tick at every deadline; what came of it, each line with its time.
    fn until(&mut self, ms: u64) -> Vec<String> {
        let end = self.start + Duration::from_millis(ms);
        let mut lines = Vec::new();
        for _ in 0..10_000 {
            let Some((at, _)) = self.swarm.deadline().filter(|(at, _)| *at <= end) else {
                self.now_ms = ms;
                return lines;
            };
            // Timers count in milliseconds and never fire early.
            self.now_ms = (at - self.start).as_nanos().div_ceil(1_000_000) as u64;
            let now_ms = self.now_ms;
            lines.extend(self.input(Input::Tick).iter().map(|line| format!("{now_ms} {line}")));
        }
        panic!("the deadline does not move on");
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    fn drain(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.swarm.poll() {
            let is_announcement =
                matches!(output, Output::Say { message: Message::Announcement { .. }, .. });
            if self.shows_announcements || !is_announcement {
                lines.push(line(&output));
            }
        }
        self.log.extend(lines.iter().cloned());
        lines
    }

    /// What came out while that was done.
    fn log_of(&mut self, act: impl FnOnce(&mut Self)) -> Vec<String> {
        let before = self.log.len();
        act(self);
        self.log[before..].to_vec()
    }

    fn connect(&mut self, peer: u32) -> Vec<String> {
        self.input(Input::Connected { peer: PeerKey(peer), id: PeerId([b'x'; 20]) })
    }

    /// A member of our own kind.
    fn connect_kin(&mut self, peer: u32) -> Vec<String> {
        let id = format!("-HS0001-{peer:012}").into_bytes().try_into().unwrap();
        self.input(Input::Connected { peer: PeerKey(peer), id: PeerId(id) })
    }

    fn announce(&mut self, peer: u32, loaded: &[u64], loading: &[u64]) -> Vec<String> {
        let (loaded, loading) = (loaded.to_vec(), loading.to_vec());
        self.hear(peer, Message::Announcement { loaded, loading })
    }

    fn hear(&mut self, peer: u32, message: Message) -> Vec<String> {
        self.input(Input::Heard { peer: PeerKey(peer), message })
    }

    fn data(&mut self, peer: u32, segment: u64, request: u64, size: u64) -> Vec<String> {
        self.hear(peer, Message::Data { segment, size, request })
    }

    fn part(
        &mut self,
        peer: u32,
        segment: u64,
        request: u64,
        size: u64,
        total: u64,
    ) -> Vec<String> {
        self.hear(peer, Message::Part { segment, size, request, total })
    }

    /// It has those chunks; words are gathered for a moment.
    fn holding(&mut self, peer: u32, segment: u64, chunks: &[u64]) -> Vec<String> {
        self.hear(peer, Message::Holding { segment, total: SIZE, chunks: chunks.to_vec() })
    }

    /// It counts on a segment.
    fn coming(&mut self, peer: u32, segment: u64, hops: u64) -> Vec<String> {
        self.hear(peer, Message::Coming { segments: vec![(segment, hops)] })
    }

    /// The playlist says how large segments are.
    fn sized(&mut self) {
        let duration = Duration::from_secs(4);
        let slot = |id| Slot { id: SegmentId(id), duration, size: Some(SIZE) };
        self.input(Input::Timeline { segments: (0..100).map(slot).collect(), is_live: false });
    }

    /// That peer is known to send so many megabytes a second.
    fn quick(&mut self, peer: u32, megabytes: u64) {
        let peer = self.swarm.peers.get_mut(&PeerKey(peer)).unwrap();
        peer.throughput.learn(megabytes * 1_000_000, Duration::from_secs(1));
    }

    fn receive(&mut self, peer: u32, len: u64) -> Vec<String> {
        self.input(Input::Received { peer: PeerKey(peer), len })
    }

    fn demand(&mut self, segment: u64) -> Vec<String> {
        self.input(Input::Demanded { segment: SegmentId(segment), player: PLAYER })
    }

    fn hand(&mut self, segment: u64) -> Vec<String> {
        self.input(Input::Handed { segment: SegmentId(segment), player: PLAYER })
    }

    fn complete(&mut self, segment: u64) -> Vec<String> {
        self.input(Input::Completed { segment: SegmentId(segment), size: SIZE })
    }

    /// Segments 0 to `count` were fetched and handed: the player has that much buffer.
    fn play(&mut self, count: u64) {
        for segment in 0..count {
            self.demand(segment);
            self.complete(segment);
            self.hand(segment);
        }
    }
}

/// The parts that were asked for.
fn parts(lines: &[String]) -> Vec<Part> {
    let part = |line: &String| {
        let (peer, rest) = line.split_once(": request ")?;
        let peer = peer.rsplit(' ').next()?.parse().ok()?;
        let (from, end) = rest.split_once(" from ")?.1.split_once(" to ")?;
        let request = rest.split_once('#')?.1.split(' ').next()?.parse().ok()?;
        Some(Part { peer, request, from: from.parse().ok()?, end: end.parse().ok()? })
    };
    lines.iter().filter_map(part).collect()
}

fn timeline(ids: std::ops::Range<u64>, is_live: bool) -> Input {
    let duration = Duration::from_secs(4);
    let slot = |id| Slot { id: SegmentId(id), duration, size: None };
    Input::Timeline { segments: ids.map(slot).collect(), is_live }
}

fn fetched(segment: u64, len: u64) -> Input {
    Input::Fetched { segment: SegmentId(segment), len, total: Some(SIZE) }
}

fn line(output: &Output) -> String {
    match output {
        Output::Fetch { segment, from, end } => {
            format!("fetch {segment} from {from}{}", behind(*end))
        }
        Output::FetchPiece { segment, from, end } => {
            format!("fetch {segment} from {from} to {end}")
        }
        Output::StopFetch { segment } => format!("stop fetch {segment}"),
        Output::Discard { segment } => format!("discard {segment}"),
        Output::Say { peer, message } => format!("{}: {}", peer.0, said(message)),
        Output::Serve { peer, segment, request, from, end } => {
            format!("{}: serve {segment} #{request} from {from}{}", peer.0, behind(*end))
        }
        Output::StopServe { peer, request } => format!("{}: stop serve #{request}", peer.0),
        Output::Verify { segment } => format!("verify {segment}"),
        Output::Drop { peer, reason } => format!("{}: drop, {reason}", peer.0),
        Output::Fail { segment } => format!("fail {segment}"),
    }
}

fn said(message: &Message) -> String {
    match message {
        Message::Announcement { loaded, loading } => {
            format!("announce {loaded:?} loading {loading:?}")
        }
        Message::Request { segment, request, from } => {
            format!("request {segment} #{request} from {from}")
        }
        Message::RequestPart { segment, request, from, end } => {
            format!("request {segment} #{request} from {from} to {end}")
        }
        Message::Part { segment, size, request, total } => {
            format!("part {segment} #{request} {size} of {total}")
        }
        Message::Holding { segment, total, chunks } => {
            format!("holding {segment} of {total}: {chunks:?}")
        }
        Message::Coming { segments } => format!("coming {segments:?}"),
        Message::Data { segment, size, request } => format!("data {segment} #{request} {size}"),
        Message::Completed { segment, request } => format!("completed {segment} #{request}"),
        Message::Absent { segment, request } => format!("absent {segment} #{request}"),
        Message::Cancel { segment, request } => format!("cancel {segment} #{request}"),
        Message::Hash { segment, .. } => format!("hash of {segment}"),
        Message::Blocks { segment, .. } => format!("blocks of {segment}"),
    }
}

fn behind(end: Option<u64>) -> String {
    end.map_or_else(String::new, |end| format!(" to {end}"))
}

/// No output at all.
const NOTHING: [&str; 0] = [];
