//! What a low-latency origin has to give: an init section, and segments that are made of parts.
//!
//! Real media is fragmented MP4 that ffmpeg wrote, cut where its fragments begin. It is not made
//! here, and its times are not touched: it plays once, from beginning to end.

use std::fs;
use std::io;
use std::path::Path;

/// A rendition's media.
#[derive(Clone)]
pub struct Media {
    pub init: Vec<u8>,
    /// The parts of each segment; their bytes one after the other are the segment.
    pub segments: Vec<Vec<Vec<u8>>>,
    /// Of a part; the last of a segment may be shorter.
    pub part_s: f64,
    /// Of a segment.
    pub segment_s: f64,
}

impl Media {
    /// Bytes that are no media, but in which every part can be told from every other.
    pub fn invented(segments: usize, parts: usize, part_s: f64) -> Self {
        let part = |n: usize, i: usize| {
            let len = 900 + 10 * i;
            (0..len).map(|at| (at * 31 + at / 251 + n * 57 + i * 11) as u8).collect()
        };
        Self {
            init: b"init".to_vec(),
            segments: (0..segments).map(|n| (0..parts).map(|i| part(n, i)).collect()).collect(),
            part_s,
            segment_s: part_s * parts as f64,
        }
    }

    /// Reads `init.mp4` and `0.m4s`, `1.m4s` and so on from a directory. This makes them:
    ///
    /// ```sh
    /// ffmpeg -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=sample_rate=48000 -t 60 \
    ///   -c:v libx264 -g 50 -keyint_min 50 -sc_threshold 0 -bf 0 -c:a aac \
    ///   -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 \
    ///   -hls_segment_options movflags=+frag_custom+dash+delay_moov+frag_every_frame …
    /// ```
    ///
    /// or, as `ll_media` of the players' tests does, one fragmented file cut by [`Media::cut`].
    pub fn read(directory: &Path, part_s: f64, segment_s: f64) -> io::Result<Self> {
        let init = fs::read(directory.join("init.mp4"))?;
        let files = (0..).map_while(|n| fs::read(directory.join(format!("{n}.m4s"))).ok());
        let segments = files.map(|bytes| fragments(&bytes)).collect();
        Ok(Self { init, segments, part_s, segment_s })
    }
}
