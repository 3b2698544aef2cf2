//! Which stream a URL belongs to: learns from playlists, starts a stream's actor at its first
//! media playlist, and finds segments by the URL that a player asks for.
//!
//! Bytes are never shared between two sets of credentials, nor between playlists that name other
//! files for the same position. Driven by the HTTP front.

mod resume;

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;
use url::Url;

use super::continuity::agree;
use super::entry::{Arrival, Stream};
use super::part_places::PlacedPart;
use super::places::{Part, split};
use super::rules::{Known, Rules};
use super::{Parts, StreamHandle};
use crate::ids::InfoHash;
use crate::playlist::membership::Swarm;
use crate::playlist::rules::Rules as Settings;
use crate::playlist::{Definitions, Extent, Multivariant, Timeline};

/// Streams at the same time; beyond it the one used least recently ends.
pub const STREAMS_MAX: usize = 64;
/// Renditions remembered from multivariant playlists.
const RENDITIONS_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Media playlists for which variables of their multivariant playlist are remembered: 16 MiB if
/// every stream defines as much as it may.
const IMPORTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// A stream that has begun anew meets peers after this long: until then there are some who have
/// not heard of it, and have old segments under the numbers of new ones.
const REUNION_DELAY: Duration = Duration::from_secs(60);

/// The streams of the daemon.
pub struct Registry {
    parts: Arc<Parts>,
    /// What publishers and the owner say.
    pub rules: Rules,
    inner: Mutex<Inner>,
}

struct Inner {
    streams: Vec<Stream>,
    /// By URL; a name only, so it does not matter with whose credentials it was learned.
    renditions: LruCache<String, Arc<Known>>,
    imports: LruCache<(u64, String), Arc<Definitions>>,
}

/// What a URL is, where it is (a part of) segments.
#[derive(Debug)]
pub struct Located {
    /// The stream.
    pub stream: StreamHandle,
    /// The playlist it was last read from, as the player asked for it.
    pub playlist: Url,
    /// The segments with that URL, each with its range of it.
    pub segments: Vec<Part>,
}

/// The part of a segment that a URL and range are.
#[derive(Debug)]
pub struct LocatedPart {
    /// The stream.
    pub stream: StreamHandle,
    /// The part.
    pub part: PlacedPart,
}

impl Located {
    /// Whether a player need not wait for any of it.
    pub fn is_held(&self) -> bool {
        self.segments.iter().all(|(_, segment)| self.stream.holds(*segment))
    }
}

impl Registry {
    /// No streams yet.
    pub fn new(parts: Arc<Parts>, settings: Settings) -> Self {
        let inner = Inner {
            streams: Vec::new(),
            renditions: LruCache::new(RENDITIONS_MAX),
            imports: LruCache::new(IMPORTS_MAX),
        };
        Self { parts, rules: Rules::new(settings), inner: Mutex::new(inner) }
    }

    /// A multivariant playlist was read, which a player asked for at one URL and which was found
    /// at another: its renditions' swarms are known from now on.
    pub fn learn_multivariant(
        &self,
        credentials: u64,
        requested: &Url,
        final_url: &Url,
        playlist: &Multivariant,
    ) {
        let mut inner = self.lock();
        for known in self.rules.all(playlist, requested, final_url) {
            inner.renditions.put(known.identity.url.to_string(), Arc::new(known));
        }
        if !playlist.definitions.is_empty() {
            let definitions = Arc::new(playlist.definitions.clone());
            for url in playlist.playlists() {
                inner.imports.put((credentials, url.to_string()), definitions.clone());
            }
        }
    }

    /// The variables that the media playlist at a URL can import: none, when no multivariant
    /// playlist that defines any led to it.
    pub fn imported(&self, credentials: u64, requested: &Url) -> Arc<Definitions> {
        let key = (credentials, requested.to_string());
        self.lock().imports.get(&key).cloned().unwrap_or_default()
    }

    /// A media playlist was read, for the first time or again. What takes an authorization to get
    /// is not shared (`may_share`).
    pub async fn learn_media(
        &self,
        credentials: u64,
        may_share: bool,
        requested: &Url,
        final_url: &Url,
        timeline: Timeline,
    ) {
        let timeline = Arc::new(timeline);
        let handle = {
            let mut inner = self.lock();
            let known = inner.renditions.get(requested.as_str()).cloned();
            let known = known.unwrap_or_else(|| Arc::new(self.rules.direct(requested, final_url)));
            let arrival = Arrival {
                credentials,
                may_share: may_share && known.may_share,
                known,
                playlist: requested.clone(),
                timeline: timeline.clone(),
            };
            inner.place(&self.parts, arrival)
        };
        handle.update(timeline).await;
    }

    /// The segments that a URL is, for a player with these credentials. The same bytes may be
    /// segments of several streams, in whole or in part: `effort` says what it would take to answer
    /// from one of them, if that is possible at all.
    pub fn locate(
        &self,
        credentials: u64,
        url: &Url,
        effort: impl Fn(&[Part]) -> Option<u64>,
    ) -> Option<Located> {
        let (path, query) = split(url);
        let mut inner = self.lock();
        let found = inner.streams.iter().enumerate().filter_map(|(index, stream)| {
            let is_theirs = stream.credentials == credentials;
            let places = is_theirs.then_some(&stream.places)?;
            let (is_exact, segments) = places.find(&path, query.as_deref())?;
            let effort = effort(&segments)?;
            Some(((is_exact, Reverse(effort), stream.read_at), index, segments))
        });
        let (_, index, segments) = found.max_by_key(|(rank, ..)| *rank)?;
        let playlist = inner.streams[index].playlist.clone();
        Some(Located { stream: inner.alive(&self.parts, index), playlist, segments })
    }

    /// The part of a segment that a piece of a resource is, for a player with these credentials;
    /// without `asked`, all of the resource.
    pub fn locate_part(
        &self,
        credentials: u64,
        url: &Url,
        asked: Option<Extent>,
    ) -> Option<LocatedPart> {
        let mut inner = self.lock();
        let found = inner.streams.iter().enumerate().filter_map(|(index, stream)| {
            let is_theirs = stream.credentials == credentials;
            let places = is_theirs.then_some(&stream.part_places)?;
            Some((stream.read_at, index, places.find(url, asked)?))
        });
        let (_, index, part) = found.max_by_key(|(read_at, ..)| *read_at)?;
        Some(LocatedPart { stream: inner.alive(&self.parts, index), part })
    }

    /// What is known of the media playlist at a URL, whatever its age.
    pub fn timeline(&self, credentials: u64, playlist: &Url) -> Option<Arc<Timeline>> {
        let inner = self.lock();
        let is_it = |s: &&Stream| s.credentials == credentials && s.playlist == *playlist;
        let latest = inner.streams.iter().filter(is_it).max_by_key(|stream| stream.read_at)?;
        Some(latest.timeline.clone())
    }

    /// Every stream that has not ended.
    pub fn streams(&self) -> Vec<StreamHandle> {
        let inner = self.lock();
        let alive = inner.streams.iter().filter(|stream| !stream.handle.is_ended());
        alive.map(|stream| stream.handle.clone()).collect()
    }

    /// Forgets the held segments of the streams of one playlist (by URL, its query not counting).
    pub fn forget(&self, playlist: &Url) {
        let wanted = split(playlist).0;
        let inner = self.lock();
        for stream in inner.streams.iter().filter(|stream| split(&stream.playlist).0 == wanted) {
            self.parts.cache.clear(Some(stream.handle.profile.id));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The stream that a timeline continues, or a new one.
    fn place(&mut self, parts: &Arc<Parts>, new: Arrival) -> StreamHandle {
        let (credentials, info_hash) = (new.credentials, new.known.identity.info_hash);
        let of_swarm = |stream: &Stream| {
            stream.credentials == credentials && stream.known.identity.info_hash == info_hash
        };
        let known = self.streams.iter().position(|stream| {
            let is_same_playlist = stream.playlist == new.playlist;
            of_swarm(stream) && agree(&stream.timeline, &new.timeline, is_same_playlist)
        });
        if let Some(index) = known {
            self.streams[index].set_timeline(&new.playlist, new.timeline);
            return self.alive(parts, index);
        }
        // The same playlist names other files for the same positions: the packager began anew.
        let before = self.streams.len();
        self.streams.retain(|stream| {
            let is_restarted = of_swarm(stream) && stream.playlist == new.playlist;
            if is_restarted {
                tracing::info!(url = %stream.handle.profile.url, "a stream has begun anew");
                stream.retire.cancel();
            }
            !is_restarted
        });
        let has_restarted = self.streams.len() < before;
        self.make_room();
        let after = if has_restarted { REUNION_DELAY } else { Duration::ZERO };
        let swarms = self.to_join(new.may_share, &new.known);
        let stream = Stream::start(parts, new, swarms, after);
        let handle = stream.handle.clone();
        self.streams.push(stream);
        handle
    }

    /// Ends the stream used least recently, ended ones first, when there are too many.
    fn make_room(&mut self) {
        if self.streams.len() < STREAMS_MAX {
            return;
        }
        let streams = self.streams.iter().enumerate();
        let oldest = streams.min_by_key(|(_, s)| (!s.handle.is_ended(), s.used_at));
        if let Some((index, _)) = oldest {
            let stream = self.streams.swap_remove(index);
            tracing::debug!(limit = STREAMS_MAX, "the stream used least recently is forgotten");
            stream.retire.cancel();
        }
    }

    /// A stream that takes requests: it is started again where it had ended.
    fn alive(&mut self, parts: &Arc<Parts>, index: usize) -> StreamHandle {
        let old = &self.streams[index];
        if old.handle.is_ended() {
            let swarms = self.to_join(old.may_share, &old.known);
            let arrival = Arrival {
                credentials: old.credentials,
                may_share: old.may_share,
                known: old.known.clone(),
                playlist: old.playlist.clone(),
                timeline: old.timeline.clone(),
            };
            let mut stream = Stream::start(parts, arrival, swarms, Duration::ZERO);
            stream.places.clone_from(&old.places);
            stream.part_places.clone_from(&old.part_places);
            self.streams[index] = stream;
        }
        let stream = &mut self.streams[index];
        stream.used_at = Instant::now();
        stream.handle.clone()
    }

    /// The swarms of a rendition in which no stream is yet: a member is in a swarm once.
    fn to_join(&self, may_share: bool, known: &Known) -> Vec<Swarm> {
        let alive = self.streams.iter().filter(|stream| !stream.handle.is_ended());
        let joined: Vec<InfoHash> =
            alive.flat_map(|stream| &stream.joined).map(|swarm| swarm.info_hash).collect();
        let all = known.swarms.iter().filter(|_| may_share);
        all.filter(|swarm| !joined.contains(&swarm.info_hash)).copied().collect()
    }
}
