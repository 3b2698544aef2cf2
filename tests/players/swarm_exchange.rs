//! Pages with the genuine p2p-media-loader and daemons exchange a film, both ways: what one has,
//! the origin refuses the other.

use std::time::Duration;

use serde_json::json;

use crate::page::PageServer;
use crate::players::{Player, Seat, decoder};
use crate::process::{Process, eventually, have};
use crate::sharing::meet;
use crate::swarm_pages::{Browser, PAGE_LIMIT, SwarmPage, VERSIONS, Viewing, have_pages};
use crate::swarm_streams::{self, Asked, SEGMENTS, SHORT_SEGMENTS};
use crate::world::{AQUATIC, Asker, Daemon, Request, TrackerKind, World};

/// Media seconds a player has to show.
const WATCH_S: u32 = 6;

#[test]
fn a_page_plays_what_only_the_daemon_has() {
    if have_pages() {
        for version in VERSIONS {
            page_plays_from_daemon(version, "ts", false);
            page_plays_from_daemon(version, "range", true);
        }
    }
}

#[test]
fn a_page_follows_a_live_stream_that_only_the_daemon_gets() {
    if have_pages() {
        for version in VERSIONS {
            page_follows_daemon(version, false);
            page_follows_daemon(version, true);
        }
    }
}

#[test]
fn a_daemons_player_plays_what_only_the_page_has() {
    if have_pages() {
        for version in VERSIONS {
            daemon_plays_from_page(version, "listed-ts", true);
            daemon_plays_from_page(version, "listed-range", false);
        }
    }
}

#[test]
fn a_daemons_player_follows_a_live_stream_that_only_the_page_gets() {
    if have_pages() {
        for version in VERSIONS {
            daemon_follows_page(version, false);
            daemon_follows_page(version, true);
        }
    }
}

#[test]
fn a_page_learns_of_three_hundred_segments_and_gets_them() {
    if !have_pages() {
        return;
    }
    for version in VERSIONS {
        let (pages, world) = film_world();
        let url = world.origin.url("film/short/master.m3u8");
        let daemon = holding(&world, &url, SHORT_SEGMENTS);
        world.origin.refuse(Asker::Page);
        let page = SwarmPage::new(&pages, &world, &from_peers(version, &url));
        let _browser = Browser::open(page.url(), false, &world, "browser");
        page.holds(SHORT_SEGMENTS);
        assert_all_from(&daemon, &page, &world);
    }
}

#[test]
fn a_daemon_learns_of_three_hundred_segments_of_a_page_and_gets_them() {
    if !have_pages() {
        return;
    }
    for version in VERSIONS {
        let (pages, world) = film_world();
        let url = world.origin.url("film/short/master.m3u8");
        // It loads all it can as if it were to be shown next.
        let core = json!({ "highDemandTimeWindow": 6000 });
        let viewing = Viewing { core, ..from_peers(version, &url) };
        let page = SwarmPage::new(&pages, &world, &viewing);
        let _browser = Browser::open(page.url(), false, &world, "browser");
        page.holds(SHORT_SEGMENTS);
        // What has no list is compared with slices of the origin's.
        world.origin.refuse(Asker::Daemon);

        let daemon = world.daemon("daemon");
        let segments = Asked::all(&daemon, &url);
        assert_eq!(segments.len(), SHORT_SEGMENTS);
        eventually("the page has said what it holds", PAGE_LIMIT, || {
            (daemon.stats()["peers"][0]["segments_held"] == SHORT_SEGMENTS).then_some(())
        });
        segments.iter().for_each(|segment| _ = segment.assert_origins_bytes(&world, &daemon));
        assert_refused(&world, &["daemon"]);
        assert_eq!(daemon.total("rejected_segments"), 0);
    }
}

#[test]
fn a_page_seeks_while_a_segment_is_on_its_way() {
    if !have_pages() {
        return;
    }
    for version in VERSIONS {
        let (pages, mut world) = film_world();
        // Slow enough for something to be on its way at any time for a while.
        world.p2p_settings += "\nupload_rate_max = 262144\nupload_rate_on_lan = true";
        let url = world.origin.url("film/ts/master.m3u8");
        let daemon = holding(&world, &url, SEGMENTS);
        world.origin.refuse(Asker::Page);
        let page = SwarmPage::new(&pages, &world, &from_peers(version, &url));
        let _browser = Browser::open(page.url(), false, &world, "browser");
        let plays_beyond = |what: &str, position_s: f64| {
            page.eventually(what, |report| report["position_s"].as_f64() > Some(position_s))
        };
        plays_beyond("it plays", 0.1);
        page.order("video.currentTime = 40");
        let report = plays_beyond("it plays elsewhere", 40.5);
        assert!(report["aborted"].as_u64() >= Some(1), "{report}");
        page.order("video.currentTime = 4");
        // What was cut off, too.
        page.holds(SEGMENTS);
        assert_eq!(page.assert_origins_bytes(&world).0, SEGMENTS);
        let report = page.report();
        assert_eq!((&report["http_bytes"], &report["failed"]), (&json!(0), &json!([])), "{report}");
        assert_eq!(daemon.peers(), 1, "the page is still there");
    }
}

#[test]
fn viewers_of_a_film_behind_a_redirect_meet() {
    if !have_pages() {
        return;
    }
    for version in VERSIONS {
        let (pages, world) = film_world();
        let url = world.origin.url("moved/film/ts/master.m3u8?session=1");
        let daemon = holding(&world, &url, SEGMENTS);
        world.origin.refuse(Asker::Page);
        let page = SwarmPage::new(&pages, &world, &from_peers(version, &url));
        let _browser = Browser::open(page.url(), true, &world, "browser");
        page.holds(SEGMENTS);
        assert_all_from(&daemon, &page, &world);
    }
}

#[test]
fn a_page_and_a_daemon_meet_at_a_tracker_of_thousands() {
    if !have_pages() || !have(&[AQUATIC]) {
        return;
    }
    for version in VERSIONS {
        let (pages, world) = film_world_at(TrackerKind::Aquatic);
        let url = world.origin.url("film/ts/master.m3u8");
        let daemon = holding(&world, &url, SEGMENTS);
        world.origin.refuse(Asker::Page);
        let page = SwarmPage::new(&pages, &world, &from_peers(version, &url));
        let _browser = Browser::open(page.url(), true, &world, "browser");
        page.holds(SEGMENTS);
        assert_all_from(&daemon, &page, &world);
    }
}

fn page_plays_from_daemon(version: &str, stream: &str, hides_addresses: bool) {
    let (pages, world) = film_world();
    let url = world.origin.url(&format!("film/{stream}/master.m3u8"));
    let daemon = holding(&world, &url, SEGMENTS);
    world.origin.refuse(Asker::Page);
    let page = SwarmPage::new(&pages, &world, &from_peers(version, &url));
    let _browser = Browser::open(page.url(), hides_addresses, &world, "browser");
    page.eventually("the film is played", |report| {
        report["position_s"].as_f64() > Some(WATCH_S.into())
    });
    let report = page.holds(SEGMENTS);
    assert_all_from(&daemon, &page, &world);
    assert_eq!(report["roles"], json!({ "offer": 1, "answer": 0 }), "the page came second");
}

fn page_follows_daemon(version: &str, in_ranges: bool) {
    let (pages, world) = film_world();
    let _packager = swarm_streams::live(&world, "live", in_ranges);
    let url = world.origin.url("live/master.m3u8");
    let daemon = world.daemon("daemon");
    let progress = world.directory().join("progress");
    let mut command = decoder(&daemon.url(&url), None, &progress);
    let _viewer = Process::start("viewer", world.directory(), &mut command);
    world.origin.refuse(Asker::Page);
    let page = SwarmPage::new(&pages, &world, &from_peers(version, &url));
    let _browser = Browser::open(page.url(), in_ranges, &world, "browser");
    page.holds(6);
    assert_same_count(&page, &daemon);
    let (count, _) = page.assert_origins_bytes(&world);
    assert!(count >= 6, "only {count} segments");
    assert_eq!(page.number("http_bytes"), 0);
}

fn daemon_plays_from_page(version: &str, stream: &str, hides_addresses: bool) {
    let (pages, world) = film_world();
    let url = world.origin.url(&format!("film/{stream}/master.m3u8"));
    let viewing = Viewing {
        // It loads all it can as if it were to be shown next.
        core: json!({ "highDemandTimeWindow": 6000 }),
        ..from_peers(version, &url)
    };
    let page = SwarmPage::new(&pages, &world, &viewing);
    let _browser = Browser::open(page.url(), hides_addresses, &world, "browser");
    page.holds(SEGMENTS);
    page.assert_origins_bytes(&world);
    world.origin.refuse(Asker::Daemon);
    world.origin.refuse(Asker::Slices);

    let daemon = world.daemon("daemon");
    let segments = Asked::all(&daemon, &url);
    meet(&daemon);
    let seat = Seat { directory: world.directory(), pages: &pages };
    Player::Mpv.watch(&daemon.url(&url), WATCH_S, &seat, stream);
    for segment in &segments {
        segment.assert_origins_bytes(&world, &daemon);
    }
    assert_refused(&world, &["daemon", "slices"]);
    let taken = daemon.total("peer_bytes");
    eventually("the page's count is the daemon's", PAGE_LIMIT, || {
        (page.number("uploaded_bytes") == taken).then_some(())
    });
    assert_eq!(daemon.total("rejected_segments"), 0);
    assert_eq!(page.report()["roles"], json!({ "offer": 0, "answer": 1 }), "the page came first");
}

fn daemon_follows_page(version: &str, in_ranges: bool) {
    let (pages, mut world) = film_world();
    // Its player is behind the page.
    world.p2p_settings += "\nlive_delay_s = 8";
    let _packager = swarm_streams::live(&world, "live", in_ranges);
    let url = world.origin.url("live/master.m3u8");
    let viewing = Viewing { core: json!({}), ..from_peers(version, &url) };
    let page = SwarmPage::new(&pages, &world, &viewing);
    let _browser = Browser::open(page.url(), !in_ranges, &world, "browser");
    page.holds(5);
    // What has no list is compared with slices of the origin's. A segment of a single file is one
    // itself: there only the daemon's own count tells.
    world.origin.refuse(Asker::Daemon);
    let daemon = world.daemon("daemon");
    Asked::all(&daemon, &url);
    meet(&daemon);
    let seat = Seat { directory: world.directory(), pages: &pages };
    Player::Mpv.watch(&daemon.url(&url), WATCH_S, &seat, "live");
    Asked::all(&daemon, &url)[2].assert_origins_bytes(&world, &daemon);
    assert!(daemon.total("peer_segments") >= 3, "{} segments", daemon.total("peer_segments"));
    assert_refused(&world, &["daemon"]);
    assert_eq!(daemon.total("rejected_segments"), 0);
}

/// The origin has given no segment to any of `askers`.
fn assert_refused(world: &World, askers: &[&str]) {
    let requests = world.origin.requests();
    let is_given = |request: &&Request| {
        request.is_segment() && request.status < 400 && askers.contains(&request.asker.as_str())
    };
    assert_eq!(requests.iter().filter(is_given).count(), 0, "the origin gave segments away");
}

fn film_world() -> (PageServer, World) {
    film_world_at(TrackerKind::Npm)
}

fn film_world_at(tracker: TrackerKind) -> (PageServer, World) {
    let mut world = World::new(tracker);
    world.origin.publish("film", swarm_streams::shared());
    // Pages come when the daemon's player has gone.
    world.p2p_settings = "linger_s = 600".into();
    (PageServer::start(), world)
}

/// A daemon with all of a film, which has `count` segments.
fn holding(world: &World, url: &str, count: usize) -> Daemon {
    let daemon = world.daemon("daemon");
    let segments = Asked::all(&daemon, url);
    assert_eq!(segments.len(), count);
    segments.iter().for_each(|segment| _ = segment.assert_origins_bytes(world, &daemon));
    daemon
}

/// A page that takes every segment from its peers.
fn from_peers<'a>(version: &'a str, url: &'a str) -> Viewing<'a> {
    let core = json!({ "simultaneousHttpDownloads": 0 });
    Viewing { name: "viewer", version, url, core, hls: json!({}) }
}

/// The page has its film from the daemon, all of it once, by the counts of both.
fn assert_all_from(daemon: &Daemon, page: &SwarmPage<'_>, world: &World) {
    let (_, total) = page.assert_origins_bytes(world);
    assert_same_count(page, daemon);
    assert_eq!((page.number("http_bytes"), page.number("p2p_bytes")), (0, total as u64));
}

/// Both count the same from the daemon to the page.
fn assert_same_count(page: &SwarmPage<'_>, daemon: &Daemon) {
    eventually("the daemon's count is the page's", Duration::from_secs(10), || {
        (page.number("p2p_bytes") == daemon.total("upload_bytes")).then_some(())
    });
}
