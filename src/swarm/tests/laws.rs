//! Whatever happens in whatever order, the laws hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SEGMENTS: u64 = 6;
const PEERS: u32 = 4;

/// What can happen, the hostile included, in any order.
fn any_input() -> impl Strategy<Value = Input> {
    let segment = || (0..SEGMENTS).prop_map(SegmentId);
    let player = || (0..3u64).prop_map(PlayerId);
    let peer = || (0..PEERS).prop_map(PeerKey);
    prop_oneof![
        4 => (segment(), player())
            .prop_map(|(segment, player)| Input::Demanded { segment, player }),
        1 => (segment(), player())
            .prop_map(|(segment, player)| Input::Dismissed { segment, player }),
        2 => (segment(), player()).prop_map(|(segment, player)| Input::Handed { segment, player }),
        3 => peer().prop_map(|peer| Input::Connected { peer, id: PeerId([b'x'; 20]) }),
        1 => peer().prop_map(|peer| Input::Disconnected { peer }),
        9 => (peer(), any_message()).prop_map(|(peer, message)| Input::Heard { peer, message }),
        6 => (peer(), 0..400u64).prop_map(|(peer, len)| Input::Received { peer, len }),
        1 => segment().prop_map(|segment| Input::Unproven { segment }),
        1 => any::<bool>().prop_map(Input::Taking),
        1 => segment().prop_map(|segment| Input::Evicted { segment }),
        1 => (peer(), 0..4u64).prop_map(|(peer, request)| Input::ServeEnded {
            peer,
            request,
            is_complete: true
        }),
        1 => (0..5u64, 0..9u64, any::<bool>())
            .prop_map(|(from, len, is_live)| timeline(from..from + len, is_live)),
        1 => any::<u32>().prop_map(Input::SwarmSize),
        1 => Just(Input::Alone),
        1 => Just(Input::Tick),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let ids = || prop::collection::vec(0..SEGMENTS, 0..8);
    let number = || prop_oneof![9 => 0..SEGMENTS, 1 => any::<u64>()];
    let size = prop_oneof![3 => Just(300u64), 1 => 0..400u64, 1 => any::<u64>()];
    prop_oneof![
        4 => (ids(), ids())
            .prop_map(|(loaded, loading)| Message::Announcement { loaded, loading }),
        2 => (number(), number(), number())
            .prop_map(|(segment, request, from)| Message::Request { segment, request, from }),
        6 => (number(), size, number())
            .prop_map(|(segment, size, request)| Message::Data { segment, size, request }),
        1 => (number(), number())
            .prop_map(|(segment, request)| Message::Completed { segment, request }),
        2 => (number(), number())
            .prop_map(|(segment, request)| Message::Absent { segment, request }),
        1 => (number(), number())
            .prop_map(|(segment, request)| Message::Cancel { segment, request }),
    ]
}

/// The shell's side: what it was told to do, and what players wait for.
#[derive(Default)]
struct Shell {
    fetching: BTreeSet<SegmentId>,
    verifying: BTreeSet<SegmentId>,
    held: BTreeSet<SegmentId>,
    asked: BTreeMap<PeerKey, u64>,
    serving: BTreeMap<PeerKey, u64>,
    waiting: BTreeMap<SegmentId, Vec<PlayerId>>,
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
                self.fetching.remove(segment);
                self.verifying.remove(segment);
                self.waiting.remove(segment);
                self.held.insert(*segment);
            }
            Input::FetchFailed { segment } => drop(self.fetching.remove(segment)),
            Input::Rejected { segment, .. } => drop(self.verifying.remove(segment)),
            Input::Evicted { segment } => drop(self.held.remove(segment)),
            Input::Disconnected { peer } => self.forget(*peer),
            Input::ServeEnded { peer, request, .. } if self.serving.get(peer) == Some(request) => {
                self.serving.remove(peer);
            }
            _ => {}
        }
    }

    fn forget(&mut self, peer: PeerKey) {
        self.asked.remove(&peer);
        self.serving.remove(&peer);
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Fetch { segment, .. } => {
                assert!(self.fetching.insert(segment), "two fetches of {segment}");
                assert!(!self.held.contains(&segment), "{segment} is held");
            }
            Output::StopFetch { segment } => {
                assert!(self.fetching.remove(&segment), "nothing to stop for {segment}");
            }
            Output::Verify { segment } => {
                self.fetching.remove(&segment);
                self.verifying.insert(segment);
            }
            Output::Serve { peer, segment, request, .. } => {
                assert!(self.held.contains(&segment));
                assert_eq!(self.serving.insert(peer, request), None, "two serves to {peer:?}");
                assert!(self.serving.len() <= Config::default().uploads_max);
            }
            Output::StopServe { peer, request } => {
                assert_eq!(self.serving.remove(&peer), Some(request));
            }
            Output::Say { peer, message: Message::Request { request, .. } } => {
                let previous = self.asked.insert(peer, request);
                assert!(previous.is_none_or(|p| p < request), "request numbers only grow");
            }
            Output::Drop { peer, .. } => self.forget(peer),
            Output::Fail { segment } => drop(self.waiting.remove(&segment)),
            Output::Discard { .. } | Output::Say { .. } => {}
        }
    }
}

/// A swarm, its shell, and an origin that always answers.
struct World {
    swarm: Swarm,
    shell: Shell,
    now: Instant,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let me = PeerId(*b"-HS0001-abcdefghijkl");
        let swarm = Swarm::new(Config::default(), me, seed, now);
        let mut world = Self { swarm, shell: Shell::default(), now };
        world.input(timeline(0..SEGMENTS, false));
        world
    }

    fn input(&mut self, input: Input) {
        self.shell.note_input(&input);
        self.swarm.handle(self.now, input);
        while let Some(output) = self.swarm.poll() {
            self.shell.obey(output);
        }
    }

    /// Lets time pass in steps; deadlines are kept.
    fn pass(&mut self, ms: u64) {
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
    fn origin_answers(&mut self) {
        let fetching = self.shell.fetching.clone();
        for segment in fetching.iter().chain(&self.shell.verifying.clone()) {
            if self.shell.fetching.contains(segment) || self.shell.verifying.contains(segment) {
                self.input(Input::Completed { segment: *segment, size: 300 });
            }
        }
    }
}

/// What the origin may do to the segments it was asked for.
#[derive(Clone, Copy, Debug)]
enum OriginDoes {
    Nothing,
    Sends(u64),
    GivesUp,
    IsDone,
    WasWrong,
}

fn any_origin() -> impl Strategy<Value = OriginDoes> {
    prop_oneof![
        6 => Just(OriginDoes::Nothing),
        2 => (0..200u64).prop_map(OriginDoes::Sends),
        1 => Just(OriginDoes::GivesUp),
        1 => Just(OriginDoes::IsDone),
        1 => Just(OriginDoes::WasWrong),
    ]
}

fn origin_acts(world: &mut World, does: OriginDoes) {
    let Some(segment) = world.shell.fetching.first().copied() else {
        if let Some(segment) = world.shell.verifying.first().copied() {
            match does {
                OriginDoes::IsDone => world.input(Input::Completed { segment, size: 300 }),
                OriginDoes::WasWrong => world.input(Input::Rejected { segment, peer: None }),
                _ => {}
            }
        }
        return;
    };
    match does {
        OriginDoes::Nothing | OriginDoes::WasWrong => {}
        OriginDoes::Sends(len) => world.input(Input::Fetched { segment, len, total: Some(300) }),
        OriginDoes::GivesUp => world.input(Input::FetchFailed { segment }),
        OriginDoes::IsDone => world.input(Input::Completed { segment, size: 300 }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_order_of_events_breaks_a_law_or_forgets_a_demand(
        seed in any::<u64>(),
        events in prop::collection::vec((0..900u64, any_input(), any_origin()), 1..120),
    ) {
        let mut world = World::new(seed);
        for (ms, input, origin) in events {
            world.pass(ms);
            world.input(input);
            origin_acts(&mut world, origin);
        }
        // From now on the origin answers: whatever the peers do, every player is served.
        for _ in 0..40 {
            world.origin_answers();
            world.pass(1000);
        }
        world.shell.waiting.retain(|_, players| !players.is_empty());
        prop_assert!(world.shell.waiting.is_empty(), "forgotten: {:?}", world.shell.waiting);
        prop_assert!(world.shell.fetching.is_empty());
    }

    #[test]
    fn the_origin_is_asked_before_the_player_runs_dry_whatever_peers_promise(
        seed in any::<u64>(),
        noise in prop::collection::vec((0..400u64, 0..PEERS, any_message(), 0..40u64), 0..60),
        buffered in 0..3u64,
    ) {
        let mut world = World::new(seed);
        for peer in 0..PEERS {
            world.input(Input::Connected { peer: PeerKey(peer), id: PeerId([b'x'; 20]) });
        }
        for id in 0..buffered {
            let segment = SegmentId(id);
            world.input(Input::Demanded { segment, player: PLAYER });
            world.input(Input::Completed { segment, size: 300 });
            world.input(Input::Handed { segment, player: PLAYER });
        }
        let segment = SegmentId(buffered);
        let start = world.now;
        world.input(Input::Demanded { segment, player: PLAYER });
        for (ms, peer, message, len) in noise {
            world.pass(ms);
            world.input(Input::Heard { peer: PeerKey(peer), message });
            world.input(Input::Received { peer: PeerKey(peer), len });
        }
        let latest = start + Duration::from_secs(4 * buffered).max(Duration::from_secs(4));
        let rest = latest.saturating_duration_since(world.now);
        world.pass(rest.as_millis() as u64);
        let is_there = world.shell.fetching.contains(&segment)
            || world.shell.verifying.contains(&segment)
            || world.shell.held.contains(&segment);
        prop_assert!(is_there, "{:?}", world.swarm.status());
    }

    #[test]
    fn the_same_seed_and_inputs_give_the_same_outputs(
        seed in any::<u64>(),
        events in prop::collection::vec((0..900u64, any_input()), 1..60),
    ) {
        let start = Instant::now();
        let run = || {
            let mut swarm = Swarm::new(Config::default(), PeerId([b'm'; 20]), seed, start);
            let mut at = start;
            let mut log = Vec::new();
            for (ms, input) in &events {
                at += Duration::from_millis(*ms);
                swarm.handle(at, input.clone());
                log.extend(std::iter::from_fn(|| swarm.poll()).map(|o| line(&o)));
                log.push(format!("{:?}", swarm.deadline().map(|(at, why)| (at - start, why))));
            }
            log
        };
        prop_assert_eq!(run(), run());
    }
}
