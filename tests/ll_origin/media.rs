//! What a low-latency origin has to give: an init section, and segments that are made of parts.
//!
//! Real media is fragmented MP4 that ffmpeg wrote, cut where its fragments begin. Its times are
//! not touched: it plays once, from beginning to end.

/// A rendition's media.
#[derive(Clone)]
pub struct Media {
    pub init: Vec<u8>,
    /// The parts of each segment; their bytes one after the other are the segment.
    pub segments: Vec<Vec<Vec<u8>>>,
    /// How long a part plays.
    pub part_s: f64,
}

impl Media {
    /// Bytes that are no media, but in which every part can be told from every other.
    pub fn invented(segments: usize, parts: usize, part_s: f64) -> Self {
        let part = |n: usize, i: usize| {
            let len = 900 + 10 * i;
            (0..len).map(|at| (at * 31 + at / 251 + n * 57 + i * 11) as u8).collect()
        };
        let segments = (0..segments).map(|n| (0..parts).map(|i| part(n, i)).collect()).collect();
        Self { init: b"init".to_vec(), segments, part_s }
    }

    /// Cuts one fragmented MP4 file, whose fragments all play for `part_s`, into segments of so
    /// many parts. This makes such a file, of 5 parts of 0.4 s between two key frames:
    ///
    /// ```sh
    /// ffmpeg -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=sample_rate=48000 -t 60 \
    ///   -c:v libx264 -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -bf 0 -c:a aac \
    ///   -movflags +empty_moov+default_base_moof+frag_keyframe -frag_duration 400000 all.mp4
    /// ```
    pub fn cut(file: &[u8], parts: usize, part_s: f64) -> Self {
        let mut init = Vec::new();
        let mut fragments: Vec<Vec<u8>> = Vec::new();
        let mut rest = file;
        while let Some((name, size)) = box_head(rest) {
            let (this, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            match name {
                b"mfra" => {}
                b"moof" => fragments.push(this.to_vec()),
                _ => fragments.last_mut().unwrap_or(&mut init).extend_from_slice(this),
            }
        }
        let segments = fragments.chunks(parts).map(<[_]>::to_vec).collect();
        Self { init, segments, part_s }
    }

    pub fn parts_per_segment(&self) -> usize {
        self.segments.first().map_or(0, Vec::len)
    }

    pub fn segment_s(&self) -> f64 {
        self.part_s * self.parts_per_segment() as f64
    }
}

/// Name and size of the box at the beginning.
fn box_head(bytes: &[u8]) -> Option<(&[u8; 4], usize)> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?);
    let name = bytes.get(4..8)?.first_chunk()?;
    (size >= 8).then_some((name, size as usize))
}
