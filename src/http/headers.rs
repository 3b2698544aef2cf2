//! Which headers pass between player and origin. PURE.
//!
//! Both ways by list: what is not named here stays on its side, hop-by-hop headers first of all.
//! `Range` is not copied, since a segment may be a slice of what the player sees as a whole.

use super::guard::Admission;
use http::header::{
    ACCEPT_LANGUAGE, ACCEPT_RANGES, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION,
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, DATE,
    ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, ORIGIN, PRAGMA, REFERER,
    RETRY_AFTER, SET_COOKIE, USER_AGENT, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::hash::{DefaultHasher, Hash, Hasher};
use url::Url;

/// Copied from the player as they are; `Origin` and `Referer` are looked at first.
const TO_ORIGIN: [HeaderName; 6] =
    [IF_NONE_MATCH, IF_MODIFIED_SINCE, USER_AGENT, COOKIE, AUTHORIZATION, ACCEPT_LANGUAGE];

/// Copied from the origin as they are, whatever becomes of the body; `Set-Cookie` is adapted.
const TO_PLAYER: [HeaderName; 13] = [
    CONTENT_TYPE,
    CONTENT_LANGUAGE,
    CONTENT_DISPOSITION,
    ETAG,
    LAST_MODIFIED,
    CACHE_CONTROL,
    PRAGMA,
    EXPIRES,
    AGE,
    DATE,
    VARY,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
];

/// Copied only with the very body they describe.
const OF_THE_BODY: [HeaderName; 4] =
    [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_ENCODING, ACCEPT_RANGES];

/// What headers begin with in which radio stations tell their name and where titles are.
const OF_A_CHANNEL: &str = "icy-";

/// Headers that say nothing about who is allowed to have the bytes.
const HARMLESS: [HeaderName; 7] = [
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    USER_AGENT,
    ACCEPT_LANGUAGE,
    REFERER,
    ORIGIN,
    http::header::RANGE,
];

/// Headers that a `/play` link must not set: they belong to the connection, or to us.
const NOT_CUSTOM: [&str; 19] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "if-range",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];

/// What becomes of the origin's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyIs {
    /// It goes to the player byte by byte as it came.
    Untouched,
    /// It is rewritten, or comes from elsewhere: its length and coding are ours to say.
    Ours,
}

/// The headers of a player's request that reach the origin. A `Referer` that leads to ourselves
/// is replaced by the URL that `original` finds behind its path and query, or dropped; our own
/// `Origin` means nothing to anyone else.
pub fn to_origin(
    player: &HeaderMap,
    admission: &Admission<'_>,
    original: impl Fn(&str) -> Option<Url>,
) -> HeaderMap {
    let mut headers = copy(player, &TO_ORIGIN);
    let own = |value: &HeaderValue| {
        value.to_str().ok().and_then(|text| Url::parse(text).ok()).filter(|u| admission.is_own(u))
    };
    if let Some(origin) = player.get(ORIGIN).filter(|value| own(value).is_none()) {
        headers.insert(ORIGIN, origin.clone());
    }
    if let Some(referer) = player.get(REFERER) {
        let meant = match own(referer) {
            None => Some(referer.clone()),
            Some(url) => original(&url[url::Position::BeforePath..url::Position::AfterQuery])
                .and_then(|url| HeaderValue::from_str(&as_referer(url)).ok()),
        };
        if let Some(meant) = meant {
            headers.insert(REFERER, meant);
        }
    }
    headers
}

/// Reads a `h_Name=VALUE` parameter of a `/play` link; `None` if it may not be sent.
pub fn custom(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let value = HeaderValue::from_str(value).ok()?;
    (!NOT_CUSTOM.contains(&name.as_str())).then_some((name, value))
}

/// The headers of an answer from `url` that reach the player, to whom all paths begin with
/// `prefix`. They also keep a page that an origin sends from acting as a page of ours: it may be
/// shown, but runs nowhere.
pub fn to_player(origin: &HeaderMap, url: &Url, prefix: &str, body: BodyIs) -> HeaderMap {
    let mut headers = copy(origin, &TO_PLAYER);
    if body == BodyIs::Untouched {
        headers.extend(copy(origin, &OF_THE_BODY));
        let of_channel = origin.iter().filter(|(name, _)| name.as_str().starts_with(OF_A_CHANNEL));
        headers.extend(of_channel.map(|(name, value)| (name.clone(), value.clone())));
    }
    let lines = origin.get_all(SET_COOKIE).iter();
    for cookie in lines.filter_map(|line| local_cookie(line, url, prefix)) {
        headers.append(SET_COOKIE, cookie);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("content-security-policy", HeaderValue::from_static("sandbox"));
    headers
}

/// Tells sets of credentials apart, so that bytes fetched with one are never given to another:
/// 0 without any, else a number made of all headers that could be one.
pub fn credentials(headers: &HeaderMap) -> u64 {
    let mut found: Vec<(&str, &[u8])> = headers
        .iter()
        .filter(|(name, _)| !HARMLESS.contains(name))
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    if found.is_empty() {
        return 0;
    }
    found.sort_unstable();
    let mut hasher = DefaultHasher::new();
    found.hash(&mut hasher);
    hasher.finish().max(1)
}

fn copy(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// A URL as a `Referer` states it: without password and fragment.
fn as_referer(mut url: Url) -> String {
    url.set_fragment(None);
    // Refused only by URLs without a host, and those have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// A cookie as the player has to keep it: to its eyes all origins are one host, so the path says
/// whose it is. Without that, one site's cookies would be sent to all others.
fn local_cookie(line: &HeaderValue, url: &Url, prefix: &str) -> Option<HeaderValue> {
    let text = line.to_str().ok()?;
    let mut parts = text.split(';').map(str::trim);
    let pair = parts.next().filter(|pair| pair.contains('='))?;
    let mut path = url.path().rsplit_once('/').map_or("/", |(directory, _)| directory);
    let mut kept = vec![pair.to_owned()];
    for attribute in parts {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "path" if value.trim().starts_with('/') => path = value.trim(),
            "expires" | "max-age" | "httponly" => kept.push(attribute.to_owned()),
            _ => {}
        }
    }
    let authority = &url[url::Position::BeforeUsername..url::Position::AfterPort];
    // Never without a slash behind the host: some players compare beginnings, not elements.
    let path = if path.is_empty() { "/" } else { path };
    kept.push(format!("Path={prefix}/{}/{authority}{path}", url.scheme()));
    HeaderValue::from_str(&kept.join("; ")).ok()
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
