//! How far behind the live edge each player is kept. PURE.
//!
//! Settled when a player joins, so that the wait for peers happens before it asks for a segment;
//! changed afterwards only as far as its buffer bears. It cuts no playlist: that is
//! `playlist::hold_back`'s work. `http/playlist` drives it.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::ids::PlayerId;
use crate::stream::Standing;

/// Players whose delay is remembered, each with each of its playlists.
const PLAYERS_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// Target durations by which players are kept behind where peers pass on whole segments.
const AUTOMATIC_TARGETS: u32 = 2;
/// Target durations that must be left in a player's buffer when its delay grows.
const TARGETS_LEFT_MIN: u32 = 1;
/// A player that has not asked for so many target durations joins anew.
const ABSENT_TARGETS: u32 = 10;

/// A player that asked for another playlist so many target durations ago plays on.
const BESIDE_TARGETS: u32 = 2;

/// What the settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LiveDelay {
    /// As long as peers need, while there are any or may turn up yet.
    #[default]
    Automatic,
    /// That long; zero turns it off.
    Fixed(Duration),
}

/// What a player is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// How much is to be held back.
    pub delay: Duration,
    /// Media sequence number of the last segment it has been shown; that never goes back.
    pub shown: Option<u64>,
}

/// A player with one of its playlists: who, with which credentials, and the playlist's URL.
pub type Key = (PlayerId, u64, String);

/// The delays in force.
pub struct Delays {
    setting: LiveDelay,
    players: LruCache<Key, Entry>,
}

struct Entry {
    delay: Duration,
    shown: Option<u64>,
    asked_at: Instant,
}

impl Delays {
    /// Nobody is playing.
    pub fn new(setting: LiveDelay) -> Self {
        Self { setting, players: LruCache::new(PLAYERS_MAX) }
    }

    /// Whether it can ever hold anything back.
    pub fn is_off(&self) -> bool {
        self.setting == LiveDelay::Fixed(Duration::ZERO)
    }

    /// What a player that asks now is to be shown.
    pub fn settle(
        &mut self,
        key: &Key,
        target: Duration,
        standing: Standing,
        now: Instant,
    ) -> Show {
        let wanted = match self.setting {
            LiveDelay::Fixed(delay) => delay,
            LiveDelay::Automatic if standing.peers > 0 || standing.is_meeting => {
                target * AUTOMATIC_TARGETS
            }
            LiveDelay::Automatic => Duration::ZERO,
        };
        let joins =
            |entry: &Entry| now.saturating_duration_since(entry.asked_at) > target * ABSENT_TARGETS;
        if self.players.peek(key).is_none_or(joins) {
            let shown = self.players.peek(key).and_then(|entry| entry.shown);
            let delay = self.beside(key, target * BESIDE_TARGETS, now).unwrap_or(wanted);
            self.players.put(key.clone(), Entry { delay, shown, asked_at: now });
            return Show { delay, shown };
        }
        let Some(entry) = self.players.get_mut(key) else { return Show::default() };
        entry.asked_at = now;
        entry.delay = if wanted <= entry.delay {
            wanted
        } else {
            let bearable = standing.buffered.saturating_sub(target * TARGETS_LEFT_MIN);
            // By whole target durations: less would hold back no segment more.
            let steps = whole_targets(bearable.min(wanted - entry.delay), target);
            entry.delay + target * steps
        };
        Show { delay: entry.delay, shown: entry.shown }
    }

    /// The delay of what the player plays now, or played a moment ago: renditions of one
    /// presentation begin at the same place, whoever else plays which of them, and a player that
    /// changes between them finds as much in the one as in the other.
    fn beside(&self, key: &Key, recently: Duration, now: Instant) -> Option<Duration> {
        let is_theirs = |other: &Key| other != key && (other.0, other.1) == (key.0, key.1);
        let others = self.players.iter().filter(|(other, _)| is_theirs(other));
        let is_recent = |entry: &&Entry| now.saturating_duration_since(entry.asked_at) <= recently;
        others.map(|(_, entry)| entry).find(is_recent).map(|entry| entry.delay)
    }

    /// A player was shown a playlist up to that media sequence number.
    pub fn shown(&mut self, key: &Key, last: u64) {
        if let Some(entry) = self.players.get_mut(key) {
            entry.shown = Some(last);
        }
    }
}

fn whole_targets(duration: Duration, target: Duration) -> u32 {
    let count = duration.as_millis().checked_div(target.as_millis()).unwrap_or(0);
    u32::try_from(count).unwrap_or(u32::MAX).min(AUTOMATIC_TARGETS)
}

impl std::str::FromStr for LiveDelay {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "auto" {
            return Ok(Self::Automatic);
        }
        let seconds: f64 = text.parse().map_err(|_| ())?;
        if !(0.0..=SECONDS_MAX).contains(&seconds) {
            return Err(());
        }
        Ok(Self::Fixed(Duration::try_from_secs_f64(seconds).map_err(|_| ())?))
    }
}

/// Longest delay that can be set, in seconds.
const SECONDS_MAX: f64 = 120.0;

impl std::fmt::Display for LiveDelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Fixed(delay) => write!(f, "{}", delay.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(4);

    fn key() -> Key {
        (PlayerId(1), 0, "http://origin.test/live.m3u8".to_owned())
    }

    fn standing(peers: usize, buffered_s: u64) -> Standing {
        Standing { peers, buffered: Duration::from_secs(buffered_s), is_meeting: false }
    }

    fn delay(delays: &mut Delays, standing: Standing, now: Instant) -> u64 {
        delays.settle(&key(), TARGET, standing, now).delay.as_secs()
    }

    #[test]
    fn nobody_is_kept_behind_while_there_are_no_peers() {
        let mut delays = Delays::new(LiveDelay::Automatic);
        assert_eq!(delay(&mut delays, standing(0, 12), Instant::now()), 0);
    }

    #[test]
    fn who_joins_a_swarm_is_kept_two_target_durations_behind() {
        let mut delays = Delays::new(LiveDelay::Automatic);
        assert_eq!(delay(&mut delays, standing(1, 0), Instant::now()), 8);
    }

    #[test]
    fn who_may_yet_meet_peers_is_kept_behind_from_the_first_playlist_on() {
        let mut delays = Delays::new(LiveDelay::Automatic);
        let meeting = Standing { is_meeting: true, ..standing(0, 0) };
        assert_eq!(delay(&mut delays, meeting, Instant::now()), 8);
    }

    #[test]
    fn a_delay_grows_only_as_far_as_the_buffer_bears() {
        let now = Instant::now();
        let mut delays = Delays::new(LiveDelay::Automatic);
        assert_eq!(delay(&mut delays, standing(0, 0), now), 0);
        assert_eq!(delay(&mut delays, standing(3, 7), now), 0);
        assert_eq!(delay(&mut delays, standing(3, 8), now), 4);
        assert_eq!(delay(&mut delays, standing(3, 6), now), 4);
        assert_eq!(delay(&mut delays, standing(3, 60), now), 8);
        assert_eq!(delay(&mut delays, standing(3, 60), now), 8);
    }

    #[test]
    fn a_delay_ends_with_the_peers() {
        let now = Instant::now();
        let mut delays = Delays::new(LiveDelay::Automatic);
        assert_eq!(delay(&mut delays, standing(2, 0), now), 8);
        assert_eq!(delay(&mut delays, standing(0, 0), now), 0);
    }

    #[test]
    fn what_was_set_is_kept_to() {
        let mut delays = Delays::new("4.5".parse().unwrap());
        let show = delays.settle(&key(), TARGET, standing(0, 0), Instant::now());
        assert_eq!(show.delay, Duration::from_millis(4500));
        assert!(Delays::new("0".parse().unwrap()).is_off());
        for text in ["", "-1", "121", "nan", "soon"] {
            assert_eq!(text.parse::<LiveDelay>(), Err(()), "{text}");
        }
    }

    #[test]
    fn who_was_away_for_long_joins_anew() {
        let now = Instant::now();
        let mut delays = Delays::new(LiveDelay::Automatic);
        delay(&mut delays, standing(0, 0), now);
        delays.shown(&key(), 41);
        let later = now + TARGET * (ABSENT_TARGETS + 1);
        let show = delays.settle(&key(), TARGET, standing(1, 0), later);
        // The stream may have stood still all the while.
        assert_eq!(show, Show { delay: TARGET * 2, shown: Some(41) });
    }

    #[test]
    fn renditions_begin_with_the_delay_of_what_is_played_beside_them() {
        let now = Instant::now();
        let mut delays = Delays::new(LiveDelay::Automatic);
        let of = |player, credentials, name: &str| (PlayerId(player), credentials, name.to_owned());
        let mut at = |key: &Key, peers, now| {
            let show = delays.settle(key, TARGET, standing(peers, 0), now);
            show.delay.as_secs()
        };
        assert_eq!(at(&of(1, 0, "video"), 0, now), 0);
        assert_eq!(at(&of(1, 0, "audio"), 3, now), 0, "beside the video");
        assert_eq!(at(&of(1, 7, "audio"), 3, now), 8, "another session");
        assert_eq!(at(&of(2, 0, "audio"), 3, now), 8, "another player");
        assert_eq!(at(&of(2, 0, "video"), 0, now), 8, "beside its audio");
        let later = now + TARGET * (BESIDE_TARGETS + 1);
        assert_eq!(at(&of(1, 0, "high"), 3, later), 8, "what was played long ago does not count");
    }

    #[test]
    fn what_a_player_was_shown_is_remembered() {
        let now = Instant::now();
        let mut delays = Delays::new(LiveDelay::Automatic);
        delay(&mut delays, standing(0, 0), now);
        delays.shown(&key(), 41);
        assert_eq!(delays.settle(&key(), TARGET, standing(1, 8), now).shown, Some(41));
    }

    #[test]
    fn players_are_forgotten_before_they_are_too_many() {
        let mut delays = Delays::new(LiveDelay::Automatic);
        for player in 0..5000 {
            let key = (PlayerId(player), 0, String::new());
            delays.settle(&key, TARGET, standing(1, 0), Instant::now());
        }
        assert_eq!(delays.players.len(), PLAYERS_MAX.get());
    }
}
