//! Live streams whose playlist the test moves on.

use super::channel::{Channel, expect};
use super::world::{Player, Tracker, config, lone_daemon};
use hlswarm::daemon::Daemon;
use hlswarm::http::delay::LiveDelay;
use std::time::Duration;

const HIT: &str = "hlswarm; hit";

#[tokio::test]
async fn a_viewer_gets_new_segments_from_another_as_they_appear() {
    let (channel, tracker) = (Channel::start(4, 0, false).await, Tracker::start().await);
    channel.go_to(103, 0);
    let mut config = config(&[&tracker.url()]);
    // The newest is what this is about.
    config.p2p.live_delay_s = LiveDelay::Fixed(Duration::ZERO);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let players = [Player::of(&first), Player::of(&second)];
    for player in &players {
        for segment in player.timeline(&channel.url()).await.segments {
            expect(player, &segment).await;
        }
        player.stats_until("live", |stats| stats["streams"][0]["kind"] == "live").await;
    }
    for player in &players {
        player.peer_met().await;
    }
    for number in 104..109 {
        channel.go_to(number, 0);
        for player in &players {
            channel.watch_newest(player).await;
        }
        assert_eq!(channel.origin.fetches_of(&channel.path(number)).len(), 1, "{number}");
    }
    assert!(second.totals().peer_bytes >= 5 * Channel::bytes(0).len() as u64);
}

#[tokio::test]
async fn names_used_again_never_bring_old_bytes() {
    let (channel, tracker) = (Channel::start(3, 4, false).await, Tracker::start().await);
    let config = config(&[&tracker.url()]);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let players = [Player::of(&first), Player::of(&second)];
    for number in 5..12 {
        channel.go_to(number, 0);
        for player in &players {
            for segment in player.timeline(&channel.url()).await.segments {
                expect(player, &segment).await;
            }
        }
        if number == 5 {
            for player in &players {
                player.peer_met().await;
            }
        }
    }
    assert!(second.totals().peer_segments >= 5, "{:?}", second.totals());
}

#[tokio::test]
async fn a_packager_that_begins_anew_never_brings_old_bytes() {
    let channel = Channel::start(3, 4, false).await;
    let daemon = lone_daemon().await;
    let player = Player::of(&daemon);
    for number in [50, 51, 52, 3, 4, 5, 90, 91] {
        channel.go_to(number, 0);
        for segment in player.timeline(&channel.url()).await.segments {
            expect(&player, &segment).await;
        }
    }
}

#[tokio::test]
async fn tokens_that_change_with_each_playlist_cost_no_held_segment() {
    let (channel, daemon) = (Channel::start(3, 0, true).await, lone_daemon().await);
    let player = Player::of(&daemon);
    for (edition, number) in (0..).zip([7, 7, 8, 8, 9, 9]) {
        channel.go_to(number, edition);
        let timeline = player.timeline(&channel.url()).await;
        let token = format!("token={edition}");
        assert!(timeline.segments.iter().all(|s| s.url.query() == Some(&token)));
        let (newest, known) = timeline.segments.split_last().unwrap();
        for segment in known {
            let source = expect(&player, segment).await;
            assert!(edition == 0 || source == HIT, "{source}");
        }
        let source = expect(&player, newest).await;
        assert_eq!(source == HIT, edition % 2 == 1, "{source}");
    }
    for number in 5..=9 {
        let seen = channel.origin.fetches_of(&channel.path(number));
        assert_eq!(seen.len(), 1, "segment {number}");
        assert!(seen[0].query.as_deref().is_some_and(|query| query.starts_with("token=")));
    }
}

#[tokio::test]
async fn viewers_with_different_tokens_share() {
    let (channel, tracker) = (Channel::start(6, 0, true).await, Tracker::start().await);
    let config = config(&[&tracker.url()]);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let mut shown = 0;
    for (edition, daemon) in (0..).zip([&first, &second]) {
        channel.go_to(20, edition);
        let mut url = channel.url();
        url.set_query(Some(&format!("viewer={edition}")));
        let player = Player::of(daemon);
        let segments = player.timeline(&url).await.segments;
        for segment in &segments {
            expect(&player, segment).await;
        }
        shown = segments.len() as u64;
    }
    assert!(shown >= 4 && second.totals().peer_segments >= shown, "{:?}", second.totals());
}
