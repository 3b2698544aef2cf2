//! What of a stream is at which URL: its segments, and their parts.
//!
//! Names are used again: packagers write in rings of few files. What the newest playlist says of a
//! URL counts, and a name that it uses twice is nothing we know. Driven by the registry.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use url::Url;

use crate::ids::{ByteRange, PartId, SegmentId};
use crate::playlist::{Extent, Part, Timeline};

/// Segments behind a live playlist's window that are still known by URL, and with their parts.
const BEHIND_WINDOW: u64 = 64;
/// Parts of one stream that are known by URL; beyond it only those of the newest playlist.
const PARTS_KNOWN_MAX: usize = 8192;

/// The URLs of one stream.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By URL without query: the query and what range of it is which segment.
    segments: HashMap<String, Vec<Place>>,
    /// By URL and extent; `None` for what is two parts at once.
    parts: HashMap<(Url, Option<Extent>), Option<PlacedPart>>,
}

#[derive(Clone, Debug)]
struct Place {
    query: Option<String>,
    range: Option<ByteRange>,
    segment: SegmentId,
}

/// The segments in one resource, each with its range of it.
pub type Segments = Vec<(Option<ByteRange>, SegmentId)>;

/// A part, as far as the playlist tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedPart {
    /// Its name in the cache.
    pub id: PartId,
    /// The piece of the resource that it is; `None` for all of it.
    pub extent: Option<Extent>,
    /// How long it plays; 0 when unknown.
    pub duration: Duration,
    /// It is only announced: the origin holds a request for it back.
    pub is_hint: bool,
    /// Announced under a name that was an older part's: an origin that does not hold requests back
    /// may still send that one, so it is not kept.
    pub is_reused: bool,
    /// Target duration of the stream.
    pub target: Duration,
}

impl Places {
    /// A newer version of the playlist was read.
    pub fn learn(&mut self, timeline: &Timeline) {
        let mut fresh = HashMap::<String, Vec<Place>>::new();
        for segment in &timeline.segments {
            let (path, query) = split(&segment.url);
            let place = Place { query, range: segment.range, segment: segment.id };
            fresh.entry(path).or_default().push(place);
        }
        let oldest = timeline.media_sequence.saturating_sub(BEHIND_WINDOW);
        self.segments.retain(|_, places| places.iter().any(|place| place.segment.0 >= oldest));
        self.segments.extend(fresh);
        self.learn_parts(timeline, oldest);
    }

    fn learn_parts(&mut self, timeline: &Timeline, oldest: u64) {
        let mut fresh = HashMap::new();
        for part in &timeline.parts {
            let key = (part.url.clone(), part.extent);
            let placed = self.placed(part, timeline.target_duration, &key);
            let known = fresh.entry(key).or_insert(Some(placed));
            if known.is_some_and(|known: PlacedPart| known.id != placed.id) {
                *known = None;
            }
        }
        self.parts.retain(|_, part| part.is_some_and(|part| part.id.segment.0 >= oldest));
        if self.parts.len() + fresh.len() > PARTS_KNOWN_MAX {
            self.parts.clear();
        }
        self.parts.extend(fresh);
    }

    fn placed(&self, part: &Part, target: Duration, key: &(Url, Option<Extent>)) -> PlacedPart {
        let Part { segment, index, ref url, extent, duration, is_hint, .. } = *part;
        let older = self.parts.get(key).copied().flatten();
        let is_other = |older: PlacedPart| {
            older.is_reused || (older.id.segment, older.id.index) != (segment, index)
        };
        let is_reused = is_hint && older.is_some_and(is_other);
        let mut hasher = DefaultHasher::new();
        (url.authority(), url.path(), extent, is_reused).hash(&mut hasher);
        let id = PartId { segment, index, name: hasher.finish() };
        PlacedPart { id, extent, duration, is_hint, is_reused, target }
    }

    /// The segments that a URL is, each with its range of it, and whether its query is known too.
    pub fn segments(&self, url: &Url) -> Option<(bool, Segments)> {
        let (path, query) = split(url);
        let places = self.segments.get(&path)?;
        let exact: Vec<_> = places.iter().filter(|place| place.query == query).collect();
        let is_exact = !exact.is_empty();
        let chosen = if is_exact { exact } else { places.iter().collect() };
        let found = || chosen.iter().map(|place| (place.range, place.segment)).collect();
        is_unambiguous(&chosen).then(|| (is_exact, found()))
    }

    /// The part that a piece of a resource is. Of a URL the query counts too: it may be all that
    /// tells parts apart.
    pub fn part(&self, url: &Url, asked: Option<Extent>) -> Option<PlacedPart> {
        let mut url = url.clone();
        url.set_fragment(None);
        let mut key = (url, asked);
        let mut find = |extent| {
            key.1 = extent;
            self.parts.get(&key).copied()
        };
        // A part in a file of its own is that part whatever range of it is asked for; one that ends
        // with a file which it begins is all of the file.
        let others = if asked.is_some() { None } else { Some(Extent { offset: 0, len: None }) };
        find(asked).or_else(|| find(others)).flatten()
    }
}

/// A URL without query and fragment, and the query.
pub fn split(url: &Url) -> (String, Option<String>) {
    let mut path = url.clone();
    path.set_query(None);
    path.set_fragment(None);
    (path.to_string(), url.query().map(str::to_owned))
}

/// Whether each range of the URL is one segment.
fn is_unambiguous(places: &[&Place]) -> bool {
    let mut by_range = BTreeMap::new();
    places
        .iter()
        .all(|place| *by_range.entry(place.range).or_insert(place.segment) == place.segment)
}
