//! The streams, made by ffmpeg: video on demand once per build directory, live ones while a test
//! runs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use crate::process::{Process, eventually};
use crate::world::World;

/// Segments of the streams on demand, and the length of each.
pub const VOD_SEGMENTS: usize = 30;
pub const SEGMENT_S: u32 = 2;

/// A segment of the stream `large` is at least this big: long enough in transfer to be cut off.
pub const LARGE_SEGMENT_BYTES: usize = 16 << 20;

/// Changes whenever the making below does, so that streams of an older checkout are not used.
const EDITION: &str = "3";

/// The directory with the streams on demand: `multi/master.m3u8`, and `index.m3u8` in each of
/// `fmp4`, `byterange`, `aes` and `large`.
pub fn on_demand() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("streams-{EDITION}"));
        if !directory.exists() {
            // Made elsewhere and moved: an interrupted run leaves nothing that looks whole.
            let partial = directory.with_extension("partial");
            let _ = fs::remove_dir_all(&partial);
            make_on_demand(&partial);
            fs::rename(&partial, &directory).unwrap();
        }
        directory
    });
    &MADE
}

/// Form of a live stream's segments.
#[derive(Clone, Copy)]
pub enum LiveKind {
    Ts,
    Fmp4,
}

impl LiveKind {
    pub fn path(self) -> &'static str {
        match self {
            Self::Ts => "live-ts/index.m3u8",
            Self::Fmp4 => "live-fmp4/index.m3u8",
        }
    }
}

/// Starts a packager that writes a sliding window at the pace of real time under the origin's
/// root, and waits until a player could begin.
pub fn live(world: &World, kind: LiveKind) -> Process {
    live_window(world, kind, 8)
}

/// The same with so many segments in its window.
pub fn live_window(world: &World, kind: LiveKind, segments: u32) -> Process {
    let playlist = world.origin.file(&world.origin.url(kind.path()));
    let directory = playlist.parent().unwrap();
    fs::create_dir_all(directory).unwrap();
    let mut command = ffmpeg(directory, 3600, true);
    command.args(["-hls_time", "2", "-hls_list_size", &segments.to_string()]);
    command.args(["-hls_delete_threshold", "8"]);
    // Renaming makes every file appear whole, as a real packager's upload does.
    command.args(["-hls_flags", "delete_segments+temp_file+independent_segments"]);
    muxing(&mut command, matches!(kind, LiveKind::Fmp4));
    command.arg("index.m3u8");
    let mut process = Process::start("packager", world.directory(), &mut command);
    eventually("the packager has written four segments", Duration::from_secs(40), || {
        assert!(process.ended().is_none(), "the packager ended: {}", process.log());
        let text = fs::read_to_string(&playlist).unwrap_or_default();
        (text.matches("#EXTINF").count() >= 4).then_some(())
    });
    process
}

fn make_on_demand(root: &Path) {
    let length_s = VOD_SEGMENTS as u32 * SEGMENT_S;
    for (name, video_rate) in [("multi/low", "150k"), ("multi/high", "400k")] {
        vod(&root.join(name), length_s, &["-b:v", video_rate], |command| muxing(command, false));
    }
    let variant = |name, rate| {
        format!(
            "#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION=320x180,\
             CODECS=\"avc1.4d400d,mp4a.40.2\"\n{name}/index.m3u8\n"
        )
    };
    let master = format!("#EXTM3U\n{}{}", variant("low", 250_000), variant("high", 550_000));
    fs::write(root.join("multi/master.m3u8"), master).unwrap();

    vod(&root.join("fmp4"), length_s, &[], |command| muxing(command, true));
    vod(&root.join("byterange"), length_s, &[], |command| {
        command.args(["-hls_flags", "single_file", "-hls_segment_filename", "all.ts"]);
    });
    fs::create_dir_all(root.join("aes")).unwrap();
    fs::write(root.join("aes/key.bin"), *b"0123456789abcdef").unwrap();
    fs::write(root.join("aes/key-info"), "key.bin\nkey.bin\n").unwrap();
    vod(&root.join("aes"), length_s, &[], |command| {
        command.args(["-hls_key_info_file", "key-info"]);
        muxing(command, false);
    });
    make_large(&root.join("large"));
}

/// Two segments of 20 s, padded with null packets as a constant-rate multiplexer does.
fn make_large(directory: &Path) {
    vod(directory, 40, &[], |command| {
        muxing(command, false);
        command.args(["-hls_time", "20"]);
    });
    for segment in ["seg-0.ts", "seg-1.ts"] {
        let mut file = fs::File::options().append(true).open(directory.join(segment)).unwrap();
        for number in 0..(LARGE_SEGMENT_BYTES / 188) as u32 + 1 {
            let mut packet = [0_u8; 188];
            packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
            packet[4..8].copy_from_slice(&number.to_be_bytes());
            file.write_all(&packet).unwrap();
        }
    }
}

/// Makes one stream on demand in `directory`, of which `options` change the encoding.
pub fn vod(directory: &Path, length_s: u32, options: &[&str], muxer: impl FnOnce(&mut Command)) {
    fs::create_dir_all(directory).unwrap();
    let mut command = ffmpeg(directory, length_s, false);
    command.args(options);
    command.args(["-hls_time", "2", "-hls_list_size", "0", "-hls_playlist_type", "vod"]);
    muxer(&mut command);
    let output = command.arg("index.m3u8").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg for {}: {errors}", directory.display());
}

/// An encoder of a test picture and tone, a key frame every 2 s, complete but for the muxer.
pub fn ffmpeg(directory: &Path, length_s: u32, is_real_time: bool) -> Command {
    let mut command = Command::new("ffmpeg");
    command.current_dir(directory).args(["-nostdin", "-hide_banner", "-v", "error", "-y"]);
    for source in ["testsrc2=size=320x180:rate=25", "sine=frequency=330:sample_rate=48000"] {
        if is_real_time {
            command.arg("-re");
        }
        command.args(["-f", "lavfi", "-i", source]);
    }
    command.args(["-t", &length_s.to_string(), "-c:v", "libx264", "-preset", "ultrafast"]);
    command.args(["-pix_fmt", "yuv420p", "-profile:v", "main", "-threads", "1", "-b:v", "300k"]);
    command.args(["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-flags", "+cgop"]);
    command.args(["-c:a", "aac", "-b:a", "64k", "-ac", "1", "-f", "hls"]);
    command
}

/// One file for each segment.
pub fn muxing(command: &mut Command, is_fmp4: bool) {
    if is_fmp4 {
        command.args(["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]);
        command.args(["-hls_segment_filename", "seg-%d.m4s"]);
    } else {
        command.args(["-hls_segment_filename", "seg-%d.ts"]);
    }
}
