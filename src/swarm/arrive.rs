//! What players and the origin do to a segment: it is demanded, it arrives, it fails, it is whole.
//!
//! What follows is decided when all is known, by `conduct`. Driven by `state`.

use std::collections::BTreeSet;

use super::state::{Follows, Swarm};
use super::transfer::{Reader, Source, Total, Transfer};
use super::{DropReason, Output};
use crate::ids::{PeerKey, PlayerId, SegmentId};

/// Bytes of a piece that say something about the downlink.
const LEARN_FROM: u64 = 1 << 20;

impl Swarm {
    pub(super) fn demanded(&mut self, segment: SegmentId, player: PlayerId) {
        self.players.demanded(self.now, player, segment, &self.window);
        if self.have.has(segment) {
            return;
        }
        let size = self.window.size(segment);
        let transfer = self.transfers.entry(segment).or_insert_with(|| Transfer::new(size));
        if !transfer.is_demanded() {
            // What the origin refused us it may give to a player.
            transfer.origin_failed_at = None;
        }
        let reader = Reader { since: self.now, requests: 0 };
        let reader = transfer.readers.entry(player).or_insert(reader);
        reader.requests += 1;
        if reader.requests == 1 {
            transfer.opened = None;
        }
    }

    pub(super) fn dismissed(&mut self, segment: SegmentId, player: PlayerId) {
        if let Some(transfer) = self.transfers.get_mut(&segment)
            && let Some(reader) = transfer.readers.get_mut(&player)
        {
            reader.requests -= 1;
            if reader.requests > 0 {
                return;
            }
            transfer.readers.remove(&player);
        }
        self.players.dismissed(player, segment);
    }

    pub(super) fn fetched(&mut self, segment: SegmentId, len: u64, total: Option<u64>) -> Follows {
        self.arrived = self.arrived.saturating_add(len);
        self.downlink.came(self.now, len);
        let Some(transfer) = self.transfers.get_mut(&segment) else { return Follows::Word };
        let is_piece = transfer.piece.is_some();
        let at = match (&mut transfer.piece, &mut transfer.source) {
            (Some(piece), _) => {
                let at = piece.at;
                if at == piece.from {
                    self.origin_wait = Some(self.now.saturating_duration_since(piece.since));
                }
                piece.at = at.saturating_add(len);
                at
            }
            (None, Source::Origin { from, received, since, .. }) => {
                if *received == 0 {
                    self.origin_wait = Some(self.now.saturating_duration_since(*since));
                }
                let at = from.saturating_add(*received);
                *received = received.saturating_add(len);
                at
            }
            (None, Source::Waiting | Source::Verifying) => return Follows::Word,
        };
        transfer.from_origin = transfer.from_origin.saturating_add(len);
        transfer.got.insert(at..at.saturating_add(len));
        transfer.good.insert(at..at.saturating_add(len));
        let claimed = transfer.total.map(|t| t.bytes);
        if let Some(bytes) = total {
            transfer.total = Some(Total { bytes, is_trusted: true });
        }
        if transfer.contributors.is_empty() && !is_piece {
            return Follows::Word;
        }
        if total.is_some_and(|bytes| claimed.is_some_and(|claimed| claimed != bytes)) {
            self.outputs.push_back(Output::StopFetch { segment });
            self.outputs.push_back(Output::Discard { segment });
            self.thrown_away(segment, None);
            return Follows::Plan;
        }
        let ended = transfer.piece.take_if(|piece| piece.at >= piece.end);
        if let Some(piece) = ended {
            self.piece_failures = 0;
            if piece.at - piece.from >= LEARN_FROM {
                let elapsed = self.now.saturating_duration_since(piece.since);
                self.downlink.learn_from_origin(self.arrived - piece.before, elapsed);
            }
            self.have.changed(self.now);
        }
        if transfer.is_whole() {
            self.verify(segment);
        }
        if ended.is_some() { Follows::Plan } else { Follows::Word }
    }

    pub(super) fn completed(&mut self, segment: SegmentId, size: u64) {
        self.cancel_asked(segment);
        let due = self.due(segment);
        if let Some(transfer) = self.transfers.remove(&segment) {
            if let Some(due) = due.filter(|_| transfer.opened.is_some_and(|o| !o.is_urgent)) {
                self.caution.learn(due.saturating_duration_since(self.now));
                self.scarcity.learn(transfer.has_fallen_back);
                self.learn_lack(&transfer, size);
            }
            if let Source::Origin { since, before, .. } = transfer.source {
                let elapsed = self.now.saturating_duration_since(since);
                self.downlink.learn_from_origin(self.arrived - before, elapsed);
            }
            for peer in &transfer.contributors {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.strikes = 0;
                    peer.excess = 0;
                    peer.given += 1;
                }
            }
        }
        self.window.learn_size(segment, size);
        self.have.insert(segment, size);
        self.have.changed(self.now);
    }

    /// How much of a segment peers did not bring that a player waited for.
    fn learn_lack(&mut self, transfer: &Transfer, size: u64) {
        let share = transfer.from_origin.min(size) as f64 / size.max(1) as f64;
        if transfer.has_fallen_back {
            self.lack.learn(share);
        } else if transfer.is_hedged {
            self.lack.forget();
        } else if transfer.from_origin == 0 {
            self.lack.learn(0.0);
        }
    }

    pub(super) fn fetch_failed(&mut self, segment: SegmentId) {
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        if !transfer.is_fetching() {
            return;
        }
        if transfer.piece.take().is_some() {
            // Asked for everything, the origin may bring it, and is given more time.
            transfer.is_indivisible = true;
            self.piece_failures += 1;
            self.have.changed(self.now);
            return;
        }
        transfer.source = Source::Waiting;
        let is_for_a_player = transfer.is_demanded() && transfer.is_unasked;
        transfer.origin_failed_at = (!is_for_a_player).then_some(self.now);
        let is_whole = transfer.is_whole();
        self.have.changed(self.now);
        if is_whole {
            self.verify(segment);
        }
    }

    pub(super) fn rejected(&mut self, segment: SegmentId, peer: Option<PeerKey>) {
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        if transfer.is_fetching() {
            self.outputs.push_back(Output::StopFetch { segment });
        }
        if transfer.contributors.is_empty() && peer.is_none() {
            transfer.origin_failed_at = Some(self.now);
        }
        self.thrown_away(segment, peer);
    }

    pub(super) fn unproven(&mut self, segment: SegmentId) {
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        if transfer.is_fetching() {
            self.outputs.push_back(Output::StopFetch { segment });
        }
        self.throw_away(segment);
    }

    /// What is here of a segment was wrong and is gone: whoever sent it goes too.
    fn thrown_away(&mut self, segment: SegmentId, culprit: Option<PeerKey>) {
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        let suspects = match culprit {
            Some(peer) => BTreeSet::from([peer]),
            None => transfer.contributors.clone(),
        };
        self.throw_away(segment);
        for peer in suspects {
            self.drop_peer(peer, DropReason::Polluted);
        }
    }

    /// What is here of a segment is gone, and only the origin is asked again.
    fn throw_away(&mut self, segment: SegmentId) {
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        transfer.source = Source::Waiting;
        transfer.empty();
        transfer.is_origin_only = true;
        self.cancel_asked(segment);
        self.have.changed(self.now);
    }

    /// All bytes of a segment are here.
    pub(super) fn verify(&mut self, segment: SegmentId) {
        self.cancel_asked(segment);
        if let Some(transfer) = self.transfers.get_mut(&segment) {
            if let Source::Origin { from, received, .. } = transfer.source {
                // What peers sent behind may make it whole before the origin has sent all.
                if transfer.total.is_some_and(|total| from + received < total.bytes) {
                    self.outputs.push_back(Output::StopFetch { segment });
                }
                self.have.changed(self.now);
            }
            if transfer.piece.take().is_some() {
                self.outputs.push_back(Output::StopFetch { segment });
                self.have.changed(self.now);
            }
            transfer.source = Source::Verifying;
            self.outputs.push_back(Output::Verify { segment });
        }
    }
}
