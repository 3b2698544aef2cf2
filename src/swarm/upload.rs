//! Who is being served what: one serve per peer, and no more at a time than the uplink carries.
//!
//! A segment that reaches few peers in time is passed on by them; one that reaches many too late
//! helps nobody. It neither knows whether a segment is held nor sends anything. Driven by `hear`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::rate::sample;
use crate::ids::{PeerKey, SegmentId};

/// Peers served side by side, besides those a place is kept for: a segment that reaches few soon is
/// passed on by them.
const SIDE_BY_SIDE: usize = 4;
/// A place is kept so long for a peer that was sent a part and probably wants the next: one that
/// has a segment whole passes it on, many that have parts of it do not.
const KEPT_FOR: Duration = Duration::from_millis(200);
/// Those a place is kept for are taken to be so much stronger.
const KEPT_WEIGHT: f64 = 2.0;
/// How much of a drop of the uplink's rate is believed at once.
const DROP_WEIGHT: f64 = 0.1;
/// Peers whose rate is remembered.
const RATES_MAX: usize = 256;
/// Who has waited for a place so long is sent elsewhere, before it takes us for dead.
const WAIT_MAX: Duration = Duration::from_millis(1500);

/// What a peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The segment.
    pub(super) segment: SegmentId,
    /// The peer's number for the request.
    pub(super) request: u64,
    /// First byte wanted.
    pub(super) from: u64,
    /// First byte no longer wanted; `None`: everything to the end.
    pub(super) end: Option<u64>,
}

/// The serves in progress, at most `max` of them.
#[derive(Debug)]
pub(super) struct Uploads {
    /// Who waits for a place, since when: one request of each peer.
    waiting: BTreeMap<PeerKey, (Instant, Wanted)>,
    running: BTreeMap<PeerKey, Serve>,
    /// Until when a place is kept for a peer.
    kept: BTreeMap<PeerKey, Instant>,
    /// How fast each peer took what it was sent last, in bytes per second.
    rates: BTreeMap<PeerKey, f64>,
    max: usize,
    /// What went out at a time at most, in bytes per second.
    uplink: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Serve {
    request: u64,
    bytes: u64,
    since: Instant,
}

impl Uploads {
    /// Nobody is served.
    pub(super) fn new(max: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            kept: BTreeMap::new(),
            rates: BTreeMap::new(),
            max,
            uplink: None,
        }
    }

    /// Ends what that peer is being sent; its request number if there was something.
    pub(super) fn take(&mut self, peer: PeerKey) -> Option<u64> {
        self.running.remove(&peer).map(|serve| serve.request)
    }

    /// That peer is gone.
    pub(super) fn forget(&mut self, peer: PeerKey) {
        self.waiting.remove(&peer);
        self.running.remove(&peer);
        self.kept.remove(&peer);
        self.rates.remove(&peer);
    }

    /// That peer waits for a place.
    pub(super) fn queue(&mut self, now: Instant, peer: PeerKey, wanted: Wanted) {
        self.waiting.insert(peer, (now, wanted));
    }

    /// It waits no more.
    pub(super) fn unqueue(&mut self, peer: PeerKey) {
        self.waiting.remove(&peer);
    }

    /// Those who have waited for too long, and now wait no more.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(PeerKey, Wanted)> {
        let is_overdue = |since: Instant| since + WAIT_MAX <= now;
        let overdue = self.waiting.iter().filter(|(_, (since, _))| is_overdue(*since));
        let overdue: Vec<_> = overdue.map(|(peer, (_, wanted))| (*peer, *wanted)).collect();
        overdue.iter().for_each(|(peer, _)| self.unqueue(*peer));
        overdue
    }

    /// Whether anybody waits.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Who waits: for the segments first that the fewest hold, then for the oldest; of those who
    /// wait for the same, whom a place is kept for and then the strongest.
    pub(super) fn waiting_by(
        &mut self,
        now: Instant,
        strength: impl Fn(&PeerKey) -> f64,
        holders: impl Fn(SegmentId) -> usize,
    ) -> Vec<(PeerKey, Wanted)> {
        self.kept.retain(|_, until| *until > now);
        let mut waiting: Vec<_> = self.waiting.iter().map(|(p, (_, w))| (*p, *w)).collect();
        waiting.sort_by_cached_key(|(peer, _)| {
            let is_kept = self.kept.contains_key(peer);
            let strength = strength(peer) * if is_kept { KEPT_WEIGHT } else { 1.0 };
            let segment = self.waiting[peer].1.segment;
            (holders(segment), segment, Reverse(strength as u64), *peer)
        });
        waiting
    }

    /// When somebody has waited for too long, or a kept place is free for others.
    pub(super) fn next_turn_at(&self, now: Instant) -> Option<Instant> {
        let overdue_at = self.waiting.values().map(|(since, _)| *since + WAIT_MAX).min()?;
        let free_at = self.kept.values().copied().filter(|until| *until > now).min();
        Some(free_at.map_or(overdue_at, |free_at| free_at.min(overdue_at)))
    }

    /// Notes a serve of `bytes`, if there is a place for that peer.
    pub(super) fn start(&mut self, now: Instant, peer: PeerKey, request: u64, bytes: u64) -> bool {
        self.kept.retain(|_, until| *until > now);
        let is_kept = self.kept.remove(&peer).is_some();
        let has_place =
            self.running.len() < self.max && (is_kept || self.running.len() < SIDE_BY_SIDE);
        if has_place {
            self.running.insert(peer, Serve { request, bytes, since: now });
        }
        has_place
    }

    /// Ends that serve; whether it was in progress.
    pub(super) fn end(&mut self, peer: PeerKey, request: u64) -> bool {
        let is_running = self.running.get(&peer).is_some_and(|serve| serve.request == request);
        if is_running {
            self.running.remove(&peer);
        }
        is_running
    }

    /// That serve went through to its end: its rate and what went out beside it is the uplink's.
    pub(super) fn completed(&mut self, now: Instant, peer: PeerKey, request: u64) {
        let Some(serve) = self.running.get(&peer).copied().filter(|s| s.request == request) else {
            return;
        };
        self.running.remove(&peer);
        self.kept.insert(peer, now + KEPT_FOR);
        let Some(rate) = sample(serve.bytes, now.saturating_duration_since(serve.since)) else {
            return;
        };
        if self.rates.len() >= RATES_MAX && !self.rates.contains_key(&peer) {
            self.rates.pop_first();
        }
        self.rates.insert(peer, rate);
        let beside: f64 = self.running.keys().filter_map(|peer| self.rates.get(peer)).sum();
        let known = self.uplink.unwrap_or(0.0);
        let seen = rate + beside;
        // One peer alone may be slow itself.
        let weight = if self.running.is_empty() { 0.0 } else { DROP_WEIGHT };
        self.uplink = Some(if seen > known { seen } else { known + weight * (seen - known) });
    }

    /// What goes out at most, in bytes per second, once that is known.
    pub(super) fn uplink(&self) -> Option<f64> {
        self.uplink
    }

    /// Serves in progress.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves of 1 MB until nobody finds a place; how many did.
    fn fill(uploads: &mut Uploads, at: Instant) -> usize {
        (0..20).filter(|peer| uploads.start(at, PeerKey(*peer), 0, 1_000_000)).count()
    }

    #[test]
    fn so_many_are_served_side_by_side_and_one_for_whom_a_place_is_kept() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        assert_eq!(fill(&mut uploads, t), SIDE_BY_SIDE);
        uploads.completed(t + Duration::from_secs(1), PeerKey(1), 0);
        let soon = t + Duration::from_millis(1100);
        assert!(uploads.start(soon, PeerKey(9), 0, 1_000_000), "a place is free");
        assert!(!uploads.start(soon, PeerKey(10), 0, 1_000_000));
        assert!(uploads.start(soon, PeerKey(1), 1, 1_000_000), "one is kept");
        assert_eq!(uploads.len(), SIDE_BY_SIDE + 1);
        assert_eq!(uploads.take(PeerKey(1)), Some(1));
        assert!(!uploads.start(soon, PeerKey(1), 2, 1_000_000), "it is kept once");
    }

    #[test]
    fn a_place_is_not_kept_for_long() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        assert_eq!(fill(&mut uploads, t), SIDE_BY_SIDE);
        uploads.completed(t, PeerKey(1), 0);
        assert!(uploads.start(t, PeerKey(9), 0, 1_000_000));
        assert!(!uploads.start(t + KEPT_FOR, PeerKey(1), 1, 1_000_000));
    }

    #[test]
    fn no_more_are_served_than_allowed_whatever_is_kept() {
        let t = Instant::now();
        let mut uploads = Uploads::new(2);
        assert!(uploads.start(t, PeerKey(1), 0, 1_000_000));
        uploads.completed(t, PeerKey(1), 0);
        assert_eq!(fill(&mut uploads, t), 2);
        uploads.completed(t, PeerKey(0), 0);
        assert!(uploads.start(t, PeerKey(5), 0, 1_000_000));
        assert!(!uploads.start(t, PeerKey(0), 1, 1_000_000));
    }

    #[test]
    fn what_the_fewest_hold_comes_first_then_older_then_who_was_just_served_then_the_strong() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        assert!(uploads.start(t, PeerKey(3), 0, 1_000_000));
        uploads.completed(t, PeerKey(3), 0);
        let wanted =
            |segment| Wanted { segment: SegmentId(segment), request: 1, from: 0, end: None };
        for (peer, segment) in [(1, 7), (2, 8), (3, 8), (4, 8), (5, 9)] {
            uploads.queue(t, PeerKey(peer), wanted(segment));
        }
        let strength = |peer: &PeerKey| if peer.0 == 4 { 150.0 } else { 100.0 };
        let holders = |segment: SegmentId| usize::from(segment.0 != 9);
        let waiting = uploads.waiting_by(t, strength, holders).into_iter();
        assert_eq!(waiting.map(|(peer, _)| peer.0).collect::<Vec<_>>(), [5, 1, 3, 4, 2]);
    }

    #[test]
    fn who_has_waited_too_long_is_told_so_once() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        let wanted = Wanted { segment: SegmentId(7), request: 1, from: 0, end: None };
        uploads.queue(t, PeerKey(1), wanted);
        assert_eq!(uploads.next_turn_at(t), Some(t + WAIT_MAX));
        assert_eq!(uploads.overdue(t + WAIT_MAX / 2), []);
        assert_eq!(uploads.overdue(t + WAIT_MAX), [(PeerKey(1), wanted)]);
        assert!(!uploads.is_awaited());
    }

    #[test]
    fn the_uplink_is_what_went_out_side_by_side_and_one_slow_peer_says_little() {
        let t = Instant::now();
        let at = |seconds| t + Duration::from_secs(seconds);
        let mut uploads = Uploads::new(8);
        assert_eq!(uploads.uplink(), None);
        for peer in 0..2 {
            assert!(uploads.start(t, PeerKey(peer), 0, 1_000_000));
        }
        uploads.completed(at(1), PeerKey(0), 0);
        assert!(uploads.start(at(1), PeerKey(0), 1, 1_000_000));
        uploads.completed(at(1), PeerKey(1), 0);
        assert_eq!(uploads.uplink(), Some(2e6));
        uploads.completed(at(2), PeerKey(0), 1);
        assert!(uploads.start(at(3), PeerKey(7), 2, 100_000));
        uploads.completed(at(4), PeerKey(7), 2);
        assert_eq!(uploads.uplink(), Some(2e6), "it may have been slow itself");
    }

    #[test]
    fn the_rates_of_so_many_peers_are_remembered_at_most() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        for peer in 0..1000 {
            assert!(uploads.start(t, PeerKey(peer), 0, 20_000));
            uploads.completed(t + Duration::from_secs(1), PeerKey(peer), 0);
            uploads.kept.clear();
        }
        assert_eq!(uploads.rates.len(), RATES_MAX);
    }

    #[test]
    fn the_end_of_a_serve_that_was_replaced_says_nothing() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        assert!(uploads.start(t, PeerKey(1), 4, 1));
        uploads.completed(t, PeerKey(1), 3);
        assert!(!uploads.end(PeerKey(1), 3));
        assert_eq!(uploads.take(PeerKey(1)), Some(4));
    }
}
