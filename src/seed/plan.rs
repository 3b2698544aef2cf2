//! What of a playlist is still to be fetched, and in which order. PURE.
//!
//! A film is fetched in an order that no other seeder has, so that several bring each other
//! different segments and each comes from the origin about once; of a live stream the newest comes
//! first. What was fetched once and did not fit is left alone for long.
//! Which of it is held, the caller says; how it is fetched, too.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::ids::{PeerId, SegmentId};
use crate::playlist::{Segment, Timeline};

/// How long a segment that was fetched, and has been lost since, is not fetched again.
const LOST_PAUSE: Duration = Duration::from_secs(3600);
/// How long a segment that could not be had is left alone; half a target duration in a live stream.
const FAILED_PAUSE: Duration = Duration::from_secs(60);
/// Segments that are still kept behind a live playlist: others may lag.
const LIVE_TAIL: u64 = 8;

/// What is to be fetched.
#[derive(Debug)]
pub struct Plan {
    me: PeerId,
    timeline: Timeline,
    /// The newest segment when the stream was first read.
    newest_at_first: Option<SegmentId>,
    missing: VecDeque<Segment>,
    /// Segments that were tried.
    tried: BTreeMap<SegmentId, Tried>,
}

/// A segment that was tried.
#[derive(Clone, Copy, Debug)]
struct Tried {
    /// When it may be again.
    again_at: Instant,
    /// It was held then, and is no more if it is missing.
    was_kept: bool,
}

impl Plan {
    /// Everything in a playlist.
    pub fn new(me: PeerId, timeline: Timeline) -> Self {
        let newest_at_first = timeline.segments.last().map(|segment| segment.id);
        let (missing, tried) = (VecDeque::new(), BTreeMap::new());
        Self { me, timeline, newest_at_first, missing, tried }
    }

    /// The playlist as last read.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The playlist was read again; whether there is anything new in it.
    pub fn update(&mut self, timeline: Timeline) -> bool {
        let end = |timeline: &Timeline| {
            (timeline.segments.last().map(|segment| segment.id), timeline.is_ended)
        };
        let is_changed = end(&timeline) != end(&self.timeline);
        if let Some(first) = timeline.segments.first() {
            self.tried = self.tried.split_off(&first.id);
        }
        self.timeline = timeline;
        is_changed
    }

    /// Works out anew what is missing; what was lost is fetched again where the cache has so much
    /// room that it was not for want of it.
    pub fn look(&mut self, now: Instant, is_roomy: bool, is_held: impl Fn(SegmentId) -> bool) {
        let may_try = |tried: &Tried| tried.again_at <= now || (tried.was_kept && is_roomy);
        let is_due = |id| self.tried.get(&id).is_none_or(may_try);
        let listed = self.timeline.segments.iter().filter(|segment| !segment.is_gap);
        let mut missing: Vec<_> =
            listed.filter(|s| is_due(s.id) && !is_held(s.id)).cloned().collect();
        if self.timeline.is_ended {
            missing.sort_by_key(|segment| rank(self.me, segment.id));
        } else {
            missing.reverse();
        }
        self.missing = missing.into();
    }

    /// The next segment to fetch.
    pub fn next(&self) -> Option<&Segment> {
        self.missing.front()
    }

    /// The next segment is being fetched, and will not be named again for long.
    pub fn begun(&mut self, now: Instant) {
        if let Some(segment) = self.missing.pop_front() {
            let tried = Tried { again_at: now + LOST_PAUSE, was_kept: false };
            self.tried.insert(segment.id, tried);
        }
    }

    /// A segment is held.
    pub fn kept(&mut self, segment: SegmentId) {
        if let Some(tried) = self.tried.get_mut(&segment) {
            tried.was_kept = true;
        }
    }

    /// A segment could not be had.
    pub fn failed(&mut self, segment: SegmentId, now: Instant) {
        let is_ended = self.timeline.is_ended;
        let pause = if is_ended { FAILED_PAUSE } else { self.timeline.target_duration / 2 };
        self.tried.insert(segment, Tried { again_at: now + pause, was_kept: false });
    }

    /// Nothing more is to be fetched for now.
    pub fn give_up(&mut self) {
        self.missing.clear();
    }

    /// Whether a segment has appeared since the stream was first read: it is worth what has to go
    /// for it.
    pub fn is_news(&self, segment: SegmentId) -> bool {
        !self.timeline.is_ended && Some(segment) > self.newest_at_first
    }

    /// The oldest segment that is still of use, in a live stream.
    pub fn oldest(&self) -> Option<SegmentId> {
        let first = self.timeline.segments.first().filter(|_| !self.timeline.is_ended)?;
        Some(SegmentId(first.id.0.saturating_sub(LIVE_TAIL)))
    }
}

fn rank(me: PeerId, segment: SegmentId) -> u64 {
    let mut hasher = DefaultHasher::new();
    (me.0, segment.0).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playlist::{self, Definitions, Playlist};

    const ME: PeerId = PeerId(*b"-HS0001-abcdefghijkl");
    const OTHER: PeerId = PeerId(*b"-HS0001-bbcdefghijkl");

    fn timeline(ids: std::ops::Range<u64>, is_ended: bool) -> Timeline {
        let mut text =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{}\n", ids.start);
        ids.for_each(|id| text.push_str(&format!("#EXTINF:4,\n{id}.ts\n")));
        if is_ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        let base = "http://h/p.m3u8".parse().unwrap();
        match playlist::read(&text, &base, &Definitions::default()).unwrap() {
            Playlist::Media(timeline) => timeline,
            Playlist::Multivariant(_) => panic!("a media playlist"),
        }
    }

    /// Begins everything that is to be fetched.
    fn all(plan: &mut Plan, now: Instant) -> Vec<u64> {
        let mut ids = Vec::new();
        while let Some(segment) = plan.next() {
            ids.push(segment.id.0);
            plan.begun(now);
        }
        ids
    }

    #[test]
    fn each_seeder_fetches_a_whole_film_in_an_order_of_its_own() {
        let now = Instant::now();
        let orders = [ME, OTHER].map(|me| {
            let mut plan = Plan::new(me, timeline(0..50, true));
            plan.look(now, false, |id| id.0 == 7);
            all(&mut plan, now)
        });
        assert_ne!(orders[0], orders[1]);
        for mut order in orders {
            order.sort_unstable();
            assert_eq!(order, (0..50).filter(|id| *id != 7).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_lost_is_left_alone_for_long() {
        let now = Instant::now();
        let mut plan = Plan::new(ME, timeline(0..3, true));
        plan.look(now, false, |_| false);
        assert_eq!(all(&mut plan, now).len(), 3);
        plan.look(now + LOST_PAUSE - Duration::from_secs(1), false, |_| false);
        assert!(plan.next().is_none());
        plan.failed(SegmentId(1), now);
        plan.look(now + FAILED_PAUSE, false, |_| false);
        assert_eq!(all(&mut plan, now), [1]);
        plan.look(now + LOST_PAUSE, false, |_| false);
        assert_eq!(all(&mut plan, now).len(), 3);
    }

    #[test]
    fn what_was_lost_although_there_is_room_is_fetched_again() {
        let now = Instant::now();
        let mut plan = Plan::new(ME, timeline(0..3, true));
        plan.look(now, true, |_| false);
        all(&mut plan, now);
        plan.kept(SegmentId(2));
        plan.look(now, false, |_| false);
        assert!(plan.next().is_none());
        plan.look(now, true, |_| false);
        assert_eq!(all(&mut plan, now), [2], "the others cannot be kept");
    }

    #[test]
    fn of_a_live_stream_the_newest_comes_first_and_what_is_behind_it_goes() {
        let now = Instant::now();
        let mut plan = Plan::new(ME, timeline(10..14, false));
        plan.look(now, false, |_| false);
        assert_eq!(all(&mut plan, now), [13, 12, 11, 10]);
        assert_eq!(plan.oldest(), Some(SegmentId(2)));
        assert!(!plan.update(timeline(10..14, false)));
        assert!(plan.update(timeline(12..16, false)));
        plan.look(now, false, |id| id.0 < 14);
        assert!(plan.is_news(SegmentId(14)) && !plan.is_news(SegmentId(13)));
        assert_eq!(all(&mut plan, now), [15, 14]);
        plan.failed(SegmentId(15), now);
        plan.look(now + Duration::from_secs(2), false, |id| id.0 < 15);
        assert_eq!(all(&mut plan, now), [15]);
        assert_eq!(plan.tried.len(), 4, "only what is listed is remembered");
    }

    #[test]
    fn the_end_of_a_live_stream_makes_it_a_film() {
        let mut plan = Plan::new(ME, timeline(3..5, false));
        assert!(plan.update(timeline(0..6, true)));
        assert_eq!(plan.oldest(), None);
        assert!(!plan.is_news(SegmentId(5)));
    }

    #[test]
    fn a_segment_that_the_origin_does_not_have_is_not_asked_for() {
        let mut timeline = timeline(0..3, true);
        timeline.segments[1].is_gap = true;
        let mut plan = Plan::new(ME, timeline);
        plan.look(Instant::now(), false, |_| false);
        let mut ids = all(&mut plan, Instant::now());
        ids.sort_unstable();
        assert_eq!(ids, [0, 2]);
    }
}
