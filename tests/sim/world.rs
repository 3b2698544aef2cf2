//! A network of viewers on one virtual clock: links with rates and delays, an origin, players.
//!
//! Every viewer is a [`Swarm`], unmodified. Links are pipes that send one chunk after the other;
//! there is no loss, no congestion control and no competing traffic. Driven by `main`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use crate::model::{Plan, Report, Viewer};
use hlswarm::ids::{PeerId, PeerKey, PlayerId, SegmentId};
use hlswarm::swarm::wire::Message;
use hlswarm::swarm::{Config, Input, Output, Slot, Swarm};

/// Media time of a segment.
const SEGMENT_MS: u64 = 4_000;
/// Bytes of a segment: 2 Mbit/s.
pub const SEGMENT_BYTES: u64 = 1_000_000;
/// Bytes sent in one go.
const CHUNK_BYTES: u64 = 64 << 10;
/// One way between two peers, and the origin's time to answer.
const PEER_DELAY_MS: u64 = 40;
const ORIGIN_DELAY_MS: u64 = 100;
/// Time until connections to peers are open.
const CONNECT_MS: u64 = 1_500;
/// Bytes per millisecond.
const DOWNLINK: u64 = 5_000;
const UPLINKS: [u64; 3] = [4_000, 1_200, 500];
/// Segments behind the live edge at which a player starts.
const BEHIND_EDGE: u64 = 3;
/// Media a player buffers ahead, as far as there is any.
const BUFFER_MS: u64 = 16_000;
const PLAYER: PlayerId = PlayerId(1);

/// One thing that will happen to a viewer.
#[derive(Debug)]
enum Event {
    Arrive,
    Connect(usize),
    /// The playlist is read again.
    Poll,
    Input(Input),
    /// The origin's next chunk of that fetch is there.
    OriginChunk {
        fetch: u64,
        segment: SegmentId,
        left: u64,
    },
    /// The next chunk of that serve has left for the peer.
    ServeChunk {
        serve: u64,
        to: usize,
        segment: SegmentId,
        request: u64,
        left: u64,
    },
    PeerChunk {
        from: usize,
        request: u64,
        len: u64,
    },
    /// The player wants its next segment.
    Want,
    Wake,
}

/// All viewers and what will happen to them.
pub struct World {
    plan: Plan,
    viewers: Vec<Viewer>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, (usize, Event)>,
    count: u64,
    random: u64,
    start: Instant,
    now_ms: u64,
    report: Report,
}

impl World {
    pub fn new(plan: Plan, seed: u64) -> Self {
        let start = Instant::now();
        let mut world = Self {
            plan,
            viewers: Vec::new(),
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            count: 0,
            random: seed,
            start,
            now_ms: 0,
            report: Report::default(),
        };
        for index in 0..plan.viewers as usize {
            let arrival_ms = plan.arrival_gap_ms * index as u64 + world.draw(500);
            let mut id = [0; 12];
            id.fill_with(|| world.draw(256) as u8);
            let at = start + Duration::from_millis(arrival_ms);
            let swarm = Swarm::new(Config::default(), PeerId::generate(id), seed, at);
            let uplink = UPLINKS[world.draw(3) as usize];
            world.viewers.push(Viewer::new(swarm, uplink, plan.segments));
            world.later(arrival_ms, index, Event::Arrive);
        }
        world
    }

    pub fn run(mut self) -> Report {
        while let Some(Reverse((at_ms, number))) = self.events.pop() {
            let Some((viewer, event)) = self.what.remove(&number) else { continue };
            self.now_ms = at_ms;
            self.happen(viewer, event);
            if self.viewers.iter().all(|v| v.left == 0) {
                break;
            }
        }
        self.report
    }

    fn happen(&mut self, viewer: usize, event: Event) {
        match event {
            Event::Arrive => self.arrive(viewer),
            Event::Connect(other) => {
                for (here, there) in [(viewer, other), (other, viewer)] {
                    let id = PeerId([b'x'; 20]);
                    self.input(here, Input::Connected { peer: PeerKey(there as u32), id });
                }
            }
            Event::Poll => self.poll(viewer),
            Event::Input(input) => self.input(viewer, input),
            Event::OriginChunk { fetch, segment, left } => {
                self.origin_chunk(viewer, fetch, segment, left);
            }
            Event::ServeChunk { serve, to, segment, request, left } => {
                self.serve_chunk(viewer, serve, to, segment, request, left);
            }
            Event::PeerChunk { from, request, len } => self.peer_chunk(viewer, from, request, len),
            Event::Want => self.want(viewer),
            Event::Wake => self.wake(viewer),
        }
    }

    fn arrive(&mut self, viewer: usize) {
        let size = if self.plan.has_peers { viewer as u32 + 1 } else { 0 };
        let greeting = if size > 0 { Input::SwarmSize(size) } else { Input::Alone };
        self.input(viewer, greeting);
        for _ in 0..self.plan.peers_each.min(viewer as u32) {
            let other = self.draw(viewer as u64) as usize;
            if self.plan.has_peers {
                self.later(CONNECT_MS, viewer, Event::Connect(other));
            }
        }
        let edge = self.edge();
        let first = if self.plan.is_live { edge.saturating_sub(BEHIND_EDGE) } else { 0 };
        self.viewers[viewer].next = Some(SegmentId(first));
        self.poll(viewer);
        self.want(viewer);
    }

    /// The segment being made now; those before it are published.
    fn edge(&self) -> u64 {
        if self.plan.is_live { 10 + self.now_ms / SEGMENT_MS } else { self.plan.segments }
    }

    fn poll(&mut self, viewer: usize) {
        let edge = self.edge();
        let first = if self.plan.is_live { edge.saturating_sub(10) } else { 0 };
        let duration = Duration::from_millis(SEGMENT_MS);
        let slot = |id| Slot { id: SegmentId(id), duration, size: None };
        let segments = (first..edge).map(slot).collect();
        self.input(viewer, Input::Timeline { segments, is_live: self.plan.is_live });
        if self.plan.is_live {
            let size = self.viewers.iter().filter(|v| v.next.is_some()).count() as u32;
            if self.plan.has_peers {
                self.input(viewer, Input::SwarmSize(size));
            }
            let next_ms = SEGMENT_MS - self.now_ms % SEGMENT_MS + self.draw(800);
            self.later(next_ms, viewer, Event::Poll);
        }
    }

    fn want(&mut self, viewer: usize) {
        let edge = self.edge();
        let v = &mut self.viewers[viewer];
        let Some(segment) = v.next.filter(|_| v.left > 0 && !v.is_waiting) else { return };
        if segment.0 >= edge {
            return self.later(250, viewer, Event::Want);
        }
        v.is_waiting = true;
        let is_held = v.held.contains(&segment);
        self.input(viewer, Input::Demanded { segment, player: PLAYER });
        if is_held {
            self.hand(viewer, segment);
        }
    }

    /// The player has the segment: it plays on, or plays again.
    fn hand(&mut self, viewer: usize, segment: SegmentId) {
        let now_ms = self.now_ms;
        let v = &mut self.viewers[viewer];
        if !v.is_waiting || v.next != Some(segment) {
            return;
        }
        v.is_waiting = false;
        v.left -= 1;
        v.next = Some(SegmentId(segment.0 + 1));
        if let Some(late_ms) = v.dry_ms.and_then(|dry_ms| now_ms.checked_sub(dry_ms + 1)) {
            self.report.stalls += 1;
            self.report.stalled_ms += late_ms;
        }
        let dry_ms = v.dry_ms.unwrap_or(now_ms).max(now_ms) + SEGMENT_MS;
        v.dry_ms = Some(dry_ms);
        self.report.handed += 1;
        self.later((dry_ms - now_ms).saturating_sub(BUFFER_MS), viewer, Event::Want);
        self.input(viewer, Input::Handed { segment, player: PLAYER });
    }

    fn wake(&mut self, viewer: usize) {
        let now = self.now();
        if self.viewers[viewer].swarm.deadline().is_some_and(|(at, _)| at <= now) {
            self.input(viewer, Input::Tick);
        }
    }

    fn input(&mut self, viewer: usize, input: Input) {
        let now = self.now();
        self.viewers[viewer].swarm.handle(now, input);
        while let Some(output) = self.viewers[viewer].swarm.poll() {
            self.obey(viewer, output);
        }
        if let Some((at, _)) = self.viewers[viewer].swarm.deadline() {
            let wait = at.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
            self.later(wait as u64, viewer, Event::Wake);
        }
    }

    fn obey(&mut self, viewer: usize, output: Output) {
        let v = &mut self.viewers[viewer];
        match output {
            Output::Fetch { segment, from } => {
                self.count += 1;
                let (fetch, left) = (self.count, SEGMENT_BYTES - from);
                v.fetches.insert(segment, fetch);
                self.report.origin_fetches += 1;
                let event = Event::OriginChunk { fetch, segment, left };
                self.later(ORIGIN_DELAY_MS, viewer, event);
            }
            Output::StopFetch { segment } => drop(v.fetches.remove(&segment)),
            Output::Say { peer, message } => {
                if let Message::Request { request, .. } = message {
                    v.asked.insert(peer.0 as usize, request);
                }
                let input = Input::Heard { peer: PeerKey(viewer as u32), message };
                self.later(PEER_DELAY_MS, peer.0 as usize, Event::Input(input));
            }
            Output::Serve { peer, segment, request, from } => {
                self.serve(viewer, peer.0 as usize, segment, request, from);
            }
            Output::StopServe { peer, .. } => drop(v.serves.remove(&(peer.0 as usize))),
            Output::Verify { segment } => {
                v.fetches.remove(&segment);
                self.complete(viewer, segment);
            }
            Output::Drop { peer, .. } => {
                v.serves.remove(&(peer.0 as usize));
                let input = Input::Disconnected { peer: PeerKey(viewer as u32) };
                self.later(PEER_DELAY_MS, peer.0 as usize, Event::Input(input));
            }
            Output::Fail { segment } => panic!("segment {segment} failed"),
            Output::Discard { .. } => {}
        }
    }

    fn complete(&mut self, viewer: usize, segment: SegmentId) {
        self.viewers[viewer].held.insert(segment);
        self.input(viewer, Input::Completed { segment, size: SEGMENT_BYTES });
        self.hand(viewer, segment);
    }

    fn origin_chunk(&mut self, viewer: usize, fetch: u64, segment: SegmentId, left: u64) {
        if self.viewers[viewer].fetches.get(&segment) != Some(&fetch) {
            return;
        }
        let len = left.min(CHUNK_BYTES);
        self.report.origin_bytes += len;
        let total = Some(SEGMENT_BYTES);
        self.input(viewer, Input::Fetched { segment, len, total });
        let is_wanted = self.viewers[viewer].fetches.get(&segment) == Some(&fetch);
        if left == len && is_wanted {
            self.viewers[viewer].fetches.remove(&segment);
            return self.complete(viewer, segment);
        }
        let wait_ms = self.downlink_wait(viewer, len);
        let left = left - len;
        self.later(wait_ms, viewer, Event::OriginChunk { fetch, segment, left });
    }

    fn serve(&mut self, from: usize, to: usize, segment: SegmentId, request: u64, first: u64) {
        if self.plan.are_peers_mute {
            return;
        }
        self.count += 1;
        let (serve, left) = (self.count, SEGMENT_BYTES - first);
        self.viewers[from].serves.insert(to, (serve, request));
        let message = Message::Data { segment: segment.0, size: left, request };
        let input = Input::Heard { peer: PeerKey(from as u32), message };
        self.later(PEER_DELAY_MS, to, Event::Input(input));
        self.later(0, from, Event::ServeChunk { serve, to, segment, request, left });
    }

    fn serve_chunk(
        &mut self,
        from: usize,
        serve: u64,
        to: usize,
        segment: SegmentId,
        request: u64,
        left: u64,
    ) {
        let now_ms = self.now_ms;
        let v = &mut self.viewers[from];
        if v.serves.get(&to) != Some(&(serve, request)) {
            return;
        }
        if left == 0 {
            v.serves.remove(&to);
            let message = Message::Completed { segment: segment.0, request };
            let heard = Input::Heard { peer: PeerKey(from as u32), message };
            self.later(PEER_DELAY_MS + 20, to, Event::Input(heard));
            let peer = PeerKey(to as u32);
            return self.input(from, Input::ServeEnded { peer, request, is_complete: true });
        }
        let len = left.min(CHUNK_BYTES);
        v.up_free_ms = v.up_free_ms.max(now_ms) + len.div_ceil(v.uplink);
        let sent_ms = v.up_free_ms - now_ms;
        let left = left - len;
        let chunk = Event::PeerChunk { from, request, len };
        self.later(sent_ms + PEER_DELAY_MS, to, chunk);
        self.later(sent_ms, from, Event::ServeChunk { serve, to, segment, request, left });
    }

    fn peer_chunk(&mut self, viewer: usize, from: usize, request: u64, len: u64) {
        let peer = PeerKey(from as u32);
        let v = &self.viewers[viewer];
        let is_current = v.asked.get(&from) == Some(&request);
        if is_current && v.swarm.expecting(peer).is_some_and(|e| len <= e.remaining) {
            self.downlink_wait(viewer, len);
            self.report.peer_bytes += len;
            self.input(viewer, Input::Received { peer, len });
        }
    }

    /// Books a chunk on the viewer's downlink; when it will have passed.
    fn downlink_wait(&mut self, viewer: usize, len: u64) -> u64 {
        let v = &mut self.viewers[viewer];
        v.down_free_ms = v.down_free_ms.max(self.now_ms) + len.div_ceil(DOWNLINK);
        v.down_free_ms - self.now_ms
    }

    fn later(&mut self, wait_ms: u64, viewer: usize, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now_ms + wait_ms, self.count)));
        self.what.insert(self.count, (viewer, event));
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) % below.max(1)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }
}
