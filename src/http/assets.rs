//! Lists of assets for interstitials, given out with every URI led through us.
//!
//! A playlist's own name for one ends in a mark, so that it is known as one here. What is in a list
//! is `playlist::asset_list`'s.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderValue, Response, StatusCode};

use super::answer::{Front, refuse};
use super::body::{self, Body};
use super::cache_status;
use super::error::Problem;
use super::headers::{self, BodyIs};
use super::playlist::reached_by;
use super::proxy::Asked;
use crate::origin::FetchRequest;
use crate::playlist::asset_list;

/// Answers with the list at a URL; with whatever is there, if that is none.
pub async fn serve(front: &Front, asked: &Asked) -> Response<Body> {
    let request = FetchRequest {
        cookies: asked.cookies.clone(),
        ..FetchRequest::get(asked.url.clone(), asked.forwarded.clone())
    };
    let answer = match front.origin.playlist(&request).await {
        Ok(answer) => answer,
        Err(error) => return refuse(Problem::from(&error)),
    };
    let meter = &front.status.meter;
    meter.add(|c| &c.origin_bytes, answer.body.len() as u64);
    let base = asked.base(&answer.final_url);
    let is_plain =
        answer.status == StatusCode::OK && !answer.headers.contains_key(CONTENT_ENCODING);
    let text = std::str::from_utf8(&answer.body).ok().filter(|_| is_plain);
    // Absolute by the specification, as in playlists.
    let host = reached_by(&asked.sent).map(|host| format!("http://{host}")).unwrap_or_default();
    let start = host + &asked.prefix;
    let rewritten = text.and_then(|text| asset_list::rewrite(text, &base, &start));
    let body_is = if rewritten.is_some() { BodyIs::Ours } else { BodyIs::Untouched };
    let mut response = Response::new(body::empty());
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers::to_player(&answer.headers, &base, &asked.prefix, body_is);
    let bytes = rewritten.map_or(answer.body, |text| text.into_bytes().into());
    meter.add(|c| &c.served_bytes, bytes.len() as u64);
    cache_status(response.headers_mut(), "hlswarm; fwd=bypass");
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    *response.body_mut() = body::full(bytes);
    response
}
