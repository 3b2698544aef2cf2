//! Headers that a link carries for players which cannot send them, and `cookies`' jars. PURE.
//!
//! `/play` is given headers, once; the player is led to `/s/ID/https/…`, and so is everything that
//! it fetches from there. The id is a random name of the headers and says nothing about them.
//! Randomness comes in as an argument; `answer` and `play` drive it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use lru::LruCache;
use url::form_urlencoded;

use super::cookies::{self, Jars};
use super::headers;

/// Sessions remembered; the one not used for longest is forgotten.
pub const SESSIONS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// Most bytes of names and values in one session.
pub const SESSION_BYTES_MAX: usize = 16 << 10;
/// Random bytes in an id: nobody guesses another's.
pub const ID_BYTES: usize = 16;
/// What the path of a session begins with.
const MARK: &str = "/s/";
/// Options that Kodi takes behind a bar and that are no headers.
const NOT_HEADERS: [&str; 12] = [
    "auth",
    "connection-timeout",
    "customrequest",
    "failonerror",
    "httpproxy",
    "noshout",
    "postdata",
    "redirect-limit",
    "seekable",
    "sslcipherlist",
    "verifypeer",
    "acceptencoding",
];

/// Headers that channel lists put behind a bar.
const USUAL_HEADERS: [&str; 6] =
    ["authorization", "cookie", "origin", "referer", "user-agent", "x-forwarded-for"];

/// The sessions of the daemon.
#[derive(Debug)]
pub struct Sessions {
    linked: LruCache<String, Arc<HeaderMap>>,
    /// Those that cookies have opened.
    pub jars: Jars,
}

/// Why headers cannot be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the headers are larger than {SESSION_BYTES_MAX} bytes")]
pub struct TooLarge;

impl Default for Sessions {
    fn default() -> Self {
        Self { linked: LruCache::new(SESSIONS_MAX), jars: Jars::default() }
    }
}

impl Sessions {
    /// The id of a session with these headers: of one that is there already, or a new one made of
    /// `random`.
    pub fn open(&mut self, headers: HeaderMap, random: [u8; ID_BYTES]) -> Result<String, TooLarge> {
        let size = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len()
        };
        if headers.iter().map(size).sum::<usize>() > SESSION_BYTES_MAX {
            return Err(TooLarge);
        }
        let mut linked = self.linked.iter();
        let known = linked.find(|(_, held)| ***held == headers).map(|(id, _)| id.clone());
        let id = known.unwrap_or_else(|| BASE64_URL_SAFE_NO_PAD.encode(random));
        self.linked.put(id.clone(), Arc::new(headers));
        Ok(id)
    }

    /// The headers of a session: none of a forgotten one that had only cookies, without which the
    /// player is no worse off than without us.
    pub fn headers(&mut self, id: &str) -> Option<Arc<HeaderMap>> {
        let known = self.linked.get(id).cloned().or_else(|| self.jars.headers(id));
        known.or_else(|| cookies::is_plain(id).then(Arc::default))
    }
}

/// The path that everything of a session begins with.
pub fn prefix(id: &str) -> String {
    format!("{MARK}{id}")
}

/// The id in a path that everything of a session begins with; `None` for no session's.
pub fn id_of(prefix: &str) -> Option<&str> {
    prefix.strip_prefix(MARK)
}

/// Session id and proxied target of a path and query, if it is a session's.
pub fn split(target: &str) -> Option<(&str, &str)> {
    let rest = target.strip_prefix(MARK)?;
    let (id, proxied) = rest.split_at(rest.find('/')?);
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!id.is_empty() && id.bytes().all(is_id)).then_some((id, proxied))
}

/// A request target without the headers that a channel list has put behind a bar, and those. A bar
/// may be part of an origin's path: what follows has to look like headers that such lists have.
pub fn behind_bar(target: &str) -> Option<(&str, HeaderMap)> {
    let bars = ["|", "%7C", "%7c"].into_iter();
    let (at, len) = bars.filter_map(|bar| Some((target.find(bar)?, bar.len()))).min()?;
    let options = target[at + len..].replace("%3D", "=").replace("%26", "&");
    let (_, headers) = carried(&format!("|{options}"), &[]);
    let is_usual = |name: &str| USUAL_HEADERS.contains(&name);
    let first = options.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let first = first.trim_start_matches('!');
    let is_option = is_usual(first) || NOT_HEADERS.contains(&first);
    (is_option && headers.keys().any(|name| is_usual(name.as_str())))
        .then_some((&target[..at], headers))
}

/// A URL without the options that Kodi takes behind a bar, and the headers among those and the
/// `h_` parameters of the link, which win. What may not be sent is left out.
pub fn carried<'a>(url: &'a str, parameters: &[(String, String)]) -> (&'a str, HeaderMap) {
    let (url, options) = url.split_once('|').unwrap_or((url, ""));
    let mut carried = HeaderMap::new();
    let options = form_urlencoded::parse(options.as_bytes())
        .map(|(name, value)| (name.trim_start_matches('!').to_owned(), value.into_owned()))
        .filter(|(name, _)| !NOT_HEADERS.contains(&name.to_ascii_lowercase().as_str()));
    let limited = options.take(super::route::PLAY_HEADERS_MAX);
    for (name, value) in limited.chain(parameters.iter().cloned()) {
        if let Some((name, mut value)) = headers::custom(&name, &value) {
            value.set_sensitive(true);
            carried.insert(name, value);
        }
    }
    (url, carried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| ((*n).parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_session_keeps_headers_under_a_name_that_says_nothing() {
        let mut sessions = Sessions::default();
        let id = sessions.open(map(&[("cookie", "secret")]), [7; ID_BYTES]).unwrap();
        assert!(!id.contains("secret") && id.len() == 22);
        assert_eq!(*sessions.headers(&id).unwrap(), map(&[("cookie", "secret")]));
        let again = sessions.open(map(&[("cookie", "secret")]), [8; ID_BYTES]).unwrap();
        assert_eq!(again, id, "the same link leads to the same place");
        let other = sessions.open(map(&[("cookie", "other")]), [9; ID_BYTES]).unwrap();
        assert_ne!(other, id);
        assert_eq!(sessions.headers("x"), None);
    }

    #[test]
    fn the_number_and_size_of_sessions_are_limited() {
        let mut sessions = Sessions::default();
        let numbered =
            |n: usize| HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from(n as u64))]);
        let random = |n: usize| (n as u128).to_be_bytes();
        let first = sessions.open(numbered(0), random(0)).unwrap();
        for n in 1..=SESSIONS_MAX.get() {
            sessions.open(numbered(n), random(n)).unwrap();
        }
        assert_eq!(sessions.headers(&first), None);
        assert_eq!(sessions.linked.len(), SESSIONS_MAX.get());
        let long = HeaderValue::from_str(&"x".repeat(SESSION_BYTES_MAX)).unwrap();
        let large = HeaderMap::from_iter([(http::header::COOKIE, long)]);
        assert_eq!(sessions.open(large, [0; ID_BYTES]), Err(TooLarge));
    }

    #[test]
    fn a_sessions_path_is_told_from_others() {
        assert_eq!(split("/s/aB-_9/https/h/x?y=/z"), Some(("aB-_9", "/https/h/x?y=/z")));
        assert_eq!(split(&format!("{}/http/h/", prefix("id"))), Some(("id", "/http/h/")));
        for other in ["/s/", "/s/id", "/s//http/h/", "/s/a.b/http/h/", "/https/h/s/", "/x", ""] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn what_stands_behind_a_bar_is_taken_for_headers_only_where_it_is_some() {
        let agent = map(&[("user-agent", "TV 1")]);
        for target in ["/http/h/a.ts|User-Agent=TV%201", "/http/h/a.ts%7CUser-Agent%3DTV+1"] {
            assert_eq!(behind_bar(target), Some(("/http/h/a.ts", agent.clone())), "{target}");
        }
        let two = map(&[("user-agent", "TV"), ("referer", "http://r/")]);
        let target = "/http/h/a.ts?x=1|User-Agent=TV&Referer=http://r/";
        assert_eq!(behind_bar(target), Some(("/http/h/a.ts?x=1", two)));
        let target = "/http/h/a.ts|verifypeer=false&User-Agent=TV%201";
        assert_eq!(behind_bar(target), Some(("/http/h/a.ts", agent)), "no secret stays in a path");
        for other in ["/http/h/a.ts", "/http/h/a|b.ts", "/http/h/a%7Cb=1", "/http/h/a|seekable=0"] {
            assert_eq!(behind_bar(other), None, "{other}");
        }
    }

    #[test]
    fn headers_come_from_parameters_and_from_behind_a_bar() {
        let parameters = [("User-Agent", "TV"), ("Host", "evil"), ("b\n", "x"), ("x", "a\nb")];
        let parameters = parameters.map(|(n, v)| (n.to_owned(), v.to_owned()));
        let url =
            "http://h/a.m3u8?x=1|User-Agent=other&!Referer=http%3A%2F%2Fr%2F&verifypeer=false";
        let (bare, headers) = carried(url, &parameters);
        assert_eq!(bare, "http://h/a.m3u8?x=1");
        assert_eq!(headers, map(&[("user-agent", "TV"), ("referer", "http://r/")]));
        assert!(headers["referer"].is_sensitive());
        assert_eq!(carried("http://h/", &[]), ("http://h/", HeaderMap::new()));
        let many = format!("http://h/|{}", "x=1&".repeat(100_000));
        assert_eq!(carried(&many, &[]).1.len(), 1);
    }
}
