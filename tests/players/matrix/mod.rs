//! Every stream in every player, directly and through the daemon: what plays directly has to play
//! through it just so, and what it can heal has to play, too.
//!
//! Each run has a directory of its own at the origin, so that nothing is in any cache. The outcome
//! is compared with `docs/players.md`; `UPDATE=1` writes that anew. `STREAMS='live|gzip'` and
//! `PLAYERS='VLC|mpv'` run a part of it, and leave the rest of the table as it is.

mod bytes;
mod kinds;
mod low_latency;
mod media;
mod origin;
mod serve;
mod table;
mod watch;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use url::form_urlencoded;

use crate::http;
use crate::page::{HLS_JS, PageServer};
use crate::process::{Process, Scratch, eventually, free_port, have};
use kinds::{KINDS, Kind, Manner};
use origin::Origin;
use table::Verdict;
use watch::{PLAYERS, Player, Seat, Seen};

/// Players at work at the same time.
const WORKERS: usize = 2;
/// How often a stream is played in a player whose verdict is not the known one.
const PLAYS_MAX: usize = 3;
/// A picture more or less may be lost at an end.
const FRAMES_OFF: u64 = 1;
/// The same of VLC, which at a discontinuity writes down fewer or more, as it is busy.
const VLC_FRAMES_OFF: u64 = 15;
/// Frames that a player may never show of a whole stream: VLC loses some where it begins, where it
/// changes variants and at the end.
const FRAMES_LOST_MAX: u64 = 40;

/// What happened in one cell.
struct Cell {
    direct: Seen,
    through: Seen,
    /// Paths that were asked for past the daemon.
    around: Vec<String>,
    /// How often the daemon asked the origin.
    asked: usize,
}

#[test]
fn what_plays_directly_plays_through_the_daemon_just_so() {
    let mut tools: Vec<_> = PLAYERS.iter().flat_map(|player| player.tools()).copied().collect();
    let hls_js = Path::new(env!("CARGO_MANIFEST_DIR")).join(HLS_JS);
    tools.extend(["openssl", hls_js.to_str().unwrap()]);
    if !have(&tools) {
        return;
    }
    media::directory();
    let scratch = Scratch::new();
    let origin = Origin::start();
    let pages: Vec<_> = (0..WORKERS).map(|_| PageServer::start()).collect();
    let daemon = Daemon::start(&origin, scratch.path(), &pages);
    let mut jobs: Vec<_> =
        KINDS.iter().flat_map(|kind| PLAYERS.map(|player| (kind, player))).collect();
    jobs.retain(|(kind, player)| {
        is_wanted("STREAMS", kind.name) && is_wanted("PLAYERS", player.name())
    });
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for (worker, pages) in pages.iter().enumerate() {
            let (origin, daemon, next, done, jobs) = (&origin, &daemon, &next, &done, &jobs);
            let directory = scratch.path().join(format!("seat-{worker}"));
            scope.spawn(move || {
                while let Some((kind, player)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seat = Table { origin, daemon, pages, directory: &directory };
                    let began = Instant::now();
                    let verdict = seat.judge(kind, *player);
                    let took_s = began.elapsed().as_secs();
                    println!("{} in {}: {took_s} s, {}", kind.name, player.name(), verdict.mark());
                    done.lock().unwrap().push((*kind, *player, verdict));
                }
            });
        }
    });
    let cells = done.into_inner().unwrap();
    table::check(&cells);
}

#[test]
fn every_byte_of_every_stream_is_the_origins() {
    if !have(&["ffmpeg", "openssl"]) {
        return;
    }
    media::directory();
    let scratch = Scratch::new();
    let origin = Origin::start();
    let daemon = Daemon::start(&origin, scratch.path(), &[]);
    for kind in KINDS {
        bytes::compare(kind, &origin, &daemon);
    }
}

/// Whether a name has one of the words in it that are given for a partial run, divided by `|`.
fn is_wanted(variable: &str, name: &str) -> bool {
    std::env::var(variable).map_or(true, |words| words.split('|').any(|word| name.contains(word)))
}

/// What a worker has before it.
struct Table<'a> {
    origin: &'a Origin,
    daemon: &'a Daemon,
    pages: &'a PageServer,
    directory: &'a Path,
}

impl Table<'_> {
    /// Plays a stream in both ways. A player may lose its picture to a busy machine, without the
    /// daemon as well as with it: what is not as it is known to be is looked at again.
    fn judge(&self, kind: &Kind, player: Player) -> Verdict {
        let known = table::known(kind, player);
        let mut verdict = self.play(kind, player).verdict(kind, player);
        for _ in 1..PLAYS_MAX {
            if known.as_deref() == Some(verdict.mark()) {
                break;
            }
            verdict = self.play(kind, player).verdict(kind, player);
        }
        verdict
    }

    fn play(&self, kind: &Kind, player: Player) -> Cell {
        let (_, url) = self.origin.run(kind);
        let direct = self.watch(player, &url);
        let (run, url) = self.origin.run(kind);
        let through = self.watch(player, &self.daemon.url(kind, &url));
        let (around, asked) = (self.origin.asked_directly(run), self.origin.asked_by_daemon(run));
        Cell { direct, through, around, asked }
    }

    fn watch(&self, player: Player, url: &str) -> Seen {
        let _ = fs::remove_dir_all(self.directory);
        fs::create_dir_all(self.directory).unwrap();
        player.watch(url, &Seat { directory: self.directory, pages: self.pages })
    }
}

impl Cell {
    fn verdict(&self, kind: &Kind, player: Player) -> Verdict {
        let is_whole = |seen: &Seen| seen.frames + FRAMES_LOST_MAX >= kind.frames();
        let frames_off = if player == Player::Vlc { VLC_FRAMES_OFF } else { FRAMES_OFF };
        let is_off = self.direct.frames.abs_diff(self.through.frames) > frames_off;
        let is_same = !is_off
            && self.direct.streams == self.through.streams
            && self.direct.duration == self.through.duration
            && (kind.is_live() || self.direct.content == self.through.content);
        let broken = |why: &str| {
            let name = format!("{} in {}", kind.name, player.name());
            let Self { direct, through, .. } = self;
            Verdict::Broken(format!("{name}: {why}\n  direct {direct:?}\n  through {through:?}"))
        };
        match (is_whole(&self.direct), is_whole(&self.through)) {
            _ if !self.around.is_empty() => broken(&format!("went around: {:?}", self.around)),
            (true, true) if !is_same => broken("not the same"),
            (_, true) if self.asked == 0 => broken("nobody asked the origin"),
            (true, true) => Verdict::Same,
            (false, true) => Verdict::Healed,
            (true, false) => broken("plays only directly"),
            (false, false) if kind.is_healed() => broken("is not healed"),
            (false, false) if self.through.frames + frames_off < self.direct.frames => {
                broken("plays less than directly")
            }
            (false, false) => Verdict::Neither(self.through.complaint.clone()),
        }
    }
}

/// A daemon whose every request to the origin goes over a proxy that only it knows.
struct Daemon {
    _process: Process,
    port: u16,
}

impl Daemon {
    fn start(origin: &Origin, directory: &Path, pages: &[PageServer]) -> Self {
        let port = free_port();
        let pages: Vec<_> = pages.iter().map(|page| format!("\"{}\"", page.origin())).collect();
        let config = directory.join("daemon.toml");
        let text = format!(
            "[http]\nallowed_origins = [{}]\n[origin]\nproxy = \"{}\"\n",
            pages.join(", "),
            origin.proxy()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hlswarm"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(config);
        let mut process = Process::start("daemon", directory, &mut command);
        let health = format!("http://127.0.0.1:{port}/api/v1/health");
        eventually("the daemon is healthy", Duration::from_secs(20), || {
            assert!(process.ended().is_none(), "the daemon ended: {}", process.log());
            http::get(&health).ok().filter(|answer| answer.status == 200)
        });
        Self { _process: process, port }
    }

    /// The URL to give a player; headers that the origin wants are in a link.
    fn url(&self, kind: &Kind, url: &str) -> String {
        let header = match kind.manner {
            Manner::Referer => ("h_Referer", serve::REFERER),
            Manner::UserAgent => ("h_User-Agent", serve::USER_AGENT),
            _ => return format!("http://127.0.0.1:{}/{}", self.port, url.replacen("://", "/", 1)),
        };
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("url", url)
            .append_pair(header.0, header.1)
            .finish();
        format!("http://127.0.0.1:{}/play?{query}", self.port)
    }
}
