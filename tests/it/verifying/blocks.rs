//! Segments that are read and passed on while they arrive, as members say what their blocks are.

use super::scene::{Member, Scene, claim};
use crate::sharing::test_peer::{Said, TestPeer};
use crate::sharing::world::{Film, read, transport_stream};
use bytes::Bytes;
use hlswarm::origin::Wanted;
use hlswarm::swarm::wire::{BLOCKS_SAID_MAX, CHUNK_BYTES, Message};
use hlswarm::verify::blocks::List;

const FIRST: Member = (b"-HS0100-aaaaaaaaaaaa", "127.0.0.2");
const SECOND: Member = (b"-HS0100-bbbbbbbbbbbb", "127.0.0.3");
/// Of a segment: some twelve chunks.
const PACKETS: usize = 4_000;
const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";

async fn set(segments: usize, members: &[Member]) -> (Scene, Vec<TestPeer>) {
    Scene::of(Film::new(segments, PACKETS), members).await
}

/// Says what the blocks of a segment are.
async fn list(peer: &mut TestPeer, segment: u64, bytes: &[u8]) {
    let List { total, hashes } = List::of(bytes).unwrap();
    for (number, hashes) in hashes.chunks(BLOCKS_SAID_MAX).enumerate() {
        let (first, hashes) = ((number * BLOCKS_SAID_MAX) as u64, hashes.to_vec());
        peer.say(&Message::Blocks { segment, total, first, hashes }).await;
    }
    peer.is_heard(|_| {}).await;
}

/// Sends all of a segment but its end, for as long as the daemon stays.
async fn send_all_but_the_end(peer: &mut TestPeer, bytes: &Bytes) {
    while let Some(asked) = peer.requested().await {
        if asked.end.is_some_and(|end| end < bytes.len() as u64) {
            peer.answer(&asked, bytes).await;
        }
    }
    panic!("the daemon hung up");
}

/// Waits until a member says that it holds chunks of a segment that is not whole there.
async fn holding(peer: &mut TestPeer) -> Vec<u64> {
    loop {
        match peer.hear().await.expect("a word") {
            Said::Message(Message::Holding { segment: 1, chunks, .. }) if !chunks.is_empty() => {
                return chunks;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_fits_the_list_is_passed_on_while_the_rest_is_missing() {
    let (scene, mut peers) = set(2, &[FIRST, SECOND]).await;
    let [first, second] = &mut peers[..] else { panic!("two peers") };
    let truth = scene.film.segments[1].clone();
    first.announce(&[1]).await;
    list(first, 1, &truth).await;
    scene.expect(0).await;
    tokio::select! {
        () = send_all_but_the_end(first, &truth) => {}
        () = is_passed_on(second, &truth) => {}
    }
    assert_eq!(scene.rejected().await, 0);
}

/// Asks for the first chunk that there is of a segment.
async fn is_passed_on(peer: &mut TestPeer, truth: &[u8]) {
    let chunks = holding(peer).await;
    assert!(chunks.len() < truth.len().div_ceil(CHUNK_BYTES as usize), "{chunks:?}");
    // Not yet whole there: it has the list all the same, and says it first.
    let from = chunks[0] * CHUNK_BYTES;
    let (request, end) = (77, from + CHUNK_BYTES);
    peer.say(&Message::RequestPart { segment: 1, request, from, end }).await;
    let (mut hashes, mut part) = (Vec::new(), Vec::new());
    loop {
        match peer.hear().await.expect("an answer") {
            Said::Message(Message::Blocks { segment: 1, hashes: more, .. }) => hashes.extend(more),
            Said::Message(Message::Part { segment: 1, size, request: 77, total }) => {
                assert_eq!((size, total), (CHUNK_BYTES, truth.len() as u64));
                assert!(!hashes.is_empty(), "the list comes first");
            }
            Said::Payload(bytes) => part.extend_from_slice(&bytes),
            Said::Message(Message::Completed { segment: 1, request: 77 }) => break,
            Said::Message(_) => {}
        }
    }
    assert_eq!(hashes, List::of(truth).unwrap().hashes);
    assert!(part == truth[from as usize..end as usize], "other bytes");
}

#[tokio::test]
async fn a_player_reads_what_fits_the_list_before_the_segment_is_whole() {
    let (scene, mut peers) = set(2, &[FIRST]).await;
    let truth = scene.film.segments[1].clone();
    peers[0].announce(&[1]).await;
    list(&mut peers[0], 1, &truth).await;
    scene.expect(0).await;
    let url = &scene.timeline.segments[1].url;
    let reading = async {
        let mut answer = scene.player.open(url, Wanted::Whole).await;
        let begin = read(&mut answer, CHUNK_BYTES as usize).await;
        assert!(truth.starts_with(&begin), "other bytes");
        assert!(begin.len() < truth.len());
        assert_eq!(scene.origin.fetches_of(&Film::path(1)).len(), 0);
    };
    tokio::select! {
        () = send_all_but_the_end(&mut peers[0], &truth) => {}
        () = reading => {}
    }
}

#[tokio::test]
async fn one_slice_is_enough_for_a_segment_of_many_senders() {
    const SEGMENTS: usize = 6;
    let (scene, peers) = set(SEGMENTS, &[FIRST, SECOND]).await;
    let film = scene.film.segments.clone();
    let held: Vec<u64> = (1..SEGMENTS as u64).collect();
    for mut peer in peers {
        for (segment, bytes) in film.iter().enumerate().skip(1) {
            list(&mut peer, segment as u64, bytes).await;
        }
        peer.announce(&held).await;
        let film = film.clone();
        tokio::spawn(async move { peer.serve(|segment| film[segment as usize].clone()).await });
    }
    for number in 0..SEGMENTS {
        let source = scene.expect(number).await;
        assert_eq!(source == FROM_ORIGIN, number == 0, "{source}");
    }
    for number in 1..SEGMENTS {
        let seen = scene.origin.requests_for(&Film::path(number));
        let slices = seen.iter().filter(|seen| seen.is_slice()).count();
        assert_eq!((slices, seen.len()), (1, 1), "segment {number}: {seen:?}");
    }
    assert_eq!(scene.rejected().await, 0);
}

#[tokio::test]
async fn who_lists_and_sends_another_segment_is_caught_before_anybody_has_any_of_it() {
    let (scene, mut peers) = set(2, &[FIRST, SECOND]).await;
    let wrong = transport_stream(PACKETS, 99);
    let liar = &mut peers[0];
    liar.announce(&[1]).await;
    list(liar, 1, &wrong).await;
    claim(liar, 1, &wrong).await;
    scene.expect(0).await;
    assert_eq!(scene.expect_from(1, liar, |_| wrong.clone()).await, FROM_ORIGIN);
    while liar.hear().await.is_some() {}
    scene.left(1).await;
    assert_eq!(scene.player.stats().await["streams"][0]["checked_by"]["slices"], 0);
}

#[tokio::test]
async fn who_sends_one_bit_otherwise_than_the_list_has_it_is_caught_for_certain() {
    let (scene, mut peers) = set(2, &[FIRST, SECOND]).await;
    let truth = scene.film.segments[1].clone();
    let mut flipped = truth.to_vec();
    flipped[300_000] ^= 1;
    let (liar, honest) = peers.split_at_mut(1);
    list(&mut honest[0], 1, &truth).await;
    liar[0].announce(&[1]).await;
    scene.expect(0).await;
    scene.expect_from(1, &mut liar[0], |_| flipped.clone().into()).await;
    while liar[0].hear().await.is_some() {}
    scene.left(1).await;
    honest[0].is_heard(|_| {}).await;
}

/// Two members list `lies` segments, one of them each with one bit flipped; the other serves them.
async fn differing(right: usize, lies: u64) -> (Scene, Vec<TestPeer>) {
    let (scene, mut peers) = set(1 + lies as usize, &[FIRST, SECOND]).await;
    for segment in 1..=lies {
        let truth = scene.film.segments[segment as usize].clone();
        let mut flipped = truth.to_vec();
        flipped[700_000] ^= 1;
        for (peer, hears) in peers.iter_mut().enumerate() {
            list(hears, segment, if peer == right { &truth } else { &flipped }).await;
        }
    }
    let held: Vec<u64> = (1..=lies).collect();
    peers[right].announce(&held).await;
    scene.expect(0).await;
    for number in 1..=lies as usize {
        let film = scene.film.segments.clone();
        let has = |segment: u64| film[segment as usize].clone();
        let source = scene.expect_from(number, &mut peers[right], has).await;
        assert_ne!(source, FROM_ORIGIN, "segment {number}");
        assert_eq!(scene.origin.fetches_of(&Film::path(number)).len(), 0);
    }
    assert_eq!(scene.rejected().await, 0);
    (scene, peers)
}

#[tokio::test]
async fn of_two_lists_that_differ_in_a_bit_the_wrong_one_may_have_been_believed_by_its_sayer() {
    for right in [0, 1] {
        let (scene, mut peers) = differing(right, 1).await;
        for peer in &mut peers {
            peer.is_heard(|_| {}).await;
        }
        scene.left(2).await;
    }
}

#[tokio::test]
async fn who_says_wrong_lists_again_is_banned() {
    for right in [0, 1] {
        let (scene, mut peers) = differing(right, 2).await;
        while peers[1 - right].hear().await.is_some() {}
        scene.left(1).await;
    }
}
