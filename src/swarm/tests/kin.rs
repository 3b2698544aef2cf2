//! Segments that come in parts from members of our own kind.

use super::*;

/// A player wants segment 5, whose size the playlist says, of that many of our own kind.
fn asked_of(holders: u32) -> (Script, Vec<Part>) {
    let mut s = Script::joined(false, 0);
    s.sized();
    for peer in 1..=holders {
        s.connect_kin(peer);
        s.announce(peer, &[5], &[]);
    }
    let parts = parts(&s.demand(5));
    (s, parts)
}

#[test]
fn parts_are_spread_over_all_who_hold_it() {
    let (_, mut parts) = asked_of(3);
    let peers: BTreeSet<_> = parts.iter().map(|part| part.peer).collect();
    assert_eq!(peers, BTreeSet::from([1, 2, 3]));
    parts.sort_by_key(|part| part.from);
    for (part, next) in parts.iter().zip(&parts[1..]) {
        assert!(part.end <= next.from, "{parts:?}");
    }
    assert!(parts.iter().all(|part| part.from % CHUNK_BYTES == 0), "{parts:?}");
}

#[test]
fn one_holder_tells_how_much_there_is_before_the_others_are_asked() {
    let mut s = Script::joined(false, 0);
    for peer in 1..=3 {
        s.connect_kin(peer);
        s.announce(peer, &[5], &[]);
    }
    let first = parts(&s.demand(5));
    assert_eq!(first.len(), 1, "{first:?}");
    let part = &first[0];
    assert_eq!(part.from, 0);
    let lines = s.part(part.peer, 5, part.request, part.len(), SIZE);
    let others: BTreeSet<_> = parts(&lines).iter().map(|part| part.peer).collect();
    assert_eq!(others, (1..=3).filter(|peer| *peer != part.peer).collect(), "{lines:?}");
}

#[test]
fn who_has_some_chunks_is_asked_for_those_alone() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(1);
    s.holding(1, 5, &[6, 7]);
    let parts = parts(&s.demand(5));
    let [part] = &parts[..] else { panic!("{parts:?}") };
    assert!(part.from >= 6 * CHUNK_BYTES && part.end <= 8 * CHUNK_BYTES, "{part:?}");
}

#[test]
fn a_browser_is_asked_for_everything_from_the_first_missing_byte_on() {
    let (mut s, parts) = asked_of(1);
    let part = &parts[0];
    s.part(1, 5, part.request, part.len(), SIZE);
    s.receive(1, part.len());
    s.connect(9);
    s.announce(9, &[5], &[]);
    let lines = s.input(Input::Disconnected { peer: PeerKey(1) });
    let here = if part.from == 0 { part.end } else { 0 };
    assert_eq!(lines, [format!("9: request 5 #0 from {here}")]);
}

#[test]
fn members_of_our_own_kind_are_asked_before_browsers() {
    let mut s = Script::joined(false, 1);
    s.sized();
    s.connect_kin(2);
    s.announce(1, &[5], &[]);
    s.announce(2, &[5], &[]);
    let lines = s.demand(5);
    assert_eq!(parts(&lines).iter().map(|part| part.peer).collect::<Vec<_>>(), [2]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn all_parts_together_are_verified_once() {
    let (mut s, mut open) = asked_of(3);
    let mut lines = Vec::new();
    while let Some(part) = open.pop() {
        lines.extend(s.part(part.peer, 5, part.request, part.len(), SIZE));
        lines.extend(s.receive(part.peer, part.len()));
        let completed = Message::Completed { segment: 5, request: part.request };
        lines.extend(s.hear(part.peer, completed));
        open.extend(parts(&lines));
        lines.retain(|line| !line.contains("request"));
    }
    assert_eq!(lines, ["verify 5"]);
    assert_eq!(s.complete(5), NOTHING);
    assert_eq!(s.swarm.peers().map(|peer| peer.segments_given).sum::<u64>(), 3);
}

#[test]
fn the_bytes_of_a_part_belong_where_it_was_asked_for() {
    let (mut s, parts) = asked_of(2);
    for part in &parts {
        s.part(part.peer, 5, part.request, part.len(), SIZE);
        s.receive(part.peer, 100);
        let (offset, remaining) = (part.from + 100, part.len() - 100);
        let (segment, total) = (SegmentId(5), Some(SIZE));
        let expected = Expected { segment, offset, remaining, total };
        assert_eq!(s.swarm.expecting(PeerKey(part.peer)), Some(expected));
    }
}

#[test]
fn only_the_span_that_is_missing_is_fetched_from_the_origin() {
    let mut s = Script::joined(false, 0);
    s.sized();
    for (peer, chunks) in [(1, 0..2), (2, CHUNKS - 2..CHUNKS)] {
        s.connect_kin(peer);
        s.holding(peer, 5, &chunks.collect::<Vec<_>>());
    }
    let asked = parts(&s.demand(5));
    assert_eq!(asked.len(), 2, "{asked:?}");
    for part in &asked {
        s.part(part.peer, 5, part.request, part.len(), SIZE);
        s.receive(part.peer, part.len());
    }
    s.until(5000);
    let lines: Vec<_> = s.log.iter().filter(|line| line.contains("fetch")).collect();
    let (from, end) = (2 * CHUNK_BYTES, (CHUNKS - 2) * CHUNK_BYTES);
    assert_eq!(lines, [&format!("fetch 5 from {from} to {end}")]);
    let lines = s.input(fetched(5, end - from));
    assert_eq!(lines[..2], ["stop fetch 5", "verify 5"], "peers brought the end of it");
}

#[test]
fn a_slow_part_moves_to_a_quicker_holder() {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.play(5);
    s.connect_kin(1);
    s.announce(1, &[5], &[]);
    let slow = parts(&s.log).remove(0);
    s.part(1, 5, slow.request, slow.len(), SIZE);
    s.receive(1, 100);
    s.connect_kin(2);
    s.quick(2, 50);
    let mut open = parts(&s.announce(2, &[5], &[]));
    s.until(390);
    s.receive(1, 100);
    s.until(400);
    let mut from = BTreeSet::new();
    while let Some(part) = open.pop() {
        assert_eq!(part.peer, 2);
        from.insert(part.from);
        s.part(2, 5, part.request, part.len(), SIZE);
        open = parts(&s.receive(2, part.len()));
    }
    assert!(s.log.contains(&format!("1: cancel 5 #{}", slow.request)), "{:?}", s.log);
    assert!(from.iter().any(|from| (slow.from..slow.end).contains(from)), "{from:?}");
    assert_eq!(s.log.last().map(String::as_str), Some("verify 5"));
    assert_eq!(s.swarm.peers().map(|peer| peer.strikes).sum::<u32>(), 0, "nobody is to blame");
}

#[test]
fn a_size_that_a_playlist_contradicts_ends_the_connection() {
    let (mut s, parts) = asked_of(1);
    let part = &parts[0];
    let lines = s.part(1, 5, part.request, part.len(), SIZE + 1);
    assert_eq!(lines[0], "1: drop, broke the protocol", "{lines:?}");
}

#[test]
fn a_part_of_another_length_than_asked_for_ends_the_connection() {
    for off in [1, u64::MAX] {
        let (mut s, parts) = asked_of(1);
        let part = &parts[0];
        let lines = s.part(1, 5, part.request, part.len().wrapping_add(off), SIZE);
        assert_eq!(lines[0], "1: drop, broke the protocol", "{lines:?}");
    }
}

#[test]
fn a_whole_segment_in_answer_to_a_request_for_a_part_ends_the_connection() {
    let (mut s, parts) = asked_of(1);
    let lines = s.data(1, 5, parts[0].request, SIZE);
    assert_eq!(lines[0], "1: drop, broke the protocol", "{lines:?}");
}

#[test]
fn a_member_that_is_busy_is_asked_again_though_it_announces_nothing() {
    let mut s = Script::joined(false, 0);
    s.play(3);
    s.sized();
    s.connect_kin(1);
    s.announce(1, &[3], &[]);
    let asked = parts(&s.log.clone());
    let [part] = &asked[..] else { panic!("{asked:?}") };
    let absent = Message::Absent { segment: 3, request: part.request };
    assert_eq!(s.hear(1, absent), NOTHING);
    s.demand(3);
    let lines = s.until(s.now_ms + 300);
    assert!(lines.iter().any(|line| line.starts_with("250 1: request 3 #1 from")), "{lines:?}");
}

#[test]
fn what_is_said_of_chunks_beyond_the_end_is_cut() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(1);
    s.hear(1, Message::Holding { segment: 5, total: 100, chunks: vec![0, 1, 8191, 8192] });
    let asked = parts(&s.demand(5));
    let [part] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((part.from, part.end), (0, 100));
}

#[test]
fn what_a_member_holds_in_part_and_counts_on_is_limited() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(1);
    for segment in 0..100 {
        s.until(s.now_ms + 100);
        s.hear(1, Message::Holding { segment, total: SIZE, chunks: vec![1] });
        s.hear(1, Message::Coming { segments: (0..10_000).map(|id| (id, 1)).collect() });
    }
    let peer = &s.swarm.peers[&PeerKey(1)];
    let partly = (0..100).filter(|id| peer.kin.partly(SegmentId(*id)).is_some()).count();
    let coming = (0..10_000).filter(|id| peer.kin.hops(SegmentId(*id)).is_some()).count();
    assert_eq!((partly, coming), (32, 256));
}

#[test]
fn a_flood_of_words_about_chunks_is_a_drop_in_the_end() {
    let mut s = Script::joined(false, 0);
    s.connect_kin(1);
    let say = |n: u64| match n % 2 {
        0 => Message::Holding { segment: 5, total: SIZE, chunks: vec![1] },
        _ => Message::Coming { segments: vec![(6, 1)] },
    };
    let lines: Vec<_> = (0..1000).flat_map(|n| s.hear(1, say(n))).collect();
    assert_eq!(lines, ["1: drop, talked without end"]);
}

#[test]
fn words_about_chunks_are_gathered_for_a_moment_before_anybody_is_asked() {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.play(2);
    (1..=2).for_each(|peer| drop(s.connect_kin(peer)));
    assert_eq!(s.holding(1, 2, &[0, 1, 2]), NOTHING);
    s.until(30);
    assert_eq!(s.holding(2, 2, &[3, 4, 5]), NOTHING);
    let asked: BTreeSet<_> = s.until(60).iter().map(|line| line[..6].to_owned()).collect();
    assert_eq!(asked, BTreeSet::from(["50 1: ".into(), "50 2: ".into()]));
}

#[test]
fn no_more_than_a_dozen_bring_parts_of_one_segment() {
    let mut s = Script::joined(false, 0);
    let (id, duration) = (SegmentId(5), Duration::from_secs(4));
    let slot = Slot { id, duration, size: Some(40_000_000) };
    s.input(Input::Timeline { segments: vec![slot], is_live: false });
    for peer in 1..=40 {
        s.connect_kin(peer);
        s.announce(peer, &[5], &[]);
    }
    assert_eq!(parts(&s.demand(5)).len(), 12);
    s.connect_kin(41);
    assert_eq!(parts(&s.announce(41, &[5], &[])), []);
}

#[test]
fn nothing_is_brought_ahead_while_a_player_needs_what_the_origin_sends() {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.play(1);
    s.connect_kin(1);
    s.until(3900);
    let ahead = parts(&s.announce(1, &[3], &[])).remove(0);
    s.part(1, 3, ahead.request, ahead.len(), SIZE);
    s.receive(1, 100);
    s.until(4000);
    let cancel = format!("1: cancel 3 #{}", ahead.request);
    assert_eq!(s.demand(1), ["fetch 1 from 0", &cancel]);
    assert_eq!(parts(&s.until(4500)), []);
    let again = parts(&s.complete(1));
    assert_eq!(again.iter().map(|part| part.peer).collect::<Vec<_>>(), [1]);
    assert_eq!(s.swarm.peers().map(|peer| peer.strikes).sum::<u32>(), 0);
}
