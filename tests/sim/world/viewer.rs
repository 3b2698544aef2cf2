//! One viewer: its swarm, its line, its cache and its player.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hlswarm::http::delay::Delays;
use hlswarm::ids::{PeerId, PeerKey, SegmentId};
use hlswarm::swarm::Swarm;
use hlswarm::verify::agreement::Agreement;
use hlswarm::verify::blocks::BlockLists;
use hlswarm::verify::trust::Trust;

use super::checks::Arriving;
use super::content::Content;
use super::network::FlowId;
use super::plan::Line;

/// A place that one viewer after the other takes.
#[derive(Default)]
pub struct Viewer {
    /// Counts those who took the place.
    pub generation: u32,
    /// `None` while nobody is there.
    pub swarm: Option<Swarm>,
    pub id: Option<PeerId>,
    pub line: Option<Line>,
    pub arrived_us: u64,
    /// Connections, open or coming about.
    pub conns: BTreeSet<usize>,
    pub fetches: BTreeMap<SegmentId, Fetch>,
    /// How far behind the edge its player is kept.
    pub delays: Option<Delays>,
    /// What has come of segments that are not held yet.
    pub arriving: BTreeMap<SegmentId, Arriving>,
    /// Of held segments what is not the origin's; nobody in the world knows.
    pub wrong: BTreeMap<SegmentId, Content>,
    pub lists: BlockLists,
    pub trust: Trust,
    pub agreement: Agreement,
    /// The places and numbers of those who were found out.
    pub banned: BTreeSet<(usize, u32)>,
    /// Of which segments each liar sent something made up.
    pub lied: BTreeMap<PeerKey, BTreeSet<SegmentId>>,
    held: BTreeSet<SegmentId>,
    /// The held segments, oldest first.
    order: VecDeque<SegmentId>,
    pub player: Player,
    /// When the swarm will be told the time.
    pub alarm_us: Option<u64>,
}

/// A request to the origin.
pub struct Fetch {
    /// Its number.
    pub fetch: u64,
    /// Where the next byte belongs.
    pub at: u64,
    pub end: u64,
    pub flow: Option<FlowId>,
}

/// What the player has and wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Player {
    pub next: u64,
    /// The segments below that are in the playlist it was shown.
    pub shown: u64,
    pub is_waiting: bool,
    /// When what it has will have been played.
    pub dry_us: Option<u64>,
}

impl Viewer {
    pub fn holds(&self, segment: SegmentId) -> bool {
        self.held.contains(&segment)
    }

    /// Keeps a segment; what had to go for it.
    pub fn keep(&mut self, segment: SegmentId, max: usize) -> Vec<SegmentId> {
        let mut evicted = Vec::new();
        if self.held.insert(segment) {
            self.order.push_back(segment);
        }
        while self.order.len() > max {
            if let Some(oldest) = self.order.pop_front() {
                self.held.remove(&oldest);
                evicted.push(oldest);
            }
        }
        evicted
    }

    /// The next viewer takes the place.
    pub fn take_place(&mut self, swarm: Swarm, id: PeerId, line: Line, now_us: u64) {
        *self = Self {
            generation: self.generation,
            swarm: Some(swarm),
            id: Some(id),
            line: Some(line),
            arrived_us: now_us,
            ..Self::default()
        };
    }
}

/// The key by which both ends know a connection.
pub fn key(conn: usize) -> PeerKey {
    PeerKey(conn as u32)
}
