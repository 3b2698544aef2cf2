//! Jars of cookies for players that keep none, each one player's. PURE.
//!
//! A playlist's answer that sets a cookie opens a session: from then on the player is led through
//! `/s/ID/…`, and what is asked for there carries the jar's cookies. The same player with the same
//! credentials comes to the same jar again; another one never does. What is kept in a jar, and who
//! is sent it, is `origin::cookies`' to say; `proxy` drives this file.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use lru::LruCache;

use super::headers;
use super::session::ID_BYTES;
use crate::ids::PlayerId;
use crate::origin::{Cookies, cookies};

/// Jars at the same time; the one not used for longest is forgotten.
pub const JARS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// What the id of a jar begins with. Together with its length it tells a jar from a link's
/// headers, so that a player whose jar is forgotten plays on without.
const PLAIN: &str = "c";
/// The same of a jar that goes with a link's headers, which nobody can play on without.
const LINKED: &str = "h";

/// The jars of the daemon.
#[derive(Debug)]
pub struct Jars(LruCache<String, Jar>);

#[derive(Debug)]
struct Jar {
    owner: Owner,
    cookies: Cookies,
}

/// Whose a jar is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The player.
    pub player: PlayerId,
    /// Headers of the link that it followed.
    pub carried: Arc<HeaderMap>,
    /// Host and port of the playlist that opened the session.
    pub site: String,
    /// Its credentials besides the jar.
    pub credentials: u64,
}

/// A jar, for a request.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// What is in it.
    pub cookies: Cookies,
    /// Tells it, together with what else the request carries, from other credentials.
    pub credentials: u64,
}

impl Default for Jars {
    fn default() -> Self {
        Self(LruCache::new(JARS_MAX))
    }
}

impl Jars {
    /// Headers of the link that led to a jar.
    pub fn headers(&mut self, id: &str) -> Option<Arc<HeaderMap>> {
        self.0.get(id).map(|jar| jar.owner.carried.clone())
    }

    /// The jar for a request with these headers: that of the session it is made in, if it is this
    /// player's, or the one that the player has for the site.
    pub fn find(&mut self, id: Option<&str>, asks: &Owner, sent: &HeaderMap) -> Option<Session> {
        let named = id.filter(|id| self.0.peek(*id).is_some_and(|jar| jar.admits(asks, sent)));
        let is_owners = |jar: &Jar| {
            let credentials = besides(sent, &jar.cookies);
            jar.owner == Owner { credentials, ..asks.clone() }
        };
        let id = match named {
            Some(id) => id.to_owned(),
            None => self.0.iter().find(|(_, jar)| is_owners(jar))?.0.clone(),
        };
        let cookies = self.0.get(&id)?.cookies.clone();
        Some(session(id, cookies, sent))
    }

    /// Opens a session with cookies that were set on a request with these headers, or adds them to
    /// the one that another request has opened meanwhile. `random` makes its name.
    pub fn open(
        &mut self,
        owner: Owner,
        sent: &HeaderMap,
        cookies: Cookies,
        random: [u8; ID_BYTES],
    ) -> Session {
        if let Some(known) = self.find(None, &owner, sent) {
            known.cookies.absorb(&cookies);
            return known;
        }
        let mark = if owner.carried.is_empty() { PLAIN } else { LINKED };
        let id = format!("{mark}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        let owner = Owner { credentials: besides(sent, &cookies), ..owner };
        self.0.put(id.clone(), Jar { owner, cookies: cookies.clone() });
        session(id, cookies, sent)
    }
}

impl Jar {
    /// Whether a request made in the session is its player's. What the playlist took to get is not
    /// always sent for what it lists.
    fn admits(&self, asks: &Owner, sent: &HeaderMap) -> bool {
        let credentials = besides(sent, &self.cookies);
        self.owner.player == asks.player
            && (credentials == self.owner.credentials
                || credentials == headers::credentials(&self.owner.carried))
    }
}

/// Whether an id is of a session that holds nothing but a jar.
pub fn is_plain(id: &str) -> bool {
    let encoded = (ID_BYTES * 4).div_ceil(3);
    id.len() == PLAIN.len() + encoded && id.starts_with(PLAIN)
}

fn session(id: String, cookies: Cookies, sent: &HeaderMap) -> Session {
    let mut hasher = DefaultHasher::new();
    (&id, besides(sent, &cookies)).hash(&mut hasher);
    Session { id, cookies, credentials: hasher.finish().max(1) }
}

/// Credentials in headers, besides cookies that the jar's origins have set: they may change with
/// every answer, and whose they are the jar's name says.
fn besides(sent: &HeaderMap, jar: &Cookies) -> u64 {
    let mut others = sent.clone();
    others.remove(COOKIE);
    let lines = sent.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    for pair in lines.flat_map(cookies::pairs).filter(|pair| !jar.has_issued(pair)) {
        if let Ok(value) = HeaderValue::from_bytes(pair) {
            others.append(COOKIE, value);
        }
    }
    headers::credentials(&others)
}

#[cfg(test)]
#[path = "cookies_tests.rs"]
mod tests;
