//! Memory for segments that are arriving: one account for all of the daemon's buffers.
//!
//! Only counts. What a buffer does when the account is empty is the buffer's business.

use std::sync::atomic::{AtomicU64, Ordering};

/// Memory for segments that are arriving, shared by all of the daemon's buffers.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    bytes_max: u64,
    segment_bytes_max: u64,
}

impl Budget {
    /// `bytes_max` for all buffers, `segment_bytes_max` for one; beyond, segments are relayed.
    pub fn new(bytes_max: u64, segment_bytes_max: u64) -> Self {
        Self { used: AtomicU64::new(0), bytes_max, segment_bytes_max }
    }

    /// Bytes held by all buffers now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The largest segment that is kept.
    pub fn segment_bytes_max(&self) -> u64 {
        self.segment_bytes_max
    }

    /// Counts bytes that are held from now on; whether there was enough for them.
    pub(super) fn take(&self, bytes: u64) -> bool {
        self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.bytes_max
    }

    /// Counts bytes that were let go.
    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}
