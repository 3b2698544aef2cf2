//! When players need what they wait for, as far as their clocks tell.
//!
//! The clocks are `demand`'s; what follows is decided in `schedule`. Driven by `conduct`.

use std::time::{Duration, Instant};

use super::demand::SEEDER_PATIENCE;
use super::patience::{SLOW_LINE, margin};
use super::state::Swarm;
use super::transfer::Reader;
use crate::ids::{PlayerId, SegmentId};

/// Whose player has less of a recording has little: a line may fail for that long.
const THIN_BUFFER: Duration = Duration::from_secs(12);

impl Swarm {
    /// Until when peers may bring a segment of a recording to a player that has little: only what
    /// comes quicker than it is played fills the buffer that bad moments of the line are ridden
    /// out with, and alone the player would have filled it.
    pub(super) fn fill_by(&self, segment: SegmentId) -> Option<Instant> {
        let players = self.transfers.get(&segment)?.readers.keys();
        let due = players.map(|player| self.players.due(self.now, *player, segment)).min()?;
        let is_thin = !self.window.is_live() && due < self.now + THIN_BUFFER;
        is_thin.then(|| self.now + self.window.duration(segment) / 2)
    }

    /// When the first of the players that wait for a segment needs it.
    pub(super) fn due(&self, segment: SegmentId) -> Option<Instant> {
        let readers = &self.transfers.get(&segment)?.readers;
        let due = |(player, reader): (&PlayerId, &Reader)| {
            let is_patient = *player == PlayerId::SEEDER && !self.window.is_live();
            let hold_max = if is_patient { SEEDER_PATIENCE } else { self.config.hold_max };
            self.players.due(self.now, *player, segment).min(reader.since + hold_max)
        };
        readers.iter().map(due).min()
    }

    /// Whether there is no more time for a segment than fetching it may take.
    pub(super) fn is_due_soon(&self, segment: SegmentId) -> bool {
        let margin = margin(&self.config, self.downlink, self.window.size_guess(segment));
        self.due(segment).is_some_and(|due| due <= self.now + margin)
    }

    /// Whether the line is so slow that it has nothing to spare while the origin sends a segment.
    pub(super) fn is_slow(&self, segment: SegmentId) -> bool {
        self.downlink.time_for(self.window.size_guess(segment)) >= SLOW_LINE
    }
}
