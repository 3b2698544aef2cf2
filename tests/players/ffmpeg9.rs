//! FFmpeg 9, which is strict about the names of segments and playlists where Debian's is not yet.
//!
//! mpv, Kodi and many others read HLS with this code, so what it refuses, they will.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, eventually, have};
use crate::streams;
use crate::world::{Origin, TrackerKind, World};

/// How long it may take to decode a minute of a small picture.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn ffmpeg_9_decodes_the_same_frames_through_the_daemon() {
    let Some((world, program)) = set_up() else { return };
    let daemon = world.daemon("daemon");
    for path in ["multi/master", "fmp4/index", "byterange/index", "aes/index"] {
        let url = world.origin.url(&format!("vod/{path}.m3u8"));
        let direct = frames(&world, &program, &url);
        assert!(direct.as_ref().is_ok_and(|&frames| frames > 0), "{path}: {direct:?}");
        assert_eq!(frames(&world, &program, &daemon.url(&url)), direct, "{path}");
    }
}

#[test]
fn ffmpeg_9_decodes_through_the_daemon_what_it_refuses_directly() {
    let Some((world, program)) = set_up() else { return };
    let daemon = world.daemon("daemon");
    let whole = frames(&world, &program, &world.origin.url("vod/multi/low/index.m3u8"));
    assert!(whole.as_ref().is_ok_and(|&frames| frames > 0), "{whole:?}");
    for (name, playlist, extension) in [
        ("picture", "index.m3u8", ".jpg"),
        ("style", "index.m3u8", ".css"),
        ("bare", "index.m3u8", ""),
        ("hidden", "index", ".ts"),
    ] {
        let url = publish_as(&world.origin, name, playlist, extension);
        let direct = frames(&world, &program, &url);
        assert!(direct.is_err(), "{name} is no test: it plays directly: {direct:?}");
        assert_eq!(frames(&world, &program, &daemon.url(&url)), whole, "{name}");
    }
}

/// The program as `tests/install-players.sh` leaves it, and a world with the streams.
fn set_up() -> Option<(World, PathBuf)> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/players/ffmpeg9");
    if !have(&["nginx", "ffmpeg", program.to_str().unwrap()]) {
        return None;
    }
    let world = World::new(TrackerKind::Ours);
    world.origin.publish("vod", streams::on_demand());
    Some((world, program))
}

/// How many frames of picture there are in a whole stream; what FFmpeg says when it complains.
fn frames(world: &World, program: &Path, url: &str) -> Result<u64, String> {
    let progress = world.directory().join("progress");
    let _ = fs::remove_file(world.directory().join("ffmpeg9.log"));
    let mut command = Command::new(program);
    command.args(["-nostdin", "-v", "error", "-xerror", "-i", url, "-progress"]).arg(&progress);
    command.args(["-fps_mode", "passthrough", "-f", "null", "-"]);
    let mut process = Process::start("ffmpeg9", world.directory(), &mut command);
    let status = eventually(&format!("FFmpeg 9 is done with {url}"), LIMIT, || process.ended());
    let log = process.log();
    if !status.success() || !log.is_empty() {
        return Err(format!("{status}: {log}"));
    }
    let text = fs::read_to_string(progress).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| line.strip_prefix("frame="));
    last.and_then(|frames| frames.trim().parse().ok()).ok_or_else(|| "no frames".to_owned())
}

/// Puts the stream `multi/low` online with other names for its playlist and segments.
fn publish_as(origin: &Origin, name: &str, playlist: &str, extension: &str) -> String {
    let source = streams::on_demand().join("multi/low");
    let url = origin.url(&format!("{name}/{playlist}"));
    let file = origin.file(&url);
    let directory = file.parent().unwrap();
    fs::create_dir_all(directory).unwrap();
    let text = fs::read_to_string(source.join("index.m3u8")).unwrap();
    for segment in text.lines().filter(|line| line.ends_with(".ts")) {
        let to = segment.replace(".ts", extension);
        symlink(source.join(segment), directory.join(to)).unwrap();
    }
    fs::write(file, text.replace(".ts", extension)).unwrap();
    url
}
