//! Scenarios: inputs at virtual times, outputs as short lines. Nothing here sleeps or connects.

mod demands;
mod laws;
mod peers;

use std::time::{Duration, Instant};

use super::wire::Message;
use super::*;

/// One swarm on a clock of its own.
struct Script {
    swarm: Swarm,
    start: Instant,
    now_ms: u64,
    /// Whether announcements appear among the outputs.
    shows_announcements: bool,
}

const PLAYER: PlayerId = PlayerId(1);
/// Bytes of every segment in the scenarios.
const SIZE: u64 = 1_000_000;

impl Script {
    /// A swarm that knows 100 segments of 4 s and is still joining.
    fn joining(is_live: bool) -> Self {
        Self::with(Config::default(), is_live)
    }

    fn with(config: Config, is_live: bool) -> Self {
        let start = Instant::now();
        let swarm = Swarm::new(config, PeerId(*b"-HS0001-abcdefghijkl"), 7, start);
        let mut script = Self { swarm, start, now_ms: 0, shows_announcements: false };
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
        lines
    }

    fn connect(&mut self, peer: u32) -> Vec<String> {
        self.input(Input::Connected { peer: PeerKey(peer), id: PeerId([b'x'; 20]) })
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
        Output::Fetch { segment, from } => format!("fetch {segment} from {from}"),
        Output::StopFetch { segment } => format!("stop fetch {segment}"),
        Output::Discard { segment } => format!("discard {segment}"),
        Output::Say { peer, message } => format!("{}: {}", peer.0, said(message)),
        Output::Serve { peer, segment, request, from } => {
            format!("{}: serve {segment} #{request} from {from}", peer.0)
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
        Message::Data { segment, size, request } => format!("data {segment} #{request} {size}"),
        Message::Completed { segment, request } => format!("completed {segment} #{request}"),
        Message::Absent { segment, request } => format!("absent {segment} #{request}"),
        Message::Cancel { segment, request } => format!("cancel {segment} #{request}"),
        Message::Hash { segment, .. } => format!("hash of {segment}"),
    }
}

/// No output at all.
const NOTHING: [&str; 0] = [];
