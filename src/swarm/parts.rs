//! Which parts of a segment members of our own kind are asked for: several side by side, each for
//! a run of chunks that it has and nobody else is asked for.
//!
//! Whether peers are asked at all is decided in `schedule`; what becomes of a segment once parts of
//! it are coming, here. Without state, as that.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Reason;
use super::peer::{Download, late_from};
use super::ranges::Ranges;
use super::rate::time_for;
use super::schedule::{Answer, Ask, Candidate, RECHECK_MIN, Step};
use super::transfer::{Opened, Transfer};
use super::turn::mix;
use super::wire::CHUNK_BYTES;
use crate::ids::PeerKey;

/// Time a part should take.
const PART_TIME: Duration = Duration::from_millis(600);
/// What is asked of a peer whose rate is not known yet.
const PART_BYTES_UNKNOWN: u64 = 3 * CHUNK_BYTES;
/// Most bytes of one part.
const PART_BYTES_MAX: u64 = 4 * CHUNK_BYTES;
/// Most peers that bring parts of one segment at the same time.
const PARTS_MAX: usize = 12;
/// A peer known to need longer for a chunk is not asked.
const CHUNK_TIME_MAX: Duration = Duration::from_secs(2);
/// What is due sooner is asked for in order.
const IN_ORDER_BEFORE: Duration = Duration::from_secs(2);
/// A part that takes longer still is taken from its peer when another is much quicker.
const SLOW_PART: Duration = Duration::from_millis(800);
/// From when on a peer's rate says enough to leave it for another.
const PROVEN_AFTER: Duration = Duration::from_millis(300);

impl Ask<'_> {
    /// Parts are coming from peers: ask more, leave slow ones, or go to the origin when it is time.
    pub(super) fn keep_parts(&self, due: Instant, opened: Opened, transfer: &Transfer) -> Answer {
        let s = self.situation;
        if let Some(step) = self.whom_to_ask(true, None) {
            return (step, None);
        }
        if let Some(peer) = self.slow_part(transfer) {
            return (Step::Leave(peer), None);
        }
        if transfer.origin_failed_at.is_some() {
            return (Step::Wait, None);
        }
        let downloads = || transfer.asked.keys().filter_map(|key| self.download(*key));
        let fallback_at = self.fallback_at(due, opened);
        let (finish_by, unproven_until) = if opened.is_urgent {
            let judged_from = downloads().filter_map(Download::judged_from).min();
            let patience_ends = opened.at + s.config.urgent_first_byte;
            (self.urgent_finish(opened), judged_from.unwrap_or(patience_ends))
        } else {
            (self.finish_by(due, opened), fallback_at)
        };
        let turn_at = self.turn_at().filter(|_| s.config.upload);
        if turn_at.is_some_and(|at| at <= s.now) {
            return (self.bring(), None);
        }
        if s.now < unproven_until {
            let until = Some((unproven_until, Reason::Progress));
            return (
                Step::Wait,
                until.into_iter().chain(turn_at.map(|at| (at, Reason::Ramp))).min(),
            );
        }
        let is_all_asked = transfer.total.is_some() && transfer.unasked().is_empty();
        let late_from: Option<Vec<_>> =
            downloads().map(|download| late_from(s.now, finish_by, download)).collect();
        match late_from.and_then(|all| all.into_iter().min()).filter(|_| is_all_asked) {
            Some(late_from) => {
                let until = late_from.max(s.now + RECHECK_MIN);
                (Step::Wait, Some((until, Reason::Progress)))
            }
            None if opened.is_urgent => (Step::Fetch, None),
            None => (self.fall_back(due, opened, transfer), None),
        }
    }

    /// Parts that nobody is asked for yet, each with a free peer of our own kind that has it.
    pub(super) fn parts(
        &self,
        may_preempt: bool,
        finish_by: Option<Instant>,
    ) -> Vec<(PeerKey, Range<u64>)> {
        let asked = self.want.transfer.map_or(0, |t| t.asked.len());
        let mut free = self.free_kin(may_preempt, finish_by);
        if free.is_empty() || asked >= PARTS_MAX {
            return Vec::new();
        }
        let Some(total) = self.total(&free) else {
            // The first answer tells how much there is.
            let first = free.first().filter(|_| asked == 0).map(|c| c.key);
            return first.into_iter().map(|key| (key, 0..PART_BYTES_UNKNOWN)).collect();
        };
        free.truncate(PARTS_MAX - asked);
        let mut missing = self
            .want
            .transfer
            .map_or_else(|| Ranges::default().gaps(total), |transfer| transfer.unasked_of(total));
        let share = missing.iter().map(|gap| gap.end - gap.start).sum::<u64>() / free.len() as u64;
        let mut parts = Vec::new();
        for candidate in free {
            if let Some(part) = self.part(candidate, &missing, total, share) {
                missing = without(&missing, &part);
                parts.push((candidate.key, part));
            }
        }
        parts
    }

    /// A run of chunks for that peer: at a random place, but the first there is when time is short.
    fn part(
        &self,
        candidate: &Candidate,
        missing: &[Range<u64>],
        total: u64,
        share: u64,
    ) -> Option<Range<u64>> {
        let segment = self.want.segment;
        let offered = match candidate.peer.kin.partly(segment) {
            Some(partly) if !candidate.peer.holds(segment) => partly.ranges.common(missing),
            _ => missing.to_vec(),
        };
        let rate = candidate.peer.throughput.get();
        let in_time =
            rate.map_or(PART_BYTES_UNKNOWN, |rate| (rate * PART_TIME.as_secs_f64()) as u64);
        let size = in_time.min(share.max(2 * CHUNK_BYTES)).clamp(CHUNK_BYTES, PART_BYTES_MAX)
            / CHUNK_BYTES
            * CHUNK_BYTES;
        let chance = mix(mix(self.situation.seed ^ u64::from(candidate.key.0)) ^ segment.0 ^ total);
        let at = if self.is_short_of_time() { 0 } else { chance as usize % offered.len().max(1) };
        let run = offered.get(at)?;
        let len = run.end - run.start;
        let mut start = run.start;
        if !self.is_short_of_time() && len > size {
            let places = (len - size) / CHUNK_BYTES + 1;
            start += (mix(chance) % places) * CHUNK_BYTES;
        }
        // A rest too small to be worth a request of its own goes with the part before it.
        let end = if run.end - start < size + CHUNK_BYTES { run.end } else { start + size };
        Some(start..end)
    }

    fn is_short_of_time(&self) -> bool {
        self.want.due.is_some_and(|due| due < self.situation.now + IN_ORDER_BEFORE)
    }

    /// Bytes of the segment, as far as anybody has said.
    fn total(&self, free: &[&Candidate]) -> Option<u64> {
        let known = self.want.transfer.and_then(|t| t.total).map(|total| total.bytes);
        let said = |c: &&Candidate| Some(c.peer.kin.partly(self.want.segment)?.total);
        known.or_else(|| free.iter().find_map(said)).filter(|total| *total > 0)
    }

    /// Peers of our own kind that have some of it and may be asked: everybody gets work, the quick
    /// more often, for all asking the quickest would help nobody.
    fn free_kin(&self, may_preempt: bool, finish_by: Option<Instant>) -> Vec<&Candidate<'_>> {
        let s = self.situation;
        let time = finish_by
            .map_or(CHUNK_TIME_MAX, |by| by.saturating_duration_since(s.now).min(CHUNK_TIME_MAX));
        let is_quick = |c: &&Candidate| {
            c.peer.throughput.get().is_none_or(|rate| time_for(CHUNK_BYTES, rate) <= time)
        };
        let mut free: Vec<_> =
            self.free(may_preempt).filter(|c| c.peer.is_kin()).filter(is_quick).collect();
        free.sort_by_cached_key(|c| {
            let rate = c.peer.throughput.get().unwrap_or(s.average);
            let chance = mix(s.seed ^ u64::from(c.key.0) ^ mix(self.want.segment.0));
            let chance = chance as f64 / u64::MAX as f64;
            let is_idle = c.peer.download.is_none();
            Reverse((is_idle, c.peer.is_near, (rate * (0.5 + chance)) as u64, c.key))
        });
        free
    }

    /// A peer whose part another could bring much sooner.
    pub(super) fn slow_part(&self, transfer: &Transfer) -> Option<PeerKey> {
        let slowest = transfer.asked.iter().filter_map(|(key, asked)| {
            let download = self.download(*key)?;
            let rate = download.rate().filter(|_| download.flowing_for() >= Some(PROVEN_AFTER))?;
            let left = download.remaining()?;
            Some((*key, asked, left, time_for(left, rate)))
        });
        let (key, asked, left, left_time) = slowest.max_by_key(|(_, _, _, time)| *time)?;
        let end = asked.end?;
        let is_quicker = |c: &Candidate| {
            let has = c.peer.holds(self.want.segment)
                || c.peer.kin.partly(self.want.segment).is_some_and(|partly| {
                    partly.ranges.contains(&(end.saturating_sub(left)..end.min(partly.total)))
                });
            has && c.peer.throughput.get().is_some_and(|rate| time_for(left, rate) * 3 < left_time)
        };
        let is_slow =
            left_time > SLOW_PART && self.free(false).filter(|c| c.peer.is_kin()).any(is_quicker);
        is_slow.then_some(key)
    }
}

/// What is left of those ranges without that one.
fn without(ranges: &[Range<u64>], taken: &Range<u64>) -> Vec<Range<u64>> {
    let cut = |range: &Range<u64>| {
        [range.start..range.end.min(taken.start), range.start.max(taken.end)..range.end]
    };
    ranges.iter().flat_map(cut).filter(|range| !range.is_empty()).collect()
}
