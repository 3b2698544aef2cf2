//! Counters of bytes and events, shared by everything that moves bytes.
//!
//! Plain atomics: whoever moves a byte counts it once, in the stream's counters and in the
//! daemon's. Rendering them (JSON, Prometheus) is `http::status`'s work.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one stream, or of the whole daemon.
#[derive(Debug, Default)]
pub struct Counters {
    /// Body bytes received from the origin.
    pub origin_bytes: AtomicU64,
    /// Segment bytes received from peers.
    pub peer_bytes: AtomicU64,
    /// Body bytes given to players that were already held.
    pub cache_bytes: AtomicU64,
    /// Segment bytes given to peers.
    pub upload_bytes: AtomicU64,
    /// All body bytes given to players.
    pub served_bytes: AtomicU64,
    /// Requests made to origins, retries and redirects included once each.
    pub origin_requests: AtomicU64,
    /// Segments that came wholly from peers.
    pub peer_segments: AtomicU64,
    /// Segments received from a peer and thrown away because they failed verification.
    pub rejected_segments: AtomicU64,
    /// Segments with bytes of peers that a hash list proved.
    pub proved_by_list: AtomicU64,
    /// That a digest of the origin proved.
    pub proved_by_digest: AtomicU64,
    /// That the agreement of members proved.
    pub proved_by_agreement: AtomicU64,
    /// That were compared with the origin's bytes, in part or whole.
    pub proved_by_slices: AtomicU64,
}

/// What [`Counters`] stood at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Snapshot {
    /// See [`Counters::origin_bytes`].
    pub origin_bytes: u64,
    /// See [`Counters::peer_bytes`].
    pub peer_bytes: u64,
    /// See [`Counters::cache_bytes`].
    pub cache_bytes: u64,
    /// See [`Counters::upload_bytes`].
    pub upload_bytes: u64,
    /// See [`Counters::served_bytes`].
    pub served_bytes: u64,
    /// See [`Counters::origin_requests`].
    pub origin_requests: u64,
    /// See [`Counters::peer_segments`].
    pub peer_segments: u64,
    /// See [`Counters::rejected_segments`].
    pub rejected_segments: u64,
    /// What proved the segments that have bytes of peers.
    #[serde(skip)]
    pub checked_by: CheckedBy,
}

/// Segments with bytes of peers, by what proved them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckedBy {
    /// See [`Counters::proved_by_list`].
    pub list: u64,
    /// See [`Counters::proved_by_digest`].
    pub digest: u64,
    /// See [`Counters::proved_by_agreement`].
    pub agreement: u64,
    /// See [`Counters::proved_by_slices`].
    pub slices: u64,
}

impl Counters {
    /// The present values; each is exact, together they may straddle an event.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            origin_bytes: read(&self.origin_bytes),
            peer_bytes: read(&self.peer_bytes),
            cache_bytes: read(&self.cache_bytes),
            upload_bytes: read(&self.upload_bytes),
            served_bytes: read(&self.served_bytes),
            origin_requests: read(&self.origin_requests),
            peer_segments: read(&self.peer_segments),
            rejected_segments: read(&self.rejected_segments),
            checked_by: CheckedBy {
                list: read(&self.proved_by_list),
                digest: read(&self.proved_by_digest),
                agreement: read(&self.proved_by_agreement),
                slices: read(&self.proved_by_slices),
            },
        }
    }
}

/// The counters an event belongs to: the daemon's, and its stream's where there is one.
#[derive(Clone, Debug)]
pub struct Meter {
    total: std::sync::Arc<Counters>,
    stream: Option<std::sync::Arc<Counters>>,
}

impl Meter {
    /// A meter of what belongs to no stream.
    pub fn of_daemon(total: std::sync::Arc<Counters>) -> Self {
        Self { total, stream: None }
    }

    /// A meter that counts for one stream too.
    pub fn of_stream(&self, stream: std::sync::Arc<Counters>) -> Self {
        Self { total: self.total.clone(), stream: Some(stream) }
    }

    /// Adds `amount` to the counter that `pick` names.
    pub fn add(&self, pick: impl Fn(&Counters) -> &AtomicU64, amount: u64) {
        for counters in std::iter::once(&self.total).chain(&self.stream) {
            pick(counters).fetch_add(amount, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_counts_for_the_daemon_too() {
        let (total, stream) =
            (std::sync::Arc::new(Counters::default()), std::sync::Arc::new(Counters::default()));
        let daemon = Meter::of_daemon(total.clone());
        daemon.add(|c| &c.served_bytes, 5);
        daemon.of_stream(stream.clone()).add(|c| &c.served_bytes, 7);
        assert_eq!((total.snapshot().served_bytes, stream.snapshot().served_bytes), (12, 7));
    }
}
