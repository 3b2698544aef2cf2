//! Films: held whole or as far as the cache goes, given to who comes later, fetched once.

use super::{Seed, around, hash_list, held};
use crate::origin::TestOrigin;
use crate::program::{Program, command};
use crate::resource::{Resource, Switch};
use crate::sharing::signalling::Recorder;
use crate::sharing::world::{Film, Player, Tracker, until};
use hlswarm::daemon::Daemon;
use hlswarm::seed::Notice;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

/// The origin has the film and its hash list, and refuses segments while that is on.
fn put(film: &Film, origin: &TestOrigin, refusal: &Switch) -> Url {
    let url = film.put(origin);
    for number in 0..film.segments.len() {
        origin.put(&Film::path(number), film.resource(number).fail_while(refusal, 403));
    }
    let list = Resource::new("application/json", hash_list(film));
    origin.put("/film/segments-sha256.json", list);
    url
}

fn off() -> Switch {
    let switch = Switch::on();
    switch.turn_off();
    switch
}

fn copies(film: &Film, origin: &TestOrigin) -> Vec<usize> {
    (0..film.segments.len()).map(|n| origin.fetches_of(&Film::path(n)).len()).collect()
}

#[tokio::test]
async fn a_viewer_gets_the_whole_film_from_a_seeding_process_when_the_origin_refuses() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(12, 300);
    let url = put(&film, &origin, &off());
    let mut call = command();
    call.env("HLSWARM_P2P_BIND", "127.0.0.1");
    call.args(["seed", url.as_str(), "--tracker", &tracker.url(), "--listen", "127.0.0.1:0"]);
    let mut seeder = Program::from(&mut call).await;
    let watched = Player::at(seeder.addr());
    watched.stats_until("the film", |stats| held(stats) == 12).await;
    let refusal = Switch::on();
    put(&film, &origin, &refusal);
    let viewer = Daemon::start(&around(&tracker)).await.unwrap();
    let player = Player::of(&viewer);
    let sources = film.play(&player, &url).await;
    assert_eq!(sources.len(), 12);
    let taken = sources.iter().filter(|source| source.contains("peers")).count();
    assert_eq!(taken, 12, "{sources:?}");
    assert_eq!(viewer.totals().peer_bytes, film.total());
    let stats = watched.stats().await;
    assert_eq!(stats["totals"]["upload_bytes"], film.total());
    let stream = &stats["streams"][0];
    assert_eq!((&stream["seeded"], &stream["segments_listed"]), (&true.into(), &12.into()));
    assert_eq!(stream["active_players"], 0);
    assert_eq!(copies(&film, &origin), [1; 12]);
    seeder.signal("INT").await;
    assert_eq!(seeder.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_seeder_that_is_interrupted_takes_its_leave_of_every_swarm() {
    let (origin, tracker) = (TestOrigin::start().await, Recorder::start().await);
    let film = Film::new(2, 50);
    let url = film.put(&origin);
    let mut call = command();
    call.env("HLSWARM_P2P_BIND", "127.0.0.1");
    call.args(["seed", url.as_str(), "--tracker", &tracker.url(), "--listen", "127.0.0.1:0"]);
    let mut seeder = Program::from(&mut call).await;
    let is_in_all = async || tracker.swarms("\"started\"").len() == 3;
    until("every announce", is_in_all).await;
    assert!(tracker.swarms("\"stopped\"").is_empty());
    seeder.signal("INT").await;
    assert_eq!(seeder.end().await.code(), Some(0));
    let is_told = async || tracker.swarms("\"stopped\"") == tracker.swarms("\"started\"");
    until("every farewell", is_told).await;
}

#[tokio::test]
async fn two_seeders_cost_the_origin_about_one_copy() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(60, 300);
    let url = film.put(&origin);
    let settings = around(&tracker);
    let (mut first, mut second) =
        (Seed::start(&settings, &[&url]).await, Seed::start(&settings, &[&url]).await);
    first.is_whole().await;
    second.is_whole().await;
    let fetched: usize = copies(&film, &origin).iter().sum();
    let bytes = first.daemon.totals().peer_bytes + second.daemon.totals().peer_bytes;
    assert!(fetched <= 70, "{fetched} of 60, {bytes} bytes from peers");
    assert!(bytes > 0);
}

#[tokio::test]
async fn a_seeder_that_comes_later_takes_everything_from_the_first() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(30, 300);
    let url = film.put(&origin);
    let mut first = Seed::start(&around(&tracker), &[&url]).await;
    first.is_whole().await;
    let mut second = Seed::start(&around(&tracker), &[&url]).await;
    second.is_whole().await;
    let fetched: usize = copies(&film, &origin).iter().sum();
    assert!(fetched <= 33, "{:?}", copies(&film, &origin));
}

#[tokio::test]
async fn what_does_not_fit_into_the_cache_is_not_fetched() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(20, 300);
    let url = film.put(&origin);
    let mut settings = around(&tracker);
    settings.cache.bytes_max = film.total() / 2 + 1000;
    let mut seed = Seed::start(&settings, &[&url]).await;
    let notice = seed.notice().await;
    let Notice::Full { held, listed, .. } = &notice else { panic!("{notice:?}") };
    assert_eq!((*held, *listed), (10, 20));
    assert!(notice.to_string().contains("10 of 20 segments"), "{notice}");
    assert_eq!(copies(&film, &origin).iter().sum::<usize>(), 10);
    assert_eq!(seed.player.stats().await["cache"]["evictions"], 0);
    // Who has the URL of one that is not held gets it all the same.
    film.play(&seed.player, &url).await;
}

#[tokio::test]
async fn all_renditions_are_seeded_or_those_that_were_chosen() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(3, 50);
    film.put(&origin);
    let master = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"/audio/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360,AUDIO=\"a\"\n/low/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720,AUDIO=\"a\"\n/high/index.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"/trick/index.m3u8\"\n";
    origin.put("/master.m3u8", Resource::playlist(master));
    for folder in ["audio", "low", "high", "trick"] {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for number in 0..3 {
            text.push_str(&format!("#EXTINF:2,\nseg-{number}.ts\n"));
            origin.put(&format!("/{folder}/seg-{number}.ts"), film.resource(number));
        }
        text.push_str("#EXT-X-ENDLIST\n");
        origin.put(&format!("/{folder}/index.m3u8"), Resource::playlist(&text));
    }
    let master = origin.url("/master.m3u8");
    let all = Seed::start(&around(&tracker), &[&master]).await;
    all.holds(9).await;
    assert!(origin.requests_for("/trick/index.m3u8").is_empty(), "nobody plays it");
    let mut settings = around(&tracker);
    settings.http.quality = "min".parse().unwrap();
    let least = Seed::start(&settings, &[&master]).await;
    least.holds(6).await;
    let stats = least.player.stats().await;
    let streams = stats["streams"].as_array().unwrap();
    assert!(!streams.iter().any(|stream| stream["url"].as_str().unwrap().contains("high")));
}

#[tokio::test]
async fn a_film_is_seeded_as_one_swarm_with_viewers_behind_other_queries() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(6, 100);
    let url = film.put(&origin);
    let mut settings = around(&tracker);
    settings.p2p.linger_s = 0;
    let mut seed = Seed::start(&settings, &[&url]).await;
    seed.is_whole().await;
    let viewer = Daemon::start(&around(&tracker)).await.unwrap();
    let player = Player::of(&viewer);
    let mut with_token = url.clone();
    with_token.set_query(Some("viewer=7"));
    film.play(&player, &with_token).await;
    assert!(viewer.totals().peer_segments > 0, "it is still there, although nobody plays");
}

#[tokio::test]
async fn what_is_given_away_keeps_to_the_limit() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(8, 700);
    let url = put(&film, &origin, &off());
    let mut settings = around(&tracker);
    settings.p2p.upload_rate_max = 256 << 10;
    settings.p2p.upload_rate_on_lan = true;
    let mut seed = Seed::start(&settings, &[&url]).await;
    seed.is_whole().await;
    put(&film, &origin, &Switch::on());
    let mut second = Seed::start(&around(&tracker), &[&url]).await;
    let has_begun = |stats: &Value| stats["totals"]["upload_bytes"].as_u64() > Some(0);
    seed.player.stats_until("an upload", has_begun).await;
    let began = Instant::now();
    second.is_whole().await;
    let given = seed.daemon.totals().upload_bytes;
    // What is in buffers comes on top; a busy machine makes it slower, never faster.
    let allowed = (256 << 10) as f64 * (began.elapsed().as_secs_f64() + 2.0);
    assert!(given >= film.total() && (given as f64) < allowed, "{given} of {allowed}");
}

#[tokio::test]
async fn a_report_says_what_is_held_and_what_was_given() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(2, 50);
    let mut url = film.put(&origin);
    url.set_query(Some("token=s3cret"));
    let mut seed = Seed::start(&around(&tracker), &[&url]).await;
    seed.is_whole().await;
    let report = seed.seeder.report().await;
    assert!(report.contains("token=*** main-0: 2 segments held (of 2), 0.0 MB"), "{report}");
}
