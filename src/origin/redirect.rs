//! The way from the URL asked for to the one that answers. PURE.
//!
//! We follow redirects ourselves, because relative URIs in a playlist count from the last URL,
//! and because what was told to one host is not for the next one. Cookies set on the way are sent
//! on it, as a player would; whether they are kept beyond it is for the owner of the jar to say.

use super::cookies::{self, Cookies};
use super::error::{OriginError, host_of};
use http::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use url::Url;

/// Most redirects followed for one request.
pub const REDIRECTS_MAX: usize = 10;
/// Most cookies taken along on the way.
const COOKIES_MAX: usize = 20;

/// A request on its way.
pub(super) struct Trail {
    /// Where to ask next.
    pub url: Url,
    /// What to say there.
    pub headers: HeaderMap,
    /// What the player itself says there of cookies.
    own: Vec<u8>,
    jar: Cookies,
    seen: Vec<(Url, Option<HeaderValue>)>,
    /// `Set-Cookie` lines of hosts passed, which the player has to hear of as well.
    set_on_the_way: Vec<(Url, HeaderValue)>,
}

impl Trail {
    /// The way from `url`, with the jar of the player; `now_s` in seconds since 1970.
    pub fn new(
        mut url: Url,
        headers: HeaderMap,
        jar: Cookies,
        now_s: u64,
    ) -> Result<Self, OriginError> {
        if !is_web(&url) {
            return Err(OriginError::BadUrl { host: host_of(&url) });
        }
        url.set_fragment(None);
        let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let own = lines.collect::<Vec<_>>().join(&b"; "[..]);
        let (seen, set_on_the_way) = (Vec::new(), Vec::new());
        let mut trail = Self { url, headers, own, jar, seen, set_on_the_way };
        trail.say_cookies(now_s);
        Ok(trail)
    }

    /// Takes the head of an answer: true when it redirects and there is another request to send.
    pub fn follow(
        &mut self,
        status: u16,
        answer: &HeaderMap,
        now_s: u64,
    ) -> Result<bool, OriginError> {
        self.jar.take(&self.url, answer, now_s);
        let location = match answer.get(LOCATION) {
            Some(location) if matches!(status, 301 | 302 | 303 | 307 | 308) => location,
            _ => return Ok(false),
        };
        let bad = || OriginError::BadRedirect { host: host_of(&self.url) };
        let text = std::str::from_utf8(location.as_bytes()).map_err(|_| bad())?;
        let mut next = self.url.join(text).map_err(|_| bad())?;
        next.set_fragment(None);
        if !is_web(&next) {
            return Err(bad());
        }
        self.seen.push((self.url.clone(), self.headers.get(COOKIE).cloned()));
        self.take_cookies(answer);
        if !is_same_place(&self.url, &next) {
            self.headers.remove(AUTHORIZATION);
            self.own.clear();
        }
        self.url = next;
        self.say_cookies(now_s);
        // The same URL with other cookies is a site that tests for cookies, not a circle.
        let here = (self.url.clone(), self.headers.get(COOKIE).cloned());
        if self.seen.contains(&here) || self.seen.len() > REDIRECTS_MAX {
            return Err(OriginError::TooManyRedirects { host: host_of(&self.url) });
        }
        Ok(true)
    }

    /// Whether it has not left the place that it began at.
    pub fn is_where(&self, began: &Url) -> bool {
        is_same_place(began, &self.url)
    }

    /// Adds to the final answer the cookies that the same place has set on the way to it.
    pub fn add_cookies_to(&self, answer: &mut HeaderMap) {
        for (_, cookie) in self.set_on_the_way.iter().filter(|(u, _)| is_same_place(u, &self.url)) {
            answer.append(SET_COOKIE, cookie.clone());
        }
    }

    /// Remembers what is set here. It replaces what the player has under the same name.
    fn take_cookies(&mut self, answer: &HeaderMap) {
        for line in answer.get_all(SET_COOKIE) {
            if self.set_on_the_way.len() == COOKIES_MAX {
                return;
            }
            self.set_on_the_way.push((self.url.clone(), line.clone()));
            let set = cookies::name_of(line.as_bytes().split(|&b| b == b';').next().unwrap_or(b""));
            let kept = cookies::pairs(&self.own).filter(|pair| cookies::name_of(pair) != set);
            self.own = kept.collect::<Vec<_>>().join(&b"; "[..]);
        }
    }

    fn say_cookies(&mut self, now_s: u64) {
        self.headers.remove(COOKIE);
        let line = self.jar.line(&self.url, &self.own, now_s);
        if let Ok(mut value) = HeaderValue::from_bytes(&line)
            && !value.is_empty()
        {
            value.set_sensitive(true);
            self.headers.insert(COOKIE, value);
        }
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// Whether what was told to one URL's host may be told to the other's: the same origin, or the
/// same host on its way from http to https.
fn is_same_place(from: &Url, to: &Url) -> bool {
    let is_upgrade =
        (from.scheme(), to.scheme(), from.port(), to.port()) == ("http", "https", None, None);
    from.host_str() == to.host_str()
        && (is_upgrade
            || (from.scheme(), from.port_or_known_default())
                == (to.scheme(), to.port_or_known_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(url: &str) -> Trail {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("sid=1"));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        headers.insert("user-agent", HeaderValue::from_static("mpv"));
        Trail::new(url.parse().unwrap(), headers, Cookies::default(), 0).unwrap()
    }

    fn to(location: &str) -> HeaderMap {
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
        answer
    }

    #[test]
    fn credentials_stay_with_the_place_they_were_meant_for() {
        for (from, location, is_kept) in [
            ("https://a.test/x", "/y?z=1", true),
            ("https://a.test/x", "https://a.test:443/y", true),
            ("http://a.test/x", "https://a.test/y", true),
            ("https://a.test/x", "http://a.test/y", false),
            ("https://a.test/x", "https://b.test/y", false),
            ("https://a.test/x", "//b.a.test/y", false),
            ("https://a.test/x", "https://a.test:8443/y", false),
            ("http://a.test:8080/x", "https://a.test/y", false),
        ] {
            let mut trail = trail(from);
            assert_eq!(trail.follow(302, &to(location), 0), Ok(true));
            assert_eq!(trail.headers.contains_key(COOKIE), is_kept, "{from} {location}");
            assert_eq!(trail.headers.contains_key(AUTHORIZATION), is_kept, "{from} {location}");
            assert_eq!(trail.headers["user-agent"], "mpv");
        }
    }

    #[test]
    fn credentials_dropped_once_do_not_come_back() {
        let mut trail = trail("https://a.test/x");
        assert_eq!(trail.follow(302, &to("https://b.test/y"), 0), Ok(true));
        assert_eq!(trail.follow(302, &to("https://a.test/z"), 0), Ok(true));
        assert!(!trail.headers.contains_key(COOKIE));
    }

    #[test]
    fn circles_and_endless_chains_end() {
        let mut circle = trail("http://a.test/x");
        assert_eq!(circle.follow(302, &to("/y"), 0), Ok(true));
        let end = circle.follow(301, &to("/x#again"), 0);
        assert_eq!(end, Err(OriginError::TooManyRedirects { host: "a.test".into() }));
        let mut chain = trail("http://a.test/0");
        let followed = (1..100).take_while(|n| chain.follow(307, &to(&format!("/{n}")), 0).is_ok());
        assert_eq!(followed.count(), REDIRECTS_MAX);
    }

    #[test]
    fn only_web_urls_are_followed() {
        for location in ["file:///etc/passwd", "ftp://a.test/", "data:,x", "http://", "http://[::"]
        {
            let end = trail("http://a.test/x").follow(302, &to(location), 0);
            assert_eq!(end, Err(OriginError::BadRedirect { host: "a.test".into() }), "{location}");
        }
        assert!(
            Trail::new("ftp://a.test/".parse().unwrap(), HeaderMap::new(), Cookies::default(), 0)
                .is_err()
        );
    }

    #[test]
    fn an_answer_that_does_not_redirect_is_the_end() {
        let mut trail = trail("http://a.test/x");
        assert_eq!(trail.follow(200, &to("/y"), 0), Ok(false));
        assert_eq!(trail.follow(304, &to("/y"), 0), Ok(false));
        assert_eq!(trail.follow(302, &HeaderMap::new(), 0), Ok(false));
    }

    #[test]
    fn a_cookie_set_on_the_way_is_sent_and_reported() {
        let mut trail = trail("http://a.test/x");
        let mut answer = to("/x");
        answer.append(SET_COOKIE, HeaderValue::from_static("pass=7; Path=/"));
        answer.append(SET_COOKIE, HeaderValue::from_static("sid=2"));
        assert_eq!(trail.follow(302, &answer, 0), Ok(true));
        assert_eq!(trail.headers[COOKIE], "pass=7; sid=2");
        let mut last = HeaderMap::new();
        trail.add_cookies_to(&mut last);
        assert_eq!(last.get_all(SET_COOKIE).iter().count(), 2);
        assert_eq!(trail.follow(302, &to("http://b.test/"), 0), Ok(true));
        let mut elsewhere = HeaderMap::new();
        trail.add_cookies_to(&mut elsewhere);
        assert!(elsewhere.is_empty());
    }
}
