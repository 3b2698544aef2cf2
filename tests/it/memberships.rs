//! One rendition in the swarms of several generations of browsers: its segments go from each to
//! all, and its trackers hear of no other.

use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use crate::sharing::signalling::Recorder;
use crate::sharing::test_peer::{Said, TestPeer, Waiting};
use crate::sharing::world::{Film, Player, Tracker, config, until};
use bytes::{Bytes, BytesMut};
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use hlswarm::ids::PeerId;
use hlswarm::playlist::membership::{Generation, direct};
use hlswarm::playlist::rules::{Rule, StreamRule};
use hlswarm::swarm::wire::Message;
use std::collections::BTreeSet;
use std::path::Path;
use url::Url;

/// A film whose playlist begins with segment 5.
fn film_from_five(origin: &TestOrigin, segments: usize) -> (Film, Url) {
    let film = Film::new(segments, 500);
    let url = film.put(origin);
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n".to_owned();
    for number in 0..segments {
        text.push_str(&format!("#EXTINF:2,\nseg-{number}.ts\n"));
    }
    origin.put("/film/index.m3u8", Resource::playlist(&(text + "#EXT-X-ENDLIST\n")));
    (film, url)
}

/// A browser that waits in the swarm of its generation.
async fn browser(tracker: &Tracker, url: &Url, generation: Generation) -> Waiting {
    let swarms = direct(url, url, &StreamRule::default()).swarms;
    let swarm = swarms.iter().find(|swarm| swarm.generation == generation).unwrap();
    let id = match generation {
        Generation::G1 => *b"-PM0202-abcdefghijkl",
        Generation::G2 => *b"-PM0203-abcdefghijkl",
        Generation::G3 => *b"-PM0500-abcdefghijkl",
    };
    let address = "127.0.0.1".parse().unwrap();
    Waiting::join_swarm(PeerId(id), address, &tracker.url(), swarm.info_hash).await
}

/// Waits until the daemon says that it holds those segments.
async fn announced(peer: &mut TestPeer, segments: &[u64]) {
    loop {
        let said = peer.hear().await.expect("an announcement");
        let Said::Message(Message::Announcement { loaded, .. }) = said else { continue };
        if segments.iter().all(|segment| loaded.contains(segment)) {
            return;
        }
    }
}

/// Takes a segment from the daemon.
async fn take(peer: &mut TestPeer, segment: u64) -> Bytes {
    peer.say(&Message::Request { segment, request: 7, from: 0 }).await;
    let mut taken = BytesMut::new();
    loop {
        match peer.hear().await.expect("an answer") {
            Said::Payload(bytes) => taken.extend_from_slice(&bytes),
            Said::Message(Message::Completed { .. }) => return taken.freeze(),
            Said::Message(Message::Absent { .. }) => panic!("{segment} is not there"),
            Said::Message(_) => {}
        }
    }
}

/// A browser of one generation has all but the beginning, one of another gets it; the segments'
/// numbers begin with `from` for the one and with `to` for the other.
async fn bridge(giving: (Generation, u64), taking: (Generation, u64)) {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let (film, url) = film_from_five(&origin, 3);
    let giver = browser(&tracker, &url, giving.0).await;
    let taker = browser(&tracker, &url, taking.0).await;
    let daemon = Daemon::start(&config(&[&tracker.url()])).await.unwrap();
    let player = Player::of(&daemon);
    let timeline = player.timeline(&url).await;
    let mut taker = taker.meet().await;
    let mut giver = giver.meet().await;
    taker.announce(&[]).await;
    giver.announce(&[giving.1 + 1, giving.1 + 2]).await;
    let segments = film.segments.clone();
    let has = move |number: u64| segments[usize::try_from(number - giving.1).unwrap()].clone();
    let serving = tokio::spawn(async move { giver.serve(has).await });
    let first = film.expect(&player, &timeline.segments[0], &film.segments[0]).await;
    assert_eq!(first, "hlswarm; fwd=miss; detail=origin");
    announced(&mut taker, &[taking.1 + 1, taking.1 + 2]).await;
    for number in [1, 2] {
        assert!(take(&mut taker, taking.1 + number as u64).await == film.segments[number]);
        // Only slices are asked of the origin, to compare them.
        assert_eq!(origin.fetches_of(&Film::path(number)).len(), 0);
    }
    assert_eq!(daemon.totals().peer_segments, 2);
    serving.abort();
}

#[tokio::test]
async fn a_film_goes_from_a_browser_of_g1_to_one_of_g3() {
    bridge((Generation::G1, 0), (Generation::G3, 5)).await;
}

#[tokio::test]
async fn a_film_goes_from_a_browser_of_g3_to_one_of_g1() {
    bridge((Generation::G3, 5), (Generation::G1, 0)).await;
}

#[tokio::test]
async fn a_film_goes_from_a_browser_of_g3_to_one_of_g2() {
    bridge((Generation::G3, 5), (Generation::G2, 0)).await;
}

#[tokio::test]
async fn two_daemons_that_meet_in_every_swarm_keep_one_connection() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let (film, url) = film_from_five(&origin, 12);
    let config = config(&[&tracker.url()]);
    let (first, second) =
        (Daemon::start(&config).await.unwrap(), Daemon::start(&config).await.unwrap());
    let players = [Player::of(&first), Player::of(&second)];
    film.play(&players[0], &url).await;
    film.play(&players[1], &url).await;
    assert!(second.totals().peer_segments >= 6, "{:?}", second.totals());
    let hashes = direct(&url, &url, &StreamRule::default()).swarms;
    for player in players {
        let stats = player.stats().await;
        assert_eq!(stats["peers"].as_array().unwrap().len(), 1, "{stats:#}");
        let swarms = stats["streams"][0]["swarms"].as_array().unwrap();
        let shown: Vec<_> =
            swarms.iter().map(|swarm| swarm["info_hash"].as_str().unwrap()).collect();
        let joined: Vec<_> = hashes.iter().map(|swarm| swarm.info_hash.to_string()).collect();
        assert_eq!(shown, joined);
    }
}

/// The swarms that a daemon announces for the media playlist at a URL.
async fn swarms_of(tracker: &Recorder, config: &Config, url: &Url, swarms: usize) -> Vec<String> {
    let daemon = Daemon::start(config).await.unwrap();
    Player::of(&daemon).timeline(url).await;
    until("every announce", async || tracker.heard("\"started\"").len() >= swarms).await;
    // What else it meant to announce is told with the farewells.
    daemon.stop().await;
    assert_eq!(tracker.swarms("\"stopped\""), tracker.swarms("\"started\""));
    tracker.swarms("\"started\"")
}

fn with_rules(toml: &str, tracker: &Recorder) -> Config {
    let mut config = config(&[&tracker.url()]);
    let rules = Config::from_toml(toml, Path::new("c.toml")).unwrap().p2p;
    (config.p2p.generations, config.p2p.stream) = (rules.generations, rules.stream);
    config
}

#[tokio::test]
async fn settings_say_in_which_swarms_a_stream_is_and_what_it_is_called() {
    let named = "swarm_id = \"https://example.com/hls/master.m3u8\"\n";
    let host = "[[p2p.stream]]\nmatch = \"127.0.0.1\"\n";
    for (settings, wanted) in [
        // Each of these is the browser engine's own vector.
        (
            format!("{host}{named}"),
            &["P78ZUY66tgmtYL6JoePW", "s/SEXqQzSgMtVKrBDDMm", "wziFoizJPqsH8SnxvNiC"][..],
        ),
        (format!("[p2p]\ngenerations = [1]\n{host}{named}"), &["wziFoizJPqsH8SnxvNiC"]),
        (format!("{host}{named}generations = [\"G3\"]\n"), &["s/SEXqQzSgMtVKrBDDMm"]),
        (
            format!(
                "{host}swarm_id = \"9c9de5e8-0a1e-484a-b099-e80766180a6d\"\n\
                 swarm_template = \"pt-v2-{{swarm_id}}-{{type}}-default-72{{index}}\"\n"
            ),
            &["FuGEr478XuVjbIYvey2c"],
        ),
    ] {
        let (origin, tracker) = (TestOrigin::start().await, Recorder::start().await);
        let (_, url) = film_from_five(&origin, 1);
        let config = with_rules(&settings, &tracker);
        let found = swarms_of(&tracker, &config, &url, wanted.len()).await;
        assert_eq!(found, wanted, "{settings}");
    }
}

#[tokio::test]
async fn a_rules_tracker_hears_of_its_streams_and_no_other_does() {
    let origin = TestOrigin::start().await;
    let (general, own) = (Recorder::start().await, Recorder::start().await);
    let (_, url) = film_from_five(&origin, 1);
    let mut config = config(&[&general.url()]);
    let trackers = Some(vec![own.url().parse().unwrap()]);
    let place = url.as_str().parse().unwrap();
    let stream = StreamRule { trackers, ..StreamRule::default() };
    config.p2p.stream.0.push(Rule { place, stream });
    assert_eq!(swarms_of(&own, &config, &url, 3).await.len(), 3);
    assert_eq!(general.heard(""), Vec::<String>::new());
}

#[tokio::test]
async fn shakas_numbers_are_those_of_the_playlist_in_every_generation() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let (film, url) = film_from_five(&origin, 2);
    let waiting = browser(&tracker, &url, Generation::G2).await;
    let mut config = config(&[&tracker.url()]);
    let toml = "[[p2p.stream]]\nmatch = \"127.0.0.1\"\nsegment_ids = \"shaka\"\n";
    config.p2p.stream = Config::from_toml(toml, Path::new("c.toml")).unwrap().p2p.stream;
    let daemon = Daemon::start(&config).await.unwrap();
    let player = Player::of(&daemon);
    let timeline = player.timeline(&url).await;
    let mut peer = waiting.meet().await;
    peer.announce(&[]).await;
    film.expect(&player, &timeline.segments[0], &film.segments[0]).await;
    announced(&mut peer, &[5]).await;
    assert!(take(&mut peer, 5).await == film.segments[0]);
}

const TWO_VARIANTS: &str = "#EXTM3U\n\
    #EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\nhigh.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=640x360\nlow.m3u8\n";

/// Two variants of half a second.
fn two_variants(origin: &TestOrigin) -> Url {
    origin.put("/m.m3u8", Resource::playlist(TWO_VARIANTS));
    let list = |text: &str| {
        let text = format!("{text}#EXT-X-ENDLIST\n");
        Resource::playlist(&text).header("cache-control", "no-cache")
    };
    for (seed, name) in (0..).zip(["high", "low"]) {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{name}.ts\n");
        origin.put(&format!("/{name}.m3u8"), list(&text));
        origin.put(&format!("/{name}.ts"), Resource::ts(1_880, seed));
    }
    origin.url("/m.m3u8")
}

#[tokio::test]
async fn variants_left_out_for_quality_still_count_in_the_others_names() {
    let (origin, tracker) = (TestOrigin::start().await, Recorder::start().await);
    let url = two_variants(&origin);
    let swarms = |name: &str| {
        let list = hlswarm::playlist::read(TWO_VARIANTS, &url, &Default::default()).unwrap();
        let hlswarm::playlist::Playlist::Multivariant(list) = list else { panic!("media") };
        let rule = StreamRule::default();
        let all = hlswarm::playlist::membership::renditions(&list, &url, &url, &rule);
        let found = all.iter().find(|found| found.identity.url.path() == name).unwrap();
        let mut hashes: Vec<_> =
            found.swarms.iter().map(|swarm| swarm.info_hash.to_string()).collect();
        hashes.sort();
        hashes
    };
    let mut config = config(&[&tracker.url()]);
    config.http.quality = "min".parse().unwrap();
    assert_eq!(swarms_of(&tracker, &config, &url, 3).await, swarms("/low.m3u8"));
}

#[tokio::test]
async fn switching_back_and_forth_leaves_no_swarm_behind() {
    let (origin, tracker) = (TestOrigin::start().await, Recorder::start().await);
    let url = two_variants(&origin);
    let mut config = config(&[&tracker.url()]);
    config.p2p.linger_s = 1;
    config.p2p.join_wait_ms = 0;
    let daemon = Daemon::start(&config).await.unwrap();
    let address = daemon.local_addr();
    get(address, &ask::path(&url)).await;
    for round in 1..=2 {
        for file in ["/high.ts", "/low.ts"] {
            get(address, &ask::path(&origin.url(file))).await;
        }
        let has_switched = async || {
            for file in ["/high.m3u8", "/low.m3u8"] {
                assert_eq!(get(address, &ask::path(&origin.url(file))).await.status, 200);
            }
            tracker.swarms("\"started\"").len() >= 6 * round
        };
        until("switched", has_switched).await;
        // Every one that was joined is left, once nobody plays it.
        let is_left = async || tracker.swarms("\"stopped\"") == tracker.swarms("\"started\"");
        until("left", is_left).await;
    }
    let started: BTreeSet<_> = tracker.swarms("\"started\"").into_iter().collect();
    assert_eq!(started.len(), 6);
}
