//! How much earlier than needed the origin is asked, learned from how close to due segments came;
//! and how much peers are to be relied on, learned from how often the origin had to help.
//!
//! It neither knows what is due nor asks anybody. Driven by `arrive`.

use std::time::Duration;

/// A segment whole less than this before due was nearly late.
const NEARLY_LATE: Duration = Duration::from_secs(1);
/// What such a segment adds, beside half of what there is.
const STEP: Duration = Duration::from_millis(500);
/// Most that is added.
const CAUTION_MAX: Duration = Duration::from_secs(6);
/// What each segment in good time takes away.
const RELIEF: Duration = Duration::from_millis(20);

/// Time that is added to the margin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Caution(Duration);

impl Caution {
    /// A segment that a player waited for was whole so long before it was due.
    pub(super) fn learn(&mut self, left: Duration) {
        self.0 = if left < NEARLY_LATE {
            (self.0 + STEP + self.0 / 2).min(CAUTION_MAX)
        } else {
            self.0.saturating_sub(RELIEF)
        };
    }

    /// What to add.
    pub(super) fn get(self) -> Duration {
        self.0
    }
}

/// Weight of one segment.
const SCARCITY_WEIGHT: f64 = 0.1;

/// Share of the segments that a player waited for, and that peers could have brought, of which the
/// origin had to send some.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scarcity(f64);

impl Scarcity {
    /// Whether the origin had to send some of one more segment.
    pub(super) fn learn(&mut self, has_fallen_back: bool) {
        let sample = if has_fallen_back { 1.0 } else { 0.0 };
        self.0 += SCARCITY_WEIGHT * (sample - self.0);
    }

    /// The share.
    pub(super) fn get(self) -> f64 {
        self.0
    }
}

/// Share that is taken for missing before anything is known.
const LACK_UNKNOWN: f64 = 0.05;
/// Least weight of one segment once many are known.
const LACK_WEIGHT_MIN: f64 = 0.1;
/// What is left of the share after a segment that peers were not given the time for: so that they
/// are tried again.
const LACK_FORGOTTEN: f64 = 0.9;

/// Share of what players waited for that peers did not bring although they had the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    share: f64,
    known: u32,
}

impl Lack {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self { share: LACK_UNKNOWN, known: 0 }
    }

    /// That share of one more segment came from the origin. The first ones count most.
    pub(super) fn learn(&mut self, share: f64) {
        let weight = (1.0 / f64::from(self.known + 2)).max(LACK_WEIGHT_MIN);
        self.known = self.known.saturating_add(1);
        self.share += weight * (share - self.share);
    }

    /// Of one more segment peers cannot have brought much: it was asked of the origin so early.
    pub(super) fn forget(&mut self) {
        self.share *= LACK_FORGOTTEN;
    }

    /// The share.
    pub(super) fn get(self) -> f64 {
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_quickly_with_near_misses_and_is_forgotten_slowly() {
        let mut caution = Caution::default();
        caution.learn(Duration::from_secs(5));
        assert_eq!(caution.get(), Duration::ZERO);
        (0..20).for_each(|_| caution.learn(Duration::ZERO));
        assert_eq!(caution.get(), CAUTION_MAX);
        (0..100).for_each(|_| caution.learn(Duration::from_secs(5)));
        assert_eq!(caution.get(), CAUTION_MAX - RELIEF * 100);
    }

    #[test]
    fn lack_is_learned_from_the_first_segments_and_forgotten_when_nobody_is_given_the_time() {
        let mut lack = Lack::new();
        lack.learn(1.0);
        assert!(lack.get() > 0.5);
        (0..100).for_each(|_| lack.learn(0.4));
        assert!((lack.get() - 0.4).abs() < 0.01);
        (0..30).for_each(|_| lack.forget());
        assert!(lack.get() < 0.05);
    }

    #[test]
    fn scarcity_is_felt_after_a_few_segments_and_forgotten_after_a_few_more() {
        let mut scarcity = Scarcity::default();
        (0..3).for_each(|_| scarcity.learn(true));
        assert!(scarcity.get() > 0.25);
        (0..3).for_each(|_| scarcity.learn(false));
        assert!(scarcity.get() < 0.25);
    }
}
