//! What the playlist says: the segments there are, how long they last, how big they may be.
//!
//! It does not know which are held or wanted. Replaced by each timeline; driven by `state`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Slot;
use crate::ids::SegmentId;

/// Most segments of a timeline that are looked at, the newest of them.
const SEGMENTS_MAX: usize = 65_536;
/// Longest a segment is taken to last, whatever the playlist says.
const DURATION_MAX: Duration = Duration::from_secs(600);
/// How long a segment is taken to last that no playlist mentions.
const DURATION_GUESS: Duration = Duration::from_secs(4);
/// Bytes per second of media until a size was seen.
const BITRATE_GUESS: f64 = 500e3;
/// Weight of a size just seen in the guess of the next.
const SAMPLE_WEIGHT: f64 = 0.3;
/// How many live segments behind the window are still announced: others may lag behind us.
const LIVE_TAIL: u64 = 8;

/// The timeline as last read.
#[derive(Debug)]
pub(super) struct Window {
    slots: BTreeMap<SegmentId, Known>,
    is_live: bool,
    target: Duration,
    media_bytes_per_second: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    duration: Duration,
    size: Option<u64>,
    since: Instant,
}

impl Window {
    /// No timeline yet.
    pub(super) fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            is_live: false,
            target: DURATION_GUESS,
            media_bytes_per_second: None,
        }
    }

    /// Replaces what is known; a segment that stays keeps the time it was first seen.
    pub(super) fn replace(&mut self, segments: &[Slot], is_live: bool, now: Instant) {
        let newest = &segments[segments.len().saturating_sub(SEGMENTS_MAX)..];
        let slots = newest.iter().map(|slot| {
            let since = self.slots.get(&slot.id).map_or(now, |known| known.since);
            let duration = slot.duration.min(DURATION_MAX);
            (slot.id, Known { duration, size: slot.size.filter(|s| *s > 0), since })
        });
        self.slots = slots.collect();
        self.is_live = is_live;
        self.target = self.slots.values().map(|k| k.duration).max().unwrap_or(DURATION_GUESS);
    }

    /// Whether the timeline still grows.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// The longest segment there is.
    pub(super) fn target(&self) -> Duration {
        self.target
    }

    /// Media time of a segment, guessed when it has left the timeline.
    pub(super) fn duration(&self, segment: SegmentId) -> Duration {
        self.slots.get(&segment).map_or(self.target, |known| known.duration)
    }

    /// Size of a segment when the playlist says so.
    pub(super) fn size(&self, segment: SegmentId) -> Option<u64> {
        self.slots.get(&segment).and_then(|known| known.size)
    }

    /// Size a segment probably has.
    pub(super) fn size_guess(&self, segment: SegmentId) -> u64 {
        let media_s = self.duration(segment).as_secs_f64();
        self.size(segment).unwrap_or((media_s * self.media_bytes_per_second()) as u64)
    }

    /// Bytes a second of media has.
    pub(super) fn media_bytes_per_second(&self) -> f64 {
        self.media_bytes_per_second.unwrap_or(BITRATE_GUESS).max(1.0)
    }

    /// When the segment was first seen in a timeline.
    pub(super) fn since(&self, segment: SegmentId) -> Option<Instant> {
        self.slots.get(&segment).map(|known| known.since)
    }

    /// The segments behind `segment`, with their media time.
    pub(super) fn after(
        &self,
        segment: SegmentId,
    ) -> impl Iterator<Item = (SegmentId, Duration)> + '_ {
        let first = SegmentId(segment.0.saturating_add(1));
        self.slots.range(first..).map(|(id, known)| (*id, known.duration))
    }

    /// Whether `next` directly follows `segment`.
    pub(super) fn is_next(&self, segment: SegmentId, next: SegmentId) -> bool {
        next.0.checked_sub(1) == Some(segment.0)
            || (next > segment && self.after(segment).next().is_some_and(|(id, _)| id == next))
    }

    /// Whether a held segment is still worth announcing.
    pub(super) fn is_announced(&self, segment: SegmentId) -> bool {
        if !self.is_live {
            return self.slots.contains_key(&segment);
        }
        let ends = self.slots.first_key_value().zip(self.slots.last_key_value());
        ends.is_some_and(|((first, _), (last, _))| {
            segment.0 >= first.0.saturating_sub(LIVE_TAIL) && segment <= *last
        })
    }

    /// A whole segment had `size` bytes.
    pub(super) fn learn_size(&mut self, segment: SegmentId, size: u64) {
        let media_s = self.duration(segment).as_secs_f64();
        if media_s > 0.0 {
            let sample = size as f64 / media_s;
            let known = self.media_bytes_per_second.unwrap_or(sample);
            self.media_bytes_per_second = Some(known + SAMPLE_WEIGHT * (sample - known));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(ids: std::ops::Range<u64>) -> Vec<Slot> {
        let duration = Duration::from_secs(4);
        ids.map(|id| Slot { id: SegmentId(id), duration, size: None }).collect()
    }

    #[test]
    fn a_segment_keeps_the_time_it_was_first_seen() {
        let start = Instant::now();
        let later = start + Duration::from_secs(4);
        let mut window = Window::new();
        window.replace(&slots(1..4), true, start);
        window.replace(&slots(2..5), true, later);
        assert_eq!(window.since(SegmentId(3)), Some(start));
        assert_eq!(window.since(SegmentId(4)), Some(later));
        assert_eq!(window.since(SegmentId(1)), None);
    }

    #[test]
    fn a_live_segment_is_announced_a_little_longer_than_it_is_listed() {
        let mut window = Window::new();
        window.replace(&slots(100..106), true, Instant::now());
        assert!(window.is_announced(SegmentId(92)));
        assert!(!window.is_announced(SegmentId(91)));
        assert!(!window.is_announced(SegmentId(106)));
        window.replace(&slots(100..106), false, Instant::now());
        assert!(!window.is_announced(SegmentId(99)));
    }

    #[test]
    fn only_the_newest_segments_of_an_endless_timeline_count() {
        let mut window = Window::new();
        window.replace(&slots(0..70_000), false, Instant::now());
        assert_eq!(window.slots.len(), SEGMENTS_MAX);
        assert!(window.since(SegmentId(69_999)).is_some());
    }

    #[test]
    fn sizes_seen_replace_the_guess() {
        let mut window = Window::new();
        window.replace(&slots(0..9), false, Instant::now());
        assert_eq!(window.size_guess(SegmentId(1)), 2_000_000);
        window.learn_size(SegmentId(3), 400_000);
        assert_eq!(window.size_guess(SegmentId(1)), 400_000);
    }
}
