//! The trackers at which streams meet their peers: those of the configuration, and those that a
//! rule names for some streams, each connected once however many streams need it.
//!
//! It announces nothing. Built by the daemon, driven by the registry.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::ids::PeerId;
use crate::tracker::session::{SessionConfig, Timings, TrackerSession};

/// Trackers that rules name, at the same time; further ones are not asked while all are needed.
pub const NAMED_MAX: usize = 64;
/// Trackers of one stream; further ones of a rule are left out.
pub const OF_STREAM_MAX: usize = 8;

/// The trackers.
pub struct Trackers {
    me: PeerId,
    is_on: bool,
    configured: Vec<TrackerSession>,
    named: Mutex<Vec<(TrackerSession, CancellationToken)>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Trackers {
    /// The configured ones; none at all, whatever rules say, unless sharing is on.
    pub fn new(
        me: PeerId,
        configured: Option<&[Url]>,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let mut trackers = Self {
            me,
            is_on: configured.is_some(),
            configured: Vec::new(),
            named: Mutex::default(),
            tasks: tasks.clone(),
            cancel,
        };
        for url in configured.unwrap_or_default() {
            trackers.configured.push(trackers.session(url, trackers.cancel.child_token()));
        }
        trackers
    }

    /// Every one.
    pub fn all(&self) -> Vec<TrackerSession> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let named = named.iter().map(|(session, _)| session);
        self.configured.iter().chain(named).cloned().collect()
    }

    /// Those of a stream: the configured ones, unless a rule names others.
    pub(super) fn of_stream(&self, named: Option<&[Url]>) -> Vec<TrackerSession> {
        let Some(named) = named.filter(|_| self.is_on) else { return self.configured.clone() };
        let mut urls: Vec<&Url> = Vec::new();
        for url in named {
            if !urls.contains(&url) && urls.len() < OF_STREAM_MAX {
                urls.push(url);
            }
        }
        urls.into_iter().filter_map(|url| self.named(url)).collect()
    }

    fn named(&self, url: &Url) -> Option<TrackerSession> {
        let is_it = |session: &&TrackerSession| session.url() == url.as_str();
        if let Some(known) = self.configured.iter().find(is_it) {
            return Some(known.clone());
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = named.iter().find(|(session, _)| is_it(&session)) {
            return Some(known.clone());
        }
        if named.len() >= NAMED_MAX {
            let idle = named.iter().position(|(session, _)| !session.is_wanted());
            let Some(idle) = idle else {
                tracing::warn!(limit = NAMED_MAX, "too many trackers at the same time");
                return None;
            };
            named.remove(idle).1.cancel();
        }
        let cancel = self.cancel.child_token();
        let session = self.session(url, cancel.clone());
        named.push((session.clone(), cancel));
        Some(session)
    }

    fn session(&self, url: &Url, cancel: CancellationToken) -> TrackerSession {
        let config = SessionConfig {
            url: url.to_string(),
            peer_id: self.me,
            origin_header: None,
            timings: Timings::default(),
        };
        TrackerSession::spawn(config, &self.tasks, cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::InfoHash;

    fn url(n: usize) -> Url {
        Url::parse(&format!("ws://127.0.0.1:9/{n}")).unwrap()
    }

    fn trackers(configured: Option<&[Url]>) -> Trackers {
        let me = PeerId([b'x'; 20]);
        Trackers::new(me, configured, &TaskTracker::new(), CancellationToken::new())
    }

    #[tokio::test]
    async fn a_tracker_that_is_named_twice_is_one() {
        let trackers = trackers(Some(&[url(0)]));
        assert_eq!(trackers.of_stream(None).len(), 1);
        assert_eq!(trackers.of_stream(Some(&[url(0), url(1), url(1)])).len(), 2);
        assert_eq!(trackers.of_stream(Some(&[url(1)])).len(), 1);
        assert_eq!(trackers.all().len(), 2);
    }

    #[tokio::test]
    async fn nothing_is_named_while_sharing_is_off() {
        let trackers = trackers(None);
        assert!(trackers.of_stream(Some(&[url(1)])).is_empty() && trackers.all().is_empty());
    }

    #[tokio::test]
    async fn of_too_many_the_idle_ones_go_first_and_those_in_use_stay() {
        let trackers = trackers(Some(&[]));
        let of_one: Vec<_> = (0..=OF_STREAM_MAX).map(url).collect();
        assert_eq!(trackers.of_stream(Some(&of_one)).len(), OF_STREAM_MAX);
        let memberships: Vec<_> = (0..NAMED_MAX)
            .map(|n| trackers.of_stream(Some(&[url(n)]))[0].join(InfoHash([0; 20])))
            .collect();
        assert!(trackers.of_stream(Some(&[url(NAMED_MAX)])).is_empty());
        drop(memberships);
        assert_eq!(trackers.of_stream(Some(&[url(NAMED_MAX)])).len(), 1);
        assert_eq!(trackers.all().len(), NAMED_MAX);
    }
}
