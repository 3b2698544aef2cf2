//! No byte that the list of hashes does not confirm reaches a player, whoever sent it.

use super::instance::Instance;
use super::sharing::Viewer;
use super::video::{Form, Rendition, flipped};
use crate::resource::Resource;
use crate::sharing::test_peer::{STRANGER, TestPeer, Waiting};
use crate::sharing::world::config;
use bytes::Bytes;
use hlswarm::ids::{InfoHash, PeerId};
use serde_json::Map;

/// Becomes a member of the swarm of the first rendition, and waits to be met.
async fn join(instance: &Instance) -> Waiting {
    let hash = InfoHash(instance.hash("main-0").as_bytes().try_into().unwrap());
    let address = "127.0.0.1".parse().unwrap();
    Waiting::join_swarm(PeerId(*STRANGER), address, &instance.tracker_url(), hash).await
}

/// The viewer gets a segment while a peer answers with what it has.
async fn get_with(
    viewer: &Viewer,
    number: usize,
    bytes: &Bytes,
    peer: &mut TestPeer,
    has: impl Fn(u64) -> Bytes,
) -> String {
    let serving = async {
        peer.serve(has).await;
        std::future::pending().await
    };
    tokio::select! {
        source = viewer.get(number, bytes) => source,
        () = serving => unreachable!("it is pending"),
    }
}

#[tokio::test]
async fn a_wrong_byte_of_the_origin_reaches_no_player() {
    for form in [Form::Pieces, Form::Files] {
        let rendition = Rendition::new(720, form, 4);
        let instance = Instance::with(std::slice::from_ref(&rendition)).await;
        let mut wrong = rendition.clone();
        wrong.segments[2] = flipped(&rendition.segments[2]);
        instance.put_rendition(&wrong);
        let viewer = Viewer::open(&instance, &config(&[])).await;
        for number in [0, 1, 3] {
            viewer.get(number, &rendition.segments[number]).await;
        }
        for _ in 0..2 {
            let answer = viewer.player.segment(&viewer.timeline.segments[2]).await;
            assert_eq!(answer.status, 502, "{form:?}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.contains("list of hashes"), "{text}");
        }
        // The origin is whole again.
        instance.put_rendition(&rendition);
        viewer.get(2, &rendition.segments[2]).await;
    }
}

#[tokio::test]
async fn what_the_origin_sends_wrong_a_peer_may_have_right() {
    let rendition = Rendition::new(720, Form::Pieces, 3);
    let instance = Instance::with(std::slice::from_ref(&rendition)).await;
    let mut wrong = rendition.clone();
    wrong.segments[1] = flipped(&rendition.segments[1]);
    instance.put_rendition(&wrong);
    let waiting = join(&instance).await;
    let viewer = Viewer::open(&instance, &config(&[])).await;
    let mut peer = waiting.meet().await;
    viewer.player.peer_met().await;
    peer.announce(&[1]).await;
    viewer.get(0, &rendition.segments[0]).await;
    let right = rendition.segments[1].clone();
    get_with(&viewer, 1, &right, &mut peer, |_| right.clone()).await;
}

#[tokio::test]
async fn a_wrong_byte_of_a_peer_reaches_no_player() {
    for form in [Form::Pieces, Form::Files] {
        let rendition = Rendition::new(720, form, 3);
        let instance = Instance::with(std::slice::from_ref(&rendition)).await;
        let waiting = join(&instance).await;
        let viewer = Viewer::open(&instance, &config(&[])).await;
        let mut peer = waiting.meet().await;
        viewer.player.peer_met().await;
        peer.announce(&[1]).await;
        viewer.get(0, &rendition.segments[0]).await;
        let wrong = flipped(&rendition.segments[1]);
        get_with(&viewer, 1, &rendition.segments[1], &mut peer, |_| wrong.clone()).await;
        viewer.counts("rejected_segments", 0).await;
        let is_gone = |stats: &serde_json::Value| stats["peers"].as_array().unwrap().is_empty();
        viewer.player.stats_until("without the liar", is_gone).await;
    }
}

#[tokio::test]
async fn a_lie_that_the_origin_tells_too_is_still_a_lie() {
    let rendition = Rendition::new(720, Form::Pieces, 3);
    let instance = Instance::with(std::slice::from_ref(&rendition)).await;
    let mut wrong = rendition.clone();
    wrong.segments[1] = flipped(&rendition.segments[1]);
    instance.put_rendition(&wrong);
    let waiting = join(&instance).await;
    let viewer = Viewer::open(&instance, &config(&[])).await;
    let mut peer = waiting.meet().await;
    viewer.player.peer_met().await;
    peer.announce(&[1]).await;
    viewer.get(0, &rendition.segments[0]).await;
    let lie = wrong.segments[1].clone();
    let serving = tokio::spawn(async move { peer.serve(|_| lie.clone()).await });
    let answer = viewer.player.segment(&viewer.timeline.segments[1]).await;
    assert_eq!(answer.status, 502);
    serving.abort();
}

#[tokio::test]
async fn the_list_of_a_live_stream_may_come_behind_its_segments() {
    let mut rendition = Rendition::new(720, Form::Files, 4);
    rendition.live_from = Some(10);
    let instance = Instance::with(std::slice::from_ref(&rendition)).await;
    let mut early = Map::new();
    rendition.add_hashes(&mut early, 3);
    instance.put_hashes(early.clone());
    let viewer = Viewer::open(&instance, &config(&[])).await;
    viewer.get(2, &rendition.segments[2]).await;
    let list = Instance::path("segments-sha256.json");
    let later = async {
        let read = instance.origin.requests_for(&list).len();
        instance.origin.wait_for_requests(&list, read + 2).await;
        rendition.add_hashes(&mut early, 4);
        instance.put_hashes(early);
    };
    tokio::join!(viewer.get(3, &rendition.segments[3]), later);
    let stats = viewer.player.stats().await;
    assert!(stats["streams"][0]["checked_by"]["list"].as_u64().unwrap() >= 2, "{stats:#}");
}

#[tokio::test]
async fn what_no_list_knows_is_left_to_the_origin() {
    let rendition = Rendition::new(720, Form::Pieces, 2);
    let instance = Instance::with(std::slice::from_ref(&rendition)).await;
    let mut first = Map::new();
    rendition.add_hashes(&mut first, 1);
    instance.put_hashes(first);
    let viewer = Viewer::open(&instance, &config(&[])).await;
    viewer.watch(&rendition).await;
    instance.put("segments-sha256.json", Resource::new("text/html", "<p>busy</p>"));
    let other = Viewer::open(&instance, &config(&[])).await;
    other.watch(&rendition).await;
}
