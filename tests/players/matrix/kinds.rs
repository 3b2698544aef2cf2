//! The kinds of streams: what each is made of and what its origin wants or does.

use super::media::{FILM_S, FRAMES_PER_S, LIVE_S};

/// What an origin does to the media that lie in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Serves them.
    Plain,
    /// Puts a new token into every URI at every playlist; without one it refuses.
    Tokens,
    /// Sets a cookie with the first playlist and wants it for everything else.
    Cookies,
    /// Wants to be referred to by its own page.
    Referer,
    /// Wants its own application's name.
    UserAgent,
    /// Wants name and password.
    BasicAuth,
    /// Answers with a redirect to another host, for playlists and segments.
    Redirects,
    /// Segments are named as pictures.
    Pictures,
    /// Segments have no extension.
    Bare,
    /// The playlist has no extension and is called plain text.
    BarePlaylist,
    /// Playlists are compressed, whether asked for or not.
    Gzip,
    /// Playlists begin with a byte order mark.
    Mark,
    /// URIs have a host and no scheme.
    Slashes,
    /// URIs are made of a variable.
    Define,
    /// The first request for each segment fails.
    Retry,
    /// No answer has a length.
    Chunked,
    /// A list with one channel.
    ChannelList,
    /// A window that slides by a segment each second, and ends.
    Live,
    /// A list that grows by a segment each second, and ends.
    Event,
    /// A low-latency origin of its own: parts each fifth of a second, and blocking reload.
    LowLatency,
}

/// A stream of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What to call it in the table.
    pub name: &'static str,
    /// Where its media lie.
    pub folder: &'static str,
    /// The playlist to open.
    pub playlist: &'static str,
    /// What its origin does.
    pub manner: Manner,
}

impl Kind {
    /// Whether time passes in it.
    pub fn is_live(&self) -> bool {
        matches!(self.manner, Manner::Live | Manner::Event | Manner::LowLatency)
    }

    /// Whether what keeps players from playing it directly is what the daemon makes good.
    pub fn is_healed(&self) -> bool {
        let by_origin = [
            Manner::Cookies,
            Manner::Referer,
            Manner::UserAgent,
            Manner::BasicAuth,
            Manner::Redirects,
            Manner::Retry,
        ];
        let by_playlist = [
            Manner::Pictures,
            Manner::Bare,
            Manner::BarePlaylist,
            Manner::Gzip,
            Manner::Mark,
            Manner::Slashes,
            Manner::Define,
        ];
        by_origin.contains(&self.manner) || by_playlist.contains(&self.manner)
    }

    /// Frames a player shows that shows everything; of a live stream at least.
    pub fn frames(&self) -> u64 {
        // A player of a live stream may begin with any segment of the first window.
        let seconds = if self.is_live() { LIVE_S - 4 } else { FILM_S };
        FRAMES_PER_S * u64::from(seconds)
    }
}

/// Every stream of the matrix.
pub const KINDS: &[Kind] = &[
    kind("MPEG-TS", "ts", "index.m3u8", Manner::Plain),
    kind("several variants", "multi", "master.m3u8", Manner::Plain),
    kind("fMP4", "fmp4", "index.m3u8", Manner::Plain),
    kind("byte ranges of one MPEG-TS file", "range-ts", "index.m3u8", Manner::Plain),
    kind("byte ranges of one fMP4 file", "range-fmp4", "index.m3u8", Manner::Plain),
    kind("AES-128, keys rotate", "aes", "index.m3u8", Manner::Plain),
    kind("common encryption (no licence)", "cenc", "index.m3u8", Manner::Plain),
    kind("sound and subtitle renditions", "alternates", "master.m3u8", Manner::Plain),
    kind("discontinuity, program date time", "discontinuity", "index.m3u8", Manner::Plain),
    kind("live, sliding window", "long", "index.m3u8", Manner::Live),
    kind("live, EVENT", "long", "index.m3u8", Manner::Event),
    kind("live, low latency", "low-latency", "master.m3u8", Manner::LowLatency),
    kind("tokens that change", "ts", "index.m3u8", Manner::Tokens),
    kind("cookies", "multi", "master.m3u8", Manner::Cookies),
    kind("Referer wanted", "multi", "master.m3u8", Manner::Referer),
    kind("User-Agent wanted", "ts", "index.m3u8", Manner::UserAgent),
    kind("name and password in the URL", "ts", "index.m3u8", Manner::BasicAuth),
    kind("redirects to another host", "multi", "master.m3u8", Manner::Redirects),
    kind("segments called .jpg", "ts", "index.m3u8", Manner::Pictures),
    kind("segments without extension", "ts", "index.m3u8", Manner::Bare),
    kind("renditions without extensions", "alternates", "master.m3u8", Manner::Bare),
    kind("fMP4 without extensions", "fmp4", "index.m3u8", Manner::Bare),
    kind("playlist without extension or type", "ts", "index.m3u8", Manner::BarePlaylist),
    kind("gzip, not asked for", "multi", "master.m3u8", Manner::Gzip),
    kind("byte order mark", "ts", "index.m3u8", Manner::Mark),
    kind("URIs that begin with //", "ts", "index.m3u8", Manner::Slashes),
    kind("EXT-X-DEFINE", "ts", "index.m3u8", Manner::Define),
    kind("every first request fails", "ts", "index.m3u8", Manner::Retry),
    kind("no lengths", "ts", "index.m3u8", Manner::Chunked),
    kind("IPTV channel list", "ts", "list.m3u", Manner::ChannelList),
];

const fn kind(
    name: &'static str,
    folder: &'static str,
    playlist: &'static str,
    manner: Manner,
) -> Kind {
    Kind { name, folder, playlist, manner }
}
