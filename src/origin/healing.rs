//! An answer that is passed on as it comes, and continued where it breaks off.
//!
//! For what no buffer holds: keys, init sections, anything that is no segment. Only an answer that
//! says how long it is can be continued; others end where they end. Driven by the HTTP front.

use super::resume::{ContentRange, Validator, Wanted, content_length};
use super::{FetchRequest, Origin, OriginError, OriginResponse};
use crate::ids::ByteRange;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Method, StatusCode};

/// The body of an answer, whatever it takes to get all of it.
#[derive(Debug)]
pub struct Healing {
    origin: Origin,
    request: FetchRequest,
    /// None while the rest is asked for: an answer has a place among the requests to its host.
    answer: Option<OriginResponse>,
    /// How many bytes it has in all; `None`: it is not continued.
    total: Option<u64>,
    validator: Option<Validator>,
    received: u64,
    /// Bytes received when it was last continued.
    continued_at: Option<u64>,
}

impl Healing {
    /// The body of `answer`, which came when `origin` was asked `request`.
    pub fn new(origin: Origin, mut request: FetchRequest, answer: OriginResponse) -> Self {
        let plan = plan(&request, &answer);
        let total = plan.as_ref().map(|(_, total)| *total);
        request.wanted = plan.map_or(Wanted::Whole, |(wanted, _)| wanted);
        // Whether it has changed for the player is not what is asked.
        for condition in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            request.headers.remove(condition);
        }
        let validator = Validator::from_headers(&answer.headers);
        let answer = Some(answer);
        Self { origin, request, answer, total, validator, received: 0, continued_at: None }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// What broke it off, when it cannot be continued.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OriginError> {
        loop {
            let next = match &mut self.answer {
                Some(answer) => answer.chunk().await,
                None => Ok(None),
            };
            match next {
                Ok(bytes) => {
                    self.received += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    return Ok(bytes);
                }
                Err(error) => self.continue_after(error).await?,
            }
        }
    }

    /// Asks for the rest. Not twice at the same place, where patience has run out already.
    async fn continue_after(&mut self, error: OriginError) -> Result<(), OriginError> {
        self.answer = None;
        let is_stuck = self.continued_at.replace(self.received) == Some(self.received);
        let Some(total) = self.total.filter(|_| error.is_retryable() && !is_stuck) else {
            return Err(error);
        };
        tracing::debug!(%error, received = self.received, "an answer is continued");
        let rest =
            self.origin.open_patiently(&self.request, self.received, self.validator.as_ref());
        let Ok(rest) = rest.await else { return Err(error) };
        let is_same = rest.total == Some(total) && has_own_bytes(&rest);
        if !is_same || !matches!(rest.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Err(error);
        }
        self.answer = Some(rest);
        Ok(())
    }
}

/// How to ask for the answer again, and how long it is.
fn plan(request: &FetchRequest, answer: &OriginResponse) -> Option<(Wanted, u64)> {
    if request.method != Method::GET || !has_own_bytes(answer) {
        return None;
    }
    match answer.status {
        StatusCode::OK => Some((Wanted::Whole, content_length(&answer.headers)?)),
        StatusCode::PARTIAL_CONTENT => {
            let part = ContentRange::from_headers(&answer.headers)?;
            let slice = ByteRange { offset: part.start, len: part.end - part.start };
            Some((Wanted::Slice(slice), slice.len))
        }
        _ => None,
    }
}

/// Places in a compressed answer are not places in another that was compressed anew.
fn has_own_bytes(answer: &OriginResponse) -> bool {
    !answer.headers.contains_key(CONTENT_ENCODING)
}
