//! A live playlist without its newest segments.
//!
//! Players sit at the live edge, where no peer can have a segment yet. Shown an older edge, they
//! ask for what peers have had the time to get. Whole segments are left out at the end, with the
//! tags that apply to them; every other byte stays, so that the playlist is one that the origin
//! served a moment ago. How much to hold back is the caller's choice: `http/delay` makes it.

use std::time::Duration;

use super::lines::{self, Line};
use super::parse::DURATION_MAX;

/// Target durations of media that a live playlist keeps whatever is held back (RFC 8216bis 6.2.2).
const TARGETS_KEPT_MIN: u32 = 3;
/// Segments that it keeps.
const SEGMENTS_KEPT_MIN: usize = 3;

/// Tags that speak of the whole playlist, wherever they stand (RFC 8216bis 4.4.2 and 4.4.3), and
/// date ranges, which have a time of their own: they stay.
const OF_THE_PLAYLIST: [&str; 10] = [
    "EXT-X-VERSION",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-START",
    "EXT-X-DEFINE",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-DATERANGE",
];
/// Tags of playlists that have no older edge to show: they have ended, or are for players that
/// want to be as near to the edge as can be (RFC 8216bis 4.4.3.7, 4.4.5.2).
const RULE_OUT: [&str; 5] =
    ["EXT-X-ENDLIST", "EXT-X-PART-INF", "EXT-X-PART", "EXT-X-SKIP", "EXT-X-I-FRAMES-ONLY"];

/// A playlist to be given out with its newest segments held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The text.
    pub text: String,
    /// How many segments are missing at its end.
    pub segments: usize,
    /// How long they play.
    pub media: Duration,
}

/// Media sequence number of a playlist's last segment; `None` where it has none.
pub fn last_sequence(text: &str) -> Option<u64> {
    let count = lines::lines(text).filter(|line| line.is_uri()).count() as u64;
    first_sequence(text).checked_add(count.checked_sub(1)?)
}

/// The checked media playlist `text` without the newest segments that together play for at most
/// `delay`; what was `shown` before, up to that media sequence number, stays. `None` where nothing
/// can be held back: the playlist has ended or is of low latency, it would become too short to
/// play, or its last segment alone plays longer.
pub fn hold_back(text: &str, delay: Duration, shown: Option<u64>) -> Option<HeldBack> {
    let segments = live_segments(text)?;
    let target = target(text)?;
    let first = first_sequence(text);
    let shown = shown.map_or(0, |last| last.saturating_add(1).saturating_sub(first));
    let kept_min = SEGMENTS_KEPT_MIN.max(usize::try_from(shown).unwrap_or(usize::MAX));
    let (mut kept, mut media) = (segments.len(), Duration::ZERO);
    let mut rest: Duration = segments.iter().map(|segment| segment.duration).sum();
    while let Some(last) = kept.checked_sub(1).and_then(|index| segments.get(index)) {
        rest = rest.saturating_sub(last.duration);
        let is_too_short = kept <= kept_min || rest < target * TARGETS_KEPT_MIN;
        if media + last.duration > delay || is_too_short {
            break;
        }
        media += last.duration;
        kept -= 1;
    }
    let end = segments.get(kept.checked_sub(1)?)?.end;
    let segments = segments.len() - kept;
    (segments > 0).then(|| HeldBack { text: cut(text, end), segments, media })
}

/// A segment's URI line.
struct Entry {
    duration: Duration,
    /// Where the line after it begins, in bytes.
    end: usize,
}

fn live_segments(text: &str) -> Option<Vec<Entry>> {
    let mut segments = Vec::new();
    let mut duration = Duration::ZERO;
    for line in lines::lines(text) {
        match line.tag() {
            Some(tag) if RULE_OUT.contains(&tag.name) => return None,
            // Who asks for the next segment by number would get the answer at once, over and over.
            Some(tag) if tag.attribute("CAN-BLOCK-RELOAD") == Some("YES") => return None,
            // Delta updates show the edge as it is; a whole playlist after one must not go back.
            Some(tag) if tag.attribute("CAN-SKIP-UNTIL").is_some() => return None,
            Some(tag) if tag.name == "EXTINF" => duration = seconds(tag.value)?,
            None if line.is_uri() => {
                let end = line_end(text, line);
                segments.push(Entry { duration: std::mem::take(&mut duration), end });
            }
            _ => {}
        }
    }
    Some(segments)
}

/// Where the line after a line begins.
fn line_end(text: &str, line: Line<'_>) -> usize {
    let behind = text[line.start + line.text.len()..].trim_start_matches([' ', '\t']);
    let ending = if behind.starts_with("\r\n") { 2 } else { behind.len().min(1) };
    text.len() - behind.len() + ending
}

fn target(text: &str) -> Option<Duration> {
    seconds(value(text, "EXT-X-TARGETDURATION")?)
}

fn first_sequence(text: &str) -> u64 {
    value(text, "EXT-X-MEDIA-SEQUENCE").and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// What stands behind a tag, the last of that name.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let tags = lines::lines(text).filter_map(Line::tag);
    tags.filter(|tag| tag.name == name).last().map(|tag| tag.value)
}

fn seconds(value: &str) -> Option<Duration> {
    let number = value.split(',').next()?.trim();
    Duration::try_from_secs_f64(number.parse().ok()?).ok().filter(|d| *d <= DURATION_MAX)
}

/// The text up to `end`, and what behind it speaks of the whole playlist.
fn cut(text: &str, end: usize) -> String {
    let (kept, behind) = text.split_at(end);
    let mut out = String::with_capacity(text.len());
    out.push_str(kept);
    for line in behind.split_inclusive('\n') {
        let tag = lines::lines(line).next().and_then(Line::tag);
        if tag.is_some_and(|tag| OF_THE_PLAYLIST.contains(&tag.name)) {
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::playlist::{self, Definitions, Playlist, Timeline};

    fn live(first: u64, durations: &[u32]) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-CUSTOM:a\n"
        );
        for (id, ms) in (first..).zip(durations) {
            if id % 5 == 0 {
                text += "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n";
            }
            let seconds = f64::from(*ms) / 1000.0;
            text += &format!("#EXTINF:{seconds:.3},\nseg{id}.ts\n");
        }
        text
    }

    fn read(text: &str) -> Timeline {
        let base = "http://origin.test/live.m3u8".parse().unwrap();
        match playlist::read(text, &base, &Definitions::default()) {
            Ok(Playlist::Media(timeline)) => timeline,
            other => panic!("not a media playlist: {other:?}"),
        }
    }

    #[test]
    fn the_newest_segments_go_with_the_tags_that_are_theirs() {
        let text = live(21, &[4000; 8]) + "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01\"\n";
        let held = hold_back(&text, Duration::from_secs(16), None).unwrap();
        assert_eq!((held.segments, held.media), (4, Duration::from_secs(16)));
        let expected =
            live(21, &[4000; 4]) + "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01\"\n";
        assert_eq!(held.text, expected);
    }

    #[test]
    fn a_discontinuity_stays_with_the_segment_behind_it() {
        let held = hold_back(&live(20, &[4000; 7]), Duration::from_secs(8), None).unwrap();
        assert!(held.text.ends_with("seg24.ts\n"), "{}", held.text);
        assert_eq!(held.text.matches("DISCONTINUITY").count(), 1);
    }

    #[test]
    fn enough_is_left_to_play() {
        assert_eq!(hold_back(&live(1, &[4000; 3]), Duration::from_secs(8), None), None);
        let held = hold_back(&live(1, &[4000; 4]), Duration::from_secs(8), None).unwrap();
        assert_eq!(held.segments, 1);
        assert_eq!(hold_back(&live(1, &[2000; 6]), Duration::from_secs(8), None), None);
    }

    #[test]
    fn numbers_that_stand_at_the_end_stay() {
        let text = live(0, &[4000; 8]).replace("#EXT-X-MEDIA-SEQUENCE:0\n", "")
            + "#EXT-X-MEDIA-SEQUENCE:40\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n";
        let held = hold_back(&text, Duration::from_secs(8), None).unwrap();
        assert_eq!(last_sequence(&held.text), Some(45), "{}", held.text);
        assert!(held.text.ends_with("#EXT-X-DISCONTINUITY-SEQUENCE:3\n"));
    }

    #[test]
    fn a_segment_longer_than_the_delay_is_not_held_back() {
        assert_eq!(hold_back(&live(1, &[4000; 8]), Duration::from_secs(3), None), None);
    }

    #[test]
    fn what_has_ended_or_is_of_low_latency_stays_as_it_is() {
        for tag in [
            "EXT-X-ENDLIST",
            "EXT-X-PART-INF:PART-TARGET=1",
            "EXT-X-SKIP:SKIPPED-SEGMENTS=2",
            "EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=24",
        ] {
            let text = live(1, &[4000; 9]) + "#" + tag + "\n";
            assert_eq!(hold_back(&text, Duration::from_secs(8), None), None, "{tag}");
        }
    }

    #[test]
    fn what_was_shown_before_stays() {
        let text = live(21, &[4000; 8]);
        assert_eq!(last_sequence(&text), Some(28));
        let held = hold_back(&text, Duration::from_secs(16), Some(26)).unwrap();
        assert_eq!((held.segments, last_sequence(&held.text)), (2, Some(26)));
        assert_eq!(hold_back(&text, Duration::from_secs(16), Some(28)), None);
        let began_anew = hold_back(&text, Duration::from_secs(16), Some(7)).unwrap();
        assert_eq!(began_anew.segments, 4);
    }

    #[test]
    fn carriage_returns_stay() {
        let text = live(1, &[4000; 6]).replace('\n', "\r\n");
        let held = hold_back(&text, Duration::from_secs(8), None).unwrap();
        assert_eq!(held.text, live(1, &[4000; 4]).replace('\n', "\r\n"));
    }

    #[test]
    fn nonsense_is_left_alone() {
        for text in [
            "#EXTM3U\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:-4\n#EXTINF:4,\na\n#EXTINF:4,\nb\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:1e300,\na\n#EXTINF:nan,\nb\n",
        ] {
            assert_eq!(hold_back(text, Duration::from_secs(60), None), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_a_beginning_of_what_there_is(
            durations in prop::collection::vec(1_u32..4_500, 0..20),
            first in 0_u64..1000,
            delay_ms in 0_u64..30_000,
        ) {
            let text = live(first, &durations);
            if let Some(held) = hold_back(&text, Duration::from_millis(delay_ms), None) {
                prop_assert!(text.starts_with(&held.text));
                prop_assert!(held.media <= Duration::from_millis(delay_ms));
                let (shown, all) = (read(&held.text), read(&text));
                prop_assert_eq!(shown.media_sequence, all.media_sequence);
                prop_assert_eq!(shown.segments.len() + held.segments, all.segments.len());
                prop_assert!(all.segments.starts_with(&shown.segments));
                let left: Duration = shown.segments.iter().map(|s| s.duration).sum();
                prop_assert!(left >= Duration::from_secs(12));
            }
        }

        /// The edge that is shown never goes back, however the window slides and grows.
        #[test]
        fn the_edge_that_is_shown_never_goes_back(
            durations in prop::collection::vec(1_u32..4_500, 30),
            steps in prop::collection::vec((0_usize..3, 0_usize..3), 1..8),
            delay_ms in 0_u64..30_000,
        ) {
            let delay = Duration::from_millis(delay_ms);
            let (mut begin, mut end, mut reached) = (0, 6, 0);
            for (dropped, added) in steps {
                end = (end + added).min(durations.len());
                begin = (begin + dropped).min(end);
                let text = live(begin as u64, &durations[begin..end]);
                let hidden = hold_back(&text, delay, None).map_or(0, |held| held.segments);
                prop_assert!(end - hidden >= reached);
                reached = end - hidden;
            }
        }

        #[test]
        fn no_text_upsets_it(text in "\\PC*", delay_ms in 0_u64..100_000) {
            let _ = hold_back(&text, Duration::from_millis(delay_ms), None);
        }
    }
}
