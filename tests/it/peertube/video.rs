//! A video as PeerTube keeps it: a file for each rendition, cut by byte ranges, or transport
//! streams, and the list of the hashes of its segments.

use crate::resource::{Resource, pattern};
use bytes::{Bytes, BytesMut};
use hlswarm::verify::digest::sha256;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Bytes before the first segment of a file.
pub const INIT: usize = 1234;
/// Bytes of a segment.
const SEGMENT: usize = 1000 * 188;

/// How segments are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Pieces of one file of fragmented MP4.
    Pieces,
    /// A file of transport stream each.
    Files,
}

/// One rendition.
#[derive(Clone, Debug)]
pub struct Rendition {
    pub lines: u64,
    pub form: Form,
    pub segments: Vec<Bytes>,
    /// Media sequence number of the first; `None` for a video that is whole.
    pub live_from: Option<u64>,
}

impl Rendition {
    pub fn new(lines: u64, form: Form, segments: usize) -> Self {
        let seed = lines as usize;
        let segments = (0..segments).map(|n| segment(form, (seed + 7 * n) as u8)).collect();
        Self { lines, form, segments, live_from: None }
    }

    /// The file of that segment.
    pub fn file(&self, segment: usize) -> String {
        let number = self.live_from.unwrap_or_default() + segment as u64;
        match self.form {
            Form::Pieces => format!("9c9d-{}-fragmented.mp4", self.lines),
            Form::Files => format!("{}-{number:06}.ts", self.lines),
        }
    }

    /// The media playlist.
    pub fn playlist(&self) -> String {
        let first = self.live_from.unwrap_or_default();
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        );
        if self.form == Form::Pieces {
            let file = self.file(0);
            writeln!(text, "#EXT-X-MAP:URI=\"{file}\",BYTERANGE=\"{INIT}@0\"").unwrap();
        }
        let mut at = INIT;
        for (number, bytes) in self.segments.iter().enumerate() {
            text.push_str("#EXTINF:4,\n");
            if self.form == Form::Pieces {
                writeln!(text, "#EXT-X-BYTERANGE:{}@{at}", bytes.len()).unwrap();
            }
            writeln!(text, "{}", self.file(number)).unwrap();
            at += bytes.len();
        }
        if self.live_from.is_none() {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    /// Names and contents of its files.
    pub fn files(&self) -> Vec<(String, Resource)> {
        match self.form {
            Form::Pieces => {
                let mut whole = BytesMut::from(&pattern(INIT, 3)[..]);
                self.segments.iter().for_each(|bytes| whole.extend_from_slice(bytes));
                vec![(self.file(0), Resource::new("video/mp4", whole.freeze()))]
            }
            Form::Files => {
                let all = self.segments.iter().enumerate();
                let resource = |bytes: &Bytes| Resource::new("video/mp2t", bytes.clone());
                all.map(|(n, bytes)| (self.file(n), resource(bytes))).collect()
            }
        }
    }

    /// Adds the hashes of the first so many segments to a list.
    pub fn add_hashes(&self, list: &mut Map<String, Value>, segments: usize) {
        let mut at = INIT;
        for (number, bytes) in self.segments.iter().enumerate().take(segments) {
            let (file, hash) = (self.file(number), json!(hex(bytes)));
            match self.form {
                Form::Files => list.insert(file, hash),
                Form::Pieces => {
                    let ranges = list.entry(file).or_insert_with(|| json!({}));
                    let range = format!("{at}-{}", at + bytes.len() - 1);
                    ranges.as_object_mut().unwrap().insert(range, hash)
                }
            };
            at += bytes.len();
        }
    }
}

/// The same with one bit changed.
pub fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.into()
}

fn hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn segment(form: Form, seed: u8) -> Bytes {
    match form {
        Form::Files => crate::sharing::world::transport_stream(SEGMENT / 188, u64::from(seed)),
        Form::Pieces => {
            let mut bytes = BytesMut::new();
            for (name, size) in [(b"moof", 500), (b"mdat", SEGMENT - 500)] {
                bytes.extend_from_slice(&(size as u32).to_be_bytes());
                bytes.extend_from_slice(name);
                bytes.extend_from_slice(&pattern(size - 8, seed));
            }
            bytes.freeze()
        }
    }
}
