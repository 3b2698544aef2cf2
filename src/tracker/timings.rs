//! Settings of a tracker session: where to connect, as whom, and how patiently.
//!
//! It reads no configuration file; whoever starts a session fills it in.

use crate::ids::PeerId;
use std::time::Duration;

/// Where a session connects and as whom.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// `ws:` or `wss:` address of the tracker.
    pub url: String,
    /// Our id, the same in every swarm.
    pub peer_id: PeerId,
    /// `Origin` header to send: some trackers turn clients without one away.
    pub origin_header: Option<String>,
    /// The session's patience.
    pub timings: Timings,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// Until a connection is given up that has not come about.
    pub connect: Duration,
    /// Until the first attempt to connect again; doubled with each.
    pub backoff_first: Duration,
    /// Longest wait between attempts, before a fifth more or less by chance.
    pub backoff_max: Duration,
    /// A connection that lasted this long makes the wait start over.
    pub lasting: Duration,
    /// From the first announce to an extra one.
    pub early: Duration,
    /// Between announces while the tracker has not said.
    pub interval_fallback: Duration,
    /// Shortest interval accepted from the tracker.
    pub interval_min: Duration,
    /// Longest interval accepted from the tracker.
    pub interval_max: Duration,
    /// Between pings; a tracker silent for three of them is gone.
    pub ping: Duration,
    /// How long a connection is kept that no swarm needs.
    pub linger: Duration,
    /// For one message to leave.
    pub send: Duration,
    /// For saying goodbye.
    pub goodbye: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            lasting: Duration::from_secs(30),
            early: Duration::from_secs(10),
            interval_fallback: Duration::from_secs(120),
            interval_min: Duration::from_secs(10),
            interval_max: Duration::from_secs(3600),
            ping: Duration::from_secs(30),
            linger: Duration::from_secs(30),
            send: Duration::from_secs(10),
            goodbye: Duration::from_secs(1),
        }
    }
}

impl Timings {
    /// Wait before the next attempt: doubles from the first to the longest, a fifth more or less as
    /// `fraction` says.
    pub(super) fn backoff(&self, failures: u32, fraction: f64) -> Duration {
        let doubled = self.backoff_first.saturating_mul(2_u32.saturating_pow(failures));
        doubled.min(self.backoff_max).mul_f64(0.8 + 0.4 * fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_doubles_up_to_its_limit_with_a_fifth_of_chance() {
        let timings = Timings::default();
        let seconds = |failures, fraction| timings.backoff(failures, fraction).as_secs_f64();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(seconds(0, 0.5), 1.0));
        assert!(close(seconds(3, 0.5), 8.0));
        assert!(close(seconds(u32::MAX, 0.0), 24.0));
        assert!(close(seconds(99, 1.0), 36.0));
    }
}
