//! Many members in virtual time: the real core, a modelled network, no sockets and no waiting.

mod world;

use world::World;
use world::liars::Lies;
use world::plan::{Mode, Plan, Publisher, S};
use world::report::{Report, ratio};

/// Twenty viewers of a live stream that come and go.
fn live() -> Plan {
    Plan { measured_us: 60 * S, ..Plan::new(Mode::Live, 20, 1) }
}

/// Twenty viewers of a short film, each starting some seconds after the one before.
fn film() -> Plan {
    Plan { film_segments: 40, ..Plan::new(Mode::Vod, 20, 1) }
}

fn run(plan: Plan) -> Report {
    let report = World::new(plan).run();
    assert_eq!(report.failures, 0);
    report
}

/// What the origin sends and players wait, compared with the same viewers left alone.
fn assert_no_worse(plan: Plan) -> Report {
    let (with, without) = (run(plan), run(Plan { has_peers: false, ..plan }));
    let stalls = ratio(with.stall_s_per_hour(), without.stall_s_per_hour());
    assert!(with.stalls_per_hour() < 30.0, "{} an hour, {stalls} times", with.stalls_per_hour());
    with
}

#[test]
fn without_peers_every_byte_comes_from_the_origin() {
    for plan in [live(), film()] {
        let report = run(Plan { has_peers: false, ..plan });
        assert!(report.saved().abs() < 0.02, "{}", report.saved());
        assert_eq!(report.peer_bytes, 0);
    }
}

#[test]
fn a_recording_is_passed_on_from_viewer_to_viewer() {
    let report = assert_no_worse(film());
    assert!(report.saved() >= 0.8, "{}", report.saved());
    assert_eq!(report.handed, 20 * 40);
}

#[test]
fn a_live_stream_is_shared_without_stalls() {
    let report = assert_no_worse(live());
    assert!(report.saved() >= 0.7, "{}", report.saved());
    assert!(report.copies_per_segment(live().segment_bytes) < 6.0);
    assert!(report.fetches_per_segment() < 8.0 && report.checks_per_segment() < 1.5);
    assert!(report.availability_s(50) < 16.0);
    assert!(report.startup_mean_s() < 2.0 && report.startup_s(95) < 4.0);
    assert!((0.0..1.0).contains(&report.upload_gini()));
}

#[test]
fn viewers_on_one_machine_share_a_live_stream() {
    let plan = Plan::on_one_machine(10, 2 * S, 60 * S, 1);
    assert!(run(plan).saved() > 0.6);
}

#[test]
fn peers_that_promise_and_send_nothing_cause_no_stall() {
    for plan in [live(), film()] {
        let report = assert_no_worse(Plan { mutes: 1.0, ..plan });
        assert_eq!(report.peer_bytes, 0);
    }
}

#[test]
fn members_that_give_nothing_are_carried_by_the_others() {
    let report = assert_no_worse(Plan { leechers: 0.3, is_poor: true, ..live() });
    assert!(report.saved() > 0.4, "{}", report.saved());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let print = |plan| format!("{:?}", run(plan));
    assert_eq!(print(live()), print(live()));
    assert_ne!(print(live()), print(Plan { seed: 2, ..live() }));
}

#[test]
fn nothing_is_saved_beyond_the_bound() {
    let poor = Plan { leechers: 0.3, is_poor: true, ..live() };
    let few = Plan { measured_us: 60 * S, ..Plan::new(Mode::Live, 4, 2) };
    for plan in [live(), film(), poor, few] {
        let report = run(plan);
        assert!(report.saved() <= report.bound(), "{} > {}", report.saved(), report.bound());
        // One copy of everything, except of what was published before anything was measured.
        assert!(report.bound() < 1.0 - 0.8 / plan.viewers as f64, "{}", report.bound());
    }
}

#[test]
fn the_bound_of_one_viewer_or_of_many_apart_is_nothing() {
    let alone = Plan { film_segments: 40, ..Plan::new(Mode::Vod, 1, 1) };
    assert!(run(alone).bound().abs() < 1e-9);
    assert!(run(Plan { has_peers: false, ..film() }).bound().abs() < 1e-9);
    // What was published before anything was measured can have come before.
    let apart = run(Plan { has_peers: false, ..live() });
    assert!((0.0..0.2).contains(&apart.bound()), "{}", apart.bound());
}

#[test]
fn swarms_told_together_are_sums() {
    let reports = [0, 1].map(|number| run(live().another(number)));
    let [one, other] = reports.clone();
    assert_ne!(one.origin_bytes, other.origin_bytes);
    let [mut both, more] = reports;
    both.add(more);
    assert_eq!(both.origin_bytes, one.origin_bytes + other.origin_bytes);
    assert_eq!(both.watched_us, one.watched_us + other.watched_us);
    assert_eq!(both.waits_us.len(), one.waits_us.len() + other.waits_us.len());
}

/// A tenth of thirty viewers lies.
fn lying(lies: Lies) -> Plan {
    Plan { viewers: 30, liars: 0.1, lies, measured_us: 60 * S, ..Plan::new(Mode::Live, 30, 1) }
}

#[test]
fn who_sends_other_segments_is_banned_and_none_reaches_a_player() {
    for lies in [Lies::Alone, Lies::Together] {
        let report = run(lying(lies));
        assert_eq!((report.wrong_segments, report.wrongly_banned), (0, 0), "{lies:?}");
        assert!(!report.until_banned.is_empty() && report.saved() > 0.5, "{lies:?}");
    }
}

#[test]
fn who_changes_a_byte_is_banned_after_a_while_or_at_once_where_segments_have_digests() {
    for lies in [Lies::Flips, Lies::QuietFlips] {
        assert!(run(lying(lies)).until_banned_mean() >= 1.0, "{lies:?}");
        for publisher in [Publisher::Lists, Publisher::States] {
            let proved = run(Plan { publisher, ..lying(lies) });
            assert_eq!((proved.wrong_segments, proved.wrongly_banned), (0, 0), "{lies:?}");
            assert!(!proved.until_banned.is_empty(), "{lies:?} {publisher:?}");
        }
    }
}

#[test]
fn of_liars_the_same_seed_makes_the_same_run() {
    let print = || format!("{:?}", run(lying(Lies::Flips)));
    assert_eq!(print(), print());
}

#[test]
fn uplinks_carry_the_share_they_are_said_to_whatever_the_seed() {
    for seed in 1..=3 {
        for mode in [Mode::Live, Mode::Vod] {
            let plan = Plan { leechers: 0.5, is_poor: true, ..Plan::new(mode, 100, seed) };
            let share = plan.with_uplink_share(0.94).uplink_share();
            assert!((share - 0.94).abs() < 1e-9, "{share}");
        }
    }
}
