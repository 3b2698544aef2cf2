//! Follows the steering of streams: asks steering servers, and says which way a playlist takes.
//!
//! What is in force is `playlist::steering`'s to decide. `playlist` joins a multivariant playlist
//! here, `reload` asks for the ways of a media playlist, `detour` for those of a segment. One task
//! follows each steered playlist for as long as a player uses it.

mod follow;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use lru::LruCache;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::answer::Front;
use super::held::{Content, Fetched};
use super::proxy::Asked;
use super::user_info::UserInfo;
use super::{directives, session};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin};
use crate::playlist::steering::{Course, Heard, Manifest, PathwayClone, Pathways, Server, inline};
use crate::playlist::{self, Playlist, Timeline, proxy_url};
use crate::redact;
use follow::Follower;

/// Steered playlists at the same time; the one used least recently is steered no more.
pub const STEERED_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");
/// Largest multivariant playlist that is steered.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// How long one way is waited for while there is another.
pub const WAY_PATIENCE: Duration = Duration::from_secs(2);
/// Media playlists of one steered playlist of which the segments are remembered.
const TIMELINES_MAX: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
/// Most hosts remembered of the pathways of one playlist.
const HOSTS_MAX: usize = 256;

/// The steered playlists of the daemon.
pub struct Steerings {
    known: Mutex<LruCache<(u64, String), Arc<Steered>>>,
    follower: Follower,
}

/// A multivariant playlist that is steered.
struct Steered(Mutex<State>);

struct State {
    /// As the playlist has them.
    written: Pathways,
    clones: Vec<PathwayClone>,
    /// With clones.
    all: Pathways,
    course: Course,
    server: Server,
    /// How the steering server is asked.
    request: Option<FetchRequest>,
    used_at: Instant,
    is_followed: bool,
    timelines: LruCache<Url, Arc<Timeline>>,
    /// Which pathway a host belongs to; `None` when it belongs to several.
    hosts: BTreeMap<String, Option<String>>,
}

/// One way to what a player asks for.
pub struct Way {
    /// Where it is there.
    pub url: Url,
    /// Empty: what the player asked for, which the server does not name.
    pathway: String,
    steered: Arc<Steered>,
}

impl Steerings {
    /// None yet; tasks go through `tasks` and end with `cancel`.
    pub fn new(
        origin: Origin,
        meter: Meter,
        tasks: TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let follower = Follower { origin, meter, tasks, cancel };
        Self { known: Mutex::new(LruCache::new(STEERED_MAX)), follower }
    }

    /// The ways to the media playlist at `url`, the best first; none when it is not steered.
    pub fn ways(&self, asked: &Asked, url: &Url) -> Vec<Way> {
        let Some(steered) = self.find(asked, url) else { return Vec::new() };
        let mut ways = Vec::<Way>::new();
        let mut state = steered.state();
        self.follower.use_now(&steered, &mut state);
        let now = Instant::now().into_std();
        for pathway in state.course.ranking(&state.all.names(), now) {
            let Some(same) = state.all.same(url, pathway) else { continue };
            if !ways.iter().any(|way| way.url == *same) {
                ways.push(steered.way(same, pathway));
            }
        }
        // Better than nothing, even where the server does not want it.
        if !ways.iter().any(|way| way.url == *url) {
            ways.push(steered.way(url, ""));
        }
        drop(state);
        ways
    }

    /// The playlist that led to a URL may have been asked for before its cookies opened a session.
    fn find(&self, asked: &Asked, url: &Url) -> Option<Arc<Steered>> {
        let credentials = [asked.credentials, asked.credentials_without_session()];
        let mut known = self.known();
        let is_it = |((of, _), steered): &(&(u64, String), &Arc<Steered>)| {
            credentials.contains(of) && steered.state().all.has(url)
        };
        let key = known.iter().find(is_it)?.0.clone();
        known.get(&key).cloned()
    }

    fn known(&self) -> MutexGuard<'_, LruCache<(u64, String), Arc<Steered>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a multivariant playlist up; says which of its pathways a player is to be given, if it
/// asks to be steered.
pub fn join(front: &Front, asked: &Asked, fetched: &Fetched) -> Option<String> {
    let Content::Text(Ok(Playlist::Multivariant(multivariant))) = &fetched.content else {
        return None;
    };
    let body = &fetched.answer.body;
    let text = playlist::check(body).ok().filter(|_| body.len() <= TEXT_BYTES_MAX)?;
    let mut base = fetched.answer.final_url.clone();
    let _ = UserInfo::take(&mut base);
    let written = Pathways::read(&text, &base, &multivariant.definitions)?;
    let request = match &written.server {
        Server::At(url) => Some(request(front, asked, url)),
        Server::Inline(_) | Server::Nowhere => None,
    };
    let steerings = &front.steering;
    let key = (asked.credentials, directives::split(&asked.url).0.into());
    let steered =
        steerings.known().get_or_insert(key, || Arc::new(Steered::new(written.clone()))).clone();
    let mut state = steered.state();
    state.renew(written, request);
    steerings.follower.use_now(&steered, &mut state);
    let names = state.all.names();
    let ranking = state.course.ranking(&names, Instant::now().into_std());
    let pathway = ranking.first().copied().unwrap_or_default();
    Some(state.all.written(pathway).to_owned())
}

/// A request on behalf of a player, on whatever way: what it sent for one host goes to no other,
/// but what its link carries is for the whole stream. Its jar knows whose cookies are whose.
pub fn request(front: &Front, asked: &Asked, url: &Url) -> FetchRequest {
    let headers = headers_for(front, asked, url);
    FetchRequest { cookies: asked.cookies.clone(), ..FetchRequest::get(url.clone(), headers) }
}

fn headers_for(front: &Front, asked: &Asked, url: &Url) -> HeaderMap {
    let mut headers = asked.forwarded.clone();
    if asked.url.origin() == url.origin() {
        return headers;
    }
    headers.remove(AUTHORIZATION);
    headers.remove(COOKIE);
    let carried = session::id_of(&asked.prefix).and_then(|id| front.sessions().headers(id));
    for (name, value) in carried.iter().flat_map(|carried| carried.iter()) {
        headers.insert(name, value.clone());
    }
    headers
}

impl Way {
    /// It has failed: others are better for a while.
    pub fn failed(&self) {
        let url = redact::url(&self.url);
        tracing::info!(url, pathway = self.pathway, "a pathway has failed");
        let now = Instant::now().into_std();
        self.steered.state().course.penalise(&self.pathway, now);
    }

    /// It has brought a media playlist.
    pub fn brought(&self, timeline: &Timeline) {
        let mut state = self.steered.state();
        if let Some(segment) = timeline.segments.last().filter(|_| !self.pathway.is_empty()) {
            let host = segment.url.origin().ascii_serialization();
            let is_room = state.hosts.len() < HOSTS_MAX || state.hosts.contains_key(&host);
            let known = state.hosts.get(&host).cloned();
            let pathway = Some(self.pathway.clone());
            let is_shared = known.is_some_and(|known| known != pathway);
            if is_room {
                state.hosts.insert(host, pathway.filter(|_| !is_shared));
            }
        }
        state.timelines.put(self.url.clone(), Arc::new(timeline.clone()));
    }

    /// Whether it failed lately.
    pub fn is_penalised(&self) -> bool {
        let now = Instant::now().into_std();
        self.steered.state().course.is_penalised(&self.pathway, now)
    }

    /// The segments it brought last.
    pub fn timeline(&self) -> Option<Arc<Timeline>> {
        self.steered.state().timelines.get(&self.url).cloned()
    }

    /// Whether a segment's URL leads this way.
    pub fn leads_to(&self, segment: &Url) -> bool {
        let state = self.steered.state();
        let host = segment.origin();
        let of_host = state.hosts.get(&host.ascii_serialization());
        of_host.cloned().flatten().map_or(self.url.origin() == host, |known| known == self.pathway)
    }
}

impl Steered {
    fn new(written: Pathways) -> Self {
        let course = Course::new(written.first.clone(), Instant::now().into_std());
        Self(Mutex::new(State {
            all: written.clone(),
            clones: Vec::new(),
            server: Server::Nowhere,
            written,
            course,
            request: None,
            used_at: Instant::now(),
            is_followed: false,
            timelines: LruCache::new(TIMELINES_MAX),
            hosts: BTreeMap::new(),
        }))
    }

    fn way(self: &Arc<Self>, url: &Url, pathway: &str) -> Way {
        Way { url: url.clone(), pathway: pathway.to_owned(), steered: self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The playlist was read again.
    fn renew(&mut self, written: Pathways, request: Option<FetchRequest>) {
        let is_new = self.written.server != written.server || self.server == Server::Nowhere;
        self.request = request.or(self.request.take());
        self.all = written.with(&self.clones);
        self.written = written;
        if is_new {
            self.server = self.written.server.clone();
        }
        if let Server::Inline(bytes) = &self.server {
            let manifest = Manifest::parse(bytes);
            self.hear(manifest.ok().as_ref(), None);
        } else if self.server == Server::Nowhere {
            self.course.settle();
        }
    }

    /// A manifest has come from `base`, or with the playlist; or one that is refused.
    fn hear(&mut self, manifest: Option<&Manifest>, base: Option<&Url>) {
        let now = Instant::now().into_std();
        let Some(manifest) = manifest else {
            self.course.hear(&Heard::Nothing, now);
            if base.is_none() {
                self.course.settle();
            }
            return;
        };
        self.course.hear(&Heard::Manifest(manifest), now);
        if self.clones != manifest.clones {
            self.all = self.written.with(&manifest.clones);
            self.clones.clone_from(&manifest.clones);
        }
        let next = manifest.reload.as_deref().and_then(|uri| match (inline(uri), base) {
            (Some(bytes), _) => Some(Server::Inline(bytes)),
            (None, Some(base)) => proxy_url::resolve(base, uri).map(Server::At),
            (None, None) => {
                uri.parse().ok().and_then(|url| proxy_url::resolve(&url, "")).map(Server::At)
            }
        });
        match next {
            Some(next) => self.server = next,
            None if base.is_none() => self.course.settle(),
            None => {}
        }
    }
}
