//! The actor's dealings with lists of block hashes: what peers sent of a segment that is still
//! arriving is proved block by block, read and passed on.
//!
//! What a list is worth is decided by [`BlockLists`]; what no list proves waits for the whole
//! segment to be checked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::actor::Actor;
use super::verifier::{Answer, By};
use crate::ids::{PeerKey, SegmentId, fill_random};
use crate::origin::FetchRequest;
use crate::swarm::Input;
use crate::swarm::wire::{BLOCKS_SAID_MAX, Message};
use crate::verify::blocks::{self, BlockHash, BlockLists, Glimpse, List};
use crate::verify::trust::culprit;

/// Looks at the origin that may be told at the same time.
const SEEN_MAX: usize = 16;
/// Lists that are remembered to have been said, or to be said.
const SAID_MAX: usize = 4096;

/// The lists of one stream.
pub struct Passing {
    lists: BlockLists,
    /// Bounded by [`SEEN_MAX`]: whoever looks waits for a busy actor.
    seen: mpsc::Sender<(Glimpse, Answer)>,
    said: BTreeSet<(SegmentId, PeerKey)>,
    /// Who was sent something of a segment before its list was known.
    owed: BTreeMap<SegmentId, BTreeSet<PeerKey>>,
}

impl Passing {
    /// No lists, and where what the origin shows will come from.
    pub fn new() -> (Self, mpsc::Receiver<(Glimpse, Answer)>) {
        let (seen, glimpses) = mpsc::channel(SEEN_MAX);
        let (lists, said, owed) = (BlockLists::default(), BTreeSet::new(), BTreeMap::new());
        (Self { lists, seen, said, owed }, glimpses)
    }

    /// Whether it is being found out what is right of a segment.
    pub fn is_looking(&self, segment: SegmentId) -> bool {
        self.lists.is_looking(segment)
    }

    /// The peer has gone.
    pub fn forget(&mut self, peer: PeerKey) {
        self.lists.forget(peer);
        self.said.retain(|(_, to)| *to != peer);
        self.owed.values_mut().for_each(|to| {
            to.remove(&peer);
        });
    }
}

impl Actor {
    /// A peer of our kind says what blocks of a segment are.
    pub(super) fn on_blocks(&mut self, peer: PeerKey, message: Message) {
        let Message::Blocks { segment, total, first, hashes } = message else { return };
        let segment = SegmentId(segment);
        let is_kin = self.peers.get(&peer).is_some_and(|link| link.id.is_kin());
        if !is_kin || !self.is_near_window(segment) {
            return;
        }
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        if self.passing.lists.claim(peer, segment, total, first, &hashes) {
            self.pass_on(segment);
        }
    }

    /// Proves what can be proved of a segment that is arriving, and finds out what can be.
    pub(super) fn pass_on(&mut self, segment: SegmentId) {
        if self.arriving.shares(segment).is_empty() {
            return;
        }
        let Some(request) = self.request(segment).filter(|r| self.verifier.allows_lists(r)) else {
            return;
        };
        if let Some(list) = self.passing.lists.confirmed(segment) {
            self.prove_blocks(segment, &list);
        }
        self.look(segment, request);
    }

    fn look(&mut self, segment: SegmentId, request: FetchRequest) {
        let trust = &self.verifier.trust;
        let draw = |size, sayers: &_| trust.plan_list(size, sayers, &mut random);
        if let Some(glimpse) = self.passing.lists.look(segment, draw) {
            self.verifier.look_at(glimpse, request, self.passing.seen.clone());
        }
    }

    pub(super) fn on_seen(&mut self, glimpse: &Glimpse, answer: Answer) {
        let segment = glimpse.segment;
        match answer {
            None => self.passing.lists.give_up(segment),
            Some((total, hashes)) => {
                let liars = self.passing.lists.seen(glimpse, total, &hashes);
                liars.iter().for_each(|peer| self.doubt(segment, *peer));
                if liars.is_empty() {
                    self.blame_sender(glimpse, &hashes);
                }
            }
        }
        if self.passing.lists.confirmed(segment).is_some() {
            self.say_owed(segment);
        }
        self.pass_on(segment);
        let is_over = !self.passing.is_looking(segment) && !self.arriving.is_checking(segment);
        if is_over && self.arriving.take_whole(segment) {
            self.verify(segment);
        }
    }

    /// A peer said what a segment is not. It may have believed another: who does so again is
    /// banned. What it has a part in of this segment is worth nothing.
    fn doubt(&mut self, segment: SegmentId, peer: PeerKey) {
        let Some(link) = self.peers.get(&peer) else { return };
        if self.verifier.trust.doubt(peer) || self.passing.lists.has_forged(segment, peer) {
            tracing::info!(peer = %link.id, "a peer is banned for what it said that a segment is");
            // All streams are told, this one too.
            self.parts.bans.ban(link.id, link.remote());
            return;
        }
        tracing::debug!(peer = %link.id, "a peer said what a segment is not");
        self.parts.bans.doubt(link.id, link.remote());
        let is_sending = self.swarm.expecting(peer).is_some_and(|next| next.segment == segment);
        if is_sending || self.arriving.shares(segment).iter().any(|share| share.peer == peer) {
            self.give_up_on_peers(segment);
        }
    }

    /// The origin sent what the list says: whoever sent something else of that block lied.
    fn blame_sender(&mut self, glimpse: &Glimpse, hashes: &[BlockHash]) {
        let segment = glimpse.segment;
        if glimpse.is_random || !self.arriving.contains(segment) {
            return;
        }
        let held = self.arriving.buffer(segment).slice(glimpse.slice.clone());
        if held.is_none_or(|held| blocks::hashes(&held, glimpse.total) == hashes) {
            return;
        }
        // Bytes that are as its wrong list has them are no second lie.
        let lists = &self.passing.lists;
        let sender = culprit(self.arriving.shares(segment), &glimpse.slice);
        match sender.filter(|sender| !lists.has_misled(segment, *sender)) {
            Some(sender) => self.reject(segment, Some(sender)),
            None => self.give_up_on_peers(segment),
        }
    }

    /// Goes through the blocks with bytes that are not proved yet and that are all here.
    fn prove_blocks(&mut self, segment: SegmentId, list: &Arc<List>) {
        let buffer = self.arriving.buffer(segment);
        let unproved: BTreeSet<usize> = self
            .arriving
            .shares(segment)
            .iter()
            .flat_map(|share| list.blocks(&share.bytes))
            .collect();
        let mut proved: Vec<Range<u64>> = Vec::new();
        for block in unproved {
            let range = list.range(block);
            let Some(bytes) = buffer.slice(range.clone()) else { continue };
            if !list.fits(block, &bytes) {
                self.passing.lists.question(segment, block);
                continue;
            }
            match proved.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => proved.push(range),
            }
        }
        if proved.is_empty() {
            return;
        }
        self.head_of_peers(segment, list.total);
        for Range { start: from, end } in proved {
            self.arriving.prove(segment, &(from..end));
            self.feed(Input::Proved { segment, from, end });
        }
    }

    /// A segment is right: so were those who sent some of it.
    pub(super) fn trust_senders(&mut self, segment: SegmentId) {
        let senders = self.arriving.take_senders(segment);
        if senders.is_empty() {
            return;
        }
        self.count(By::Slices);
        for peer in senders.iter().filter(|peer| self.peers.contains_key(peer)) {
            self.verifier.trust.agreed(*peer);
        }
    }

    /// A peer is about to be sent something of a segment: it is told first what its blocks are, or
    /// as soon as that is known.
    pub(super) fn say_blocks(&mut self, peer: PeerKey, segment: SegmentId) {
        let is_kin = self.peers.get(&peer).is_some_and(|link| link.id.is_kin());
        if !is_kin || self.passing.said.contains(&(segment, peer)) {
            return;
        }
        let Some(list) = self.blocks_of(segment) else {
            self.passing.owed.entry(segment).or_default().insert(peer);
            if self.passing.owed.len() > SAID_MAX {
                self.passing.owed.pop_first();
            }
            return;
        };
        self.passing.said.insert((segment, peer));
        if self.passing.said.len() > SAID_MAX {
            self.passing.said.pop_first();
        }
        let (SegmentId(segment), total) = (segment, list.total);
        for (number, hashes) in list.hashes.chunks(BLOCKS_SAID_MAX).enumerate() {
            let (first, hashes) = ((number * BLOCKS_SAID_MAX) as u64, hashes.to_vec());
            self.say(peer, Message::Blocks { segment, total, first, hashes });
        }
    }

    /// The list of a segment is known now.
    pub(super) fn say_owed(&mut self, segment: SegmentId) {
        for peer in self.passing.owed.remove(&segment).unwrap_or_default() {
            self.say_blocks(peer, segment);
        }
    }

    fn blocks_of(&self, segment: SegmentId) -> Option<Arc<List>> {
        match self.parts.cache.peek(self.profile.id, segment) {
            Some(held) => held.blocks.get().cloned(),
            None => self.passing.lists.confirmed(segment),
        }
    }
}

/// A number that nobody can foresee; without a random source zero, which means that everything is
/// compared.
fn random() -> u64 {
    let mut number = [0; 8];
    fill_random(&mut number).map_or(0, |()| u64::from_le_bytes(number))
}
