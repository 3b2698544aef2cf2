//! The things a simulated world consists of: a plan, viewers, and what is counted.

use std::collections::{BTreeMap, BTreeSet};

use hlswarm::ids::SegmentId;
use hlswarm::swarm::Swarm;

use crate::world::SEGMENT_BYTES;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub viewers: u32,
    pub is_live: bool,
    /// Segments each viewer watches.
    pub segments: u64,
    pub arrival_gap_ms: u64,
    pub peers_each: u32,
    pub has_peers: bool,
    /// Peers announce, and then never send a byte.
    pub are_peers_mute: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub handed: u64,
    pub stalls: u64,
    pub stalled_ms: u64,
    pub origin_bytes: u64,
    pub peer_bytes: u64,
    pub origin_fetches: u64,
}

impl Report {
    /// Share of the bytes handed to players that the origin did not send.
    pub fn saved_percent(&self) -> u64 {
        100 - (100 * self.origin_bytes).div_ceil(self.handed * SEGMENT_BYTES).min(100)
    }
}

/// One member and its player.
pub struct Viewer {
    pub swarm: Swarm,
    pub uplink: u64,
    pub up_free_ms: u64,
    pub down_free_ms: u64,
    pub fetches: BTreeMap<SegmentId, u64>,
    pub serves: BTreeMap<usize, (u64, u64)>,
    /// The last request to each peer: chunks of earlier ones do not count.
    pub asked: BTreeMap<usize, u64>,
    pub held: BTreeSet<SegmentId>,
    pub next: Option<SegmentId>,
    pub is_waiting: bool,
    pub left: u64,
    pub dry_ms: Option<u64>,
}

impl Viewer {
    /// A member that is about to watch `left` segments.
    pub fn new(swarm: Swarm, uplink: u64, left: u64) -> Self {
        Self {
            swarm,
            uplink,
            up_free_ms: 0,
            down_free_ms: 0,
            fetches: BTreeMap::new(),
            serves: BTreeMap::new(),
            asked: BTreeMap::new(),
            held: BTreeSet::new(),
            next: None,
            is_waiting: false,
            left,
            dry_ms: None,
        }
    }
}
