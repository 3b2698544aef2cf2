//! Connections over the WebRTC crate: offers, answers, data channels, and their certain end.
//!
//! Nothing here reads a message or decides whom to connect to. A connection is one
//! [`Connection`], shared by its `Pending` and its `Link`; when the last of them goes, it is
//! closed, because the crate keeps one alive that is merely dropped. Driven by the actor of a
//! rendition through the traits of the parent module.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceCandidateType, RTCIceGatheringState, RTCIceServer,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngine, SettingEngineBuilder,
};

use super::ice::{self, NamedCandidate, Reach};
use super::link::{Channel, PeerPending};
use super::lookup::{LOOKUPS_MAX, Names};
use super::socket::{TrackedRuntime, local_addresses};
use super::{Answer, Connector, GATHER_TIMEOUT, Offer, Path, RtcConfig, RtcError, SdpError};

/// Label of the channels we create; nobody checks it.
const CHANNEL_LABEL: &str = "hlswarm";

/// Bytes a link holds that the peer has not acknowledged; `send` waits beyond that.
///
/// A browser waits while more than 64 KiB are queued and not yet handed to the network. The crate
/// does not tell those from what is on its way: both count until acknowledged. So this is 64 KiB
/// queued, and 192 KiB on their way: 16 Mbit/s over a round trip of 100 ms. Measured with 12 MB
/// over such a path: at 16 Mbit/s as fast as with 1 MiB (1.7 MB/s; with 64 KiB 0.8), at 100 Mbit/s
/// 2.5 MB/s for each peer (with 1 MiB 5.4, with 64 KiB 1.0), over loopback no difference. More
/// would be sent in vain when a peer cancels, and be in the way of what is said after it.
pub(super) const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Announced to the peer as the longest message it may send. The crate queues up to 256 messages
/// for a slow reader, so this also bounds memory; no known sender goes beyond
/// [`MESSAGE_BYTES_MAX`].
const ANNOUNCED_MESSAGE_BYTES_MAX: u32 = 65_536;

/// Pace and number of connectivity checks per candidate pair. The crate's 200 ms cost set-up time.
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(20);
const ICE_CHECKS_MAX: u16 = 50;

/// Silence after which a connection counts as disturbed, then as lost, and how often it is probed.
const ICE_DISTURBED_AFTER: Duration = Duration::from_secs(5);
const ICE_LOST_AFTER: Duration = Duration::from_secs(10);
const ICE_PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Makes real connections.
pub struct WebRtcConnector {
    config: RtcConfig,
    lookups: Arc<Semaphore>,
}

impl WebRtcConnector {
    /// A connector; opens no socket until it is asked for a connection.
    pub fn new(config: RtcConfig) -> Self {
        Self { config, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// In a task of its own: a caller that gives up half-way must not leave a connection behind
    /// that nobody closes.
    async fn connection(&self) -> Result<(Connection, Incoming), RtcError> {
        let task = self.config.tasks.spawn(connect(self.config.clone(), self.lookups.clone()));
        task.await.unwrap_or(Err(RtcError::SetUp("starting")))
    }
}

async fn connect(
    config: RtcConfig,
    turns: Arc<Semaphore>,
) -> Result<(Connection, Incoming), RtcError> {
    let addresses = local_addresses(&config);
    let (events, incoming) = Events::new();
    let ended = CancellationToken::new();
    let peer = build(&config, &addresses, &events, &ended).await?;
    let reach = Reach {
        loopback: addresses.iter().any(IpAddr::is_loopback),
        private: addresses.iter().any(|ip| ice::is_private(*ip) || ip.is_loopback()),
    };
    let names = Names::new(&config, addresses, reach, turns);
    let gone = events.gone;
    let tasks = config.tasks;
    let is_closed = AtomicBool::new(false);
    Ok((Connection { peer, gone, ended, reach, names, is_closed, tasks }, incoming))
}

async fn build(
    config: &RtcConfig,
    addresses: &[IpAddr],
    events: &Events,
    ended: &CancellationToken,
) -> Result<Arc<dyn PeerConnection>, RtcError> {
    let stun = RTCIceServer { urls: config.stun.clone(), ..RTCIceServer::default() };
    let servers = if config.stun.is_empty() { Vec::new() } else { vec![stun] };
    let peer = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(servers).build())
        .with_setting_engine(settings())
        .with_handler(Arc::new(events.clone()))
        .with_runtime(Arc::new(TrackedRuntime::new(config.tasks.clone(), ended.clone())))
        .with_udp_addrs(addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect())
        .with_data_channel_send_buffer_limit(SEND_BUFFER_BYTES_MAX)
        .build()
        .await
        .map_err(|_| RtcError::SetUp("binding its sockets"))?;
    Ok(Arc::new(peer))
}

fn settings() -> SettingEngine {
    SettingEngineBuilder::new()
        // The crate's own would hold a socket of the multicast port for each connection, and take
        // any address for an answer.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(ANNOUNCED_MESSAGE_BYTES_MAX))
        .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_CHECKS_MAX))
        .with_ice_timeouts(
            Some(ICE_DISTURBED_AFTER),
            Some(ICE_LOST_AFTER),
            Some(ICE_PROBE_INTERVAL),
        )
        .build()
}

#[async_trait]
impl Connector for WebRtcConnector {
    async fn offer(&self) -> Result<Offer, RtcError> {
        let (connection, mut incoming) = self.connection().await?;
        let failed = |_| RtcError::SetUp("making the offer");
        let channel =
            connection.peer.create_data_channel(CHANNEL_LABEL, None).await.map_err(failed)?;
        let offer = connection.peer.create_offer(None).await.map_err(failed)?;
        let sdp = connection.describe(offer, &mut incoming).await?;
        let channel = Channel::Ours(channel);
        Ok(Offer { sdp, pending: PeerPending::boxed(connection, channel) })
    }

    async fn answer(&self, offer_sdp: &str) -> Result<Answer, RtcError> {
        // Before any socket is opened: garbage must cost nothing.
        ice::filter(offer_sdp, Reach::default())?;
        let (connection, mut incoming) = self.connection().await?;
        let rejected = |_| RtcError::Sdp(SdpError::Rejected);
        connection.hear(offer_sdp, RTCSessionDescription::offer).await?;
        let answer = connection.peer.create_answer(None).await.map_err(rejected)?;
        let sdp = connection.describe(answer, &mut incoming).await?;
        let channel = Channel::Theirs(incoming);
        Ok(Answer { sdp, pending: PeerPending::boxed(connection, channel) })
    }
}

/// One connection of the crate's, and the promise that it gets closed.
pub(super) struct Connection {
    pub(super) peer: Arc<dyn PeerConnection>,
    /// Cancelled when the connection is over, whoever ended it.
    pub(super) gone: CancellationToken,
    /// Cancelled after the crate was told to close; ends what it may have left running.
    ended: CancellationToken,
    reach: Reach,
    names: Option<Names>,
    is_closed: AtomicBool,
    tasks: TaskTracker,
}

impl Connection {
    /// Applies what the other side says of itself, less what it may not ask of us. The addresses
    /// behind names follow when they are known; nothing waits for them.
    pub(super) async fn hear(
        &self,
        sdp: &str,
        kind: fn(String) -> Result<RTCSessionDescription, webrtc::error::Error>,
    ) -> Result<(), RtcError> {
        let rejected = |_| RtcError::Sdp(SdpError::Rejected);
        let description = kind(ice::filter(sdp, self.reach)?).map_err(rejected)?;
        self.peer.set_remote_description(description).await.map_err(rejected)?;
        self.look_up(ice::named_candidates(sdp));
        Ok(())
    }

    fn look_up(&self, candidates: Vec<NamedCandidate>) {
        let wanted = candidates.iter().map(|candidate| candidate.name.clone()).collect();
        let lookup = self.names.as_ref().and_then(|names| names.lookup(wanted));
        let Some(mut lookup) = lookup else { return };
        let peer = Arc::clone(&self.peer);
        let looking = async move {
            while let Some((name, ip)) = lookup.next().await {
                for candidate in candidates.iter().filter(|candidate| candidate.name == name) {
                    let candidate = candidate.at(ip);
                    let candidate = RTCIceCandidateInit { candidate, ..Default::default() };
                    if peer.add_ice_candidate(candidate).await.is_err() {
                        tracing::debug!("a candidate that was looked up is of no use");
                    }
                }
            }
        };
        self.tasks.spawn(self.gone.clone().run_until_cancelled_owned(looking));
    }

    /// Sets the local description and returns it with the candidates gathered.
    async fn describe(
        &self,
        description: RTCSessionDescription,
        incoming: &mut Incoming,
    ) -> Result<String, RtcError> {
        let failed = |_| RtcError::SetUp("describing itself");
        self.peer.set_local_description(description).await.map_err(failed)?;
        if timeout(GATHER_TIMEOUT, incoming.gathered.recv()).await.is_err() {
            tracing::debug!("not all STUN servers answered in time");
        }
        let description = self.peer.local_description().await;
        let sdp = description.ok_or(RtcError::SetUp("describing itself"))?.sdp;
        if ice::has_candidate(&sdp) { Ok(sdp) } else { Err(RtcError::NoCandidates) }
    }

    /// How it travels, and from which address, unless that is a relay's.
    pub(super) async fn route(&self) -> (Path, Option<SocketAddr>) {
        let Some(sctp) = self.peer.sctp().await else { return (Path::Unknown, None) };
        let transport = sctp.transport().ice_transport();
        let Ok(Some(pair)) = transport.get_selected_candidate_pair().await else {
            return (Path::Unknown, None);
        };
        let (local, remote) = (pair.local(), pair.remote());
        let is_both_host = [local.typ, remote.typ] == [RTCIceCandidateType::Host; 2];
        let ip = remote.address.parse::<IpAddr>().ok();
        if [local.typ, remote.typ].contains(&RTCIceCandidateType::Relay) {
            return (Path::Relay, None);
        }
        let is_direct = is_both_host || ip.is_some_and(ice::is_local);
        let path = if is_direct { Path::Host } else { Path::Srflx };
        (path, ip.map(|ip| SocketAddr::new(ip, remote.port)))
    }

    /// Ends it. A caller that gives up waiting does not stop it from ending.
    pub(super) async fn close(&self) {
        if let Some(closing) = self.start_closing() {
            // An error would be a panic inside the crate; nothing is left to close then.
            let _ = closing.await;
        }
    }

    fn start_closing(&self) -> Option<JoinHandle<()>> {
        self.gone.cancel();
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return None;
        }
        // Without a runtime the process is ending, and the driver tasks are gone already.
        let runtime = Handle::try_current().ok()?;
        let peer = Arc::clone(&self.peer);
        let ended = self.ended.clone().drop_guard();
        let closing = async move {
            let _ended = ended;
            if peer.close().await.is_err() {
                tracing::debug!("connection did not close cleanly");
            }
        };
        Some(self.tasks.spawn_on(closing, &runtime))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.start_closing();
    }
}

/// What the crate tells about one connection. Never waits: that would hold up its driver.
#[derive(Clone)]
struct Events {
    gathered: mpsc::Sender<()>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
    gone: CancellationToken,
}

/// The receiving side of [`Events`].
pub(super) struct Incoming {
    gathered: mpsc::Receiver<()>,
    pub(super) channels: mpsc::Receiver<Arc<dyn DataChannel>>,
}

impl Events {
    fn new() -> (Self, Incoming) {
        let (gathered_tx, gathered) = mpsc::channel(1);
        let (channels_tx, channels) = mpsc::channel(1);
        let gone = CancellationToken::new();
        let events = Self { gathered: gathered_tx, channels: channels_tx, gone };
        (events, Incoming { gathered, channels })
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            // A full queue already says so.
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed) {
            self.gone.cancel();
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        // The protocol has one channel per connection, made by the offerer. Whoever opens more
        // makes us hold state for nothing.
        if self.channels.try_send(channel).is_err() {
            self.gone.cancel();
        }
    }
}
