//! The world of one test: nginx as the origin, a tracker, and as many daemons as it asks for,
//! all on 127.0.0.1 and in one scratch directory.
//!
//! It does not know what is streamed (`streams`) or who watches (`players`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::http::{self, Answer};
use crate::process::{Process, Scratch, eventually, find, free_port};

/// How long a server may take to answer for the first time.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Which WebTorrent tracker the daemons meet at.
#[derive(Clone, Copy)]
pub enum TrackerKind {
    /// `hlswarm tracker`.
    Ours,
    /// npm's `bittorrent-tracker`.
    Npm,
    /// `aquatic_ws` of crates.io.
    Aquatic,
}

/// Where `tests/install-players.sh` puts it.
pub const AQUATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/players/bin/aquatic_ws");

impl TrackerKind {
    fn command(self, port: u16, directory: &Path) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = match self {
            Self::Ours => Command::new(env!("CARGO_BIN_EXE_hlswarm")),
            Self::Npm => Command::new("node"),
            Self::Aquatic => Command::new(AQUATIC),
        };
        match self {
            Self::Ours => {
                command.args(["tracker", "--listen", &format!("127.0.0.1:{port}")]);
            }
            Self::Npm => {
                command.arg(root.join("tests/players/npm-tracker.mjs"));
                command.arg(root.join("target/players/node_modules")).arg(port.to_string());
            }
            Self::Aquatic => {
                let config = directory.join("aquatic.toml");
                let text = format!("[network]\naddress = \"127.0.0.1:{port}\"\n");
                fs::write(&config, text).unwrap();
                command.arg("-c").arg(config);
            }
        }
        command
    }
}

/// Everything but the daemons and players.
pub struct World {
    // Servers before the directory they write to: fields are dropped in this order.
    pub tracker: Tracker,
    pub origin: Origin,
    /// Web origin of the page that hosts hls.js, if there is one.
    pub page_origin: Option<String>,
    /// The address from which daemons connect to peers.
    pub bind: &'static str,
    /// Lines for the section `[p2p]` of daemons started from now on.
    pub p2p_settings: String,
    scratch: Scratch,
}

impl World {
    pub fn new(tracker: TrackerKind) -> Self {
        let scratch = Scratch::new();
        let origin = Origin::start(scratch.path());
        let tracker = Tracker::start(tracker, free_port(), scratch.path());
        let (page_origin, p2p_settings) = (None, String::new());
        Self { tracker, origin, page_origin, bind: "127.0.0.1", p2p_settings, scratch }
    }

    /// The directory for logs and players' own files.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts a daemon and waits until it is healthy.
    pub fn daemon(&self, name: &str) -> Daemon {
        let port = free_port();
        let config = self.directory().join(format!("{name}.toml"));
        let pages: Vec<_> = self.page_origin.iter().map(|page| format!("\"{page}\"")).collect();
        let pages = pages.join(", ");
        let (bind, settings) = (self.bind, &self.p2p_settings);
        let text = format!(
            "[http]\nallowed_origins = [{pages}]\n[p2p]\nbind = [\"{bind}\"]\n{settings}\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hlswarm"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--tracker", &self.tracker.url(), "--config"]).arg(config);
        let mut process = Process::start(name, self.directory(), &mut command);
        let health = format!("http://127.0.0.1:{port}/api/v1/health");
        eventually(&format!("{name} is healthy"), START_LIMIT, || {
            assert!(process.ended().is_none(), "{name} ended: {}", process.log());
            http::get(&health).ok().filter(|answer| answer.status == 200)
        });
        Daemon { process, port }
    }
}

/// A daemon that is running.
pub struct Daemon {
    process: Process,
    port: u16,
}

impl Daemon {
    /// The URL to give a player for a URL of the origin.
    pub fn url(&self, origin_url: &str) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, origin_url.replacen("://", "/", 1))
    }

    /// The origin URL that a URL leading to this daemon stands for.
    pub fn origin_url(&self, url: &str) -> String {
        let prefix = format!("http://127.0.0.1:{}/", self.port);
        let rest = url.strip_prefix(&prefix);
        let rest = rest.unwrap_or_else(|| panic!("{url} leads past the daemon {prefix}"));
        rest.replacen('/', "://", 1)
    }

    /// What a URI in the playlist at `origin_url` leads to, as a player finds it here.
    pub fn absolute(&self, origin_url: &str, uri: &str) -> String {
        Url::parse(&self.url(origin_url)).unwrap().join(uri).unwrap().into()
    }

    /// A number of `GET /api/v1/stats`' `totals`.
    pub fn total(&self, name: &str) -> u64 {
        self.stats()["totals"][name].as_u64().unwrap_or_else(|| panic!("no totals.{name}"))
    }

    /// Peers it is connected to, over all streams.
    pub fn peers(&self) -> usize {
        self.stats()["peers"].as_array().map_or(0, Vec::len)
    }

    /// The id of its process, which leads a process group of its own.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The most memory it has had at a time.
    pub fn memory_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn stats(&self) -> Value {
        let answer = http::get(&format!("http://127.0.0.1:{}/api/v1/stats", self.port)).unwrap();
        assert_eq!(answer.status, 200, "stats");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// A WebTorrent tracker that can be killed and started again at the same address.
pub struct Tracker {
    process: Process,
    kind: TrackerKind,
    port: u16,
    directory: PathBuf,
}

impl Tracker {
    fn start(kind: TrackerKind, port: u16, directory: &Path) -> Self {
        let mut command = kind.command(port, directory);
        let mut process = Process::start("tracker", directory, &mut command);
        eventually("the tracker listens", START_LIMIT, || {
            assert!(process.ended().is_none(), "the tracker ended: {}", process.log());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { process, kind, port, directory: directory.into() }
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it anew, at the same address, remembering nothing.
    pub fn restart(&mut self) {
        *self = Self::start(self.kind, self.port, &self.directory);
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }
}

/// nginx, serving `www` in the scratch directory.
pub struct Origin {
    process: Process,
    port: u16,
    directory: PathBuf,
}

impl Origin {
    fn start(directory: &Path) -> Self {
        let port = free_port();
        fs::create_dir_all(directory.join("www")).unwrap();
        let config = directory.join("nginx.conf");
        fs::write(&config, nginx_config(directory, port)).unwrap();
        let mut command = Command::new(find("nginx").unwrap());
        command.arg("-p").arg(directory).arg("-c").arg(&config);
        // Otherwise it opens the log compiled into it before it reads where ours is.
        command.arg("-e").arg(directory.join("nginx-error.log"));
        let process = Process::start("nginx", directory, &mut command);
        let origin = Self { process, port, directory: directory.into() };
        eventually("nginx listens", START_LIMIT, || http::get(&origin.url("")).ok());
        origin
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Puts a directory of files online under `name`.
    pub fn publish(&self, name: &str, files: &Path) {
        symlink(files, self.directory.join("www").join(name)).unwrap();
    }

    /// The file behind one of its URLs.
    pub fn file(&self, url: &str) -> PathBuf {
        let url = Url::parse(url).unwrap();
        assert_eq!(url.port(), Some(self.port), "{url} is not the origin's");
        self.directory.join("www").join(url.path().trim_start_matches('/'))
    }

    /// Makes it answer 503 to everything, or no longer.
    pub fn set_down(&self, is_down: bool) {
        let flag = self.directory.join("down");
        if is_down {
            fs::write(flag, "").unwrap();
        } else {
            fs::remove_file(flag).unwrap();
        }
    }

    /// Makes it refuse segments, not their initialisation sections, to `asker` from now on.
    pub fn refuse(&self, asker: Asker) {
        fs::write(self.directory.join(format!("refused-{}", asker.name())), "").unwrap();
    }

    /// Every request so far, from its access log.
    pub fn requests(&self) -> Vec<Request> {
        let log = fs::read_to_string(self.directory.join("access.txt")).unwrap_or_default();
        let parse = |line: &str| {
            let mut words = line.split(' ');
            let status = words.next()?.parse().ok()?;
            let body_bytes = words.next()?.parse().ok()?;
            let (path, asker) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(Request { status, body_bytes, path, asker })
        };
        log.lines().filter_map(parse).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }
}

/// Whom the origin tells apart.
#[derive(Clone, Copy)]
pub enum Asker {
    /// A page in a browser.
    Page,
    /// Anybody else, who wants a whole file.
    Daemon,
    /// Anybody else, who wants a part of a file.
    Slices,
}

impl Asker {
    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Daemon => "daemon",
            Self::Slices => "slices",
        }
    }
}

/// One line of the origin's access log.
pub struct Request {
    pub status: u16,
    pub body_bytes: u64,
    pub path: String,
    /// Who asked: "page", "daemon", "slices", or "init" for whoever wants the begin of a file.
    pub asker: String,
}

impl Request {
    pub fn is_segment(&self) -> bool {
        [".ts", ".m4s", "all.mp4"].iter().any(|extension| self.path.ends_with(extension))
    }
}

/// One process without privileges to give up: it serves whatever the user may read. The flag
/// file turns failure on and off without a reload.
fn nginx_config(directory: &Path, port: u16) -> String {
    let dir = directory.display();
    format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log;
events {{ worker_connections 512; }}
http {{
  log_format short '$status $body_bytes_sent $uri $asker';
  # Pages say where they are from. The initialisation section of a single file is at its begin.
  map \"$http_origin|$http_range\" $asker {{
    ~^.*\\|bytes=0- init; ~^.+\\| page; ~^\\|. slices; default daemon;
  }}
  access_log {dir}/access.txt short;
  client_body_temp_path {dir}/tmp-body; proxy_temp_path {dir}/tmp-proxy;
  fastcgi_temp_path {dir}/tmp-fastcgi; uwsgi_temp_path {dir}/tmp-uwsgi;
  scgi_temp_path {dir}/tmp-scgi;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }}
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    root {dir}/www;
    if (-f {dir}/down) {{ return 503; }}
    rewrite ^/moved/(.*)$ /$1?token=given redirect;
    if ($request_method = OPTIONS) {{ return 204; }}
    add_header Access-Control-Allow-Origin * always;
    add_header Access-Control-Allow-Headers range always;
    location ~ \\.m3u8$ {{
      add_header Cache-Control no-cache;
      add_header Access-Control-Allow-Origin *;
    }}
    location ~ init\\.mp4$ {{ }}
    location ~ \\.(ts|m4s|mp4)$ {{ if (-f {dir}/refused-$asker) {{ return 403; }} }}
  }}
}}
"
    )
}

/// A stream as a player sees it: the segments' URLs, all leading to `daemon`.
pub fn segments_of(daemon: &Daemon, playlist_url: &str) -> Vec<String> {
    let uris = uris_of(&expect(&daemon.url(playlist_url)), &daemon.url(playlist_url));
    let is_playlist = |uri: &String| uri.contains(".m3u8");
    match uris.iter().find(|uri| is_playlist(uri)) {
        Some(variant) => uris_of(&expect(variant), variant),
        None => uris,
    }
}

/// Gets `url`, which must be answered 200.
pub fn expect(url: &str) -> Answer {
    let answer = http::get(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    assert_eq!(answer.status, 200, "{url}: {}", String::from_utf8_lossy(&answer.body));
    answer
}

fn uris_of(playlist: &Answer, url: &str) -> Vec<String> {
    let base = Url::parse(url).unwrap();
    let text = String::from_utf8(playlist.body.clone()).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| base.join(line).unwrap().to_string()).collect()
}
