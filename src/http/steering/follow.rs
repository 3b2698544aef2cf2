//! Asks the steering server of one playlist for as long as a player uses it.
//!
//! One task for each playlist, spawned when it is used; what the server says is given to the
//! playlist's course.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::super::user_info::UserInfo;
use super::super::{decode, directives};
use super::{State, Steered};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin};
use crate::playlist::steering::{Heard, MANIFEST_BYTES_MAX, Manifest, Server};
use crate::redact;

/// How long the steering server is waited for.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// A playlist that no player has used for so long is not followed.
const UNUSED_MAX: Duration = Duration::from_secs(120);

/// What a task that follows a playlist works with.
#[derive(Clone)]
pub struct Follower {
    pub(super) origin: Origin,
    pub(super) meter: Meter,
    pub(super) tasks: TaskTracker,
    pub(super) cancel: CancellationToken,
}

impl Follower {
    /// A player uses the playlist: it is followed from now on.
    pub(super) fn use_now(&self, steered: &Arc<Steered>, state: &mut State) {
        state.used_at = Instant::now();
        if state.course.due().is_some() && !std::mem::replace(&mut state.is_followed, true) {
            self.tasks.spawn(self.clone().follow(steered.clone()));
        }
    }

    /// Asks the steering server whenever it is due, until nobody uses the playlist or there is
    /// nothing more to ask.
    async fn follow(self, steered: Arc<Steered>) {
        while let Some(due) = next(&steered) {
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            if is_used(&steered) {
                tokio::select! {
                    () = self.cancel.cancelled() => return,
                    () = self.ask(&steered) => {}
                }
            }
        }
    }

    async fn ask(&self, steered: &Steered) {
        let (server, request) = {
            let state = steered.state();
            let names = state.all.names();
            let now = Instant::now().into_std();
            let pathway = state.course.ranking(&names, now).first().copied().map(str::to_owned);
            let server = match &state.server {
                Server::At(url) => Ok(directed(url, pathway.as_deref())),
                Server::Inline(bytes) => Err(Manifest::parse(bytes)),
                Server::Nowhere => return,
            };
            (server, state.request.clone())
        };
        let url = match server {
            Ok(url) => url,
            Err(manifest) => return steered.state().hear(manifest.ok().as_ref(), None),
        };
        let answer = tokio::time::timeout(SERVER_PATIENCE, self.fetch(&url, request)).await;
        let shown = redact::url(&url);
        let mut state = steered.state();
        let now = Instant::now().into_std();
        match answer.unwrap_or_else(|_| Err("it is slow".to_owned())) {
            Ok(Answer::Manifest(manifest, from)) => state.hear(Some(&manifest), Some(&from)),
            Ok(Answer::Gone) => state.course.hear(&Heard::Gone, now),
            Ok(Answer::TooMany(wait_s)) => state.course.hear(&Heard::TooMany(wait_s), now),
            Err(reason) => {
                tracing::info!(url = shown, reason, "a steering server said nothing of use");
                state.course.hear(&Heard::Nothing, now);
            }
        }
    }

    async fn fetch(&self, url: &Url, like: Option<FetchRequest>) -> Result<Answer, String> {
        // What was for one server goes to no other.
        let like = like.filter(|like| like.url.origin() == url.origin());
        let like = like.unwrap_or_else(|| FetchRequest::get(url.clone(), HeaderMap::new()));
        let request = FetchRequest { url: url.clone(), ..like };
        let mut answer = self.origin.open(&request).await.map_err(|error| error.to_string())?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::GONE => return Ok(Answer::Gone),
            StatusCode::TOO_MANY_REQUESTS => {
                let wait_s = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                return Ok(Answer::TooMany(wait_s.and_then(|wait_s| wait_s.trim().parse().ok())));
            }
            status => return Err(status.to_string()),
        }
        let body = answer.collect(MANIFEST_BYTES_MAX).await.map_err(|error| error.to_string())?;
        self.meter.add(|c| &c.origin_bytes, body.len() as u64);
        let body = decode::decode(&answer.headers, &body, MANIFEST_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        let manifest = Manifest::parse(&body).map_err(|error| error.to_string())?;
        let mut from = answer.final_url;
        let _ = UserInfo::take(&mut from);
        Ok(Answer::Manifest(Box::new(manifest), directives::split(&from).0))
    }
}

/// What a steering server answered.
enum Answer {
    Manifest(Box<Manifest>, Url),
    Gone,
    TooMany(Option<u64>),
}

/// When a task goes on; `None` ends it.
fn next(steered: &Steered) -> Option<Instant> {
    let mut state = steered.state();
    let is_used = state.used_at.elapsed() < UNUSED_MAX;
    let due = state.course.due().filter(|_| is_used).map(Instant::from_std);
    state.is_followed = due.is_some();
    due
}

fn is_used(steered: &Steered) -> bool {
    steered.state().used_at.elapsed() < UNUSED_MAX
}

/// Where a steering server is asked: with the pathway in force, in place of any that was there.
fn directed(server: &Url, pathway: Option<&str>) -> Url {
    let mut url = directives::split(server).0;
    if let Some(pathway) = pathway {
        url.query_pairs_mut().append_pair("_HLS_pathway", pathway);
    }
    url
}
