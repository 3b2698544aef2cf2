//! Who brings which segment: the whole policy, as one function of the situation.
//!
//! Without state: the same situation gives the same plan, ties broken by hashes of the seed.
//! `conduct` describes the situation and carries the plan out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::patience::earlier_by;
use super::peer::{Download, Peer, late_from};
use super::rate::{Downlink, time_for};
use super::transfer::{Opened, Retry, Source, Transfer};
use super::turn::mix;
use super::{Config, Reason};
use crate::ids::{PeerId, PeerKey, SegmentId};

/// A transfer found on time is looked at again no sooner than this.
pub(super) const RECHECK_MIN: Duration = Duration::from_millis(10);

/// Everything a decision depends on.
pub(super) struct Situation<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a Config,
    pub(super) me: PeerId,
    pub(super) seed: u64,
    pub(super) is_live: bool,
    /// Members of the swarm, ourselves included.
    pub(super) members: u32,
    pub(super) downlink: Downlink,
    /// Whether a player needs soon what the origin is sending: nothing else should come then.
    pub(super) is_in_a_hurry: bool,
    /// How much earlier the origin is asked, after segments that were nearly late.
    pub(super) caution: Duration,
    /// Share of what players waited for that peers did not bring.
    pub(super) lack: f64,
    /// Whether the origin can be asked for some of a segment.
    pub(super) takes_ranges: bool,
    /// Whether late segments are divided where there is time to spare.
    pub(super) takes_pieces: bool,
    /// Until when demands wait for the swarm just joined.
    pub(super) joining_until: Option<Instant>,
    /// How well others are served by this member: 1 is well.
    pub(super) weight: f64,
    /// What the peers send on average, in bytes per second.
    pub(super) average: f64,
    /// Whether peers are still likely to turn up where there are none.
    pub(super) is_meeting: bool,
    /// Whether company near this place in a recording is still being found.
    pub(super) is_gathering: bool,
    /// The connected peers, in order of their keys.
    pub(super) peers: Vec<Candidate<'a>>,
}

/// A peer that may be asked.
pub(super) struct Candidate<'a> {
    pub(super) key: PeerKey,
    pub(super) peer: &'a Peer,
    /// Its download is one no player waits for yet.
    pub(super) is_prefetching: bool,
}

/// A segment to decide on.
pub(super) struct Want<'a> {
    pub(super) segment: SegmentId,
    /// When a player needs it; `None`: nobody asked for it yet.
    pub(super) due: Option<Instant>,
    /// When the timeline first had it.
    pub(super) since: Instant,
    pub(super) duration: Duration,
    pub(super) size_guess: u64,
    /// What is under way already.
    pub(super) transfer: Option<&'a Transfer>,
}

/// What to do about a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before `until`.
    Wait,
    /// Ask that peer for all that is missing, whatever the source was.
    Ask(PeerKey),
    /// Ask those peers for parts, beside those that are asked for parts already.
    AskParts(Vec<(PeerKey, Range<u64>)>),
    /// Take back what that peer is asked for, for a while: others are quicker.
    Leave(PeerKey),
    /// Take back what peers are asked for: something else needs the line.
    Rest,
    /// Ask the origin, whatever the source was.
    Fetch,
    /// Ask the origin for those bytes, and leave the rest to peers.
    Piece(Range<u64>),
    /// Ask the origin for those bytes before it must be: peers may not bring as much.
    Hedge(Range<u64>),
    /// Nobody can bring it.
    Fail,
}

/// A segment, what to do about it, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) segment: SegmentId,
    pub(super) step: Step,
    pub(super) until: Option<(Instant, Reason)>,
}

/// Decides on every want, in the order given: demands by due time, then what is ahead of them.
pub(super) fn plan(situation: &Situation, wants: &[Want]) -> Vec<Decision> {
    let mut taken = BTreeSet::new();
    let decide = |want: &Want| {
        let ask = Ask { situation, want, taken: &taken };
        let (step, until) = match want.due {
            Some(due) => ask.for_demand(due),
            None => ask.ahead(),
        };
        match &step {
            Step::Ask(peer) => drop(taken.insert(*peer)),
            Step::AskParts(parts) => taken.extend(parts.iter().map(|(peer, _)| *peer)),
            Step::Wait
            | Step::Leave(_)
            | Step::Rest
            | Step::Fetch
            | Step::Piece(_)
            | Step::Hedge(_)
            | Step::Fail => {}
        }
        Decision { segment: want.segment, step, until }
    };
    wants.iter().map(decide).collect()
}

/// What to do, and when to look again.
pub(super) type Answer = (Step, Option<(Instant, Reason)>);

/// The question about one want.
pub(super) struct Ask<'a> {
    pub(super) situation: &'a Situation<'a>,
    pub(super) want: &'a Want<'a>,
    /// Peers given work by this plan.
    taken: &'a BTreeSet<PeerKey>,
}

impl Ask<'_> {
    fn for_demand(&self, due: Instant) -> Answer {
        let now = self.situation.now;
        let Some(transfer) = self.want.transfer else { return (Step::Fetch, None) };
        let opened = match (transfer.opened, self.situation.joining_until) {
            (Some(opened), _) => opened,
            (None, Some(until)) => return (Step::Wait, Some((until, Reason::JoinWait))),
            (None, None) => Opened { at: now, is_urgent: true, fill_by: None },
        };
        match transfer.source {
            Source::Origin { .. } | Source::Verifying => (Step::Wait, None),
            Source::Waiting if transfer.piece.is_some() => (self.beside_piece(true), None),
            Source::Waiting if transfer.asked.is_empty() => {
                self.first_source(due, opened, transfer)
            }
            Source::Waiting => match transfer.sole_peer().and_then(|peer| self.download(peer)) {
                Some(download) => self.keep_or_move(due, opened, download),
                None => self.keep_parts(due, opened, transfer),
            },
        }
    }

    /// Ahead of the players: from an idle peer that holds it; else, of a live stream, from the
    /// origin when it is this member's turn to bring it to the swarm.
    fn ahead(&self) -> Answer {
        let transfer = self.want.transfer;
        if transfer.is_some_and(|t| {
            t.source != Source::Waiting || t.is_origin_only || t.sole_peer().is_some()
        }) {
            return (Step::Wait, None);
        }
        if transfer.is_some_and(|t| t.piece.is_some()) {
            return (self.beside_piece(false), None);
        }
        if self.situation.is_in_a_hurry {
            let is_asked = transfer.is_some_and(|t| !t.asked.is_empty());
            return (if is_asked { Step::Rest } else { Step::Wait }, None);
        }
        if let Some(step) = self.whom_to_ask(false, None) {
            return (step, None);
        }
        if let Some(peer) = transfer.and_then(|transfer| self.slow_part(transfer)) {
            return (Step::Leave(peer), None);
        }
        let s = self.situation;
        // Who says nothing yet may hold everything.
        let is_informed = s.peers.iter().any(|c| c.peer.counts() != (0, 0));
        let has_failed = transfer.is_some_and(|t| t.origin_failed_at.is_some());
        if !s.config.upload || !is_informed || has_failed {
            return (Step::Wait, None);
        }
        match self.turn_at() {
            Some(turn_at) if s.now >= turn_at => (self.bring(), None),
            turn_at => (Step::Wait, turn_at.map(|at| (at, Reason::Ramp))),
        }
    }

    fn first_source(&self, due: Instant, opened: Opened, transfer: &Transfer) -> Answer {
        let now = self.situation.now;
        if let Some(failed_at) = transfer.origin_failed_at {
            return self.without_origin(failed_at);
        }
        let fallback_at = self.fallback_at(due, opened);
        if transfer.is_origin_only {
            return (Step::Fetch, None);
        }
        if opened.is_urgent {
            let is_patient = now < opened.at + self.situation.config.urgent_first_byte;
            let finish_by = self.urgent_finish(opened);
            let step = self.whom_to_ask(true, Some(finish_by)).filter(|_| is_patient);
            return (step.unwrap_or(Step::Fetch), None);
        }
        if now >= fallback_at {
            return (self.fall_back(due, opened, transfer), None);
        }
        if let Some(step) = self.whom_to_ask(true, None) {
            return (step, None);
        }
        let s = self.situation;
        let is_lonely = s.peers.is_empty() && !s.is_meeting;
        let turn_at = match (s.is_live, self.nearest()) {
            _ if is_lonely => Some(now),
            (true, _) => self.turn_at(),
            // Who turns up in a moment may hold it.
            (false, None) if s.peers.is_empty() => {
                transfer.is_for_seeding().then(|| opened.at + s.config.hold_max)
            }
            (false, None) if transfer.is_for_seeding() => Some(now),
            (false, None) => Some(earlier_by(fallback_at, self.lead())),
            (false, Some(_)) => None,
        };
        if turn_at.is_some_and(|at| at <= now) {
            return (self.bring(), None);
        }
        let look_at = self.retry_at(transfer).map(|at| (at, Reason::Due));
        let turn_at = turn_at.map(|at| (at, Reason::Ramp));
        let until = [Some((fallback_at, Reason::Due)), look_at, turn_at];
        (Step::Wait, until.into_iter().flatten().min())
    }

    /// The origin gave up: any holder will do, and a busy one is waited for.
    fn without_origin(&self, failed_at: Instant) -> Answer {
        let give_up_at = failed_at + self.situation.config.hold_max;
        if let Some(step) = self.whom_to_ask(true, None) {
            return (step, None);
        }
        let has_holder = self.holders().next().is_some();
        if has_holder && self.situation.now < give_up_at {
            return (Step::Wait, Some((give_up_at, Reason::Due)));
        }
        (Step::Fail, None)
    }

    /// A peer is sending it: on time, or not?
    fn keep_or_move(&self, due: Instant, opened: Opened, download: &Download) -> Answer {
        let s = self.situation;
        if self.want.transfer.is_some_and(|t| t.origin_failed_at.is_some()) {
            return (Step::Wait, None);
        }
        let fallback_at = self.fallback_at(due, opened);
        let finish_by =
            if opened.is_urgent { self.urgent_finish(opened) } else { self.finish_by(due, opened) };
        let unproven_until = match (opened.is_urgent, download.judged_from()) {
            (true, None) => opened.at + s.config.urgent_first_byte,
            (true, Some(judged_from)) => judged_from,
            (false, None) => fallback_at,
            (false, Some(judged_from)) => judged_from.min(fallback_at),
        };
        if s.now < unproven_until {
            return (Step::Wait, Some((unproven_until, Reason::Progress)));
        }
        if let Some(late_from) = late_from(s.now, finish_by, download) {
            let until = late_from.max(s.now + RECHECK_MIN);
            return (Step::Wait, Some((until, Reason::Progress)));
        }
        if let Some(peer) = self.best_peer(false, Some(finish_by)).filter(|p| self.is_proven(*p)) {
            return (Step::Ask(peer), None);
        }
        if s.now < fallback_at && !opened.is_urgent {
            return (Step::Wait, Some((fallback_at, Reason::Due)));
        }
        (Step::Fetch, None)
    }

    pub(super) fn download(&self, key: PeerKey) -> Option<&Download> {
        let candidate = self.situation.peers.iter().find(|c| c.key == key)?;
        candidate.peer.download.as_ref()
    }

    /// When a peer that was busy may be asked again.
    fn retry_at(&self, transfer: &Transfer) -> Option<Instant> {
        let retries = transfer.failed.values().filter_map(|retry| match retry {
            Retry::From(at) if *at > self.situation.now => Some(*at),
            Retry::From(_) | Retry::Last => None,
        });
        retries.min()
    }

    fn holders(&self) -> impl Iterator<Item = &Candidate<'_>> {
        self.situation.peers.iter().filter(|c| c.peer.holds(self.want.segment))
    }

    fn is_proven(&self, key: PeerKey) -> bool {
        self.holders().any(|c| c.key == key && c.peer.throughput.get().is_some())
    }

    /// Whether that peer failed at the segment and must not be asked now.
    fn has_failed(&self, key: PeerKey) -> bool {
        let transfer = self.want.transfer;
        let may_retry = transfer.is_some_and(|t| t.origin_failed_at.is_some());
        let has_failed = match transfer.and_then(|t| t.failed.get(&key)) {
            None => false,
            Some(Retry::From(at)) => self.situation.now < *at,
            Some(Retry::Last) => true,
        };
        has_failed && !may_retry
    }

    /// Peers with some of it that may be asked.
    pub(super) fn free(&self, may_preempt: bool) -> impl Iterator<Item = &Candidate<'_>> {
        let segment = self.want.segment;
        let has_some = move |c: &&Candidate| c.peer.has_some(segment);
        let is_free = move |c: &&Candidate| {
            let is_preemptible = may_preempt && c.is_prefetching;
            !self.taken.contains(&c.key) && (c.peer.download.is_none() || is_preemptible)
        };
        let peers = self.situation.peers.iter().filter(is_free);
        peers.filter(has_some).filter(|c| !self.has_failed(c.key))
    }

    /// Whom to ask: several members of our own kind for parts, else one peer for everything.
    pub(super) fn whom_to_ask(
        &self,
        may_preempt: bool,
        finish_by: Option<Instant>,
    ) -> Option<Step> {
        let parts = self.parts(may_preempt, finish_by);
        if !parts.is_empty() {
            return Some(Step::AskParts(parts));
        }
        let is_asked = self.want.transfer.is_some_and(|t| !t.asked.is_empty());
        self.best_peer(may_preempt, finish_by).filter(|_| !is_asked).map(Step::Ask)
    }

    /// The fastest free holder of another kind, of those on the local network if any is: one that
    /// should be done by `finish_by`, if that is given. A peer not measured yet is taken for
    /// average: proven ones come first, but everyone gets a chance.
    fn best_peer(&self, may_preempt: bool, finish_by: Option<Instant>) -> Option<PeerKey> {
        let s = self.situation;
        if s.peers.iter().all(|c| c.peer.is_kin()) {
            return None;
        }
        let average = s.average;
        let is_in_time = |c: &&Candidate| match (finish_by, c.peer.throughput.get()) {
            (Some(by), Some(rate)) => s.now + time_for(self.missing(), rate) <= by,
            _ => true,
        };
        let rank = |c: &&Candidate| {
            let rate = c.peer.throughput.get().unwrap_or(average);
            let tie = mix(s.seed ^ mix(self.want.segment.0) ^ u64::from(c.key.0));
            let has_failed = self.want.transfer.is_some_and(|t| t.failed.contains_key(&c.key));
            (!has_failed, c.peer.download.is_none(), c.peer.is_near, rate as u64, tie)
        };
        self.free(may_preempt)
            .filter(|c| !c.peer.is_kin())
            .filter(is_in_time)
            .max_by_key(rank)
            .map(|c| c.key)
    }
}
