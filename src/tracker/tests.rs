//! The client and the built-in tracker, over real sockets of this machine.

mod hostile;

use super::message::{Offer, OfferId};
use super::server::{ServerConfig, serve};
use super::session::TrackerState;
use super::session::{Membership, SessionConfig, Timings, TrackerEvent, TrackerSession};
use crate::ids::{InfoHash, PeerId};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const HASH: InfoHash = InfoHash(*b"cM/o68Dil8XqBF8uLIqa");

/// A tracker of ours, and what ends it.
struct Running {
    address: SocketAddr,
    cancel: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(config: ServerConfig) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), config).await
    }

    async fn start_at(address: SocketAddr, config: ServerConfig) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(serve(listener, config, cancel.clone()));
        Self { address, cancel, task }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }

    fn url(&self) -> String {
        format!("ws://{}/announce?key=secret", self.address)
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    async fn has_members(&self, count: usize) {
        let wanted = format!(r#""members":{count}"#);
        within(async {
            while !self.get("/health").await.contains(&wanted) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A session with little patience, and what ends it.
struct Client {
    session: TrackerSession,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Client {
    fn start(n: u8, url: String) -> Self {
        let ms = Duration::from_millis;
        let timings = Timings {
            backoff_first: ms(5),
            backoff_max: ms(50),
            early: ms(20),
            interval_fallback: ms(50),
            interval_min: ms(20),
            interval_max: ms(50),
            linger: ms(20),
            ..Timings::default()
        };
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let config = SessionConfig { url, peer_id: peer(n), origin_header: None, timings };
        Self { session: TrackerSession::spawn(config, &tasks, cancel.clone()), cancel, tasks }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        within(self.tasks.wait()).await;
    }
}

fn peer(n: u8) -> PeerId {
    PeerId::generate([n; 12])
}

fn offer(n: u8) -> Offer {
    Offer { offer_id: OfferId([n; 20]), sdp: format!("v=0\r\noffer {n}") }
}

/// Nothing here takes long; only a failing test waits for this.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("took too long")
}

/// Announces with `offers` whenever asked, until an event is what `wanted` looks for.
async fn until<T>(
    member: &mut Membership,
    offers: &[Offer],
    mut wanted: impl FnMut(&TrackerEvent) -> Option<T>,
) -> T {
    within(async {
        loop {
            let event = member.recv().await.expect("the session goes on");
            if matches!(event, TrackerEvent::OffersWanted { .. }) {
                member.announce(offers.to_vec());
            }
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

fn swarm_of(size: u32) -> impl FnMut(&TrackerEvent) -> Option<()> {
    move |event| {
        let is_so =
            matches!(event, TrackerEvent::Announced { incomplete, .. } if *incomplete == size);
        is_so.then_some(())
    }
}

fn is_announced(event: &TrackerEvent) -> Option<()> {
    matches!(event, TrackerEvent::Announced { .. }).then_some(())
}

#[tokio::test]
async fn two_members_exchange_an_offer_and_its_answer() {
    let tracker = Running::start(ServerConfig::default()).await;
    let (first, second) = (Client::start(1, tracker.url()), Client::start(2, tracker.url()));
    let mut a = first.session.join(HASH);
    until(&mut a, &[], swarm_of(1)).await;
    let mut b = second.session.join(HASH);
    until(&mut b, &[offer(7)], swarm_of(2)).await;

    let (from, offer_id, sdp) = until(&mut a, &[], |event| match event {
        TrackerEvent::Offer { peer, offer_id, sdp } => Some((*peer, *offer_id, sdp.clone())),
        _ => None,
    })
    .await;
    assert_eq!((from, offer_id, sdp), (peer(2), offer(7).offer_id, offer(7).sdp));
    a.answer(from, offer_id, "v=0\r\nanswer".to_owned());
    let answered = until(&mut b, &[], |event| match event {
        TrackerEvent::Answer { peer, offer_id, sdp } => Some((*peer, *offer_id, sdp.clone())),
        _ => None,
    })
    .await;
    assert_eq!(answered, (peer(1), offer(7).offer_id, "v=0\r\nanswer".to_owned()));
    assert_eq!(first.session.state(), TrackerState::Connected);

    a.leave();
    until(&mut b, &[], swarm_of(1)).await;
    second.stop().await;
    tracker.has_members(0).await;
    within(async { while b.recv().await.is_some() {} }).await;
    first.stop().await;
    tracker.stop().await;
}

#[tokio::test]
async fn swarms_share_a_connection_and_do_not_mix() {
    let tracker = Running::start(ServerConfig::default()).await;
    let client = Client::start(1, tracker.url());
    let mut one = client.session.join(HASH);
    let mut two = client.session.join(InfoHash([200; 20]));
    until(&mut one, &[], swarm_of(1)).await;
    until(&mut two, &[], swarm_of(1)).await;
    let health = tracker.get("/").await;
    assert!(health.contains(r#""connections":1"#) && health.contains(r#""swarms":2"#), "{health}");
    drop(one);
    tracker.has_members(1).await;
    client.stop().await;
    tracker.stop().await;
}

#[tokio::test]
async fn members_announce_again_after_a_tracker_restart() {
    let tracker = Running::start(ServerConfig::default()).await;
    let address = tracker.address;
    let clients = [Client::start(1, tracker.url()), Client::start(2, tracker.url())];
    let mut members = clients.each_ref().map(|client| client.session.join(HASH));
    for member in &mut members {
        until(member, &[], is_announced).await;
    }
    tracker.stop().await;
    for member in &mut members {
        until(member, &[], |event| matches!(event, TrackerEvent::Failed { .. }).then_some(()))
            .await;
    }
    let tracker = Running::start_at(address, ServerConfig::default()).await;
    for member in &mut members {
        until(member, &[], is_announced).await;
    }
    tracker.has_members(2).await;
    for client in clients {
        client.stop().await;
    }
    tracker.has_members(0).await;
    tracker.stop().await;
}

#[tokio::test]
async fn a_session_without_members_connects_to_nothing_and_leaves_when_the_last_is_gone() {
    let tracker = Running::start(ServerConfig::default()).await;
    let client = Client::start(1, tracker.url());
    assert!(tracker.get("/health").await.contains(r#""connections":0"#));
    let mut member = client.session.join(HASH);
    until(&mut member, &[], swarm_of(1)).await;
    drop(member);
    within(async {
        while !tracker.get("/health").await.contains(r#""connections":0"#) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut member = client.session.join(HASH);
    until(&mut member, &[], swarm_of(1)).await;
    client.stop().await;
    tracker.stop().await;
}

#[tokio::test]
async fn an_unreachable_tracker_is_reported_without_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/?key=secret", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::start(1, url);
    let mut member = client.session.join(HASH);
    let reason = until(&mut member, &[], |event| match event {
        TrackerEvent::Failed { reason } => Some(reason.clone()),
        _ => None,
    })
    .await;
    assert!(!reason.contains("secret") && !reason.is_empty(), "{reason}");
    assert!(matches!(client.session.state(), TrackerState::Failed { .. }));
    client.stop().await;
}

#[tokio::test]
async fn health_is_answered_and_other_paths_are_not_found() {
    let tracker = Running::start(ServerConfig::default()).await;
    let health = tracker.get("/health").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains(r#""status":"ok""#), "{health}");
    assert!(tracker.get("/stats?x=/health").await.starts_with("HTTP/1.1 404"));
    tracker.stop().await;
}
