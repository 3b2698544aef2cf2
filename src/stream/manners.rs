//! How players ask an origin, for segments that none of them has asked for yet.
//!
//! Origins may want a cookie or a referring page: a segment fetched ahead is asked for as the last
//! one was. What belongs to one host goes to no other; cookies of a session know theirs. Driven by
//! the actor.

use http::HeaderMap;
use url::{Origin, Url};

use crate::origin::{Cookies, FetchRequest};

/// The header fields of the last request of a player and where they went, and its cookies.
#[derive(Debug, Default)]
pub struct Manners {
    said: Option<(Origin, HeaderMap)>,
    cookies: Cookies,
}

impl Manners {
    /// As in that request.
    pub fn of(request: &FetchRequest) -> Self {
        Self {
            said: Some((request.url.origin(), request.headers.clone())),
            cookies: request.cookies.clone(),
        }
    }

    /// Whether any player has asked yet.
    pub fn are_known(&self) -> bool {
        self.said.is_some()
    }

    /// How to ask for a URL.
    pub fn request(&self, url: &Url) -> FetchRequest {
        let cookies = self.cookies.clone();
        FetchRequest { cookies, ..FetchRequest::get(url.clone(), self.headers_for(url)) }
    }

    fn headers_for(&self, url: &Url) -> HeaderMap {
        let known = self.said.as_ref().filter(|(origin, _)| *origin == url.origin());
        known.map(|(_, headers)| headers.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{COOKIE, SET_COOKIE};

    use super::*;

    #[test]
    fn what_one_host_was_told_goes_to_no_other() {
        let url = |text: &str| Url::parse(text).unwrap();
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("a=1"))]);
        let manners = Manners::of(&FetchRequest::get(url("https://a.test/1.ts"), headers.clone()));
        assert_eq!(manners.headers_for(&url("https://a.test/2.ts")), headers);
        for other in ["https://b.test/2.ts", "http://a.test/2.ts", "https://a.test:8443/2.ts"] {
            assert!(manners.headers_for(&url(other)).is_empty(), "{other}");
        }
        assert!(Manners::default().headers_for(&url("https://a.test/2.ts")).is_empty());
    }

    #[test]
    fn a_segment_fetched_ahead_is_asked_for_with_the_cookies_of_the_session() {
        let url = Url::parse("https://a.test/live/1.ts").unwrap();
        let request = FetchRequest::get(url.clone(), HeaderMap::new());
        let answer = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static("sid=1"))]);
        request.cookies.take(&url, &answer, 0);
        assert!(!Manners::of(&request).request(&url).cookies.is_unused());
    }
}
