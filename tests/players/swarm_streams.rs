//! The streams that pages and daemons exchange: each a master playlist with one variant, and a
//! list of its segments' digests in a directory of its own.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::http;
use crate::process::{Process, eventually};
use crate::streams::{ffmpeg, muxing, vod};
use crate::world::{Daemon, World, expect};

/// Changes whenever the making below does, so that streams of an older checkout are not used.
const EDITION: &str = "1";

/// Of the stream `short`.
pub const SHORT_SEGMENTS: usize = 300;

/// Of all others.
pub const SEGMENTS: usize = 30;

const LENGTH_S: u32 = 60;

/// The directory with `master.m3u8` in each of `ts`, `range` and `short`, and in `listed-ts` and
/// `listed-range` the same with a publisher's list of digests.
pub fn shared() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let name = format!("swarm-streams-{EDITION}");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if !directory.exists() {
            let partial = directory.with_extension("partial");
            let _ = fs::remove_dir_all(&partial);
            make(&partial);
            fs::rename(&partial, &directory).unwrap();
        }
        directory
    });
    &MADE
}

fn make(root: &Path) {
    for name in ["ts", "listed-ts"] {
        vod(&root.join(name), LENGTH_S, &[], |command| muxing(command, false));
    }
    for name in ["range", "listed-range"] {
        vod(&root.join(name), LENGTH_S, &[], one_file);
    }
    let often = ["-g", "10", "-keyint_min", "10", "-b:v", "100k"];
    vod(&root.join("short"), SHORT_SEGMENTS as u32 * 2 / 5, &often, |command| {
        muxing(command, false);
        command.args(["-hls_time", "0.4"]);
    });
    for name in ["ts", "range", "short", "listed-ts", "listed-range"] {
        fs::write(root.join(name).join("master.m3u8"), MASTER).unwrap();
    }
    for name in ["listed-ts", "listed-range"] {
        let list = digests(&root.join(name));
        fs::write(root.join(name).join("segments-sha256.json"), list.to_string()).unwrap();
    }
}

/// Starts a packager at the pace of real time, whose master playlist is at `NAME/master.m3u8`, and
/// waits until a player could begin. Only the playlist forgets: every segment's bytes stay.
/// `in_ranges`: of a fragmented MP4 that grows; else transport streams.
pub fn live(world: &World, name: &str, in_ranges: bool) -> Process {
    let playlist = world.origin.file(&world.origin.url(&format!("{name}/index.m3u8")));
    let directory = playlist.parent().unwrap();
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("master.m3u8"), MASTER).unwrap();
    let mut command = ffmpeg(directory, 3600, true);
    command.args(["-hls_time", "2"]);
    if in_ranges {
        // Of a window of ranges this packager does not count what has left.
        command.args(["-hls_list_size", "0"]);
        one_file(&mut command);
    } else {
        command.args(["-hls_list_size", "8", "-start_number", "5000"]);
        command.args(["-hls_flags", "temp_file+independent_segments"]);
        muxing(&mut command, false);
    }
    let mut process = Process::start("packager", world.directory(), command.arg("index.m3u8"));
    eventually("the packager has written seven segments", Duration::from_secs(60), || {
        assert!(process.ended().is_none(), "the packager ended: {}", process.log());
        let text = fs::read_to_string(&playlist).unwrap_or_default();
        (text.matches("#EXTINF").count() >= 7).then_some(())
    });
    process
}

/// Fragmented MP4, of which each segment is a range.
fn one_file(command: &mut Command) {
    command.args(["-hls_segment_type", "fmp4", "-hls_flags", "single_file"]);
    command.args(["-hls_segment_filename", "all.mp4"]);
}

/// A multivariant playlist whose one variant is beside it.
pub const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,\
                      CODECS=\"avc1.4d400d,mp4a.40.2\"\nindex.m3u8\n";

/// Each file with its digest, or with those of its ranges.
fn digests(directory: &Path) -> Value {
    let text = fs::read_to_string(directory.join("index.m3u8")).unwrap();
    let mut list = BTreeMap::<&str, Value>::new();
    for (name, range) in segments(&text) {
        let bytes = fs::read(directory.join(name)).unwrap();
        if let Some(range) = range {
            let entry = list.entry(name).or_insert_with(|| json!({}));
            let (from, last) = (range.start(), range.end());
            entry[format!("{from}-{last}")] = hex(&bytes[range.clone()]).into();
        } else {
            list.insert(name, hex(&bytes).into());
        }
    }
    json!(list)
}

/// The URIs of a media playlist, each with the range of bytes that is meant.
fn segments(playlist: &str) -> Vec<(&str, Option<RangeInclusive<usize>>)> {
    let mut range = None;
    let mut segments = Vec::new();
    for line in playlist.lines() {
        if let Some(bytes) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (length, from) = bytes.split_once('@').unwrap();
            let (length, from) = (length.parse::<usize>().unwrap(), from.parse::<usize>().unwrap());
            range = Some(from..=from + length - 1);
        } else if !line.is_empty() && !line.starts_with('#') {
            segments.push((line, range.take()));
        }
    }
    segments
}

/// A segment as a player at a daemon asks for it.
pub struct Asked {
    pub url: String,
    range: Option<RangeInclusive<usize>>,
}

impl Asked {
    /// All of a stream's, in the order of its playlist; `url` is that of a playlist at the origin.
    pub fn all(daemon: &Daemon, url: &str) -> Vec<Self> {
        let mut url = Url::parse(&daemon.url(url)).unwrap();
        loop {
            let answer = expect(url.as_str());
            let text = String::from_utf8(answer.body).unwrap();
            let segments = segments(&text);
            let absolute = |uri: &str| url.join(uri).unwrap();
            match segments.first() {
                Some((uri, None)) if uri.contains(".m3u8") => url = absolute(uri),
                _ => {
                    let asked = |(uri, range)| Self { url: absolute(uri).into(), range };
                    return segments.into_iter().map(asked).collect();
                }
            }
        }
    }

    /// Gets it through `daemon`, which must give the origin's bytes. Gives their number.
    pub fn assert_origins_bytes(&self, world: &World, daemon: &Daemon) -> usize {
        let range =
            self.range.as_ref().map(|range| format!("bytes={}-{}", range.start(), range.end()));
        let headers: Vec<_> = range.iter().map(|range| ("Range", range.as_str())).collect();
        let answer = http::get_with(&self.url, &headers).unwrap();
        let status = if range.is_some() { 206 } else { 200 };
        assert_eq!(answer.status, status, "{} {range:?}", self.url);
        let file = fs::read(world.origin.file(&daemon.origin_url(&self.url))).unwrap();
        let expected = self.range.clone().map_or(&file[..], |range| &file[range]);
        assert!(answer.body == expected, "{} {range:?} differs from the origin's", self.url);
        answer.body.len()
    }
}

/// The SHA-256 of `bytes`, as lists and pages write it.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
