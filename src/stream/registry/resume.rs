//! Streams for whoever knows their playlist, and asks for none of their segments.
//!
//! It learns nothing. The HTTP front and the seeder drive it.

use url::Url;

use super::{Registry, Stream};
use crate::stream::StreamHandle;

impl Registry {
    /// The stream that the playlist at a URL is read for.
    pub fn playing(&self, credentials: u64, playlist: &Url) -> Option<StreamHandle> {
        let inner = self.lock();
        let is_it = |stream: &&Stream| {
            stream.credentials == credentials
                && stream.playlist == *playlist
                && !stream.handle.is_ended()
        };
        inner.streams.iter().find(is_it).map(|stream| stream.handle.clone())
    }

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
