//! Errors of the daemon's own, as a player gets them. The only place where their status is chosen.
//!
//! An origin's error status is not one of these: it passes unchanged.

use super::guard::Refusal;
use crate::origin::OriginError;
use crate::peertube::NotPlayable;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

/// What went wrong, in the form of RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// The request names a URL that is none; `detail` must not repeat its query.
    pub fn bad_url(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad URL", detail)
    }

    /// A URL of the daemon's own.
    pub fn leads_to_us() -> Self {
        Self::bad_url("this URL leads to the daemon itself")
    }

    /// The headers that a link carries are no longer known.
    pub fn session_forgotten() -> Self {
        let detail = "the headers of this link are forgotten: open its /play link again";
        Self::new(StatusCode::NOT_FOUND, "session forgotten", detail)
    }

    /// Nothing under this path.
    pub fn not_found() -> Self {
        let detail = "give a player http://ADDRESS/https/HOST/PATH, or open / in a browser";
        Self::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// Something, but not for this method.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("the methods here are {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail)
            .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// A range outside of `size` bytes.
    pub fn range_not_satisfiable(size: u64) -> Self {
        let problem = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range not satisfiable",
            format!("there are {size} bytes"),
        );
        match HeaderValue::from_str(&format!("bytes */{size}")) {
            Ok(value) => problem.with(CONTENT_RANGE, value),
            Err(_) => problem,
        }
    }

    /// No room, or about to end: worth trying again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not available now", detail)
    }

    /// Neither peers nor the origin could bring it.
    pub fn no_source(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "no source", detail)
    }

    /// A link to a video that leads nowhere.
    pub fn not_playable(host: &str, why: &NotPlayable) -> Self {
        use NotPlayable as N;
        let status = match why {
            N::Playlist => StatusCode::BAD_REQUEST,
            N::NoVideo(_) | N::NotLive(_) | N::NoFile(_) => StatusCode::NOT_FOUND,
            N::Password(_) | N::Private(_) => StatusCode::FORBIDDEN,
            N::Status(_) | N::NotPeerTube | N::Address(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, "no video to play", format!("{host} {why}"))
    }

    /// The status that will be sent.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer; never to be kept by anyone, since the next attempt may succeed.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let text = serde_json::json!({
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.header);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), header: None }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<&OriginError> for Problem {
    fn from(error: &OriginError) -> Self {
        use OriginError as E;
        let (status, title) = match error {
            E::BadUrl { .. } => (StatusCode::BAD_REQUEST, "bad URL"),
            E::Forbidden { .. } => (StatusCode::FORBIDDEN, "address not allowed"),
            E::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "origin too slow"),
            E::NameNotResolved { .. } | E::Unreachable { .. } | E::TlsFailed { .. } => {
                (StatusCode::BAD_GATEWAY, "origin unreachable")
            }
            E::TooManyRedirects { .. }
            | E::BadRedirect { .. }
            | E::Elsewhere { .. }
            | E::Truncated { .. }
            | E::WrongRange { .. }
            | E::Changed { .. }
            | E::TooLarge { .. }
            | E::Broken { .. }
            | E::NotSetUp => (StatusCode::BAD_GATEWAY, "origin broken"),
        };
        Self::new(status, title, error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not allowed", refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Waited;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_problem_is_json_that_nobody_keeps() {
        let response = Problem::bad_url("no host in \"x\"").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["status"], 400);
        assert_eq!(json["title"], "bad URL");
        assert_eq!(json["detail"], "no host in \"x\"");
    }

    #[test]
    fn statuses_are_those_a_player_understands() {
        let host = || "cdn.example.com".to_owned();
        for (error, status) in [
            (OriginError::BadUrl { host: host() }, 400),
            (OriginError::Forbidden { host: host() }, 403),
            (OriginError::Unreachable { host: host() }, 502),
            (OriginError::TooLarge { host: host(), limit: 5 }, 502),
            (OriginError::TimedOut { host: host(), what: Waited::Head }, 504),
        ] {
            let problem = Problem::from(&error);
            assert_eq!(problem.status(), status);
            assert!(problem.detail.contains("cdn.example.com"));
        }
        assert_eq!(Problem::from(Refusal::Host).status(), 403);
        assert_eq!(Problem::unavailable("draining").status(), 503);
        assert_eq!(Problem::no_source("segment 7 of a.test").status(), 502);
        assert_eq!(Problem::not_found().status(), 404);
    }

    #[test]
    fn what_is_possible_instead_is_said_in_a_header() {
        let range = Problem::range_not_satisfiable(9).into_response();
        assert_eq!(
            (range.status().as_u16(), &range.headers()[CONTENT_RANGE]),
            (416, &HeaderValue::from_static("bytes */9"))
        );
        let method = Problem::method_not_allowed("DELETE, OPTIONS").into_response();
        assert_eq!(method.status(), 405);
        assert_eq!(method.headers()[ALLOW], "DELETE, OPTIONS");
    }
}
