//! How long a playlist is as good as new, and whose it is. PURE: ages are arguments.
//!
//! A live playlist is held for half a target duration or less, so that a household costs the
//! origin one request; all others for as long as the origin says. `held` and `reload` drive it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use http::header::{
    ACCEPT_LANGUAGE, AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, REFERER, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::playlist::Timeline;

/// Longest time for which a playlist that does not grow is held unasked.
pub const HELD_MAX: Duration = Duration::from_secs(600);
/// How far one server of a live stream may lag behind another, in segments.
const LAG_MAX: u64 = 3;
/// Headers of a player for which an origin may have a playlist of its own.
const TELLING: [HeaderName; 3] = [USER_AGENT, REFERER, ACCEPT_LANGUAGE];

/// How far a media playlist reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The position behind its last segment.
    pub msn: u64,
    /// Parts listed of the segment there.
    pub parts: u64,
    /// Whether nothing will follow.
    pub is_end: bool,
}

impl Edge {
    /// Where the playlist `text` ends, which was read as `timeline`.
    pub fn of(timeline: &Timeline, text: &str) -> Self {
        let behind = |segment: &crate::playlist::Segment| segment.id.0.saturating_add(1);
        let msn = timeline.segments.last().map_or(timeline.media_sequence, behind);
        let is_tag = |line: &&str| line.is_empty() || line.starts_with('#');
        let tail = text.lines().rev().map(str::trim).take_while(is_tag);
        let parts = tail.filter(|line| line.starts_with("#EXT-X-PART:")).count();
        Self { msn, parts: parts as u64, is_end: timeline.is_ended }
    }

    /// Whether this one comes from a server that lags behind one that reached `other`. One that
    /// goes back far has begun anew.
    pub fn lags_behind(self, other: Self) -> bool {
        self < other && self.msn.saturating_add(LAG_MAX) >= other.msn
    }
}

/// How long an answer with these headers is given to others; `target` is the target duration of a
/// live playlist.
pub fn lifetime(headers: &HeaderMap, target: Option<Duration>) -> Duration {
    let stated = stated(headers).map(|stated| stated.saturating_sub(age(headers)));
    match target {
        Some(target) => (target / 2).min(stated.unwrap_or(Duration::MAX)),
        None => stated.unwrap_or_default().min(HELD_MAX),
    }
}

/// How old an answer was when it came.
pub fn age(headers: &HeaderMap) -> Duration {
    let seconds = text(headers, &AGE).and_then(|text| text.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// What of a player the origin may have judged by, as a number.
pub fn variant(forwarded: &HeaderMap) -> u64 {
    let mut hasher = DefaultHasher::new();
    for name in TELLING {
        forwarded.get(name).map(HeaderValue::as_bytes).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether the origin says that other players may get another answer.
pub fn varies(headers: &HeaderMap) -> bool {
    let named = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|line| line.split(',')).map(str::trim).any(|name| {
        name == "*" || TELLING.iter().any(|telling| name.eq_ignore_ascii_case(telling.as_str()))
    })
}

/// Headers that ask the origin whether an answer has changed; `None` where it cannot tell.
pub fn conditions(answer: &HeaderMap) -> Option<HeaderMap> {
    let mut conditions = HeaderMap::new();
    for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = answer.get(from) {
            conditions.insert(to, value.clone());
        }
    }
    (!conditions.is_empty()).then_some(conditions)
}

/// Whether a player that sent these headers has the answer already.
pub fn is_known(sent: &HeaderMap, answer: &HeaderMap) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    match text(sent, &IF_NONE_MATCH) {
        Some(tags) => text(answer, &ETAG).is_some_and(|held| {
            tags.trim() == "*" || tags.split(',').any(|tag| bare(tag) == bare(held))
        }),
        None => {
            let since = sent.get(IF_MODIFIED_SINCE);
            since.is_some() && since == answer.get(LAST_MODIFIED)
        }
    }
}

/// What the origin says about how long.
fn stated(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut max_age = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        if matches!(directive.as_str(), "no-cache" | "no-store") {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            max_age = Some(Duration::from_secs(seconds.trim_matches('"').parse().unwrap_or(0)));
        }
    }
    max_age.or_else(|| {
        let expires = text(headers, &EXPIRES)?;
        // What cannot be read is in the past, as `Expires: 0` is meant to be.
        let Ok(expires) = httpdate::parse_http_date(expires) else { return Some(Duration::ZERO) };
        let date = httpdate::parse_http_date(text(headers, &DATE)?).ok()?;
        Some(expires.duration_since(date).unwrap_or_default())
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
