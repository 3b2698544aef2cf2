//! The origin is asked: for all that is missing of a segment, or for a piece of it.
//!
//! Whether, and for what, is decided in `schedule` and `pieces`. Driven by `conduct`.

use std::ops::Range;
use std::time::Duration;

use super::Output;
use super::state::Swarm;
use super::transfer::{Asked, Piece, Source, Transfer};
use crate::ids::SegmentId;

/// An origin that failed so often to bring a piece, one after the other, is asked for whole
/// segments.
const PIECE_FAILURES_MAX: u32 = 2;
/// Where peers bring less of what players wait for they are not given more time.
const PIECE_SCARCITY_MAX: f64 = 0.25;
/// An origin that takes longer to answer is asked for whole segments.
const PIECE_WAIT_MAX: Duration = Duration::from_millis(800);

impl Swarm {
    pub(super) fn fetch(&mut self, segment: SegmentId) {
        self.give_up_peers(segment);
        let size = self.window.size(segment);
        let transfer = self.transfers.entry(segment).or_insert_with(|| Transfer::new(size));
        let (from, end) = transfer.missing_span();
        transfer.source =
            Source::Origin { since: self.now, from, received: 0, before: self.arrived };
        transfer.is_unasked = !transfer.is_demanded();
        self.outputs.push_back(Output::Fetch { segment, from, end });
        self.have.changed_urgently(self.now);
    }

    /// Asks the origin for some of a segment; peers go on with the rest.
    pub(super) fn fetch_piece(&mut self, segment: SegmentId, piece: &Range<u64>) {
        let size = self.window.size(segment);
        let transfer = self.transfers.entry(segment).or_insert_with(|| Transfer::new(size));
        let is_in_it =
            |asked: &Asked| asked.from < piece.end && asked.end.is_none_or(|end| piece.start < end);
        let taken_over = transfer.asked.iter().filter(|(_, asked)| is_in_it(asked));
        let keys: Vec<_> = taken_over.map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.give_up_peer(segment, key));
        let Some(transfer) = self.transfers.get_mut(&segment) else { return };
        let Range { start: from, end } = *piece;
        transfer.piece = Some(Piece { since: self.now, before: self.arrived, from, at: from, end });
        self.outputs.push_back(Output::FetchPiece { segment, from, end });
        self.have.changed_urgently(self.now);
    }

    /// The origin is about to be asked: is that because peers did not bring it in time?
    pub(super) fn note_fallback(&mut self, segment: SegmentId) {
        let has_holders = self.peers.values().any(|peer| peer.has_some(segment));
        if let Some(transfer) = self.transfers.get_mut(&segment) {
            transfer.has_fallen_back |= transfer.is_demanded() && has_holders;
        }
    }

    /// Asks the origin for some of a segment before it must be.
    pub(super) fn hedge(&mut self, segment: SegmentId, piece: &Range<u64>) {
        if let Some(transfer) = self.transfers.get_mut(&segment) {
            transfer.is_hedged = true;
        }
        self.fetch_piece(segment, piece);
    }

    /// Whether the origin brings some of a segment, and is quick enough to be asked several times
    /// for one.
    pub(super) fn takes_ranges(&self) -> bool {
        self.piece_failures < PIECE_FAILURES_MAX
            && self.origin_wait.is_none_or(|wait| wait < PIECE_WAIT_MAX)
    }

    /// Whether late segments are divided between peers and the origin on lines with time to spare.
    pub(super) fn takes_pieces(&self) -> bool {
        self.takes_ranges() && self.scarcity.get() < PIECE_SCARCITY_MAX
    }
}
