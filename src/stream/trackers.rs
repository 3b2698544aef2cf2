//! The trackers where viewers are met: those of the settings, and those that publishers name for
//! their own videos.
//!
//! A session connects only while a stream is announced there. Owned by the daemon; the statistics
//! show all of them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::ids::PeerId;
use crate::tracker::session::{SessionConfig, Timings, TrackerSession};

/// Trackers that are not in the settings for all streams, at the same time; beyond it the one named
/// first is left, of those that no stream needs if there are any.
const NAMED_MAX: usize = 16;

/// Trackers that the settings may name for one stream; further ones are left out.
const OF_STREAM_MAX: usize = 8;

/// All trackers of a daemon.
pub struct Trackers {
    me: PeerId,
    tasks: TaskTracker,
    cancel: CancellationToken,
    /// Whether anything is shared at all.
    is_on: bool,
    configured: Vec<TrackerSession>,
    named: Mutex<VecDeque<(TrackerSession, CancellationToken)>>,
}

impl Trackers {
    /// Those of the settings, or `None` when nothing is shared; `cancel` ends all of them.
    pub fn new(
        me: PeerId,
        configured: Option<&[Url]>,
        tasks: &TaskTracker,
        cancel: &CancellationToken,
    ) -> Self {
        let mut trackers = Self {
            me,
            tasks: tasks.clone(),
            cancel: cancel.clone(),
            is_on: configured.is_some(),
            configured: Vec::new(),
            named: Mutex::default(),
        };
        trackers.configured =
            configured.into_iter().flatten().map(|url| trackers.begin(url).0).collect();
        trackers
    }

    /// The tracker that a publisher names; never one of the settings, although it may be the same.
    pub fn named(&self, url: &Url) -> Option<TrackerSession> {
        if !self.is_on {
            return None;
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = named.iter().find(|(known, _)| known.url() == url.as_str()) {
            return Some(known.clone());
        }
        if named.len() >= NAMED_MAX {
            let idle = named.iter().position(|(session, _)| !session.is_wanted());
            if let Some((_, left)) = named.remove(idle.unwrap_or(0)) {
                left.cancel();
            }
        }
        let (session, cancel) = self.begin(url);
        named.push_back((session.clone(), cancel));
        Some(session)
    }

    /// Those of a stream: where every stream is shared, unless the settings name others for it.
    pub(super) fn of_stream(&self, urls: Option<&[Url]>) -> Vec<TrackerSession> {
        let Some(urls) = urls else { return self.configured.clone() };
        let mut sessions: Vec<TrackerSession> = Vec::new();
        for url in urls.iter().take(OF_STREAM_MAX) {
            let is_it = |session: &&TrackerSession| session.url() == url.as_str();
            let configured = self.configured.iter().find(is_it).cloned();
            if sessions.iter().all(|known| known.url() != url.as_str()) {
                sessions.extend(configured.or_else(|| self.named(url)));
            }
        }
        sessions
    }

    /// All of them.
    pub fn all(&self) -> Vec<TrackerSession> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let named = named.iter().map(|(session, _)| session.clone());
        self.configured.iter().cloned().chain(named).collect()
    }

    fn begin(&self, url: &Url) -> (TrackerSession, CancellationToken) {
        let config = SessionConfig {
            url: url.as_str().to_owned(),
            peer_id: self.me,
            origin_header: None,
            timings: Timings::default(),
        };
        let cancel = self.cancel.child_token();
        (TrackerSession::spawn(config, &self.tasks, cancel.clone()), cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_number_of_trackers_that_publishers_name_is_limited() {
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let at = |n: usize| format!("wss://tube{n}.test/tracker/socket").parse::<Url>().unwrap();
        let trackers = Trackers::new(PeerId([b'a'; 20]), Some(&[at(0)]), &tasks, &cancel);
        for n in 1..=NAMED_MAX + 1 {
            assert!(trackers.named(&at(n)).is_some() && trackers.named(&at(n)).is_some());
        }
        let urls: Vec<_> = trackers.all().iter().map(|t| t.url().to_owned()).collect();
        let expected = [0].into_iter().chain(2..=NAMED_MAX + 1).map(|n| at(n).to_string());
        assert_eq!(urls, expected.collect::<Vec<_>>());
        assert_eq!(trackers.of_stream(None).len(), 1);
        let of_rule = [0, 20, 20, 21].map(at);
        assert_eq!(trackers.of_stream(Some(&of_rule)).len(), 3, "none twice");
        let many: Vec<_> = (20..40).map(at).collect();
        assert_eq!(trackers.of_stream(Some(&many)).len(), OF_STREAM_MAX);
        let off = Trackers::new(PeerId([b'a'; 20]), None, &tasks, &cancel);
        assert!(off.of_stream(Some(&many)).is_empty() && off.all().is_empty());
        cancel.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
