//! Pages with the genuine p2p-media-loader, and the browser they are open in.
//!
//! It does not know what is to happen between them and the daemons: the tests beside it do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::page::{HLS_JS, PML_ROOT, PageServer};
use crate::process::{Process, eventually, have};
use crate::swarm_streams::hex;
use crate::world::World;

/// How long a page may take for whatever a test waits for.
pub const PAGE_LIMIT: Duration = Duration::from_secs(60);

/// The versions of p2p-media-loader, which form swarms of their own.
pub const V2_2: &str = "2.2.2";
pub const V2_3: &str = "2.3.1";
/// Every test is done with both.
pub const VERSIONS: [&str; 2] = [V2_2, V2_3];

/// Whether all is there that a test with pages takes.
pub fn have_pages() -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        root.join(HLS_JS),
        root.join(PML_ROOT).join(format!("pml-{V2_2}/node_modules/p2p-media-loader-hlsjs")),
        root.join(PML_ROOT).join(format!("pml-{V2_3}/node_modules/p2p-media-loader-hlsjs")),
        root.join("target/players/node_modules/bittorrent-tracker"),
    ];
    let files = files.each_ref().map(|file| file.to_str().unwrap());
    have(&[&["nginx", "ffmpeg", "chromium", "node"], &files[..]].concat())
}

/// A Chromium without a window, killed with all of its processes on drop.
pub struct Browser {
    process: Process,
}

impl Browser {
    /// Opens `page`. `hides_addresses` is Chromium's default: local addresses are given to others
    /// as names that only multicast DNS resolves.
    pub fn open(page: &str, hides_addresses: bool, world: &World, name: &str) -> Self {
        let profile = world.directory().join(format!("{name}-profile"));
        let _ = fs::remove_dir_all(&profile);
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
        command.args(["--disable-component-update", "--disable-dev-shm-usage", "--mute-audio"]);
        command.args(["--autoplay-policy=no-user-gesture-required"]);
        command.args(["--allow-loopback-in-peer-connection"]);
        if !hides_addresses {
            command.arg("--disable-features=WebRtcHideLocalIpsWithMdns");
        }
        command.arg(format!("--user-data-dir={}", profile.display())).arg(page);
        Self { process: Process::start(name, world.directory(), &mut command) }
    }

    /// Kills it as a crash would: its pages say goodbye to nobody.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// The id of its main process, which leads a process group of all others.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// What a page plays, and how.
pub struct Viewing<'a> {
    /// What it is called in reports; one page at a time has each name.
    pub name: &'a str,
    /// Of p2p-media-loader.
    pub version: &'a str,
    /// The stream at the origin: the page does not know of any daemon.
    pub url: &'a str,
    /// What differs from p2p-media-loader's own settings, and from hls.js'.
    pub core: Value,
    pub hls: Value,
}

/// A page that plays a stream. It lives until its browser goes elsewhere.
pub struct SwarmPage<'a> {
    name: String,
    url: String,
    pages: &'a PageServer,
}

impl<'a> SwarmPage<'a> {
    pub fn new(pages: &'a PageServer, world: &World, viewing: &Viewing<'_>) -> Self {
        pages.forget(viewing.name);
        let (core, hls) = (viewing.core.to_string(), viewing.hls.to_string());
        let tracker = world.tracker.url();
        let query = [
            ("name", viewing.name),
            ("version", viewing.version),
            ("tracker", &tracker),
            ("src", viewing.url),
            ("core", &core),
            ("hls", &hls),
        ];
        let url = Url::parse_with_params(&format!("{}/swarm", pages.origin()), query).unwrap();
        Self { name: viewing.name.into(), url: url.into(), pages }
    }

    /// Where a browser finds it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it said last; `Null` before it has said anything.
    pub fn report(&self) -> Value {
        self.pages.report_of(&self.name).unwrap_or_default()
    }

    /// A number of the report, 0 as long as there is none.
    pub fn number(&self, field: &str) -> u64 {
        self.report()[field].as_f64().unwrap_or_default() as u64
    }

    /// Has it run a line of JavaScript, which finds `video` and `hls`.
    pub fn order(&self, line: &str) {
        self.pages.order(&self.name, line);
    }

    /// Waits until its report fulfils `condition`.
    pub fn eventually(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let what = format!("{what} at {}", self.name);
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&what, PAGE_LIMIT, || {
                last = self.report();
                condition(&last).then(|| last.clone())
            })
        }));
        seen.unwrap_or_else(|_| {
            last["segments"] = json!(last["segments"].as_object().map(|all| all.len()));
            panic!("{what}: the page says {last}")
        })
    }

    /// Waits until it has `count` segments in all, from whomever.
    pub fn holds(&self, count: usize) -> Value {
        let what = format!("{count} segments are held");
        self.eventually(&what, |report| {
            report["segments"].as_object().is_some_and(|all| all.len() >= count)
        })
    }

    /// Every segment it was given is the origin's file or part of a file. Gives their number and
    /// their bytes.
    pub fn assert_origins_bytes(&self, world: &World) -> (usize, usize) {
        let report = self.report();
        let segments = report["segments"].as_object().cloned().unwrap_or_default();
        let mut total = 0;
        for (key, digest) in &segments {
            let (url, range) = key.split_once('|').unwrap_or((key, ""));
            let file = fs::read(world.origin.file(url)).unwrap();
            let bytes = match range.split_once('-') {
                Some((from, last)) => {
                    &file[from.parse::<usize>().unwrap()..=last.parse::<usize>().unwrap()]
                }
                None => &file[..],
            };
            assert_eq!(digest, &hex(bytes), "{key} at {} is not the origin's", self.name);
            total += bytes.len();
        }
        let errors = report["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.is_empty(), "{}: {errors:?}", self.name);
        (segments.len(), total)
    }
}
