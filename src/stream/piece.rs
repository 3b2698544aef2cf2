//! Some bytes of a segment from the origin, while peers bring others: one request, and no second
//! try.
//!
//! Where it fails the core asks for the whole segment, which a [`super::download`] brings with all
//! its patience. Spawned by `arriving`.

use std::ops::Range;
use std::sync::Arc;

use http::StatusCode;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::buffer::{Head, SegmentBuffer, Source};
use super::download::{DownloadEvent, News, content_type, is_encoded};
use super::verifier::means::resource_size;
use crate::ids::{ByteRange, SegmentId};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin, OriginResponse, Wanted};

/// A request for some bytes of a segment.
pub struct Piece {
    /// The segment.
    pub segment: SegmentId,
    /// Tells this request from others of the segment.
    pub serial: u64,
    /// Which bytes of the segment.
    pub bytes: Range<u64>,
    /// How to ask for the whole segment.
    pub request: FetchRequest,
    /// Where the bytes go.
    pub buffer: Arc<SegmentBuffer>,
    /// The upstream client.
    pub origin: Origin,
    /// Counts bytes.
    pub meter: Meter,
    /// Where the news go. Bounded: a busy actor holds the request up.
    pub events: mpsc::Sender<DownloadEvent>,
    /// Ends it.
    pub cancel: CancellationToken,
}

impl Piece {
    /// Runs it to its end.
    pub async fn run(self) {
        let whole = async {
            let news = if self.bring().await { News::PieceDone } else { News::PieceFailed };
            self.tell(news).await;
        };
        self.cancel.run_until_cancelled(whole).await;
    }

    /// Whether all of it came.
    async fn bring(&self) -> bool {
        let Some(mut answer) = self.ask().await else { return false };
        let total = match self.request.wanted.slice() {
            Some(slice) => Some(slice.len),
            None => resource_size(&answer),
        };
        self.buffer.set_head(Head {
            content_type: content_type(&answer.headers, &self.request),
            total,
            source: Source::Both,
            headers: Arc::new(answer.headers.clone()),
        });
        let mut at = self.bytes.start;
        while let Ok(Some(bytes)) = answer.chunk().await {
            let size = bytes.len() as u64;
            self.buffer.room().await;
            if !self.buffer.put_proved(at, bytes) {
                return false;
            }
            at += size;
            self.meter.add(|c| &c.origin_bytes, size);
            self.tell(News::Progress(size, total)).await;
        }
        at == self.bytes.end
    }

    async fn ask(&self) -> Option<OriginResponse> {
        let offset = match &self.request.wanted {
            Wanted::Whole => 0,
            Wanted::Slice(slice) => slice.offset,
            Wanted::From(_) | Wanted::AsAsked(_) => return None,
        };
        let Range { start, end } = self.bytes;
        let wanted = Wanted::Slice(ByteRange { offset: offset + start, len: end - start });
        let request = FetchRequest { wanted, ..self.request.clone() };
        let answer = self.origin.open_from(&request, 0, None).await.ok()?;
        let is_piece = answer.status == StatusCode::PARTIAL_CONTENT;
        (is_piece && !is_encoded(&answer.headers)).then_some(answer)
    }

    async fn tell(&self, news: News) {
        let event = DownloadEvent { segment: self.segment, serial: self.serial, news };
        // Without an actor there is nobody left to tell.
        let _ = self.events.send(event).await;
    }
}
