//! Parts of a low-latency stream's segments: from the cache, or from the origin once for all who
//! ask, passed on as they come and then kept.
//!
//! Beside the actor, not through it: a part is wanted at once, has no due time to plan with, and
//! is never announced to peers. Where sharing parts would hook in is marked in [`Flight::land`].
//! Driven by the HTTP front.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::buffer::{Head, SegmentBuffer};
use super::download::{Download, DownloadEvent, News};
use super::failure::Failure;
use super::part_places::PlacedPart;
use super::segments::{is_private, is_segment};
use super::shape::Shape;
use super::{CacheOfStream, Command, Opening, Parts, StreamHandle};
use crate::cache::{Segment, StreamId};
use crate::ids::{ByteRange, PartId, PlayerId};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Wanted};

/// Parts of one stream that are fetched at the same time; beyond it players ask on their own.
const FLIGHTS_MAX: usize = 64;
/// News of one download waiting for its flight; the download waits when it is full.
const EVENTS_MAX: usize = 16;
/// Target durations for which an origin may hold a request for an announced part back.
const HOLDING_TARGETS: u32 = 3;

/// The parts of one stream that are on their way.
pub(super) struct Flights {
    parts: Arc<Parts>,
    under_way: Mutex<BTreeMap<PartId, Arc<SegmentBuffer>>>,
}

/// One part on its way.
struct Flight {
    flights: Arc<Flights>,
    stream: StreamId,
    part: PlacedPart,
    buffer: Arc<SegmentBuffer>,
    cancel: CancellationToken,
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Flights").field(&self.lock().len()).finish()
    }
}

impl Flights {
    /// Nothing on its way.
    pub fn new(parts: &Arc<Parts>) -> Self {
        Self { parts: parts.clone(), under_way: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartId, Arc<SegmentBuffer>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamHandle {
    /// Opens a part for a player; the origin is asked with these headers.
    pub fn open_part(
        &self,
        part: &PlacedPart,
        player: PlayerId,
        mut request: FetchRequest,
    ) -> Opening {
        // Only the actor's idea of who is watching: a full queue may lose it.
        let _ = self.commands.try_send(Command::Watched(part.duration, player));
        let CacheOfStream(cache, stream) = &*self.cache;
        if let Some(held) = cache.get(*stream, part.id) {
            return Opening::Held(held);
        }
        let mut under_way = self.flights.lock();
        // It may have landed since.
        if let Some(held) = cache.peek(*stream, part.id) {
            return Opening::Held(held);
        }
        if let Some(buffer) = under_way.get(&part.id) {
            return buffer.reader(player).map_or(Opening::Bypass, Opening::Arriving);
        }
        if under_way.len() >= FLIGHTS_MAX {
            return Opening::Bypass;
        }
        let shared = &self.flights.parts;
        let buffer = SegmentBuffer::new(shared.budget.clone(), Arc::<Notify>::default());
        let Some(reader) = buffer.reader(player) else { return Opening::Bypass };
        under_way.insert(part.id, buffer.clone());
        drop(under_way);
        request.wanted = wanted(part);
        let flight = Flight {
            flights: self.flights.clone(),
            stream: *stream,
            part: *part,
            buffer,
            cancel: shared.cancel.child_token(),
        };
        shared.tasks.spawn(flight.run(request, self.meter.clone()));
        Opening::Arriving(reader)
    }
}

fn wanted(part: &PlacedPart) -> Wanted {
    match part.extent {
        None => Wanted::Whole,
        Some(extent) => match extent.len {
            Some(len) => Wanted::Slice(ByteRange { offset: extent.offset, len }),
            None => Wanted::From(extent.offset),
        },
    }
}

impl Flight {
    async fn run(self, request: FetchRequest, meter: Meter) {
        let shared = &self.flights.parts;
        let mut origin = shared.origin.counting(meter.clone());
        if self.part.is_hint {
            origin = origin.waiting(self.part.target * HOLDING_TARGETS);
        }
        let (events, news) = mpsc::channel(EVENTS_MAX);
        let download = Download {
            segment: self.part.id.segment,
            serial: 0,
            request,
            buffer: self.buffer.clone(),
            shape: Shape::default(),
            claimed: None,
            // Pathways are for those who bear to be behind by more than a part.
            detour: None,
            failed: Vec::new(),
            home: None,
            origin,
            meter,
            events,
            cancel: self.cancel.clone(),
        };
        let (outcome, ()) = tokio::join!(self.outcome(news), download.run());
        self.land(outcome);
    }

    /// Waits for the end of the download; of a part too large to keep only as long as it is read.
    async fn outcome(&self, mut news: mpsc::Receiver<DownloadEvent>) -> Result<(), Failure> {
        while let Some(event) = news.recv().await {
            match event.news {
                News::Progress(..) => {
                    self.buffer.departed();
                    if self.buffer.is_relayed() && !self.buffer.has_readers() {
                        break;
                    }
                }
                News::Done => return Ok(()),
                News::Failed(failure) => return Err(failure),
                // Of what peers have sent, which is nothing.
                News::Mismatch | News::PieceDone | News::PieceFailed => break,
            }
        }
        self.cancel.cancel();
        Err(Failure::Abandoned)
    }

    /// Keeps a part that is whole, and lets go of the flight. A part that could be shared would be
    /// announced here, once the swarm knew more than whole segments.
    fn land(&self, outcome: Result<(), Failure>) {
        let Flights { parts, .. } = &*self.flights;
        if let Err(failure) = outcome {
            self.flights.lock().remove(&self.part.id);
            self.buffer.fail(failure);
            return;
        }
        let head = self.buffer.head();
        if let (Some(bytes), Some(head)) = (self.buffer.complete(), head)
            && !self.part.is_reused
            && is_segment(&bytes, &head.content_type)
            && !is_private(&head.headers)
        {
            let Head { content_type, headers, .. } = head;
            let (is_unseen, blocks) = (AtomicBool::new(false), OnceLock::new());
            let kept = Arc::new(Segment { bytes, content_type, headers, is_unseen, blocks });
            parts.cache.insert(self.stream, self.part.id, kept);
        }
        // Only now: whoever asks in between must find it here or there.
        self.flights.lock().remove(&self.part.id);
    }
}
