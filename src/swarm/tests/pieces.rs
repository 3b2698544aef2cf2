//! What the origin is asked for of segments that peers bring too.

use super::*;

/// Segment 5 is waited for, with 20 s of buffer, and comes from two members of our own kind, too
/// slowly. Runs until the origin is asked.
fn too_late_for_peers() -> (Script, Vec<String>) {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.play(5);
    for peer in [1, 2] {
        s.connect_kin(peer);
        s.announce(peer, &[5], &[]);
    }
    s.demand(5);
    let mut answered = 0;
    for ms in (0..20_000).step_by(250) {
        s.until(ms);
        let asked = parts(&s.log.clone());
        for part in &asked[answered..] {
            s.part(part.peer, 5, part.request, part.len(), SIZE);
        }
        answered = asked.len();
        (1..=2).for_each(|peer| drop(s.receive(peer, 1000)));
        let fetched: Vec<_> = s.log.iter().filter(|l| l.contains("fetch 5 ")).cloned().collect();
        if !fetched.is_empty() {
            return (s, fetched);
        }
    }
    panic!("the origin was not asked: {:?}", s.log);
}

/// The piece that was asked for.
fn piece(line: &str) -> (u64, u64) {
    let (from, end) = line.split_once(" from ").unwrap().1.split_once(" to ").unwrap();
    (from.parse().unwrap(), end.parse().unwrap())
}

fn is_for_everything(line: &str) -> bool {
    line.starts_with("fetch 5 from ") && !line.contains(" to ")
}

#[test]
fn a_late_segment_is_asked_of_the_origin_in_pieces_while_peers_go_on() {
    let (mut s, fetched_first) = too_late_for_peers();
    let (from, end) = piece(&fetched_first[0]);
    assert!((1..=SIZE / 2).contains(&(end - from)), "{fetched_first:?}");
    let log = s.log.clone();
    let asked = parts(&log);
    let beside = |part: &&Part| part.end <= from || end <= part.from;
    assert!(asked.iter().any(|part| beside(&part)), "{asked:?}");
    let lines = s.input(fetched(5, end - from));
    assert!(!lines.iter().any(|line| line.contains("verify")), "{lines:?}");
    s.until(s.now_ms + 8000);
    assert!(s.log.iter().filter(|line| line.starts_with("fetch 5")).count() >= 2, "{:?}", s.log);
}

#[test]
fn an_origin_that_brings_no_piece_is_asked_for_everything_at_once() {
    let (mut s, fetched_first) = too_late_for_peers();
    piece(&fetched_first[0]);
    let lines = s.input(Input::FetchFailed { segment: SegmentId(5) });
    assert!(lines.iter().any(|line| is_for_everything(line)), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("fail")), "{lines:?}");
}

#[test]
fn a_slow_origin_is_asked_once_for_everything_that_is_left() {
    let (mut s, fetched_first) = too_late_for_peers();
    let (from, end) = piece(&fetched_first[0]);
    s.log.clear();
    s.until(s.now_ms + 900);
    let lines = s.input(fetched(5, end - from));
    let rest: Vec<_> = lines.iter().filter(|line| line.starts_with("fetch 5")).collect();
    assert!(rest.len() == 1 && is_for_everything(rest[0]), "{lines:?}");
}

#[test]
fn a_segment_made_of_pieces_alone_is_whole_in_the_end() {
    let (mut s, fetched_first) = too_late_for_peers();
    let (from, end) = piece(&fetched_first[0]);
    s.input(Input::Disconnected { peer: PeerKey(1) });
    s.input(Input::Disconnected { peer: PeerKey(2) });
    let lines = s.input(fetched(5, end - from));
    let all: Vec<_> = s.log.iter().filter(|line| line.starts_with("fetch 5")).cloned().collect();
    assert_eq!(all.len(), 2, "the second is for the rest: {lines:?}");
    s.complete(5);
    assert_eq!(s.swarm.status().from_origin, 0);
}

/// A live member that has heard for long that all around have the same half of segment 98.
fn stuck(told: &[(u32, u64)]) -> Vec<String> {
    let mut s = Script::named(PeerId(*b"-HS0001-abcdefghijkl"), settings(), true);
    s.input(timeline(0..98, true));
    s.input(Input::SwarmSize(3));
    for peer in [1, 2] {
        s.connect_kin(peer);
        s.announce(peer, &[97], &[]);
    }
    s.play(98);
    s.until(1000);
    s.input(timeline(1..99, true));
    for (peer, total) in told {
        let chunks = (0..CHUNKS / 2).collect();
        s.hear(*peer, Message::Holding { segment: 98, total: *total, chunks });
    }
    s.log_of(|s| drop(s.until(12_000))).into_iter().filter(|l| l.starts_with("fetch 98")).collect()
}

#[test]
fn of_what_others_have_in_part_only_the_missing_is_brought_to_them() {
    let fetched = stuck(&[(1, SIZE), (2, SIZE)]);
    let (from, end) = piece(&fetched[0]);
    assert!(from >= CHUNKS / 2 * CHUNK_BYTES && end <= SIZE, "{fetched:?}");
}

#[test]
fn where_others_do_not_agree_on_the_size_everything_is_fetched() {
    assert_eq!(stuck(&[(1, SIZE), (2, SIZE * 50)]), ["fetch 98 from 0"]);
    assert_eq!(stuck(&[(1, u64::MAX / 8), (2, u64::MAX / 8)]), ["fetch 98 from 0"]);
}

#[test]
fn an_origin_without_ranges_is_not_asked_for_pieces_for_long() {
    let mut s = Script::joined(false, 0);
    s.sized();
    for _ in 0..5 {
        s.swarm.piece_failures += 1;
    }
    s.play(5);
    for peer in [1, 2] {
        s.connect_kin(peer);
        s.announce(peer, &[5], &[]);
    }
    s.demand(5);
    s.until(s.now_ms + 25_000);
    let fetched: Vec<_> = s.log.iter().filter(|line| line.starts_with("fetch 5")).collect();
    assert_eq!(fetched, ["fetch 5 from 0"]);
}

#[test]
fn where_the_origin_has_to_help_often_it_is_asked_for_the_largest_gap_at_once() {
    let (mut s, _) = too_late_for_peers();
    (0..3).for_each(|_| s.swarm.scarcity.learn(true));
    let (from, end) = piece(s.log.iter().find(|line| line.starts_with("fetch 5")).unwrap());
    s.log.clear();
    s.input(fetched(5, end - from));
    s.until(s.now_ms + 8000);
    let rest: Vec<_> = s.log.iter().filter(|line| line.starts_with("fetch 5")).collect();
    let (from, end) = piece(rest[0]);
    assert!(rest.len() == 1 && (end - from) * 3 > SIZE, "{rest:?}");
}
