//! A low-latency HLS origin, as real as one in a test can be: blocking reload, delta updates,
//! parts in files of their own or as ranges of their segment, announced parts held back until they
//! are there, rendition reports.
//!
//! ```ignore
//! #[path = "../ll_origin/mod.rs"]
//! #[expect(dead_code, reason = "…")]               // whatever the suite does not use
//! mod ll_origin;
//!
//! let media = Media::cut(&file, 5, 0.4);            // or Media::invented(30, 4, 0.5)
//! let origin = LlOrigin::start(Plan::new(media, Addressing::Names));
//! origin.run();                                     // by the clock, from now on
//! origin.publish();                                 // or by hand, one part of every rendition
//! player.open(origin.url("/master.m3u8"));          // or /a/live.m3u8, /b/live.m3u8
//! ```
//!
//! It lives in threads, so it needs no runtime and never waits for the test's. It ends when
//! dropped, and its stream ends (`EXT-X-ENDLIST`) with its media. It knows no HTTPS and no HEAD.

mod media;
mod playlist;
mod wire;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use media::Media;
pub use playlist::Edge;
use playlist::Wish;
use wire::{Asked, Reply};

/// How parts are addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// Each in a file of its own.
    Names,
    /// The same, with so many names used again and again.
    Ring(usize),
    /// As ranges of their segment.
    Ranges,
}

/// What an origin offers.
#[derive(Clone)]
pub struct Plan {
    pub media: Media,
    pub addressing: Addressing,
    pub renditions: Vec<&'static str>,
}

/// A running origin.
pub struct LlOrigin {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    plan: Plan,
    state: Mutex<State>,
    changed: Condvar,
    log: watch::Sender<Vec<String>>,
}

#[derive(Default)]
struct State {
    edge: Edge,
    is_closed: bool,
}

impl Plan {
    /// Renditions `a` and `b` of the same media.
    pub fn new(media: Media, addressing: Addressing) -> Self {
        Self { media, addressing, renditions: vec!["a", "b"] }
    }

    pub fn segment_name(&self, msn: usize) -> String {
        format!("s{msn}.mp4")
    }

    pub fn part_name(&self, msn: usize, index: usize) -> String {
        match self.addressing {
            Addressing::Ring(names) => {
                format!("p{}.mp4", (msn * self.media.parts_per_segment() + index) % names)
            }
            _ => format!("s{msn}.{index}.mp4"),
        }
    }

    /// Where a part begins and ends in its segment, in bytes.
    pub fn range_of(&self, msn: usize, index: usize) -> (usize, usize) {
        let parts = &self.media.segments[msn];
        let start = parts[..index].iter().map(Vec::len).sum();
        (start, start + parts[index].len())
    }

    pub fn part(&self, msn: usize, index: usize) -> &[u8] {
        &self.media.segments[msn][index]
    }
}

impl LlOrigin {
    /// Nothing is published yet.
    pub fn start(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            plan,
            state: Mutex::default(),
            changed: Condvar::new(),
            log: watch::channel(Vec::new()).0,
        });
        let serving = shared.clone();
        thread::spawn(move || serving.accept(&listener));
        Self { addr, shared }
    }

    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.addr)
    }

    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    pub fn edge(&self) -> Edge {
        self.shared.state.lock().unwrap().edge
    }

    /// One part more, and the segment with its last.
    pub fn publish(&self) {
        self.shared.publish();
    }

    pub fn publish_many(&self, parts: usize) {
        (0..parts).for_each(|_| self.publish());
    }

    /// Publishes a part whenever one could have been made, until the media ends.
    pub fn run(&self) {
        let shared = self.shared.clone();
        thread::spawn(move || {
            let pace = Duration::from_secs_f64(shared.plan.media.part_s);
            let mut next = Instant::now();
            loop {
                next += pace;
                let mut state = shared.state.lock().unwrap();
                while !state.is_closed && Instant::now() < next {
                    let left = next.saturating_duration_since(Instant::now());
                    state = shared.changed.wait_timeout(state, left).unwrap().0;
                }
                if state.is_closed || state.edge.is_end(&shared.plan.media) {
                    return;
                }
                drop(state);
                shared.publish();
            }
        });
    }

    /// Path, query and range of every request so far, as `/a/s1.mp4?q bytes=0-9`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.log.borrow().clone()
    }

    /// How many requests so far begin like that.
    pub fn count(&self, beginning: &str) -> usize {
        count(&self.shared.log.borrow(), beginning)
    }

    /// Waits until so many have.
    pub async fn wait_for(&self, beginning: &str, n: usize) {
        let mut log = self.shared.log.subscribe();
        log.wait_for(|log| count(log, beginning) >= n).await.unwrap();
    }
}

impl Drop for LlOrigin {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().is_closed = true;
        self.shared.changed.notify_all();
        // So that nobody waits for the next connection any more.
        let _ = TcpStream::connect(self.addr);
    }
}

fn count(log: &[String], beginning: &str) -> usize {
    log.iter().filter(|line| line.starts_with(beginning)).count()
}

impl Shared {
    fn publish(&self) {
        let mut state = self.state.lock().unwrap();
        if !state.edge.is_end(&self.plan.media) {
            state.edge = state.edge.after(&self.plan.media);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for socket in listener.incoming() {
            if self.state.lock().unwrap().is_closed {
                return;
            }
            let Ok(socket) = socket else { continue };
            let shared = self.clone();
            thread::spawn(move || {
                // A broken connection is the player's affair.
                let _ = wire::serve(socket, |asked, reply| shared.answer(asked, reply));
            });
        }
    }

    /// Waits until there is that much, at most so long; how far it is then.
    fn wait(&self, wanted: Edge, patience: Duration) -> Option<Edge> {
        let deadline = Instant::now() + patience;
        let mut state = self.state.lock().unwrap();
        loop {
            if state.edge >= wanted || state.edge.is_end(&self.plan.media) {
                return Some(state.edge);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_closed || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn answer(&self, asked: &Asked, reply: &mut Reply<'_>) -> std::io::Result<()> {
        self.log.send_modify(|log| log.push(asked.to_string()));
        if asked.path == "/master.m3u8" {
            return reply.playlist(&playlist::multivariant(&self.plan.renditions));
        }
        let (rendition, file) =
            asked.path.trim_start_matches('/').split_once('/').unwrap_or_default();
        if !self.plan.renditions.contains(&rendition) {
            return reply.status(404);
        }
        match file {
            "live.m3u8" => self.give_playlist(rendition, asked, reply),
            "init.mp4" => reply.media(&self.plan.media.init),
            _ => self.give_media(file, asked, reply),
        }
    }

    fn give_playlist(
        &self,
        rendition: &str,
        asked: &Asked,
        reply: &mut Reply<'_>,
    ) -> std::io::Result<()> {
        let edge = self.state.lock().unwrap().edge;
        let patience = Duration::from_secs_f64(3.0 * self.plan.media.segment_s().ceil());
        let edge = match playlist::wish(&asked.query, edge, &self.plan.media) {
            Wish::Refused => return reply.status(400),
            Wish::Now => Some(edge),
            Wish::Until(wanted) => self.wait(wanted, patience),
        };
        let Some(edge) = edge else { return reply.status(503) };
        let skips = asked.query.contains("_HLS_skip=");
        reply.playlist(&playlist::media(&self.plan, rendition, edge, skips))
    }

    fn give_media(&self, file: &str, asked: &Asked, reply: &mut Reply<'_>) -> std::io::Result<()> {
        let edge = self.state.lock().unwrap().edge;
        let plan = &self.plan;
        let last = (edge.msn + 1).min(plan.media.segments.len());
        let patience = Duration::from_secs_f64(3.0 * plan.media.segment_s().ceil());
        // The newest of a name, which may be the one that is announced.
        for msn in (0..last).rev() {
            let count = plan.media.segments[msn].len();
            for index in (0..count).rev().filter(|i| edge >= Edge { msn, parts: *i }) {
                if plan.part_name(msn, index) == file && plan.addressing != Addressing::Ranges {
                    let wanted = Edge { msn, parts: index }.after(&plan.media);
                    let Some(_) = self.wait(wanted, patience) else { return reply.status(503) };
                    return reply.media(plan.part(msn, index));
                }
            }
            if plan.segment_name(msn) == file {
                return self.give_segment(msn, asked.range, reply);
            }
        }
        reply.status(404)
    }

    /// A segment, or a range of it, as far as it is there, and the rest as it comes.
    fn give_segment(
        &self,
        msn: usize,
        range: Option<(usize, Option<usize>)>,
        reply: &mut Reply<'_>,
    ) -> std::io::Result<()> {
        let edge = self.state.lock().unwrap().edge;
        let parts = &self.plan.media.segments[msn];
        let size = (edge.msn > msn).then(|| parts.iter().map(Vec::len).sum());
        let (start, end) = range.unwrap_or_default();
        if !reply.begin_segment(range, size)? {
            return Ok(());
        }
        let end = end.unwrap_or(usize::MAX);
        let mut at = 0;
        for (index, part) in parts.iter().enumerate() {
            let (from, to) = (start.max(at), end.min(at + part.len()));
            if from < to {
                let wanted = Edge { msn, parts: index }.after(&self.plan.media);
                let Some(_) = self.wait(wanted, Duration::from_secs(60)) else { break };
                reply.send(&part[from - at..to - at])?;
            }
            at += part.len();
        }
        reply.end()
    }
}
