//! Asks the origin for a playlist: on the ways there are, one after the other, and with patience
//! only on the last.
//!
//! Which ways there are is `steering`'s to say; what becomes of an answer, `reload`'s.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use url::Url;

use super::super::decode;
use super::super::directives::Directives;
use super::super::freshness;
use super::super::held::Fetched;
use super::super::steering::{self, WAY_PATIENCE, Way};
use super::Wish;
use crate::origin::{FetchRequest, OriginError, PlaylistAnswer, retry};
use crate::redact;

/// Target durations for which an origin may hold a request back.
const BLOCKING_TARGETS: u32 = 3;

/// What came of asking.
pub enum Come {
    /// An answer, and which of several ways it came.
    Answer(Option<Way>, Box<PlaylistAnswer>),
    /// None that is any good: this is to do instead.
    StandIn(Arc<Fetched>),
}

impl Wish<'_> {
    pub(super) async fn come(
        &self,
        previous: Option<&Fetched>,
        stand_in: Option<Arc<Fetched>>,
        target: Duration,
    ) -> Result<Come, OriginError> {
        let mut ways = self.front.steering.ways(self.asked, &self.plain);
        let last = ways.pop();
        for way in ways {
            if let Some(answer) =
                self.try_way(&self.request(&way.url, &self.directives, previous), target).await
            {
                return Ok(Come::Answer(Some(way), answer.into()));
            }
            way.failed();
        }
        let url = last.as_ref().map_or(&self.plain, |way| &way.url);
        let request = self.request(url, &self.directives, previous);
        let Some(stand_in) = stand_in else {
            let answer = self.ask(&request, target).await?;
            return Ok(Come::Answer(last, answer.into()));
        };
        let answer = self.ask_once(&request, target).await;
        Ok(answer.map_or(Come::StandIn(stand_in), |answer| Come::Answer(last, answer.into())))
    }

    /// Asks once on a way beside which there is another; `None` when that one is to be taken.
    async fn try_way(&self, request: &FetchRequest, target: Duration) -> Option<PlaylistAnswer> {
        let meter = &self.front.status.meter;
        let is_blocking = self.directives.is_blocking();
        let held_back = if is_blocking { target * BLOCKING_TARGETS } else { Duration::ZERO };
        let origin = self.front.origin.waiting(held_back);
        let attempt = origin.playlist_once(request);
        let answer = tokio::time::timeout(WAY_PATIENCE + held_back, attempt).await.ok()?.ok()?;
        meter.add(|c| &c.origin_bytes, answer.body.len() as u64);
        let is_playlist = match answer.status {
            StatusCode::OK => decode::begins_like_a_playlist(&answer.headers, &answer.body),
            status => status == StatusCode::NOT_MODIFIED,
        };
        is_playlist.then_some(answer)
    }

    /// Of the player's conditions none count: we may have to rewrite what it has. Ours do.
    pub(super) fn request(
        &self,
        url: &Url,
        directives: &Directives,
        previous: Option<&Fetched>,
    ) -> FetchRequest {
        let mut request = steering::request(self.front, self.asked, url);
        let previous = previous.filter(|previous| previous.source == *url);
        for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            request.headers.remove(name);
        }
        if let Some(conditions) = previous.and_then(|p| freshness::conditions(&p.answer.headers)) {
            request.headers.extend(conditions);
        }
        // GET also for HEAD, which is to have the length of the rewritten text.
        FetchRequest { url: directives.added_to(url), ..request }
    }

    /// Asks with the patience of a player who has nothing else.
    pub(super) async fn ask(
        &self,
        request: &FetchRequest,
        target: Duration,
    ) -> Result<PlaylistAnswer, OriginError> {
        let meter = &self.front.status.meter;
        let answer = if self.directives.is_blocking() {
            self.front.origin.waiting(target * BLOCKING_TARGETS).playlist(request).await?
        } else {
            self.front.origin.playlist(request).await?
        };
        meter.add(|c| &c.origin_bytes, answer.body.len() as u64);
        Ok(answer)
    }

    /// Asks once and for a target duration; `None` when the one at hand has to do.
    async fn ask_once(&self, request: &FetchRequest, patience: Duration) -> Option<PlaylistAnswer> {
        let meter = &self.front.status.meter;
        let attempt = self.front.origin.playlist_once(request);
        let answer = tokio::time::timeout(patience, attempt).await;
        let reason = match answer {
            Ok(Ok(answer)) if !retry::is_retryable_status(answer.status.as_u16()) => {
                meter.add(|c| &c.origin_bytes, answer.body.len() as u64);
                return Some(answer);
            }
            Ok(Ok(answer)) => answer.status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the origin is slow".to_owned(),
        };
        self.say_what_stands_in(&reason);
        None
    }

    pub(super) fn say_what_stands_in(&self, reason: &str) {
        let url = redact::url(&self.plain);
        tracing::info!(url, reason, "an older playlist stands in for one that does not come");
    }
}
