//! Playlists as they were last fetched, and which of them may be given out again. PURE.
//!
//! Kept apart by credentials. Nobody is given a playlist that ends before one that was given out
//! already. It fetches nothing; `reload` drives it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use lru::LruCache;
use url::Url;

use super::directives::Directives;
use super::freshness::{self, Edge};
use super::proxy::Adopted;
use crate::origin::PlaylistAnswer;
use crate::playlist::{Definitions, NotAPlaylist, Playlist, Segment};

/// Playlists held at the same time.
pub const PLAYLISTS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// Bytes of text in all of them; what was read from it takes up to eight times as much.
pub const BYTES_MAX: usize = 8 << 20;
/// Largest text that is held.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Credentials and URL without directives.
pub type Key = (u64, String);

/// What an origin has answered.
#[derive(Clone)]
pub struct Fetched {
    /// The answer; of a playlist with its text, decompressed, as body.
    pub answer: PlaylistAnswer,
    /// Where it was asked for: on one of several ways, if it is steered.
    pub source: Url,
    /// What it is.
    pub content: Content,
    /// Variables that it can import.
    pub imported: Arc<Definitions>,
    /// How far it reaches, of a media playlist.
    pub edge: Option<Edge>,
    /// Target duration of a playlist that still grows.
    pub target: Option<Duration>,
    /// It leaves out segments that the player is to know.
    pub is_delta: bool,
    /// When it was asked for.
    pub began: Instant,
    /// When it came.
    pub came: Instant,
    /// What the origin may have judged by.
    pub variant: u64,
    /// The session that its cookies have opened.
    pub adopted: Option<Adopted>,
}

/// What an answer is.
#[derive(Clone)]
pub enum Content {
    /// A playlist; what could not be understood can still be played.
    Text(Result<Playlist, NotAPlaylist>),
    /// An error status, a coding nobody knows, audio or video: to be passed on.
    Other,
    /// Called a playlist, but none; why.
    Unusable(String),
}

/// The playlists held.
pub struct Held {
    slots: LruCache<Key, Slot>,
    bytes: usize,
}

struct Slot {
    latest: Arc<Fetched>,
    /// The furthest edge that was given out.
    reached: Option<Edge>,
}

impl Fetched {
    /// How old it is.
    pub fn age(&self, now: Instant) -> Duration {
        freshness::age(&self.answer.headers) + now.saturating_duration_since(self.came)
    }

    /// Whether it may be given to a player of this variant who has not caused it: what sets a
    /// cookie is for one player, an error may be for one, and the origin can say so.
    pub fn is_for(&self, variant: u64) -> bool {
        let headers = &self.answer.headers;
        let is_common = self.answer.status == StatusCode::OK && !freshness::varies(headers);
        !headers.contains_key(http::header::SET_COOKIE) && (is_common || self.variant == variant)
    }

    /// The same, found unchanged by an answer with these headers.
    pub fn renewed(&self, headers: &HeaderMap, began: Instant, came: Instant) -> Self {
        let mut renewed = Self { began, came, adopted: None, ..self.clone() };
        // An age is that of the answer which said so.
        renewed.answer.headers.remove(http::header::AGE);
        for name in headers.keys() {
            renewed.answer.headers.remove(name);
        }
        renewed.answer.headers.extend(headers.iter().map(|(n, v)| (n.clone(), v.clone())));
        renewed
    }

    /// Whether it names the same files at the positions that both list. On another way they may be
    /// in other folders.
    fn continues(&self, other: &Self) -> bool {
        let (Content::Text(Ok(Playlist::Media(ours))), Content::Text(Ok(Playlist::Media(theirs)))) =
            (&self.content, &other.content)
        else {
            return false;
        };
        let is_same_way = self.source == other.source;
        let file = |segment: &Segment| {
            let path = segment.url.path();
            let name = if is_same_way { path } else { path.rsplit('/').next().unwrap_or(path) };
            name.to_owned()
        };
        let agrees = |segment: &Segment| {
            theirs.segment(segment.id).is_none_or(|there| file(there) == file(segment))
        };
        ours.segments.iter().all(agrees)
    }

    /// Whether it cannot be what follows `before`, although it came as an answer: an error page, a
    /// list without segments, or one that was still being written.
    pub fn is_hollow_after(&self, before: &Self) -> bool {
        let is_broken_off =
            || before.answer.body.ends_with(b"\n") && !self.answer.body.ends_with(b"\n");
        match &self.content {
            Content::Unusable(_) | Content::Text(Err(_)) => true,
            Content::Text(Ok(Playlist::Multivariant(list))) => list.playlists().next().is_none(),
            Content::Text(Ok(Playlist::Media(timeline))) if !timeline.is_ended => {
                !self.has_anything() || is_broken_off()
            }
            _ => false,
        }
    }

    /// Whether it lists a segment or a part of one.
    pub fn has_anything(&self) -> bool {
        let Content::Text(Ok(Playlist::Media(timeline))) = &self.content else { return true };
        !timeline.segments.is_empty() || self.edge.is_some_and(|edge| edge.parts > 0)
    }

    fn lifetime(&self) -> Duration {
        freshness::lifetime(&self.answer.headers, self.target)
    }
}

impl Slot {
    /// Whether something that reached further was given out, and what was fetched is no new
    /// beginning: it comes from a server that lags, or was long on its way.
    fn is_ahead_of(&self, fetched: &Fetched) -> bool {
        let (Some(edge), Some(reached)) = (fetched.edge, self.reached) else { return false };
        let is_late = edge < reached && fetched.began < self.latest.began;
        (is_late || edge.lags_behind(reached)) && fetched.continues(&self.latest)
    }
}

impl Default for Held {
    fn default() -> Self {
        Self { slots: LruCache::new(PLAYLISTS_MAX), bytes: 0 }
    }
}

impl Held {
    /// Whether something with that name was a playlist.
    pub fn is_known(&self, key: &Key) -> bool {
        self.slots.contains(key)
    }

    /// What is as good as new for a player.
    pub fn fresh(
        &mut self,
        key: &Key,
        directives: &Directives,
        variant: u64,
        now: Instant,
    ) -> Option<Arc<Fetched>> {
        let Slot { latest, reached } = self.slots.get(key)?;
        // What has ended or has no edge knows no waiting.
        let is_met = match latest.edge.filter(|_| latest.target.is_some()) {
            Some(edge) => Some(edge) >= *reached && directives.are_met_by(edge),
            None => true,
        };
        let is_young = now.saturating_duration_since(latest.began) < latest.lifetime();
        (is_met && is_young && latest.is_for(variant)).then(|| latest.clone())
    }

    /// What was fetched last, whatever its age.
    pub fn latest(&mut self, key: &Key, variant: u64) -> Option<Arc<Fetched>> {
        self.slots.get(key).map(|slot| slot.latest.clone()).filter(|latest| latest.is_for(variant))
    }

    /// A live playlist that may stand in for one which the origin cannot bring now, for up to a
    /// target duration beyond its time.
    pub fn stand_in(&mut self, key: &Key, variant: u64, now: Instant) -> Option<Arc<Fetched>> {
        let Slot { latest, reached } = self.slots.get(key)?;
        let is_furthest = latest.target.is_some() && latest.edge >= *reached;
        (is_furthest && latest.is_for(variant) && is_still_bearable(latest, now))
            .then(|| latest.clone())
    }

    /// What reached further than what was fetched now, and is to be given out instead.
    pub fn instead(&mut self, key: &Key, fetched: &Fetched, now: Instant) -> Option<Arc<Fetched>> {
        let slot = self.slots.get(key).filter(|slot| slot.is_ahead_of(fetched))?;
        let held = &slot.latest;
        let is_theirs = held.is_for(fetched.variant);
        (held.edge > fetched.edge && is_theirs && is_still_bearable(held, now))
            .then(|| held.clone())
    }

    /// Keeps what was fetched, and says what to give out: it, or what reached further already.
    pub fn put(&mut self, key: Key, fetched: Arc<Fetched>, now: Instant) -> Arc<Fetched> {
        let Content::Text(_) = fetched.content else { return fetched };
        if let Some(instead) = self.instead(&key, &fetched, now) {
            return instead;
        }
        let mut reached = fetched.edge;
        if let Some(slot) = self.slots.get_mut(&key) {
            if slot.is_ahead_of(&fetched) {
                reached = slot.reached;
            }
            if fetched.is_delta && reached.is_some() && slot.reached.is_some() {
                slot.reached = reached;
            }
        }
        if !fetched.is_delta && fetched.answer.body.len() <= TEXT_BYTES_MAX {
            self.insert(key, Slot { latest: fetched.clone(), reached });
        }
        fetched
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn insert(&mut self, key: Key, slot: Slot) {
        self.bytes += slot.latest.answer.body.len();
        if let Some((_, old)) = self.slots.push(key, slot) {
            self.bytes -= old.latest.answer.body.len();
        }
        while self.bytes > BYTES_MAX {
            let Some((_, old)) = self.slots.pop_lru() else { return };
            self.bytes -= old.latest.answer.body.len();
        }
    }
}

fn is_still_bearable(held: &Fetched, now: Instant) -> bool {
    let Content::Text(Ok(Playlist::Media(timeline))) = &held.content else { return false };
    let patience = held.lifetime() + timeline.target_duration;
    now.saturating_duration_since(held.began) <= patience
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
