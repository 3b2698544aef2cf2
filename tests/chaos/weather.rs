//! What is wrong with the origin, and when: spells of trouble between calm ones.
//!
//! A function of the moment alone, never of who asks or how often. So whoever asks at a moment
//! meets what anybody else would have met, and nobody gets around a spell by asking again.

use crate::random::Random;
use std::time::Duration;

/// What an origin does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Calm,
    /// The head of an answer takes its time.
    Slow,
    /// Everything is answered with 503.
    Busy,
    /// The connection breaks in the middle of a body.
    Cutting,
    /// Silence in the middle of a body, until the spell is over.
    Stalling,
    /// Bodies come a little faster than they play.
    Trickling,
}

const BAD: [Weather; 5] =
    [Weather::Slow, Weather::Busy, Weather::Cutting, Weather::Stalling, Weather::Trickling];

/// The weather of a whole test; calm again after its end.
pub struct Forecast {
    /// Each with its end.
    spells: Vec<(Duration, Weather)>,
}

impl Forecast {
    pub fn new(seed: u64, length: Duration) -> Self {
        let mut random = Random::new(seed, 1);
        let (mut spells, mut at) = (Vec::new(), Duration::ZERO);
        while at < length {
            at += random.millis(3_000..9_000);
            spells.push((at, Weather::Calm));
            at += random.millis(500..3_500);
            spells.push((at, random.pick(&BAD)));
        }
        Self { spells }
    }

    /// The weather at a moment, and when its spell is over.
    pub fn at(&self, moment: Duration) -> (Weather, Duration) {
        let now = self.spells.iter().find(|(end, _)| moment < *end);
        now.map_or((Weather::Calm, Duration::MAX), |(end, weather)| (*weather, *end))
    }
}
