//! The segments of one stream that are on their way: their buffers, downloads and readers.
//!
//! Book-keeping between the core's words (fetch, discard, verify) and the buffers; it decides
//! nothing. Driven by the actor.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::buffer::{Departure, SegmentBuffer};
use super::detour::Detour;
use super::download::{Download, DownloadEvent};
use super::failure::Failure;
use super::piece::Piece;
use super::shape::Shape;
use crate::ids::{PeerKey, SegmentId};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin};
use crate::verify::trust::Share;

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
    /// Whether nothing is given out before all of a segment is proved.
    pub is_sealed: bool,
}

struct Entry {
    buffer: Arc<SegmentBuffer>,
    /// How the last player that opened it would ask the origin.
    request: Option<FetchRequest>,
    download: Option<(u64, CancellationToken)>,
    /// What peers sent and nothing has proved yet.
    shares: Vec<Share>,
    /// Peers brought some of what is here, proved or not.
    has_peer_bytes: bool,
    /// Who sent bytes that were proved.
    senders: BTreeSet<PeerKey>,
    /// The check under way.
    check: Option<(u64, CancellationToken)>,
    /// Every byte is here.
    is_whole: bool,
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

    /// A peer's bytes were put there.
    pub fn add_share(&mut self, segment: SegmentId, peer: PeerKey, bytes: Range<u64>) {
        let entry = self.entry(segment);
        entry.has_peer_bytes = true;
        let shares = &mut entry.shares;
        let before = shares.iter_mut().find(|s| s.peer == peer && s.bytes.end == bytes.start);
        match before {
            Some(share) => share.bytes.end = bytes.end,
            None => shares.push(Share { peer, bytes }),
        }
    }

    /// What peers sent of it and nothing has proved yet.
    pub fn shares(&self, segment: SegmentId) -> &[Share] {
        self.segments.get(&segment).map_or(&[], |entry| &entry.shares)
    }

    /// Segments with bytes that nothing has proved yet.
    pub fn unproved(&self) -> Vec<SegmentId> {
        let entries = self.segments.iter().filter(|(_, entry)| !entry.shares.is_empty());
        entries.map(|(id, _)| *id).collect()
    }

    /// Whether peers brought any of what is here, proved or not.
    pub fn has_peer_bytes(&self, segment: SegmentId) -> bool {
        self.segments.get(&segment).is_some_and(|entry| entry.has_peer_bytes)
    }

    /// Segments with bytes of that peer that nothing has proved yet.
    pub fn suspects(&self, peer: PeerKey) -> Vec<SegmentId> {
        let has = |entry: &Entry| entry.shares.iter().any(|share| share.peer == peer);
        self.segments.iter().filter(|(_, entry)| has(entry)).map(|(id, _)| *id).collect()
    }

    /// A check has begun.
    pub fn set_check(&mut self, segment: SegmentId, check: (u64, CancellationToken)) {
        self.entry(segment).check = Some(check);
    }

    /// Whether it is being checked.
    pub fn is_checking(&self, segment: SegmentId) -> bool {
        self.segments.get(&segment).is_some_and(|entry| entry.check.is_some())
    }

    /// Every byte is here; the check under way may have begun before.
    pub fn mark_whole(&mut self, segment: SegmentId) {
        self.entry(segment).is_whole = true;
    }

    /// Whether every byte was here when the check ended.
    pub fn take_whole(&mut self, segment: SegmentId) -> bool {
        let entry = self.segments.get_mut(&segment);
        entry.is_some_and(|entry| std::mem::take(&mut entry.is_whole))
    }

    /// Whether it is too large to be kept.
    pub fn is_relayed(&self, segment: SegmentId) -> bool {
        self.segments.get(&segment).is_some_and(|entry| entry.buffer.is_relayed())
    }

    /// A check has ended; whether it is the present one.
    pub fn end_check(&mut self, segment: SegmentId, serial: u64) -> bool {
        let Some(entry) = self.segments.get_mut(&segment) else { return false };
        entry.check.take_if(|(number, _)| *number == serial).is_some()
    }

    /// These bytes are proved: readers may have whatever is not behind others that are not.
    pub fn prove(&mut self, segment: SegmentId, bytes: &Range<u64>) {
        let Some(entry) = self.segments.get_mut(&segment) else { return };
        let is_proved =
            |share: &&Share| share.bytes.start < bytes.end && bytes.start < share.bytes.end;
        entry.senders.extend(entry.shares.iter().filter(is_proved).map(|share| share.peer));
        let left = |share: &Share| {
            let Range { start, end } = share.bytes;
            [start..end.min(bytes.start), start.max(bytes.end)..end]
                .map(|bytes| Share { peer: share.peer, bytes })
        };
        entry.shares = entry.shares.iter().flat_map(left).collect();
        entry.shares.retain(|share| !share.bytes.is_empty());
        self.release(segment);
    }

    /// Readers may have whatever is not behind bytes that nothing has proved.
    pub fn release(&self, segment: SegmentId) {
        let Some(entry) = self.segments.get(&segment) else { return };
        let unproved = entry.shares.iter().map(|share| share.bytes.start).min();
        entry.buffer.release_to(unproved.unwrap_or(u64::MAX));
    }

    /// Who sent bytes that were proved; those since the last call.
    pub fn take_senders(&mut self, segment: SegmentId) -> BTreeSet<PeerKey> {
        let entry = self.segments.get_mut(&segment);
        entry.map(|entry| std::mem::take(&mut entry.senders)).unwrap_or_default()
    }

    /// How to ask the origin for it, as a player did.
    pub fn request(&self, segment: SegmentId) -> Option<&FetchRequest> {
        self.segments.get(&segment)?.request.as_ref()
    }

    /// Where else the stream's segments can be had.
    pub fn detour(&self) -> Option<Arc<dyn Detour>> {
        self.detour.clone()
    }

    /// A peer says how large the segment is.
    pub fn set_claimed(&mut self, segment: SegmentId, size: u64) {
        self.entry(segment).claimed = Some(size);
    }

    /// Whether it is on its way.
    pub fn contains(&self, segment: SegmentId) -> bool {
        self.segments.contains_key(&segment)
    }

    /// Begins a request for some bytes of a segment.
    pub fn fetch_piece(&mut self, segment: SegmentId, request: FetchRequest, bytes: Range<u64>) {
        let (serial, cancel) = self.begin(segment);
        let piece = Piece {
            segment,
            serial,
            bytes,
            request,
            buffer: self.entry(segment).buffer.clone(),
            origin: self.context.origin.clone(),
            meter: self.context.meter.clone(),
            events: self.context.events.clone(),
            cancel,
        };
        self.context.tasks.spawn(piece.run());
    }

    /// Number and end of a new download of that segment, which takes the place of another.
    fn begin(&mut self, segment: SegmentId) -> (u64, CancellationToken) {
        self.serials += 1;
        let (serial, cancel) = (self.serials, self.context.cancel.child_token());
        if let Some((_, older)) = self.entry(segment).download.replace((serial, cancel.clone())) {
            older.cancel();
        }
        (serial, cancel)
    }

    /// Begins a download behind what has arrived.
    pub fn fetch(&mut self, segment: SegmentId, request: FetchRequest, shape: Shape) {
        let (serial, cancel) = self.begin(segment);
        let entry = self.entry(segment);
        let (buffer, claimed) = (entry.buffer.clone(), entry.claimed);
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

    /// Throws away what has arrived and players cannot have had yet. What has ended fails.
    pub fn discard(&mut self, segment: SegmentId) {
        let Some(entry) = self.segments.get_mut(&segment) else { return };
        entry.claimed = None;
        entry.shares.clear();
        entry.senders.clear();
        entry.has_peer_bytes = entry.has_peer_bytes && entry.buffer.has_released();
        entry.is_whole = false;
        entry.end_check();
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
        let Context { budget, attention, is_sealed, .. } = &self.context;
        let buffer = || {
            let buffer = SegmentBuffer::new(budget.clone(), attention.clone());
            if *is_sealed {
                buffer.seal();
            }
            buffer
        };
        self.segments.entry(segment).or_insert_with(|| Entry {
            buffer: buffer(),
            request: None,
            download: None,
            shares: Vec::new(),
            has_peer_bytes: false,
            senders: BTreeSet::new(),
            check: None,
            is_whole: false,
            claimed: None,
            failure: None,
        })
    }

    fn end(&mut self, segment: SegmentId, mut entry: Entry) {
        entry.end_check();
        if let Some((_, cancel)) = entry.download {
            cancel.cancel();
        }
        self.ended.push((segment, entry.buffer));
    }
}

impl Entry {
    fn end_check(&mut self) {
        if let Some((_, cancel)) = self.check.take() {
            cancel.cancel();
        }
    }
}

#[cfg(test)]
#[path = "arriving_tests.rs"]
mod tests;
