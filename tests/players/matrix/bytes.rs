//! A stream fetched as a program would, playlist by playlist and file by file: what comes through
//! the daemon is compared with what the origin sends.

use std::collections::BTreeSet;

use hlswarm::playlist::lines::{self, UriKind};
use url::Url;

use super::Daemon;
use super::kinds::{Kind, Manner};
use super::origin::Origin;
use super::serve;
use crate::http::{self, Answer};

/// Follows every URI of a stream in both ways.
pub fn compare(kind: &Kind, origin: &Origin, daemon: &Daemon) {
    let (_, url) = origin.run(kind);
    let direct = Url::parse(&url).unwrap();
    let through = Url::parse(&daemon.url(kind, &url)).unwrap();
    let mut seen = BTreeSet::new();
    let files = follow(kind, &direct, &through, &mut seen);
    assert!(files > 0, "{}: no file was compared", kind.name);
}

fn follow(kind: &Kind, direct: &Url, through: &Url, seen: &mut BTreeSet<String>) -> usize {
    let (direct, original) = fetch(kind, direct.clone(), true);
    let (through, ours) = fetch(kind, through.clone(), false);
    let name = format!("{}: {direct}", kind.name);
    assert_eq!((ours.status, original.status), (200, 200), "{name}");
    let texts = [&original, &ours].map(playlist_text);
    let [Some(original_text), Some(our_text)] = texts else {
        assert!(ours.body == original.body, "{name}: other bytes than the origin's");
        return 1;
    };
    let uris = |text: &str| -> Vec<_> {
        let uris = lines::uris(text).filter(|uri| uri.kind != UriKind::QueryParameter);
        uris.map(|uri| text[uri.range].to_owned()).collect()
    };
    let (theirs, ours) = (uris(&original_text), uris(&our_text));
    // A live playlist moves on between the two.
    assert!(kind.is_live() || theirs.len() == ours.len(), "{name}: {theirs:?} {ours:?}");
    let mut files = 0;
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let theirs = direct.join(&theirs.replace("{$name}", "s")).unwrap();
        let ours = through.join(ours).unwrap();
        if theirs.scheme() == "http" && seen.insert(theirs.to_string()) {
            files += follow(kind, &theirs, &ours, seen);
        }
    }
    files
}

/// Gets a URL, over redirects, again where the origin fails on purpose.
fn fetch(kind: &Kind, mut url: Url, is_direct: bool) -> (Url, Answer) {
    for _ in 0..5 {
        let cookie = serve::cookie_for(&url);
        let headers: &[(&str, &str)] = match kind.manner {
            Manner::Referer if is_direct => &[("Referer", serve::REFERER)],
            Manner::UserAgent if is_direct => &[("User-Agent", serve::USER_AGENT)],
            Manner::BasicAuth if is_direct => &[("Authorization", serve::CREDENTIALS)],
            Manner::Cookies if is_direct => &[("Cookie", &cookie)],
            _ => &[],
        };
        let answer = http::get_with(url.as_str(), headers).unwrap();
        match (answer.status, answer.header("location")) {
            (302, Some(to)) => url = url.join(to).unwrap(),
            (503, _) if is_direct => {}
            _ => return (url, answer),
        }
    }
    panic!("{url}: never answered");
}

fn playlist_text(answer: &Answer) -> Option<String> {
    let body = match answer.header("content-encoding") {
        Some("gzip") => {
            let mut text = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
            std::io::Read::read_to_end(&mut decoder, &mut text).unwrap();
            text
        }
        _ => answer.body.clone(),
    };
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    body.starts_with(b"#EXTM3U").then(|| String::from_utf8(body.to_vec()).unwrap())
}
