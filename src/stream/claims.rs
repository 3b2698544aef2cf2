//! The actor's dealings with hashes: what its segments are, said to its kin, and what they say.
//!
//! Hashing happens beside the actor; a hash is nothing that anybody waits for. What claims are
//! worth is decided by [`Agreement`](crate::verify::agreement::Agreement).

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::actor::Actor;
use super::link::PeerLink;
use crate::cache::Segment;
use crate::ids::{PeerKey, SegmentId};
use crate::rtc::ice::is_local;
use crate::swarm::wire::Message;
use crate::verify::Sha256;
use crate::verify::agreement::{Agreement, Network};
use crate::verify::blocks::List;
use crate::verify::digest::sha256;

/// Hashes said to a member that connects: those of the segments completed last.
const SAID_MAX: usize = 64;
/// Segments hashed at the same time; of what completes meanwhile nothing is said.
const HASHING_MAX: usize = 4;
/// A live playlist may be known longer to others: claims are heard so far ahead of ours.
const AHEAD_MAX: u64 = 64;

/// A segment that was hashed.
#[derive(Clone, Copy, Debug)]
pub struct Hashed {
    segment: SegmentId,
    sha256: Sha256,
    /// No byte of it came from a peer.
    is_from_origin: bool,
}

/// The hashes of one stream.
pub struct Claims {
    agreement: Agreement,
    /// What was completed last, oldest first.
    ours: VecDeque<Hashed>,
    hashing: usize,
    /// Bounded by [`HASHING_MAX`].
    done: mpsc::Sender<Hashed>,
}

impl Claims {
    /// No hashes, and where they will come from.
    pub fn new() -> (Self, mpsc::Receiver<Hashed>) {
        let (done, hashed) = mpsc::channel(HASHING_MAX);
        let (agreement, ours) = (Agreement::new(), VecDeque::new());
        (Self { agreement, ours, hashing: 0, done }, hashed)
    }

    /// What the segment is, if members agree on that, or the origin sent it once.
    pub fn agreed(&self, segment: SegmentId) -> Option<Sha256> {
        self.agreement.agreed(segment)
    }
}

impl Actor {
    /// A segment is whole and held: what it is will be known in a moment.
    pub(super) fn hash(&mut self, segment: SegmentId, kept: Arc<Segment>, is_from_origin: bool) {
        if self.parts.connector.is_none() || self.claims.hashing >= HASHING_MAX {
            return;
        }
        self.claims.hashing += 1;
        let done = self.claims.done.clone();
        self.parts.tasks.spawn_blocking(move || {
            let sha256 = sha256(&kept.bytes);
            if let Some(list) = List::of(&kept.bytes) {
                let _ = kept.blocks.set(Arc::new(list));
            }
            // The stream may have ended meanwhile. There is a place for each: it never waits.
            let _ = done.try_send(Hashed { segment, sha256, is_from_origin });
        });
    }

    pub(super) fn on_hashed(&mut self, hashed: Hashed) {
        self.claims.hashing -= 1;
        if hashed.is_from_origin {
            self.claims.agreement.learn(hashed.segment, hashed.sha256);
        }
        self.claims.ours.retain(|ours| ours.segment != hashed.segment);
        if self.claims.ours.len() >= SAID_MAX {
            self.claims.ours.pop_front();
        }
        self.claims.ours.push_back(hashed);
        let peers: Vec<_> = self.peers.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.say_hash(peer, hashed));
        self.say_owed(hashed.segment);
    }

    /// Says to a member that has just connected what the latest segments are.
    pub(super) fn say_hashes(&mut self, peer: PeerKey) {
        let latest: Vec<_> = self.claims.ours.iter().copied().collect();
        latest.into_iter().for_each(|hashed| self.say_hash(peer, hashed));
    }

    fn say_hash(&mut self, peer: PeerKey, hashed: Hashed) {
        if self.parts.swarm.upload {
            let Hashed { segment: SegmentId(segment), sha256, is_from_origin } = hashed;
            self.say(peer, Message::Hash { segment, sha256, is_from_origin });
        }
    }

    /// A peer says what a segment is. Only one of our kind can mean what we do by it, and only
    /// what is said from a known place, of what came from the origin, counts.
    pub(super) fn on_claim(&mut self, peer: PeerKey, segment: SegmentId, sha256: Sha256) {
        let remote = self.peers.get(&peer).filter(|link| link.id.is_kin());
        let Some(remote) = remote.and_then(PeerLink::remote) else { return };
        if !self.is_near_window(segment) {
            return;
        }
        let network = Network::of(remote.ip(), is_local(remote.ip()));
        self.claims.agreement.claim(network, segment, sha256);
    }

    /// Whether it can be a segment of the playlist, as far as that may be known to others.
    pub(super) fn is_near_window(&self, segment: SegmentId) -> bool {
        let known = &self.timeline.segments;
        let (Some(first), Some(last)) = (known.first(), known.last()) else { return false };
        (first.id..=SegmentId(last.id.0.saturating_add(AHEAD_MAX))).contains(&segment)
    }
}
