//! Links that carry headers.

use super::{daemon, encoded, uris};
use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
    #EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";

async fn stream() -> TestOrigin {
    let origin = TestOrigin::start().await;
    origin.put("/m.m3u8", Resource::playlist(MASTER));
    origin.put("/v.m3u8", Resource::playlist(MEDIA));
    origin.put("/k", Resource::new("application/octet-stream", "0123456789abcdef"));
    origin.put("/a.ts", Resource::ts(1000, 1));
    origin
}

#[tokio::test]
async fn headers_of_a_link_reach_every_child_and_no_url() {
    let (origin, daemon) = (stream().await, daemon().await);
    let addr = daemon.local_addr();
    let link = format!(
        "/play?url={}&h_X-Token=hush&h_Referer=https%3A%2F%2Ftv.test%2F&h_Host=evil.test",
        encoded(origin.url("/m.m3u8").as_str())
    );
    let answer = get(addr, &link).await;
    assert_eq!((answer.status, answer.header("cache-control")), (302, "no-store"));
    let master = answer.header("location").to_owned();
    assert!(master.starts_with("/s/") && !master.contains("hush"), "{master}");
    assert_eq!(get(addr, &link).await.header("location"), master, "the same again");

    let list = get(addr, &master).await;
    let media = get(addr, uris(list.text())[0]).await;
    let key = media.text().split('"').nth(1).unwrap().strip_prefix(&format!("http://{addr}"));
    assert_eq!(get(addr, key.unwrap()).await.body, b"0123456789abcdef");
    let segment = get(addr, uris(media.text())[0]).await;
    assert_eq!(segment.body, pattern(1000, 1));
    let seen = origin.requests();
    assert_eq!(seen.len(), 4);
    for request in seen {
        assert_eq!(request.header("x-token"), "hush", "{}", request.path);
        assert_eq!(request.header("referer"), "https://tv.test/", "{}", request.path);
        assert_eq!(request.header("host"), origin.addr().to_string());
    }
}

#[tokio::test]
async fn what_is_behind_kodis_bar_is_headers_too() {
    let (origin, daemon) = (stream().await, daemon().await);
    let url = format!("{}|User-Agent=My%20TV&Referer=http%3A%2F%2Fr.test%2F", origin.url("/a.ts"));
    let answer = get(daemon.local_addr(), &format!("/play?d={}", encoded(&url))).await;
    let location = answer.header("location").to_owned();
    assert!(location.ends_with("/a.ts"), "{location}");
    assert_eq!(get(daemon.local_addr(), &location).await.status, 200);
    let seen = &origin.requests()[0];
    assert_eq!((seen.header("user-agent"), seen.header("referer")), ("My TV", "http://r.test/"));
}

#[tokio::test]
async fn without_headers_a_link_leads_to_the_canonical_form() {
    let daemon = daemon().await;
    let url = "https%3A%2F%2Fcdn.example.com%2Fa%20b.m3u8%3Ft%3D1";
    let answer = get(daemon.local_addr(), &format!("/play?url={url}")).await;
    assert_eq!(answer.header("location"), "/https/cdn.example.com/a%20b.m3u8?t=1");
    let own = encoded(&format!("http://{}/x.m3u", daemon.local_addr()));
    get(daemon.local_addr(), &format!("/m3u?url={own}")).await.problem(400);
    for bad in ["ftp%3A%2F%2Fh%2F", "x", "http%3A%2F%2F"] {
        for form in ["play", "m3u"] {
            get(daemon.local_addr(), &format!("/{form}?url={bad}")).await.problem(400);
        }
    }
}

#[tokio::test]
async fn bytes_of_one_session_are_not_given_to_another() {
    let (origin, daemon) = (stream().await, daemon().await);
    let addr = daemon.local_addr();
    for token in ["one", "two"] {
        let url = encoded(origin.url("/v.m3u8").as_str());
        let answer = get(addr, &format!("/play?url={url}&h_Cookie=id%3D{token}")).await;
        let media = get(addr, answer.header("location")).await;
        get(addr, uris(media.text())[0]).await;
        assert_eq!(
            origin.requests_for("/a.ts").last().unwrap().header("cookie"),
            format!("id={token}")
        );
    }
    assert_eq!(origin.requests_for("/a.ts").len(), 2);
}

#[tokio::test]
async fn cookies_set_in_a_session_come_back_in_it() {
    let (origin, daemon) = (stream().await, daemon().await);
    origin.put("/m.m3u8", Resource::playlist(MASTER).header("set-cookie", "sid=1; Path=/"));
    let url = encoded(origin.url("/m.m3u8").as_str());
    let answer = get(daemon.local_addr(), &format!("/play?url={url}&h_X-A=1")).await;
    let location = answer.header("location").to_owned();
    let list = get(daemon.local_addr(), &location).await;
    let set = list.header("set-cookie");
    let path = set.split("Path=").nth(1).unwrap();
    assert!(uris(list.text())[0].starts_with(path) && path.starts_with("/s/"), "{set}");
}

#[tokio::test]
async fn a_session_nobody_knows_is_told() {
    let (origin, daemon) = (stream().await, daemon().await);
    let target = format!("/s/AAAAAAAAAAAAAAAAAAAAAA{}", ask::path(&origin.url("/m.m3u8")));
    assert!(get(daemon.local_addr(), &target).await.problem(404).contains("/play"));
    assert!(origin.requests().is_empty());
}
