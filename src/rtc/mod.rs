//! Connections to peers: an offer or an answer in, a link that carries messages out.
//!
//! The only module that names the WebRTC crates. It does not know what the messages mean (that is
//! `swarm::wire`), how offers travel (`tracker`), or whom to connect to: the actor of a rendition
//! drives it through [`Connector`], [`Pending`] and [`Link`]. [`memory::MemoryNet`] is the same
//! thing without a network, for tests and simulations.

pub mod ice;
mod link;
mod lookup;
pub mod mdns;
pub mod memory;
mod peer;
mod socket;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod slow_peer_tests;

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::task::TaskTracker;

pub use ice::SdpError;
pub use mdns::MDNS_GROUP;
pub use peer::WebRtcConnector;

/// Longest message a link carries: what p2p-media-loader calls `webRtcMaxMessageSize`.
pub const MESSAGE_BYTES_MAX: usize = 65_535;

/// How long an offer or answer may wait for the STUN servers; it leaves with what is known then.
pub const GATHER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long [`Pending::opened`] waits for the data channel.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes connections; one per daemon.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// A new connection's offer. Its SDP is complete: nothing trickles after it.
    async fn offer(&self) -> Result<Offer, RtcError>;

    /// Accepts a stranger's offer. The answer's SDP is complete: nothing trickles after it.
    async fn answer(&self, offer_sdp: &str) -> Result<Answer, RtcError>;
}

/// An offer to publish, and the connection that waits for its answer.
pub struct Offer {
    /// What the other side needs to know.
    pub sdp: String,
    /// The connection in the making.
    pub pending: Box<dyn Pending>,
}

/// An answer to send back, and the connection that waits for the offerer.
pub struct Answer {
    /// What the other side needs to know.
    pub sdp: String,
    /// The connection in the making.
    pub pending: Box<dyn Pending>,
}

/// A connection that has no open data channel yet. Dropping it ends it, unless a link has come
/// out of it and is still held.
#[async_trait]
pub trait Pending: Send + Sync {
    /// Offerer only: the answer that came back.
    async fn accept(&self, answer_sdp: &str) -> Result<(), RtcError>;

    /// Resolves once the data channel is open, or fails after [`OPEN_TIMEOUT`]. Yields the link
    /// once: a second call fails.
    async fn opened(&self) -> Result<Arc<dyn Link>, RtcError>;

    /// Ends the connection, the link included. The first call returns when its sockets are closed.
    async fn close(&self);
}

/// An open data channel: ordered, reliable, binary. Dropping the last handle closes it.
#[async_trait]
pub trait Link: Send + Sync {
    /// Sends one message of at most [`MESSAGE_BYTES_MAX`] bytes; waits while the bounded send
    /// buffer is full.
    async fn send(&self, message: Bytes) -> Result<(), RtcError>;

    /// The next message; `None` once either side closed or the connection failed. What is not
    /// read is held back at the sender. May be dropped and called again without losing a message.
    async fn receive(&self) -> Option<Bytes>;

    /// How the bytes travel, as far as it is known.
    fn path(&self) -> Path;

    /// The address the peer's bytes come from; `None` where it is not known, or is a relay's and
    /// says nothing of the peer. Never logged.
    fn remote(&self) -> Option<SocketAddr>;

    /// Whether the peer is on this machine or its local network.
    fn is_near(&self) -> bool;

    /// Ends the connection; unsent messages are lost. The first call returns when its sockets are
    /// closed.
    async fn close(&self);
}

/// How a link's bytes travel, for statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// Between addresses of the two machines themselves, or within one local network.
    Host,
    /// Directly, but through an address translator (server or peer reflexive).
    Srflx,
    /// Over a relay.
    Relay,
    /// Not known.
    Unknown,
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Srflx => "srflx",
            Self::Relay => "relay",
            Self::Unknown => "unknown",
        })
    }
}

/// What a [`WebRtcConnector`] needs to know.
#[derive(Clone, Debug)]
pub struct RtcConfig {
    /// Local addresses to use. Empty: those of all interfaces but loopback and link-local ones.
    pub bind: Vec<IpAddr>,
    /// Also use 127.0.0.1, and let others name loopback addresses.
    pub include_loopback: bool,
    /// STUN servers, as `stun:host:port`. Empty: none is asked.
    pub stun: Vec<String>,
    /// Where to ask for the addresses behind browsers' `.local` names: [`MDNS_GROUP`]. `None`:
    /// such candidates are dropped, as they are where no local address may be named.
    pub mdns: Option<SocketAddrV4>,
    /// Every task this module starts is tracked here, so that a shutdown can wait for them.
    pub tasks: TaskTracker,
}

/// Why a connection could not be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcError {
    /// The other side's session description is unusable.
    #[error("session description refused: {0}")]
    Sdp(#[from] SdpError),
    /// The connection could not be set up on this machine.
    #[error("connection set-up failed while {0}")]
    SetUp(&'static str),
    /// No local address to offer.
    #[error("no local address to offer to the peer")]
    NoCandidates,
    /// The data channel did not open in time.
    #[error("data channel did not open in time")]
    TimedOut,
    /// The connection is closed.
    #[error("connection to the peer is closed")]
    Closed,
    /// The message does not fit into a data-channel message.
    #[error("message of {0} bytes is too long for a data channel")]
    TooLong(usize),
}
