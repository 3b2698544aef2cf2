//! Tests of `headers`: what passes, what is translated, what stays.

use super::*;
use crate::http::guard::{FrontDoor, check};
use http::Request;

fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn sent(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let request = Request::builder().header("host", "127.0.0.1:4570").body(()).unwrap();
    let door = FrontDoor::default();
    let admission = check(&request, "127.0.0.1:4570".parse().unwrap(), &door).unwrap();
    to_origin(&map(pairs), &admission, |target| {
        format!("https://{}", target.strip_prefix("/https/")?).parse().ok()
    })
}

#[test]
fn a_players_own_headers_reach_the_origin_and_the_connections_do_not() {
    let passing = [
        ("if-none-match", "\"v1\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("user-agent", "VLC/3.0.24"),
        ("cookie", "sid=1"),
        ("authorization", "Basic eDp5"),
        ("accept-language", "en"),
        ("referer", "https://tv.example.com/watch"),
        ("origin", "https://tv.example.com"),
    ];
    assert_eq!(sent(&passing), map(&passing));
    let staying = [
        ("host", "127.0.0.1:4570"),
        ("connection", "close, x-secret"),
        ("range", "bytes=0-"),
        ("accept-encoding", "gzip"),
        ("cache-control", "no-cache"),
        ("icy-metadata", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eDp5"),
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-for", "192.168.1.7"),
        ("x-secret", "1"),
    ];
    assert!(sent(&staying).is_empty());
}

#[test]
fn no_origin_hears_of_the_daemon() {
    for (referer, expected) in [
        ("http://127.0.0.1:4570/https/a.test/watch?v=1#x", Some("https://a.test/watch?v=1")),
        ("http://localhost:4570/https/me:secret@a.test/", Some("https://a.test/")),
        ("http://127.0.0.1:4570/", None),
        ("http://127.0.0.1:4570/play?url=x", None),
        ("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080/")),
        ("not a url", Some("not a url")),
    ] {
        let headers = sent(&[("referer", referer), ("origin", "http://127.0.0.1:4570")]);
        let found = headers.get(REFERER).map(|value| value.to_str().unwrap());
        assert_eq!(found, expected, "{referer}");
        assert!(!headers.contains_key(ORIGIN));
    }
}

#[test]
fn a_link_cannot_set_headers_of_the_connection() {
    let (name, value) = custom("X-Token", "a b").unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-token", "a b"));
    for (name, value) in [
        ("Host", "evil.example"),
        ("Content-Length", "5"),
        ("transfer-ENCODING", "chunked"),
        ("Accept-Encoding", "gzip"),
        ("Range", "bytes=0-1"),
        ("X", "a\r\nHost: evil.example"),
        ("X Y", "1"),
        ("X\r\nHost", "1"),
        ("", "1"),
    ] {
        assert_eq!(custom(name, value), None, "{name:?}");
    }
}

#[test]
fn an_answers_headers_reach_the_player_as_far_as_they_fit_the_body() {
    let url = "https://a.test/live/x.ts".parse().unwrap();
    let answer = map(&[
        ("content-type", "video/mp2t"),
        ("etag", "\"v1\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("cache-control", "max-age=5"),
        ("content-length", "7"),
        ("content-range", "bytes 0-6/9"),
        ("content-encoding", "br"),
        ("accept-ranges", "bytes"),
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("location", "https://evil.example/"),
        ("strict-transport-security", "max-age=9"),
        ("access-control-allow-origin", "*"),
        ("content-security-policy", "script-src *"),
        ("refresh", "0; url=https://evil.example/"),
        ("alt-svc", "h3=\":443\""),
        ("link", "<https://evil.example/>; rel=preload"),
        ("service-worker-allowed", "/"),
    ]);
    let ours = to_player(&answer, &url, "", BodyIs::Ours);
    let passed: Vec<_> = ours.keys().map(HeaderName::as_str).collect();
    let expected = ["content-type", "etag", "last-modified", "cache-control"];
    let added = ["x-content-type-options", "content-security-policy"];
    assert_eq!(passed, [&expected[..], &added].concat());
    assert_eq!(ours["content-security-policy"], "sandbox");
    let untouched = to_player(&answer, &url, "", BodyIs::Untouched);
    assert_eq!(untouched.len(), ours.len() + OF_THE_BODY.len());
    assert_eq!(untouched["content-range"], "bytes 0-6/9");
}

#[test]
fn a_cookie_comes_back_only_for_the_origin_that_set_it() {
    let url: Url = "https://cdn.a.test:8443/live/ch1/x.m3u8?k=v".parse().unwrap();
    let kept = |line: &str| {
        let headers = to_player(&map(&[("set-cookie", line)]), &url, "", BodyIs::Ours);
        headers.get(SET_COOKIE).map(|value| value.to_str().unwrap().to_owned())
    };
    for (line, expected) in [
        ("sid=1", "sid=1; Path=/https/cdn.a.test:8443/live/ch1"),
        ("sid=1; Path=/", "sid=1; Path=/https/cdn.a.test:8443/"),
        ("sid=a=b; path=/live; HttpOnly", "sid=a=b; HttpOnly; Path=/https/cdn.a.test:8443/live"),
        (
            "sid=1; Domain=a.test; Secure; SameSite=None; Max-Age=60",
            "sid=1; Max-Age=60; Path=/https/cdn.a.test:8443/live/ch1",
        ),
        ("sid=1; Path=evil", "sid=1; Path=/https/cdn.a.test:8443/live/ch1"),
    ] {
        assert_eq!(kept(line).as_deref(), Some(expected));
    }
    assert_eq!(kept("nonsense"), None);
    let two = map(&[("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    let headers = to_player(&two, &url, "", BodyIs::Untouched);
    assert_eq!(headers.get_all(SET_COOKIE).iter().count(), 2);
}

#[test]
fn two_sets_of_credentials_are_never_the_same_number() {
    let none = [("user-agent", "VLC"), ("referer", "https://a.test/"), ("if-none-match", "\"v1\"")];
    assert_eq!(credentials(&map(&none)), 0);
    let sets: [&[(&'static str, &str)]; 8] = [
        &[("cookie", "a=1")],
        &[("cookie", "a=2")],
        &[("authorization", "a=1")],
        &[("cookie", "a=1"), ("authorization", "x")],
        &[("cookie", "a=1x"), ("authorization", "")],
        &[("cookie", "")],
        &[("cookie", "a=1"), ("cookie", "b=2")],
        &[("x-token", "a=1")],
    ];
    let mut numbers: Vec<_> = sets.iter().map(|set| credentials(&map(set))).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() == sets.len() && !numbers.contains(&0));
    let one = map(&[("cookie", "a=1"), ("authorization", "x"), ("user-agent", "VLC")]);
    let other = map(&[("authorization", "x"), ("cookie", "a=1"), ("user-agent", "mpv")]);
    assert_eq!(credentials(&one), credentials(&other));
}
