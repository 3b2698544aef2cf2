//! One viewer of the demonstration: plays through its daemon as a player does, at playback pace,
//! and compares every byte with the film's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::origin;
use crate::ids::SegmentId;
use crate::origin::{FetchRequest, Origin, OriginConfig, OriginError};
use crate::playlist::timeline::Segment;
use crate::playlist::{self, Definitions, Playlist, Timeline, proxy_url};

/// Media that a viewer keeps ahead of what it shows, as players do.
const BUFFER: Duration = Duration::from_secs(6);
/// Segments behind the end of a live playlist at which playing begins.
const BEHIND: usize = 3;
/// Between two attempts to get what could not be had.
const RETRY: Duration = Duration::from_millis(500);
const SEGMENT_BYTES_MAX: usize = 16 << 20;

/// How it goes for one viewer.
#[derive(Debug, Default)]
pub struct Progress {
    delivered_bytes: AtomicU64,
    stalls: AtomicU64,
    wrong_segments: AtomicU64,
}

impl Progress {
    /// Segment bytes it was given.
    pub fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes.load(Ordering::Relaxed)
    }

    /// Times its buffer ran dry after it had begun to play.
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Segments that were not the film's.
    pub fn wrong_segments(&self) -> u64 {
        self.wrong_segments.load(Ordering::Relaxed)
    }
}

/// A viewer.
pub struct Viewer {
    client: Origin,
    master: Url,
    progress: Arc<Progress>,
}

impl Viewer {
    /// A viewer of the film at `origin` through the daemon at `daemon`.
    ///
    /// # Errors
    /// When its HTTP client cannot be set up.
    pub fn new(daemon: SocketAddr, origin: SocketAddr) -> Result<Self, OriginError> {
        let film = format!("http://{origin}{}", origin::MASTER_PATH);
        let unusable = || OriginError::BadUrl { host: daemon.to_string() };
        let path = Url::parse(&film).map(|url| proxy_url::local_path(&url, None));
        let path = path.map_err(|_| unusable())?;
        let master = Url::parse(&format!("http://{daemon}{path}")).map_err(|_| unusable())?;
        let client = Origin::new(&OriginConfig::default())?;
        Ok(Self { client, master, progress: Arc::default() })
    }

    /// What it counts.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Plays from `begin` on until `end`.
    pub async fn watch(self, begin: Instant, end: Instant) {
        sleep_until(begin).await;
        let mut shown_until: Option<Instant> = None;
        let mut next = None;
        while let Some(timeline) = self.timeline(end).await {
            let reload_at = Instant::now() + timeline.target_duration / 2;
            let behind = timeline.segments.len().saturating_sub(BEHIND);
            let first = timeline.segments.get(behind).filter(|_| !timeline.is_ended);
            let from = next.or(first.map(|segment| segment.id));
            let rest = timeline.segments.iter().filter(|segment| Some(segment.id) >= from);
            for segment in rest {
                if let Some(until) = shown_until {
                    sleep_until((until - BUFFER).min(end)).await;
                }
                let Some(bytes) = self.fetch(&segment.url, end).await else { return };
                shown_until = Some(self.show(segment, &bytes, shown_until));
                next = Some(SegmentId(segment.id.0 + 1));
            }
            if timeline.is_ended {
                break;
            }
            sleep_until(reload_at.min(end)).await;
        }
        // It has it all and shows the rest.
        sleep_until(shown_until.unwrap_or(end).min(end)).await;
    }

    /// Counts a segment that has just come; when all so far will have been shown.
    fn show(&self, segment: &Segment, bytes: &Bytes, shown_until: Option<Instant>) -> Instant {
        let now = Instant::now();
        if shown_until.is_some_and(|until| until < now) {
            self.progress.stalls.fetch_add(1, Ordering::Relaxed);
        }
        self.progress.delivered_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if bytes != origin::segment(segment.id.0) {
            self.progress.wrong_segments.fetch_add(1, Ordering::Relaxed);
        }
        shown_until.unwrap_or(now).max(now) + segment.duration
    }

    async fn timeline(&self, end: Instant) -> Option<Timeline> {
        let mut url = self.master.clone();
        loop {
            let body = self.fetch(&url, end).await?;
            let text = playlist::check(&body).ok()?;
            match playlist::read(&text, &url, &Definitions::default()).ok()? {
                Playlist::Multivariant(multivariant) => {
                    url = multivariant.variants.first()?.url.clone();
                }
                Playlist::Media(timeline) => return Some(timeline),
            }
        }
    }

    /// Gets a URL, again and again until `end`.
    async fn fetch(&self, url: &Url, end: Instant) -> Option<Bytes> {
        while Instant::now() < end {
            let request = FetchRequest::get(url.clone(), HeaderMap::new());
            if let Ok(mut answer) = self.client.open(&request).await
                && answer.status.is_success()
                && let Ok(body) = answer.collect(SEGMENT_BYTES_MAX).await
            {
                return Some(body);
            }
            sleep_until((Instant::now() + RETRY).min(end)).await;
        }
        None
    }
}
