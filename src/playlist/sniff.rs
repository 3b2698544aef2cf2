//! What kind of media a segment is, by its first bytes.
//!
//! Players that judge segments by their names want the right one: FFmpeg refuses packed audio and
//! subtitles called `.ts`, and a transport stream called `.aac`. It fetches nothing; `http/sniff`
//! brings the bytes.

use super::Timeline;
use super::proxy_url::Suffix;
use super::rewrite;
use super::timeline::Segment;

/// Bytes of a segment's beginning that are enough to tell.
pub const BEGINNING_BYTES: u64 = 4096;

const TS_PACKET_BYTES: usize = 188;
/// The highest bit stream identification of AC-3; E-AC-3 has 11 to 16 (ETSI TS 102 366, E.1.3.1.6).
const AC3_BSID_MAX: u8 = 10;

/// The segment to look at, of a playlist whose segments have names that players refuse and about
/// whose kind nothing else is said: an init section means fragmented MP4, and encrypted bytes tell
/// nothing.
pub fn telling(timeline: &Timeline) -> Option<&Segment> {
    let first = timeline.segments.iter().find(|segment| !segment.is_gap)?;
    let is_silent = !first.has_init && !first.is_encrypted;
    (is_silent && !rewrite::is_accepted_segment(&first.url)).then_some(first)
}

/// What a segment is that begins with these bytes.
pub fn kind(beginning: &[u8]) -> Option<Suffix> {
    let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    if beginning.starts_with(b"WEBVTT") {
        return Some(Suffix::Vtt);
    }
    if let Some(b"ftyp" | b"styp" | b"moof" | b"sidx" | b"emsg" | b"prft") = beginning.get(4..8) {
        return Some(Suffix::M4s);
    }
    let is_sync = |at: usize| beginning.get(at).is_none_or(|byte| *byte == 0x47);
    if beginning.first() == Some(&0x47) && is_sync(TS_PACKET_BYTES) && is_sync(2 * TS_PACKET_BYTES)
    {
        return Some(Suffix::Ts);
    }
    packed_audio(behind_id3(beginning))
}

/// Packed audio begins with an ID3 tag that tells its time (RFC 8216, 3.4).
fn behind_id3(bytes: &[u8]) -> &[u8] {
    let Some((head, rest)) = bytes.split_first_chunk::<10>().filter(|(h, _)| h.starts_with(b"ID3"))
    else {
        return bytes;
    };
    // Seven bits a byte (ID3v2, 3.1).
    let size = head[6..].iter().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
    behind_id3(rest.get(size..).unwrap_or_default())
}

fn packed_audio(bytes: &[u8]) -> Option<Suffix> {
    match bytes {
        [0x0b, 0x77, ..] => {
            let bsid = bytes.get(5)? >> 3;
            Some(if bsid <= AC3_BSID_MAX { Suffix::Ac3 } else { Suffix::Ec3 })
        }
        // The same beginning: in ADTS the layer is always 0, which no MPEG audio has.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some(Suffix::Aac),
        [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => Some(Suffix::Mp3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_media_by_their_first_bytes() {
        let mut ts = vec![0; 600];
        ts.iter_mut().step_by(TS_PACKET_BYTES).for_each(|byte| *byte = 0x47);
        let id3 = b"ID3\x04\0\0\0\0\0\x03abc";
        for (bytes, suffix) in [
            (&ts[..], Some(Suffix::Ts)),
            (&ts[..100], Some(Suffix::Ts)),
            (b"WEBVTT\n", Some(Suffix::Vtt)),
            (b"\xef\xbb\xbfWEBVTT", Some(Suffix::Vtt)),
            (b"\0\0\0\x18ftypiso5", Some(Suffix::M4s)),
            (b"\0\0\0\x18moof", Some(Suffix::M4s)),
            (b"\xff\xf1\x50\x80", Some(Suffix::Aac)),
            (b"\xff\xf9\x50\x80", Some(Suffix::Aac)),
            (b"\xff\xfb\x90\x00", Some(Suffix::Mp3)),
            (b"\x0b\x77\0\0\0\x40", Some(Suffix::Ac3)),
            (b"\x0b\x77\0\0\0\x80", Some(Suffix::Ec3)),
            (&[id3, &b"\xff\xf1\x50"[..]].concat(), Some(Suffix::Aac)),
            (&[id3, id3, &b"\xff\xfb\x90"[..]].concat(), Some(Suffix::Mp3)),
            (b"<html>", None),
            (b"\x89PNG\r\n", None),
            (b"G", Some(Suffix::Ts)),
            (b"", None),
            (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", None),
        ] {
            assert_eq!(kind(bytes), suffix, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = kind(&bytes);
            let _ = kind(&[b"ID3\x04\0\0", &bytes[..]].concat());
        }
    }
}
