//! Brings playlists: held ones while they are as good as new, else from the origin, once for all
//! players who ask for the same at the same time.
//!
//! What is read is taught to the registry here; `ways` asks the origin. What may be given out is
//! `held`'s to say; how it is given out, `playlist`'s.

mod ways;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::AUTHORIZATION;
use tokio::sync::OnceCell;
use url::Url;

use super::answer::Front;
use super::decode::{self, Undecodable};
use super::directives::{self, Directives};
use super::freshness::{self, Edge};
use super::held::{Content, Fetched, Held, Key};
use super::proxy::Asked;
use super::user_info::UserInfo;
use crate::ids::SegmentId;
use crate::origin::{OriginError, OriginResponse, PlaylistAnswer};
use crate::playlist::{self, Definitions, PLAYLIST_BYTES_MAX, Playlist};
use crate::redact;
use ways::Come;

/// Longer texts are worked on elsewhere: they would keep other players waiting.
pub const QUICK_BYTES_MAX: usize = 128 << 10;
/// Byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// Target duration assumed of a stream whose playlist is not held.
const TARGET_UNKNOWN: Duration = Duration::from_secs(6);

type Outcome = Result<Arc<Fetched>, OriginError>;
type Flight = OnceCell<Outcome>;

/// The playlists of the daemon.
#[derive(Default)]
pub struct Playlists {
    held: Mutex<Held>,
    /// Requests under way, by credentials and URL with directives; each is kept by who waits.
    flights: Mutex<HashMap<Key, Weak<Flight>>>,
}

/// A playlist for a player.
pub struct Brought {
    /// The playlist.
    pub fetched: Arc<Fetched>,
    /// Whether it was here already.
    pub was_held: bool,
}

/// One request for a playlist.
struct Wish<'a> {
    front: &'a Front,
    asked: &'a Asked,
    plain: Url,
    directives: Directives,
    key: Key,
    variant: u64,
}

impl Playlists {
    /// Whether a URL is known to lead to a playlist.
    pub fn is_known(&self, credentials: u64, url: &Url) -> bool {
        self.held().is_known(&(credentials, directives::split(url).0.into()))
    }

    /// Forgets everything held.
    pub fn clear(&self) {
        self.held().clear();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request under way with that name, or a new one.
    fn flight(&self, key: Key) -> Arc<Flight> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        let known =
            flights.get(&key).and_then(Weak::upgrade).filter(|flight| !flight.initialized());
        known.unwrap_or_else(|| {
            let flight = Arc::<Flight>::default();
            flights.insert(key, Arc::downgrade(&flight));
            flight
        })
    }
}

/// Brings the playlist that a player asks for.
pub async fn bring(front: &Front, asked: &Asked) -> Result<Brought, OriginError> {
    let wish = Wish::new(front, asked);
    let variant = wish.variant;
    if let Some(fetched) = wish.fresh() {
        return Ok(Brought { fetched, was_held: true });
    }
    let url = wish.directives.added_to(&wish.plain);
    let flight = front.playlists.flight((asked.credentials, url.into()));
    // If the player who asks for all goes away, the next of them asks.
    let is_ours = AtomicBool::new(false);
    let outcome = flight
        .get_or_init(|| {
            is_ours.store(true, Ordering::Relaxed);
            wish.fetch()
        })
        .await;
    let fetched = match outcome {
        Ok(fetched) if is_ours.into_inner() => fetched.clone(),
        Ok(fetched) if fetched.is_for(variant) && fetched.adopted.is_none() => fetched.clone(),
        Ok(_) => wish.fetch().await?,
        Err(error) => return Err(error.clone()),
    };
    Ok(Brought { fetched, was_held: false })
}

/// Takes the playlist that an answer turned out to be, asking anew only where its end is missing.
pub async fn take(
    front: &Front,
    asked: &Asked,
    answer: OriginResponse,
) -> Result<Brought, OriginError> {
    let began = now();
    let Ok(answer) = answer.into_whole().await else { return bring(front, asked).await };
    front.status.meter.add(|c| &c.origin_bytes, answer.body.len() as u64);
    let wish = Wish::new(front, asked);
    let mut fetched = wish.understood(wish.plain.clone(), answer, began).await;
    if !wish.fill_in(&mut fetched) {
        return bring(front, asked).await;
    }
    Ok(Brought { fetched: wish.keep(fetched).await, was_held: false })
}

impl<'a> Wish<'a> {
    fn new(front: &'a Front, asked: &'a Asked) -> Self {
        let (plain, directives) = directives::split(&asked.url);
        let key = (asked.credentials, plain.as_str().to_owned());
        let variant = freshness::variant(&asked.forwarded);
        Self { front, asked, plain, directives, key, variant }
    }

    fn fresh(&self) -> Option<Arc<Fetched>> {
        let now = now();
        self.front.playlists.held().fresh(&self.key, &self.directives, self.variant, now)
    }

    async fn fetch(&self) -> Outcome {
        // Somebody else's may have come since we looked.
        if let Some(fetched) = self.fresh() {
            return Ok(fetched);
        }
        let began = now();
        let (latest, stand_in) = {
            let mut held = self.front.playlists.held();
            let stand_in = held.stand_in(&self.key, self.variant, began);
            (held.latest(&self.key, self.variant), stand_in)
        };
        let target = latest.as_ref().and_then(|latest| latest.target).unwrap_or(TARGET_UNKNOWN);
        let previous = latest.filter(|_| self.directives.is_empty());
        let stand_in = stand_in.filter(|_| !self.directives.is_blocking());
        let (way, answer) = match self.come(previous.as_deref(), stand_in.clone(), target).await? {
            Come::Answer(way, answer) => (way, answer),
            Come::StandIn(stand_in) => return Ok(stand_in),
        };
        let source = way.as_ref().map_or(&self.plain, |way| &way.url).clone();
        // What was held back was made at the end.
        let began = if self.directives.is_blocking() { now() } else { began };
        let mut fetched = match previous.filter(|previous| previous.source == source) {
            Some(previous) if answer.status == StatusCode::NOT_MODIFIED => {
                previous.renewed(&answer.headers, began, now())
            }
            _ => self.understood(source.clone(), *answer, began).await,
        };
        if !self.fill_in(&mut fetched) {
            // What it leaves out is not known here, and may be asked for next.
            let request = self.request(&source, &self.directives.without_skip(), None);
            let answer = self.ask(&request, target).await?;
            fetched = self.understood(source, answer, now()).await;
        }
        if let (Some(way), Content::Text(Ok(Playlist::Media(timeline)))) = (way, &fetched.content) {
            way.brought(timeline);
        }
        if let Some(stand_in) = stand_in.filter(|stand_in| fetched.is_hollow_after(stand_in)) {
            self.say_what_stands_in("what came is none");
            return Ok(stand_in);
        }
        Ok(self.keep(fetched).await)
    }

    /// Tells everyone who is to know; what to give out: this, or what reached further already.
    async fn keep(&self, mut fetched: Fetched) -> Arc<Fetched> {
        if let Content::Text(_) = fetched.content {
            fetched.adopted = self.asked.adopt(self.front);
        }
        // What it lists is asked for in the session.
        let of_session = fetched.adopted.as_ref().map(|adopted| adopted.credentials);
        let credentials = of_session.unwrap_or(self.asked.credentials);
        let key = (credentials, self.key.1.clone());
        // What is not given out is not learned either: it could pass for a new beginning.
        let instead = self.front.playlists.held().instead(&key, &fetched, now());
        if let Some(instead) = instead {
            return instead;
        }
        self.learn(credentials, &fetched).await;
        self.front.playlists.held().put(key, Arc::new(fetched), now())
    }

    /// What an answer is, with its text decompressed.
    async fn understood(&self, source: Url, mut answer: PlaylistAnswer, began: Instant) -> Fetched {
        answer.final_url = directives::split(&answer.final_url).0;
        let came = now();
        let mut fetched = Fetched {
            answer,
            source,
            content: Content::Other,
            imported: imported(self.front, self.asked, &self.plain),
            edge: None,
            target: None,
            is_delta: false,
            began,
            came,
            variant: self.variant,
            adopted: None,
        };
        if fetched.answer.status != StatusCode::OK || fetched.answer.media.is_some() {
            return fetched;
        }
        if fetched.answer.body.len() <= QUICK_BYTES_MAX {
            read(&mut fetched);
            return fetched;
        }
        let mut read_aside = fetched.clone();
        let reading = tokio::task::spawn_blocking(move || {
            read(&mut read_aside);
            read_aside
        });
        reading.await.unwrap_or_else(|_| {
            fetched.content = Content::Unusable("the playlist was not read".to_owned());
            fetched
        })
    }

    /// Tells the registry.
    async fn learn(&self, credentials: u64, fetched: &Fetched) {
        let registry = &self.front.registry;
        let Content::Text(read) = &fetched.content else { return };
        // A redirect can bring a user name and password; no stream or swarm is named by them.
        let mut final_url = fetched.answer.final_url.clone();
        let is_named_with_user = UserInfo::take(&mut final_url).is_some();
        match read {
            Ok(Playlist::Multivariant(multivariant)) => {
                let plain = &self.plain;
                registry.learn_multivariant(credentials, plain, &final_url, multivariant);
            }
            // What is still empty is no stream yet, and no reason to give one up.
            Ok(Playlist::Media(_)) if !fetched.has_anything() => {}
            Ok(Playlist::Media(timeline)) => {
                let timeline = timeline.clone();
                let is_authorized = self.asked.forwarded.contains_key(AUTHORIZATION);
                let may_share = !is_named_with_user && !is_authorized;
                let plain = &self.plain;
                registry.learn_media(credentials, may_share, plain, &final_url, timeline).await;
            }
            // It can still be played, if not shared.
            Err(error) => {
                let url = redact::url(&self.plain);
                tracing::info!(url, %error, "a playlist is not understood");
            }
        }
    }

    /// Puts the segments that a delta update leaves out into what was read of it; `false` if they
    /// are not known.
    fn fill_in(&self, fetched: &mut Fetched) -> bool {
        let is_delta = fetched.is_delta;
        let Content::Text(Ok(Playlist::Media(timeline))) = &mut fetched.content else {
            return true;
        };
        if !is_delta {
            return true;
        }
        let known = self.front.registry.timeline(self.asked.credentials, &self.plain);
        let Some(known) = known else { return false };
        let Some(first) = timeline.segments.first().map(|segment| segment.id) else { return false };
        let oldest = SegmentId(timeline.media_sequence);
        let skipped = known.segments.iter().filter(|s| (oldest..first).contains(&s.id)).cloned();
        let mut all: Vec<_> = skipped.collect();
        let is_whole = all.len() as u64 == first.0 - oldest.0;
        all.append(&mut timeline.segments);
        timeline.segments = all;
        is_whole
    }
}

/// What a media playlist can import. The playlist that led to it may have been asked for before its
/// cookies opened the session.
pub fn imported(front: &Front, asked: &Asked, playlist: &Url) -> Arc<Definitions> {
    let of = |credentials| front.registry.imported(credentials, playlist);
    let imported = of(asked.credentials);
    if imported.is_empty() { of(asked.credentials_without_session()) } else { imported }
}

/// Reads what has come, and leaves its text without compression and byte order mark as body.
fn read(fetched: &mut Fetched) {
    let answer = &mut fetched.answer;
    let body = match decode::decode(&answer.headers, &answer.body, PLAYLIST_BYTES_MAX) {
        Ok(body) => body,
        Err(Undecodable::Unknown) => return,
        Err(error) => {
            fetched.content = Content::Unusable(format!("the playlist cannot be read: {error}"));
            return;
        }
    };
    let text = match playlist::check(&body) {
        Ok(text) => text,
        Err(error) => {
            fetched.content = Content::Unusable(error.to_string());
            return;
        }
    };
    let mut base = answer.final_url.clone();
    let _ = UserInfo::take(&mut base);
    let read = playlist::read(&text, &base, &fetched.imported);
    if let Ok(Playlist::Media(timeline)) = &read {
        fetched.edge = Some(Edge::of(timeline, &text));
        fetched.target = (!timeline.is_ended).then_some(timeline.target_duration);
        fetched.is_delta = text.lines().any(|line| line.starts_with("#EXT-X-SKIP:"));
    }
    answer.body = if body.starts_with(MARK) { body.slice(MARK.len()..) } else { body.clone() };
    fetched.content = Content::Text(read);
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
