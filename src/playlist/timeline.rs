//! A media playlist as an ordered list of segments, each with its position and byte range.
//!
//! One playlist, one timeline: nothing here merges reloads, knows the time of day or chooses what
//! to fetch. `mod` builds it, the stream actor reads it.

use std::time::Duration;
use url::Url;

use super::parse::{self, DURATION_MAX, MediaSegment};
use super::parts::{self, Part};
use super::{Definitions, MEDIA_SEQUENCE_MAX, NotAPlaylist};
use crate::ids::{ByteRange, SegmentId};

/// Most segments of one playlist: two days of two-second segments.
pub const SEGMENTS_MAX: usize = 100_000;

/// Most bytes of URLs in one timeline: many short references to one long base multiply.
pub const URL_BYTES_TOTAL_MAX: usize = 64 << 20;

/// Target duration assumed where the playlist states none and has no segments.
const TARGET_DURATION_UNKNOWN: Duration = Duration::from_secs(6);

/// The segments of a media playlist, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Upper bound of segment durations, and the rhythm of a live playlist; never zero.
    pub target_duration: Duration,
    /// Position of the playlist's first segment.
    pub media_sequence: u64,
    /// Whether the playlist will never change (`EXT-X-ENDLIST`).
    pub is_ended: bool,
    /// Segments that can be fetched. One whose URI or range makes no sense is left out, but counts
    /// in the ids of those behind it.
    pub segments: Vec<Segment>,
    /// Parts of its newest segments, of a low-latency playlist; the one announced comes last.
    pub parts: Vec<Part>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its position: media sequence number of the playlist plus index.
    pub id: SegmentId,
    /// Absolute, without fragment.
    pub url: Url,
    /// The part of the resource that it is; `None` for all of it.
    pub range: Option<ByteRange>,
    /// How long it plays; 0 when unknown.
    pub duration: Duration,
    /// Whether a key applies.
    pub is_encrypted: bool,
    /// Whether an init section applies.
    pub has_init: bool,
    /// How many discontinuities lie before it since the stream began.
    pub discontinuity_sequence: u64,
    /// Whether the origin says that it is missing (`EXT-X-GAP`).
    pub is_gap: bool,
}

impl Timeline {
    /// The segment at a position, where the playlist lists it.
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        let index = self.segments.binary_search_by_key(&id, |segment| segment.id).ok()?;
        self.segments.get(index)
    }

    /// What is to be taken off an id to get the one on the wire (generations G1 and G2): a film's
    /// segments are counted from zero there, a live stream's by media sequence number.
    pub fn wire_base(&self) -> u64 {
        if self.is_ended { self.media_sequence } else { 0 }
    }
}

/// Reads the media playlist `text`, which finally came from `base`.
pub(super) fn timeline(
    text: &str,
    base: &Url,
    definitions: &Definitions,
) -> Result<Timeline, NotAPlaylist> {
    let media = parse::media(text)?;
    let first = media.media_sequence.saturating_add(media.skipped);
    if first > MEDIA_SEQUENCE_MAX - SEGMENTS_MAX as u64 {
        return Err(NotAPlaylist::SequenceTooLarge);
    }
    let longest = media.segments.iter().map(|segment| segment.duration).max();
    let stated = Some(media.target_duration).filter(|stated| !stated.is_zero());
    let target = stated.or(longest.filter(|longest| !longest.is_zero()));
    let mut walk = Walk::new(base, definitions, media.discontinuity_sequence);
    let mut segments = Vec::with_capacity(media.segments.len());
    for (id, segment) in (first..).zip(media.segments) {
        segments.extend(walk.step(SegmentId(id), segment));
        if walk.url_bytes > URL_BYTES_TOTAL_MAX {
            return Err(NotAPlaylist::TooManySegments);
        }
    }
    Ok(Timeline {
        target_duration: target.unwrap_or(TARGET_DURATION_UNKNOWN).min(DURATION_MAX),
        media_sequence: media.media_sequence,
        is_ended: media.is_ended,
        segments,
        parts: parts::parts(text, first, base, definitions),
    })
}

/// What carries over from one segment to the next.
struct Walk<'a> {
    base: &'a Url,
    definitions: &'a Definitions,
    is_encrypted: bool,
    has_init: bool,
    discontinuity_sequence: u64,
    /// Where the previous range ended, and in which resource.
    previous: Option<(Url, u64)>,
    url_bytes: usize,
}

impl<'a> Walk<'a> {
    fn new(base: &'a Url, definitions: &'a Definitions, discontinuity_sequence: u64) -> Self {
        Self {
            base,
            definitions,
            is_encrypted: false,
            has_init: false,
            discontinuity_sequence,
            previous: None,
            url_bytes: 0,
        }
    }

    fn step(&mut self, id: SegmentId, segment: MediaSegment) -> Option<Segment> {
        self.is_encrypted = segment.encryption.unwrap_or(self.is_encrypted);
        self.has_init |= segment.has_map;
        let by = u64::from(segment.is_discontinuity);
        self.discontinuity_sequence = self.discontinuity_sequence.saturating_add(by);
        let previous = self.previous.take();
        let url = parse::resolve(self.base, &segment.uri, self.definitions)?;
        self.url_bytes += url.as_str().len();
        let range = match segment.range {
            Some((len, offset)) => Some(range(&url, len, offset, previous)?),
            None => None,
        };
        self.previous = range.map(|range| (url.clone(), range.end()));
        Some(Segment {
            id,
            url,
            range,
            duration: segment.duration,
            is_encrypted: self.is_encrypted,
            has_init: self.has_init,
            discontinuity_sequence: self.discontinuity_sequence,
            is_gap: segment.is_gap,
        })
    }
}

/// A range without an offset continues the previous one of the same resource, or begins it.
fn range(
    url: &Url,
    len: u64,
    offset: Option<u64>,
    previous: Option<(Url, u64)>,
) -> Option<ByteRange> {
    let follows = || previous.filter(|(resource, _)| resource == url).map_or(0, |(_, end)| end);
    let offset = offset.unwrap_or_else(follows);
    let is_sane = len > 0 && offset.checked_add(len).is_some();
    is_sane.then_some(ByteRange { offset, len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Url {
        Url::parse("https://cdn.example.com/live/p.m3u8?t=1").unwrap()
    }

    fn read(text: &str, base: &Url) -> Result<Timeline, NotAPlaylist> {
        let definitions = crate::playlist::definitions(text, base, &Definitions::default());
        timeline(text, base, &definitions)
    }

    fn golden(name: &str) -> Timeline {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/playlists/");
        let bytes = std::fs::read(format!("{dir}{name}")).unwrap();
        read(&crate::playlist::check(&bytes).unwrap(), &base()).unwrap()
    }

    fn ids(timeline: &Timeline) -> Vec<u64> {
        timeline.segments.iter().map(|segment| segment.id.0).collect()
    }

    #[test]
    fn live_ids_are_media_sequence_numbers_on_the_wire_too() {
        let live = golden("ffmpeg-live-aes-crlf-bom.m3u8");
        assert_eq!((ids(&live), live.wire_base()), (vec![41, 42, 43], 0));
        assert_eq!(live.target_duration, Duration::from_secs(2));
        let encrypted: Vec<_> = live.segments.iter().map(|s| s.is_encrypted).collect();
        assert_eq!(encrypted, [true, true, false]);
        assert_eq!(live.segments[0].url.as_str(), "https://cdn.example.com/live/live41.ts");
    }

    #[test]
    fn ended_playlists_count_from_zero_on_the_wire() {
        let vod = golden("apple-byterange-fmp4.m3u8");
        assert!(vod.is_ended);
        assert_eq!((ids(&vod), vod.wire_base()), (vec![1, 2, 3], 1));
        assert!(vod.segments.iter().all(|s| s.has_init && !s.is_encrypted));
    }

    #[test]
    fn a_range_without_offset_continues_the_one_before() {
        let ranges: Vec<_> =
            golden("apple-byterange-fmp4.m3u8").segments.iter().map(|s| s.range.unwrap()).collect();
        let wanted = [(719, 1_508_000), (1_508_719, 1_510_244), (9_000_000, 92_000)];
        assert_eq!(ranges, wanted.map(|(offset, len)| ByteRange { offset, len }));
    }

    #[test]
    fn a_range_of_another_resource_begins_anew() {
        let text = "#EXT-X-BYTERANGE:5@9\na\n#EXT-X-BYTERANGE:4\nb\n#EXT-X-BYTERANGE:3\nb\nc\n";
        let found = read(text, &base()).unwrap();
        let ranges: Vec<_> =
            found.segments.iter().map(|s| s.range.map(|r| (r.offset, r.len))).collect();
        assert_eq!(ranges, [Some((9, 5)), Some((0, 4)), Some((4, 3)), None]);
    }

    #[test]
    fn odd_but_common_tags_cost_nothing() {
        let wowza = golden("wowza-chunklist.m3u8");
        assert_eq!(wowza.target_duration, Duration::from_secs(10));
        assert_eq!(ids(&wowza), [1207, 1208]);
        let sequences: Vec<_> = wowza.segments.iter().map(|s| s.discontinuity_sequence).collect();
        assert_eq!(sequences, [2, 3]);
        let titled = golden("unified-query-tokens.m3u8");
        assert_eq!(ids(&titled), [881_402_113, 881_402_114]);
        assert_eq!(titled.segments[1].duration, Duration::from_millis(2400));
        let drm = golden("elemental-multi-drm-scte.m3u8");
        assert!(drm.segments.iter().all(|s| s.is_encrypted && s.has_init));
        assert_eq!(drm.segments.iter().map(|s| s.is_gap).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(ids(&golden("low-latency.m3u8")), [266, 267]);
        assert_eq!(golden("lone-cr.m3u8").segments.len(), 2);
    }

    #[test]
    fn a_delta_update_counts_what_it_skips() {
        assert_eq!(ids(&golden("low-latency-delta.m3u8")), [269, 270]);
    }

    #[test]
    fn what_cannot_be_fetched_is_left_out_but_counted() {
        assert_eq!(ids(&golden("define-variables.m3u8")), [1]);
        let text = "#EXT-X-MEDIA-SEQUENCE:7\ndata:,x\na\n#EXT-X-BYTERANGE:0@1\nb\n\
            #EXT-X-BYTERANGE:2@18446744073709551615\nc\nd\n";
        assert_eq!(ids(&read(text, &base()).unwrap()), [8, 11]);
    }

    #[test]
    fn hostile_numbers_are_clamped_or_refused() {
        let text = "#EXT-X-TARGETDURATION:1e9\n#EXTINF:99999999999,\na\n#EXTINF:-7,\nb\n\
            #EXTINF:nan,\nc\n#EXTINF:,\nd\n#EXTINF:--.,\ne\n";
        let found = read(text, &base()).unwrap();
        let durations: Vec<_> = found.segments.iter().map(|s| s.duration.as_secs()).collect();
        assert_eq!(durations, [600, 0, 0, 0, 0]);
        for number in ["9007199254740991", "99999999999999999999999"] {
            let text = format!("#EXT-X-MEDIA-SEQUENCE:{number}\na\n");
            assert_eq!(read(&text, &base()), Err(NotAPlaylist::SequenceTooLarge));
        }
        assert_eq!(golden("low-latency.m3u8").segments[0].duration.as_micros(), 4_000_080);
    }

    #[test]
    fn too_many_segments_are_refused() {
        let text = "a\n".repeat(SEGMENTS_MAX + 1);
        assert_eq!(read(&text, &base()), Err(NotAPlaylist::TooManySegments));
        let long = Url::parse(&format!("https://h/{}", "x".repeat(16_000))).unwrap();
        let text = "?\n".repeat(10_000);
        assert_eq!(read(&text, &long), Err(NotAPlaylist::TooManySegments));
    }

    proptest! {
        #[test]
        fn every_uri_line_is_counted_once(
            text in "(#EXTINF:[0-9.,=\"]{0,6}\n|#EXT-X-(KEY|MAP|BYTERANGE):[A-Z0-9=@,\"]{0,9}\n|\
                [,a-z.\" ]{0,4}\n){0,40}",
        ) {
            let media = parse::media(&text).unwrap();
            let lines = super::super::lines::lines(&text).filter(|line| line.is_uri());
            let wanted: Vec<_> = lines.map(|line| line.text.to_owned()).collect();
            let found: Vec<_> = media.segments.into_iter().map(|segment| segment.uri).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
