//! What the origin is asked for of a segment that peers bring too: a piece at a time, so that it
//! sends no more than they cannot bring in time.
//!
//! Whether it is asked at all is decided in `schedule` and `parts`. Without state, as those.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::schedule::{Ask, Step};
use super::transfer::{Opened, Transfer};
use super::turn::mix;
use super::wire::CHUNK_BYTES;

/// Less is not worth a request of its own.
const PIECE_BYTES_MIN: u64 = 4 * CHUNK_BYTES;
/// Most that a member brings at a time of what nobody around has.
const RESCUED_BYTES_MAX: u64 = 8 * CHUNK_BYTES;
/// A player's origin request is for this part of what is missing.
const FALLBACK_PART: u64 = 3;
/// Before it must the origin is asked for so many times what peers were found to lack, and for this
/// share of what is missing at least.
const HEDGE_FACTOR: f64 = 2.0;
const HEDGE_SHARE_MIN: f64 = 0.3;
/// In larger swarms the origin's part is small, whatever players that are late ask of it.
const DIVIDED_MEMBERS_MAX: u32 = 300;
/// What takes longer from the origin is not divided: a line that slow may fail for a moment, and
/// has nothing to spare.
const DIVIDED_TIME_MAX: Duration = Duration::from_millis(600);

impl Ask<'_> {
    /// A piece is coming: what peers can bring beside it.
    pub(super) fn beside_piece(&self, is_demanded: bool) -> Step {
        if !is_demanded && self.situation.is_in_a_hurry {
            return Step::Wait;
        }
        let parts = self.parts(is_demanded, None);
        if parts.is_empty() { Step::Wait } else { Step::AskParts(parts) }
    }

    /// It is this member's turn: everything, where nobody is heard to have any of it; else some of
    /// what nobody around has.
    pub(super) fn bring(&self) -> Step {
        self.missing_around().map_or(Step::Fetch, Step::Piece)
    }

    /// It is time to ask the origin: for some of what is missing, as long as peers may bring some
    /// of the rest meanwhile. There is time to ask for that, too: the margin is for twice the time
    /// that all of it takes.
    pub(super) fn fall_back(&self, due: Instant, opened: Opened, transfer: &Transfer) -> Step {
        let is_early = self.situation.now < self.latest_fallback_at(due, opened);
        if let Some(hedge) = self.hedge(transfer).filter(|_| is_early) {
            return Step::Hedge(hedge);
        }
        let piece = self.first_part(transfer).or_else(|| self.gap(transfer));
        piece.map_or(Step::Fetch, Step::Piece)
    }

    /// The largest gap, where asking for everything from the first to the last would bring much
    /// that is here.
    fn gap(&self, transfer: &Transfer) -> Option<Range<u64>> {
        let total = transfer.total?.bytes;
        let is_possible = self.situation.takes_ranges && !transfer.is_indivisible;
        let gaps = transfer.got.gaps(total);
        let span = gaps.last()?.end - gaps.first()?.start;
        let missing: u64 = gaps.iter().map(|gap| gap.end - gap.start).sum();
        let is_worth_it =
            is_possible && span - missing > span / 8 && span - missing > PIECE_BYTES_MIN;
        gaps.into_iter().filter(|_| is_worth_it).max_by_key(|gap| gap.end - gap.start)
    }

    /// As much as peers are likely not to bring, somewhere in what nobody is asked for.
    fn hedge(&self, transfer: &Transfer) -> Option<Range<u64>> {
        let s = self.situation;
        let is_possible = s.takes_ranges && !transfer.is_indivisible && !transfer.is_origin_only;
        let total = transfer.total.filter(|_| is_possible)?.bytes;
        let missing = total.saturating_sub(transfer.got.len());
        let len = (missing as f64 * (s.lack * HEDGE_FACTOR).max(HEDGE_SHARE_MIN)) as u64
            / CHUNK_BYTES
            * CHUNK_BYTES;
        let len = len.max(PIECE_BYTES_MIN);
        if missing < len + PIECE_BYTES_MIN {
            return None;
        }
        let gap = transfer.unasked().into_iter().max_by_key(|g| (g.end - g.start, g.start))?;
        Some(gap.end.saturating_sub(len).max(gap.start)..gap.end)
            .filter(|hedge| hedge.end - hedge.start >= PIECE_BYTES_MIN)
    }

    fn may_be_divided(&self) -> bool {
        self.situation.takes_pieces
            && self.want.transfer.is_none_or(|t| !t.is_indivisible && !t.is_origin_only)
    }

    fn missing_around(&self) -> Option<Range<u64>> {
        let (around, total) = self.around().filter(|_| self.may_be_divided())?;
        if total > self.situation.config.segment_bytes_max || !self.agree_on(total) {
            return None;
        }
        let gaps = around.gaps(total);
        let chance = mix(mix(self.situation.seed ^ total) ^ self.want.segment.0);
        let gap = gaps.get(usize::try_from(chance).unwrap_or(0) % gaps.len().max(1))?;
        let len = gap.end - gap.start;
        if len <= RESCUED_BYTES_MAX {
            return Some(gap.clone());
        }
        let places = (len - RESCUED_BYTES_MAX) / CHUNK_BYTES + 1;
        let start = gap.start + mix(chance) % places * CHUNK_BYTES;
        Some(start..start + RESCUED_BYTES_MAX)
    }

    /// Whether nobody says that the segment has another size.
    fn agree_on(&self, total: u64) -> bool {
        let known = self.want.transfer.and_then(|transfer| transfer.total).map(|t| t.bytes);
        let peers = self.situation.peers.iter();
        let said = peers.filter_map(|c| Some(c.peer.kin.partly(self.want.segment)?.total));
        known.into_iter().chain(said).all(|said| said == total)
    }

    fn first_part(&self, transfer: &Transfer) -> Option<Range<u64>> {
        let total = transfer.total.filter(|_| self.may_be_divided())?.bytes;
        let missing = total.saturating_sub(transfer.got.len());
        let has_help = self.free(true).any(|c| c.peer.is_kin())
            || transfer.asked.values().any(|asked| asked.end.is_some());
        let is_slow = self.situation.downlink.time_for(missing) > DIVIDED_TIME_MAX;
        let is_large = self.situation.members > DIVIDED_MEMBERS_MAX;
        if missing < 2 * PIECE_BYTES_MIN || !has_help || is_slow || is_large {
            return None;
        }
        let most = (missing / FALLBACK_PART).next_multiple_of(CHUNK_BYTES);
        let largest =
            |gaps: Vec<Range<u64>>| gaps.into_iter().max_by_key(|g| (g.end - g.start, !g.start));
        let of_nobody = largest(transfer.unasked());
        let any = || largest(transfer.got.gaps(total));
        let is_enough = |gap: &Range<u64>| gap.end - gap.start >= PIECE_BYTES_MIN;
        let gap = of_nobody.filter(is_enough).or_else(|| any().filter(is_enough))?;
        Some(gap.start..gap.end.min(gap.start + most))
    }
}
