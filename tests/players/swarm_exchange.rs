//! Pages with the genuine p2p-media-loader and daemons exchange a film, both ways: what one has,
//! the origin refuses the other.

use std::time::Duration;

use serde_json::{Value, json};

use crate::page::PageServer;
use crate::players::{Player, Seat};
use crate::process::eventually;
use crate::sharing::meet;
use crate::streams::{self, LARGE_SEGMENT_BYTES};
use crate::swarm_pages::{Browser, PAGE_LIMIT, SwarmPage, V2_3, Viewing, have_pages};
use crate::swarm_streams::{self, Asked, SEGMENTS, SHORT_SEGMENTS};
use crate::world::{Asker, Daemon, Request, TrackerKind, World};

/// Media seconds a player has to show.
const WATCH_S: u32 = 6;

#[test]
fn a_page_plays_what_only_the_daemon_has() {
    if have_pages() {
        page_plays_from_daemon(V2_3, "ts", false);
        page_plays_from_daemon(V2_3, "range", true);
    }
}

#[test]
fn a_daemons_player_plays_what_only_the_page_has() {
    if have_pages() {
        daemon_plays_from_page(V2_3, "listed-ts", true);
        daemon_plays_from_page(V2_3, "listed-range", false);
    }
}

#[test]
fn a_page_learns_of_three_hundred_segments_and_gets_them() {
    if !have_pages() {
        return;
    }
    let (pages, world) = film_world();
    let url = world.origin.url("film/short/master.m3u8");
    let _daemon = holding(&world, &url, SHORT_SEGMENTS);
    world.origin.refuse(Asker::Page);
    let page = SwarmPage::new(&pages, &world, &from_peers(V2_3, &url));
    let _browser = Browser::open(page.url(), false, &world, "browser");
    page.holds(SHORT_SEGMENTS);
    assert_eq!(page.assert_origins_bytes(&world).0, SHORT_SEGMENTS);
    assert_eq!(page.number("http_bytes"), 0);
}

#[test]
fn a_page_seeks_while_a_segment_is_on_its_way() {
    if !have_pages() {
        return;
    }
    let (pages, mut world) = film_world();
    // Slow enough for the page to change its mind.
    world.p2p_settings += "\nupload_rate_max = 4194304\nupload_rate_on_lan = true";
    world.origin.publish("vod", streams::on_demand());
    let url = world.origin.url("vod/large/index.m3u8");
    let daemon = holding(&world, &url, 2);
    world.origin.refuse(Asker::Page);
    let core = json!({
        "simultaneousHttpDownloads": 0, "simultaneousP2PDownloads": 1,
        "p2pDownloadTimeWindow": 1, "highDemandTimeWindow": 1,
    });
    let viewing = Viewing { core, ..from_peers(V2_3, &url) };
    let page = SwarmPage::new(&pages, &world, &viewing);
    let _browser = Browser::open(page.url(), false, &world, "browser");
    let is_between =
        |bytes: &Value| (1..LARGE_SEGMENT_BYTES as u64).contains(&bytes.as_u64().unwrap());
    page.eventually("a segment is on its way", |report| {
        report["p2p_bytes"].is_u64() && is_between(&report["p2p_bytes"])
    });
    page.order("video.currentTime = 30");
    page.eventually("the other segment came instead", |report| {
        report["position_s"].as_f64() > Some(31.0)
    });
    assert!(page.number("aborted") >= 1, "{}", page.report());
    page.order("video.currentTime = 2");
    page.eventually("the first segment came after all", |report| {
        report["p2p_segments"] == 2 && report["position_s"].as_f64() < Some(20.0)
    });
    assert_eq!(page.assert_origins_bytes(&world).0, 2);
    assert_eq!(daemon.peers(), 1, "the page is still there");
}

#[test]
fn viewers_of_a_film_behind_a_redirect_meet() {
    if !have_pages() {
        return;
    }
    let (pages, world) = film_world();
    let url = world.origin.url("moved/film/ts/master.m3u8?session=1");
    let daemon = holding(&world, &url, SEGMENTS);
    world.origin.refuse(Asker::Page);
    let page = SwarmPage::new(&pages, &world, &from_peers(V2_3, &url));
    let _browser = Browser::open(page.url(), true, &world, "browser");
    page.holds(SEGMENTS);
    let (_, total) = page.assert_origins_bytes(&world);
    assert_same_count(&page, &daemon, total);
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
    let (_, total) = page.assert_origins_bytes(&world);
    assert_eq!(report["http_bytes"], 0, "{report}");
    assert_same_count(&page, &daemon, total);
    assert_eq!(report["roles"], json!({ "offer": 1, "answer": 0 }), "the page came second");
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
    let refused = |request: &Request| !["page", "init"].contains(&request.asker.as_str());
    let requests = world.origin.requests();
    let given =
        |request: &&Request| refused(request) && request.is_segment() && request.status < 400;
    assert_eq!(requests.iter().filter(given).count(), 0, "the origin gave the daemon segments");
    let taken = daemon.total("peer_bytes");
    eventually("the page's count is the daemon's", PAGE_LIMIT, || {
        (page.number("uploaded_bytes") == taken).then_some(())
    });
    assert_eq!(daemon.total("rejected_segments"), 0);
    assert_eq!(page.report()["roles"], json!({ "offer": 0, "answer": 1 }), "the page came first");
}

fn film_world() -> (PageServer, World) {
    let mut world = World::new(TrackerKind::Npm);
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

/// Both count what went from the daemon to the page, and it is what the film's segments have.
fn assert_same_count(page: &SwarmPage<'_>, daemon: &Daemon, total: usize) {
    eventually("the daemon's count is the page's", Duration::from_secs(10), || {
        let counts = (page.number("p2p_bytes"), daemon.total("upload_bytes"));
        (counts == (total as u64, total as u64)).then_some(())
    });
}
