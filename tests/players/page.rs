//! A small web server: the pages that play, what they report back, and what they are told to do.
//!
//! It does not know what a report says, nor what becomes of an order.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
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
    /// The latest report of each page, by its name.
    reports: Mutex<BTreeMap<String, Value>>,
    /// What each page is to do once it reports again.
    orders: Mutex<BTreeMap<String, Vec<String>>>,
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
        self.forget("");
        Url::parse_with_params(&format!("{}/watch", self.origin()), [("src", source)])
            .unwrap()
            .into()
    }

    /// The page of the enemies `kinds` of the swarm with the info hash `hash`.
    pub fn enemies(&self, tracker: &str, hash: &[u8; 20], kinds: &str) -> String {
        self.forget("");
        // One character for each byte, as trackers have it.
        let hash: String = hash.iter().map(|&byte| char::from(byte)).collect();
        let query = [("tracker", tracker), ("hash", &hash), ("kinds", kinds)];
        Url::parse_with_params(&format!("{}/enemies", self.origin()), query).unwrap().into()
    }

    /// The latest report of the page that plays: `{"advanced_s": 1.5, "errors": ["…"]}`.
    pub fn report(&self) -> Option<Value> {
        self.report_of("")
    }

    /// The latest report of the page that calls itself `name`.
    pub fn report_of(&self, name: &str) -> Option<Value> {
        self.shared.reports.lock().unwrap().get(name).cloned()
    }

    /// Has the page `name` run a line of JavaScript with its next report.
    pub fn order(&self, name: &str, line: &str) {
        let mut orders = self.shared.orders.lock().unwrap();
        orders.entry(name.to_owned()).or_default().push(line.to_owned());
    }

    /// Forgets what a page of that name has reported, and what it was to do.
    pub fn forget(&self, name: &str) {
        self.shared.reports.lock().unwrap().remove(name);
        self.shared.orders.lock().unwrap().remove(name);
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
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    // All is read because closing a socket with unread bytes resets it.
    let mut said = vec![0; body_length(&mut reader)?];
    reader.read_exact(&mut said)?;
    let target = line.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (kind, body) = match path {
        "/watch" => ("text/html", fs::read(root.join("tests/players/page.html"))?),
        "/enemies" => ("text/html", fs::read(root.join("tests/players/hostile.html"))?),
        "/swarm" => ("text/html", fs::read(root.join("tests/players/swarm.html"))?),
        "/hls.js" => ("text/javascript", fs::read(root.join(HLS_JS))?),
        "/report" if said.is_empty() => ("application/json", report(query.as_bytes(), shared)),
        "/report" => ("application/json", report(&said, shared)),
        _ => ("text/javascript", package(root, path).unwrap_or_default()),
    };
    let length = body.len();
    write!(
        socket,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    socket.write_all(&body)
}

/// The length of the body, from the rest of the head.
fn body_length(reader: &mut impl BufRead) -> std::io::Result<usize> {
    let mut length = 0;
    for header in reader.lines() {
        let header = header?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        let value = header.strip_prefix("content-length:").and_then(|v| v.trim().parse().ok());
        length = value.unwrap_or(length);
    }
    Ok(length)
}

/// Takes a report, `name=…&state=…`, and gives what its sender is to do, a list of lines.
fn report(form: &[u8], shared: &Shared) -> Vec<u8> {
    let fields: BTreeMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
    let name = fields.get("name").cloned().unwrap_or_default();
    let orders = shared.orders.lock().unwrap().remove(&name).unwrap_or_default();
    if let Some(state) = fields.get("state").and_then(|state| serde_json::from_str(state).ok()) {
        shared.reports.lock().unwrap().insert(name, state);
    }
    Value::from(orders).to_string().into_bytes()
}

/// A file of p2p-media-loader, `/pml/VERSION/FILE`.
fn package(root: &Path, path: &str) -> Option<Vec<u8>> {
    let (version, file) = path.strip_prefix("/pml/")?.split_once('/')?;
    let package = file.split('.').next()?;
    let modules = root.join(PML_ROOT).join(format!("pml-{version}/node_modules"));
    fs::read(modules.join(package).join("dist").join(file)).ok()
}

/// Where `tests/install-players.sh` puts hls.js.
pub const HLS_JS: &str = "target/players/node_modules/hls.js/dist/hls.min.js";

/// Below it, `tests/install-players.sh` puts each version of p2p-media-loader.
pub const PML_ROOT: &str = "target/players";
