//! Whether a playlist continues a stream or begins another, and what to call that in the cache.
//!
//! Bytes are told apart by position, so what this file takes for one stream shares bytes. Driven by
//! the registry, which keeps the streams.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use super::places::split;
use crate::cache::StreamId;
use crate::playlist::identity::RenditionIdentity;
use crate::playlist::{Segment, Timeline};

/// Segments by which one server of a live stream may lag behind another.
const LAG_MAX: u64 = 3;

/// Whether two playlists name the same files for the same positions. Without a position in common
/// a live one may be the other some time later; two films are never the same. A live playlist that
/// goes back a little comes from a server that lags; one that goes back far has begun anew, maybe
/// under the same names, and a film whose segments last differently is another film. Of one
/// playlist only the files' names count: tokens may be in the path.
pub(super) fn agree(old: &Timeline, new: &Timeline, is_same_playlist: bool) -> bool {
    let is_film = old.is_ended && new.is_ended;
    if is_film && old.segments.len() != new.segments.len() {
        return false;
    }
    let last = |timeline: &Timeline| timeline.segments.last().map_or(0, |s| s.id.0);
    if last(new).saturating_add(LAG_MAX) < last(old) {
        return false;
    }
    let file = |segment: &Segment| {
        let path = segment.url.path();
        let name = if is_same_playlist { path.rsplit('/').next().unwrap_or(path) } else { path };
        (name.to_owned(), segment.range, is_film.then_some(segment.duration))
    };
    let files: BTreeMap<_, _> = old.segments.iter().map(|s| (s.id, file(s))).collect();
    let mut common = 0;
    for segment in &new.segments {
        match files.get(&segment.id) {
            Some(known) if *known != file(segment) => return false,
            Some(_) => common += 1,
            None => {}
        }
    }
    common > 0 || (!old.is_ended && new.media_sequence >= old.media_sequence)
}

/// A stream's name in the cache. A film keeps it from one playing to the next; what a live stream
/// had under the same numbers may be something else by then.
pub(super) fn name(
    credentials: u64,
    identity: &RenditionIdentity,
    timeline: &Timeline,
) -> StreamId {
    static LIVE_STREAMS: AtomicU64 = AtomicU64::new(0);
    let first = timeline.segments.first().map(|segment| split(&segment.url).0);
    let serial = (!timeline.is_ended).then(|| LIVE_STREAMS.fetch_add(1, Ordering::Relaxed));
    // A film may be replaced under the same names, but hardly by one with the same rhythm.
    let rhythm: Vec<_> = timeline.segments.iter().map(|s| (s.id, s.range, s.duration)).collect();
    let mut hasher = DefaultHasher::new();
    (credentials, identity.info_hash, first, serial, rhythm).hash(&mut hasher);
    StreamId(hasher.finish())
}
