//! When to read a playlist again. PURE.
//!
//! As players are asked to (RFC 8216, section 6.3.4): after a target duration, or half of one when
//! nothing was new. What does not move for long, or fails, is asked for ever more rarely.

use std::time::Duration;

/// First pause after a failure; it doubles with each further one.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A live playlist may be found unchanged this often before it is asked for more rarely.
const UNCHANGED_MAX: u32 = 8;
/// Shortest target duration believed.
const TARGET_MIN: Duration = Duration::from_secs(1);

/// How often nothing new was found.
#[derive(Debug, Default)]
pub struct Pace {
    unchanged: u32,
    failures: u32,
}

impl Pace {
    /// The pause after a playlist with that target duration.
    pub fn read(&mut self, target: Duration, is_changed: bool) -> Duration {
        self.failures = 0;
        self.unchanged = if is_changed { 0 } else { self.unchanged.saturating_add(1) };
        let target = target.max(TARGET_MIN);
        if is_changed {
            return target;
        }
        let pause = target / 2;
        doubled(pause, self.unchanged.saturating_sub(UNCHANGED_MAX)).min(PAUSE_MAX.max(pause))
    }

    /// The pause after a failure.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        doubled(FAILURE_PAUSE, self.failures - 1).min(PAUSE_MAX)
    }

    /// Something went well.
    pub fn recover(&mut self) {
        self.failures = 0;
    }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(4);

    fn secs(pauses: impl IntoIterator<Item = Duration>) -> Vec<f64> {
        pauses.into_iter().map(|pause| pause.as_secs_f64()).collect()
    }

    #[test]
    fn what_is_new_is_read_again_after_a_target_duration_and_what_is_not_after_half_of_one() {
        let mut pace = Pace::default();
        let pauses = [true, false, false, true].map(|is_changed| pace.read(TARGET, is_changed));
        assert_eq!(secs(pauses), [4.0, 2.0, 2.0, 4.0]);
        assert_eq!(pace.read(Duration::ZERO, true), TARGET_MIN);
    }

    #[test]
    fn what_does_not_move_is_asked_for_ever_more_rarely() {
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..2000).map(|_| pace.read(TARGET, false)).collect();
        assert_eq!(secs(pauses[7..13].iter().copied()), [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]);
        assert!(pauses[13..].iter().all(|pause| *pause == PAUSE_MAX));
        assert_eq!(pace.read(TARGET, true), TARGET);
    }

    #[test]
    fn an_origin_that_is_away_is_left_in_peace() {
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..100).map(|_| pace.failed()).collect();
        assert_eq!(secs(pauses[..8].iter().copied()), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        pace.recover();
        assert_eq!(pace.failed(), FAILURE_PAUSE);
    }
}
