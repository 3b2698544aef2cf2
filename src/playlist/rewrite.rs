//! A playlist with every URI in it leading back to this daemon.
//!
//! Only the bytes of URIs change, and definitions that speak of the playlist's own URL: order,
//! comments, unknown tags and line endings stay. It hides no segments. A URI with a variable that
//! is not defined stays as it is. `http/playlist` drives it.

use std::collections::BTreeSet;
use std::fmt::Write;
use url::Url;

use super::define::{self, Definitions};
use super::lines::{self, UriKind, UriSpan};
use super::proxy_url::{self, Suffix, URL_BYTES_MAX};
use super::{NotAPlaylist, parse};

/// Most bytes of URLs in one rewritten playlist: many short references to one long base multiply.
pub const REWRITTEN_BYTES_MAX: usize = 4 * super::PLAYLIST_BYTES_MAX;

/// Most URIs in one playlist: a channel list of 10 MiB, or a day of parts, has fewer.
pub const URIS_MAX: usize = 400_000;

/// Extensions that players accept for a segment; others get a marked suffix.
const SEGMENT_EXTENSIONS: [&str; 12] =
    ["ts", "m4s", "mp4", "aac", "mp3", "ac3", "ec3", "vtt", "webvtt", "m4a", "cmfv", "cmfa"];

/// Extensions that players accept for a playlist.
const PLAYLIST_EXTENSIONS: [&str; 2] = ["m3u8", "m3u"];

/// What a rewritten playlist depends on besides its text.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where the playlist finally came from, after redirects.
    pub base: &'a Url,
    /// Variables of the multivariant playlist that led to it.
    pub imported: &'a Definitions,
    /// What every path begins with: nothing, or `/` and the path of a player's session.
    pub prefix: &'a str,
    /// The host by which the player reaches this daemon. Paths are enough for most URIs, but the
    /// assets of interstitials are absolute by the specification, programs that read channel
    /// lists know no others, and Kodi's inputstream.adaptive 20 takes the path of a key for a URL;
    /// without a host these are paths too.
    pub host: Option<&'a str>,
    /// What its segments are, where that was found out.
    pub segments: Option<Suffix>,
}

/// The checked playlist `text` with local paths for its URIs.
///
/// The paths begin with `/`, so they are valid under whatever host and form of URL the player
/// used to reach this daemon.
pub fn rewrite(text: &str, context: &Context<'_>) -> Result<String, NotAPlaylist> {
    rewrite_channels(text, context, |_| None)
}

/// The same, where URIs may have a prefix of their own: what is found by where they begin.
pub fn rewrite_channels<'a>(
    text: &str,
    context: &Context<'a>,
    prefix_at: impl Fn(usize) -> Option<&'a str>,
) -> Result<String, NotAPlaylist> {
    let Context { base, imported, prefix, host, segments } = *context;
    let definitions = define::definitions(text, base, imported);
    let (mut has_init, mut uris, mut url_bytes) = (false, 0, 0);
    let lists = asset_lists(text);
    splice(text, |uri, start, kind| {
        // What is to be loaded ahead has to be called as where it is used.
        let kind = if lists.contains(uri) { UriKind::AssetList } else { kind };
        if kind == UriKind::QueryParameter {
            return Ok(named_value(uri, base));
        }
        uris += 1;
        if uris > URIS_MAX {
            return Err(NotAPlaylist::RewritesTooLarge);
        }
        has_init |= kind == UriKind::Init;
        let Some(url) = target(base, uri, kind, &definitions) else { return Ok(None) };
        let host = host.filter(|_| needs_host(kind));
        let scheme = host.map_or("", |_| "http://");
        let otherwise = if has_init { Suffix::M4s } else { segments.unwrap_or(Suffix::Ts) };
        let path = proxy_url::local_path(&url, suffix(&url, kind, otherwise));
        let prefix = prefix_at(start).unwrap_or(prefix);
        let local = [scheme, host.unwrap_or_default(), prefix, &path].concat();
        url_bytes += local.len();
        if url_bytes > REWRITTEN_BYTES_MAX {
            return Err(NotAPlaylist::RewritesTooLarge);
        }
        // A path that we would refuse ourselves is no help to the player.
        Ok((local.len() <= URL_BYTES_MAX).then_some(local))
    })
}

fn asset_lists(text: &str) -> BTreeSet<&str> {
    let lists = lines::uris(text).filter(|uri| uri.kind == UriKind::AssetList);
    lists.map(|uri| &text[uri.range]).collect()
}

fn splice(
    text: &str,
    mut replace: impl FnMut(&str, usize, UriKind) -> Result<Option<String>, NotAPlaylist>,
) -> Result<String, NotAPlaylist> {
    let mut out = String::with_capacity(text.len() * 2);
    let mut copied = 0;
    for UriSpan { range, kind, lacks_quotes } in lines::uris(text) {
        let Some(local) = replace(&text[range.clone()], range.start, kind)? else { continue };
        out.push_str(&text[copied..range.start]);
        if lacks_quotes {
            // Writing to a string cannot fail.
            let _ = write!(out, "\"{local}\"");
        } else {
            out.push_str(&local);
        }
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

fn needs_host(kind: UriKind) -> bool {
    matches!(kind, UriKind::Interstitial | UriKind::AssetList | UriKind::Channel | UriKind::Key)
}

/// What the daemon would fetch for a URI; `None` leaves the URI as it is.
fn target(base: &Url, uri: &str, kind: UriKind, definitions: &Definitions) -> Option<Url> {
    // In channel lists the times of a catch-up request are filled in later.
    if kind == UriKind::QueryParameter || kind == UriKind::Channel && uri.contains('{') {
        return None;
    }
    parse::resolve(base, uri, definitions)
}

/// A definition by `QUERYPARAM="name"` as one that is true whatever the player's URL is. `None`
/// leaves it as it is, also where the value would be read as a reference to a variable.
fn named_value(written: &str, base: &Url) -> Option<String> {
    let name = written.split('"').nth(1)?;
    let value = define::query_value(base, name).filter(|value| !value.contains("{$"))?;
    Some(format!("NAME=\"{name}\",VALUE=\"{value}\""))
}

/// The suffix that a URL needs; `otherwise` is what a segment is whose name players refuse.
fn suffix(url: &Url, kind: UriKind, otherwise: Suffix) -> Option<Suffix> {
    match kind {
        UriKind::Segment | UriKind::Part | UriKind::PreloadHint | UriKind::Prefetch => {
            (!is_accepted_segment(url)).then_some(otherwise)
        }
        UriKind::Variant
        | UriKind::Rendition
        | UriKind::IFramePlaylist
        | UriKind::RenditionReport => {
            (!has_extension(url, &PLAYLIST_EXTENSIONS)).then_some(Suffix::M3u8)
        }
        UriKind::AssetList => Some(Suffix::Assets),
        _ => None,
    }
}

/// Whether players take a URL for one of a segment.
pub fn is_accepted_segment(url: &Url) -> bool {
    has_extension(url, &SEGMENT_EXTENSIONS)
}

fn has_extension(url: &Url, accepted: &[&str]) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    accepted.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests;
