//! The swarms that a rendition has in all generations of the browser engine, and the numbers that
//! its segments have there.
//!
//! G1 names a stream by its position, G2 and G3 by its properties: normalised in G2, as written in
//! G3. Nothing here joins any of them. The stream registry drives it, with what holds for a stream.

use std::collections::BTreeSet;

use md5::{Digest, Md5};
use url::Url;

use super::identity::{
    Codecs, Named, Properties, RenditionIdentity, StreamKind, g2, identity_info_hash, known_levels,
    label, named, sha1_info_hash, swarm_id, text_info_hash,
};
use super::parse::{Multivariant, Rendition, RenditionKind, Variant};
use super::rules::{SegmentIds, StreamRule};
use super::template::{Template, Values};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireIds {
    base: u64,
}

impl WireIds {
    /// Up to G2 a film's segments are counted from zero by most browsers, in G3 from its media
    /// sequence number; those of a live stream have their media sequence numbers everywhere.
    pub fn new(generation: Generation, ids: SegmentIds, timeline: &Timeline) -> Self {
        let is_counted = generation < Generation::G3 && ids == SegmentIds::HlsJs;
        Self { base: if is_counted { timeline.wire_base() } else { 0 } }
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

/// A rendition and its swarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSwarms {
    /// What it is known by here, whatever swarms it is in.
    pub identity: RenditionIdentity,
    /// Oldest generation first; none twice.
    pub swarms: Vec<Swarm>,
}

/// Every rendition that has swarms, with those that are wanted.
///
/// `requested` is where the player asked for the multivariant playlist, which counts in G3;
/// `final_url` is where it was found, which counts before.
pub fn renditions(
    list: &Multivariant,
    requested: &Url,
    final_url: &Url,
    rule: &StreamRule,
) -> Vec<InSwarms> {
    let names = Names::new(requested, final_url, rule);
    let made_up = usize::from(has_made_up_track(list));
    let mut all: Vec<InSwarms> = Vec::new();
    for named in named(list) {
        let before = if named.kind == StreamKind::Main { 0 } else { made_up };
        all.push(names.up_to_g2(&named, named.position + before));
    }
    let has_g3 = rule.wanted().has(Generation::G3) && rule.swarm_template.is_none();
    for stream in g3(list).into_iter().filter(|_| has_g3) {
        let info_hash = identity_info_hash("v3", &names.newest, stream.kind, &stream.properties);
        let swarm = Swarm { generation: Generation::G3, info_hash };
        if let Some(known) = all.iter_mut().find(|known| known.identity.url == *stream.url) {
            known.swarms.push(swarm);
            continue;
        }
        let identity = RenditionIdentity {
            url: stream.url.clone(),
            kind: stream.kind,
            position: stream.position,
            label: label(stream.kind, stream.position),
            info_hash,
        };
        all.push(InSwarms { identity, swarms: vec![swarm] });
    }
    all
}

/// Every rendition with its swarm in the first generation, where the publisher has given the
/// swarm id, and with its position there.
pub fn first_generation(
    list: &Multivariant,
    final_url: &Url,
    swarm_id: &str,
) -> Vec<(RenditionIdentity, usize)> {
    let made_up = usize::from(has_made_up_track(list));
    let all = g2(list, final_url).into_iter().map(|identity| {
        let before = if identity.kind == StreamKind::Main { 0 } else { made_up };
        let position = identity.position + before;
        let info_hash = g1_info_hash(swarm_id, identity.kind, position);
        (RenditionIdentity { info_hash, ..identity }, position)
    });
    all.collect()
}

/// The swarms of a media playlist that the player opened without a multivariant one.
pub fn direct(requested: &Url, final_url: &Url, rule: &StreamRule) -> InSwarms {
    let names = Names::new(requested, final_url, rule);
    let named = Named::direct(final_url);
    let mut found = names.up_to_g2(&named, 0);
    if rule.wanted().has(Generation::G3) && rule.swarm_template.is_none() {
        let info_hash = identity_info_hash("v3", &names.newest, named.kind, &named.properties);
        found.swarms.push(Swarm { generation: Generation::G3, info_hash });
    }
    found
}

/// The swarms of a rendition with the numbers that its segments have there.
pub fn memberships(swarms: &[Swarm], ids: SegmentIds, timeline: &Timeline) -> Vec<Membership> {
    let wire = |swarm: &Swarm| WireIds::new(swarm.generation, ids, timeline);
    swarms.iter().map(|swarm| Membership { swarm: *swarm, wire: wire(swarm) }).collect()
}

/// What a stream is called.
struct Names<'a> {
    /// Up to G2.
    older: String,
    /// From G3 on.
    newest: String,
    rule: &'a StreamRule,
}

impl<'a> Names<'a> {
    fn new(requested: &Url, final_url: &Url, rule: &'a StreamRule) -> Self {
        let name = |url: &Url| rule.swarm_id.clone().unwrap_or_else(|| swarm_id(url));
        Self { older: name(final_url), newest: name(requested), rule }
    }

    /// With its swarms up to G2, or with those that a template names.
    fn up_to_g2(&self, named: &Named<'_>, position: usize) -> InSwarms {
        let identity = named.identity(&self.older);
        let mut swarms: Vec<Swarm> = Vec::new();
        for generation in self.rule.wanted().iter() {
            let template = self.rule.swarm_template.as_ref();
            let info_hash = match (template, generation) {
                (Some(template), _) => self.templated(template, generation, named, position),
                (None, Generation::G1) => g1_info_hash(&self.older, named.kind, position),
                (None, Generation::G2) => identity.info_hash,
                (None, Generation::G3) => continue,
            };
            if swarms.iter().all(|known| known.info_hash != info_hash) {
                swarms.push(Swarm { generation, info_hash });
            }
        }
        InSwarms { identity, swarms }
    }

    fn templated(
        &self,
        template: &Template,
        generation: Generation,
        named: &Named<'_>,
        position: usize,
    ) -> InfoHash {
        let is_newest = generation == Generation::G3;
        let height = named.properties.size.map(|(_, height)| height.to_string());
        // As the instances call them that have such names.
        let unknown = if named.kind == StreamKind::Main { "0" } else { "default" };
        let text = template.fill(Values {
            swarm_id: if is_newest { &self.newest } else { &self.older },
            kind: named.kind.as_str(),
            index: position,
            identity: &named.properties.hash(),
            height: height.as_deref().unwrap_or(unknown),
        });
        if generation == Generation::G1 { md5_info_hash(&text) } else { sha1_info_hash(&text) }
    }
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

fn g1_info_hash(swarm: &str, kind: StreamKind, position: usize) -> InfoHash {
    md5_info_hash(&format!("v2-{swarm}-{}-{position}", kind.as_str()))
}

/// The first byte of the digest is left out.
fn md5_info_hash(stream_swarm: &str) -> InfoHash {
    text_info_hash(&Md5::digest(stream_swarm)[1..])
}

/// A playlist that occurs twice keeps its first identity.
fn g3(list: &Multivariant) -> Vec<Named<'_>> {
    let variants = list.variants.iter().map(|variant| (&variant.url, variant, g3_main(variant)));
    let of_kind = |kind| list.renditions.iter().filter(move |rendition| rendition.kind == kind);
    let videos =
        of_kind(RenditionKind::Video).filter(|r| !r.group.is_empty()).filter_map(|rendition| {
            let of_group = list.variants.iter().find(|v| v.video_group == rendition.group)?;
            let (name, language) = (rendition.name.clone(), rendition.language.clone());
            let properties = Properties { name, language, ..g3_main(of_group) };
            Some((rendition.url.as_ref()?, of_group, properties))
        });
    let mains: Vec<_> = variants.chain(videos).collect();
    let is_alone = |properties| mains.iter().filter(|(.., other)| other == properties).count() == 1;
    let mains = mains.iter().enumerate().map(|(position, (url, variant, properties))| {
        // The bitrate tells apart only what nothing else does.
        let bitrate = if is_alone(properties) { 0 } else { bitrate(variant) };
        let properties = Properties { bitrate, ..properties.clone() };
        Named { url, kind: StreamKind::Main, position, properties }
    });
    let audio = of_kind(RenditionKind::Audio).enumerate();
    let secondaries = audio.filter_map(|(position, rendition)| {
        let properties = g3_secondary(rendition, &list.variants)?;
        let url = rendition.url.as_ref()?;
        Some(Named { url, kind: StreamKind::Secondary, position, properties })
    });
    let mut seen = BTreeSet::new();
    mains.chain(secondaries).filter(|named| seen.insert(named.url)).collect()
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
