//! A segment while it arrives: one writer, many readers, each at its own place.
//!
//! Bytes are appended in order, whoever brings them; readers are woken as bytes are *released*
//! (the origin's at once, a peer's only after they were checked). A segment too large to keep, or
//! more than memory allows, is relayed: what every reader has is let go, and the writer waits for
//! the slowest. Whom to fetch from is decided elsewhere; the actor and the fetch task write here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::sync::{Notify, watch};

use super::budget::Budget;
use super::failure::Failure;
use crate::ids::PlayerId;

/// Bytes by which a relayed segment's writer may be ahead of its slowest reader.
pub const RELAY_WINDOW_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where the bytes of a segment came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Only peers.
    Peers,
    /// Only the origin.
    Origin,
    /// First a peer, then the origin.
    Both,
}

/// What a reader can know before the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `Content-Type` for players.
    pub content_type: String,
    /// Size of the whole segment in bytes, where it is known.
    pub total: Option<u64>,
    /// Where the bytes come from.
    pub source: Source,
    /// The origin's header fields, where it was asked.
    pub headers: Arc<HeaderMap>,
}

/// A segment that is arriving.
#[derive(Debug)]
pub struct SegmentBuffer {
    state: Mutex<State>,
    /// Moves whenever a reader may find something new.
    version: watch::Sender<()>,
    /// Woken when a reader took something or left.
    taken: Notify,
    /// Woken when a reader left: shared with the actor that owns the buffer.
    attention: Arc<Notify>,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct State {
    /// Retained chunks with the offset each begins at.
    chunks: VecDeque<(u64, Bytes)>,
    retained: u64,
    len: u64,
    released: u64,
    head: Option<Head>,
    end: Option<Result<(), Failure>>,
    is_relay: bool,
    readers: BTreeMap<u64, u64>,
    next_reader: u64,
    departed: Vec<Departure>,
}

/// A reader that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Whose reader it was.
    pub player: PlayerId,
    /// It had read to the end.
    pub is_complete: bool,
}

impl SegmentBuffer {
    /// An empty buffer; `attention` is woken when a reader leaves.
    pub fn new(budget: Arc<Budget>, attention: Arc<Notify>) -> Arc<Self> {
        let (version, _) = watch::channel(());
        Arc::new(Self { state: Mutex::default(), version, taken: Notify::new(), attention, budget })
    }

    /// A reader from the first byte on; `None` when those bytes were let go already.
    pub fn reader(self: &Arc<Self>, player: PlayerId) -> Option<Reader> {
        let mut state = self.lock();
        if !state.has_beginning() {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, 0);
        drop(state);
        let changed = self.version.subscribe();
        Some(Reader { buffer: self.clone(), id, player, position: 0, changed })
    }

    /// Appends bytes that belong at `at`; those of the origin are released, those of a peer wait
    /// for [`SegmentBuffer::release`]. What is here already is left out, and so is what would leave
    /// a gap or comes after the end: a source that was stopped may send a little more.
    pub fn append(&self, at: u64, mut bytes: Bytes, is_released: bool) {
        let mut state = self.lock();
        let known = usize::try_from(state.len.saturating_sub(at)).unwrap_or(usize::MAX);
        if state.end.is_some() || at > state.len || known >= bytes.len() {
            return;
        }
        drop(bytes.split_to(known));
        let size = bytes.len() as u64;
        let offset = state.len;
        state.chunks.push_back((offset, bytes));
        state.len += size;
        state.retained += size;
        let is_enough = self.budget.take(size);
        if !is_enough || state.len > self.budget.segment_bytes_max() {
            state.is_relay = true;
        }
        if is_released {
            state.released = state.len;
        }
        self.trim(&mut state);
        drop(state);
        self.version.send_replace(());
    }

    /// Lets readers have everything that has arrived.
    pub fn release(&self) {
        let mut state = self.lock();
        state.released = state.len;
        drop(state);
        self.version.send_replace(());
    }

    /// Tells readers what they can know before the first byte; the first word stands.
    pub fn set_head(&self, head: Head) {
        let mut state = self.lock();
        if head.total.is_some_and(|total| total > self.budget.segment_bytes_max()) {
            state.is_relay = true;
        }
        state.head.get_or_insert(head);
        drop(state);
        self.version.send_replace(());
    }

    /// Throws everything away to begin again; `false` when a reader has been given bytes.
    pub fn reset(&self) -> bool {
        let mut state = self.lock();
        if state.released > 0 || state.end.is_some() {
            return false;
        }
        self.give_back(&mut state);
        state.len = 0;
        true
    }

    /// Ends it well. The whole segment, in one piece, unless it was relayed.
    pub fn complete(&self) -> Option<Bytes> {
        let mut state = self.lock();
        if state.end.is_some() {
            return None;
        }
        state.end = Some(Ok(()));
        state.released = state.len;
        let whole = (!state.is_relay).then(|| join(&state.chunks));
        if let Some(whole) = &whole {
            state.chunks = VecDeque::from([(0, whole.clone())]);
        }
        drop(state);
        self.version.send_replace(());
        whole
    }

    /// Ends it badly: readers get what was released and then the failure.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(Err(failure));
        }
        drop(state);
        self.version.send_replace(());
    }

    /// Bytes that have arrived.
    pub fn len(&self) -> u64 {
        self.lock().len
    }

    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a reader may already have had bytes.
    pub fn has_released(&self) -> bool {
        self.lock().released > 0
    }

    /// Everything that has arrived, to be checked; `None` once its first bytes were let go.
    pub fn contents(&self) -> Option<Bytes> {
        let state = self.lock();
        state.has_beginning().then(|| join(&state.chunks))
    }

    /// What readers were told before the first byte.
    pub fn head(&self) -> Option<Head> {
        self.lock().head.clone()
    }

    /// Whether it is too large to be kept.
    pub fn is_relayed(&self) -> bool {
        self.lock().is_relay
    }

    /// Whether anybody is reading, or has left unnoticed so far.
    pub fn has_readers(&self) -> bool {
        let state = self.lock();
        !state.readers.is_empty() || !state.departed.is_empty()
    }

    /// Readers that have left since the last call.
    pub fn departed(&self) -> Vec<Departure> {
        std::mem::take(&mut self.lock().departed)
    }

    /// Waits while a relayed segment's slowest reader is too far behind.
    pub async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            {
                let state = self.lock();
                if !state.is_relay
                    || state.retained <= RELAY_WINDOW_BYTES_MAX
                    || state.readers.is_empty()
                {
                    return;
                }
            }
            taken.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go what every reader of a relayed segment has.
    fn trim(&self, state: &mut State) {
        if !state.is_relay {
            return;
        }
        let slowest = state.readers.values().copied().min().unwrap_or(state.released);
        while let Some((offset, chunk)) = state.chunks.front() {
            let size = chunk.len() as u64;
            if offset + size > slowest {
                break;
            }
            state.chunks.pop_front();
            state.retained -= size;
            self.budget.give_back(size);
        }
    }

    fn give_back(&self, state: &mut State) {
        self.budget.give_back(state.retained);
        state.retained = 0;
        state.chunks.clear();
    }
}

impl State {
    /// Whether nothing was let go yet.
    fn has_beginning(&self) -> bool {
        self.len == 0 || self.chunks.front().is_some_and(|(offset, _)| *offset == 0)
    }
}

impl Drop for SegmentBuffer {
    fn drop(&mut self) {
        let mut state = std::mem::take(&mut *self.lock());
        self.give_back(&mut state);
    }
}

/// One player's place in a segment that is arriving.
#[derive(Debug)]
pub struct Reader {
    buffer: Arc<SegmentBuffer>,
    id: u64,
    player: PlayerId,
    position: u64,
    changed: watch::Receiver<()>,
}

impl Reader {
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
                match (&state.head, &state.end) {
                    (Some(head), _) => return Ok(head.clone()),
                    (None, Some(Err(failure))) => return Err(failure.clone()),
                    (None, Some(Ok(()))) => return Err(Failure::Abandoned),
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

    fn take_ready(&mut self) -> Option<Result<Option<Bytes>, Failure>> {
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

fn join(chunks: &VecDeque<(u64, Bytes)>) -> Bytes {
    if let [(_, only)] = chunks.as_slices().0
        && chunks.len() == 1
    {
        return only.clone();
    }
    let mut whole = BytesMut::with_capacity(chunks.iter().map(|(_, c)| c.len()).sum());
    chunks.iter().for_each(|(_, chunk)| whole.extend_from_slice(chunk));
    whole.freeze()
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
