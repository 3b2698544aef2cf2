//! Playlists into models: the only file that names m3u8-rs, which reads and never writes.
//!
//! m3u8-rs invents, swallows or drops lines when a playlist is not to its taste (commas in
//! titles, empty attributes, fractional target durations, `METHOD=NONE` without an IV). So it
//! gets the copy that `normalise` writes: only what the models need, spelt as it likes it. What
//! cannot be spelt is left out, so one odd tag never costs the playlist. `mod` and `timeline` drive
//! it.

use m3u8_rs::{AlternativeMediaType, KeyMethod, QuotedOrUnquoted};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
use url::Url;

use super::define::Definitions;
use super::{NotAPlaylist, lines, normalise, proxy_url};

/// Longest believable segment or target duration; anything longer is cut to it.
pub const DURATION_MAX: Duration = Duration::from_secs(600);

/// A multivariant playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multivariant {
    /// In playlist order; those whose URI is nothing we fetch are left out.
    pub variants: Vec<Variant>,
    /// In playlist order, closed captions (which have no playlist) left out.
    pub renditions: Vec<Rendition>,
    /// Playlists for trick play and thumbnails.
    pub i_frame_playlists: Vec<Url>,
    /// Variables that its media playlists can import.
    pub definitions: Definitions,
}

impl Multivariant {
    /// The media playlists it leads to.
    pub fn playlists(&self) -> impl Iterator<Item = &Url> {
        let variants = self.variants.iter().map(|variant| &variant.url);
        let renditions = self.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
        variants.chain(renditions).chain(&self.i_frame_playlists)
    }
}

/// One `EXT-X-STREAM-INF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its media playlist.
    pub url: Url,
    /// Bits per second, 0 when absent.
    pub bandwidth: u64,
    /// Bits per second, 0 when absent.
    pub average_bandwidth: u64,
    /// As written.
    pub codecs: String,
    /// Width and height.
    pub resolution: Option<(u64, u64)>,
    /// As written: generations of the peer protocol print it differently.
    pub frame_rate: String,
    /// As written.
    pub video_range: String,
    /// Group of audio renditions that goes with it; empty when absent.
    pub audio_group: String,
    /// Group of video renditions that goes with it; empty when absent.
    pub video_group: String,
}

/// What a rendition carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenditionKind {
    /// `TYPE=AUDIO`.
    Audio,
    /// `TYPE=VIDEO`.
    Video,
    /// `TYPE=SUBTITLES`.
    Subtitles,
}

/// One `EXT-X-MEDIA`; absent texts are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// What it carries.
    pub kind: RenditionKind,
    /// Its media playlist; without one it is inside the variants.
    pub url: Option<Url>,
    /// `GROUP-ID`.
    pub group: String,
    /// `NAME`.
    pub name: String,
    /// `LANGUAGE`.
    pub language: String,
    /// `CHANNELS`.
    pub channels: String,
}

/// A media playlist before positions and ranges are worked out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Media {
    pub target_duration: Duration,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    /// Segments that a delta update leaves out at the front.
    pub skipped: u64,
    pub is_ended: bool,
    pub segments: Vec<MediaSegment>,
}

/// A URI line and the tags that apply to it alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MediaSegment {
    pub uri: String,
    pub duration: Duration,
    /// Length and, where stated, offset.
    pub range: Option<(u64, Option<u64>)>,
    pub is_discontinuity: bool,
    pub is_gap: bool,
    /// From here on segments are encrypted, or no longer.
    pub encryption: Option<bool>,
    /// From here on segments need an init section.
    pub has_map: bool,
}

/// Reads a multivariant playlist that finally came from `base`.
pub fn multivariant(text: &str, base: &Url, definitions: Definitions) -> Multivariant {
    let copy = normalise::multivariant(text);
    let Ok(list) = m3u8_rs::parse_master_playlist_res(copy.as_bytes()) else {
        return Multivariant::default();
    };
    let read = Reader { base, definitions: &definitions };
    let i_frames = lines::uris(text).filter(|span| span.kind == lines::UriKind::IFramePlaylist);
    Multivariant {
        variants: list.variants.into_iter().filter_map(|v| read.variant(v)).collect(),
        renditions: list.alternatives.into_iter().filter_map(|m| read.rendition(m)).collect(),
        i_frame_playlists: i_frames
            .take(normalise::RENDITIONS_MAX)
            .filter_map(|span| resolve(base, &text[span.range], &definitions))
            .collect(),
        definitions,
    }
}

/// Reads a media playlist.
pub(super) fn media(text: &str) -> Result<Media, NotAPlaylist> {
    let copy = normalise::media(text)?;
    let Ok(list) = m3u8_rs::parse_media_playlist_res(copy.as_bytes()) else {
        return Ok(Media::default());
    };
    let skip = list.segments.first().map_or(&[][..], |first| &first.unknown_tags);
    let skipped = skip.iter().find(|tag| tag.tag == "X-SKIP").and_then(|tag| tag.rest.as_deref());
    Ok(Media {
        target_duration: Duration::from_secs(list.target_duration),
        media_sequence: list.media_sequence,
        discontinuity_sequence: list.discontinuity_sequence,
        skipped: skipped.map_or(0, normalise::leading_number),
        is_ended: list.end_list,
        segments: list.segments.into_iter().map(media_segment).collect(),
    })
}

/// The URL of a reference that may have variables in it; `None` for nothing we fetch, and when a
/// variable is not defined.
pub(super) fn resolve(base: &Url, uri: &str, definitions: &Definitions) -> Option<Url> {
    let uri = definitions.substitute(uri).filter(|uri| !uri.is_empty())?;
    proxy_url::resolve(base, &uri)
}

struct Reader<'a> {
    base: &'a Url,
    definitions: &'a Definitions,
}

impl Reader<'_> {
    fn variant(&self, v: m3u8_rs::VariantStream) -> Option<Variant> {
        let other = v.other_attributes.unwrap_or_default();
        Some(Variant {
            url: resolve(self.base, &v.uri, self.definitions)?,
            bandwidth: v.bandwidth,
            average_bandwidth: v.average_bandwidth.unwrap_or(0),
            codecs: self.text(v.codecs),
            resolution: v.resolution.map(|r| (r.width, r.height)),
            frame_rate: self.attribute(&other, "X-FRAME-RATE"),
            video_range: self.attribute(&other, "X-VIDEO-RANGE"),
            audio_group: self.text(v.audio),
            video_group: self.text(v.video),
        })
    }

    fn rendition(&self, m: m3u8_rs::AlternativeMedia) -> Option<Rendition> {
        let kind = match m.media_type {
            AlternativeMediaType::Audio => RenditionKind::Audio,
            AlternativeMediaType::Video => RenditionKind::Video,
            AlternativeMediaType::Subtitles => RenditionKind::Subtitles,
            _ => return None,
        };
        Some(Rendition {
            kind,
            url: resolve(self.base, &unmark(m.uri), self.definitions),
            group: self.text(Some(m.group_id)),
            name: self.text(Some(m.name)),
            language: self.text(m.language),
            channels: self.text(m.channels),
        })
    }

    /// With variables filled in; as written when one is not defined.
    fn text(&self, value: Option<String>) -> String {
        let written = unmark(value);
        let filled = self.definitions.substitute(&written).map(Cow::into_owned);
        filled.unwrap_or(written)
    }

    fn attribute(&self, other: &HashMap<String, QuotedOrUnquoted>, name: &str) -> String {
        self.text(other.get(name).map(|value| value.as_str().to_owned()))
    }
}

fn media_segment(s: m3u8_rs::MediaSegment) -> MediaSegment {
    let micros = (f64::from(s.duration) * 1e6).round();
    MediaSegment {
        uri: s.uri,
        // Single precision is m3u8-rs's; the cast stops at the ends of the range.
        duration: Duration::from_micros(micros as u64).min(DURATION_MAX),
        range: s.byte_range.map(|range| (range.length, range.offset)),
        is_discontinuity: s.discontinuity,
        is_gap: s.unknown_tags.iter().any(|tag| tag.tag == "X-GAP"),
        encryption: s.key.map(|key| key.method != KeyMethod::None),
        has_map: s.map.is_some(),
    }
}

fn unmark(value: Option<String>) -> String {
    let unmarked = |value: String| Some(value.strip_prefix(normalise::MARK)?.to_owned());
    value.and_then(unmarked).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, base: &Url) -> Multivariant {
        multivariant(text, base, super::super::definitions(text, base, &Definitions::default()))
    }

    fn golden(name: &str) -> Multivariant {
        let path = format!("{}/tests/data/playlists/{name}", env!("CARGO_MANIFEST_DIR"));
        let base = Url::parse("https://cdn.example.com/live/m.m3u8?t=1").unwrap();
        read(&std::fs::read_to_string(path).unwrap(), &base)
    }

    #[test]
    fn reads_variants_and_renditions_with_their_attributes() {
        let list = golden("shaka-multivariant.m3u8");
        let [low, high] = &list.variants[..] else { panic!("{list:?}") };
        assert_eq!(low.url.as_str(), "https://cdn.example.com/live/video/720/stream.m3u8");
        assert_eq!((low.bandwidth, low.average_bandwidth), (1_200_000, 1_000_000));
        assert_eq!(low.codecs, "avc1.4d401f,mp4a.40.2");
        assert_eq!((low.resolution, low.frame_rate.as_str()), (Some((1280, 720)), "25.000"));
        assert_eq!(low.audio_group, "default-audio-group");
        assert_eq!(high.url.query(), Some("sig=a%2Fb%3D"));
        let kinds: Vec<_> = list.renditions.iter().map(|rendition| rendition.kind).collect();
        assert_eq!(kinds, [RenditionKind::Audio, RenditionKind::Subtitles]);
        assert_eq!(list.renditions[0].name, "English, stereo");
        assert_eq!(list.renditions[0].channels, "2");
    }

    #[test]
    fn missing_and_odd_attributes_cost_nothing() {
        let list = golden("playlists-without-extension.m3u8");
        let bandwidths: Vec<_> = list.variants.iter().map(|variant| variant.bandwidth).collect();
        assert_eq!(bandwidths, [800_000, 1_800_000, 0]);
        assert_eq!(list.variants[0].url.query(), Some("quality=low"));
        assert_eq!(list.renditions.len(), 2);
        assert_eq!((list.renditions[0].name.as_str(), &list.renditions[1].url), ("", &None));
    }

    #[test]
    fn a_flood_of_variants_is_cut() {
        let text = "#EXT-X-STREAM-INF:\nv\n#EXT-X-MEDIA:TYPE=AUDIO\n".repeat(2000);
        let list = read(&text, &Url::parse("https://h/").unwrap());
        let lens = (list.variants.len(), list.renditions.len());
        assert_eq!(lens, (normalise::RENDITIONS_MAX, normalise::RENDITIONS_MAX));
    }

    #[test]
    fn an_endless_value_counts_as_absent() {
        let long = "x".repeat(1 << 20);
        let text = format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"{long}\",GROUP-ID=\"{long}\",URI=\"{long}\"\n\
             #EXT-X-STREAM-INF:CODECS=\"{long}\"\nv\n"
        );
        let list = read(&text, &Url::parse("https://h/").unwrap());
        assert_eq!(list.variants[0].codecs, "");
        assert_eq!((list.renditions[0].name.as_str(), &list.renditions[0].url), ("", &None));
    }
}
