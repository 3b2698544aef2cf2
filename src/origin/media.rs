//! Whether an answer is audio or video, by its first bytes. PURE.
//!
//! Channels of television lists are called playlists and turn out to be streams without end, which
//! nobody may wait for the end of. What is neither is not judged here.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// Length of an MPEG transport stream's packet, each of which begins with [`SYNC`].
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Kinds of boxes that an MP4 file or fragment begins with, behind the box's size.
const BOXES: [&[u8]; 7] = [b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"mdat", b"emsg"];
/// Beginnings of Matroska, Flash video, Ogg and tagged MP3 or AAC.
const BEGINNINGS: [&[u8]; 4] = [b"\x1a\x45\xdf\xa3", b"FLV\x01", b"OggS", b"ID3"];
/// Beginnings of texts that have unprintable bytes: packed by gzip or zstd, or UTF-16.
const TEXTS: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff"];

/// Whether a body that begins with `first`, under a head with these fields, is audio or video.
pub(super) fn is_media(headers: &HeaderMap, first: &[u8]) -> bool {
    let is_coded = headers.get_all(CONTENT_ENCODING).iter().any(|coding| {
        !coding.is_empty() && !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")
    });
    if is_coded {
        return false;
    }
    let is_mp4 = first.get(4..8).is_some_and(|kind| BOXES.contains(&kind));
    let is_other = BEGINNINGS.iter().any(|beginning| first.starts_with(beginning));
    // MP3 and AAC frames; a byte order mark of UTF-16 looks almost like one.
    let is_frame = matches!(first, [0xff, second, ..] if second & 0xe0 == 0xe0 && *second < 0xfe);
    // Of a few bytes the name may say what they are.
    let is_called_so = first.len() < 3 * PACKET && is_called_media(headers) && !is_text(first);
    is_transport(first) || is_mp4 || is_other || is_frame || is_called_so
}

/// Whether packets begin in it, be it in the middle of one.
fn is_transport(first: &[u8]) -> bool {
    let is_start = |at: usize| {
        let starts = [at, at + PACKET, at + 2 * PACKET].map(|at| first.get(at));
        starts.iter().all(|start| *start == Some(&SYNC))
    };
    (0..PACKET).any(is_start) || (first.first(), first.get(PACKET)) == (Some(&SYNC), Some(&SYNC))
}

fn is_called_media(headers: &HeaderMap) -> bool {
    let name = headers.get(CONTENT_TYPE).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    (name.starts_with("video/") || name.starts_with("audio/")) && !name.contains("mpegurl")
}

/// Texts, compressed ones included, are not media whatever they are called.
fn is_text(first: &[u8]) -> bool {
    TEXTS.iter().any(|text| first.starts_with(text)) || !first.iter().any(|&byte| byte < b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn judged(kind: &'static str, first: &[u8]) -> bool {
        is_media(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]), first)
    }

    #[test]
    fn media_is_known_by_its_first_bytes() {
        let mut packets = [0; 4 * PACKET];
        packets.iter_mut().step_by(PACKET).for_each(|start| *start = SYNC);
        for first in [
            &packets[..],
            &packets[100..],
            b"\0\0\0\x18ftypmp42",
            b"\0\0\0\x18moof",
            b"\x1a\x45\xdf\xa3\x01",
            b"FLV\x01\x05",
            b"ID3\x04",
            b"\xff\xf1\x50\x80",
            b"\xff\xfb\x90\x44",
        ] {
            assert!(judged("application/vnd.apple.mpegurl", first), "{first:?}");
        }
        assert!(judged("video/mp2t", &packets[..100]), "half a packet under the right name");
    }

    #[test]
    fn texts_and_what_is_unknown_are_not() {
        for first in [
            &b"#EXTM3U\n"[..],
            b"\xef\xbb\xbf#EXTM3U\n",
            b"GET back",
            b"<html>",
            b"G",
            b"",
            b"\xff\xfe#\0E\0",
            b"\x1f\x8b\x08\0\0",
        ] {
            assert!(!judged("video/mp2t", first), "{first:?}");
            assert!(!judged("text/html", first), "{first:?}");
        }
        assert!(!judged("application/octet-stream", b"\0\x01\x02"));
        let noise: Vec<u8> = (0..=250).cycle().take(10_000).collect();
        assert!(!judged("video/mp2t", &noise), "called so, but none");
        let mut coded = HeaderMap::new();
        coded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!is_media(&coded, b"ID3\x04"));
    }
}
