//! The actor of one rendition: owns its `Swarm`, carries what happens into it and what it decides
//! out to buffers, downloads and peers.
//!
//! It only dispatches: decisions are the core's, bytes are the buffers', connections the links'.
//! Spawned by the registry; ends when its last player and then its usefulness to peers are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::arriving::{self, Arriving};
use super::checking::verifier;
use super::claims::{Claims, Hashed};
use super::download::DownloadEvent;
use super::link::{LinkContext, LinkEvent, PeerLink};
use super::manners::Manners;
use super::passing::Passing;
use super::peers::{Joining, Wanted};
use super::reports::{Reports, Source};
use super::roster::Roster;
use super::shape::Shapes;
use super::signalling::{Opened, Report};
use super::verifier::{Answer, Verdict, Verifier};
use super::{Command, Figures, Open, Opening, Parts, Profile, Standing};
use crate::cache::Evictions;
use crate::ids::{PeerKey, PlayerId};
use crate::metrics::Meter;
use crate::playlist::Timeline;
use crate::swarm::{Input, Output, PeerStatus, Slot, Swarm};
use crate::verify::blocks::Glimpse;

/// Events of peers and downloads waiting for the actor; whoever sends them waits when it is full.
pub(super) const EVENTS_MAX: usize = 64;
/// A player counts as active for this long after its last request.
const PLAYER_ACTIVE: Duration = Duration::from_secs(30);
/// Media that a player may be ahead and still count as playing it.
const PLAYOUT_MAX: Duration = Duration::from_secs(3600);

/// The actor; [`Actor::run`] is its life.
pub struct Actor {
    pub(super) parts: Arc<Parts>,
    pub(super) profile: Arc<Profile>,
    pub(super) meter: Meter,
    pub(super) swarm: Swarm,
    pub(super) timeline: Arc<Timeline>,
    pub(super) shapes: Shapes,
    pub(super) manners: Manners,
    pub(super) arriving: Arriving,
    pub(super) claims: Claims,
    pub(super) verifier: Verifier,
    pub(super) passing: Passing,
    pub(super) peers: BTreeMap<PeerKey, PeerLink>,
    pub(super) next_peer: u32,
    pub(super) roster: Arc<Roster>,
    /// When room was last made for new company.
    pub(super) room_made_at: Instant,
    pub(super) reports: Reports,
    pub(super) players: BTreeMap<PlayerId, Instant>,
    /// Until when the players' last known buffers last.
    pub(super) playing_until: Instant,
    pub(super) links: LinkContext,
    /// Tells the links whether a player needs the connection for itself.
    hurry: watch::Sender<bool>,
    pub(super) evictions: Arc<Evictions>,
    pub(super) attention: Arc<Notify>,
    pub(super) cancel: CancellationToken,
    retire: CancellationToken,
}

/// What an actor is given for its life.
pub struct Life {
    /// Where it is told what to do.
    pub commands: mpsc::Receiver<Command>,
    /// The media playlist, as the player asked for it.
    pub playlist: Url,
    /// The list of hashes that has the last word on its segments.
    pub list: Option<Url>,
    /// Where else the hashes of its segments are.
    pub hash_list: Option<Url>,
    /// How it meets peers; `None`: not at all.
    pub joining: Option<Joining>,
    /// Asks it to end as soon as nobody reads.
    pub retire: CancellationToken,
}

/// Where the actor hears from.
pub struct Inbox {
    commands: mpsc::Receiver<Command>,
    downloads: mpsc::Receiver<DownloadEvent>,
    links: mpsc::Receiver<LinkEvent>,
    opened: mpsc::Receiver<Opened>,
    reports: mpsc::Receiver<(Source, Report)>,
    hashed: mpsc::Receiver<Hashed>,
    verdicts: mpsc::Receiver<Verdict>,
    glimpses: mpsc::Receiver<(Glimpse, Answer)>,
}

impl Actor {
    /// An actor for a stream with its first timeline, and soon meeting peers, if it is to.
    pub fn new(
        parts: Arc<Parts>,
        profile: Arc<Profile>,
        timeline: Arc<Timeline>,
        life: Life,
    ) -> (Self, Inbox) {
        let Life { commands, playlist, list, hash_list, joining, retire } = life;
        let cancel = parts.cancel.child_token();
        let now = Instant::now();
        let meter = parts.meter.of_stream(profile.counters.clone());
        let attention = Arc::<Notify>::default();
        let (download_events, downloads) = mpsc::channel(EVENTS_MAX);
        let (link_events, links) = mpsc::channel(EVENTS_MAX);
        let (opened_sender, opened) = mpsc::channel(EVENTS_MAX);
        let (report_sender, reports) = mpsc::channel(EVENTS_MAX);
        let (claims, hashed) = Claims::new();
        let lists = (list, hash_list);
        let (verifier, verdicts) = verifier(&parts, playlist, lists, &meter, &cancel);
        let (passing, glimpses) = Passing::new();
        let hurry = watch::Sender::new(false);
        let mut actor = Self {
            swarm: Swarm::new(parts.swarm.clone(), parts.me, seed(), now.into_std()),
            arriving: Arriving::new(arriving::Context {
                budget: parts.budget.clone(),
                attention: attention.clone(),
                origin: parts.origin.counting(meter.clone()),
                meter: meter.clone(),
                events: download_events,
                tasks: parts.tasks.clone(),
                cancel: cancel.clone(),
                is_sealed: profile.is_sealed,
            }),
            claims,
            verifier,
            passing,
            roster: Arc::new(Roster::new(parts.peers_max, parts.bans.clone())),
            links: LinkContext {
                events: link_events,
                meter: meter.clone(),
                pace: parts.pace.clone(),
                hurry: hurry.subscribe(),
                tasks: parts.tasks.clone(),
                cancel: cancel.clone(),
            },
            hurry,
            evictions: parts.cache.evictions(profile.id),
            room_made_at: now,
            playing_until: now,
            manners: Manners::default(),
            shapes: Shapes::expect(&timeline.segments),
            peers: BTreeMap::new(),
            next_peer: 0,
            reports: Reports::default(),
            players: BTreeMap::new(),
            timeline: timeline.clone(),
            parts,
            profile,
            meter,
            attention,
            cancel,
            retire,
        };
        actor.take_over_cache();
        actor.set_timeline(timeline);
        actor.meet_peers(joining, &opened_sender, &report_sender);
        (actor, Inbox { commands, downloads, links, opened, reports, hashed, verdicts, glimpses })
    }

    /// Runs until the stream is not needed any more, or the daemon ends.
    pub async fn run(mut self, mut inbox: Inbox) {
        let cancel = self.cancel.clone();
        let evictions = self.evictions.clone();
        let attention = self.attention.clone();
        let retire = self.retire.clone();
        let mut banned = self.parts.bans.watch();
        self.decide_to_take();
        loop {
            self.drain();
            let now = Instant::now();
            let idle_at = self.playing_until + self.parts.linger;
            let is_idle = now >= idle_at && !self.profile.is_seeded.load(Ordering::Relaxed);
            let is_over = is_idle || self.retire.is_cancelled();
            if is_over && !self.arriving.has_readers() {
                break;
            }
            let deadline = self.swarm.deadline().map(|(at, _)| Instant::from_std(at));
            let wake = deadline.unwrap_or(idle_at).min(idle_at.max(now + Duration::from_secs(1)));
            tokio::select! {
                () = cancel.cancelled() => break,
                () = retire.cancelled(), if !self.retire.is_cancelled() => {}
                Some(command) = inbox.commands.recv() => self.on_command(command),
                Some(event) = inbox.downloads.recv() => self.on_download(event),
                Some(event) = inbox.links.recv() => self.on_link(event),
                Some(opened) = inbox.opened.recv() => self.on_opened(opened),
                Some((source, report)) = inbox.reports.recv() => self.on_report(source, report),
                Some(hashed) = inbox.hashed.recv() => self.on_hashed(hashed),
                Some(verdict) = inbox.verdicts.recv() => self.on_verdict(verdict),
                Some((at, seen)) = inbox.glimpses.recv() => self.on_seen(&at, seen),
                () = attention.notified() => self.on_departures(),
                () = evictions.changed.notified() => self.on_evictions(),
                Ok(()) = banned.changed() => self.on_bans(),
                () = tokio::time::sleep_until(wake) => self.feed(Input::Tick),
            }
        }
        tracing::debug!(rendition = %self.profile.rendition, "a stream has ended");
        self.cancel.cancel();
        self.arriving.abandon();
        self.parts.cache.release(self.profile.id, &self.evictions);
    }

    /// What an earlier life of the stream left in the cache: kept where ids cannot have been
    /// given to other segments meanwhile.
    fn take_over_cache(&mut self) {
        if !self.timeline.is_ended {
            self.parts.cache.clear(Some(self.profile.id));
            self.evictions.take();
            return;
        }
        for (segment, size) in self.parts.cache.held(self.profile.id) {
            self.feed(Input::Completed { segment, size });
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Timeline(timeline) => self.set_timeline(timeline),
            Command::Open(open) => self.open(*open),
            Command::Watched(media, player) => self.note_player(media, player),
            Command::Handed(segment, player) => {
                self.note_player(self.media_of(segment), player);
                self.feed(Input::Demanded { segment, player });
                self.feed(Input::Handed { segment, player });
            }
            Command::Standing(player, reply) => {
                let now = Instant::now().into_std();
                let standing = Standing {
                    peers: self.peers.len(),
                    is_meeting: self.swarm.is_meeting(now),
                    buffered: self.swarm.buffered(player, now),
                };
                // Whoever asked may have gone.
                let _ = reply.send(standing);
            }
            Command::Figures(reply) => {
                let of_peer = |peer: PeerStatus| {
                    self.peers.get(&peer.peer).map(|link| link.figures(peer.segments_held))
                };
                let figures = Figures {
                    segments_held: self.parts.cache.held(self.profile.id).len(),
                    segments_listed: self.timeline.segments.len(),
                    peers: self.swarm.peers().filter_map(of_peer).collect(),
                };
                // Whoever asked may have gone.
                let _ = reply.send(figures);
            }
        }
    }

    fn set_timeline(&mut self, timeline: Arc<Timeline>) {
        let last = |timeline: &Timeline| timeline.segments.last().map(|segment| segment.id);
        if !timeline.is_ended && last(&timeline) < last(&self.timeline) {
            // From a server that lags: what is known already stays known.
            return;
        }
        let segments = timeline.segments.iter().map(|segment| Slot {
            id: segment.id,
            duration: segment.duration,
            size: segment.range.map(|range| range.len),
        });
        let input = Input::Timeline { segments: segments.collect(), is_live: !timeline.is_ended };
        self.timeline = timeline;
        self.playing_until = self.playing_until.max(Instant::now());
        self.feed(input);
    }

    fn open(&mut self, open: Open) {
        let Open { segment, player, request, detour, reply } = open;
        self.note_player(self.media_of(segment), player);
        if let Some(held) = self.parts.cache.peek(self.profile.id, segment) {
            self.feed(Input::Demanded { segment, player });
            self.feed(Input::Handed { segment, player });
            let _ = reply.send(Opening::Held(held));
            return;
        }
        // The cache may have let it go a moment ago: the core must know that before the demand.
        self.on_evictions();
        let Some(reader) = self.arriving.buffer(segment).reader(player) else {
            let _ = reply.send(Opening::Bypass);
            return;
        };
        self.manners = Manners::of(&request);
        self.arriving.set_request(segment, request);
        self.look_for_proof();
        self.arriving.set_detour(detour);
        self.feed(Input::Demanded { segment, player });
        // A player that has gone drops the reader, and that is heard of like any departure.
        let _ = reply.send(Opening::Arriving(reader));
    }

    /// A player is here, and has so much more media.
    fn note_player(&mut self, media: Duration, player: PlayerId) {
        if player == PlayerId::SEEDER {
            return;
        }
        let now = Instant::now();
        self.players.insert(player, now);
        self.players.retain(|_, seen| now.duration_since(*seen) < PLAYER_ACTIVE);
        self.profile.active_players.store(self.players.len() as u64, Ordering::Relaxed);
        self.playing_until = (self.playing_until.max(now) + media).min(now + PLAYOUT_MAX);
    }

    fn on_departures(&mut self) {
        for (segment, departure) in self.arriving.departed() {
            let player = departure.player;
            self.feed(if departure.is_complete {
                Input::Handed { segment, player }
            } else {
                Input::Dismissed { segment, player }
            });
        }
    }

    pub(super) fn on_evictions(&mut self) {
        for segment in self.evictions.take() {
            self.feed(Input::Evicted { segment });
        }
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.swarm.handle(Instant::now().into_std(), input);
    }

    /// Carries out everything the core has decided.
    pub(super) fn drain(&mut self) {
        self.keep_company();
        while let Some(output) = self.swarm.poll() {
            match output {
                Output::Fetch { segment, .. } => self.fetch(segment),
                Output::FetchPiece { segment, from, end } => self.fetch_piece(segment, from..end),
                Output::StopFetch { segment } => self.arriving.stop_fetch(segment),
                Output::Discard { segment } => self.arriving.discard(segment),
                Output::Say { peer, message } => self.say(peer, message),
                Output::Serve { peer, segment, request, from, end } => {
                    self.serve(peer, Wanted { segment, request, from, end });
                }
                Output::StopServe { peer, request } => {
                    if let Some(link) = self.peers.get(&peer) {
                        link.stop_serving(request);
                    }
                }
                Output::Verify { segment } => self.verify(segment),
                Output::Drop { peer, reason } => {
                    self.drop_peer(peer, reason);
                }
                Output::Fail { segment } => self.arriving.fail(segment),
            }
        }
        let is_in_a_hurry = self.swarm.is_in_a_hurry();
        self.hurry
            .send_if_modified(|known| std::mem::replace(known, is_in_a_hurry) != is_in_a_hurry);
    }
}

fn seed() -> u64 {
    let mut seed = [0; 8];
    if crate::ids::fill_random(&mut seed).is_err() {
        tracing::warn!("no random source: choices between peers are predictable");
    }
    u64::from_le_bytes(seed)
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
