//! Our handling of one rendition: the actor that owns its [`Swarm`](crate::swarm::Swarm), the
//! buffers that players read from, and the registry that finds the stream of a URL.
//!
//! The only place where the pure core meets shells. It knows no HTTP server: `http` opens segments
//! here and gets readers.

mod actor;
mod arriving;
mod bans;
mod budget;
pub mod buffer;
mod checking;
mod claims;
mod continuity;
mod detour;
mod download;
mod entry;
mod failure;
mod link;
mod manners;
mod pace;
mod part;
mod part_places;
mod passing;
mod peers;
mod piece;
mod places;
mod registry;
mod reports;
mod roster;
mod rules;
mod segments;
mod shape;
mod signalling;
mod trackers;
mod verifier;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::{Cache, Segment, StreamId};
use crate::ids::{InfoHash, PeerId, PlayerId, SegmentId};
use crate::metrics::{Counters, Meter};
use crate::origin::{FetchRequest, Origin};
use crate::playlist::Timeline;
use crate::playlist::membership::Swarm;
use crate::rtc::Connector;
use crate::swarm;

pub use bans::Bans;
pub use budget::Budget;
use buffer::Reader;
pub use detour::Detour;
pub use download::guess_content_type;
pub use failure::{Failure, Refusal};
pub use link::PeerFigures;
pub use pace::Pace;
pub use part_places::PlacedPart;
pub use places::Part;
pub use registry::{Located, LocatedPart, Registry, STREAMS_MAX};
pub use rules::Rule;
pub use trackers::Trackers;
pub use verifier::VerifyConfig;

/// Commands waiting for one stream's actor; players wait when it is full.
const COMMANDS_MAX: usize = 256;

/// What all streams of the daemon share.
pub struct Parts {
    /// Our id towards trackers.
    pub me: PeerId,
    /// Whole segments.
    pub cache: Arc<Cache>,
    /// Memory for segments that are arriving.
    pub budget: Arc<Budget>,
    /// The upstream client.
    pub origin: Origin,
    /// Makes connections to peers; `None` when sharing is off.
    pub connector: Option<Arc<dyn Connector>>,
    /// Where peers are met.
    pub trackers: Arc<Trackers>,
    /// How fast peers are served.
    pub pace: Arc<Pace>,
    /// How the core decides.
    pub swarm: swarm::Config,
    /// How it is proved that what peers send is the origin's.
    pub verify: VerifyConfig,
    /// Connections to peers, for each stream.
    pub peers_max: usize,
    /// Who lied in any of them.
    pub bans: Arc<Bans>,
    /// How long a stream is kept for its peers after its last player.
    pub linger: Duration,
    /// Counts for the daemon.
    pub meter: Meter,
    /// Spawns tasks that shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends every stream.
    pub cancel: CancellationToken,
}

/// What is known of a stream without asking its actor.
#[derive(Debug)]
pub struct Profile {
    /// Its name in the cache.
    pub id: StreamId,
    /// URL for people, values of its query masked.
    pub url: String,
    /// Which rendition, such as `main-0`.
    pub rendition: String,
    /// What the rendition is called here, whatever swarms it is in.
    pub info_hash: InfoHash,
    /// The swarms it is in.
    pub swarms: Vec<Swarm>,
    /// Whether players get nothing that the publisher's list of hashes does not confirm.
    pub is_sealed: bool,
    /// Whether the playlist still grows.
    pub is_live: AtomicBool,
    /// Players that asked for something lately.
    pub active_players: AtomicU64,
    /// Milliseconds by which the player that asked last is kept behind the live edge.
    pub live_delay_ms: AtomicU64,
    /// Whether peers are met at all.
    pub is_shared: bool,
    /// Whether it is kept although no player asks.
    pub is_seeded: AtomicBool,
    /// What was moved.
    pub counters: Arc<Counters>,
}

/// A handle of a stream's actor.
#[derive(Clone, Debug)]
pub struct StreamHandle {
    profile: Arc<Profile>,
    commands: mpsc::Sender<Command>,
    meter: Meter,
    cache: Arc<CacheOfStream>,
    flights: Arc<part::Flights>,
}

/// The cache as one stream sees it.
struct CacheOfStream(Arc<Cache>, StreamId);

impl std::fmt::Debug for CacheOfStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CacheOfStream").field(&self.1).finish()
    }
}

#[derive(Debug)]
enum Command {
    Timeline(Arc<Timeline>),
    Open(Box<Open>),
    /// A player was given a segment that was held.
    Handed(SegmentId, PlayerId),
    /// A player was given a part of so much media.
    Watched(Duration, PlayerId),
    Figures(oneshot::Sender<Figures>),
    Standing(PlayerId, oneshot::Sender<Standing>),
}

#[derive(Debug)]
struct Open {
    segment: SegmentId,
    player: PlayerId,
    request: FetchRequest,
    detour: Option<Arc<dyn Detour>>,
    reply: oneshot::Sender<Opening>,
}

/// A segment for a player.
#[derive(Debug)]
pub enum Opening {
    /// It is held.
    Held(Arc<Segment>),
    /// It is arriving.
    Arriving(Reader),
    /// It cannot be shared (too large, or the stream is ending): ask the origin for it directly.
    Bypass,
}

/// What a stream's actor says of itself.
#[derive(Debug, Default)]
pub struct Figures {
    /// Segments held.
    pub segments_held: usize,
    /// Segments in the playlist.
    pub segments_listed: usize,
    /// Connected peers.
    pub peers: Vec<PeerFigures>,
}

/// How a player stands in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Connected peers.
    pub peers: usize,
    /// Whether peers may still turn up: it is not known yet that there are none.
    pub is_meeting: bool,
    /// Media that the player has and has not played yet, as far as can be told.
    pub buffered: Duration,
}

impl StreamHandle {
    /// What is known without asking.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Counts for this stream and the daemon.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// A new version of the playlist was read.
    pub async fn update(&self, timeline: Arc<Timeline>) {
        self.profile.is_live.store(!timeline.is_ended, Ordering::Relaxed);
        // An actor that has ended is replaced by the registry at the next playlist.
        let _ = self.commands.send(Command::Timeline(timeline)).await;
    }

    /// Whether a segment is in the cache.
    pub fn holds(&self, segment: SegmentId) -> bool {
        let CacheOfStream(cache, stream) = &*self.cache;
        cache.peek(*stream, segment).is_some()
    }

    /// Keeps it in its swarm from now on, whether players ask or not.
    pub fn keep(&self) {
        self.profile.is_seeded.store(true, Ordering::Relaxed);
    }

    /// Makes room: segments before that one are not held any longer.
    pub fn let_go(&self, before: SegmentId) {
        let CacheOfStream(cache, stream) = &*self.cache;
        for (segment, _) in cache.held(*stream).range(..before) {
            cache.remove(*stream, *segment);
        }
    }

    /// Opens a segment for a player; `request` is how the origin would be asked for it.
    pub async fn open(
        &self,
        segment: SegmentId,
        player: PlayerId,
        request: FetchRequest,
        detour: Option<Arc<dyn Detour>>,
    ) -> Opening {
        let CacheOfStream(cache, stream) = &*self.cache;
        if let Some(held) = cache.get(*stream, segment) {
            // Only the player's clock wants to know: a full queue may lose it.
            let _ = self.commands.try_send(Command::Handed(segment, player));
            return Opening::Held(held);
        }
        let (reply, opening) = oneshot::channel();
        let open = Command::Open(Box::new(Open { segment, player, request, detour, reply }));
        if self.commands.send(open).await.is_err() {
            return Opening::Bypass;
        }
        opening.await.unwrap_or(Opening::Bypass)
    }

    /// Asks the actor about itself.
    pub async fn figures(&self) -> Figures {
        let (reply, figures) = oneshot::channel();
        if self.commands.send(Command::Figures(reply)).await.is_err() {
            return Figures::default();
        }
        figures.await.unwrap_or_default()
    }

    /// Asks the actor how a player stands.
    pub async fn standing(&self, player: PlayerId) -> Standing {
        let (reply, standing) = oneshot::channel();
        if self.commands.send(Command::Standing(player, reply)).await.is_err() {
            return Standing::default();
        }
        standing.await.unwrap_or_default()
    }

    fn is_ended(&self) -> bool {
        self.commands.is_closed()
    }
}
