//! Peers' segments where no list and no digest proves them: slices of the origin's are compared.

use super::stage::{BESIDE, FROM_ORIGIN, Stage, serve, serve_honestly};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, Switch};
use crate::sharing::test_peer::Asked;
use crate::sharing::world::{Film, PACKET, Player, config, has_any, transport_stream};
use hlswarm::daemon::Daemon;
use hlswarm::swarm::wire::Message;

/// Most of a segment that is compared in slices.
const SHARE_MAX: f64 = 0.031;
/// More segments than this are not compared whole by chance.
const WHOLE_MAX: usize = 3;

#[tokio::test]
async fn of_an_honest_peers_segments_the_origin_sends_little_again() {
    let (stage, peer) = Stage::set(9, |_, _, _| {}).await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    let mut again = 0;
    stage.proved("slices", 8).await;
    for number in 1..9 {
        assert_eq!(stage.play(number).await, "hlswarm; hit; detail=peers");
    }
    let mut whole = 0;
    for number in 1..9 {
        let (sent, size) = (stage.origin.sent(&Film::path(number)), stage.film.segments[0].len());
        again += sent;
        if sent >= size as u64 {
            whole += 1;
        } else {
            assert!(sent > 0 && sent as f64 <= SHARE_MAX * size as f64, "{sent} of {size}");
        }
    }
    assert!(whole <= WHOLE_MAX, "{whole}");
    let totals = stage.daemon.totals();
    let first = stage.film.segments[0].len() as u64 + stage.origin.sent("/film/index.m3u8");
    assert_eq!(totals.origin_bytes, first + again, "all is counted");
    assert_eq!(stage.origin.requests_for(BESIDE).len(), 1, "asked for once, in vain");
    assert_eq!((totals.rejected_segments, totals.peer_segments), (0, 8));
    serving.abort();
}

#[tokio::test]
async fn who_sends_another_segment_is_found_out_at_once_even_after_honest_ones() {
    let (stage, mut peer) = Stage::set(8, |_, _, _| {}).await;
    stage.begin(&peer).await;
    let film = stage.film.segments.clone();
    let lying = serve(&mut peer, &film, |number, bytes| match number {
        7 => film[3].clone(),
        _ => bytes,
    });
    let playing = async {
        for number in 1..8 {
            stage.play(number).await;
        }
        stage.player.stats_until("alone", |stats| !has_any(&stats["peers"])).await
    };
    let ((), stats) = tokio::join!(lying, playing);
    assert_eq!(stats["totals"]["rejected_segments"], 1);
    assert_eq!(stage.origin.fetches_of(&Film::path(7)).len(), 1);
}

#[tokio::test]
async fn a_segment_that_ends_too_soon_has_the_wrong_size() {
    let (stage, mut peer) = Stage::set(2, |_, _, _| {}).await;
    stage.begin(&peer).await;
    let film = stage.film.segments.clone();
    // In form it is a whole one.
    let lying = serve(&mut peer, &film, |_, bytes| bytes.slice(..bytes.len() - PACKET));
    let (source, ()) = tokio::join!(stage.play(1), lying);
    assert_eq!(source, FROM_ORIGIN);
    assert_eq!(stage.daemon.totals().rejected_segments, 1);
}

#[tokio::test]
async fn a_beginning_of_another_segment_is_not_continued() {
    let (stage, mut peer) = Stage::set(2, |_, _, _| {}).await;
    stage.begin(&peer).await;
    let lying = async {
        let Asked { segment, request, .. } = peer.requested().await.expect("a request");
        let size = stage.film.segments[1].len() as u64;
        peer.say(&Message::Data { segment, size, request }).await;
        peer.send(&transport_stream(500, 99)).await;
        while peer.hear().await.is_some() {}
    };
    tokio::join!(stage.play(1), lying);
    assert_eq!(stage.daemon.totals().rejected_segments, 1);
    assert_eq!(stage.origin.fetches_of(&Film::path(1)).last().unwrap().header("range"), "");
}

#[tokio::test]
async fn where_the_origin_knows_no_ranges_a_segment_is_compared_whole_and_no_more_are_taken() {
    let (stage, peer) = Stage::set(5, |origin, film, _| {
        for number in 0..5 {
            origin.put(&Film::path(number), film.resource(number).without_ranges());
        }
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    for number in 1..5 {
        stage.play(number).await;
    }
    let stats = stage.player.stats().await;
    let compared = stats["streams"][0]["checked_by"]["slices"].as_u64().unwrap();
    assert!(compared > 0, "{stats:#}");
    assert_eq!(stats["totals"]["rejected_segments"], 0);
    assert!(has_any(&stats["peers"]), "it is served all the same");
    serving.abort();
}

#[tokio::test]
async fn when_the_origin_falls_silent_during_a_check_nothing_unproved_is_released() {
    let gate = Gate::closed();
    let (stage, peer) = Stage::set(2, |origin, film, _| {
        origin.put(&Film::path(1), film.resource(1).hold_head(&gate));
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    let silent = async {
        // In the end the whole is asked for, and what the peer sent has gone.
        while stage.origin.fetches_of(&Film::path(1)).is_empty() {
            let asked = stage.origin.requests_for(&Film::path(1)).len();
            stage.origin.wait_for_requests(&Film::path(1), asked + 1).await;
        }
        gate.open();
    };
    let (source, ()) = tokio::join!(stage.play(1), silent);
    assert_eq!(source, FROM_ORIGIN);
    let stats = stage.player.stats().await;
    assert_eq!(stats["totals"]["rejected_segments"], 0);
    assert!(has_any(&stats["peers"]), "nobody is to blame");
    serving.abort();
}

#[tokio::test]
async fn when_the_origin_fails_during_a_check_the_player_waits_for_the_origin() {
    let failing = Switch::on();
    let (stage, peer) = Stage::set(2, |origin, film, _| {
        origin.put(&Film::path(1), film.resource(1).fail_while(&failing, 503));
    })
    .await;
    stage.begin(&peer).await;
    let serving = serve_honestly(peer, &stage.film);
    let mending = async {
        stage.origin.wait_for_requests(&Film::path(1), 2).await;
        failing.turn_off();
    };
    let (_, ()) = tokio::join!(stage.play(1), mending);
    assert_eq!(stage.daemon.totals().rejected_segments, 0);
    serving.abort();
}

#[tokio::test]
async fn without_peers_no_list_and_no_slice_is_asked_for() {
    let origin = TestOrigin::start().await;
    let film = Film::new(3, 100);
    let url = film.put(&origin);
    origin.put(BESIDE, Resource::new("application/json", "{}"));
    let daemon = Daemon::start(&config(&[])).await.unwrap();
    film.play(&Player::of(&daemon), &url).await;
    assert!(origin.requests_for(BESIDE).is_empty());
    assert_eq!(origin.requests().len(), 4);
}
