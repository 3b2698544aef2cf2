//! Who lied, in whatever stream, and is not met again as long as the daemon runs.
//!
//! Knows ids and addresses only: what a lie is, is decided by the core, and connections are closed
//! by the actors, which hear of every ban. Nothing of it is logged, shown or written down.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ids::PeerId;
use crate::rtc::ice::is_local;

/// Banned ids, and banned places, that are remembered; beyond it the oldest are let in again.
const BANNED_MAX: usize = 4096;

/// The daemon's list of liars.
#[derive(Debug, Default)]
pub struct Bans {
    inner: Mutex<Inner>,
    /// Moves with every ban.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Oldest first, each once.
    ids: VecDeque<PeerId>,
    /// Oldest first, each once.
    places: VecDeque<Place>,
    /// Who said something wrong that may have been another's lie; oldest first, each once.
    doubted: VecDeque<(PeerId, Option<Place>)>,
}

/// What of an address stands for whoever is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A line: an IPv4 address, or the 64 bits of an IPv6 address that a household is given.
    Line(IpAddr),
    /// One socket: on a local network and on this machine, the neighbours of a liar share all the
    /// rest with it, and there is nothing else to tell them apart by.
    Socket(SocketAddr),
}

impl Bans {
    /// Nobody has lied yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bans an id: it did not keep to the protocol, which may be a defect of its program.
    pub fn ban_id(&self, id: PeerId) {
        remember(&mut self.lock().ids, id);
        self.changed.send_replace(());
    }

    /// Bans whoever sent wrong bytes, under whatever id it comes back.
    pub fn ban(&self, id: PeerId, remote: Option<SocketAddr>) {
        let mut inner = self.lock();
        remember(&mut inner.ids, id);
        if let Some(remote) = remote {
            remember(&mut inner.places, place(remote));
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Remembers who said something wrong that it may have believed itself: leaving and coming back
    /// must not undo it.
    pub fn doubt(&self, id: PeerId, remote: Option<SocketAddr>) {
        remember(&mut self.lock().doubted, (id, remote.map(place)));
    }

    /// Whether a member with this id, or at this address, said something wrong before.
    pub fn doubts(&self, id: PeerId, remote: Option<SocketAddr>) -> bool {
        let at = remote.map(place);
        let is_it =
            |known: &(PeerId, Option<Place>)| known.0 == id || at.is_some() && known.1 == at;
        self.lock().doubted.iter().any(is_it)
    }

    /// Whether this id is banned: all that is known before there is a connection.
    pub fn has_id(&self, id: PeerId) -> bool {
        self.lock().ids.contains(&id)
    }

    /// Whether a member with this id, at this address, is banned.
    pub fn has(&self, id: PeerId, remote: Option<SocketAddr>) -> bool {
        let inner = self.lock();
        inner.ids.contains(&id)
            || remote.is_some_and(|remote| inner.places.contains(&place(remote)))
    }

    /// Tells of every ban from now on.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember<T: PartialEq>(list: &mut VecDeque<T>, new: T) {
    if list.contains(&new) {
        return;
    }
    if list.len() >= BANNED_MAX {
        list.pop_front();
    }
    list.push_back(new);
}

fn place(remote: SocketAddr) -> Place {
    let ip = remote.ip().to_canonical();
    if is_local(ip) {
        return Place::Socket(SocketAddr::new(ip, remote.port()));
    }
    Place::Line(match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIAR: PeerId = PeerId([9; 20]);
    const OTHER: PeerId = PeerId([8; 20]);

    fn at(address: &str) -> Option<SocketAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn a_liar_is_known_by_its_id_and_again_by_its_line() {
        // (where it lied, where somebody with another id is, whether that is taken for the same)
        let table = [
            ("203.0.113.7:5000", "203.0.113.7:5000", true),
            ("203.0.113.7:5000", "203.0.113.7:6000", true),
            ("203.0.113.7:5000", "[::ffff:203.0.113.7]:6000", true),
            ("203.0.113.7:5000", "203.0.113.8:5000", false),
            ("[2001:db8:1:2::7]:5000", "[2001:db8:1:2:ffff::8]:1", true),
            ("[2001:db8:1:2::7]:5000", "[2001:db8:1:3::7]:5000", false),
            ("127.0.0.1:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "127.0.0.1:6000", false),
            ("[::1]:5000", "[::1]:6000", false),
            ("192.168.1.7:5000", "192.168.1.7:5000", true),
            ("192.168.1.7:5000", "192.168.1.7:6000", false),
            ("100.64.0.1:5000", "100.64.0.1:6000", false),
            ("[fd00::1]:5000", "[fd00::1]:6000", false),
        ];
        for (lied, other, is_same) in table {
            let bans = Bans::new();
            bans.ban(LIAR, at(lied));
            assert!(bans.has_id(LIAR) && bans.has(LIAR, None) && !bans.has_id(OTHER));
            assert_eq!(bans.has(OTHER, at(other)), is_same, "{lied}, then {other}");
        }
    }

    #[test]
    fn who_is_doubted_is_not_banned_and_does_not_come_back_as_a_stranger() {
        let bans = Bans::new();
        bans.doubt(LIAR, at("203.0.113.7:5000"));
        bans.doubt(PeerId([7; 20]), None);
        assert!(bans.doubts(LIAR, None) && bans.doubts(OTHER, at("203.0.113.7:6000")));
        assert!(!bans.doubts(OTHER, at("203.0.113.8:5000")) && !bans.doubts(OTHER, None));
        assert!(!bans.has(LIAR, at("203.0.113.7:5000")));
    }

    #[test]
    fn an_address_is_not_banned_for_a_defect() {
        let bans = Bans::new();
        bans.ban_id(LIAR);
        assert!(bans.has(LIAR, at("203.0.113.7:5000")));
        assert!(!bans.has(OTHER, at("203.0.113.7:5000")));
    }

    #[test]
    fn the_list_is_bounded_and_a_liar_takes_one_place_however_often_it_lies() {
        let bans = Bans::new();
        bans.ban(LIAR, at("203.0.113.7:5000"));
        (0..BANNED_MAX).for_each(|_| bans.ban(OTHER, at("203.0.113.8:1")));
        assert!(bans.has_id(LIAR) && bans.has(PeerId([1; 20]), at("203.0.113.7:1")));
        for n in 0..BANNED_MAX as u32 {
            let mut id = [0; 20];
            id[..4].copy_from_slice(&n.to_be_bytes());
            let address = std::net::Ipv4Addr::from_bits(0x0b00_0000 + n);
            bans.ban(PeerId(id), Some(SocketAddr::from((address, 1))));
        }
        let inner = bans.lock();
        assert_eq!([inner.ids.len(), inner.places.len()], [BANNED_MAX; 2]);
        drop(inner);
        assert!(!bans.has(LIAR, at("203.0.113.7:5000")), "the oldest is forgotten");
    }

    #[test]
    fn everybody_who_watches_hears_of_a_ban() {
        let bans = Bans::new();
        let watching = bans.watch();
        assert!(!watching.has_changed().unwrap());
        bans.ban_id(LIAR);
        assert!(watching.has_changed().unwrap());
    }
}
