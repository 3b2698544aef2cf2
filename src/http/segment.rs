//! Segments: opened in their stream, given out as they arrive, in the range the player asked for.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::answer::{Front, refuse};
use super::body::{self, Body};
use super::error::Problem;
use super::headers::{self, BodyIs};
use super::proxy::Asked;
use super::range::{self, RangeSpec, Resolved};
use super::{cache_status, detour};
use crate::ids::{ByteRange, SegmentId};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Wanted};
use crate::stream::buffer::{Reader, Source};
use crate::stream::{Failure, Located, Opening, Part};

/// Largest segment that is fetched to its end when a player wanted a part of it: the next part will
/// be here then. What is larger may only have been looked into.
const FINISHED_BYTES_MAX: u64 = 16 << 20;

/// How far a part that is wanted may be behind what has arrived of its segment, to be waited for
/// and not asked for beside it.
const AHEAD_BYTES_MAX: u64 = 1 << 20;

/// Last byte of a range whose end is not known yet (RFC 8673).
const OPEN_END: u64 = (1 << 53) - 1;

/// The place of a segment, or a part of one, in the resource that the player asked for.
pub struct Slice {
    /// Its piece of the resource; `None` for all of it.
    pub piece: Option<ByteRange>,
    /// What the player wants, counted from the piece's first byte.
    pub wanted: RangeSpec,
    /// Size of the resource, where the playlist tells it.
    pub resource_size: Option<u64>,
}

impl Slice {
    /// Looks at the player's `If-Range`: what has other validators is wanted whole. `None` when
    /// that is more than the segment.
    fn judge(&mut self, asked: &Asked, origin: &HeaderMap) -> Option<()> {
        if !range::is_unchanged(asked.sent.get(IF_RANGE), origin) {
            self.piece.is_none().then_some(())?;
            self.wanted = RangeSpec::Whole;
        }
        Some(())
    }
}

/// Bytes that would have to be fetched to answer a player who sent these headers from one of these
/// segments; `None` when the request does not fall into one.
pub fn effort(segments: &[Part], sent: &HeaderMap) -> Option<u64> {
    let (_, slice) = choose(segments, range::parse(sent.get(RANGE)))?;
    Some(slice.piece.map_or(u64::MAX, |piece| piece.len))
}

/// Answers with a segment; `None` when the request does not fall into one, to be passed through.
pub async fn serve(front: &Arc<Front>, asked: &Asked, located: Located) -> Option<Response<Body>> {
    let (segment, slice) = choose(&located.segments, range::parse(asked.sent.get(RANGE)))?;
    let wanted = slice.piece.map_or(Wanted::Whole, Wanted::Slice);
    let stream = &located.stream;
    let detour = detour::of(front, asked, &located.playlist);
    let opening = stream.open(segment, asked.player(), request(asked, wanted), detour).await;
    let given = give(front, asked, slice, opening, stream.meter()).await;
    // Past the stream, nobody would compare it with the publisher's list.
    let is_sealed = stream.profile().is_sealed;
    given.or_else(|| is_sealed.then(|| refuse(Problem::unavailable("the segment is unproved"))))
}

/// How the origin is asked. It is asked for everybody, so nobody's conditions count.
pub fn request(asked: &Asked, wanted: Wanted) -> FetchRequest {
    let mut forwarded = asked.forwarded.clone();
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        forwarded.remove(name);
    }
    let cookies = asked.cookies.clone();
    FetchRequest { wanted, cookies, ..FetchRequest::get(asked.url.clone(), forwarded) }
}

/// Answers with what was opened; `None` when it is to be passed through.
pub async fn give(
    front: &Arc<Front>,
    asked: &Asked,
    mut slice: Slice,
    opening: Opening,
    meter: &Meter,
) -> Option<Response<Body>> {
    let held = match opening {
        Opening::Held(held) => held,
        Opening::Arriving(reader) => return arriving(front, asked, slice, reader, meter).await,
        Opening::Bypass => return None,
    };
    slice.judge(asked, &held.headers)?;
    let mut response = head(&slice, Some(held.bytes.len() as u64), &held.content_type);
    add_origin_headers(response.headers_mut(), &held.headers, asked, false);
    let status = if held.hand_out() { "hlswarm; hit; detail=peers" } else { "hlswarm; hit" };
    cache_status(response.headers_mut(), status);
    let bytes = cut(&slice, &held.bytes);
    meter.add(|c| &c.cache_bytes, bytes.len() as u64);
    meter.add(|c| &c.served_bytes, bytes.len() as u64);
    *response.body_mut() = body::full(bytes);
    Some(response)
}

async fn arriving(
    front: &Arc<Front>,
    asked: &Asked,
    mut slice: Slice,
    mut reader: Reader,
    meter: &Meter,
) -> Option<Response<Body>> {
    let known = match reader.head().await {
        Ok(known) => known,
        Err(Failure::Encoded) => return None,
        Err(failure) => return Some(failed(front, asked, &failure)),
    };
    slice.judge(asked, &known.headers)?;
    if known.total.is_none() && !slice.wanted.is_from_start() {
        return None;
    }
    let (skip, left) = match slice.wanted.resolve(known.total) {
        Resolved::Whole => (0, known.total),
        Resolved::Slice { start, end_incl } => (start, Some(end_incl - start + 1)),
        Resolved::Unsatisfiable => (0, Some(0)),
    };
    let finished_max = FINISHED_BYTES_MAX.min(front.status.cache.bytes_max());
    if skip > reader.arrived().saturating_add(AHEAD_BYTES_MAX) {
        // Nobody waits for what comes before.
        reader.leave_to_others(finished_max);
        return None;
    }
    let mut response = head(&slice, known.total, &known.content_type);
    add_origin_headers(response.headers_mut(), &known.headers, asked, reader.is_first());
    let detail = match known.source {
        Source::Peers => "hlswarm; fwd=miss; detail=peers",
        Source::Origin => "hlswarm; fwd=miss; detail=origin",
        Source::Both => "hlswarm; fwd=miss; detail=\"peers+origin\"",
    };
    cache_status(response.headers_mut(), detail);
    match left {
        Some(0) => reader.leave_to_others(finished_max),
        _ => *response.body_mut() = body::arriving(reader, skip, left, finished_max, meter.clone()),
    }
    Some(response)
}

/// Finds the segment that a request falls into.
fn choose(segments: &[Part], asked: RangeSpec) -> Option<(SegmentId, Slice)> {
    if let [(None, segment)] = segments {
        return Some((*segment, Slice { piece: None, wanted: asked, resource_size: None }));
    }
    // Of a resource that holds many segments the request must lie within one.
    let RangeSpec::From { first, last: Some(last) } = asked else { return None };
    let resource_size = segments.iter().filter_map(|(piece, _)| Some(piece.as_ref()?.end())).max();
    let (piece, segment) = segments.iter().find_map(|(piece, segment)| {
        let piece = (*piece)?;
        (piece.offset <= first && last < piece.end()).then_some((piece, *segment))
    })?;
    let wanted = RangeSpec::From { first: first - piece.offset, last: Some(last - piece.offset) };
    Some((segment, Slice { piece: Some(piece), wanted, resource_size }))
}

/// Status and header fields for a segment of `size` bytes.
fn head(slice: &Slice, size: Option<u64>, content_type: &str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    let offset = slice.piece.map_or(0, |piece| piece.offset);
    let resource_size = if slice.piece.is_some() { slice.resource_size } else { size };
    let whole = || resource_size.map_or("*".to_owned(), |size| size.to_string());
    let (status, length, range) = match slice.wanted.resolve(size) {
        Resolved::Whole if offset > 0 && size.is_none() => {
            let range = format!("bytes {offset}-{OPEN_END}/*");
            (StatusCode::PARTIAL_CONTENT, None, Some(range))
        }
        Resolved::Whole => (StatusCode::OK, size, None),
        Resolved::Slice { start, end_incl } => {
            let range = format!("bytes {}-{}/{}", offset + start, offset + end_incl, whole());
            (StatusCode::PARTIAL_CONTENT, Some(end_incl - start + 1), Some(range))
        }
        Resolved::Unsatisfiable => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(0), Some(format!("bytes */{}", whole())))
        }
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(Ok(value)) = range.as_deref().map(HeaderValue::from_str) {
        headers.insert(CONTENT_RANGE, value);
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    response
}

/// Adds what the origin said of the segment: validators, how long it may be kept, and cookies,
/// which are only for the player on whose behalf it was asked.
fn add_origin_headers(head: &mut HeaderMap, origin: &HeaderMap, asked: &Asked, is_asker: bool) {
    let mut fields = headers::to_player(origin, &asked.url, &asked.prefix, BodyIs::Ours);
    for name in head.keys() {
        fields.remove(name);
    }
    if !is_asker {
        fields.remove(SET_COOKIE);
    }
    head.extend(fields);
}

fn cut(slice: &Slice, bytes: &Bytes) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    match slice.wanted.resolve(Some(bytes.len() as u64)) {
        Resolved::Whole => bytes.clone(),
        Resolved::Slice { start, end_incl } => bytes.slice(at(start)..at(end_incl + 1)),
        Resolved::Unsatisfiable => Bytes::new(),
    }
}

/// Why there is no segment: the origin's own error unchanged, or ours.
fn failed(front: &Front, asked: &Asked, failure: &Failure) -> Response<Body> {
    match failure {
        Failure::Refused(refusal) => {
            let mut response = Response::new(body::full(refusal.body.clone()));
            *response.status_mut() = refusal.status;
            let mut headers =
                headers::to_player(&refusal.headers, &asked.url, &asked.prefix, BodyIs::Ours);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(refusal.body.len()));
            cache_status(&mut headers, "hlswarm; fwd=miss; detail=origin");
            front.status.meter.add(|c| &c.served_bytes, refusal.body.len() as u64);
            *response.headers_mut() = headers;
            response
        }
        Failure::Broken(error) => refuse(Problem::from(&**error)),
        Failure::Encoded | Failure::Unproved(_) | Failure::Abandoned => {
            refuse(Problem::no_source(failure.to_string()))
        }
    }
}
