//! The tracker's decisions, without sockets.

use super::super::message::OfferId;
use super::*;
use std::collections::BTreeSet;

const HASH: InfoHash = InfoHash([b'h'; 20]);
const INTERVAL: Duration = Duration::from_secs(120);

fn peer(n: u8) -> PeerId {
    PeerId([n; 20])
}

fn announce(n: u8, event: Option<AnnounceEvent>, offers: usize) -> ClientMessage {
    let offer = |k: usize| Offer { offer_id: OfferId([k as u8; 20]), sdp: format!("sdp {k}") };
    let offers: Vec<Offer> = (0..offers).map(offer).collect();
    ClientMessage::Announce {
        hash: HASH,
        peer: peer(n),
        event,
        is_seed: false,
        wanted: offers.len(),
        offers,
        tracker_id: None,
    }
}

fn answer(n: u8, to: u8) -> ClientMessage {
    ClientMessage::Answer {
        hash: HASH,
        peer: peer(n),
        to: peer(to),
        answer: Offer { offer_id: OfferId([0; 20]), sdp: "answer".to_owned() },
        tracker_id: None,
    }
}

/// A relay with members 0 to `members`, each on the connection of its number.
fn relay(members: u8, limits: Limits, now: Instant) -> Relay {
    let mut relay = Relay::new(limits, INTERVAL, 7);
    for n in 0..members {
        relay.handle(now, u64::from(n), announce(n, Some(AnnounceEvent::Started), 0));
    }
    relay
}

fn incomplete(relay: &Relay) -> u32 {
    relay.counts(HASH).incomplete
}

#[test]
fn each_offer_goes_to_a_different_member_and_never_back() {
    let now = Instant::now();
    let mut relay = relay(8, Limits::default(), now);
    let deliveries = relay.handle(now, 3, announce(3, None, 5));
    assert!(matches!(deliveries[0], (3, ServerMessage::Announced { .. })));
    let receivers: BTreeSet<Connection> = deliveries[1..].iter().map(|(to, _)| *to).collect();
    assert_eq!(receivers.len(), 5);
    assert!(!receivers.contains(&3));
    assert!(deliveries[1..].iter().all(|(_, said)| matches!(
        said, ServerMessage::Offer { peer: from, .. } if *from == peer(3)
    )));
}

#[test]
fn a_small_swarm_gets_as_many_offers_as_it_has_other_members() {
    let now = Instant::now();
    let mut relay = relay(2, Limits::default(), now);
    assert_eq!(relay.handle(now, 0, announce(0, None, 5)).len(), 2);
}

#[test]
fn an_answer_reaches_the_peer_it_names() {
    let now = Instant::now();
    let mut relay = relay(3, Limits::default(), now);
    let deliveries = relay.handle(now, 1, answer(1, 2));
    let [(2, ServerMessage::Answer { peer: from, .. })] = deliveries.as_slice() else {
        panic!("{deliveries:?}")
    };
    assert_eq!(*from, peer(1));
    assert!(relay.handle(now, 1, answer(1, 99)).is_empty());
}

#[test]
fn an_answer_in_the_name_of_another_is_not_relayed() {
    let now = Instant::now();
    let mut relay = relay(3, Limits::default(), now);
    for (from, claimed) in [(1, 2), (77, 1)] {
        let deliveries = relay.handle(now, from, answer(claimed, 0));
        assert!(
            matches!(deliveries.as_slice(), [(to, ServerMessage::Warning { .. })] if *to == from)
        );
    }
}

#[test]
fn members_leave_when_they_say_so_when_disconnected_and_when_silent() {
    let now = Instant::now();
    let mut relay = relay(4, Limits::default(), now);
    relay.handle(now, 0, announce(0, Some(AnnounceEvent::Stopped), 0));
    assert_eq!(incomplete(&relay), 3);
    relay.disconnect(1);
    assert_eq!(incomplete(&relay), 2);
    let later = now + INTERVAL * 2;
    relay.handle(later, 2, announce(2, None, 0));
    relay.expire(later + Duration::from_secs(1));
    assert_eq!(incomplete(&relay), 1);
    relay.disconnect(2);
    assert_eq!(relay.totals(), (0, 0));
    assert!(relay.connections.is_empty());
}

#[test]
fn a_peer_that_reconnects_is_one_member_and_outlives_its_old_connection() {
    let now = Instant::now();
    let mut relay = relay(2, Limits::default(), now);
    relay.handle(now, 50, announce(0, Some(AnnounceEvent::Started), 0));
    assert_eq!(incomplete(&relay), 2);
    relay.disconnect(0);
    assert_eq!(incomplete(&relay), 2);
    assert!(matches!(relay.handle(now, 1, answer(1, 0)).as_slice(), [(50, _)]));
}

#[test]
fn a_connection_has_one_peer_id_per_swarm() {
    let now = Instant::now();
    let mut relay = relay(1, Limits::default(), now);
    for n in 10..60 {
        relay.handle(now, 0, announce(n, None, 0));
    }
    assert_eq!(incomplete(&relay), 1);
}

#[test]
fn limits_refuse_and_keep_what_was_there() {
    let now = Instant::now();
    let limits = Limits { swarms_max: 2, members_max: 2, hashes_per_connection_max: 2 };
    let mut relay = relay(3, limits, now);
    assert_eq!(incomplete(&relay), 2);
    let join = |n: u8| {
        let ClientMessage::Announce { event, is_seed, wanted, offers, tracker_id, .. } =
            announce(9, None, 0)
        else {
            unreachable!()
        };
        let (hash, peer) = (InfoHash([n; 20]), peer(9));
        ClientMessage::Announce { hash, peer, event, is_seed, wanted, offers, tracker_id }
    };
    assert!(matches!(relay.handle(now, 9, join(1))[0].1, ServerMessage::Announced { .. }));
    assert!(matches!(relay.handle(now, 9, join(2))[0].1, ServerMessage::Failure { .. }));
    assert_eq!(relay.totals(), (2, 3));
    relay.limits.swarms_max = 10;
    assert!(matches!(relay.handle(now, 9, join(3))[0].1, ServerMessage::Announced { .. }));
    assert!(matches!(relay.handle(now, 9, join(4))[0].1, ServerMessage::Failure { .. }));
}

#[test]
fn a_scrape_counts_seeds_apart() {
    let now = Instant::now();
    let mut relay = relay(2, Limits::default(), now);
    relay.handle(now, 5, {
        let mut seed = announce(5, Some(AnnounceEvent::Completed), 0);
        if let ClientMessage::Announce { is_seed, .. } = &mut seed {
            *is_seed = true;
        }
        seed
    });
    let scraped = relay.handle(now, 9, ClientMessage::Scrape { hashes: vec![HASH] });
    let counts = Counts { complete: 1, incomplete: 2 };
    assert_eq!(scraped, [(9, ServerMessage::Scraped { files: vec![(HASH, counts)] })]);
}
