//! Measured rates: how fast bytes arrive, and how often a peer may speak.
//!
//! Only arithmetic over durations that are handed in; what follows from a rate is decided in
//! `schedule`. Driven by `state` and `peer`.

use std::time::{Duration, Instant};

/// Samples smaller than this measure latency rather than throughput.
const SAMPLE_BYTES_MIN: u64 = 16 << 10;
/// Weight of a new sample.
const SAMPLE_WEIGHT: f64 = 0.4;
/// Taken for the own downlink until something was measured, in bytes per second.
const DOWNLINK_GUESS: f64 = 2e6;
/// No rate is taken to be lower, in bytes per second: keeps divisions sane.
const RATE_MIN: f64 = 1e3;

/// What came within so long is compared with what is known of the downlink.
const METERED: Duration = Duration::from_secs(2);

/// The own downlink, as what came has shown it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Downlink {
    bytes_per_second: f64,
    /// Since when, and how much, has come from anybody.
    metered: Option<(Instant, u64)>,
}

impl Downlink {
    /// Nothing measured yet.
    pub(super) fn new() -> Self {
        Self { bytes_per_second: DOWNLINK_GUESS, metered: None }
    }

    /// While the origin was asked for something `bytes` came in `elapsed`, from anybody: the best
    /// measure there is of the next time.
    pub(super) fn learn_from_origin(&mut self, bytes: u64, elapsed: Duration) {
        if let Some(sample) = sample(bytes, elapsed) {
            self.bytes_per_second += SAMPLE_WEIGHT * (sample - self.bytes_per_second);
        }
    }

    /// Bytes came, from anybody: as others' uplinks may have been the bottleneck, this only ever
    /// raises the estimate.
    pub(super) fn came(&mut self, now: Instant, bytes: u64) {
        let (since, before) = self.metered.unwrap_or((now, 0));
        let elapsed = now.saturating_duration_since(since);
        let came = before.saturating_add(bytes);
        if elapsed < METERED {
            self.metered = Some((since, came));
            return;
        }
        self.metered = Some((now, 0));
        if let Some(sample) = sample(came, elapsed).filter(|s| *s > self.bytes_per_second) {
            self.bytes_per_second += SAMPLE_WEIGHT * (sample - self.bytes_per_second);
        }
    }

    /// How long `bytes` should take.
    pub(super) fn time_for(self, bytes: u64) -> Duration {
        time_for(bytes, self.bytes_per_second)
    }
}

/// A peer's throughput towards us; unknown until it has sent something of size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Throughput {
    bytes_per_second: Option<f64>,
}

impl Throughput {
    /// The peer sent `bytes` in `elapsed`.
    pub(super) fn learn(&mut self, bytes: u64, elapsed: Duration) {
        if let Some(sample) = sample(bytes, elapsed) {
            let known = self.bytes_per_second.unwrap_or(sample);
            self.bytes_per_second = Some(known + SAMPLE_WEIGHT * (sample - known));
        }
    }

    /// Bytes per second, once measured.
    pub(super) fn get(self) -> Option<f64> {
        self.bytes_per_second
    }
}

/// How long `bytes` take at a rate; never more than a day.
pub(super) fn time_for(bytes: u64, bytes_per_second: f64) -> Duration {
    let seconds = bytes as f64 / bytes_per_second.max(RATE_MIN);
    Duration::from_secs_f64(seconds.min(86_400.0))
}

/// A rate, unless there were too few bytes to tell.
pub(super) fn sample(bytes: u64, elapsed: Duration) -> Option<f64> {
    (bytes >= SAMPLE_BYTES_MIN)
        .then(|| (bytes as f64 / elapsed.as_secs_f64().max(0.001)).max(RATE_MIN))
}

/// A token bucket: so many at once, so many per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { tokens: burst, burst, per_second: f64::from(per_second), filled_at: now }
    }

    /// Takes so many tokens if there are as many.
    pub(super) fn take(&mut self, now: Instant, tokens: f64) -> bool {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        let is_allowed = self.tokens >= tokens;
        if is_allowed {
            self.tokens -= tokens;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_peer_says_nothing_about_the_downlink() {
        let mut downlink = Downlink::new();
        let start = Instant::now();
        (0..=10).for_each(|s| downlink.came(start + Duration::from_secs(s), 10_000));
        assert_eq!(downlink.time_for(2_000_000), Duration::from_secs(1));
        downlink.learn_from_origin(100_000, Duration::from_secs(10));
        assert!(downlink.time_for(2_000_000) > Duration::from_secs(1));
    }

    #[test]
    fn what_comes_from_many_together_raises_the_downlink() {
        let (mut downlink, start) = (Downlink::new(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        (0..200).for_each(|n| downlink.came(at(n * 100), 1_000_000));
        assert!(downlink.time_for(10_000_000) < Duration::from_millis(1200));
        downlink.came(at(60_000), 1);
        assert!(downlink.time_for(10_000_000) < Duration::from_millis(1200), "it only raises");
    }

    #[test]
    fn a_handful_of_bytes_is_no_measurement() {
        let mut throughput = Throughput::default();
        throughput.learn(100, Duration::from_millis(1));
        assert_eq!(throughput.get(), None);
        throughput.learn(1 << 20, Duration::from_secs(1));
        assert_eq!(throughput.get(), Some(1048576.0));
    }

    #[test]
    fn a_bucket_allows_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 10, start);
        assert_eq!((0..5).filter(|_| bucket.take(start, 1.0)).count(), 3);
        let later = start + Duration::from_millis(250);
        assert_eq!((0..5).filter(|_| bucket.take(later, 1.0)).count(), 2);
    }

    #[test]
    fn the_largest_size_takes_a_day_and_no_panic() {
        assert_eq!(time_for(u64::MAX, 0.0), Duration::from_secs(86_400));
    }
}
