//! A proxied URL: a segment of a known stream, a playlist, or something passed through.
//!
//! What it is is found out here, segments by the registry and playlists by their content; the
//! answers are made in `segment` and `playlist`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_RANGE, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use url::{Position, Url};

use super::answer::{Front, refuse};
use super::body::{self, Body};
use super::cookies::Owner;
use super::error::Problem;
use super::guard::Admission;
use super::headers::{self, BodyIs};
use super::range::{self, RangeSpec};
use super::user_info::UserInfo;
use super::{assets, cache_status, decode, directives, part, playlist, segment, session};
use crate::ids::PlayerId;
use crate::origin::{Cookies, FetchRequest, Healing, OriginResponse, Wanted};
use crate::playlist::proxy_url;

/// What a request names.
pub struct Place {
    /// The origin's URL.
    pub url: Url,
    /// What paths given to the player begin with: nothing, or that of its session.
    pub prefix: String,
    /// Headers of the session.
    pub carried: Option<Arc<HeaderMap>>,
}

/// A player's request for an origin's URL.
#[derive(Clone)]
pub struct Asked {
    /// The origin's URL, without user name and password.
    pub url: Url,
    /// What paths given to the player begin with.
    pub prefix: String,
    /// Those, where the URL had them.
    pub user_info: Option<UserInfo>,
    /// GET or HEAD.
    pub method: Method,
    /// What the player sent.
    pub sent: HeaderMap,
    /// What of it goes to the origin.
    pub forwarded: HeaderMap,
    /// Tells sets of credentials apart.
    pub credentials: u64,
    /// The jar of the player's session; an empty one if it has none.
    pub cookies: Cookies,
    /// Whether it has one.
    is_in_session: bool,
    /// Whose session an answer's cookies would open.
    owner: Owner,
}

/// The session that an answer's cookies have opened.
#[derive(Clone)]
pub struct Adopted {
    /// What paths given to the player begin with from now on.
    pub prefix: String,
    /// Tells its credentials from others.
    pub credentials: u64,
}

impl Asked {
    /// What a request asks for, with the headers that go to the origin.
    pub fn new(
        front: &Front,
        request: &Request<Incoming>,
        place: Place,
        admission: &Admission<'_>,
        remote: SocketAddr,
    ) -> Self {
        let sent = request.headers();
        let original = |target: &str| {
            let proxied = session::split(target).map_or(target, |(_, proxied)| proxied);
            proxy_url::parse(proxied).ok()
        };
        let mut forwarded = headers::to_origin(sent, admission, original);
        for (name, value) in place.carried.iter().flat_map(|carried| carried.iter()) {
            forwarded.insert(name, value.clone());
        }
        let mut url = place.url;
        let user_info = UserInfo::take(&mut url);
        if let Some(authorization) = user_info.as_ref().and_then(UserInfo::authorization) {
            // What the player itself says is newer.
            forwarded.entry(AUTHORIZATION).or_insert(authorization);
        }
        let owner = Owner {
            player: player(sent, remote),
            carried: place.carried.unwrap_or_default(),
            site: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            credentials: headers::credentials(&forwarded),
        };
        let id = session::id_of(&place.prefix);
        let session = front.sessions().jars.find(id, &owner, &forwarded);
        let (prefix, credentials) = match &session {
            Some(session) => (session::prefix(&session.id), session.credentials),
            None => (place.prefix, owner.credentials),
        };
        Self {
            credentials,
            forwarded,
            method: request.method().clone(),
            sent: sent.clone(),
            url,
            prefix,
            user_info,
            is_in_session: session.is_some(),
            cookies: session.map(|session| session.cookies).unwrap_or_default(),
            owner,
        }
    }

    /// What the daemon asks for itself, as a player without cookies would: in the session of
    /// `before`, where that has one.
    pub fn of_ours(url: Url, before: Option<&Self>) -> Self {
        let agent = HeaderValue::from_static(concat!("hlswarm/", env!("CARGO_PKG_VERSION")));
        let forwarded = HeaderMap::from_iter([(USER_AGENT, agent)]);
        let owner = Owner {
            player: PlayerId::SEEDER,
            carried: Arc::default(),
            site: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            credentials: headers::credentials(&forwarded),
        };
        let session = before.filter(|before| before.is_in_session);
        Self {
            url,
            prefix: session.map(|session| session.prefix.clone()).unwrap_or_default(),
            user_info: None,
            method: Method::GET,
            sent: forwarded.clone(),
            forwarded,
            credentials: session.map_or(owner.credentials, |session| session.credentials),
            cookies: session.map(|session| session.cookies.clone()).unwrap_or_default(),
            is_in_session: session.is_some(),
            owner,
        }
    }

    /// Goes on in the session that an answer's cookies have opened.
    pub fn enter(&mut self, adopted: &Adopted) {
        self.prefix.clone_from(&adopted.prefix);
        self.credentials = adopted.credentials;
        self.is_in_session = true;
    }

    /// Who asks, as far as it can be told.
    pub fn player(&self) -> PlayerId {
        self.owner.player
    }

    /// Headers of the link that it followed.
    pub fn carried(&self) -> Arc<HeaderMap> {
        self.owner.carried.clone()
    }

    /// What tells sets of credentials apart besides the player's session.
    pub fn credentials_without_session(&self) -> u64 {
        self.owner.credentials
    }

    /// Opens a session for cookies that origins have set on this request, unless it was made in
    /// one or there are none.
    pub fn adopt(&self, front: &Front) -> Option<Adopted> {
        let mut random = [0; session::ID_BYTES];
        if self.is_in_session
            || self.cookies.is_unused()
            || crate::ids::fill_random(&mut random).is_err()
        {
            return None;
        }
        let (owner, cookies) = (self.owner.clone(), self.cookies.clone());
        let opened = front.sessions().jars.open(owner, &self.forwarded, cookies, random);
        tracing::debug!(url = %crate::redact::url(&self.url), "cookies have opened a session");
        let prefix = session::prefix(&opened.id);
        Some(Adopted { prefix, credentials: opened.credentials })
    }

    /// The URL that answered, as this player would have to ask for it.
    pub fn base(&self, final_url: &Url) -> Url {
        self.user_info.as_ref().map_or_else(|| final_url.clone(), |info| info.put_on(final_url))
    }
}

/// Answers a request for an origin's URL.
pub async fn proxy(
    front: &Arc<Front>,
    request: &Request<Incoming>,
    place: Place,
    admission: &Admission<'_>,
    remote: SocketAddr,
) -> Response<Body> {
    let asked = Asked::new(front, request, place, admission, remote);
    tracing::debug!(url = %crate::redact::url(&asked.url), "a player asks");
    let effort = |segments: &[_]| segment::effort(segments, &asked.sent);
    let located = front.registry.locate(asked.credentials, &asked.url, effort);
    if let Some(response) = part::serve(front, &asked, located.as_ref()).await {
        return response;
    }
    if let Some(located) = located
        && let Some(response) = segment::serve(front, &asked, located).await
    {
        return response;
    }
    if proxy_url::is_asset_list(request.uri().path()) {
        return assets::serve(front, &asked).await;
    }
    let is_known = front.playlists.is_known(asked.credentials, &asked.url);
    let plain = directives::split(&asked.url).0;
    let is_steered = || !front.steering.ways(&asked, &plain).is_empty();
    if is_known || is_named_like_a_playlist(&asked.url) || is_steered() {
        return playlist::serve(front, &asked).await;
    }
    pass(front, &asked).await
}

/// Passes an origin's answer through, unless its content turns out to be a playlist.
pub async fn pass(front: &Arc<Front>, asked: &Asked) -> Response<Body> {
    let request = as_asked(asked);
    let mut answer = match front.origin.open_patiently(&request, 0, None).await {
        Ok(answer) => answer,
        Err(error) => return refuse(Problem::from(&error)),
    };
    let (status, is_head) = (answer.status, asked.method == Method::HEAD);
    let is_playlist = match answer.peek().await {
        Ok(first) => {
            let first = first.cloned();
            may_be_a_playlist(&answer, first.as_ref())
        }
        Err(error) => return refuse(Problem::from(&error)),
    };
    if is_playlist && status == StatusCode::OK && !is_head {
        return playlist::take(front, asked, answer).await;
    }
    if is_playlist {
        // It may hold the only place at its host.
        drop(answer);
        return playlist::serve(front, asked).await;
    }
    stream(front, asked, answer)
}

/// The player's own request. A range that makes no sense, or is several, is left out: the answer
/// is the whole.
fn as_asked(asked: &Asked) -> FetchRequest {
    let range = asked.sent.get(RANGE).filter(|range| range::parse(Some(range)) != RangeSpec::Whole);
    let mut headers = asked.forwarded.clone();
    if let Some(condition) = asked.sent.get(IF_RANGE).filter(|_| range.is_some()) {
        headers.insert(IF_RANGE, condition.clone());
    }
    FetchRequest {
        method: asked.method.clone(),
        url: asked.url.clone(),
        headers,
        wanted: range.cloned().map_or(Wanted::Whole, Wanted::AsAsked),
        cookies: asked.cookies.clone(),
    }
}

/// Passes on what comes, for as long as it comes and the player reads.
pub fn stream(front: &Front, asked: &Asked, answer: OriginResponse) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers::to_player(
        &answer.headers,
        &asked.base(&answer.final_url),
        &asked.prefix,
        BodyIs::Untouched,
    );
    cache_status(response.headers_mut(), "hlswarm; fwd=bypass");
    let answer = Healing::new(front.origin.clone(), as_asked(asked), answer);
    *response.body_mut() = body::passing(answer, front.status.meter.clone());
    response
}

/// Requests of one program on one host are one player's: connections come and go too often.
fn player(sent: &HeaderMap, remote: SocketAddr) -> PlayerId {
    let mut hasher = DefaultHasher::new();
    (remote.ip(), sent.get(USER_AGENT).map(|agent| agent.as_bytes())).hash(&mut hasher);
    PlayerId(hasher.finish())
}

/// By name alone: such a URL that brings no playlist is an error to tell the player.
fn is_named_like_a_playlist(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    path.ends_with(".m3u8") || path.ends_with(".m3u")
}

fn may_be_a_playlist(answer: &OriginResponse, first: Option<&Bytes>) -> bool {
    matches!(answer.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT)
        && match first {
            Some(first) => decode::begins_like_a_playlist(&answer.headers, first),
            // Of HEAD there is nothing but the type to judge by.
            None => answer.headers.get(CONTENT_TYPE).is_some_and(is_playlist_type),
        }
}

fn is_playlist_type(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("mpegurl"))
}
