//! Bytes of a segment that lie behind a gap: put where they belong, and taken in as the bytes
//! before them arrive.
//!
//! Whether they are right is not known here. Driven by the actor.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{SegmentBuffer, State};

impl SegmentBuffer {
    /// Puts bytes of a peer where they belong, even if what comes before is not here yet; `false`
    /// when there is no place for them.
    pub fn put(&self, at: u64, bytes: Bytes) -> bool {
        self.put_in(at, bytes, false)
    }

    /// The same for bytes of the origin, which are released where nothing unproved is before them.
    pub fn put_proved(&self, at: u64, bytes: Bytes) -> bool {
        self.put_in(at, bytes, true)
    }

    fn put_in(&self, at: u64, bytes: Bytes, is_released: bool) -> bool {
        let end = at.saturating_add(bytes.len() as u64);
        let mut state = self.lock();
        if at <= state.len || state.end.is_some() {
            drop(state);
            self.append(at, bytes, is_released);
            return true;
        }
        if state.is_relay || end > self.budget.segment_bytes_max() {
            return false;
        }
        let mut is_enough = true;
        // What is here already stays.
        for gap in state.gaps(at..end) {
            let within = |place: u64| usize::try_from(place - at).unwrap_or(usize::MAX);
            let size = gap.end - gap.start;
            is_enough &= self.budget.take(size);
            state.retained += size;
            state.islands.insert(gap.start, bytes.slice(within(gap.start)..within(gap.end)));
        }
        is_enough
    }

    /// Those bytes, if all of them are here.
    pub fn slice(&self, range: Range<u64>) -> Option<Bytes> {
        let state = self.lock();
        let pieces = state.chunks.iter().map(|(at, bytes)| (*at, bytes));
        let pieces = pieces.chain(state.islands.iter().map(|(at, bytes)| (*at, bytes)));
        let mut slice = BytesMut::new();
        let mut at = range.start;
        for (start, bytes) in pieces {
            let end = start + bytes.len() as u64;
            if at < range.end && start <= at && at < end {
                let until = end.min(range.end);
                let within = |place: u64| usize::try_from(place - start).unwrap_or(usize::MAX);
                slice.extend_from_slice(bytes.get(within(at)..within(until))?);
                at = until;
            }
        }
        (at == range.end).then(|| slice.freeze())
    }

    /// Takes the islands in that the prefix has reached.
    pub(super) fn take_in(&self, state: &mut State) {
        while let Some(island) = state.islands.first_entry().filter(|e| *e.key() <= state.len) {
            let (start, mut bytes) = island.remove_entry();
            let known = usize::try_from(state.len - start).unwrap_or(usize::MAX).min(bytes.len());
            drop(bytes.split_to(known));
            state.retained -= known as u64;
            self.budget.give_back(known as u64);
            if !bytes.is_empty() {
                let (offset, size) = (state.len, bytes.len() as u64);
                state.chunks.push_back((offset, bytes));
                state.len += size;
            }
        }
    }
}

impl State {
    /// What of that is not on an island.
    fn gaps(&self, bytes: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = bytes.start;
        for (start, island) in self.islands.range(..bytes.end) {
            if *start > at {
                gaps.push(at..*start);
            }
            at = at.max(start + island.len() as u64);
        }
        if at < bytes.end {
            gaps.push(at..bytes.end);
        }
        gaps
    }
}
