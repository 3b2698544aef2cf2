//! How much of an origin's work swarms of any size take over, and what players notice of it:
//! `cargo bench --bench offload -- --viewers 10,100,1000,5000 --seed 1 --json`.
//!
//! The scheduler is the daemon's own; the network is modelled (`tests/sim/world`). Each run is held
//! against the same viewers without peers. The same seed prints the same bytes.
//!
//! Small swarms differ much from one another: so that figures say something of the policy and not
//! of ten people, several are simulated that have nothing to do with each other, with seeds made of
//! the one given (`--swarms`; by itself 8 below 20 viewers, 3 below 200). Bytes, stalls and hours
//! are summed.
//!
//! `bound %` is what no policy could have saved more than, with these viewers, these connections
//! and players handed everything when they were: `world/bound.rs` says how it is counted. Checks
//! are not in it, and viewers that make bytes up can exceed it.

mod options;
#[path = "../../tests/sim/world/mod.rs"]
#[expect(dead_code, reason = "viewers on one machine are for the reality bench")]
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use options::{Options, Pair};
use world::World;
use world::plan::Plan;
use world::report::{Report, ratio};

/// Runs at the same time.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => {
            // Nothing is left to be done where even standard error is gone.
            let _ = writeln!(io::stderr(), "offload: {what}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(options: &Options) -> io::Result<()> {
    let pairs = options.pairs();
    let plans: Vec<Plan> = pairs.iter().flat_map(Pair::all).collect();
    let mut reports = reports(&plans).into_iter();
    let mut out = io::stdout().lock();
    if !options.is_json {
        writeln!(out, "{}", heading())?;
    }
    for pair in &pairs {
        let [mut with, mut without] = [Report::default(), Report::default()];
        for _ in 0..pair.swarms {
            for sum in [&mut with, &mut without] {
                sum.add(reports.next().unwrap_or_default());
            }
        }
        let line = if options.is_json { json } else { row };
        writeln!(out, "{}", line(pair, &with, &without))?;
    }
    Ok(())
}

/// The reports of all plans, in their order; the largest run first.
fn reports(plans: &[Plan]) -> Vec<Report> {
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_by_key(|at| plans[*at].viewers);
    let queue = std::sync::Mutex::new(order);
    let done = std::sync::Mutex::new(vec![Report::default(); plans.len()]);
    let take = || queue.lock().ok().and_then(|mut queue| queue.pop());
    let work = || {
        while let Some(at) = take() {
            let report = World::new(plans[at]).run();
            if let Ok(mut done) = done.lock() {
                done[at] = report;
            }
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|_| drop(scope.spawn(work)));
    });
    done.into_inner().unwrap_or_default()
}

fn heading() -> String {
    "mode  viewers  scenario         saved %  saved GB  bound %  stall s/h (without)  \
     stalls/h (without)  start-up s (without)  its p95 (without)  copies  fetches  p50 s  p99 s  \
     gini  checks  wrong segments  \
     banned (wrongly, after, at most)  never (after)"
        .to_owned()
}

fn row(pair: &Pair, with: &Report, without: &Report) -> String {
    let plan = &pair.plan;
    let last = |segments: &[u64]| segments.iter().max().copied().unwrap_or_default();
    let numbers = format!(
        "{:4}  {:7}  {:15}  {:7.2}  {:8.1}  {:7.2}  {:9.3} ({:7.3})  {:8.3} ({:7.3})  \
         {:10.3} ({:7.3})  {:7.3} ({:7.3})  {:6.2}  {:7.2}",
        options::name(plan.mode),
        plan.viewers,
        pair.scenario.name(),
        with.saved() * 100.0,
        with.handed_bytes.saturating_sub(with.origin_bytes) as f64 / 1e9,
        with.bound() * 100.0,
        with.stall_s_per_hour(),
        without.stall_s_per_hour(),
        with.stalls_per_hour(),
        without.stalls_per_hour(),
        with.startup_mean_s(),
        without.startup_mean_s(),
        with.startup_s(95),
        without.startup_s(95),
        with.copies_per_segment(plan.segment_bytes),
        with.fetches_per_segment(),
    );
    let more = format!(
        "{:5.2}  {:5.2}  {:4.2}  {:6.2}  {:14}  {:6} ({:7}, {:5.1}, {:7})  {:5} ({:5})",
        with.availability_s(50),
        with.availability_s(99),
        with.upload_gini(),
        with.checks_per_segment(),
        with.wrong_segments,
        with.banned,
        with.wrongly_banned,
        with.until_banned_mean(),
        last(&with.until_banned),
        with.undetected.len(),
        last(&with.undetected),
    );
    format!("{numbers}  {more}")
}

fn json(pair: &Pair, with: &Report, without: &Report) -> String {
    let plan = &pair.plan;
    let round = |x: f64| (x * 1e4).round() / 1e4;
    serde_json::json!({
        "mode": options::name(plan.mode),
        "viewers": plan.viewers,
        "swarms": pair.swarms,
        "scenario": pair.scenario.name(),
        "uplink_per_bitrate": round(plan.uplink_share()),
        "saved": round(with.saved()),
        "bound": round(with.bound()),
        "saved_bytes": with.handed_bytes.saturating_sub(with.origin_bytes),
        "stall_ratio": round(ratio(with.stall_s_per_hour(), without.stall_s_per_hour())),
        "startup_ratio": round(ratio(with.startup_mean_s(), without.startup_mean_s())),
        "copies_per_segment": round(with.copies_per_segment(plan.segment_bytes)),
        "availability_p50_s": round(with.availability_s(50)),
        "availability_p99_s": round(with.availability_s(99)),
        "upload_gini": round(with.upload_gini()),
        "stall_s_per_viewer_hour": round(with.stall_s_per_hour()),
        "stall_s_per_viewer_hour_alone": round(without.stall_s_per_hour()),
        "stalls_per_viewer_hour": round(with.stalls_per_hour()),
        "stalls_per_viewer_hour_alone": round(without.stalls_per_hour()),
        "startup_s": round(with.startup_mean_s()),
        "startup_s_alone": round(without.startup_mean_s()),
        "startup_p95_s": round(with.startup_s(95)),
        "startup_p95_s_alone": round(without.startup_s(95)),
        "fetches_per_segment": round(with.fetches_per_segment()),
        "check_bytes": with.check_bytes,
        "checks_per_segment": round(with.checks_per_segment()),
        "wrong_segments": with.wrong_segments,
        "wrong_bytes": with.wrong_bytes,
        "banned": with.banned,
        "wrongly_banned": with.wrongly_banned,
        "segments_until_banned": round(with.until_banned_mean()),
        "segments_until_banned_max": with.until_banned.iter().max(),
        "never_banned": with.undetected.len(),
        "never_banned_segments_max": with.undetected.iter().max(),
        "failures": with.failures,
    })
    .to_string()
}
