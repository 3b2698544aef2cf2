//! Pages of two generations of p2p-media-loader, which never meet, exchange films through a daemon
//! that is in the swarms of both.

use serde_json::{Value, json};

use crate::page::PageServer;
use crate::sharing::meet;
use crate::swarm_pages::{Browser, SwarmPage, V2_2, V2_3, Viewing, have_pages};
use crate::swarm_streams::{self, Asked, SEGMENTS};
use crate::world::{Asker, TrackerKind, World};

#[test]
fn an_old_page_gives_a_new_one_the_film_through_a_daemon() {
    if have_pages() {
        gives(V2_2, V2_3, "listed-ts");
    }
}

#[test]
fn a_new_page_gives_an_old_one_the_film_through_a_daemon() {
    if have_pages() {
        gives(V2_3, V2_2, "listed-range");
    }
}

/// The giver's is the only copy besides the origin's, and nobody else may ask the origin.
fn gives(giver: &str, taker: &str, stream: &str) {
    let mut world = World::new(TrackerKind::Npm);
    world.origin.publish("film", swarm_streams::shared());
    // The taker comes when the daemon's player has gone.
    world.p2p_settings = "linger_s = 600".into();
    let pages = PageServer::start();
    let url = world.origin.url(&format!("film/{stream}/master.m3u8"));
    // It loads all it can as if it were to be shown next.
    let eager = json!({ "highDemandTimeWindow": 6000 });
    let given = open(&pages, &world, "giver", giver, &url, eager);
    given.page.holds(SEGMENTS);
    for asker in [Asker::Daemon, Asker::Slices, Asker::Page] {
        world.origin.refuse(asker);
    }

    let daemon = world.daemon("daemon");
    let segments = Asked::all(&daemon, &url);
    assert_eq!(segments.len(), SEGMENTS);
    meet(&daemon);
    segments.iter().for_each(|segment| _ = segment.assert_origins_bytes(&world, &daemon));
    let thrifty = json!({ "simultaneousHttpDownloads": 0 });
    let taken = open(&pages, &world, "taker", taker, &url, thrifty);
    let report = taken.page.holds(SEGMENTS);

    let (_, total) = taken.page.assert_origins_bytes(&world);
    assert_eq!((&report["http_bytes"], &report["p2p_bytes"]), (&json!(0), &json!(total)));
    assert_eq!(daemon.total("rejected_segments"), 0);
    for page in [&given.page, &taken.page] {
        assert_eq!(page.number("peers"), 1, "each page knows the daemon alone");
    }
}

struct Open<'a> {
    page: SwarmPage<'a>,
    _browser: Browser,
}

fn open<'a>(
    pages: &'a PageServer,
    world: &World,
    name: &str,
    version: &str,
    url: &str,
    core: Value,
) -> Open<'a> {
    let viewing = Viewing { name, version, url, core, hls: json!({}) };
    let page = SwarmPage::new(pages, world, &viewing);
    let browser = Browser::open(page.url(), false, world, name);
    Open { page, _browser: browser }
}
