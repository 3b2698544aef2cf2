//! How long peers are waited for: when the origin is asked at the latest, and on slow lines before.
//!
//! Whom to ask until then is decided in `schedule`. Without state, as that.

use std::time::{Duration, Instant};

use super::Config;
use super::rate::Downlink;
use super::schedule::Ask;
use super::transfer::Opened;

/// A peer transfer must end this long before due to count as on time.
const SLACK: Duration = Duration::from_millis(200);
/// A demand that is due at once may take this long from a peer at least.
const URGENT_FINISH_MIN: Duration = Duration::from_secs(1);
/// What is waited for while company is found is asked of the origin so long before it must.
const GATHERING_LEAD: Duration = Duration::from_secs(2);
/// A line is slow that a segment takes so long on.
pub(super) const SLOW_LINE: Duration = Duration::from_millis(750);
/// So much of what players wait for peers may fail to bring without any consequence.
const LACK_USUAL: f64 = 0.1;
/// What is more counts so many times.
const LACK_FACTOR: f64 = 4.0;

impl Ask<'_> {
    /// How long before it must the origin is asked for what nobody around has. Who has just joined
    /// may meet somebody who has it, and waits for that where the line is good.
    pub(super) fn lead(&self) -> Duration {
        let s = self.situation;
        let is_patient = s.is_gathering && s.downlink.time_for(self.want.size_guess) < SLOW_LINE;
        if is_patient { GATHERING_LEAD } else { s.config.origin_lead }
    }

    /// When the origin is asked for what is missing, or on slow lines for some of it.
    pub(super) fn fallback_at(&self, due: Instant, opened: Opened) -> Instant {
        let latest = self.latest_fallback_at(due, opened);
        let there_is = due.saturating_duration_since(opened.at);
        if self.want.transfer.is_some_and(|t| t.is_hedged) {
            return latest.min(earlier_by(due, self.reserve(there_is) / 2));
        }
        // Peers tell first how much there is.
        let earliest = opened.at + self.situation.config.urgent_first_byte;
        latest.min(earlier_by(due, self.reserve(there_is)).max(earliest))
    }

    /// When the origin is asked for everything that is missing. What experience adds to the margin
    /// is kept only as long as half the time there was goes to peers.
    pub(super) fn latest_fallback_at(&self, due: Instant, opened: Opened) -> Instant {
        let s = self.situation;
        let needed = margin(s.config, s.downlink, self.missing());
        let half = due.saturating_duration_since(opened.at) / 2;
        let at = earlier_by(due, needed.max(half.min(needed + s.caution)));
        opened.fill_by.map_or(at, |fill_by| at.min(fill_by))
    }

    /// What of the time there is a slow line keeps for itself: half, and more by how much peers
    /// failed to bring. Alone its player would have used all of it, and such a line may fail for a
    /// while.
    fn reserve(&self, there_is: Duration) -> Duration {
        let s = self.situation;
        if s.downlink.time_for(self.want.size_guess) < SLOW_LINE {
            return Duration::ZERO;
        }
        let share = ((s.lack - LACK_USUAL) * LACK_FACTOR).clamp(0.5, 1.0);
        there_is.mul_f64(share)
    }

    /// When peers must be done: in time, and so that it grows where the player has little.
    pub(super) fn finish_by(&self, due: Instant, opened: Opened) -> Instant {
        let in_time = earlier_by(due, SLACK);
        let is_thin = opened.fill_by.is_some();
        if is_thin { in_time.min(opened.at + self.want.duration * 3 / 4) } else { in_time }
    }

    pub(super) fn urgent_finish(&self, opened: Opened) -> Instant {
        opened.at + (self.want.duration / 2).max(URGENT_FINISH_MIN)
    }

    pub(super) fn missing(&self) -> u64 {
        let (have, total) = self.want.transfer.map_or((0, None), |t| (t.have(), t.total));
        total.map_or(self.want.size_guess, |total| total.bytes).saturating_sub(have)
    }
}

/// How long before due the origin must be asked for `missing` bytes.
pub(super) fn margin(config: &Config, downlink: Downlink, missing: u64) -> Duration {
    config.origin_margin + downlink.time_for(missing).mul_f64(config.origin_margin_factor)
}

pub(super) fn earlier_by(instant: Instant, by: Duration) -> Instant {
    instant.checked_sub(by).unwrap_or(instant)
}
