//! Who of a recording's viewers is company, and who is parted from.

use super::*;

/// A viewer of a recording that has segments 0 to 49, and asks for 50.
fn in_the_middle(is_live: bool) -> Script {
    let mut s = Script::joined(is_live, 0);
    if !is_live {
        s.sized();
    }
    (0..50).for_each(|segment| drop(s.complete(segment)));
    s.demand(50);
    s
}

#[test]
fn company_is_lacked_until_enough_hold_what_is_needed_next() {
    let mut s = in_the_middle(false);
    for peer in 1..=4 {
        assert!(s.swarm.lacks_company(), "{peer}");
        s.connect_kin(peer);
        s.announce(peer, &[55], &[]);
    }
    assert!(!s.swarm.lacks_company());
    s.announce(4, &[90], &[]);
    assert!(s.swarm.lacks_company(), "too far ahead");
}

#[test]
fn who_has_everything_ahead_or_watches_a_live_stream_lacks_nothing() {
    let mut s = in_the_middle(false);
    (50..70).for_each(|segment| drop(s.complete(segment)));
    assert!(!s.swarm.lacks_company());
    assert!(!in_the_middle(true).swarm.lacks_company());
}

#[test]
fn room_is_made_by_parting_from_those_who_neither_have_nor_need_what_is_near() {
    let mut s = in_the_middle(false);
    let near = [(1, 55), (2, 20)];
    let far = [(3, 90), (4, 99), (5, 80)];
    for (peer, holds) in near.into_iter().chain(far) {
        s.connect_kin(peer);
        s.announce(peer, &[holds], &[]);
    }
    s.connect_kin(6);
    let parted = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.contains("drop")).collect()
    };
    assert_eq!(parted(s.input(Input::Crowded(9))), NOTHING, "they may say more in a moment");
    s.until(9000);
    assert_eq!(parted(s.input(Input::Crowded(2))).len(), 2);
    let left: Vec<_> = s.swarm.peers.keys().map(|key| key.0).collect();
    assert!([1, 2, 6].iter().all(|peer| left.contains(peer)) && left.len() == 4, "{left:?}");
    assert_eq!(parted(s.input(Input::Crowded(9))).len(), 1);
}

#[test]
fn nobody_is_parted_from_who_has_company() {
    let mut s = in_the_middle(false);
    for peer in 1..=4 {
        s.connect_kin(peer);
        s.announce(peer, &[55], &[]);
    }
    s.connect_kin(5);
    s.announce(5, &[90], &[]);
    s.until(9000);
    s.input(Input::Crowded(9));
    assert_eq!(s.swarm.peers().count(), 5);
}
