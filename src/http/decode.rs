//! Playlists that come compressed although nobody asked for it. PURE.
//!
//! Some players cannot read them, and nobody can rewrite them. Only one coding is taken off, and
//! only as many bytes are made as a playlist may have. `playlist` and `proxy` drive it.

use std::io::{self, Read};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Largest window of a Zstandard frame, as its content coding allows: so much is allocated at once.
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 << 20;
/// Buffer of the Brotli decoder.
const BROTLI_BUFFER_BYTES: usize = 16 << 10;
/// So many first bytes tell what a text is: a byte order mark and `#EXTM3U`.
const START_BYTES: u64 = 10;

/// A coding that can be taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why there is no plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// More than the limit when decoded.
    #[error("it is too large when decompressed")]
    TooLarge,
    /// Not what the coding says, or cut short.
    #[error("its compression is broken")]
    Broken,
    /// A coding we do not know, or several.
    #[error("its compression is none we know")]
    Unknown,
}

/// The body without its coding, which the headers say or its first bytes show.
pub fn decode(headers: &HeaderMap, body: &Bytes, bytes_max: usize) -> Result<Bytes, Undecodable> {
    let Some(coding) = coding(headers, body)? else { return Ok(body.clone()) };
    let mut decoded = Vec::new();
    let limit = (bytes_max as u64).saturating_add(1);
    reader(coding, body)
        .and_then(|reader| reader.take(limit).read_to_end(&mut decoded))
        .map_err(|_| Undecodable::Broken)?;
    if decoded.len() > bytes_max {
        return Err(Undecodable::TooLarge);
    }
    Ok(decoded.into())
}

/// Whether a body that begins with `first` is a playlist, compressed or not.
pub fn begins_like_a_playlist(headers: &HeaderMap, first: &[u8]) -> bool {
    let mut start = Vec::new();
    match coding(headers, first) {
        Ok(None) => start.extend(first.iter().take(START_BYTES as usize)),
        Ok(Some(coding)) => {
            let decoder = reader(coding, first).map(|reader| reader.take(START_BYTES));
            // An error says that more would follow; what came before it is enough.
            let _ = decoder.and_then(|mut decoder| decoder.read_to_end(&mut start));
        }
        Err(_) => return false,
    }
    start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start).starts_with(b"#EXTM3U")
}

fn coding(headers: &HeaderMap, body: &[u8]) -> Result<Option<Coding>, Undecodable> {
    let mut stated = headers.get_all(CONTENT_ENCODING).iter();
    let name = stated.next().map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    if stated.next().is_some() {
        return Err(Undecodable::Unknown);
    }
    match name.as_deref() {
        Some("gzip" | "x-gzip") => Ok(Some(Coding::Gzip)),
        Some("deflate") => Ok(Some(Coding::Deflate)),
        Some("br") => Ok(Some(Coding::Brotli)),
        Some("zstd") => Ok(Some(Coding::Zstd)),
        // Files that were compressed by hand and uploaded so.
        None | Some("identity" | "") if body.starts_with(&[0x1f, 0x8b]) => Ok(Some(Coding::Gzip)),
        None | Some("identity" | "") if body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => {
            Ok(Some(Coding::Zstd))
        }
        None | Some("identity" | "") => Ok(None),
        Some(_) => Err(Undecodable::Unknown),
    }
}

fn reader(coding: Coding, body: &[u8]) -> io::Result<Box<dyn Read + '_>> {
    Ok(match coding {
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Coding::Deflate => Box::new(flate2::read::ZlibDecoder::new(body)),
        Coding::Brotli => {
            Box::new(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER_BYTES))
        }
        Coding::Zstd => Box::new(
            ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                body,
                ZSTD_WINDOW_BYTES_MAX,
            )
            .map_err(io::Error::other)?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::io::Write;

    const TEXT: &[u8] = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n\
        #EXTINF:4,\na.ts\n#EXTINF:4,\na.ts\n#EXTINF:4,\na.ts\n\
        #EXTINF:4,\na.ts\n#EXTINF:4,\na.ts\n#EXTINF:4,\na.ts\n";
    /// `TEXT`, compressed with the reference encoder.
    const BROTLI: &[u8] = &[
        0x1b, 0x7f, 0x00, 0x38, 0x8c, 0xc4, 0x38, 0x16, 0xf2, 0x85, 0x62, 0x12, 0xa6, 0x3e, 0x5d,
        0x0b, 0x2a, 0x8a, 0x26, 0x63, 0x13, 0x34, 0x36, 0x55, 0xc8, 0x7f, 0x2a, 0xd0, 0x38, 0xc1,
        0x06, 0x9c, 0x08, 0x84, 0x45, 0xb4, 0x39, 0xdd, 0x0e, 0x3e, 0xfc, 0x42, 0x66, 0xc0, 0xb7,
        0x4b, 0x06, 0xd1, 0xd2, 0x08, 0x8c, 0x4d, 0x4c, 0x76, 0xcd, 0x6f, 0xe5, 0xa1, 0xa1, 0xe3,
        0xff, 0x04,
    ];

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    fn deflate(text: &[u8]) -> Bytes {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(text: &[u8]) -> Bytes {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(text, level).into()
    }

    fn stated(coding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))])
    }

    #[test]
    fn every_coding_is_taken_off() {
        let brotli = Bytes::from_static(BROTLI);
        for (headers, body) in [
            (stated("gzip"), gzip(TEXT)),
            (stated("X-GZip"), gzip(TEXT)),
            (stated("deflate"), deflate(TEXT)),
            (stated("br"), brotli),
            (stated("zstd"), zstd(TEXT)),
            (stated("identity"), Bytes::from_static(TEXT)),
            (HeaderMap::new(), Bytes::from_static(TEXT)),
            (HeaderMap::new(), gzip(TEXT)),
            (HeaderMap::new(), zstd(TEXT)),
        ] {
            assert_eq!(decode(&headers, &body, 1000).as_deref(), Ok(TEXT), "{headers:?}");
            assert_eq!(decode(&headers, &body, TEXT.len()).as_deref(), Ok(TEXT));
            assert!(begins_like_a_playlist(&headers, &body));
        }
    }

    #[test]
    fn a_bomb_goes_off_at_the_limit() {
        let zeros = vec![b'#'; 20 << 20];
        for (coding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            assert!(body.len() < 1 << 20, "small on the wire");
            assert_eq!(decode(&stated(coding), &body, 10 << 20), Err(Undecodable::TooLarge));
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_said() {
        let cut = |body: Bytes| body.slice(..body.len() - 12);
        for (headers, body, why) in [
            (stated("gzip"), cut(gzip(TEXT)), Undecodable::Broken),
            (stated("gzip"), Bytes::from_static(TEXT), Undecodable::Broken),
            (stated("br"), Bytes::from_static(&BROTLI[..20]), Undecodable::Broken),
            (stated("zstd"), Bytes::from_static(TEXT), Undecodable::Broken),
            (stated("compress"), Bytes::from_static(TEXT), Undecodable::Unknown),
            (stated("gzip, gzip"), gzip(&gzip(TEXT)), Undecodable::Unknown),
        ] {
            assert_eq!(decode(&headers, &body, 1000), Err(why), "{headers:?}");
        }
        assert!(!begins_like_a_playlist(&stated("gzip"), &gzip(b"hello")));
        assert!(!begins_like_a_playlist(&HeaderMap::new(), b"#EXTM3"));
        let long = gzip(&TEXT.repeat(10_000));
        assert!(begins_like_a_playlist(&stated("gzip"), &long[..200]), "the first chunk");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..4usize) {
            let headers = stated(["gzip", "deflate", "br", "zstd"][at]);
            let gzip = &b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..];
            let magic = [gzip, b"\x78\x9c", b"", b"\x28\xb5\x2f\xfd"][at];
            let body = Bytes::from([magic, &bytes].concat());
            let _ = decode(&headers, &body, 1000);
            begins_like_a_playlist(&headers, &body);
        }
    }
}
