//! Streams for whoever keeps them without playing them.
//!
//! It starts what has ended again, and learns nothing. The seeder drives it.

use url::Url;

use super::{Registry, Stream};
use crate::stream::StreamHandle;

impl Registry {
    /// The stream that the playlist at a URL was last read for, started again if it had ended; by
    /// the URL of one of its segments, where others have read it by another URL since.
    pub fn resume(&self, credentials: u64, playlist: &Url, segment: &Url) -> Option<StreamHandle> {
        let mut inner = self.lock();
        let is_it = |s: &Stream| s.credentials == credentials && s.playlist == *playlist;
        let found = inner.streams.iter().enumerate().filter(|(_, stream)| is_it(stream));
        let latest = found.max_by_key(|(_, stream)| stream.read_at).map(|(index, _)| index);
        if let Some(index) = latest {
            return Some(inner.alive(&self.parts, index));
        }
        drop(inner);
        Some(self.locate(credentials, segment, |_| Some(0))?.stream)
    }
}
