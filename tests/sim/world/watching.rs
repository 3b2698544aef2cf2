//! Viewers come, watch and go: playlists, players, stalls.

use std::time::Duration;

use hlswarm::http::delay::{Delays, LiveDelay};
use hlswarm::ids::{PeerId, PlayerId, SegmentId};
use hlswarm::stream::Standing;
use hlswarm::swarm::{Config, Input, Slot, Swarm};

use super::World;
use super::plan::{Mode, Plan, S};
use super::queue::Event;
use super::random::Random;
use super::viewer::key;

/// Segments of a live stream that were published before anybody came.
const LIVE_FIRST: u64 = 100;
/// Segments in a live playlist.
const LIVE_LISTED: u64 = 10;
/// Segments behind the end of a live playlist at which a player starts.
const BEHIND: u64 = 3;
/// Media a player buffers of a recording.
const BUFFER_US: u64 = 30 * S;
/// Bad moments of a radio link: how long and how far apart on average, what is left of the line.
const FADE_MEAN_US: f64 = 3e6;
const FADES_APART_US: f64 = 60e6;
const FADE_LEFT: f64 = 0.1;
const PLAYER: PlayerId = PlayerId(1);

impl Plan {
    pub fn cache_segments(&self) -> usize {
        (self.cache_bytes / self.segment_bytes) as usize
    }

    /// Segments below that were published by then.
    fn edge(&self, at_us: u64) -> u64 {
        match self.mode {
            Mode::Live => LIVE_FIRST + at_us / self.segment_us,
            Mode::Vod => self.film_segments,
        }
    }

    /// Segments below that are in the playlist that a player is given then, held back by `delay`.
    fn shown(&self, at_us: u64, delay: Duration) -> u64 {
        // Whole segments only: what is listed is listed as published.
        self.edge(at_us) - delay.as_micros() as u64 / self.segment_us
    }

    /// When a live segment was published.
    pub fn published_us(&self, segment: u64) -> Option<u64> {
        let since_first = (segment + 1).checked_sub(LIVE_FIRST).filter(|_| self.is_live())?;
        Some(since_first * self.segment_us)
    }
}

impl World {
    pub(super) fn arrive(&mut self, place: usize) {
        let generation = self.viewers[place].generation;
        let line = self.plan.line(place, generation);
        let mut random = Random::of(&[self.plan.seed, 4, place as u64, u64::from(generation)]);
        let mut letters = [0; 12];
        letters.fill_with(|| random.next() as u8);
        let id = PeerId::generate(letters);
        let config = Config { upload: line.gives, ..Config::default() };
        let swarm = Swarm::new(config, id, random.next(), self.now());
        self.viewers[place].take_place(swarm, id, line, self.now_us);
        self.viewers[place].player.next = self.plan.arrival(place).1;
        self.had(place);
        self.present.push(place);
        self.network.set_line(self.now_us, place, line.down, line.up);
        let at = |wait_us| self.now_us + wait_us;
        self.queue.push(at(self.plan.delays.playlist_us), Event::Reload { place, generation });
        if self.plan.is_live() {
            self.queue.push(at(line.stay_us), Event::Leave { place, generation });
        }
        if line.is_radio {
            let wait_us = random.wait(FADES_APART_US);
            self.queue.push(at(wait_us), Event::Fade { place, generation, is_bad: true });
        }
        if self.plan.has_peers {
            self.queue.push(
                at(self.plan.delays.tracker_us),
                Event::Announce { place, generation, count: 0 },
            );
        } else {
            self.input(place, Input::Alone);
        }
    }

    /// Who is in the middle of a film when the simulation begins has what it would have by then.
    fn had(&mut self, place: usize) {
        let next = self.viewers[place].player.next;
        let kept = self.plan.cache_segments();
        for segment in next.saturating_sub(kept as u64)..next {
            let (segment, size) = (SegmentId(segment), self.plan.segment_bytes);
            self.viewers[place].keep(segment, kept);
            self.input(place, Input::Completed { segment, size });
        }
    }

    pub(super) fn leave(&mut self, place: usize) {
        self.settle_account(place);
        for conn in self.viewers[place].conns.clone() {
            self.close(place, key(conn));
        }
        let segments: Vec<_> = self.viewers[place].fetches.keys().copied().collect();
        segments.iter().for_each(|segment| self.stop_fetch(place, *segment));
        self.viewers[place].swarm = None;
        self.viewers[place].generation += 1;
        self.present.retain(|other| *other != place);
        if self.plan.is_live() {
            self.arrive(place);
        }
    }

    /// Counts what a viewer watched while it was measured, and a stall that has not ended.
    pub(super) fn settle_account(&mut self, place: usize) {
        self.count_undetected(place);
        let (from, _) = self.plan.measured();
        let viewer = &self.viewers[place];
        self.report.watched_us += self.now_us.saturating_sub(viewer.arrived_us.max(from));
        let player = viewer.player;
        if let Some(dry_us) = player.dry_us.filter(|_| player.is_waiting)
            && dry_us < self.now_us
            && self.is_measured(self.now_us)
        {
            self.report.stalls += 1;
            self.report.stalled_us += self.now_us - dry_us;
        }
    }

    /// What the playlist has now is told to the swarm.
    pub(super) fn read(&mut self, place: usize) {
        let edge = self.plan.edge(self.now_us);
        let is_live = self.plan.is_live();
        let first = if is_live { edge.saturating_sub(LIVE_LISTED) } else { 0 };
        let duration = Duration::from_micros(self.plan.segment_us);
        let slot = |id| Slot { id: SegmentId(id), duration, size: None };
        let segments = (first..edge).map(slot).collect();
        self.input(place, Input::Timeline { segments, is_live });
    }

    /// The player reads its playlist: the swarm learns of what is new, the player a little later.
    pub(super) fn reload(&mut self, place: usize) {
        let is_live = self.plan.is_live();
        self.read(place);
        let delay = self.delay(place);
        let generation = self.viewers[place].generation;
        let player = &mut self.viewers[place].player;
        // What was listed stays listed.
        let shown = self.plan.shown(self.now_us, delay).max(player.shown);
        if player.shown == 0 && is_live {
            player.next = shown - BEHIND;
        }
        let has_changed = player.shown != shown;
        player.shown = shown;
        if is_live {
            let wait_us = if has_changed { self.plan.segment_us } else { self.plan.segment_us / 2 };
            self.queue.push(self.now_us + wait_us, Event::Reload { place, generation });
        }
        self.want(place);
    }

    /// How far behind the edge the player is kept: by the daemon's own rules.
    fn delay(&mut self, place: usize) -> Duration {
        let now = self.now();
        let viewer = &mut self.viewers[place];
        let Some(swarm) = viewer.swarm.as_ref().filter(|_| self.plan.is_live()) else {
            return Duration::ZERO;
        };
        let peers = swarm.peers().count();
        let buffered = swarm.buffered(PLAYER, now);
        let standing = Standing { peers, is_meeting: swarm.is_meeting(now), buffered };
        let key = (PLAYER, 0, String::new());
        let target = Duration::from_micros(self.plan.segment_us);
        let delays = viewer.delays.get_or_insert_with(|| Delays::new(LiveDelay::Automatic));
        delays.settle(&key, target, standing, now).delay
    }

    /// The player asks for its next segment, if there is one and it has room.
    pub(super) fn want(&mut self, place: usize) {
        let viewer = &mut self.viewers[place];
        let (player, generation) = (&mut viewer.player, viewer.generation);
        if player.is_waiting || player.next >= player.shown {
            return;
        }
        let buffered_us = player.dry_us.unwrap_or(0).saturating_sub(self.now_us);
        if let Some(wait_us) = buffered_us.checked_sub(BUFFER_US).filter(|us| *us > 0) {
            return self.queue.push(self.now_us + wait_us, Event::Want { place, generation });
        }
        player.is_waiting = true;
        let segment = SegmentId(player.next);
        let is_held = viewer.holds(segment);
        self.input(place, Input::Demanded { segment, player: PLAYER });
        if is_held {
            self.hand(place, segment);
        }
    }

    /// A whole segment is there: if the player waits for it, it plays on, or plays again.
    pub(super) fn hand(&mut self, place: usize, segment: SegmentId) {
        let (now_us, is_measured) = (self.now_us, self.is_measured(self.now_us));
        let viewer = &mut self.viewers[place];
        let player = &mut viewer.player;
        if !player.is_waiting || player.next != segment.0 {
            return;
        }
        player.is_waiting = false;
        player.next += 1;
        let who = (place, viewer.generation);
        self.handed.add(who, viewer.arrived_us, segment.0, now_us);
        let late_us = player.dry_us.map_or(0, |dry_us| now_us.saturating_sub(dry_us));
        if is_measured {
            self.report.handed += 1;
            self.report.handed_bytes += self.plan.segment_bytes;
            self.report.stalled_us += late_us;
            self.report.stalls += u64::from(late_us > 0);
            if player.dry_us.is_none() {
                self.report.startups_us.push(now_us - viewer.arrived_us);
            }
        }
        let dry_us = player.dry_us.unwrap_or(now_us).max(now_us) + self.plan.segment_us;
        player.dry_us = Some(dry_us);
        let is_over = !self.plan.is_live() && player.next == self.plan.film_segments;
        let generation = viewer.generation;
        self.count_wrong(place, segment);
        self.input(place, Input::Handed { segment, player: PLAYER });
        if is_over {
            self.queue.push(dry_us, Event::Leave { place, generation });
        } else {
            self.want(place);
        }
    }

    pub(super) fn fade(&mut self, place: usize, is_bad: bool) {
        let Some(line) = self.viewers[place].line else { return };
        let left = if is_bad { FADE_LEFT } else { 1.0 };
        self.network.set_line(self.now_us, place, line.down * left, line.up);
        let generation = self.viewers[place].generation;
        // The same bad moments whatever the swarm does: from the time alone.
        let seed = [self.plan.seed, 5, place as u64, u64::from(generation), self.now_us];
        let mean_us = if is_bad { FADE_MEAN_US } else { FADES_APART_US };
        let wait_us = Random::of(&seed).wait(mean_us);
        let event = Event::Fade { place, generation, is_bad: !is_bad };
        self.queue.push(self.now_us + wait_us, event);
    }
}
