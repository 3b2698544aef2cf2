//! Method and target in, route out. PURE.
//!
//! Which URL a proxied target stands for is `playlist::proxy_url`'s knowledge; here it is carried
//! as it came. Driven by the HTTP server, after `guard` has let the request in.

use http::Method;
use url::form_urlencoded;

use super::session;

/// Most `h_Name=VALUE` parameters taken from one request.
pub const PLAY_HEADERS_MAX: usize = 32;

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The page for people.
    Dashboard,
    /// Statistics as JSON.
    Stats,
    /// Whether we are up.
    Health,
    /// Prometheus text.
    Metrics,
    /// Forgets bytes: those of the stream with this URL, or all.
    DeleteCache {
        /// The stream's URL.
        url: Option<String>,
    },
    /// Leads to the form of a URL that plays, with headers that the player cannot send itself.
    Play {
        /// The origin URL, decoded.
        url: String,
        /// Names and values, decoded and unchecked.
        headers: Vec<(String, String)>,
    },
    /// An IPTV channel list.
    ChannelList {
        /// The list's URL, decoded.
        url: String,
    },
    /// A proxied URL, maybe of a session: path and query as they came.
    Proxy(String),
    /// `OPTIONS` of whatever.
    Preflight,
    /// Nothing there.
    NotFound,
    /// `url=` is missing where it is needed.
    UrlMissing,
    /// There is something, but not for this method.
    MethodNotAllowed {
        /// Value of the `Allow` header.
        allow: &'static str,
    },
}

/// Finds the route of a request; `target` is the path and query as they came.
pub fn route(method: &Method, target: &str) -> Route {
    if method == Method::OPTIONS {
        return Route::Preflight;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if path == "/api/v1/cache" {
        return match *method {
            Method::DELETE => Route::DeleteCache { url: parameter(query, "url") },
            _ => Route::MethodNotAllowed { allow: "DELETE, OPTIONS" },
        };
    }
    let found = match path {
        "/" => Route::Dashboard,
        "/api/v1/stats" => Route::Stats,
        "/api/v1/health" => Route::Health,
        "/metrics" => Route::Metrics,
        "/play" => match parameter(query, "url").or_else(|| parameter(query, "d")) {
            Some(url) => Route::Play { url, headers: header_parameters(query) },
            None => Route::UrlMissing,
        },
        "/m3u" => match parameter(query, "url") {
            Some(url) => Route::ChannelList { url },
            None => Route::UrlMissing,
        },
        _ if is_proxied(path) => Route::Proxy(target.to_owned()),
        _ => return Route::NotFound,
    };
    if is_read { found } else { Route::MethodNotAllowed { allow: "GET, HEAD, OPTIONS" } }
}

fn is_proxied(path: &str) -> bool {
    let path = session::split(path).map_or(path, |(_, proxied)| proxied);
    ["/http/", "/https/", "/http:", "/https:"].iter().any(|start| path.starts_with(start))
}

/// The first parameter of that name, if it is not empty. A plus stays a plus: URLs have no spaces.
fn parameter(query: &str, name: &str) -> Option<String> {
    let (_, value) =
        query.split('&').find_map(|pair| pair.split_once('=').filter(|p| p.0 == name))?;
    let protected = value.replace('+', "%2B");
    let (decoded, _) = form_urlencoded::parse(protected.as_bytes()).next()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

fn header_parameters(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, value)| {
            let name = name.strip_prefix("h_").filter(|name| !name.is_empty())?;
            Some((name.to_owned(), value.into_owned()))
        })
        .take(PLAY_HEADERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Route {
        route(&Method::GET, target)
    }

    #[test]
    fn every_path_of_the_contract_has_its_route() {
        for (target, expected) in [
            ("/", Route::Dashboard),
            ("/?x=1", Route::Dashboard),
            ("/api/v1/stats", Route::Stats),
            ("/api/v1/health", Route::Health),
            ("/metrics", Route::Metrics),
            ("/play", Route::UrlMissing),
            ("/play?url=", Route::UrlMissing),
            ("/m3u?d=http://a.test/", Route::UrlMissing),
            ("/nothing", Route::NotFound),
            ("/httpsx/a.test/", Route::NotFound),
            ("/ftp/a.test/", Route::NotFound),
            ("/s/x", Route::NotFound),
            ("/s/x/ftp/a.test/", Route::NotFound),
            ("", Route::NotFound),
            ("*", Route::NotFound),
            ("//", Route::NotFound),
        ] {
            assert_eq!(get(target), expected, "{target}");
            assert_eq!(route(&Method::HEAD, target), expected, "{target}");
        }
    }

    #[test]
    fn a_proxied_target_is_carried_untouched() {
        for target in [
            "/https/cdn.example.com/live/master.m3u8?token=x",
            "/https://cdn.example.com/a?b=https://c.test/?d",
            "/https:/cdn.example.com/%2e%2e/x",
            "/http/127.0.0.1:8080/a+b",
            "/http/",
            "/s/Ab-_/https/a.test/x?y=1",
        ] {
            assert_eq!(get(target), Route::Proxy(target.to_owned()));
        }
    }

    #[test]
    fn play_takes_a_url_and_headers_in_either_spelling() {
        let url = "https://a.test/x y.m3u8?t=1+2&u=3";
        let encoded = "https%3A%2F%2Fa.test%2Fx%20y.m3u8%3Ft%3D1+2%26u%3D3";
        let expected = Route::Play {
            url: url.to_owned(),
            headers: vec![
                ("Referer".to_owned(), "https://b.test/".to_owned()),
                ("User-Agent".to_owned(), "My TV 1".to_owned()),
            ],
        };
        let headers = "h_Referer=https%3A%2F%2Fb.test%2F&h_User-Agent=My+TV%201&h_=x";
        assert_eq!(get(&format!("/play?url={encoded}&{headers}")), expected);
        assert_eq!(get(&format!("/play?{headers}&d={encoded}")), expected);
        let list = Route::ChannelList { url: "http://a.test/l.m3u".to_owned() };
        assert_eq!(get("/m3u?url=http://a.test/l.m3u"), list);
    }

    #[test]
    fn the_number_of_headers_is_limited() {
        let many = "&h_X=1".repeat(10 * PLAY_HEADERS_MAX);
        let Route::Play { headers, .. } = get(&format!("/play?url=http://a.test/{many}")) else {
            panic!("not routed")
        };
        assert_eq!(headers.len(), PLAY_HEADERS_MAX);
    }

    #[test]
    fn only_reading_and_forgetting_are_possible() {
        let forget = |target| route(&Method::DELETE, target);
        assert_eq!(forget("/api/v1/cache"), Route::DeleteCache { url: None });
        let url = Some("https://a.test/x".to_owned());
        assert_eq!(
            forget("/api/v1/cache?url=https%3A%2F%2Fa.test%2Fx"),
            Route::DeleteCache { url }
        );
        assert!(matches!(get("/api/v1/cache"), Route::MethodNotAllowed { .. }));
        for target in ["/", "/https/a.test/x", "/api/v1/stats", "/play?url=http://a.test/"] {
            assert!(matches!(forget(target), Route::MethodNotAllowed { .. }), "{target}");
            let post = route(&Method::POST, target);
            assert!(matches!(post, Route::MethodNotAllowed { .. }), "{target}");
        }
        assert_eq!(route(&Method::POST, "/nothing"), Route::NotFound);
        assert_eq!(route(&Method::OPTIONS, "*"), Route::Preflight);
    }
}
