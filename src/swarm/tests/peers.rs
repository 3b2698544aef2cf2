//! What strangers may do, and what they may not.

use super::*;

fn request(segment: u64, request: u64, from: u64) -> Message {
    Message::Request { segment, request, from }
}

#[test]
fn a_held_segment_is_served_and_everything_else_is_absent() {
    let mut s = Script::joined(false, 1);
    s.complete(5);
    assert_eq!(s.hear(1, request(5, 17, 0)), ["1: serve 5 #17 from 0"]);
    assert_eq!(s.hear(1, request(5, 18, 9)), ["1: stop serve #17", "1: serve 5 #18 from 9"]);
    assert_eq!(s.hear(1, Message::Cancel { segment: 5, request: 17 }), NOTHING);
    assert_eq!(s.hear(1, Message::Cancel { segment: 5, request: 18 }), ["1: stop serve #18"]);
    assert_eq!(s.hear(1, request(6, 19, 0)), ["1: absent 6 #19"]);
    assert_eq!(s.hear(1, request(u64::MAX, 20, 0)), ["1: absent 18446744073709551615 #20"]);
    assert_eq!(s.hear(1, request(5, 21, SIZE)), ["1: absent 5 #21"]);
    s.input(Input::Evicted { segment: SegmentId(5) });
    assert_eq!(s.hear(1, request(5, 22, 0)), ["1: absent 5 #22"]);
}

#[test]
fn four_are_served_side_by_side_and_browsers_beyond_hear_absent_at_once() {
    let mut s = Script::joined(false, 9);
    s.complete(5);
    for peer in 1..=4 {
        assert_eq!(s.hear(peer, request(5, 0, 0)), [format!("{peer}: serve 5 #0 from 0")]);
    }
    assert_eq!(s.hear(9, request(5, 0, 0)), ["9: absent 5 #0"]);
    s.input(Input::ServeEnded { peer: PeerKey(3), request: 0, is_complete: true });
    assert_eq!(s.hear(9, request(5, 1, 0)), ["9: serve 5 #1 from 0"]);
}

#[test]
fn no_more_peers_are_served_than_allowed() {
    let mut s = Script::with(Config { uploads_max: 2, ..settings() }, false);
    s.input(Input::Alone);
    (1..=3).for_each(|peer| drop(s.connect(peer)));
    s.complete(5);
    assert_eq!(s.hear(1, request(5, 0, 0)), ["1: serve 5 #0 from 0"]);
    assert_eq!(s.hear(2, request(5, 0, 0)), ["2: serve 5 #0 from 0"]);
    assert_eq!(s.hear(3, request(5, 0, 0)), ["3: absent 5 #0"]);
}

#[test]
fn with_upload_off_nothing_is_announced_or_served() {
    let config = Config { upload: false, ..settings() };
    let mut s = Script::with(config, false);
    s.shows_announcements = true;
    assert_eq!(s.connect(1), NOTHING);
    s.complete(5);
    assert_eq!(s.until(1000), NOTHING);
    assert_eq!(s.hear(1, request(5, 0, 0)), ["1: absent 5 #0"]);
}

#[test]
fn loading_is_announced_at_once_and_holding_a_moment_later() {
    let mut s = Script::joined(false, 0);
    s.shows_announcements = true;
    s.complete(4);
    s.until(500);
    assert_eq!(s.connect(1), ["1: announce [4] loading []"]);
    assert_eq!(s.demand(5), ["fetch 5 from 0", "1: announce [4] loading [5]"]);
    assert_eq!(s.complete(5), NOTHING);
    assert_eq!(s.complete(7), NOTHING);
    assert_eq!(s.until(1000), ["600 1: announce [4, 5, 7] loading []"]);
}

#[test]
fn held_segments_that_left_the_window_long_ago_are_not_announced() {
    let mut s = Script::joined(true, 0);
    s.shows_announcements = true;
    (0..100).for_each(|id| drop(s.complete(id)));
    s.input(timeline(98..110, true));
    assert_eq!(s.connect(1), ["1: announce [90, 91, 92, 93, 94, 95, 96, 97, 98, 99] loading []"]);
}

#[test]
fn a_header_that_contradicts_the_known_size_ends_the_connection() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    let (id, duration) = (SegmentId(5), Duration::from_secs(4));
    let slot = Slot { id, duration, size: Some(SIZE) };
    s.input(Input::Timeline { segments: vec![slot], is_live: false });
    s.demand(5);
    assert_eq!(s.data(1, 5, 0, SIZE - 1), ["1: drop, broke the protocol", "fetch 5 from 0"]);
}

#[test]
fn two_strangers_that_disagree_about_a_size_leave_it_to_the_origin() {
    let mut s = Script::joined(false, 2);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.data(1, 5, 0, SIZE);
    s.receive(1, 100);
    s.announce(2, &[5], &[]);
    assert_eq!(s.input(Input::Disconnected { peer: PeerKey(1) }), ["2: request 5 #0 from 100"]);
    assert_eq!(s.data(2, 5, 0, SIZE), ["2: cancel 5 #0", "fetch 5 from 100"]);
    assert_eq!(s.swarm.peers().map(|p| p.strikes).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_size_the_origin_contradicts_throws_the_bytes_and_their_sender_away() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.data(1, 5, 0, SIZE + 1);
    s.receive(1, 100);
    s.until(3000);
    let lines = s.input(fetched(5, 10));
    assert_eq!(
        lines,
        ["stop fetch 5", "discard 5", "1: drop, sent bytes that did not verify", "fetch 5 from 0"]
    );
}

#[test]
fn more_bytes_than_announced_end_the_connection() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.data(1, 5, 0, 100);
    assert_eq!(s.receive(1, 101), ["1: drop, sent more bytes than announced", "fetch 5 from 0"]);
}

#[test]
fn a_transfer_called_complete_too_early_ends_the_connection() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.data(1, 5, 0, 100);
    s.receive(1, 99);
    let completed = Message::Completed { segment: 5, request: 0 };
    assert_eq!(s.hear(1, completed), ["1: drop, broke the protocol", "fetch 5 from 99"]);
}

#[test]
fn words_about_a_request_given_up_are_ignored() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.until(3000);
    assert_eq!(s.data(1, 5, 0, SIZE), NOTHING);
    assert_eq!(s.swarm.expecting(PeerKey(1)), None);
    assert_eq!(s.receive(1, 100), NOTHING);
    assert_eq!(s.hear(1, Message::Completed { segment: 5, request: 0 }), NOTHING);
    let never_issued = Message::Completed { segment: 5, request: 1 };
    assert_eq!(s.hear(1, never_issued), ["1: drop, broke the protocol"]);
}

#[test]
fn bytes_that_do_not_verify_cost_the_connection_and_the_origin_is_asked_for_all() {
    let mut s = Script::joined(false, 2);
    s.announce(1, &[5], &[]);
    s.demand(5);
    s.data(1, 5, 0, SIZE);
    s.receive(1, SIZE);
    s.announce(2, &[5], &[]);
    let rejected = Input::Rejected { segment: SegmentId(5), peer: None };
    assert_eq!(s.input(rejected), ["1: drop, sent bytes that did not verify", "fetch 5 from 0"]);
}

#[test]
fn a_peer_that_stalls_three_times_in_a_row_is_dropped() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[1, 2, 3, 4, 5, 6], &[]);
    s.play(1);
    let lines = s.until(20_000);
    let last = lines.last().unwrap();
    assert_eq!(last, "6000 1: drop, failed too often", "{lines:?}");
}

#[test]
fn a_flood_of_announcements_is_a_drop_in_the_end() {
    let mut s = Script::joined(false, 1);
    let outputs: Vec<_> = (0..1000).flat_map(|_| s.announce(1, &[1], &[])).collect();
    assert_eq!(outputs, ["1: drop, talked without end"]);
    assert_eq!(s.announce(1, &[1], &[]), NOTHING);
}

#[test]
fn a_peer_that_gets_three_hundred_segments_at_once_may_say_so() {
    let mut s = Script::joined(false, 1);
    let all: Vec<_> = (0..300).collect();
    for n in 0..300 {
        assert_eq!(s.announce(1, &all[..n], &all[n..n + 1]), NOTHING, "it loads {n}");
        assert_eq!(s.announce(1, &all[..n + 1], &[]), NOTHING, "it has {n}");
    }
    assert!(s.swarm.peers[&PeerKey(1)].holds(SegmentId(299)));
}

#[test]
fn one_peer_too_many_is_not_taken_in() {
    let mut s = Script::joined(false, 128);
    assert_eq!(s.connect(129), ["129: drop, one peer too many"]);
    assert_eq!(s.swarm.peers().count(), 128);
}

#[test]
fn a_peer_on_the_local_network_is_asked_first() {
    let mut s = Script::joined(false, 3);
    s.input(Input::Near { peer: PeerKey(2) });
    for peer in [1, 2, 3] {
        s.announce(peer, &[50], &[]);
    }
    assert_eq!(s.demand(50), ["2: request 50 #0 from 0"]);
}

#[test]
fn only_a_fetch_that_a_player_needs_soon_is_a_hurry() {
    let mut s = Script::joined(false, 1);
    s.play(5);
    assert!(!s.swarm.is_in_a_hurry());
    s.demand(5);
    assert!(!s.swarm.is_in_a_hurry(), "there are 20 seconds in hand");
    let mut s = Script::joined(false, 1);
    assert_eq!(s.demand(0), ["fetch 0 from 0"]);
    assert!(s.swarm.is_in_a_hurry());
    s.complete(0);
    assert!(!s.swarm.is_in_a_hurry());
}

#[test]
fn what_cannot_be_proved_is_asked_of_the_origin_and_nobody_is_dropped() {
    let mut s = Script::joined(false, 1);
    s.hear(1, Message::Announcement { loaded: vec![5], loading: vec![] });
    assert_eq!(s.demand(5), ["1: request 5 #0 from 0"]);
    s.hear(1, Message::Data { segment: 5, size: SIZE, request: 0 });
    let lines = s.input(Input::Received { peer: PeerKey(1), len: SIZE });
    assert_eq!(lines, ["verify 5"]);
    assert_eq!(s.input(Input::Unproven { segment: SegmentId(5) }), ["fetch 5 from 0"]);
    assert_eq!(s.complete(5), NOTHING);
}

#[test]
fn from_whom_nothing_is_taken_nothing_is_asked() {
    let mut s = Script::joined(false, 1);
    s.hear(1, Message::Announcement { loaded: vec![5, 6], loading: vec![] });
    s.input(Input::Taking(false));
    assert_eq!(s.demand(5), ["fetch 5 from 0"]);
    s.complete(5);
    assert_eq!(s.hear(1, request(5, 9, 0)), ["1: serve 5 #9 from 0"]);
    assert_eq!(s.input(Input::Taking(true)), ["1: request 6 #0 from 0"], "ahead of the player");
}
