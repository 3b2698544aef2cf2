//! What is held is given without the origin, and what is on its way is fetched once.

use super::world::{Film, Player, config, finish, lone_daemon, read};
use crate::origin::TestOrigin;
use crate::resource::Gate;
use futures_util::future::join_all;
use hlswarm::daemon::Daemon;
use hlswarm::origin::Wanted;

const HIT: &str = "hlswarm; hit";
const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";

#[tokio::test]
async fn five_players_at_once_cost_the_origin_one_request_and_need_not_wait_for_its_end() {
    let (origin, daemon) = (TestOrigin::start().await, lone_daemon().await);
    let film = Film::new(1, 2_000);
    let url = film.put(&origin);
    let (gate, half) = (Gate::closed(), film.segments[0].len() / 2);
    origin.put(&Film::path(0), film.resource(0).hold_body(half, &gate));
    let first = Player::of(&daemon);
    let segment = first.timeline(&url).await.segments.remove(0);
    let players: Vec<_> = (0..5).map(|n| first.another(&format!("player {n}"))).collect();
    let mut answers =
        join_all(players.iter().map(|player| player.open(&segment.url, Wanted::Whole))).await;
    let halves = join_all(answers.iter_mut().map(|answer| read(answer, half))).await;
    let stats = first.stats().await;
    assert_eq!(stats["streams"][0]["active_players"], 5);
    gate.open();
    let wholes = answers.into_iter().zip(halves).map(|(answer, held)| finish(answer, held));
    for whole in join_all(wholes).await {
        assert_eq!((whole.status, whole.is_cut), (200, false));
        assert!(whole.body == film.segments[0]);
        assert_eq!(whole.source(), FROM_ORIGIN);
    }
    assert_eq!(origin.requests_for(&Film::path(0)).len(), 1);
}

#[tokio::test]
async fn gives_a_held_segment_without_asking_the_origin() {
    let (origin, daemon) = (TestOrigin::start().await, lone_daemon().await);
    let film = Film::new(3, 100);
    let url = film.put(&origin);
    let player = Player::of(&daemon);
    assert_eq!(film.play(&player, &url).await, [FROM_ORIGIN; 3]);
    assert_eq!(film.play(&player, &url).await, [HIT; 3]);
    assert_eq!(film.play(&player.another("guest"), &url).await, [HIT; 3]);
    for number in 0..3 {
        assert_eq!(origin.requests_for(&Film::path(number)).len(), 1);
    }
    let stats = player.stats().await;
    assert_eq!(stats["totals"]["cache_bytes"], 2 * film.total());
    assert_eq!(stats["streams"][0]["segments_held"], 3);
    assert_eq!((&stats["cache"]["hits"], &stats["cache"]["misses"]), (&6.into(), &3.into()));
}

#[tokio::test]
async fn a_part_of_a_segment_is_cut_out_of_what_is_held_or_on_its_way() {
    let (origin, daemon) = (TestOrigin::start().await, lone_daemon().await);
    let film = Film::new(1, 100);
    let url = film.put(&origin);
    let player = Player::of(&daemon);
    let segment = player.timeline(&url).await.segments.remove(0);
    for is_held in [false, true] {
        for (range, from, end) in [("bytes=188-375", 188, 376), ("bytes=18000-", 18_000, 18_800)] {
            let wanted = Wanted::AsAsked(http::HeaderValue::from_static(range));
            let answer = player.fetch(&segment.url, wanted).await;
            assert_eq!(answer.status, 206);
            assert!(answer.body == film.segments[0].slice(from..end));
            assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/18800", end - 1));
            if is_held {
                assert_eq!(answer.source(), HIT);
            }
        }
        film.expect(&player, &segment, &film.segments[0]).await;
    }
    assert_eq!(origin.requests_for(&Film::path(0)).len(), 1, "all of it came for the first part");
}

#[tokio::test]
async fn a_cache_of_one_segment_or_of_none_still_plays() {
    for (bytes_max, held) in [(18_800, 1), (0, 0)] {
        let origin = TestOrigin::start().await;
        let film = Film::new(5, 100);
        let url = film.put(&origin);
        let mut config = config(&[]);
        config.cache.bytes_max = bytes_max;
        let daemon = Daemon::start(&config).await.unwrap();
        let player = Player::of(&daemon);
        for times in 1..=2 {
            assert_eq!(film.play(&player, &url).await, [FROM_ORIGIN; 5]);
            assert_eq!(origin.requests_for(&Film::path(0)).len(), times);
        }
        let stats = player.stats().await;
        assert_eq!(stats["cache"]["entries"], held);
        assert_eq!(stats["streams"][0]["segments_held"], held);
    }
}
