//! The upstream HTTP server: one attempt or several, from the first byte or from the middle.
//!
//! The only module that names reqwest. It knows nothing of playlists' contents, caches or peers,
//! and it never decides what a player is told: it hands over what the origin said, or an error
//! that names the host. Driven by the HTTP front (playlists, things passed through) and by the
//! stream actor (segments).

pub mod cookies;
mod error;
mod fetch;
mod healing;
mod limit;
mod media;
pub mod proxy;
mod race;
mod redirect;
mod response;
mod resume;
pub mod retry;
mod target;
mod tls;
mod whole;

pub use cookies::Cookies;
pub use error::{OriginError, Waited};
pub use fetch::{FetchRequest, Origin};
pub use healing::Healing;
pub use redirect::REDIRECTS_MAX;
pub use response::OriginResponse;
pub use resume::{SKIP_BYTES_MAX, Validator, Wanted};
pub use whole::{Media, PLAYLIST_BYTES_MAX, PlaylistAnswer};

use proxy::{HostProxy, Proxy};
use std::time::Duration;

/// Settings of the upstream client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginConfig {
    /// Longest wait for a connection (name lookup and TLS included), in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the head of an answer, connecting and redirects included, in milliseconds.
    pub head_timeout_ms: u64,
    /// Longest silence in the middle of an answer, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Most requests to one host at the same time; further ones wait.
    pub connections_per_host_max: usize,
    /// Whether an origin may be on this machine or a private network (192.168.0.0/16 and the
    /// like). Link-local addresses, where clouds keep their metadata, are refused regardless.
    pub allow_private: bool,
    /// The proxy through which all hosts are reached.
    pub proxy: Proxy,
    /// Other proxies, or none, for some hosts.
    pub proxy_hosts: Vec<HostProxy>,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            head_timeout_ms: 60_000,
            idle_timeout_ms: 10_000,
            connections_per_host_max: 32,
            allow_private: true,
            proxy: Proxy::default(),
            proxy_hosts: Vec::new(),
        }
    }
}

impl OriginConfig {
    fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }
}
