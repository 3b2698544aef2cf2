//! Commands that members of our own kind add: which chunks are here already, what is counted on.
//!
//! Browsers would drop a peer that says them: who is told is decided elsewhere. Driven by
//! [`super`].

use super::fields::{Fields, put_ids, put_int};
use super::{Message, NUMBER_MAX, SEGMENT_BYTES_MAX, WireError, position};

/// Bytes of a chunk; the last of a segment may be shorter.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// Most connections between a member that counts on a segment and one that has some of it.
pub const HOPS_MAX: u64 = 3;
/// The operations.
pub(super) const HOLDING: u8 = 16;
pub(super) const COMING: u8 = 17;
/// A list for each number of hops.
const HOPS: [char; HOPS_MAX as usize] = ['a', 'b', 'c'];

pub(super) fn encode_holding(segment: u64, total: u64, chunks: &[u64]) -> Option<Vec<u8>> {
    let mut body = vec![HOLDING];
    for (name, value) in [(b'i', segment), (b't', total)] {
        if value > NUMBER_MAX {
            return None;
        }
        body.push(name);
        put_int(&mut body, value);
    }
    put_ids(&mut body, b'c', chunks);
    Some(body)
}

pub(super) fn encode_coming(segments: &[(u64, u64)]) -> Vec<u8> {
    let mut body = vec![COMING];
    for (name, hops) in HOPS.iter().zip(1..) {
        let of_these = segments.iter().filter(|(_, h)| *h == hops).map(|(id, _)| *id);
        put_ids(&mut body, *name as u8, &of_these.collect::<Vec<_>>());
    }
    body
}

pub(super) fn holding(fields: &mut Fields) -> Result<Message, WireError> {
    let (segment, total) = (fields.number('i')?, position(fields.number('t')?)?);
    let chunks = fields.ids('c')?;
    if chunks.iter().any(|chunk| *chunk > SEGMENT_BYTES_MAX / CHUNK_BYTES) {
        return Err(WireError::BadNumber);
    }
    Ok(Message::Holding { segment, total, chunks })
}

pub(super) fn coming(fields: &mut Fields) -> Result<Message, WireError> {
    let mut segments = Vec::new();
    for (name, hops) in HOPS.iter().zip(1..) {
        segments.extend(fields.ids(*name)?.into_iter().map(|id| (id, hops)));
    }
    Ok(Message::Coming { segments })
}
