//! A seeder's demands: from peers with all the patience there is, else at once from the origin.

use super::*;

fn demand(s: &mut Script, segment: u64) -> Vec<String> {
    s.input(Input::Demanded { segment: SegmentId(segment), player: PlayerId::SEEDER })
}

#[test]
fn a_film_that_no_peer_has_comes_from_the_origin_at_once_and_nothing_ahead_of_it() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[50], &[]);
    assert_eq!(demand(&mut s, 5), ["fetch 5 from 0"]);
    assert!(!s.swarm.is_in_a_hurry());
    assert_eq!(s.complete(5), NOTHING);
    assert_eq!(s.until(5_000), NOTHING);
}

#[test]
fn a_busy_holder_is_waited_for_much_longer_than_for_a_player() {
    let mut s = Script::joined(false, 2);
    s.announce(1, &[5, 6], &[]);
    assert_eq!(demand(&mut s, 5), ["1: request 5 #0 from 0"]);
    s.data(1, 5, 0, SIZE);
    assert_eq!(demand(&mut s, 6), NOTHING);
    for second in 1..=40 {
        assert_eq!(s.until(second * 1_000), NOTHING, "it is still sending");
        s.receive(1, SIZE / 100);
    }
    assert!(!s.swarm.is_in_a_hurry());
}

#[test]
fn a_player_that_wants_the_same_does_not_wait_with_the_seeder() {
    let mut s = Script::joined(false, 1);
    s.announce(1, &[5], &[]);
    demand(&mut s, 5);
    s.data(1, 5, 0, SIZE);
    s.demand(5);
    let later = s.until(20_000);
    assert!(later.iter().any(|line| line.ends_with("fetch 5 from 0")), "{later:?}");
}
