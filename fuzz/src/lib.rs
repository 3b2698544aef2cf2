//! The pure files that the fuzz targets try, and what must hold for every input.
//!
//! The files are compiled here a second time, not taken from the library, so that no socket or
//! crypto code has to be built for it. `tests/fuzz.sh` runs them.

#[path = "../../src/ids.rs"]
pub mod ids;
#[path = "../../src/playlist/mod.rs"]
pub mod playlist;
/// The core's codec alone.
#[path = "../../src/swarm"]
pub mod swarm {
    pub mod wire;
}

use playlist::lines::{self, UriKind, UriSpan};
use playlist::rewrite::{Context, rewrite};
use playlist::{Definitions, Playlist, channels, identity, proxy_url, text, timeline};
use proxy_url::{Suffix, URL_BYTES_MAX};
use url::Url;
use swarm::wire::{self, Decoded, Decoder, Message};

/// A place for playlists to come from.
pub fn base() -> Url {
    Url::parse("https://cdn.example.com:8443/live/p.m3u8?token=a%22b&t=1").expect("a URL")
}

/// Rewriting changes URIs and nothing else, and every URI of ours leads to the origin's.
pub fn check_rewrite(bytes: &[u8]) {
    let Ok(text) = playlist::check(bytes) else { return };
    let base = base();
    let imported = Definitions::default();
    let context = Context { base: &base, imported: &imported, prefix: "/s/1", host: None, segments: None };
    let Ok(ours) = rewrite(&text, &context) else { return };
    assert!(channels::headers(&text).sets.len() <= channels::SETS_MAX);
    let definitions = playlist::definitions(&text, &base, &imported);
    let (mut rest, mut copied) = (ours.as_str(), 0);
    for UriSpan { range, kind, lacks_quotes } in lines::uris(&text) {
        let uri = &text[range.clone()];
        rest = rest.strip_prefix(&text[copied..range.start]).expect("nothing else changes");
        copied = range.end;
        let quotes = if lacks_quotes { "\"" } else { "" };
        let wanted = definitions.substitute(uri).filter(|filled| !filled.is_empty());
        let wanted = wanted.and_then(|filled| proxy_url::resolve(&base, &filled));
        let ours = rest.strip_prefix(quotes).and_then(|ours| ours.strip_prefix("/s/1/http"));
        if let (Some(wanted), Some(after)) = (wanted, ours) {
            let end = |c| {
                matches!(c, '"' | '\r' | '\n' | ' ' | '\t') || c == '|' && kind == UriKind::Channel
            };
            let (found, after) = after.split_at(after.find(end).unwrap_or(after.len()));
            assert_eq!(proxy_url::parse(&format!("/http{found}")), Ok(wanted));
            rest = after.strip_prefix(quotes).expect("closing quotes");
        } else if kind == UriKind::QueryParameter && rest.starts_with("NAME=\"") {
            let (_, value) = rest.split_once("\",VALUE=\"").expect("a value");
            rest = value.split_once('"').expect("closing quotes").1;
        } else {
            rest = rest.strip_prefix(uri).expect("left as it is");
        }
    }
    assert_eq!(rest, &text[copied..]);
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    assert_eq!(text::encode(text.into_owned()), body);
}

/// A timeline is in order and within its limits.
pub fn check_timeline(bytes: &[u8]) {
    let Ok(text) = playlist::check(bytes) else { return };
    match playlist::read(&text, &base(), &Definitions::default()) {
        Ok(Playlist::Media(media)) => {
            assert!(media.segments.len() <= timeline::SEGMENTS_MAX);
            assert!(!media.target_duration.is_zero());
            assert!(media.segments.windows(2).all(|pair| pair[0].id < pair[1].id));
            for segment in &media.segments {
                assert_eq!(media.segment(segment.id), Some(segment));
                assert!(segment.id.0 >= media.wire_base());
                assert!(segment.id.0 <= playlist::MEDIA_SEQUENCE_MAX);
                assert!(segment.range.is_none_or(|r| r.offset.checked_add(r.len).is_some()));
            }
        }
        Ok(Playlist::Multivariant(multivariant)) => {
            let found = identity::g2(&multivariant, &base());
            assert!(found.len() <= multivariant.playlists().count());
        }
        Err(_) => {}
    }
}

/// What is understood is said again, and understood alike; nothing is remembered without limit. A
/// message ends where the input says so, as on a connection.
pub fn check_wire(bytes: &[u8]) {
    let mut decoder = Decoder::new();
    let mut said = Vec::new();
    for message in bytes.split_inclusive(|byte| *byte == b'\n') {
        said.push(decoder.decode(message));
    }
    said.push(Decoder::new().decode(bytes));
    for decoded in said {
        let Decoded::Message(message) = decoded else { continue };
        if let Message::Announcement { loaded, loading } = &message {
            assert!(loaded.len().max(loading.len()) <= wire::ANNOUNCED_IDS_MAX);
            continue;
        }
        let mut again = Decoder::new();
        let frames = wire::encode(&message, 65_535);
        let last = frames.iter().map(|frame| again.decode(frame)).last();
        let Some(Decoded::Message(last)) = last else { panic!("{last:?} for {message:?}") };
        assert_eq!(in_order(last), in_order(message));
    }
}

/// Lists of ids are sets: who encodes them puts those of a group together.
fn in_order(mut message: Message) -> Message {
    match &mut message {
        Message::Holding { chunks, .. } => chunks.sort_unstable(),
        Message::Coming { segments } => segments.sort_unstable_by_key(|(id, hops)| (*hops, *id)),
        _ => {}
    }
    message
}

/// The way there and back is the identity, for targets and for references.
pub fn check_url_codec(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let target = proxy_url::parse(text).or_else(|_| proxy_url::parse(&format!("/https/{text}")));
    for mut url in target.ok().into_iter().chain(proxy_url::resolve(&base(), text)) {
        url.set_fragment(None);
        for suffix in Suffix::ALL.map(Some).into_iter().chain([None]) {
            let path = proxy_url::local_path(&url, suffix);
            if path.len() <= URL_BYTES_MAX {
                assert_eq!(proxy_url::parse(&path), Ok(url.clone()), "{path}");
            }
        }
    }
}
