//! An instance: its API, its files and its tracker under one address.

use super::tracker::StrictTracker;
use super::video::Rendition;
use crate::origin::TestOrigin;
use crate::resource::Resource;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

/// The video, under all of its names.
pub const UUID: &str = "9c9de5e8-0a1e-484a-b099-e80766180a6d";
pub const SHORT: &str = "kkGMgK9ZtnKfYAgnEtQxbv";
/// Where its files are.
const DIRECTORY: &str = "/static/streaming-playlists/hls/9c9de5e8-0a1e-484a-b099-e80766180a6d";
const CONFIG: &str = "/api/v1/config";

/// It ends, with all connections, when dropped.
pub struct Instance {
    pub origin: TestOrigin,
    pub tracker: Arc<StrictTracker>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Instance {
    /// One that answers nothing yet but its settings.
    pub async fn start() -> Self {
        let origin = TestOrigin::start().await;
        let tracker = Arc::new(StrictTracker::start().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, origin.addr(), tracker.clone()));
        let instance = Self { origin, tracker, address, accepting };
        instance.put_json(CONFIG, &config());
        instance
    }

    /// One with this video; the tracker expects its viewers.
    pub async fn with(renditions: &[Rendition]) -> Self {
        let instance = Self::start().await;
        instance.put_video(renditions);
        instance.describe(&instance.video(renditions));
        let swarms = 0..renditions.len();
        instance.tracker.expect(swarms.map(|n| instance.hash(&format!("main-{n}"))));
        instance
    }

    pub fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// The page of the video.
    pub fn page(&self) -> Url {
        self.url(&format!("/w/{SHORT}"))
    }

    /// The playlist that the API names.
    pub fn master(&self) -> Url {
        self.url(&format!("{DIRECTORY}/2f1c-master.m3u8"))
    }

    pub fn tracker_url(&self) -> String {
        format!("ws://{}/tracker/socket", self.address)
    }

    /// The hash under which its own players meet.
    pub fn hash(&self, stream: &str) -> String {
        let name = format!("v2-{}-{stream}", self.master());
        STANDARD.encode(&Md5::digest(name)[1..])
    }

    /// What the API says of the video.
    pub fn video(&self, renditions: &[Rendition]) -> Value {
        let is_live = renditions.iter().any(|rendition| rendition.live_from.is_some());
        let file = |rendition: &Rendition| {
            let lines = rendition.lines;
            json!({"id": lines, "resolution": {"id": lines, "label": format!("{lines}p")}})
        };
        json!({
            "id": 1, "uuid": UUID, "shortUUID": SHORT, "name": "A film", "isLocal": true,
            "isLive": is_live, "state": {"id": 1, "label": "Published"}, "files": [],
            "streamingPlaylists": [{
                "id": 1, "type": 1, "playlistUrl": self.master().as_str(), "redundancies": [],
                "segmentsSha256Url": self.url(&Self::path("segments-sha256.json")).as_str(),
                "files": renditions.iter().map(file).collect::<Vec<_>>(),
            }],
            "trackerUrls": [self.url("/tracker/announce").as_str(), &self.tracker_url()],
        })
    }

    /// Says that of the video, whatever it is called.
    pub fn describe(&self, video: &Value) {
        for id in [UUID, SHORT, "1"] {
            self.put_json(&format!("/api/v1/videos/{id}"), video);
        }
    }

    /// Changes a setting.
    pub fn set(&self, pointer: &str, value: Value) {
        let mut config = config();
        *config.pointer_mut(pointer).unwrap() = value;
        self.put_json(CONFIG, &config);
    }

    /// Has playlists, files and hashes of the video.
    pub fn put_video(&self, renditions: &[Rendition]) {
        let mut master = "#EXTM3U\n#EXT-X-VERSION:7\n".to_owned();
        let mut hashes = Map::new();
        for rendition in renditions {
            let lines = rendition.lines;
            master.push_str(&format!(
                "#EXT-X-STREAM-INF:BANDWIDTH={}000,RESOLUTION={}x{lines},FRAME-RATE=25,\
                 CODECS=\"avc1.64001f,mp4a.40.2\"\n5a6b-{lines}.m3u8\n",
                lines * 3,
                lines * 16 / 9,
            ));
            self.put_rendition(rendition);
            rendition.add_hashes(&mut hashes, usize::MAX);
        }
        self.put("2f1c-master.m3u8", Resource::playlist(&master));
        self.put_hashes(hashes);
    }

    /// Has playlist and files of a rendition.
    pub fn put_rendition(&self, rendition: &Rendition) {
        let name = format!("5a6b-{}.m3u8", rendition.lines);
        self.put(&name, Resource::playlist(&rendition.playlist()));
        rendition.files().into_iter().for_each(|(name, file)| self.put(&name, file));
    }

    pub fn put_hashes(&self, hashes: Map<String, Value>) {
        let list = Value::Object(hashes).to_string();
        self.put("segments-sha256.json", Resource::new("application/json", list));
    }

    /// Has a file of the video.
    pub fn put(&self, name: &str, resource: Resource) {
        self.origin.put(&Self::path(name), resource);
    }

    pub fn put_json(&self, path: &str, json: &Value) {
        self.origin.put(path, Resource::new("application/json", json.to_string()));
    }

    /// Where a file of the video is.
    pub fn path(name: &str) -> String {
        format!("{DIRECTORY}/{name}")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// As instances are when nobody has changed anything.
fn config() -> Value {
    json!({
        "serverVersion": "8.1.0",
        "instance": {"name": "A stand-in"},
        "tracker": {"enabled": true},
        "defaults": {"p2p": {"webapp": {"enabled": true}, "embed": {"enabled": true}}},
    })
}

/// Leads those who want the tracker there, and everybody else to the files.
async fn accept(listener: TcpListener, files: SocketAddr, tracker: Arc<StrictTracker>) {
    let mut connections = JoinSet::new();
    while let Ok((mut socket, _)) = listener.accept().await {
        let tracker = tracker.clone();
        connections.spawn(async move {
            if is_for_tracker(&socket).await {
                return tracker.serve(socket).await;
            }
            let mut files = TcpStream::connect(files).await.unwrap();
            // It ends however the two like.
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut files).await;
        });
    }
}

async fn is_for_tracker(socket: &TcpStream) -> bool {
    const START: &[u8] = b"GET /tracker/socket";
    let mut head = [0; START.len()];
    loop {
        match socket.peek(&mut head).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if head[..n] != START[..n] => return false,
            Ok(n) if n == START.len() => return true,
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}
