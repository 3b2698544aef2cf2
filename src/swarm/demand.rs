//! The player clock: when each player will have played what it was handed, and so when the next
//! segment is due.
//!
//! A level can only be guessed from outside: media handed since the first request minus the time
//! since. The guess errs on the early side (playback starts after the first request), and a paused
//! player merely seems hungrier than it is. Which source serves a demand is not decided here.
//! Driven by `state`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::window::Window;
use crate::ids::{PlayerId, SegmentId};

/// Most players followed; beyond it the one silent longest is forgotten (its next is due now).
const PLAYERS_MAX: usize = 64;
/// Most segments one player has asked for and not received that count for its clock.
const PENDING_MAX: usize = 64;
/// Highest buffer level believed.
const LEVEL_MAX: Duration = Duration::from_secs(3600);
/// Longest a seeder waits for peers before it asks the origin for a segment of a recording.
pub(super) const SEEDER_PATIENCE: Duration = Duration::from_secs(300);
/// A player silent for this many target durations beyond its buffer has gone.
const GONE_TARGETS: u32 = 2;

/// The clocks of all players of a rendition.
#[derive(Debug, Default)]
pub(super) struct Players {
    players: BTreeMap<PlayerId, Player>,
}

#[derive(Debug)]
struct Player {
    /// When its buffer runs dry.
    dry_at: Instant,
    /// The segment it asked for last.
    position: SegmentId,
    /// The last segment handed, so that none counts twice.
    handed: Option<SegmentId>,
    /// Asked for and not yet received, in order.
    pending: Vec<(SegmentId, Duration)>,
    asked_at: Instant,
}

impl Players {
    /// A player asked for a segment; anything but the next or the same one is a jump.
    pub(super) fn demanded(
        &mut self,
        now: Instant,
        id: PlayerId,
        segment: SegmentId,
        window: &Window,
    ) {
        if id == PlayerId::SEEDER {
            // It has no position: nothing is fetched ahead of it.
            return;
        }
        if !self.players.contains_key(&id) && self.players.len() >= PLAYERS_MAX {
            let silent = self.players.iter().min_by_key(|(_, p)| p.asked_at).map(|(id, _)| *id);
            silent.map(|id| self.players.remove(&id));
        }
        let fresh = || Player {
            dry_at: now,
            position: segment,
            handed: None,
            pending: Vec::new(),
            asked_at: now,
        };
        let player = self.players.entry(id).or_insert_with(fresh);
        let is_pending = player.pending.iter().any(|(id, _)| *id == segment);
        let is_same = player.position == segment || is_pending;
        if !is_same && !window.is_next(player.position, segment) {
            *player = fresh();
        }
        player.asked_at = now;
        player.position = player.position.max(segment);
        if !is_pending {
            player.pending.push((segment, window.duration(segment)));
            player.pending.sort_unstable();
            let excess = player.pending.len().saturating_sub(PENDING_MAX);
            player.pending.drain(..excess);
        }
    }

    /// A player has received a whole segment: its buffer grows.
    pub(super) fn handed(&mut self, now: Instant, id: PlayerId, segment: SegmentId) {
        let Some(player) = self.players.get_mut(&id) else { return };
        let Some(at) = player.pending.iter().position(|(id, _)| *id == segment) else { return };
        let (_, duration) = player.pending.remove(at);
        if player.handed.is_none_or(|last| last < segment) {
            player.handed = Some(segment);
            player.dry_at = (player.dry_at.max(now) + duration).min(now + LEVEL_MAX);
        }
    }

    /// A player stopped reading a segment.
    pub(super) fn dismissed(&mut self, id: PlayerId, segment: SegmentId) {
        if let Some(player) = self.players.get_mut(&id) {
            player.pending.retain(|(id, _)| *id != segment);
        }
    }

    /// What a player has received and not played yet.
    pub(super) fn buffered(&self, now: Instant, id: PlayerId) -> Duration {
        self.players.get(&id).map_or(Duration::ZERO, |p| p.dry_at.saturating_duration_since(now))
    }

    /// When that player needs the segment: now at the earliest.
    pub(super) fn due(&self, now: Instant, id: PlayerId, segment: SegmentId) -> Instant {
        if id == PlayerId::SEEDER {
            return now + LEVEL_MAX;
        }
        let Some(player) = self.players.get(&id) else { return now };
        let before: Duration =
            player.pending.iter().take_while(|(id, _)| *id < segment).map(|(_, d)| *d).sum();
        player.dry_at.max(now) + before
    }

    /// Forgets players that have gone.
    pub(super) fn forget_gone(&mut self, now: Instant, target: Duration) {
        self.players.retain(|_, p| !p.pending.is_empty() || p.gone_at(target) > now);
    }

    /// When the next player will be taken to have gone.
    pub(super) fn next_gone_at(&self, target: Duration) -> Option<Instant> {
        let idle = self.players.values().filter(|p| p.pending.is_empty());
        idle.map(|p| p.gone_at(target)).min()
    }

    /// Where each player stands, the hungriest first.
    pub(super) fn positions(&self) -> Vec<SegmentId> {
        let mut players: Vec<_> = self.players.values().collect();
        players.sort_by_key(|p| (p.dry_at, p.position));
        players.into_iter().map(|p| p.position).collect()
    }
}

impl Player {
    fn gone_at(&self, target: Duration) -> Instant {
        self.dry_at.max(self.asked_at) + target * GONE_TARGETS
    }
}

#[cfg(test)]
mod tests {
    use super::super::Slot;
    use super::*;

    const P: PlayerId = PlayerId(1);

    fn window() -> Window {
        let mut window = Window::new();
        let duration = Duration::from_secs(4);
        let slot = |id| Slot { id: SegmentId(id), duration, size: None };
        window.replace(&(0..100).map(slot).collect::<Vec<_>>(), false, Instant::now());
        window
    }

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn the_first_segment_is_due_at_once_and_the_next_when_it_has_played() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        players.demanded(t, P, SegmentId(0), &window);
        assert_eq!(players.due(t, P, SegmentId(0)), t);
        players.handed(t + secs(1), P, SegmentId(0));
        players.demanded(t + secs(1), P, SegmentId(1), &window);
        assert_eq!(players.due(t + secs(1), P, SegmentId(1)), t + secs(5));
    }

    #[test]
    fn a_jump_makes_the_segment_due_at_once() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        for id in 0..5 {
            players.demanded(t, P, SegmentId(id), &window);
            players.handed(t, P, SegmentId(id));
        }
        assert_eq!(players.due(t, P, SegmentId(5)), t + secs(20));
        players.demanded(t, P, SegmentId(50), &window);
        assert_eq!(players.due(t, P, SegmentId(50)), t);
    }

    #[test]
    fn segments_asked_for_together_are_due_one_after_the_other() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        players.demanded(t, P, SegmentId(0), &window);
        players.demanded(t, P, SegmentId(1), &window);
        assert_eq!(players.due(t, P, SegmentId(1)), t + secs(4));
    }

    #[test]
    fn a_segment_handed_twice_counts_once() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        for _ in 0..3 {
            players.demanded(t, P, SegmentId(0), &window);
            players.handed(t, P, SegmentId(0));
        }
        assert_eq!(players.due(t, P, SegmentId(1)), t + secs(4));
    }

    #[test]
    fn a_silent_player_has_gone_two_target_durations_after_its_buffer() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        players.demanded(t, P, SegmentId(0), &window);
        players.handed(t, P, SegmentId(0));
        assert_eq!(players.next_gone_at(secs(4)), Some(t + secs(12)));
        players.forget_gone(t + secs(11), secs(4));
        assert_eq!(players.positions(), [SegmentId(0)]);
        players.forget_gone(t + secs(12), secs(4));
        assert!(players.positions().is_empty());
    }

    #[test]
    fn a_seeder_needs_nothing_soon_and_has_no_position() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        players.demanded(t, PlayerId::SEEDER, SegmentId(0), &window);
        players.handed(t, PlayerId::SEEDER, SegmentId(0));
        assert!(players.positions().is_empty());
        assert_eq!(players.due(t, PlayerId::SEEDER, SegmentId(9)), t + LEVEL_MAX);
    }

    #[test]
    fn players_beyond_the_limit_push_out_the_one_silent_longest() {
        let (window, t) = (window(), Instant::now());
        let mut players = Players::default();
        for id in 0..1000 {
            players.demanded(t + secs(id), PlayerId(id), SegmentId(0), &window);
        }
        assert_eq!(players.players.len(), PLAYERS_MAX);
        assert!(players.players.contains_key(&PlayerId(999)));
    }
}
