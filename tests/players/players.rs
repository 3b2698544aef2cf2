//! Real players at a URL: each watches for a while and says how far the picture came.
//!
//! What is an error is the player's own judgement (its exit status, its error log, its error
//! events); what is too slow is the test's.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::page::PageServer;
use crate::process::{Process, eventually, free_port, hand_over, unprivileged};

/// What a player may need beyond the media's own length: starting, buffering, a slow machine.
const SLACK: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    Ffmpeg,
    Mpv,
    Vlc,
    HlsJs,
}

impl Player {
    /// The programs it takes.
    pub fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Ffmpeg => &["ffmpeg"],
            Self::Mpv => &["mpv"],
            Self::Vlc => &["cvlc", "setpriv"],
            Self::HlsJs => &["chromium"],
        }
    }

    /// Watches `media_s` seconds of `url`. Panics when the picture does not get that far or the
    /// player complains.
    pub fn watch(self, url: &str, media_s: u32, seat: &Seat<'_>, name: &str) {
        let limit = Duration::from_secs(media_s.into()) + SLACK;
        let what = format!("{self:?} shows {media_s} s of {name}");
        match self {
            Self::Ffmpeg => ffmpeg(url, media_s, limit, seat, &what),
            Self::Mpv => mpv(url, media_s, limit, seat, &what),
            Self::Vlc => vlc(url, media_s, limit, seat, &what),
            Self::HlsJs => hls_js(url, media_s, limit, seat, &what),
        }
    }
}

/// Where a player sits: its directory, and the page for players that live in one.
pub struct Seat<'a> {
    pub directory: &'a Path,
    pub pages: &'a PageServer,
}

/// An ffmpeg that decodes `url`, all of it or `media_s` seconds, and keeps `progress` up to date.
pub fn decoder(url: &str, media_s: Option<u32>, progress: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-xerror", "-threads", "1"]);
    command.args(["-i", url, "-progress"]).arg(progress);
    if let Some(media_s) = media_s {
        command.args(["-t", &media_s.to_string()]);
    }
    command.args(["-f", "null", "-"]);
    command
}

/// What `ffmpeg -progress` wrote last: seconds of media decoded.
pub fn progress_s(file: &Path) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| line.strip_prefix("out_time_us="));
    last.and_then(|micros| micros.parse::<f64>().ok()).map_or(0.0, |micros| micros / 1e6)
}

fn ffmpeg(url: &str, media_s: u32, limit: Duration, seat: &Seat<'_>, what: &str) {
    let progress = seat.directory.join("ffmpeg-progress");
    let mut process = start(seat, "ffmpeg", &mut decoder(url, Some(media_s), &progress));
    let status = eventually(what, limit, || process.ended());
    assert!(status.success(), "{what}: {status}: {}", process.log());
    assert_eq!(process.log(), "", "{what}: ffmpeg complains");
    let shown_s = progress_s(&progress);
    assert!(shown_s >= f64::from(media_s) * 0.95, "{what}: only {shown_s} s");
}

fn mpv(url: &str, media_s: u32, limit: Duration, seat: &Seat<'_>, what: &str) {
    let path = seat.directory.join("mpv.sock");
    let _ = fs::remove_file(&path);
    let mut command = Command::new("mpv");
    command.args(["--no-config", "--vo=null", "--ao=null", "--msg-level=all=error", "--no-ytdl"]);
    command.args(["--hwdec=no", "--term-status-msg=", "--keep-open=yes"]);
    command.arg(format!("--input-ipc-server={}", path.display())).arg(url);
    let mut process = start(seat, "mpv", &mut command);
    let socket = eventually("mpv listens", limit, || UnixStream::connect(&path).ok());
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    let mut first_s = None;
    eventually(what, limit, || {
        assert!(process.ended().is_none(), "{what}: mpv ended: {}", process.log());
        let ask = "{\"command\":[\"get_property\",\"time-pos\"],\"request_id\":7}\n";
        (&socket).write_all(ask.as_bytes()).unwrap();
        // Events come in between; only the answer carries our number.
        let mut answers = lines.by_ref().map_while(Result::ok);
        let answer = answers.find(|line| line.contains("\"request_id\":7"))?;
        let position_s = serde_json::from_str::<Value>(&answer).ok()?["data"].as_f64()?;
        let advanced_s = position_s - *first_s.get_or_insert(position_s);
        (advanced_s >= f64::from(media_s)).then_some(())
    });
    assert_eq!(process.log().trim(), "", "{what}: mpv complains");
}

fn vlc(url: &str, media_s: u32, limit: Duration, seat: &Seat<'_>, what: &str) {
    let port = free_port();
    let home = seat.directory.join("vlc-home");
    fs::create_dir_all(&home).unwrap();
    hand_over(&home);
    let mut command = unprivileged(Path::new("cvlc"));
    command.env("HOME", &home).env_remove("XDG_RUNTIME_DIR").current_dir(&home);
    command.args(["--no-color", "--vout=vdummy", "--aout=adummy", "--no-video-title-show"]);
    command.args(["--extraintf=oldrc", "--rc-fake-tty", "--avcodec-hw=none"]);
    command.args(["--rc-host", &format!("127.0.0.1:{port}"), url]);
    let mut process = start(seat, "vlc", &mut command);
    let mut socket = eventually("VLC listens", limit, || {
        assert!(process.ended().is_none(), "{what}: VLC ended: {}", process.log());
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut first_s = None;
    eventually(what, limit, || {
        assert!(process.ended().is_none(), "{what}: VLC ended: {}", process.log());
        socket.write_all(b"get_time\n").unwrap();
        let mut answer = [0; 256];
        let length = socket.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        // Announcements of its state come in between; the answer is a number on its own.
        let mut numbers = answer.lines().filter_map(|line| line.trim().parse::<u32>().ok());
        let position_s = numbers.find(|&seconds| seconds > 0)?;
        let advanced_s = position_s.saturating_sub(*first_s.get_or_insert(position_s));
        (advanced_s >= media_s).then_some(())
    });
    let log = process.log();
    let complaints: Vec<_> = log.lines().filter(|line| is_vlc_complaint(line)).collect();
    assert!(complaints.is_empty(), "{what}: VLC complains: {complaints:?}");
}

/// Errors of the modules that read and decode; not those about a missing desktop, nor what VLC says
/// of its own clock when it fills its buffer anew on a busy machine: it does so of files, too.
fn is_vlc_complaint(line: &str) -> bool {
    let modules = ["demux error", "decoder error", "stream error", "access error", "packetizer"];
    let of_the_clock = ["Timestamp conversion failed", "Could not convert timestamp"];
    line.contains("error")
        && modules.iter().any(|module| line.contains(module))
        && !of_the_clock.iter().any(|complaint| line.contains(complaint))
}

fn hls_js(url: &str, media_s: u32, limit: Duration, seat: &Seat<'_>, what: &str) {
    let page = seat.pages.page(url);
    let profile = seat.directory.join("chromium-profile");
    let _ = fs::remove_dir_all(&profile);
    let mut command = Command::new("chromium");
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
    command.args(["--disable-component-update", "--disable-dev-shm-usage", "--mute-audio"]);
    command.arg("--autoplay-policy=no-user-gesture-required");
    command.arg(format!("--user-data-dir={}", profile.display())).arg(page);
    let mut process = start(seat, "chromium", &mut command);
    eventually(what, limit, || {
        assert!(process.ended().is_none(), "{what}: chromium ended: {}", process.log());
        let report = seat.pages.report()?;
        let errors = report["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.is_empty(), "{what}: hls.js reports {errors:?}");
        (report["advanced_s"].as_f64()? >= f64::from(media_s)).then_some(())
    });
}

/// Starts a player with a log of its own: complaints of an earlier one are not its.
fn start(seat: &Seat<'_>, name: &str, command: &mut Command) -> Process {
    let _ = fs::remove_file(seat.directory.join(format!("{name}.log")));
    Process::start(name, seat.directory, command)
}
