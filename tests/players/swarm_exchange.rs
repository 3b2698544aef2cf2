//! Pages with the genuine p2p-media-loader and daemons exchange a film, both ways.

use serde_json::json;

use crate::page::PageServer;
use crate::process::eventually;
use crate::sharing::assert_origins_bytes;
use crate::swarm_pages::{Browser, PAGE_LIMIT, SwarmPage, V2_3, Viewing, have_pages};
use crate::swarm_streams::{self, SEGMENTS};
use crate::world::{Asker, TrackerKind, World, segments_of};

#[test]
fn a_page_plays_what_only_the_daemon_has() {
    if have_pages() {
        page_plays_from_daemon(V2_3, "ts", false);
        page_plays_from_daemon(V2_3, "ts", true);
    }
}

fn page_plays_from_daemon(version: &str, stream: &str, hides_addresses: bool) {
    let pages = PageServer::start();
    let mut world = World::new(TrackerKind::Npm);
    // The page comes when the daemon's player has gone.
    world.p2p_settings = "linger_s = 600".into();
    world.origin.publish("film", swarm_streams::shared());
    let url = world.origin.url(&format!("film/{stream}/master.m3u8"));
    let daemon = world.daemon("daemon");
    let segments = segments_of(&daemon, &url);
    assert_eq!(segments.len(), SEGMENTS);
    segments.iter().for_each(|url| _ = assert_origins_bytes(&world, &daemon, url));
    world.origin.refuse(Asker::Page);

    let core = json!({ "simultaneousHttpDownloads": 0 });
    let viewing = Viewing { name: "viewer", version, url: &url, core, hls: json!({}) };
    let page = SwarmPage::new(&pages, &world, &viewing);
    let _browser = Browser::open(page.url(), hides_addresses, &world, "browser");
    page.eventually("the film is played", |report| report["position_s"].as_f64() > Some(6.0));
    let report = page.holds(SEGMENTS);
    let (_, total) = page.assert_origins_bytes(&world);
    assert_eq!(report["http_bytes"], 0, "{report}");
    eventually("the daemon's count is the page's", PAGE_LIMIT, || {
        let counts = (page.number("p2p_bytes"), daemon.total("upload_bytes"));
        (counts == (total as u64, total as u64)).then_some(())
    });
    assert_eq!(report["roles"], json!({ "offer": 1, "answer": 0 }), "the page came second");
}
