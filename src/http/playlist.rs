//! Playlists, given out with every URI led through us.
//!
//! `reload` brings them. An answer that is no playlist is the origin's own error, passed on, or
//! ours when it called a web page a playlist.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{AGE, CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::Instant;

use super::answer::{Front, refuse};
use super::body::{self, Body};
use super::cache_status;
use super::delay::{self, Show};
use super::directives;
use super::error::Problem;
use super::freshness;
use super::headers::{self, BodyIs};
use super::held::{Content, Fetched};
use super::play;
use super::proxy::{self, Asked};
use super::range;
use super::reload::{self, Brought, QUICK_BYTES_MAX};
use super::{sniff, steering};
use crate::origin::OriginResponse;
use crate::playlist::channels::{self, Headers};
use crate::playlist::proxy_url::Suffix;
use crate::playlist::{self, NotAPlaylist, hold_back, rewrite, steering as steered};
use crate::stream::StreamHandle;

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
/// Of a list of channels: called the other, VLC takes it for a stream.
const CHANNEL_LIST_TYPE: &str = "audio/x-mpegurl";

/// Answers with the playlist at a URL.
pub async fn serve(front: &Arc<Front>, asked: &Asked) -> Response<Body> {
    match reload::bring(front, asked).await {
        Ok(brought) => give(front, asked, brought).await,
        Err(error) => refuse(Problem::from(&error)),
    }
}

/// Answers with the playlist that an answer turned out to be.
pub async fn take(front: &Arc<Front>, asked: &Asked, answer: OriginResponse) -> Response<Body> {
    match reload::take(front, asked, answer).await {
        Ok(brought) => give(front, asked, brought).await,
        Err(error) => refuse(Problem::from(&error)),
    }
}

async fn give(front: &Arc<Front>, asked: &Asked, brought: Brought) -> Response<Body> {
    let Brought { fetched, was_held } = brought;
    let unusable = |why: &str| {
        let host = asked.url.host_str().unwrap_or_default();
        refuse(Problem::no_source(format!("{host}: {why}")))
    };
    match &fetched.content {
        Content::Other => return unchanged(front, asked, &fetched).await,
        Content::Unusable(why) => return unusable(why),
        Content::Text(_) => {}
    }
    let mut response = Response::new(body::empty());
    *response.headers_mut() = head(asked, &fetched, was_held);
    if freshness::is_known(&asked.sent, &fetched.answer.headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let behind = Behind::settle(front, asked, &fetched).await;
    let given = Given {
        show: behind.as_ref().map(|behind| behind.show),
        segments: sniff::segments(front, asked, &fetched).await,
        pathway: steering::join(front, asked, &fetched),
    };
    let shown = rewritten(front, asked, fetched, given).await;
    let Shown { text, last, held_back } = match shown {
        Ok(shown) => shown,
        Err(why) => return unusable(&why),
    };
    if let Some(behind) = behind {
        behind.note(front, last, held_back);
    }
    let (meter, size) = (&front.status.meter, text.len() as u64);
    meter.add(|c| &c.served_bytes, size);
    if was_held {
        meter.add(|c| &c.cache_bytes, size);
    }
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    *response.body_mut() = body::full(text);
    response
}

fn head(asked: &Asked, fetched: &Fetched, was_held: bool) -> HeaderMap {
    let answer = &fetched.answer;
    let mut head = headers::to_player(
        &answer.headers,
        &asked.base(&answer.final_url),
        prefix(asked, fetched),
        BodyIs::Ours,
    );
    let kind = match fetched.content {
        Content::Text(Err(NotAPlaylist::ChannelList)) => CHANNEL_LIST_TYPE,
        _ => PLAYLIST_TYPE,
    };
    head.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // Players of low-latency streams reckon with it.
    let age_s = fetched.age(Instant::now().into_std()).as_secs();
    if was_held || age_s > 0 {
        head.insert(AGE, HeaderValue::from(age_s));
    }
    cache_status(&mut head, if was_held { "hlswarm; hit" } else { "hlswarm; fwd=bypass" });
    head
}

/// A player of a live stream that may be kept behind its edge.
struct Behind {
    key: delay::Key,
    show: Show,
    stream: StreamHandle,
}

impl Behind {
    async fn settle(front: &Front, asked: &Asked, fetched: &Fetched) -> Option<Self> {
        let target = fetched.target.filter(|_| !fetched.is_delta)?;
        if front.delays().is_off() {
            return None;
        }
        let playlist = directives::split(&asked.url).0;
        let of_session = fetched.adopted.as_ref().map(|adopted| adopted.credentials);
        let credentials = of_session.unwrap_or(asked.credentials);
        let stream = front.registry.playing(credentials, &playlist)?;
        let standing = stream.standing(asked.player()).await;
        let key = (asked.player(), credentials, playlist.into());
        let show = front.delays().settle(&key, target, standing, Instant::now().into_std());
        Some(Self { key, show, stream })
    }

    /// What the player was given.
    fn note(&self, front: &Front, last: Option<u64>, held_back: Duration) {
        if let Some(last) = last {
            front.delays().shown(&self.key, last);
        }
        let held_back_ms = u64::try_from(held_back.as_millis()).unwrap_or(u64::MAX);
        self.stream.profile().live_delay_ms.store(held_back_ms, Ordering::Relaxed);
    }
}

/// What of a playlist a player is to be given.
struct Given {
    show: Option<Show>,
    /// What the names of segments are to end in.
    segments: Option<Suffix>,
    /// Of a steered one, the variants of this pathway.
    pathway: Option<String>,
}

/// A playlist as a player gets it.
struct Shown {
    text: Vec<u8>,
    /// Media sequence number of its last segment.
    last: Option<u64>,
    /// How much media it lacks at the end.
    held_back: Duration,
}

async fn rewritten(
    front: &Arc<Front>,
    asked: &Asked,
    fetched: Arc<Fetched>,
    Given { show, segments, pathway }: Given,
) -> Result<Shown, String> {
    let prefix = prefix(asked, &fetched).to_owned();
    let base = asked.base(&fetched.answer.final_url);
    let host = reached_by(&asked.sent);
    let is_long = fetched.answer.body.len() > QUICK_BYTES_MAX;
    let is_list = matches!(fetched.content, Content::Text(Err(NotAPlaylist::ChannelList)));
    let (front, carried) = (front.clone(), asked.carried());
    let work = move || {
        let text = playlist::check(&fetched.answer.body)?;
        let context = rewrite::Context {
            base: &base,
            imported: &fetched.imported,
            prefix: &prefix,
            host: host.as_deref(),
            segments,
        };
        let text = pathway.map_or(text.clone(), |only| steered::only(&text, &only).into());
        let text = front.quality.narrow(&text);
        let held = show.and_then(|show| hold_back::hold_back(&text, show.delay, show.shown));
        let shown = held.as_ref().map_or(&*text, |held| &held.text);
        let stated = if is_list { channels::headers(shown) } else { Headers::default() };
        let prefixes = play::listed_prefixes(&front, &carried, &stated.sets);
        let prefix_at = |start| prefixes.get(stated.set_at(start)?)?.as_deref();
        let ours = rewrite::rewrite_channels(shown, &context, prefix_at)?;
        Ok(Shown {
            text: playlist::text::encode(ours),
            last: show.and_then(|_| hold_back::last_sequence(shown)),
            held_back: held.map_or(Duration::ZERO, |held| held.media),
        })
    };
    let done = if is_long { tokio::task::spawn_blocking(work).await } else { Ok(work()) };
    done.map_err(|_| "the playlist was not finished".to_owned())?
        .map_err(|why: NotAPlaylist| why.to_string())
}

/// The host by which a player reaches us with plain HTTP. Behind a proxy that adds TLS there is
/// none: a page there may not load what is not encrypted, and paths lead through the proxy.
pub fn reached_by(sent: &HeaderMap) -> Option<String> {
    let is_tls = sent.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let host = sent.get(HOST).filter(|_| !is_tls)?;
    host.to_str().ok().map(str::to_owned)
}

/// What paths given to the player begin with.
fn prefix<'a>(asked: &'a Asked, fetched: &'a Fetched) -> &'a str {
    fetched.adopted.as_ref().map_or(&asked.prefix, |adopted| &adopted.prefix)
}

/// The origin's answer as it is: an error status, a coding nobody knows, audio or video.
async fn unchanged(front: &Arc<Front>, asked: &Asked, fetched: &Fetched) -> Response<Body> {
    let answer = &fetched.answer;
    if let Some(media) = &answer.media {
        // Others who waited for it ask themselves, and so does who wants a part.
        let is_all_wanted = range::parse(asked.sent.get(RANGE)).is_from_start();
        return match media.take().filter(|_| is_all_wanted) {
            Some(answer) => proxy::stream(front, asked, answer),
            None => Box::pin(proxy::pass(front, asked)).await,
        };
    }
    let mut response = Response::new(body::empty());
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers::to_player(
        &answer.headers,
        &asked.base(&answer.final_url),
        &asked.prefix,
        BodyIs::Untouched,
    );
    cache_status(response.headers_mut(), "hlswarm; fwd=bypass");
    front.status.meter.add(|c| &c.served_bytes, answer.body.len() as u64);
    *response.body_mut() = body::full(answer.body.clone());
    response
}
