//! `hlswarm seed`: a daemon that seeds, and what it says in a terminal.
//!
//! Notices and reports are lines on standard output, what is wrong goes to standard error. What is
//! fetched when is `seed`'s to decide.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use url::Url;

use super::{Failed, load, log, say, stream_url};
use crate::cli::Seed;
use crate::config::Config;
use crate::daemon::{Daemon, StartError};
use crate::peertube;
use crate::seed::{Notice, Seeder};
use crate::shutdown::{Signals, Wish};

/// Between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Seeds until it is told to stop.
pub(super) async fn seed(flags: &Seed) -> Result<(), Failed> {
    let mut config = load(&flags.common)?;
    flags.apply(&mut config).map_err(Failed::Usage)?;
    let urls = flags.urls.iter().map(|text| seedable(text)).collect::<Result<Vec<_>, _>>()?;
    may_share(&config, &urls)?;
    log(flags.verbosity.hushed());
    let mut signals = Signals::listen()?;
    let daemon = start(flags, &config).await?;
    say(&format!("hlswarm listens on http://{}\n", daemon.local_addr()))?;
    let mut seeder = daemon.seed(urls);
    let outcome = tell(&mut seeder, &mut signals).await;
    let report = seeder.report().await;
    tokio::select! {
        () = daemon.stop() => {}
        _ = signals.next() => {}
    }
    say(&report)?;
    outcome
}

/// Says what there is to say until it is told to stop, or nothing is left to seed.
async fn tell(seeder: &mut Seeder, signals: &mut Signals) -> Result<(), Failed> {
    let mut ticks = interval_at(Instant::now() + REPORT_INTERVAL, REPORT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = String::new();
    loop {
        tokio::select! {
            wish = signals.next() => if wish == Wish::Stop {
                return Ok(());
            },
            notice = seeder.next() => match notice {
                None => return Err(Failed::Running("nothing is left to be seeded".to_owned())),
                Some(notice @ Notice::Whole { .. }) => say(&format!("{notice}\n"))?,
                Some(notice) => writeln!(io::stderr(), "hlswarm: {notice}")?,
            },
            _ = ticks.tick() => {
                let report = seeder.report().await;
                if report != last {
                    say(&report)?;
                    last = report;
                }
            }
        }
    }
}

/// A daemon of our own; where no address was asked for and the usual one is taken, on any port.
async fn start(flags: &Seed, config: &Config) -> Result<Daemon, Failed> {
    match Daemon::start(config).await {
        Err(StartError::Listen { cause, .. })
            if flags.common.listen.is_none() && cause.kind() == ErrorKind::AddrInUse =>
        {
            let mut config = config.clone();
            config.http.listen.set_port(0);
            Ok(Daemon::start(&config).await?)
        }
        started => Ok(started?),
    }
}

fn seedable(text: &str) -> Result<Url, Failed> {
    let shown = crate::redact::text(text);
    let url = stream_url(text).map_err(|error| Failed::Usage(format!("{shown}: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        let why = "what takes a password is not shared";
        return Err(Failed::Usage(format!("{shown}: {why}")));
    }
    Ok(url)
}

/// Videos of PeerTube name their tracker themselves.
fn may_share(config: &Config, urls: &[Url]) -> Result<(), Failed> {
    let needs_tracker = urls.iter().any(|url| peertube::recognise(url).is_none());
    let missing = if needs_tracker && config.p2p.trackers.is_empty() {
        "no tracker is named; name one with --tracker"
    } else if !config.p2p.enabled {
        "p2p.enabled is false in the settings"
    } else if !config.p2p.upload {
        "p2p.upload is false in the settings"
    } else {
        return Ok(());
    };
    Err(Failed::Usage(format!("nothing can be shared: {missing}")))
}
