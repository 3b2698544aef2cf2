//! The actor's dealings with segments: fetching them, keeping them, throwing them away.
//!
//! Carries out what the core decided and tells it what came of it.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;

use super::actor::Actor;
use super::buffer::{Head, Source};
use super::download::{DownloadEvent, News, guess_content_type};
use super::failure::Failure;
use super::shape::Shape;
use crate::cache::Segment;
use crate::ids::{PeerKey, SegmentId};
use crate::origin::{FetchRequest, Wanted};
use crate::swarm::Input;

impl Actor {
    pub(super) fn on_download(&mut self, event: DownloadEvent) {
        if !self.arriving.is_current(&event) {
            return;
        }
        let segment = event.segment;
        match event.news {
            News::Progress(len, total) => {
                self.feed(Input::Fetched { segment, len, total });
                self.arriving.release(segment);
                self.stop_waiting_for_all(segment);
            }
            News::PieceDone => {
                self.arriving.stop_fetch(segment);
                self.pass_on(segment);
            }
            News::PieceFailed => {
                self.arriving.stop_fetch(segment);
                self.feed(Input::FetchFailed { segment });
            }
            News::Mismatch => self.reject(segment, None),
            News::Done => self.verify(segment),
            News::Failed(failure) => {
                self.arriving.stop_fetch(segment);
                self.arriving.set_failure(segment, failure);
                self.feed(Input::FetchFailed { segment });
            }
        }
    }

    /// Every byte of a segment is there: keeps it, once what peers sent of it is proved.
    pub(super) fn verify(&mut self, segment: SegmentId) {
        if !self.arriving.contains(segment) {
            return;
        }
        if self.arriving.is_checking(segment) || self.passing.is_looking(segment) {
            self.arriving.mark_whole(segment);
            return;
        }
        if self.arriving.shares(segment).is_empty() {
            if self.profile.is_sealed {
                self.check(segment, true);
            } else {
                self.keep(segment);
            }
            return;
        }
        let (buffer, shape) = (self.arriving.buffer(segment), self.shape(segment));
        if buffer.contents().is_some_and(|bytes| shape.fits(&bytes)) {
            self.check(segment, true);
        } else {
            self.reject(segment, None);
        }
    }

    /// A segment is whole and right.
    pub(super) fn keep(&mut self, segment: SegmentId) {
        let buffer = self.arriving.buffer(segment);
        let size = buffer.len();
        self.head_of_peers(segment, size);
        let Some(Head { content_type, source, headers, .. }) = buffer.head() else { return };
        let is_read = buffer.has_readers();
        let is_from_origin = !self.arriving.has_peer_bytes(segment);
        let whole = buffer.complete();
        self.trust_senders(segment);
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
            let blocks = OnceLock::new();
            let kept = Arc::new(Segment { bytes, content_type, headers, is_unseen, blocks });
            is_held = self.parts.cache.insert(self.profile.id, segment, kept.clone());
            if is_held {
                self.hash(segment, kept, is_from_origin);
            }
        }
        self.feed(Input::Completed { segment, size });
        if !is_held {
            self.feed(Input::Evicted { segment });
        }
        self.on_evictions();
    }

    /// What readers can know of a segment of which only peers have sent anything.
    pub(super) fn head_of_peers(&mut self, segment: SegmentId, total: u64) {
        let buffer = self.arriving.buffer(segment);
        if buffer.head().is_some() {
            return;
        }
        let asked = self.arriving.request(segment).map(|request| &request.url);
        let url = asked.or_else(|| Some(&self.timeline.segment(segment)?.url));
        let content_type = guess_content_type(url.map_or("", |url| url.path())).to_owned();
        let (source, headers) = (Source::Peers, Arc::default());
        buffer.set_head(Head { content_type, total: Some(total), source, headers });
    }

    /// What peers sent of a segment is wrong; `culprit` sent it, where that is certain.
    pub(super) fn reject(&mut self, segment: SegmentId, culprit: Option<PeerKey>) {
        tracing::info!(%segment, "what peers sent of a segment is not the origin's");
        self.meter.add(|c| &c.rejected_segments, 1);
        self.arriving.stop_fetch(segment);
        self.arriving.discard(segment);
        self.feed(Input::Rejected { segment, peer: culprit });
    }

    /// What the origin sent of a segment is not what the publisher's list says: a peer may have
    /// the right one.
    pub(super) fn refute(&mut self, segment: SegmentId) {
        tracing::warn!(%segment, "what the origin sent of a segment is not what its list says");
        self.arriving.stop_fetch(segment);
        self.arriving.discard(segment);
        if self.arriving.contains(segment) {
            let failure = Failure::Unproved("not what the publisher's list of hashes says");
            self.arriving.set_failure(segment, failure);
        }
        self.feed(Input::Rejected { segment, peer: None });
    }

    /// What peers sent of a segment cannot be proved.
    pub(super) fn give_up_on_peers(&mut self, segment: SegmentId) {
        tracing::debug!(%segment, "what peers sent of a segment is thrown away unproved");
        self.arriving.stop_fetch(segment);
        self.arriving.discard(segment);
        self.feed(Input::Unproven { segment });
    }

    pub(super) fn media_of(&self, segment: SegmentId) -> Duration {
        self.timeline.segment(segment).map(|known| known.duration).unwrap_or_default()
    }

    /// What the segment should look like; one that has left the playlist may be anything.
    fn shape(&self, segment: SegmentId) -> Shape {
        let known = self.timeline.segment(segment);
        known.map(|known| self.shapes.of(known.is_encrypted)).unwrap_or_default()
    }

    pub(super) fn fetch(&mut self, segment: SegmentId) {
        let Some(request) = self.request(segment) else {
            self.feed(Input::FetchFailed { segment });
            return;
        };
        self.arriving.fetch(segment, request, self.shape(segment));
        // A player need not wait for the end to get what peers sent of the beginning.
        let is_tried = self.arriving.is_checking(segment) || self.passing.is_looking(segment);
        if !self.arriving.shares(segment).is_empty() && !is_tried {
            self.check(segment, false);
        }
    }

    /// Asks the origin for some of a segment, if that makes sense there.
    pub(super) fn fetch_piece(&mut self, segment: SegmentId, bytes: Range<u64>) {
        let is_divisible = self.arriving.detour().is_none() && self.verifier.has_ranges();
        match self.request(segment).filter(|_| is_divisible) {
            Some(request) => self.arriving.fetch_piece(segment, request, bytes),
            None => self.feed(Input::FetchFailed { segment }),
        }
    }

    /// How to ask the origin for a segment: as a player did, else as players ask for others.
    pub(super) fn request(&self, segment: SegmentId) -> Option<FetchRequest> {
        if let Some(request) = self.arriving.request(segment) {
            return Some(request.clone());
        }
        let known = self.timeline.segment(segment)?;
        let wanted = known.range.map_or(Wanted::Whole, Wanted::Slice);
        Some(FetchRequest { wanted, ..self.manners.request(&known.url) })
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
