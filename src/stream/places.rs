//! What the URLs of one stream are: each names a segment, or several that are parts of it.
//!
//! Tokens come and go, in queries and in paths, so a URL stays known for a while after the playlist
//! names another. Which stream a URL belongs to is the registry's to say.

use std::collections::{BTreeMap, HashMap};

use url::Url;

use crate::ids::{ByteRange, SegmentId};
use crate::playlist::Timeline;

/// Segments behind a live playlist's window that are still known by URL.
const BEHIND_WINDOW: u64 = 64;
/// Paths that are known, for each segment of the playlist: with tokens in them all are new each
/// time.
const PATHS_PER_SEGMENT_MAX: usize = 4;
/// Versions of the playlist whose paths stay known when there are too many.
const VERSIONS_KEPT: u64 = 2;

/// A part of the resource, or all of it, and the segment that it is.
pub type Part = (Option<ByteRange>, SegmentId);

/// The URLs of a stream.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By URL without query.
    paths: HashMap<String, Path>,
    /// Counts the versions of the playlist.
    version: u64,
}

#[derive(Clone, Debug, Default)]
struct Path {
    /// The version that named it last.
    version: u64,
    places: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    query: Option<String>,
    range: Option<ByteRange>,
    segment: SegmentId,
}

impl Places {
    /// A version of the playlist was read.
    pub fn learn(&mut self, timeline: &Timeline) {
        self.version += 1;
        let version = self.version;
        let mut fresh = HashMap::<String, Path>::new();
        for segment in &timeline.segments {
            let (path, query) = split(&segment.url);
            let place = Place { query, range: segment.range, segment: segment.id };
            let path = fresh.entry(path).or_default();
            path.version = version;
            path.places.push(place);
        }
        let oldest = timeline.media_sequence.saturating_sub(BEHIND_WINDOW);
        self.paths.retain(|_, path| path.places.iter().any(|place| place.segment.0 >= oldest));
        self.paths.extend(fresh);
        let segments = timeline.segments.len() + BEHIND_WINDOW as usize;
        if self.paths.len() > segments * PATHS_PER_SEGMENT_MAX {
            self.paths.retain(|_, path| path.version + VERSIONS_KEPT > version);
        }
    }

    /// The segments at a URL, given in two as by [`split`], and whether its query is theirs too.
    /// Nothing where it is not clear which segment it is.
    pub fn find(&self, path: &str, query: Option<&str>) -> Option<(bool, Vec<Part>)> {
        let places = &self.paths.get(path)?.places;
        let is_same = |place: &&Place| place.query.as_deref() == query;
        let mut found: Vec<_> = places.iter().filter(is_same).collect();
        let is_exact = !found.is_empty();
        if !is_exact {
            found = places.iter().collect();
        }
        is_unambiguous(&found)
            .then(|| (is_exact, found.into_iter().map(|p| (p.range, p.segment)).collect()))
    }
}

/// A URL without query and fragment, and the query.
pub fn split(url: &Url) -> (String, Option<String>) {
    let mut path = url.clone();
    path.set_query(None);
    path.set_fragment(None);
    (path.to_string(), url.query().map(str::to_owned))
}

/// Whether each part of the URL is one segment.
fn is_unambiguous(places: &[&Place]) -> bool {
    let mut by_range = BTreeMap::new();
    places
        .iter()
        .all(|place| *by_range.entry(place.range).or_insert(place.segment) == place.segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{self, Definitions, Playlist};

    const SEGMENTS: usize = 1_000;

    fn timeline(first: usize, uri: impl Fn(usize) -> String) -> Timeline {
        let mut text = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        (first..first + SEGMENTS).for_each(|n| text += &format!("#EXTINF:4,\n{}\n", uri(n)));
        let base = "http://a.test/".parse().unwrap();
        let Ok(Playlist::Media(read)) = playlist::read(&text, &base, &Definitions::default())
        else {
            panic!("not media")
        };
        read
    }

    fn segment(places: &Places, path: &str) -> Option<u64> {
        let (_, parts) = places.find(&format!("http://a.test{path}"), None)?;
        Some(parts[0].1.0)
    }

    #[test]
    fn paths_that_are_new_each_time_are_known_for_a_while_and_not_for_ever() {
        let mut places = Places::default();
        for version in 0..100 {
            places.learn(&timeline(0, |n| format!("/token-{version}/{n}.ts")));
            assert!(places.paths.len() <= PATHS_PER_SEGMENT_MAX * (SEGMENTS + 64));
            for known in version.max(1) - 1..=version {
                assert_eq!(segment(&places, &format!("/token-{known}/7.ts")), Some(7));
            }
        }
    }

    #[test]
    fn a_segment_behind_the_window_is_known_until_it_is_far_behind() {
        let mut places = Places::default();
        for first in 0..200 {
            places.learn(&timeline(first, |n| format!("/{n}.ts")));
        }
        assert_eq!(segment(&places, "/135.ts"), Some(135));
        assert_eq!(segment(&places, "/134.ts"), None);
    }

    #[test]
    fn a_query_that_several_segments_share_says_nothing_unless_it_is_exact() {
        let mut places = Places::default();
        places.learn(&timeline(0, |n| format!("/get?n={n}")));
        let path = "http://a.test/get";
        assert_eq!(places.find(path, Some("n=7")), Some((true, vec![(None, SegmentId(7))])));
        assert_eq!(places.find(path, Some("n=7000")), None);
        assert_eq!(places.find(path, None), None);
    }
}
