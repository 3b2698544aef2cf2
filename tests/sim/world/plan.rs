//! What is simulated: how many viewers of what, with which lines, for how long.
//!
//! Everything a viewer is (its line, its stay, its bad moments) is drawn here from the seed and its
//! place alone, so that the same viewers can be watched with peers and without.

use super::liars::Lies;
use super::random::Random;

/// Microseconds: the unit of all times in the simulated world.
pub const MS: u64 = 1_000;
pub const S: u64 = 1_000 * MS;
/// Mean time a viewer of a live stream stays.
const STAY_MEAN_S: f64 = 600.0;
/// Viewers of a live stream arrive within this time.
const ARRIVALS_US: u64 = 60 * S;
/// Time before anything is measured: of a live stream, and of the part of a film that is simulated.
const WARM_UP_US: u64 = 110 * S;
/// The same where there are so many that it must be short.
const MANY: usize = 1_000;
const WARM_UP_MANY_US: u64 = 75 * S;
/// A film with so many viewers is not simulated from its first viewer to its last, but for a while
/// just before its first viewers see its end. All are there then, the first of them without anybody
/// ahead, and as many join in a minute as in any other: what the origin sends is what it sends on
/// average.
const PART_FROM: usize = 200;
/// Those who came before that while arrive within this time, each where it would be by then.
const GATHER_US: u64 = 30 * S;
/// Share of viewers behind routers that hardly let anybody in.
const HARD_SHARE: f64 = 0.1;
/// Share of an uplink that is used.
const UPLINK_USED: f64 = 0.8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Live,
    Vod,
}

/// Where viewers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All over the world, on lines of their own; those of a live stream come and go.
    World,
    /// On one machine: each arrives so long after the one before, and stays.
    Machine { apart_us: u64 },
}

/// How long things take, beside the way there and back.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// The origin's time to answer.
    pub origin_us: u64,
    /// From arriving to having the playlist.
    pub playlist_us: u64,
    /// From arriving to the tracker's first answer.
    pub tracker_us: u64,
    /// From an offer to an open connection.
    pub connect_us: u64,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub mode: Mode,
    pub place: Place,
    pub delays: Delays,
    /// Media time of a segment.
    pub segment_us: u64,
    pub viewers: usize,
    pub seed: u64,
    pub has_peers: bool,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Segments of a recording.
    pub film_segments: u64,
    /// Whether all of it is simulated, however many watch.
    pub is_whole: bool,
    /// Bytes each viewer keeps.
    pub cache_bytes: u64,
    /// How long is measured.
    pub measured_us: u64,
    /// Share of the viewers that give nothing.
    pub leechers: f64,
    /// Whether lines are poorer than usual.
    pub is_poor: bool,
    /// What uplinks are multiplied by.
    pub uplink_factor: f64,
    /// Share of the viewers that promise and send nothing.
    pub mutes: f64,
    /// Share of the viewers that lie, and how.
    pub liars: f64,
    pub lies: Lies,
    /// What there is to prove segments with.
    pub publisher: Publisher,
}

/// What the publisher and the origin say of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// Nothing.
    Silent,
    /// The publisher's list has their hashes.
    Lists,
    /// The origin answers a `HEAD` with a digest, and may be asked for it.
    States,
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
    pub is_liar: bool,
    pub stay_us: u64,
}

/// From one program to another on the same machine.
const LOOPBACK: Line = Line {
    down: 125.0,
    up: 125.0,
    rtt_us: MS / 2,
    is_radio: false,
    is_hard: false,
    gives: true,
    is_mute: false,
    is_liar: false,
    stay_us: u64::MAX / 2,
};

impl Plan {
    /// A live stream of 5 Mbit/s, or a recording of it, with the defaults of the daemon.
    pub fn new(mode: Mode, viewers: usize, seed: u64) -> Self {
        let measured_s = match (viewers, mode) {
            (0..20, _) => 1350,
            (20..200, _) => 500,
            (200..MANY, _) => 150,
            (MANY..2_000, Mode::Live) => 80,
            (MANY..2_000, Mode::Vod) => 60,
            (_, Mode::Live) => 40,
            (_, Mode::Vod) => 25,
        };
        Self {
            mode,
            place: Place::World,
            delays: Delays {
                origin_us: 100 * MS,
                playlist_us: 100 * MS,
                tracker_us: 300 * MS,
                connect_us: 1_500 * MS,
            },
            segment_us: 4 * S,
            viewers,
            seed,
            has_peers: true,
            segment_bytes: 2_500_000,
            film_segments: 600,
            is_whole: false,
            cache_bytes: 256 << 20,
            measured_us: measured_s * S,
            leechers: 0.0,
            is_poor: false,
            uplink_factor: 1.0,
            mutes: 0.0,
            liars: 0.0,
            lies: Lies::Alone,
            publisher: Publisher::Silent,
        }
    }

    /// A live stream watched on one machine, measured from the beginning.
    pub fn on_one_machine(viewers: usize, apart_us: u64, measured_us: u64, seed: u64) -> Self {
        Self {
            place: Place::Machine { apart_us },
            delays: Delays {
                origin_us: 2 * MS,
                playlist_us: 4 * MS,
                tracker_us: 10 * MS,
                connect_us: 300 * MS,
            },
            measured_us,
            ..Self::new(Mode::Live, viewers, seed)
        }
    }

    /// The same with other viewers, of the same seed; number 0 is this one.
    pub fn another(&self, number: u64) -> Self {
        match number {
            0 => *self,
            _ => Self { seed: Random::of(&[self.seed, 7, number]).next(), ..*self },
        }
    }

    pub fn is_live(&self) -> bool {
        self.mode == Mode::Live
    }

    /// Whether all of a film is simulated, from its first viewer to its last.
    fn is_whole_film(&self) -> bool {
        self.mode == Mode::Vod && (self.is_whole || self.viewers < PART_FROM)
    }

    fn warm_up_us(&self) -> u64 {
        if self.viewers < MANY { WARM_UP_US } else { WARM_UP_MANY_US }
    }

    /// From when to when is measured: of a whole film everything.
    pub fn measured(&self) -> (u64, u64) {
        let from = self.warm_up_us();
        match self.place {
            Place::Machine { .. } => (0, self.measured_us),
            Place::World if self.is_whole_film() => (0, u64::MAX),
            Place::World => (from, from + self.measured_us),
        }
    }

    /// When the first viewer in that place arrives, and the first segment of a film it sees.
    pub fn arrival(&self, place: usize) -> (u64, u64) {
        if let Place::Machine { apart_us } = self.place {
            return (apart_us * place as u64, 0);
        }
        let share = Random::of(&[self.seed, 1, place as u64]).share();
        let within = |us: u64| (share * us as f64) as u64;
        if self.is_live() {
            return (within(ARRIVALS_US), 0);
        }
        let film_us = self.film_segments * self.segment_us;
        let (_, until) = self.measured();
        let begin_us = film_us.saturating_sub(until);
        match within(film_us).checked_sub(begin_us) {
            Some(at_us) => (at_us, 0),
            None => {
                let at_us = within(GATHER_US);
                (at_us, (begin_us + at_us - within(film_us)) / self.segment_us)
            }
        }
    }

    /// How many segments each viewer sees while it is measured.
    pub fn segments_measured(&self) -> u64 {
        if self.is_whole_film() { self.film_segments } else { self.measured_us / self.segment_us }
    }

    /// What those who give can send while they are there, of what all watch: the mean over what is
    /// measured of a live stream, and over all viewers of a recording.
    pub fn uplink_share(&self) -> f64 {
        let (from, until) = self.measured();
        let (mut given, mut watched) = (0.0, 0.0);
        for place in 0..self.viewers {
            let mut at_us = self.arrival(place).0;
            for generation in 0.. {
                let line = self.line(place, generation);
                let left_us = at_us.saturating_add(line.stay_us);
                let there_us = match self.mode {
                    Mode::Live => left_us.min(until).saturating_sub(at_us.max(from)),
                    Mode::Vod => 1,
                } as f64;
                watched += there_us * self.segment_bytes as f64 / self.segment_us as f64;
                given += if line.gives { there_us * line.up } else { 0.0 };
                at_us = left_us;
                if !self.is_live() || at_us >= until {
                    break;
                }
            }
        }
        given / watched.max(f64::MIN_POSITIVE)
    }

    /// The same viewers with uplinks better or worse by one factor, so that `uplink_share` is that:
    /// what is drawn for a hundred viewers may be far from the mean.
    pub fn with_uplink_share(self, share: f64) -> Self {
        let uplink_factor = self.uplink_factor * share / self.uplink_share();
        Self { uplink_factor, ..self }
    }

    /// The line of the viewer that is the `generation`th in its place.
    pub fn line(&self, place: usize, generation: u32) -> Line {
        if self.place != Place::World {
            return LOOPBACK;
        }
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
            up: up_mbit / 8.0 * UPLINK_USED * self.uplink_factor,
            rtt_us: 5 * MS + (random.share() * 55.0 * MS as f64) as u64,
            is_radio,
            is_hard: random.share() < HARD_SHARE,
            gives: random.share() >= self.leechers,
            is_mute: random.share() < self.mutes,
            stay_us: (-STAY_MEAN_S * (1.0 - random.share()).ln() * S as f64) as u64 + S,
            is_liar: random.share() < self.liars,
        }
    }
}
