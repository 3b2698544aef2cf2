//! Many members in virtual time: the real core, a modelled network, no sockets and no waiting.

mod model;
mod world;

use model::{Plan, Report};
use world::World;

/// Twenty viewers of a live stream, a few seconds behind its edge.
const LIVE: Plan = Plan {
    viewers: 20,
    is_live: true,
    segments: 30,
    arrival_gap_ms: 700,
    peers_each: 8,
    has_peers: true,
    are_peers_mute: false,
};

/// Twenty viewers of a recording, each starting some seconds after the one before.
const VOD: Plan = Plan { is_live: false, arrival_gap_ms: 9_000, ..LIVE };

fn run(plan: Plan, seed: u64) -> Report {
    let report = World::new(plan, seed).run();
    assert_eq!(report.handed, u64::from(plan.viewers) * plan.segments, "{report:?}");
    report
}

#[test]
fn without_peers_every_byte_comes_from_the_origin() {
    let report = run(Plan { has_peers: false, ..LIVE }, 1);
    assert_eq!(report.saved_percent(), 0);
    assert_eq!(report.stalls, 0, "{report:?}");
}

#[test]
fn a_recording_is_passed_on_from_viewer_to_viewer() {
    let report = run(VOD, 1);
    assert!(report.saved_percent() >= 80, "{} {report:?}", report.saved_percent());
    assert_eq!(report.stalls, 0, "{report:?}");
}

#[test]
fn a_live_stream_is_shared_without_stalls() {
    let report = run(LIVE, 1);
    assert!(report.saved_percent() >= 70, "{} {report:?}", report.saved_percent());
    assert_eq!(report.stalls, 0, "{report:?}");
}

#[test]
fn peers_that_promise_and_send_nothing_cause_no_stall() {
    for plan in [LIVE, VOD] {
        let report = run(Plan { are_peers_mute: true, ..plan }, 1);
        assert_eq!(report.saved_percent(), 0);
        assert_eq!(report.stalls, 0, "{report:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(LIVE, 5), run(LIVE, 5));
    assert_ne!(run(LIVE, 5), run(LIVE, 6));
}
