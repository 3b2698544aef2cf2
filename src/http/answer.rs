//! From a request to its answer: the front door, the route, and whoever handles it.
//!
//! Every answer passes here once, so what all of them have in common (CORS, no sniffing, no body
//! for HEAD) is added here.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use url::Url;

use super::body::{self, Body};
use super::delay::{Delays, LiveDelay};
use super::error::Problem;
use super::guard::{self, Admission, FrontDoor};
use super::play;
use super::proxy::{self, Place};
use super::reload::Playlists;
use super::route::{Route, route};
use super::session::{self, Sessions};
use super::sniff::Sniffed;
use super::status::{self, Status};
use super::steering::Steerings;
use crate::origin::Origin;
use crate::playlist::proxy_url;
use crate::playlist::quality::Quality;
use crate::stream::Registry;

/// What answering needs.
pub struct Front {
    /// Who may ask; changes when the configuration is read again.
    door: RwLock<Arc<FrontDoor>>,
    /// The streams.
    pub registry: Registry,
    /// The upstream client.
    pub origin: Origin,
    /// What statistics are made of.
    pub status: Status,
    /// Playlists held and under way.
    pub playlists: Playlists,
    /// Streams on several pathways.
    pub steering: Steerings,
    /// Headers that links carry.
    sessions: Mutex<Sessions>,
    delays: Mutex<Delays>,
    /// Which variants players get.
    pub quality: Quality,
    /// What segments with unusual names are.
    pub sniffed: Sniffed,
}

impl Front {
    /// Puts the parts together.
    pub fn new(
        door: FrontDoor,
        registry: Registry,
        origin: Origin,
        status: Status,
        steering: Steerings,
        delay: LiveDelay,
        quality: Quality,
    ) -> Self {
        Self {
            door: RwLock::new(Arc::new(door)),
            registry,
            origin: origin.counting(status.meter.clone()),
            status,
            playlists: Playlists::default(),
            steering,
            sessions: Mutex::default(),
            delays: Mutex::new(Delays::new(delay)),
            quality,
            sniffed: Sniffed::default(),
        }
    }

    /// Changes who may ask.
    pub fn set_door(&self, door: FrontDoor) {
        *self.door.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(door);
    }

    /// Headers that links carry; never to be held across an await.
    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far behind the live edge players are kept; never to be held across an await.
    pub fn delays(&self) -> MutexGuard<'_, Delays> {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self) -> Arc<FrontDoor> {
        self.door.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one request that came in at `local` from `remote`.
pub async fn answer(
    front: Arc<Front>,
    request: Request<Incoming>,
    local: SocketAddr,
    remote: SocketAddr,
) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    let door = front.door();
    let (mut response, cors) = match guard::check(&request, local, &door) {
        Ok(admission) => {
            let cors = admission.cors_headers();
            (dispatch(&front, &request, &admission, remote).await, Some(cors))
        }
        Err(refusal) => {
            tracing::warn!(reason = %refusal, "a request was refused at the front door");
            (Problem::from(refusal).into_response().map(body::whole), None)
        }
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(cors) = cors {
        headers.extend(cors);
    }
    if is_head {
        let body = std::mem::replace(response.body_mut(), body::empty());
        if let Some(size @ 1..) = body.size_hint().exact() {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
        }
    }
    response
}

async fn dispatch(
    front: &Arc<Front>,
    request: &Request<Incoming>,
    admission: &Admission<'_>,
    remote: SocketAddr,
) -> Response<Body> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let route = route(request.method(), target);
    if front.status.is_draining.load(Ordering::Relaxed) && route != Route::Health {
        return refuse(Problem::unavailable("the daemon is about to end"));
    }
    match route {
        Route::Dashboard => status::dashboard(),
        Route::Stats => status::stats(front).await,
        Route::Health => status::health(front),
        Route::Metrics => status::metrics(front).await,
        Route::DeleteCache { url } => delete_cache(front, url),
        Route::Play { url, headers } => play::play(front, &url, &headers).await,
        Route::ChannelList { url } => {
            play::channel_list(front, request, &url, admission, remote).await
        }
        Route::Proxy(target) => match place(front, &target) {
            Ok(place) if admission.is_own(&place.url) => refuse(Problem::leads_to_us()),
            Ok(place) => proxy::proxy(front, request, place, admission, remote).await,
            Err(problem) => refuse(problem),
        },
        Route::Preflight => {
            let mut response = Response::new(body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().extend(admission.preflight_headers(request.headers()));
            response
        }
        Route::NotFound => refuse(Problem::not_found()),
        Route::UrlMissing => refuse(Problem::bad_url("the parameter url is missing")),
        Route::MethodNotAllowed { allow } => refuse(Problem::method_not_allowed(allow)),
    }
}

/// Says why in the log, once, and to the player.
pub fn refuse(problem: Problem) -> Response<Body> {
    tracing::warn!(
        status = problem.status().as_u16(),
        reason = problem.detail(),
        "a request could not be answered"
    );
    problem.into_response().map(body::whole)
}

/// Which origin's URL a target is, and the headers that its session carries.
fn place(front: &Front, target: &str) -> Result<Place, Problem> {
    let (prefix, carried, target) = match session::split(target) {
        Some((id, target)) => {
            let carried = front.sessions().headers(id).ok_or_else(Problem::session_forgotten)?;
            (session::prefix(id), Some(carried), target)
        }
        None => (String::new(), None, target),
    };
    let parse = |target: &str| {
        proxy_url::parse(target).map_err(|error| Problem::bad_url(error.to_string()))
    };
    // Not every player of a channel list takes the headers behind the bar off and sends them.
    if let Some((target, behind)) = session::behind_bar(target) {
        let url = parse(target)?;
        let mut headers = carried.as_deref().cloned().unwrap_or_default();
        for (name, value) in &behind {
            headers.insert(name, value.clone());
        }
        let prefix = play::prefix(front, headers.clone())?;
        return Ok(Place { url, prefix, carried: Some(Arc::new(headers)) });
    }
    Ok(Place { url: parse(target)?, prefix, carried })
}

fn delete_cache(front: &Front, url: Option<String>) -> Response<Body> {
    front.playlists.clear();
    match url.map(|url| Url::parse(&url)) {
        None => front.status.cache.clear(None),
        Some(Ok(url)) => front.registry.forget(&url),
        Some(Err(_)) => return refuse(Problem::bad_url("the parameter url is not a URL")),
    }
    let mut response = Response::new(body::full(r#"{"status":"ok"}"#));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
