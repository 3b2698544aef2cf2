//! Pages with the genuine p2p-media-loader and daemons where something is not as usual: sound in a
//! swarm of its own, a tracker that starts anew, a page that is gone from one moment to the next.

use std::path::Path;
use std::thread;

use serde_json::json;

use crate::page::PageServer;
use crate::process::eventually;
use crate::sharing::{assert_origins_bytes, meet};
use crate::streams::{self, LARGE_SEGMENT_BYTES, muxing, vod};
use crate::swarm_pages::{Browser, PAGE_LIMIT, SwarmPage, VERSIONS, Viewing, have_pages};
use crate::swarm_streams::{self, SEGMENTS};
use crate::world::{Asker, Daemon, TrackerKind, World, expect, segments_of};

/// Length of the film whose sound is apart.
const APART_S: u32 = 20;

#[test]
fn sound_of_its_own_has_a_swarm_of_its_own() {
    if have_pages() {
        VERSIONS.into_iter().for_each(plays_sound_apart);
    }
}

fn plays_sound_apart(version: &str) {
    let (pages, world) = begin();
    let film = world.directory().join("apart");
    make_apart(&film);
    world.origin.publish("apart", &film);
    let url = world.origin.url("apart/master.m3u8");
    let daemon = world.daemon("daemon");
    let master = String::from_utf8(expect(&daemon.url(&url)).body).unwrap();
    let mut count = 0;
    for name in ["sound", "picture"] {
        // As the player finds it: what the daemon made of it in the master.
        let quoted = master.split(['"', '\n']).find(|word| word.contains(&format!("{name}/")));
        let playlist = daemon.absolute(&url, quoted.unwrap());
        let segments = segments_of(&daemon, &daemon.origin_url(&playlist));
        count += segments.len();
        segments.iter().for_each(|url| _ = assert_origins_bytes(&world, &daemon, url));
    }
    world.origin.refuse(Asker::Page);

    let page = SwarmPage::new(&pages, &world, &from_peers(version, "viewer", &url));
    let _browser = Browser::open(page.url(), false, &world, "browser");
    let report = page.holds(count);
    let (_, total) = page.assert_origins_bytes(&world);
    assert_eq!(report["http_bytes"], 0, "{report}");
    eventually("the daemon's count is the page's", PAGE_LIMIT, || {
        (daemon.total("upload_bytes") == total as u64).then_some(())
    });
    assert_eq!(page.number("peers"), 2, "one connection for the sound, one for the picture");
}

#[test]
fn who_comes_after_the_tracker_has_started_anew_is_met() {
    if have_pages() {
        VERSIONS.into_iter().for_each(meets_after_the_trackers_restart);
    }
}

fn meets_after_the_trackers_restart(version: &str) {
    let (pages, mut world) = begin();
    let url = world.origin.url("film/ts/master.m3u8");
    let daemon = holding(&world, &url, SEGMENTS);
    world.origin.refuse(Asker::Page);
    let first = SwarmPage::new(&pages, &world, &from_peers(version, "first", &url));
    let _browser = Browser::open(first.url(), false, &world, "browser");
    first.eventually("the film begins", |report| report["p2p_segments"].as_u64() > Some(0));
    world.tracker.kill();
    first.holds(SEGMENTS);
    first.assert_origins_bytes(&world);
    world.tracker.restart();

    let second = SwarmPage::new(&pages, &world, &from_peers(version, "second", &url));
    let _browser = Browser::open(second.url(), false, &world, "second-browser");
    second.holds(SEGMENTS);
    let (_, total) = second.assert_origins_bytes(&world);
    assert_eq!(second.number("p2p_bytes"), total as u64);
    assert!(daemon.total("upload_bytes") >= total as u64, "the first page met nobody again yet");
}

#[test]
fn a_page_that_is_gone_while_it_sends_is_not_missed() {
    if have_pages() {
        VERSIONS.into_iter().for_each(plays_on_without_the_page);
    }
}

fn plays_on_without_the_page(version: &str) {
    let (pages, world) = begin();
    world.origin.publish("vod", streams::on_demand());
    let url = world.origin.url("vod/large/index.m3u8");
    let core = json!({ "highDemandTimeWindow": 6000 });
    let viewing = Viewing { name: "viewer", version, url: &url, core, hls: json!({}) };
    let page = SwarmPage::new(&pages, &world, &viewing);
    let mut browser = Browser::open(page.url(), false, &world, "browser");
    page.holds(2);

    let daemon = world.daemon("daemon");
    let segments = segments_of(&daemon, &url);
    meet(&daemon);
    thread::scope(|scope| {
        let player = scope.spawn(|| assert_origins_bytes(&world, &daemon, &segments[0]));
        eventually("the page sends", PAGE_LIMIT, || {
            assert!(!player.is_finished(), "the page sent nothing, or all of it");
            (daemon.total("peer_bytes") > 0).then_some(())
        });
        browser.kill();
        player.join().unwrap();
    });
    assert!(daemon.total("peer_bytes") < LARGE_SEGMENT_BYTES as u64, "it was not gone in time");
    eventually("the daemon knows that it is gone", PAGE_LIMIT, || {
        (daemon.peers() == 0).then_some(())
    });
    assert_origins_bytes(&world, &daemon, &segments[1]);
}

fn begin() -> (PageServer, World) {
    let mut world = World::new(TrackerKind::Npm);
    world.origin.publish("film", swarm_streams::shared());
    // Pages come when the daemon's player has gone.
    world.p2p_settings = "linger_s = 600".into();
    (PageServer::start(), world)
}

/// A daemon with all of a film.
fn holding(world: &World, url: &str, count: usize) -> Daemon {
    let daemon = world.daemon("daemon");
    let segments = segments_of(&daemon, url);
    assert_eq!(segments.len(), count);
    segments.iter().for_each(|url| _ = assert_origins_bytes(world, &daemon, url));
    daemon
}

/// A page that takes every segment from its peers.
fn from_peers<'a>(version: &'a str, name: &'a str, url: &'a str) -> Viewing<'a> {
    let core = json!({ "simultaneousHttpDownloads": 0 });
    Viewing { name, version, url, core, hls: json!({}) }
}

fn make_apart(root: &Path) {
    vod(&root.join("picture"), APART_S, &["-map", "0:v"], |command| muxing(command, false));
    vod(&root.join("sound"), APART_S, &["-map", "1:a"], |command| muxing(command, false));
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",\
                  DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"1\",URI=\"sound/index.m3u8\"\n\
                  #EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,AUDIO=\"a\",\
                  CODECS=\"avc1.4d400d,mp4a.40.2\"\npicture/index.m3u8\n";
    std::fs::write(root.join("master.m3u8"), master).unwrap();
}
