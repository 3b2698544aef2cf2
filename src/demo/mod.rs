//! The demonstration: an origin with a bundled stream, a tracker and N viewers on this machine,
//! each viewer with a whole daemon of its own.
//!
//! Real parts over loopback; only the stream is ours. Ends with the bytes by source of each viewer
//! and what as many viewers without sharing would have cost the origin.

mod origin;
mod report;
mod viewer;

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::Demo;
use crate::config::Config;
use crate::daemon::{Daemon, StartError};
use crate::tracker::server as tracker_server;
use origin::Program;
use report::{Report, Row};
use viewer::{Progress, Viewer};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Viewers join one after the other, so far apart, as long as they all fit in the first half.
const JOIN_PAUSE: Duration = Duration::from_millis(1500);

/// Why the demonstration could not be given.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A daemon could not start.
    #[error("a viewer's daemon could not start: {0}")]
    Start(#[from] StartError),
    /// The origin or the tracker could not start, or nothing can be printed.
    #[error("the demonstration could not be set up: {0}")]
    SetUp(#[from] io::Error),
    /// A viewer got bytes that are not the stream's.
    #[error("{0} segments reached a viewer with wrong bytes: this is a bug, please report it")]
    WrongBytes(u64),
}

/// Gives the demonstration.
///
/// # Errors
/// [`DemoError`] when it cannot be set up, or when it shows a bug.
pub async fn run(flags: Demo) -> Result<(), DemoError> {
    let cancel = CancellationToken::new();
    let tasks = TaskTracker::new();
    let origin = TcpListener::bind(SocketAddr::from((LOOPBACK, 0))).await?;
    let origin_address = origin.local_addr()?;
    let length = Duration::from_secs(u64::from(flags.seconds));
    let program = if flags.live { Program::Live(Instant::now()) } else { Program::Film(length) };
    tasks.spawn(cancel.clone().run_until_cancelled_owned(origin::serve(origin, program)));
    let tracker = TcpListener::bind(SocketAddr::from((LOOPBACK, 0))).await?;
    let tracker_url = format!("ws://{}", tracker.local_addr()?);
    let config = tracker_server::ServerConfig::default();
    tasks.spawn(tracker_server::serve(tracker, config, cancel.clone()));

    let mut daemons = Vec::new();
    for _ in 0..flags.viewers {
        let mut config = Config::default();
        config.http.listen = SocketAddr::from((LOOPBACK, 0));
        config.p2p.trackers = vec![tracker_url.clone()];
        config.p2p.bind = vec![LOOPBACK];
        daemons.push(Daemon::start(&config).await?);
    }
    let progress = watch(&flags, &daemons, origin_address, length).await?;
    let rows = daemons.iter().zip(&progress).map(|(daemon, progress)| Row {
        totals: daemon.totals(),
        delivered_bytes: progress.delivered_bytes(),
        stalls: progress.stalls(),
    });
    let report = Report { seconds: flags.seconds, rows: rows.collect() };
    let wrong = progress.iter().map(|progress| progress.wrong_segments()).sum();
    futures_util::future::join_all(daemons.into_iter().map(Daemon::stop)).await;
    cancel.cancel();
    tasks.close();
    tasks.wait().await;
    if wrong > 0 {
        return Err(DemoError::WrongBytes(wrong));
    }
    let text = if flags.json { report.to_json() } else { report.to_table() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Lets every viewer watch to the end, or until interrupted, and shows how it goes.
async fn watch(
    flags: &Demo,
    daemons: &[Daemon],
    origin: SocketAddr,
    length: Duration,
) -> Result<Vec<Arc<Progress>>, DemoError> {
    let began = Instant::now();
    let pause = JOIN_PAUSE.min(length / 2 / flags.viewers);
    let mut viewers = tokio::task::JoinSet::new();
    let mut progress = Vec::new();
    for (number, daemon) in (0u32..).zip(daemons) {
        let viewer = Viewer::new(daemon.local_addr(), origin)
            .map_err(|error| io::Error::other(error.to_string()))?;
        progress.push(viewer.progress());
        viewers.spawn(viewer.watch(began + pause * number, began + length));
    }
    let mut signals = crate::shutdown::Signals::listen()?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            joined = viewers.join_next() => if joined.is_none() {
                break;
            },
            _ = signals.next() => break,
            _ = ticks.tick() => show(began.elapsed(), length, daemons, &progress)?,
        }
    }
    if io::stderr().is_terminal() {
        writeln!(io::stderr())?;
    }
    Ok(progress)
}

/// One line of progress: rewritten on a terminal, every fifth second elsewhere.
fn show(
    elapsed: Duration,
    length: Duration,
    daemons: &[Daemon],
    progress: &[Arc<Progress>],
) -> io::Result<()> {
    let is_terminal = io::stderr().is_terminal();
    let seconds = elapsed.as_secs();
    if !is_terminal && !seconds.is_multiple_of(5) {
        return Ok(());
    }
    let total = |pick: fn(&Daemon) -> u64| daemons.iter().map(pick).sum::<u64>();
    let delivered: u64 = progress.iter().map(|progress| progress.delivered_bytes()).sum();
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let line = format!(
        "{seconds:3} of {} s: {} viewers got {}; the origin sent {}, peers {}",
        length.as_secs(),
        progress.iter().filter(|progress| progress.delivered_bytes() > 0).count(),
        megabytes(delivered),
        megabytes(total(|daemon| daemon.totals().origin_bytes)),
        megabytes(total(|daemon| daemon.totals().peer_bytes)),
    );
    let mut err = io::stderr();
    if is_terminal {
        write!(err, "\r{line}\x1b[K")?
    } else {
        writeln!(err, "{line}")?
    }
    err.flush()
}
