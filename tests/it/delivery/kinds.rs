//! Origins and players that do things in their own way: redirects, locks, chunks, connections.

use super::{daemon, encoded, uris};
use crate::ask::{self, answers, get};
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
    #EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";
const KEY: &str = "0123456789abcdef";

/// The paths of a stream, and what is there.
fn stream() -> [(&'static str, Resource); 4] {
    [
        ("/m.m3u8", Resource::playlist(MASTER)),
        ("/v.m3u8", Resource::playlist(MEDIA)),
        ("/k", Resource::new("application/octet-stream", KEY)),
        ("/a.ts", Resource::ts(1000, 1)),
    ]
}

/// Plays all of it, from the multivariant playlist on.
async fn play(addr: SocketAddr, target: &str) {
    let master = get(addr, target).await;
    assert_eq!(master.status, 200, "{target}: {master:?}");
    let media = get(addr, uris(master.text())[0]).await;
    assert_eq!(media.status, 200, "{media:?}");
    let key = media.text().split('"').nth(1).unwrap();
    assert_eq!(get(addr, key).await.text(), KEY);
    for source in ["hlswarm; fwd=miss; detail=origin", "hlswarm; hit"] {
        let segment = get(addr, uris(media.text())[0]).await;
        assert_eq!(segment.body, pattern(1000, 1), "{segment:?}");
        assert_eq!(segment.header("cache-status"), source);
    }
}

#[tokio::test]
async fn everything_may_be_redirected_to_other_hosts() {
    let (first, second, third, daemon) = (
        TestOrigin::start().await,
        TestOrigin::start().await,
        TestOrigin::start().await,
        daemon().await,
    );
    let [(_, master), (_, media), (_, key), (_, segment)] = stream();
    let moved = |from: &TestOrigin, path, status, to: &TestOrigin, there| {
        from.put(path, Resource::redirect(status, to.url(there).as_str()));
    };
    moved(&first, "/m.m3u8", 301, &second, "/b");
    moved(&second, "/b", 302, &third, "/c/m.m3u8");
    third.put("/c/m.m3u8", master);
    // What a playlist lists is looked for where it came from in the end.
    moved(&third, "/c/v.m3u8", 303, &first, "/d/v.m3u8");
    first.put("/d/v.m3u8", media);
    moved(&first, "/d/k", 307, &second, "/e/k");
    second.put("/e/k", key);
    moved(&first, "/d/a.ts", 308, &second, "/f");
    moved(&second, "/f", 302, &third, "/g/a.ts");
    third.put("/g/a.ts", segment);
    play(daemon.local_addr(), &ask::path(&first.url("/m.m3u8"))).await;
    assert_eq!(third.requests_for("/g/a.ts").len(), 1);
}

#[tokio::test]
async fn an_origin_that_looks_at_referer_and_program_is_played_through_a_link() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    for (path, resource) in stream() {
        let locked = resource.needs("referer", "https://tv.test/").needs("user-agent", "SmartTV");
        origin.put(path, locked);
    }
    let addr = daemon.local_addr();
    let plain = get(addr, &ask::path(&origin.url("/m.m3u8"))).await;
    assert_eq!(plain.status, 403, "the origin's own word");
    let url = encoded(origin.url("/m.m3u8").as_str());
    let link = format!("/play?url={url}&h_Referer=https%3A%2F%2Ftv.test%2F&h_User-Agent=SmartTV/1");
    let link = get(addr, &link).await.header("location").to_owned();
    play(addr, &link).await;
}

#[tokio::test]
async fn an_origin_that_wants_a_password_is_given_the_one_in_the_url() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    for (path, resource) in stream() {
        // "me:s3cret"
        origin.put(path, resource.needs("authorization", "Basic bWU6czNjcmV0"));
    }
    let host = origin.addr();
    play(daemon.local_addr(), &format!("/http/me:s3cret@{host}/m.m3u8")).await;
    let bare = get(daemon.local_addr(), &ask::path(&origin.url("/a.ts"))).await;
    assert_eq!(bare.status, 403, "nobody else has the bytes");
}

#[tokio::test]
async fn an_origin_may_send_everything_in_chunks() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    for (path, resource) in stream() {
        origin.put(path, resource.without_length().without_ranges());
    }
    play(daemon.local_addr(), &ask::path(&origin.url("/m.m3u8"))).await;
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    for (path, resource) in stream() {
        origin.put(path, resource);
    }
    let addr = daemon.local_addr();
    let mut socket = TcpStream::connect(addr).await.unwrap();
    for path in ["/m.m3u8", "/v.m3u8", "/a.ts", "/a.ts", "/missing", "/k"] {
        let target = ask::path(&origin.url(path));
        let text = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let status = loop {
            let mut piece = [0; 4096];
            let size = socket.read(&mut piece).await.unwrap();
            assert_ne!(size, 0, "{path}: the connection has ended");
            bytes.extend_from_slice(&piece[..size]);
            if let Some(status) = whole(&bytes) {
                break status;
            }
        };
        assert_eq!(status, if path == "/missing" { 404 } else { 200 }, "{path}");
    }
    let last = ask::head(addr, "GET", &ask::path(&origin.url("/a.ts")), &[]);
    socket.write_all(last.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    let answer = answers(&bytes).remove(0);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(answer.body, pattern(1000, 1));
}

/// The status of an answer of which all bytes are here.
fn whole(bytes: &[u8]) -> Option<u16> {
    let end = bytes.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    (bytes.len() >= end + length.parse::<usize>().unwrap()).then(|| head[9..12].parse().unwrap())
}
