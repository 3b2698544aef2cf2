//! Bytes on their way: fetches from the origin, serves from viewer to viewer, and what is said.

use hlswarm::ids::{PeerKey, SegmentId};
use hlswarm::swarm::Input;
use hlswarm::swarm::wire::Message;

use super::World;
use super::network::FlowId;
use super::plan::Plan;
use super::queue::Event;
use super::viewer::{Fetch, key};

/// What a flow carries.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub to: usize,
    pub segment: SegmentId,
    /// The connection and the sending end; `None`: from the origin.
    pub by: Option<(usize, usize)>,
}

/// A connection between two viewers.
#[derive(Clone, Copy, Debug)]
pub struct Conn {
    pub places: [usize; 2],
    pub generations: [u32; 2],
    pub is_open: [bool; 2],
    /// When both ends could begin to send, and when the first of them closed it.
    pub open_us: Option<u64>,
    pub closed_us: Option<u64>,
    pub one_way_us: u64,
    ceiling: f64,
    /// What each end sends.
    serves: [Option<Serve>; 2],
}

/// What one end sends to the other.
#[derive(Clone, Copy, Debug)]
pub struct Serve {
    request: u64,
    segment: SegmentId,
    size: u64,
    /// Size of the whole, where a part was asked for.
    total: Option<u64>,
    flow: Option<FlowId>,
}

impl Serve {
    pub fn new(segment: SegmentId, request: u64, from: u64, end: Option<u64>, plan: &Plan) -> Self {
        let behind = end.map_or(plan.segment_bytes, |end| end.min(plan.segment_bytes));
        let total = end.map(|_| plan.segment_bytes);
        Self { request, segment, size: behind - from, total, flow: None }
    }
}

impl Conn {
    pub fn new(places: [usize; 2], generations: [u32; 2], one_way_us: u64, ceiling: f64) -> Self {
        let (is_open, serves) = ([false; 2], [None; 2]);
        let (open_us, closed_us) = (None, None);
        Self { places, generations, is_open, open_us, closed_us, one_way_us, ceiling, serves }
    }
}

impl World {
    pub(super) fn fetch(&mut self, place: usize, segment: SegmentId, from: u64, end: Option<u64>) {
        let fetch = self.random.next();
        let size = end.unwrap_or(self.plan.segment_bytes) - from;
        let viewer = &mut self.viewers[place];
        viewer.fetches.insert(segment, Fetch { fetch, at: from, end: from + size, flow: None });
        let rtt_us = viewer.line.map_or(0, |line| line.rtt_us);
        let generation = viewer.generation;
        if self.is_measured(self.now_us) {
            self.report.origin_fetches += 1;
        }
        let event = Event::OriginAnswers { place, generation, segment, fetch };
        self.queue.push(self.now_us + self.plan.delays.origin_us + rtt_us, event);
    }

    pub(super) fn origin_answers(&mut self, place: usize, segment: SegmentId, fetch: u64) {
        let Some(known) = self.viewers[place].fetches.get(&segment) else { return };
        if known.fetch != fetch {
            return;
        }
        let flow = self.network.begin(self.now_us, None, place, known.end - known.at, f64::MAX);
        self.load(flow, Load { to: place, segment, by: None });
        if let Some(known) = self.viewers[place].fetches.get_mut(&segment) {
            known.flow = Some(flow);
        }
    }

    pub(super) fn stop_fetch(&mut self, place: usize, segment: SegmentId) {
        let Some(fetch) = self.viewers[place].fetches.remove(&segment) else { return };
        if let Some(flow) = fetch.flow {
            let (len, _) = self.network.progress(self.now_us, flow);
            self.count(flow, len);
            self.network.end(self.now_us, flow);
        }
    }

    fn load(&mut self, flow: FlowId, load: Load) {
        if flow < self.loads.len() {
            self.loads[flow] = load;
        } else {
            self.loads.push(load);
        }
    }

    /// Tells the viewer what came, and ends the flow if that was all.
    pub(super) fn look(&mut self, flow: FlowId) {
        let Load { to, segment, by } = self.loads[flow];
        let (len, is_last) = self.network.progress(self.now_us, flow);
        self.count(flow, len);
        if is_last {
            self.network.end(self.now_us, flow);
        }
        match by {
            None => self.origin_sent(to, segment, len, is_last),
            Some((conn, end)) => self.peer_sent(conn, end, len, is_last),
        }
    }

    fn count(&mut self, flow: FlowId, len: u64) {
        if !self.is_measured(self.now_us) {
            return;
        }
        match self.loads[flow].by {
            None => self.report.origin_bytes += len,
            Some((conn, end)) => {
                self.report.peer_bytes += len;
                self.report.given[self.conns[conn].places[end]] += len;
            }
        }
    }

    fn origin_sent(&mut self, place: usize, segment: SegmentId, len: u64, is_last: bool) {
        if len > 0 {
            let viewer = &mut self.viewers[place];
            if let Some(fetch) = viewer.fetches.get_mut(&segment) {
                let arriving = viewer.arriving.entry(segment).or_default();
                arriving.here.add(fetch.at..fetch.at + len);
                fetch.at += len;
            }
            let total = Some(self.plan.segment_bytes);
            self.input(place, Input::Fetched { segment, len, total });
        }
        // The swarm may ask for the next piece at once, under a number of its own.
        let is_over =
            is_last && self.viewers[place].fetches.get(&segment).is_some_and(|f| f.at >= f.end);
        if is_over && self.viewers[place].fetches.remove(&segment).is_some() {
            let all = 0..self.plan.segment_bytes;
            let arriving = self.viewers[place].arriving.get(&segment);
            if arriving.is_some_and(|a| a.here.has(&all)) {
                self.verify(place, segment);
            }
        }
    }

    fn peer_sent(&mut self, conn: usize, end: usize, len: u64, is_last: bool) {
        let Some(serve) = self.conns[conn].serves[end] else { return };
        let peer = key(conn);
        if is_last {
            self.conns[conn].serves[end] = None;
        }
        if let Some(place) = self.open_end(conn, 1 - end) {
            let swarm = self.viewers[place].swarm.as_ref();
            let expected = swarm.and_then(|s| s.expecting(peer)).filter(|e| len <= e.remaining);
            if let Some(expected) = expected.filter(|_| len > 0) {
                let (segment, from) = (expected.segment, expected.offset);
                if !self.viewers[place].holds(segment) {
                    self.came(place, conn, segment, from..from + len);
                }
                self.input(place, Input::Received { peer, len });
                self.pass_on(place, segment);
                if self.is_liar(place) {
                    self.input(place, Input::Proved { segment, from, end: from + len });
                }
            }
            if is_last {
                let (segment, request) = (serve.segment.0, serve.request);
                let message = Message::Completed { segment, request };
                self.input(place, Input::Heard { peer, message });
            }
        }
        if let (true, Some(place)) = (is_last, self.open_end(conn, end)) {
            let ended = Input::ServeEnded { peer, request: serve.request, is_complete: true };
            self.input(place, ended);
        }
    }

    pub(super) fn say(&mut self, place: usize, peer: PeerKey, message: Message) {
        let conn = peer.0 as usize;
        let end = 1 - self.end_of(conn, place);
        let at_us = self.now_us + self.conns[conn].one_way_us;
        self.queue.push(at_us, Event::Heard { conn, end, message });
    }

    pub(super) fn serve(&mut self, place: usize, peer: PeerKey, serve: Serve) {
        let conn = peer.0 as usize;
        let end = self.end_of(conn, place);
        let request = serve.request;
        self.conns[conn].serves[end] = Some(serve);
        if !self.viewers[place].line.is_some_and(|line| line.is_mute) {
            let at_us = self.now_us + self.conns[conn].one_way_us;
            self.queue.push(at_us, Event::ServeBegins { conn, end, request });
        }
    }

    pub(super) fn serve_begins(&mut self, conn: usize, end: usize, request: u64) {
        let Conn { places, ceiling, serves, .. } = self.conns[conn];
        let Some(serve) = serves[end].filter(|serve| serve.request == request) else { return };
        let Some(to) = self.open_end(conn, 1 - end) else { return };
        let flow = self.network.begin(self.now_us, Some(places[end]), to, serve.size, ceiling);
        self.load(flow, Load { to, segment: serve.segment, by: Some((conn, end)) });
        self.conns[conn].serves[end] = Some(Serve { flow: Some(flow), ..serve });
        let Serve { segment: SegmentId(segment), size, total, .. } = serve;
        let message = match total {
            None => Message::Data { segment, size, request },
            Some(total) => Message::Part { segment, size, request, total },
        };
        if total.is_some() {
            self.list_said(places[end], conn, end, SegmentId(segment));
        }
        self.input(to, Input::Heard { peer: key(conn), message });
    }

    pub(super) fn stop_serve(&mut self, place: usize, peer: PeerKey, request: u64) {
        let conn = peer.0 as usize;
        let end = self.end_of(conn, place);
        if self.conns[conn].serves[end].is_some_and(|serve| serve.request == request) {
            self.end_serve(conn, end);
        }
    }

    fn end_serve(&mut self, conn: usize, end: usize) {
        if let Some(flow) = self.conns[conn].serves[end].take().and_then(|serve| serve.flow) {
            self.network.end(self.now_us, flow);
        }
    }

    /// A viewer closes a connection: the other end notices when word has come.
    pub(super) fn close(&mut self, place: usize, peer: PeerKey) {
        let conn = peer.0 as usize;
        let end = self.end_of(conn, place);
        (0..2).for_each(|end| self.end_serve(conn, end));
        self.conns[conn].is_open[end] = false;
        self.conns[conn].closed_us.get_or_insert(self.now_us);
        let viewer = &mut self.viewers[place];
        viewer.conns.remove(&conn);
        viewer.lists.forget(peer);
        viewer.trust.forget(peer);
        let at_us = self.now_us + self.conns[conn].one_way_us;
        self.queue.push(at_us, Event::Gone { conn, end: 1 - end });
    }

    pub(super) fn gone(&mut self, conn: usize, end: usize) {
        let (place, generation) = (self.conns[conn].places[end], self.conns[conn].generations[end]);
        if !self.is_there(place, generation) {
            return;
        }
        let viewer = &mut self.viewers[place];
        viewer.conns.remove(&conn);
        viewer.lists.forget(key(conn));
        viewer.trust.forget(key(conn));
        if std::mem::take(&mut self.conns[conn].is_open[end]) {
            self.input(place, Input::Disconnected { peer: key(conn) });
        }
    }

    /// The viewer at that end, if the connection is open there.
    pub(super) fn open_end(&self, conn: usize, end: usize) -> Option<usize> {
        let conn = &self.conns[conn];
        let (place, generation) = (conn.places[end], conn.generations[end]);
        (conn.is_open[end] && self.is_there(place, generation)).then_some(place)
    }

    fn end_of(&self, conn: usize, place: usize) -> usize {
        usize::from(self.conns[conn].places[1] == place)
    }
}
