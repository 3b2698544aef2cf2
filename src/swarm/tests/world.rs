//! A swarm with a shell that does what it is told, checks that it may, and knows which bytes of
//! segments are here. What happens is up to `laws`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::ranges::Ranges;
use super::*;

pub(super) const SEGMENTS: u64 = 6;
pub(super) const PEERS: u32 = 6;
/// Bytes of every segment: eleven chunks, the last of them short.
pub(super) const BYTES: u64 = 700_000;

/// What can happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Anything, the hostile included.
    Input(Input),
    /// A peer heads what it was asked for, as it should.
    Answers(PeerKey),
    /// A peer sends so many bytes of what it was asked for, and no more than that.
    Sends(PeerKey, u64),
    /// A peer asks for what is here of a segment that is still arriving.
    Wants(PeerKey),
}

/// Peers of even keys are of our own kind.
pub(super) fn connected(peer: PeerKey) -> Input {
    let id = if peer.0.is_multiple_of(2) { *b"-HS0001-mnopqrstuvwx" } else { [b'x'; 20] };
    Input::Connected { peer, id: PeerId(id) }
}

/// The shell's side: what it was told to do, what of segments is here, and what players wait for.
#[derive(Default)]
pub(super) struct Shell {
    /// Segments the origin sends, where its next byte belongs, and where a piece ends.
    pub(super) fetching: BTreeMap<SegmentId, (u64, Option<u64>)>,
    pub(super) verifying: BTreeSet<SegmentId>,
    pub(super) held: BTreeSet<SegmentId>,
    here: BTreeMap<SegmentId, Ranges>,
    /// What may be passed on: from the origin, or proved.
    good: BTreeMap<SegmentId, Ranges>,
    asked: BTreeMap<PeerKey, u64>,
    serving: BTreeMap<PeerKey, u64>,
    pub(super) waiting: BTreeMap<SegmentId, Vec<PlayerId>>,
}

impl Shell {
    fn note_input(&mut self, input: &Input) {
        match input {
            Input::Demanded { segment, player } if !self.held.contains(segment) => {
                self.waiting.entry(*segment).or_default().push(*player);
            }
            Input::Dismissed { segment, player } => {
                let Some(players) = self.waiting.get_mut(segment) else { return };
                if let Some(at) = players.iter().position(|p| p == player) {
                    players.remove(at);
                }
            }
            Input::Completed { segment, .. } => {
                self.throw_away(*segment);
                self.fetching.remove(segment);
                self.verifying.remove(segment);
                self.waiting.remove(segment);
                self.held.insert(*segment);
            }
            Input::Fetched { segment, len, .. } => {
                let Some((at, end)) = self.fetching.get_mut(segment) else { return };
                self.good.entry(*segment).or_default().insert(*at..*at + len);
                *at += len;
                if end.is_some_and(|end| *at >= end) {
                    self.fetching.remove(segment);
                }
            }
            Input::Proved { segment, from, end } => {
                let Some(here) = self.here.get(segment) else { return };
                let good = self.good.entry(*segment).or_default();
                let proved = *from..*end;
                here.common(&[proved]).into_iter().for_each(|range| good.insert(range));
            }
            Input::FetchFailed { segment } => drop(self.fetching.remove(segment)),
            Input::Rejected { segment, .. } | Input::Unproven { segment } => {
                self.throw_away(*segment);
                self.verifying.remove(segment);
            }
            Input::Evicted { segment } => drop(self.held.remove(segment)),
            Input::Disconnected { peer } => self.forget(*peer),
            Input::ServeEnded { peer, request, .. } if self.serving.get(peer) == Some(request) => {
                self.serving.remove(peer);
            }
            _ => {}
        }
    }

    fn throw_away(&mut self, segment: SegmentId) {
        self.here.remove(&segment);
        self.good.remove(&segment);
    }

    fn forget(&mut self, peer: PeerKey) {
        self.asked.remove(&peer);
        self.serving.remove(&peer);
    }

    fn begin(&mut self, segment: SegmentId, from: u64, end: Option<u64>) {
        let before = self.fetching.insert(segment, (from, end));
        assert_eq!(before, None, "two fetches of {segment}");
        assert!(!self.held.contains(&segment), "{segment} is held");
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Fetch { segment, from, .. } => self.begin(segment, from, None),
            Output::FetchPiece { segment, from, end } => {
                assert!(from < end && end <= Config::default().segment_bytes_max);
                self.begin(segment, from, Some(end));
            }
            Output::StopFetch { segment } => {
                let stopped = self.fetching.remove(&segment);
                assert!(stopped.is_some(), "nothing to stop for {segment}");
            }
            Output::Verify { segment } => {
                self.fetching.remove(&segment);
                self.verifying.insert(segment);
            }
            Output::Serve { peer, segment, request, from, end } => {
                let here = self.good.get(&segment).zip(end);
                let is_good = here.is_some_and(|(good, end)| {
                    from < end.min(BYTES) && good.contains(&(from..end.min(BYTES)))
                });
                assert!(self.held.contains(&segment) || is_good, "{segment} {from} {end:?}");
                assert_eq!(self.serving.insert(peer, request), None, "two serves to {peer:?}");
                assert!(self.serving.len() <= Config::default().uploads_max);
            }
            Output::StopServe { peer, request } => {
                assert_eq!(self.serving.remove(&peer), Some(request));
            }
            Output::Say {
                peer,
                message: Message::Request { request, .. } | Message::RequestPart { request, .. },
            } => {
                let previous = self.asked.insert(peer, request);
                assert!(previous.is_none_or(|p| p < request), "request numbers only grow");
            }
            Output::Say { peer, message } => {
                let is_kin = peer.0.is_multiple_of(2);
                assert!(is_kin || !message.is_for_kin(), "{peer:?} does not know {message:?}");
            }
            Output::Drop { peer, .. } => self.forget(peer),
            Output::Fail { segment } => drop(self.waiting.remove(&segment)),
            Output::Discard { segment } => self.throw_away(segment),
        }
    }
}

/// A swarm, its shell, and an origin that always answers.
pub(super) struct World {
    pub(super) swarm: Swarm,
    pub(super) shell: Shell,
    pub(super) now: Instant,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::now();
        let me = PeerId(*b"-HS0001-abcdefghijkl");
        let swarm = Swarm::new(Config::default(), me, seed, now);
        let mut world = Self { swarm, shell: Shell::default(), now };
        world.input(timeline(0..SEGMENTS, false));
        world
    }

    pub(super) fn input(&mut self, input: Input) {
        self.shell.note_input(&input);
        if let Input::Received { peer, len } = input
            && let Some(expected) = self.swarm.expecting(peer).filter(|e| len <= e.remaining)
        {
            let here = self.shell.here.entry(expected.segment).or_default();
            here.insert(expected.offset..expected.offset + len);
        }
        self.swarm.handle(self.now, input);
        while let Some(output) = self.swarm.poll() {
            self.shell.obey(output);
        }
        self.check_asked();
    }

    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.input(input),
            Event::Answers(peer) => {
                let download = self.swarm.peers.get(&peer).and_then(|peer| peer.download);
                let Some(download) = download.filter(|d| d.from < BYTES) else { return };
                let (segment, request) = (download.segment.0, download.request);
                let message = match download.end {
                    Some(end) => {
                        let size = end.min(BYTES) - download.from;
                        Message::Part { segment, size, request, total: BYTES }
                    }
                    None => Message::Data { segment, size: BYTES - download.from, request },
                };
                self.input(Input::Heard { peer, message });
            }
            Event::Sends(peer, len) => {
                let Some(expected) = self.swarm.expecting(peer) else { return };
                self.input(Input::Received { peer, len: len.min(expected.remaining) });
            }
            Event::Wants(peer) => {
                let mut here = self.shell.here.iter();
                let Some((segment, range)) = here.find_map(|(id, r)| Some((id, r.iter().next()?)))
                else {
                    return;
                };
                let Range { start: from, end } = *range;
                let message = Message::RequestPart { segment: segment.0, request: 0, from, end };
                self.input(Input::Heard { peer, message });
            }
        }
    }

    /// No byte is asked of two peers at once, and none of more of them than makes sense.
    fn check_asked(&self) {
        for (segment, transfer) in &self.swarm.transfers {
            let mut asked: Vec<_> = transfer
                .asked
                .values()
                .map(|asked| asked.from..asked.end.unwrap_or(u64::MAX))
                .collect();
            asked.extend(transfer.piece.map(|piece| piece.at..piece.end));
            asked.sort_by_key(|range| range.start);
            assert!(asked.iter().zip(asked.iter().skip(1)).all(|(a, b)| a.end <= b.start));
            assert!(asked.iter().all(|range| range.start < range.end), "{segment}: {asked:?}");
        }
    }

    /// Lets time pass in steps; deadlines are kept.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        for _ in 0..10_000 {
            match self.swarm.deadline() {
                Some((at, _)) if at <= end => {
                    self.now = self.now.max(at) + Duration::from_millis(1);
                    self.input(Input::Tick);
                }
                _ => {
                    self.now = self.now.max(end);
                    return;
                }
            }
        }
        panic!("the deadline does not move on");
    }

    /// The origin answers everything, and every check ends well.
    pub(super) fn origin_answers(&mut self) {
        let fetching: Vec<_> = self.shell.fetching.keys().copied().collect();
        for segment in fetching.into_iter().chain(self.shell.verifying.clone()) {
            let fetch = self.shell.fetching.get(&segment).copied();
            if let Some((_, Some(end))) = fetch
                && end > BYTES
            {
                self.input(Input::FetchFailed { segment });
            } else if let Some((at, Some(end))) = fetch {
                self.input(Input::Fetched { segment, len: end - at, total: Some(BYTES) });
            } else if fetch.is_some() || self.shell.verifying.contains(&segment) {
                self.input(Input::Completed { segment, size: BYTES });
            }
        }
    }
}

/// What the origin may do to the segments it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum OriginDoes {
    Nothing,
    Sends(u64),
    GivesUp,
    IsDone,
    WasWrong,
}

pub(super) fn origin_acts(world: &mut World, does: OriginDoes) {
    let next = world.shell.fetching.iter().next();
    let Some((segment, at, end)) = next.map(|(id, (at, end))| (*id, *at, *end)) else {
        if let Some(segment) = world.shell.verifying.first().copied() {
            match does {
                OriginDoes::IsDone => world.input(Input::Completed { segment, size: BYTES }),
                OriginDoes::WasWrong => world.input(Input::Rejected { segment, peer: None }),
                _ => {}
            }
        }
        return;
    };
    let is_behind = end.is_some_and(|end| end > BYTES);
    match does {
        OriginDoes::Nothing | OriginDoes::WasWrong => {}
        // Peers lied about the size.
        _ if is_behind => world.input(Input::FetchFailed { segment }),
        OriginDoes::Sends(len) => {
            let len = end.map_or(len, |end| len.min(end - at));
            world.input(Input::Fetched { segment, len, total: Some(BYTES) });
        }
        OriginDoes::GivesUp => world.input(Input::FetchFailed { segment }),
        OriginDoes::IsDone => match end {
            None => world.input(Input::Completed { segment, size: BYTES }),
            Some(end) => {
                world.input(Input::Fetched { segment, len: end - at, total: Some(BYTES) });
            }
        },
    }
}
