//! A small web server: the page with hls.js, and what that page reports back.
//!
//! The page asks with a query instead of a body, so a request is its first line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use url::{Url, form_urlencoded};

/// Runs until dropped.
pub struct PageServer {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    report: Mutex<Option<Value>>,
    is_over: AtomicBool,
}

impl PageServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for socket in listener.incoming().flatten() {
                    if shared.is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // A browser that hangs up is no concern of the server's.
                    let _ = answer(socket, &shared);
                }
            }
        });
        Self { shared, port, thread: Some(thread) }
    }

    /// The web origin of its pages, as the daemon has to allow it.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The page that plays `source`; forgets what an earlier page reported.
    pub fn page(&self, source: &str) -> String {
        *self.shared.report.lock().unwrap() = None;
        Url::parse_with_params(&format!("{}/watch", self.origin()), [("src", source)])
            .unwrap()
            .into()
    }

    /// The page of the enemies `kinds` of the swarm with the info hash `hash`.
    pub fn enemies(&self, tracker: &str, hash: &[u8; 20], kinds: &str) -> String {
        *self.shared.report.lock().unwrap() = None;
        // One character for each byte, as trackers have it.
        let hash: String = hash.iter().map(|&byte| char::from(byte)).collect();
        let query = [("tracker", tracker), ("hash", &hash), ("kinds", kinds)];
        Url::parse_with_params(&format!("{}/enemies", self.origin()), query).unwrap().into()
    }

    /// The latest report: `{"advanced_s": 1.5, "errors": ["…"]}`.
    pub fn report(&self) -> Option<Value> {
        self.shared.report.lock().unwrap().clone()
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    // Browsers open connections ahead of need and send nothing on them.
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    // The rest is read because closing a socket with unread bytes resets it.
    for header in lines {
        if header?.is_empty() {
            break;
        }
    }
    let target = line.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (kind, body) = match path {
        "/watch" => ("text/html", fs::read(root.join("tests/players/page.html"))?),
        "/enemies" => ("text/html", fs::read(root.join("tests/players/hostile.html"))?),
        "/hls.js" => ("text/javascript", fs::read(root.join(HLS_JS))?),
        "/report" => {
            let mut fields = form_urlencoded::parse(query.as_bytes());
            let state = fields.find(|(name, _)| name == "state").map(|(_, state)| state);
            *shared.report.lock().unwrap() =
                state.and_then(|state| serde_json::from_str(&state).ok());
            ("text/plain", Vec::new())
        }
        _ => ("text/plain", Vec::new()),
    };
    let length = body.len();
    write!(
        socket,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    socket.write_all(&body)
}

/// Where `tests/install-players.sh` puts hls.js.
pub const HLS_JS: &str = "target/players/node_modules/hls.js/dist/hls.min.js";
