//! Requests of peers, and whose turn it is to be served.
//!
//! One of our own kind waits a moment for its turn; any other peer hears at once that nobody has
//! time for it, and asks elsewhere. What fits on the uplink is `upload`'s business. Driven by
//! `hear` and, as time passes and places become free, by `conduct`.

use super::Output;
use super::Reason;
use super::peer::average_rate;
use super::state::Swarm;
use super::upload::Wanted;
use super::wire::Message;
use crate::ids::{PeerKey, SegmentId};
use std::time::Instant;

/// A peer that never sent us anything is taken to be so strong, compared with the others.
const UNKNOWN_STRENGTH: f64 = 0.5;

impl Swarm {
    pub(super) fn requested(&mut self, key: PeerKey, wanted: Wanted) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !peer.may_request(self.now) {
            return self.flooded(key);
        }
        let is_kin = peer.is_kin();
        self.uploads.unqueue(key);
        if let Some(request) = self.uploads.take(key) {
            self.outputs.push_back(Output::StopServe { peer: key, request });
        }
        if self.is_servable(wanted) && is_kin {
            self.uploads.queue(self.now, key, wanted);
        } else if !self.serve(key, wanted) {
            self.refuse(key, wanted);
        }
    }

    /// Serves those who wait as far as there is room: least-held segments first, and the strongest
    /// first, because they pass them on soonest. Who has waited long is sent elsewhere.
    pub(super) fn serve_waiting(&mut self) {
        for (key, wanted) in self.uploads.overdue(self.now) {
            self.refuse(key, wanted);
        }
        if !self.uploads.is_awaited() {
            return;
        }
        let unknown = average_rate(self.peers.values()) * UNKNOWN_STRENGTH;
        let strength =
            |key: &PeerKey| self.peers.get(key).and_then(|p| p.throughput.get()).unwrap_or(unknown);
        let holders =
            |segment: SegmentId| self.peers.values().filter(|peer| peer.holds(segment)).count();
        let order = self.uploads.waiting_by(self.now, strength, holders);
        for (key, wanted) in order {
            if !self.is_servable(wanted) {
                self.uploads.unqueue(key);
                self.refuse(key, wanted);
            } else if self.serve(key, wanted) {
                self.uploads.unqueue(key);
            } else {
                break;
            }
        }
    }

    /// When somebody who waits is to be served or sent away.
    pub(super) fn turn_at(&self) -> Option<(Instant, Reason)> {
        self.uploads.next_turn_at(self.now).map(|at| (at, Reason::Progress))
    }

    fn is_servable(&self, wanted: Wanted) -> bool {
        self.config.upload && self.bytes(wanted).is_some()
    }

    fn bytes(&self, wanted: Wanted) -> Option<u64> {
        let Some(size) = self.have.size(wanted.segment) else {
            // Of what is still arriving, parts only.
            let end = wanted.end?;
            let transfer = self.transfers.get(&wanted.segment)?;
            let end = transfer.total.map_or(end, |total| end.min(total.bytes));
            let is_here = wanted.from < end && transfer.servable().contains(&(wanted.from..end));
            return is_here.then(|| end - wanted.from);
        };
        let behind = wanted.end.map_or(size, |end| end.min(size));
        behind.checked_sub(wanted.from).filter(|bytes| *bytes > 0)
    }

    fn serve(&mut self, peer: PeerKey, wanted: Wanted) -> bool {
        let Wanted { segment, request, from, end } = wanted;
        let bytes = self.bytes(wanted).filter(|_| self.config.upload);
        let is_started =
            bytes.is_some_and(|bytes| self.uploads.start(self.now, peer, request, bytes));
        if is_started {
            self.outputs.push_back(Output::Serve { peer, segment, request, from, end });
        }
        is_started
    }

    fn refuse(&mut self, key: PeerKey, wanted: Wanted) {
        let (segment, request) = (wanted.segment.0, wanted.request);
        self.say(key, Message::Absent { segment, request });
    }
}
