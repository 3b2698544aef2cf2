//! Two viewers and more: the film comes from whoever has it, and the tracker may come and go.

use super::world::{Film, Player, Tracker, config, has_any};
use crate::origin::TestOrigin;
use hlswarm::daemon::Daemon;

const AHEAD: &str = "hlswarm; hit; detail=peers";
const FROM_PEERS: &str = "hlswarm; fwd=miss; detail=peers";

#[tokio::test]
async fn the_second_viewer_takes_the_film_from_the_first() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let config = config(&[&tracker.url()]);
    let film = Film::new(24, 250);
    let url = film.put(&origin);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let (first_player, player) = (Player::of(&first), Player::of(&second));
    film.play(&first_player, &url).await;
    let before = second.totals();
    let sources = film.play(&player, &url).await;
    assert!(sources.contains(&FROM_PEERS.to_owned()), "{sources:?}");
    let shared = sources.iter().filter(|s| *s == FROM_PEERS || *s == AHEAD).count();
    assert!(shared * 20 >= sources.len() * 19, "{sources:?}");

    let enough = film.total() * 19 / 20;
    let at_least = |value: &serde_json::Value| value.as_u64().unwrap() >= enough;
    let stats = player.stats().await;
    assert!(at_least(&stats["totals"]["peer_bytes"]), "{stats:#}");
    assert!(stats["totals"]["peer_segments"].as_u64().unwrap() >= 23, "{stats:#}");
    assert_eq!(stats["totals"]["rejected_segments"], 0);
    let (stream, peer) = (&stats["streams"][0], &stats["peers"][0]);
    assert!(at_least(&stream["peer_bytes"]) && at_least(&peer["down_bytes"]), "{stats:#}");
    assert_eq!((&stream["peers"], &stream["kind"]), (&1.into(), &"vod".into()));
    assert_eq!((&peer["path"], &peer["stream"]), (&"host".into(), &stream["id"]));
    assert_eq!(peer["client"], "hlswarm 0.1");
    assert_eq!(peer["segments_held"], 24);
    assert_eq!(peer["id"], first_player.stats().await["peer_id"]);
    assert_eq!(before.peer_bytes, 0);

    let uploaded = |stats: &serde_json::Value| at_least(&stats["totals"]["upload_bytes"]);
    let stats = first_player.stats_until("all sent", uploaded).await;
    assert!(
        at_least(&stats["peers"][0]["up_bytes"]) && at_least(&stats["streams"][0]["upload_bytes"])
    );
    assert_eq!(stats["totals"]["peer_bytes"], 0);
    let asked = (0..24).map(|n| origin.fetches_of(&Film::path(n)).len()).sum::<usize>();
    assert!(asked <= 25, "the origin was asked for {asked} segments");
}

#[tokio::test]
async fn viewers_of_different_streams_do_not_meet() {
    let tracker = Tracker::start().await;
    let config = config(&[&tracker.url()]);
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let origin = TestOrigin::start().await;
        let film = Film::new(2, 10);
        let url = film.put(&origin);
        let daemon = Daemon::start(&config).await.unwrap();
        let player = Player::of(&daemon);
        film.play(&player, &url).await;
        viewers.push((origin, daemon, player));
    }
    for (_, daemon, player) in &viewers {
        let stats = player.stats_until("a tracker", is_connected).await;
        assert!(!has_any(&stats["peers"]));
        assert_eq!(daemon.totals().peer_bytes, 0);
    }
}

#[tokio::test]
async fn viewers_meet_again_after_the_tracker_was_gone_and_playback_never_stops() {
    let (origin, mut tracker) = (TestOrigin::start().await, Tracker::start().await);
    let config = config(&[&tracker.url()]);
    let film = Film::new(4, 50);
    let url = film.put(&origin);
    let first = Daemon::start(&config).await.unwrap();
    let first_player = Player::of(&first);
    let timeline = first_player.timeline(&url).await;
    film.expect(&first_player, &timeline.segments[0], &film.segments[0]).await;
    first_player.stats_until("a tracker", is_connected).await;

    tracker.stop().await;
    film.expect(&first_player, &timeline.segments[1], &film.segments[1]).await;
    let second = Daemon::start(&config).await.unwrap();
    let second_player = Player::of(&second);
    let there = second_player.timeline(&url).await;
    film.expect(&second_player, &there.segments[0], &film.segments[0]).await;
    for player in [&first_player, &second_player] {
        let stats =
            player.stats_until("a failure", |s| s["trackers"][0]["state"] == "failed").await;
        assert!(stats["trackers"][0]["error"].is_string() && !has_any(&stats["peers"]));
    }

    tracker.come_back().await;
    let third = Daemon::start(&config).await.unwrap();
    let third_player = Player::of(&third);
    let here = third_player.timeline(&url).await;
    film.expect(&third_player, &here.segments[0], &film.segments[0]).await;
    for player in [&first_player, &second_player, &third_player] {
        player.stats_until("everybody", |s| s["streams"][0]["peers"] == 2).await;
    }
    // Only the first viewer has this one.
    let before = origin.fetches_of(&Film::path(1)).len();
    third_player
        .stats_until("the second segment", |s| {
            s["streams"][0]["segments_held"].as_u64().is_some_and(|held| held >= 2)
        })
        .await;
    let source = film.expect(&third_player, &here.segments[1], &film.segments[1]).await;
    assert_eq!(source, AHEAD, "it came ahead of the player, from a peer");
    assert_eq!(origin.fetches_of(&Film::path(1)).len(), before);
}

fn is_connected(stats: &serde_json::Value) -> bool {
    stats["trackers"][0]["state"] == "connected"
}
