//! Who fetches a live segment for all, and who counts on others.

use super::*;

/// A member of a live swarm that plays segment 97 of 0 to 97, and then 98 is listed.
struct Member {
    s: Script,
    /// Before 98 was listed.
    listed_at_ms: u64,
}

impl Member {
    fn new(name: u8, members: u32) -> Self {
        let mut me = *b"-HS0001-abcdefghijkl";
        me[19] = name;
        let mut s = Script::named(PeerId(me), settings(), true);
        s.input(timeline(0..98, true));
        s.input(Input::SwarmSize(members));
        s.connect_kin(1);
        s.connect_kin(2);
        s.connect(3);
        s.announce(1, &[97], &[]);
        s.play(98);
        s.until(1000);
        s.log.clear();
        Self { s, listed_at_ms: 1000 }
    }

    fn list(&mut self) {
        self.s.input(timeline(1..99, true));
    }

    /// How long after it was listed 98 is fetched.
    fn fetched_after_ms(&mut self, at_most_ms: u64) -> Option<u64> {
        for ms in (0..at_most_ms).step_by(50) {
            if self.s.log.iter().any(|line| line.ends_with("fetch 98 from 0")) {
                return Some(ms);
            }
            self.s.until(self.listed_at_ms + ms);
        }
        None
    }
}

fn times(members: u32, prepare: impl Fn(&mut Member)) -> Vec<u64> {
    let time = |name: u8| {
        let mut member = Member::new(name, members);
        prepare(&mut member);
        member.list();
        member.fetched_after_ms(25_000).expect("its turn comes")
    };
    (b'a'..=b'z').map(time).collect()
}

#[test]
fn a_segment_nobody_has_is_fetched_by_few_at_once_and_then_by_more() {
    let times = times(200, |_| ());
    assert!(times.iter().filter(|ms| **ms < 2000).count() <= 4, "{times:?}");
    assert!(times.iter().all(|ms| *ms < 9000), "{times:?}");
}

#[test]
fn what_is_said_to_come_is_fetched_only_when_it_does_not_become_whole() {
    let hears: [fn(&mut Member); 4] = [
        |member| drop(member.s.coming(1, 98, 1)),
        |member| drop(member.s.coming(1, 98, 3)),
        |member| drop(member.s.announce(1, &[97], &[98])),
        |member| drop(member.s.announce(3, &[], &[98])),
    ];
    for hear in hears {
        let times = times(200, hear);
        assert!(times.iter().all(|ms| *ms >= 5000), "{times:?}");
        assert!(times.iter().all(|ms| *ms < 14_000), "{times:?}");
        // Not all at once, but those first whose turn it is.
        assert!(times.iter().filter(|ms| **ms < 7000).count() <= 4, "{times:?}");
    }
}

#[test]
fn what_a_member_takes_back_is_not_counted_on() {
    let unheard = times(2, |_| ());
    let taken_back = times(2, |member| {
        member.s.coming(1, 98, 1);
        member.s.until(900);
        member.s.hear(1, Message::Coming { segments: vec![] });
    });
    assert_eq!(unheard, taken_back);
}

#[test]
fn what_peers_hold_is_never_fetched_ahead_of_the_player() {
    let mut member = Member::new(b'a', 2);
    member.s.announce(1, &[97, 98], &[]);
    member.list();
    member.s.hear(1, Message::Absent { segment: 98, request: 0 });
    assert_eq!(member.fetched_after_ms(10_000), None);
}

#[test]
fn pieces_that_make_up_the_whole_are_as_good_as_a_holder_and_fewer_are_not() {
    let absent = |member: &mut Member| {
        for _ in 0..100 {
            for peer in [1, 2] {
                for request in 0..3 {
                    member.s.hear(peer, Message::Absent { segment: 98, request });
                }
            }
        }
    };
    for (missing, is_fetched) in [(0, false), (1, true)] {
        let mut member = Member::new(b'a', 2);
        member.s.holding(1, 98, &(0..8).collect::<Vec<_>>());
        member.s.holding(2, 98, &(8 + missing..CHUNKS).collect::<Vec<_>>());
        member.list();
        absent(&mut member);
        let log = member.s.log_of(|s| drop(s.until(20_000)));
        let has_fetched = log.iter().any(|line| line.contains("fetch 98"));
        assert_eq!(has_fetched, is_fetched, "{missing}: {log:?}");
    }
}

#[test]
fn a_member_with_a_poor_uplink_fetches_later() {
    let at = |uplink| {
        times(200, |member: &mut Member| {
            for peer in [1, 2] {
                member.s.swarm.uploads.start(member.s.now(), PeerKey(peer), 0, uplink);
            }
            member.s.until(2000);
            member.listed_at_ms = 2000;
            for peer in [PeerKey(1), PeerKey(2)] {
                member.s.input(Input::ServeEnded { peer, request: 0, is_complete: true });
            }
        })
    };
    let (strong, weak) = (at(100_000_000), at(20_000));
    // A sixteenth of the weight: four doublings of the ramp later.
    for (strong, weak) in strong.iter().zip(&weak) {
        assert!((0..=4100).contains(&(weak - strong)), "{strong} {weak}");
    }
    let later = strong.iter().zip(&weak).filter(|(s, w)| **w >= **s + 3900).count();
    assert!(later >= 20, "{strong:?} {weak:?}");
}

#[test]
fn who_counts_on_a_segment_says_so_to_its_kind_one_hop_further() {
    for (hops, said) in [(1, Some(2)), (2, Some(3)), (3, None)] {
        let mut member = Member::new(b'a', 1000);
        member.s.coming(1, 98, hops);
        member.list();
        let lines = member.s.log_of(|s| drop(s.until(1500)));
        let coming: Vec<_> = lines.iter().filter(|line| line.contains("coming")).collect();
        let expected: Vec<_> = said.map_or_else(Vec::new, |hops| {
            (1..=2).map(|peer| format!("{peer}: coming [(98, {hops})]")).collect()
        });
        assert_eq!(coming, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_neighbour_that_fetches_is_one_hop_away() {
    let mut member = Member::new(b'a', 1000);
    member.s.announce(3, &[], &[98]);
    member.list();
    let lines = member.s.log_of(|s| drop(s.until(1500)));
    assert!(lines.contains(&"1: coming [(98, 1)]".to_owned()), "{lines:?}");
}

#[test]
fn what_the_playlist_does_not_list_is_not_asked_for() {
    let mut member = Member::new(b'a', 1000);
    let lines = member.s.announce(1, &[97, 98], &[]);
    assert_eq!(parts(&lines), []);
    member.list();
    assert!(!parts(&member.s.log).is_empty(), "{:?}", member.s.log);
}
