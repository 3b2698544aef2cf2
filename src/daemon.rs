//! The composition root: builds every part from the configuration, runs them, and drains them.
//!
//! The only place that knows all parts. A process may hold several daemons (the demonstration
//! does): nothing here is global.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::{Host, Url};

use crate::cache::Cache;
use crate::config::{Config, P2pConfig, tracker_url};
use crate::http::answer::Front;
use crate::http::guard::FrontDoor;
use crate::http::server::{self, Life};
use crate::http::status::Status;
use crate::http::steering::Steerings;
use crate::ids::PeerId;
use crate::metrics::{Counters, Meter, Snapshot};
use crate::origin::{Origin, OriginConfig, OriginError};
use crate::playlist::rules::Rules;
use crate::redact;
use crate::rtc::{Connector, MDNS_GROUP, MESSAGE_BYTES_MAX, RtcConfig, WebRtcConnector};
use crate::seed::Seeder;
use crate::stream::{Budget, Pace, Parts, Registry, Trackers, VerifyConfig};
use crate::swarm;

/// How long players may finish what they are reading when the daemon ends.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Cache that one segment fetched ahead must find, so that it is still there when it is played.
const PREFETCH_SHARE: u64 = 8 * 1024 * 1024;
/// How long saying goodbye to trackers and peers may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a daemon could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; {}", advice(cause))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A tracker's URL is unusable.
    #[error("tracker {url}: must be a ws:// or wss:// URL")]
    Tracker {
        /// The URL without the values of its query.
        url: String,
    },
    /// The upstream client cannot be built.
    #[error("{0}")]
    Origin(#[from] OriginError),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(std::io::Error),
}

fn advice(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => {
            "is another hlswarm running? choose another port with --listen"
        }
        _ => "choose an address of this machine and a free port with --listen",
    }
}

/// A running daemon.
pub struct Daemon {
    local: SocketAddr,
    front: Arc<Front>,
    /// Ends connections once they have answered; later ones hear that the daemon is about to end.
    draining: CancellationToken,
    /// Ends accepting, streams, trackers and connections to peers.
    sharing: CancellationToken,
    players: TaskTracker,
    tasks: TaskTracker,
    segment_bytes_max: u64,
}

impl Daemon {
    /// Starts every part; players can be answered when this returns.
    ///
    /// # Errors
    /// [`StartError`] when a part cannot be built.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let address = config.http.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| StartError::Listen { address, cause })?;
        let local = listener.local_addr().map_err(|cause| StartError::Listen { address, cause })?;
        let (tasks, players) = (TaskTracker::new(), TaskTracker::new());
        let (draining, sharing) = (CancellationToken::new(), CancellationToken::new());
        let front = Arc::new(front(config, local, &tasks, &sharing)?);
        let life = Life {
            players: players.clone(),
            late: tasks.clone(),
            draining: draining.clone(),
            closing: sharing.clone(),
        };
        tasks.spawn(server::serve(listener, front.clone(), life));
        let segment_bytes_max = config.cache.segment_bytes_max;
        Ok(Self { local, front, draining, sharing, players, tasks, segment_bytes_max })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What it has moved so far.
    pub fn totals(&self) -> Snapshot {
        self.front.status.counters.snapshot()
    }

    /// Takes over the settings that can change while it runs; says which sections need a restart.
    pub fn reload(&self, old: &Config, new: &Config) -> Vec<&'static str> {
        self.front.set_door(door(new));
        let mut restart = Vec::new();
        if old.http.listen != new.http.listen {
            restart.push("http.listen");
        }
        for (name, differs) in [
            ("cache", old.cache != new.cache),
            ("origin", old.origin != new.origin),
            ("p2p", old.p2p != new.p2p),
        ] {
            if differs {
                restart.push(name);
            }
        }
        restart
    }

    /// Seeds what is at those URLs, for as long as what comes back is kept.
    pub fn seed(&self, urls: Vec<Url>) -> Seeder {
        let cancel = self.sharing.child_token();
        Seeder::start(self.front.clone(), urls, self.segment_bytes_max, &self.tasks, cancel)
    }

    /// Ends it: no new requests, players finish what they read, then trackers and peers hear
    /// goodbye. Takes at most [`DRAIN_TIMEOUT`] and a little.
    pub async fn stop(self) {
        self.front.status.is_draining.store(true, Ordering::Relaxed);
        self.draining.cancel();
        self.players.close();
        if timeout(DRAIN_TIMEOUT, self.players.wait()).await.is_err() {
            tracing::info!(players = self.players.len(), "players were still reading");
        }
        self.sharing.cancel();
        self.tasks.close();
        if timeout(GOODBYE_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::debug!(tasks = self.tasks.len(), "some goodbyes were not heard in time");
        }
    }
}

fn front(
    config: &Config,
    local: SocketAddr,
    tasks: &TaskTracker,
    sharing: &CancellationToken,
) -> Result<Front, StartError> {
    let mut random = [0; 12];
    crate::ids::fill_random(&mut random).map_err(StartError::Random)?;
    let me = PeerId::generate(random);
    let counters = Arc::<Counters>::default();
    let meter = Meter::of_daemon(counters.clone());
    let cache = Arc::new(Cache::new(config.cache.bytes_max));
    let origin = Origin::new(&OriginConfig {
        connect_timeout_ms: config.origin.connect_timeout_ms,
        head_timeout_ms: config.origin.head_timeout_ms,
        idle_timeout_ms: config.origin.idle_timeout_ms,
        connections_per_host_max: usize::try_from(config.origin.connections_per_host_max)
            .unwrap_or(usize::MAX),
        proxy: config.origin.proxy.clone(),
        proxy_hosts: config.origin.proxy_hosts.clone(),
        ..OriginConfig::default()
    })?
    .avoiding(local);
    let trackers = trackers(&config.p2p)?;
    let named = config.p2p.enabled.then_some(&*trackers);
    let trackers = Arc::new(Trackers::new(me, named, tasks, sharing));
    let settings = Rules::new(config.p2p.generations.clone(), config.p2p.stream.0.clone());
    let parts = Arc::new(Parts {
        me,
        cache: cache.clone(),
        budget: Arc::new(Budget::new(
            config.cache.in_flight_bytes_max,
            config.cache.segment_bytes_max,
        )),
        origin: origin.clone(),
        connector: connector(&config.p2p, tasks),
        trackers: trackers.clone(),
        pace: Arc::new(Pace::new(config.p2p.upload_rate_max, config.p2p.upload_rate_on_lan)),
        swarm: core_config(config),
        verify: VerifyConfig { mode: config.p2p.verify, lists: config.p2p.hash_lists.clone() },
        peers_max: usize::try_from(config.p2p.peers_max).unwrap_or(usize::MAX),
        bans: Arc::default(),
        linger: Duration::from_secs(config.p2p.linger_s),
        meter: meter.clone(),
        tasks: tasks.clone(),
        cancel: sharing.clone(),
    });
    let registry = Registry::new(parts, settings);
    let status = Status {
        me,
        began: Instant::now(),
        counters,
        meter,
        cache,
        trackers,
        is_draining: AtomicBool::new(false),
    };
    let steering =
        Steerings::new(origin.clone(), status.meter.clone(), tasks.clone(), sharing.clone());
    Ok(Front::new(
        door(config),
        registry,
        origin,
        status,
        steering,
        config.p2p.live_delay_s,
        config.http.quality,
    ))
}

fn door(config: &Config) -> FrontDoor {
    FrontDoor { hosts: config.http.hosts.clone(), origins: config.http.allowed_origins.clone() }
}

fn core_config(config: &Config) -> swarm::Config {
    let defaults = swarm::Config::default();
    swarm::Config {
        upload: config.p2p.upload,
        // Each upload must move on every second, or the peer gives it up.
        uploads_max: usize::try_from(match config.p2p.upload_rate_max {
            0 => config.p2p.uploads_max,
            rate => config.p2p.uploads_max.min(rate / MESSAGE_BYTES_MAX as u64).max(1),
        })
        .unwrap_or(usize::MAX),
        join_wait: Duration::from_millis(config.p2p.join_wait_ms),
        segment_bytes_max: config.cache.segment_bytes_max,
        prefetch_segments: defaults
            .prefetch_segments
            .min(usize::try_from(config.cache.bytes_max / PREFETCH_SHARE).unwrap_or(usize::MAX)),
        ..defaults
    }
}

fn trackers(config: &P2pConfig) -> Result<Vec<Url>, StartError> {
    let texts = config.trackers.iter().filter(|_| config.enabled);
    let urls = texts.map(|text| {
        tracker_url(text).ok_or_else(|| StartError::Tracker { url: redact::text(text) })
    });
    urls.collect()
}

fn connector(config: &P2pConfig, tasks: &TaskTracker) -> Option<Arc<dyn Connector>> {
    if !config.enabled {
        return None;
    }
    let of_rules = config.stream.0.iter().flat_map(|rule| rule.stream.trackers.iter().flatten());
    let is_local_tracker = config.trackers.iter().any(|tracker| is_loopback(tracker))
        || of_rules.into_iter().any(|tracker| is_loopback(tracker.as_str()));
    let is_bound_to_loopback = config.bind.iter().any(IpAddr::is_loopback);
    Some(Arc::new(WebRtcConnector::new(RtcConfig {
        bind: config.bind.clone(),
        include_loopback: is_bound_to_loopback || (config.bind.is_empty() && is_local_tracker),
        stun: config.stun.clone(),
        mdns: config.mdns.then_some(MDNS_GROUP),
        tasks: tasks.clone(),
    })))
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
