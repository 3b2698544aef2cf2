//! Parts of low-latency segments, listed or announced: opened in their stream, given out as they
//! arrive.
//!
//! Which part a request is for is found out here; how bytes become an answer is `segment`'s.

use std::sync::Arc;

use http::Response;
use http::header::RANGE;

use super::answer::Front;
use super::body::Body;
use super::proxy::Asked;
use super::range::{self, RangeSpec};
use super::segment::{self, Slice};
use crate::ids::ByteRange;
use crate::origin::Wanted;
use crate::playlist::Extent;
use crate::stream::{Located, LocatedPart};

/// Answers with a part; `None` when the request is for none, or for one that is to be had as
/// (a piece of) the segment `located` or passed through.
pub async fn serve(
    front: &Arc<Front>,
    asked: &Asked,
    located: Option<&Located>,
) -> Option<Response<Body>> {
    let spec = range::parse(asked.sent.get(RANGE));
    let LocatedPart { stream, part } =
        front.registry.locate_part(asked.credentials, &asked.url, extent(spec))?;
    // A file that is a segment too is shared as one, and what is held need not be fetched again.
    if located.is_some_and(|segment| part.extent.is_none() || segment.is_held()) {
        return None;
    }
    let slice = slice(part.extent, spec);
    let opening = stream.open_part(&part, asked.player(), segment::request(asked, Wanted::Whole));
    segment::give(front, asked, slice, opening, stream.meter()).await
}

/// The piece of a resource that a player asks for; `None` for all of it.
fn extent(spec: RangeSpec) -> Option<Extent> {
    match spec {
        RangeSpec::From { first, last } => {
            Some(Extent { offset: first, len: last.map(|last| (last - first).saturating_add(1)) })
        }
        RangeSpec::Whole | RangeSpec::Last(_) => None,
    }
}

fn slice(extent: Option<Extent>, asked: RangeSpec) -> Slice {
    let Some(Extent { offset, len }) = extent else {
        return Slice { piece: None, wanted: asked, resource_size: None };
    };
    let piece = ByteRange { offset, len: len.unwrap_or(u64::MAX - offset) };
    let wanted = match asked {
        RangeSpec::From { .. } => {
            RangeSpec::From { first: 0, last: len.map(|len| len.saturating_sub(1)) }
        }
        other => other,
    };
    Slice { piece: Some(piece), wanted, resource_size: None }
}
