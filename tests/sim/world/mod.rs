//! A swarm of viewers on one virtual clock: the core as it is, on modelled lines.
//!
//! Every viewer is a [`Swarm`], unmodified, with a player and a cache; `network` moves the bytes.
//! The world only passes on what happens. Driven by the tests beside it and by the offload bench.

mod bound;
mod checks;
mod content;
mod exchange;
pub mod liars;
mod network;
pub mod plan;
mod queue;
mod random;
pub mod report;
mod tracker;
mod viewer;
mod watching;

use std::time::{Duration, Instant};

use hlswarm::ids::{PeerKey, SegmentId};
use hlswarm::swarm::wire::Message;
use hlswarm::swarm::{DropReason, Input, Output, Reason};

use bound::Handed;
use exchange::{Conn, Load, Serve};
use network::Network;
use plan::Plan;
use queue::{Event, Queue};
use random::Random;
use report::Report;
use viewer::Viewer;

/// All viewers and what will happen to them.
pub struct World {
    plan: Plan,
    viewers: Vec<Viewer>,
    /// Places of the viewers that are there.
    present: Vec<usize>,
    conns: Vec<Conn>,
    network: Network,
    /// What each flow carries.
    loads: Vec<Load>,
    queue: Queue,
    random: Random,
    /// What is compared with the origin's bytes.
    chance: Random,
    /// The swarms want an instant; which one does not matter.
    start: Instant,
    now_us: u64,
    handed: Handed,
    report: Report,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut world = Self {
            plan,
            viewers: (0..plan.viewers).map(|_| Viewer::default()).collect(),
            present: Vec::new(),
            conns: Vec::new(),
            network: Network::new(plan.viewers),
            loads: Vec::new(),
            queue: Queue::default(),
            random: Random::of(&[plan.seed, 3]),
            chance: Random::of(&[plan.seed, 6]),
            start: Instant::now(),
            now_us: 0,
            handed: Handed::default(),
            report: Report { given: vec![0; plan.viewers], ..Report::default() },
        };
        for place in 0..plan.viewers {
            world.queue.push(plan.arrival(place).0, Event::Arrive(place));
        }
        world
    }

    /// Lets everything happen that is measured.
    pub fn run(mut self) -> Report {
        let (_, until) = self.plan.measured();
        while let Some((at_us, event)) = self.queue.pop() {
            if at_us >= until {
                self.now_us = until;
                break;
            }
            self.now_us = at_us;
            self.happen(event);
        }
        for place in self.present.clone() {
            self.settle_account(place);
        }
        self.report.needed_bytes = self.handed.needed_bytes(&self.plan, &self.conns);
        self.report.published = self.plan.segments_measured();
        self.report
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(place) => self.arrive(place),
            Event::Leave { place, generation } if self.is_there(place, generation) => {
                self.leave(place);
            }
            Event::Wake { place, generation } if self.is_there(place, generation) => {
                self.wake(place);
            }
            Event::Reload { place, generation } if self.is_there(place, generation) => {
                self.reload(place);
            }
            Event::Want { place, generation } if self.is_there(place, generation) => {
                self.want(place);
            }
            Event::Fade { place, generation, is_bad } if self.is_there(place, generation) => {
                self.fade(place, is_bad);
            }
            Event::Announce { place, generation, count } if self.is_there(place, generation) => {
                self.announce(place, count);
            }
            Event::OriginAnswers { place, generation, segment, fetch }
                if self.is_there(place, generation) =>
            {
                self.origin_answers(place, segment, fetch);
            }
            Event::Checked { place, generation, segment, number }
                if self.is_there(place, generation) =>
            {
                self.checked(place, segment, number);
            }
            Event::Seen { place, generation, glimpse } if self.is_there(place, generation) => {
                self.seen(place, &glimpse);
            }
            Event::Leave { .. }
            | Event::Checked { .. }
            | Event::Seen { .. }
            | Event::Wake { .. }
            | Event::Reload { .. }
            | Event::Want { .. }
            | Event::Fade { .. }
            | Event::Announce { .. }
            | Event::OriginAnswers { .. } => {}
            Event::Connect(conn) => self.connect(conn),
            Event::Heard { conn, end, message } => self.heard(conn, end, message),
            Event::Gone { conn, end } => self.gone(conn, end),
            Event::ServeBegins { conn, end, request } => self.serve_begins(conn, end, request),
            Event::Look(look) => {
                if self.network.is_current(look) {
                    self.look(look.flow);
                }
            }
        }
        self.collect_looks();
    }

    fn heard(&mut self, conn: usize, end: usize, message: Message) {
        let Some(place) = self.open_end(conn, end) else { return };
        match message {
            Message::Blocks { segment, .. } => self.heard_blocks(conn, end, SegmentId(segment)),
            Message::Hash { segment, sha256, .. } => {
                let by = self.conns[conn].places[1 - end];
                self.claimed(place, by, SegmentId(segment), sha256);
            }
            message => self.input(place, Input::Heard { peer: PeerKey(conn as u32), message }),
        }
    }

    fn is_there(&self, place: usize, generation: u32) -> bool {
        self.viewers[place].generation == generation && self.viewers[place].swarm.is_some()
    }

    /// The swarm is told, and what it decides is done.
    fn input(&mut self, place: usize, input: Input) {
        let now = self.now();
        let Some(swarm) = &mut self.viewers[place].swarm else { return };
        swarm.handle(now, input);
        while let Some(output) = self.viewers[place].swarm.as_mut().and_then(|s| s.poll()) {
            self.obey(place, output);
        }
        self.set_alarm(place);
    }

    fn set_alarm(&mut self, place: usize) {
        let viewer = &mut self.viewers[place];
        let Some((at, _)) = viewer.swarm.as_ref().and_then(|s| s.deadline()) else { return };
        let wait = at.saturating_duration_since(self.start).as_nanos().div_ceil(1_000);
        let at_us = (wait as u64).max(self.now_us);
        if viewer.alarm_us.is_none_or(|alarm_us| at_us < alarm_us) {
            viewer.alarm_us = Some(at_us);
            let generation = viewer.generation;
            self.queue.push(at_us, Event::Wake { place, generation });
        }
    }

    fn wake(&mut self, place: usize) {
        if self.viewers[place].alarm_us != Some(self.now_us) {
            return;
        }
        self.viewers[place].alarm_us = None;
        let now = self.now();
        let deadline = self.viewers[place].swarm.as_ref().and_then(|s| s.deadline());
        if deadline.is_some_and(|(at, _)| at <= now) {
            // Decide by what has come until now.
            if deadline.is_some_and(|(_, reason)| reason == Reason::Due) {
                for flow in self.network.coming(place).to_vec() {
                    if self.loads[flow].to == place {
                        self.look(flow);
                    }
                }
            }
            self.input(place, Input::Tick);
        } else {
            self.set_alarm(place);
        }
    }

    fn obey(&mut self, place: usize, output: Output) {
        match output {
            Output::Fetch { segment, from, end } => self.fetch(place, segment, from, end),
            Output::FetchPiece { segment, from, end } => {
                self.fetch(place, segment, from, Some(end));
            }
            Output::StopFetch { segment } => self.stop_fetch(place, segment),
            Output::Say { peer, message } => self.say(place, peer, message),
            Output::Serve { peer, segment, request, from, end } => {
                self.serve(place, peer, Serve::new(segment, request, from, end, &self.plan));
            }
            Output::StopServe { peer, request } => self.stop_serve(place, peer, request),
            Output::Verify { segment } => self.verify(place, segment),
            Output::Drop { peer, reason } => {
                self.close(place, peer);
                if reason == DropReason::Polluted {
                    self.ban(place, peer);
                }
            }
            Output::Fail { .. } => self.report.failures += 1,
            Output::Discard { segment } => self.discard(place, segment),
        }
    }

    /// The segment is whole: kept, and handed to the player if it waits for it.
    fn complete(&mut self, place: usize, segment: SegmentId) {
        self.say_owed(place, segment);
        let is_from_origin = self.take_proved(place, segment);
        let evicted = self.viewers[place].keep(segment, self.plan.cache_segments());
        if let Some(published_us) = self.plan.published_us(segment.0)
            && self.is_measured(published_us)
            && self.viewers[place].arrived_us <= published_us
        {
            self.report.waits_us.push(self.now_us - published_us);
        }
        self.input(place, Input::Completed { segment, size: self.plan.segment_bytes });
        self.say_hash(place, segment, is_from_origin);
        for segment in evicted {
            self.viewers[place].wrong.remove(&segment);
            self.input(place, Input::Evicted { segment });
        }
        self.hand(place, segment);
    }

    fn collect_looks(&mut self) {
        while let Some(look) = self.network.looks.pop() {
            if self.network.is_current(look) {
                self.queue.push(look.at_us.max(self.now_us), Event::Look(look));
            }
        }
    }

    fn is_measured(&self, at_us: u64) -> bool {
        let (from, until) = self.plan.measured();
        (from..until).contains(&at_us)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now_us)
    }
}
