//! Seeders: daemons that keep films and live windows and share them, without a player.

mod films;
mod live;
mod trouble;

use crate::sharing::world::{DEADLINE, Film, Player, Tracker, config};
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use hlswarm::seed::{Notice, Seeder};
use hlswarm::verify::digest::sha256;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

/// A daemon that seeds.
pub struct Seed {
    pub daemon: Daemon,
    pub seeder: Seeder,
    pub player: Player,
}

impl Seed {
    pub async fn start(config: &Config, urls: &[&Url]) -> Self {
        let daemon = Daemon::start(config).await.unwrap();
        let seeder = daemon.seed(urls.iter().map(|url| (*url).clone()).collect());
        let player = Player::of(&daemon);
        Self { daemon, seeder, player }
    }

    /// What it says next.
    pub async fn notice(&mut self) -> Notice {
        timeout(DEADLINE, self.seeder.next()).await.expect("a notice in time").unwrap()
    }

    /// Waits until it says that all of something is held.
    pub async fn is_whole(&mut self) {
        let notice = self.notice().await;
        assert!(matches!(notice, Notice::Whole { .. }), "{notice:?}");
    }

    /// Waits until it holds so many segments, of all renditions.
    pub async fn holds(&self, segments: u64) {
        let is_so = |stats: &Value| held(stats) == segments;
        self.player.stats_until(&format!("{segments} segments"), is_so).await;
    }
}

/// Segments held, of all renditions.
fn held(stats: &Value) -> u64 {
    let streams = stats["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["segments_held"].as_u64().unwrap()).sum()
}

/// Settings of seeders and viewers around a tracker.
fn around(tracker: &Tracker) -> Config {
    config(&[&tracker.url()])
}

/// What proves a film's segments when its origin does not answer.
fn hash_list(film: &Film) -> String {
    let hex = |bytes: &[u8]| -> String {
        sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let names = film.segments.iter().enumerate();
    let list: serde_json::Map<_, _> =
        names.map(|(n, bytes)| (format!("seg-{n}.ts"), hex(bytes).into())).collect();
    Value::from(list).to_string()
}
