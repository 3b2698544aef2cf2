//! Kodi without a desktop: one process plays one URL after another and says what it sees.
//!
//! It is steered by JSON-RPC over its local TCP port, which also tells when playing ends. It plays
//! in real time and counts no frames: what it can tell is duration, streams and playhead. It needs
//! a screen (Xvfb) and something that consumes sound in real time (PulseAudio's null sink; with no
//! sink at all Kodi waits for one and never reaches the end).

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Process, eventually, find, free_port, hand_over, unprivileged};

/// The programs it takes, and the add-on.
pub const TOOLS: [&str; 5] = ["kodi", ADAPTIVE, "Xvfb", "pulseaudio", "setpriv"];
const ADAPTIVE: &str = "/usr/share/kodi/addons/inputstream.adaptive";

/// How long Kodi may take to start, with a cold disk and a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to answer a question.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// How long the screen may take to clear up its lock file.
const END_LIMIT: Duration = Duration::from_secs(5);
/// What the playhead moves by from one look to the next if it has skipped. While the built-in
/// reader waits for a live segment, the playhead is not told, and then that much further on.
const JUMP_S: f64 = 10.0;
/// Number of Kodi's video player in JSON-RPC.
const VIDEO_PLAYER: u32 = 1;

/// Which of Kodi's two HLS implementations reads the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The built-in one, which is FFmpeg's.
    BuiltIn,
    /// The add-on `inputstream.adaptive`, which most of Kodi's video add-ons use.
    Adaptive,
}

/// What to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Play it from its beginning to its end.
    Whole,
    /// Play so many seconds, then skip to so many seconds before the end and play those.
    Ends(u32, u32),
    /// Play so many seconds.
    Some(u32),
}

/// What Kodi told of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Whole seconds; 0 for a live stream.
    pub duration_s: f64,
    /// Codec and size of each video stream, codec and channels of each audio stream, and so on.
    pub streams: Vec<String>,
    /// Seconds that were played. In a live stream the playhead is a place in the window, and
    /// falls back whenever that slides on.
    pub shown_s: f64,
    /// Where the playhead was seen furthest.
    pub playhead_s: f64,
    /// Whether it ended by itself; not when it was stopped or found nothing to play.
    pub is_at_end: bool,
}

impl Observed {
    /// Whether there was a picture at all.
    pub fn is_played(&self) -> bool {
        !self.streams.is_empty() && self.shown_s > 0.0
    }
}

/// A Kodi that is running.
pub struct Kodi {
    process: Process,
    _sound: Process,
    screen: Process,
    socket: TcpStream,
    messages: Messages,
    home: PathBuf,
    questions: u64,
    /// Set by its announcement of an end: whether it was the stream's.
    stopped: Option<bool>,
}

/// Answers and announcements, one JSON object after another.
type Messages =
    serde_json::StreamDeserializer<'static, serde_json::de::IoRead<BufReader<TcpStream>>, Value>;

impl Kodi {
    /// Starts it with a home of its own in `directory`.
    pub fn start(directory: &Path) -> Self {
        let home = directory.join("kodi-home");
        let port = free_port();
        furnish(&home, port);
        let screen = start_screen(directory);
        let display = eventually("Xvfb names its display", START_LIMIT, || {
            screen.log().lines().find_map(|line| line.trim().parse::<u32>().ok())
        });
        let sound_path = home.join("sound");
        let sound = start_sound(directory, &home, &sound_path);
        eventually("PulseAudio listens", START_LIMIT, || sound_path.exists().then_some(()));

        // Debian's `kodi` is a script that starts it anew after a crash.
        let program = format!("/usr/lib/{}-linux-gnu/kodi/kodi.bin", std::env::consts::ARCH);
        let mut command = unprivileged(Path::new(&program));
        command.arg("--windowing=x11").current_dir(&home);
        command.env("HOME", &home).env("XDG_RUNTIME_DIR", &home).env("LANG", "C.UTF-8");
        command.env("DISPLAY", format!(":{display}")).env("KODI_AE_SINK", "PULSE");
        command.env("PULSE_SERVER", format!("unix:{}", sound_path.display()));
        // It draws as often as it can; one thread is enough for what nobody looks at.
        command.env("LP_NUM_THREADS", "1");
        let mut process = Process::start("kodi", directory, &mut command);
        let socket = eventually("Kodi listens", START_LIMIT, || {
            assert!(process.ended().is_none(), "Kodi ended: {}", process.log());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        socket.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
        let reader = BufReader::new(socket.try_clone().unwrap());
        let messages = serde_json::Deserializer::from_reader(reader).into_iter();
        let (questions, stopped) = (0, None);
        Self { process, _sound: sound, screen, socket, messages, home, questions, stopped }
    }

    /// Plays `url`, and gives up after `limit`.
    pub fn play(
        &mut self,
        url: &str,
        reader: Reader,
        mut watch: Watch,
        limit: Duration,
    ) -> Observed {
        let item = match reader {
            Reader::BuiltIn => url.to_owned(),
            Reader::Adaptive => self.shortcut(url),
        };
        self.stopped = None;
        let opened = self.ask("Player.Open", json!({"item": {"file": item}}));
        if opened["result"] != "OK" {
            return Observed::default();
        }
        let end = Instant::now() + limit;
        let mut seen = Observed::default();
        let mut last_s = None;
        eventually(&format!("Kodi ({reader:?}) is done with {url}"), limit + ANSWER_LIMIT, || {
            if let Some(now) = self.look() {
                // While it closes a stream it says 0 of everything that has been.
                seen.duration_s = seen.duration_s.max(now.duration_s);
                seen.playhead_s = seen.playhead_s.max(now.playhead_s);
                let step_s = now.playhead_s - last_s.unwrap_or(now.playhead_s);
                seen.shown_s += if step_s < JUMP_S { step_s.max(0.0) } else { 0.0 };
                last_s = Some(now.playhead_s);
                seen.streams = now.streams;
            }
            match watch {
                Watch::Ends(first_s, last_s) if seen.shown_s >= f64::from(first_s) => {
                    self.skip_to(seen.duration_s - f64::from(last_s));
                    watch = Watch::Whole;
                }
                Watch::Some(wanted_s) if seen.shown_s >= f64::from(wanted_s) => {
                    self.stop();
                    watch = Watch::Whole;
                }
                _ if Instant::now() > end => self.stop(),
                _ => {}
            }
            self.stopped
        });
        eventually("Kodi is idle again", ANSWER_LIMIT, || {
            let active = self.ask("Player.GetActivePlayers", json!({}));
            active["result"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
        seen.is_at_end = self.stopped == Some(true);
        seen
    }

    fn stop(&mut self) {
        self.ask("Player.Stop", json!({"playerid": VIDEO_PLAYER}));
    }

    fn skip_to(&mut self, to_s: f64) {
        let (minutes, seconds) = ((to_s / 60.0) as u32, (to_s % 60.0) as u32);
        let time = json!({"hours": 0, "minutes": minutes, "seconds": seconds, "milliseconds": 0});
        self.ask("Player.Seek", json!({"playerid": VIDEO_PLAYER, "value": {"time": time}}));
    }

    /// A file that Kodi opens in place of `url` to have the add-on play it.
    fn shortcut(&self, url: &str) -> String {
        let path = self.home.join("shortcut.strm");
        let text = format!(
            "#KODIPROP:inputstream=inputstream.adaptive\n\
             #KODIPROP:inputstream.adaptive.manifest_type=hls\n\
             #KODIPROP:mimetype=application/vnd.apple.mpegurl\n{url}\n"
        );
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// What is being played, once there is a picture.
    fn look(&mut self) -> Option<Observed> {
        let wanted = ["time", "totaltime", "videostreams", "audiostreams", "subtitles"];
        let question = json!({"playerid": VIDEO_PLAYER, "properties": wanted});
        let answer = self.ask("Player.GetProperties", question);
        let result = answer.get("result")?;
        let streams = streams(result);
        // An empty answer is that of a player just opening or closing.
        (!streams.is_empty()).then(|| Observed {
            duration_s: seconds(&result["totaltime"]),
            playhead_s: seconds(&result["time"]),
            streams,
            ..Observed::default()
        })
    }

    /// Asks, and waits for the answer; notes announcements that come before it.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        assert!(self.process.ended().is_none(), "Kodi ended: {}", self.process.log());
        self.questions += 1;
        let id = self.questions;
        let question = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.socket.write_all(question.to_string().as_bytes()).unwrap();
        loop {
            let message = self.messages.next();
            let message = message.unwrap_or_else(|| panic!("Kodi hung up after {method}"));
            let message = message.unwrap_or_else(|error| panic!("Kodi and {method}: {error}"));
            if message["id"] == id {
                return message;
            }
            if message["method"] == "Player.OnStop" {
                self.stopped = message["params"]["data"]["end"].as_bool();
            }
        }
    }
}

impl Drop for Kodi {
    fn drop(&mut self) {
        self.process.kill();
        self.screen.end(END_LIMIT);
    }
}

/// Kodi's settings: steered from this machine only, and asking nobody on the network for anything.
fn furnish(home: &Path, port: u16) {
    let userdata = home.join(".kodi/userdata");
    fs::create_dir_all(&userdata).unwrap();
    let settings = [
        ("services.esenabled", "true"),
        ("services.esallinterfaces", "false"),
        ("services.esport", &free_port().to_string()),
        ("services.zeroconf", "false"),
        ("services.wsdiscovery", "false"),
        ("services.upnp", "false"),
        ("general.addonupdates", "2"),
        ("screensaver.mode", ""),
    ];
    let lines = settings.map(|(id, value)| format!("<setting id=\"{id}\">{value}</setting>"));
    let text = format!("<settings version=\"2\"><resolutions/>{}</settings>", lines.concat());
    fs::write(userdata.join("guisettings.xml"), text).unwrap();
    let text = format!(
        "<advancedsettings version=\"1.0\"><loglevel>0</loglevel>\
         <jsonrpc><tcpport>{port}</tcpport></jsonrpc></advancedsettings>"
    );
    fs::write(userdata.join("advancedsettings.xml"), text).unwrap();
    hand_over(home);
}

fn start_screen(directory: &Path) -> Process {
    let mut command = unprivileged(&find("Xvfb").unwrap());
    // Its standard output is a log of ours, to which it writes the number of its display.
    command.args(["-displayfd", "1", "-screen", "0", "160x90x24", "-nolisten", "tcp"]);
    Process::start("xvfb", directory, &mut command)
}

fn start_sound(directory: &Path, home: &Path, socket: &Path) -> Process {
    let mut command = unprivileged(&find("pulseaudio").unwrap());
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home).current_dir(home);
    command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]);
    command.args(["--load=module-null-sink", "--load"]);
    command.arg(format!("module-native-protocol-unix socket={}", socket.display()));
    Process::start("pulseaudio", directory, &mut command)
}

fn streams(properties: &Value) -> Vec<String> {
    let all = |kind: &str| properties[kind].as_array().cloned().unwrap_or_default();
    let video = all("videostreams").into_iter().map(|stream| {
        format!("video {} {}x{}", word(&stream["codec"]), stream["width"], stream["height"])
    });
    let audio = all("audiostreams").into_iter().map(|stream| {
        let (codec, language) = (word(&stream["codec"]), word(&stream["language"]));
        format!("audio {codec} {} {language}", stream["channels"])
    });
    let subtitles = all("subtitles").into_iter();
    let subtitles = subtitles.map(|stream| format!("subtitles {}", word(&stream["language"])));
    video.chain(audio).chain(subtitles).collect()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn seconds(time: &Value) -> f64 {
    let part = |name: &str| time[name].as_f64().unwrap_or_default();
    part("hours") * 3600.0 + part("minutes") * 60.0 + part("seconds") + part("milliseconds") / 1e3
}
