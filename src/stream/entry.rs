//! A stream as the registry keeps it, and how it begins.
//!
//! Which playlist is which stream is the registry's word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::actor::{Actor, Life};
use super::continuity::name;
use super::part::Flights;
use super::part_places::PartPlaces;
use super::peers::Joining;
use super::places::Places;
use super::rules::Known;
use super::{COMMANDS_MAX, CacheOfStream, Parts, Profile, StreamHandle};
use crate::playlist::Timeline;
use crate::playlist::membership::{Swarm, memberships};

/// A media playlist that was read.
pub(super) struct Arrival {
    pub(super) credentials: u64,
    /// Whether what it lists may be given to strangers.
    pub(super) may_share: bool,
    pub(super) known: Arc<Known>,
    /// Its URL as the player asked for it.
    pub(super) playlist: Url,
    pub(super) timeline: Arc<Timeline>,
}

pub(super) struct Stream {
    pub(super) credentials: u64,
    pub(super) may_share: bool,
    /// The swarms it is in.
    pub(super) joined: Vec<Swarm>,
    pub(super) known: Arc<Known>,
    /// Ended streams stay known: a player that was paused for long goes on with its old playlist.
    pub(super) handle: StreamHandle,
    /// The playlist it was last read from, as the player asked for it.
    pub(super) playlist: Url,
    pub(super) timeline: Arc<Timeline>,
    /// What its URLs are.
    pub(super) places: Places,
    /// What of them parts of segments are.
    pub(super) part_places: PartPlaces,
    pub(super) read_at: Instant,
    pub(super) used_at: Instant,
    /// Ends the stream once nobody reads from it.
    pub(super) retire: CancellationToken,
}

impl Stream {
    /// Starts a stream, which meets peers in those swarms after that long.
    pub(super) fn start(
        parts: &Arc<Parts>,
        new: Arrival,
        swarms: Vec<Swarm>,
        after: Duration,
    ) -> Self {
        let Arrival { credentials, may_share, known, playlist, timeline } = new;
        let identity = &known.identity;
        let is_shared = !swarms.is_empty();
        let joining = joining(parts, &known, &swarms, &timeline, after);
        let swarms = if joining.is_some() { swarms } else { Vec::new() };
        let profile = Arc::new(Profile {
            id: name(credentials, identity, &timeline),
            url: crate::redact::url(&playlist),
            rendition: identity.label.clone(),
            info_hash: identity.info_hash,
            swarms: swarms.clone(),
            is_live: AtomicBool::new(!timeline.is_ended),
            active_players: AtomicU64::new(0),
            live_delay_ms: AtomicU64::new(0),
            is_shared,
            is_seeded: AtomicBool::new(false),
            is_sealed: known.rule.as_ref().is_some_and(|rule| rule.list.is_some()),
            counters: Arc::default(),
        });
        let (url, rendition) = (&profile.url, &profile.rendition);
        tracing::info!(%url, %rendition, swarms = swarms.len(), "a stream begins");
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let retire = CancellationToken::new();
        let life = Life {
            commands: inbox,
            playlist: playlist.clone(),
            list: known.rule.as_ref().and_then(|rule| rule.list.clone()),
            hash_list: known.settings.hash_list.clone(),
            joining,
            retire: retire.clone(),
        };
        let (actor, inbox) = Actor::new(parts.clone(), profile.clone(), timeline.clone(), life);
        parts.tasks.spawn(actor.run(inbox));
        let handle = StreamHandle {
            meter: parts.meter.of_stream(profile.counters.clone()),
            cache: Arc::new(CacheOfStream(parts.cache.clone(), profile.id)),
            flights: Arc::new(Flights::new(parts)),
            profile,
            commands,
        };
        let now = Instant::now();
        let mut stream = Self {
            credentials,
            may_share,
            joined: swarms,
            known,
            handle,
            playlist: playlist.clone(),
            timeline: timeline.clone(),
            places: Places::default(),
            part_places: PartPlaces::default(),
            read_at: now,
            used_at: now,
            retire,
        };
        stream.set_timeline(&playlist, timeline);
        stream
    }

    pub(super) fn set_timeline(&mut self, playlist: &Url, timeline: Arc<Timeline>) {
        self.places.learn(&timeline);
        self.part_places.learn(&timeline);
        self.playlist = playlist.clone();
        self.timeline = timeline;
        self.read_at = Instant::now();
    }
}

/// Where a stream meets whom; nowhere, if sharing is off or there is no tracker.
fn joining(
    parts: &Parts,
    known: &Known,
    swarms: &[Swarm],
    timeline: &Timeline,
    after: Duration,
) -> Option<Joining> {
    let settings = &known.settings;
    let connector = parts.connector.clone()?;
    if swarms.is_empty() {
        return None;
    }
    let trackers = match &known.rule {
        Some(rule) => rule.trackers.clone(),
        None => parts.trackers.of_stream(settings.trackers.as_deref()),
    };
    let memberships = memberships(swarms, settings.segment_ids, timeline);
    (!trackers.is_empty()).then_some(Joining { connector, trackers, memberships, after })
}
