//! Whatever happens in whatever order, the laws hold.

use proptest::prelude::*;

use super::world::{BYTES, Event, OriginDoes, PEERS, SEGMENTS, World, connected, origin_acts};
use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    let peer = || (0..PEERS).prop_map(PeerKey);
    prop_oneof![
        8 => any_input().prop_map(Event::Input),
        3 => peer().prop_map(Event::Answers),
        3 => (peer(), 1..150_000u64).prop_map(|(peer, len)| Event::Sends(peer, len)),
        1 => peer().prop_map(Event::Wants),
    ]
}

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
        3 => peer().prop_map(connected),
        1 => peer().prop_map(|peer| Input::Disconnected { peer }),
        9 => (peer(), any_message()).prop_map(|(peer, message)| Input::Heard { peer, message }),
        1 => (peer(), 0..400_000u64).prop_map(|(peer, len)| Input::Received { peer, len }),
        2 => (segment(), 0..BYTES, any::<u64>())
            .prop_map(|(segment, from, end)| Input::Proved { segment, from, end }),
        1 => segment().prop_map(|segment| Input::Unproven { segment }),
        1 => any::<bool>().prop_map(Input::Taking),
        1 => segment().prop_map(|segment| Input::Evicted { segment }),
        2 => (peer(), 0..4u64).prop_map(|(peer, request)| Input::ServeEnded {
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
    let size = || prop_oneof![4 => Just(BYTES), 1 => 0..400_000u64, 1 => any::<u64>()];
    let chunks = || prop::collection::vec(0..11u64, 0..11);
    let at = || prop_oneof![4 => (0..11u64).prop_map(|n| n * CHUNK_BYTES), 1 => any::<u64>()];
    let coming = prop::collection::vec((0..SEGMENTS, 1..4u64), 0..8);
    prop_oneof![
        4 => (ids(), ids())
            .prop_map(|(loaded, loading)| Message::Announcement { loaded, loading }),
        2 => (number(), number(), number())
            .prop_map(|(segment, request, from)| Message::Request { segment, request, from }),
        4 => (number(), number(), at(), at()).prop_map(|(segment, request, from, end)| {
            Message::RequestPart { segment, request, from, end }
        }),
        3 => (number(), size(), number())
            .prop_map(|(segment, size, request)| Message::Data { segment, size, request }),
        3 => (number(), size(), number(), size()).prop_map(|(segment, size, request, total)| {
            Message::Part { segment, size, request, total }
        }),
        4 => (number(), size(), chunks())
            .prop_map(|(segment, total, chunks)| Message::Holding { segment, total, chunks }),
        2 => coming.prop_map(|segments| Message::Coming { segments }),
        1 => (number(), number())
            .prop_map(|(segment, request)| Message::Completed { segment, request }),
        2 => (number(), number())
            .prop_map(|(segment, request)| Message::Absent { segment, request }),
        1 => (number(), number())
            .prop_map(|(segment, request)| Message::Cancel { segment, request }),
    ]
}

fn any_origin() -> impl Strategy<Value = OriginDoes> {
    prop_oneof![
        6 => Just(OriginDoes::Nothing),
        3 => (0..400_000u64).prop_map(OriginDoes::Sends),
        1 => Just(OriginDoes::GivesUp),
        1 => Just(OriginDoes::IsDone),
        1 => Just(OriginDoes::WasWrong),
    ]
}

/// A word of a peer, or the answer that it owes.
fn any_word() -> impl Strategy<Value = Option<Message>> {
    prop_oneof![2 => any_message().prop_map(Some), 1 => Just(None)]
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
        events in prop::collection::vec((0..900u64, any_event(), any_origin()), 1..120),
    ) {
        let mut world = World::new(seed);
        (0..PEERS).for_each(|peer| world.input(connected(PeerKey(peer))));
        for (ms, event, origin) in events {
            world.pass(ms);
            world.event(event);
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
        noise in prop::collection::vec((0..400u64, 0..PEERS, any_word(), 0..40_000u64), 0..60),
        buffered in 0..3u64,
        is_live in any::<bool>(),
    ) {
        let mut world = World::new(seed);
        world.input(timeline(0..SEGMENTS, is_live));
        (0..PEERS).for_each(|peer| world.input(connected(PeerKey(peer))));
        for id in 0..buffered {
            let segment = SegmentId(id);
            world.input(Input::Demanded { segment, player: PLAYER });
            world.input(Input::Completed { segment, size: BYTES });
            world.input(Input::Handed { segment, player: PLAYER });
        }
        let segment = SegmentId(buffered);
        let start = world.now;
        world.input(Input::Demanded { segment, player: PLAYER });
        for (ms, peer, word, len) in noise {
            world.pass(ms);
            let peer = PeerKey(peer);
            match word {
                Some(message) => world.input(Input::Heard { peer, message }),
                None => world.event(Event::Answers(peer)),
            }
            world.event(Event::Sends(peer, len));
        }
        let latest = start + Duration::from_secs(4 * buffered).max(Duration::from_secs(4));
        let rest = latest.saturating_duration_since(world.now);
        world.pass(rest.as_millis() as u64);
        let is_there = world.shell.fetching.contains_key(&segment)
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
