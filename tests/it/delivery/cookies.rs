//! Cookies that an origin sets and needs, for players that keep none.

use super::{daemon, encoded, live::live, uris};
use crate::ask::{self, Answer, get, request};
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use std::net::SocketAddr;

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
    #EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts\n#EXT-X-ENDLIST\n";
const ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const HIT: &str = "hlswarm; hit";

/// An origin whose multivariant playlist sets a cookie that all else needs.
async fn locked() -> TestOrigin {
    let origin = TestOrigin::start().await;
    origin.put("/m.m3u8", Resource::playlist(MASTER).header("set-cookie", "sid=s3; Path=/"));
    origin.put("/v.m3u8", Resource::playlist(MEDIA).needs("cookie", "sid=s3"));
    origin.put("/k", Resource::new("", "0123456789abcdef").needs("cookie", "sid=s3"));
    for (path, seed) in [("/a.ts", 1), ("/b.ts", 2)] {
        origin.put(path, Resource::ts(1000, seed).needs("cookie", "sid=s3"));
    }
    origin
}

/// What a player of that name gets.
async fn as_player(name: &str, addr: SocketAddr, target: &str) -> Answer {
    request(addr, "GET", target, &[("User-Agent", name)]).await
}

/// The session in a path.
fn session(path: &str) -> &str {
    path.strip_prefix("/s/").and_then(|rest| rest.split('/').next()).unwrap_or("")
}

#[tokio::test]
async fn a_player_without_cookies_plays_what_needs_them() {
    let (origin, daemon) = (locked().await, daemon().await);
    let addr = daemon.local_addr();
    let master = get(addr, &ask::path(&origin.url("/m.m3u8"))).await;
    assert!(master.header("set-cookie").starts_with("sid=s3; Path=/s/"), "it hears of it too");
    let variant = uris(master.text())[0].to_owned();
    assert!(!session(&variant).is_empty() && !variant.contains("s3;"), "{variant}");
    let media = get(addr, &variant).await;
    let key = media.text().split('"').nth(1).unwrap();
    assert_eq!(get(addr, key).await.body, b"0123456789abcdef");
    for (uri, seed) in uris(media.text()).into_iter().zip([1, 2]) {
        for source in [ORIGIN, HIT] {
            let answer = get(addr, uri).await;
            assert_eq!((answer.status, answer.header("cache-status")), (200, source));
            assert_eq!(answer.body, pattern(1000, seed));
        }
    }
    let seen = origin.requests();
    assert!(seen[1..].iter().all(|seen| seen.header("cookie") == "sid=s3"), "{seen:?}");
    let stats = get(addr, "/api/v1/stats").await;
    assert!(!stats.text().contains("s3") && !stats.text().contains("/s/"), "{}", stats.text());
}

#[tokio::test]
async fn a_player_stays_in_its_session_and_others_have_theirs() {
    let (origin, daemon) = (locked().await, daemon().await);
    let addr = daemon.local_addr();
    let target = ask::path(&origin.url("/m.m3u8"));
    let first = as_player("one", addr, &target).await.text().to_owned();
    assert_eq!(as_player("one", addr, &target).await.text(), first);
    let (one, two) = (uris(&first)[0], as_player("two", addr, &target).await);
    let two = uris(two.text())[0];
    assert_ne!(session(one), session(two));
    let signed = [("User-Agent", "one"), ("Authorization", "Basic eDp5")];
    let three = request(addr, "GET", &target, &signed).await;
    assert_ne!(session(uris(three.text())[0]), session(one));
    // Each has its own bytes, and one's session is of no use to the other.
    for (name, path, status) in [("one", one, 200), ("two", two, 200), ("four", one, 403)] {
        assert_eq!(as_player(name, addr, path).await.status, status, "{name}");
    }
    let segment = |variant: &str| variant.replace("v.m3u8", "a.ts");
    assert_eq!(as_player("one", addr, &segment(one)).await.header("cache-status"), ORIGIN);
    assert_eq!(as_player("two", addr, &segment(two)).await.header("cache-status"), ORIGIN);
    let bare = ask::path(&origin.url("/a.ts"));
    for path in [segment(one), bare] {
        assert_eq!(as_player("four", addr, &path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn a_cookie_that_changes_with_every_answer_keeps_nothing_from_being_held() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let list = live(1, 3);
    origin.put("/l.m3u8", Resource::playlist(&list).header("set-cookie", "t={n}; Path=/"));
    origin.put("/1.ts", Resource::ts(1000, 1).needs("cookie", "t=").header("set-cookie", "u={n}"));
    let target = ask::path(&origin.url("/l.m3u8"));
    let mut paths = Vec::new();
    for n in 0..3 {
        let answer = get(addr, &target).await;
        paths.push(uris(answer.text())[0].to_owned());
        // A player that keeps cookies is told of each, and sends the last one.
        let own = format!("t={n}");
        let headers = [("Cookie", own.as_str())];
        let segment = request(addr, "GET", &paths[0], &headers).await;
        let source = if n == 0 { ORIGIN } else { HIT };
        assert_eq!((segment.status, segment.header("cache-status")), (200, source));
        assert_eq!(get(addr, &paths[0]).await.header("cache-status"), HIT);
    }
    assert!(paths.iter().all(|path| *path == paths[0]), "{paths:?}");
    let lists = origin.requests_for("/l.m3u8");
    let sent: Vec<_> = lists.iter().map(|seen| seen.header("cookie")).collect();
    assert_eq!(sent, ["", "t=0; u=0", "t=1; u=0"], "later answers' cookies are in it as well");
    let own = [("Cookie", "t=7")];
    let stranger = request(addr, "GET", &paths[0], &own).await;
    assert_eq!(stranger.header("cache-status"), "hlswarm; fwd=bypass", "a cookie of its own");
}

#[tokio::test]
async fn cookies_stay_with_the_hosts_they_belong_to_also_across_redirects() {
    let (origin, other, daemon) =
        (TestOrigin::start().await, TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let away = other.url("/b.ts");
    let list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXTINF:4,\n{away}\n");
    origin.put(
        "/l.m3u8",
        Resource::redirect(302, other.url("/l.m3u8").as_str())
            .header("set-cookie", "mine=1; Path=/"),
    );
    other.put(
        "/l.m3u8",
        Resource::redirect(302, origin.url("/m.m3u8").as_str())
            .header("set-cookie", "theirs=2; Path=/"),
    );
    origin.put("/m.m3u8", Resource::playlist(&list));
    origin.put("/a.ts", Resource::redirect(307, other.url("/a.ts").as_str()));
    other.put("/a.ts", Resource::ts(1000, 1).needs("cookie", "theirs=2"));
    other.put("/b.ts", Resource::ts(1000, 2).needs("cookie", "theirs=2"));
    let answer = get(addr, &ask::path(&origin.url("/l.m3u8"))).await;
    for (uri, seed) in uris(answer.text()).into_iter().zip([1, 2]) {
        assert_eq!(get(addr, uri).await.body, pattern(1000, seed), "{uri}");
    }
    for seen in &origin.requests()[1..] {
        assert_eq!(seen.header("cookie"), "mine=1", "{}", seen.path);
    }
    for seen in &other.requests()[1..] {
        assert_eq!(seen.header("cookie"), "theirs=2", "{}", seen.path);
    }
}

#[tokio::test]
async fn cookies_come_on_top_of_a_links_headers() {
    let (origin, daemon) = (locked().await, daemon().await);
    let addr = daemon.local_addr();
    origin.put("/a.ts", Resource::ts(1000, 1).needs("cookie", "sid=s3").needs("referer", "r.test"));
    let url = encoded(origin.url("/m.m3u8").as_str());
    let link = format!("/play?url={url}&h_Referer=http%3A%2F%2Fr.test%2F&h_Cookie=own%3D1");
    let link = get(addr, &link).await.header("location").to_owned();
    let master = get(addr, &link).await;
    let media = get(addr, uris(master.text())[0]).await;
    assert_ne!(session(uris(master.text())[0]), session(&link));
    assert_eq!(get(addr, uris(media.text())[0]).await.body, pattern(1000, 1));
    assert_eq!(origin.requests_for("/a.ts")[0].header("cookie"), "own=1; sid=s3");
}

#[tokio::test]
async fn a_player_whose_jar_is_forgotten_plays_on_without() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/l.m3u8", Resource::playlist(&live(1, 3)));
    origin.put("/1.ts", Resource::ts(1000, 1));
    let id = format!("c{}", "A".repeat(22));
    let target = format!("/s/{id}{}", ask::path(&origin.url("/l.m3u8")));
    let list = get(daemon.local_addr(), &target).await;
    let uri = uris(list.text())[0];
    assert_eq!(session(uri), id);
    assert_eq!(get(daemon.local_addr(), uri).await.body, pattern(1000, 1));
}
