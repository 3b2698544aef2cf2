//! Playlists, given out with every URI led through us.
//!
//! `reload` brings them. An answer that is no playlist is the origin's own error, passed on, or
//! ours when it called a web page a playlist.

use std::sync::Arc;

use http::header::{AGE, CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::answer::{Front, refuse};
use super::body::{self, Body};
use super::cache_status;
use super::error::Problem;
use super::freshness;
use super::headers::{self, BodyIs};
use super::held::{Content, Fetched};
use super::proxy::{self, Asked};
use super::range;
use super::reload::{self, Brought, QUICK_BYTES_MAX};
use crate::origin::OriginResponse;
use crate::playlist::{self, rewrite};

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

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
    let text = match rewritten(asked, fetched).await {
        Ok(text) => text,
        Err(why) => return unusable(&why),
    };
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
    head.insert(CONTENT_TYPE, HeaderValue::from_static(PLAYLIST_TYPE));
    // Players of low-latency streams reckon with it.
    let age_s = fetched.age(tokio::time::Instant::now().into_std()).as_secs();
    if was_held || age_s > 0 {
        head.insert(AGE, HeaderValue::from(age_s));
    }
    cache_status(&mut head, if was_held { "hlswarm; hit" } else { "hlswarm; fwd=bypass" });
    head
}

async fn rewritten(asked: &Asked, fetched: Arc<Fetched>) -> Result<Vec<u8>, String> {
    let prefix = prefix(asked, &fetched).to_owned();
    let base = asked.base(&fetched.answer.final_url);
    let host = asked.sent.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let is_long = fetched.answer.body.len() > QUICK_BYTES_MAX;
    let work = move || {
        let text = playlist::check(&fetched.answer.body)?;
        let context = rewrite::Context {
            base: &base,
            imported: &fetched.imported,
            prefix: &prefix,
            host: host.as_deref(),
        };
        rewrite::rewrite(&text, &context).map(playlist::text::encode)
    };
    let done = if is_long { tokio::task::spawn_blocking(work).await } else { Ok(work()) };
    done.map_err(|_| "the playlist was not finished".to_owned())?.map_err(|why| why.to_string())
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
