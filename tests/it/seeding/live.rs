//! Live streams: the window is kept, and nothing behind it.

use super::{Seed, around};
use crate::sharing::channel::{Channel, expect};
use crate::sharing::world::{Player, Tracker, until};
use hlswarm::daemon::Daemon;
use hlswarm::http::delay::LiveDelay;
use std::time::Duration;

#[tokio::test]
async fn the_window_is_fetched_as_it_moves_and_given_to_viewers() {
    let (channel, tracker) = (Channel::start(4, 0, false).await, Tracker::start().await);
    channel.go_to(103, 0);
    let mut settings = around(&tracker);
    settings.p2p.live_delay_s = LiveDelay::Fixed(Duration::ZERO);
    let seed = Seed::start(&settings, &[&channel.url()]).await;
    seed.holds(4).await;
    for number in 104..107 {
        channel.go_to(number, 0);
        let is_there = async || !channel.origin.fetches_of(&channel.path(number)).is_empty();
        until("the newest", is_there).await;
    }
    seed.holds(7).await;
    let viewer = Daemon::start(&settings).await.unwrap();
    let player = Player::of(&viewer);
    for segment in player.timeline(&channel.url()).await.segments {
        expect(&player, &segment).await;
    }
    assert!(viewer.totals().peer_segments > 0, "{:?}", viewer.totals());
    for number in 100..107 {
        assert_eq!(channel.origin.fetches_of(&channel.path(number)).len(), 1, "{number}");
    }
}

#[tokio::test]
async fn what_is_far_behind_the_window_makes_room() {
    let (channel, tracker) = (Channel::start(3, 0, false).await, Tracker::start().await);
    channel.go_to(102, 0);
    let seed = Seed::start(&around(&tracker), &[&channel.url()]).await;
    seed.holds(3).await;
    channel.go_to(130, 0);
    let is_so = async || {
        let stats = seed.player.stats().await;
        stats["streams"][0]["segments_held"] == 3
            && !channel.origin.fetches_of(&channel.path(130)).is_empty()
    };
    until("the new window alone", is_so).await;
    assert_eq!(seed.player.stats().await["cache"]["entries"], 3);
    assert!(channel.origin.fetches_of(&channel.path(110)).is_empty());
}

#[tokio::test]
async fn two_seeders_of_a_live_stream_take_turns_at_the_origin() {
    let (channel, tracker) = (Channel::start(4, 0, false).await, Tracker::start().await);
    channel.go_to(103, 0);
    let settings = around(&tracker);
    let seeds = [
        Seed::start(&settings, &[&channel.url()]).await,
        Seed::start(&settings, &[&channel.url()]).await,
    ];
    for seed in &seeds {
        seed.holds(4).await;
        seed.player.peer_met().await;
    }
    for number in 104..110 {
        channel.go_to(number, 0);
        for seed in &seeds {
            seed.holds(number - 99).await;
        }
    }
    let fetches = (104..110).map(|number| channel.origin.fetches_of(&channel.path(number)).len());
    let fetched: usize = fetches.sum();
    assert!(fetched <= 8, "{fetched} of 6");
}
