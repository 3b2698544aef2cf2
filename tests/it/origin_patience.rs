//! How long the upstream client waits, and for which connection. The clock is tokio's paused one:
//! it jumps to the next timer whenever nothing else is left to do.

use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, pattern};
use hlswarm::metrics::{Counters, Meter};
use hlswarm::origin::{FetchRequest, Origin, OriginConfig, OriginError, Waited};
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use url::Url;

/// What a connection does with its one request: so much silence, then these bytes, then nothing.
#[derive(Clone, Copy)]
struct Manner {
    silence_s: u64,
    says: &'static str,
    /// And ends the connection at once.
    ends: bool,
}

impl Manner {
    const fn new(silence_s: u64, says: &'static str) -> Self {
        Self { silence_s, says, ends: false }
    }

    const fn ending(says: &'static str) -> Self {
        Self { silence_s: 0, says, ends: true }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const HEAD_ONLY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const FORBIDDEN: &str = "HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const HUNG: Manner = Manner::new(0, "");
const PROMPT: Manner = Manner::new(0, OK);

/// An origin whose connections behave in turn as `manners` say, further ones as the last.
struct Scripted {
    url: Url,
    connections: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Scripted {
    async fn start(manners: &[Manner]) -> Self {
        let manners = manners.to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let count = connections.clone();
        let server = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let n = count.fetch_add(1, Ordering::SeqCst);
                let manner = manners[n.min(manners.len() - 1)];
                open.spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    tokio::time::sleep(Duration::from_secs(manner.silence_s)).await;
                    let _ = socket.write_all(manner.says.as_bytes()).await;
                    // Held open until the other side has enough of it.
                    if !manner.ends {
                        let _ = socket.read(&mut request).await;
                    }
                });
            }
        });
        Self { url, connections, server }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn request(&self) -> FetchRequest {
        FetchRequest::get(self.url.clone(), HeaderMap::new())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Asks patiently: status, or error, and how many seconds of virtual time it took.
async fn ask(origin: &Scripted) -> (Result<u16, OriginError>, u64) {
    let began = Instant::now();
    let counters = Arc::<Counters>::default();
    let client = Origin::new(&OriginConfig::default()).unwrap();
    let client = client.counting(Meter::of_daemon(counters.clone()));
    let answer = client.open_patiently(&origin.request(), 0, None).await;
    let asked = counters.snapshot().origin_requests;
    assert_eq!(asked, origin.connections() as u64, "every attempt is counted, once");
    let status = match answer {
        Ok(mut answer) => {
            answer.collect(100).await.unwrap();
            Ok(answer.status.as_u16())
        }
        Err(error) => Err(error),
    };
    (status, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_hung_connection_does_not_keep_the_player_waiting() {
    for (manners, seconds) in [
        (&[HUNG, PROMPT][..], 3),
        (&[HUNG, HUNG, PROMPT], 6),
        (&[Manner::new(0, HEAD_ONLY), PROMPT], 3),
        (&[HUNG, Manner::new(0, BUSY), PROMPT], 3),
    ] {
        let origin = Scripted::start(manners).await;
        let (status, took) = ask(&origin).await;
        assert_eq!(status, Ok(200));
        assert_eq!((took, origin.connections()), (seconds, manners.len()));
    }
}

/// What goes wrong before an origin answers after all.
const HEALED: [&[Manner]; 10] = [
    &[Manner::new(0, BUSY), PROMPT],
    &[Manner::new(0, BUSY), Manner::new(0, BUSY), Manner::new(0, BUSY), PROMPT],
    &[Manner::new(5, OK)],
    &[Manner::new(5, OK), Manner::new(5, OK)],
    &[Manner::new(60, OK), PROMPT],
    &[Manner::ending(""), PROMPT],
    &[Manner::ending("HTTP/1.1 200 O"), PROMPT],
    &[Manner::ending(HEAD_ONLY), PROMPT],
    &[Manner::new(0, "HTTP/1.1 200 O"), PROMPT],
    &[Manner::ending(""), Manner::new(0, BUSY), HUNG, PROMPT],
];

#[tokio::test(start_paused = true)]
async fn what_will_succeed_brings_its_first_byte_before_players_give_up() {
    for (kind, manners) in HEALED.iter().enumerate() {
        let origin = Scripted::start(manners).await;
        let (status, took) = ask(&origin).await;
        assert!(status == Ok(200) && took < 8, "{kind}: {status:?} {took}");
        let origin = Scripted::start(manners).await;
        let (began, client) = (Instant::now(), Origin::new(&OriginConfig::default()).unwrap());
        let list = client.playlist(&origin.request()).await.map(|answer| answer.body);
        let took = began.elapsed().as_secs();
        assert!(list.as_deref() == Ok(b"hi") && took < 8, "{kind}: {list:?} {took}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_with_one_address_of_two_dead_is_reached_at_the_other() {
    let mut origin = Scripted::start(&[PROMPT]).await;
    // The other address of that name is ::1, where nobody listens.
    origin.url.set_host(Some("localhost")).unwrap();
    assert_eq!(ask(&origin).await, (Ok(200), 0));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_merely_slow_is_waited_for_and_not_drowned() {
    let origin = Scripted::start(&[Manner::new(35, OK)]).await;
    let (status, took) = ask(&origin).await;
    assert_eq!((status, took), (Ok(200), 35));
    assert_eq!(origin.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_allows_one_connection_still_answers_on_it() {
    for refusal in [BUSY, FORBIDDEN, ""] {
        let slow = Manner::new(20, OK);
        let refusing = Manner::new(0, refusal);
        let origin = Scripted::start(&[slow, refusing]).await;
        assert_eq!(ask(&origin).await, (Ok(200), 20));
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_never_answers_is_given_up() {
    let origin = Scripted::start(&[HUNG]).await;
    let (status, took) = ask(&origin).await;
    let host = origin.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    assert_eq!((status, took), (Err(OriginError::TimedOut { host, what: Waited::Head }), 60));
    assert_eq!(origin.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_playlist_that_stops_in_the_middle_is_asked_for_again_in_time() {
    let origin = Scripted::start(&[Manner::new(0, HALF), PROMPT]).await;
    let began = Instant::now();
    let client = Origin::new(&OriginConfig::default()).unwrap();
    let answer = client.playlist(&origin.request()).await.unwrap();
    assert_eq!((&answer.body[..], began.elapsed().as_secs()), (&b"hi"[..], 3));
}

#[tokio::test(start_paused = true)]
async fn a_blocking_playlist_reload_is_asked_for_once() {
    let mut origin = Scripted::start(&[Manner::new(12, OK)]).await;
    origin.url.set_query(Some("_HLS_msn=7&_HLS_part=1"));
    assert_eq!(ask(&origin).await, (Ok(200), 12));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn no_more_connections_to_a_host_are_used_at_once_than_the_settings_allow() {
    let origin = TestOrigin::start().await;
    let gate = Gate::closed();
    origin.put("/a.ts", Resource::ts(1000, 1).hold_body(10, &gate));
    origin.put("/go.ts", Resource::redirect(302, "/b.ts"));
    origin.put("/b.ts", Resource::ts(1000, 2));
    let config = OriginConfig { connections_per_host_max: 1, ..Default::default() };
    let client = Origin::new(&config).unwrap();
    let get = |path: &str| FetchRequest::get(origin.url(path), HeaderMap::new());
    let (first, second) = (get("/a.ts"), get("/go.ts"));
    let mut held = client.open(&first).await.unwrap();
    let waiting = client.open(&second);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    gate.open();
    assert_eq!(held.collect(1000).await.unwrap(), pattern(1000, 1));
    assert!(origin.requests_for("/go.ts").is_empty());
    drop(held);
    assert_eq!(waiting.await.unwrap().collect(1000).await.unwrap(), pattern(1000, 2));
    assert!(origin.requests().iter().all(|seen| seen.connection == 0));
}
