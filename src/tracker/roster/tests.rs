//! When members are asked and what is sent, without a clock or a socket.

use super::*;

const HASH: InfoHash = InfoHash([b'h'; 20]);
const ME: PeerId = PeerId([b'm'; 20]);
const OTHER: PeerId = PeerId([b'o'; 20]);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn roster() -> Roster {
    let rhythm =
        Rhythm { early: seconds(10), fallback: seconds(120), min: seconds(20), max: seconds(3600) };
    Roster::new(ME, rhythm)
}

fn offer(n: u8) -> Offer {
    Offer { offer_id: OfferId([n; 20]), sdp: format!("sdp {n}") }
}

fn announced(interval_s: u32) -> ServerMessage {
    let counts = Counts { complete: 1, incomplete: 2 };
    let tracker_id = Some("id".to_owned());
    ServerMessage::Announced { hash: HASH, interval_s: Some(interval_s), counts, tracker_id }
}

/// Asks whenever due within `span` and says when that was, in seconds.
fn asked_at(roster: &mut Roster, start: Instant, span: u64) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(due) = roster.due().filter(|due| *due <= start + seconds(span)) {
        roster.ask(due);
        times.push((due - start).as_secs());
    }
    times
}

#[test]
fn offers_are_wanted_at_once_soon_again_and_then_as_the_tracker_says() {
    let (mut roster, start) = (roster(), Instant::now());
    let (_, mut events) = roster.join(HASH);
    roster.connected();
    roster.ask(start);
    assert_eq!(events.try_recv(), Ok(TrackerEvent::OffersWanted { if_lacking: false }));
    assert_eq!(asked_at(&mut roster, start, 300), [3, 6, 10, 15, 35, 65, 95, 130, 250]);
    roster.received(announced(60));
    assert_eq!(asked_at(&mut roster, start, 400), [310, 370]);
    roster.received(announced(1));
    assert_eq!(asked_at(&mut roster, start, 420), [390, 410]);
    roster.received(announced(u32::MAX));
    assert_eq!(asked_at(&mut roster, start, 5000), [4010]);
}

#[test]
fn one_of_the_extra_announces_is_for_everybody_and_none_displaces_an_ordinary_one() {
    let (mut roster, start) = (roster(), Instant::now());
    let (_, mut events) = roster.join(HASH);
    roster.connected();
    roster.ask(start);
    roster.received(announced(20));
    assert_eq!(asked_at(&mut roster, start, 60), [3, 6, 10, 15, 30, 50]);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let TrackerEvent::OffersWanted { if_lacking } = event {
            told.push(if_lacking);
        }
    }
    assert_eq!(told, [false, true, true, false, true, false, false]);
}

#[test]
fn responses_do_not_postpone_the_next_announce() {
    let (mut roster, start) = (roster(), Instant::now());
    let (_, _events) = roster.join(HASH);
    roster.connected();
    roster.ask(start);
    for _ in 0..40 {
        roster.received(announced(120));
    }
    assert_eq!(asked_at(&mut roster, start, 200), [3, 6, 10, 15, 35, 65, 95, 130]);
}

#[test]
fn a_member_too_busy_to_hear_is_asked_again() {
    let (mut roster, start) = (roster(), Instant::now());
    let (_, mut events) = roster.join(HASH);
    roster.connected();
    for _ in 0..2 * EVENTS_MAX {
        roster.received(announced(120));
    }
    roster.ask(start);
    assert_eq!(roster.due(), Some(start + REPEAT));
    while events.try_recv().is_ok() {}
    roster.ask(start + REPEAT);
    assert_eq!(events.try_recv(), Ok(TrackerEvent::OffersWanted { if_lacking: false }));
}

#[test]
fn the_first_announce_of_a_connection_says_started_and_the_tracker_id_is_repeated() {
    let mut roster = roster();
    let (serial, _events) = roster.join(HASH);
    let announce = |roster: &mut Roster| {
        roster.announce(HASH, serial, vec![offer(1)]);
        match roster.outgoing().as_slice() {
            [ClientMessage::Announce { event, tracker_id, .. }] => (*event, tracker_id.is_some()),
            other => panic!("{other:?}"),
        }
    };
    roster.connected();
    assert_eq!(announce(&mut roster), (Some(AnnounceEvent::Started), false));
    roster.received(announced(120));
    assert_eq!(announce(&mut roster), (None, true));
    roster.disconnected(Some("lost"));
    roster.connected();
    assert_eq!(announce(&mut roster).0, Some(AnnounceEvent::Started));
}

#[test]
fn nothing_is_kept_for_a_later_connection() {
    let mut roster = roster();
    let (serial, mut events) = roster.join(HASH);
    roster.announce(HASH, serial, vec![offer(1)]);
    roster.connected();
    roster.announce(HASH, serial, vec![offer(2)]);
    roster.disconnected(Some("lost"));
    roster.answer(HASH, serial, OTHER, offer(3));
    roster.connected();
    assert_eq!(roster.outgoing(), []);
    assert_eq!(events.try_recv(), Ok(TrackerEvent::Failed { reason: "lost".to_owned() }));
}

#[test]
fn answers_wait_for_the_announce_and_are_limited() {
    let mut roster = roster();
    let (serial, _events) = roster.join(HASH);
    roster.connected();
    for n in 0..100 {
        roster.answer(HASH, serial, OTHER, offer(n));
    }
    assert_eq!(roster.outgoing(), []);
    roster.announce(HASH, serial, vec![]);
    let sent = roster.outgoing();
    assert_eq!(sent.len(), 1 + ANSWERS_MAX);
    assert!(matches!(
        sent.last(), Some(ClientMessage::Answer { answer, .. }) if *answer == offer(99)
    ));
}

#[test]
fn an_announce_carries_no_more_offers_than_fit() {
    let mut roster = roster();
    let (serial, _events) = roster.join(HASH);
    roster.connected();
    for sdp_bytes in [10, 16 << 10] {
        let large = |n: u8| Offer { offer_id: OfferId([n; 20]), sdp: "\n".repeat(sdp_bytes) };
        roster.announce(HASH, serial, (0..30).map(large).collect());
        let sent = roster.outgoing();
        let [message @ ClientMessage::Announce { offers, .. }] = sent.as_slice() else {
            panic!("{sent:?}")
        };
        assert_eq!(offers.len(), if sdp_bytes == 10 { OFFERS_MAX } else { 1 });
        assert!(message.to_json().len() <= MESSAGE_BYTES_MAX);
    }
}

#[test]
fn leaving_is_told_once_and_only_if_the_tracker_knew_of_us() {
    let mut roster = roster();
    let is_stopped = |sent: &[ClientMessage]| {
        let stopped = Some(AnnounceEvent::Stopped);
        matches!(sent, [ClientMessage::Announce { event, .. }] if *event == stopped)
    };
    roster.connected();
    let (serial, _events) = roster.join(HASH);
    roster.leave(HASH, serial);
    assert_eq!(roster.outgoing(), []);
    let (serial, _events) = roster.join(HASH);
    roster.announce(HASH, serial, vec![]);
    roster.outgoing();
    assert!(is_stopped(&roster.farewells()));
    roster.leave(HASH, serial);
    assert!(!roster.is_wanted());
    assert!(is_stopped(&roster.outgoing()));
    assert_eq!(roster.outgoing(), []);
}

#[test]
fn a_member_that_was_replaced_neither_speaks_nor_takes_the_new_one_along() {
    let mut roster = roster();
    let (old, mut old_events) = roster.join(HASH);
    let (new, _new_events) = roster.join(HASH);
    roster.connected();
    roster.announce(HASH, old, vec![]);
    roster.leave(HASH, old);
    assert!(roster.is_wanted());
    assert!(old_events.try_recv().is_err_and(|e| e == mpsc::error::TryRecvError::Disconnected));
    roster.announce(HASH, new, vec![]);
    assert_eq!(roster.outgoing().len(), 1);
}

#[test]
fn a_refusal_ends_the_announces_of_its_swarm() {
    let (mut roster, start) = (roster(), Instant::now());
    let (serial, mut events) = roster.join(HASH);
    roster.connected();
    roster.received(ServerMessage::Failure { hash: None, reason: "hm".to_owned() });
    assert_eq!(events.try_recv(), Ok(TrackerEvent::Failed { reason: "hm".to_owned() }));
    assert!(roster.is_wanted());
    roster.received(ServerMessage::Failure { hash: Some(HASH), reason: "no".to_owned() });
    assert_eq!(events.try_recv(), Ok(TrackerEvent::Failed { reason: "no".to_owned() }));
    roster.ask(start);
    roster.announce(HASH, serial, vec![]);
    assert_eq!((roster.outgoing().len(), roster.due(), roster.is_wanted()), (0, None, false));
}

#[test]
fn unknown_swarms_and_echoes_are_passed_over() {
    let mut roster = roster();
    let (_, mut events) = roster.join(HASH);
    roster.connected();
    let other = InfoHash([b'x'; 20]);
    roster.received(ServerMessage::Offer { hash: other, peer: OTHER, offer: offer(1) });
    roster.received(ServerMessage::Offer { hash: HASH, peer: ME, offer: offer(2) });
    roster.received(ServerMessage::Answer { hash: HASH, peer: ME, offer: offer(3) });
    roster.received(ServerMessage::Failure { hash: Some(other), reason: "no".to_owned() });
    assert!(events.try_recv().is_err());
    roster.received(ServerMessage::Offer { hash: HASH, peer: OTHER, offer: offer(4) });
    assert!(matches!(events.try_recv(), Ok(TrackerEvent::Offer { peer: OTHER, .. })));
}
