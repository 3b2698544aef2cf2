//! Members that lie: the player gets the origin's bytes, the liar is gone, the others are not.

use super::scene::{FROM_PEERS, PACKETS, Scene, claim};
use crate::resource::Resource;
use crate::sharing::test_peer::{STRANGER, Said, TestPeer, Waiting};
use crate::sharing::world::{Film, PACKET, has_any, transport_stream};
use bytes::Bytes;
use hlswarm::verify::digest::sha256;

const KIN: &[u8; 20] = b"-HS0100-aaaaaaaaaaaa";
const OTHER: &[u8; 20] = b"-HS0100-bbbbbbbbbbbb";
const LIAR: &[u8; 20] = b"-HS0100-xxxxxxxxxxxx";
const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";

/// What can be done to a segment so that it still looks like one.
type Lie = (&'static str, fn(&Film) -> Bytes);

/// Lies about segment 1; the last changes as little as can be.
const LIES: [Lie; 5] = [
    ("another segment of the same form and size", |_| transport_stream(PACKETS, 99)),
    ("the segment before", |film| film.segments[0].clone()),
    ("another rendition's, which is larger", |_| transport_stream(2 * PACKETS, 1)),
    ("the end cut off between two packets", |film| film.segments[1].slice(..900 * PACKET)),
    ("one bit", flipped),
];

fn flipped(film: &Film) -> Bytes {
    let mut bytes = film.segments[1].to_vec();
    bytes[500 * PACKET + 100] ^= 1;
    bytes.into()
}

/// The SHA-256 of a segment as a hash list has it.
fn hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until the daemon has hung up.
async fn dropped(peer: &mut TestPeer) {
    while peer.hear().await.is_some() {}
}

#[tokio::test]
async fn whatever_differs_from_what_members_agree_on_reaches_no_player() {
    for (lie, change) in LIES {
        let members = [(KIN, "127.0.0.2"), (OTHER, "127.0.0.3"), (LIAR, "127.0.0.4")];
        let (scene, mut peers) = Scene::set(2, &members).await;
        for peer in &mut peers[..2] {
            claim(peer, 1, &scene.film.segments[1]).await;
        }
        let wrong = change(&scene.film);
        peers[2].announce(&[1]).await;
        scene.expect(0).await;
        let source = scene.expect_from(1, &mut peers[2], |_| wrong.clone()).await;
        assert_eq!(source, FROM_ORIGIN, "{lie}");
        dropped(&mut peers[2]).await;
        scene.left(2).await;
        assert_eq!(scene.rejected().await, 1, "{lie}");
        let asked = scene.origin.requests_for(&Film::path(1));
        assert!(asked.iter().any(|seen| seen.header("range").is_empty()), "all of it: {asked:?}");
        for peer in &mut peers[..2] {
            peer.is_heard(|_| {}).await;
        }
    }
}

#[tokio::test]
async fn colluding_liars_in_one_network_do_not_make_an_honest_peer_a_liar() {
    assert_false_claims_cost_nothing([(KIN, "127.0.0.2"), (LIAR, "127.0.0.2")]).await;
}

#[tokio::test]
async fn a_false_hash_that_liars_in_two_networks_agree_on_costs_nobody_anything() {
    // The origin is asked who is right before anybody is blamed.
    assert_false_claims_cost_nothing([(KIN, "127.0.0.2"), (LIAR, "127.0.0.3")]).await;
}

/// Two say the same false thing of what an honest stranger then sends.
async fn assert_false_claims_cost_nothing(liars: [(&'static [u8; 20], &'static str); 2]) {
    let [first, second] = liars;
    let members = [first, second, (STRANGER, "127.0.0.4")];
    let (scene, mut peers) = Scene::set(2, &members).await;
    for liar in &mut peers[..2] {
        claim(liar, 1, b"something else").await;
    }
    let truth = scene.film.segments[1].clone();
    peers[2].announce(&[1]).await;
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, &mut peers[2], |_| truth.clone()).await, FROM_PEERS);
    assert_eq!(scene.rejected().await, 0);
    scene.left(3).await;
}

#[tokio::test]
async fn a_stranger_that_substitutes_a_segment_is_caught_at_once() {
    for (lie, change) in &LIES[..4] {
        let members = [(LIAR, "127.0.0.2"), (OTHER, "127.0.0.2")];
        let (scene, mut peers) = Scene::set(2, &members).await;
        let wrong = change(&scene.film);
        // Two in one network that say the same prove nothing.
        for liar in &mut peers {
            claim(liar, 1, &wrong).await;
        }
        let [liar, accomplice] = &mut peers[..] else { panic!("two peers") };
        liar.announce(&[1]).await;
        scene.expect(0).await;
        assert_eq!(scene.expect_from(1, liar, |_| wrong.clone()).await, FROM_ORIGIN, "{lie}");
        dropped(liar).await;
        scene.left(1).await;
        assert_eq!(scene.rejected().await, 1, "{lie}");
        accomplice.is_heard(|_| {}).await;
    }
}

#[tokio::test]
async fn a_peer_that_was_honest_for_long_is_caught_at_its_first_substitution() {
    const HONEST: usize = 8;
    let (scene, mut peers) = Scene::set(HONEST + 2, &[(LIAR, "127.0.0.2")]).await;
    let liar = &mut peers[0];
    let all: Vec<u64> = (1..=HONEST as u64 + 1).collect();
    liar.announce(&all).await;
    scene.expect(0).await;
    let has = |segment: u64| match usize::try_from(segment).unwrap() {
        number if number <= HONEST => scene.film.segments[number].clone(),
        _ => transport_stream(PACKETS, 99),
    };
    for number in 1..=HONEST {
        scene.expect_from(number, liar, has).await;
    }
    assert_eq!(scene.expect_from(HONEST + 1, liar, has).await, FROM_ORIGIN);
    dropped(liar).await;
    assert_eq!(scene.rejected().await, 1);
    // The last one may have been unproved still when the lie that came behind it was found out.
    let brought = scene.player.stats().await["totals"]["peer_segments"].as_u64().unwrap();
    assert!(brought + 1 >= HONEST as u64, "{brought}");
}

#[tokio::test]
async fn with_a_hash_list_of_the_publisher_not_one_bit_can_be_changed() {
    for (lie, change) in LIES {
        let (scene, mut peers) = Scene::set(2, &[(LIAR, "127.0.0.2")]).await;
        let hashes = scene.film.segments.iter().enumerate();
        let listed: Vec<_> =
            hashes.map(|(n, bytes)| format!("\"seg-{n}.ts\":\"{}\"", hex(bytes))).collect();
        let list = Resource::new("application/json", format!("{{{}}}", listed.join(",")));
        scene.origin.put("/film/segments-sha256.json", list);
        let wrong = change(&scene.film);
        peers[0].announce(&[1]).await;
        scene.expect(0).await;
        let source = scene.expect_from(1, &mut peers[0], |_| wrong.clone()).await;
        assert_eq!(source, FROM_ORIGIN, "{lie}");
        dropped(&mut peers[0]).await;
        assert_eq!(scene.rejected().await, 1, "{lie}");
    }
}

#[tokio::test]
async fn a_banned_member_is_not_answered_and_its_neighbour_is() {
    let (scene, mut peers) = Scene::set(2, &[(LIAR, "127.0.0.2")]).await;
    let liar = &mut peers[0];
    let tracker = scene.tracker.url();
    let garbage = Bytes::from(vec![0x55; PACKETS * PACKET]);
    liar.announce(&[1]).await;
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, liar, |_| garbage.clone()).await, FROM_ORIGIN);
    dropped(liar).await;
    scene.player.stats_until("alone", |stats| !has_any(&stats["peers"])).await;
    assert_eq!(scene.rejected().await, 1);
    let again = Waiting::join_as(LIAR, "127.0.0.2", &tracker, &scene.url).await;
    let other = Waiting::join_as(OTHER, "127.0.0.2", &tracker, &scene.url).await;
    let calling = tokio::spawn(again.call());
    let mut other = other.call().await;
    assert!(matches!(other.hear().await, Some(Said::Message(_))), "a neighbour is welcome");
    assert!(!calling.is_finished(), "the liar is not");
    calling.abort();
}

#[tokio::test]
async fn a_liar_loses_its_connections_in_every_stream_of_the_daemon() {
    let (scene, mut peers) = Scene::set(2, &[(LIAR, "127.0.0.2")]).await;
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
    for number in 0..2 {
        text.push_str(&format!("#EXTINF:2,\nother-{number}.ts\n"));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    scene.origin.put("/film/other.m3u8", Resource::playlist(&text));
    let other = scene.origin.url("/film/other.m3u8");
    let tracker = scene.tracker.url();
    let same = Waiting::join_as(LIAR, "127.0.0.2", &tracker, &other).await;
    let neighbour = Waiting::join_as(STRANGER, "127.0.0.2", &tracker, &other).await;
    scene.player.timeline(&other).await;
    let (mut same, mut neighbour) = tokio::join!(same.meet(), neighbour.meet());
    scene.left(3).await;
    let garbage = Bytes::from(vec![0x55; PACKETS * PACKET]);
    peers[0].announce(&[1]).await;
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, &mut peers[0], |_| garbage.clone()).await, FROM_ORIGIN);
    dropped(&mut peers[0]).await;
    dropped(&mut same).await;
    scene.left(1).await;
    neighbour.is_heard(|_| {}).await;
}
