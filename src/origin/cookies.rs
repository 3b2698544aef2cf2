//! The cookies that origins have set for one player (RFC 6265). PURE: time is an argument.
//!
//! For players that keep none, or not across hosts. Which player a jar is of is not known here;
//! `redirect` fills it and sends what is in it, to the hosts its cookies belong to and no others.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::header::SET_COOKIE;
use url::{Host, Url};

/// Cookies in one jar; the oldest goes.
pub const COOKIES_MAX: usize = 50;
/// Bytes of one cookie's name, value, domain and path; a larger one is not kept.
pub const COOKIE_BYTES_MAX: usize = 4096;
/// Bytes of all cookies in one jar: servers refuse longer heads. The oldest goes.
pub const JAR_BYTES_MAX: usize = 16 << 10;
/// `Set-Cookie` lines read of one answer.
const LINES_MAX: usize = 50;
/// Values remembered as ones that the jar has held.
const ISSUED_MAX: usize = 256;
/// Second-level names under which countries let anybody have a domain (`co.uk`). Together with
/// names of one label they are taken for nobody's own: a cookie for all of them is not kept.
const PUBLIC_LABELS: [&str; 9] = ["ac", "co", "com", "edu", "gob", "gov", "ne", "net", "org"];

/// A player's jar; a clone is another handle of the same one.
#[derive(Clone, Default)]
pub struct Cookies(Arc<Mutex<Jar>>);

#[derive(Default)]
struct Jar {
    /// The oldest first.
    cookies: Vec<Cookie>,
    /// Hashes of pairs that were or are in it.
    issued: VecDeque<u64>,
}

#[derive(Clone)]
struct Cookie {
    name: Vec<u8>,
    value: Vec<u8>,
    domain: Domain,
    path: String,
    is_secure: bool,
    expires_s: Option<u64>,
}

#[derive(Clone, PartialEq, Eq)]
enum Domain {
    /// Only where it was set: host and port, since one host's ports are often different sites.
    Only(String, Option<u16>),
    /// That name and all below it.
    Under(String),
}

// A jar is all secrets.
impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").finish_non_exhaustive()
    }
}

impl Cookies {
    /// Whether no cookie was ever put in.
    pub fn is_unused(&self) -> bool {
        self.lock().issued.is_empty()
    }

    /// Whether a `name=value` of a player is one that it has from this jar's origins: then it says
    /// nothing about the player that the jar does not.
    pub fn has_issued(&self, pair: &[u8]) -> bool {
        self.lock().issued.contains(&hash(pair.trim_ascii()))
    }

    /// Takes the cookies of another jar in.
    pub fn absorb(&self, other: &Self) {
        let (cookies, issued) = {
            let other = other.lock();
            (other.cookies.clone(), other.issued.clone())
        };
        let mut jar = self.lock();
        issued.into_iter().for_each(|pair| jar.note(pair));
        cookies.into_iter().for_each(|cookie| jar.put(cookie));
    }

    /// Keeps what an answer of `url` sets; `now_s` in seconds since 1970.
    pub fn take(&self, url: &Url, answer: &HeaderMap, now_s: u64) {
        let lines = answer.get_all(SET_COOKIE).iter().take(LINES_MAX);
        for cookie in lines.filter_map(|line| Cookie::parse(url, line.as_bytes(), now_s)) {
            self.lock().set(cookie, now_s);
        }
    }

    /// The `Cookie` line for `url`: what the player itself has (`own`), and what the jar has under
    /// other names.
    pub(super) fn line(&self, url: &Url, own: &[u8], now_s: u64) -> Vec<u8> {
        let mut pairs: Vec<Vec<u8>> = pairs(own).map(<[u8]>::to_vec).collect();
        let jar = self.lock();
        let mut fitting: Vec<_> = jar.cookies.iter().filter(|c| c.fits(url, now_s)).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        fitting.retain(|cookie| !pairs.iter().any(|pair| name_of(pair) == cookie.name));
        pairs.extend(fitting.into_iter().map(Cookie::pair));
        pairs.join(&b"; "[..])
    }

    fn lock(&self) -> MutexGuard<'_, Jar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `name=value` pairs of a `Cookie` line.
pub fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&b| b == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// The name in a `name=value`.
pub(super) fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii()
}

impl Jar {
    fn set(&mut self, cookie: Cookie, now_s: u64) {
        self.note(hash(&cookie.pair()));
        if cookie.is_expired(now_s) {
            self.cookies.retain(|old| !old.is_replaced_by(&cookie));
        } else {
            self.put(cookie);
        }
        self.cookies.retain(|old| !old.is_expired(now_s));
    }

    fn put(&mut self, cookie: Cookie) {
        match self.cookies.iter_mut().find(|old| old.is_replaced_by(&cookie)) {
            Some(old) => *old = cookie,
            None => self.cookies.push(cookie),
        }
        while self.cookies.len() > COOKIES_MAX
            || self.cookies.iter().map(Cookie::size).sum::<usize>() > JAR_BYTES_MAX
        {
            self.cookies.remove(0);
        }
    }

    fn note(&mut self, pair: u64) {
        if self.issued.contains(&pair) {
            return;
        }
        if self.issued.len() == ISSUED_MAX {
            self.issued.pop_front();
        }
        self.issued.push_back(pair);
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` line; `None` for what is none, too large, or not the host's to set.
    fn parse(url: &Url, line: &[u8], now_s: u64) -> Option<Self> {
        let mut parts = line.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let pair = parts.next().filter(|pair| pair.contains(&b'='))?;
        let name = name_of(pair).to_vec();
        let at = pair.iter().position(|&b| b == b'=')?;
        let value = pair[at + 1..].trim_ascii().to_vec();
        let host = url.host_str()?.to_ascii_lowercase();
        let mut cookie = Self {
            name,
            value,
            domain: Domain::Only(host.clone(), url.port()),
            path: default_path(url),
            is_secure: false,
            expires_s: None,
        };
        let (mut max_age, mut expires) = (None, None);
        for attribute in parts.filter_map(|part| std::str::from_utf8(part).ok()) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "secure" => cookie.is_secure = true,
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "max-age" => max_age = age(value).or(max_age),
                "expires" => expires = date(value).or(expires),
                "domain" if !value.is_empty() => cookie.domain = domain(url, &host, value)?,
                _ => {}
            }
        }
        cookie.expires_s = max_age.map(|age| now_s.saturating_add(age)).or(expires);
        (!cookie.name.is_empty() && cookie.size() <= COOKIE_BYTES_MAX).then_some(cookie)
    }

    fn fits(&self, url: &Url, now_s: u64) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_its_host = match &self.domain {
            Domain::Only(only, port) => host.eq_ignore_ascii_case(only) && url.port() == *port,
            Domain::Under(name) => is_under(&host.to_ascii_lowercase(), name),
        };
        let rest = url.path().strip_prefix(self.path.as_str());
        let is_its_path = rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        let is_safe = !self.is_secure || url.scheme() == "https";
        is_its_host && is_its_path && is_safe && !self.is_expired(now_s)
    }

    fn is_expired(&self, now_s: u64) -> bool {
        self.expires_s.is_some_and(|at| at <= now_s)
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn pair(&self) -> Vec<u8> {
        [&self.name[..], b"=", &self.value].concat()
    }

    fn size(&self) -> usize {
        let (Domain::Only(domain, _) | Domain::Under(domain)) = &self.domain;
        self.name.len() + self.value.len() + domain.len() + self.path.len()
    }
}

/// Whom a `Domain` attribute means; `None` when `host` has no right to it.
fn domain(url: &Url, host: &str, value: &str) -> Option<Domain> {
    let name = value.trim_start_matches('.').to_ascii_lowercase();
    let is_named = matches!(url.host(), Some(Host::Domain(_)));
    if name == host && (!is_named || is_public(&name)) {
        return Some(Domain::Only(name, url.port()));
    }
    (is_named && !is_public(&name) && is_under(host, &name)).then_some(Domain::Under(name))
}

fn is_under(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_public(name: &str) -> bool {
    match name.trim_end_matches('.').split_once('.') {
        None => true,
        Some((label, country)) => country.len() == 2 && PUBLIC_LABELS.contains(&label),
    }
}

/// The directory of a URL, which a cookie without path is for.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory.to_owned(),
        _ => "/".to_owned(),
    }
}

/// Seconds of a `Max-Age`; none or fewer mean that it ends now.
fn age(value: &str) -> Option<u64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let seconds = if digits == value { digits.parse().unwrap_or(u64::MAX) } else { 0 };
    is_number.then_some(seconds)
}

/// Seconds since 1970 of an `Expires`, also with hyphens as many servers write it.
fn date(value: &str) -> Option<u64> {
    let spaced = value.replace('-', " ");
    let date = httpdate::parse_http_date(value).or_else(|_| httpdate::parse_http_date(&spaced));
    Some(date.ok()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn hash(pair: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    pair.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "cookies_tests.rs"]
mod tests;
