//! Asks an origin: one attempt, or as many as a player has patience for.
//!
//! Cookies are the player's jar's matter, nothing is decompressed, no proxy of the environment is
//! used: what comes back is what the player would have got. Connections are kept and shared by all
//! streams.

use super::cookies::Cookies;
use super::error::{OriginError, host_of};
use super::limit::HostLimit;
use super::redirect::Trail;
use super::resume::{Mismatch, Validator, Wanted, Window};
use super::retry::Failure;
use super::whole::Patience;
use super::{OriginConfig, OriginResponse, Waited, proxy, race, target, tls};
use crate::metrics::Meter;
use crate::redact;
use http::header::{ACCEPT_ENCODING, IF_RANGE, RANGE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use rustls::RootCertStore;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use url::Url;

/// How long an unused connection is kept: longer than between two live playlists.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Most unused connections kept to one host.
const POOL_IDLE_MAX: usize = 8;
/// How often an HTTP/2 connection in use is asked whether it is alive: all requests to a host
/// share one, and a dead one would delay each of them.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A GET or HEAD request.
#[derive(Clone)]
pub struct FetchRequest {
    /// GET or HEAD.
    pub method: Method,
    /// What to ask for.
    pub url: Url,
    /// Headers of the player that may reach the origin; `Range` comes from `wanted`, and `If-Range`
    /// counts only where that is the player's own.
    pub headers: HeaderMap,
    /// The part that is wanted.
    pub wanted: Wanted,
    /// The jar of the player, for all hosts on the way.
    pub cookies: Cookies,
}

/// The upstream client; a clone is another handle of the same one.
#[derive(Clone)]
pub struct Origin {
    client: reqwest::Client,
    /// Makes a connection for each request: for when those kept may be dead.
    unpooled: reqwest::Client,
    limit: Arc<HostLimit>,
    config: OriginConfig,
    is_tls_possible: bool,
    /// Counts what is asked.
    meter: Meter,
    /// Its requests are held back on purpose: silence is no fault.
    is_patient: bool,
    /// It follows no redirect to another host.
    is_staying: bool,
    /// Where this daemon listens itself.
    own: Option<SocketAddr>,
}

impl FetchRequest {
    /// A GET for all of `url`.
    pub fn get(url: Url, headers: HeaderMap) -> Self {
        let cookies = Cookies::default();
        Self { method: Method::GET, url, headers, wanted: Wanted::Whole, cookies }
    }
}

// Headers and queries carry tokens, and whatever can be printed ends up in a log some day.
impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, wanted, .. } = self;
        write!(f, "{method} {} {wanted:?}", redact::url(url))
    }
}

// Without the client: it knows the proxies' passwords.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.config).finish()
    }
}

impl Origin {
    /// Sets the client up; nothing is connected yet.
    pub fn new(config: &OriginConfig) -> Result<Self, OriginError> {
        Self::with_roots(config, tls::machine_roots())
    }

    fn with_roots(config: &OriginConfig, roots: RootCertStore) -> Result<Self, OriginError> {
        let is_tls_possible = !roots.is_empty();
        let tls = tls::client_config(roots)?;
        let build = |idle_max| client(config, tls.clone(), idle_max);
        let (client, unpooled) = (build(POOL_IDLE_MAX)?, build(0)?);
        let limit = Arc::new(HostLimit::new(config.connections_per_host_max));
        let config = config.clone();
        let meter = Meter::of_daemon(Arc::default());
        Ok(Self {
            client,
            unpooled,
            limit,
            config,
            is_tls_possible,
            meter,
            is_patient: false,
            is_staying: false,
            own: None,
        })
    }

    /// The same client, but one that never asks the daemon that listens at `own`: an origin's
    /// redirect there would lead round in a circle.
    pub fn avoiding(self, own: SocketAddr) -> Self {
        Self { own: Some(own), ..self }
    }

    /// The same client, but one that counts every request it sends here: retries, redirects and
    /// attempts beside others included.
    pub fn counting(&self, meter: Meter) -> Self {
        Self { meter, ..self.clone() }
    }

    /// The same client, but one that asks no host besides the one of the request.
    pub fn staying(&self) -> Self {
        Self { is_staying: true, ..self.clone() }
    }

    /// One request, from the first wanted byte. An error status is an answer.
    pub async fn open(&self, request: &FetchRequest) -> Result<OriginResponse, OriginError> {
        self.open_from(request, 0, None).await
    }

    /// One request that continues after `from` wanted bytes. With the validator of the earlier
    /// answer, bytes of another version are never joined to those held: that is `Changed`.
    ///
    /// Returns once the first byte of the body is here. When that takes long, the same is asked
    /// for on new connections too, and the first to answer is taken.
    pub async fn open_from(
        &self,
        request: &FetchRequest,
        from: u64,
        validator: Option<&Validator>,
    ) -> Result<OriginResponse, OriginError> {
        // One deadline for all hops and attempts: a chain of slow redirects is a slow origin.
        let deadline = Instant::now() + self.config.head_timeout();
        race::run(&request.url, self.is_patient, |is_first| {
            self.attempt(is_first, request, from, validator, deadline)
        })
        .await
    }

    async fn attempt(
        &self,
        is_first: bool,
        request: &FetchRequest,
        from: u64,
        validator: Option<&Validator>,
        deadline: Instant,
    ) -> Result<OriginResponse, OriginError> {
        let mut headers = request.headers.clone();
        headers.remove(RANGE);
        if !matches!(request.wanted, Wanted::AsAsked(_)) {
            headers.remove(IF_RANGE);
        }
        headers.remove(ACCEPT_ENCODING);
        if let Some(range) = request.wanted.range_header(from) {
            headers.insert(RANGE, range);
            if let Some(validator) = validator.filter(|_| from > 0) {
                headers.insert(IF_RANGE, validator.as_header());
            }
        }
        let mut trail = Trail::new(request.url.clone(), headers, request.cookies.clone(), now_s())?;
        let (mut inner, mut place) = self.ask(is_first, &request.method, &trail, deadline).await?;
        while trail.follow(inner.status().as_u16(), inner.headers(), now_s())? {
            drop(place);
            if self.is_staying && !trail.is_where(&request.url) {
                return Err(OriginError::Elsewhere { host: host_of(&request.url) });
            }
            (inner, place) = self.ask(is_first, &request.method, &trail, deadline).await?;
        }
        let host = host_of(&trail.url);
        let mut headers = std::mem::take(inner.headers_mut());
        let status = inner.status();
        let window = if request.method == Method::HEAD {
            Window::default()
        } else {
            request.wanted.window(from, validator, status.as_u16(), &headers).map_err(
                |mismatch| match mismatch {
                    Mismatch::WrongRange => OriginError::WrongRange { host: host.clone() },
                    Mismatch::Changed => OriginError::Changed { host: host.clone() },
                },
            )?
        };
        trail.add_cookies_to(&mut headers);
        let mut response = OriginResponse {
            final_url: trail.url,
            status,
            headers,
            total: window.total,
            host,
            window,
            received: 0,
            idle_timeout: self.config.idle_timeout(),
            first: None,
            inner,
            _place: place,
        };
        response.await_first(deadline).await?;
        Ok(response)
    }

    /// The same client, but one that waits at least so long for the head of an answer, without
    /// asking beside itself: for requests
    /// that the origin is to hold back.
    pub fn waiting(&self, head_timeout: Duration) -> Self {
        let mut waiting = Self { is_patient: true, ..self.clone() };
        let wait_ms = u64::try_from(head_timeout.as_millis()).unwrap_or(u64::MAX);
        waiting.config.head_timeout_ms = waiting.config.head_timeout_ms.max(wait_ms);
        waiting
    }

    /// As [`Origin::open_from`], asking again for as long as `retry` advises. When that ends, the
    /// last error or the last answer is handed over, an error status included.
    pub async fn open_patiently(
        &self,
        request: &FetchRequest,
        from: u64,
        validator: Option<&Validator>,
    ) -> Result<OriginResponse, OriginError> {
        let mut patience = Patience::new(&request.url);
        loop {
            let attempt = self.open_from(request, from, validator).await;
            let failure = match &attempt {
                Ok(response) => status_failure(response.status, &response.headers),
                Err(error) => Failure::Error { is_retryable: error.is_retryable() },
            };
            if !patience.has_more(failure).await {
                return attempt;
            }
        }
    }

    async fn ask(
        &self,
        is_first: bool,
        method: &Method,
        trail: &Trail,
        deadline: Instant,
    ) -> Result<(reqwest::Response, OwnedSemaphorePermit), OriginError> {
        let host = host_of(&trail.url);
        let is_own = self.own.is_some_and(|own| target::is_at(&trail.url, own));
        if is_own || !target::is_literal_allowed(&trail.url, self.config.allow_private) {
            return Err(OriginError::Forbidden { host });
        }
        if trail.url.scheme() == "https" && !self.is_tls_possible {
            let reason = "this machine has no CA certificates";
            return Err(OriginError::TlsFailed { host, reason });
        }
        // A further attempt is made only where there is room for it.
        let place = if is_first {
            tokio::time::timeout_at(deadline, self.limit.wait(&trail.url)).await.ok().flatten()
        } else {
            self.limit.take(&trail.url)
        };
        let Some(place) = place else {
            return Err(OriginError::TimedOut { host, what: Waited::Connect });
        };
        self.meter.add(|c| &c.origin_requests, 1);
        let client = if is_first { &self.client } else { &self.unpooled };
        let request =
            client.request(method.clone(), trail.url.clone()).headers(trail.headers.clone()).send();
        match tokio::time::timeout_at(deadline, request).await {
            Ok(Ok(answer)) => Ok((answer, place)),
            Ok(Err(error)) => Err(OriginError::from_head(host, &error)),
            Err(_) => Err(OriginError::TimedOut { host, what: Waited::Head }),
        }
    }
}

/// Seconds since 1970, which cookies reckon with.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn client(
    config: &OriginConfig,
    tls: rustls::ClientConfig,
    idle_max: usize,
) -> Result<reqwest::Client, OriginError> {
    let (all, hosts) = (config.proxy.clone(), config.proxy_hosts.clone());
    let proxy = move |url: &Url| proxy::choose(&all, &hosts, url).cloned();
    reqwest::Client::builder()
        .proxy(reqwest::Proxy::custom(proxy))
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(target::Resolver { allow_private: config.allow_private }))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(config.connect_timeout())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(idle_max)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|_| OriginError::NotSetUp)
}

pub(super) fn status_failure(status: StatusCode, headers: &HeaderMap) -> Failure {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Failure::Status(status.as_u16(), seconds)
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
