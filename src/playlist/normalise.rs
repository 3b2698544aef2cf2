//! The copy of a playlist that m3u8-rs reads: a few known tags, each spelt as it likes it.
//!
//! Nobody else sees the copy. It has at most one of each tag per segment, so its size, and what
//! m3u8-rs makes of it, is bounded whatever the playlist repeats. `parse` drives it.

use std::fmt::{Arguments, Write};
use std::time::Duration;

use super::NotAPlaylist;
use super::lines::{self, Tag};
use super::parse::DURATION_MAX;
use super::timeline::SEGMENTS_MAX;

/// Most variants, and most renditions, that are read; the rest play without peers.
pub(super) const RENDITIONS_MAX: usize = 1000;

/// Longest attribute value that is read; a longer one counts as absent.
const VALUE_BYTES_MAX: usize = super::proxy_url::URL_BYTES_MAX;

/// What every quoted value of the copy begins with: m3u8-rs cannot read an empty one.
pub(super) const MARK: char = '\'';

/// The copy of a multivariant playlist.
pub(super) fn multivariant(text: &str) -> String {
    let mut copy = String::from("#EXTM3U\n");
    let mut pending = None;
    let (mut variants, mut renditions) = (0, 0);
    for line in lines::lines(text) {
        match line.tag() {
            // A second one before the URI is what players take for a comment.
            Some(tag) if tag.name == "EXT-X-STREAM-INF" => {
                pending.get_or_insert(tag);
            }
            Some(tag) if tag.name == "EXT-X-MEDIA" && renditions < RENDITIONS_MAX => {
                renditions += 1;
                push_media(&mut copy, tag);
            }
            Some(_) => {}
            None if line.is_uri() && variants < RENDITIONS_MAX => {
                if let Some(tag) = pending.take() {
                    variants += 1;
                    push_stream_inf(&mut copy, tag);
                    push(&mut copy, format_args!("{}\n", line.text));
                }
            }
            None => {}
        }
    }
    copy
}

/// The copy of a media playlist.
pub(super) fn media(text: &str) -> Result<String, NotAPlaylist> {
    let mut copy = String::from("#EXTM3U\n");
    let (mut head, mut pending) = (Head::default(), Pending::default());
    let mut segments = 0;
    for line in lines::lines(text) {
        match line.tag() {
            Some(tag) => {
                head.take(tag);
                pending.take(tag);
            }
            None if line.is_uri() => {
                segments += 1;
                if segments > SEGMENTS_MAX {
                    return Err(NotAPlaylist::TooManySegments);
                }
                // It stands before the first segment because m3u8-rs gives it to that one.
                if segments == 1 {
                    push(&mut copy, format_args!("#EXT-X-SKIP:{}\n", head.skipped));
                }
                std::mem::take(&mut pending).push(&mut copy);
                push(&mut copy, format_args!("{}\n", line.text));
            }
            None => {}
        }
    }
    head.push(&mut copy);
    Ok(copy)
}

/// The digits a text begins with; beyond all limits rather than wrong when there are too many.
pub(super) fn leading_number(text: &str) -> u64 {
    let text = text.trim();
    let digits = &text[..text.bytes().take_while(u8::is_ascii_digit).count()];
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
}

/// Tags about the whole playlist.
#[derive(Default)]
struct Head {
    target_s: f64,
    media_sequence: u64,
    discontinuity_sequence: u64,
    skipped: u64,
    is_ended: bool,
}

impl Head {
    fn take(&mut self, tag: Tag<'_>) {
        match tag.name {
            "EXT-X-TARGETDURATION" => self.target_s = seconds(tag.value).ceil(),
            "EXT-X-MEDIA-SEQUENCE" => self.media_sequence = leading_number(tag.value),
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity_sequence = leading_number(tag.value);
            }
            "EXT-X-SKIP" => {
                self.skipped = tag.attribute("SKIPPED-SEGMENTS").map_or(0, leading_number);
            }
            "EXT-X-ENDLIST" => self.is_ended = true,
            _ => {}
        }
    }

    fn push(&self, copy: &mut String) {
        push(copy, format_args!("#EXT-X-TARGETDURATION:{:.0}\n", self.target_s));
        push(copy, format_args!("#EXT-X-MEDIA-SEQUENCE:{}\n", self.media_sequence));
        let sequence = self.discontinuity_sequence;
        push(copy, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n"));
        if self.is_ended {
            copy.push_str("#EXT-X-ENDLIST\n");
        }
    }
}

/// Tags about the next segment, or from it on.
#[derive(Default)]
struct Pending {
    duration_s: f64,
    range: Option<(u64, Option<u64>)>,
    is_discontinuity: bool,
    is_gap: bool,
    is_encrypted: Option<bool>,
    has_map: bool,
}

impl Pending {
    fn take(&mut self, tag: Tag<'_>) {
        match tag.name {
            "EXTINF" => {
                self.duration_s = seconds(tag.value.split(',').next().unwrap_or_default());
            }
            "EXT-X-BYTERANGE" => self.range = Some(byte_range(tag.value)),
            "EXT-X-DISCONTINUITY" => self.is_discontinuity = true,
            "EXT-X-GAP" => self.is_gap = true,
            // Several in a row name several ways to the same key.
            "EXT-X-KEY" => self.is_encrypted = Some(tag.attribute("METHOD") != Some("NONE")),
            "EXT-X-MAP" => self.has_map = true,
            _ => {}
        }
    }

    fn push(self, copy: &mut String) {
        // The blank line keeps m3u8-rs from eating a comma at the start of the next one.
        push(copy, format_args!("#EXTINF:{:.6},\n\n", self.duration_s));
        match self.range {
            Some((length, Some(offset))) => {
                push(copy, format_args!("#EXT-X-BYTERANGE:{length}@{offset}\n"));
            }
            Some((length, None)) => push(copy, format_args!("#EXT-X-BYTERANGE:{length}\n")),
            None => {}
        }
        match self.is_encrypted {
            Some(true) => copy.push_str("#EXT-X-KEY:METHOD=AES-128\n"),
            // m3u8-rs wants an IV exactly where none belongs.
            Some(false) => copy.push_str("#EXT-X-KEY:METHOD=NONE,IV=0x0\n"),
            None => {}
        }
        for (is_there, line) in [
            (self.is_discontinuity, "#EXT-X-DISCONTINUITY\n"),
            (self.is_gap, "#EXT-X-GAP\n"),
            (self.has_map, "#EXT-X-MAP:URI=\"'\"\n"),
        ] {
            if is_there {
                copy.push_str(line);
            }
        }
    }
}

fn push_stream_inf(copy: &mut String, tag: Tag<'_>) {
    let number = |name| tag.attribute(name).map_or(0, leading_number);
    push(copy, format_args!("#EXT-X-STREAM-INF:BANDWIDTH={}", number("BANDWIDTH")));
    push(copy, format_args!(",AVERAGE-BANDWIDTH={}", number("AVERAGE-BANDWIDTH")));
    if let Some((width, height)) = tag.attribute("RESOLUTION").and_then(resolution) {
        push(copy, format_args!(",RESOLUTION={width}x{height}"));
    }
    for (name, written) in [
        ("CODECS", "CODECS"),
        // Under names that m3u8-rs keeps as they are written.
        ("FRAME-RATE", "X-FRAME-RATE"),
        ("VIDEO-RANGE", "X-VIDEO-RANGE"),
        ("AUDIO", "AUDIO"),
        ("VIDEO", "VIDEO"),
    ] {
        push_text(copy, written, tag.attribute(name));
    }
    copy.push('\n');
}

fn push_media(copy: &mut String, tag: Tag<'_>) {
    let Some(kind @ ("AUDIO" | "VIDEO" | "SUBTITLES")) = tag.attribute("TYPE") else { return };
    push(copy, format_args!("#EXT-X-MEDIA:TYPE={kind}"));
    // These two are mandatory for m3u8-rs, though players do without.
    for name in ["GROUP-ID", "NAME"] {
        let value = tag.attribute(name).filter(|value| value.len() <= VALUE_BYTES_MAX);
        push_text(copy, name, value.or(Some("")));
    }
    for name in ["LANGUAGE", "CHANNELS", "URI"] {
        push_text(copy, name, tag.attribute(name));
    }
    copy.push('\n');
}

fn push_text(copy: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| value.len() <= VALUE_BYTES_MAX) {
        push(copy, format_args!(",{name}=\"{MARK}{}\"", value.replace('"', "")));
    }
}

fn push(copy: &mut String, what: Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = copy.write_fmt(what);
}

/// A duration in seconds, cut to what can be believed.
pub(super) fn duration(text: &str) -> Duration {
    Duration::try_from_secs_f64(seconds(text)).unwrap_or_default()
}

fn seconds(text: &str) -> f64 {
    let text = text.trim();
    let len = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-')).count();
    // Not a number becomes 0, and so does IPTV's -1.
    text[..len].parse::<f64>().unwrap_or(0.0).clamp(0.0, DURATION_MAX.as_secs_f64())
}

/// Length and, where stated, offset of a byte range.
pub(super) fn byte_range(value: &str) -> (u64, Option<u64>) {
    match value.trim_matches('"').split_once('@') {
        Some((length, offset)) => (leading_number(length), Some(leading_number(offset))),
        None => (leading_number(value.trim_matches('"')), None),
    }
}

fn resolution(value: &str) -> Option<(u64, u64)> {
    let (width, height) = value.split_once('x')?;
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(width)?, number(height)?))
}
