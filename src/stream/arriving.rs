//! The segments of one stream that are on their way: their buffers, downloads and readers.
//!
//! Book-keeping between the core's words (fetch, discard, verify) and the buffers; it decides
//! nothing. Driven by the actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::buffer::{Departure, SegmentBuffer};
use super::detour::Detour;
use super::download::{Download, DownloadEvent};
use super::failure::Failure;
use super::shape::Shape;
use crate::ids::SegmentId;
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin};

/// Segments of a stream that are on their way, or still being read.
pub struct Arriving {
    segments: BTreeMap<SegmentId, Entry>,
    /// Ended buffers that players still read from.
    ended: Vec<(SegmentId, Arc<SegmentBuffer>)>,
    context: Context,
    serials: u64,
    /// Where else segments can be had.
    detour: Option<Arc<dyn Detour>>,
}

/// What buffers and downloads work with.
pub struct Context {
    /// Memory for all buffers of the daemon.
    pub budget: Arc<Budget>,
    /// Woken when a reader leaves.
    pub attention: Arc<Notify>,
    /// The upstream client.
    pub origin: Origin,
    /// Counts for the stream and the daemon.
    pub meter: Meter,
    /// Where downloads report. Bounded: a busy actor holds them up.
    pub events: mpsc::Sender<DownloadEvent>,
    /// Spawns tasks that shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends every download of the stream.
    pub cancel: CancellationToken,
}

struct Entry {
    buffer: Arc<SegmentBuffer>,
    /// How the last player that opened it would ask the origin.
    request: Option<FetchRequest>,
    download: Option<(u64, CancellationToken)>,
    has_peer_bytes: bool,
    /// Size in bytes, as the last peer said.
    claimed: Option<u64>,
    failure: Option<Failure>,
}

impl Arriving {
    /// Nothing on its way.
    pub fn new(context: Context) -> Self {
        Self { segments: BTreeMap::new(), ended: Vec::new(), context, serials: 0, detour: None }
    }

    /// The buffer of a segment, empty if nothing was known of it.
    pub fn buffer(&mut self, segment: SegmentId) -> Arc<SegmentBuffer> {
        self.entry(segment).buffer.clone()
    }

    /// How to ask the origin for the segment.
    pub fn set_request(&mut self, segment: SegmentId, request: FetchRequest) {
        self.entry(segment).request = Some(request);
    }

    /// Where else the stream's segments can be had.
    pub fn set_detour(&mut self, detour: Option<Arc<dyn Detour>>) {
        self.detour = detour;
    }

    /// The path that was asked for, to guess a content type from.
    pub fn path(&self, segment: SegmentId) -> Option<String> {
        let request = self.segments.get(&segment)?.request.as_ref()?;
        Some(request.url.path().to_owned())
    }

    /// A peer's bytes were appended.
    pub fn mark_peer_bytes(&mut self, segment: SegmentId) {
        self.entry(segment).has_peer_bytes = true;
    }

    /// A peer says how large the segment is.
    pub fn set_claimed(&mut self, segment: SegmentId, size: u64) {
        self.entry(segment).claimed = Some(size);
    }

    /// Whether peers brought any of it.
    pub fn has_peer_bytes(&self, segment: SegmentId) -> bool {
        self.segments.get(&segment).is_some_and(|entry| entry.has_peer_bytes)
    }

    /// Whether it is on its way.
    pub fn contains(&self, segment: SegmentId) -> bool {
        self.segments.contains_key(&segment)
    }

    /// Begins a download behind what has arrived; `fallback` is asked where no player has.
    pub fn fetch(
        &mut self,
        segment: SegmentId,
        fallback: Option<FetchRequest>,
        shape: Shape,
    ) -> bool {
        self.serials += 1;
        let serial = self.serials;
        let entry = self.entry(segment);
        let Some(request) = entry.request.clone().or(fallback) else { return false };
        let (buffer, claimed) = (entry.buffer.clone(), entry.claimed);
        let cancel = self.context.cancel.child_token();
        let entry = self.entry(segment);
        if let Some((_, older)) = entry.download.replace((serial, cancel.clone())) {
            older.cancel();
        }
        let download = Download {
            segment,
            serial,
            request,
            buffer,
            shape,
            claimed,
            detour: self.detour.clone(),
            failed: Vec::new(),
            home: None,
            origin: self.context.origin.clone(),
            meter: self.context.meter.clone(),
            events: self.context.events.clone(),
            cancel,
        };
        self.context.tasks.spawn(download.run());
        true
    }

    /// Ends the segment's download.
    pub fn stop_fetch(&mut self, segment: SegmentId) {
        if let Some(entry) = self.segments.get_mut(&segment)
            && let Some((_, cancel)) = entry.download.take()
        {
            cancel.cancel();
        }
        self.prune();
    }

    /// Forgets segments of which nothing is here, that nobody reads and nobody brings.
    fn prune(&mut self) {
        self.segments.retain(|_, entry| {
            entry.download.is_some() || entry.buffer.has_readers() || !entry.buffer.is_empty()
        });
    }

    /// Whether news of a download are those of the present one.
    pub fn is_current(&self, event: &DownloadEvent) -> bool {
        self.segments
            .get(&event.segment)
            .and_then(|entry| entry.download.as_ref())
            .is_some_and(|(serial, _)| *serial == event.serial)
    }

    /// Remembers why the origin could not bring it, for the players if nobody can.
    pub fn set_failure(&mut self, segment: SegmentId, failure: Failure) {
        self.entry(segment).failure = Some(failure);
    }

    /// Throws away what has arrived. A segment of which a player has had bytes cannot begin again:
    /// it fails.
    pub fn discard(&mut self, segment: SegmentId) {
        let Some(entry) = self.segments.get_mut(&segment) else { return };
        (entry.has_peer_bytes, entry.claimed) = (false, None);
        if !entry.buffer.reset() {
            self.fail(segment);
        } else if !entry.buffer.has_readers() && entry.download.is_none() {
            self.segments.remove(&segment);
        }
    }

    /// Ends a segment badly: readers get the failure.
    pub fn fail(&mut self, segment: SegmentId) {
        if let Some(mut entry) = self.segments.remove(&segment) {
            entry.buffer.fail(entry.failure.take().unwrap_or(Failure::Abandoned));
            self.end(segment, entry);
        }
    }

    /// Takes a segment that is whole out of what is on its way.
    pub fn finish(&mut self, segment: SegmentId) {
        if let Some(entry) = self.segments.remove(&segment) {
            self.end(segment, entry);
        }
    }

    /// Ends everything, since the stream ends.
    pub fn abandon(&mut self) {
        for (_, entry) in std::mem::take(&mut self.segments) {
            entry.buffer.fail(Failure::Abandoned);
        }
    }

    /// Readers that have left since the last call.
    pub fn departed(&mut self) -> Vec<(SegmentId, Departure)> {
        let of = |id: SegmentId, buffer: &SegmentBuffer| {
            buffer.departed().into_iter().map(move |departure| (id, departure))
        };
        let arriving = self.segments.iter().flat_map(|(id, entry)| of(*id, &entry.buffer));
        // Nobody waits for a segment that has ended: who leaves it early is no news, and must not
        // be taken for the same player's next request.
        let ended = self.ended.iter().flat_map(|(id, buffer)| of(*id, buffer));
        let departed = arriving.chain(ended.filter(|(_, d)| d.is_complete)).collect();
        self.ended.retain(|(_, buffer)| buffer.has_readers());
        self.prune();
        departed
    }

    /// Whether any player is reading.
    pub fn has_readers(&self) -> bool {
        self.segments.values().any(|entry| entry.buffer.has_readers())
            || self.ended.iter().any(|(_, buffer)| buffer.has_readers())
    }

    fn entry(&mut self, segment: SegmentId) -> &mut Entry {
        let Context { budget, attention, .. } = &self.context;
        self.segments.entry(segment).or_insert_with(|| Entry {
            buffer: SegmentBuffer::new(budget.clone(), attention.clone()),
            request: None,
            download: None,
            has_peer_bytes: false,
            claimed: None,
            failure: None,
        })
    }

    fn end(&mut self, segment: SegmentId, entry: Entry) {
        if let Some((_, cancel)) = entry.download {
            cancel.cancel();
        }
        self.ended.push((segment, entry.buffer));
    }
}

#[cfg(test)]
#[path = "arriving_tests.rs"]
mod tests;
