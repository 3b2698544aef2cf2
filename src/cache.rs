//! Segments and parts of them held in memory: least recently used out first, weighed in bytes.
//!
//! Holds whole, verified segments as shared buffers; what is given out stays valid after eviction.
//! Parts have the same budget, and a place of their own beside their segment.
//! It fetches nothing and knows no swarm: an owner hears through [`Evictions`] what it lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use lru::LruCache;
use tokio::sync::Notify;

use crate::ids::{PartId, SegmentId};
use crate::verify::blocks::List;

/// A stream, as the cache tells owners apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What is held: a segment, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// A whole segment.
    Segment(SegmentId),
    /// A part.
    Part(PartId),
}

impl From<SegmentId> for Piece {
    fn from(id: SegmentId) -> Self {
        Self::Segment(id)
    }
}

impl From<PartId> for Piece {
    fn from(id: PartId) -> Self {
        Self::Part(id)
    }
}

/// A whole segment, or a part.
#[derive(Debug)]
pub struct Segment {
    /// The bytes as the origin has them.
    pub bytes: Bytes,
    /// `Content-Type` for players.
    pub content_type: String,
    /// The origin's header fields, where it was asked.
    pub headers: Arc<HeaderMap>,
    /// Peers brought it before any player asked, and none has had it yet.
    pub is_unseen: AtomicBool,
    /// What its blocks are, once they are hashed.
    pub blocks: OnceLock<Arc<List>>,
}

impl Segment {
    /// A player gets it now. Whether peers had brought it ahead of this first player.
    pub fn hand_out(&self) -> bool {
        self.is_unseen.swap(false, Ordering::Relaxed)
    }
}

/// What a stream lost to eviction since it last looked.
#[derive(Debug, Default)]
pub struct Evictions {
    lost: Mutex<Vec<SegmentId>>,
    /// Woken when something was lost.
    pub changed: Notify,
}

impl Evictions {
    /// Takes the list.
    pub fn take(&self) -> Vec<SegmentId> {
        std::mem::take(&mut *lock(&self.lost))
    }
}

/// The cache; one for the daemon.
pub struct Cache {
    inner: Mutex<Inner>,
    bytes_max: u64,
}

struct Inner {
    order: LruCache<(StreamId, Piece), Arc<Segment>>,
    owners: HashMap<StreamId, Arc<Evictions>>,
    figures: Figures,
}

/// What the cache holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Bytes held.
    pub bytes: u64,
    /// Bytes it may hold.
    pub capacity_bytes: u64,
    /// Segments and parts held.
    pub entries: u64,
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Segments and parts dropped to make room.
    pub evictions: u64,
}

impl Cache {
    /// An empty cache of at most `bytes_max` bytes of segments.
    pub fn new(bytes_max: u64) -> Self {
        let figures = Figures { capacity_bytes: bytes_max, ..Figures::default() };
        let inner = Inner { order: LruCache::unbounded(), owners: HashMap::new(), figures };
        Self { inner: Mutex::new(inner), bytes_max }
    }

    /// Bytes it may hold.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Where `stream` hears of its evictions from now on.
    pub fn evictions(&self, stream: StreamId) -> Arc<Evictions> {
        let evictions = Arc::<Evictions>::default();
        lock(&self.inner).owners.insert(stream, evictions.clone());
        evictions
    }

    /// The segment for a player: counted as hit or miss, and now the most recently used.
    pub fn get(&self, stream: StreamId, piece: impl Into<Piece>) -> Option<Arc<Segment>> {
        let mut inner = lock(&self.inner);
        let found = inner.order.get(&(stream, piece.into())).cloned();
        match found {
            Some(_) => inner.figures.hits += 1,
            None => inner.figures.misses += 1,
        }
        found
    }

    /// The segment for a peer: neither counted nor kept any longer for it.
    pub fn peek(&self, stream: StreamId, piece: impl Into<Piece>) -> Option<Arc<Segment>> {
        lock(&self.inner).order.peek(&(stream, piece.into())).cloned()
    }

    /// Keeps a segment, evicting others for it; `false` when it is larger than the whole cache.
    pub fn insert(&self, stream: StreamId, piece: impl Into<Piece>, segment: Arc<Segment>) -> bool {
        let size = segment.bytes.len() as u64;
        if size > self.bytes_max {
            return false;
        }
        let mut inner = lock(&self.inner);
        if let Some(old) = inner.order.put((stream, piece.into()), segment) {
            inner.figures.bytes -= old.bytes.len() as u64;
            inner.figures.entries -= 1;
        }
        inner.figures.bytes += size;
        inner.figures.entries += 1;
        while inner.figures.bytes > self.bytes_max {
            let Some((key, old)) = inner.order.pop_lru() else { break };
            inner.figures.evictions += 1;
            inner.forget(key, &old);
        }
        true
    }

    /// The segments held of a stream, with sizes.
    pub fn held(&self, stream: StreamId) -> BTreeMap<SegmentId, u64> {
        let inner = lock(&self.inner);
        let own = inner.order.iter().filter(|((s, _), _)| *s == stream);
        let segments = own.filter_map(|((_, piece), segment)| match piece {
            Piece::Segment(id) => Some((*id, segment.bytes.len() as u64)),
            Piece::Part(_) => None,
        });
        segments.collect()
    }

    /// Forgets one segment; its owner hears of it.
    pub fn remove(&self, stream: StreamId, segment: SegmentId) {
        let mut inner = lock(&self.inner);
        let key = (stream, Piece::Segment(segment));
        if let Some(old) = inner.order.pop(&key) {
            inner.forget(key, &old);
        }
    }

    /// Forgets a stream's segments, or with `None` everything.
    pub fn clear(&self, stream: Option<StreamId>) {
        let mut inner = lock(&self.inner);
        let keys: Vec<_> = inner.order.iter().map(|(key, _)| *key).collect();
        for key in keys.into_iter().filter(|(s, _)| stream.is_none_or(|wanted| *s == wanted)) {
            if let Some(old) = inner.order.pop(&key) {
                inner.forget(key, &old);
            }
        }
    }

    /// A stream has ended: nobody listens to `evictions` any more. What it held stays.
    pub fn release(&self, stream: StreamId, evictions: &Arc<Evictions>) {
        let mut inner = lock(&self.inner);
        // A successor of the same name may listen already.
        if inner.owners.get(&stream).is_some_and(|owner| Arc::ptr_eq(owner, evictions)) {
            inner.owners.remove(&stream);
        }
    }

    /// What it holds and did.
    pub fn figures(&self) -> Figures {
        lock(&self.inner).figures
    }
}

impl Inner {
    fn forget(&mut self, (stream, piece): (StreamId, Piece), old: &Segment) {
        self.figures.bytes -= old.bytes.len() as u64;
        self.figures.entries -= 1;
        // Nobody was told of a part, so nobody has to be told that it has gone.
        if let (Piece::Segment(id), Some(owner)) = (piece, self.owners.get(&stream)) {
            lock(&owner.lost).push(id);
            owner.changed.notify_one();
        }
    }
}

/// A panic while holding the lock leaves counters at worst one event behind: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(1);

    fn segment(size: usize) -> Arc<Segment> {
        let bytes = Bytes::from(vec![0; size]);
        Arc::new(Segment {
            bytes,
            content_type: "video/mp2t".to_owned(),
            headers: Arc::default(),
            is_unseen: AtomicBool::new(false),
            blocks: OnceLock::new(),
        })
    }

    #[test]
    fn the_least_recently_used_goes_first_and_its_owner_hears_of_it() {
        let cache = Cache::new(100);
        let evictions = cache.evictions(STREAM);
        assert!(cache.insert(STREAM, SegmentId(1), segment(40)));
        assert!(cache.insert(STREAM, SegmentId(2), segment(40)));
        assert!(cache.get(STREAM, SegmentId(1)).is_some());
        assert!(cache.insert(STREAM, SegmentId(3), segment(60)));
        assert_eq!(evictions.take(), [SegmentId(2)]);
        assert!(cache.get(STREAM, SegmentId(2)).is_none());
        let figures = cache.figures();
        assert_eq!((figures.bytes, figures.entries, figures.evictions), (100, 2, 1));
        assert_eq!((figures.hits, figures.misses), (1, 1));
    }

    #[test]
    fn what_a_reader_has_outlives_its_eviction() {
        let cache = Cache::new(50);
        cache.insert(STREAM, SegmentId(1), segment(50));
        let read = cache.get(STREAM, SegmentId(1)).unwrap();
        cache.insert(STREAM, SegmentId(2), segment(50));
        assert_eq!(read.bytes.len(), 50);
        assert_eq!(cache.held(STREAM), BTreeMap::from([(SegmentId(2), 50)]));
    }

    #[test]
    fn a_segment_larger_than_the_cache_is_refused_and_nothing_is_lost() {
        let cache = Cache::new(50);
        cache.insert(STREAM, SegmentId(1), segment(50));
        assert!(!cache.insert(STREAM, SegmentId(2), segment(51)));
        assert_eq!(cache.figures().bytes, 50);
    }

    #[test]
    fn parts_share_the_budget_but_are_no_segments() {
        let cache = Cache::new(100);
        let evictions = cache.evictions(STREAM);
        let part = |index| PartId { segment: SegmentId(1), index, name: 7 };
        cache.insert(STREAM, SegmentId(1), segment(40));
        cache.insert(STREAM, part(0), segment(30));
        cache.insert(STREAM, part(1), segment(30));
        assert_eq!(cache.held(STREAM), BTreeMap::from([(SegmentId(1), 40)]));
        assert_eq!(cache.figures().bytes, 100);
        assert!(cache.get(STREAM, SegmentId(1)).is_some());
        cache.insert(STREAM, part(2), segment(60));
        assert!(cache.peek(STREAM, part(0)).is_none() && cache.peek(STREAM, part(1)).is_none());
        assert_eq!(evictions.take(), []);
        cache.clear(Some(STREAM));
        assert_eq!((cache.figures().bytes, evictions.take()), (0, vec![SegmentId(1)]));
    }

    #[test]
    fn replacing_a_segment_counts_it_once_and_clearing_spares_other_streams() {
        let cache = Cache::new(1000);
        cache.insert(STREAM, SegmentId(1), segment(50));
        cache.insert(STREAM, SegmentId(1), segment(70));
        cache.insert(StreamId(2), SegmentId(1), segment(5));
        assert_eq!(cache.figures().bytes, 75);
        cache.clear(Some(STREAM));
        assert_eq!((cache.figures().bytes, cache.figures().entries), (5, 1));
        cache.clear(None);
        assert_eq!(cache.figures().bytes, 0);
    }
}
