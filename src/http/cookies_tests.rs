//! Tests of `cookies`.

use super::*;
use http::header::{AUTHORIZATION, REFERER};
use url::Url;

fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect()
}

fn owner(player: u64, sent: &HeaderMap) -> Owner {
    Owner {
        player: PlayerId(player),
        carried: Arc::default(),
        site: "h.test".to_owned(),
        credentials: headers::credentials(sent),
    }
}

fn jar(line: &'static str) -> Cookies {
    let cookies = Cookies::default();
    let url: Url = "http://h.test/".parse().unwrap();
    let answer = headers(&[(http::header::SET_COOKIE, line)]);
    cookies.take(&url, &answer, 0);
    cookies
}

#[test]
fn a_player_comes_to_its_jar_again_and_nobody_else_does() {
    let (mut jars, none) = (Jars::default(), HeaderMap::new());
    let mine = owner(1, &none);
    assert!(jars.find(None, &mine, &none).is_none());
    let opened = jars.open(mine.clone(), &none, jar("i=1"), [1; ID_BYTES]);
    let again = jars.open(mine.clone(), &none, jar("j=1"), [2; ID_BYTES]);
    assert_eq!(again.id, opened.id);
    assert!(opened.cookies.has_issued(b"j=1"), "one jar");
    let found = jars.find(None, &mine, &none).unwrap();
    assert_eq!((&found.id, found.credentials), (&opened.id, opened.credentials));
    assert_ne!(found.credentials, 0);
    let id = Some(opened.id.as_str());
    assert!(jars.find(id, &Owner { site: "cdn.test".into(), ..mine.clone() }, &none).is_some());
    let signed = headers(&[(AUTHORIZATION, "Basic x")]);
    let led = Arc::new(headers(&[(REFERER, "http://r.test/")]));
    for (id, other, sent) in [
        (None, owner(2, &none), &none),
        (id, owner(2, &none), &none),
        (None, owner(1, &signed), &signed),
        (id, owner(1, &signed), &signed),
        (None, Owner { carried: led, ..mine.clone() }, &none),
        (None, Owner { site: "cdn.test".into(), ..mine }, &none),
    ] {
        assert!(jars.find(id, &other, sent).is_none(), "{id:?} {other:?}");
    }
}

#[test]
fn credentials_stay_the_same_while_cookies_change() {
    let mut jars = Jars::default();
    let none = HeaderMap::new();
    let opened = jars.open(owner(1, &none), &none, jar("i=1"), [1; ID_BYTES]);
    let of = |jars: &mut Jars, cookie: &'static str| {
        let sent = headers(&[(COOKIE, cookie)]);
        jars.find(Some(&opened.id), &owner(1, &sent), &sent).map(|found| found.credentials)
    };
    assert_eq!(of(&mut jars, "i=1"), Some(opened.credentials), "a player that keeps cookies");
    opened.cookies.absorb(&jar("i=2"));
    assert_eq!(of(&mut jars, "i=2"), Some(opened.credentials));
    assert_eq!(of(&mut jars, "i=1"), Some(opened.credentials), "or is a little behind");
    assert_eq!(of(&mut jars, "i=3"), None, "a cookie of its own is something else");
}

#[test]
fn what_a_playlist_took_is_not_needed_for_what_it_lists() {
    let mut jars = Jars::default();
    let (signed, none) = (headers(&[(AUTHORIZATION, "Basic x")]), HeaderMap::new());
    let opened = jars.open(owner(1, &signed), &signed, jar("i=1"), [1; ID_BYTES]);
    let found = jars.find(Some(&opened.id), &owner(1, &none), &none).unwrap();
    assert_ne!(found.credentials, opened.credentials, "but bytes are kept apart");
}

#[test]
fn the_number_of_jars_is_limited() {
    let (mut jars, none) = (Jars::default(), HeaderMap::new());
    for player in 0..1000 {
        let random = u128::from(player).to_be_bytes();
        jars.open(owner(player, &none), &none, jar("i=1"), random);
    }
    assert_eq!(jars.0.len(), JARS_MAX.get());
    assert!(jars.find(None, &owner(0, &none), &none).is_none());
    assert!(jars.find(None, &owner(999, &none), &none).is_some());
}

#[test]
fn a_forgotten_jar_is_told_from_forgotten_headers() {
    let (mut jars, none) = (Jars::default(), HeaderMap::new());
    let plain = jars.open(owner(1, &none), &none, jar("i=1"), [1; ID_BYTES]);
    let carried = Arc::new(headers(&[(REFERER, "http://r.test/")]));
    let led = Owner { carried: carried.clone(), ..owner(1, &none) };
    let linked = jars.open(led, &none, jar("i=1"), [2; ID_BYTES]);
    assert!(is_plain(&plain.id) && !is_plain(&linked.id) && !is_plain("c") && !is_plain(""));
    assert_eq!(jars.headers(&linked.id), Some(carried));
    assert!(!is_plain(&BASE64_URL_SAFE_NO_PAD.encode([0x70; ID_BYTES])), "a link's id");
}
