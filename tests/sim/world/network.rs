//! Links as flows: every transfer has a rate, which changes when others begin or end beside it.
//!
//! An uplink is shared equally between what it sends, a downlink is filled to the brim by what
//! comes, and each connection has a ceiling of its own (window and loss). The origin is as fast as
//! anybody can take it. There are no packets here. Driven by the world, which asks when to look at
//! a flow again.

/// How often a flow that goes on is looked at.
const LOOK_US: u64 = 600_000;

/// Index of a flow; used again once it has ended.
pub type FlowId = usize;

/// Bytes on their way to one viewer.
#[derive(Clone, Debug)]
pub struct Flow {
    pub to: usize,
    /// The viewer that sends; `None`: the origin.
    pub from: Option<usize>,
    ceiling: f64,
    rate: f64,
    size: u64,
    moved: f64,
    reported: u64,
    at_us: u64,
    looked_us: u64,
    /// Changes whenever an appointment to look at the flow no longer counts.
    version: u32,
    is_running: bool,
}

/// A viewer's line and what is on it.
#[derive(Clone, Debug, Default)]
struct Node {
    down: f64,
    up: f64,
    coming: Vec<FlowId>,
    going: Vec<FlowId>,
}

/// When to look at a flow again.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub at_us: u64,
    pub flow: FlowId,
    pub version: u32,
}

/// All lines and all that is on them.
#[derive(Default)]
pub struct Network {
    nodes: Vec<Node>,
    flows: Vec<Flow>,
    free: Vec<FlowId>,
    /// Appointments made since they were last collected.
    pub looks: Vec<Look>,
    /// Reused by `fill`.
    shares: Vec<(f64, FlowId)>,
}

impl Network {
    pub fn new(places: usize) -> Self {
        Self { nodes: vec![Node::default(); places], ..Self::default() }
    }

    /// A viewer's line is as good as that from now on.
    pub fn set_line(&mut self, now_us: u64, place: usize, down: f64, up: f64) {
        (self.nodes[place].down, self.nodes[place].up) = (down, up);
        self.uplink_changed(now_us, place);
        self.fill(now_us, place);
    }

    pub fn begin(
        &mut self,
        now_us: u64,
        from: Option<usize>,
        to: usize,
        size: u64,
        ceiling: f64,
    ) -> FlowId {
        let id = self.free.pop().unwrap_or(self.flows.len());
        let version = self.flows.get(id).map_or(0, |old| old.version + 1);
        let flow = Flow {
            to,
            from,
            ceiling,
            rate: 0.0,
            size,
            moved: 0.0,
            reported: 0,
            at_us: now_us,
            looked_us: now_us,
            version,
            is_running: true,
        };
        if id == self.flows.len() {
            self.flows.push(flow);
        } else {
            self.flows[id] = flow;
        }
        self.nodes[to].coming.push(id);
        if let Some(from) = from {
            self.nodes[from].going.push(id);
            self.uplink_changed(now_us, from);
        }
        self.fill(now_us, to);
        id
    }

    /// Ends a flow, whether all of it has come or not.
    pub fn end(&mut self, now_us: u64, id: FlowId) {
        let flow = &mut self.flows[id];
        if !std::mem::take(&mut flow.is_running) {
            return;
        }
        flow.version += 1;
        let (from, to) = (flow.from, flow.to);
        self.free.push(id);
        self.nodes[to].coming.retain(|other| *other != id);
        if let Some(from) = from {
            self.nodes[from].going.retain(|other| *other != id);
            self.uplink_changed(now_us, from);
        }
        self.fill(now_us, to);
    }

    /// The flow, if the appointment to look at it still counts.
    pub fn is_current(&self, look: Look) -> bool {
        let flow = &self.flows[look.flow];
        flow.is_running && flow.version == look.version
    }

    /// Bytes that came since this was last asked, and whether they were the last.
    pub fn progress(&mut self, now_us: u64, id: FlowId) -> (u64, bool) {
        let flow = &mut self.flows[id];
        flow.advance(now_us);
        flow.looked_us = now_us;
        let moved = flow.moved as u64;
        let is_last = moved >= flow.size;
        let len = moved.min(flow.size) - flow.reported;
        flow.reported += len;
        if !is_last {
            self.appoint(id);
        }
        (len, is_last)
    }

    /// Flows that bring something to a viewer.
    pub fn coming(&self, place: usize) -> &[FlowId] {
        &self.nodes[place].coming
    }

    fn uplink_changed(&mut self, now_us: u64, place: usize) {
        for at in 0..self.nodes[place].going.len() {
            let to = self.flows[self.nodes[place].going[at]].to;
            self.fill(now_us, to);
        }
    }

    /// Shares out a downlink: nobody gets more than it can send, and what one leaves goes to the
    /// others.
    fn fill(&mut self, now_us: u64, place: usize) {
        let mut shares = std::mem::take(&mut self.shares);
        shares.clear();
        for id in &self.nodes[place].coming {
            let flow = &self.flows[*id];
            let sent = flow.from.map_or(f64::MAX, |from| {
                self.nodes[from].up / self.nodes[from].going.len().max(1) as f64
            });
            shares.push((sent.min(flow.ceiling), *id));
        }
        shares.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut left = self.nodes[place].down;
        for (at, (can, id)) in shares.iter().enumerate() {
            let rate = can.min(left / (shares.len() - at) as f64);
            left -= rate;
            self.set_rate(now_us, *id, rate);
        }
        self.shares = shares;
    }

    fn set_rate(&mut self, now_us: u64, id: FlowId, rate: f64) {
        let flow = &mut self.flows[id];
        if (flow.rate - rate).abs() <= flow.rate * 1e-3 && flow.rate > 0.0 {
            return;
        }
        flow.advance(now_us);
        flow.rate = rate;
        self.appoint(id);
    }

    fn appoint(&mut self, id: FlowId) {
        let flow = &mut self.flows[id];
        flow.version += 1;
        let left = (flow.size as f64 - flow.moved).max(0.0);
        let whole_us = (left / flow.rate.max(1e-9)).min(1e15).ceil() as u64;
        let at_us = (flow.at_us + whole_us).min(flow.looked_us + LOOK_US).max(flow.at_us);
        self.looks.push(Look { at_us, flow: id, version: flow.version });
    }
}

impl Flow {
    fn advance(&mut self, now_us: u64) {
        self.moved += self.rate * (now_us - self.at_us) as f64;
        // What is left of the last byte is a matter of rounding.
        if self.moved + 0.5 >= self.size as f64 {
            self.moved = self.size as f64;
        }
        self.at_us = now_us;
    }
}
