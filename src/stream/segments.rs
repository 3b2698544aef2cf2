//! The actor's dealings with segments: fetching them, checking them, keeping them.
//!
//! Carries out what the core decided and tells it what came of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;

use super::actor::Actor;
use super::buffer::{Head, Source};
use super::download::{DownloadEvent, News, guess_content_type};
use super::shape::Shape;
use crate::cache::Segment;
use crate::ids::SegmentId;
use crate::origin::{FetchRequest, Wanted};
use crate::swarm::Input;
use crate::verify::digest::sha256;

impl Actor {
    pub(super) fn on_download(&mut self, event: DownloadEvent) {
        if !self.arriving.is_current(&event) {
            return;
        }
        let segment = event.segment;
        match event.news {
            News::Progress(len, total) => self.feed(Input::Fetched { segment, len, total }),
            News::Mismatch => self.reject(segment),
            News::Done => self.verify(segment),
            News::Failed(failure) => {
                self.arriving.stop_fetch(segment);
                self.arriving.set_failure(segment, failure);
                self.feed(Input::FetchFailed { segment });
            }
        }
    }

    /// Checks a segment of which every byte is there, and keeps it.
    pub(super) fn verify(&mut self, segment: SegmentId) {
        if !self.arriving.contains(segment) {
            return;
        }
        let buffer = self.arriving.buffer(segment);
        let from_peers = self.arriving.has_peer_bytes(segment);
        let shape = self.shape(segment);
        let agreed = self.claims.agreed(segment);
        let is_right = |bytes: Bytes| {
            shape.fits(&bytes) && agreed.is_none_or(|agreed| sha256(&bytes) == agreed)
        };
        if from_peers && !buffer.contents().is_some_and(is_right) {
            self.reject(segment);
            return;
        }
        let path = self
            .arriving
            .path(segment)
            .or_else(|| Some(self.timeline.segment(segment)?.url.path().to_owned()));
        let content_type = guess_content_type(path.as_deref().unwrap_or_default()).to_owned();
        let size = buffer.len();
        buffer.set_head(Head {
            content_type,
            total: Some(size),
            source: Source::Peers,
            headers: Arc::default(),
        });
        let Some(Head { content_type, source, headers, .. }) = buffer.head() else { return };
        let is_read = buffer.has_readers();
        let whole = buffer.complete();
        self.arriving.finish(segment);
        let mut is_held = false;
        let may_be_kept = |bytes: &Bytes| is_segment(bytes, &content_type) && !is_private(&headers);
        if let Some(bytes) = whole.filter(may_be_kept) {
            if source == Source::Peers {
                self.meter.add(|c| &c.peer_segments, 1);
            } else if let (Source::Origin, Some(known)) = (source, self.timeline.segment(segment)) {
                self.shapes.learn(&bytes, known.is_encrypted);
            }
            let is_unseen = AtomicBool::new(source == Source::Peers && !is_read);
            let kept = Arc::new(Segment { bytes: bytes.clone(), content_type, headers, is_unseen });
            is_held = self.parts.cache.insert(self.profile.id, segment, kept);
            if is_held {
                self.hash(segment, bytes, !from_peers);
            }
        }
        self.feed(Input::Completed { segment, size });
        if !is_held {
            self.feed(Input::Evicted { segment });
        }
        self.on_evictions();
    }

    pub(super) fn reject(&mut self, segment: SegmentId) {
        tracing::info!(%segment, "what peers sent of a segment is not of the stream's form");
        self.meter.add(|c| &c.rejected_segments, 1);
        self.arriving.stop_fetch(segment);
        self.arriving.discard(segment);
        self.feed(Input::Rejected { segment, peer: None });
    }

    /// What the segment should look like; one that has left the playlist may be anything.
    fn shape(&self, segment: SegmentId) -> Shape {
        let known = self.timeline.segment(segment);
        known.map(|known| self.shapes.of(known.is_encrypted)).unwrap_or_default()
    }

    pub(super) fn fetch(&mut self, segment: SegmentId) {
        let fallback = self.timeline.segment(segment).map(|known| FetchRequest {
            wanted: known.range.map_or(Wanted::Whole, Wanted::Slice),
            ..self.manners.request(&known.url)
        });
        if !self.arriving.fetch(segment, fallback, self.shape(segment)) {
            self.feed(Input::FetchFailed { segment });
        }
    }
}

/// Whether it can be a segment at all: a busy origin may send a page in place of one, or nothing,
/// and call that fine. The name alone says little: some call all their segments pages.
pub(super) fn is_segment(bytes: &[u8], content_type: &str) -> bool {
    let is_page = content_type.trim_start().to_ascii_lowercase().starts_with("text/html");
    let is_markup = bytes.trim_ascii_start().first() == Some(&b'<');
    let is_one_in_place = is_page && is_markup;
    !bytes.is_empty() && !is_one_in_place
}

/// Whether the origin means it for one player alone; `private="…"` means some header fields only.
pub(super) fn is_private(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|said| said.trim().eq_ignore_ascii_case("private"))
}
