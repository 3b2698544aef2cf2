//! How much is asked of one host at the same time.
//!
//! Who asks beyond the limit waits for its turn, as long as it would wait for an answer. A place
//! is held until the answer has been read or dropped. Driven by `fetch`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// The hosts in use.
pub(super) struct HostLimit {
    max: usize,
    hosts: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl HostLimit {
    pub fn new(max: usize) -> Self {
        Self { max: max.clamp(1, Semaphore::MAX_PERMITS), hosts: Mutex::default() }
    }

    /// Waits for a place.
    pub async fn wait(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        self.of(url).acquire_owned().await.ok()
    }

    /// A place, if one is free.
    pub fn take(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        self.of(url).try_acquire_owned().ok()
    }

    fn of(&self, url: &Url) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or holds a place has a handle too: what has none is not in use.
        hosts.retain(|_, places| Arc::strong_count(places) > 1);
        let host = url[url::Position::BeforeScheme..url::Position::BeforePath].to_owned();
        hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(self.max))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_counted_apart_and_forgotten_when_unused() {
        let limit = HostLimit::new(2);
        let (a, b) = ("http://a.test/x".parse().unwrap(), "http://b.test/".parse().unwrap());
        let held: Vec<_> = (0..3).map(|_| limit.take(&a)).collect();
        assert_eq!(held.iter().filter(|place| place.is_some()).count(), 2);
        assert!(limit.take(&b).is_some());
        drop(held);
        assert!(limit.take(&"http://a.test/y".parse().unwrap()).is_some());
        assert_eq!(limit.hosts.lock().unwrap().len(), 1);
    }
}
