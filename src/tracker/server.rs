//! The built-in tracker: sockets, limits and health around the decisions in [`super::relay`].
//!
//! For a home or a test, not for the public: it holds everything in memory, keeps no list of
//! allowed swarms and has no TLS of its own. Driven by the `tracker` command and by tests.

use super::connect::socket_config;
use super::message::{ClientMessage, MESSAGE_BYTES_MAX};
use super::relay::{Connection, Limits, Relay};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::{Message, protocol::Role};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Messages waiting for one client. When full they are dropped: an offer to a reader that slow
/// would expire unread.
const OUTBOX_MAX: usize = 64;

/// Messages not understood before a client is disconnected.
const BAD_MESSAGES_MAX: u32 = 8;

/// For a request's head to arrive, a message to leave, and connections to end at shutdown.
const PATIENCE: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_secs(1);

/// Wait after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How the built-in tracker behaves.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// How often clients are told to announce; silent for two, a member is forgotten.
    pub interval: Duration,
    /// Most connections; further ones are closed at once.
    pub connections_max: usize,
    /// Messages per second read from one connection, in the long run.
    pub messages_per_s: u32,
    /// Messages read from one connection at once after a pause.
    pub messages_burst: u32,
    /// How much is kept.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(120),
            connections_max: 2048,
            messages_per_s: 50,
            messages_burst: 500,
            limits: Limits::default(),
        }
    }
}

/// Serves until cancelled.
pub async fn serve(
    listener: TcpListener,
    config: ServerConfig,
    cancel: CancellationToken,
) -> io::Result<()> {
    let seed = getrandom::u64().map_err(io::Error::other)?;
    let relay = Relay::new(config.limits, config.interval, seed);
    let registry = Registry { relay, outboxes: BTreeMap::new(), last: 0 };
    let tracker = Tracker {
        config,
        cancel,
        tasks: TaskTracker::new(),
        registry: Arc::new(Mutex::new(registry)),
    };
    let permits = Arc::new(Semaphore::new(config.connections_max));
    let mut expiry = tokio::time::interval(config.interval.max(Duration::from_secs(1)));
    loop {
        tokio::select! {
            () = tracker.cancel.cancelled() => break,
            _ = expiry.tick() => tracker.registry().relay.expire(now()),
            accepted = listener.accept() => match (accepted, permits.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(permit)) => {
                    // Messages are small and awaited; without it they are only slower.
                    let _slower = stream.set_nodelay(true);
                    tracker.tasks.spawn(tracker.clone().serve_connection(stream, Arc::new(permit)));
                }
                (Ok(_), Err(_)) => tracing::debug!("too many connections, one refused"),
                (Err(error), _) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
    tracker.tasks.close();
    // Whoever does not finish in time sees the cancelled token at its next step.
    let _finished = timeout(GOODBYE, tracker.tasks.wait()).await;
    Ok(())
}

#[derive(Clone)]
struct Tracker {
    config: ServerConfig,
    cancel: CancellationToken,
    tasks: TaskTracker,
    registry: Arc<Mutex<Registry>>,
}

struct Registry {
    relay: Relay,
    outboxes: BTreeMap<Connection, mpsc::Sender<String>>,
    last: Connection,
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

impl Tracker {
    /// Never held across an await.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve_connection(self, stream: TcpStream, permit: Arc<OwnedSemaphorePermit>) {
        let cancel = self.cancel.clone();
        let service = service_fn(move |request| {
            let response = self.respond(request, &permit);
            async move { Ok::<_, Infallible>(response) }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(16 << 10)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::select! {
            () = cancel.cancelled() => {}
            served = serving => if let Err(error) = served {
                tracing::debug!(%error, "request failed");
            }
        }
    }

    fn respond(
        &self,
        mut request: Request<Incoming>,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Response<Full<Bytes>> {
        if !request.headers().contains_key(header::UPGRADE) {
            let is_known = matches!(request.uri().path(), "/" | "/health");
            return match (request.method(), is_known) {
                (&Method::GET | &Method::HEAD, true) => json(StatusCode::OK, &self.health()),
                (_, true) => json(StatusCode::METHOD_NOT_ALLOWED, r#"{"status":"GET only"}"#),
                (_, false) => json(StatusCode::NOT_FOUND, r#"{"status":"not found"}"#),
            };
        }
        let Ok(response) = create_response_with_body(&request, Full::default) else {
            return json(StatusCode::BAD_REQUEST, r#"{"status":"not a WebSocket request"}"#);
        };
        let upgrading = hyper::upgrade::on(&mut request);
        let (tracker, permit) = (self.clone(), permit.clone());
        self.tasks.spawn(async move {
            if let Ok(upgraded) = upgrading.await {
                let (io, config) = (TokioIo::new(upgraded), Some(socket_config(MESSAGE_BYTES_MAX)));
                tracker
                    .talk(WebSocketStream::from_raw_socket(io, Role::Server, config).await)
                    .await;
            }
            drop(permit);
        });
        response
    }

    fn health(&self) -> String {
        let registry = self.registry();
        let (swarms, members) = registry.relay.totals();
        let connections = registry.outboxes.len();
        serde_json::json!({
            "status": "ok", "connections": connections, "swarms": swarms, "members": members,
        })
        .to_string()
    }

    async fn talk(self, mut socket: Socket) {
        let (sender, outbox) = mpsc::channel(OUTBOX_MAX);
        let me = {
            let mut registry = self.registry();
            registry.last += 1;
            let me = registry.last;
            registry.outboxes.insert(me, sender);
            me
        };
        self.relay_messages(me, &mut socket, outbox).await;
        {
            let mut registry = self.registry();
            registry.outboxes.remove(&me);
            registry.relay.disconnect(me);
        }
        let _closed = timeout(GOODBYE, socket.close(None)).await;
    }

    /// Until the client leaves, is silent for two intervals or talks nonsense.
    async fn relay_messages(
        &self,
        me: Connection,
        socket: &mut Socket,
        mut outbox: mpsc::Receiver<String>,
    ) {
        let mut bucket = Bucket::new(&self.config, now());
        let (mut bad_messages, mut heard) = (0, now());
        while bad_messages < BAD_MESSAGES_MAX {
            let readable = bucket.ready(now());
            let silent = heard + self.config.interval * 2 + PATIENCE;
            tokio::select! {
                () = self.cancel.cancelled() => return,
                Some(text) = outbox.recv() => {
                    let sent = timeout(PATIENCE, socket.send(Message::text(text))).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
                () = sleep_until(readable.unwrap_or(silent).into()) => {
                    if readable.is_none() {
                        return;
                    }
                }
                frame = socket.next(), if readable.is_none() => {
                    let Some(Ok(frame)) = frame else { return };
                    heard = now();
                    bucket.take();
                    match frame {
                        Message::Text(text) => {
                            bad_messages += u32::from(!self.receive(me, text.as_str()));
                        }
                        Message::Close(_) => return,
                        _ => {}
                    }
                }
            }
        }
        tracing::debug!("client disconnected for talking nonsense");
    }

    /// Takes in one message; whether it was understood.
    fn receive(&self, from: Connection, text: &str) -> bool {
        let message = match ClientMessage::from_json(text) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "client message ignored");
                return false;
            }
        };
        let mut registry = self.registry();
        for (to, message) in registry.relay.handle(now(), from, message) {
            if let Some(outbox) = registry.outboxes.get(&to)
                && outbox.try_send(message.to_json()).is_err()
            {
                tracing::trace!("message to a slow client dropped");
            }
        }
        true
    }
}

fn json(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How many more messages may be read: a flood is slowed down, not punished.
struct Bucket {
    per_second: f64,
    size: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn new(config: &ServerConfig, now: Instant) -> Self {
        let size = f64::from(config.messages_burst.max(1));
        let per_second = f64::from(config.messages_per_s.max(1));
        Self { per_second, size, tokens: size, filled: now }
    }

    /// `None` when a message may be read, else when to try again.
    fn ready(&mut self, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.size);
        self.filled = now;
        let missing = 1.0 - self.tokens;
        // A little more than needed, so that rounding cannot make it be tried for nothing.
        (missing > 0.0).then(|| now + Duration::from_secs_f64(missing / self.per_second + 0.001))
    }

    fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_read_at_the_rate_allowed() {
        let config = ServerConfig { messages_per_s: 10, messages_burst: 5, ..Default::default() };
        let start = Instant::now();
        let mut bucket = Bucket::new(&config, start);
        let (mut time, mut read) = (start, 0);
        while time < start + Duration::from_secs(2) {
            match bucket.ready(time) {
                None => {
                    bucket.take();
                    read += 1;
                }
                Some(later) => {
                    assert!(later > time);
                    time = later;
                }
            }
        }
        assert!((24..=25).contains(&read), "{read}");
    }
}
