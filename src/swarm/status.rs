//! What a swarm is busy with, for people to look at.
//!
//! It only counts: nothing is decided by it. Asked by the stream actor.

use super::state::Swarm;
use super::transfer::{Source, Transfer};
use crate::ids::{PeerId, PeerKey};

/// What is known about one peer, for people to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerStatus {
    /// The connection.
    pub peer: PeerKey,
    /// Who is on the other side.
    pub id: PeerId,
    /// Segments it says it holds.
    pub segments_held: usize,
    /// Segments it says it is fetching from the origin.
    pub segments_loading: usize,
    /// Verified segments it contributed to.
    pub segments_given: u64,
    /// Measured throughput towards us, in bytes per second.
    pub bytes_per_second: Option<f64>,
    /// Strikes since its last success.
    pub strikes: u32,
}

/// What the swarm is busy with, for people to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Members, ourselves included.
    pub members: u32,
    /// Segments held.
    pub segments_held: usize,
    /// Segments in flight from the origin.
    pub from_origin: usize,
    /// Segments in flight from peers.
    pub from_peers: usize,
    /// Demanded segments that wait for a source.
    pub waiting: usize,
    /// Peers being served.
    pub serves: usize,
}

impl Swarm {
    /// The connected peers.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> + '_ {
        self.peers.iter().map(|(key, peer)| {
            let (segments_held, segments_loading) = peer.counts();
            PeerStatus {
                peer: *key,
                id: peer.id,
                segments_held,
                segments_loading,
                segments_given: peer.given,
                bytes_per_second: peer.throughput.get(),
                strikes: peer.strikes,
            }
        })
    }

    /// What the swarm is busy with.
    pub fn status(&self) -> Status {
        let count = |is: fn(&Transfer) -> bool| self.transfers.values().filter(|t| is(t)).count();
        Status {
            members: self.members(),
            segments_held: self.have.len(),
            from_origin: count(Transfer::is_fetching),
            from_peers: count(|t| !t.asked.is_empty()),
            waiting: count(|t| {
                t.is_demanded() && t.source == Source::Waiting && t.asked.is_empty()
            }),
            serves: self.uploads.len(),
        }
    }
}
