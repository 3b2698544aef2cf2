//! What peers sent is compared with the origin's bytes, as the daemon does it: block by block while
//! it arrives, where a list of blocks was confirmed, else when the segment is whole.
//!
//! What is compared, and what follows, is decided by `hlswarm::verify`. Whoever has a whole segment
//! knows its list, and whoever has confirmed the list it was told.

use std::collections::BTreeSet;
use std::ops::Range;

use hlswarm::ids::{PeerKey, SegmentId};
use hlswarm::swarm::Input;
use hlswarm::swarm::wire::Message;
use hlswarm::verify::blocks::{Glimpse, List};
use hlswarm::verify::digest::Digest;
use hlswarm::verify::ladder::{Known, Mode, Proof, choose};
use hlswarm::verify::trust::{Check, Share, culprit};

use super::World;
use super::content::{Content, Pieces};
use super::plan::Publisher;
use super::queue::Event;
use super::viewer::key;

/// What has come of a segment.
#[derive(Clone, Debug, Default)]
pub struct Arriving {
    pub here: Pieces,
    pub content: Content,
    /// What peers sent and nothing has proved yet.
    pub shares: Vec<Share>,
    /// Who sent what was proved.
    senders: BTreeSet<PeerKey>,
    pub has_peer_bytes: bool,
    /// All bytes are there, and wait for a check.
    is_whole: bool,
    /// The check under way: its number, and what is compared.
    check: Option<(u64, Check)>,
    /// Who was sent something before the list was known: the connection and our end of it.
    owed: BTreeSet<(usize, usize)>,
}

impl World {
    /// A viewer has bytes of a segment from a peer.
    pub(super) fn came(&mut self, place: usize, conn: usize, segment: SegmentId, at: Range<u64>) {
        let [a, b] = self.conns[conn].places;
        let sent = self.content(a + b - place, segment);
        if sent.first_wrong(&at).is_some() {
            self.was_lied_to(place, conn, segment);
        }
        let is_liar = self.is_liar(place);
        let arriving = self.viewers[place].arriving.entry(segment).or_default();
        arriving.here.add(at.clone());
        arriving.has_peer_bytes = true;
        if is_liar {
            return;
        }
        arriving.content.put(&sent, &at);
        let peer = key(conn);
        let shares = &mut arriving.shares;
        match shares.iter_mut().find(|s| s.peer == peer && s.bytes.end == at.start) {
            Some(share) => share.bytes.end = at.end,
            None => shares.push(Share { peer, bytes: at }),
        }
    }

    /// A viewer sends something of a segment: the list first, if it knows it.
    pub(super) fn list_said(&mut self, by: usize, conn: usize, end: usize, segment: SegmentId) {
        if !self.says_lists(by) {
            return;
        }
        let viewer = &mut self.viewers[by];
        let is_known = viewer.holds(segment) || viewer.lists.confirmed(segment).is_some();
        if is_known || self.is_liar(by) {
            self.heard_blocks(conn, 1 - end, segment);
        } else {
            let arriving = self.viewers[by].arriving.entry(segment).or_default();
            arriving.owed.insert((conn, end));
        }
    }

    pub(super) fn list_came(&mut self, place: usize, conn: usize, by: usize, segment: SegmentId) {
        if self.viewers[place].holds(segment) || self.is_liar(place) {
            return;
        }
        let confirmed = self.viewers[by].lists.confirmed(segment);
        let list = match confirmed.filter(|_| !self.is_liar(by)) {
            Some(list) => list.as_ref().clone(),
            None => self.content(by, segment).list(segment, self.plan.segment_bytes),
        };
        let List { total, hashes } = list;
        self.viewers[place].lists.claim(key(conn), segment, total, 0, &hashes);
        self.pass_on(place, segment);
    }

    /// The list is known now: whoever was sent something without it is told.
    pub(super) fn say_owed(&mut self, place: usize, segment: SegmentId) {
        let arriving = self.viewers[place].arriving.get_mut(&segment);
        let owed = arriving.map(|arriving| std::mem::take(&mut arriving.owed)).unwrap_or_default();
        let total = self.plan.segment_bytes;
        for (conn, end) in owed {
            let SegmentId(segment) = segment;
            let message = Message::Blocks { segment, total, first: 0, hashes: Vec::new() };
            let wait_us = self.conns[conn].one_way_us;
            self.later(wait_us, Event::Heard { conn, end: 1 - end, message });
        }
    }

    /// Proves what can be proved of a segment that is arriving, and finds out what can be.
    pub(super) fn pass_on(&mut self, place: usize, segment: SegmentId) {
        let viewer = &mut self.viewers[place];
        let arriving = viewer.arriving.get(&segment);
        let is_silent = self.plan.publisher == Publisher::Silent;
        if !is_silent || arriving.is_none_or(|arriving| arriving.shares.is_empty()) {
            return;
        }
        if let Some(list) = viewer.lists.confirmed(segment) {
            self.prove_blocks(place, segment, &list);
        }
        let Self { viewers, chance, .. } = self;
        let viewer = &mut viewers[place];
        let trust = &viewer.trust;
        let draw = |size, sayers: &_| trust.plan_list(size, sayers, &mut || chance.next());
        if let Some(glimpse) = viewer.lists.look(segment, draw) {
            let wait_us = self.ask_again(place, glimpse.slice.end - glimpse.slice.start);
            let generation = self.viewers[place].generation;
            self.later(wait_us, Event::Seen { place, generation, glimpse });
        }
    }

    fn prove_blocks(&mut self, place: usize, segment: SegmentId, list: &List) {
        let viewer = &mut self.viewers[place];
        let Some(arriving) = viewer.arriving.get_mut(&segment) else { return };
        let blocks: BTreeSet<usize> =
            arriving.shares.iter().flat_map(|share| list.blocks(&share.bytes)).collect();
        let mut proved: Vec<Range<u64>> = Vec::new();
        for block in blocks {
            let range = list.range(block);
            if !arriving.here.has(&range) {
                continue;
            }
            if arriving.content.block(segment, &range) != list.hashes[block] {
                viewer.lists.question(segment, block);
                continue;
            }
            match proved.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => proved.push(range),
            }
        }
        proved.iter().for_each(|range| arriving.prove(range));
        for Range { start: from, end } in proved {
            self.input(place, Input::Proved { segment, from, end });
        }
    }

    /// The origin sent a slice that a viewer looks at.
    pub(super) fn seen(&mut self, place: usize, glimpse: &Glimpse) {
        let (segment, total) = (glimpse.segment, self.plan.segment_bytes);
        let hashes = Content::default().blocks(segment, glimpse.total, &glimpse.slice);
        let liars = self.viewers[place].lists.seen(glimpse, total, &hashes);
        for peer in &liars {
            let viewer = &mut self.viewers[place];
            if viewer.trust.doubt(*peer) || viewer.lists.has_forged(segment, *peer) {
                self.ban(place, *peer);
            } else if self.is_of(place, segment, *peer) {
                self.give_up_on_peers(place, segment);
            }
        }
        let arriving = self.viewers[place].arriving.get(&segment);
        if let Some(arriving) = arriving.filter(|_| liars.is_empty() && !glimpse.is_random)
            && arriving.content.first_wrong(&glimpse.slice).is_some()
        {
            let lists = &self.viewers[place].lists;
            let sender = culprit(&arriving.shares, &glimpse.slice)
                .filter(|sender| !lists.has_misled(segment, *sender));
            self.reject(place, segment, sender);
        }
        if self.viewers[place].lists.confirmed(segment).is_some() {
            self.say_owed(place, segment);
        }
        self.pass_on(place, segment);
        let is_over = !self.viewers[place].lists.is_looking(segment);
        if let Some(arriving) = self.viewers[place].arriving.get_mut(&segment)
            && is_over
            && arriving.check.is_none()
            && std::mem::take(&mut arriving.is_whole)
        {
            self.verify(place, segment);
        }
    }

    /// Whether a peer has a part in what comes of a segment and is not proved.
    fn is_of(&self, place: usize, segment: SegmentId, peer: PeerKey) -> bool {
        let viewer = &self.viewers[place];
        let shares = viewer.arriving.get(&segment).map_or(&[][..], |arriving| &arriving.shares);
        let asked = viewer.swarm.as_ref().and_then(|swarm| swarm.expecting(peer));
        shares.iter().any(|share| share.peer == peer)
            || asked.is_some_and(|asked| asked.segment == segment)
    }

    /// All of a segment is there.
    pub(super) fn verify(&mut self, place: usize, segment: SegmentId) {
        self.stop_fetch(place, segment);
        self.pass_on(place, segment);
        let Self { viewers, chance, .. } = self;
        let viewer = &mut viewers[place];
        let arriving = viewer.arriving.entry(segment).or_default();
        if arriving.check.is_some() || viewer.lists.is_looking(segment) {
            arriving.is_whole = true;
            return;
        }
        if arriving.shares.is_empty() {
            return self.complete(place, segment);
        }
        let right = Content::default().sha256(segment);
        let (mode, listed, stated) = match self.plan.publisher {
            Publisher::Silent => (Mode::Ladder, None, None),
            Publisher::Lists => (Mode::Ladder, Some(right), None),
            Publisher::States => (Mode::Head, None, Some(Digest::Sha256(right))),
        };
        let known = Known { listed, stated, agreed: viewer.agreement.agreed(segment) };
        let (size, is) = (self.plan.segment_bytes, arriving.content.sha256(segment));
        let mut random = || chance.next();
        let check = match choose(mode, &known) {
            Proof::Listed(hash) if hash == is => Check::Slices(Vec::new()),
            Proof::Stated(digest) if digest == Digest::Sha256(is) => Check::Slices(Vec::new()),
            Proof::Agreed(hash) if hash == is => {
                viewer.trust.plan_agreed(size, &arriving.shares, &mut random)
            }
            Proof::Listed(_) | Proof::Stated(_) | Proof::Agreed(_) => Check::Whole,
            _ => viewer.trust.plan(size, &arriving.shares, &mut random),
        };
        let number = random();
        let bytes = match &check {
            Check::Whole => size,
            Check::Slices(slices) => slices.iter().map(|slice| slice.end - slice.start).sum(),
        };
        arriving.check = Some((number, check));
        let generation = viewer.generation;
        let head_us = if stated.is_some() { self.ask_again(place, 0) } else { 0 };
        let wait_us = head_us + if bytes > 0 { self.ask_again(place, bytes) } else { 0 };
        self.later(wait_us, Event::Checked { place, generation, segment, number });
    }

    pub(super) fn checked(&mut self, place: usize, segment: SegmentId, number: u64) {
        let Some(arriving) = self.viewers[place].arriving.get_mut(&segment) else { return };
        let Some((_, check)) = arriving.check.take_if(|(current, _)| *current == number) else {
            return;
        };
        let slices = match check {
            Check::Whole => std::iter::once(0..self.plan.segment_bytes).collect(),
            Check::Slices(slices) => slices,
        };
        match slices.iter().find_map(|slice| arriving.content.first_wrong(slice)) {
            None => {
                arriving.prove(&(0..self.plan.segment_bytes));
                self.complete(place, segment);
            }
            Some(at) => {
                let sender = culprit(&arriving.shares, &(at..at + 1));
                self.reject(place, segment, sender);
            }
        }
    }

    /// A segment is whole and right, as far as the viewer knows.
    pub(super) fn take_proved(&mut self, place: usize, segment: SegmentId) -> bool {
        let viewer = &mut self.viewers[place];
        let Some(arriving) = viewer.arriving.remove(&segment) else { return true };
        arriving.senders.iter().for_each(|peer| viewer.trust.agreed(*peer));
        if !arriving.content.is_right() {
            viewer.wrong.insert(segment, arriving.content);
        }
        !arriving.has_peer_bytes
    }

    /// What came of a segment is wrong; who sent it, where that is certain.
    fn reject(&mut self, place: usize, segment: SegmentId, peer: Option<PeerKey>) {
        let Some(peer) = peer else { return self.give_up_on_peers(place, segment) };
        self.stop_fetch(place, segment);
        self.discard(place, segment);
        self.input(place, Input::Rejected { segment, peer: Some(peer) });
    }

    pub(super) fn give_up_on_peers(&mut self, place: usize, segment: SegmentId) {
        self.stop_fetch(place, segment);
        self.discard(place, segment);
        self.input(place, Input::Unproven { segment });
    }

    pub(super) fn discard(&mut self, place: usize, segment: SegmentId) {
        if let Some(arriving) = self.viewers[place].arriving.get_mut(&segment) {
            let owed = std::mem::take(&mut arriving.owed);
            *arriving = Arriving { owed, ..Arriving::default() };
        }
    }

    /// Asks the origin for so much of what is here already; how long that takes.
    fn ask_again(&mut self, place: usize, bytes: u64) -> u64 {
        if self.is_measured(self.now_us) {
            self.report.origin_bytes += bytes;
            self.report.check_bytes += bytes;
            self.report.checks += 1;
        }
        let (rtt_us, down) = self.viewers[place].line.map_or((0, 1.0), |l| (l.rtt_us, l.down));
        self.plan.delays.origin_us + rtt_us + (bytes as f64 / down) as u64
    }
}

impl Arriving {
    fn prove(&mut self, bytes: &Range<u64>) {
        let mut left = Vec::new();
        for Share { peer, bytes: sent } in std::mem::take(&mut self.shares) {
            let before = sent.start..sent.end.min(bytes.start);
            let behind = sent.start.max(bytes.end)..sent.end;
            if sent.start < bytes.end && bytes.start < sent.end {
                self.senders.insert(peer);
            }
            let ranges = [before, behind].into_iter().filter(|range| !range.is_empty());
            left.extend(ranges.map(|bytes| Share { peer, bytes }));
        }
        self.shares = left;
    }
}
