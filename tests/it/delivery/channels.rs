//! Channels that turn out not to be HLS: they pass as the streams they are, with or without end.

use super::daemon;
use crate::ask::{self, get, request};
use crate::origin::TestOrigin;
use crate::resource::{GENERATED, Gate, Resource};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PACKET: usize = 188;
const TS: &str = "video/mp2t";

/// Packets of a transport stream.
fn packets(count: usize) -> Bytes {
    (0..count * PACKET).map(|at| if at % PACKET == 0 { 0x47 } else { (at % 251) as u8 }).collect()
}

/// Reads from a socket until `count` bytes came behind the head; the head.
async fn read_some(socket: &mut TcpStream, count: usize) -> String {
    let mut all = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let size = socket.read(&mut piece).await.unwrap();
        assert_ne!(size, 0, "ended early: {}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..size]);
        let Some(end) = all.windows(4).position(|at| at == b"\r\n\r\n") else { continue };
        if all.len() >= end + 4 + count {
            return String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
        }
    }
}

#[tokio::test]
async fn a_channel_without_end_is_streamed_and_ends_with_its_player() {
    for path in ["/live/12345", "/live/12345.ts", "/live/12345.m3u8"] {
        let (origin, daemon) = (TestOrigin::start().await, daemon().await);
        let gate = Gate::closed();
        // What follows the first bytes never comes.
        let channel = Resource::new(TS, packets(100)).without_length().hold_body(4000, &gate);
        origin.put(path, channel.header("icy-name", "News").header("icy-br", "128"));
        let target = ask::path(&origin.url(path));
        let mut socket = TcpStream::connect(daemon.local_addr()).await.unwrap();
        let text = ask::head(daemon.local_addr(), "GET", &target, &[]);
        socket.write_all(text.as_bytes()).await.unwrap();
        let head = read_some(&mut socket, 4000).await;
        assert!(head.starts_with("http/1.1 200"), "{path} {head}");
        for line in ["content-type: video/mp2t", "icy-name: news", "icy-br: 128", "fwd=bypass"] {
            assert!(head.contains(line), "{path}: no {line} in {head}");
        }
        drop(socket);
        assert_eq!(origin.wait_for_end(path).await, 4000, "the origin is told");
        assert_eq!(origin.requests().len(), 1, "{path}");
        let stats = get(daemon.local_addr(), "/api/v1/stats").await.json();
        assert_eq!(stats["totals"]["origin_requests"], 1);
    }
}

#[tokio::test]
async fn a_channel_is_what_its_bytes_are_and_not_what_it_is_called() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let addr = daemon.local_addr();
    let mp4 = Bytes::from_static(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom and more");
    for (path, kind, body) in [
        ("/a.m3u8", TS, packets(10)),
        ("/b.m3u8", "application/vnd.apple.mpegurl", packets(10)),
        ("/c.m3u8", "video/mp4", mp4.clone()),
        ("/d", "application/octet-stream", packets(10)),
        ("/e.mp4", "video/mp4", mp4),
        ("/f.m3u", "audio/mpeg", Bytes::from_static(b"ID3\x04\0\0music")),
    ] {
        origin.put(path, Resource::new(kind, body.clone()));
        let target = ask::path(&origin.url(path));
        let answer = get(addr, &target).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert_eq!((answer.header_length(), answer.body), (body.len(), body.to_vec()), "{path}");
        assert_eq!(origin.requests_for(path).len(), 1, "{path}");
        let part = request(addr, "GET", &target, &[("Range", "bytes=4-7")]).await;
        assert_eq!((part.status, &part.body[..]), (206, &body[4..8]), "{path}");
        let head = request(addr, "HEAD", &target, &[]).await;
        assert_eq!((head.status, head.header_length(), head.body.len()), (200, body.len(), 0));
    }
}

#[tokio::test]
async fn a_player_that_does_not_read_a_channel_holds_it_up() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let endless = Resource::generated(1 << 40).without_length();
    origin.put("/live", endless);
    let mut socket = TcpStream::connect(daemon.local_addr()).await.unwrap();
    let text = ask::head(daemon.local_addr(), "GET", &ask::path(&origin.url("/live")), &[]);
    socket.write_all(text.as_bytes()).await.unwrap();
    read_some(&mut socket, GENERATED.len()).await;
    // Until nothing moves any more: sockets' buffers are full.
    let (mut before, mut same) = (0, 0);
    while same < 200 {
        let sent = origin.sent("/live");
        same = if sent == before { same + 1 } else { 0 };
        before = sent;
        get(daemon.local_addr(), "/api/v1/health").await;
    }
    assert!(before < 64 << 20, "{before} bytes were taken from the origin");
}

#[tokio::test]
async fn a_page_called_a_playlist_is_an_error() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/a.m3u8", Resource::new("text/html", "<html>Please log in</html>"));
    let target = ask::path(&origin.url("/a.m3u8"));
    get(daemon.local_addr(), &target).await.problem(502);
    origin.put("/b.m3u8", Resource::new("video/mp2t", "Sorry"));
    get(daemon.local_addr(), &ask::path(&origin.url("/b.m3u8"))).await.problem(502);
}

#[tokio::test]
async fn a_playlist_under_any_name_is_asked_for_once() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";
    origin.put("/list", Resource::new("text/plain", list));
    let answer = get(daemon.local_addr(), &ask::path(&origin.url("/list"))).await;
    assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(origin.requests().len(), 1);
    let stats = get(daemon.local_addr(), "/api/v1/stats").await.json();
    assert_eq!(stats["totals"]["origin_requests"], 1);
    assert_eq!(stats["totals"]["origin_bytes"], list.len());
    origin.put("/cut", Resource::new("text/plain", list).truncate_first(1, 20));
    let healed = get(daemon.local_addr(), &ask::path(&origin.url("/cut"))).await;
    assert!(healed.text().contains("/a.ts"), "{healed:?}");
}
