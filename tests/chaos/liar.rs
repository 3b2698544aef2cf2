//! Members of the swarm that lie: of every other segment or so they send something else in its
//! place, of the right length and form. The rest is true, so that they look trustworthy.
//!
//! Whoever is found out is banned by id and by address; so each comes back as somebody else.

use crate::origin::Origin;
use crate::random::Random;
use crate::test_peer::Waiting;
use crate::verdict::Verdict;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use url::Url;

/// How often one says what it claims to hold.
const ANNOUNCING: Duration = Duration::from_millis(500);
/// Segments it claims to hold, the newest of the stream.
const HELD: u64 = 8;

/// Somebody who lies.
pub struct Liar {
    pub place: u8,
    pub seed: u64,
    /// The tracker's URL.
    pub tracker: String,
    pub playlist: Url,
    pub origin: Arc<Origin>,
    pub verdict: Arc<Verdict>,
}

impl Liar {
    /// Lies until `end`, to one daemon after the other.
    pub async fn lie(self, end: Instant) {
        for life in 0..=u8::MAX {
            if timeout_at(end, self.live(life)).await.is_err() {
                return;
            }
        }
    }

    /// Meets a daemon, and lies to it until it hangs up.
    async fn live(&self, life: u8) {
        let id = format!("-XX0001-liar-{:02}-{life:03}-", self.place);
        let id = id.as_bytes().try_into().unwrap();
        let address = format!("127.0.{}.{life}", 100 + self.place);
        let waiting = Waiting::join_as(id, &address, &self.tracker, &self.playlist).await;
        let Some(mut peer) = waiting.try_to_meet().await else { return };
        let mut announcing = interval(ANNOUNCING);
        announcing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = announcing.tick() => {
                    let newest = self.origin.newest();
                    peer.announce(&Vec::from_iter(newest - HELD..=newest)).await;
                }
                asked = peer.requested() => {
                    let Some(asked) = asked else { return };
                    peer.answer(&asked, &self.version(asked.segment)).await;
                }
            }
        }
    }

    /// What it takes for that segment, or says it does.
    fn version(&self, segment: u64) -> Bytes {
        let truth = self.origin.truth(segment);
        let mut random = Random::new(self.seed, (segment << 8) + u64::from(self.place));
        if random.below(2) == 0 {
            return truth;
        }
        self.verdict.lie();
        let other = self.origin.truth(segment + (1 << 32));
        assert!(other.len() == truth.len() && other != truth);
        other
    }
}
