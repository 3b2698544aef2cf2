//! The swarms that a rendition has in all generations of the browser engine, and the numbers that
//! its segments have there.
//!
//! G1 names a stream by its position, G2 and G3 by its properties: normalised in G2, as written in
//! G3. Nothing here decides which of them to join. Alternative video renditions are left out.
//! Driven by whoever holds the playlists.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use url::Url;

use super::identity::{
    Codecs, Properties, StreamKind, g2, g2_direct, identity_info_hash, known_levels, swarm_id,
    text_info_hash,
};
use super::parse::{Multivariant, Rendition, RenditionKind, Variant};
use super::timeline::Timeline;
use crate::ids::{InfoHash, SegmentId};

/// Versions of the browser engine that cannot see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// 1.0.3 to 2.2.2.
    G1,
    /// 2.3.0 to 4.x.
    G2,
    /// 5.0.0 and later.
    G3,
}

impl Generation {
    /// Every one, oldest first.
    pub const ALL: [Self; 3] = [Self::G1, Self::G2, Self::G3];

    /// Its name: `G1` to `G3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::G1 => "G1",
            Self::G2 => "G2",
            Self::G3 => "G3",
        }
    }
}

/// A swarm of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Swarm {
    /// Whose it is.
    pub generation: Generation,
    /// Its name towards trackers.
    pub info_hash: InfoHash,
}

/// A swarm with the numbers that segments have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The swarm.
    pub swarm: Swarm,
    /// What its members call segments.
    pub wire: WireIds,
}

/// What the members of a swarm call segments: the distance from a first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireIds {
    base: u64,
}

impl WireIds {
    /// Up to G2 a VOD's segments are counted from zero, in G3 from its media sequence number; those
    /// of a live stream have their media sequence numbers everywhere.
    pub fn new(generation: Generation, timeline: &Timeline) -> Self {
        let base = if generation < Generation::G3 { timeline.wire_base() } else { 0 };
        Self { base }
    }

    /// The number that a segment has on the wire; none for one before the first.
    pub fn to_wire(self, segment: SegmentId) -> Option<u64> {
        segment.0.checked_sub(self.base)
    }

    /// The segment that has a number on the wire.
    pub fn from_wire(self, number: u64) -> Option<SegmentId> {
        number.checked_add(self.base).map(SegmentId)
    }
}

/// The swarms of every variant and of every audio rendition with a playlist of its own, by that
/// playlist's URL, oldest generation first.
///
/// `requested` is where the player asked for the multivariant playlist, which counts in G3;
/// `final_url` is where it was found, which counts before.
pub fn swarms(list: &Multivariant, requested: &Url, final_url: &Url) -> BTreeMap<Url, Vec<Swarm>> {
    let mut swarms: BTreeMap<Url, Vec<Swarm>> = BTreeMap::new();
    let swarm = swarm_id(final_url);
    let made_up = usize::from(has_made_up_track(list));
    for identity in g2(list, final_url) {
        let position = match identity.kind {
            StreamKind::Main => identity.position,
            StreamKind::Secondary => identity.position + made_up,
        };
        let first = g1_info_hash(&swarm, identity.kind, position);
        let both = [(Generation::G1, first), (Generation::G2, identity.info_hash)];
        let both = both.map(|(generation, info_hash)| Swarm { generation, info_hash });
        swarms.entry(identity.url).or_default().extend(both);
    }
    for (url, info_hash) in g3(list, requested) {
        let swarm = Swarm { generation: Generation::G3, info_hash };
        swarms.entry(url.clone()).or_default().push(swarm);
    }
    swarms
}

/// The swarms of a media playlist that the player opened without a multivariant one.
pub fn swarms_direct(requested: &Url, final_url: &Url) -> Vec<Swarm> {
    let kind = StreamKind::Main;
    let newest = identity_info_hash("v3", &swarm_id(requested), kind, &Properties::default());
    let all = [
        (Generation::G1, g1_info_hash(&swarm_id(final_url), kind, 0)),
        (Generation::G2, g2_direct(final_url).info_hash),
        (Generation::G3, newest),
    ];
    all.map(|(generation, info_hash)| Swarm { generation, info_hash }).to_vec()
}

/// The swarms of a rendition with the numbers that its segments have there.
pub fn memberships(swarms: &[Swarm], timeline: &Timeline) -> Vec<Membership> {
    let wire = |swarm: &Swarm| WireIds::new(swarm.generation, timeline);
    swarms.iter().map(|swarm| Membership { swarm: *swarm, wire: wire(swarm) }).collect()
}

/// Whether hls.js puts a track of its own before the audio renditions, for audio inside of the
/// first variant.
fn has_made_up_track(list: &Multivariant) -> bool {
    let mut audio = list.renditions.iter().filter(|r| r.kind == RenditionKind::Audio);
    let levels = known_levels(&list.variants);
    let is_embedded = |(variant, codecs): &(&Variant, Codecs<'_>)| {
        variant.audio_group.is_empty() && !codecs.audio.is_empty()
    };
    audio.all(|rendition| rendition.url.is_some()) && levels.first().is_some_and(is_embedded)
}

/// The first byte of the digest is left out.
fn g1_info_hash(swarm: &str, kind: StreamKind, position: usize) -> InfoHash {
    let stream_swarm = format!("v2-{swarm}-{}-{position}", kind.as_str());
    text_info_hash(&Md5::digest(stream_swarm)[1..])
}

/// A playlist that occurs twice keeps its first identity.
fn g3<'a>(list: &'a Multivariant, requested: &Url) -> BTreeMap<&'a Url, InfoHash> {
    let swarm = swarm_id(requested);
    let variants: Vec<_> = list.variants.iter().map(|v| (v, g3_main(v))).collect();
    let mains = variants.iter().map(|(variant, properties)| {
        // The bitrate tells apart only what nothing else does.
        let is_equal = |other: &&(&Variant, Properties)| other.1 == *properties;
        let is_alone = variants.iter().filter(is_equal).count() == 1;
        let bitrate = if is_alone { 0 } else { bitrate(variant) };
        (&variant.url, StreamKind::Main, Properties { bitrate, ..properties.clone() })
    });
    let audio = list.renditions.iter().filter(|r| r.kind == RenditionKind::Audio);
    let secondaries = audio.filter_map(|rendition| {
        let properties = g3_secondary(rendition, &list.variants)?;
        Some((rendition.url.as_ref()?, StreamKind::Secondary, properties))
    });
    let mut found = BTreeMap::new();
    for (url, kind, properties) in mains.chain(secondaries) {
        found.entry(url).or_insert_with(|| identity_info_hash("v3", &swarm, kind, &properties));
    }
    found
}

fn bitrate(variant: &Variant) -> u64 {
    if variant.bandwidth > 0 { variant.bandwidth } else { variant.average_bandwidth }
}

fn g3_main(variant: &Variant) -> Properties {
    Properties {
        codecs: Codecs::new(&variant.codecs).video.join(","),
        size: variant.resolution,
        frame_rate: variant.frame_rate.clone(),
        video_range: variant.video_range.clone(),
        ..Properties::default()
    }
}

/// None for one in a group that no variant names.
fn g3_secondary(rendition: &Rendition, variants: &[Variant]) -> Option<Properties> {
    let of_group = variants.iter().find(|variant| variant.audio_group == rendition.group)?;
    Some(Properties {
        codecs: Codecs::new(&of_group.codecs).audio.join(","),
        language: rendition.language.clone(),
        channels: rendition.channels.clone(),
        name: rendition.name.clone(),
        ..Properties::default()
    })
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
