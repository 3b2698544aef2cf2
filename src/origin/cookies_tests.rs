//! Tests of `cookies`.

use super::*;
use http::HeaderValue;

const NOW: u64 = 1_700_000_000;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn answer(lines: &[&str]) -> HeaderMap {
    let value = |line: &&str| (SET_COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    lines.iter().map(value).collect()
}

fn jar(from: &str, lines: &[&str]) -> Cookies {
    let cookies = Cookies::default();
    cookies.take(&url(from), &answer(lines), NOW);
    cookies
}

fn line(jar: &Cookies, to: &str) -> String {
    String::from_utf8(jar.line(&url(to), b"", NOW)).unwrap()
}

#[test]
fn a_cookie_goes_to_the_hosts_it_is_for() {
    for (from, set, to, is_sent) in [
        ("http://a.test/x", "i=1", "http://a.test/y", true),
        ("http://a.test/x", "i=1", "https://A.test/y", true),
        ("http://a.test/x", "i=1", "http://b.test/y", false),
        ("http://a.test/x", "i=1", "http://b.a.test/y", false),
        ("http://a.test/x", "i=1", "http://a.test:8080/y", false),
        ("http://b.a.test/x", "i=1; Domain=a.test", "http://c.a.test:8080/y", true),
        ("http://b.a.test/x", "i=1; domain=.A.test", "http://a.test/y", true),
        ("http://b.a.test/x", "i=1; Domain=a.test", "http://ba.test/y", false),
        ("http://b.a.test/x", "i=1; Domain=b.a.test", "http://a.test/y", false),
        ("http://a.test/x", "i=1; Domain=b.a.test", "http://b.a.test/y", false),
        ("http://a.test/x", "i=1; Domain=other.test", "http://other.test/y", false),
        ("http://a.test/x", "i=1; Domain=test", "http://b.test/y", false),
        ("http://a.co.uk/x", "i=1; Domain=co.uk", "http://b.co.uk/y", false),
        ("http://localhost/x", "i=1; Domain=localhost", "http://localhost/y", true),
        ("http://127.0.0.1/x", "i=1; Domain=127.0.0.1", "http://127.0.0.1/y", true),
        ("http://127.0.0.1/x", "i=1; Domain=0.0.1", "http://127.0.0.1/y", false),
        ("http://[::1]:8/x", "i=1", "http://[::1]:8/y", true),
    ] {
        let sent = line(&jar(from, &[set]), to);
        assert_eq!(sent == "i=1", is_sent, "{from} {set} {to}");
    }
}

#[test]
fn a_cookie_goes_to_the_paths_it_is_for() {
    for (from, set, to, is_sent) in [
        ("http://h/a/b", "i=1", "http://h/a/c", true),
        ("http://h/a/b", "i=1", "http://h/a", true),
        ("http://h/a/b", "i=1", "http://h/", false),
        ("http://h/a/b", "i=1", "http://h/ab", false),
        ("http://h/a/b", "i=1; Path=/", "http://h/x", true),
        ("http://h/a/b", "i=1; Path=/x/", "http://h/x/y", true),
        ("http://h/a/b", "i=1; Path=x", "http://h/a/y", true),
        ("https://h/", "i=1; Secure", "https://h/", true),
        ("https://h/", "i=1; Secure", "http://h/", false),
    ] {
        let sent = line(&jar(from, &[set]), to);
        assert_eq!(sent == "i=1", is_sent, "{from} {set} {to}");
    }
}

#[test]
fn a_cookie_ends_when_it_is_said_to() {
    for (set, is_kept) in [
        ("i=1", true),
        ("i=1; Max-Age=60", true),
        ("i=1; Max-Age=0", false),
        ("i=1; Max-Age=-5", false),
        ("i=1; Max-Age=soon", true),
        ("i=1; Max-Age=99999999999999999999999", true),
        ("i=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
        ("i=1; Expires=Thu, 01-Jan-1970 00:00:01 GMT", false),
        ("i=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT", true),
        ("i=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", true),
        ("i=1; Expires=whenever", true),
    ] {
        assert_eq!(line(&jar("http://h/", &[set]), "http://h/") == "i=1", is_kept, "{set}");
    }
    let jar = jar("http://h/", &["i=1; Max-Age=60"]);
    assert_eq!(jar.line(&url("http://h/"), b"", NOW + 60), b"");
}

#[test]
fn a_later_cookie_takes_the_place_of_an_earlier_one() {
    let jar = jar("http://h/", &["i=1", "j=1; Path=/a", "j=2"]);
    assert_eq!(line(&jar, "http://h/a"), "j=1; i=1; j=2", "the longest path first");
    jar.take(&url("http://h/"), &answer(&["i=2", "j=; Max-Age=0"]), NOW);
    assert_eq!(line(&jar, "http://h/a"), "j=1; i=2");
}

#[test]
fn what_the_player_has_itself_counts_more() {
    let jar = jar("http://h/", &["i=1", "j=2"]);
    let line = jar.line(&url("http://h/"), b" i=own;; k = 3 ", NOW);
    assert_eq!(line, b"i=own; k = 3; j=2");
}

#[test]
fn a_jar_knows_what_came_from_it() {
    let jar = jar("http://h/", &["i=1; Path=/"]);
    jar.take(&url("http://h/"), &answer(&["i=2; Path=/"]), NOW);
    let known = [&b"i=1"[..], b"i=2", b" i=2 ", b"i=3", b"j=1"].map(|pair| jar.has_issued(pair));
    assert_eq!(known, [true, true, true, false, false]);
    let other = Cookies::default();
    assert!(other.is_unused());
    other.absorb(&jar);
    assert!(!other.is_unused() && other.has_issued(b"i=1"));
    assert_eq!(line(&other, "http://h/"), "i=2");
}

#[test]
fn a_jar_does_not_grow_without_limit() {
    let jar = Cookies::default();
    for n in 0..10_000 {
        jar.take(&url("http://h/"), &answer(&[&format!("n{n}={}", "x".repeat(500))]), NOW);
    }
    let held = jar.lock();
    assert!(held.cookies.len() <= COOKIES_MAX && held.issued.len() <= ISSUED_MAX);
    assert!(held.cookies.iter().map(Cookie::size).sum::<usize>() <= JAR_BYTES_MAX);
    assert!(held.cookies.iter().any(|cookie| cookie.name == b"n9999"));
    drop(held);
    let many: Vec<_> = (0..1000).map(|n| format!("m{n}=1")).collect();
    let lines: Vec<_> = many.iter().map(String::as_str).collect();
    let flooded = tests::jar("http://h/", &lines);
    assert_eq!(flooded.lock().cookies.len(), LINES_MAX.min(COOKIES_MAX));
}

#[test]
fn what_is_no_cookie_is_left_out() {
    let huge = format!("i={}", "x".repeat(COOKIE_BYTES_MAX));
    for bad in ["", "i", "=1", ";i=1", "; Path=/", &huge] {
        assert_eq!(line(&jar("http://h/", &[bad]), "http://h/"), "", "{bad}");
    }
    let jar = jar("http://h/", &["i=\u{e9}; Path=/\u{e9}"]);
    assert_eq!(line(&jar, "http://h/"), "");
    assert!(!format!("{jar:?}").contains("i="));
}
