//! One check: a segment against a hash, or against what the origin sends of it again.
//!
//! The origin's word is the last one: bytes that a hash list or the members' agreement call wrong
//! are compared with the origin's before anybody is blamed.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::lists::Lists;
use super::means::{Means, Sliced, resource_size};
use super::{By, Evidence, Outcome, sealed};
use crate::ids::{ByteRange, fill_random};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, OriginError, OriginResponse, Wanted};
use crate::stream::buffer::SegmentBuffer;
use crate::stream::download::is_encoded;
use crate::verify::digest::Digest;
use crate::verify::ladder::{Known, Mode, Proof, choose};
use crate::verify::trust::{Check, Share, Trust, culprit};

/// How long a check may take while a player waits; then the whole is fetched from the origin.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many times that a check may take that nobody waits for.
const PATIENCE_AHEAD: u32 = 5;
/// Slices asked for at the same time.
const SLICES_AT_ONCE: usize = 4;

/// A check under way.
pub struct Proving {
    pub(super) evidence: Evidence,
    bytes: Bytes,
    /// What to compare where nothing else proves it.
    slices: Check,
    /// What to compare where members agree.
    agreed_slices: Check,
    pub(super) lists: Arc<Lists>,
    means: Arc<Means>,
    meter: Meter,
}

/// What a comparison with the origin's bytes has shown.
enum Compared {
    Same,
    /// At that place they differ.
    Differ(u64),
    /// It is another size.
    OtherSize,
    /// The origin does not send slices, or not the one asked for.
    NoSlice,
    /// The origin could not be asked.
    Unknown,
}

impl Proving {
    /// Draws what to compare.
    pub fn new(
        evidence: Evidence,
        trust: &Trust,
        lists: Arc<Lists>,
        means: Arc<Means>,
        meter: Meter,
    ) -> Self {
        let bytes = evidence.buffer.contents().unwrap_or_default();
        let size = bytes.len() as u64;
        let mut random = || {
            let mut number = [0; 8];
            // Without a random source: zero, which means that everything is compared.
            fill_random(&mut number).map_or(0, |()| u64::from_le_bytes(number))
        };
        let slices = trust.plan(size, &evidence.shares, &mut random);
        let agreed_slices = trust.plan_agreed(size, &evidence.shares, &mut random);
        Self { evidence, bytes, slices, agreed_slices, lists, means, meter }
    }

    /// The verdict, in time.
    pub async fn run(mut self) -> Outcome {
        let (buffer, is_sealed) = (self.evidence.buffer.clone(), self.lists.is_binding());
        let proof = async {
            let Ok(_place) = self.means.places.acquire().await else { return Outcome::Unproven };
            self.evidence.request = self.place_to_ask().await;
            self.prove().await
        };
        tokio::select! {
            biased;
            outcome = proof => outcome,
            () = patience(&buffer, is_sealed) => {
                tracing::debug!("a check takes too long");
                Outcome::Unproven
            }
        }
    }

    /// Where a download would begin.
    async fn place_to_ask(&self) -> FetchRequest {
        let Evidence { segment, request, detour, .. } = &self.evidence;
        let better = match detour {
            Some(detour) => detour.ahead(*segment, &request.url).await,
            None => None,
        };
        let is_same_part = |other: &FetchRequest| other.wanted.is_like(&request.wanted);
        better.filter(is_same_part).unwrap_or_else(|| request.clone())
    }

    async fn prove(&self) -> Outcome {
        if self.lists.is_binding() {
            return self.prove_by_list_alone().await;
        }
        let Evidence { request, list, rhythm, is_whole, agreed, .. } = &self.evidence;
        let listed = self.lists.find(request, list, *rhythm).await;
        if !is_whole && (listed.is_some() || self.means.may_have_digest(request)) {
            return Outcome::Later;
        }
        let stated = match listed {
            Some(_) => None,
            None => self.means.digest(request).await,
        };
        let agreed = agreed.filter(|_| *is_whole);
        match choose(self.means.mode, &Known { listed, stated, agreed }) {
            Proof::None => Outcome::Unproven,
            Proof::Listed(hash) => self.by_list(Digest::Sha256(hash)).await,
            Proof::Stated(digest) => self.by_digest(digest).await,
            Proof::Agreed(hash) if self.fits(Digest::Sha256(hash)).await => {
                self.compare(&self.agreed_slices, By::Agreement).await
            }
            Proof::Agreed(_) => self.compare(&Check::Whole, By::Slices).await,
            Proof::Slices => self.compare(&self.slices, By::Slices).await,
        }
    }

    async fn by_list(&self, digest: Digest) -> Outcome {
        if self.fits(digest).await {
            return self.proved(By::List);
        }
        let outcome = self.compare(&Check::Whole, By::Slices).await;
        if matches!(outcome, Outcome::Proved(..)) {
            self.lists.distrust();
        }
        outcome
    }

    async fn by_digest(&self, digest: Digest) -> Outcome {
        if self.fits(digest).await {
            return self.proved(By::Digest);
        }
        if !digest.is_certain() && self.means.mode != Mode::Strict {
            self.means.forgo_digests();
            return self.compare(&self.slices, By::Slices).await;
        }
        let outcome = self.compare(&Check::Whole, By::Slices).await;
        if matches!(outcome, Outcome::Proved(..)) {
            self.means.forgo_digests();
        }
        outcome
    }

    pub(super) async fn fits(&self, digest: Digest) -> bool {
        let bytes = self.bytes.clone();
        // Megabytes take milliseconds: too long for a thread that others wait for.
        tokio::task::spawn_blocking(move || digest.fits(&bytes)).await.unwrap_or(false)
    }

    pub(super) async fn compare(&self, check: &Check, by: By) -> Outcome {
        let compared = match check {
            Check::Slices(slices) if self.means.has_ranges() => self.compare_slices(slices).await,
            Check::Slices(slices) if slices.is_empty() => Compared::Same,
            _ => self.compare_whole().await,
        };
        let compared = match compared {
            Compared::NoSlice => self.compare_whole().await,
            compared => compared,
        };
        let shares = &self.evidence.shares;
        match compared {
            Compared::Same => self.proved(by),
            // What differs and came from the origin has changed there.
            Compared::Differ(at) => match culprit(shares, &(at..at + 1)) {
                Some(peer) => Outcome::Wrong(Some(peer)),
                None => Outcome::Unproven,
            },
            Compared::OtherSize => Outcome::Wrong(sole_sender(shares)),
            Compared::NoSlice | Compared::Unknown => Outcome::Unproven,
        }
    }

    async fn compare_slices(&self, slices: &[Range<u64>]) -> Compared {
        let asked = stream::iter(slices.iter().cloned().map(|slice| self.compare_slice(slice)));
        let mut answers = asked.buffer_unordered(SLICES_AT_ONCE);
        while let Some(compared) = answers.next().await {
            if !matches!(compared, Compared::Same) {
                return compared;
            }
        }
        Compared::Same
    }

    async fn compare_slice(&self, slice: Range<u64>) -> Compared {
        let mut answer = match self.means.slice(&self.evidence.request, &slice).await {
            Sliced::Answer(answer) => answer,
            Sliced::Nothing => return Compared::NoSlice,
            Sliced::Unknown => return Compared::Unknown,
        };
        if self.evidence.is_whole && matches!(self.evidence.request.wanted, Wanted::Whole) {
            match resource_size(&answer) {
                Some(size) if size == self.bytes.len() as u64 => {}
                Some(_) => return Compared::OtherSize,
                // What is cut at its end has the right slices.
                None => return Compared::NoSlice,
            }
        }
        self.compare_body(&mut answer, slice).await
    }

    async fn compare_whole(&self) -> Compared {
        let (mut request, len) = (self.evidence.request.clone(), self.bytes.len() as u64);
        if !self.evidence.is_whole {
            let offset = request.wanted.slice().map_or(0, |slice| slice.offset);
            request.wanted = Wanted::Slice(ByteRange { offset, len });
        }
        match self.means.origin.open_patiently(&request, 0, None).await {
            Ok(answer) if !answer.status.is_success() => Compared::Unknown,
            Ok(answer) if answer.total.is_some_and(|total| total != len) => Compared::OtherSize,
            Ok(mut answer) => self.compare_body(&mut answer, 0..len).await,
            Err(OriginError::WrongRange { .. }) => Compared::OtherSize,
            Err(_) => Compared::Unknown,
        }
    }

    /// Reads the answer to its end and compares it with the bytes at `range`.
    async fn compare_body(&self, answer: &mut OriginResponse, range: Range<u64>) -> Compared {
        if is_encoded(&answer.headers) {
            return Compared::Unknown;
        }
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let Some(mut held) = self.bytes.get(at(range.start)..at(range.end)) else {
            return Compared::Unknown;
        };
        let mut place = range.start;
        loop {
            let chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) if held.is_empty() => return Compared::Same,
                Ok(None) => return Compared::OtherSize,
                Err(_) => return Compared::Unknown,
            };
            self.meter.add(|c| &c.origin_bytes, chunk.len() as u64);
            let both = held.iter().zip(&chunk);
            if let Some(differs) = both.enumerate().find_map(|(n, (a, b))| (a != b).then_some(n)) {
                return Compared::Differ(place + differs as u64);
            }
            let Some(rest) = held.get(chunk.len()..) else { return Compared::OtherSize };
            (held, place) = (rest, place + chunk.len() as u64);
        }
    }

    pub(super) fn proved(&self, by: By) -> Outcome {
        Outcome::Proved(self.bytes.len() as u64, by)
    }
}

/// Who sent everything that peers sent.
pub(super) fn sole_sender(shares: &[Share]) -> Option<crate::ids::PeerKey> {
    culprit(shares, &(0..u64::MAX))
}

/// Ends when a player has waited long enough, or nobody could want to wait any longer.
async fn patience(buffer: &SegmentBuffer, is_sealed: bool) {
    let patience = if is_sealed { sealed::PATIENCE } else { PATIENCE };
    for _ in 0..PATIENCE_AHEAD {
        sleep(patience).await;
        if buffer.has_readers() {
            break;
        }
    }
}
