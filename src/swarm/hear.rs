//! What peers do and say, and what follows: the border where strangers' words are weighed.
//!
//! Anything may come at any time. Words about transfers we do not know are ignored, breaches of
//! the protocol end the connection, failures are strikes. Driven by `state`.

use std::time::Duration;

use super::peer::Peer;
use super::state::{Follows, Joined, Swarm};
use super::transfer::{Retry, Total};
use super::upload::Wanted;
use super::wire::Message;
use super::{DropReason, Output};
use crate::ids::{PeerId, PeerKey, SegmentId};

/// Most peers connected at the same time.
const PEERS_MAX: usize = 128;
/// A peer with so many strikes, and no success between, is dropped.
const STRIKES_MAX: u32 = 3;
/// A peer that answered absent, and then announces the segment again, was busy: it is asked again
/// no sooner than this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The same for one of our own kind, which need not announce anything again.
const RETRY_KIN_AFTER: Duration = Duration::from_millis(250);

impl Swarm {
    pub(super) fn connected(&mut self, key: PeerKey, id: PeerId) {
        if self.peers.contains_key(&key) {
            return;
        }
        if self.peers.len() >= PEERS_MAX {
            self.outputs.push_back(Output::Drop { peer: key, reason: DropReason::Crowded });
            return;
        }
        self.peers.insert(key, Peer::new(id, self.now));
        if self.config.upload {
            let state = self.have.announcement(&self.window, self.loading());
            self.say(key, state);
        }
        self.tell_newcomer(key);
    }

    pub(super) fn disconnected(&mut self, key: PeerKey) {
        self.uploads.forget(key);
        if let Some(download) = self.peers.remove(&key).and_then(|peer| peer.download) {
            self.released(download.segment, key);
        }
    }

    /// Ends the connection to a peer, if there still is one.
    pub(super) fn drop_peer(&mut self, key: PeerKey, reason: DropReason) {
        if self.peers.contains_key(&key) {
            self.disconnected(key);
            self.outputs.push_back(Output::Drop { peer: key, reason });
        }
    }

    pub(super) fn strike(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.strikes += 1;
        if peer.strikes >= STRIKES_MAX {
            self.drop_peer(key, DropReason::Strikes);
        }
    }

    pub(super) fn heard(&mut self, key: PeerKey, message: Message) -> Follows {
        if !self.peers.contains_key(&key) {
            return Follows::Word;
        }
        match message {
            Message::Announcement { loaded, loading } => self.announced(key, loaded, loading),
            Message::Request { segment, request, from } => {
                self.requested(
                    key,
                    Wanted { segment: SegmentId(segment), request, from, end: None },
                );
                return Follows::Word;
            }
            Message::RequestPart { segment, request, from, end } => {
                let end = Some(end);
                self.requested(key, Wanted { segment: SegmentId(segment), request, from, end });
                return Follows::Word;
            }
            Message::Data { segment, size, request } => {
                self.data_follows(key, SegmentId(segment), request, size, None);
            }
            Message::Part { segment, size, request, total } => {
                self.data_follows(key, SegmentId(segment), request, size, Some(total));
            }
            Message::Holding { segment, total, chunks } => {
                return self.holding(key, SegmentId(segment), total, &chunks);
            }
            Message::Coming { segments } => return self.coming_to(key, segments),
            Message::Completed { segment: _, request } => {
                let verdict = self.peers.get(&key).map(|peer| peer.completed(request));
                if let Some(Err(reason)) = verdict {
                    self.drop_peer(key, reason);
                }
            }
            Message::Absent { segment, request } => self.absent(key, SegmentId(segment), request),
            Message::Cancel { segment: _, request } => {
                self.uploads.unqueue(key);
                if self.uploads.end(key, request) {
                    self.outputs.push_back(Output::StopServe { peer: key, request });
                }
                return Follows::Word;
            }
            // Whoever checks bytes weighs what others say of them; here it decides nothing.
            Message::Hash { .. } | Message::Blocks { .. } => {}
        }
        Follows::Plan
    }

    fn holding(&mut self, key: PeerKey, segment: SegmentId, total: u64, chunks: &[u64]) -> Follows {
        let Some(peer) = self.peers.get_mut(&key) else { return Follows::Word };
        if !peer.may_announce(self.now) {
            self.flooded(key);
            return Follows::Plan;
        }
        peer.kin.holding(segment, total, chunks);
        if self.have.has(segment) {
            return Follows::Word;
        }
        self.told.changed(self.now);
        Follows::PlanSoon
    }

    fn coming_to(&mut self, key: PeerKey, segments: Vec<(u64, u64)>) -> Follows {
        let Some(peer) = self.peers.get_mut(&key) else { return Follows::Word };
        if !peer.may_announce(self.now) {
            self.flooded(key);
            return Follows::Plan;
        }
        peer.kin.coming(segments);
        self.told.changed(self.now);
        Follows::PlanSoon
    }

    /// It said more than is listened to.
    pub(super) fn flooded(&mut self, key: PeerKey) {
        if self.peers.get_mut(&key).is_some_and(Peer::has_flooded) {
            self.drop_peer(key, DropReason::Flood);
        }
    }

    fn announced(&mut self, key: PeerKey, loaded: Vec<u64>, loading: Vec<u64>) {
        let says_something = !loaded.is_empty() || !loading.is_empty();
        self.told.changed(self.now);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.announced(self.now, loaded, loading) {
            if says_something {
                self.joined = Joined::Done;
            }
        } else {
            self.flooded(key);
        }
    }

    fn data_follows(
        &mut self,
        key: PeerKey,
        segment: SegmentId,
        request: u64,
        size: u64,
        total: Option<u64>,
    ) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let bytes_max = self.config.segment_bytes_max;
        let bytes = match peer.data_follows(self.now, segment, request, size, total, bytes_max) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(reason) => return self.drop_peer(key, reason),
        };
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        match transfer.total {
            None => transfer.total = Some(Total { bytes, is_trusted: false }),
            Some(total) if total.bytes == bytes => {}
            Some(Total { is_trusted: true, .. }) => self.drop_peer(key, DropReason::Protocol),
            // Two strangers differ and either may be wrong: the origin decides.
            Some(Total { is_trusted: false, .. }) => {
                transfer.is_origin_only = true;
                self.leave_peer(segment, key);
                self.strike(key);
            }
        }
    }

    fn absent(&mut self, key: PeerKey, segment: SegmentId, request: u64) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let retry_after = if peer.is_kin() { RETRY_KIN_AFTER } else { RETRY_AFTER };
        if !peer.is_kin() {
            peer.forget(segment);
        }
        let is_current =
            peer.download.is_some_and(|d| d.segment == segment && d.request == request);
        if is_current {
            peer.end_download();
            self.released(segment, key);
            if let Some(transfer) = self.transfers.get_mut(&segment) {
                transfer.failed.insert(key, Retry::From(self.now + retry_after));
            }
        }
    }

    pub(super) fn received(&mut self, key: PeerKey, len: u64) -> Follows {
        let Some(peer) = self.peers.get_mut(&key) else { return Follows::Word };
        let download = match peer.received(self.now, len) {
            Ok(Some(download)) => download,
            Ok(None) => return Follows::Word,
            Err(reason) => {
                self.drop_peer(key, reason);
                return Follows::Plan;
            }
        };
        self.arrived = self.arrived.saturating_add(len);
        self.downlink.came(self.now, len);
        let Some(transfer) = self.transfers.get_mut(&download.segment) else {
            return Follows::Plan;
        };
        let behind = download.from + download.received;
        transfer.got.insert(behind - len..behind);
        transfer.contributors.insert(key);
        let is_done = download.remaining() == Some(0);
        if is_done {
            transfer.asked.remove(&key);
        }
        let is_whole = transfer.is_whole();
        if is_whole {
            self.verify(download.segment);
        }
        if is_done { Follows::Plan } else { Follows::Word }
    }
}
