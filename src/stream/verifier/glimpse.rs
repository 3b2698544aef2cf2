//! A look at a slice of the origin's bytes, to find out which of what peers say of a segment is
//! right while it is still arriving.
//!
//! What is looked at, and what follows, is decided elsewhere.

use std::time::Duration;

use super::Verifier;
use super::means::{Means, Sliced, resource_size};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, OriginResponse, Wanted};
use crate::stream::download::is_encoded;
use crate::verify::blocks::{BlockHash, Glimpse, hashes};
use tokio::sync::mpsc;

/// How long it may take; then nothing is found out.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the origin sends: the size of the segment, and the hashes of the blocks of the slice.
pub type Answer = Option<(u64, Vec<BlockHash>)>;

impl Verifier {
    /// Whether lists of block hashes are the strongest means there may be: not where the publisher
    /// says what segments are, or may do so.
    pub fn allows_lists(&self, segment: &FetchRequest) -> bool {
        !self.lists.is_binding()
            && self.lists.is_without()
            && self.means.compares()
            && !self.means.may_have_digest(segment)
    }

    /// Looks, and tells what was seen.
    pub fn look_at(
        &self,
        glimpse: Glimpse,
        request: FetchRequest,
        seen: mpsc::Sender<(Glimpse, Answer)>,
    ) {
        let (means, meter) = (self.means.clone(), self.context.meter.clone());
        let cancel = tokio_util::sync::CancellationToken::new();
        self.spawn(cancel, async move {
            let look = tokio::time::timeout(PATIENCE, look(&means, &meter, &glimpse, &request));
            let answer = look.await.ok().flatten();
            // Without an actor there is nobody left to tell.
            let _ = seen.send((glimpse, answer)).await;
        });
    }
}

async fn look(means: &Means, meter: &Meter, glimpse: &Glimpse, request: &FetchRequest) -> Answer {
    let Sliced::Answer(mut answer) = means.slice(request, &glimpse.slice).await else {
        return None;
    };
    if is_encoded(&answer.headers) {
        return None;
    }
    let total = match request.wanted {
        Wanted::Slice(whole) => whole.len,
        _ => resource_size(&answer)?,
    };
    let bytes = body(&mut answer, glimpse.slice.end - glimpse.slice.start, meter).await?;
    // Now and then it is a whole segment, which takes milliseconds.
    let claimed = glimpse.total;
    let hashes = tokio::task::spawn_blocking(move || hashes(&bytes, claimed)).await.ok()?;
    Some((total, hashes))
}

/// The body, if it has that length.
async fn body(answer: &mut OriginResponse, len: u64, meter: &Meter) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        meter.add(|c| &c.origin_bytes, chunk.len() as u64);
        if (body.len() + chunk.len()) as u64 > len {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    (body.len() as u64 == len).then_some(body)
}
