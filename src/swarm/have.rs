//! What is held, and when others hear of it.
//!
//! Changes are gathered for a moment, so that a burst of them is one announcement; only the start
//! of an origin fetch is told at once, because that is what keeps the others from starting theirs.
//! The bytes are the cache's business. Driven by `state`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::window::Window;
use super::wire::Message;
use crate::ids::SegmentId;

/// How long changes are gathered before they are announced.
const GATHER: Duration = Duration::from_millis(100);
/// Most held segments in one announcement, the newest of them.
const ANNOUNCED_MAX: usize = 4096;

/// The held segments and what was last said about them.
#[derive(Debug, Default)]
pub(super) struct Have {
    held: BTreeMap<SegmentId, u64>,
    announce_at: Option<Instant>,
    said: Option<Message>,
}

impl Have {
    /// Size of a held segment.
    pub(super) fn size(&self, segment: SegmentId) -> Option<u64> {
        self.held.get(&segment).copied()
    }

    /// Whether a segment is held.
    pub(super) fn has(&self, segment: SegmentId) -> bool {
        self.held.contains_key(&segment)
    }

    /// Number of held segments.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// A segment is held from now on.
    pub(super) fn insert(&mut self, segment: SegmentId, size: u64) {
        self.held.insert(segment, size);
    }

    /// A segment is no longer held.
    pub(super) fn remove(&mut self, segment: SegmentId) {
        self.held.remove(&segment);
    }

    /// Something worth announcing changed.
    pub(super) fn changed(&mut self, now: Instant) {
        self.announce_at.get_or_insert(now + GATHER);
    }

    /// Something changed that others must hear at once.
    pub(super) fn changed_urgently(&mut self, now: Instant) {
        self.announce_at = Some(now);
    }

    /// When the next announcement is due.
    pub(super) fn announce_at(&self) -> Option<Instant> {
        self.announce_at
    }

    /// The announcement, if one is due and says something new.
    pub(super) fn due_announcement(
        &mut self,
        now: Instant,
        window: &Window,
        loading: Vec<u64>,
    ) -> Option<Message> {
        self.announce_at.filter(|at| *at <= now)?;
        self.announce_at = None;
        let message = self.announcement(window, loading);
        if self.said.as_ref() == Some(&message) {
            return None;
        }
        self.said = Some(message.clone());
        Some(message)
    }

    /// Everything held that is worth announcing, and what is `loading`.
    pub(super) fn announcement(&self, window: &Window, loading: Vec<u64>) -> Message {
        let worthy = self.held.keys().rev().filter(|id| window.is_announced(**id));
        let mut loaded: Vec<u64> = worthy.take(ANNOUNCED_MAX).map(|id| id.0).collect();
        loaded.reverse();
        Message::Announcement { loaded, loading }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Slot;
    use super::*;

    #[test]
    fn an_announcement_never_outgrows_its_limit() {
        let mut window = Window::new();
        let slot = |id| Slot { id: SegmentId(id), duration: GATHER, size: None };
        window.replace(&(0..5000).map(slot).collect::<Vec<_>>(), false, Instant::now());
        let mut have = Have::default();
        (0..5000).for_each(|id| have.insert(SegmentId(id), 1));
        let Message::Announcement { loaded, .. } = have.announcement(&window, vec![]) else {
            panic!("not an announcement")
        };
        assert_eq!(loaded, (5000 - 4096..5000).collect::<Vec<_>>());
    }

    #[test]
    fn changes_are_gathered_and_nothing_is_said_twice() {
        let (window, t) = (Window::new(), Instant::now());
        let mut have = Have::default();
        have.changed(t);
        have.changed(t + GATHER / 2);
        assert_eq!(have.announce_at(), Some(t + GATHER));
        assert_eq!(have.due_announcement(t, &window, vec![]), None);
        assert!(have.due_announcement(t + GATHER, &window, vec![7]).is_some());
        have.changed_urgently(t + GATHER);
        assert_eq!(have.due_announcement(t + GATHER, &window, vec![7]), None);
        assert_eq!(have.announce_at(), None);
    }
}
