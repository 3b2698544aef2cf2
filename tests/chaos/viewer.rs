//! A player in front of a daemon, and beside it the same player without one.
//!
//! Each request goes to the daemon and, at the same moment, straight to the origin. Both ask again
//! and again in the same way until they have it. So what the second waits is what the origin alone
//! would have made the first wait, on the same machine under the same load.
//!
//! A player waits while its picture stands still: from when it has shown all it holds (or has
//! asked, if that is later) until it is answered. Before that it is none the wiser, and the daemon
//! may take its time to spare the origin. A wait during which something came over the player's own
//! daemon does not count.
//!
//! It waits, too, while its playlist lacks a segment that the origin's has; of that, as long as a
//! player takes to look again does not count, for the origin alone makes it wait that long.

use crate::household::Household;
use crate::origin::{CONTROL, Origin, PLAYLIST, SEGMENT, number};
use crate::verdict::Verdict;
use bytes::Bytes;
use hlswarm::playlist::{self, Definitions, Playlist, proxy_url};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

/// Between two attempts to get what could not be had.
const RETRY: Duration = Duration::from_millis(500);
/// Segments behind the end of the playlist where playing begins.
const BEHIND: usize = 3;

/// A player.
pub struct Viewer {
    pub daemon: Arc<Household>,
    pub origin: Arc<Origin>,
    pub verdict: Arc<Verdict>,
    pub client: reqwest::Client,
}

/// What came of a request.
struct Answer {
    body: Bytes,
    /// Where the daemon says that the bytes came from.
    source: String,
}

impl Viewer {
    /// Plays at the live edge until `end`.
    pub async fn watch(self, end: Instant) {
        let playlist = self.at_origin(PLAYLIST);
        let mut next = None;
        let mut shown_until = Instant::now();
        while Instant::now() < end {
            let reload_at = Instant::now() + SEGMENT / 2;
            let segments = self.segments(&playlist, shown_until).await;
            let begin = segments[segments.len().saturating_sub(BEHIND)].0;
            let oldest = segments[0].0;
            let from = next.filter(|next| *next >= oldest).unwrap_or(begin);
            if segments.iter().any(|(number, _)| *number == from) {
                self.listed(from, shown_until);
            }
            for (number, local) in segments.into_iter().filter(|(number, _)| *number >= from) {
                let answer = self.get(&local, &format!("/live/seg-{number}.ts"), shown_until).await;
                shown_until = shown_until.max(Instant::now()) + SEGMENT;
                let is_true = answer.body == self.origin.truth(number);
                self.verdict.segment(&self.daemon.name, number, &answer.source, is_true);
                next = Some(number + 1);
            }
            sleep_until(reload_at).await;
        }
    }

    /// The playlist's segments: number and local URL.
    async fn segments(&self, playlist: &Url, shown_until: Instant) -> Vec<(u64, Url)> {
        let path = proxy_url::local_path(playlist, None);
        let local: Url = format!("http://{}{path}", self.daemon.address()).parse().unwrap();
        let body = self.get(&local, PLAYLIST, shown_until).await.body;
        let text = playlist::check(&body).unwrap();
        let read = playlist::read(&text, &local, &Definitions::default()).unwrap();
        let Playlist::Media(timeline) = read else { panic!("not a media playlist") };
        let origin = proxy_url::local_path(&self.at_origin(""), None);
        let numbered = timeline.segments.into_iter().map(|segment| {
            let path = format!("/{}", segment.url.path().strip_prefix(&origin).unwrap());
            (number(&path).unwrap(), segment.url)
        });
        numbered.collect()
    }

    /// Judges how long the picture stood still because this segment was not in the playlist.
    fn listed(&self, number: u64, shown_until: Instant) {
        let (now, well_since) = (Instant::now(), self.daemon.well_since());
        let look_again = SEGMENT / 2;
        let from = self.origin.published(number).max(well_since).max(shown_until - look_again);
        if self.daemon.turns().is_multiple_of(2) && self.origin.was_calm(from, now) {
            let waited = now.saturating_duration_since(from + look_again);
            let what = format!("segment {number} to be listed");
            self.verdict.wait(
                &self.daemon.name,
                self.origin.elapsed(),
                &what,
                waited,
                Duration::ZERO,
            );
        }
    }

    fn at_origin(&self, path: &str) -> Url {
        format!("http://{}{path}", self.origin.address()).parse().unwrap()
    }

    /// Gets a path through the daemon, and judges how long the picture stood still for that.
    async fn get(&self, local: &Url, path: &str, shown_until: Instant) -> Answer {
        let (began, turns) = (Instant::now(), self.daemon.turns());
        let (moment, weather) = (self.origin.elapsed(), self.origin.weather());
        let alone = self.client.get(self.at_origin(path)).header(CONTROL, "");
        let alone = tokio::spawn(async move {
            insist(alone).await;
            Instant::now()
        });
        let answer = insist(self.client.get(local.clone())).await;
        let answered = Instant::now();
        let alone = if alone.is_finished() {
            alone.await.unwrap()
        } else {
            // It would have waited longer than the player did.
            alone.abort();
            answered
        };
        if turns.is_multiple_of(2) && turns == self.daemon.turns() {
            let still_from = shown_until.max(began);
            let waited = answered.saturating_duration_since(still_from);
            let alone = alone.saturating_duration_since(still_from);
            let what = format!("{path} ({}) in {weather:?}", answer.source);
            self.verdict.wait(&self.daemon.name, moment, &what, waited, alone);
        }
        answer
    }
}

/// Asks until there is a whole answer.
async fn insist(request: reqwest::RequestBuilder) -> Answer {
    loop {
        let answer = request.try_clone().unwrap().send().await;
        if let Ok(answer) = answer
            && answer.status().is_success()
        {
            let source = answer.headers().get("cache-status");
            let source = source.map_or("", |source| source.to_str().unwrap()).to_owned();
            if let Ok(body) = answer.bytes().await {
                return Answer { body, source };
            }
        }
        sleep(RETRY).await;
    }
}
