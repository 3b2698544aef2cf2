//! Which bytes are asked for, and what the answer's head says about the bytes that follow. PURE.
//!
//! A segment may be the whole of a resource or a slice of it, and its first bytes may be here
//! already. Origins answer such a request with the range, with another range, with everything, or
//! with something new: this file tells these apart, so that no byte lands where it does not belong.

use crate::ids::ByteRange;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http::{HeaderMap, HeaderValue};

/// Most bytes thrown away to get at the wanted ones: who keeps a whole film in one file and knows
/// no ranges would otherwise have to send it once per segment.
pub const SKIP_BYTES_MAX: u64 = 64 << 20;

/// The part of a resource that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// A slice.
    Slice(ByteRange),
    /// Everything from a byte on, of a resource that may still be growing.
    From(u64),
    /// Whatever the player's own `Range` header says; the answer is passed on unchecked.
    AsAsked(HeaderValue),
}

/// A strong entity tag: bytes under the same tag are the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator(HeaderValue);

impl Validator {
    /// Reads the tag of an answer; a weak tag or none says nothing about bytes.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let tag = headers.get(ETAG)?;
        tag.as_bytes().starts_with(b"\"").then(|| Self(tag.clone()))
    }

    pub(super) fn as_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Where the wanted bytes are in the body that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Bytes to throw away first.
    pub skip: u64,
    /// Bytes that must follow, when known.
    pub left: Option<u64>,
    /// Length of everything wanted, the bytes already held included, when known.
    pub total: Option<u64>,
}

/// Why an answer does not continue what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    WrongRange,
    Changed,
}

impl Wanted {
    /// The slice, if it is one.
    pub fn slice(&self) -> Option<ByteRange> {
        match self {
            Self::Slice(slice) => Some(*slice),
            Self::Whole | Self::From(_) | Self::AsAsked(_) => None,
        }
    }

    /// Whether it is as large a part, perhaps of another resource.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole, Self::Whole) => true,
            (Self::Slice(ours), Self::Slice(theirs)) => ours.len == theirs.len,
            _ => false,
        }
    }

    /// The `Range` header that asks for what is missing when `from` bytes are held.
    pub(super) fn range_header(&self, from: u64) -> Option<HeaderValue> {
        let text = match self {
            Self::AsAsked(raw) => return Some(raw.clone()),
            Self::Whole if from == 0 => return None,
            Self::Whole => format!("bytes={from}-"),
            Self::From(offset) => format!("bytes={}-", offset.saturating_add(from)),
            Self::Slice(slice) => {
                let last = slice.end().saturating_sub(1);
                format!("bytes={}-{last}", slice.offset.saturating_add(from))
            }
        };
        HeaderValue::from_str(&text).ok()
    }

    /// Reads the head of the answer to that request.
    pub(super) fn window(
        &self,
        from: u64,
        validator: Option<&Validator>,
        status: u16,
        headers: &HeaderMap,
    ) -> Result<Window, Mismatch> {
        if matches!(self, Self::AsAsked(_)) {
            return Ok(Window::default());
        }
        if status == 416 {
            return Err(Mismatch::WrongRange);
        }
        if !(200..300).contains(&status) {
            return Ok(Window::default());
        }
        if from > 0 && validator.is_some_and(|known| has_changed(known, status, headers)) {
            return Err(Mismatch::Changed);
        }
        if status == 206 { self.in_part(from, headers) } else { self.in_whole(from, headers) }
    }

    /// The origin sent everything, whatever was asked for.
    fn in_whole(&self, from: u64, headers: &HeaderMap) -> Result<Window, Mismatch> {
        let size = content_length(headers);
        let (offset, wanted) = match self {
            Self::Slice(slice) => (slice.offset, Some(slice.len)),
            Self::From(offset) => (*offset, None),
            _ => (0, None),
        };
        let skip = offset.saturating_add(from);
        let is_short = size.is_some_and(|size| size < skip || (offset > 0 && size == offset));
        if is_short || skip > SKIP_BYTES_MAX {
            return Err(Mismatch::WrongRange);
        }
        let available = size.map(|size| size - offset);
        let total = match (wanted, available) {
            (Some(wanted), Some(available)) => Some(wanted.min(available)),
            (wanted, available) => wanted.or(available),
        };
        Ok(Window { skip, left: total.map(|total| total.saturating_sub(from)), total })
    }

    /// The origin sent a range: it has to be the one asked for.
    fn in_part(&self, from: u64, headers: &HeaderMap) -> Result<Window, Mismatch> {
        let part = ContentRange::from_headers(headers).ok_or(Mismatch::WrongRange)?;
        let (offset, end) = match self {
            Self::Slice(slice) => (slice.offset, Some(slice.end())),
            Self::From(offset) => (*offset, None),
            _ if from == 0 => return Err(Mismatch::WrongRange),
            _ => (0, None),
        };
        if part.start != offset.saturating_add(from) || end.is_some_and(|end| part.end > end) {
            return Err(Mismatch::WrongRange);
        }
        // A slice that reaches behind the end of the resource ends there. A shorter range than
        // asked for is not its end: the rest is reported as missing, and asked for again.
        let total = match (end, part.size) {
            (Some(end), Some(size)) => end.min(size) - offset,
            (Some(end), None) => end - offset,
            // It grows while it is sent: where the range will end is not known yet.
            (None, None) if matches!(self, Self::From(_)) => {
                return Ok(Window::default());
            }
            (None, Some(size)) if matches!(self, Self::From(_)) => size.saturating_sub(offset),
            (None, size) => size.unwrap_or(part.end),
        };
        Ok(Window { skip: 0, left: Some(total.saturating_sub(from)), total: Some(total) })
    }
}

/// After `If-Range`, everything instead of a part means: changed, unless it carries the same tag.
fn has_changed(known: &Validator, status: u16, headers: &HeaderMap) -> bool {
    match headers.get(ETAG) {
        Some(tag) => *tag != known.0,
        None => status != 206,
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// `bytes 100-199/1000` as start 100, end 200, size 1000.
pub(super) struct ContentRange {
    pub start: u64,
    pub end: u64,
    size: Option<u64>,
}

impl ContentRange {
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let (start, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        let end = last.checked_add(1)?;
        let size = match size.trim() {
            "*" => None,
            size => Some(size.parse::<u64>().ok()?),
        };
        let is_sound = start < end && size.is_none_or(|size| end <= size);
        is_sound.then_some(Self { start, end, size })
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
