//! One player's place in a segment that is arriving: waits for what is released, and takes it.
//!
//! It never writes. Driven by the HTTP front, one for each request.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{Departure, Head, SegmentBuffer};
use crate::ids::PlayerId;
use crate::stream::failure::Failure;

/// One player's place in a segment that is arriving.
#[derive(Debug)]
pub struct Reader {
    buffer: Arc<SegmentBuffer>,
    id: u64,
    player: PlayerId,
    position: u64,
    is_staying: bool,
    changed: watch::Receiver<()>,
}

impl Reader {
    pub(super) fn new(buffer: Arc<SegmentBuffer>, id: u64, player: PlayerId) -> Self {
        let changed = buffer.version.subscribe();
        Self { buffer, id, player, position: 0, is_staying: false, changed }
    }

    /// Leaves, but lets all of it come for whoever asks next, as long as it is no larger than
    /// `bytes_max` and can be kept.
    pub fn leave_to_others(mut self, bytes_max: u64) {
        let state = self.buffer.lock();
        let total = state.head.as_ref().and_then(|head| head.total);
        let is_small = total.is_some_and(|total| total <= bytes_max && self.position < total);
        let is_staying = is_small && !state.is_relay && state.end.is_none();
        drop(state);
        self.is_staying = is_staying;
    }

    /// Bytes that have arrived, whether they may be read already or not.
    pub fn arrived(&self) -> u64 {
        self.buffer.len()
    }

    /// Whether it was the first to open the segment: the origin was asked on its behalf.
    pub fn is_first(&self) -> bool {
        self.id == 0
    }

    /// Waits for what can be known before the first byte.
    ///
    /// # Errors
    /// The [`Failure`] when nothing could be had at all.
    pub async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            {
                let state = self.buffer.lock();
                // What is sealed may still turn out to be wrong, and is nothing then.
                let head = state.head.as_ref().filter(|_| !state.is_sealed);
                match (head, &state.end) {
                    (Some(head), _) => return Ok(head.clone()),
                    (None, Some(Err(failure))) => return Err(failure.clone()),
                    (None, Some(Ok(()))) => return state.head.clone().ok_or(Failure::Abandoned),
                    (None, None) => {}
                }
            }
            self.wait().await;
        }
    }

    /// The next bytes, as many as are there; `None` at the end.
    ///
    /// # Errors
    /// The [`Failure`] when the rest cannot be had.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(outcome) = self.take_ready() {
                return outcome;
            }
            self.wait().await;
        }
    }

    pub(super) fn take_ready(&mut self) -> Option<Result<Option<Bytes>, Failure>> {
        let mut state = self.buffer.lock();
        if self.position < state.released {
            let index = state.chunks.partition_point(|(offset, _)| *offset <= self.position);
            let (offset, chunk) = &state.chunks[index.checked_sub(1)?];
            let released = usize::try_from(state.released - offset).unwrap_or(usize::MAX);
            let from = usize::try_from(self.position - offset).unwrap_or(usize::MAX);
            let bytes = chunk.slice(from..chunk.len().min(released));
            self.position += bytes.len() as u64;
            let position = self.position;
            state.readers.insert(self.id, position);
            self.buffer.trim(&mut state);
            drop(state);
            self.buffer.taken.notify_waiters();
            return Some(Ok(Some(bytes)));
        }
        match &state.end {
            Some(Ok(())) => Some(Ok(None)),
            Some(Err(failure)) => Some(Err(failure.clone())),
            None => None,
        }
    }

    async fn wait(&mut self) {
        // The sender lives in the buffer this reader holds, so the channel cannot close.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.buffer.lock();
        state.readers.remove(&self.id);
        if self.is_staying && state.end.is_none() && !state.is_relay {
            state.staying.push(self.player);
            return;
        }
        let is_complete = state.end == Some(Ok(())) && self.position == state.len
            || state.head.as_ref().and_then(|h| h.total).is_some_and(|t| self.position >= t);
        let departure = Departure { player: self.player, is_complete };
        state.departed.push(departure);
        self.buffer.trim(&mut state);
        drop(state);
        self.buffer.taken.notify_waiters();
        self.buffer.attention.notify_one();
    }
}
