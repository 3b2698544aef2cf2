//! Hashes that members of our own kind exchange, and what becomes of segments they agree on.

use super::scene::{FROM_PEERS, Scene, claim};
use crate::sharing::test_peer::{STRANGER, Said, TestPeer, Waiting};
use hlswarm::swarm::wire::Message;
use hlswarm::verify::digest::sha256;

const KIN: &[u8; 20] = b"-HS0100-aaaaaaaaaaaa";
const OTHER: &[u8; 20] = b"-HS0100-bbbbbbbbbbbb";

async fn next_hash(peer: &mut TestPeer) -> Message {
    loop {
        if let Said::Message(hash @ Message::Hash { .. }) = peer.hear().await.unwrap() {
            return hash;
        }
    }
}

#[tokio::test]
async fn members_of_our_kind_hear_what_segments_are_and_browsers_do_not() {
    let (scene, mut peers) = Scene::set(2, &[(KIN, "127.0.0.1"), (STRANGER, "127.0.0.1")]).await;
    let [kin, stranger] = &mut peers[..] else { panic!("two peers") };
    stranger.announce(&[1]).await;
    scene.expect(0).await;
    let hash = next_hash(kin).await;
    let sha256 = sha256(&scene.film.segments[0]);
    assert_eq!(hash, Message::Hash { segment: 0, sha256, is_from_origin: true });
    // The stranger was told before or never: it is asked last.
    let mut told = Vec::new();
    stranger.is_heard(|message| told.push(message)).await;
    assert!(!told.is_empty() && !told.iter().any(Message::is_for_kin), "{told:?}");
}

#[tokio::test]
async fn a_newcomer_of_our_kind_hears_what_the_latest_segments_are() {
    let members = [(KIN, "127.0.0.1"), (STRANGER, "127.0.0.1")];
    let (scene, mut peers) = Scene::set(2, &members).await;
    let [kin, stranger] = &mut peers[..] else { panic!("two peers") };
    stranger.announce(&[1]).await;
    let truth = scene.film.segments[1].clone();
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, stranger, |_| truth.clone()).await, FROM_PEERS);
    for _ in 0..2 {
        next_hash(kin).await;
    }
    let tracker = scene.tracker.url();
    let newcomer = Waiting::join_as(OTHER, "127.0.0.1", &tracker, &scene.url).await;
    let mut newcomer = newcomer.call().await;
    let mut said = Vec::new();
    newcomer.is_heard(|message| said.push(message)).await;
    let of = |segment: usize, is_from_origin| Message::Hash {
        segment: segment as u64,
        sha256: sha256(&scene.film.segments[segment]),
        is_from_origin,
    };
    assert!(matches!(said[0], Message::Announcement { .. }), "{said:?}");
    said.retain(|message| matches!(message, Message::Hash { .. }));
    assert_eq!(said, [of(0, true), of(1, false)], "after the announcement");
}

#[tokio::test]
async fn what_members_in_two_networks_agree_on_is_taken_from_anybody() {
    let members = [(KIN, "127.0.0.2"), (OTHER, "127.0.0.3"), (STRANGER, "127.0.0.4")];
    let (scene, mut peers) = Scene::set(2, &members).await;
    let truth = scene.film.segments[1].clone();
    for peer in &mut peers[..2] {
        claim(peer, 1, &truth).await;
    }
    peers[2].announce(&[1]).await;
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, &mut peers[2], |_| truth.clone()).await, FROM_PEERS);
    assert_eq!(scene.rejected().await, 0);
}

#[tokio::test]
async fn a_flood_of_hashes_neither_stops_playback_nor_counts_for_more_than_one_voice() {
    let members = [(KIN, "127.0.0.2"), (STRANGER, "127.0.0.3")];
    let (scene, mut peers) = Scene::set(2, &members).await;
    let [kin, stranger] = &mut peers[..] else { panic!("two peers") };
    let truth = scene.film.segments[1].clone();
    for n in 0..20_000_u64 {
        // Segments that are, that may be soon, and that will never be; the last word is a lie.
        let segment = [1, 1 + n % 60, n << 30][n as usize % 3];
        let sha256 = [n as u8; 32];
        kin.say(&Message::Hash { segment, sha256, is_from_origin: n % 2 == 0 }).await;
    }
    kin.is_heard(|_| {}).await;
    stranger.announce(&[1]).await;
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, stranger, |_| truth.clone()).await, FROM_PEERS);
    scene.left(2).await;
}
