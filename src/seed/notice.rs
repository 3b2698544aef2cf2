//! What a seeder says: to people, in lines.
//!
//! URLs come here with the values of their queries masked.

use std::sync::atomic::Ordering;

use crate::stream::{Figures, Profile};

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// It cannot be seeded.
    #[error("{url}: {why}")]
    Lost {
        /// The URL.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The origin does not answer; it will be asked again.
    #[error("{url}: {why}; trying again")]
    Away {
        /// The URL.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// All of it is held.
    #[error("{url}: all {listed} segments are held")]
    Whole {
        /// The URL.
        url: String,
        /// Segments of the playlist.
        listed: usize,
    },
    /// The cache is full.
    #[error(
        "{url}: the cache is full, {held} of {listed} segments are held; \
         a larger one (--cache) would hold more"
    )]
    Full {
        /// The URL.
        url: String,
        /// Segments held.
        held: usize,
        /// Segments of the playlist.
        listed: usize,
    },
    /// Some segment cannot be kept.
    #[error("{url}: {why}")]
    Unkept {
        /// The URL.
        url: String,
        /// Why.
        why: &'static str,
    },
}

/// How it goes with one rendition.
pub fn line(profile: &Profile, figures: &Figures) -> String {
    let counters = profile.counters.snapshot();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let of = if profile.is_live.load(Ordering::Relaxed) {
        "live".to_owned()
    } else {
        format!("of {}", figures.segments_listed)
    };
    let peers = figures.peers.len();
    format!(
        "{} {}: {} segments held ({of}), {:.1} MB given to peers; {:.1} MB from the origin, \
         {:.1} MB from peers; {peers} connected\n",
        profile.url,
        profile.rendition,
        figures.segments_held,
        megabytes(counters.upload_bytes),
        megabytes(counters.origin_bytes),
        megabytes(counters.peer_bytes),
    )
}
