//! Keeps whole films and live windows in the cache and shares them, without a player.
//!
//! A seeder is one more that asks for segments, the same way as the HTTP front does: what it gets
//! goes through the stream's actor into the cache, from peers as far as they have it, and the
//! stream stays in its swarm. What is fetched when is `plan`, `pace` and `room`; one task for each
//! rendition, `rendition`, carries it out. The daemon starts it, `run` prints what it says.

mod notice;
mod pace;
mod plan;
mod rendition;
mod room;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::http::answer::Front;
use crate::http::peertube;
use crate::http::seat::{Found, Seat};
use crate::playlist::Timeline;
use crate::stream::{STREAMS_MAX, StreamHandle};

pub use notice::Notice;
use pace::Pace;
use rendition::Rendition;
use room::Room;

/// Segments fetched at the same time, of all renditions: players of the same origin come first.
pub const AT_ONCE_MAX: usize = 4;
/// Renditions seeded at the same time: some streams are left for players.
pub const RENDITIONS_MAX: usize = STREAMS_MAX * 3 / 4;
/// Things said that nobody has read yet; what comes then is not said.
const NOTICES_MAX: usize = 256;

/// Seeds until it is dropped, or the daemon ends.
pub struct Seeder {
    front: Arc<Front>,
    notices: mpsc::Receiver<Notice>,
    cancel: CancellationToken,
}

/// What all renditions share.
struct Shared {
    front: Arc<Front>,
    segment_bytes_max: u64,
    room: Arc<Room>,
    turns: Arc<Semaphore>,
    renditions: AtomicUsize,
    notices: mpsc::Sender<Notice>,
}

impl Seeder {
    /// Begins to seed what is at those URLs, none of which has a user name or password.
    pub fn start(
        front: Arc<Front>,
        urls: Vec<Url>,
        segment_bytes_max: u64,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let (sender, notices) = mpsc::channel(NOTICES_MAX);
        let shared = Arc::new(Shared {
            front: front.clone(),
            segment_bytes_max,
            room: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            renditions: AtomicUsize::new(0),
            notices: sender,
        });
        for url in urls {
            let (shared, cancel) = (shared.clone(), cancel.clone());
            tasks.spawn(async move {
                let seeding = async {
                    if let Some(url) = behind(&shared, url).await {
                        source(shared, Seat::new(url)).await;
                    }
                };
                cancel.run_until_cancelled_owned(seeding).await
            });
        }
        Self { front, notices, cancel }
    }

    /// What there is to say next; `None` once nothing is left that can be seeded.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// How it goes, a line for each rendition.
    pub async fn report(&self) -> String {
        let mut text = String::new();
        for stream in self.front.registry.streams() {
            let profile = stream.profile();
            if profile.is_seeded.load(Ordering::Relaxed) {
                let figures = stream.figures().await;
                text.push_str(&notice::line(profile, &figures));
            }
        }
        text
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Shared {
    fn say(&self, notice: Notice) {
        tracing::debug!(%notice, "seeding");
        // Who does not listen misses it.
        let _ = self.notices.try_send(notice);
    }
}

/// The playlist behind a link to a video; any other URL is one already.
async fn behind(shared: &Shared, url: Url) -> Option<Url> {
    let mut pace = Pace::default();
    let mut is_said = false;
    loop {
        let shown = crate::redact::url(&url);
        let nowhere = match peertube::resolve(&shared.front, &url).await {
            None => return Some(url),
            Some(Ok(place)) if place.is_shared => return Some(place.url),
            Some(Ok(_)) => {
                let why = "its instance does not have it shared".to_owned();
                shared.say(Notice::Lost { url: shown, why });
                return None;
            }
            Some(Err(nowhere)) => nowhere,
        };
        let why = nowhere.to_string();
        if !nowhere.is_retryable() {
            shared.say(Notice::Lost { url: shown, why });
            return None;
        }
        if !std::mem::replace(&mut is_said, true) {
            shared.say(Notice::Away { url: shown, why });
        }
        tokio::time::sleep(jittered(pace.failed())).await;
    }
}

/// Seeds what is at one URL; returns only when that is impossible for good.
async fn source(shared: Arc<Shared>, seat: Seat) {
    match first_read(&shared, seat).await {
        None => {}
        Some((seat, Found::Media(timeline, stream))) => {
            rendition(&shared, seat, timeline, stream).await;
        }
        Some((seat, Found::Choice(seats))) => {
            let mut renditions = JoinSet::new();
            for seat in seats {
                renditions.spawn(choice(shared.clone(), seat));
            }
            if renditions.is_empty() {
                let why = "the playlist names no media playlist".to_owned();
                shared.say(Notice::Lost { url: seat.shown(), why });
            }
            while renditions.join_next().await.is_some() {}
        }
    }
}

async fn choice(shared: Arc<Shared>, seat: Seat) {
    match first_read(&shared, seat).await {
        None => {}
        Some((seat, Found::Media(timeline, stream))) => {
            rendition(&shared, seat, timeline, stream).await;
        }
        Some((seat, Found::Choice(_))) => {
            let why = "a multivariant playlist within another".to_owned();
            shared.say(Notice::Lost { url: seat.shown(), why });
        }
    }
}

async fn rendition(shared: &Arc<Shared>, seat: Seat, timeline: Timeline, stream: StreamHandle) {
    if !stream.profile().is_shared {
        let why = "it is not shared, by the wish of whoever publishes it".to_owned();
        shared.say(Notice::Lost { url: seat.shown(), why });
        return;
    }
    if shared.renditions.fetch_add(1, Ordering::Relaxed) < RENDITIONS_MAX {
        Rendition::new(shared.clone(), seat, timeline, stream).run().await;
    } else {
        let why = format!("only {RENDITIONS_MAX} renditions are seeded at the same time");
        shared.say(Notice::Lost { url: seat.shown(), why });
    }
}

/// Reads a playlist for the first time, however long its origin is away.
async fn first_read(shared: &Shared, mut seat: Seat) -> Option<(Seat, Found)> {
    let mut pace = Pace::default();
    let mut is_said = false;
    loop {
        let error = match seat.read(&shared.front).await {
            Ok(found) => return Some((seat, found)),
            Err(error) => error,
        };
        let (url, why) = (seat.shown(), error.to_string());
        if !error.is_retryable() {
            shared.say(Notice::Lost { url, why });
            return None;
        }
        if !std::mem::replace(&mut is_said, true) {
            shared.say(Notice::Away { url, why });
        }
        tokio::time::sleep(jittered(pace.failed())).await;
    }
}

/// Between three quarters and five quarters of a pause: seeders should not all come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut random = [128];
    // Without randomness it is as if there were no others.
    let _ = crate::ids::fill_random(&mut random);
    pause.mul_f64(0.75 + f64::from(random[0]) / 510.0)
}
