//! An answer whose head is here and whose body arrives chunk by chunk.
//!
//! Exactly the wanted bytes come out: what is held already is skipped, what is not wanted is left,
//! and an end before the last wanted byte is an error. Nothing is buffered; who does not ask for
//! the next chunk stops the origin from sending.

use super::error::{OriginError, Waited};
use super::resume::Window;
use crate::redact;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::fmt;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use url::Url;

/// An origin's answer.
pub struct OriginResponse {
    /// The URL that answered, after all redirects; relative URIs count from here.
    pub final_url: Url,
    /// Status, as the origin gave it.
    pub status: StatusCode,
    /// All headers, as the origin gave them.
    pub headers: HeaderMap,
    /// Length of everything that was wanted, bytes held already included, when known.
    pub total: Option<u64>,
    pub(super) host: String,
    pub(super) window: Window,
    pub(super) received: u64,
    pub(super) idle_timeout: Duration,
    /// Bytes that are here already.
    pub(super) first: Option<Bytes>,
    pub(super) inner: reqwest::Response,
    /// Its place among the requests to its host.
    pub(super) _place: OwnedSemaphorePermit,
}

// Without headers and query values, as for requests.
impl fmt::Debug for OriginResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, final_url, total, .. } = self;
        write!(f, "{status} {} total {total:?}", redact::url(final_url))
    }
}

impl OriginResponse {
    /// The next bytes; `None` at the end of what was wanted.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OriginError> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.receive(Instant::now() + self.idle_timeout).await,
        }
    }

    /// The next bytes, which stay the next; `None` at the end.
    pub async fn peek(&mut self) -> Result<Option<&Bytes>, OriginError> {
        self.first = self.chunk().await?;
        Ok(self.first.as_ref())
    }

    /// All that follows in one piece, as long as it is no more than `bytes_max`.
    pub async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, OriginError> {
        let too_large =
            |host: &str| OriginError::TooLarge { host: host.to_owned(), limit: bytes_max as u64 };
        if self.window.left.is_some_and(|left| left > bytes_max as u64) {
            return Err(too_large(&self.host));
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > bytes_max - body.len() {
                return Err(too_large(&self.host));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// Waits for the first wanted bytes, or for the end when there are none. What is to be
    /// skipped first is not waited for: it can take as long as it likes.
    pub(super) async fn await_first(&mut self, deadline: Instant) -> Result<(), OriginError> {
        if self.status.is_success() && self.window.skip == 0 {
            self.first = self.receive(deadline).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, mut deadline: Instant) -> Result<Option<Bytes>, OriginError> {
        while self.window.left != Some(0) {
            let waited = tokio::time::timeout_at(deadline, self.inner.chunk()).await;
            let Ok(arrived) = waited else {
                return Err(OriginError::TimedOut { host: self.host.clone(), what: Waited::Body });
            };
            let Ok(arrived) = arrived else { return Err(self.truncated()) };
            let Some(chunk) = arrived else {
                let is_missing = self.window.skip > 0 || self.window.left.is_some();
                return if is_missing { Err(self.truncated()) } else { Ok(None) };
            };
            let wanted = self.cut(chunk);
            if !wanted.is_empty() {
                self.received += wanted.len() as u64;
                return Ok(Some(wanted));
            }
            deadline = Instant::now() + self.idle_timeout;
        }
        Ok(None)
    }

    fn cut(&mut self, mut chunk: Bytes) -> Bytes {
        let skipped = chunk.len().min(usize::try_from(self.window.skip).unwrap_or(usize::MAX));
        drop(chunk.split_to(skipped));
        self.window.skip -= skipped as u64;
        if let Some(left) = &mut self.window.left {
            chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= chunk.len() as u64;
        }
        chunk
    }

    fn truncated(&self) -> OriginError {
        OriginError::Truncated { host: self.host.clone(), received: self.received }
    }
}
