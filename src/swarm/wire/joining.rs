//! The messages of one data channel: which are commands, whole or in chunks, and which are segment
//! data.
//!
//! What a command says is read by [`super`]; segment data is never looked into beyond its ends.

use super::{COMMAND_BYTES_MAX, CONTINUED, FIRST, LAST, MORE, Message, WireError, decode_body};

/// What one data-channel message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A command, or the last chunk of one.
    Message(Message),
    /// A chunk of a command that goes on in the next message.
    Partial,
    /// Segment data.
    Payload,
    /// Marked as a command but none we know; as if it had not been sent.
    Ignored(WireError),
}

/// Whether segment data would be taken for a command, so that its sender must cut it elsewhere.
pub fn collides(payload: &[u8]) -> bool {
    markers(payload).is_some()
}

/// Reads the messages of one connection, in order.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Body so far of a command whose last chunk has not come.
    joining: Option<Vec<u8>>,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one message. Nothing a peer can send makes this fail or grow beyond
    /// [`COMMAND_BYTES_MAX`].
    pub fn decode(&mut self, message: &[u8]) -> Decoded {
        let Some(Markers { is_first, is_last, content }) = markers(message) else {
            return Decoded::Payload;
        };
        let mut joined = match (is_first, self.joining.take()) {
            (true, Some(_)) => return Decoded::Ignored(WireError::Unfinished),
            (true, None) => Vec::new(),
            (false, Some(joined)) => joined,
            (false, None) => return Decoded::Ignored(WireError::NoFirstChunk),
        };
        if joined.len() + content.len() > COMMAND_BYTES_MAX {
            return Decoded::Ignored(WireError::TooLong);
        }
        joined.extend_from_slice(content);
        if !is_last {
            self.joining = Some(joined);
            return Decoded::Partial;
        }
        match decode_body(&joined) {
            Ok(message) => Decoded::Message(message),
            Err(error) => Decoded::Ignored(error),
        }
    }
}

struct Markers<'a> {
    is_first: bool,
    is_last: bool,
    content: &'a [u8],
}

fn markers(message: &[u8]) -> Option<Markers<'_>> {
    let (start, rest) = message.split_first_chunk::<4>()?;
    let (content, end) = rest.split_last_chunk::<4>()?;
    let is_first = start == FIRST;
    let is_last = end == LAST;
    ((is_first || start == CONTINUED) && (is_last || end == MORE)).then_some(Markers {
        is_first,
        is_last,
        content,
    })
}
