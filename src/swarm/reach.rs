//! Who of a recording's viewers is near enough to share anything with: what each holds moves with
//! its player, and reaches no further than its cache.
//!
//! Trackers pass on offers to anybody. Whoever lacks company near its player looks for more of it,
//! and makes room by parting from those with whom it has nothing to share. Of a live stream
//! everybody is near. Driven by the shell, which meets and parts.

use std::time::Duration;

use super::DropReason;
use super::peer::Peer;
use super::state::Swarm;
use crate::ids::{PeerKey, SegmentId};

/// So many segments that a player needs next are looked for with others.
const NEXT: usize = 15;
/// So many peers with some of these are enough.
const ENOUGH: usize = 4;
/// Who has been connected for less may not have said all that it holds.
const KNOWN_AFTER: Duration = Duration::from_secs(8);

impl Swarm {
    /// Whether too few peers hold what players need next of a recording.
    pub fn lacks_company(&self) -> bool {
        let next = self.next_missing();
        let near = self.peers.values().filter(|peer| holds_any(peer, &next)).count();
        !next.is_empty() && near < ENOUGH
    }

    /// Parts from at most so many with whom there is nothing to share, if company is lacked.
    pub(super) fn make_room(&mut self, most: usize) {
        let far: Vec<_> = self.far().take(most).collect();
        far.into_iter().for_each(|key| self.drop_peer(key, DropReason::Far));
    }

    fn far(&self) -> impl Iterator<Item = PeerKey> {
        let next = self.next_missing();
        let is_lacking = self.lacks_company();
        let is_far = move |peer: &Peer| {
            is_lacking
                && peer.connected_at + KNOWN_AFTER <= self.now
                && peer.download.is_none()
                && !holds_any(peer, &next)
                && !self.has_next_of(peer)
        };
        let far = self.peers.iter().filter(move |(_, peer)| is_far(peer));
        far.map(|(key, _)| *key)
    }

    /// What the hungriest player of a recording needs next and is not here.
    fn next_missing(&self) -> Vec<SegmentId> {
        let position = self.players.positions().first().copied();
        let Some(position) = position.filter(|_| !self.window.is_live()) else { return Vec::new() };
        let next = self.window.after(position).take(NEXT).map(|(id, _)| id);
        next.filter(|id| !self.have.has(*id)).collect()
    }

    /// Whether that peer may want what is here: its player seems to be where its newest segment is.
    fn has_next_of(&self, peer: &Peer) -> bool {
        let Some(newest) = peer.newest() else { return true };
        let next = self.window.after(newest).take(NEXT);
        next.into_iter().any(|(id, _)| self.have.has(id))
    }
}

fn holds_any(peer: &Peer, segments: &[SegmentId]) -> bool {
    segments.iter().any(|segment| peer.has_some(*segment))
}
