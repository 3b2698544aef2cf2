//! Sharing as PeerTube's own players do, or not at all.

use super::instance::{Instance, SHORT};
use super::playing::led;
use super::tracker::StrictTracker;
use super::video::{Form, Rendition};
use crate::resource::Resource;
use crate::sharing::world::{Player, config};
use bytes::Bytes;
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use hlswarm::playlist::Timeline;
use hlswarm::seed::Notice;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use url::Url;

/// A daemon whose player has opened the page of a video.
pub struct Viewer {
    pub player: Player,
    pub timeline: Timeline,
    pub daemon: Daemon,
}

impl Viewer {
    pub async fn open(instance: &Instance, config: &Config) -> Self {
        Self::open_page(instance, &instance.page(), config).await
    }

    pub async fn open_page(instance: &Instance, page: &Url, config: &Config) -> Self {
        let daemon = Daemon::start(config).await.unwrap();
        led(&daemon, page).await;
        let player = Player::of(&daemon);
        let timeline = player.timeline(&instance.master()).await;
        Self { player, timeline, daemon }
    }

    /// Gets one segment, and compares it; where it came from.
    pub async fn get(&self, number: usize, bytes: &Bytes) -> String {
        let answer = self.player.segment(&self.timeline.segments[number]).await;
        assert!([200, 206].contains(&answer.status), "{number}: {answer:?}");
        assert!(answer.body == *bytes && !answer.is_cut, "{number}: wrong bytes");
        answer.source().to_owned()
    }

    /// Plays everything.
    pub async fn watch(&self, rendition: &Rendition) -> Vec<String> {
        let mut sources = Vec::new();
        // The last of a live stream may be held back.
        let listed = rendition.segments.iter().take(self.timeline.segments.len());
        for (number, bytes) in listed.enumerate() {
            sources.push(self.get(number, bytes).await);
        }
        sources
    }

    /// Waits until a total of the daemon is more than that.
    pub async fn counts(&self, total: &str, than: u64) {
        let is_so = |stats: &Value| stats["totals"][total].as_u64().unwrap() > than;
        self.player.stats_until(total, is_so).await;
    }
}

#[tokio::test]
async fn two_viewers_share_a_video_under_its_own_hash_and_no_other() {
    for form in [Form::Pieces, Form::Files] {
        let renditions = [Rendition::new(720, form, 6), Rendition::new(480, form, 6)];
        let instance = Instance::with(&renditions).await;
        let first = Viewer::open(&instance, &config(&[])).await;
        first.watch(&renditions[0]).await;
        let second = Viewer::open(&instance, &config(&[])).await;
        second.player.peer_met().await;
        let sources = second.watch(&renditions[0]).await;
        let is_shared = |source: &String| source.contains("peers");
        assert!(sources.iter().any(is_shared), "{form:?}: {sources:?}");
        let expected = BTreeSet::from([instance.hash("main-0")]);
        assert_eq!(instance.tracker.announced(), expected, "{form:?}");
        let stats = second.player.stats().await;
        let stream = &stats["streams"][0];
        assert!(stream["checked_by"]["list"].as_u64().unwrap() >= 6, "{stream:#}");
        first.daemon.stop().await;
        second.daemon.stop().await;
        assert_eq!(instance.tracker.announced(), expected, "the goodbyes");
    }
}

#[tokio::test]
async fn a_seeder_keeps_a_video_for_who_comes_later() {
    let renditions = [Rendition::new(720, Form::Pieces, 6)];
    let instance = Instance::with(&renditions).await;
    let seeding = Daemon::start(&config(&[])).await.unwrap();
    let mut seeder = seeding.seed(vec![instance.page()]);
    let notice = seeder.next().await;
    assert!(matches!(notice, Some(Notice::Whole { .. })), "{notice:?}");
    let viewer = Viewer::open(&instance, &config(&[])).await;
    viewer.player.peer_met().await;
    let sources = viewer.watch(&renditions[0]).await;
    assert!(sources.iter().any(|source| source.contains("peers")), "{sources:?}");
    assert_eq!(instance.tracker.announced(), BTreeSet::from([instance.hash("main-0")]));
    instance.set("/defaults/p2p/webapp/enabled", json!(false));
    let mut seeder = seeding.seed(vec![instance.page(), instance.url("/w/p/x")]);
    for _ in 0..2 {
        let notice = seeder.next().await;
        assert!(matches!(notice, Some(Notice::Lost { .. })), "{notice:?}");
    }
    assert!(seeder.next().await.is_none());
}

#[tokio::test]
async fn what_the_api_spells_names_the_swarm_not_where_the_playlist_is_found() {
    let renditions = [Rendition::new(720, Form::Pieces, 2)];
    let instance = Instance::with(&renditions).await;
    let moved = instance.url(&Instance::path("moved/2f1c-master.m3u8"));
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n../5a6b-720.m3u8\n";
    instance.put("moved/2f1c-master.m3u8", Resource::playlist(master));
    instance.put("2f1c-master.m3u8", Resource::redirect(302, moved.as_str()));
    let viewer = Viewer::open(&instance, &config(&[])).await;
    viewer.watch(&renditions[0]).await;
    is_announced(&instance, "main-0").await;
}

#[tokio::test]
async fn trackers_of_the_settings_never_hear_of_it() {
    let renditions = [Rendition::new(720, Form::Pieces, 2)];
    let (instance, others) = (Instance::with(&renditions).await, Instance::start().await);
    let viewer = Viewer::open(&instance, &config(&[&others.tracker_url()])).await;
    viewer.watch(&renditions[0]).await;
    is_announced(&instance, "main-0").await;
    assert_eq!(others.tracker.calls(), 0);
}

#[tokio::test]
async fn a_rendition_that_the_tracker_does_not_know_is_never_announced() {
    let renditions = [Rendition::new(480, Form::Pieces, 2), Rendition::new(720, Form::Pieces, 2)];
    let instance = Instance::with(&renditions[..1]).await;
    // It was made a moment ago, and the API does not list it yet.
    instance.put_video(&renditions);
    let viewer = Viewer::open(&instance, &config(&[])).await;
    let list = instance.url(&Instance::path("5a6b-720.m3u8"));
    let better = viewer.player.timeline(&list).await;
    let better = Viewer { timeline: better, player: viewer.player.clone(), daemon: viewer.daemon };
    better.watch(&renditions[1]).await;
    let worse = viewer.player.timeline(&instance.url(&Instance::path("5a6b-480.m3u8"))).await;
    let worse = Viewer { timeline: worse, ..better };
    worse.watch(&renditions[0]).await;
    is_announced(&instance, "main-0").await;
    assert_eq!(instance.tracker.announced().len(), 1);
}

#[tokio::test]
async fn where_sharing_is_switched_off_the_tracker_sees_nobody() {
    let on = |_: &Instance| {};
    let shared = unseen(on, "/w/", |_| {}).await;
    assert_ne!(shared.calls(), 0, "or the rest proves nothing");
    let unset = |pointer: &'static str| move |i: &Instance| i.set(pointer, json!(false));
    let version =
        |version: &'static str| move |i: &Instance| i.set("/serverVersion", json!(version));
    for (what, tracker) in [
        ("pages", unseen(unset("/defaults/p2p/webapp/enabled"), "/w/", |_| {}).await),
        ("embedded", unseen(unset("/defaults/p2p/embed/enabled"), "/videos/embed/", |_| {}).await),
        ("the tracker", unseen(unset("/tracker/enabled"), "/w/", |_| {}).await),
        ("an old engine", unseen(version("7.0.1"), "/w/", |_| {}).await),
        ("new names", unseen(version("8.3.0"), "/w/", |_| {}).await),
        ("our own settings", unseen(on, "/w/", |config| config.p2p.enabled = false).await),
        ("no settings", unseen(|i| i.put_json("/api/v1/config", &json!([])), "/w/", |_| {}).await),
        ("no hashes", unseen(without_hashes, "/w/", |_| {}).await),
    ] {
        assert_eq!(tracker.calls(), 0, "{what}");
    }
}

fn without_hashes(instance: &Instance) {
    let mut video = instance.video(&[Rendition::new(720, Form::Pieces, 2)]);
    video["streamingPlaylists"][0]["segmentsSha256Url"] = Value::Null;
    instance.describe(&video);
}

/// The tracker after a video of an instance that is set so was watched.
async fn unseen(
    set: impl Fn(&Instance),
    page: &str,
    configure: impl Fn(&mut Config),
) -> std::sync::Arc<StrictTracker> {
    let renditions = [Rendition::new(720, Form::Pieces, 2)];
    let instance = Instance::with(&renditions).await;
    set(&instance);
    let mut config = config(&[]);
    configure(&mut config);
    let page = instance.url(&format!("{page}{SHORT}"));
    let viewer = Viewer::open_page(&instance, &page, &config).await;
    viewer.watch(&renditions[0]).await;
    // Whoever is announced says goodbye.
    viewer.daemon.stop().await;
    instance.tracker.clone()
}

#[tokio::test]
async fn a_live_stream_with_little_delay_is_not_shared() {
    let mut rendition = Rendition::new(720, Form::Files, 4);
    rendition.live_from = Some(10);
    for (mode, is_shared) in [(1, true), (3, false)] {
        let instance = Instance::with(std::slice::from_ref(&rendition)).await;
        let said = json!({"latencyMode": mode, "permanentLive": false});
        instance.put_json(&format!("/api/v1/videos/live/{SHORT}"), &said);
        let viewer = Viewer::open(&instance, &config(&[])).await;
        viewer.watch(&rendition).await;
        viewer.daemon.stop().await;
        assert_eq!(instance.tracker.calls() > 0, is_shared, "{mode}");
    }
}

/// Waits until a hash is announced.
async fn is_announced(instance: &Instance, stream: &str) {
    let hash = instance.hash(stream);
    let is_so = async || instance.tracker.announced().contains(&hash);
    crate::sharing::world::until("announced", is_so).await;
}

#[tokio::test]
async fn a_video_is_seeded_by_its_page_in_the_swarms_that_the_tracker_expects() {
    let renditions = [Rendition::new(720, Form::Pieces, 4), Rendition::new(480, Form::Pieces, 4)];
    let instance = Instance::with(&renditions).await;
    let daemon = Daemon::start(&config(&[])).await.unwrap();
    let _seeder = daemon.seed(vec![instance.page()]);
    let is_held = |stats: &Value| {
        let streams = stats["streams"].as_array().unwrap();
        streams.len() == 2 && streams.iter().all(|stream| stream["segments_held"] == 4)
    };
    Player::of(&daemon).stats_until("all of it", is_held).await;
    let expected = BTreeSet::from(["main-0", "main-1"].map(|name| instance.hash(name)));
    let is_announced = async || instance.tracker.announced() == expected;
    crate::sharing::world::until("both swarms", is_announced).await;
    let viewer = Viewer::open(&instance, &config(&[])).await;
    viewer.player.peer_met().await;
    let sources = viewer.watch(&renditions[0]).await;
    assert!(sources.iter().any(|source| source.contains("peers")), "{sources:?}");
}

#[tokio::test]
async fn what_its_publisher_does_not_share_is_not_seeded() {
    let renditions = [Rendition::new(720, Form::Pieces, 2)];
    let instance = Instance::with(&renditions).await;
    instance.set("/tracker/enabled", json!(false));
    let daemon = Daemon::start(&config(&[])).await.unwrap();
    let mut seeder = daemon.seed(vec![instance.page()]);
    let notice = seeder.next().await.unwrap();
    assert!(notice.to_string().contains("it is not shared"), "{notice}");
    assert!(seeder.next().await.is_none(), "nothing is left");
    assert_eq!(instance.tracker.calls(), 0);
}
