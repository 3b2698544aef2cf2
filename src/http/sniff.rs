//! Finds out what the segments of a playlist are, where their names do not say it in a way that
//! players accept.
//!
//! One small request for each such playlist; what it finds is remembered. Where nothing is found
//! out in time the playlist is given out all the same. What bytes mean is `playlist::sniff`'s.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::answer::Front;
use super::directives;
use super::held::{Content, Fetched, Key};
use super::proxy::Asked;
use super::steering;
use crate::ids::ByteRange;
use crate::origin::{FetchRequest, Wanted};
use crate::playlist::Playlist;
use crate::playlist::proxy_url::Suffix;
use crate::playlist::sniff::{self, BEGINNING_BYTES};

/// Playlists of which it is remembered.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// Longest that a player waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the segments of playlists turned out to be.
pub struct Sniffed(Mutex<LruCache<Key, Option<Suffix>>>);

impl Default for Sniffed {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KNOWN_MAX)))
    }
}

/// What the segments of a playlist are, where it has to be found out and can be.
pub async fn segments(front: &Front, asked: &Asked, fetched: &Fetched) -> Option<Suffix> {
    let Content::Text(Ok(Playlist::Media(timeline))) = &fetched.content else { return None };
    let segment = sniff::telling(timeline)?;
    // As the player asks for it each time: where it is led may have a new token in it.
    let key = (asked.credentials, directives::split(&asked.url).0.into());
    let known = || front.sniffed.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kind) = known().get(&key) {
        return *kind;
    }
    let offset = segment.range.map_or(0, |range| range.offset);
    let len = segment.range.map_or(BEGINNING_BYTES, |range| range.len.min(BEGINNING_BYTES));
    let request = FetchRequest {
        wanted: Wanted::Slice(ByteRange { offset, len }),
        // Cookies that this very playlist has set are among them.
        ..steering::request(front, asked, &segment.url)
    };
    let meter = &front.status.meter;
    let looking = async {
        let mut answer = front.origin.open(&request).await.ok()?;
        let mut beginning = Vec::new();
        // An origin that knows no ranges sends all of it.
        while answer.status.is_success() && (beginning.len() as u64) < len {
            let Ok(Some(bytes)) = answer.chunk().await else { break };
            meter.add(|c| &c.origin_bytes, bytes.len() as u64);
            beginning.extend_from_slice(&bytes);
        }
        Some(beginning)
    };
    let beginning = tokio::time::timeout(PATIENCE, looking).await.ok().flatten();
    let kind = beginning.as_deref().and_then(sniff::kind);
    // An origin that is slow now may not be so the next time; but a player that has to wait with
    // each version of a live playlist falls behind.
    if beginning.is_some() || fetched.target.is_some() {
        known().put(key, kind);
    }
    kind
}
