//! How long peers are waited for on slow lines.

use super::*;

/// A viewer on a line on which a segment takes a second, with 20 s of buffer, waits for segment
/// 5, which two members hold and one says the size of.
fn on_a_slow_line(piece_failures: u32) -> Script {
    let mut s = Script::joined(false, 0);
    s.sized();
    s.play(5);
    (0..20).for_each(|_| s.swarm.downlink.learn_from_origin(SIZE, Duration::from_secs(1)));
    s.swarm.piece_failures = piece_failures;
    for peer in [1, 2] {
        s.connect_kin(peer);
        s.announce(peer, &[5], &[]);
    }
    s.demand(5);
    s.log.clear();
    s
}

/// What the origin was asked for until then, and when.
fn fetched_until(s: &mut Script, ms: u64) -> Vec<String> {
    // The peers go on, but far too slowly.
    let mut lines = Vec::new();
    let begin = s.now_ms;
    for at in (begin..ms).step_by(500) {
        lines.extend(s.until(at));
        (1..=2).for_each(|peer| drop(s.receive(peer, 10)));
    }
    lines.retain(|line| line.contains("fetch 5"));
    lines
}

/// Those who are asked say how much there is.
fn begin_to_send(s: &mut Script) {
    for key in [1, 2] {
        if let Some(d) = s.swarm.peers[&PeerKey(key)].download {
            s.part(key, 5, d.request, d.end.unwrap() - d.from, SIZE);
        }
    }
}

#[test]
fn a_slow_line_asks_for_some_of_it_when_half_of_the_time_has_passed() {
    let mut s = on_a_slow_line(0);
    begin_to_send(&mut s);
    let due = s.swarm.due(SegmentId(5)).unwrap();
    let there_is = (due - s.now()).as_millis() as u64;
    let end = s.now_ms + there_is;
    let lines = fetched_until(&mut s, end - there_is / 2 + 1500);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (_, bytes) = lines[0].split_once(" from ").unwrap();
    let (from, to) = bytes.split_once(" to ").unwrap();
    let len = to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap();
    assert!(len < SIZE / 2, "{lines:?}");
}

#[test]
fn what_peers_were_found_to_lack_is_asked_for_sooner_and_in_larger_pieces() {
    let asked = |lack: f64| {
        let mut s = on_a_slow_line(0);
        (0..30).for_each(|_| s.swarm.lack.learn(lack));
        begin_to_send(&mut s);
        let end = s.now_ms + 20_000;
        let lines = fetched_until(&mut s, end);
        let (ms, fetch) = lines[0].split_once(' ').unwrap();
        let (_, bytes) = fetch.split_once(" from ").unwrap();
        let (from, to) = bytes
            .split_once(" to ")
            .map_or((bytes, SIZE), |(from, to)| (from, to.parse().unwrap()));
        (ms.parse::<u64>().unwrap(), to - from.parse::<u64>().unwrap())
    };
    let (early, late) = (asked(0.4), asked(0.0));
    assert!(early.0 < late.0 && early.1 > late.1, "{early:?} {late:?}");
}

#[test]
fn an_origin_without_ranges_is_asked_for_everything() {
    let mut s = on_a_slow_line(9);
    let end = s.now_ms + 20_000;
    let lines = fetched_until(&mut s, end);
    assert!(lines.len() == 1 && !lines[0].contains(" to "), "{lines:?}");
}
