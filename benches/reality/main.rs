//! The simulator against reality: the same situation with real daemons and simulated, side by side:
//! `cargo bench --bench reality -- --viewers 10 --seconds 90`.
//!
//! The real ones are those of `hlswarm demo --live` on this machine: real WebRTC, a live stream of
//! about 1 Mbit/s, viewers who come one after the other. Fails when the shares of the bytes saved
//! are more than five points apart.

#[path = "../../tests/sim/world/mod.rs"]
#[expect(dead_code, reason = "most of its figures are for the offload bench")]
mod world;

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;
use world::World;
use world::plan::{MS, Plan, S};

/// How far apart the figures may be.
const APART_MAX: f64 = 0.05;
/// Simulated as often, each with another seed; the mean counts.
const SIMULATIONS: u64 = 8;
/// Of the demonstration: bytes of a segment on average, their length, and the pause between joins.
const SEGMENT_BYTES: u64 = 230_000;
const SEGMENT_US: u64 = 2 * S;
const JOIN_PAUSE_US: u64 = 1_500 * MS;

fn main() -> ExitCode {
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to be done where even standard error is gone.
            let _ = writeln!(io::stderr(), "reality: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether the figures are close enough.
fn compare() -> io::Result<bool> {
    let (mut viewers, mut seconds) = (10, 90);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        let value = match argument.as_str() {
            // `cargo bench` adds it.
            "--bench" => continue,
            "--viewers" => value().map(|value| viewers = value),
            "--seconds" => value().map(|value| seconds = value),
            _ => None,
        };
        value.ok_or_else(|| io::Error::other(format!("{argument} is not understood")))?;
    }
    let simulated = simulate(viewers, seconds);
    let real = play(viewers, seconds)?;
    let apart = (real - simulated).abs();
    writeln!(
        io::stdout(),
        "{viewers} viewers, {seconds} s live: saved {:.1} % in reality, {:.1} % simulated, {:.1} \
         points apart (at most {:.0})",
        real * 100.0,
        simulated * 100.0,
        apart * 100.0,
        APART_MAX * 100.0,
    )?;
    Ok(apart <= APART_MAX)
}

/// The share saved by the demonstration.
fn play(viewers: u64, seconds: u64) -> io::Result<f64> {
    let output = Command::new(env!("CARGO_BIN_EXE_hlswarm"))
        .args(["demo", "--live", "--json"])
        .args(["--viewers", &viewers.to_string(), "--seconds", &seconds.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    report["offload"].as_f64().ok_or_else(|| io::Error::other("the demonstration failed"))
}

/// The share saved in simulations.
fn simulate(viewers: u64, seconds: u64) -> f64 {
    let apart_us = JOIN_PAUSE_US.min(seconds * S / 2 / viewers);
    let saved = (1..=SIMULATIONS).map(|seed| {
        let plan = Plan {
            segment_bytes: SEGMENT_BYTES,
            segment_us: SEGMENT_US,
            ..Plan::on_one_machine(viewers as usize, apart_us, seconds * S, seed)
        };
        World::new(plan).run().saved()
    });
    saved.sum::<f64>() / SIMULATIONS as f64
}
