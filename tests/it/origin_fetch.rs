//! The upstream client against an origin that misbehaves in every way we know of.

use crate::ask;
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, Switch, pattern};
use bytes::Bytes;
use hlswarm::ids::ByteRange;
use hlswarm::origin::{
    FetchRequest, Origin, OriginConfig, OriginError, OriginResponse, PLAYLIST_BYTES_MAX,
    REDIRECTS_MAX, Validator, Waited, Wanted,
};
use http::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

const LEN: usize = 300_000;

fn client() -> Origin {
    Origin::new(&OriginConfig::default()).unwrap()
}

/// A client that loses patience soon, for origins that never answer.
fn hasty() -> Origin {
    let config = OriginConfig { head_timeout_ms: 50, idle_timeout_ms: 50, ..Default::default() };
    Origin::new(&config).unwrap()
}

fn get(url: Url) -> FetchRequest {
    FetchRequest::get(url, HeaderMap::new())
}

fn slice(url: Url, offset: u64, len: u64) -> FetchRequest {
    FetchRequest { wanted: Wanted::Slice(ByteRange { offset, len }), ..get(url) }
}

async fn body(mut response: OriginResponse) -> Bytes {
    response.collect(1 << 30).await.unwrap()
}

#[tokio::test]
async fn brings_a_segment_with_its_length_and_headers() {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(LEN, 1).header("etag", "\"v1\""));
    let response = client().open(&get(origin.url("/a.ts?token=x#f"))).await.unwrap();
    assert_eq!((response.status.as_u16(), response.total), (200, Some(LEN as u64)));
    assert_eq!(response.headers["content-type"], "video/mp2t");
    assert_eq!(response.final_url, origin.url("/a.ts?token=x"));
    assert!(!format!("{response:?}").contains("token=x"), "no value of a query is ever printed");
    assert!(Validator::from_headers(&response.headers).is_some());
    assert_eq!(body(response).await, pattern(LEN, 1));
    let seen = &origin.requests()[0];
    assert_eq!(seen.query.as_deref(), Some("token=x"));
    for absent in ["accept-encoding", "range", "referer", "cookie", "user-agent"] {
        assert_eq!(seen.header(absent), "", "{absent}");
    }
}

#[tokio::test]
async fn keeps_connections_for_the_next_segment() {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(LEN, 1));
    origin.put("/b.ts", Resource::ts(LEN, 2).without_length());
    let client = client();
    for path in ["/a.ts", "/b.ts", "/a.ts"] {
        body(client.open(&get(origin.url(path))).await.unwrap()).await;
    }
    assert!(origin.requests().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn continues_where_a_broken_answer_ended() {
    let origin = TestOrigin::start().await;
    let tagged = Resource::ts(LEN, 1).header("etag", "\"v1\"");
    origin.put("/a.ts", tagged.truncate_first(1, 100_000));
    let (client, request) = (client(), get(origin.url("/a.ts")));
    let mut first = client.open(&request).await.unwrap();
    let mut held = Vec::new();
    let error = loop {
        match first.chunk().await {
            Ok(chunk) => held.extend_from_slice(&chunk.unwrap()),
            Err(error) => break error,
        }
    };
    let host = origin.addr().to_string();
    assert_eq!(error, OriginError::Truncated { host, received: held.len() as u64 });
    assert!(error.is_retryable() && held.len() <= 100_000);
    let validator = Validator::from_headers(&first.headers);
    let from = held.len() as u64;
    let rest = client.open_from(&request, from, validator.as_ref()).await.unwrap();
    assert_eq!((rest.status.as_u16(), rest.total), (206, Some(LEN as u64)));
    held.extend_from_slice(&body(rest).await);
    assert_eq!(held, pattern(LEN, 1));
    let seen = origin.requests_for("/a.ts");
    assert_eq!(seen[1].header("range"), format!("bytes={from}-"));
    assert_eq!(seen[1].header("if-range"), "\"v1\"");
}

#[tokio::test]
async fn continues_even_if_the_origin_knows_no_ranges() {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(LEN, 1).without_ranges());
    origin.put("/b.ts", Resource::ts(LEN, 1).without_ranges().without_length());
    for path in ["/a.ts", "/b.ts"] {
        let whole = client().open_from(&get(origin.url(path)), 123_456, None).await.unwrap();
        assert_eq!(body(whole).await, pattern(LEN, 1).slice(123_456..));
        let part = slice(origin.url(path), 70_000, 5_000);
        let part = client().open_from(&part, 1_000, None).await.unwrap();
        assert_eq!(part.total, Some(5_000));
        assert_eq!(body(part).await, pattern(LEN, 1).slice(71_000..75_000));
    }
}

#[tokio::test]
async fn never_joins_two_versions() {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(LEN, 1).header("etag", "\"v1\""));
    let (client, request) = (client(), get(origin.url("/a.ts")));
    let first = client.open(&request).await.unwrap();
    let validator = Validator::from_headers(&first.headers);
    origin.put("/a.ts", Resource::ts(LEN, 2).header("etag", "\"v2\""));
    let error = client.open_from(&request, 1_000, validator.as_ref()).await.unwrap_err();
    assert_eq!(error, OriginError::Changed { host: origin.addr().to_string() });
}

#[tokio::test]
async fn brings_a_slice_and_a_raw_range() {
    let origin = TestOrigin::start().await;
    origin.put("/all.ts", Resource::ts(LEN, 1));
    let part = client().open(&slice(origin.url("/all.ts"), 188, 376)).await.unwrap();
    assert_eq!(part.total, Some(376));
    assert_eq!(body(part).await, pattern(LEN, 1).slice(188..564));
    let beyond = slice(origin.url("/all.ts"), LEN as u64, 10);
    let error = client().open(&beyond).await.unwrap_err();
    assert_eq!(error, OriginError::WrongRange { host: origin.addr().to_string() });
    let wanted = Wanted::AsAsked(HeaderValue::from_static("bytes=-100"));
    let raw = FetchRequest { wanted, ..get(origin.url("/all.ts")) };
    let raw = client().open(&raw).await.unwrap();
    assert_eq!(raw.headers["content-range"], format!("bytes {}-{}/{LEN}", LEN - 100, LEN - 1));
    assert_eq!(body(raw).await, pattern(LEN, 1).slice(LEN - 100..));
}

#[tokio::test]
async fn head_has_no_body_and_is_not_truncated() {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(LEN, 1));
    let request = FetchRequest { method: Method::HEAD, ..get(origin.url("/a.ts")) };
    let response = client().open(&request).await.unwrap();
    assert_eq!(response.headers["content-length"], LEN.to_string());
    assert_eq!(body(response).await, "");
    assert_eq!(origin.requests()[0].method, Method::HEAD);
}

#[tokio::test]
async fn bytes_come_through_before_the_origin_has_sent_them_all() {
    let origin = TestOrigin::start().await;
    let gate = Gate::closed();
    origin.put("/a.ts", Resource::ts(3_000, 1).meter(1_000, &gate));
    gate.admit(1);
    let mut response = client().open(&get(origin.url("/a.ts"))).await.unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(first, pattern(3_000, 1).slice(..1_000));
    gate.open();
    assert_eq!(body(response).await, pattern(3_000, 1).slice(1_000..));
}

#[tokio::test]
async fn a_stall_ends_in_a_timeout_that_names_the_host() {
    let origin = TestOrigin::start().await;
    let (head, middle) = (Gate::closed(), Gate::closed());
    origin.put("/head.ts", Resource::ts(LEN, 1).hold_head(&head));
    origin.put("/body.ts", Resource::ts(LEN, 1).hold_body(1_000, &middle));
    let host = origin.addr().to_string();
    let error = hasty().open(&get(origin.url("/head.ts?token=s3cret"))).await.unwrap_err();
    assert_eq!(error, OriginError::TimedOut { host: host.clone(), what: Waited::Head });
    assert!(error.to_string().contains(&host) && !format!("{error:?}").contains("s3cret"));
    let mut response = hasty().open(&get(origin.url("/body.ts"))).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 1_000);
    let error = response.chunk().await.unwrap_err();
    assert_eq!(error, OriginError::TimedOut { host, what: Waited::Body });
}

#[tokio::test]
async fn waits_longer_for_what_is_to_be_held_back() {
    let origin = TestOrigin::start().await;
    let (gate, short) = (Gate::closed(), Gate::closed());
    origin.put("/a.ts", Resource::ts(LEN, 1).hold_head(&gate));
    origin.put("/b.ts", Resource::ts(LEN, 1).hold_head(&short));
    let patient = hasty().waiting(std::time::Duration::from_secs(600));
    let request = get(origin.url("/a.ts"));
    let held_back = tokio::spawn(async move { patient.open(&request).await.is_ok() });
    origin.wait_for_requests("/a.ts", 1).await;
    let error = hasty().open(&get(origin.url("/b.ts"))).await.unwrap_err();
    assert!(matches!(error, OriginError::TimedOut { what: Waited::Head, .. }), "meanwhile");
    gate.open();
    assert!(held_back.await.unwrap());
}

#[tokio::test]
async fn a_body_without_end_stops_at_the_limit() {
    let origin = TestOrigin::start().await;
    origin.put("/sized", Resource::generated(2 << 30));
    origin.put("/chunked", Resource::generated(2 << 30).without_length());
    for path in ["/sized", "/chunked"] {
        let error = client().playlist(&get(origin.url(path))).await.unwrap_err();
        let (host, limit) = (origin.addr().to_string(), PLAYLIST_BYTES_MAX as u64);
        assert_eq!(error, OriginError::TooLarge { host, limit });
        assert_eq!(origin.requests_for(path).len(), 1);
    }
    let mut response = client().open(&get(origin.url("/sized"))).await.unwrap();
    assert_eq!(response.total, Some(2 << 30));
    assert_eq!(response.chunk().await.unwrap().unwrap()[..3], [0, 1, 2]);
}

#[tokio::test]
async fn follows_redirects_and_knows_where_they_led() {
    let (first, second) = (TestOrigin::start().await, TestOrigin::start().await);
    let away = second.url("/live/master.m3u8?k=v").to_string();
    first.put("/go", Resource::redirect(301, "/next").header("set-cookie", "pass=1; Path=/"));
    first.put("/next", Resource::redirect(307, &away));
    second.put("/live/master.m3u8", Resource::playlist("#EXTM3U\n"));
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    headers.insert(COOKIE, HeaderValue::from_static("sid=1"));
    headers.insert(USER_AGENT, HeaderValue::from_static("VLC"));
    let request = FetchRequest::get(first.url("/go"), headers);
    let answer = client().playlist(&request).await.unwrap();
    assert_eq!(answer.final_url.as_str(), away);
    assert_eq!(answer.body, "#EXTM3U\n");
    assert_eq!(first.requests()[1].header("cookie"), "sid=1; pass=1");
    let seen = &second.requests()[0];
    assert_eq!(seen.header("user-agent"), "VLC");
    assert_eq!((seen.header("cookie"), seen.header("authorization")), ("", ""));
}

#[tokio::test]
async fn redirects_without_end_end() {
    let origin = TestOrigin::start().await;
    origin.put("/circle", Resource::redirect(302, "/circle"));
    origin.put("/forever", Resource::endless_redirect());
    origin.put("/file", Resource::redirect(302, "file:///etc/passwd"));
    let host = origin.addr().to_string();
    for (path, requests) in [("/circle", 1), ("/forever", REDIRECTS_MAX + 1)] {
        let error = client().open_patiently(&get(origin.url(path)), 0, None).await.unwrap_err();
        assert_eq!(error, OriginError::TooManyRedirects { host: host.clone() });
        assert_eq!(origin.requests_for(path).len(), requests);
    }
    let error = client().open(&get(origin.url("/file"))).await.unwrap_err();
    assert_eq!(error, OriginError::BadRedirect { host });
}

#[tokio::test]
async fn private_addresses_can_be_refused_by_name_literal_and_redirect() {
    let origin = TestOrigin::start().await;
    let config = OriginConfig { allow_private: false, ..Default::default() };
    let strict = Origin::new(&config).unwrap();
    let port = origin.addr().port();
    for url in [format!("http://localhost:{port}/"), origin.url("/").to_string()] {
        let error = strict.open(&get(url.parse().unwrap())).await.unwrap_err();
        assert!(matches!(error, OriginError::Forbidden { .. }), "{url}: {error:?}");
    }
    assert!(origin.requests().is_empty());
    origin.put("/go", Resource::redirect(302, "http://169.254.169.254/latest/meta-data/"));
    let error = client().open(&get(origin.url("/go"))).await.unwrap_err();
    assert_eq!(error, OriginError::Forbidden { host: "169.254.169.254".into() });
}

#[tokio::test]
async fn rides_out_an_origin_that_is_busy_for_a_moment() {
    let origin = TestOrigin::start().await;
    origin.put("/live.m3u8", Resource::playlist("#EXTM3U\n").fail_first(2, 503));
    origin.put("/cut.m3u8", Resource::playlist("#EXTM3U\n#EXTINF:1\n").truncate_first(1, 9));
    let busy = Switch::on();
    origin.put("/a.ts", Resource::ts(LEN, 1).fail_while(&busy, 502));
    let answer = client().playlist(&get(origin.url("/live.m3u8"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"#EXTM3U\n"[..]));
    assert_eq!(origin.requests_for("/live.m3u8").len(), 3);
    let answer = client().playlist(&get(origin.url("/cut.m3u8"))).await.unwrap();
    assert_eq!(answer.body, "#EXTM3U\n#EXTINF:1\n");
    let (client, request) = (client(), get(origin.url("/a.ts")));
    let (response, ()) = tokio::join!(client.open_patiently(&request, 0, None), async {
        origin.wait_for_requests("/a.ts", 1).await;
        busy.turn_off();
    });
    assert_eq!(body(response.unwrap()).await, pattern(LEN, 1));
}

#[tokio::test]
async fn an_error_that_is_meant_comes_back_at_once_with_its_body() {
    let origin = TestOrigin::start().await;
    origin.put("/gone.ts", Resource::ts(10, 1).fail_first(usize::MAX, 410));
    origin.put("/page.m3u8", Resource::new("text/html", "<html>log in</html>"));
    let response = client().open_patiently(&get(origin.url("/gone.ts")), 0, None).await.unwrap();
    assert_eq!((response.status.as_u16(), response.total), (410, None));
    assert_eq!(body(response).await, "failing on command");
    assert_eq!(origin.requests_for("/gone.ts").len(), 1);
    let answer = client().playlist(&get(origin.url("/none.m3u8"))).await.unwrap();
    assert_eq!(answer.status.as_u16(), 404);
    let answer = client().playlist(&get(origin.url("/page.m3u8"))).await.unwrap();
    assert_eq!(
        (&answer.headers["content-type"], answer.status.as_u16()),
        (&HeaderValue::from_static("text/html"), 200)
    );
}

#[tokio::test]
async fn names_what_is_wrong_with_an_unreachable_host() {
    let origin = TestOrigin::start().await;
    let host = origin.addr().to_string();
    let https = format!("https://{host}/").parse().unwrap();
    let error = client().open(&get(https)).await.unwrap_err();
    assert!(matches!(error, OriginError::TlsFailed { .. }), "{error:?}");
    drop(origin);
    let (_kept, refused) = ask::nobody();
    let refused = refused.to_string();
    let refused_url = format!("http://{refused}/").parse().unwrap();
    let error = client().open(&get(refused_url)).await.unwrap_err();
    assert_eq!(error, OriginError::Unreachable { host: refused });
    assert!(error.is_retryable());
    // A label longer than DNS allows fails without a question to any name server.
    let unknown = format!("{}.test", "a".repeat(64));
    let error = client().open(&get(format!("http://{unknown}/").parse().unwrap())).await;
    assert_eq!(error.unwrap_err(), OriginError::NameNotResolved { host: unknown });
}
