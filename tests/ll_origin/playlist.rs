//! The playlists of a low-latency origin, and what their directives demand of it.

use std::fmt::Write as _;

use super::media::Media;
use super::{Addressing, Plan};

/// Segments in a playlist.
const WINDOW: usize = 12;
/// Target durations behind the edge for which parts are listed.
const PART_TARGETS: usize = 3;
/// Target durations behind the edge that a delta update never leaves out.
const SKIP_TARGETS: usize = 6;

/// How far a rendition has come: whole segments, and parts of the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub msn: usize,
    pub parts: usize,
}

/// What a request for a playlist asks to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Now,
    /// Until there is that much.
    Until(Edge),
    /// 400.
    Refused,
}

impl Edge {
    pub fn after(self, media: &Media) -> Self {
        if self.parts + 1 >= media.segments[self.msn].len() {
            return Self { msn: self.msn + 1, parts: 0 };
        }
        Self { parts: self.parts + 1, ..self }
    }

    pub fn has_part(self, msn: usize, index: usize) -> bool {
        Self { msn, parts: index } < self
    }

    pub fn is_end(self, media: &Media) -> bool {
        self.msn >= media.segments.len()
    }
}

/// What the directives of a query demand (RFC 8216bis 6.2.5.2).
pub fn wish(query: &str, edge: Edge, media: &Media) -> Wish {
    let number = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        pair.map(|value| value.parse::<usize>().ok())
    };
    let (msn, part) = match (number("_HLS_msn"), number("_HLS_part")) {
        (None, None) => return Wish::Now,
        _ if edge.is_end(media) => return Wish::Now,
        (Some(Some(msn)), None) => (msn, None),
        (Some(Some(msn)), Some(Some(part))) => (msn, Some(part)),
        _ => return Wish::Refused,
    };
    let parts = media.parts_per_segment();
    let advance_max = (3.0 / media.part_s).ceil().max(3.0) as usize;
    let wanted = match part {
        None => Edge { msn: msn + 1, parts: 0 },
        // Behind a segment's last part comes the first of the next.
        Some(part) if part >= parts => Edge { msn: msn + 1, parts: 1 },
        Some(part) => Edge { msn, parts: part + 1 },
    };
    let is_too_far = part.is_some_and(|part| part >= parts + advance_max);
    if msn > edge.msn + 1 || is_too_far {
        return Wish::Refused;
    }
    Wish::Until(wanted)
}

pub fn multivariant(renditions: &[&str]) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for (n, name) in renditions.iter().enumerate() {
        let bandwidth = 400_000 * (n + 1);
        let _ = writeln!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"avc1.42c01e,mp4a.40.2\"\n\
             {name}/live.m3u8"
        );
    }
    text
}

/// The media playlist of a rendition; with `skips`, as a delta update where that is possible.
pub fn media(plan: &Plan, name: &str, edge: Edge, skips: bool) -> String {
    let media = &plan.media;
    let target = media.segment_s().ceil();
    let first = edge.msn.saturating_sub(WINDOW);
    let per_target = (target / media.segment_s()).ceil() as usize;
    let mut text = String::from("#EXTM3U\n");
    let _ = writeln!(
        text,
        "#EXT-X-TARGETDURATION:{target}\n#EXT-X-VERSION:9\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},CAN-SKIP-UNTIL={:.1}\n\
         #EXT-X-PART-INF:PART-TARGET={:.3}\n#EXT-X-MEDIA-SEQUENCE:{first}",
        media.part_s * 3.0,
        target * SKIP_TARGETS as f64,
        media.part_s,
    );
    let kept = edge.msn.saturating_sub(SKIP_TARGETS * per_target);
    let skipped = if skips { kept.saturating_sub(first) } else { 0 };
    if skipped > 0 {
        let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    } else {
        text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    }
    for msn in first + skipped..edge.msn {
        if msn + PART_TARGETS * per_target >= edge.msn {
            push_parts(&mut text, plan, msn, media.segments[msn].len());
        }
        let play_s = media.part_s * media.segments[msn].len() as f64;
        let _ = writeln!(text, "#EXTINF:{play_s:.5},\n{}", plan.segment_name(msn));
    }
    if edge.is_end(media) {
        return text + "#EXT-X-ENDLIST\n";
    }
    push_parts(&mut text, plan, edge.msn, edge.parts);
    push_hint(&mut text, plan, edge);
    for other in plan.renditions.iter().filter(|other| **other != name) {
        let (msn, part) = match edge.parts.checked_sub(1) {
            Some(part) => (edge.msn, part),
            None => (edge.msn.saturating_sub(1), media.parts_per_segment() - 1),
        };
        let _ = writeln!(
            text,
            "#EXT-X-RENDITION-REPORT:URI=\"../{other}/live.m3u8\",LAST-MSN={msn},LAST-PART={part}"
        );
    }
    text
}

fn push_parts(text: &mut String, plan: &Plan, msn: usize, count: usize) {
    for index in 0..count {
        let _ = write!(text, "#EXT-X-PART:DURATION={:.5},", plan.media.part_s);
        let _ = match plan.addressing {
            Addressing::Ranges => {
                let (start, end) = plan.range_of(msn, index);
                let name = plan.segment_name(msn);
                write!(text, "URI=\"{name}\",BYTERANGE=\"{}@{start}\"", end - start)
            }
            _ => write!(text, "URI=\"{}\"", plan.part_name(msn, index)),
        };
        text.push_str(if index == 0 { ",INDEPENDENT=YES\n" } else { "\n" });
    }
}

fn push_hint(text: &mut String, plan: &Plan, edge: Edge) {
    let Edge { msn, parts } = edge;
    let _ = match plan.addressing {
        Addressing::Ranges => {
            let (start, _) = plan.range_of(msn, parts);
            let name = plan.segment_name(msn);
            writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}\",BYTERANGE-START={start}")
        }
        _ => writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"", plan.part_name(msn, parts)),
    };
}
