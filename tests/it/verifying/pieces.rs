//! Where peers are too slow the origin is asked for a piece of the segment; they bring the rest.

use super::scene::{Member, Scene};
use crate::origin::TestOrigin;
use crate::resource::Gate;
use crate::sharing::test_peer::TestPeer;
use crate::sharing::world::{Film, until};
use bytes::Bytes;
use hlswarm::swarm::wire::Message;
use serde_json::Value;
use tokio::time::{Duration, interval};

const SLOW: Member = (b"-HS0100-aaaaaaaaaaaa", "127.0.0.2");
const QUICK: Member = (b"-HS0100-bbbbbbbbbbbb", "127.0.0.3");
/// Of a segment: some twenty-three chunks.
const PACKETS: usize = 8_000;

/// A daemon whose player has had the first of two segments.
async fn set() -> (Scene, TestPeer, TestPeer) {
    let film = Film { duration_s: 4, ..Film::new(2, PACKETS) };
    let (scene, mut peers) = Scene::of(film, &[SLOW, QUICK]).await;
    let (quick, slow) = (peers.pop().unwrap(), peers.pop().unwrap());
    scene.expect(0).await;
    slow.announce(&[1]).await;
    let is_known = |stats: &Value| {
        stats["peers"].as_array().unwrap().iter().any(|peer| peer["segments_held"] == 1)
    };
    scene.player.stats_until("what a peer has", is_known).await;
    (scene, slow, quick)
}

/// Sends a little of what it is asked for now and then, for as long as the daemon stays.
async fn trickle(mut peer: TestPeer, bytes: &Bytes) {
    let total = bytes.len() as u64;
    while let Some(asked) = peer.requested().await {
        let (from, request) = (asked.from, asked.request);
        let size = asked.end.unwrap_or(total).min(total) - from;
        peer.say(&Message::Part { segment: 1, size, request, total }).await;
        let mut ticks = interval(Duration::from_millis(100));
        for n in (from..from + size).step_by(100).take(200) {
            ticks.tick().await;
            peer.send(&bytes.slice(n as usize..n as usize + 100)).await;
        }
    }
}

/// The ranges of the second segment that were asked for, slices for comparing left out.
fn pieces(origin: &TestOrigin) -> Vec<(u64, Option<u64>)> {
    let range = |text: &str| {
        let (from, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, last.parse().ok().map(|last: u64| last + 1)))
    };
    let seen = origin.requests_for(&Film::path(1));
    let ranges = seen.iter().map(|seen| range(seen.header("range")).unwrap_or((0, None)));
    ranges.filter(|(from, end)| end.is_none_or(|end| end - from > 64 << 10)).collect()
}

#[tokio::test]
async fn the_origin_brings_a_piece_of_what_is_late_and_peers_the_rest() {
    let (scene, slow, mut quick) = set().await;
    let (truth, gate) = (scene.film.segments[1].clone(), Gate::closed());
    scene.origin.put(&Film::path(1), scene.film.resource(1).hold_head(&gate));
    let size = truth.len() as u64;
    let helping = async {
        until("a piece is asked for", async || !pieces(&scene.origin).is_empty()).await;
        quick.announce(&[1]).await;
        for _ in 0..3 {
            let asked = quick.requested().await.expect("a request");
            quick.answer(&asked, &truth).await;
        }
        gate.open();
        quick.serve(|_| truth.clone()).await;
        std::future::pending().await
    };
    let source = tokio::select! {
        source = scene.expect(1) => source,
        () = helping => unreachable!("it is pending"),
        () = trickle(slow, &truth) => unreachable!("the daemon hung up"),
    };
    assert_eq!(source, "hlswarm; fwd=miss; detail=\"peers+origin\"");
    let asked = pieces(&scene.origin);
    let (from, end) = asked[0];
    assert!(end.is_some_and(|end| end - from <= size / 2), "{asked:?}");
    let stats = scene.player.stats().await;
    let from_peers = stats["totals"]["peer_bytes"].as_u64().unwrap();
    assert!(from_peers >= size / 4, "{from_peers} of {size} bytes are from peers, {asked:?}");
    assert_eq!(scene.rejected().await, 0);
}

#[tokio::test]
async fn an_origin_without_ranges_is_asked_for_the_whole_at_once() {
    let (scene, slow, _quick) = set().await;
    let truth = scene.film.segments[1].clone();
    scene.origin.put(&Film::path(1), scene.film.resource(1).without_ranges());
    tokio::select! {
        _ = scene.expect(1) => {}
        () = trickle(slow, &truth) => unreachable!("the daemon hung up"),
    }
    let asked = pieces(&scene.origin);
    assert!(asked[0].1.is_some() && asked[1..].iter().all(|(_, end)| end.is_none()), "{asked:?}");
    assert_eq!(scene.rejected().await, 0);
}

#[tokio::test]
async fn where_a_piece_is_refused_the_whole_is_asked_for() {
    let (scene, slow, _quick) = set().await;
    let truth = scene.film.segments[1].clone();
    let resource = scene.film.resource(1).fail_first(1, 503);
    scene.origin.put(&Film::path(1), resource);
    tokio::select! {
        _ = scene.expect(1) => {}
        () = trickle(slow, &truth) => unreachable!("the daemon hung up"),
    }
    let asked = pieces(&scene.origin);
    let ends: Vec<_> = asked.iter().map(|(_, end)| end.is_some()).collect();
    assert_eq!(ends, [true, false], "{asked:?}");
}
