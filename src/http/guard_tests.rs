//! Tests of `guard`: requests of players, own and strange pages, and attackers.

use super::*;

fn door() -> FrontDoor {
    FrontDoor {
        hosts: vec!["tv.home".to_owned(), "NAS.".to_owned()],
        origins: vec!["https://player.example.com".to_owned(), "null".to_owned()],
    }
}

fn checked(method: Method, headers: &[(&str, &str)]) -> Result<Option<String>, Refusal> {
    let mut request = Request::builder().method(method).uri("/https/a.test/x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let local = "192.168.1.5:4570".parse().unwrap();
    let door = door();
    let admission = check(&request, local, &door)?;
    Ok(admission.cors_origin.map(|value| value.to_str().unwrap().to_owned()))
}

fn get(headers: &[(&str, &str)]) -> Result<Option<String>, Refusal> {
    checked(Method::GET, headers)
}

#[test]
fn the_daemons_own_names_are_let_in() {
    for host in [
        "127.0.0.1:4570",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:",
        "localhost:4570",
        "LocalHost.:4570",
        "[::1]:4570",
        "[::1]",
        "[::ffff:127.0.0.1]:4570",
        "192.168.1.5:4570",
        "[::ffff:192.168.1.5]",
        "tv.home",
        "TV.home.:8080",
        "nas:4570",
    ] {
        assert_eq!(get(&[("host", host)]), Ok(None), "{host}");
    }
}

#[test]
fn a_rebound_or_malformed_host_is_refused() {
    for host in [
        "evil.example",
        "evil.example:4570",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "tv.home.evil.example",
        "xtv.home",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1:4570@evil.example",
        "127.0.0.1, evil.example",
        "127.0.0.1 evil.example",
        "127.0.0.1/evil",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "127.0.0.1:4570:1",
        "192.168.1.6:4570",
        "0.0.0.0:4570",
        "[::]:4570",
        "2130706433",
        "[::1",
        "::1",
        "[::1]x",
        "[localhost]",
        "",
        ":4570",
        ".",
    ] {
        assert_eq!(get(&[("host", host)]), Err(Refusal::Host), "{host}");
    }
}

#[test]
fn a_missing_or_double_host_is_refused() {
    assert_eq!(get(&[]), Err(Refusal::Host));
    let twice = [("host", "127.0.0.1"), ("host", "evil.example")];
    assert_eq!(get(&twice), Err(Refusal::Host));
    let same = [("host", "127.0.0.1"), ("host", "127.0.0.1")];
    assert_eq!(get(&same), Err(Refusal::Host));
    let old = Request::builder().version(Version::HTTP_10).body(()).unwrap();
    let local = "127.0.0.1:4570".parse().unwrap();
    assert!(check(&old, local, &FrontDoor::default()).is_ok());
}

#[test]
fn we_are_no_forward_proxy() {
    let request = Request::builder().uri("http://evil.example/").header("host", "127.0.0.1");
    let local = "127.0.0.1:4570".parse().unwrap();
    let (request, door) = (request.body(()).unwrap(), FrontDoor::default());
    assert_eq!(check(&request, local, &door).unwrap_err(), Refusal::Host);
}

#[test]
fn pages_are_let_in_by_their_origin() {
    let from = |origin| get(&[("host", "localhost:4570"), ("origin", origin)]);
    for own in ["http://localhost:4570", "http://127.0.0.1:4570", "http://tv.home:4570"] {
        assert_eq!(from(own), Ok(Some(own.to_owned())));
    }
    let allowed = "https://player.example.com";
    assert_eq!(from(allowed), Ok(Some(allowed.to_owned())));
    for strange in [
        "https://evil.example",
        "http://player.example.com",
        "https://player.example.com:8443",
        "https://player.example.com.evil.example",
        "https://xplayer.example.com",
        "http://localhost:3000",
        "http://localhost",
        "https://localhost:4570",
        "http://localhost:4570.evil.example",
        "http://localhost:4570@evil.example",
        "http://evil.example:4570",
        "http://localhost:4570/path",
        "null",
        "NULL",
        "",
        "file://",
        "chrome-extension://abcdef",
        "http://localhost:4570 https://evil.example",
    ] {
        assert_eq!(from(strange), Err(Refusal::Origin), "{strange}");
    }
    let own = ("origin", "http://localhost:4570");
    let twice = [("host", "localhost:4570"), own, ("origin", "https://evil.example")];
    assert_eq!(get(&twice), Err(Refusal::Origin));
}

#[test]
fn the_port_of_the_host_counts_behind_a_port_mapping() {
    let mapped = [("host", "tv.home:8080"), ("origin", "http://tv.home:8080")];
    assert!(get(&mapped).is_ok());
    let plain = [("host", "tv.home:80"), ("origin", "http://tv.home")];
    assert!(get(&plain).is_ok());
}

#[test]
fn a_request_across_sites_without_origin_is_judged_by_its_referer() {
    let with = |site, referer| {
        let mut headers = vec![("host", "127.0.0.1:4570"), ("sec-fetch-site", site)];
        if !str::is_empty(referer) {
            headers.push(("referer", referer));
        }
        get(&headers)
    };
    for (site, referer, is_let_in) in [
        ("none", "", true),
        ("same-origin", "", true),
        ("cross-site", "", false),
        ("same-site", "", false),
        ("nonsense", "", false),
        ("cross-site", "https://player.example.com/watch?v=1", true),
        ("cross-site", "http://127.0.0.1:4570/", true),
        ("same-site", "http://127.0.0.1:3000/", false),
        ("cross-site", "https://evil.example/https://player.example.com/", false),
        ("cross-site", "https://player.example.com@evil.example/", false),
        ("cross-site", "data:text/html,x", false),
        ("cross-site", "about:blank", false),
    ] {
        assert_eq!(with(site, referer).is_ok(), is_let_in, "{site} {referer}");
    }
    let native = [("host", "127.0.0.1:4570"), ("referer", "https://evil.example/")];
    assert!(get(&native).is_ok(), "players may be told to send any Referer");
}

#[test]
fn only_the_own_page_and_programs_may_change_anything() {
    let delete = |headers: &[(&str, &str)]| {
        let mut all = vec![("host", "127.0.0.1:4570")];
        all.extend_from_slice(headers);
        checked(Method::DELETE, &all)
    };
    assert!(delete(&[]).is_ok());
    assert!(delete(&[("origin", "http://127.0.0.1:4570")]).is_ok());
    assert!(delete(&[("sec-fetch-site", "same-origin")]).is_ok());
    let allowed = [("origin", "https://player.example.com")];
    assert_eq!(delete(&allowed), Err(Refusal::Change));
    let page = [("sec-fetch-site", "cross-site"), ("referer", "https://player.example.com/")];
    assert_eq!(delete(&page), Err(Refusal::Change));
    assert_eq!(delete(&[("origin", "https://evil.example")]), Err(Refusal::Origin));
    assert_eq!(delete(&[("sec-fetch-site", "cross-site")]), Err(Refusal::Origin));
}

#[test]
fn a_preflight_allows_reading_and_nothing_else() {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .header("host", "127.0.0.1:4570")
        .header("origin", "https://player.example.com")
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-private-network", "true")
        .body(())
        .unwrap();
    let door = door();
    let admission = check(&request, "127.0.0.1:4570".parse().unwrap(), &door).unwrap();
    let answer = admission.preflight_headers(request.headers());
    assert_eq!(answer["access-control-allow-origin"], "https://player.example.com");
    assert_eq!(answer["access-control-allow-methods"], "GET, HEAD, OPTIONS");
    assert_eq!(answer["access-control-allow-private-network"], "true");
    assert!(!answer.contains_key("access-control-allow-local-network"));
    assert!(!answer.contains_key("access-control-allow-credentials"));
    assert!(answer["access-control-allow-headers"].to_str().unwrap().contains("Range"));
    assert_eq!(answer["vary"], "Origin");
}

#[test]
fn own_urls_are_told_from_others() {
    let request = Request::builder().header("host", "tv.home:4570").body(()).unwrap();
    let door = door();
    let admission = check(&request, "127.0.0.1:4570".parse().unwrap(), &door).unwrap();
    let is_own = |url: &str| admission.is_own(&url.parse().unwrap());
    assert!(is_own("http://tv.home:4570/https/a.test/x") && is_own("http://[::1]:4570/"));
    assert!(!is_own("http://tv.home/") && !is_own("https://a.test/") && !is_own("data:,x"));
}
