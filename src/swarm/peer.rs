//! One peer: what it says it holds, how fast it was, and the one download it is asked for.
//!
//! A peer is a stranger: every method takes what it said and answers whether that is acceptable;
//! what follows (a strike, the end of the connection) is `hear`'s business.

use std::time::{Duration, Instant};

use super::DropReason;
use super::kin::Kin;
use super::rate::{Bucket, Throughput, time_for};
use crate::ids::{PeerId, SegmentId};

/// Most segment ids remembered of one announcement, held and loading together.
const IDS_MAX: usize = 65_536;
/// Announcements accepted per second, and at once: a browser says twice of each segment, however
/// short, that it has another list now.
const ANNOUNCEMENTS_PER_SECOND: u32 = 200;
const ANNOUNCEMENTS_BURST: u32 = 800;
/// An announcement with so many more segment ids counts for one more.
const ANNOUNCEMENT_IDS: usize = 512;
/// Requests answered per second, and at once.
const REQUESTS_PER_SECOND: u32 = 200;
const REQUESTS_BURST: u32 = 400;
/// A peer with so many messages too many, and no success between, is dropped.
const EXCESS_MAX: u32 = 60;
/// Request numbers stay below this: browsers write them in decimal digits of that many.
const REQUEST_MAX: u64 = 1_000_000_000;
/// A transfer's rate is not judged before it has flowed for this long.
const JUDGED_AFTER: Duration = Duration::from_millis(300);

/// What is known about a connected peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// Who it is.
    pub(super) id: PeerId,
    /// Since when it is connected.
    pub(super) connected_at: Instant,
    /// Whether it is on the local network.
    pub(super) is_near: bool,
    /// Strikes since its last success.
    pub(super) strikes: u32,
    /// Messages too many since its last success.
    pub(super) excess: u32,
    /// Verified segments it contributed to.
    pub(super) given: u64,
    /// How fast it sends.
    pub(super) throughput: Throughput,
    /// What it is asked for now.
    pub(super) download: Option<Download>,
    /// What it said as a member of our own kind.
    pub(super) kin: Kin,
    loaded: Vec<u64>,
    loading: Vec<u64>,
    announcements: Bucket,
    requests: Bucket,
    request_next: u64,
}

/// A request to a peer and what came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Download {
    /// The segment asked for.
    pub(super) segment: SegmentId,
    /// Our number for the request.
    pub(super) request: u64,
    /// First byte asked for.
    pub(super) from: u64,
    /// First byte no longer asked for; `None`: everything to the end.
    pub(super) end: Option<u64>,
    /// Bytes the peer said will follow.
    pub(super) size: Option<u64>,
    /// Bytes that did.
    pub(super) received: u64,
    /// When something last arrived, or the request was sent.
    pub(super) moved_at: Instant,
    /// When it said that bytes will follow: what its rate is counted from, for the first bytes
    /// count as well.
    pub(super) announced_at: Option<Instant>,
}

/// What peers that sent something send on average, in bytes per second.
pub(super) fn average_rate<'a>(peers: impl Iterator<Item = &'a Peer>) -> f64 {
    let (sum, count) = peers
        .filter_map(|peer| peer.throughput.get())
        .fold((0.0, 0.0), |(sum, count), rate| (sum + rate, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

impl Peer {
    /// A peer that has just connected and said nothing yet.
    pub(super) fn new(id: PeerId, now: Instant) -> Self {
        Self {
            id,
            connected_at: now,
            is_near: false,
            strikes: 0,
            excess: 0,
            given: 0,
            throughput: Throughput::default(),
            download: None,
            kin: Kin::default(),
            loaded: Vec::new(),
            loading: Vec::new(),
            announcements: Bucket::new(ANNOUNCEMENTS_BURST, ANNOUNCEMENTS_PER_SECOND, now),
            requests: Bucket::new(REQUESTS_BURST, REQUESTS_PER_SECOND, now),
            request_next: 0,
        }
    }

    /// It announced something; false when that was once too often and is not looked at.
    pub(super) fn announced(&mut self, now: Instant, loaded: Vec<u64>, loading: Vec<u64>) -> bool {
        let ids = loaded.len().saturating_add(loading.len());
        let is_accepted = self.announcements.take(now, 1.0 + (ids / ANNOUNCEMENT_IDS) as f64);
        if is_accepted {
            self.loaded = sorted(loaded, IDS_MAX);
            self.kin.settle(&self.loaded);
            self.loading = sorted(loading, IDS_MAX - self.loaded.len());
        }
        is_accepted
    }

    /// It says something else of what it has; false when it does so too often to be listened to.
    pub(super) fn may_announce(&mut self, now: Instant) -> bool {
        self.announcements.take(now, 1.0)
    }

    /// It requests something; false when it does so too often to be answered.
    pub(super) fn may_request(&mut self, now: Instant) -> bool {
        self.requests.take(now, 1.0)
    }

    /// One more message was not looked at; whether that is enough.
    pub(super) fn has_flooded(&mut self) -> bool {
        self.excess = self.excess.saturating_add(1);
        self.excess >= EXCESS_MAX
    }

    /// It does not have that segment after all.
    pub(super) fn forget(&mut self, segment: SegmentId) {
        if let Ok(at) = self.loaded.binary_search(&segment.0) {
            self.loaded.remove(at);
        }
        if let Ok(at) = self.loading.binary_search(&segment.0) {
            self.loading.remove(at);
        }
    }

    /// Whether it says it holds the segment.
    pub(super) fn holds(&self, segment: SegmentId) -> bool {
        self.loaded.binary_search(&segment.0).is_ok()
    }

    /// Whether it says it is fetching the segment from the origin.
    pub(super) fn is_loading(&self, segment: SegmentId) -> bool {
        self.loading.binary_search(&segment.0).is_ok()
    }

    /// The last of the segments it says it holds.
    pub(super) fn newest(&self) -> Option<SegmentId> {
        self.loaded.last().map(|id| SegmentId(*id))
    }

    /// Whether it can send some of the segment.
    pub(super) fn has_some(&self, segment: SegmentId) -> bool {
        self.holds(segment) || self.kin.partly(segment).is_some()
    }

    /// How far it is to somebody who has some of the segment, as this peer says: 0 is itself.
    pub(super) fn distance(&self, segment: SegmentId) -> Option<u64> {
        if self.has_some(segment) || self.is_loading(segment) {
            return Some(0);
        }
        self.kin.hops(segment)
    }

    /// Whether it is of our own kind: it says absent when it is busy, and announces what it loses.
    pub(super) fn is_kin(&self) -> bool {
        self.id.0.starts_with(b"-HS")
    }

    /// Number of segments held and loading.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.loaded.len(), self.loading.len())
    }

    /// Notes a request about to be sent; the number for it.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        segment: SegmentId,
        from: u64,
        end: Option<u64>,
    ) -> u64 {
        let request = self.request_next;
        self.request_next = (request + 1) % REQUEST_MAX;
        self.download = Some(Download {
            segment,
            request,
            from,
            end,
            size: None,
            received: 0,
            moved_at: now,
            announced_at: None,
        });
        request
    }

    /// It announced payload: `total` is what it says of the whole segment where it was asked for a
    /// part. The segment's size by its word; `Ok(None)`: for a request we have given up on.
    pub(super) fn data_follows(
        &mut self,
        now: Instant,
        segment: SegmentId,
        request: u64,
        size: u64,
        total: Option<u64>,
        segment_bytes_max: u64,
    ) -> Result<Option<u64>, DropReason> {
        let Some(download) = self.download.as_mut().filter(|d| d.request == request) else {
            return Ok(None);
        };
        let behind = download.from.checked_add(size).ok_or(DropReason::Protocol)?;
        let total = match (download.end, total) {
            (None, None) => Some(behind),
            (Some(end), Some(total)) => Some(total).filter(|total| end.min(*total) == behind),
            _ => None,
        };
        let total = total.filter(|total| *total <= segment_bytes_max);
        let is_sane = download.segment == segment && download.size.is_none() && size > 0;
        let total = total.filter(|_| is_sane).ok_or(DropReason::Protocol)?;
        download.size = Some(size);
        download.announced_at = Some(now);
        Ok(Some(total))
    }

    /// Payload arrived. `Ok(None)`: nothing is expected.
    pub(super) fn received(
        &mut self,
        now: Instant,
        len: u64,
    ) -> Result<Option<Download>, DropReason> {
        let Some(download) = &mut self.download else { return Ok(None) };
        let Some(size) = download.size.filter(|_| len > 0) else { return Ok(None) };
        if len > size - download.received {
            return Err(DropReason::Overflow);
        }
        download.received += len;
        download.moved_at = now;
        let download = *download;
        if download.received == size {
            self.end_download();
        }
        Ok(Some(download))
    }

    /// It says a transfer is complete: every byte of it must have come before.
    pub(super) fn completed(&self, request: u64) -> Result<(), DropReason> {
        let is_short = self.download.is_some_and(|d| d.request == request);
        let is_known = request < self.request_next;
        if is_short || !is_known { Err(DropReason::Protocol) } else { Ok(()) }
    }

    /// Ends the download, whatever came of it, and learns from it.
    pub(super) fn end_download(&mut self) -> Option<Download> {
        let download = self.download.take()?;
        if let Some(elapsed) = download.flowing_for() {
            self.throughput.learn(download.received, elapsed);
        }
        Some(download)
    }
}

impl Download {
    /// Bytes the peer has still to send; `None` before it said how many.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.size.map(|size| size - self.received)
    }

    /// How long bytes have been coming, until the last that came.
    pub(super) fn flowing_for(&self) -> Option<Duration> {
        let since = self.announced_at.filter(|_| self.received > 0)?;
        Some(self.moved_at.saturating_duration_since(since))
    }

    /// What comes of it in a second, in bytes.
    pub(super) fn rate(&self) -> Option<f64> {
        let elapsed = self.flowing_for()?.as_secs_f64();
        Some(self.received as f64 / elapsed.max(1e-3))
    }

    /// From when on its rate says something; `None` before anything came.
    pub(super) fn judged_from(&self) -> Option<Instant> {
        self.announced_at.filter(|_| self.received > 0).map(|since| since + JUDGED_AFTER)
    }
}

fn sorted(mut ids: Vec<u64>, max: usize) -> Vec<u64> {
    ids.truncate(max);
    ids.sort_unstable();
    ids.dedup();
    ids.shrink_to_fit();
    ids
}

/// From when on a transfer would be late if nothing more came; `None`: it is late now. A transfer
/// whose peer has not sent anything yet is late.
pub(super) fn late_from(now: Instant, finish_by: Instant, download: &Download) -> Option<Instant> {
    let left = time_for(download.remaining()?, download.rate()?);
    finish_by.checked_sub(left).filter(|late_from| now <= *late_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentId = SegmentId(7);

    fn peer(now: Instant) -> Peer {
        Peer::new(PeerId([b'x'; 20]), now)
    }

    #[test]
    fn an_announcement_beyond_the_limit_is_cut() {
        let now = Instant::now();
        let mut peer = peer(now);
        assert!(peer.announced(now, (0..70_000).collect(), (0..70_000).collect()));
        assert_eq!(peer.counts(), (IDS_MAX, 0));
        assert!(peer.holds(SegmentId(65_535)) && !peer.holds(SegmentId(65_536)));
    }

    #[test]
    fn a_flood_of_announcements_is_not_looked_at() {
        let now = Instant::now();
        let mut peer = peer(now);
        let accepted = (0..2000).filter(|_| peer.announced(now, vec![], vec![])).count();
        assert_eq!(accepted, ANNOUNCEMENTS_BURST as usize);
        assert!(!peer.may_announce(now), "other words of what it has count as well");
    }

    #[test]
    fn a_long_announcement_counts_for_many() {
        let now = Instant::now();
        let mut peer = peer(now);
        let long = || (0..IDS_MAX as u64).collect();
        let accepted = (0..100).filter(|_| peer.announced(now, long(), vec![])).count();
        assert_eq!(accepted, ANNOUNCEMENTS_BURST as usize / (1 + IDS_MAX / ANNOUNCEMENT_IDS));
    }

    #[test]
    fn nonsense_in_a_data_header_ends_the_connection() {
        let now = Instant::now();
        for (segment, size) in [(8, 10), (7, 0), (7, u64::MAX), (7, 1001)] {
            let mut peer = peer(now);
            let request = peer.ask(now, SEGMENT, 100, None);
            let verdict = peer.data_follows(now, SegmentId(segment), request, size, None, 1000);
            assert!(verdict.is_err(), "{segment} {size}");
        }
    }

    #[test]
    fn payload_counts_only_behind_its_header_and_never_beyond_it() {
        let now = Instant::now();
        let mut peer = peer(now);
        let request = peer.ask(now, SEGMENT, 0, None);
        assert!(matches!(peer.received(now, 5), Ok(None)));
        assert_eq!(peer.data_follows(now, SEGMENT, request, 10, None, 1000), Ok(Some(10)));
        assert!(matches!(peer.received(now, 5), Ok(Some(_))));
        assert_eq!(peer.completed(request), Err(DropReason::Protocol));
        assert!(matches!(peer.received(now, 6), Err(DropReason::Overflow)));
        assert!(matches!(peer.received(now, 5), Ok(Some(_))));
        assert_eq!(peer.completed(request), Ok(()));
        assert_eq!(peer.completed(99), Err(DropReason::Protocol));
    }
}
