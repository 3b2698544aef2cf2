//! One segment from the origin into its buffer, from wherever the buffer stands.
//!
//! Asks again while it makes sense, continues with `Range` behind what has arrived, and tells the
//! actor how it goes. It checks that what a peer sent before can be the beginning of what the
//! origin sends; whether to fetch at all is the core's decision.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::buffer::{Head, SegmentBuffer, Source};
use super::detour::Detour;
use super::failure::{Failure, Refusal};
use super::shape::Shape;
use crate::ids::SegmentId;
use crate::metrics::Meter;
use crate::origin::retry::{self, Verdict};
use crate::origin::{FetchRequest, Origin, OriginError, OriginResponse, Validator};

/// Bytes of an origin's error page that are passed on.
pub const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// How a download goes; `serial` tells the downloads of one segment apart.
#[derive(Debug)]
pub struct DownloadEvent {
    /// The segment.
    pub segment: SegmentId,
    /// Which of the segment's downloads.
    pub serial: u64,
    /// What happened.
    pub news: News,
}

/// What happened to a download.
#[derive(Debug)]
pub enum News {
    /// So many bytes were appended; the total, where the origin says it.
    Progress(u64, Option<u64>),
    /// The bytes a peer sent before cannot belong to what the origin has; nothing was appended.
    Mismatch,
    /// Everything is there.
    Done,
    /// All of a piece is there.
    PieceDone,
    /// A piece cannot be had, or not all of it.
    PieceFailed,
    /// It was given up.
    Failed(Failure),
}

/// A download of one segment.
pub struct Download {
    /// The segment.
    pub segment: SegmentId,
    /// Tells this download from others of the segment.
    pub serial: u64,
    /// What to ask for.
    pub request: FetchRequest,
    /// Where the bytes go.
    pub buffer: Arc<SegmentBuffer>,
    /// What the segment should look like.
    pub shape: Shape,
    /// Its size in bytes, as a peer has said.
    pub claimed: Option<u64>,
    /// Where else to ask.
    pub detour: Option<Arc<dyn Detour>>,
    /// Where it was asked for before, in vain.
    pub failed: Vec<Url>,
    /// The first of those requests.
    pub home: Option<FetchRequest>,
    /// The upstream client.
    pub origin: Origin,
    /// Counts bytes.
    pub meter: Meter,
    /// Where the news go. Bounded: a busy actor holds the download up.
    pub events: mpsc::Sender<DownloadEvent>,
    /// Ends it.
    pub cancel: CancellationToken,
}

pub(super) enum Trouble {
    Mismatch,
    Origin(OriginError),
    Status(Box<OriginResponse>),
    Encoded,
    Gone,
}

impl Download {
    /// Runs it to its end.
    pub async fn run(mut self) {
        let cancel = self.cancel.clone();
        cancel.run_until_cancelled(self.run_uncancelled()).await;
    }

    async fn run_uncancelled(&mut self) {
        let mut validator = None;
        let (mut attempt, mut since) = (0, Instant::now());
        self.look_ahead().await;
        loop {
            let before = self.buffer.len();
            attempt += 1;
            let trouble = match self.attempt_or_turn(&mut validator).await {
                Ok(Ok(())) => return self.tell(News::Done).await,
                Ok(Err(trouble)) => trouble,
                Err(elsewhere) => {
                    self.turn(elsewhere);
                    (validator, attempt, since) = (None, 0, Instant::now());
                    continue;
                }
            };
            if self.buffer.len() > before {
                (attempt, since) = (1, Instant::now());
            }
            let failure = match &trouble {
                Trouble::Gone => return,
                Trouble::Mismatch => return self.tell(News::Mismatch).await,
                Trouble::Encoded => return self.give_up(trouble).await,
                Trouble::Origin(error) => {
                    retry::Failure::Error { is_retryable: error.is_retryable() }
                }
                Trouble::Status(answer) => {
                    retry::Failure::Status(answer.status.as_u16(), retry_after(&answer.headers))
                }
            };
            if let Some(elsewhere) = self.elsewhere(failure).await {
                self.turn(elsewhere);
                (validator, attempt, since) = (None, 0, Instant::now());
                continue;
            }
            match retry::decide(attempt, since.elapsed(), failure) {
                Verdict::Retry(pause) => self.pause(pause, &trouble).await,
                Verdict::GiveUp if self.go_home() => {
                    (validator, attempt, since) = (None, 0, Instant::now());
                }
                Verdict::GiveUp => return self.give_up(trouble).await,
            }
        }
    }

    /// One request, its body appended to the buffer.
    pub(super) async fn attempt(&self, validator: &mut Option<Validator>) -> Result<(), Trouble> {
        let from = self.buffer.len();
        let is_after_peer = from > 0 && !self.buffer.has_released();
        let answer = self.origin.open_from(&self.request, from, validator.as_ref()).await;
        let mut answer = answer.map_err(|error| match error {
            // Fewer bytes than a peer has sent: what it sent is wrong, not the origin.
            OriginError::WrongRange { .. } if is_after_peer => Trouble::Mismatch,
            error => Trouble::Origin(error),
        })?;
        if !matches!(answer.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Err(Trouble::Status(Box::new(answer)));
        }
        if is_encoded(&answer.headers) {
            return Err(Trouble::Encoded);
        }
        if is_after_peer && !self.continues(from, answer.total) {
            return Err(Trouble::Mismatch);
        }
        let is_turned = from > 0 && !is_after_peer && !self.failed.is_empty();
        if is_turned && !self.is_same_size(answer.total) {
            let host = self.request.url.host_str().unwrap_or_default().to_owned();
            return Err(Trouble::Origin(OriginError::Changed { host }));
        }
        *validator = Validator::from_headers(&answer.headers).or(validator.take());
        self.buffer.set_head(Head {
            content_type: content_type(&answer.headers, &self.request),
            total: answer.total,
            source: if is_after_peer { Source::Both } else { Source::Origin },
            headers: Arc::new(answer.headers.clone()),
        });
        let mut at = from;
        while let Some(bytes) = answer.chunk().await.map_err(Trouble::Origin)? {
            let size = bytes.len() as u64;
            self.append(at, bytes, answer.total).await?;
            at += size;
        }
        Ok(())
    }

    async fn append(&self, at: u64, bytes: Bytes, total: Option<u64>) -> Result<(), Trouble> {
        let size = bytes.len() as u64;
        self.buffer.room().await;
        self.buffer.append(at, bytes, true);
        self.meter.add(|c| &c.origin_bytes, size);
        let news = News::Progress(size, total);
        let event = DownloadEvent { segment: self.segment, serial: self.serial, news };
        self.events.send(event).await.map_err(|_| Trouble::Gone)
    }

    /// Whether what a peer sent can be the beginning of what the origin is about to continue.
    fn continues(&self, from: u64, total: Option<u64>) -> bool {
        total.is_none_or(|total| from <= total && self.claimed.is_none_or(|size| size == total))
            && self.buffer.contents().is_some_and(|held| self.shape.fits_beginning(&held))
    }

    async fn pause(&self, pause: Duration, trouble: &Trouble) {
        match trouble {
            Trouble::Origin(error) => {
                tracing::debug!(segment = %self.segment, %error, "asking the origin again");
            }
            Trouble::Status(answer) => {
                let status = answer.status.as_u16();
                tracing::debug!(segment = %self.segment, status, "asking the origin again");
            }
            Trouble::Mismatch | Trouble::Encoded | Trouble::Gone => {}
        }
        tokio::time::sleep(pause).await;
    }

    async fn give_up(&self, trouble: Trouble) {
        let failure = match trouble {
            Trouble::Origin(error) => {
                tracing::warn!(segment = %self.segment, %error, "a segment could not be fetched");
                Failure::Broken(Arc::new(error))
            }
            Trouble::Status(mut answer) => {
                let status = answer.status;
                tracing::info!(
                    segment = %self.segment,
                    status = status.as_u16(),
                    "the origin refused a segment"
                );
                let body = answer.collect(REFUSAL_BYTES_MAX).await.unwrap_or_default();
                let headers = std::mem::take(&mut answer.headers);
                Failure::Refused(Arc::new(Refusal { status, headers, body }))
            }
            Trouble::Encoded => {
                tracing::debug!(segment = %self.segment, "an encoded segment is not shared");
                Failure::Encoded
            }
            Trouble::Mismatch | Trouble::Gone => Failure::Abandoned,
        };
        self.tell(News::Failed(failure)).await;
    }

    async fn tell(&self, news: News) {
        let event = DownloadEvent { segment: self.segment, serial: self.serial, news };
        // Without an actor there is nobody left to tell.
        let _ = self.events.send(event).await;
    }
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the bytes are not the segment's own, although no encoding was asked for.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| {
        !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") && !coding.is_empty()
    })
}

pub(super) fn content_type(headers: &HeaderMap, request: &FetchRequest) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| guess_content_type(request.url.path()).to_owned(), str::to_owned)
}

/// What an origin would most likely have called it; for segments that only peers sent.
pub fn guess_content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ts") => "video/mp2t",
        Some("mp4" | "m4s" | "m4v" | "cmfv") => "video/mp4",
        Some("m4a" | "cmfa") => "audio/mp4",
        Some("aac") => "audio/aac",
        Some("vtt" | "webvtt") => "text/vtt",
        _ => "application/octet-stream",
    }
}
