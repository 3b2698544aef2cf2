//! Where else a segment can be had when its origin fails, and how a download turns there.
//!
//! What `http` knows is behind a trait, because streams know nothing of playlists that have
//! several pathways.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use super::download::{Download, Trouble};
use crate::ids::SegmentId;
use crate::origin::retry::{self, Failure};
use crate::origin::{FetchRequest, Validator};

/// Most places asked for one segment.
const PLACES_MAX: usize = 8;
/// Silence after which the next place is asked, where there is one.
const SILENCE: Duration = Duration::from_secs(3);

/// Other places of a stream's segments.
#[async_trait]
pub trait Detour: fmt::Debug + Send + Sync {
    /// Where to ask first instead of there, as things stand.
    async fn ahead(&self, segment: SegmentId, asked: &Url) -> Option<FetchRequest>;

    /// Where to ask next; it was asked at all of `failed`, lastly at the end of it, and
    /// `is_host_at_fault` says whether that place is to be avoided for other segments too.
    async fn around(
        &self,
        segment: SegmentId,
        failed: &[Url],
        is_host_at_fault: bool,
    ) -> Option<FetchRequest>;
}

impl Download {
    /// Begins at a better place than the one that was asked for, if there is one.
    pub(super) async fn look_ahead(&mut self) {
        let Some(detour) = self.detour.clone() else { return };
        let better = detour.ahead(self.segment, &self.request.url).await;
        if let Some(better) = better.filter(|better| self.is_same_part(better)) {
            self.request = better;
        }
    }

    /// One attempt, or what to ask instead when it stays silent.
    pub(super) async fn attempt_or_turn(
        &self,
        validator: &mut Option<Validator>,
    ) -> Result<Result<(), Trouble>, FetchRequest> {
        let before = self.buffer.len();
        let attempt = self.attempt(validator);
        tokio::pin!(attempt);
        if self.detour.is_none() {
            return Ok(attempt.await);
        }
        if let Ok(result) = tokio::time::timeout(SILENCE, &mut attempt).await {
            return Ok(result);
        }
        if self.buffer.len() > before {
            return Ok(attempt.await);
        }
        let elsewhere = tokio::select! {
            biased;
            result = &mut attempt => return Ok(result),
            elsewhere = self.elsewhere(Failure::Error { is_retryable: true }) => elsewhere,
        };
        match elsewhere {
            // Bytes that came meanwhile are being reported.
            Some(elsewhere) if self.buffer.len() == before => Err(elsewhere),
            _ => Ok(attempt.await),
        }
    }

    /// Where else to ask after a failure.
    pub(super) async fn elsewhere(&self, failure: Failure) -> Option<FetchRequest> {
        let detour = self.detour.as_ref().filter(|_| self.failed.len() < PLACES_MAX)?;
        let is_host_at_fault = match failure {
            Failure::Status(status, _) => retry::is_retryable_status(status),
            Failure::Error { .. } => true,
        };
        let failed: Vec<Url> = self.failed.iter().chain([&self.request.url]).cloned().collect();
        let found = detour.around(self.segment, &failed, is_host_at_fault).await;
        found.filter(|found| self.is_same_part(found))
    }

    /// Goes on at another place.
    pub(super) fn turn(&mut self, elsewhere: FetchRequest) {
        tracing::info!(segment = %self.segment, "a segment is fetched on another way");
        let left = std::mem::replace(&mut self.request, elsewhere);
        self.failed.push(left.url.clone());
        self.home.get_or_insert(left);
    }

    /// Goes back to where it began, for good: what other places have is of no use. Whether there
    /// was another place.
    pub(super) fn go_home(&mut self) -> bool {
        let Some(home) = self.home.take() else { return false };
        self.request = home;
        self.detour = None;
        true
    }

    /// Whether a resource is as large as the one whose bytes are here: others are never joined.
    pub(super) fn is_same_size(&self, total: Option<u64>) -> bool {
        let known = self.buffer.head().and_then(|head| head.total);
        known.is_some() && known == total
    }

    fn is_same_part(&self, other: &FetchRequest) -> bool {
        self.request.wanted.is_like(&other.wanted)
    }
}
