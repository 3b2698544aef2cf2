//! The plan made and carried out: the steps of segments from one source to the next.
//!
//! Peers are asked and left only here, and the origin only by `fetching`, so that requests and
//! cancellations pair up. Which step is right is decided in `schedule`. Driven by `state`
//! after each input.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::patience::margin;
use super::peer::average_rate;
use super::schedule::{Candidate, Decision, Situation, Step, Want, plan};
use super::state::{Follows, Joined, Swarm};
use super::transfer::{Asked, Opened, Retry, Source, Transfer};
use super::wire::Message;
use super::{Output, Reason};
use crate::ids::{PeerKey, SegmentId};

/// A peer that sends nothing for this long has failed at the segment.
const PEER_STALL: Duration = Duration::from_secs(2);
/// A peer left for a quicker one is not asked again for the same segment within this time.
const LEFT_PAUSE: Duration = Duration::from_secs(3);
/// An uplink that carries the media so many times is as good as any.
const GOOD_UPLINK: f64 = 4.0;
/// Least weight of a member when it comes to fetching for all, and that of one whose uplink is not
/// known yet.
const WEIGHT_MIN: f64 = 1.0 / 16.0;
const WEIGHT_UNKNOWN: f64 = 0.5;
/// What others say is gathered for so long before it is acted on.
const GATHER_WORDS: Duration = Duration::from_millis(50);
/// A plan whose steps free a peer is made anew, so often at most.
const ROUNDS_MAX: usize = 4;

/// After each input: what follows from it, and from the time that has passed.
impl Swarm {
    pub(super) fn settle(&mut self, follows: Follows) {
        if follows == Follows::PlanSoon {
            self.plan_at.get_or_insert(self.now + GATHER_WORDS);
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= self.now);
        let until = self.until.map(|(at, _)| at);
        if follows == Follows::Plan || is_due(self.plan_at) || is_due(until) {
            self.plan_all();
        }
        self.serve_waiting();
        self.announce();
        self.tell_kin();
        let plan_at = self.plan_at.map(|at| (at, Reason::Progress));
        let others = [self.announce_at(), self.turn_at(), self.tell_at()];
        let until = others.into_iter().chain([self.until, plan_at]);
        self.deadline = until.flatten().min();
    }

    fn plan_all(&mut self) {
        self.plan_at = None;
        if matches!(self.joined, Joined::Until(until) if until <= self.now) {
            self.joined = Joined::Done;
        }
        self.strike_stalled();
        self.players.forget_gone(self.now, self.window.target());
        self.open_demands();
        let mut until = None;
        for _ in 0..ROUNDS_MAX {
            let (decisions, wanted) = self.decide();
            until = decisions.iter().filter_map(|d| d.until).min();
            let has_acted = decisions.iter().filter(|d| self.carry_out(d)).count() > 0;
            let has_ended = self.end_unwanted(&wanted);
            if !has_acted && !has_ended {
                break;
            }
        }
        self.until = [until, self.stall_at(), self.gone_at()].into_iter().flatten().min();
    }

    fn strike_stalled(&mut self) {
        let is_stalled = |at: Instant| at + PEER_STALL <= self.now;
        let downloads = self.peers.iter().filter_map(|(key, p)| Some((*key, p.download?)));
        let stalled: Vec<_> = downloads.filter(|(_, d)| is_stalled(d.moved_at)).collect();
        for (peer, download) in stalled {
            self.leave_peer(download.segment, peer);
            self.strike(peer);
        }
    }

    /// Notes for each new demand whether there is time to ask around.
    fn open_demands(&mut self) {
        if self.joined != Joined::Done {
            return;
        }
        let is_new = |t: &Transfer| t.is_demanded() && t.opened.is_none();
        let fresh: Vec<_> =
            self.transfers.iter().filter(|(_, t)| is_new(t)).map(|(id, _)| *id).collect();
        for segment in fresh {
            let Some(due) = self.due(segment) else { continue };
            let margin = margin(&self.config, self.downlink, self.window.size_guess(segment));
            let is_urgent = due.saturating_duration_since(self.now) <= margin;
            let fill_by = self.fill_by(segment);
            if let Some(transfer) = self.transfers.get_mut(&segment) {
                transfer.opened = Some(Opened { at: self.now, is_urgent, fill_by });
            }
        }
    }

    /// The plan for everything wanted, and the segments that are.
    fn decide(&self) -> (Vec<Decision>, BTreeSet<SegmentId>) {
        let mut demands: Vec<_> =
            self.transfers.keys().filter_map(|id| Some((self.due(*id)?, *id))).collect();
        demands.sort_unstable();
        let ahead = self.ahead();
        let wants: Vec<Want> = demands
            .iter()
            .map(|(due, id)| self.want(*id, Some(*due)))
            .chain(ahead.iter().map(|id| self.want(*id, None)))
            .collect();
        let decisions = plan(&self.situation(), &wants);
        (decisions, wants.iter().map(|want| want.segment).collect())
    }

    /// Segments that players wait for or will ask for soon, and that are not held.
    pub(super) fn wanted(&self) -> Vec<SegmentId> {
        let demanded = self.transfers.iter().filter(|(_, t)| t.is_demanded()).map(|(id, _)| *id);
        demanded.chain(self.ahead()).collect()
    }

    fn want(&self, segment: SegmentId, due: Option<Instant>) -> Want<'_> {
        Want {
            segment,
            due,
            since: self.window.since(segment).unwrap_or(self.now),
            duration: self.window.duration(segment),
            size_guess: self.window.size_guess(segment),
            transfer: self.transfers.get(&segment),
        }
    }

    fn situation(&self) -> Situation<'_> {
        let is_prefetching =
            |segment: SegmentId| self.transfers.get(&segment).is_some_and(|t| !t.is_demanded());
        Situation {
            now: self.now,
            config: &self.config,
            me: self.me,
            seed: self.seed,
            is_live: self.window.is_live(),
            members: self.members(),
            downlink: self.downlink,
            is_in_a_hurry: self.is_in_a_hurry(),
            caution: self.caution.get(),
            lack: self.lack.get(),
            takes_ranges: self.takes_ranges(),
            takes_pieces: self.takes_pieces(),
            joining_until: match self.joined {
                Joined::Until(until) => Some(until).filter(|_| self.takes),
                Joined::Done => None,
            },
            weight: self.weight(),
            average: average_rate(self.peers.values()),
            is_meeting: self.now < self.meeting_until,
            is_gathering: self.now < self.gathering_until,
            peers: self
                .peers
                .iter()
                .filter(|_| self.takes)
                .map(|(key, peer)| Candidate {
                    key: *key,
                    peer,
                    is_prefetching: peer.download.is_some_and(|d| is_prefetching(d.segment)),
                })
                .collect(),
        }
    }

    /// How well others are served by this member: as far as its uplink carries the media several
    /// times.
    fn weight(&self) -> f64 {
        let good = self.window.media_bytes_per_second() * GOOD_UPLINK;
        let weight = self.uploads.uplink().map_or(WEIGHT_UNKNOWN, |uplink| uplink / good);
        weight.clamp(WEIGHT_MIN, 1.0)
    }

    /// Segments ahead of the players, the hungriest player's first, that nobody waits for yet.
    fn ahead(&self) -> Vec<SegmentId> {
        let mut ahead = Vec::new();
        for position in self.players.positions() {
            let mut media = Duration::ZERO;
            let behind = self.window.after(position).take(self.config.prefetch_segments);
            let near = behind.take_while(|(_, duration)| {
                media += *duration;
                media <= self.config.prefetch
            });
            ahead.extend(near.map(|(id, _)| id));
        }
        let mut seen = BTreeSet::new();
        let is_demanded =
            |id: &SegmentId| self.transfers.get(id).is_some_and(Transfer::is_demanded);
        ahead.retain(|id| !self.have.has(*id) && !is_demanded(id) && seen.insert(*id));
        ahead
    }

    /// Does one step of the plan; whether there was anything to do.
    fn carry_out(&mut self, decision: &Decision) -> bool {
        let segment = decision.segment;
        if matches!(decision.step, Step::Fetch | Step::Piece(_)) {
            self.note_fallback(segment);
        }
        match decision.step {
            Step::Wait => return false,
            Step::Ask(peer) => {
                self.give_up_peers(segment);
                self.ask(segment, peer, None);
            }
            Step::AskParts(ref parts) => {
                if let Some(sole) = self.transfers.get(&segment).and_then(Transfer::sole_peer) {
                    self.give_up_peer(segment, sole);
                }
                for (peer, part) in parts {
                    self.ask(segment, *peer, Some(part.clone()));
                }
            }
            Step::Leave(peer) => {
                self.leave_peer(segment, peer);
                if let Some(transfer) = self.transfers.get_mut(&segment) {
                    transfer.failed.insert(peer, Retry::From(self.now + LEFT_PAUSE));
                }
            }
            Step::Rest => self.cancel_asked(segment),
            Step::Fetch => self.fetch(segment),
            Step::Piece(ref piece) => self.fetch_piece(segment, piece),
            Step::Hedge(ref piece) => self.hedge(segment, piece),
            Step::Fail => {
                self.outputs.push_back(Output::Fail { segment });
                self.end(segment);
            }
        }
        true
    }

    /// Asks a peer for a part of a segment, or for everything that is missing at its end.
    fn ask(&mut self, segment: SegmentId, key: PeerKey, part: Option<Range<u64>>) {
        self.cancel(key);
        let size = self.window.size(segment);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let transfer = self.transfers.entry(segment).or_insert_with(|| Transfer::new(size));
        let from = part.as_ref().map_or(transfer.have(), |part| part.start);
        let end = part.map(|part| part.end);
        transfer.asked.insert(key, Asked { from, end });
        let request = peer.ask(self.now, segment, from, end);
        let segment = segment.0;
        self.say(
            key,
            match end {
                Some(end) => Message::RequestPart { segment, request, from, end },
                None => Message::Request { segment, request, from },
            },
        );
    }

    pub(super) fn give_up_peers(&mut self, segment: SegmentId) {
        let Some(transfer) = self.transfers.get(&segment) else { return };
        let keys: Vec<_> = transfer.asked.keys().copied().collect();
        keys.into_iter().for_each(|key| self.give_up_peer(segment, key));
    }

    /// Another source takes over from a peer a segment was coming from. A peer that had its
    /// chance and never sent a byte must not cost every urgent demand that much time.
    pub(super) fn give_up_peer(&mut self, segment: SegmentId, key: PeerKey) {
        let download = self.peers.get(&key).and_then(|peer| peer.download);
        let is_silent = download.is_some_and(|d| {
            d.received == 0 && d.moved_at + self.config.urgent_first_byte <= self.now
        });
        self.leave_peer(segment, key);
        if is_silent {
            self.strike(key);
        }
    }

    /// Ends what is under way for segments that are neither demanded nor just ahead of a player.
    fn end_unwanted(&mut self, wanted: &BTreeSet<SegmentId>) -> bool {
        let is_over = |t: &Transfer| !t.is_demanded() && t.source != Source::Verifying;
        let unwanted: Vec<_> = self
            .transfers
            .iter()
            .filter(|(id, transfer)| is_over(transfer) && !wanted.contains(id))
            .map(|(id, _)| *id)
            .collect();
        unwanted.iter().for_each(|segment| self.end(*segment));
        !unwanted.is_empty()
    }

    fn end(&mut self, segment: SegmentId) {
        self.cancel_asked(segment);
        let Some(transfer) = self.transfers.remove(&segment) else { return };
        if transfer.is_fetching() {
            self.outputs.push_back(Output::StopFetch { segment });
            self.have.changed(self.now);
        }
        if !transfer.got.is_empty() {
            self.outputs.push_back(Output::Discard { segment });
        }
    }

    /// That peer does not bring the segment after all.
    pub(super) fn leave_peer(&mut self, segment: SegmentId, peer: PeerKey) {
        self.cancel(peer);
        if let Some(transfer) = self.transfers.get_mut(&segment) {
            transfer.failed.insert(peer, Retry::Last);
        }
    }

    /// Takes back what that peer is asked for, if anything; its bytes stay.
    pub(super) fn cancel(&mut self, key: PeerKey) {
        let Some(download) = self.peers.get_mut(&key).and_then(|p| p.end_download()) else {
            return;
        };
        self.released(download.segment, key);
        let (segment, request) = (download.segment.0, download.request);
        self.say(key, Message::Cancel { segment, request });
    }

    /// Takes back everything peers are asked for of that segment.
    pub(super) fn cancel_asked(&mut self, segment: SegmentId) {
        let Some(transfer) = self.transfers.get(&segment) else { return };
        let keys: Vec<_> = transfer.asked.keys().copied().collect();
        keys.into_iter().for_each(|key| self.cancel(key));
    }

    /// The segment no longer comes from that peer.
    pub(super) fn released(&mut self, segment: SegmentId, peer: PeerKey) {
        if let Some(transfer) = self.transfers.get_mut(&segment) {
            transfer.asked.remove(&peer);
        }
    }

    fn announce(&mut self) {
        let loading = self.loading();
        let Some(message) = self.have.due_announcement(self.now, &self.window, loading) else {
            return;
        };
        if self.config.upload {
            let keys: Vec<_> = self.peers.keys().copied().collect();
            keys.into_iter().for_each(|key| self.say(key, message.clone()));
        }
    }

    /// Segments in flight from the origin.
    pub(super) fn loading(&self) -> Vec<u64> {
        self.transfers.iter().filter(|(_, t)| t.is_fetching()).map(|(id, _)| id.0).collect()
    }

    pub(super) fn say(&mut self, peer: PeerKey, message: Message) {
        self.outputs.push_back(Output::Say { peer, message });
    }

    fn stall_at(&self) -> Option<(Instant, Reason)> {
        let downloads = self.peers.values().filter_map(|peer| peer.download);
        downloads.map(|d| (d.moved_at + PEER_STALL, Reason::Progress)).min()
    }

    fn announce_at(&self) -> Option<(Instant, Reason)> {
        self.have.announce_at().map(|at| (at, Reason::Announce))
    }

    fn gone_at(&self) -> Option<(Instant, Reason)> {
        let has_ahead = self.transfers.values().any(|t| !t.is_demanded());
        let gone_at = self.players.next_gone_at(self.window.target()).filter(|_| has_ahead);
        gone_at.map(|at| (at, Reason::Prefetch))
    }
}
