//! What the matrix' origin answers: a stream's files, changed as its manner wants it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use url::Url;

use super::kinds::{Kind, Manner};
use super::media::{self, LIVE_S};
use super::origin::Run;

/// Segments of the first window of a live stream, and of every later one but an EVENT's.
const WINDOW: u32 = 4;
/// What the origins that want them want.
pub const REFERER: &str = "http://page.test/watch";
pub const USER_AGENT: &str = "Application/1.0";
pub const CREDENTIALS: &str = "Basic dXNlcjpwYXNz";

/// A request.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// No other follows on the connection.
    pub is_last: bool,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// First and last byte wanted, of a request for one range.
    pub fn range(&self) -> Option<(usize, Option<usize>)> {
        let (first, last) = self.header("range").strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()))
    }
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub length_is_told: bool,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), length_is_told: true }
    }
}

/// Where a request is for.
pub struct Place<'a> {
    pub kind: &'a Kind,
    pub run: u32,
    /// The origin's port, and that of another host.
    pub ports: [u16; 2],
}

/// User name and password as they stand in a URL, where they are wanted.
pub fn user_info(manner: Manner) -> &'static str {
    if manner == Manner::BasicAuth { "user:pass@" } else { "" }
}

/// The name of a stream's first playlist.
pub fn first_name(kind: &Kind) -> String {
    match kind.manner {
        Manner::BarePlaylist => kind.playlist.replace(".m3u8", ""),
        _ => kind.playlist.to_owned(),
    }
}

/// Answers a request for `name` in a run's directory.
pub fn serve(asked: &Asked, name: &str, place: &Place<'_>, run: &mut Run) -> Reply {
    let is_first = name == first_name(place.kind);
    if let Some(refusal) = refuse(asked, place, is_first) {
        return refusal;
    }
    if place.kind.manner == Manner::ChannelList && is_first {
        let text = format!(
            "#EXTM3U url-tvg=\"http://guide.test/\"\n\
             #EXTINF:-1 tvg-logo=\"http://logo.test/a.png\",One, and only\n\
             http://127.0.0.1:{}/r{}/index.m3u8\n",
            place.ports[0], place.run
        );
        return Reply { body: text.into_bytes(), ..typed("audio/x-mpegurl") };
    }
    if place.kind.manner == Manner::Redirects && !asked.query.contains("moved") {
        let [_, other] = place.ports;
        let to = format!("http://127.0.0.1:{other}/r{}/{name}?moved", place.run);
        return Reply { headers: vec![("Location", to)], ..Reply::status(302) };
    }
    let manner = place.kind.manner;
    let on_disk = on_disk(name, manner);
    if on_disk.ends_with(".m3u8") {
        return playlist(&on_disk, place, run);
    }
    let is_segment = [".ts", ".m4s"].iter().any(|extension| on_disk.ends_with(extension));
    if is_segment {
        run.began.get_or_insert_with(Instant::now);
        if manner == Manner::Retry && run.asked.insert(on_disk.clone()) {
            return Reply::status(503);
        }
    }
    let path = media::directory().join(place.kind.folder).join(&on_disk);
    let Ok(body) = fs::read(path) else { return Reply::status(404) };
    let kind = match on_disk.rsplit('.').next() {
        _ if manner == Manner::Bare => "application/octet-stream",
        _ if manner == Manner::Pictures => "image/jpeg",
        Some("ts") => "video/mp2t",
        Some("vtt") => "text/vtt",
        Some("bin") => "application/octet-stream",
        _ => "video/mp4",
    };
    Reply { body, length_is_told: manner != Manner::Chunked, ..typed(kind) }
}

fn typed(content_type: &str) -> Reply {
    Reply { headers: vec![("Content-Type", content_type.to_owned())], ..Reply::status(200) }
}

fn refuse(asked: &Asked, place: &Place<'_>, is_first: bool) -> Option<Reply> {
    let is_welcome = match place.kind.manner {
        Manner::Tokens => is_first || asked.query.starts_with("token="),
        Manner::Cookies => is_first || asked.header("cookie").contains(&cookie(place)),
        Manner::Referer => asked.header("referer") == REFERER,
        Manner::UserAgent => asked.header("user-agent") == USER_AGENT,
        Manner::BasicAuth if asked.header("authorization") != CREDENTIALS => {
            let ask = ("WWW-Authenticate", "Basic realm=\"films\"".to_owned());
            return Some(Reply { headers: vec![ask], ..Reply::status(401) });
        }
        _ => true,
    };
    (!is_welcome).then(|| Reply::status(403))
}

fn cookie(place: &Place<'_>) -> String {
    format!("session=run-{}", place.run)
}

/// The cookie that everything of a URL's run wants.
pub fn cookie_for(url: &Url) -> String {
    let run = url.path_segments().and_then(|mut parts| parts.next()).unwrap_or_default();
    format!("session=run-{}", run.trim_start_matches('r'))
}

/// The file for a name that the origin has given out.
fn on_disk(name: &str, manner: Manner) -> String {
    match manner {
        Manner::Pictures => name.replace(".jpg", ".ts"),
        Manner::BarePlaylist if name == "index" => "index.m3u8".to_owned(),
        Manner::Bare => name.replace("-ts", ".ts").replace("-m4s", ".m4s").replace("-vtt", ".vtt"),
        _ => name.to_owned(),
    }
}

fn playlist(name: &str, place: &Place<'_>, run: &mut Run) -> Reply {
    let path = media::directory().join(place.kind.folder).join(name);
    let Ok(text) = fs::read_to_string(path) else { return Reply::status(404) };
    run.editions += 1;
    let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let base = format!("//127.0.0.1:{}/r{}/{folder}", place.ports[0], place.run);
    let each = |change: &dyn Fn(&str) -> String| {
        let line = |line: &str| {
            if line.starts_with('#') || line.is_empty() { line.to_owned() } else { change(line) }
        };
        text.lines().map(|text| line(text) + "\n").collect::<String>()
    };
    let text = match place.kind.manner {
        Manner::Tokens => each(&|uri| format!("{uri}?token={}", run.editions)),
        Manner::Pictures => each(&|uri| uri.replace(".ts", ".jpg")),
        Manner::Bare => {
            let bare = |uri: &str| uri.replace(".ts", "-ts").replace(".m4s", "-m4s");
            each(&|uri| bare(uri).replace(".vtt", "-vtt"))
        }
        Manner::Slashes => each(&|uri| format!("{base}{uri}")),
        Manner::Define => each(&|uri| uri.replace('s', "{$name}").replace(".t{$name}", ".ts"))
            .replacen('\n', "\n#EXT-X-DEFINE:NAME=\"name\",VALUE=\"s\"\n", 1)
            .replace("VERSION:3", "VERSION:8"),
        Manner::Live | Manner::Event => window(&text, place.kind.manner, run.began),
        _ => text,
    };
    let kind = match place.kind.manner {
        Manner::BarePlaylist => "text/plain",
        _ => "application/vnd.apple.mpegurl",
    };
    let mut reply = typed(kind);
    reply.headers.push(("Cache-Control", "no-cache".to_owned()));
    reply.body = match place.kind.manner {
        Manner::Mark => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        Manner::Gzip => {
            reply.headers.push(("Content-Encoding", "gzip".to_owned()));
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        _ => text.into_bytes(),
    };
    if place.kind.manner == Manner::Cookies && name == place.kind.playlist {
        reply.headers.push(("Set-Cookie", format!("{}; Path=/r{}/", cookie(place), place.run)));
    }
    reply.length_is_told = place.kind.manner != Manner::Chunked;
    reply
}

/// What there is of a live stream by now: it moves on by a segment each second from the first
/// request for one.
fn window(text: &str, manner: Manner, began: Option<Instant>) -> String {
    let elapsed_s = began.map_or(0, |began| began.elapsed().as_secs()) as u32;
    let last = (WINDOW + elapsed_s).min(LIVE_S);
    let first = if manner == Manner::Event { 0 } else { last.saturating_sub(WINDOW + 1) };
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    if manner == Manner::Event {
        out += "#EXT-X-PLAYLIST-TYPE:EVENT\n";
    }
    let names: Vec<_> = text.lines().filter(|line| line.ends_with(".ts")).collect();
    for name in &names[first as usize..last as usize] {
        out += &format!("#EXTINF:1.0,\n{name}\n");
    }
    if last == LIVE_S {
        out += "#EXT-X-ENDLIST\n";
    }
    out
}
