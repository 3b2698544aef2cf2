//! A peer can slow a segment, never fail it: whatever it does, the player gets the origin's bytes.

use super::test_peer::{Asked, Said, TestPeer, Waiting};
use super::world::{Film, PACKET, Player, Tracker, config, finish, has_any, read, until};
use crate::origin::{Seen, TestOrigin};
use crate::program::{Program, command};
use crate::resource::Resource;
use bytes::Bytes;
use hlswarm::daemon::Daemon;
use hlswarm::origin::Wanted;
use hlswarm::playlist::Timeline;
use hlswarm::swarm::wire::Message;
use serde_json::Value;
use std::time::Duration;

const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const FROM_BOTH: &str = "hlswarm; fwd=miss; detail=\"peers+origin\"";

/// A daemon whose player has had the first of two segments, connected to a peer that claims to
/// hold the second.
struct Scene {
    origin: TestOrigin,
    film: Film,
    player: Player,
    timeline: Timeline,
    peer: TestPeer,
    _daemon: Daemon,
    _tracker: Tracker,
}

impl Scene {
    async fn set(change: impl FnOnce(Resource) -> Resource) -> Self {
        let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
        let film = Film::new(2, 1_000);
        let url = film.put(&origin);
        origin.put(&Film::path(1), change(film.resource(1)));
        let waiting = Waiting::join(&tracker.url(), &url).await;
        let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
        let player = Player::of(&daemon);
        let timeline = player.timeline(&url).await;
        let peer = waiting.meet().await;
        peer.announce(&[1]).await;
        film.expect(&player, &timeline.segments[0], &film.segments[0]).await;
        Self { origin, film, player, timeline, peer, _daemon: daemon, _tracker: tracker }
    }

    /// The segment that the peer claims to hold.
    fn bytes(&self) -> Bytes {
        self.film.segments[1].clone()
    }

    /// Plays the second segment while the peer does as it likes; where it came from.
    async fn play(&mut self, behaviour: impl AsyncFnOnce(&mut TestPeer, Bytes)) -> String {
        let bytes = self.bytes();
        let playing = self.film.expect(&self.player, &self.timeline.segments[1], &bytes);
        let (source, ()) = tokio::join!(playing, behaviour(&mut self.peer, bytes.clone()));
        source
    }

    /// The one request for the second segment, or for its end, that the origin saw; what is
    /// compared of the beginning is asked for besides.
    fn asked(&self) -> Seen {
        let mut seen = self.origin.fetches_of(&Film::path(1));
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// First byte that the origin was asked for.
    fn asked_from(&self) -> usize {
        let asked = self.asked();
        let range = asked.header("range");
        range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')).unwrap().parse().unwrap()
    }

    /// Waits until the daemon has closed the connection to the peer.
    async fn peer_dropped(&mut self) -> Value {
        while self.peer.hear().await.is_some() {}
        self.player.stats_until("alone", |stats| !has_any(&stats["peers"])).await
    }
}

/// Answers the next request with a header; its segment and number.
async fn promise(peer: &mut TestPeer, size: usize) -> (u64, u64) {
    let Asked { segment, request, from, .. } = peer.requested().await.expect("a request");
    assert_eq!((segment, from), (1, 0));
    peer.say(&Message::Data { segment, size: size as u64, request }).await;
    (segment, request)
}

/// Promises everything and sends the first half.
async fn half(peer: &mut TestPeer, bytes: Bytes) {
    promise(peer, bytes.len()).await;
    peer.send(&bytes.slice(..bytes.len() / 2)).await;
}

#[tokio::test]
async fn continues_at_the_origin_where_a_peer_fell_silent() {
    let mut scene = Scene::set(|resource| resource).await;
    assert_eq!(scene.play(half).await, FROM_BOTH);
    assert_eq!(scene.asked_from(), scene.bytes().len() / 2);
    let stats = scene.player.stats().await;
    assert_eq!(stats["totals"]["peer_bytes"], scene.bytes().len() / 2);
    assert_eq!(stats["totals"]["peer_segments"], 0);
}

#[tokio::test]
async fn continues_at_an_origin_that_knows_no_ranges() {
    let mut scene = Scene::set(Resource::without_ranges).await;
    assert_eq!(scene.play(half).await, FROM_BOTH);
    assert_eq!(scene.asked_from(), scene.bytes().len() / 2);
}

#[tokio::test]
async fn continues_at_the_origin_when_a_peer_leaves() {
    let mut scene = Scene::set(|resource| resource).await;
    let leave = async |peer: &mut TestPeer, bytes: Bytes| {
        half(peer, bytes).await;
        // What was not sent yet is lost with the connection: perhaps all of it.
        peer.close().await;
    };
    let source = scene.play(leave).await;
    let asked = scene.asked();
    assert_eq!(source == FROM_BOTH, !asked.header("range").is_empty(), "{source}");
}

#[tokio::test]
async fn leaves_a_peer_that_is_too_slow() {
    let mut scene = Scene::set(|resource| resource).await;
    let trickle = async |peer: &mut TestPeer, bytes: Bytes| {
        promise(peer, bytes.len()).await;
        let mut rest = bytes.chunks(1_000);
        // It would take ten seconds; the daemon ends it.
        let mut rhythm = tokio::time::interval(Duration::from_millis(50));
        loop {
            let said = tokio::select! {
                said = peer.hear() => said,
                _ = rhythm.tick() => {
                    let chunk = rest.next().expect("somebody to mind");
                    peer.send(&bytes.slice_ref(chunk)).await;
                    continue;
                }
            };
            match said {
                Some(Said::Message(Message::Announcement { .. })) => {}
                Some(Said::Message(Message::Cancel { .. })) => break,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(scene.play(trickle).await, FROM_BOTH);
    let from = scene.asked_from();
    assert!(from > 0 && from < scene.bytes().len(), "{from}");
}

#[tokio::test]
async fn drops_a_peer_that_calls_half_a_segment_complete() {
    let mut scene = Scene::set(|resource| resource).await;
    let cut = async |peer: &mut TestPeer, bytes: Bytes| {
        let (segment, request) = promise(peer, bytes.len()).await;
        peer.send(&bytes.slice(..bytes.len() / 2)).await;
        peer.say(&Message::Completed { segment, request }).await;
    };
    assert_eq!(scene.play(cut).await, FROM_BOTH);
    assert_eq!(scene.asked_from(), scene.bytes().len() / 2);
    scene.peer_dropped().await;
}

#[tokio::test]
async fn drops_a_peer_whose_segment_has_another_size_or_is_garbage() {
    let too_long = |bytes: Bytes| [&bytes[..], b"and more"].concat();
    let too_short = |bytes: Bytes| bytes[..bytes.len() - 1].to_vec();
    let garbage = |bytes: Bytes| bytes.iter().map(|byte| byte ^ 0x55).collect();
    let changes: [&dyn Fn(Bytes) -> Vec<u8>; 3] = [&too_long, &too_short, &garbage];
    for change in changes {
        let mut scene = Scene::set(|resource| resource).await;
        let pollute = async |peer: &mut TestPeer, bytes: Bytes| {
            let wrong = Bytes::from(change(bytes));
            let (segment, request) = promise(peer, wrong.len()).await;
            peer.send(&wrong).await;
            peer.say(&Message::Completed { segment, request }).await;
        };
        assert_eq!(scene.play(pollute).await, FROM_ORIGIN);
        assert_eq!(scene.asked().header("range"), "");
        let stats = scene.peer_dropped().await;
        assert_eq!(stats["totals"]["rejected_segments"], 1);
        assert_eq!(stats["totals"]["peer_segments"], 0);
    }
}

#[tokio::test]
async fn a_newcomer_that_has_seen_nothing_of_the_origin_refuses_garbage_too() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(2, 1_000);
    let url = film.put(&origin);
    let waiting = Waiting::join(&tracker.url(), &url).await;
    let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
    let player = Player::of(&daemon);
    let timeline = player.timeline(&url).await;
    let mut peer = waiting.meet().await;
    peer.announce(&[0]).await;
    let pollute = async {
        let Asked { segment, request, .. } = peer.requested().await.expect("a request");
        let size = film.segments[0].len();
        peer.say(&Message::Data { segment, size: size as u64, request }).await;
        peer.send(&Bytes::from(vec![0; size])).await;
    };
    let playing = film.expect(&player, &timeline.segments[0], &film.segments[0]);
    let (source, ()) = tokio::join!(playing, pollute);
    assert_eq!(source, FROM_ORIGIN);
    assert_eq!(daemon.totals().rejected_segments, 1);
}

#[tokio::test]
async fn throws_garbage_away_that_the_origin_would_have_continued() {
    let mut scene = Scene::set(|resource| resource).await;
    let pollute = async |peer: &mut TestPeer, bytes: Bytes| {
        promise(peer, bytes.len()).await;
        peer.send(&bytes.slice(1..bytes.len() / 2)).await;
    };
    assert_eq!(scene.play(pollute).await, FROM_ORIGIN);
    let seen = scene.origin.requests_for(&Film::path(1));
    assert_eq!(seen.last().unwrap().header("range"), "", "all of it");
    assert_eq!(scene.peer_dropped().await["totals"]["rejected_segments"], 1);
}

#[tokio::test]
async fn continues_nothing_of_a_segment_that_a_peer_says_has_another_size() {
    for more in [PACKET, 2 * PACKET] {
        let mut scene = Scene::set(|resource| resource).await;
        let lie = async |peer: &mut TestPeer, bytes: Bytes| {
            promise(peer, bytes.len() + more).await;
            // In form a beginning like any other.
            peer.send(&bytes.slice(PACKET..bytes.len() / 2)).await;
        };
        assert_eq!(scene.play(lie).await, FROM_ORIGIN);
        let seen = scene.origin.requests_for(&Film::path(1));
        assert_eq!(seen.last().unwrap().header("range"), "", "all of it");
        assert_eq!(scene.peer_dropped().await["totals"]["rejected_segments"], 1);
    }
}

#[tokio::test]
async fn asks_the_origin_when_a_peer_does_not_hold_what_it_claimed() {
    let mut scene = Scene::set(|resource| resource).await;
    let deny = async |peer: &mut TestPeer, _: Bytes| {
        let Asked { segment, request, .. } = peer.requested().await.expect("a request");
        peer.say(&Message::Absent { segment, request }).await;
    };
    assert_eq!(scene.play(deny).await, FROM_ORIGIN);
    assert_eq!(scene.asked().header("range"), "");
    assert!(has_any(&scene.player.stats().await["peers"]), "that alone is no crime");
}

#[tokio::test]
async fn drops_a_peer_that_floods() {
    let mut scene = Scene::set(|resource| resource).await;
    let flood = async |peer: &mut TestPeer, bytes: Bytes| {
        peer.requested().await.expect("a request");
        for number in 0..1500 {
            peer.announce(&[1, number]).await;
            peer.say(&Message::Request { segment: number, request: number, from: 0 }).await;
            peer.say(&Message::Cancel { segment: number, request: number }).await;
            peer.send(&bytes.slice(..2_000)).await;
        }
    };
    assert_eq!(scene.play(flood).await, FROM_ORIGIN);
    let stats = scene.peer_dropped().await;
    assert_eq!(stats["totals"]["upload_bytes"], 0, "{stats:#}");
}

#[tokio::test]
async fn continues_at_the_origin_when_the_peer_is_killed() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    // Long in every sense: not over before it is killed, and not late until then.
    let film = Film { duration_s: 60, ..Film::new(1, 200_000) };
    let url = film.put(&origin);
    let child = Program::from(
        command()
            .args(["serve", "--listen", "127.0.0.1:0", "--tracker", &tracker.url()])
            .env("HLSWARM_P2P_BIND", "127.0.0.1"),
    )
    .await;
    film.play(&Player::at(child.addr()), &url).await;
    let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
    let player = Player::of(&daemon);
    let segment = player.timeline(&url).await.segments.remove(0);
    let (answer, ()) = tokio::join!(
        async {
            let mut answer = player.open(&segment.url, Wanted::Whole).await;
            let held = read(&mut answer, 1).await;
            finish(answer, held).await
        },
        async {
            until("a byte of the peer", async || daemon.totals().peer_bytes > 0).await;
            child.signal("KILL").await;
        }
    );
    assert_eq!((answer.status, answer.is_cut), (200, false));
    assert!(answer.body == film.segments[0], "wrong bytes");
    assert_eq!(answer.source(), FROM_BOTH);
    let ranges: Vec<_> = origin.fetches_of(&Film::path(0))[1..].to_vec();
    let expected = format!("bytes={}-", daemon.totals().peer_bytes);
    assert_eq!(ranges.iter().map(|seen| seen.header("range")).collect::<Vec<_>>(), [expected]);
}
