//! A client that sends exactly what a test wants to have sent.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

/// An answer, its body as it came (chunked coding taken off).
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub version: String,
    /// Lines of the head, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value, or "" without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// The value of `Content-Length`.
    pub fn header_length(&self) -> usize {
        self.header("content-length").parse().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that it is an error of the daemon's own, and returns what it says.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        problem["detail"].as_str().unwrap().to_owned()
    }

    fn parse(bytes: &[u8]) -> (Self, usize) {
        let end = bytes.windows(4).position(|at| at == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let mut lines = std::str::from_utf8(&bytes[..end]).unwrap().split("\r\n");
        let (version, rest) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let status = rest[..3].parse().unwrap();
        let body = Vec::new();
        (Self { status, version: version.to_owned(), headers, body }, end + 4)
    }
}

/// An address where nothing listens, for as long as the socket is kept: a port that was only let
/// go may be somebody else's the next moment.
pub fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// The path under which a daemon offers a URL.
pub fn path(url: &Url) -> String {
    format!("/{}", url.as_str().replacen("://", "/", 1))
}

/// GET with a connection of its own.
pub async fn get(addr: SocketAddr, target: &str) -> Answer {
    request(addr, "GET", target, &[]).await
}

/// Waits until a daemon holds that many segments: a player may have the last byte of one before.
pub async fn until_held(addr: SocketAddr, segments: u64) {
    while get(addr, "/api/v1/stats").await.json()["cache"]["entries"] != segments {}
}

/// A GET; what it has made the daemon fetch is held when this returns, for the next to be a hit.
pub async fn get_kept(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
    let held = get(addr, "/api/v1/stats").await.json()["cache"]["entries"].as_u64().unwrap();
    let answer = request(addr, "GET", target, headers).await;
    if answer.status < 300 && answer.header("cache-status").contains("fwd=miss") {
        until_held(addr, held + 1).await;
    }
    answer
}

/// A request with a connection of its own; a `Host` among `headers` is used instead of ours.
pub async fn request(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let bytes = send(addr, head(addr, method, target, headers).as_bytes()).await;
    let (mut answer, at) = Answer::parse(&bytes);
    answer.body = bytes[at..].to_vec();
    if answer.header("transfer-encoding") == "chunked" {
        answer.body = unchunked(&answer.body);
    }
    answer
}

/// The text of a request after which the connection closes.
pub fn head(addr: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("Host: {addr}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

/// Sends these bytes and reads until the daemon closes.
pub async fn send(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    // A daemon that has heard enough may close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

/// Reads answers with a `Content-Length` one after the other.
pub fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (mut answer, at) = Answer::parse(bytes);
        let len: usize = answer.header("content-length").parse().unwrap();
        answer.body = bytes[at..at + len].to_vec();
        bytes = &bytes[at + len..];
        all.push(answer);
    }
    all
}

/// Takes the chunked coding off; what was cut short ends where it was cut.
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = bytes.windows(2).position(|at| at == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let chunk = &bytes[line + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        bytes = chunk.get(size + 2..).unwrap_or_default();
    }
    body
}
