//! One player at one URL, to its end: what it saw.
//!
//! Players that can read faster than they show do so. Frames are counted by whatever is nearest to
//! the player: its own decoder where it can say, else what it hands on.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::media::FRAMES_PER_S;
use crate::page::PageServer;
use crate::process::{Process, hand_over, unprivileged};

/// How long a player may take for a stream of ten seconds, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a player.
const POLL: Duration = Duration::from_millis(50);

/// The players of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    Ffprobe,
    Ffmpeg,
    Ffmpeg9,
    Mpv,
    Vlc,
    Gstreamer,
    Streamlink,
    HlsJs,
}

/// Every player, in the order of the table.
pub const PLAYERS: [Player; 8] = [
    Player::Ffprobe,
    Player::Ffmpeg,
    Player::Ffmpeg9,
    Player::Mpv,
    Player::Vlc,
    Player::Gstreamer,
    Player::Streamlink,
    Player::HlsJs,
];

/// Where `tests/install-players.sh` puts FFmpeg 9.
const FFMPEG_9: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/players/ffmpeg9");

/// What a player saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Tenths of a second, where it says so.
    pub duration: Option<u64>,
    /// Each stream's kind and codec, as far as the player tells.
    pub streams: Vec<String>,
    /// Frames of picture, of all variants it reads at once.
    pub frames: u64,
    /// A digest of every frame's and sample's content, where it can be had.
    pub content: Option<u64>,
    /// What it complained of last.
    pub complaint: String,
}

/// Where a player sits.
pub struct Seat<'a> {
    /// Empty, and of this run alone.
    pub directory: &'a Path,
    pub pages: &'a PageServer,
}

impl Player {
    /// How it is called in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffprobe => "ffprobe",
            Self::Ffmpeg => "FFmpeg",
            Self::Ffmpeg9 => "FFmpeg 9",
            Self::Mpv => "mpv",
            Self::Vlc => "VLC",
            Self::Gstreamer => "GStreamer",
            Self::Streamlink => "streamlink",
            Self::HlsJs => "hls.js",
        }
    }

    /// The programs it takes.
    pub fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Ffprobe => &["ffprobe"],
            Self::Ffmpeg => &["ffmpeg"],
            Self::Ffmpeg9 => &[FFMPEG_9],
            Self::Mpv => &["mpv"],
            Self::Vlc => &["cvlc", "setpriv"],
            Self::Gstreamer => &["gst-launch-1.0"],
            Self::Streamlink => &["streamlink", "ffprobe"],
            Self::HlsJs => &["chromium"],
        }
    }

    /// Plays `url` to its end.
    pub fn watch(self, url: &str, seat: &Seat<'_>) -> Seen {
        match self {
            Self::Ffprobe => probe(url, seat),
            Self::Ffmpeg => ffmpeg("ffmpeg", url, seat),
            Self::Ffmpeg9 => ffmpeg(FFMPEG_9, url, seat),
            Self::Mpv => mpv(url, seat),
            Self::Vlc => vlc(url, seat),
            Self::Gstreamer => gstreamer(url, seat),
            Self::Streamlink => streamlink(url, seat),
            Self::HlsJs => hls_js(url, seat),
        }
    }
}

/// Runs a player to its end, or to the limit; what it printed.
fn run(seat: &Seat<'_>, command: &mut Command) -> String {
    let _ = fs::remove_file(seat.directory.join("player.log"));
    let mut process = Process::start("player", seat.directory, command);
    let end = Instant::now() + LIMIT;
    while process.ended().is_none() && Instant::now() < end {
        std::thread::sleep(POLL);
    }
    process.kill();
    process.log()
}

fn last_line(log: &str) -> String {
    log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn probe(input: &str, seat: &Seat<'_>) -> Seen {
    let out = seat.directory.join("probe.json");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-threads", "1", "-count_frames", "-of", "json", "-show_entries"]);
    command.arg("stream=codec_type,codec_name,width,channels,nb_read_frames:format=duration");
    command.arg("-o").arg(&out).arg(input);
    let log = run(seat, &mut command);
    let text = fs::read_to_string(&out).unwrap_or_default();
    let found: Value = serde_json::from_str(&text).unwrap_or_default();
    let (mut streams, mut frames) = (Vec::new(), 0);
    for stream in found["streams"].as_array().into_iter().flatten() {
        let of = |name: &str| stream[name].as_str().unwrap_or_default().to_owned();
        let size = stream["width"].as_u64().or(stream["channels"].as_u64()).unwrap_or(0);
        streams.push(format!("{} {} {size}", of("codec_type"), of("codec_name")));
        if stream["codec_type"] == "video" {
            frames += of("nb_read_frames").parse().unwrap_or(0);
        }
    }
    // VLC writes them in any order.
    streams.sort();
    let seconds = found["format"]["duration"].as_str().and_then(|text| text.parse::<f64>().ok());
    let duration = seconds.map(|seconds| (seconds * 10.0).round() as u64);
    Seen { duration, streams, frames, content: None, complaint: last_line(&log) }
}

fn ffmpeg(program: &str, url: &str, seat: &Seat<'_>) -> Seen {
    let out = seat.directory.join("frames.txt");
    let mut command = Command::new(program);
    command.args(["-nostdin", "-v", "error", "-threads", "1", "-i", url]);
    command.args(["-map", "0:v?", "-map", "0:a?", "-fps_mode", "passthrough", "-copyts"]);
    command.args(["-f", "framecrc", "-y"]).arg(&out);
    let log = run(seat, &mut command);
    frame_list(&out, &log)
}

/// Reads a list of frames, one a line, as FFmpeg's `framecrc` writes it.
fn frame_list(file: &Path, log: &str) -> Seen {
    let text = fs::read_to_string(file).unwrap_or_default();
    let (mut streams, mut pictures, mut content) = (Vec::new(), Vec::new(), DefaultHasher::new());
    let mut frames = 0;
    for line in text.lines() {
        if let Some((number, kind)) =
            line.strip_prefix("#media_type ").and_then(|l| l.split_once(": "))
        {
            streams.push(kind.to_owned());
            if kind == "video" {
                pictures.push(number.to_owned());
            }
        }
        if line.starts_with('#') {
            continue;
        }
        let mut fields = line.split(',').map(str::trim);
        let stream = fields.next().unwrap_or_default();
        frames += u64::from(pictures.iter().any(|picture| picture == stream));
        // Not its times: they begin anywhere.
        (stream, fields.next_back()).hash(&mut content);
    }
    let content = Some(content.finish()).filter(|_| frames > 0);
    Seen { duration: None, streams, frames, content, complaint: last_line(log) }
}

fn mpv(url: &str, seat: &Seat<'_>) -> Seen {
    let [pictures, sound] = ["pictures", "sound"].map(|name| seat.directory.join(name));
    let mut command = Command::new("mpv");
    command.args(["--no-config", "--no-ytdl", "--msg-level=all=error", "--hwdec=no"]);
    command.args(["--untimed", "--framedrop=no", "--vo=image", "--vo-image-format=jpg"]);
    command.args(["--vo-image-jpeg-quality=1", "--hls-bitrate=max", "--ao=pcm"]);
    command.arg(format!("--ao-pcm-file={}", sound.display()));
    command.arg(format!("--vo-image-outdir={}", pictures.display())).arg(url);
    let log = run(seat, &mut command);
    let mut files: Vec<_> = fs::read_dir(&pictures).into_iter().flatten().flatten().collect();
    files.sort_by_key(fs::DirEntry::file_name);
    let mut content = DefaultHasher::new();
    for file in &files {
        fs::read(file.path()).unwrap().hash(&mut content);
    }
    let frames = files.len() as u64;
    let content = Some(content.finish()).filter(|_| frames > 0);
    // Not what it sounds like: directly, mpv plays some playlists file by file, with gaps.
    let heard = fs::metadata(&sound).is_ok_and(|file| file.len() > 0);
    let streams = [("video", frames > 0), ("audio", heard)].into_iter().filter(|(_, is)| *is);
    let streams = streams.map(|(kind, _)| kind.to_owned()).collect();
    Seen { duration: None, streams, frames, content, complaint: last_line(&log) }
}

fn vlc(url: &str, seat: &Seat<'_>) -> Seen {
    let home = seat.directory.join("vlc");
    fs::create_dir_all(&home).unwrap();
    hand_over(&home);
    let out = home.join("out.ts");
    let mut command = unprivileged(Path::new("cvlc"));
    command.env("HOME", &home).env_remove("XDG_RUNTIME_DIR").current_dir(&home);
    command.args(["--no-color", "--play-and-exit", "--no-video-title-show", "--sout-keep"]);
    command.arg(format!("--sout=#std{{access=file,mux=ts,dst={}}}", out.display()));
    // Always the same variant, whatever the machine is busy with.
    command.args(["--adaptive-logic=highest", url]);
    let log = run(seat, &mut command);
    Seen { duration: None, complaint: last_line(&log), ..probe(&out.display().to_string(), seat) }
}

/// Bytes of a decoded picture, of a sample of sound.
const PICTURE_BYTES: u64 = 320 * 180 * 3 / 2;

fn gstreamer(url: &str, seat: &Seat<'_>) -> Seen {
    let [picture, sound] = ["picture", "sound"].map(|name| seat.directory.join(name));
    let sink = |kind: &str, file: &Path| {
        format!("{kind}-sink=filesink sync=false location={}", file.display())
    };
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "playbin3", &format!("uri={url}"), "flags=video+audio"]);
    command.arg(sink("video", &picture)).arg(sink("audio", &sound));
    let log = run(seat, &mut command);
    let size = |file: &Path| fs::metadata(file).map_or(0, |file| file.len());
    let (frames, sounds) = (size(&picture) / PICTURE_BYTES, size(&sound));
    let streams = [("video", frames), ("audio", sounds)].into_iter().filter(|(_, n)| *n > 0);
    let streams = streams.map(|(kind, _)| kind.to_owned()).collect();
    let complaint = log.lines().rfind(|line| line.starts_with("ERROR")).unwrap_or_default();
    let mut content = DefaultHasher::new();
    for file in [&picture, &sound] {
        fs::read(file).unwrap_or_default().hash(&mut content);
    }
    let content = Some(content.finish()).filter(|_| frames > 0);
    Seen { duration: None, streams, frames, content, complaint: complaint.to_owned() }
}

fn streamlink(url: &str, seat: &Seat<'_>) -> Seen {
    let out = seat.directory.join("out.ts");
    let home = seat.directory.join("streamlink");
    fs::create_dir_all(&home).unwrap();
    let mut command = Command::new("streamlink");
    command.env("HOME", &home).args(["--loglevel", "error", "--force"]);
    // What is in its buffer when a rendition has ended never gets to its muxer.
    command.args(["--ringbuffer-size", "1k"]);
    command.arg("--output").arg(&out).arg(format!("hls://{url}")).arg("best");
    let log = run(seat, &mut command);
    Seen { duration: None, complaint: last_line(&log), ..probe(&out.display().to_string(), seat) }
}

fn hls_js(url: &str, seat: &Seat<'_>) -> Seen {
    let page = seat.pages.page(url);
    let profile = seat.directory.join("chromium");
    let mut command = Command::new("chromium");
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
    command.args(["--disable-component-update", "--disable-dev-shm-usage", "--mute-audio"]);
    command.arg("--autoplay-policy=no-user-gesture-required");
    command.arg(format!("--user-data-dir={}", profile.display())).arg(page);
    let mut process = Process::start("player", seat.directory, &mut command);
    let end = Instant::now() + LIMIT;
    let mut seen = Seen::default();
    while Instant::now() < end && process.ended().is_none() {
        std::thread::sleep(POLL);
        let Some(report) = seat.pages.report() else { continue };
        let text = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
        seen.streams = vec![text("tracks")];
        let buffered_s = report["buffered_s"].as_f64().unwrap_or(0.0);
        seen.frames = (buffered_s * FRAMES_PER_S as f64).round() as u64;
        let mut content = DefaultHasher::new();
        report["given"].to_string().hash(&mut content);
        seen.content = Some(content.finish()).filter(|_| seen.frames > 0);
        let seconds = report["duration_s"].as_f64();
        seen.duration = seconds.map(|seconds| (seconds * 10.0).round() as u64);
        seen.complaint = report["errors"].to_string();
        if report["is_over"] == true {
            break;
        }
    }
    process.kill();
    seen
}
