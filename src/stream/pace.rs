//! How fast peers are served: a token bucket for all uploads of the daemon.
//!
//! It says when the next message may leave and sends nothing. Whom to serve is the core's
//! decision; the links' writers ask here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Uploads may run ahead of their rate by this much.
const BURST: Duration = Duration::from_millis(200);

/// The upload limit.
#[derive(Debug)]
pub struct Pace {
    /// Bytes per second; 0 for no limit.
    rate: u64,
    /// Whether peers on the local network count.
    is_for_near: bool,
    /// When everything sent so far will have been paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most `rate` bytes per second (0: no limit), to peers nearby too if `is_for_near`.
    pub fn new(rate: u64, is_for_near: bool) -> Self {
        Self { rate, is_for_near, paid_at: Mutex::new(None) }
    }

    /// When `bytes` may be sent to a peer; they count as sent.
    pub fn reserve(&self, now: Instant, bytes: usize, is_near: bool) -> Instant {
        if self.rate == 0 || (is_near && !self.is_for_near) {
            return now;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = paid_at.map_or(now, |at| at.max(now));
        *paid_at = Some(begins + cost);
        begins.checked_sub(BURST).unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_stays_within_the_rate_and_its_burst() {
        let (pace, now) = (Pace::new(100_000, true), Instant::now());
        let mut at = now;
        let mut sent = 0;
        while at < now + Duration::from_secs(10) {
            at = pace.reserve(at, 1_000, true);
            sent += 1_000;
            let allowed = (at - now + BURST).as_secs_f64() * 100_000.0 + 1_001.0;
            assert!(f64::from(sent) <= allowed, "{sent} after {:?}", at - now);
        }
        assert!(sent >= 1_000_000, "{sent}");
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let (pace, now) = (Pace::new(1_000, true), Instant::now());
        pace.reserve(now, 1_000, false);
        let later = now + Duration::from_secs(100);
        assert_eq!(pace.reserve(later, 1_000, false), later);
        assert_eq!(pace.reserve(later, 1_000, false), later + Duration::from_millis(800));
    }

    #[test]
    fn peers_nearby_are_free_unless_they_count() {
        let now = Instant::now();
        for (rate, is_for_near, waits) in [(0, true, false), (1, false, false), (1, true, true)] {
            let pace = Pace::new(rate, is_for_near);
            pace.reserve(now, 1_000, true);
            assert_eq!(pace.reserve(now, 1_000, true) > now, waits, "{rate} {is_for_near}");
        }
    }
}
