//! Who gets to know whom: a tracker that passes on five offers per announce, and connections that
//! come about or do not.

use hlswarm::swarm::Input;

use super::World;
use super::exchange::Conn;
use super::plan::{Place, S};
use super::queue::Event;

/// Offers passed on per announce.
const OFFERS: usize = 5;
/// Between announces, and from each of the first to the next: the fourth is made by everybody, the
/// others by whoever lacks company.
const INTERVAL_US: u64 = 120 * S;
const EXTRA_US: [u64; 7] = [3 * S, 3 * S, 4 * S, 5 * S, 20 * S, 30 * S, 30 * S];
const EARLY: u32 = 3;
/// Connections a viewer looks for, and at most accepts.
const SOUGHT_MAX: usize = 20;
const ACCEPTED_MAX: usize = 30;
/// Connections that come about: nobody hard to reach, one, both.
const SUCCESS: [f64; 3] = [0.97, 0.5, 0.0];
/// Share of lossy connections, without radio and with it.
const LOSSY: [f64; 2] = [0.1, 0.5];
/// Bytes per second a connection carries at most, and its window in bytes.
const CHANNEL_MAX: f64 = 18e6;
const WINDOW_BYTES: f64 = 1_048_576.0;
const PACKET_BYTES: f64 = 1_200.0;

impl World {
    /// The `count`th announce of a viewer.
    pub(super) fn announce(&mut self, place: usize, count: u32) {
        let generation = self.viewers[place].generation;
        let extra_us = EXTRA_US.get(count as usize).copied();
        let wait_us = extra_us.unwrap_or(INTERVAL_US - 85 * S * u64::from(count == 7));
        let event = Event::Announce { place, generation, count: count + 1 };
        self.queue.push(self.now_us + wait_us, event);
        self.input(place, Input::SwarmSize(self.present.len() as u32));
        let lacks = self.viewers[place].swarm.as_ref().is_some_and(|s| s.lacks_company());
        if (1..=7).contains(&count) && count != EARLY && !lacks {
            return;
        }
        let room = SOUGHT_MAX.saturating_sub(self.viewers[place].conns.len());
        if lacks && room < OFFERS {
            self.input(place, Input::Crowded(OFFERS - room));
        }
        let mut offered = vec![place];
        for _ in 0..OFFERS.min(self.present.len() - 1) {
            let other = self.present[self.random.below(self.present.len())];
            if !offered.contains(&other) {
                offered.push(other);
                self.offer(place, other);
            }
        }
    }

    fn offer(&mut self, from: usize, to: usize) {
        let [a, b] = [from, to].map(|place| &self.viewers[place]);
        let (Some(here), Some(there)) = (a.line, b.line) else { return };
        let is_known = a.conns.iter().any(|conn| b.conns.contains(conn));
        let is_crowded = a.conns.len() >= SOUGHT_MAX || b.conns.len() >= ACCEPTED_MAX;
        let is_far = self.plan.place == Place::World;
        let hard = usize::from(here.is_hard) + usize::from(there.is_hard);
        let is_over = is_known || is_crowded || self.is_banned(from, to);
        if is_over || (is_far && self.random.share() >= SUCCESS[hard]) {
            return;
        }
        let rtt_us = here.rtt_us + there.rtt_us;
        let rtt_s = rtt_us as f64 / 1e6;
        let is_radio = here.is_radio || there.is_radio;
        let per_second = if is_far && self.random.share() < LOSSY[usize::from(is_radio)] {
            let loss = 0.001 * 10f64.powf(self.random.share());
            1.22 * PACKET_BYTES / (rtt_s * loss.sqrt())
        } else {
            CHANNEL_MAX.min(WINDOW_BYTES / rtt_s)
        };
        let generations = [a.generation, b.generation];
        let conn = self.conns.len();
        self.conns.push(Conn::new([from, to], generations, rtt_us / 2, per_second / 1e6));
        for place in [from, to] {
            self.viewers[place].conns.insert(conn);
        }
        self.queue.push(self.now_us + self.plan.delays.connect_us, Event::Connect(conn));
    }

    pub(super) fn connect(&mut self, conn: usize) {
        let Conn { places, generations, .. } = self.conns[conn];
        if (0..2).any(|end| !self.is_there(places[end], generations[end])) {
            return;
        }
        self.conns[conn].is_open = [true; 2];
        self.conns[conn].open_us = Some(self.now_us);
        for end in 0..2 {
            let Some(id) = self.viewers[places[1 - end]].id else { continue };
            self.input(places[end], Input::Connected { peer: super::viewer::key(conn), id });
        }
    }
}
