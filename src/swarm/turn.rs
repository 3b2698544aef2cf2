//! When this member fetches a live segment for all: whose turn it is first, and whose if that one
//! fails.
//!
//! Every member computes its own turn, from a hash of its id and the segment: nobody is asked, and
//! few have the same. Without state, as `schedule`, which asks when it is.

use std::time::{Duration, Instant};

use super::Config;
use super::ranges::Ranges;
use super::schedule::Ask;
use crate::ids::{PeerId, SegmentId};

/// Share of a live swarm that fetches from the origin unasked, once there are many.
const SEATS_SHARE: f64 = 0.005;
/// Longest the ramp is computed to take: the due time comes long before.
const RAMP_MAX_S: f64 = 3600.0;

impl Ask<'_> {
    /// When this member is to fetch a live segment for all, if it is: on its turn when nobody is
    /// heard to have any of it, later when what there is of it does not become whole.
    pub(super) fn turn_at(&self) -> Option<Instant> {
        let s = self.situation;
        if !s.is_live || self.is_whole_around() {
            return None;
        }
        let patience = match self.nearest() {
            Some(_) => s.config.rescue_after,
            None => Duration::ZERO,
        };
        let ramp = ramp(s.me, self.want.segment, s.members, s.weight, s.config);
        Some(self.want.since + patience + ramp)
    }

    /// How far it is to somebody who has some of the segment.
    pub(super) fn nearest(&self) -> Option<u64> {
        let segment = self.want.segment;
        self.situation.peers.iter().filter_map(|c| c.peer.distance(segment)).min()
    }

    /// Whether the peers, and what is here, make up the whole segment.
    fn is_whole_around(&self) -> bool {
        let segment = self.want.segment;
        self.situation.peers.iter().any(|c| c.peer.holds(segment))
            || self.around().is_some_and(|(ranges, total)| ranges.prefix() >= total)
    }

    /// What the peers have in part and what is here, together, and the size of the whole, if any
    /// of them has some.
    pub(super) fn around(&self) -> Option<(Ranges, u64)> {
        let segment = self.want.segment;
        let mut ranges = self.want.transfer.map(|t| t.got.clone()).unwrap_or_default();
        let mut total = None;
        for partly in self.situation.peers.iter().filter_map(|c| c.peer.kin.partly(segment)) {
            partly.ranges.iter().for_each(|range| ranges.insert(range.clone()));
            total = Some(partly.total);
        }
        Some((ranges, total?))
    }
}

/// How long after a live segment appeared this member fetches it although nobody asked: the
/// threshold `K / members` doubles every `ramp_doubling` until it passes this member's hash.
fn ramp(me: PeerId, segment: SegmentId, members: u32, weight: f64, config: &Config) -> Duration {
    let members = f64::from(members.max(1));
    let seats = (SEATS_SHARE * members).max(1.0) * weight;
    let hash = me.0.iter().fold(segment.0, |hash, byte| mix(hash ^ u64::from(*byte)));
    let share = hash as f64 / u64::MAX as f64;
    let doublings = (share * members / seats).max(1.0).log2();
    let seconds = doublings * config.ramp_doubling.as_secs_f64();
    Duration::from_secs_f64(seconds.min(RAMP_MAX_S))
}

/// One step of SplitMix64: every bit of the input decides about every bit of the output.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
