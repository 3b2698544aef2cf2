//! The ways to a segment: what another pathway has at the same position.
//!
//! The media playlist of that pathway is read for it, and nothing of it is taught to the registry:
//! the segment belongs to the stream that the player plays. Downloads drive it.

use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use url::Url;

use super::answer::Front;
use super::proxy::Asked;
use super::steering::{self, WAY_PATIENCE, Way};
use super::user_info::UserInfo;
use super::{decode, reload};
use crate::ids::SegmentId;
use crate::origin::{FetchRequest, Wanted};
use crate::playlist::timeline::Segment;
use crate::playlist::{self, PLAYLIST_BYTES_MAX, Playlist, Timeline};
use crate::stream::Detour;

/// The ways of a player with one media playlist.
struct Ways {
    front: Weak<Front>,
    asked: Asked,
    /// As the player asked for it.
    playlist: Url,
}

/// The ways to the segments of the media playlist at a URL, if it has several.
pub fn of(front: &Arc<Front>, asked: &Asked, playlist: &Url) -> Option<Arc<dyn Detour>> {
    if front.steering.ways(asked, playlist).len() < 2 {
        return None;
    }
    let (front, asked, playlist) = (Arc::downgrade(front), asked.clone(), playlist.clone());
    Some(Arc::new(Ways { front, asked, playlist }))
}

// Whose headers these are is nobody's business.
impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ways")
    }
}

#[async_trait]
impl Detour for Ways {
    async fn ahead(&self, segment: SegmentId, asked: &Url) -> Option<FetchRequest> {
        let front = self.front.upgrade()?;
        let ways = front.steering.ways(&self.asked, &self.playlist);
        let way = ways.first().filter(|way| !way.leads_to(asked))?;
        let asked_way = ways.iter().find(|way| way.leads_to(asked))?;
        // A live playlist soon leads there by itself.
        let is_film = way.timeline().or_else(|| asked_way.timeline()).is_some_and(|t| t.is_ended);
        if !is_film && !asked_way.is_penalised() {
            return None;
        }
        self.on(&front, way, segment, &[]).await
    }

    async fn around(
        &self,
        segment: SegmentId,
        failed: &[Url],
        is_host_at_fault: bool,
    ) -> Option<FetchRequest> {
        let front = self.front.upgrade()?;
        let ways = front.steering.ways(&self.asked, &self.playlist);
        let bad = failed.last().filter(|_| is_host_at_fault);
        if let Some(way) = bad.and_then(|bad| ways.iter().find(|way| way.leads_to(bad))) {
            way.failed();
        }
        for way in &front.steering.ways(&self.asked, &self.playlist) {
            if failed.iter().any(|failed| way.leads_to(failed)) {
                continue;
            }
            if let Some(request) = self.on(&front, way, segment, failed).await {
                return Some(request);
            }
        }
        None
    }
}

impl Ways {
    /// A request for the segment on that way.
    async fn on(
        &self,
        front: &Front,
        way: &Way,
        segment: SegmentId,
        failed: &[Url],
    ) -> Option<FetchRequest> {
        let known = way.timeline().and_then(|timeline| timeline.segment(segment).cloned());
        let found = match known {
            Some(known) => known,
            None => self.read(front, way).await?.segment(segment)?.clone(),
        };
        let Segment { url, range, .. } = found;
        if failed.contains(&url) {
            return None;
        }
        let wanted = range.map_or(Wanted::Whole, Wanted::Slice);
        Some(FetchRequest { wanted, ..steering::request(front, &self.asked, &url) })
    }

    /// The segments of the playlist on that way.
    async fn read(&self, front: &Front, way: &Way) -> Option<Timeline> {
        let request = steering::request(front, &self.asked, &way.url);
        let attempt = tokio::time::timeout(WAY_PATIENCE, front.origin.playlist_once(&request));
        let answer = attempt.await.ok().and_then(Result::ok).filter(|a| a.status.is_success());
        let Some(answer) = answer else {
            way.failed();
            return None;
        };
        front.status.meter.add(|c| &c.origin_bytes, answer.body.len() as u64);
        let body = decode::decode(&answer.headers, &answer.body, PLAYLIST_BYTES_MAX).ok()?;
        let text = playlist::check(&body).ok()?;
        let mut base = answer.final_url;
        let _ = UserInfo::take(&mut base);
        let imported = reload::imported(front, &self.asked, &self.playlist);
        let Ok(Playlist::Media(timeline)) = playlist::read(&text, &base, &imported) else {
            return None;
        };
        way.brought(&timeline);
        Some(timeline)
    }
}
