//! Playlists: what is one, what is in it, and how its URIs are led through this daemon.
//!
//! Pure: text and URLs in, text and models out. Nothing here fetches a playlist, remembers an
//! earlier one or decides when to reload. `http/playlist` drives [`check`] and
//! [`rewrite::rewrite`], the stream actor reads the [`Timeline`] that [`read`] makes.

pub mod asset_list;
pub mod channels;
pub mod define;
pub mod hold_back;
pub mod identity;
pub mod lines;
pub mod membership;
mod normalise;
pub mod parse;
pub mod parts;
pub mod proxy_url;
pub mod quality;
pub mod rewrite;
pub mod rules;
pub mod sniff;
pub mod steering;
pub mod template;
pub mod text;
pub mod timeline;

use std::borrow::Cow;
use url::Url;

pub use define::{Definitions, definitions};
pub use parse::{Multivariant, Rendition, RenditionKind, Variant};
pub use parts::{Extent, Part};
pub use timeline::{Segment, Timeline};

/// Largest playlist that is looked at: a day of two-second segments with long tokens fits.
pub const PLAYLIST_BYTES_MAX: usize = 10 << 20;

/// Largest media sequence number: the largest integer a browser counts exactly.
pub const MEDIA_SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// A playlist that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// The list of variants and renditions.
    Multivariant(Multivariant),
    /// The segments of one rendition.
    Media(Timeline),
}

/// Why a text is not treated as an HLS playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlaylist {
    /// No bytes at all.
    #[error("the playlist is empty")]
    Empty,
    /// More than [`PLAYLIST_BYTES_MAX`].
    #[error("the playlist is larger than {} MiB", PLAYLIST_BYTES_MAX >> 20)]
    TooLarge,
    /// A web page, most often a login or error page.
    #[error("this looks like a web page, not a playlist")]
    LooksLikeHtml,
    /// It does not begin with `#EXTM3U`.
    #[error("the playlist does not begin with #EXTM3U")]
    NoHeader,
    /// Binary data, or UTF-16.
    #[error("the playlist contains a NUL byte")]
    NulByte,
    /// More than [`text::FOREIGN_BYTES_MAX`] in it is not UTF-8.
    #[error("the playlist is not UTF-8 text")]
    NotUtf8,
    /// Rewriting would pass [`rewrite::REWRITTEN_BYTES_MAX`].
    #[error("the URLs in the playlist are too many and too long to rewrite")]
    RewritesTooLarge,
    /// A list of channels (IPTV), each a stream of its own.
    #[error("this is a list of channels, not an HLS playlist")]
    ChannelList,
    /// More than [`timeline::SEGMENTS_MAX`], or URLs beyond [`timeline::URL_BYTES_TOTAL_MAX`].
    #[error("the playlist has too many segments")]
    TooManySegments,
    /// A media sequence number beyond [`MEDIA_SEQUENCE_MAX`].
    #[error("the playlist's media sequence number is out of range")]
    SequenceTooLarge,
}

/// The text of a playlist without its byte order mark (illegal but seen; players choke on it).
///
/// Allowed is text that begins with `#EXTM3U` and has no NUL; other control characters, any line
/// ending and any line length pass. Of bytes that are not UTF-8, [`text::encode`] gets them back.
pub fn check(bytes: &[u8]) -> Result<Cow<'_, str>, NotAPlaylist> {
    if bytes.len() > PLAYLIST_BYTES_MAX {
        return Err(NotAPlaylist::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(NotAPlaylist::Empty);
    }
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err(NotAPlaylist::LooksLikeHtml);
    }
    if bytes.contains(&0) {
        return Err(NotAPlaylist::NulByte);
    }
    if !bytes.starts_with(b"#EXTM3U") {
        return Err(NotAPlaylist::NoHeader);
    }
    text::decode(bytes).ok_or(NotAPlaylist::NotUtf8)
}

/// Understands a checked playlist; `base` is the URL it finally came from, after redirects, and
/// `imported` are the variables of the multivariant playlist that led to it.
pub fn read(text: &str, base: &Url, imported: &Definitions) -> Result<Playlist, NotAPlaylist> {
    let form = lines::form(text);
    if form == lines::Form::ChannelList {
        return Err(NotAPlaylist::ChannelList);
    }
    let definitions = definitions(text, base, imported);
    match form {
        lines::Form::Media => timeline::timeline(text, base, &definitions).map(Playlist::Media),
        _ => Ok(Playlist::Multivariant(parse::multivariant(text, base, definitions))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_a_text_is_not_a_playlist() {
        let cases: [(&[u8], NotAPlaylist); 7] = [
            (b"", NotAPlaylist::Empty),
            (b"\xef\xbb\xbf", NotAPlaylist::Empty),
            (b"\n <!doctype html>", NotAPlaylist::LooksLikeHtml),
            (b"<html>\0", NotAPlaylist::LooksLikeHtml),
            (b"404 not found", NotAPlaylist::NoHeader),
            (b"#EXTM3U\n\0", NotAPlaylist::NulByte),
            (b"\xff\xfe#\0E\0", NotAPlaylist::NulByte),
        ];
        for (bytes, why) in cases {
            assert_eq!(check(bytes), Err(why), "{bytes:?}");
        }
        assert_eq!(check(&vec![b'#'; PLAYLIST_BYTES_MAX + 1]), Err(NotAPlaylist::TooLarge));
        let binary = [b"#EXTM3U\n", [0xFF; text::FOREIGN_BYTES_MAX + 1].as_slice()].concat();
        assert_eq!(check(&binary), Err(NotAPlaylist::NotUtf8));
    }

    #[test]
    fn takes_the_byte_order_mark_off() {
        assert_eq!(check(b"\xef\xbb\xbf#EXTM3U\r\n"), Ok(Cow::Borrowed("#EXTM3U\r\n")));
    }

    #[test]
    fn a_channel_list_has_no_timeline() {
        let base = Url::parse("https://tv.example/list.m3u").unwrap();
        let text = "#EXTM3U url-tvg=\"x\"\n#EXTINF:-1 tvg-id=\"a\",A, B\nhttp://tv.example/a\n";
        assert_eq!(read(text, &base, &Definitions::default()), Err(NotAPlaylist::ChannelList));
    }

    #[test]
    fn an_empty_playlist_is_legal() {
        let base = Url::parse("https://tv.example/live.m3u8").unwrap();
        let text = "#EXTM3U\n#EXT-X-VERSION:3\n";
        let Ok(Playlist::Media(timeline)) = read(text, &base, &Definitions::default()) else {
            panic!("must be a media playlist");
        };
        assert!(timeline.segments.is_empty() && !timeline.is_ended);
    }
}
