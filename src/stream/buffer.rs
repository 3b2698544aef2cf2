//! A segment while it arrives: one writer, many readers, each at its own place.
//!
//! Bytes are appended in order, whoever brings them; readers are woken as bytes are *released*
//! (the origin's at once, a peer's only after they were proved). A segment too large to keep, or
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

mod islands;
mod reader;

pub use reader::Reader;

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
    /// What lies behind a gap, with the offset each begins at.
    islands: BTreeMap<u64, Bytes>,
    retained: u64,
    len: u64,
    released: u64,
    head: Option<Head>,
    end: Option<Result<(), Failure>>,
    is_relay: bool,
    is_sealed: bool,
    readers: BTreeMap<u64, u64>,
    next_reader: u64,
    /// Whose reader has left, but not the wish for all of it.
    staying: Vec<PlayerId>,
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

    /// Holds everything back until it is complete.
    pub fn seal(&self) {
        self.lock().is_sealed = true;
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
        Some(Reader::new(self.clone(), id, player))
    }

    /// Appends bytes that belong at `at`. Those of a peer, and those of the origin behind them,
    /// wait for [`SegmentBuffer::release`]; otherwise the origin's are released. What is here
    /// already, would leave a gap, or comes after the end (a stopped source's) is left out.
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
            self.make_relay(&mut state);
        }
        if is_released && state.released == offset && !state.is_sealed {
            state.released = state.len;
        }
        self.take_in(&mut state);
        self.trim(&mut state);
        drop(state);
        self.version.send_replace(());
    }

    /// Lets readers have everything that has arrived.
    pub fn release(&self) {
        self.release_to(u64::MAX);
    }

    /// Lets readers have what has arrived of the first `len` bytes.
    pub fn release_to(&self, len: u64) {
        let mut state = self.lock();
        let len = if state.is_sealed { 0 } else { state.len.min(len) };
        state.released = len.max(state.released);
        drop(state);
        self.version.send_replace(());
    }

    /// Tells readers what they can know before the first byte; the first word stands, but for the
    /// sources.
    pub fn set_head(&self, head: Head) {
        let mut state = self.lock();
        if head.total.is_some_and(|total| total > self.budget.segment_bytes_max()) {
            self.make_relay(&mut state);
        }
        let source = head.source;
        let known = state.head.get_or_insert(head);
        if known.source != source {
            known.source = Source::Both;
        }
        drop(state);
        self.version.send_replace(());
    }

    /// Throws everything away that readers cannot have had yet; `false` when it has ended.
    pub fn reset(&self) -> bool {
        let mut state = self.lock();
        if state.end.is_some() {
            return false;
        }
        let kept = state.released;
        let mut chunks = std::mem::take(&mut state.chunks);
        chunks.retain(|(offset, _)| *offset < kept);
        if let Some((offset, last)) = chunks.back_mut() {
            last.truncate(usize::try_from(kept - *offset).unwrap_or(usize::MAX));
        }
        let retained = chunks.iter().map(|(_, chunk)| chunk.len() as u64).sum();
        self.budget.give_back(state.retained - retained);
        (state.chunks, state.retained, state.len) = (chunks, retained, kept);
        state.islands.clear();
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
        self.see_off(&mut state, true);
        drop(state);
        self.version.send_replace(());
        whole
    }

    /// Ends it badly: readers get what was released and then the failure.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(Err(failure));
            self.see_off(&mut state, false);
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
        let state = self.lock();
        state.len == 0 && state.islands.is_empty()
    }

    /// Whether a reader may already have had bytes.
    pub fn has_released(&self) -> bool {
        self.lock().released > 0
    }

    /// Everything that has arrived, to be checked; `None` once its first bytes were let go.
    pub fn contents(&self) -> Option<Bytes> {
        let mut state = self.lock();
        state.has_beginning().then(|| {
            let whole = join(&state.chunks);
            // One copy is enough for the check, the players and the cache.
            state.chunks = VecDeque::from([(0, whole.clone())]);
            whole
        })
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

    fn make_relay(&self, state: &mut State) {
        state.is_relay = true;
        self.see_off(state, false);
    }

    /// Lets those go who stayed for the end: it is here, or is not worth it.
    fn see_off(&self, state: &mut State, is_complete: bool) {
        if !state.staying.is_empty() {
            let gone = std::mem::take(&mut state.staying);
            state.departed.extend(gone.into_iter().map(|player| Departure { player, is_complete }));
            self.attention.notify_one();
        }
    }

    fn give_back(&self, state: &mut State) {
        self.budget.give_back(state.retained);
        state.retained = 0;
        state.chunks.clear();
        state.islands.clear();
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
