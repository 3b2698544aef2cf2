//! How much of an origin's work swarms of any size take over, and what players notice of it:
//! `cargo bench --bench offload -- --viewers 10,100,1000,5000 --seed 1 --json`.
//!
//! The scheduler is the daemon's own; the network is modelled (`tests/sim/world`). Each run is held
//! against the same viewers without peers. The same seed prints the same bytes.

mod options;
#[path = "../../tests/sim/world/mod.rs"]
#[expect(dead_code, reason = "viewers on one machine are for the reality bench")]
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use options::Options;
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
    let plans = options.plans();
    let reports = reports(&plans);
    let mut out = io::stdout().lock();
    if !options.is_json {
        writeln!(out, "{}", heading())?;
    }
    for (pair, plans) in reports.chunks(2).zip(plans.chunks(2)) {
        let [with, without] = pair else { continue };
        let line = if options.is_json { json } else { row };
        writeln!(out, "{}", line(&plans[0], with, without))?;
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
    "mode  viewers  saved %  stall s/h (without)  start-up s (without)  copies  p50 s  p99 s  gini"
        .to_owned()
}

fn row(plan: &Plan, with: &Report, without: &Report) -> String {
    format!(
        "{:4}  {:7}  {:7.2}  {:9.3} ({:7.3})  {:10.3} ({:7.3})  {:6.2}  {:5.2}  {:5.2}  {:4.2}",
        options::name(plan.mode),
        plan.viewers,
        with.saved() * 100.0,
        with.stall_s_per_hour(),
        without.stall_s_per_hour(),
        with.startup_mean_s(),
        without.startup_mean_s(),
        with.copies_per_segment(plan.segment_bytes),
        with.availability_s(50),
        with.availability_s(99),
        with.upload_gini(),
    )
}

fn json(plan: &Plan, with: &Report, without: &Report) -> String {
    let round = |x: f64| (x * 1e4).round() / 1e4;
    serde_json::json!({
        "mode": options::name(plan.mode),
        "viewers": plan.viewers,
        "saved": round(with.saved()),
        "stall_ratio": round(ratio(with.stall_s_per_hour(), without.stall_s_per_hour())),
        "startup_ratio": round(ratio(with.startup_mean_s(), without.startup_mean_s())),
        "copies_per_segment": round(with.copies_per_segment(plan.segment_bytes)),
        "availability_p50_s": round(with.availability_s(50)),
        "availability_p99_s": round(with.availability_s(99)),
        "upload_gini": round(with.upload_gini()),
        "wrong_bytes": 0,
        "stall_s_per_viewer_hour": round(with.stall_s_per_hour()),
        "stall_s_per_viewer_hour_alone": round(without.stall_s_per_hour()),
        "stalls_per_viewer_hour": round(with.stalls_per_hour()),
        "stalls_per_viewer_hour_alone": round(without.stalls_per_hour()),
        "fetches_per_segment": round(with.origin_fetches as f64 / with.published.max(1) as f64),
        "failures": with.failures,
    })
    .to_string()
}
