//! What peers sent is compared with the origin's bytes: a slice of each segment, as soon as the
//! list of its blocks is there, and what agrees with that may be passed on.
//!
//! Nobody lies here, and lists cost nothing but the time until they are known: whoever has a whole
//! segment knows its list, and whoever has checked the list it was told.

use hlswarm::ids::SegmentId;
use hlswarm::swarm::Input;
use hlswarm::swarm::wire::Message;

use super::World;
use super::queue::Event;

/// Bytes of a segment that are compared with the origin's.
const CHECK_BYTES: u64 = 8 << 10;

/// How far the comparison of a segment is.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// Somebody said the list of its blocks.
    has_list: bool,
    has_begun: bool,
    is_done: bool,
    /// All bytes are there, and wait for it.
    is_whole: bool,
    /// What peers sent in the meantime.
    waiting: Vec<(u64, u64)>,
    /// Who was sent something before the list was known: the connection and our end of it.
    owed: Vec<(usize, usize)>,
}

impl World {
    /// A viewer has bytes of a segment from a peer.
    pub(super) fn came(&mut self, place: usize, segment: SegmentId, from: u64, end: u64) {
        let check = self.viewers[place].checks.entry(segment).or_default();
        if check.is_done {
            self.input(place, Input::Proved { segment, from, end });
        } else {
            check.waiting.push((from, end));
            let has_list = check.has_list;
            if has_list {
                self.check(place, segment);
            }
        }
    }

    /// A viewer sends something of a segment: the list first, if it knows it.
    pub(super) fn list_said(&mut self, by: usize, conn: usize, end: usize, segment: SegmentId) {
        let viewer = &mut self.viewers[by];
        if viewer.holds(segment) {
            let Some(to) = self.open_end(conn, 1 - end) else { return };
            return self.list_came(to, segment);
        }
        let check = viewer.checks.entry(segment).or_default();
        let is_known = check.is_done;
        if !is_known {
            check.owed.push((conn, end));
        } else if let Some(to) = self.open_end(conn, 1 - end) {
            self.list_came(to, segment);
        }
    }

    pub(super) fn list_came(&mut self, place: usize, segment: SegmentId) {
        if self.viewers[place].holds(segment) {
            return;
        }
        let check = self.viewers[place].checks.entry(segment).or_default();
        check.has_list = true;
        if !check.waiting.is_empty() {
            self.check(place, segment);
        }
    }

    /// The list is known now: whoever was sent something without it is told.
    pub(super) fn say_owed(&mut self, place: usize, segment: SegmentId) {
        let check = self.viewers[place].checks.get_mut(&segment);
        let owed = check.map(|check| std::mem::take(&mut check.owed)).unwrap_or_default();
        let total = self.plan.segment_bytes;
        for (conn, end) in owed {
            let SegmentId(segment) = segment;
            let message = Message::Blocks { segment, total, first: 0, hashes: Vec::new() };
            let at_us = self.now_us + self.conns[conn].one_way_us;
            self.queue.push(at_us, Event::Heard { conn, end: 1 - end, message });
        }
    }

    /// Begins the comparison.
    fn check(&mut self, place: usize, segment: SegmentId) {
        let viewer = &mut self.viewers[place];
        let Some(check) = viewer.checks.get_mut(&segment) else { return };
        if check.has_begun {
            return;
        }
        check.has_begun = true;
        let (rtt_us, down) = viewer.line.map_or((0, 1.0), |line| (line.rtt_us, line.down));
        let took_us = self.plan.delays.origin_us + rtt_us + (CHECK_BYTES as f64 / down) as u64;
        let generation = viewer.generation;
        if self.is_measured(self.now_us) {
            self.report.origin_bytes += CHECK_BYTES;
            self.report.check_bytes += CHECK_BYTES;
        }
        let event = Event::Checked { place, generation, segment };
        self.queue.push(self.now_us + took_us, event);
    }

    pub(super) fn checked(&mut self, place: usize, segment: SegmentId) {
        let Some(check) = self.viewers[place].checks.get_mut(&segment) else { return };
        check.is_done = true;
        if check.is_whole {
            return self.complete(place, segment);
        }
        let waiting = std::mem::take(&mut check.waiting);
        self.say_owed(place, segment);
        for (from, end) in waiting {
            self.input(place, Input::Proved { segment, from, end });
        }
    }

    pub(super) fn verify(&mut self, place: usize, segment: SegmentId) {
        self.stop_fetch(place, segment);
        let check = self.viewers[place].checks.entry(segment).or_default();
        check.is_whole = true;
        if check.is_done {
            self.complete(place, segment);
        } else {
            self.check(place, segment);
        }
    }
}
