//! A browser that hides its address behind a name is found by that name.
//!
//! The page learns no address of the daemon, so they meet only if the daemon asks the network
//! whose name it is. That is a network of the test's own, in a namespace that it enters by
//! starting itself again.

use std::process::Command;
use std::time::Duration;

use hlswarm::playlist::identity::g2_direct;
use url::Url;

use crate::page::PageServer;
use crate::process::{Process, eventually, have, is_root};
use crate::streams;
use crate::world::{TrackerKind, World, expect, segments_of};

/// Set where the tests run inside their network.
const INSIDE: &str = "HLSWARM_TEST_INSIDE";
const ADDRESS: &str = "192.168.77.1";
/// Two interfaces joined by a cable, the default route over one of them: a browser tells pages of
/// no other address.
const NETWORK: &str = "ip link set lo up && ip link add near type veth peer name far &&
    ip address add 192.168.77.1/24 dev near && ip link set near up && ip link set far up &&
    ip route add default dev near && exec \"$0\" \"$@\"";
/// How long the two may take to find each other: an announce that was missed is repeated after
/// ten seconds.
const MEET_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_browser_that_hides_its_address_is_met_when_it_offers() {
    meet("offers", "hidden::a_browser_that_hides_its_address_is_met_when_it_offers");
}

#[test]
fn a_browser_that_hides_its_address_is_met_when_it_answers() {
    meet("answers", "hidden::a_browser_that_hides_its_address_is_met_when_it_answers");
}

fn meet(role: &str, test: &str) {
    if !have(&["nginx", "ffmpeg", "chromium", "unshare", "ip"]) {
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        // Encoded once, and where everything of the machine is at hand.
        streams::on_demand();
        let itself = std::env::current_exe().unwrap();
        let mut again = Command::new("unshare");
        if !is_root() {
            again.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        again.args(["--net", "sh", "-c", NETWORK]).arg(itself);
        again.args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
        assert!(again.status().unwrap().success(), "inside its own network");
        return;
    }
    let mut world = World::new(TrackerKind::Ours);
    world.bind = ADDRESS;
    world.origin.publish("vod", streams::on_demand());
    let playlist = world.origin.url("vod/fmp4/index.m3u8");
    let hash = g2_direct(&Url::parse(&playlist).unwrap()).info_hash.to_latin1();
    let daemon = world.daemon("daemon");
    let segments = segments_of(&daemon, &playlist);

    let pages = PageServer::start();
    let tracker = world.tracker.url();
    let page = pages.hidden(&[("tracker", &tracker), ("hash", &hash), ("role", role)]);
    let profile = world.directory().join("chromium-profile");
    let mut command = Command::new("chromium");
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
    command.args(["--disable-component-update", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", profile.display())).arg(page);
    let _browser = Process::start("chromium", world.directory(), &mut command);

    let report = eventually("the page's channel is open", MEET_LIMIT, || {
        // A player that stays: without one the daemon leaves the swarm.
        expect(&segments[0]);
        let report = pages.report()?;
        assert_eq!(report["errors"], serde_json::json!([]), "{report}");
        report["isOpen"].as_bool()?.then_some(report)
    });
    let candidates = report["candidates"].as_array().unwrap();
    let is_hidden = |candidate: &serde_json::Value| candidate.to_string().contains(".local ");
    assert!(!candidates.is_empty() && candidates.iter().all(is_hidden), "{report}");
    eventually("the daemon counts the page", MEET_LIMIT, || (daemon.peers() > 0).then_some(()));
}
