//! Whether, and when, to ask an origin again. PURE: no clock, no sleep.
//!
//! Most players give up on the first 503 or broken connection, so we try again on their behalf,
//! but only as long as they keep waiting, and never after an answer that is meant (404, 403, 410).
//! Silence is no failure: an origin that is merely slow is waited for, and a second attempt beside
//! the first finds out whether it was only the connection that hangs ([`Race`]).

use std::time::Duration;

/// No attempt starts later than this after the first one: players wait about 10 s for a byte.
pub const BUDGET: Duration = Duration::from_secs(8);
/// Pause after the first failure; it doubles up to [`PAUSE_MAX`].
pub const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause of our own choosing.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Silence after which another attempt begins on a new connection, beside those under way.
pub const SILENCE: Duration = Duration::from_secs(3);
/// Most attempts under way at once for one request: a slow origin is not to be drowned.
pub const AT_ONCE_MAX: u32 = 3;

/// What an attempt ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An answer with this status, and the seconds of its `Retry-After`.
    Status(u16, Option<u64>),
    /// No whole answer; whether the error called itself retryable.
    Error {
        /// See `OriginError::is_retryable`.
        is_retryable: bool,
    },
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again after this pause.
    Retry(Duration),
    /// Hand over what there is.
    GiveUp,
}

/// Whether a status says "not now" rather than "no".
pub fn is_retryable_status(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// Judges attempt number `attempt` (the first is 1), which ended `elapsed` after the first began.
pub fn decide(attempt: u32, elapsed: Duration, failure: Failure) -> Verdict {
    let pause = match failure {
        Failure::Status(status, _) if !is_retryable_status(status) => return Verdict::GiveUp,
        Failure::Error { is_retryable: false } => return Verdict::GiveUp,
        Failure::Status(_, Some(wait_s)) => backoff(attempt).max(Duration::from_secs(wait_s)),
        Failure::Status(_, None) | Failure::Error { .. } => backoff(attempt),
    };
    if elapsed.saturating_add(pause) <= BUDGET { Verdict::Retry(pause) } else { Verdict::GiveUp }
}

/// Longest silence in the body of something small that is fetched whole by attempt number
/// `attempt`: the first one is broken off soon, for a second to arrive in time.
pub fn idle_limit(attempt: u32, idle_timeout: Duration) -> Duration {
    if attempt <= 1 { idle_timeout.min(SILENCE) } else { idle_timeout }
}

/// The attempts of one request that are under way at the same time. All times count from the
/// first attempt's beginning, which is that of the race.
#[derive(Clone, Debug)]
pub struct Race {
    started: u32,
    running: u32,
    next: Option<Duration>,
}

/// What becomes of an attempt's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is the outcome of the request.
    Take,
    /// Others are under way and may do better.
    Wait,
}

impl Race {
    /// The first attempt begins; `has_spares` is whether others may follow beside it.
    pub fn new(has_spares: bool) -> Self {
        Self { started: 1, running: 1, next: has_spares.then_some(SILENCE) }
    }

    /// When the next attempt begins, unless one ends before.
    pub fn next_start(&self) -> Option<Duration> {
        self.next.filter(|at| self.running < AT_ONCE_MAX && *at <= BUDGET)
    }

    /// Another attempt begins.
    pub fn start(&mut self, at: Duration) {
        self.started += 1;
        self.running += 1;
        self.next = Some(at.saturating_add(SILENCE));
    }

    /// An attempt has ended, with any status or an error.
    pub fn judge(&mut self, at: Duration, is_first: bool, outcome: Failure) -> Judgement {
        self.running = self.running.saturating_sub(1);
        let is_final = match outcome {
            Failure::Status(status, _) => !is_retryable_status(status),
            Failure::Error { is_retryable } => !is_retryable,
        };
        // Who allows only one connection refuses the second: that says nothing about the first.
        let is_welcome = match outcome {
            Failure::Status(status, _) => status < 400 || matches!(status, 404 | 410),
            Failure::Error { .. } => false,
        };
        if self.running == 0 || is_welcome || (is_first && is_final) {
            return Judgement::Take;
        }
        self.next = match decide(self.started, at, outcome) {
            Verdict::Retry(pause) => Some(at.saturating_add(pause)),
            Verdict::GiveUp => None,
        };
        Judgement::Wait
    }
}

fn backoff(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Failure = Failure::Status(503, None);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pauses_double_up_to_a_second() {
        let pauses: Vec<_> = (1..=6).map(|n| decide(n, ms(0), BUSY)).collect();
        let expected = [200, 400, 800, 1000, 1000, 1000].map(|n| Verdict::Retry(ms(n)));
        assert_eq!(pauses, expected);
        assert_eq!(decide(u32::MAX, ms(0), BUSY), Verdict::Retry(ms(1000)));
    }

    #[test]
    fn outlasts_an_origin_that_is_busy_for_three_seconds() {
        let (mut at, mut attempt) = (ms(0), 1);
        while at < ms(3000) {
            let Verdict::Retry(pause) = decide(attempt, at, BUSY) else {
                panic!("gave up after {at:?}")
            };
            at += pause;
            attempt += 1;
        }
        assert!(at < ms(4000) && attempt <= 6);
    }

    #[test]
    fn gives_up_before_players_do() {
        let (mut at, mut attempt) = (ms(0), 1);
        while let Verdict::Retry(pause) = decide(attempt, at, BUSY) {
            at += pause;
            attempt += 1;
        }
        assert!(at <= BUDGET && at > ms(6000));
        assert_eq!(decide(1, ms(10_000), BUSY), Verdict::GiveUp);
    }

    #[test]
    fn an_answer_that_is_meant_is_passed_on_at_once() {
        for status in [200, 206, 304, 400, 401, 403, 404, 410, 416, 451, 501] {
            assert_eq!(decide(1, ms(0), Failure::Status(status, None)), Verdict::GiveUp);
        }
        assert_eq!(decide(1, ms(0), Failure::Error { is_retryable: false }), Verdict::GiveUp);
        assert_eq!(
            decide(1, ms(0), Failure::Error { is_retryable: true }),
            Verdict::Retry(PAUSE_MIN)
        );
    }

    #[test]
    fn waits_as_long_as_the_origin_asks_if_the_player_can_wait_that_long() {
        let after = |s| decide(1, ms(0), Failure::Status(429, Some(s)));
        assert_eq!(after(0), Verdict::Retry(PAUSE_MIN));
        assert_eq!(after(3), Verdict::Retry(ms(3000)));
        assert_eq!(after(9), Verdict::GiveUp);
        assert_eq!(after(u64::MAX), Verdict::GiveUp);
    }

    #[test]
    fn a_silent_attempt_gets_company_while_players_wait() {
        let mut race = Race::new(true);
        assert_eq!(race.next_start(), Some(ms(3000)));
        race.start(ms(3000));
        assert_eq!(race.next_start(), Some(ms(6000)));
        race.start(ms(6000));
        assert_eq!(race.next_start(), None, "three at once are enough");
        assert_eq!(race.judge(ms(30_000), true, Failure::Status(200, None)), Judgement::Take);
        assert_eq!(Race::new(false).next_start(), None);
    }

    #[test]
    fn a_lone_attempt_ends_the_race_whatever_it_ended_in() {
        for outcome in [BUSY, Failure::Status(403, None), Failure::Error { is_retryable: true }] {
            assert_eq!(Race::new(true).judge(ms(9), true, outcome), Judgement::Take);
        }
    }

    #[test]
    fn whoever_brings_it_first_wins_and_a_refused_spare_loses_nothing() {
        let reset = Failure::Error { is_retryable: true };
        for (is_first, outcome, expected) in [
            (true, Failure::Status(206, None), Judgement::Take),
            (false, Failure::Status(200, None), Judgement::Take),
            (false, Failure::Status(404, None), Judgement::Take),
            (true, Failure::Status(403, None), Judgement::Take),
            (true, Failure::Error { is_retryable: false }, Judgement::Take),
            (false, Failure::Status(403, None), Judgement::Wait),
            (false, Failure::Error { is_retryable: false }, Judgement::Wait),
            (true, BUSY, Judgement::Wait),
            (false, reset, Judgement::Wait),
        ] {
            let mut race = Race::new(true);
            race.start(ms(3000));
            assert_eq!(race.judge(ms(3100), is_first, outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_failed_spare_is_replaced_within_the_budget() {
        let mut race = Race::new(true);
        race.start(ms(3000));
        assert_eq!(race.judge(ms(3100), false, BUSY), Judgement::Wait);
        assert_eq!(race.next_start(), Some(ms(3500)));
        race.start(ms(3500));
        assert_eq!(race.judge(ms(7900), false, BUSY), Judgement::Wait);
        assert_eq!(race.next_start(), None, "the first one is waited for, no other is begun");
        let mut refused = Race::new(true);
        refused.start(ms(3000));
        refused.judge(ms(3100), false, Failure::Status(403, None));
        assert_eq!(refused.next_start(), None);
    }

    #[test]
    fn only_the_first_attempt_is_broken_off_early() {
        assert_eq!(idle_limit(1, ms(10_000)), SILENCE);
        assert_eq!(idle_limit(1, ms(50)), ms(50));
        assert_eq!(idle_limit(2, ms(10_000)), ms(10_000));
    }
}
