//! The front door: who may talk to us at all. PURE.
//!
//! A daemon on localhost is in reach of every web page its owner opens. A page that rebinds its
//! own name to our address is told by its `Host`; a page that asks across sites by what browsers
//! say about it (`Origin`, `Sec-Fetch-Site`, `Referer`). Programs that are no browsers say none of
//! this and come in. Called before routing; what is refused here has no effect.

use http::header::{HOST, ORIGIN, REFERER, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use std::net::{IpAddr, SocketAddr};
use url::Url;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_MAX_AGE_S: &str = "7200";

/// Who is let in besides this machine's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontDoor {
    /// Further names under which the daemon is reached, without a port.
    pub hosts: Vec<String>,
    /// Web origins whose pages may play through the daemon (`https://tv.example.com`).
    pub origins: Vec<String>,
}

/// A request that may come in.
#[derive(Clone, Debug)]
pub struct Admission<'a> {
    /// Value of `Access-Control-Allow-Origin`, for a page that asks across origins.
    pub cors_origin: Option<HeaderValue>,
    door: &'a FrontDoor,
    local: SocketAddr,
    port: u16,
}

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A `Host` that is not ours, or not one.
    #[error(
        "this Host is not one of the daemon's names; add it to `hosts` under [http] if it should \
         be"
    )]
    Host,
    /// A page of another site.
    #[error(
        "pages of this web site may not use the daemon; add it to `allowed_origins` under [http] \
         if they should"
    )]
    Origin,
    /// A page, although an allowed one, that wants to change something.
    #[error("only the daemon's own page and local programs may change anything")]
    Change,
}

/// Checks a request that came in on the local address `local`.
pub fn check<'a, B>(
    request: &Request<B>,
    local: SocketAddr,
    door: &'a FrontDoor,
) -> Result<Admission<'a>, Refusal> {
    let port = checked_host(request, local, door)?.unwrap_or(local.port());
    let mut admission = Admission { cors_origin: None, door, local, port };
    let headers = request.headers();
    let is_own_page = match single(headers, &ORIGIN).map_err(|()| Refusal::Origin)? {
        Some(origin) => {
            let is_own = admission.is_own_text(origin);
            if !is_own && !door.has_origin(origin) {
                return Err(Refusal::Origin);
            }
            admission.cors_origin = HeaderValue::from_str(origin).ok();
            is_own
        }
        None => admission.check_site(headers)?,
    };
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_change && !is_own_page {
        return Err(Refusal::Change);
    }
    Ok(admission)
}

impl Admission<'_> {
    /// Whether a URL leads to this daemon.
    pub fn is_own(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default();
        url.scheme() == "http"
            && (port == Some(self.port) || port == Some(self.local.port()))
            && self.door.has_host(host, self.local.ip())
    }

    /// Headers that let the asking page read the answer.
    pub fn cors_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = &self.cors_origin {
            headers.insert("access-control-allow-origin", origin.clone());
            let exposed = "Content-Length, Content-Range, Accept-Ranges, Age, Date, Cache-Status";
            headers.insert("access-control-expose-headers", HeaderValue::from_static(exposed));
        }
        headers
    }

    /// Headers of the answer (204) to an `OPTIONS` request with the headers `asked`.
    pub fn preflight_headers(&self, asked: &HeaderMap) -> HeaderMap {
        let mut headers = self.cors_headers();
        headers.insert("allow", HeaderValue::from_static("GET, HEAD, OPTIONS"));
        if self.cors_origin.is_none() {
            return headers;
        }
        for (name, value) in [
            ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
            (
                "access-control-allow-headers",
                "Range, Accept, Accept-Language, Authorization, Cache-Control, Content-Type, \
                 If-Modified-Since, If-None-Match, If-Range",
            ),
            ("access-control-max-age", PREFLIGHT_MAX_AGE_S),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // Two names of one thing: the first was shipped, the second is its successor's.
        for (question, answer) in [
            ("access-control-request-private-network", "access-control-allow-private-network"),
            ("access-control-request-local-network", "access-control-allow-local-network"),
        ] {
            if asked.contains_key(question) {
                headers.insert(answer, HeaderValue::from_static("true"));
            }
        }
        headers
    }

    /// Judges a request without `Origin`; says whether it comes from our page or no page at all.
    fn check_site(&self, headers: &HeaderMap) -> Result<bool, Refusal> {
        let site = single(headers, &SEC_FETCH_SITE).map_err(|()| Refusal::Origin)?;
        if matches!(site, None | Some("none" | "same-origin")) {
            return Ok(true);
        }
        let referer = single(headers, &REFERER).ok().flatten().and_then(|r| Url::parse(r).ok());
        match referer {
            Some(page) if self.is_own(&page) => Ok(true),
            Some(page) if self.door.has_origin(&page.origin().ascii_serialization()) => Ok(false),
            _ => Err(Refusal::Origin),
        }
    }

    /// Whether an `Origin` header is that of our own pages.
    fn is_own_text(&self, origin: &str) -> bool {
        let is_origin = |url: &Url| url.origin().ascii_serialization().eq_ignore_ascii_case(origin);
        Url::parse(origin).is_ok_and(|url| is_origin(&url) && self.is_own(&url))
    }
}

impl FrontDoor {
    fn has_host(&self, host: &str, local: IpAddr) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = address.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            let is_ours = ip.is_loopback() || (!ip.is_unspecified() && ip == local.to_canonical());
            return is_ours || self.is_listed(host);
        }
        host.eq_ignore_ascii_case("localhost") || self.is_listed(host)
    }

    fn is_listed(&self, host: &str) -> bool {
        !host.is_empty()
            && self
                .hosts
                .iter()
                .any(|name| name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(host))
    }

    fn has_origin(&self, origin: &str) -> bool {
        // `null` stands for sandboxed frames and files of any provenance: it cannot be allowed.
        !origin.eq_ignore_ascii_case("null")
            && self.origins.iter().any(|allowed| {
                allowed.strip_suffix('/').unwrap_or(allowed).eq_ignore_ascii_case(origin)
            })
    }
}

/// Checks `Host` and, in a proxy's request, the host of the target; returns the port it names.
fn checked_host<B>(
    request: &Request<B>,
    local: SocketAddr,
    door: &FrontDoor,
) -> Result<Option<u16>, Refusal> {
    if let Some(authority) = request.uri().authority() {
        check_authority(authority.as_str(), local, door)?;
    }
    match single(request.headers(), &HOST).map_err(|()| Refusal::Host)? {
        Some(host) => check_authority(host, local, door),
        None if request.version() <= Version::HTTP_10 => Ok(None),
        None => Err(Refusal::Host),
    }
}

fn check_authority(
    text: &str,
    local: SocketAddr,
    door: &FrontDoor,
) -> Result<Option<u16>, Refusal> {
    let (host, port) = split_authority(text).ok_or(Refusal::Host)?;
    if door.has_host(host, local.ip()) { Ok(port) } else { Err(Refusal::Host) }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`; nothing else is a `Host`.
fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
    let colon = text[end_of_host..].find(':').map(|at| at + end_of_host);
    let (host, port) = match colon {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    is_host.then_some((host, port))
}

/// The value of a header that must not come twice or in other than ASCII.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(());
    }
    first.map(|value| value.to_str().map(str::trim).map_err(|_| ())).transpose()
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
