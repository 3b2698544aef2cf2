//! What an audience costs: five viewers of one live stream as browsers with p2p-media-loader, as
//! daemons with a player each, and mixed; one after the other, with one origin and one tracker.
//!
//! `cargo test --release --test players audience -- --ignored --nocapture` prints the table that
//! the README carries. It asserts only that everybody plays: figures are for readers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cost::{cpu_s, memory_kb};
use crate::page::PageServer;
use crate::process::{Process, eventually, have};
use crate::streams::{self, LiveKind};
use crate::swarm_pages::{Browser, PAGE_LIMIT, SwarmPage, V2_3, Viewing, have_pages};
use crate::swarm_streams;
use crate::world::{Daemon, Request, TrackerKind, World};

/// Viewers of each audience.
const VIEWERS: usize = 5;
/// Browsers among them in the mixed one.
const BROWSERS_OF_MIXED: usize = 3;
/// Beside the live playlist.
const MASTER: &str = "live-ts/master.m3u8";
/// Segments of two seconds in the live window: room between the viewers and the live edge.
const WINDOW: u32 = 30;
/// The table's, as the README carries it.
const TABLE_HEAD: &str = "\
| five viewers | origin, MB per viewer-hour | of five alone | stalls per viewer-hour | CPU per \
viewer-hour, peak memory |
| --- | --- | --- | --- | --- |";
/// Segments that browsers stay behind the live edge.
const BEHIND: u32 = 20;
/// Until everybody has met everybody, and then how long costs are counted.
const WARM_UP: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(90);
/// How often viewers are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Looks between two at their memory, which costs time itself.
const LOOKS_PER_WEIGHING: u32 = 20;

#[test]
#[ignore = "measures for eight minutes; asked for by name"]
fn audience() {
    if !have_pages() || !have(&["mpv"]) {
        return;
    }
    let world = World::new(TrackerKind::Npm);
    let _packager = streams::live_window(&world, LiveKind::Ts, WINDOW);
    let master = world.origin.file(&world.origin.url(MASTER));
    fs::write(master, swarm_streams::MASTER).unwrap();
    thread::sleep(Duration::from_secs(u64::from(2 * WINDOW)));
    println!("{TABLE_HEAD}");
    for (name, browsers) in [("browsers", VIEWERS), ("daemons", 0), ("mixed", BROWSERS_OF_MIXED)] {
        measure(&world, name, browsers);
    }
}

fn measure(world: &World, name: &str, browsers: usize) {
    let pages = PageServer::start();
    let mut viewers: Vec<_> = (0..VIEWERS)
        .map(|number| {
            let called = format!("{name}-{number}");
            if number < browsers {
                Viewer::browser(&pages, world, called)
            } else {
                Viewer::daemon(world, &called)
            }
        })
        .collect();
    look(&mut viewers, WARM_UP);
    viewers.iter_mut().for_each(Viewer::begin);
    let before = world.origin.requests().len();
    look(&mut viewers, MEASURED);
    let requests = world.origin.requests().split_off(before);
    let costs: Vec<_> = viewers.iter_mut().map(Viewer::end).collect();

    let viewer_hours = VIEWERS as f64 * hours();
    let bytes: u64 = requests.iter().map(|request| request.body_bytes).sum();
    let alone = VIEWERS as f64 * stream_bytes(&requests) as f64;
    let stalls: u64 = costs.iter().map(|cost| cost.stalls).sum();
    println!(
        "| {name} | {:.0} | {:.2} | {:.1} | {} |",
        bytes as f64 / 1e6 / viewer_hours,
        bytes as f64 / alone,
        stalls as f64 / viewer_hours,
        [true, false].map(|is_browser| each(&costs, is_browser)).concat(),
    );
    for cost in &costs {
        let is_watching = cost.shown_s > MEASURED.as_secs_f64() * 0.9;
        assert!(is_watching && cost.peer_bytes > 0, "somebody is not served: {cost:?}");
    }
}

/// What the browsers or the daemons of an audience cost each, the middle one of them.
fn each(costs: &[Cost], is_browser: bool) -> String {
    let of_kind = || costs.iter().filter(|cost| cost.is_browser == is_browser);
    let middle = |figure: fn(&Cost) -> f64| median(of_kind().map(figure).collect());
    if of_kind().next().is_none() {
        return String::new();
    }
    let cpu_s = middle(|cost| cost.cpu_s) / hours();
    let memory_mb = middle(|cost| cost.memory_kb) / 1024.0;
    if is_browser {
        return format!("a browser {cpu_s:.0} s, {memory_mb:.0} MB. ");
    }
    let player_cpu_s = middle(|cost| cost.player_cpu_s) / hours();
    let player_memory_mb = middle(|cost| cost.player_memory_kb) / 1024.0;
    format!(
        "a daemon {cpu_s:.0} s, {memory_mb:.0} MB; its mpv {player_cpu_s:.0} s, \
         {player_memory_mb:.0} MB. "
    )
}

fn hours() -> f64 {
    MEASURED.as_secs_f64() / 3600.0
}

fn look(viewers: &mut [Viewer<'_>], during: Duration) {
    let end = Instant::now() + during;
    for count in 0_u32.. {
        viewers.iter_mut().for_each(Viewer::look);
        if count % LOOKS_PER_WEIGHING == 0 {
            viewers.iter_mut().for_each(Viewer::weigh);
        }
        if Instant::now() >= end {
            return;
        }
        thread::sleep(LOOK);
    }
}

/// The segments that were asked for, each once.
fn stream_bytes(requests: &[Request]) -> u64 {
    let segments = requests.iter().filter(|request| request.is_segment());
    let mut sizes = BTreeMap::<_, u64>::new();
    for request in segments {
        let size = sizes.entry(&request.path).or_default();
        *size = request.body_bytes.max(*size);
    }
    sizes.values().sum()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One member of the audience.
struct Viewer<'a> {
    seat: Seat<'a>,
    /// At the beginning of what is measured.
    began: Counts,
    memory_kb: u64,
    player_memory_kb: u64,
}

enum Seat<'a> {
    Browser(Browser, SwarmPage<'a>),
    Daemon(Daemon, Box<Mpv>),
}

#[derive(Clone, Copy, Default)]
struct Counts {
    cpu_s: f64,
    player_cpu_s: f64,
    stalls: u64,
    position_s: f64,
    peer_bytes: u64,
}

#[derive(Debug)]
struct Cost {
    is_browser: bool,
    cpu_s: f64,
    player_cpu_s: f64,
    memory_kb: f64,
    player_memory_kb: f64,
    stalls: u64,
    shown_s: f64,
    /// What peers brought.
    peer_bytes: u64,
}

impl<'a> Viewer<'a> {
    fn browser(pages: &'a PageServer, world: &World, name: String) -> Self {
        let url = world.origin.url(MASTER);
        // Nearer to the live edge it takes nothing from others: all is wanted at once.
        let hls = json!({ "liveSyncDurationCount": BEHIND });
        let viewing = Viewing { name: &name, version: V2_3, url: &url, core: json!({}), hls };
        let page = SwarmPage::new(pages, world, &viewing);
        let browser = Browser::open(page.url(), false, world, &name);
        page.eventually("the stream plays", |report| report["position_s"].as_f64() > Some(1.0));
        Self::at(Seat::Browser(browser, page))
    }

    fn daemon(world: &World, name: &str) -> Self {
        let daemon = world.daemon(name);
        let url = daemon.url(&world.origin.url(MASTER));
        let mut mpv = Box::new(Mpv::start(world, &url, name));
        eventually("mpv plays", PAGE_LIMIT, || mpv.number("time-pos").map(|_| ()));
        Self::at(Seat::Daemon(daemon, mpv))
    }

    fn at(seat: Seat<'a>) -> Self {
        Self { seat, began: Counts::default(), memory_kb: 0, player_memory_kb: 0 }
    }

    fn look(&mut self) {
        if let Seat::Daemon(_, mpv) = &mut self.seat {
            mpv.look();
        }
    }

    fn weigh(&mut self) {
        match &self.seat {
            Seat::Browser(browser, _) => {
                self.memory_kb = self.memory_kb.max(memory_kb(browser.id()));
            }
            Seat::Daemon(daemon, mpv) => {
                self.memory_kb = self.memory_kb.max(memory_kb(daemon.id()));
                let player_kb = memory_kb(mpv.process.id());
                self.player_memory_kb = self.player_memory_kb.max(player_kb);
            }
        }
    }

    fn begin(&mut self) {
        self.began = self.counts();
    }

    fn end(&mut self) -> Cost {
        let (began, now) = (self.began, self.counts());
        Cost {
            is_browser: matches!(self.seat, Seat::Browser(..)),
            cpu_s: now.cpu_s - began.cpu_s,
            player_cpu_s: now.player_cpu_s - began.player_cpu_s,
            memory_kb: self.memory_kb as f64,
            player_memory_kb: self.player_memory_kb as f64,
            stalls: now.stalls - began.stalls,
            shown_s: now.position_s - began.position_s,
            peer_bytes: now.peer_bytes - began.peer_bytes,
        }
    }

    fn counts(&mut self) -> Counts {
        match &mut self.seat {
            Seat::Browser(browser, page) => Counts {
                cpu_s: cpu_s(browser.id()),
                player_cpu_s: 0.0,
                stalls: page.number("stalls"),
                position_s: page.report()["position_s"].as_f64().unwrap_or_default(),
                peer_bytes: page.number("p2p_bytes"),
            },
            Seat::Daemon(daemon, mpv) => Counts {
                cpu_s: cpu_s(daemon.id()),
                player_cpu_s: cpu_s(mpv.process.id()),
                stalls: mpv.stalls,
                position_s: mpv.number("time-pos").unwrap_or_default(),
                peer_bytes: daemon.total("peer_bytes"),
            },
        }
    }
}

/// An mpv that shows nothing, at the pace of one that does.
struct Mpv {
    process: Process,
    socket: UnixStream,
    answers: Lines<BufReader<UnixStream>>,
    is_stalled: bool,
    /// Times it had nothing left to show.
    stalls: u64,
}

impl Mpv {
    fn start(world: &World, url: &str, name: &str) -> Self {
        let path = world.directory().join(format!("{name}.sock"));
        let mut command = Command::new("mpv");
        command.args(["--no-config", "--vo=null", "--ao=null", "--msg-level=all=error"]);
        command.args(["--no-ytdl", "--hwdec=no", "--term-status-msg="]);
        command.arg(format!("--input-ipc-server={}", path.display())).arg(url);
        let process = Process::start(&format!("{name}-mpv"), world.directory(), &mut command);
        let socket = eventually("mpv listens", PAGE_LIMIT, || UnixStream::connect(&path).ok());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let answers = BufReader::new(socket.try_clone().unwrap()).lines();
        Self { process, socket, answers, is_stalled: false, stalls: 0 }
    }

    fn look(&mut self) {
        let is_stalled = self.ask("paused-for-cache") == Some(json!(true));
        self.stalls += u64::from(is_stalled && !self.is_stalled);
        self.is_stalled = is_stalled;
    }

    fn number(&mut self, property: &str) -> Option<f64> {
        self.ask(property)?.as_f64()
    }

    fn ask(&mut self, property: &str) -> Option<Value> {
        let ask = json!({ "command": ["get_property", property], "request_id": 7 });
        writeln!(self.socket, "{ask}").unwrap();
        // Events come in between; only the answer carries our number.
        let mut answers = self.answers.by_ref().map_while(Result::ok);
        let answer = answers.find(|line| line.contains("\"request_id\":7"))?;
        Some(serde_json::from_str::<Value>(&answer).ok()?["data"].take())
    }
}
