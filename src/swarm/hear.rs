//! What peers do and say, and what follows: the border where strangers' words are weighed.
//!
//! Anything may come at any time. Words about transfers we do not know are ignored, breaches of
//! the protocol end the connection, failures are strikes. Driven by `state`.

use std::time::Duration;

use super::peer::Peer;
use super::state::{Joined, Swarm};
use super::transfer::{Retry, Total};
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
    }

    pub(super) fn disconnected(&mut self, key: PeerKey) {
        self.uploads.take(key);
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

    pub(super) fn heard(&mut self, key: PeerKey, message: Message) {
        if !self.peers.contains_key(&key) {
            return;
        }
        match message {
            Message::Announcement { loaded, loading } => self.announced(key, loaded, loading),
            Message::Request { segment, request, from } => {
                self.requested(key, SegmentId(segment), request, from);
            }
            Message::Data { segment, size, request } => {
                self.data_follows(key, SegmentId(segment), request, size);
            }
            Message::Completed { segment: _, request } => {
                let verdict = self.peers.get(&key).map(|peer| peer.completed(request));
                if let Some(Err(reason)) = verdict {
                    self.drop_peer(key, reason);
                }
            }
            Message::Absent { segment, request } => self.absent(key, SegmentId(segment), request),
            Message::Cancel { segment: _, request } => {
                if self.uploads.end(key, request) {
                    self.outputs.push_back(Output::StopServe { peer: key, request });
                }
            }
            // Whoever checks bytes weighs what others say of them; here it decides nothing.
            Message::Hash { .. } => {}
        }
    }

    fn announced(&mut self, key: PeerKey, loaded: Vec<u64>, loading: Vec<u64>) {
        let says_something = !loaded.is_empty() || !loading.is_empty();
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.announced(self.now, loaded, loading) {
            if says_something {
                self.joined = Joined::Done;
            }
        } else if peer.has_flooded() {
            self.strike(key);
        }
    }

    fn requested(&mut self, key: PeerKey, segment: SegmentId, request: u64, from: u64) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !peer.may_request(self.now) {
            if peer.has_flooded() {
                self.strike(key);
            }
            return;
        }
        if let Some(previous) = self.uploads.take(key) {
            self.outputs.push_back(Output::StopServe { peer: key, request: previous });
        }
        let size = self.have.size(segment).filter(|_| self.config.upload);
        let bytes = size.and_then(|size| size.checked_sub(from)).filter(|bytes| *bytes > 0);
        let pace = self.window.media_bytes_per_second();
        let is_started =
            bytes.is_some_and(|bytes| self.uploads.start(self.now, key, request, bytes, pace));
        if is_started {
            self.outputs.push_back(Output::Serve { peer: key, segment, request, from });
        } else {
            self.say(key, Message::Absent { segment: segment.0, request });
        }
    }

    fn data_follows(&mut self, key: PeerKey, segment: SegmentId, request: u64, size: u64) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let bytes_max = self.config.segment_bytes_max;
        let download = match peer.data_follows(segment, request, size, bytes_max) {
            Ok(Some(download)) => download,
            Ok(None) => return,
            Err(reason) => return self.drop_peer(key, reason),
        };
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        let bytes = download.from + size;
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
        peer.forget(segment);
        let is_current =
            peer.download.is_some_and(|d| d.segment == segment && d.request == request);
        if is_current {
            peer.end_download(self.now);
            self.released(segment, key);
            if let Some(transfer) = self.transfers.get_mut(&segment) {
                transfer.failed.insert(key, Retry::From(self.now + RETRY_AFTER));
            }
        }
    }

    pub(super) fn received(&mut self, key: PeerKey, len: u64) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let download = match peer.received(self.now, len) {
            Ok(Some(download)) => download,
            Ok(None) => return,
            Err(reason) => return self.drop_peer(key, reason),
        };
        let Some(transfer) = self.transfers.get_mut(&download.segment) else { return };
        transfer.have += len;
        transfer.contributors.insert(key);
        if download.remaining() == Some(0) {
            if let Some(elapsed) = download.flowing_for(self.now) {
                self.downlink.learn_from_peer(download.received, elapsed);
            }
            self.verify(download.segment);
        }
    }
}
