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

/// Trackers of publishers at the same time; beyond it the one named first is left.
const NAMED_MAX: usize = 16;

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

    /// Where every stream is shared.
    pub fn configured(&self) -> &[TrackerSession] {
        &self.configured
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
        if named.len() >= NAMED_MAX
            && let Some((_, first)) = named.pop_front()
        {
            first.cancel();
        }
        let (session, cancel) = self.begin(url);
        named.push_back((session.clone(), cancel));
        Some(session)
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
        assert_eq!(trackers.configured().len(), 1);
        let off = Trackers::new(PeerId([b'a'; 20]), None, &tasks, &cancel);
        assert!(off.named(&at(1)).is_none() && off.all().is_empty());
        cancel.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
