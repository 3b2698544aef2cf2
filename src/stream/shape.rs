//! The outward form of media segments: a cheap check of what a peer sent.
//!
//! Learns from the playlist, and then from the origin's own segments, what those of a rendition
//! look like (MPEG-TS packets, ISO-BMFF boxes) and refuses one that does not look so. It proves
//! nothing about content: a peer that wants to deceive can keep the form. Driven by the actor,
//! before bytes are released.

use crate::playlist::timeline::Segment;

/// Size of an MPEG-TS packet (ISO/IEC 13818-1, 2.4.3.2).
const TS_PACKET_BYTES: usize = 188;
const TS_SYNC_BYTE: u8 = 0x47;
/// Boxes that a media segment begins with (ISO/IEC 23009-1, 6.3; older packagers leave `styp` out).
const FIRST_BOXES: [&[u8; 4]; 9] =
    [b"styp", b"sidx", b"ssix", b"prft", b"emsg", b"moof", b"ftyp", b"free", b"uuid"];
/// Boxes that are walked through at the most.
const BOXES_MAX: usize = 10_000;

/// What the segments of a rendition look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Not known, or nothing that can be told apart: everything passes.
    #[default]
    Any,
    /// MPEG-TS: a sync byte every 188 bytes, whole packets.
    TransportStream,
    /// Fragmented MP4: a chain of boxes that ends with the segment.
    Boxes,
}

/// The shapes of a rendition: clear segments and encrypted ones may take turns, as with
/// advertisements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shapes {
    clear: Known,
    encrypted: Known,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    shape: Shape,
    /// From a segment of the origin, not only from what the playlist promises.
    is_learned: bool,
}

impl Shapes {
    /// The shapes to expect by what a playlist says, until the origin has sent a segment.
    pub fn expect(segments: &[Segment]) -> Self {
        let mut shapes = Self::default();
        if let Some(clear) = segments.iter().find(|segment| !segment.is_encrypted) {
            shapes.clear.shape = Shape::expect(clear);
        }
        shapes
    }

    /// The shape of clear or of encrypted segments.
    pub fn of(&self, is_encrypted: bool) -> Shape {
        if is_encrypted { self.encrypted.shape } else { self.clear.shape }
    }

    /// Learns from a whole segment of the origin. Where its segments differ in form nothing can be
    /// expected of others.
    pub fn learn(&mut self, segment: &[u8], is_encrypted: bool) {
        let known = if is_encrypted { &mut self.encrypted } else { &mut self.clear };
        let shape = Shape::of(segment);
        known.shape = match *known {
            Known { is_learned: true, shape: before } if before != shape => Shape::Any,
            _ => shape,
        };
        known.is_learned = true;
    }
}

impl Shape {
    /// What a clear segment should look like by the playlist.
    fn expect(segment: &Segment) -> Self {
        match segment {
            Segment { has_init: true, .. } => Self::Boxes,
            Segment { url, .. } if url.path().ends_with(".ts") => Self::TransportStream,
            _ => Self::Any,
        }
    }

    /// The shape of a whole segment. Sample encryption keeps the outward form, AES-128 leaves none.
    fn of(segment: &[u8]) -> Self {
        let shapes = [Self::TransportStream, Self::Boxes];
        shapes.into_iter().find(|shape| shape.fits(segment)).unwrap_or_default()
    }

    /// Whether a whole segment has this shape.
    pub fn fits(self, segment: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::TransportStream => {
                !segment.is_empty()
                    && segment.len().is_multiple_of(TS_PACKET_BYTES)
                    && is_transport_stream(segment)
            }
            Self::Boxes => is_box_chain(segment, true),
        }
    }

    /// Whether the beginning of a segment can belong to this shape.
    pub fn fits_beginning(self, prefix: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::TransportStream => is_transport_stream(prefix),
            Self::Boxes => is_box_chain(prefix, false),
        }
    }
}

fn is_transport_stream(bytes: &[u8]) -> bool {
    bytes.iter().step_by(TS_PACKET_BYTES).all(|&byte| byte == TS_SYNC_BYTE)
}

/// Walks the chain of top-level boxes (ISO/IEC 14496-12, 4.2); `whole` asks that it ends with the
/// last byte, and that there is media data in it.
fn is_box_chain(bytes: &[u8], whole: bool) -> bool {
    let mut rest = bytes;
    let mut has_media = false;
    let is_known = |first: &[u8]| FIRST_BOXES.iter().any(|kind| kind.as_slice() == first);
    if bytes.get(4..8).is_some_and(|first| !is_known(first)) {
        return false;
    }
    for _ in 0..BOXES_MAX {
        let Some((head, _)) = rest.split_first_chunk::<8>() else {
            return if whole { rest.is_empty() && has_media } else { true };
        };
        let kind = &head[4..];
        if !kind.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            return false;
        }
        has_media |= kind == b"mdat";
        let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let size = match (short, rest.get(8..16).and_then(|b| <[u8; 8]>::try_from(b).ok())) {
            (0, _) => return true,
            (1, Some(long)) => usize::try_from(u64::from_be_bytes(long)).unwrap_or(usize::MAX),
            (1, None) => return !whole,
            (short, _) => short as usize,
        };
        if size < 8 {
            return false;
        }
        match rest.get(size..) {
            Some(next) => rest = next,
            None => return !whole,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{self, Playlist};

    fn ts(packets: usize) -> Vec<u8> {
        let mut bytes = vec![0; packets * TS_PACKET_BYTES];
        bytes.iter_mut().step_by(TS_PACKET_BYTES).for_each(|b| *b = TS_SYNC_BYTE);
        bytes
    }

    fn boxes() -> Vec<u8> {
        let mut bytes = b"\0\0\0\x0cmoofabcd".to_vec();
        bytes.extend(b"\0\0\0\x0amdatxy");
        bytes
    }

    #[test]
    fn learns_what_the_origin_sends() {
        assert_eq!(Shape::of(&ts(3)), Shape::TransportStream);
        assert_eq!(Shape::of(&boxes()), Shape::Boxes);
        assert_eq!(Shape::of(b"\xff\xf1packed audio"), Shape::Any);
        assert_eq!(Shape::of(b""), Shape::Any);
    }

    #[test]
    fn clear_and_encrypted_segments_may_take_turns() {
        let mut shapes = Shapes::default();
        shapes.learn(&ts(3), false);
        shapes.learn(&[1; 32], true);
        shapes.learn(&ts(2), false);
        assert_eq!((shapes.of(false), shapes.of(true)), (Shape::TransportStream, Shape::Any));
    }

    #[test]
    fn an_origin_whose_segments_differ_leaves_nothing_to_expect() {
        let mut shapes = Shapes::default();
        for segment in [ts(3), boxes(), ts(3)] {
            shapes.learn(&segment, false);
        }
        assert_eq!(shapes.of(false), Shape::Any);
    }

    #[test]
    fn expects_what_the_playlist_promises() {
        for (tag, name, shape) in [
            ("", "a.ts", Shape::TransportStream),
            ("#EXT-X-MAP:URI=\"i\"\n", "a.m4s", Shape::Boxes),
            ("", "a.aac", Shape::Any),
            ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n", "a.ts", Shape::Any),
        ] {
            let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{tag}#EXTINF:2,\n{name}\n");
            let base = "http://origin.test/".parse().unwrap();
            let Ok(Playlist::Media(timeline)) =
                playlist::read(&text, &base, &playlist::Definitions::default())
            else {
                panic!("not media")
            };
            let segment = &timeline.segments[0];
            let shapes = Shapes::expect(&timeline.segments);
            assert_eq!(shapes.of(segment.is_encrypted), shape, "{tag}{name}");
        }
    }

    #[test]
    fn refuses_what_has_another_form() {
        let mut damaged = ts(3);
        damaged[188] = 0;
        let mut cut = boxes();
        cut.pop();
        for (shape, bytes) in [
            (Shape::TransportStream, damaged.as_slice()),
            (Shape::TransportStream, &ts(3)[..500]),
            (Shape::TransportStream, b""),
            (Shape::TransportStream, &boxes()),
            (Shape::Boxes, &cut),
            (Shape::Boxes, &ts(2)),
            (Shape::Boxes, b"\0\0\0\x0cmoofabcd"),
            (Shape::Boxes, b"\0\0\0\0\0\0\0\0"),
        ] {
            assert!(!shape.fits(bytes), "{shape:?} {bytes:?}");
        }
    }

    #[test]
    fn a_beginning_is_judged_by_what_is_there() {
        assert!(Shape::TransportStream.fits_beginning(&ts(3)[..300]));
        assert!(!Shape::TransportStream.fits_beginning(b"<html>"));
        assert!(Shape::Boxes.fits_beginning(&boxes()[..15]));
        assert!(Shape::Boxes.fits_beginning(b"\0\0"));
        assert!(!Shape::Boxes.fits_beginning(b"<!doctype html>"));
    }

    #[test]
    fn boxes_with_sizes_that_lie_are_no_endless_walk() {
        assert!(!Shape::Boxes.fits(&b"\0\0\0\x08free".repeat(BOXES_MAX + 1)));
        assert!(!Shape::Boxes.fits(b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff"));
    }
}
