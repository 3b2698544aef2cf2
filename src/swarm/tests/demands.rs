//! Where demanded segments come from, and when that changes.

use super::*;

#[test]
fn alone_the_origin_is_asked_at_once_and_once() {
    let mut s = Script::joining(false);
    s.input(Input::Alone);
    assert_eq!(s.demand(5), ["fetch 5 from 0"]);
    let second = Input::Demanded { segment: SegmentId(5), player: PlayerId(2) };
    assert_eq!(s.input(second), NOTHING);
    assert_eq!(s.input(fetched(5, SIZE)), NOTHING);
    assert_eq!(s.complete(5), NOTHING);
    assert_eq!(s.demand(5), NOTHING);
    assert_eq!(s.until(10_000), NOTHING);
}

#[test]
fn a_swarm_just_joined_is_given_a_second_to_answer() {
    let mut s = Script::joining(false);
    s.input(Input::SwarmSize(12));
    assert_eq!(s.demand(5), NOTHING);
    assert_eq!(s.until(999), NOTHING);
    assert_eq!(s.until(2000), ["1000 fetch 5 from 0"]);
}

#[test]
fn a_tracker_that_knows_nobody_ends_the_wait() {
    let mut s = Script::joining(false);
    s.demand(5);
    assert_eq!(s.input(Input::SwarmSize(1)), ["fetch 5 from 0"]);
}

#[test]
fn the_first_announcement_ends_the_wait_and_its_sender_is_asked() {
    let mut s = Script::joining(false);
    s.demand(5);
    s.connect(1);
    assert_eq!(s.announce(1, &[], &[]), NOTHING);
    assert_eq!(s.announce(1, &[5], &[]), ["1: request 5 #0 from 0"]);
    assert_eq!(s.data(1, 5, 0, SIZE), NOTHING);
    assert_eq!(
        s.swarm.expecting(PeerKey(1)),
        Some(Expected { segment: SegmentId(5), offset: 0, remaining: SIZE, total: Some(SIZE) })
    );
    assert_eq!(s.receive(1, SIZE), ["verify 5"]);
    assert_eq!(s.swarm.expecting(PeerKey(1)), None);
    assert_eq!(s.hear(1, Message::Completed { segment: 5, request: 0 }), NOTHING);
    assert_eq!(s.complete(5), NOTHING);
    assert_eq!(s.swarm.peers().map(|p| p.segments_given).sum::<u64>(), 1);
}

#[test]
fn an_urgent_demand_gives_a_silent_peer_short_patience() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    assert_eq!(s.demand(5), ["1: request 5 #0 from 0"]);
    assert_eq!(s.until(3000), ["700 1: cancel 5 #0", "700 fetch 5 from 0"]);
    assert_eq!(s.swarm.peers().map(|p| p.strikes).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_urgent_demand_leaves_a_slow_peer_and_keeps_its_bytes() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.data(1, 5, 0, SIZE);
    s.until(100);
    s.receive(1, 10_000);
    s.until(200);
    s.receive(1, 10_000);
    assert_eq!(s.until(3000), ["700 1: cancel 5 #0", "700 fetch 5 from 20000"]);
    assert_eq!(s.input(fetched(5, SIZE - 20_000)), ["verify 5"]);
}

#[test]
fn a_demand_with_time_waits_for_a_neighbour_that_is_loading_it() {
    let mut s = Script::joined(false, 1);
    s.play(2);
    s.announce(1, &[], &[2]);
    assert_eq!(s.demand(2), NOTHING);
    s.until(1000);
    assert_eq!(s.announce(1, &[2], &[]), ["1: request 2 #0 from 0"]);
}

#[test]
fn a_demand_with_time_goes_to_the_origin_when_nobody_has_it() {
    let mut s = Script::joined(false, 1);
    s.play(2);
    s.announce(1, &[50], &[]);
    assert_eq!(s.demand(2), ["fetch 2 from 0"]);
}

#[test]
fn what_is_missing_just_before_due_comes_from_the_origin() {
    let mut s = Script::joined(false, 1);
    s.play(4);
    s.announce(1, &[], &[4]);
    s.demand(4);
    // Nobody waits longer than 8 s; 1 MB and more are expected, at 2 MB/s or better.
    let lines = s.until(8000);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (at, what) = lines[0].split_once(' ').unwrap();
    assert_eq!(what, "fetch 4 from 0");
    assert!((5000..7000).contains(&at.parse::<u64>().unwrap()), "{at}");
}

/// A peer sends the next segment, a fiftieth of it every `step_ms`, to a player that has `count`.
fn sent_in_fiftieths(count: u64, step_ms: u64) -> Vec<String> {
    let mut s = Script::joined(false, 1);
    s.play(count);
    s.announce(1, &[], &[count]);
    s.demand(count);
    s.announce(1, &[count], &[]);
    s.data(1, count, 0, SIZE);
    let before = s.log.len();
    for step in 1..=50 {
        s.until(step * step_ms);
        s.receive(1, SIZE / 50);
    }
    s.log.split_off(before)
}

#[test]
fn a_transfer_on_time_is_left_alone_up_to_the_end() {
    assert_eq!(sent_in_fiftieths(4, 150), ["verify 4"]);
}

#[test]
fn a_player_that_has_little_of_a_recording_is_left_to_quick_peers_only() {
    // Of 4 s of media 3 s are quick enough for its buffer to grow.
    assert_eq!(sent_in_fiftieths(2, 55), ["verify 2"]);
    let lines = sent_in_fiftieths(2, 65);
    assert!(lines[1].starts_with("fetch 2 from "), "{lines:?}");
}

#[test]
fn a_player_that_has_little_of_a_recording_does_not_wait_long_for_a_peer() {
    let mut s = Script::joined(false, 1);
    s.play(2);
    s.announce(1, &[], &[2]);
    s.demand(2);
    assert_eq!(s.until(7000), ["2000 fetch 2 from 0"]);
}

#[test]
fn falls_back_to_the_next_holder_and_then_the_origin_when_peers_stall() {
    let mut s = Script::joined(false, 2);
    s.play(3);
    s.announce(1, &[], &[3]);
    s.demand(3);
    assert_eq!(s.announce(1, &[3], &[]), ["1: request 3 #0 from 0"]);
    s.announce(2, &[3], &[]);
    let lines = s.until(9000);
    let words: Vec<_> = lines.iter().map(|l| l.split(' ').nth(2).unwrap()).collect();
    assert_eq!(words, ["cancel", "request", "cancel", "3"], "{lines:?}");
    assert!(lines[3].ends_with("fetch 3 from 0"), "{lines:?}");
    assert_eq!(s.swarm.peers().map(|p| p.strikes).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn an_absent_segment_is_asked_of_the_next_holder_at_once() {
    let mut s = Script::joined(false, 2);
    s.announce(1, &[5], &[]);
    assert_eq!(s.demand(5), ["1: request 5 #0 from 0"]);
    s.announce(2, &[5], &[]);
    let absent = Message::Absent { segment: 5, request: 0 };
    assert_eq!(s.hear(1, absent.clone()), ["2: request 5 #0 from 0"]);
    assert_eq!(s.hear(2, absent), ["fetch 5 from 0"]);
}

#[test]
fn a_busy_holder_is_asked_again_while_there_is_time() {
    let mut s = Script::joined(false, 1);
    s.play(3);
    s.announce(1, &[], &[3]);
    s.demand(3);
    assert_eq!(s.announce(1, &[3], &[]), ["1: request 3 #0 from 0"]);
    s.announce(1, &[3], &[]);
    s.connect(2);
    s.announce(2, &[], &[3]);
    assert_eq!(s.hear(1, Message::Absent { segment: 3, request: 0 }), NOTHING);
    assert_eq!(s.announce(1, &[3], &[]), NOTHING);
    assert_eq!(s.until(2000), ["1000 1: request 3 #1 from 0"]);
}

#[test]
fn an_origin_that_gives_up_is_replaced_by_a_holder_who_goes_on_from_there() {
    let mut s = Script::joined(false, 0);
    s.demand(5);
    s.input(fetched(5, 300));
    s.connect(1);
    s.announce(1, &[5], &[]);
    let failed = Input::FetchFailed { segment: SegmentId(5) };
    assert_eq!(s.input(failed.clone()), ["1: request 5 #0 from 300"]);
    assert_eq!(
        s.input(Input::Disconnected { peer: PeerKey(1) }),
        ["fail 5", "discard 5"],
        "nobody is left"
    );
}

#[test]
fn nobody_to_ask_fails_the_segment_and_a_new_demand_starts_afresh() {
    let mut s = Script::joined(false, 0);
    s.demand(5);
    assert_eq!(s.input(Input::FetchFailed { segment: SegmentId(5) }), ["fail 5"]);
    assert_eq!(s.demand(5), ["fetch 5 from 0"]);
}

#[test]
fn a_reader_that_leaves_ends_the_fetch_unless_another_stays() {
    let mut s = Script::joined(false, 0);
    let other = PlayerId(2);
    s.demand(5);
    s.input(Input::Demanded { segment: SegmentId(5), player: other });
    s.input(fetched(5, 300));
    let gone = |player| Input::Dismissed { segment: SegmentId(5), player };
    assert_eq!(s.input(gone(PLAYER)), NOTHING);
    assert_eq!(s.input(gone(other)), ["stop fetch 5", "discard 5"]);
}

#[test]
fn one_of_two_requests_of_a_player_may_leave() {
    let mut s = Script::joined(false, 0);
    s.demand(5);
    s.demand(5);
    let gone = Input::Dismissed { segment: SegmentId(5), player: PLAYER };
    assert_eq!(s.input(gone.clone()), NOTHING);
    assert_eq!(s.input(gone.clone()), ["stop fetch 5"]);
    assert_eq!(s.input(gone), NOTHING);
}

#[test]
fn what_peers_hold_is_fetched_ahead_and_becomes_a_demand() {
    let mut s = Script::joined(false, 2);
    s.announce(1, &[1, 2, 30], &[]);
    s.announce(2, &[2], &[]);
    s.demand(0);
    assert_eq!(s.swarm.status().from_peers, 2);
    s.complete(0);
    s.hand(0);
    s.data(1, 1, 0, SIZE);
    s.receive(1, 100);
    assert_eq!(s.demand(1), NOTHING, "it is on its way already");
    assert_eq!(s.receive(1, SIZE - 100), ["verify 1"]);
}

#[test]
fn fetching_ahead_ends_when_the_player_has_gone() {
    let mut s = Script::joined(false, 1);
    s.play(1);
    assert_eq!(s.announce(1, &[1], &[]), ["1: request 1 #0 from 0"]);
    s.data(1, 1, 0, SIZE);
    for step in 1..12 {
        s.until(step * 1000);
        assert_eq!(s.receive(1, 100), NOTHING, "{step}");
    }
    let lines = s.until(13_000);
    assert_eq!(lines, ["12000 1: cancel 1 #0", "12000 discard 1"]);
}

#[test]
fn a_live_segment_nobody_has_waits_for_its_turn_on_the_ramp() {
    let mut s = Script::joining(true);
    s.input(timeline(0..3, true));
    s.input(Input::SwarmSize(1000));
    s.connect(1);
    s.announce(1, &[1], &[]);
    s.play(3);
    s.input(timeline(0..4, true));
    let now = s.demand(3);
    let lines = s.until(9000);
    assert_eq!(now.len() + lines.len(), 1, "{now:?} {lines:?}");
    assert!(lines[0].ends_with("fetch 3 from 0"));
    assert!(!lines[0].starts_with("1 "));
}

#[test]
fn seats_on_a_live_swarm_are_few_but_never_none() {
    let (mut at_once, mut in_five_seconds, mut in_all) = (0, 0, 0);
    for member in 0..200u8 {
        let start = Instant::now();
        let mut me = [b'm'; 20];
        me[19] = member;
        let mut swarm = Swarm::new(settings(), PeerId(me), 1, start);
        let mut handle = |ms, input| {
            swarm.handle(start + Duration::from_millis(ms), input);
            let mut outputs = std::iter::from_fn(|| swarm.poll());
            outputs.any(|o| matches!(o, Output::Fetch { segment: SegmentId(10), .. }))
        };
        let loaded = vec![1];
        let hello = Message::Announcement { loaded, loading: vec![] };
        handle(0, timeline(0..10, true));
        handle(0, Input::SwarmSize(200));
        handle(0, Input::Connected { peer: PeerKey(1), id: PeerId([b'x'; 20]) });
        handle(0, Input::Heard { peer: PeerKey(1), message: hello });
        for id in 7..10 {
            let segment = SegmentId(id);
            handle(0, Input::Demanded { segment, player: PLAYER });
            handle(0, Input::Completed { segment, size: SIZE });
            handle(0, Input::Handed { segment, player: PLAYER });
        }
        let listed = handle(1, timeline(1..11, true));
        let demanded = Input::Demanded { segment: SegmentId(10), player: PLAYER };
        at_once += u32::from(handle(1, demanded) || listed);
        in_five_seconds += u32::from(handle(5_001, Input::Tick));
        in_all += u32::from(handle(11_000, Input::Tick));
    }
    // Half a seat at first, as no uplink is known yet; twice as many each second.
    assert!(at_once <= 4, "{at_once} fetched at once");
    assert!((6..=30).contains(&in_five_seconds), "{in_five_seconds} fetched in five seconds");
    assert_eq!(at_once + in_five_seconds + in_all, 200, "each member's turn comes");
}

#[test]
fn a_live_segment_is_brought_to_the_swarm_before_anybody_asks_for_it() {
    let mut s = Script::joined(true, 2);
    s.input(Input::SwarmSize(3));
    s.play(98);
    s.announce(1, &[97], &[]);
    s.announce(2, &[97], &[]);
    // Whoever's turn it is: in the end every member's.
    let fetched =
        |lines: &[String], id: u64| lines.iter().any(|l| l.contains(&format!("fetch {id} ")));
    assert!(fetched(&s.until(60_000), 98), "its turn comes");
    let mut s = Script::joined(true, 2);
    s.input(Input::SwarmSize(3));
    s.play(98);
    s.announce(1, &[97], &[98, 99]);
    assert!(!fetched(&s.until(4999), 98), "a neighbour is loading it");
    assert!(fetched(&s.until(60_000), 98), "it never came");
}

#[test]
fn who_gives_nothing_fetches_nothing_ahead_from_the_origin() {
    let mut s = Script::with(Config { upload: false, ..settings() }, true);
    s.input(Input::Alone);
    s.connect(1);
    s.play(98);
    s.announce(1, &[97], &[]);
    assert_eq!(s.until(30_000), NOTHING);
}

#[test]
fn what_the_origin_refuses_ahead_of_a_player_it_is_asked_again_for_the_player() {
    let failed = || Input::FetchFailed { segment: SegmentId(98) };
    let fetches = |lines: &[String]| lines.iter().any(|line| line.contains("fetch 98 "));
    for fails_before_the_demand in [true, false] {
        let mut s = Script::joined(true, 2);
        s.input(Input::SwarmSize(3));
        s.play(98);
        s.announce(1, &[97], &[]);
        s.announce(2, &[97], &[]);
        assert!((1..40).any(|n| fetches(&s.until(s.now_ms.max(n * 500)))), "its turn comes");
        let mut lines = if fails_before_the_demand {
            s.input(failed());
            s.demand(98)
        } else {
            s.demand(98);
            s.input(failed())
        };
        lines.extend(s.until(s.now_ms + 20_000));
        assert!(fetches(&lines), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("fail")), "{lines:?}");
        assert_eq!(s.input(failed()), ["fail 98"]);
    }
}
