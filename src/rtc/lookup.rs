//! Asks the local network for the addresses behind browsers' names.
//!
//! One [`Lookup`] for the names of one session description: it asks twice, hands over each answer
//! as it comes, and is over after [`LOOKUP_TIMEOUT`]. It announces nothing, keeps nothing, and
//! joins the group only for as long. The messages are `mdns`'s; a connection drives it.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::RtcConfig;
use super::ice::{self, Reach};
use super::mdns::{self, Family, LocalName, MDNS_MESSAGE_BYTES_MAX};

/// After this long the names that have no answer get none.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// The question is repeated once after this long: multicast over radio is often lost.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Interfaces that are asked on; those after them are not.
const INTERFACES_MAX: usize = 8;

/// What questions are sent with, and answers come with (RFC 6762, 11).
const HOPS: u32 = 255;

/// Lookups at the same time; descriptions beyond them are used without.
pub(super) const LOOKUPS_MAX: usize = 16;

/// Whether and how a connection asks.
pub(super) struct Names {
    group: SocketAddrV4,
    interfaces: Vec<IpAddr>,
    reach: Reach,
    turns: Arc<Semaphore>,
}

impl Names {
    /// `None`: nothing is asked, because that was not wanted, or because this side is on no local
    /// network as far as peers are concerned, so that an address in one would lead nowhere.
    pub(super) fn new(
        config: &RtcConfig,
        interfaces: Vec<IpAddr>,
        reach: Reach,
        turns: Arc<Semaphore>,
    ) -> Option<Self> {
        let group = config.mdns.filter(|_| reach.private)?;
        Some(Self { group, interfaces, reach, turns })
    }

    /// Begins to look for names, if there are any and it is possible.
    pub(super) fn lookup(&self, wanted: BTreeSet<LocalName>) -> Option<Lookup> {
        if wanted.is_empty() {
            return None;
        }
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        Lookup::new(self, wanted, turn)
            .inspect_err(|error| tracing::debug!(%error, "names of candidates not looked up"))
            .ok()
    }
}

/// The names still looked for, and the sockets that wait for answers.
pub(super) struct Lookup {
    group: SocketAddrV4,
    wanted: BTreeSet<LocalName>,
    families: Vec<Family>,
    reach: Reach,
    /// One for each interface: responders answer the socket that asked.
    asking: Vec<UdpSocket>,
    /// Bound to the group: some responders, Chromium's among them, answer everybody.
    overhearing: Option<UdpSocket>,
    /// When to ask, the next time last.
    ask_at: Vec<Instant>,
    ends_at: Instant,
    found: Vec<(LocalName, IpAddr)>,
    _turn: OwnedSemaphorePermit,
}

impl Lookup {
    /// Opens the sockets; asks nothing yet.
    fn new(
        names: &Names,
        wanted: BTreeSet<LocalName>,
        turn: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let Names { group, ref interfaces, reach, .. } = *names;
        let v4: Vec<Ipv4Addr> = interfaces.iter().filter_map(v4).take(INTERFACES_MAX).collect();
        // One that is gone by now does not spoil the others.
        let asking: Vec<UdpSocket> = v4.iter().filter_map(|ip| ask_from(*ip).ok()).collect();
        if asking.is_empty() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let mut families = vec![Family::V4];
        if interfaces.iter().any(IpAddr::is_ipv6) {
            families.push(Family::V6);
        }
        let now = Instant::now();
        Ok(Self {
            group,
            wanted,
            families,
            reach,
            asking,
            overhearing: overhear(group, &v4).ok(),
            ask_at: vec![now + ASK_AGAIN_AFTER, now],
            ends_at: now + LOOKUP_TIMEOUT,
            found: Vec::new(),
            _turn: turn,
        })
    }

    /// The next name that has an address; `None` when there is none left or the time is over.
    pub(super) async fn next(&mut self) -> Option<(LocalName, IpAddr)> {
        loop {
            if let Some(found) = self.found.pop() {
                return Some(found);
            }
            if self.wanted.is_empty() {
                return None;
            }
            if self.ask_at.pop_if(|at| *at <= Instant::now()).is_some() {
                self.ask().await;
            }
            let until = self.ask_at.last().copied().unwrap_or(self.ends_at);
            if timeout_at(until, self.hear()).await.is_err() && self.ask_at.is_empty() {
                return None;
            }
        }
    }

    async fn ask(&self) {
        for name in &self.wanted {
            for family in &self.families {
                let question = mdns::question(name, *family);
                for socket in &self.asking {
                    // An interface without a network is no reason not to ask on the others.
                    let _ = socket.send_to(&question, self.group).await;
                }
            }
        }
    }

    /// Waits for one message, and takes from it what is looked for.
    async fn hear(&mut self) {
        let sockets: Vec<&UdpSocket> = self.asking.iter().chain(&self.overhearing).collect();
        let (_, first, _) = select_all(sockets.iter().map(|s| Box::pin(s.readable()))).await;
        let mut message = [0; MDNS_MESSAGE_BYTES_MAX];
        let Ok(length) = sockets[first].try_recv(&mut message) else { return };
        for (name, ip) in mdns::addresses(&message[..length]) {
            // Anybody on the network may have answered, so what is named is held to be the
            // stranger's word: it may not lead anywhere that it could not have named itself.
            let is_accepted = ice::is_local(ip) && ice::is_allowed_address(ip, self.reach);
            if is_accepted && self.wanted.remove(&name) {
                self.found.push((name, ip));
            }
        }
    }
}

fn v4(ip: &IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    }
}

/// A socket whose questions leave by one interface.
fn ask_from(interface: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(interface, 0).into())?;
    socket.set_multicast_if_v4(&interface)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    UdpSocket::from_std(socket.into())
}

/// A socket that hears what is said to the group. Bound to the group's own address, so that it
/// takes nothing away from a responder of this machine that listens on the same port.
fn overhear(group: SocketAddrV4, interfaces: &[Ipv4Addr]) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&group.into())?;
    for interface in interfaces {
        // Two addresses of one interface join only once.
        let _ = socket.join_multicast_v4(group.ip(), interface);
    }
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
