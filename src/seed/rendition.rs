//! One rendition being seeded: its playlist read again at the right pace, its segments fetched a
//! few at a time, its stream kept in the swarm.
//!
//! Nothing is decided here that `plan`, `pace` or `room` could. One task each, from `mod`.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Duration, Instant, sleep_until};

use super::pace::Pace;
use super::plan::Plan;
use super::room::{NoRoom, Place};
use super::{Notice, Shared, jittered};
use crate::http::answer::Front;
use crate::http::seat::{Found, Seat};
use crate::ids::SegmentId;
use crate::playlist::{Segment, Timeline};
use crate::stream::{Failure, Opening, StreamHandle};

/// Between two looks whether all of a film is still held.
const FILM_PAUSE: Duration = Duration::from_secs(30);
/// How long is waited for what others have under way, when the cache may be full then.
const ROOM_PAUSE: Duration = Duration::from_secs(1);

/// One rendition being seeded.
pub(super) struct Rendition {
    shared: Arc<Shared>,
    seat: Seat,
    stream: StreamHandle,
    plan: Plan,
    /// Of the playlist.
    pace: Pace,
    /// Of segments.
    care: Pace,
    read_at: Instant,
    /// No segment is begun before.
    rest_until: Instant,
    /// Size of the largest segment so far.
    largest: Option<u64>,
    /// Whether a segment could not be had since the playlist was read.
    has_failed: bool,
    /// What was said already.
    said: Said,
}

#[derive(Default)]
struct Said {
    is_away: bool,
    is_whole: bool,
    is_full: bool,
    is_unkept: bool,
}

/// What came of a segment.
enum Taken {
    /// It was brought whole, so many bytes.
    Whole(u64),
    /// It could not be kept.
    Unkept(&'static str),
    Failed(Failure),
}

impl Rendition {
    pub(super) fn new(
        shared: Arc<Shared>,
        seat: Seat,
        timeline: Timeline,
        stream: StreamHandle,
    ) -> Self {
        let now = Instant::now();
        let mut pace = Pace::default();
        let pause = pace.read(timeline.target_duration, true);
        let read_at = now + if timeline.is_ended { FILM_PAUSE } else { pause };
        Self {
            plan: Plan::new(shared.front.status.me, timeline),
            shared,
            seat,
            stream,
            pace,
            care: Pace::default(),
            read_at,
            rest_until: now,
            largest: None,
            has_failed: false,
            said: Said::default(),
        }
    }

    /// Seeds for as long as it is let.
    pub(super) async fn run(mut self) {
        let mut under_way = JoinSet::new();
        self.look();
        loop {
            let is_rested = Instant::now() >= self.rest_until;
            let has_next = self.plan.next().is_some();
            let turns = self.shared.turns.clone();
            tokio::select! {
                () = sleep_until(self.read_at) => self.read_again().await,
                Some(taken) = under_way.join_next() => self.taken(taken),
                Ok(turn) = turns.acquire_owned(), if has_next && is_rested => {
                    self.begin(&mut under_way, turn);
                }
                () = sleep_until(self.rest_until), if has_next && !is_rested => {}
            }
        }
    }

    /// Reads the playlist again; of a film that can be had, only looks what is held.
    async fn read_again(&mut self) {
        let began = Instant::now();
        let front = self.shared.front.clone();
        if self.plan.timeline().is_ended
            && !self.has_failed
            && let Some(stream) = self.seat.stream(&front, self.plan.timeline())
        {
            self.stream = stream;
            self.read_at = began + FILM_PAUSE;
            return self.look();
        }
        match self.seat.read(&front).await {
            Ok(Found::Media(timeline, stream)) => {
                let (target, is_ended) = (timeline.target_duration, timeline.is_ended);
                let is_changed = self.plan.update(timeline);
                let pause = self.pace.read(target, is_changed);
                self.read_at = began + if is_ended { FILM_PAUSE } else { pause };
                self.stream = stream;
                self.said.is_away = false;
                self.has_failed = false;
                self.look();
            }
            Ok(Found::Choice(_)) => self.is_away("a multivariant playlist has taken its place"),
            Err(error) => self.is_away(&error.to_string()),
        }
    }

    fn is_away(&mut self, why: &str) {
        self.read_at = Instant::now() + jittered(self.pace.failed());
        if !std::mem::replace(&mut self.said.is_away, true) {
            let (url, why) = (self.seat.shown(), why.to_owned());
            self.shared.say(Notice::Away { url, why });
        }
    }

    /// Keeps the stream, lets go of what is of no more use, and sees what is missing.
    fn look(&mut self) {
        self.stream.keep();
        if let Some(oldest) = self.plan.oldest() {
            self.stream.let_go(oldest);
        }
        let stream = &self.stream;
        let cache = self.shared.front.status.cache.figures();
        let is_roomy = cache.bytes <= cache.capacity_bytes / 2;
        self.plan.look(Instant::now().into_std(), is_roomy, |segment| stream.holds(segment));
        self.note_whole();
    }

    fn begin(&mut self, under_way: &mut JoinSet<(SegmentId, Taken)>, turn: OwnedSemaphorePermit) {
        let now = Instant::now();
        let Some(segment) = self.plan.next().cloned() else { return };
        if self.stream.holds(segment.id) {
            return self.plan.begun(now.into_std());
        }
        let place = match self.place(&segment) {
            Ok(place) => place,
            Err(NoRoom::Perhaps) => {
                self.rest_until = now + ROOM_PAUSE;
                return;
            }
            Err(NoRoom::Full) => {
                self.plan.give_up();
                return self.note_full();
            }
        };
        self.plan.begun(now.into_std());
        let (front, seat, stream) =
            (self.shared.front.clone(), self.seat.clone(), self.stream.clone());
        let bytes_max = self.shared.segment_bytes_max;
        under_way.spawn(async move {
            let _held_until_it_is_kept = (place, turn);
            (segment.id, take(&front, &seat, &stream, &segment, bytes_max).await)
        });
    }

    /// A place in the cache; a new segment of a live stream needs none, older ones go for it.
    fn place(&self, segment: &Segment) -> Result<Option<Place>, NoRoom> {
        if self.plan.is_news(segment.id) {
            return Ok(None);
        }
        let size = segment.range.map(|range| range.len).or(self.largest);
        let cache = self.shared.front.status.cache.figures();
        self.shared.room.reserve(cache.bytes, cache.capacity_bytes, size).map(Some)
    }

    fn taken(&mut self, taken: Result<(SegmentId, Taken), JoinError>) {
        let Ok((segment, taken)) = taken else { return };
        let now = Instant::now();
        match taken {
            Taken::Whole(size) => {
                self.care.recover();
                self.plan.kept(segment);
                self.largest = self.largest.max(Some(size));
                self.note_whole();
            }
            Taken::Unkept(why) => {
                if !std::mem::replace(&mut self.said.is_unkept, true) {
                    self.shared.say(Notice::Unkept { url: self.seat.shown(), why });
                }
            }
            Taken::Failed(failure) => {
                tracing::debug!(%segment, %failure, "a segment could not be had for seeding");
                self.has_failed = true;
                self.plan.failed(segment, now.into_std());
                self.rest_until = now + jittered(self.care.failed());
            }
        }
    }

    fn note_whole(&mut self) {
        let timeline = self.plan.timeline();
        if self.said.is_whole || !timeline.is_ended || self.plan.next().is_some() {
            return;
        }
        let (held, listed) = self.held();
        if held == listed {
            self.said.is_whole = true;
            self.shared.say(Notice::Whole { url: self.seat.shown(), listed });
        }
    }

    fn note_full(&mut self) {
        if !std::mem::replace(&mut self.said.is_full, true) {
            let (held, listed) = self.held();
            self.shared.say(Notice::Full { url: self.seat.shown(), held, listed });
        }
    }

    /// Segments held, and segments that there are.
    fn held(&self) -> (usize, usize) {
        let there = || self.plan.timeline().segments.iter().filter(|segment| !segment.is_gap);
        (there().filter(|segment| self.stream.holds(segment.id)).count(), there().count())
    }
}

/// Has a segment brought into the cache.
async fn take(
    front: &Arc<Front>,
    seat: &Seat,
    stream: &StreamHandle,
    segment: &Segment,
    bytes_max: u64,
) -> Taken {
    let mut reader = match seat.open(front, stream, segment).await {
        Opening::Held(held) => return Taken::Whole(held.bytes.len() as u64),
        Opening::Arriving(reader) => reader,
        Opening::Bypass => return Taken::Failed(Failure::Abandoned),
    };
    match reader.head().await {
        Ok(head) if head.total.is_some_and(|total| total > bytes_max) => {
            return Taken::Unkept("its segments are too large to be kept");
        }
        Ok(_) => {}
        Err(Failure::Encoded) => return Taken::Unkept("its segments come compressed"),
        Err(failure) => return Taken::Failed(failure),
    }
    let mut size = 0;
    loop {
        match reader.next().await {
            Ok(Some(bytes)) => size += bytes.len() as u64,
            Ok(None) => break,
            Err(failure) => return Taken::Failed(failure),
        }
        if size > bytes_max {
            return Taken::Unkept("its segments are too large to be kept");
        }
    }
    // Readers hear of the end before it is in the cache: when this is answered, it is.
    stream.figures().await;
    if stream.holds(segment.id) {
        return Taken::Whole(size);
    }
    Taken::Unkept("the origin lets nobody keep its segments, or the cache is too small for one")
}
