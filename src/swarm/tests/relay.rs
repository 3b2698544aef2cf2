//! What members of our own kind are told while a segment arrives, and who is served when.

use super::*;

fn request(segment: u64, request: u64, chunks: std::ops::Range<u64>) -> Message {
    let (from, end) = (chunks.start * CHUNK_BYTES, chunks.end * CHUNK_BYTES);
    Message::RequestPart { segment, request, from, end }
}

fn proved(from: u64, end: u64) -> Input {
    Input::Proved { segment: SegmentId(5), from, end }
}

/// Segment 5 is half here, from a member of our own kind that holds it; 2 is another, 3 a browser.
fn half_from_a_peer() -> (Script, Part) {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.connect_kin(1);
    s.announce(1, &[5], &[]);
    let part = parts(&s.demand(5)).remove(0);
    s.part(1, 5, part.request, part.len(), SIZE);
    s.receive(1, part.len());
    s.connect_kin(2);
    s.connect(3);
    (s, part)
}

#[test]
fn bytes_of_a_peer_are_passed_on_only_when_they_are_proved() {
    let (mut s, part) = half_from_a_peer();
    let chunks = part.from / CHUNK_BYTES..part.end / CHUNK_BYTES;
    assert_eq!(s.hear(2, request(5, 0, chunks.clone())), ["2: absent 5 #0"]);
    let lines = s.log_of(|s| drop(s.until(500)));
    assert!(!lines.iter().any(|line| line.contains("holding")), "{lines:?}");
    let first = part.from + CHUNK_BYTES;
    let lines = s.input(proved(part.from, first));
    let held = part.from / CHUNK_BYTES;
    assert_eq!(lines, [format!("2: holding 5 of {SIZE}: [{held}]")], "kin alone is told");
    let lines = s.hear(2, request(5, 1, held..held + 1));
    assert_eq!(lines, [format!("2: serve 5 #1 from {} to {first}", part.from)]);
    assert_eq!(s.hear(2, request(5, 2, chunks)), ["2: stop serve #1", "2: absent 5 #2"]);
}

#[test]
fn what_is_proved_before_it_is_here_is_not_passed_on() {
    let (mut s, part) = half_from_a_peer();
    s.input(proved(0, SIZE));
    let chunks = part.from / CHUNK_BYTES..part.end / CHUNK_BYTES;
    assert_eq!(s.hear(2, request(5, 0, 0..CHUNKS)), ["2: absent 5 #0"]);
    let lines = s.hear(2, request(5, 1, chunks));
    assert_eq!(lines, [format!("2: serve 5 #1 from {} to {}", part.from, part.end)]);
}

#[test]
fn bytes_of_the_origin_are_passed_on_at_once() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(2);
    s.connect(3);
    assert_eq!(s.demand(5), ["fetch 5 from 0"]);
    let lines = s.input(fetched(5, 2 * CHUNK_BYTES + 9));
    assert_eq!(lines, [format!("2: holding 5 of {SIZE}: [0, 1]")]);
    assert_eq!(
        s.hear(2, request(5, 0, 0..2)),
        [format!("2: serve 5 #0 from 0 to {}", 2 * CHUNK_BYTES)]
    );
    assert_eq!(s.hear(2, request(5, 1, 1..3)), ["2: stop serve #0", "2: absent 5 #1"]);
    let whole = Message::Request { segment: 5, request: 0, from: 0 };
    assert_eq!(s.hear(3, whole), ["3: absent 5 #0"], "nobody gets what is not here");
}

#[test]
fn chunks_are_gathered_before_others_are_told_again() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(2);
    s.demand(5);
    s.input(fetched(5, CHUNK_BYTES));
    let lines = s.log_of(|s| {
        for _ in 0..4 {
            s.until(s.now_ms + 40);
            s.input(fetched(5, CHUNK_BYTES));
        }
        s.until(1000);
    });
    assert_eq!(lines, [format!("2: holding 5 of {SIZE}: [0, 1, 2, 3, 4]")]);
}

#[test]
fn who_joins_while_a_segment_arrives_hears_of_its_chunks() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(2);
    s.demand(5);
    s.input(fetched(5, CHUNK_BYTES));
    assert_eq!(s.connect_kin(4), [format!("4: holding 5 of {SIZE}: [0]")]);
    assert_eq!(s.connect(3), NOTHING);
}

#[test]
fn the_last_chunk_counts_as_soon_as_it_ends_with_the_segment() {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.connect_kin(1);
    s.holding(1, 5, &[CHUNKS - 2, CHUNKS - 1]);
    s.connect_kin(2);
    let part = parts(&s.demand(5)).remove(0);
    assert_eq!(part.end, SIZE);
    s.part(1, 5, part.request, part.len(), SIZE);
    s.receive(1, part.len());
    let lines = s.input(proved(0, SIZE));
    let told = format!("2: holding 5 of {SIZE}: [{}, {}]", CHUNKS - 2, CHUNKS - 1);
    assert!(lines.contains(&told), "{lines:?}");
}

#[test]
fn what_was_thrown_away_is_not_passed_on() {
    let (mut s, part) = half_from_a_peer();
    s.input(proved(part.from, part.end));
    s.input(Input::Unproven { segment: SegmentId(5) });
    let chunks = part.from / CHUNK_BYTES..part.end / CHUNK_BYTES;
    assert_eq!(s.hear(2, request(5, 0, chunks)), ["2: absent 5 #0"]);
}

#[test]
fn with_upload_off_nothing_that_arrives_is_mentioned_or_passed_on() {
    let mut s = Script::with(Config { upload: false, ..settings() }, false);
    s.input(Input::Alone);
    s.connect_kin(2);
    s.demand(5);
    s.input(fetched(5, 4 * CHUNK_BYTES));
    s.coming(2, 6, 1);
    assert_eq!(s.until(1000), NOTHING);
    assert_eq!(s.hear(2, request(5, 0, 0..2)), ["2: absent 5 #0"]);
}

#[test]
fn members_of_our_own_kind_wait_for_a_place_and_browsers_do_not() {
    let mut s = Script::joined(false, 1);
    (2..=6).for_each(|peer| drop(s.connect_kin(peer)));
    s.complete(5);
    for peer in 2..=5 {
        let lines = s.hear(peer, request(5, 0, 0..4));
        assert_eq!(lines, [format!("{peer}: serve 5 #0 from 0 to {}", 4 * CHUNK_BYTES)]);
    }
    let whole = Message::Request { segment: 5, request: 0, from: 0 };
    assert_eq!(s.hear(1, whole), ["1: absent 5 #0"]);
    assert_eq!(s.hear(6, request(5, 0, 4..8)), NOTHING);
    let ended = Input::ServeEnded { peer: PeerKey(2), request: 0, is_complete: true };
    let (from, end) = (4 * CHUNK_BYTES, 8 * CHUNK_BYTES);
    assert_eq!(s.input(ended), [format!("6: serve 5 #0 from {from} to {end}")]);
}

#[test]
fn who_waits_too_long_for_a_place_is_sent_elsewhere() {
    let mut s = Script::joined(false, 0);
    (1..=5).for_each(|peer| drop(s.connect_kin(peer)));
    s.complete(5);
    (1..=5).for_each(|peer| drop(s.hear(peer, request(5, 0, 0..4))));
    assert_eq!(s.until(3000), ["1500 5: absent 5 #0"]);
}

#[test]
fn who_changes_its_mind_waits_for_what_it_wants_now() {
    let mut s = Script::joined(false, 0);
    (1..=6).for_each(|peer| drop(s.connect_kin(peer)));
    s.complete(5);
    (1..=6).for_each(|peer| drop(s.hear(peer, request(5, 0, 0..4))));
    assert_eq!(s.hear(5, Message::Cancel { segment: 5, request: 0 }), NOTHING);
    assert_eq!(s.hear(6, request(5, 1, 4..8)), NOTHING);
    let ended = Input::ServeEnded { peer: PeerKey(2), request: 0, is_complete: false };
    let (from, end) = (4 * CHUNK_BYTES, 8 * CHUNK_BYTES);
    assert_eq!(s.input(ended), [format!("6: serve 5 #1 from {from} to {end}")]);
    assert_eq!(s.until(3000), NOTHING);
}

#[test]
fn who_waits_for_an_older_segment_is_served_first() {
    let mut s = Script::joined(false, 0);
    (1..=6).for_each(|peer| drop(s.connect_kin(peer)));
    (5..=7).for_each(|id| drop(s.complete(id)));
    (1..=4).for_each(|peer| drop(s.hear(peer, request(7, 0, 0..4))));
    s.quick(5, 50);
    s.hear(5, request(6, 0, 0..4));
    s.hear(6, request(5, 0, 0..4));
    let ended = Input::ServeEnded { peer: PeerKey(2), request: 0, is_complete: true };
    assert_eq!(s.input(ended), [format!("6: serve 5 #0 from 0 to {}", 4 * CHUNK_BYTES)]);
}

#[test]
fn what_is_lost_while_somebody_waits_for_it_is_absent() {
    let mut s = Script::joined(false, 0);
    (1..=5).for_each(|peer| drop(s.connect_kin(peer)));
    s.complete(5);
    (1..=5).for_each(|peer| drop(s.hear(peer, request(5, 0, 0..4))));
    assert_eq!(s.input(Input::Evicted { segment: SegmentId(5) }), ["5: absent 5 #0"]);
}
