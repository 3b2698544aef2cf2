//! Who is being served what: one serve per peer, and no more at a time than the uplink carries.
//!
//! A segment that reaches few peers in time is passed on by them; one that reaches many too late
//! helps nobody. It neither knows whether a segment is held nor sends anything. Driven by `hear`.

use std::collections::BTreeMap;
use std::time::Instant;

use super::rate::Throughput;
use crate::ids::PeerKey;

/// Peers that may be served however slow the uplink is.
const SLOTS_MIN: usize = 2;

/// The serves in progress, at most `max` of them.
#[derive(Debug)]
pub(super) struct Uploads {
    running: BTreeMap<PeerKey, Serve>,
    max: usize,
    uplink: Throughput,
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
        Self { running: BTreeMap::new(), max, uplink: Throughput::default() }
    }

    /// Ends what that peer is being sent; its request number if there was something.
    pub(super) fn take(&mut self, peer: PeerKey) -> Option<u64> {
        self.running.remove(&peer).map(|serve| serve.request)
    }

    /// Notes a serve of `bytes`, if there is a slot: as many as get the media at the pace it is
    /// played, `media_bytes_per_second`.
    pub(super) fn start(
        &mut self,
        now: Instant,
        peer: PeerKey,
        request: u64,
        bytes: u64,
        media_bytes_per_second: f64,
    ) -> bool {
        let carried = self.uplink.get().map_or(f64::MAX, |rate| rate / media_bytes_per_second);
        let slots = (carried as usize).max(SLOTS_MIN).min(self.max);
        let has_slot = self.running.len() < slots;
        if has_slot {
            self.running.insert(peer, Serve { request, bytes, since: now });
        }
        has_slot
    }

    /// Ends that serve; whether it was in progress.
    pub(super) fn end(&mut self, peer: PeerKey, request: u64) -> bool {
        let is_running = self.running.get(&peer).is_some_and(|serve| serve.request == request);
        if is_running {
            self.running.remove(&peer);
        }
        is_running
    }

    /// That serve went through to its end: what it took, times those beside it, is the uplink.
    pub(super) fn completed(&mut self, now: Instant, peer: PeerKey, request: u64) {
        let beside = self.running.len() as u64;
        if let Some(serve) = self.running.get(&peer).copied()
            && self.end(peer, request)
        {
            let elapsed = now.saturating_duration_since(serve.since);
            self.uplink.learn(serve.bytes.saturating_mul(beside), elapsed);
        }
    }

    /// Serves in progress.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_slow_uplink_serves_fewer_peers_but_never_none() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        let start =
            |uploads: &mut Uploads, peer| uploads.start(t, PeerKey(peer), 0, 1_000_000, 250_000.0);
        assert_eq!((0..20).filter(|peer| start(&mut uploads, *peer)).count(), 8);
        // One of eight took 8 s for 1 MB: 1 MB/s in all, enough for four.
        uploads.completed(t + Duration::from_secs(8), PeerKey(0), 0);
        assert_eq!((0..8).filter_map(|peer| uploads.take(PeerKey(peer))).count(), 7);
        assert_eq!((0..20).filter(|peer| start(&mut uploads, *peer)).count(), 4);
        for _ in 0..20 {
            uploads.completed(t + Duration::from_secs(800), PeerKey(0), 0);
            start(&mut uploads, 0);
        }
        assert_eq!((0..8).filter_map(|peer| uploads.take(PeerKey(peer))).count(), 3);
        assert_eq!((0..20).filter(|peer| start(&mut uploads, *peer)).count(), 2);
    }

    #[test]
    fn the_end_of_a_serve_that_was_replaced_says_nothing() {
        let t = Instant::now();
        let mut uploads = Uploads::new(8);
        assert!(uploads.start(t, PeerKey(1), 4, 1, 1.0));
        uploads.completed(t, PeerKey(1), 3);
        assert!(!uploads.end(PeerKey(1), 3));
        assert_eq!(uploads.take(PeerKey(1)), Some(4));
    }
}
