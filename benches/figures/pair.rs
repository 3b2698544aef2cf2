//! From daemon to daemon: one viewer has a film, another gets it from there.
//!
//! Both are child processes that meet at the built-in tracker, as they do in the world; only the
//! distance is missing. The receiver is a new process in each round.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::client::Client;
use crate::origin::{self, Film};
use crate::process::Program;
use crate::report::{Row, Section, median};

/// 60 segments of 4 MB.
const FILM: Film = Film { name: "pair", segments: 60, packets: 21_280 };
const ROUNDS: usize = 5;
/// No round begins after this long.
const ROUNDS_TIME: Duration = Duration::from_secs(30);
/// Longest two viewers may take to meet.
const MEET_TIMEOUT: Duration = Duration::from_secs(15);

/// One round.
struct Sample {
    megabytes_per_s: f64,
    sender_cpu: f64,
    receiver_cpu: f64,
    /// Share of the film that came from the peer.
    shared: f64,
}

/// Measures.
///
/// # Errors
/// When a part does not start, a request fails or the viewers do not meet.
pub fn measure() -> Outcome<Section> {
    let origin = origin::serve(FILM)?;
    let tracker = Program::tracker()?;
    let url = format!("ws://{}", tracker.address);
    let sender = viewer(&url)?;
    watch(&sender, origin)?;
    let began = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < ROUNDS && (samples.is_empty() || began.elapsed() < ROUNDS_TIME) {
        samples.push(round(&sender, &url, origin)?);
    }
    let of = |pick: fn(&Sample) -> f64| samples.iter().map(pick).collect::<Vec<_>>();
    let shared = of(|sample| sample.shared * 100.0);
    let mut notes = Vec::new();
    if median(&shared) < 95.0 {
        notes
            .push("MUCH DID NOT COME FROM THE PEER: the figures are not the data channel's".into());
    }
    Ok(Section {
        title: format!(
            "Daemon to daemon over a data channel ({} segments of 4 MB, loopback)",
            FILM.segments
        ),
        rows: vec![
            Row::new("sender_cpu_s_per_gb", "CPU s/GB, sender", of(|sample| sample.sender_cpu)),
            Row::new(
                "receiver_cpu_s_per_gb",
                "CPU s/GB, receiver and its player's HTTP",
                of(|sample| sample.receiver_cpu),
            ),
            Row::new("mb_per_s", "MB/s", of(|sample| sample.megabytes_per_s)),
            Row::new("from_peer_percent", "from the peer, %", shared),
        ],
        notes,
    })
}

fn viewer(tracker: &str) -> Outcome<Program> {
    Program::daemon(&[
        ("HLSWARM_P2P_TRACKERS", tracker),
        ("HLSWARM_P2P_BIND", "127.0.0.1"),
        ("HLSWARM_CACHE_BYTES_MAX", "1000000000"),
    ])
}

/// Reads the whole film.
fn watch(viewer: &Program, origin: std::net::SocketAddr) -> Outcome<()> {
    let mut client = Client::connect(viewer.address)?;
    client.text(&origin::through(origin, &FILM.playlist()))?;
    for number in 0..FILM.segments {
        client.get(&origin::through(origin, &FILM.segment(number)))?;
    }
    Ok(())
}

fn round(sender: &Program, tracker: &str, origin: std::net::SocketAddr) -> Outcome<Sample> {
    let receiver = viewer(tracker)?;
    let mut client = Client::connect(receiver.address)?;
    client.text(&origin::through(origin, &FILM.playlist()))?;
    let began = Instant::now();
    while stats(&mut client)?["peers"].as_array().is_none_or(Vec::is_empty) {
        if began.elapsed() > MEET_TIMEOUT {
            return Err("the viewers do not meet".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = (sender.cpu_seconds()?, receiver.cpu_seconds()?);
    let began = Instant::now();
    watch(&receiver, origin)?;
    let elapsed = began.elapsed().as_secs_f64();
    let after = (sender.cpu_seconds()?, receiver.cpu_seconds()?);
    let film = (FILM.segments * FILM.segment_bytes()) as f64;
    let from_peer = stats(&mut client)?["totals"]["peer_bytes"].as_f64().unwrap_or_default();
    Ok(Sample {
        megabytes_per_s: film / 1e6 / elapsed,
        sender_cpu: (after.0 - before.0) / (from_peer / 1e9),
        receiver_cpu: (after.1 - before.1) / (film / 1e9),
        shared: from_peer / film,
    })
}

fn stats(client: &mut Client) -> Outcome<Value> {
    Ok(serde_json::from_str(&client.text("/api/v1/stats")?)?)
}
