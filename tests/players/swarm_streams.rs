//! The streams that pages and daemons exchange: each a master playlist with one variant, and a
//! list of its segments' digests in a directory of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::streams::{muxing, vod};

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
        vod(&root.join(name), LENGTH_S, &[], |command| {
            command.args(["-hls_segment_type", "fmp4", "-hls_flags", "single_file"]);
            command.args(["-hls_segment_filename", "all.mp4"]);
        });
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

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,\
                      CODECS=\"avc1.4d400d,mp4a.40.2\"\nindex.m3u8\n";

/// Each file with its digest, or with those of its ranges.
fn digests(directory: &Path) -> Value {
    let text = fs::read_to_string(directory.join("index.m3u8")).unwrap();
    let mut list = BTreeMap::<&str, Value>::new();
    let mut range = None;
    for line in text.lines() {
        if let Some(bytes) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (length, from) = bytes.split_once('@').unwrap();
            range = Some((from.parse::<usize>().unwrap(), length.parse::<usize>().unwrap()));
        } else if !line.starts_with('#') {
            let bytes = fs::read(directory.join(line)).unwrap();
            match range.take() {
                Some((from, length)) => {
                    let last = from + length - 1;
                    let entry = list.entry(line).or_insert_with(|| json!({}));
                    entry[format!("{from}-{last}")] = hex(&bytes[from..=last]).into();
                }
                None => _ = list.insert(line, hex(&bytes).into()),
            }
        }
    }
    json!(list)
}

/// The SHA-256 of `bytes`, as lists and pages write it.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
