//! Links to videos of PeerTube: asks their instance where the video is and how it is shared, and
//! has the stream played by that.
//!
//! What answers mean is read in `crate::peertube`. Only the instance is asked, and for sharing the
//! one whose tracker it is; nobody learns the player's headers. Driven by `play` and the seeder.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::timeout;
use url::{Position, Url};

use super::answer::Front;
use super::error::Problem;
use crate::origin::{FetchRequest, OriginError, Waited};
use crate::peertube::{
    self, ANSWER_BYTES_MAX, Found, Instance, Link, NotPlayable, Stream, found, is_quick,
};
use crate::stream::Rule;

/// Longest wait for an answer of an instance.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Settings of an instance.
const CONFIG: &str = "/api/v1/config";

/// Where a link to a video leads.
pub struct Place {
    /// Its playlist, or its file.
    pub url: Url,
    /// Whether it is shared.
    pub is_shared: bool,
}

/// Why a link leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Nowhere {
    /// The instance cannot be asked.
    #[error("{0}")]
    Origin(#[from] OriginError),
    /// There is nothing to play.
    #[error("{host} {why}")]
    NotPlayable {
        /// Host and port.
        host: String,
        /// What the instance says.
        why: NotPlayable,
    },
}

impl Nowhere {
    /// Whether it may lead somewhere later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Origin(error) => error.is_retryable(),
            Self::NotPlayable { why, .. } => why.is_passing(),
        }
    }
}

impl From<Nowhere> for Problem {
    fn from(nowhere: Nowhere) -> Self {
        match nowhere {
            Nowhere::Origin(error) => Self::from(&error),
            Nowhere::NotPlayable { host, why } => Self::not_playable(&host, &why),
        }
    }
}

/// Where a URL leads when it is a link to a video; `None` when it is none.
pub async fn resolve(front: &Front, url: &Url) -> Option<Result<Place, Nowhere>> {
    let host = url[Position::BeforeHost..Position::AfterPort].to_owned();
    let not_playable = |why| Nowhere::NotPlayable { host, why };
    let link = match peertube::recognise(url)? {
        Ok(link) => link,
        Err(why) => return Some(Err(not_playable(why))),
    };
    let (status, answer) = match ask(front, link.video()).await {
        Ok(answer) => answer,
        Err(error) => return Some(Err(error.into())),
    };
    let found = match status {
        StatusCode::OK => found(&link, &answer),
        status => Err(peertube::refusal(&link, status.as_u16(), &answer)),
    };
    Some(match found {
        Ok(found) => Ok(place(front, &link, found).await),
        Err(why) => Err(not_playable(why)),
    })
}

/// Has the stream played as its publisher wants it.
async fn place(front: &Front, link: &Link, found: Found) -> Place {
    match found {
        Found::File(url) => Place { url, is_shared: false },
        Found::Stream(stream) => {
            let trackers = match shared_at(front, link, &stream).await {
                Ok(tracker) => front.status.trackers.named(tracker).into_iter().collect(),
                Err(why) => {
                    tracing::info!(host = link.host(), why, "a video is played without peers");
                    Vec::new()
                }
            };
            let is_shared = !trackers.is_empty();
            let Stream { playlist, swarm_id, renditions: variants, hash_list: list, .. } = *stream;
            let rule = Rule { swarm_id, variants, trackers, list };
            if front.registry.rules.set(&playlist, rule) {
                // What was read before was taken for something else.
                front.playlists.clear();
            }
            Place { url: playlist, is_shared }
        }
    }
}

/// The tracker where a video is shared, or why it is not.
async fn shared_at<'a>(
    front: &Front,
    link: &Link,
    stream: &'a Stream,
) -> Result<&'a Url, &'static str> {
    let (Some(tracker), Some(_)) = (&stream.tracker, &stream.hash_list) else {
        return Err("it has no tracker or no hashes");
    };
    let settings = settings(front, link.instance()).await;
    if !settings.shares(link.is_embedded()) {
        return Err("the instance has sharing switched off");
    }
    if stream.is_live && is_quick(&text(front, link.live()).await) {
        return Err("it is broadcast with little delay");
    }
    // A video may be another instance's, whose tracker it then has.
    let home = peertube::home(tracker);
    let home = if home == *link.instance() { settings } else { self::settings(front, &home).await };
    if !home.is_understood() {
        return Err("the tracker's version names swarms in another way, or it has none");
    }
    Ok(tracker)
}

async fn settings(front: &Front, instance: &Url) -> Instance {
    let mut url = instance.clone();
    url.set_path(CONFIG);
    Instance::read(&text(front, url).await)
}

/// An answer, or nothing where there is none.
async fn text(front: &Front, url: Url) -> Bytes {
    match ask(front, url).await {
        Ok((StatusCode::OK, answer)) => answer,
        Ok(_) => Bytes::new(),
        Err(error) => {
            tracing::debug!(%error, "an instance does not say how it shares");
            Bytes::new()
        }
    }
}

async fn ask(front: &Front, url: Url) -> Result<(StatusCode, Bytes), OriginError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let request = FetchRequest::get(url, headers);
    let asking = async {
        let mut answer = front.origin.staying().open(&request).await?;
        let body = answer.collect(ANSWER_BYTES_MAX).await?;
        front.status.meter.add(|c| &c.origin_bytes, body.len() as u64);
        Ok((answer.status, body))
    };
    let late = |_| Err(OriginError::TimedOut { host, what: Waited::Head });
    timeout(ANSWER_WAIT, asking).await.unwrap_or_else(late)
}
