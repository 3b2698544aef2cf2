//! Who brings which segment: the whole policy, as one function of the situation.
//!
//! Without state: the same situation gives the same plan, ties broken by hashes of the seed.
//! `conduct` describes the situation and carries the plan out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::peer::{Download, Peer};
use super::rate::{Downlink, time_for};
use super::transfer::{Opened, Retry, Source, Transfer};
use super::{Config, Reason};
use crate::ids::{PeerId, PeerKey, SegmentId};

/// A peer transfer must end this long before due to count as on time.
const SLACK: Duration = Duration::from_millis(200);
/// A demand that is due at once may take this long from a peer at least.
const URGENT_FINISH_MIN: Duration = Duration::from_secs(1);
/// Share of a live swarm that fetches from the origin unasked, once there are many.
const SEATS_SHARE: f64 = 0.005;
/// A transfer found on time is looked at again no sooner than this.
const RECHECK_MIN: Duration = Duration::from_millis(10);
/// Longest the ramp is computed to take: the due time comes long before.
const RAMP_MAX_S: f64 = 3600.0;

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
    /// Until when demands wait for the swarm just joined.
    pub(super) joining_until: Option<Instant>,
    /// Whether peers are still likely to turn up where there are none.
    pub(super) is_meeting: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before `until`.
    Wait,
    /// Ask that peer, whatever the source was.
    Ask(PeerKey),
    /// Ask the origin, whatever the source was.
    Fetch,
    /// Nobody can bring it.
    Fail,
}

/// A segment, what to do about it, and when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        if let Step::Ask(peer) = step {
            taken.insert(peer);
        }
        Decision { segment: want.segment, step, until }
    };
    wants.iter().map(decide).collect()
}

/// How long before due the origin must be asked for `missing` bytes.
pub(super) fn margin(config: &Config, downlink: Downlink, missing: u64) -> Duration {
    config.origin_margin + downlink.time_for(missing).mul_f64(config.origin_margin_factor)
}

type Answer = (Step, Option<(Instant, Reason)>);

/// The question about one want.
struct Ask<'a> {
    situation: &'a Situation<'a>,
    want: &'a Want<'a>,
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
            (None, None) => Opened { at: now, is_urgent: true },
        };
        match transfer.source {
            Source::Origin { .. } | Source::Verifying => (Step::Wait, None),
            Source::Peer(peer) => match self.download(peer) {
                Some(download) => self.keep_or_move(due, opened, download),
                None => (Step::Fetch, None),
            },
            Source::Waiting => self.first_source(due, opened, transfer),
        }
    }

    /// Ahead of the players: from an idle peer that holds it; else, of a live stream, from the
    /// origin when it is this member's turn to bring it to the swarm.
    fn ahead(&self) -> Answer {
        let transfer = self.want.transfer;
        if transfer.is_some_and(|t| t.source != Source::Waiting || t.is_origin_only) {
            return (Step::Wait, None);
        }
        if let Some(peer) = self.best_peer(false, None) {
            return (Step::Ask(peer), None);
        }
        let s = self.situation;
        // Who says nothing yet may hold everything.
        let is_informed = s.peers.iter().any(|c| c.peer.counts() != (0, 0));
        let has_failed = transfer.is_some_and(|t| t.origin_failed_at.is_some());
        if !s.is_live || !s.config.upload || !is_informed || has_failed || self.is_expected() {
            return (Step::Wait, None);
        }
        let turn_at = self.turn_at();
        if s.now >= turn_at {
            return (Step::Fetch, None);
        }
        (Step::Wait, Some((turn_at, Reason::Ramp)))
    }

    fn first_source(&self, due: Instant, opened: Opened, transfer: &Transfer) -> Answer {
        let now = self.situation.now;
        if let Some(failed_at) = transfer.origin_failed_at {
            return self.without_origin(failed_at);
        }
        let fallback_at = self.fallback_at(due);
        if transfer.is_origin_only {
            return (Step::Fetch, None);
        }
        if opened.is_urgent {
            let is_patient = now < opened.at + self.situation.config.urgent_first_byte;
            let finish_by = self.urgent_finish(opened);
            let peer = self.best_peer(true, Some(finish_by)).filter(|_| is_patient);
            return peer.map_or((Step::Fetch, None), |peer| (Step::Ask(peer), None));
        }
        if now >= fallback_at {
            return (Step::Fetch, None);
        }
        if let Some(peer) = self.best_peer(true, None) {
            return (Step::Ask(peer), None);
        }
        if let Some(look_at) = self.expected_until(transfer, fallback_at) {
            return (Step::Wait, Some((look_at, Reason::Due)));
        }
        self.unheard_of(fallback_at)
    }

    /// Nobody connected holds or loads the segment.
    fn unheard_of(&self, fallback_at: Instant) -> Answer {
        let s = self.situation;
        if s.peers.is_empty() && !s.is_meeting {
            return (Step::Fetch, None);
        }
        let turn_at = if s.is_live {
            (self.turn_at(), Reason::Ramp)
        } else {
            (earlier_by(fallback_at, s.config.origin_lead), Reason::Due)
        };
        let fetch_at = turn_at.min((fallback_at, Reason::Due));
        if s.now >= fetch_at.0 {
            return (Step::Fetch, None);
        }
        (Step::Wait, Some(fetch_at))
    }

    /// When this member is to fetch the segment if nobody is heard to have it.
    fn turn_at(&self) -> Instant {
        let s = self.situation;
        self.want.since + ramp(s.me, self.want.segment, s.members, s.config)
    }

    /// Whether anybody holds or loads the segment.
    fn is_expected(&self) -> bool {
        let segment = self.want.segment;
        let can = |c: &Candidate| c.peer.holds(segment) || c.peer.is_loading(segment);
        self.situation.peers.iter().any(can)
    }

    /// The origin gave up: any holder will do, and a busy one is waited for.
    fn without_origin(&self, failed_at: Instant) -> Answer {
        let give_up_at = failed_at + self.situation.config.hold_max;
        if let Some(peer) = self.best_peer(true, None) {
            return (Step::Ask(peer), None);
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
        let fallback_at = self.fallback_at(due);
        let finish_by =
            if opened.is_urgent { self.urgent_finish(opened) } else { earlier_by(due, SLACK) };
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

    fn fallback_at(&self, due: Instant) -> Instant {
        earlier_by(due, margin(self.situation.config, self.situation.downlink, self.missing()))
    }

    fn urgent_finish(&self, opened: Opened) -> Instant {
        opened.at + (self.want.duration / 2).max(URGENT_FINISH_MIN)
    }

    fn missing(&self) -> u64 {
        let (have, total) = self.want.transfer.map_or((0, None), |t| (t.have, t.total));
        total.map_or(self.want.size_guess, |total| total.bytes).saturating_sub(have)
    }

    fn download(&self, key: PeerKey) -> Option<&Download> {
        let candidate = self.situation.peers.iter().find(|c| c.key == key)?;
        candidate.peer.download.as_ref()
    }

    /// Until when to wait for those who hold or load the segment, if there are any: a busy one may
    /// be asked again before `fallback_at`.
    fn expected_until(&self, transfer: &Transfer, fallback_at: Instant) -> Option<Instant> {
        let segment = self.want.segment;
        let can = |c: &&Candidate| c.peer.holds(segment) || c.peer.is_loading(segment);
        let until = |c: &Candidate| match transfer.failed.get(&c.key) {
            Some(Retry::From(at)) if *at > self.situation.now => Some(fallback_at.min(*at)),
            None | Some(Retry::From(_)) => Some(fallback_at),
            Some(Retry::Last) => None,
        };
        self.situation.peers.iter().filter(can).filter_map(until).min()
    }

    fn holders(&self) -> impl Iterator<Item = &Candidate<'_>> {
        self.situation.peers.iter().filter(|c| c.peer.holds(self.want.segment))
    }

    fn is_proven(&self, key: PeerKey) -> bool {
        self.holders().any(|c| c.key == key && c.peer.throughput.get().is_some())
    }

    /// The fastest free holder, of those on the local network if any is: one that should be done by
    /// `finish_by`, if that is given. A peer not measured yet is taken for average: proven ones
    /// come first, but everyone gets a chance.
    /// Holders that failed at this segment are asked again only when the origin has failed too.
    fn best_peer(&self, may_preempt: bool, finish_by: Option<Instant>) -> Option<PeerKey> {
        let s = self.situation;
        let average = average_rate(&s.peers);
        let transfer = self.want.transfer;
        let has_failed = |key| match transfer.and_then(|t| t.failed.get(&key)) {
            None => false,
            Some(Retry::From(at)) => s.now < *at,
            Some(Retry::Last) => true,
        };
        let may_retry = transfer.is_some_and(|t| t.origin_failed_at.is_some());
        let is_free = |c: &&Candidate| {
            let is_preemptible = may_preempt && c.is_prefetching;
            !self.taken.contains(&c.key) && (c.peer.download.is_none() || is_preemptible)
        };
        let is_in_time = |c: &&Candidate| match (finish_by, c.peer.throughput.get()) {
            (Some(by), Some(rate)) => s.now + time_for(self.missing(), rate) <= by,
            _ => true,
        };
        let rank = |c: &&Candidate| {
            let rate = c.peer.throughput.get().unwrap_or(average);
            let tie = mix(s.seed ^ mix(self.want.segment.0) ^ u64::from(c.key.0));
            (!has_failed(c.key), c.peer.download.is_none(), c.peer.is_near, rate as u64, tie)
        };
        let candidates = self.holders().filter(is_free).filter(is_in_time);
        candidates.filter(|c| may_retry || !has_failed(c.key)).max_by_key(rank).map(|c| c.key)
    }
}

/// From when on a transfer would be late if nothing more came; `None`: it is late now. A transfer
/// whose peer has not said how much will come is late.
fn late_from(now: Instant, finish_by: Instant, download: &Download) -> Option<Instant> {
    let (flowing_since, remaining) = (download.flowing_since?, download.remaining()?);
    let elapsed = now.saturating_duration_since(flowing_since).as_secs_f64();
    let still_to_flow = remaining as f64 / download.received.max(1) as f64;
    let left = finish_by.checked_duration_since(now)?.as_secs_f64();
    if elapsed * still_to_flow > left {
        return None;
    }
    // The finish projected at t is t + (t - flowing_since) * still_to_flow.
    let whole = finish_by.saturating_duration_since(flowing_since).as_secs_f64();
    Some(flowing_since + Duration::from_secs_f64(whole / (1.0 + still_to_flow)))
}

/// How long after a live segment appeared this member fetches it although nobody asked: the
/// threshold `K / members` doubles every `ramp_doubling` until it passes this member's hash.
fn ramp(me: PeerId, segment: SegmentId, members: u32, config: &Config) -> Duration {
    let members = f64::from(members.max(1));
    let seats = (SEATS_SHARE * members).max(1.0);
    let hash = me.0.iter().fold(segment.0, |hash, byte| mix(hash ^ u64::from(*byte)));
    let share = hash as f64 / u64::MAX as f64;
    let doublings = (share * members / seats).max(1.0).log2();
    let seconds = doublings * config.ramp_doubling.as_secs_f64();
    Duration::from_secs_f64(seconds.min(RAMP_MAX_S))
}

fn average_rate(peers: &[Candidate]) -> f64 {
    let rates: Vec<f64> = peers.iter().filter_map(|c| c.peer.throughput.get()).collect();
    rates.iter().sum::<f64>() / rates.len().max(1) as f64
}

fn earlier_by(instant: Instant, by: Duration) -> Instant {
    instant.checked_sub(by).unwrap_or(instant)
}

/// One step of SplitMix64: every bit of the input decides about every bit of the output.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
