//! The state of one swarm, and the way every input takes through it.
//!
//! It only dispatches: `hear` knows what peers may say, `conduct` what becomes of a segment,
//! `schedule` who brings it. Driven by the stream actor.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::caution::{Caution, Lack, Scarcity};
use super::demand::Players;
use super::have::Have;
use super::peer::Peer;
use super::rate::Downlink;
use super::relay::Told;
use super::transfer::Transfer;
use super::upload::Uploads;
use super::window::Window;
use super::{Config, Expected, Input, Output, Reason};
use crate::ids::{PeerId, PeerKey, PlayerId, SegmentId};

/// Who met nobody in this time after joining need not wait for peers.
const MEETING: Duration = Duration::from_secs(10);
/// For so long after joining company near one's place in a recording is still being found.
const GATHERING: Duration = Duration::from_secs(40);

/// One rendition's swarm as this member sees it.
#[derive(Debug)]
pub struct Swarm {
    pub(super) config: Config,
    pub(super) me: PeerId,
    pub(super) seed: u64,
    /// The latest time heard of: it never runs backwards.
    pub(super) now: Instant,
    pub(super) joined: Joined,
    /// Until when peers are still likely to turn up.
    pub(super) meeting_until: Instant,
    /// Until when company near the place in a recording is still being found.
    pub(super) gathering_until: Instant,
    /// Members the tracker reports.
    pub(super) size: u32,
    /// Whether peers are asked for anything.
    pub(super) takes: bool,
    pub(super) window: Window,
    pub(super) players: Players,
    pub(super) transfers: BTreeMap<SegmentId, Transfer>,
    pub(super) peers: BTreeMap<PeerKey, Peer>,
    pub(super) uploads: Uploads,
    pub(super) have: Have,
    pub(super) downlink: Downlink,
    /// Bytes that came, from anybody.
    pub(super) arrived: u64,
    pub(super) caution: Caution,
    pub(super) scarcity: Scarcity,
    pub(super) lack: Lack,
    /// Pieces that the origin was asked for in vain, since one that came.
    pub(super) piece_failures: u32,
    /// How long the origin took to answer the last request.
    pub(super) origin_wait: Option<Duration>,
    /// What members of our own kind were told.
    pub(super) told: Told,
    /// When sources are decided on anew because of what was heard.
    pub(super) plan_at: Option<Instant>,
    /// When time alone makes it necessary.
    pub(super) until: Option<(Instant, Reason)>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) deadline: Option<(Instant, Reason)>,
}

/// Whether the swarm had its chance to say what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Demands wait, until then at most.
    Until(Instant),
    /// Demands are decided on by what is known.
    Done,
}

/// What may follow from an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Sources may have to be decided on anew.
    Plan,
    /// The same, together with whatever comes in the next moment.
    PlanSoon,
    /// At most something to say or to serve.
    Word,
}

impl Swarm {
    /// A member that has just joined; everything random comes from `seed`.
    pub fn new(config: Config, me: PeerId, seed: u64, now: Instant) -> Self {
        Self {
            joined: Joined::Until(now + config.join_wait),
            meeting_until: now + MEETING,
            gathering_until: now + GATHERING,
            uploads: Uploads::new(config.uploads_max),
            config,
            me,
            seed,
            now,
            size: 0,
            takes: true,
            window: Window::new(),
            players: Players::default(),
            transfers: BTreeMap::new(),
            peers: BTreeMap::new(),
            have: Have::default(),
            downlink: Downlink::new(),
            arrived: 0,
            caution: Caution::default(),
            scarcity: Scarcity::default(),
            lack: Lack::new(),
            told: Told::default(),
            piece_failures: 0,
            origin_wait: None,
            plan_at: None,
            until: None,
            outputs: VecDeque::new(),
            deadline: None,
        }
    }

    /// Takes one input. Hostile input is a strike or a drop, never an error.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        let follows = self.take(input);
        self.settle(follows);
        #[cfg(debug_assertions)]
        self.check_laws();
    }

    /// Notes what happened; what may follow from it.
    fn take(&mut self, input: Input) -> Follows {
        match input {
            Input::Timeline { segments, is_live } => {
                self.window.replace(&segments, is_live, self.now);
                self.have.changed(self.now);
            }
            Input::SwarmSize(size) => {
                self.size = size;
                if size <= 1 {
                    self.joined = Joined::Done;
                    self.gathering_until = self.now;
                    self.meeting_until = self.now;
                }
            }
            Input::Alone => {
                self.size = 0;
                self.joined = Joined::Done;
                self.meeting_until = self.now;
            }
            Input::Demanded { segment, player } => self.demanded(segment, player),
            Input::Dismissed { segment, player } => self.dismissed(segment, player),
            Input::Handed { segment, player } => self.players.handed(self.now, player, segment),
            Input::Connected { peer, id } => self.connected(peer, id),
            Input::Near { peer } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.is_near = true;
                }
            }
            Input::Disconnected { peer } => self.disconnected(peer),
            Input::Heard { peer, message } => return self.heard(peer, message),
            Input::Received { peer, len } => return self.received(peer, len),
            Input::Fetched { segment, len, total } => {
                return self.fetched(segment, len, total);
            }
            Input::Completed { segment, size } => self.completed(segment, size),
            Input::Proved { segment, from, end } => {
                if let Some(transfer) = self.transfers.get_mut(&segment) {
                    transfer.proved(from..end);
                }
                return Follows::Word;
            }
            Input::FetchFailed { segment } => self.fetch_failed(segment),
            Input::Rejected { segment, peer } => self.rejected(segment, peer),
            Input::Unproven { segment } => self.unproven(segment),
            Input::Taking(takes) => self.takes = takes,
            Input::Crowded(most) => self.make_room(most),
            Input::Evicted { segment } => {
                self.have.remove(segment);
                self.have.changed(self.now);
            }
            Input::ServeEnded { peer, request, is_complete: true } => {
                self.uploads.completed(self.now, peer, request);
                return Follows::Word;
            }
            Input::ServeEnded { peer, request, is_complete: false } => {
                self.uploads.end(peer, request);
                return Follows::Word;
            }
            Input::Tick => {}
        }
        Follows::Plan
    }

    /// The next thing to do, until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due at the latest, and what for.
    pub fn deadline(&self) -> Option<(Instant, Reason)> {
        self.deadline
    }

    /// Where the next payload bytes of that peer belong; `None`: discard them.
    pub fn expecting(&self, peer: PeerKey) -> Option<Expected> {
        let download = self.peers.get(&peer)?.download.as_ref()?;
        let total = self.transfers.get(&download.segment)?.total.map(|total| total.bytes);
        Some(Expected {
            segment: download.segment,
            offset: download.from + download.received,
            remaining: download.remaining()?,
            total,
        })
    }

    /// Media that a player has received and not played yet, as far as can be told.
    pub fn buffered(&self, player: PlayerId, now: Instant) -> Duration {
        self.players.buffered(now.max(self.now), player)
    }

    /// Size of a segment that is arriving, in bytes, as far as anybody has said.
    pub fn size(&self, segment: SegmentId) -> Option<u64> {
        self.transfers.get(&segment)?.total.map(|total| total.bytes)
    }

    /// Whether peers may still turn up: the swarm was joined a moment ago, and nobody has said that
    /// there are no others.
    pub fn is_meeting(&self, now: Instant) -> bool {
        now < self.meeting_until
    }

    /// Whether a player needs a segment soon that is on its way from the origin: nothing else
    /// should take of the connection then.
    pub fn is_in_a_hurry(&self) -> bool {
        let is_fetched = |t: &Transfer| t.is_demanded() && !t.is_for_seeding() && t.is_fetching();
        let fetched = self.transfers.iter().filter(|(_, transfer)| is_fetched(transfer));
        fetched.into_iter().any(|(segment, _)| self.is_slow(*segment) || self.is_due_soon(*segment))
    }

    /// Members as far as known: the tracker may lag behind the connections.
    pub(super) fn members(&self) -> u32 {
        let connected = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        self.size.max(connected.saturating_add(1))
    }

    /// What must hold after every input; a violation is a bug, not an input's fault.
    #[cfg(debug_assertions)]
    fn check_laws(&self) {
        for (segment, transfer) in &self.transfers {
            assert!(!self.have.has(*segment), "segment {segment} is held and on its way");
            for (peer, asked) in &transfer.asked {
                let download = self.peers.get(peer).and_then(|p| p.download);
                let download = download.filter(|d| d.segment == *segment);
                let part = download.map(|d| (d.from, d.end));
                let known = Some((asked.from, asked.end));
                assert_eq!(part, known, "segment {segment} and {peer:?} differ");
            }
            if transfer.source == super::transfer::Source::Waiting {
                let is_attended = self.deadline.is_some() || transfer.piece.is_some();
                let is_unattended = transfer.is_demanded() && !is_attended;
                assert!(!is_unattended, "segment {segment} waits for nothing");
            } else {
                assert!(transfer.asked.is_empty(), "segment {segment} comes from two sides");
            }
        }
        let downloads = self.peers.values().filter(|p| p.download.is_some()).count();
        let asked: usize = self.transfers.values().map(|t| t.asked.len()).sum();
        assert_eq!(downloads, asked, "a download nobody knows of");
        assert!(self.uploads.len() <= self.config.uploads_max, "too many serves");
    }
}
