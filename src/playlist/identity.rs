//! In which swarms a rendition is: p2p-media-loader's identities, computed from playlists.
//!
//! G2 (2.3.0 to 4.x) is here; `membership` adds the generations around it, which differ in the
//! version of the stream swarm string, in what names a stream in it, and (the oldest) in the hash.
//! Nothing here decides whether to announce. The stream registry drives it.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};
use url::Url;

use super::parse::{Multivariant, Rendition, RenditionKind, Variant};
use crate::ids::InfoHash;

/// Sample entries that hls.js takes for video.
const VIDEO_CODECS: &str = "avc1 avc2 avc3 avc4 avcp av01 dav1 drac dva1 dvav dvh1 dvhe encv hev1 \
    hvc1 mjp2 mp4v mvc1 mvc2 mvc3 mvc4 resv rv60 s263 svc1 svc2 vc-1 vp08 vp09";

/// Sample entries that hls.js takes for audio.
const AUDIO_CODECS: &str = "a3ds ac-3 ac-4 alac alaw dra1 dts+ dts- dtsc dtse dtsh ec-3 enca fLaC \
    flac FLAC g719 g726 m4ae mha1 mha2 mhm1 mhm2 mlpa mp4a Opus opus OPUS samr sawb sawp sevc \
    sqcp ssmv twos ulaw";

/// Sample entries that hls.js takes for text.
const TEXT_CODECS: &str = "stpp wvtt";

/// Which of a player's two loaders plays a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamKind {
    /// Variants.
    Main,
    /// Audio renditions.
    Secondary,
}

/// The swarm of one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionIdentity {
    /// Its media playlist, absolute.
    pub url: Url,
    /// Which loader plays it.
    pub kind: StreamKind,
    /// Its place among those of its kind in the playlist.
    pub position: usize,
    /// What to call it: `main-0`, `secondary-2`.
    pub label: String,
    /// The swarm.
    pub info_hash: InfoHash,
}

impl StreamKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Secondary => "secondary",
        }
    }
}

/// The G2 identities of every variant and of every audio rendition with a playlist of its own.
///
/// `final_url` is where the multivariant playlist was found after redirects. A playlist that
/// occurs twice keeps its first identity; equal properties share one swarm.
pub fn g2(multivariant: &Multivariant, final_url: &Url) -> Vec<RenditionIdentity> {
    let swarm = swarm_id(final_url);
    named(multivariant).iter().map(|named| named.identity(&swarm)).collect()
}

/// A rendition by what tells it apart up to G2.
pub(super) struct Named<'a> {
    pub(super) url: &'a Url,
    pub(super) kind: StreamKind,
    pub(super) position: usize,
    pub(super) properties: Properties,
}

/// Every variant and every audio rendition with a playlist of its own.
pub(super) fn named(multivariant: &Multivariant) -> Vec<Named<'_>> {
    let levels = known_levels(&multivariant.variants);
    let mains = levels.iter().enumerate().map(|(position, (variant, codecs))| Named {
        url: &variant.url,
        kind: StreamKind::Main,
        position,
        properties: main_properties(variant, codecs),
    });
    let audio = multivariant.renditions.iter().filter(|r| r.kind == RenditionKind::Audio);
    let secondaries = audio.enumerate().filter_map(|(position, rendition)| {
        let properties = secondary_properties(rendition, &levels);
        let url = rendition.url.as_ref()?;
        Some(Named { url, kind: StreamKind::Secondary, position, properties })
    });
    let mut seen = std::collections::BTreeSet::new();
    mains.chain(secondaries).filter(|named| seen.insert(named.url)).collect()
}

impl<'a> Named<'a> {
    /// Without a multivariant playlist nothing is known of it.
    pub(super) fn direct(url: &'a Url) -> Self {
        Self { url, kind: StreamKind::Main, position: 0, properties: Properties::default() }
    }

    pub(super) fn identity(&self, swarm: &str) -> RenditionIdentity {
        RenditionIdentity {
            url: self.url.clone(),
            kind: self.kind,
            position: self.position,
            label: label(self.kind, self.position),
            info_hash: identity_info_hash("v2", swarm, self.kind, &self.properties),
        }
    }
}

/// What to call a rendition.
pub(super) fn label(kind: StreamKind, position: usize) -> String {
    format!("{}-{position}", kind.as_str())
}

/// The G2 identity of a media playlist that the player opened without a multivariant one.
pub fn g2_direct(final_url: &Url) -> RenditionIdentity {
    Named::direct(final_url).identity(&swarm_id(final_url))
}

/// The swarm id of a playlist: its URL without the query, so that viewers whose tokens differ
/// meet.
pub fn swarm_id(final_url: &Url) -> String {
    final_url[..url::Position::AfterPath].to_owned()
}

/// What tells streams of one swarm id apart; absent is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) bitrate: u64,
    pub(super) codecs: String,
    pub(super) size: Option<(u64, u64)>,
    pub(super) language: String,
    pub(super) channels: String,
    pub(super) name: String,
    pub(super) frame_rate: String,
    pub(super) video_range: String,
}

impl Properties {
    /// Their hash, as it is part of names.
    pub(super) fn hash(&self) -> String {
        STANDARD.encode(Sha1::digest(self.joined()))
    }

    fn joined(&self) -> String {
        let (width, height) =
            self.size.map_or_else(Default::default, |(w, h)| (w.to_string(), h.to_string()));
        [
            &self.bitrate.to_string(),
            &self.codecs,
            &width,
            &height,
            &self.language,
            &self.channels,
            &self.name,
            &self.frame_rate,
            &self.video_range,
        ]
        .map(String::as_str)
        .join("-")
    }
}

/// `CODECS`, sorted by kind as hls.js does.
#[derive(Default)]
pub(super) struct Codecs<'a> {
    pub(super) video: Vec<&'a str>,
    pub(super) audio: Vec<&'a str>,
    has_unknown: bool,
}

impl<'a> Codecs<'a> {
    pub(super) fn new(list: &'a str) -> Self {
        let mut codecs = Self::default();
        for codec in list.split([',', ' ']).filter(|codec| !codec.is_empty()) {
            let is_in = |known: &str| {
                codec.get(..4).is_some_and(|entry| known.split(' ').any(|k| k == entry))
            };
            if is_in(VIDEO_CODECS) {
                codecs.video.push(codec);
            } else if is_in(AUDIO_CODECS) {
                codecs.audio.push(codec);
            } else if !is_in(TEXT_CODECS) {
                codecs.has_unknown = true;
            }
        }
        codecs
    }
}

/// The variants hls.js keeps: one with an unknown codec only if all have one.
pub(super) fn known_levels(variants: &[Variant]) -> Vec<(&Variant, Codecs<'_>)> {
    let levels = || variants.iter().map(|variant| (variant, Codecs::new(&variant.codecs)));
    let known: Vec<_> = levels().filter(|(_, codecs)| !codecs.has_unknown).collect();
    if known.is_empty() { levels().collect() } else { known }
}

fn main_properties(variant: &Variant, codecs: &Codecs<'_>) -> Properties {
    let bandwidths = [variant.bandwidth, variant.average_bandwidth];
    let Some(bitrate) = bandwidths.into_iter().find(|&bandwidth| bandwidth > 0) else {
        return Properties::default();
    };
    Properties {
        bitrate,
        codecs: g2_codecs(&codecs.video),
        size: variant.resolution,
        frame_rate: g2_frame_rate(&variant.frame_rate),
        video_range: variant.video_range.trim().to_uppercase(),
        ..Properties::default()
    }
}

fn secondary_properties(rendition: &Rendition, levels: &[(&Variant, Codecs<'_>)]) -> Properties {
    // A group that no variant names gets the first variant's codecs, hls.js' best guess.
    let of_group = levels.iter().find(|(variant, _)| variant.audio_group == rendition.group);
    let audio = of_group.or(levels.first()).map_or(&[][..], |(_, codecs)| &codecs.audio);
    let name = if rendition.name.is_empty() { &rendition.language } else { &rendition.name };
    Properties {
        codecs: g2_codecs(audio),
        language: g2_language(&rendition.language),
        channels: rendition.channels.split('/').next().unwrap_or_default().to_owned(),
        name: name.to_lowercase().trim().to_owned(),
        ..Properties::default()
    }
}

fn g2_codecs(codecs: &[&str]) -> String {
    let cut = |codec: &&str| codec.split('/').next().unwrap_or_default().to_lowercase();
    let mut codecs: Vec<String> = codecs.iter().map(cut).map(hexadecimal_avc).collect();
    codecs.sort();
    codecs.join(",")
}

/// `avc1.66.30`, as old packagers wrote profile and level, becomes `avc1.42001e`.
fn hexadecimal_avc(codec: String) -> String {
    let parts: Vec<&str> = codec.split('.').collect();
    if let ["avc1" | "avc", profile, level] = parts[..]
        && let (Ok(profile), Ok(level)) = (profile.parse::<u8>(), level.parse::<u8>())
    {
        return format!("avc1.{profile:02x}00{level:02x}");
    }
    codec
}

/// As JavaScript prints the number: `30.000` is `30`.
fn g2_frame_rate(written: &str) -> String {
    let rate = written.trim().parse::<f64>().ok().filter(|rate| rate.is_finite());
    rate.map_or_else(String::new, |rate| rate.to_string())
}

fn g2_language(written: &str) -> String {
    let language = written.trim().to_lowercase();
    if language == "und" { String::new() } else { language.chars().take(2).collect() }
}

/// The info hash of a stream that its properties name, from G2 on.
pub(super) fn identity_info_hash(
    version: &str,
    swarm: &str,
    kind: StreamKind,
    properties: &Properties,
) -> InfoHash {
    let identity = properties.hash();
    sha1_info_hash(&format!("{version}-{swarm}-{}-{identity}", kind.as_str()))
}

/// 15 bytes of the digest are 20 characters without padding.
pub(super) fn sha1_info_hash(stream_swarm: &str) -> InfoHash {
    text_info_hash(&Sha1::digest(stream_swarm)[..15])
}

/// An info hash is the text of 15 bytes, not the bytes.
pub(super) fn text_info_hash(bytes: &[u8]) -> InfoHash {
    let mut hash = [0; 20];
    let text = STANDARD.encode(bytes);
    hash.copy_from_slice(text.as_bytes());
    InfoHash(hash)
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
