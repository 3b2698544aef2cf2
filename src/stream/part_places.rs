//! Which URLs and ranges of a stream are parts of its segments.
//!
//! Names are used again: packagers write in rings of few files. What the newest playlist says of a
//! URL counts, and a name that it uses twice is nothing we know. Driven by the registry.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use url::Url;

use crate::ids::PartId;
use crate::playlist::{Extent, Part, Timeline};

/// Segments behind a playlist's window whose parts are still known.
const BEHIND_WINDOW: u64 = 64;
/// Parts of one stream that are known; beyond it only those of the newest playlist.
const PARTS_KNOWN_MAX: usize = 8192;

/// URL, and the piece of it.
type Key = (Url, Option<Extent>);

/// The parts of a stream; `None` for what is two parts at once.
#[derive(Clone, Debug, Default)]
pub struct PartPlaces(HashMap<Key, Option<PlacedPart>>);

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

impl PartPlaces {
    /// A version of the playlist was read.
    pub fn learn(&mut self, timeline: &Timeline) {
        let mut fresh = HashMap::new();
        for part in &timeline.parts {
            let key = (part.url.clone(), part.extent);
            let placed = self.placed(part, timeline.target_duration, &key);
            let known = fresh.entry(key).or_insert(Some(placed));
            if known.is_some_and(|known: PlacedPart| known.id != placed.id) {
                *known = None;
            }
        }
        let oldest = timeline.media_sequence.saturating_sub(BEHIND_WINDOW);
        self.0.retain(|_, part| part.is_some_and(|part| part.id.segment.0 >= oldest));
        if self.0.len() + fresh.len() > PARTS_KNOWN_MAX {
            self.0.clear();
        }
        self.0.extend(fresh);
    }

    fn placed(&self, part: &Part, target: Duration, key: &Key) -> PlacedPart {
        let Part { segment, index, ref url, extent, duration, is_hint, .. } = *part;
        let older = self.0.get(key).copied().flatten();
        let is_other = |older: PlacedPart| {
            older.is_reused || (older.id.segment, older.id.index) != (segment, index)
        };
        let is_reused = is_hint && older.is_some_and(is_other);
        let mut hasher = DefaultHasher::new();
        (url.authority(), url.path(), extent, is_reused).hash(&mut hasher);
        let id = PartId { segment, index, name: hasher.finish() };
        PlacedPart { id, extent, duration, is_hint, is_reused, target }
    }

    /// The part that a piece of a resource is; without `asked`, all of the resource. Of a URL the
    /// query counts too: it may be all that tells parts apart.
    pub fn find(&self, url: &Url, asked: Option<Extent>) -> Option<PlacedPart> {
        let mut key = (url.clone(), asked);
        key.0.set_fragment(None);
        let mut find = |extent| {
            key.1 = extent;
            self.0.get(&key).copied()
        };
        // A part in a file of its own is that part whatever range of it is asked for; one that ends
        // with a file which it begins is all of the file.
        let others = if asked.is_some() { None } else { Some(Extent { offset: 0, len: None }) };
        find(asked).or_else(|| find(others)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{self, Definitions, Playlist};

    fn timeline(first: u64, tags: &str) -> Timeline {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\ns{first}.mp4\n{tags}"
        );
        let base = "http://a.test/".parse().unwrap();
        match playlist::read(&text, &base, &Definitions::default()) {
            Ok(Playlist::Media(read)) => read,
            other => panic!("{other:?}"),
        }
    }

    fn find(
        places: &PartPlaces,
        name: &str,
        asked: Option<(u64, Option<u64>)>,
    ) -> Option<PlacedPart> {
        let url = format!("http://a.test/{name}").parse().unwrap();
        places.find(&url, asked.map(|(offset, len)| Extent { offset, len }))
    }

    #[test]
    fn tokens_are_part_of_a_url_but_not_of_what_it_is() {
        let mut places = PartPlaces::default();
        places.learn(&timeline(7, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p?t=1\"\n"));
        let hinted = find(&places, "p?t=1", None).unwrap();
        places.learn(&timeline(7, "#EXT-X-PART:URI=\"p?t=2\",DURATION=1\n"));
        let listed = find(&places, "p?t=2", None).unwrap();
        assert!(hinted.is_hint && !listed.is_hint);
        assert_eq!(hinted.id, listed.id);
        assert_eq!(find(&places, "p?t=1", None), Some(hinted), "a player may have the older list");
        assert_eq!(find(&places, "p?t=3", None), None);
        places.learn(&timeline(7, "#EXT-X-PART:URI=\"q\",DURATION=1\n"));
        assert_ne!(
            find(&places, "q", None).unwrap().id,
            listed.id,
            "what came is not what was said"
        );
    }

    #[test]
    fn ranges_are_parts_only_as_they_are_written() {
        let mut places = PartPlaces::default();
        places.learn(&timeline(
            7,
            "#EXT-X-PART:URI=\"s\",BYTERANGE=\"5@0\"\n#EXT-X-PART:URI=\"p\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s\",BYTERANGE-START=5\n",
        ));
        let index = |name, asked| find(&places, name, asked).map(|part| part.id.index);
        assert_eq!(index("s", Some((0, Some(5)))), Some(0));
        assert_eq!(index("s", Some((5, None))), Some(2));
        assert_eq!(index("s", Some((0, Some(4)))), None);
        assert_eq!(index("s", None), None);
        assert_eq!(index("p", Some((3, Some(4)))), Some(1));
        let mut places = PartPlaces::default();
        places.learn(&timeline(7, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s\",BYTERANGE-START=0\n"));
        assert!(find(&places, "s", None).is_some());
    }

    #[test]
    fn a_name_used_again_is_the_newest_part() {
        let mut places = PartPlaces::default();
        let part = "#EXT-X-PART:URI=\"p\"\n";
        let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p\"\n";
        places.learn(&timeline(7, part));
        let old = find(&places, "p", None).unwrap();
        let mut hinted = Vec::new();
        for _ in 0..2 {
            places.learn(&timeline(9, hint));
            hinted.push(find(&places, "p", None).unwrap());
        }
        places.learn(&timeline(9, part));
        let new = find(&places, "p", None).unwrap();
        assert!(hinted.iter().all(|hint| hint.is_reused && *hint == hinted[0]) && !new.is_reused);
        assert!(old.id != hinted[0].id && hinted[0].id != new.id && new.id != old.id);
        places.learn(&timeline(9, &format!("{part}{hint}")));
        assert_eq!(find(&places, "p", None), None, "one name, two parts");
    }

    #[test]
    fn parts_without_number_are_forgotten_in_time() {
        let mut places = PartPlaces::default();
        for round in 0..20 {
            let of = |n| format!("#EXT-X-PART:URI=\"{round}-{n}\"\n");
            let tags: String = (0..playlist::parts::PARTS_MAX).map(of).collect();
            places.learn(&timeline(7, &tags));
            assert!(places.0.len() <= PARTS_KNOWN_MAX);
            assert!(find(&places, &format!("{round}-0"), None).is_some());
        }
        places.learn(&timeline(100, ""));
        assert!(places.0.is_empty());
    }
}
