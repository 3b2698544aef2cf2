//! A live stream whose origin suffers from the weather.
//!
//! Segments of 2 s and about 1 Mbit/s, each of bytes that no other has, in the form of a transport
//! stream; answered whole or from any byte on.

use crate::random::Random;
use crate::weather::{Forecast, Weather};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

type Body = UnsyncBoxBody<Bytes, io::Error>;

pub const PLAYLIST: &str = "/live/index.m3u8";
pub const SEGMENT: Duration = Duration::from_secs(2);
/// Segments in the playlist.
const WINDOW: u64 = 12;
/// Packets of a segment.
const PACKETS: usize = 1_330;
/// Bytes sent at a time.
const PIECE: usize = 16 << 10;
/// Before the head of an answer while the origin is slow.
const SLOWNESS: Duration = Duration::from_millis(800);
/// Between two pieces while bodies trickle.
const TRICKLE: Duration = Duration::from_millis(100);

/// Which of the bytes sent were asked for by daemons: the players beside them say who they are.
pub const CONTROL: &str = "control";

/// A running origin; it ends when dropped.
pub struct Origin {
    address: SocketAddr,
    stream: Arc<Stream>,
    server: JoinHandle<()>,
}

struct Stream {
    seed: u64,
    began: Instant,
    forecast: Forecast,
    /// Bytes of segments sent to daemons.
    sent: AtomicU64,
}

impl Origin {
    pub async fn start(seed: u64, forecast: Forecast) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (began, sent) = (Instant::now(), AtomicU64::new(0));
        let stream = Arc::new(Stream { seed, began, forecast, sent });
        let server = tokio::spawn(serve(listener, stream.clone()));
        Self { address, stream, server }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a segment truly is.
    pub fn truth(&self, number: u64) -> Bytes {
        self.stream.segment(number)
    }

    /// The newest segment.
    pub fn newest(&self) -> u64 {
        self.stream.newest()
    }

    /// When a segment is listed for the first time.
    pub fn published(&self, number: u64) -> Instant {
        let after = SEGMENT * u32::try_from(number.saturating_sub(WINDOW)).unwrap();
        self.stream.began + after
    }

    /// Whether nothing was wrong with it between two moments.
    pub fn was_calm(&self, from: Instant, to: Instant) -> bool {
        let since = |moment: Instant| moment.saturating_duration_since(self.stream.began);
        let (weather, end) = self.stream.forecast.at(since(from));
        weather == Weather::Calm && since(to) < end
    }

    /// How long it has been there.
    pub fn elapsed(&self) -> Duration {
        self.stream.began.elapsed()
    }

    pub fn weather(&self) -> Weather {
        self.stream.weather().0
    }

    /// Bytes of segments sent to daemons.
    pub fn sent(&self) -> u64 {
        self.stream.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, stream: Arc<Stream>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let stream = stream.clone();
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let stream = stream.clone();
                async move { Ok::<_, Infallible>(stream.answer(&request).await) }
            });
            // Connections that break are what this is about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Stream {
    /// The weather, and when its spell is over.
    fn weather(&self) -> (Weather, Instant) {
        let (weather, end) = self.forecast.at(self.began.elapsed());
        (weather, self.began + end.min(Duration::from_secs(86_400)))
    }

    /// The newest segment; as many as the playlist shows were there at the beginning.
    fn newest(&self) -> u64 {
        WINDOW + self.began.elapsed().as_secs() / SEGMENT.as_secs()
    }

    async fn answer(self: Arc<Self>, request: &Request<Incoming>) -> Response<Body> {
        match self.weather() {
            (Weather::Busy, _) => return plain(503, "text/plain", "busy".to_owned()),
            (Weather::Slow, end) => sleep_until(end.min(Instant::now() + SLOWNESS)).await,
            _ => {}
        }
        let path = request.uri().path();
        if path == PLAYLIST {
            return plain(200, "application/vnd.apple.mpegurl", self.playlist());
        }
        let number = number(path).filter(|number| *number <= self.newest());
        let Some(number) = number else { return plain(404, "text/plain", "not here".to_owned()) };
        let segment = self.segment(number);
        let size = segment.len();
        let asked = request.headers().get(RANGE);
        let asked = asked.and_then(|range| parse_range(range.to_str().ok()?, size));
        let (from, end) = asked.unwrap_or((0, size));
        let mut answer = Response::builder()
            .status(if asked.is_some() { 206 } else { 200 })
            .header(CONTENT_TYPE, "video/mp2t")
            .header(ACCEPT_RANGES, "bytes")
            .header(CONTENT_LENGTH, end - from);
        if asked.is_some() {
            answer = answer.header(CONTENT_RANGE, format!("bytes {from}-{}/{size}", end - 1));
        }
        let is_control = request.headers().contains_key(CONTROL);
        let (rest, total) = (segment.slice(from..end), end - from);
        let sending = Sending { stream: self, rest, total, is_control };
        answer.body(sending.into_body()).unwrap()
    }

    fn playlist(&self) -> String {
        let newest = self.newest();
        let first = newest + 1 - WINDOW;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
            SEGMENT.as_secs()
        );
        for number in first..=newest {
            write!(text, "#EXTINF:{:.1},\nseg-{number}.ts\n", SEGMENT.as_secs_f64()).unwrap();
        }
        text
    }

    fn segment(&self, number: u64) -> Bytes {
        let mut random = Random::new(self.seed, 1_000 + number);
        let mut bytes = BytesMut::with_capacity(PACKETS * 188);
        for packet in 0..PACKETS {
            bytes.extend_from_slice(&[0x47, 0x01, 0x00, 0x10 | (packet % 16) as u8]);
            for _ in 0..23 {
                bytes.extend_from_slice(&random.next().to_le_bytes());
            }
        }
        bytes.freeze()
    }
}

/// A body on its way out.
struct Sending {
    stream: Arc<Stream>,
    rest: Bytes,
    /// Bytes there were in the beginning.
    total: usize,
    is_control: bool,
}

impl Sending {
    fn into_body(self) -> Body {
        let frames = stream::unfold(self, |mut sending| async move {
            let piece = sending.next().await?;
            Some((piece.map(Frame::data), sending))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let is_in_the_middle = self.rest.len() <= self.total / 2;
        match self.stream.weather() {
            _ if self.rest.is_empty() => return None,
            (Weather::Cutting, _) if is_in_the_middle => {
                return Some(Err(io::Error::other("cut by the weather")));
            }
            (Weather::Stalling, end) if is_in_the_middle => sleep_until(end).await,
            (Weather::Trickling, _) => sleep(TRICKLE).await,
            _ => {}
        }
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        if !self.is_control {
            self.stream.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Some(Ok(piece))
    }
}

fn plain(status: u16, content_type: &str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header(CONTENT_TYPE, content_type).body(body).unwrap()
}

/// The number of the segment at a path.
pub fn number(path: &str) -> Option<u64> {
    path.strip_prefix("/live/seg-")?.strip_suffix(".ts")?.parse().ok()
}

/// Start and end (exclusive) of a single range; `None` of anything else, which is then ignored.
fn parse_range(range: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from = first.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<usize>().ok()? + 1 };
    (from < end.min(size)).then_some((from, end.min(size)))
}
