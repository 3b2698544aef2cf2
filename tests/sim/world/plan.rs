//! What is simulated: how many viewers of what, with which lines, for how long.
//!
//! Everything a viewer is (its line, its stay, its bad moments) is drawn here from the seed and its
//! place alone, so that the same viewers can be watched with peers and without.

use super::random::Random;

/// Microseconds: the unit of all times in the simulated world.
pub const MS: u64 = 1_000;
pub const S: u64 = 1_000 * MS;
/// Media time of a segment.
pub const SEGMENT_US: u64 = 4 * S;
/// Mean time a viewer of a live stream stays.
const STAY_MEAN_S: f64 = 600.0;
/// Viewers of a live stream arrive within this time.
const ARRIVALS_US: u64 = 60 * S;
/// Seconds of a live stream before anything is measured.
const WARM_UP_US: u64 = 110 * S;
/// Share of viewers behind routers that hardly let anybody in.
const HARD_SHARE: f64 = 0.1;
/// Share of an uplink that is used.
const UPLINK_USED: f64 = 0.8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Live,
    Vod,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub mode: Mode,
    pub viewers: usize,
    pub seed: u64,
    pub has_peers: bool,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Segments of a recording.
    pub film_segments: u64,
    /// Bytes each viewer keeps.
    pub cache_bytes: u64,
    /// How long is measured.
    pub measured_us: u64,
    /// Share of the viewers that give nothing.
    pub leechers: f64,
    /// Whether lines are poorer than usual.
    pub is_poor: bool,
    /// Share of the viewers that promise and send nothing.
    pub mutes: f64,
}

/// A viewer's line and habits.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bytes per microsecond.
    pub down: f64,
    pub up: f64,
    /// Time to the nearest exchange, half of it each way.
    pub rtt_us: u64,
    /// Whether it is over radio: lossy, and failing for seconds now and then.
    pub is_radio: bool,
    pub is_hard: bool,
    pub gives: bool,
    pub is_mute: bool,
    pub stay_us: u64,
}

impl Plan {
    /// A live stream of 5 Mbit/s, or a recording of it, with the defaults of the daemon.
    pub fn new(mode: Mode, viewers: usize, seed: u64) -> Self {
        let measured_s = match viewers {
            0..20 => 1350,
            20..200 => 500,
            200..2000 => 250,
            _ => 150,
        };
        Self {
            mode,
            viewers,
            seed,
            has_peers: true,
            segment_bytes: 2_500_000,
            film_segments: 600,
            cache_bytes: 256 << 20,
            measured_us: measured_s * S,
            leechers: 0.0,
            is_poor: false,
            mutes: 0.0,
        }
    }

    pub fn is_live(&self) -> bool {
        self.mode == Mode::Live
    }

    /// From when to when is measured: of a recording everything.
    pub fn measured(&self) -> (u64, u64) {
        match self.mode {
            Mode::Live => (WARM_UP_US, WARM_UP_US + self.measured_us),
            Mode::Vod => (0, u64::MAX),
        }
    }

    /// When the first viewer in that place arrives.
    pub fn arrival_us(&self, place: usize) -> u64 {
        let within = match self.mode {
            Mode::Live => ARRIVALS_US,
            Mode::Vod => self.film_segments * SEGMENT_US,
        };
        let mut random = Random::of(&[self.seed, 1, place as u64]);
        (random.share() * within as f64) as u64
    }

    /// The line of the viewer that is the `generation`th in its place.
    pub fn line(&self, place: usize, generation: u32) -> Line {
        let mut random = Random::of(&[self.seed, 2, place as u64, u64::from(generation)]);
        let shares = if self.is_poor { [0.2, 0.5, 0.85] } else { [0.5, 0.75, 0.9] };
        let class = random.share();
        let (down_mbit, up_mbit, is_radio) = match class {
            c if c < shares[0] => (100.0, 40.0, false),
            c if c < shares[1] => (50.0, 10.0, false),
            c if c < shares[2] => (20.0, 2.0, true),
            _ => (20.0, 0.5, true),
        };
        // 1 Mbit/s is an eighth of a byte per microsecond.
        Line {
            down: down_mbit / 8.0,
            up: up_mbit / 8.0 * UPLINK_USED,
            rtt_us: 5 * MS + (random.share() * 55.0 * MS as f64) as u64,
            is_radio,
            is_hard: random.share() < HARD_SHARE,
            gives: random.share() >= self.leechers,
            is_mute: random.share() < self.mutes,
            stay_us: (-STAY_MEAN_S * (1.0 - random.share()).ln() * S as f64) as u64 + S,
        }
    }
}
