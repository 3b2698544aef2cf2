//! Links that people and programs make: `/play`, which leads to the form of a URL that plays, and
//! `/m3u`, which gives out a channel list.
//!
//! What is fetched, and how, is `proxy`'s; here the given URL and headers are read.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use url::Url;

use super::answer::{Front, refuse};
use super::body::{self, Body};
use super::error::Problem;
use super::guard::Admission;
use super::proxy::{Asked, Place};
use super::{headers, peertube, playlist, session};
use crate::playlist::channels::Set;
use crate::playlist::proxy_url;

/// Leads to where a URL is played; with headers, to a session of theirs.
///
/// The page of a video leads to the video.
pub async fn play(front: &Front, url: &str, parameters: &[(String, String)]) -> Response<Body> {
    let (url, headers) = session::carried(url, parameters);
    let place = web_url(url).and_then(|url| Ok((url, prefix(front, headers)?)));
    let (url, prefix) = match place {
        Ok(place) => place,
        Err(problem) => return refuse(problem),
    };
    let url = match peertube::resolve(front, &url).await {
        None => url,
        Some(Ok(place)) => place.url,
        Some(Err(nowhere)) => return refuse(nowhere.into()),
    };
    let path = format!("{prefix}{}", proxy_url::local_path(&url, None));
    let Ok(location) = HeaderValue::from_str(&path) else {
        return refuse(Problem::bad_url("the URL has characters HTTP cannot carry"));
    };
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, location);
    // A session may be forgotten before the player forgets where it was led.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Gives out a channel list at once: not every program that reads one follows redirects.
pub async fn channel_list(
    front: &Arc<Front>,
    request: &Request<Incoming>,
    url: &str,
    admission: &Admission<'_>,
    remote: SocketAddr,
) -> Response<Body> {
    let (url, headers) = session::carried(url, &[]);
    let place = match web_url(url).and_then(|url| {
        let prefix = prefix(front, headers.clone())?;
        Ok(Place { url, prefix, carried: Some(Arc::new(headers)) })
    }) {
        Ok(place) if admission.is_own(&place.url) => return refuse(Problem::leads_to_us()),
        Ok(place) => place,
        Err(problem) => return refuse(problem),
    };
    playlist::serve(front, &Asked::new(front, request, place, admission, remote)).await
}

/// What the paths of a list's channels begin with that state headers: one for each set, or none
/// for a set that cannot be sent. They add to those of the link that led to the list.
pub fn listed_prefixes(front: &Front, carried: &HeaderMap, sets: &[Set]) -> Vec<Option<String>> {
    let open = |set: &Set| {
        let mut headers = carried.clone();
        for (name, mut value) in set.iter().filter_map(|(name, value)| headers::custom(name, value))
        {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut random = [0; session::ID_BYTES];
        if headers == *carried || crate::ids::fill_random(&mut random).is_err() {
            return None;
        }
        let id = front.sessions().open_listed(headers, random).ok()?;
        Some(session::prefix(&id))
    };
    sets.iter().map(open).collect()
}

fn web_url(text: &str) -> Result<Url, Problem> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| Problem::bad_url("the parameter url is not an http or https URL"))
}

/// What paths begin with under which these headers are sent; nothing where there are none.
pub fn prefix(front: &Front, headers: HeaderMap) -> Result<String, Problem> {
    if headers.is_empty() {
        return Ok(String::new());
    }
    let mut random = [0; session::ID_BYTES];
    crate::ids::fill_random(&mut random)
        .map_err(|error| Problem::unavailable(format!("no random bytes: {error}")))?;
    let opened = front.sessions().open(headers, random);
    opened.map(|id| session::prefix(&id)).map_err(|error| Problem::bad_url(error.to_string()))
}
