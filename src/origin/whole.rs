//! Playlists, fetched whole: several attempts, as long as a player has patience for them.
//!
//! What turns out to be audio or video instead is handed over as it comes. Texts are not read
//! here. Driven by the HTTP front.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::error::host_of;
use super::fetch::{FetchRequest, Origin, status_failure};
use super::retry::{self, Failure, Verdict};
use super::{OriginError, OriginResponse, media};
use crate::redact;

/// Largest playlist that is read; the download ends there.
pub const PLAYLIST_BYTES_MAX: usize = 10 << 20;

/// A playlist, or whatever was answered instead of one.
#[derive(Clone)]
pub struct PlaylistAnswer {
    /// The URL that answered; the playlist's relative URIs count from here.
    pub final_url: Url,
    /// Status, as the origin gave it.
    pub status: StatusCode,
    /// Headers, as the origin gave them.
    pub headers: HeaderMap,
    /// The whole body; empty where it is audio or video.
    pub body: Bytes,
    /// Audio or video, which may have no end.
    pub media: Option<Media>,
}

/// An answer for the first who takes it.
#[derive(Clone)]
pub struct Media(Arc<Mutex<Option<OriginResponse>>>);

impl Media {
    /// The answer, its body still to come.
    pub fn take(&self) -> Option<OriginResponse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for PlaylistAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { final_url, status, body, .. } = self;
        write!(f, "{status} {} {} bytes", redact::url(final_url), body.len())
    }
}

impl Origin {
    /// Fetches a playlist whole, asking again when its end is missing.
    pub async fn playlist(&self, request: &FetchRequest) -> Result<PlaylistAnswer, OriginError> {
        let mut patience = Patience::new(&request.url);
        loop {
            let attempt = self.whole(request, patience.attempt + 1).await;
            let failure = match &attempt {
                Ok(answer) => status_failure(answer.status, &answer.headers),
                Err(error) => Failure::Error { is_retryable: error.is_retryable() },
            };
            if !patience.has_more(failure).await {
                return attempt;
            }
        }
    }

    /// One attempt of [`Origin::playlist`].
    pub async fn playlist_once(
        &self,
        request: &FetchRequest,
    ) -> Result<PlaylistAnswer, OriginError> {
        self.whole(request, 1).await
    }

    async fn whole(
        &self,
        request: &FetchRequest,
        attempt: u32,
    ) -> Result<PlaylistAnswer, OriginError> {
        self.open(request).await?.into_playlist(attempt).await
    }
}

impl OriginResponse {
    /// Reads the rest of a playlist that has begun to come.
    pub async fn into_whole(self) -> Result<PlaylistAnswer, OriginError> {
        self.into_playlist(1).await
    }

    async fn into_playlist(mut self, attempt: u32) -> Result<PlaylistAnswer, OriginError> {
        let first = self.peek().await?.cloned().unwrap_or_default();
        let (final_url, status) = (self.final_url.clone(), self.status);
        if status.is_success() && media::is_media(&self.headers, &first) {
            let (headers, body) = (self.headers.clone(), Bytes::new());
            let media = Some(Media(Arc::new(Mutex::new(Some(self)))));
            return Ok(PlaylistAnswer { final_url, status, headers, body, media });
        }
        self.idle_timeout = retry::idle_limit(attempt, self.idle_timeout);
        let body = self.collect(PLAYLIST_BYTES_MAX).await?;
        Ok(PlaylistAnswer { final_url, status, headers: self.headers, body, media: None })
    }
}

/// Counts attempts and sleeps between them.
pub(super) struct Patience {
    host: String,
    began: Instant,
    attempt: u32,
}

impl Patience {
    pub(super) fn new(url: &Url) -> Self {
        Self { host: host_of(url), began: Instant::now(), attempt: 0 }
    }

    /// Sleeps and says true when it is worth asking again.
    pub(super) async fn has_more(&mut self, failure: Failure) -> bool {
        self.attempt += 1;
        match retry::decide(self.attempt, self.began.elapsed(), failure) {
            Verdict::GiveUp => false,
            Verdict::Retry(pause) => {
                let (host, attempt) = (&self.host, self.attempt);
                tracing::debug!(host, attempt, ?failure, "asking the origin again");
                tokio::time::sleep(pause).await;
                true
            }
        }
    }
}
