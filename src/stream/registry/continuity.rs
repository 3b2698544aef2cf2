//! Whether a playlist goes on where another left off, or is of something else.
//!
//! Compares what two playlists name; knows nothing of streams. Driven by the registry.

use std::collections::BTreeMap;

use crate::playlist::{Segment, Timeline};

/// Segments by which one server of a live stream may lag behind another.
const LAG_MAX: u64 = 3;

/// Whether two playlists name the same files for the same positions. Without a position in common
/// a live one may be the other some time later; two films are never the same. A live playlist that
/// goes back a little comes from a server that lags; one that goes back far has begun anew, maybe
/// under the same names. Of one playlist only the files' names count: tokens may be in the path.
pub fn agree(old: &Timeline, new: &Timeline, is_same_playlist: bool) -> bool {
    let last = |timeline: &Timeline| timeline.segments.last().map_or(0, |s| s.id.0);
    if !old.is_ended && last(new).saturating_add(LAG_MAX) < last(old) {
        return false;
    }
    let file = |segment: &Segment| {
        let path = segment.url.path();
        let name = if is_same_playlist { path.rsplit('/').next().unwrap_or(path) } else { path };
        (name.to_owned(), segment.range)
    };
    let files: BTreeMap<_, _> = old.segments.iter().map(|s| (s.id, file(s))).collect();
    let mut common = 0;
    for segment in &new.segments {
        match files.get(&segment.id) {
            Some(known) if *known != file(segment) => return false,
            Some(_) => common += 1,
            None => {}
        }
    }
    common > 0 || (!old.is_ended && new.media_sequence >= old.media_sequence)
}
