//! Chaos: daemons that are killed, paused and restarted at random while players watch through
//! them, with members that lie, a tracker that comes and goes and an origin that is slow and flaky.
//!
//! Run by `cargo test --test chaos`, never by a plain `cargo test`: it takes minutes. Real programs
//! over loopback, and only those that it started are harmed. `CHAOS_SECONDS` and `CHAOS_SEED` say
//! how long and which chaos; what happens in the processes themselves is chance all the same.
//!
//! Two things must be so, whatever happens: every segment that a player gets is the origin's, byte
//! for byte (which is more than its hash), and no player waits a second longer than the origin
//! alone would have made it wait.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "a chaos is told to be had again")]

mod child;
mod household;
mod liar;
mod origin;
mod random;
#[path = "../it/sharing/test_peer.rs"]
#[expect(dead_code, reason = "most of its manners are for the integration tests")]
mod test_peer;
mod verdict;
mod viewer;
mod weather;

use household::{Household, Trouble};
use liar::Liar;
use origin::{Origin, PLAYLIST};
use random::Random;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use verdict::Verdict;
use viewer::Viewer;
use weather::Forecast;

const HOUSEHOLDS: u8 = 6;
const LIARS: u8 = 2;
const SECONDS: u64 = 180;
/// Longer than whatever is under way at the end can take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two joins.
const JOIN_PAUSE: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_get_the_origins_bytes_in_time_whatever_happens() {
    let seed = setting("CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let length = Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or(SECONDS));
    println!("CHAOS_SEED={seed} CHAOS_SECONDS={}", length.as_secs());
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();

    let end = Instant::now() + length;
    let origin = Arc::new(Origin::start(seed, Forecast::new(seed, length)).await);
    let tracker = Arc::new(Household::start("tracker", "tracker", "").await);
    let verdict = Arc::new(Verdict::default());
    let (mut daemons, mut everybody) = (Vec::new(), JoinSet::new());
    for number in 0..HOUSEHOLDS {
        let (name, settings) = (format!("daemon-{number}"), settings(number, &tracker));
        let daemon = Arc::new(Household::start(&name, "serve", &settings).await);
        let (origin, verdict, client) = (origin.clone(), verdict.clone(), client.clone());
        let viewer = Viewer { daemon: daemon.clone(), origin, verdict, client };
        everybody.spawn(viewer.watch(end));
        daemons.push(daemon);
        sleep(JOIN_PAUSE).await;
    }
    for place in 0..LIARS {
        let (origin, verdict) = (origin.clone(), verdict.clone());
        let tracker = format!("ws://{}", tracker.address());
        let playlist = format!("http://{}{PLAYLIST}", origin.address()).parse().unwrap();
        everybody.spawn(Liar { place, seed, tracker, playlist, origin, verdict }.lie(end));
    }
    rage(&daemons, &tracker, end, seed).await;
    timeout(DEADLINE, everybody.join_all())
        .await
        .expect("players that are not kept waiting forever");
    judge(&verdict, &origin);
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// The settings of a daemon: sharing over loopback, from an address of its own.
fn settings(number: u8, tracker: &Household) -> String {
    let tracker = tracker.address();
    format!("[p2p]\ntrackers = [\"ws://{tracker}\"]\nbind = [\"127.0.50.{number}\"]\n")
}

/// Lets one trouble after the other come over the daemons and the tracker, until `end`.
async fn rage(daemons: &[Arc<Household>], tracker: &Arc<Household>, end: Instant, seed: u64) {
    let mut random = Random::new(seed, 2);
    let mut troubles = JoinSet::new();
    while Instant::now() < end {
        let victim = daemons.get(random.below(daemons.len() + 1)).unwrap_or(tracker).clone();
        let (trouble, length) = Trouble::any(&mut random);
        troubles.spawn(async move { victim.suffer(trouble, length).await });
        sleep(random.millis(1_000..5_000)).await;
    }
    troubles.join_all().await;
}

/// Says what came of it, and whether that is as it should be.
fn judge(verdict: &Verdict, origin: &Origin) {
    let figures = verdict.figures();
    let delivered = figures.segments * origin.truth(0).len() as u64;
    println!(
        "{} segments, {} of them with peers' bytes; {:.0} % of the bytes saved; {} lies; {} waits, \
         the longest {:.2?}, at most {:.2?} longer than without us ({})",
        figures.segments,
        figures.from_peers,
        100.0 - 100.0 * origin.sent() as f64 / delivered as f64,
        figures.lies,
        figures.waits,
        figures.longest,
        figures.most_beyond,
        figures.worst,
    );
    assert!(figures.faults.is_empty(), "{}", figures.faults.join("\n"));
    // What had not played or shared would show nothing.
    let published = origin.elapsed().as_secs() / origin::SEGMENT.as_secs();
    let least = published * u64::from(HOUSEHOLDS) / 2;
    assert!(figures.segments >= least, "only {} of {least} segments", figures.segments);
    assert!(figures.from_peers > figures.segments / 10, "next to nothing came from peers");
    assert!(figures.lies > 0, "nobody asked the liars for what they lied about");
}
