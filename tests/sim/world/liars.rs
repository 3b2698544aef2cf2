//! Members that lie, what they say and send, and what becomes of them.
//!
//! A liar takes part as everybody does, checks nothing, and makes up what it sends. Whoever finds
//! it out closes the connection and does not meet it again.

use std::net::{IpAddr, Ipv4Addr};

use hlswarm::ids::{PeerKey, SegmentId};
use hlswarm::swarm::Input;
use hlswarm::swarm::wire::Message;
use hlswarm::verify::Sha256;
use hlswarm::verify::agreement::Network;

use super::World;
use super::content::Content;
use super::plan::{Line, S};
use super::queue::Event;
use super::random::Random;
use super::viewer::key;

/// How long those who lie together are honest first: until they are trusted.
const HONEST_US: u64 = 60 * S;

/// How liars lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// Each sends other segments, and says the hashes of these.
    Alone,
    /// All send the same other segments after a time of honesty, and agree on their hashes; they
    /// say no lists of blocks, which would be compared.
    Together,
    /// Each changes one byte of each segment, and says the hashes of what comes of it.
    Flips,
    /// The same, saying nothing.
    QuietFlips,
}

impl Lies {
    fn has_lists(self) -> bool {
        matches!(self, Self::Alone | Self::Flips)
    }
}

impl World {
    fn liar(&self, place: usize) -> Option<Line> {
        self.viewers[place].line.filter(|line| line.is_liar)
    }

    pub(super) fn is_liar(&self, place: usize) -> bool {
        self.liar(place).is_some()
    }

    /// Whether that viewer says lists of blocks.
    pub(super) fn says_lists(&self, place: usize) -> bool {
        !self.is_liar(place) || self.plan.lies.has_lists()
    }

    /// What a viewer sends of a segment.
    pub(super) fn content(&self, place: usize, segment: SegmentId) -> Content {
        let viewer = &self.viewers[place];
        if self.is_liar(place) {
            let played_us = segment.0 * self.plan.segment_us;
            let (published_us, since_us) = match self.plan.published_us(segment.0) {
                Some(published_us) => (published_us, viewer.arrived_us),
                None => (played_us, 0),
            };
            let is_honest = published_us < since_us + HONEST_US;
            if !is_honest || self.plan.lies != Lies::Together {
                return self.forgery(place, segment);
            }
        }
        let held = viewer.wrong.get(&segment);
        let arriving = viewer.arriving.get(&segment).map(|arriving| &arriving.content);
        held.or(arriving).cloned().unwrap_or_default()
    }

    fn forgery(&self, place: usize, segment: SegmentId) -> Content {
        let own = 2 + place as u64;
        let total = self.plan.segment_bytes;
        match self.plan.lies {
            Lies::Alone => Content::forged(0..total, own),
            Lies::Together => Content::forged(0..total, 1),
            Lies::Flips | Lies::QuietFlips => {
                let at = Random::of(&[self.plan.seed, own, segment.0]).next() % total;
                Content::forged(at..at + 1, own)
            }
        }
    }

    /// A segment is whole: what it is is said to everybody, where it came from the origin.
    pub(super) fn say_hash(&mut self, place: usize, segment: SegmentId, is_from_origin: bool) {
        let content = self.content(place, segment);
        let sha256 = content.sha256(segment);
        if is_from_origin && !self.is_liar(place) {
            self.viewers[place].agreement.learn(segment, sha256);
        }
        let is_said = is_from_origin || !content.is_right() && self.is_liar(place);
        if !is_said || self.plan.lies == Lies::QuietFlips && self.is_liar(place) {
            return;
        }
        for conn in self.viewers[place].conns.clone() {
            if self.conns[conn].is_open.iter().all(|is_open| *is_open) {
                let SegmentId(segment) = segment;
                let message = Message::Hash { segment, sha256, is_from_origin: true };
                self.say(place, key(conn), message);
            }
        }
    }

    pub(super) fn claimed(&mut self, place: usize, by: usize, segment: SegmentId, hash: Sha256) {
        // Everybody is in a network of its own.
        let address = Ipv4Addr::from_bits((1 << 28) + ((by as u32) << 8));
        let network = Network::of(IpAddr::V4(address), false);
        self.viewers[place].agreement.claim(network, segment, hash);
    }

    /// A viewer notes that something of a segment is made up; it does not know that yet.
    pub(super) fn was_lied_to(&mut self, place: usize, conn: usize, segment: SegmentId) {
        let [a, b] = self.conns[conn].places;
        if self.is_liar(a + b - place) && !self.is_liar(place) {
            self.viewers[place].lied.entry(key(conn)).or_default().insert(segment);
        }
    }

    /// A viewer found out a peer, and wants nothing more of it.
    pub(super) fn ban(&mut self, place: usize, peer: PeerKey) {
        let conn = peer.0 as usize;
        let [a, b] = self.conns[conn].places;
        let liar = a + b - place;
        if self.viewers[place].conns.contains(&conn) {
            self.close(place, peer);
            self.input(place, Input::Disconnected { peer });
        }
        let generation = self.viewers[liar].generation;
        if self.viewers[place].banned.insert((liar, generation)) {
            self.report.banned += 1;
            self.report.wrongly_banned += u64::from(!self.is_liar(liar));
            if let Some(lied) = self.viewers[place].lied.remove(&peer) {
                self.report.until_banned.push(lied.len() as u64);
            }
        }
        let is_of =
            |shares: &[hlswarm::verify::trust::Share]| shares.iter().any(|s| s.peer == peer);
        let suspects: Vec<_> = self.viewers[place]
            .arriving
            .iter()
            .filter(|(_, arriving)| is_of(&arriving.shares))
            .map(|(segment, _)| *segment)
            .collect();
        suspects.into_iter().for_each(|segment| self.give_up_on_peers(place, segment));
    }

    /// Whether one of them has found out the other.
    pub(super) fn is_banned(&self, one: usize, other: usize) -> bool {
        let has = |by: usize, whom: usize| {
            self.viewers[by].banned.contains(&(whom, self.viewers[whom].generation))
        };
        has(one, other) || has(other, one)
    }

    /// What a player got is counted, if it is not the origin's.
    pub(super) fn count_wrong(&mut self, place: usize, segment: SegmentId) {
        if let Some(wrong) = self.viewers[place].wrong.get(&segment)
            && !self.is_liar(place)
        {
            self.report.wrong_segments += 1;
            self.report.wrong_bytes += wrong.wrong_bytes();
        }
    }

    /// Those who were not found out until the end.
    pub(super) fn count_undetected(&mut self, place: usize) {
        let lied = std::mem::take(&mut self.viewers[place].lied);
        for segments in lied.into_values() {
            self.report.undetected.push(segments.len() as u64);
        }
    }

    pub(super) fn heard_blocks(&mut self, conn: usize, end: usize, segment: SegmentId) {
        let (Some(to), Some(by)) = (self.open_end(conn, end), self.open_end(conn, 1 - end)) else {
            return;
        };
        self.list_came(to, conn, by, segment);
    }

    pub(super) fn later(&mut self, wait_us: u64, event: Event) {
        self.queue.push(self.now_us + wait_us, event);
    }
}
