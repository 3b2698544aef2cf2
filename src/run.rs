//! Carries out the commands of the command line and turns what went wrong into an exit code.

mod seeding;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use http::HeaderMap;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

use crate::cli::{Cli, Command, Common, Play, Serve, Verbosity};
use crate::config::{Config, ConfigError};
use crate::daemon::{Daemon, StartError};
use crate::demo;
use crate::origin::{FetchRequest, Origin, OriginConfig, OriginError};
use crate::peertube;
use crate::playlist::proxy_url;
use crate::shutdown::{Signals, Wish};
use crate::tracker::server as tracker_server;

/// Players that `play` looks for, in this order.
const PLAYERS: [&str; 3] = ["mpv", "vlc", "ffplay"];
/// How long a player may take to end once we are told to.
const PLAYER_GRACE: Duration = Duration::from_secs(2);
/// Bytes of statistics that `status` reads.
const STATS_BYTES_MAX: usize = 16 << 20;
/// Bytes of an error that `play` reads.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Why a command failed; one line for the user.
#[derive(Debug, Error)]
pub enum Failed {
    /// Wrong usage or settings: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Something failed while it ran: exit code 1.
    #[error("{0}")]
    Running(String),
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Tracker { .. } => Self::Usage(error.to_string()),
            _ => Self::Running(error.to_string()),
        }
    }
}

impl From<OriginError> for Failed {
    fn from(error: OriginError) -> Self {
        Self::Running(error.to_string())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Running(error.to_string())
    }
}

/// Carries out a command; the process should exit with what comes back.
pub async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            // Nothing is left to be done where even standard error is gone.
            let _ = writeln!(io::stderr(), "hlswarm: {failed}");
            ExitCode::from(if matches!(failed, Failed::Usage(_)) { 2 } else { 1 })
        }
    }
}

async fn dispatch(cli: Cli) -> Result<(), Failed> {
    match cli.command {
        None => serve(&cli.serve).await,
        Some(Command::Serve(flags)) => serve(&flags).await,
        Some(Command::Play(play)) => self::play(play).await,
        Some(Command::Seed(flags)) => seeding::seed(&flags).await,
        Some(Command::Url { url, common }) => {
            let config = load(&common)?;
            say(&format!("{}\n", local_url(config.http.listen, &stream_url(&url)?)))
        }
        Some(Command::Status { json, watch, common }) => status(&common, json, watch).await,
        Some(Command::Tracker { listen, verbosity }) => {
            log(verbosity);
            tracker(listen).await
        }
        Some(Command::Demo(flags)) => {
            log(flags.verbosity.hushed());
            demo::run(flags).await.map_err(|error| Failed::Running(error.to_string()))
        }
        Some(Command::Config { check, common }) => {
            let config = load(&common)?;
            say(if check {
                "the configuration is valid\n".to_owned()
            } else {
                config.masked().to_toml(false)
            }
            .as_str())
        }
    }
}

fn load(common: &Common) -> Result<Config, Failed> {
    let environment: Vec<_> = std::env::vars().collect();
    let mut config = Config::load(common.config.as_deref(), &environment)?;
    common.apply(&mut config);
    Ok(config)
}

fn load_for_serving(flags: &Serve) -> Result<Config, Failed> {
    let mut config = load(&flags.common)?;
    flags.apply(&mut config);
    Ok(config)
}

fn log(verbosity: Verbosity) {
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(verbosity.filter()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}

async fn serve(flags: &Serve) -> Result<(), Failed> {
    let mut config = load_for_serving(flags)?;
    log(flags.verbosity);
    let mut signals = Signals::listen()?;
    let daemon = Daemon::start(&config).await?;
    let address = daemon.local_addr();
    let reached = reached(address);
    say(&format!(
        "hlswarm listens on http://{address}\n\
         Give a player http://{reached}/https/cdn.example.com/live/master.m3u8\n"
    ))?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the whole network can use this daemon");
    }
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => match load_for_serving(flags) {
                Ok(new) => {
                    let restart = daemon.reload(&config, &new);
                    tracing::info!(needs_restart = ?restart, "the configuration was read again");
                    config = new;
                }
                Err(error) => {
                    tracing::error!(%error, "the configuration is unusable; the old one stays");
                }
            },
        }
    }
    tracing::info!("ending");
    tokio::select! {
        () = daemon.stop() => Ok(()),
        _ = signals.next() => Ok(()),
    }
}

async fn tracker(listen: SocketAddr) -> Result<(), Failed> {
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Failed::Running(format!("cannot listen on {listen}: {error}")))?;
    say(&format!("hlswarm tracker listens on ws://{}\n", listener.local_addr()?))?;
    let cancel = CancellationToken::new();
    let config = tracker_server::ServerConfig::default();
    let serving = tracker_server::serve(listener, config, cancel.clone());
    let mut serving = std::pin::pin!(serving);
    loop {
        tokio::select! {
            ended = serving.as_mut() => return Ok(ended?),
            wish = signals.next() => if wish == Wish::Stop {
                cancel.cancel();
            }
        }
    }
}

async fn play(play: Play) -> Result<(), Failed> {
    let config = load_for_serving(&play.serve)?;
    let url = stream_url(&play.url)?;
    let player = match &play.player {
        Some(name) => name.clone(),
        None => find_player().ok_or_else(|| {
            let names = PLAYERS.join(", ");
            Failed::Usage(format!("none of {names} is installed; name one with --player"))
        })?,
    };
    // The terminal is the player's.
    log(play.serve.verbosity.hushed());
    let mut signals = Signals::listen()?;
    let is_running = stats(&config).await.is_ok();
    let daemon = if is_running { None } else { Some(Daemon::start(&config).await?) };
    let address = daemon.as_ref().map_or(config.http.listen, Daemon::local_addr);
    let ended = match given(address, &url).await {
        Ok(given) => {
            let mut command = tokio::process::Command::new(&player);
            command.arg(given).args(&play.args);
            // A proxy for the world outside cannot lead to this machine.
            for name in ["no_proxy", "NO_PROXY"] {
                command.env(name, without_proxy(std::env::var(name).ok(), reached(address)));
            }
            watch(&player, command, &mut signals).await
        }
        Err(failed) => Err(failed),
    };
    if let Some(daemon) = daemon {
        daemon.stop().await;
    }
    ended
}

/// What a player is given to play; of a video's page, the stream that the daemon finds.
async fn given(address: SocketAddr, url: &Url) -> Result<String, Failed> {
    let local = local_url(address, url);
    let (Some(_), Ok(page)) = (peertube::recognise(url), Url::parse(&local)) else {
        return Ok(local);
    };
    let origin = Origin::new(&OriginConfig::default())?;
    let mut answer = origin.open(&FetchRequest::get(page.clone(), HeaderMap::new())).await?;
    if answer.final_url != page {
        return Ok(answer.final_url.into());
    }
    let problem = answer.collect(PROBLEM_BYTES_MAX).await?;
    let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("the daemon does not know such videos");
    Err(Failed::Running(detail.to_owned()))
}

/// The hosts that a player asks without a proxy: those it would, and where we listen.
fn without_proxy(hosts: Option<String>, address: SocketAddr) -> String {
    let ours = address.ip().to_string();
    hosts.filter(|hosts| !hosts.is_empty()).map_or(ours.clone(), |hosts| format!("{hosts},{ours}"))
}

/// Runs a player until it ends by itself or we are told to end.
async fn watch(
    player: &str,
    mut command: tokio::process::Command,
    signals: &mut Signals,
) -> Result<(), Failed> {
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failed::Usage(format!(
            "there is no player {player}; name one that is installed with --player"
        )),
        _ => Failed::Running(format!("{player} cannot be started: {error}")),
    })?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            wish = signals.next() => if wish == Wish::Stop {
                // From a terminal the player was told too, and ends in its own way.
                if tokio::time::timeout(PLAYER_GRACE, child.wait()).await.is_err() {
                    child.kill().await?;
                }
                return Ok(());
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(Failed::Running(format!("{player} ended with {status}")))
}

fn find_player() -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let is_in = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    PLAYERS.iter().find(|name| is_in(name)).map(|name| (*name).to_owned())
}

async fn status(common: &Common, json: bool, watch: bool) -> Result<(), Failed> {
    let config = load(common)?;
    loop {
        let stats = stats(&config).await?;
        let text = if json { format!("{stats}\n") } else { summary(&stats) };
        say(&text)?;
        if !watch {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The statistics of the daemon that the settings point at.
async fn stats(config: &Config) -> Result<serde_json::Value, Failed> {
    let address = reached(config.http.listen);
    let url = Url::parse(&format!("http://{address}/api/v1/stats"))
        .map_err(|error| Failed::Usage(format!("{address}: {error}")))?;
    let origin = Origin::new(&OriginConfig::default())?;
    let not_there = || {
        Failed::Running(format!("no daemon answers on {address}; start one with `hlswarm serve`"))
    };
    let request = FetchRequest::get(url, HeaderMap::new());
    let mut answer = origin.open(&request).await.map_err(|_| not_there())?;
    let body = answer.collect(STATS_BYTES_MAX).await.map_err(|_| not_there())?;
    serde_json::from_slice(&body).map_err(|_| not_there())
}

fn summary(stats: &serde_json::Value) -> String {
    let megabytes = |name: &str| stats["totals"][name].as_f64().unwrap_or_default() / 1_000_000.0;
    let count = |name: &str| stats[name].as_array().map_or(0, |all| all.len() as u64);
    let mut text = format!(
        "{}, {}; from peers {:.1} MB, held {:.1} MB, from origins {:.1} MB; \
         given to peers {:.1} MB\n",
        counted(count("streams"), "stream"),
        counted(count("peers"), "peer"),
        megabytes("peer_bytes"),
        megabytes("cache_bytes"),
        megabytes("origin_bytes"),
        megabytes("upload_bytes"),
    );
    for stream in stats["streams"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "  {} {}: {}, {}, {} held\n",
            stream["url"].as_str().unwrap_or_default(),
            stream["rendition"].as_str().unwrap_or_default(),
            counted(stream["active_players"].as_u64().unwrap_or_default(), "player"),
            counted(stream["peers"].as_u64().unwrap_or_default(), "peer"),
            counted(stream["segments_held"].as_u64().unwrap_or_default(), "segment"),
        ));
    }
    text
}

fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn stream_url(text: &str) -> Result<Url, Failed> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| Failed::Usage("the URL must begin with http:// or https://".to_owned()))
}

/// Where the daemon offers a stream, or finds that of a video's page.
fn local_url(listen: SocketAddr, url: &Url) -> String {
    let address = reached(listen);
    if peertube::recognise(url).is_none() {
        return format!("http://{address}{}", proxy_url::local_path(url, None));
    }
    let page: String = form_urlencoded::byte_serialize(url.as_str().as_bytes()).collect();
    format!("http://{address}/play?url={page}")
}

/// Where this machine's programs reach a daemon that listens there: "every address" is not one.
fn reached(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

fn say(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
