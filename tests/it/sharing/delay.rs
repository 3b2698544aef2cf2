//! Players of live streams, kept behind the live edge while there are peers.

use super::world::{Player, Tracker, config};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use hlswarm::daemon::Daemon;
use hlswarm::http::delay::LiveDelay;
use std::fmt::Write;
use std::time::Duration;
use url::Url;

const TARGET_S: u64 = 2;

struct Channel(TestOrigin);

impl Channel {
    async fn start(last: u64) -> Self {
        let channel = Self(TestOrigin::start().await);
        channel.go_to(last);
        channel
    }

    fn url(&self) -> Url {
        self.0.url("/live/index.m3u8")
    }

    /// The newest segment is `last` from now on, of a window of eight.
    fn go_to(&self, last: u64) {
        let first = last - 7;
        let mut text =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:{TARGET_S}\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in first..=last {
            let path = format!("/live/seg-{number}.ts");
            self.0.put(&path, Resource::ts(10, number as u8));
            write!(text, "#EXTINF:{TARGET_S},\n{path}\n").unwrap();
        }
        let playlist = Resource::playlist(&text).header("cache-control", "no-cache");
        self.0.put("/live/index.m3u8", playlist);
    }

    /// A player gets all segments, and goes on asking until it is shown the edge, as nobody else
    /// is there.
    async fn alone(&self, player: &Player) {
        for segment in player.timeline(&self.url()).await.segments {
            assert_eq!(player.segment(&segment).await.status, 200);
        }
        while self.newest(player).await < 107 {}
        for segment in player.timeline(&self.url()).await.segments {
            assert_eq!(player.segment(&segment).await.status, 200);
        }
    }

    /// The newest segment that a player is shown.
    async fn newest(&self, player: &Player) -> u64 {
        player.timeline(&self.url()).await.segments.last().unwrap().id.0
    }
}

async fn delay_in_stats(player: &Player) -> f64 {
    player.stats().await["streams"][0]["live_delay_s"].as_f64().unwrap()
}

#[tokio::test]
async fn who_joins_a_swarm_is_shown_an_edge_that_peers_have_had_time_for() {
    let (channel, tracker) = (Channel::start(107).await, Tracker::start().await);
    let config = config(&[&tracker.url()]);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let (here, there) = (Player::of(&first), Player::of(&second));
    assert_eq!(channel.newest(&here).await, 105, "whom it will meet is not known yet");
    assert_eq!(channel.newest(&there).await, 105);
    for player in [&here, &there] {
        player.peer_met().await;
    }
    let late = there.another("late");
    assert_eq!(channel.newest(&late).await, 105);
    assert_eq!(delay_in_stats(&late).await, 2.0 * TARGET_S as f64);
    channel.go_to(108);
    for player in [&here, &there, &late] {
        assert_eq!(channel.newest(player).await, 106);
    }
}

#[tokio::test]
async fn who_is_alone_is_shown_the_edge() {
    let (channel, tracker) = (Channel::start(107).await, Tracker::start().await);
    let daemon = Daemon::start(&config(&[])).await.unwrap();
    assert_eq!(channel.newest(&Player::of(&daemon)).await, 107, "there is nobody to be met");
    let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
    let player = Player::of(&daemon);
    channel.alone(&player).await;
}

#[tokio::test]
async fn a_player_that_has_media_in_hand_falls_behind_without_ever_going_back() {
    let (channel, tracker) = (Channel::start(107).await, Tracker::start().await);
    let config = config(&[&tracker.url()]);
    let first = Daemon::start(&config).await.unwrap();
    let there = Player::of(&first);
    channel.alone(&there).await;
    let second = Daemon::start(&config).await.unwrap();
    let here = Player::of(&second);
    channel.newest(&here).await;
    for player in [&here, &there] {
        player.peer_met().await;
    }
    for (last, shown) in [(108, 107), (109, 107), (110, 108), (111, 109)] {
        channel.go_to(last);
        assert_eq!(channel.newest(&there).await, shown, "of {last}");
    }
}

#[tokio::test]
async fn a_delay_that_was_set_needs_no_peers_and_none_is_none() {
    let channel = Channel::start(107).await;
    for (seconds, newest) in [(0, 107), (TARGET_S, 106), (60, 102)] {
        let mut config = config(&[]);
        config.p2p.live_delay_s = LiveDelay::Fixed(Duration::from_secs(seconds));
        let daemon = Daemon::start(&config).await.unwrap();
        assert_eq!(channel.newest(&Player::of(&daemon)).await, newest, "{seconds} s");
    }
}
