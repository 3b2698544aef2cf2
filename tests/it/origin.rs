//! An origin in this process: a map of paths, a log of requests, and faults on command.

use crate::resource::Resource;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    /// Which connection it came over, in the order in which they were accepted.
    pub connection: usize,
}

impl Seen {
    /// A header's value, or "" without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether it is for a range with both ends.
    pub fn is_slice(&self) -> bool {
        let range = self.header("range");
        !range.is_empty() && !range.ends_with('-')
    }
}

/// A running origin; it ends, with all connections, when dropped.
pub struct TestOrigin {
    addr: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    resources: Mutex<BTreeMap<String, Arc<Resource>>>,
    log: watch::Sender<Vec<Seen>>,
}

impl TestOrigin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state =
            Arc::new(State { resources: Mutex::default(), log: watch::channel(Vec::new()).0 });
        let server = tokio::spawn(accept(listener, state.clone()));
        Self { addr, state, server }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self, path_and_query: &str) -> Url {
        format!("http://{}{path_and_query}", self.addr).parse().unwrap()
    }

    /// Serves `resource` under `path` from now on, whatever the query; where `path` has a query
    /// itself, only with exactly that one.
    pub fn put(&self, path: &str, resource: Resource) {
        self.state.resources.lock().unwrap().insert(path.to_owned(), Arc::new(resource));
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.log.borrow().clone()
    }

    /// The requests for one path so far.
    pub fn requests_for(&self, path: &str) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.path == path).collect()
    }

    /// The requests for one path so far that are for all of it, or for its end: what a daemon
    /// compares of a peer's segment has both ends.
    pub fn fetches_of(&self, path: &str) -> Vec<Seen> {
        self.requests_for(path).into_iter().filter(|seen| !seen.is_slice()).collect()
    }

    /// Waits until `path` has been asked for `n` times.
    pub async fn wait_for_requests(&self, path: &str, n: usize) {
        let mut log = self.state.log.subscribe();
        let is_enough = |log: &Vec<Seen>| log.iter().filter(|seen| seen.path == path).count() >= n;
        log.wait_for(is_enough).await.unwrap();
    }

    /// Waits until a body of `path` has ended, whole or not; how many bytes have left in all.
    pub async fn wait_for_end(&self, path: &str) -> u64 {
        let resource = self.state.resources.lock().unwrap()[path].clone();
        let mut sent = resource.sent.subscribe();
        sent.wait_for(|(_, ended)| *ended > 0).await.unwrap().0
    }

    /// Body bytes of `path` that have left so far.
    pub fn sent(&self, path: &str) -> u64 {
        self.state.resources.lock().unwrap()[path].sent.borrow().0
    }
}

impl Drop for TestOrigin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let Ok((socket, _)) = listener.accept().await else { return };
        let state = state.clone();
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let state = state.clone();
                async move { Ok::<_, Infallible>(state.answer(&request, connection).await) }
            });
            // A broken connection is what some tests are about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

impl State {
    async fn answer(&self, request: &Request<Incoming>, connection: usize) -> Response<Body> {
        let path = request.uri().path().to_owned();
        self.log.send_modify(|log| {
            log.push(Seen {
                method: request.method().clone(),
                path: path.clone(),
                query: request.uri().query().map(str::to_owned),
                headers: request.headers().clone(),
                connection,
            });
        });
        let exact = request.uri().path_and_query().map_or("", |both| both.as_str());
        let resource = {
            let resources = self.resources.lock().unwrap();
            resources.get(exact).or_else(|| resources.get(&path)).cloned()
        };
        let Some(resource) = resource else { return plain(404, "not found") };
        let mood = resource.mood();
        if let Some(gate) = &resource.head_gate {
            gate.pass().await;
        }
        if let Some(status) = mood.failure {
            return plain(status, "failing on command");
        }
        let lacks = |(name, value): &(&str, String)| {
            let sent = request.headers().get(*name).and_then(|sent| sent.to_str().ok());
            !sent.is_some_and(|sent| sent.contains(value.as_str()))
        };
        if resource.needs.iter().any(lacks) {
            return plain(403, "not for you");
        }
        let has_tag = |(name, value): &(&str, String)| {
            *name == "etag"
                && request.headers().get("if-none-match").is_some_and(|tag| tag == value)
        };
        if let Some((_, tag)) = resource.headers.iter().find(|header| has_tag(header)) {
            let unchanged = Response::builder().status(304).header("etag", tag);
            return unchanged.body(StreamBody::new(stream::empty()).boxed_unsync()).unwrap();
        }
        let size = resource.content.len();
        let asked = request.headers().get(RANGE).filter(|_| resource.has_ranges);
        let range = asked.and_then(|range| parse_range(range.to_str().ok()?, size));
        if asked.is_some() && range.is_none() {
            return plain(416, "no such range");
        }
        let has_other_version = request.headers().get("if-range").is_some_and(|tag| {
            !resource.headers.iter().any(|(name, value)| *name == "etag" && tag == value)
        });
        let range = range.filter(|_| !has_other_version);
        let (start, end) = range.unwrap_or((0, size));
        let status = if range.is_some() { 206 } else { resource.status };
        let mut answer = Response::builder().status(status);
        for (name, value) in &resource.headers {
            answer = answer.header(*name, value.replace("{n}", &mood.count.to_string()));
        }
        if resource.is_endless_redirect {
            answer = answer.header(LOCATION, format!("{path}?n={}", mood.count));
        }
        if range.is_some() {
            answer = answer.header(CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1));
        }
        if resource.has_length {
            answer = answer.header(CONTENT_LENGTH, end - start);
        }
        let sending = Sending { resource, start, at: start, end, truncation: mood.truncation };
        answer.body(sending.into_body()).unwrap()
    }
}

/// A body on its way out.
struct Sending {
    resource: Arc<Resource>,
    start: u64,
    at: u64,
    end: u64,
    truncation: Option<usize>,
}

impl Sending {
    fn into_body(self) -> Body {
        let frames = stream::unfold(self, |mut sending| async move {
            let frame = sending.next().await?;
            Some((frame.map(Frame::data), sending))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.at >= self.end {
            return None;
        }
        let sent = (self.at - self.start) as usize;
        let mut len = (self.end - self.at).min(1 << 16) as usize;
        if let Some(at) = self.truncation {
            if sent >= at {
                // A pause first, for what was sent to be flushed.
                tokio::task::yield_now().await;
                return Some(Err(io::Error::other("broken off on command")));
            }
            len = len.min(at - sent);
        }
        if let Some((at, gate)) = self.resource.body_gate.clone() {
            if sent == at {
                gate.pass().await;
            } else if sent < at {
                len = len.min(at - sent);
            }
        }
        if let Some((chunk, gate)) = self.resource.meter.clone() {
            gate.pass().await;
            len = len.min(chunk);
        }
        let piece = self.resource.content.piece(self.at, len);
        self.at += piece.len() as u64;
        self.resource.sent.send_modify(|(bytes, _)| *bytes += piece.len() as u64);
        Some(Ok(piece))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.resource.sent.send_modify(|(_, ended)| *ended += 1);
    }
}

fn plain(status: u16, text: &'static str) -> Response<Body> {
    let resource = Arc::new(Resource::new("text/plain", text));
    let end = resource.content.len();
    let sending = Sending { resource, start: 0, at: 0, end, truncation: None };
    let answer = Response::builder().status(status).header(CONTENT_LENGTH, end);
    answer.header("content-type", "text/plain").body(sending.into_body()).unwrap()
}

/// Start and end (exclusive) of a single range, or `None` when it cannot be satisfied.
fn parse_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", n) => (size.saturating_sub(n.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, (last.parse::<u64>().ok()? + 1).min(size)),
    };
    (start < end).then_some((start, end))
}
