//! The media of the matrix, made by ffmpeg once per build directory, and read-only from then on.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Length of the films, in segments of one second.
pub const FILM_S: u32 = 6;
/// Length of what live streams show, in segments of one second.
pub const LIVE_S: u32 = 10;
/// Frames of a second of film.
pub const FRAMES_PER_S: u64 = 25;

/// Changes whenever the making below does, so that media of an older checkout are not used.
const EDITION: &str = "5";

/// The directory with the media.
pub fn directory() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("matrix-{EDITION}"));
        if !directory.exists() {
            // Made elsewhere and moved: an interrupted run leaves nothing that looks whole.
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
    let ts = ["-hls_segment_filename", "s%d.ts"];
    film(&root.join("ts"), FILM_S, "200k", &ts);
    film(&root.join("long"), LIVE_S, "200k", &ts);
    film(&root.join("multi/low"), FILM_S, "120k", &ts);
    film(&root.join("multi/high"), FILM_S, "300k", &ts);
    let fmp4 = ["-hls_segment_type", "fmp4", "-hls_segment_filename", "s%d.m4s"];
    film(&root.join("fmp4"), FILM_S, "200k", &fmp4);
    let single = ["-hls_flags", "single_file", "-hls_segment_filename"];
    film(&root.join("range-ts"), FILM_S, "200k", &[&single[..], &["all.ts"]].concat());
    let single_fmp4 = [&["-hls_segment_type", "fmp4"], &single[..], &["all.mp4"]].concat();
    film(&root.join("range-fmp4"), FILM_S, "200k", &single_fmp4);
    let key = "00112233445566778899aabbccddeeff";
    let options =
        format!("encryption_scheme=cenc-aes-ctr:encryption_key={key}:encryption_kid={key}");
    film(
        &root.join("cenc"),
        FILM_S,
        "200k",
        &[&fmp4[..], &["-hls_segment_options", &options]].concat(),
    );
    fs::write(
        root.join("multi/master.m3u8"),
        "#EXTM3U\n\
         #EXT-X-STREAM-INF:BANDWIDTH=220000,RESOLUTION=320x180,CODECS=\"avc1.4d400d,mp4a.40.2\"\n\
         low/index.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=420000,RESOLUTION=320x180,CODECS=\"avc1.4d400d,mp4a.40.2\"\n\
         high/index.m3u8\n",
    )
    .unwrap();
    make_low_latency(root);
    rotate_keys(root);
    protect(root);
    make_alternates(root);
    make_discontinuity(root);
}

/// One fragmented file, whose fragments are the parts of a low-latency stream.
fn make_low_latency(root: &Path) {
    let directory = root.join("low-latency");
    fs::create_dir_all(&directory).unwrap();
    let mut command = encoder(&directory, LIVE_S);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
    command.args(["-pix_fmt", "yuv420p", "-profile:v", "baseline", "-threads", "1", "-bf", "0"]);
    command.args(["-b:v", "200k", "-g", "25", "-keyint_min", "25", "-sc_threshold", "0"]);
    command.args(["-c:a", "aac", "-b:a", "64k", "-ac", "1", "-frag_duration", "200000"]);
    command.args(["-movflags", "+empty_moov+default_base_moof+frag_keyframe", "all.mp4"]);
    run(command);
}

/// A test picture and tone with a key frame every second.
fn film(directory: &Path, length_s: u32, rate: &str, muxing: &[&str]) {
    fs::create_dir_all(directory).unwrap();
    let mut command = encoder(directory, length_s);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]);
    command.args(["-profile:v", "main", "-threads", "1", "-b:v", rate, "-g", "25"]);
    command.args(["-keyint_min", "25", "-sc_threshold", "0", "-flags", "+cgop"]);
    command.args(["-c:a", "aac", "-b:a", "64k", "-ac", "1"]);
    package(command, muxing);
}

fn encoder(directory: &Path, length_s: u32) -> Command {
    let mut command = Command::new("ffmpeg");
    command.current_dir(directory).args(["-nostdin", "-hide_banner", "-v", "error", "-y"]);
    for source in ["testsrc2=size=320x180:rate=25", "sine=frequency=330:sample_rate=48000"] {
        command.args(["-f", "lavfi", "-i", source]);
    }
    command.args(["-t", &length_s.to_string()]);
    command
}

fn package(mut command: Command, muxing: &[&str]) {
    command.args(["-f", "hls", "-hls_time", "1", "-hls_list_size", "0"]);
    command.args(["-hls_playlist_type", "vod"]).args(muxing).arg("index.m3u8");
    run(command);
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// AES-128 with a new key every second segment; the initialisation vector is explicit for the
/// first key, and the media sequence number for the others (RFC 8216, 5.2).
fn rotate_keys(root: &Path) {
    let directory = root.join("aes");
    fs::create_dir_all(&directory).unwrap();
    let mut text = playlist_head(7);
    for segment in 0..FILM_S {
        let key = segment / 2;
        let bytes: Vec<u8> = (0..16).map(|at| at * 7 + key as u8).collect();
        fs::write(directory.join(format!("key{key}.bin")), &bytes).unwrap();
        let is_explicit = key == 0;
        let vector = if is_explicit { 0xfeed } else { u128::from(7 + segment) };
        if segment % 2 == 0 {
            let explicit = if is_explicit { format!(",IV=0x{vector:032x}") } else { String::new() };
            writeln!(text, "#EXT-X-KEY:METHOD=AES-128,URI=\"key{key}.bin\"{explicit}").unwrap();
        }
        writeln!(text, "#EXTINF:1.0,\ns{segment}.ts").unwrap();
        let mut command = Command::new("openssl");
        command.args(["enc", "-aes-128-cbc", "-K", &hex(&bytes), "-iv", &format!("{vector:032x}")]);
        command.arg("-in").arg(root.join(format!("ts/s{segment}.ts")));
        command.arg("-out").arg(directory.join(format!("s{segment}.ts")));
        run(command);
    }
    fs::write(directory.join("index.m3u8"), text + "#EXT-X-ENDLIST\n").unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn playlist_head(sequence: u32) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n"
    )
}

/// The keys of common encryption, by which players without a licence server cannot play.
fn protect(root: &Path) {
    let path = root.join("cenc/index.m3u8");
    let text = fs::read_to_string(&path).unwrap();
    let keys = "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,KEYFORMAT=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-\
         27dcd51d21ed\",KEYFORMATVERSIONS=\"1\",URI=\"data:text/plain;base64,AAAA\"\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,KEYFORMAT=\"com.apple.streamingkeydelivery\",\
         KEYFORMATVERSIONS=\"1\",URI=\"skd://key\"\n#EXTINF:";
    fs::write(path, text.replacen("#EXTINF:", keys, 1)).unwrap();
}

/// Picture without sound, two sound tracks of packed AAC, subtitles of two languages.
fn make_alternates(root: &Path) {
    let directory = root.join("alternates");
    let video = directory.join("video");
    fs::create_dir_all(&video).unwrap();
    let mut command = encoder(&video, FILM_S);
    command.args(["-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt"]);
    command.args(["yuv420p", "-profile:v", "main", "-threads", "1", "-b:v", "200k", "-g", "25"]);
    command.args(["-keyint_min", "25", "-sc_threshold", "0", "-flags", "+cgop"]);
    package(command, &["-hls_segment_filename", "s%d.ts"]);
    for language in ["en", "de"] {
        let sound = directory.join(language);
        fs::create_dir_all(&sound).unwrap();
        let mut command = encoder(&sound, FILM_S);
        command.args(["-map", "1:a", "-c:a", "aac", "-b:a", "64k", "-ac", "1"]);
        package(command, &["-hls_segment_filename", "s%d.ts"]);
        let words = directory.join(format!("words-{language}"));
        fs::create_dir_all(&words).unwrap();
        let mut text = playlist_head(0);
        for second in 0..FILM_S {
            writeln!(text, "#EXTINF:1.0,\ns{second}.vtt").unwrap();
            let cue = format!(
                "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n\n\
                 00:00:0{second}.000 --> 00:00:0{second}.900\n{language} {second}\n"
            );
            fs::write(words.join(format!("s{second}.vtt")), cue).unwrap();
        }
        fs::write(words.join("index.m3u8"), text + "#EXT-X-ENDLIST\n").unwrap();
    }
    let media = |kind: &str, language: &str, folder: &str, default: &str| {
        format!(
            "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{kind}\",NAME=\"{language}\",\
             LANGUAGE=\"{language}\",DEFAULT={default},AUTOSELECT=YES,\
             URI=\"{folder}/index.m3u8\"\n"
        )
    };
    let text = format!(
        "#EXTM3U\n{}{}{}{}#EXT-X-STREAM-INF:BANDWIDTH=400000,RESOLUTION=320x180,\
         CODECS=\"avc1.4d400d,mp4a.40.2\",AUDIO=\"AUDIO\",SUBTITLES=\"SUBTITLES\"\n\
         video/index.m3u8\n",
        media("AUDIO", "en", "en", "YES"),
        media("AUDIO", "de", "de", "NO"),
        media("SUBTITLES", "en", "words-en", "NO"),
        media("SUBTITLES", "de", "words-de", "NO"),
    );
    fs::write(directory.join("master.m3u8"), text).unwrap();
}

/// Three segments of one film and three of another encoding, with the time of day of each.
fn make_discontinuity(root: &Path) {
    let directory = root.join("discontinuity");
    fs::create_dir_all(&directory).unwrap();
    let mut text = playlist_head(0);
    for segment in 0..FILM_S {
        let (source, number) =
            if segment < 3 { ("ts", segment) } else { ("multi/low", segment - 3) };
        if segment == 3 {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if segment % 3 == 0 {
            writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:0{segment}.000Z").unwrap();
        }
        writeln!(text, "#EXTINF:1.0,\ns{segment}.ts").unwrap();
        let from = root.join(source).join(format!("s{number}.ts"));
        fs::copy(from, directory.join(format!("s{segment}.ts"))).unwrap();
    }
    fs::write(directory.join("index.m3u8"), text + "#EXT-X-ENDLIST\n").unwrap();
}
