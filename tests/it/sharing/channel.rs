//! A live stream whose playlist the test moves on.

use super::world::{Player, transport_stream};
use crate::origin::TestOrigin;
use crate::resource::Resource;
use bytes::Bytes;
use hlswarm::playlist::timeline::Segment;
use std::fmt::Write;
use url::Url;

/// A channel: a window of `window` segments over an endless programme.
pub struct Channel {
    pub origin: TestOrigin,
    pub window: u64,
    /// Names are used again after so many segments; 0: never.
    pub ring: u64,
    pub has_tokens: bool,
}

impl Channel {
    pub async fn start(window: u64, ring: u64, has_tokens: bool) -> Self {
        Self { origin: TestOrigin::start().await, window, ring, has_tokens }
    }

    pub fn url(&self) -> Url {
        self.origin.url("/live/index.m3u8")
    }

    pub fn path(&self, number: u64) -> String {
        let name = if self.ring > 0 { number % self.ring } else { number };
        format!("/live/seg-{name}.ts")
    }

    pub fn bytes(number: u64) -> Bytes {
        transport_stream(100, number)
    }

    /// The newest segment is `last` from now on; `edition` goes into the tokens.
    pub fn go_to(&self, last: u64, edition: u32) {
        let first = last + 1 - self.window;
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in first..=last {
            let path = self.path(number);
            self.origin.put(&path, Resource::new("video/mp2t", Self::bytes(number)));
            let token = if self.has_tokens { format!("?token={edition}") } else { String::new() };
            write!(text, "#EXTINF:2,\n{path}{token}\n").unwrap();
        }
        // What is held for others would hide how the test moves on.
        let playlist = Resource::playlist(&text).header("cache-control", "no-cache");
        self.origin.put("/live/index.m3u8", playlist);
    }

    /// Reads the playlist and gets the newest segment; where it came from.
    pub async fn watch_newest(&self, player: &Player) -> String {
        let newest = player.timeline(&self.url()).await.segments.pop().unwrap();
        expect(player, &newest).await
    }
}

/// Gets a segment and compares it; where it came from.
pub async fn expect(player: &Player, segment: &Segment) -> String {
    let answer = player.segment(segment).await;
    assert_eq!((answer.status, answer.is_cut), (200, false));
    let number = segment.id.0;
    assert!(answer.body == Channel::bytes(number), "{number} wrong from {}", answer.source());
    answer.source().to_owned()
}
