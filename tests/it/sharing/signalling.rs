//! What trackers hear of a daemon.

use super::world::{Film, Player, config, until};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use futures_util::StreamExt;
use hlswarm::daemon::Daemon;
use hlswarm::origin::Wanted;
use hlswarm::playlist::identity::g2_direct;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

#[tokio::test]
async fn every_tracker_hears_of_every_stream_on_one_socket_until_each_is_said_goodbye() {
    let origin = TestOrigin::start().await;
    let trackers = [Recorder::start().await, Recorder::start().await];
    let film = Film::new(2, 100);
    let one = film.put(&origin);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nseg-0.ts\n#EXT-X-ENDLIST\n";
    origin.put("/other/index.m3u8", Resource::playlist(text));
    origin.put("/other/seg-0.ts", film.resource(0));
    let other = origin.url("/other/index.m3u8");
    let urls = trackers.each_ref().map(Recorder::url);
    let mut config = config(&[&urls[0], &urls[1]]);
    config.p2p.join_wait_ms = 0;
    let daemon = Daemon::start(&config).await.unwrap();
    let player = Player::of(&daemon);
    for url in [&one, &other] {
        let segment = player.timeline(url).await.segments.remove(0);
        assert_eq!(player.fetch(&segment.url, Wanted::Whole).await.body, film.segments[0]);
    }
    let streams = [&one, &other].map(|url| g2_direct(url).info_hash.to_latin1());
    for tracker in &trackers {
        let hears = async || streams.iter().all(|hash| tracker.announces().contains_key(hash));
        until("announces of both streams", hears).await;
    }
    daemon.stop().await;

    let mut ids = BTreeSet::new();
    for tracker in &trackers {
        assert_eq!(tracker.sockets.load(Ordering::Relaxed), 1);
        for (hash, said) in tracker.announces() {
            let (first, last) = (said.first().unwrap(), said.last().unwrap());
            assert_eq!(last["event"], "stopped", "{hash}: {last}");
            assert_eq!(said.iter().filter(|said| said["event"] == "stopped").count(), 1, "{hash}");
            assert_eq!((&first["event"], &first["numwant"]), (&"started".into(), &5.into()));
            assert_complete(first);
            ids.extend(said.iter().map(|said| said["peer_id"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(ids.len(), 1, "the same id everywhere and always: {ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("-HS") && id.is_ascii() && id.len() == 20));
}

/// Five offers, no two alike, each with its candidates: nothing follows them.
fn assert_complete(announce: &Value) {
    let offers = announce["offers"].as_array().unwrap();
    let ids: BTreeSet<_> = offers.iter().map(|offer| offer["offer_id"].as_str().unwrap()).collect();
    assert_eq!((offers.len(), ids.len()), (5, 5));
    for offer in offers {
        assert_eq!(offer["offer"]["type"], "offer");
        let sdp = offer["offer"]["sdp"].as_str().unwrap();
        assert!(sdp.contains("\na=candidate:") && sdp.contains(" typ host"), "{sdp}");
    }
}

/// A tracker that answers nothing and remembers what it hears.
pub struct Recorder {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
    /// Connections so far.
    sockets: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (heard, sockets) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let (into, count) = (heard.clone(), Arc::<AtomicUsize>::clone(&sockets));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(listen(stream, into.clone()));
            }
        });
        Self { url, heard, sockets, task }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The messages with a text in them.
    pub fn heard(&self, text: &str) -> Vec<String> {
        self.heard.lock().unwrap().iter().filter(|heard| heard.contains(text)).cloned().collect()
    }

    /// What was announced of each swarm, in order.
    fn announces(&self) -> BTreeMap<String, Vec<Value>> {
        let mut announces = BTreeMap::<String, Vec<Value>>::new();
        for text in self.heard("\"offers\"") {
            let said: Value = serde_json::from_str(&text).unwrap();
            let hash = said["info_hash"].as_str().unwrap().to_owned();
            announces.entry(hash).or_default().push(said);
        }
        announces
    }

    /// The swarms of the messages with a text in them, in order, as often as they were named.
    pub fn swarms(&self, text: &str) -> Vec<String> {
        let hash_of =
            |text: &String| serde_json::from_str::<Value>(text).unwrap()["info_hash"].clone();
        let heard = self.heard(text);
        let mut hashes: Vec<_> =
            heard.iter().map(|text| hash_of(text).as_str().unwrap().to_owned()).collect();
        hashes.sort();
        hashes
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    while let Some(Ok(frame)) = socket.next().await {
        match frame {
            Frame::Text(text) => heard.lock().unwrap().push(text.to_string()),
            Frame::Close(_) => break,
            _ => {}
        }
    }
    let _closed = socket.close(None).await;
}
