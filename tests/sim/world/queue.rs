//! What will happen, in order; what was planned first happens first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hlswarm::ids::SegmentId;
use hlswarm::swarm::wire::Message;
use hlswarm::verify::blocks::Glimpse;

use super::network::Look;

/// One thing that will happen. A viewer is its place and its number there; a connection has two
/// ends, 0 and 1.
#[derive(Debug)]
pub enum Event {
    Arrive(usize),
    Leave {
        place: usize,
        generation: u32,
    },
    /// The swarm asked to be told the time.
    Wake {
        place: usize,
        generation: u32,
    },
    /// The player reads its playlist again.
    Reload {
        place: usize,
        generation: u32,
    },
    /// The player has room for more.
    Want {
        place: usize,
        generation: u32,
    },
    /// A radio link fails, or works again.
    Fade {
        place: usize,
        generation: u32,
        is_bad: bool,
    },
    Announce {
        place: usize,
        generation: u32,
        count: u32,
    },
    OriginAnswers {
        place: usize,
        generation: u32,
        segment: SegmentId,
        fetch: u64,
    },
    /// A check of what peers sent against the origin is done.
    Checked {
        place: usize,
        generation: u32,
        segment: SegmentId,
        number: u64,
    },
    /// The origin sent a slice that shows which list of blocks is right.
    Seen {
        place: usize,
        generation: u32,
        glimpse: Glimpse,
    },
    /// A connection comes about.
    Connect(usize),
    Heard {
        conn: usize,
        end: usize,
        message: Message,
    },
    /// That end notices that the other is gone.
    Gone {
        conn: usize,
        end: usize,
    },
    /// What that end serves begins to arrive at the other.
    ServeBegins {
        conn: usize,
        end: usize,
        request: u64,
    },
    Look(Look),
}

/// Events by time.
#[derive(Default)]
pub struct Queue {
    times: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    count: u64,
}

impl Queue {
    pub fn push(&mut self, at_us: u64, event: Event) {
        let slot = self.free.pop().unwrap_or(self.events.len());
        if slot == self.events.len() {
            self.events.push(None);
        }
        self.events[slot] = Some(event);
        self.count += 1;
        self.times.push(Reverse((at_us, self.count, slot)));
    }

    pub fn pop(&mut self) -> Option<(u64, Event)> {
        let Reverse((at_us, _, slot)) = self.times.pop()?;
        self.free.push(slot);
        self.events[slot].take().map(|event| (at_us, event))
    }
}
