//! The origin of the matrix: serves each stream in its manner, a directory for each run, and
//! remembers who asked.
//!
//! Besides its own port it listens on that of an HTTP proxy, which only the daemon is told of: what
//! comes in there is the daemon's, what comes in directly is a player's own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::kinds::{KINDS, Kind, Manner};
use super::low_latency::LowLatency;
use super::serve::{self, Asked, Reply};

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(30);

/// The origin; it ends when dropped.
pub struct Origin {
    ports: [u16; 3],
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    runs: Mutex<BTreeMap<u32, Run>>,
    is_over: AtomicBool,
}

/// One player at one stream, directly or through the daemon.
#[derive(Default)]
pub struct Run {
    kind: usize,
    /// When the first segment was asked for.
    pub began: Option<Instant>,
    /// Segments that have been asked for.
    pub asked: BTreeSet<String>,
    /// Playlists that have been given out.
    pub editions: u32,
    /// What answers instead of us.
    low_latency: Option<Arc<LowLatency>>,
    /// What came in, and whether through the daemon.
    log: Vec<(String, bool)>,
}

impl Origin {
    pub fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = [0, 1, 2].map(|at| listeners[at].local_addr().unwrap().port());
        for (at, listener) in listeners.into_iter().enumerate() {
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, &shared, ports, at == 2));
        }
        Self { ports, shared }
    }

    /// The URL to give the daemon as its proxy.
    pub fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[2])
    }

    /// A new run of a stream, and the URL of its first playlist.
    pub fn run(&self, kind: &Kind) -> (u32, String) {
        let index = KINDS.iter().position(|known| known.name == kind.name).unwrap();
        let mut runs = self.shared.runs.lock().unwrap();
        let id = runs.len() as u32;
        let is_low_latency = kind.manner == Manner::LowLatency;
        let low_latency = is_low_latency.then(|| Arc::new(LowLatency::start()));
        runs.insert(id, Run { kind: index, low_latency, ..Run::default() });
        let user = serve::user_info(kind.manner);
        let name = serve::first_name(kind);
        (id, format!("http://{user}127.0.0.1:{}/r{id}/{name}", self.ports[0]))
    }

    /// The paths that a run's player asked for without the daemon.
    pub fn asked_directly(&self, run: u32) -> Vec<String> {
        let runs = self.shared.runs.lock().unwrap();
        let direct = runs[&run].log.iter().filter(|(_, is_daemon)| !is_daemon);
        direct.map(|(path, _)| path.clone()).collect()
    }

    /// How often the daemon asked for something of a run.
    pub fn asked_by_daemon(&self, run: u32) -> usize {
        self.shared.runs.lock().unwrap()[&run]
            .log
            .iter()
            .filter(|(_, is_daemon)| *is_daemon)
            .count()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for port in self.ports {
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, ports: [u16; 3], is_proxy: bool) {
    for socket in listener.incoming() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(socket), shared) = (socket, shared.clone()) else { continue };
        // A player that hangs up mid-answer is no failure.
        thread::spawn(move || {
            let _ = converse(&socket, &shared, ports, is_proxy);
        });
    }
}

fn converse(
    socket: &TcpStream,
    shared: &Shared,
    ports: [u16; 3],
    is_daemon: bool,
) -> io::Result<()> {
    socket.set_read_timeout(Some(IDLE))?;
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket.try_clone()?);
    while let Some(asked) = read(&mut reader)? {
        let reply = match answer(&asked, shared, ports, is_daemon) {
            Answer::Ours(reply) => reply,
            Answer::Of(origin, name) => return origin.relay(&asked, &name, socket),
        };
        let is_kept = reply.length_is_told && !asked.is_last;
        write(socket, &asked, &reply, is_kept)?;
        if !is_kept {
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut lines = reader.lines();
    let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) else {
        return Ok(None);
    };
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    // A proxy is asked with the whole URL.
    let target = target
        .split_once("://")
        .map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: BTreeMap::new(),
        is_last: line.ends_with("HTTP/1.0"),
    };
    for header in lines {
        let header = header?;
        let Some((name, value)) = header.split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    asked.is_last |= asked.header("connection").eq_ignore_ascii_case("close");
    Ok(Some(asked))
}

/// Who answers a request.
enum Answer {
    Ours(Reply),
    /// A low-latency origin, asked for that name.
    Of(Arc<LowLatency>, String),
}

fn answer(asked: &Asked, shared: &Shared, ports: [u16; 3], is_daemon: bool) -> Answer {
    let mut runs = shared.runs.lock().unwrap();
    let run = asked.path.strip_prefix("/r").and_then(|rest| rest.split_once('/'));
    let Some((id, name)) = run.and_then(|(id, name)| Some((id.parse::<u32>().ok()?, name))) else {
        return Answer::Ours(Reply::status(404));
    };
    let Some(run) = runs.get_mut(&id) else { return Answer::Ours(Reply::status(404)) };
    if asked.method == "OPTIONS" {
        return Answer::Ours(Reply::status(204));
    }
    run.log.push((asked.path.clone(), is_daemon));
    if let Some(low_latency) = &run.low_latency {
        return Answer::Of(low_latency.clone(), name.to_owned());
    }
    let place = serve::Place { kind: &KINDS[run.kind], run: id, ports: [ports[0], ports[1]] };
    Answer::Ours(serve::serve(asked, name, &place, run))
}

fn write(mut socket: &TcpStream, asked: &Asked, reply: &Reply, is_kept: bool) -> io::Result<()> {
    let range = asked.range().filter(|_| reply.status == 200);
    let whole = &reply.body;
    let (status, body, extra) = match range {
        Some((first, last)) if first < whole.len() => {
            let end = last.map_or(whole.len(), |last| (last + 1).min(whole.len()));
            let range = format!("Content-Range: bytes {first}-{}/{}\r\n", end - 1, whole.len());
            (206, &whole[first..end], range)
        }
        _ => (reply.status, &whole[..], String::new()),
    };
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nAccept-Ranges: bytes\r\nAccess-Control-Allow-Origin: *\r\n\
         Access-Control-Allow-Headers: range\r\n{extra}"
    );
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if reply.length_is_told {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += if is_kept { "\r\n" } else { "Connection: close\r\n\r\n" };
    socket.write_all(head.as_bytes())?;
    if asked.method != "HEAD" {
        socket.write_all(body)?;
    }
    socket.flush()
}
