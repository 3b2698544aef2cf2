//! The demonstration's origin: a small HTTP server with the bundled stream, as a film or live.
//!
//! The film is as long as the demonstration: the bundled segments over and over, each round with a
//! discontinuity and under new names, as if it were new material. Live, the same segments come one
//! after the other.

use std::convert::Infallible;
use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Where the film begins.
pub const MASTER_PATH: &str = "/demo/master.m3u8";
/// Media time of one bundled segment.
const SEGMENT_DURATION: Duration = Duration::from_secs(2);
/// Segments in the playlist of a live stream; as many are there when it begins.
const WINDOW: u64 = 10;

macro_rules! segments {
    ($($number:literal)+) => {
        [$(include_bytes!(concat!("stream/seg-", $number, ".ts"))),+]
    };
}
static SEGMENTS: [&[u8]; 16] = segments!(
    "00" "01" "02" "03" "04" "05" "06" "07" "08" "09" "10" "11" "12" "13" "14" "15"
);

/// The bytes of the film's segment `number`.
pub fn segment(number: u64) -> &'static [u8] {
    SEGMENTS[(number % SEGMENTS.len() as u64) as usize]
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// A film of at least this length.
    Film(Duration),
    /// A live stream that went on the air then.
    Live(Instant),
}

/// Serves it, until dropped.
pub async fn serve(listener: TcpListener, program: Program) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(answer(&request, program.segments()))
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            // A viewer that breaks off is none of the origin's business.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Program {
    /// The segments in the playlist by now, and whether there will be more.
    fn segments(self) -> Listed {
        match self {
            Self::Film(length) => {
                let count = length.as_secs().div_ceil(SEGMENT_DURATION.as_secs());
                Listed { numbers: 0..count, is_live: false }
            }
            Self::Live(began) => {
                let gone = began.elapsed().as_secs() / SEGMENT_DURATION.as_secs();
                Listed { numbers: gone..gone + WINDOW, is_live: true }
            }
        }
    }
}

/// What the playlist lists.
struct Listed {
    numbers: Range<u64>,
    is_live: bool,
}

fn answer(request: &Request<Incoming>, listed: Listed) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let (content_type, body) = if path == MASTER_PATH {
        ("application/vnd.apple.mpegurl", Bytes::from_static(master().as_bytes()))
    } else if path == "/demo/media.m3u8" {
        ("application/vnd.apple.mpegurl", media(&listed).into())
    } else if let Some(number) = number(path).filter(|number| *number < listed.numbers.end) {
        ("video/mp2t", Bytes::from_static(segment(number)))
    } else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let size = body.len();
    let asked = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
    let mut response = match asked.and_then(|text| range(text, size)) {
        Some(range) => {
            let part = body.slice(range.clone());
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let mut response = Response::new(Full::new(part));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = HeaderValue::from_str(&text);
            response.headers_mut().extend(text.map(|text| (CONTENT_RANGE, text)));
            response
        }
        None => Response::new(Full::new(body)),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// `bytes=100-199` or `bytes=100-` of `size` bytes; anything else is answered with everything.
fn range(text: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start = first.parse().ok()?;
    let end = match last {
        "" => size,
        last => last.parse::<usize>().ok()?.checked_add(1)?.min(size),
    };
    (start < end).then_some(start..end)
}

fn master() -> &'static str {
    "#EXTM3U\n#EXT-X-VERSION:3\n\
     #EXT-X-STREAM-INF:BANDWIDTH=1200000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\"\n\
     media.m3u8\n"
}

fn media(listed: &Listed) -> String {
    let (numbers, round) = (listed.numbers.clone(), SEGMENTS.len() as u64);
    let kind = if listed.is_live { "" } else { "#EXT-X-PLAYLIST-TYPE:VOD\n" };
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n{kind}",
        numbers.start,
        // Those that are no longer listed.
        numbers.start.saturating_sub(1) / round,
    );
    for number in numbers {
        if number > 0 && number % round == 0 {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        // Writing into a string cannot fail.
        let _ =
            write!(text, "#EXTINF:{:.1},\nsegment-{number}.ts\n", SEGMENT_DURATION.as_secs_f64());
    }
    if !listed.is_live {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

fn number(path: &str) -> Option<u64> {
    path.strip_prefix("/demo/segment-")?.strip_suffix(".ts")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_gets_the_part_it_asks_for() {
        for (text, part) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=5-", Some(5..100)),
            ("bytes=90-200", Some(90..100)),
            ("bytes=100-", None),
            ("bytes=7-3", None),
            ("bytes=-5", None),
            ("bytes=0-1,3-4", None),
            ("bytes=0-18446744073709551615", None),
        ] {
            assert_eq!(range(text, 100), part, "{text}");
        }
    }

    #[test]
    fn the_film_is_as_long_as_the_demonstration_and_its_segments_are_transport_streams() {
        let text = media(&Program::Film(Duration::from_secs(70)).segments());
        assert_eq!(text.matches("#EXTINF").count(), 35);
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2);
        assert!(text.contains("-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"));
        assert_eq!(number("/demo/segment-34.ts"), Some(34));
        assert!((0..16).all(|n| segment(n)[0] == 0x47 && segment(n).len().is_multiple_of(188)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_live_stream_goes_on_and_counts_the_discontinuities_that_are_gone() {
        let live = Program::Live(Instant::now());
        tokio::time::advance(Duration::from_secs(35)).await;
        let text = media(&live.segments());
        assert!(
            text.contains("#EXT-X-MEDIA-SEQUENCE:17\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF")
        );
        assert_eq!(text.matches("#EXTINF").count(), 10);
        assert!(text.ends_with("segment-26.ts\n"));
        tokio::time::advance(Duration::from_secs(12)).await;
        let text = media(&live.segments());
        assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF"));
        assert!(text.contains("segment-31.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\nsegment-32.ts"));
    }
}
