//! Origins reached through an HTTP proxy and through a SOCKS5 server, both in this process.

use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use hlswarm::origin::{FetchRequest, Origin, OriginConfig, OriginError};
use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

const LEN: usize = 100_000;

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Socks5,
}

/// A proxy that remembers what it was told.
struct TestProxy {
    addr: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl TestProxy {
    async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let told = Arc::<Mutex<Vec<String>>>::default();
        let log = told.clone();
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let log = log.clone();
                connections.spawn(async move {
                    match kind {
                        Kind::Http => http(socket, &log).await,
                        Kind::Socks5 => socks5(socket, &log).await,
                    }
                });
            }
        });
        Self { addr, told, server }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn http(mut player: TcpStream, log: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(player.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head.clone()).unwrap();
    log.lock().unwrap().push(text.clone());
    let target = text.split(' ').nth(1).unwrap();
    if text.starts_with("CONNECT ") {
        let mut origin = TcpStream::connect(target).await.unwrap();
        player.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut player, &mut origin).await;
        return;
    }
    let url: Url = target.parse().unwrap();
    let mut origin = TcpStream::connect(&*url.socket_addrs(|| None).unwrap()).await.unwrap();
    origin.write_all(&head).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut player, &mut origin).await;
}

/// Wants a user name and password, and takes IPv4 addresses only.
async fn socks5(mut player: TcpStream, log: &Mutex<Vec<String>>) {
    assert_eq!(player.read_u8().await.unwrap(), 5);
    let methods = player.read_u8().await.unwrap();
    let mut offered = vec![0; methods.into()];
    player.read_exact(&mut offered).await.unwrap();
    assert!(offered.contains(&2));
    player.write_all(&[5, 2]).await.unwrap();
    assert_eq!(player.read_u8().await.unwrap(), 1);
    let mut words = Vec::new();
    for _ in 0..2 {
        let mut word = vec![0; player.read_u8().await.unwrap().into()];
        player.read_exact(&mut word).await.unwrap();
        words.push(String::from_utf8(word).unwrap());
    }
    player.write_all(&[1, 0]).await.unwrap();
    let mut wish = [0; 10];
    player.read_exact(&mut wish).await.unwrap();
    let [5, 1, 0, 1, a, b, c, d, high, low] = wish else { panic!("not an IPv4 CONNECT") };
    let addr = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
    log.lock().unwrap().push(format!("{} {addr}", words.join(":")));
    let mut origin = TcpStream::connect(addr).await.unwrap();
    player.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut player, &mut origin).await;
}

fn client(proxy: &str, hosts: &[&str]) -> Origin {
    let proxy_hosts = hosts.iter().map(|text| text.parse().unwrap()).collect();
    let proxy = proxy.parse().unwrap();
    Origin::new(&OriginConfig { proxy, proxy_hosts, ..Default::default() }).unwrap()
}

async fn fetch(client: &Origin, url: Url) {
    let request = FetchRequest::get(url, HeaderMap::new());
    let mut answer = client.open(&request).await.unwrap();
    assert_eq!(answer.collect(LEN).await.unwrap(), pattern(LEN, 1));
}

async fn origin() -> TestOrigin {
    let origin = TestOrigin::start().await;
    origin.put("/a.ts", Resource::ts(LEN, 1));
    origin
}

#[tokio::test]
async fn segments_come_through_an_http_proxy_that_wants_a_password() {
    let (origin, proxy) = (origin().await, TestProxy::start(Kind::Http).await);
    let client = client(&format!("http://me:s%40cret@{}", proxy.addr), &[]);
    fetch(&client, origin.url("/a.ts?t=1")).await;
    let told = proxy.told();
    assert!(told[0].starts_with(&format!("GET {} HTTP/1.1\r\n", origin.url("/a.ts?t=1"))));
    // "me:s@cret"
    assert!(told[0].to_lowercase().contains("proxy-authorization: basic bwu6c0bjcmv0"));
    assert!(!format!("{client:?}").contains("cret"));
}

#[tokio::test]
async fn https_goes_through_a_tunnel_so_that_the_proxy_sees_no_path() {
    let (origin, proxy) = (origin().await, TestProxy::start(Kind::Http).await);
    let client = client(&format!("http://{}", proxy.addr), &[]);
    let url = format!("https://{}/a.ts?token=s3cret", origin.addr()).parse().unwrap();
    // The tunnel leads to an origin that speaks no TLS.
    let error = client.open(&FetchRequest::get(url, HeaderMap::new())).await.unwrap_err();
    assert!(matches!(error, OriginError::TlsFailed { .. }), "{error:?}");
    let told = proxy.told();
    assert!(told[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", origin.addr())));
    assert!(!told.concat().contains("s3cret"));
}

#[tokio::test]
async fn segments_come_through_a_socks5_server_that_wants_a_password() {
    let (origin, proxy) = (origin().await, TestProxy::start(Kind::Socks5).await);
    let client = client(&format!("socks5://me:secret@{}", proxy.addr), &[]);
    fetch(&client, origin.url("/a.ts")).await;
    assert_eq!(proxy.told(), [format!("me:secret {}", origin.addr())]);
}

#[tokio::test]
async fn a_host_can_have_a_proxy_of_its_own_or_none() {
    let (origin, proxy) = (origin().await, TestProxy::start(Kind::Http).await);
    let url = format!("http://{}", proxy.addr);
    fetch(&client("", &[&format!("127.0.0.1={url}")]), origin.url("/a.ts")).await;
    assert_eq!(proxy.told().len(), 1);
    fetch(&client(&url, &["127.0.0.1=direct"]), origin.url("/a.ts")).await;
    fetch(&client("", &[&format!("other.test={url}")]), origin.url("/a.ts")).await;
    assert_eq!(proxy.told().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_is_down_is_not_gone_around() {
    let origin = origin().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!("socks5://{}", closed.local_addr().unwrap()), &[]);
    drop(closed);
    let error = client.open(&FetchRequest::get(origin.url("/a.ts"), HeaderMap::new())).await;
    assert!(matches!(error.unwrap_err(), OriginError::Unreachable { .. }));
    assert!(origin.requests().is_empty());
}
