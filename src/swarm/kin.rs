//! What members of our own kind say beside what browsers say: which chunks of a segment they have
//! already, and what they count on.
//!
//! A peer is a stranger here, too: what it says is cut to its limits. What follows from it is
//! decided in `schedule` and `parts`. Driven by `hear`.

use std::collections::BTreeMap;

use super::ranges::Ranges;
use super::wire::{CHUNK_BYTES, HOPS_MAX};
use crate::ids::SegmentId;

/// Most segments a peer may hold in part; the oldest are forgotten.
const PARTLY_MAX: usize = 32;
/// Most segments a peer may count on.
const COMING_MAX: usize = 256;

/// What one peer said.
#[derive(Debug, Default)]
pub(super) struct Kin {
    partly: BTreeMap<SegmentId, Partly>,
    /// Segments it counts on with the hops to whoever has some of it, in order.
    coming: Vec<(u64, u64)>,
}

/// A segment of which a peer has some chunks.
#[derive(Debug)]
pub(super) struct Partly {
    /// Bytes of the whole segment, as the peer says.
    pub(super) total: u64,
    /// The chunks it has.
    pub(super) ranges: Ranges,
}

impl Kin {
    /// It has these chunks of a segment.
    pub(super) fn holding(&mut self, segment: SegmentId, total: u64, chunks: &[u64]) {
        let mut ranges = Ranges::default();
        for chunk in chunks {
            let start = (chunk * CHUNK_BYTES).min(total);
            ranges.insert(start..(start + CHUNK_BYTES).min(total));
        }
        self.partly.insert(segment, Partly { total, ranges });
        if self.partly.len() > PARTLY_MAX {
            self.partly.pop_first();
        }
    }

    /// It has these segments whole.
    pub(super) fn settle(&mut self, whole: &[u64]) {
        self.partly.retain(|id, _| whole.binary_search(&id.0).is_err());
    }

    /// It counts on these segments.
    pub(super) fn coming(&mut self, mut segments: Vec<(u64, u64)>) {
        segments.truncate(COMING_MAX);
        segments.sort_unstable();
        self.coming = segments;
    }

    /// What it has of a segment.
    pub(super) fn partly(&self, segment: SegmentId) -> Option<&Partly> {
        self.partly.get(&segment)
    }

    /// How far from it somebody has some of the segment, if it counts on it.
    pub(super) fn hops(&self, segment: SegmentId) -> Option<u64> {
        let at = self.coming.partition_point(|(id, _)| *id < segment.0);
        self.coming.get(at).filter(|(id, _)| *id == segment.0).map(|(_, hops)| *hops)
    }
}

/// The chunks that lie whole in what is here of a segment of `total` bytes, by number.
pub(super) fn chunks(ranges: &Ranges, total: u64) -> Vec<u64> {
    let within = |range: &std::ops::Range<u64>| {
        let behind =
            if range.end >= total { total.div_ceil(CHUNK_BYTES) } else { range.end / CHUNK_BYTES };
        range.start.div_ceil(CHUNK_BYTES)..behind
    };
    ranges.iter().flat_map(within).collect()
}

/// How far from whoever has some of a segment a member may be that counts on it.
pub(super) fn next_hop(nearest: u64) -> Option<u64> {
    Some(nearest + 1).filter(|hops| *hops <= HOPS_MAX)
}
