//! Players that speak HTTP in ways few do, and clients that do not mean well.

use crate::ask::{self, answers};
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use hlswarm::config::Config;
use hlswarm::daemon::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";

async fn daemon() -> Daemon {
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    Daemon::start(&config).await.unwrap()
}

async fn stream() -> TestOrigin {
    let origin = TestOrigin::start().await;
    origin.put("/m.m3u8", Resource::playlist(MEDIA));
    origin.put("/a.ts", Resource::ts(100_000, 1));
    origin
}

#[tokio::test]
async fn an_http_1_0_client_plays() {
    let (origin, daemon) = (stream().await, daemon().await);
    origin.put("/b.ts", Resource::ts(100_000, 2).without_length());
    for (path, seed) in [("/m.m3u8", None), ("/a.ts", Some(1)), ("/b.ts", Some(2))] {
        let path = ask::path(&origin.url(path));
        let text = format!("GET {path} HTTP/1.0\r\n\r\n");
        let bytes = ask::send(daemon.local_addr(), text.as_bytes()).await;
        let end = bytes.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.0 200"), "{head}");
        assert!(!head.contains("transfer-encoding"), "1.0 knows no chunks: {head}");
        if let Some(seed) = seed {
            assert_eq!(bytes[end + 4..], pattern(100_000, seed));
        }
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (origin, daemon) = (stream().await, daemon().await);
    let (addr, target) = (daemon.local_addr(), |path| ask::path(&origin.url(path)));
    let mut text = String::new();
    for path in ["/m.m3u8", "/a.ts", "/missing.ts", "/a.ts"] {
        text += &format!("GET {} HTTP/1.1\r\nHost: {addr}\r\n\r\n", target(path));
    }
    text += &ask::head(addr, "GET", "/api/v1/health", &[]);
    let answers = answers(&ask::send(addr, text.as_bytes()).await);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 200]);
    assert!(answers[0].text().starts_with("#EXTM3U"));
    assert_eq!(answers[1].body, pattern(100_000, 1));
    assert_eq!(answers[3].body, pattern(100_000, 1));
    assert_eq!(answers[4].json()["status"], "ok");
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_answer() {
    let (origin, daemon) = (stream().await, daemon().await);
    let addr = daemon.local_addr();
    let target = |path| ask::path(&origin.url(path));
    for path in [target("/m.m3u8"), target("/a.ts"), "/api/v1/health".into(), "/nothing".into()] {
        let get = ask::get(addr, &path).await;
        let head = ask::request(addr, "HEAD", &path, &[]).await;
        assert_eq!(head.body, b"", "{path}");
        assert_eq!(head.status, get.status);
        for name in ["content-type", "content-length", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_cold_segment_can_be_asked_for_its_head() {
    let (origin, daemon) = (stream().await, daemon().await);
    ask::get(daemon.local_addr(), &ask::path(&origin.url("/m.m3u8"))).await;
    let path = ask::path(&origin.url("/a.ts"));
    let head = ask::request(daemon.local_addr(), "HEAD", &path, &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "100000"));
    assert_eq!(head.body, b"");
    let get = ask::get(daemon.local_addr(), &path).await;
    assert_eq!(get.body, pattern(100_000, 1));
}

#[tokio::test]
async fn a_closed_connection_is_what_was_asked_for() {
    let daemon = daemon().await;
    let answer = ask::get(daemon.local_addr(), "/api/v1/health").await;
    assert_eq!((answer.version.as_str(), answer.header("connection")), ("HTTP/1.1", "close"));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    let many: Vec<_> = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let big = format!("X-Big: {}\r\n", "x".repeat(1 << 20));
    for bomb in [many.concat(), big, "X: y\r\n".repeat(500_000)] {
        let text = format!("GET / HTTP/1.1\r\nHost: {addr}\r\n{bomb}\r\n");
        let bytes = ask::send(addr, text.as_bytes()).await;
        // A client that is still sending may lose the answer with the connection.
        let is_refused = bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 431 ");
        assert!(is_refused, "{:?}", String::from_utf8_lossy(&bytes));
    }
    let target = format!("GET /{} HTTP/1.1\r\nHost: {addr}\r\n\r\n", "x".repeat(1 << 20));
    let bytes = ask::send(addr, target.as_bytes()).await;
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"), "refused");
    assert_eq!(ask::get(addr, "/api/v1/health").await.status, 200);
}

#[tokio::test]
async fn half_a_request_keeps_nobody_else_from_being_answered() {
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    let mut halves = Vec::new();
    for _ in 0..50 {
        let mut half = TcpStream::connect(addr).await.unwrap();
        half.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0").await.unwrap();
        halves.push(half);
    }
    assert_eq!(ask::get(addr, "/api/v1/health").await.status, 200);
    for mut half in halves.drain(..25) {
        half.shutdown().await.unwrap();
        let mut answer = Vec::new();
        half.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(ask::get(addr, "/api/v1/health").await.status, 200);
}

#[tokio::test]
async fn what_is_not_http_is_not_answered_as_if_it_were() {
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0\0\0\0\r\n\r\n", b"x"] {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    assert_eq!(ask::get(addr, "/api/v1/health").await.status, 200);
}

/// Kodi's inputstream.adaptive asks for a key's path as it stands; a page behind a proxy that adds
/// TLS may not ask for anything without.
#[tokio::test]
async fn a_key_has_a_whole_url_except_behind_tls() {
    let (origin, daemon) = (stream().await, daemon().await);
    let text = MEDIA.replacen("#EXTINF", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF", 1);
    origin.put("/e.m3u8", Resource::playlist(&text));
    let (addr, path) = (daemon.local_addr(), ask::path(&origin.url("/e.m3u8")));
    let key = ask::path(&origin.url("/k"));
    for (headers, host) in [
        (&[][..], format!("http://{addr}")),
        (&[("X-Forwarded-Proto", "http")], format!("http://{addr}")),
        (&[("X-Forwarded-Proto", "https")], String::new()),
    ] {
        let answer = ask::request(addr, "GET", &path, headers).await;
        assert!(answer.text().contains(&format!("URI=\"{host}{key}\"\n")), "{}", answer.text());
    }
}
