//! Checks of segments that nobody gets before the publisher's list of hashes has confirmed them,
//! whoever sent them.
//!
//! What the list refutes is never given out; what it does not know is left to its origin, as it
//! would be without us. Driven by `proof`.

use std::time::Duration;

use tokio::time::sleep;

use super::proof::{Proving, sole_sender};
use super::{By, Evidence, Outcome};
use crate::verify::Sha256;
use crate::verify::digest::Digest;
use crate::verify::trust::Check;

/// How often the list of a live stream is read for one segment: it comes after the playlist.
const READS_MAX: u32 = 10;
/// Between two of these.
pub const READ_PAUSE: Duration = Duration::from_millis(500);
/// How long a check may take while a player waits: the reads, and a comparison.
pub const PATIENCE: Duration = Duration::from_secs(6);

impl Proving {
    /// The verdict of the list.
    pub(super) async fn prove_by_list_alone(&self) -> Outcome {
        let Evidence { is_whole, shares, buffer, .. } = &self.evidence;
        if !is_whole {
            return Outcome::Later;
        }
        let Some(hash) = self.listed().await else { return Outcome::Unproven };
        if self.fits(Digest::Sha256(hash)).await {
            return self.proved(By::List);
        }
        if shares.is_empty() {
            return Outcome::Wrong(None);
        }
        // Who of them is to blame, and whether the origin is, too.
        let outcome = self.compare(&Check::Whole, By::Slices).await;
        let by_peers: u64 = shares.iter().map(|share| share.bytes.end - share.bytes.start).sum();
        match outcome {
            Outcome::Proved(..) if by_peers == buffer.len() => Outcome::Wrong(sole_sender(shares)),
            Outcome::Proved(..) => Outcome::Unproven,
            outcome => outcome,
        }
    }

    async fn listed(&self) -> Option<Sha256> {
        let Evidence { request, list, rhythm, .. } = &self.evidence;
        for _ in 0..READS_MAX {
            let found = self.lists.find(request, list, *rhythm).await;
            if found.is_some() || !rhythm.is_live {
                return found;
            }
            sleep(READ_PAUSE).await;
        }
        None
    }
}
