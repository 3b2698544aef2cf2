//! The parts of a low-latency playlist: those listed, and the one announced to come.
//!
//! m3u8-rs knows no parts, so they are read from the text itself. Nothing here judges whether a
//! part is worth fetching or remembers an earlier playlist. `timeline` drives it.

use std::collections::VecDeque;
use std::time::Duration;

use url::Url;

use super::lines::{self, Tag};
use super::{Definitions, normalise, parse};
use crate::ids::SegmentId;

/// Parts of one playlist that are known, the newest: five minutes of parts of a third of a second.
/// Older ones still play, asked of the origin by each player.
pub const PARTS_MAX: usize = 1024;

/// Where a part lies in its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes; `None` of an announced part that ends where the resource will end.
    pub len: Option<u64>,
}

/// A part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The segment that it is a part of.
    pub segment: SegmentId,
    /// Its place among the segment's parts.
    pub index: u32,
    /// Absolute, without fragment.
    pub url: Url,
    /// The piece of the resource that it is; `None` for all of it.
    pub extent: Option<Extent>,
    /// How long it plays; 0 when unknown, as of an announced one.
    pub duration: Duration,
    /// Whether it can be played without those before it.
    pub is_independent: bool,
    /// Whether it is only announced (`EXT-X-PRELOAD-HINT`): the origin holds a request for it back
    /// until it is there.
    pub is_hint: bool,
}

/// A part before its URL is made out: of a flood of parts only few get that far.
struct Written<'a> {
    segment: SegmentId,
    index: u32,
    uri: &'a str,
    extent: Option<Extent>,
    tag: Tag<'a>,
    is_hint: bool,
}

/// The parts in the media playlist `text`, whose first URI line is segment `first`. Left out are
/// those whose URI or range makes no sense, and those that the origin says it lacks.
pub(super) fn parts(text: &str, first: u64, base: &Url, definitions: &Definitions) -> Vec<Part> {
    let mut newest = VecDeque::new();
    let mut previous = None;
    let (mut segment, mut index) = (SegmentId(first), 0);
    let mut hint = None;
    for line in lines::lines(text) {
        match line.tag() {
            Some(tag) if tag.name == "EXT-X-PART" => {
                if let Some((uri, extent)) = listed(tag, &mut previous) {
                    if newest.len() >= PARTS_MAX {
                        newest.pop_front();
                    }
                    newest.push_back(Written { segment, index, uri, extent, tag, is_hint: false });
                }
                index = index.saturating_add(1);
            }
            Some(tag) if tag.name == "EXT-X-PRELOAD-HINT" => hint = hinted(tag).or(hint),
            Some(_) => {}
            None if line.is_uri() => {
                segment = SegmentId(segment.0.saturating_add(1));
                index = 0;
            }
            None => {}
        }
    }
    let hint = hint.map(|(uri, extent, tag)| {
        // It comes behind everything that is listed.
        Written { segment, index, uri, extent, tag, is_hint: true }
    });
    newest.into_iter().chain(hint).filter_map(|part| part.resolved(base, definitions)).collect()
}

impl Written<'_> {
    fn resolved(self, base: &Url, definitions: &Definitions) -> Option<Part> {
        let Self { segment, index, uri, extent, tag, is_hint } = self;
        Some(Part {
            segment,
            index,
            url: parse::resolve(base, uri, definitions)?,
            extent,
            duration: tag.attribute("DURATION").map(normalise::duration).unwrap_or_default(),
            is_independent: tag.attribute("INDEPENDENT") == Some("YES"),
            is_hint,
        })
    }
}

/// URI and extent of an `EXT-X-PART`. A range without an offset continues the previous part of the
/// same resource, or begins it; `previous` is that part's URI and end.
fn listed<'a>(
    tag: Tag<'a>,
    previous: &mut Option<(&'a str, u64)>,
) -> Option<(&'a str, Option<Extent>)> {
    let before = previous.take();
    let uri = tag.attribute("URI")?;
    let extent = match tag.attribute("BYTERANGE").map(normalise::byte_range) {
        Some((len, offset)) => {
            let follows =
                || before.filter(|(resource, _)| *resource == uri).map_or(0, |(_, end)| end);
            let offset = offset.unwrap_or_else(follows);
            let end = offset.checked_add(len).filter(|_| len > 0)?;
            *previous = Some((uri, end));
            Some(Extent { offset, len: Some(len) })
        }
        None => None,
    };
    (tag.attribute("GAP") != Some("YES")).then_some((uri, extent))
}

/// URI and extent of an `EXT-X-PRELOAD-HINT` of a part.
fn hinted(tag: Tag<'_>) -> Option<(&str, Option<Extent>, Tag<'_>)> {
    let uri = tag.attribute("URI").filter(|_| tag.attribute("TYPE") == Some("PART"))?;
    let number = |name| tag.attribute(name).map(normalise::leading_number);
    let (start, len) = (number("BYTERANGE-START"), number("BYTERANGE-LENGTH"));
    if start.is_none() && len.is_none() {
        return Some((uri, None, tag));
    }
    let offset = start.unwrap_or(0);
    let is_sane = len != Some(0) && offset.checked_add(len.unwrap_or(1)).is_some();
    is_sane.then_some((uri, Some(Extent { offset, len }), tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{Playlist, Timeline};
    use proptest::prelude::*;

    fn read(text: &str) -> Timeline {
        let base = Url::parse("https://cdn.example.com/live/p.m3u8?t=1").unwrap();
        let Ok(Playlist::Media(timeline)) =
            crate::playlist::read(text, &base, &Definitions::default())
        else {
            panic!("must be a media playlist");
        };
        timeline
    }

    /// Segment, index, name, and extent of a part.
    type Told = (u64, u32, String, Option<(u64, Option<u64>)>);

    fn names(timeline: &Timeline) -> Vec<Told> {
        let of = |part: &Part| {
            let name = part.url.path().rsplit('/').next().unwrap().to_owned();
            let extent = part.extent.map(|extent| (extent.offset, extent.len));
            (part.segment.0, part.index, name, extent)
        };
        timeline.parts.iter().map(of).collect()
    }

    fn named(n: u64, i: u32, name: &str) -> Told {
        (n, i, name.to_owned(), None)
    }

    #[test]
    fn parts_belong_to_the_segment_whose_line_follows() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/playlists/low-latency.m3u8");
        let found = read(&std::fs::read_to_string(path).unwrap());
        let mut inside = named(267, 1, "seg267");
        inside.3 = Some((0, Some(2000)));
        let first = named(267, 0, "filePart267.0.mp4");
        let next = named(268, 0, "filePart268.0.mp4");
        assert_eq!(names(&found), [first, inside, next, named(268, 1, "filePart268.1.mp4")]);
        let hints: Vec<_> = found.parts.iter().map(|part| part.is_hint).collect();
        assert_eq!(hints, [false, false, false, true]);
        let first = &found.parts[0];
        assert!(first.is_independent && !found.parts[1].is_independent);
        assert_eq!(first.duration.as_micros(), 333_340);
    }

    #[test]
    fn what_a_delta_update_skips_counts() {
        let text = "#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n\
            #EXT-X-SKIP:SKIPPED-SEGMENTS=5\ns15\n#EXT-X-PART:URI=\"a\"\n";
        assert_eq!(names(&read(text)), [named(16, 0, "a")]);
    }

    #[test]
    fn ranges_continue_the_part_before_of_the_same_resource() {
        let text = "#EXT-X-PART:URI=\"s\",BYTERANGE=\"5@9\"\n\
            #EXT-X-PART:URI=\"s\",BYTERANGE=\"4\"\n\
            #EXT-X-PART:URI=\"t\",BYTERANGE=\"3\"\n#EXT-X-PART:URI=\"u\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"t\",BYTERANGE-START=3\n";
        let extents: Vec<_> = names(&read(text)).into_iter().map(|part| part.3).collect();
        let some = |offset, len| Some((offset, Some(len)));
        assert_eq!(extents, [some(9, 5), some(14, 4), some(0, 3), None, Some((3, None))]);
    }

    #[test]
    fn parts_that_cannot_be_fetched_are_left_out_but_counted() {
        let text = "#EXT-X-PART:URI=\"a\",GAP=YES\n#EXT-X-PART:DURATION=1\n\
            #EXT-X-PART:URI=\"data:,x\"\n#EXT-X-PART:URI=\"b\",BYTERANGE=\"0@1\"\n\
            #EXT-X-PART:URI=\"b\",BYTERANGE=\"2@18446744073709551615\"\n#EXT-X-PART:URI=\"c\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"m\"\n#EXT-X-PRELOAD-HINT:TYPE=PART\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"d\",BYTERANGE-LENGTH=0\n";
        assert_eq!(names(&read(text)), [named(0, 5, "c")]);
    }

    #[test]
    fn nonsense_for_a_duration_is_cut_to_what_can_be_believed() {
        let text = "#EXT-X-PART:URI=\"a\",DURATION=1e99\n#EXT-X-PART:URI=\"b\",DURATION=-7\n\
            #EXT-X-PART:URI=\"c\",DURATION=nan\n#EXT-X-PART:URI=\"d\",DURATION=99999999999\n";
        let durations: Vec<_> = read(text).parts.iter().map(|p| p.duration.as_secs()).collect();
        assert_eq!(durations, [1, 0, 0, 600]);
    }

    #[test]
    fn of_a_flood_of_parts_the_newest_are_known() {
        let flood: String =
            (0..100_000).map(|n| format!("#EXT-X-PART:DURATION=1,URI=\"{n}\"\n")).collect();
        let found = read(&format!("{flood}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"h\"\n"));
        assert_eq!(found.parts.len(), PARTS_MAX + 1);
        assert_eq!(found.parts[PARTS_MAX - 1].index, 99_999);
        assert_eq!(found.parts[PARTS_MAX].index, 100_000);
    }

    proptest! {
        #[test]
        fn no_text_of_parts_costs_more_than_itself(
            text in "(#EXT-X-(PART|PRELOAD-HINT):(TYPE=PART,)?(URI=\"[a-z]{0,3}\",?)?\
                (BYTERANGE=\"[0-9@]{0,22}\",?)?(BYTERANGE-START=[0-9]{0,22})?\n|[a-z]?\n){0,40}",
        ) {
            let found = read(&format!("#EXT-X-TARGETDURATION:1\n{text}"));
            prop_assert!(found.parts.len() <= text.lines().count());
        }
    }
}
