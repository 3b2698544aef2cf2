//! What peers say to each other in data-channel messages, as bytes: p2p-media-loader's protocol.
//!
//! Every message on the channel is either a chunk of a command (marked at both ends) or segment
//! data. This file translates commands and tells the two apart; it never holds segment data, knows
//! no connection and decides nothing: a peer that talks nonsense is reported, not punished.
//! Driven by whoever owns the connection, one [`Decoder`] each.

mod extension;
mod fields;
mod joining;
mod kin;

use fields::{Fields, put_ids, put_int};
pub use joining::{Decoded, Decoder, collides};
pub use kin::{BLOCKS_SAID_MAX, CHUNK_BYTES, HOPS_MAX};

/// Largest joined command; the largest announcement the format allows is about 130 kB.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Largest number in a command: what browsers can represent exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Largest segment a peer may promise or be asked to resume in.
pub const SEGMENT_BYTES_MAX: u64 = 512 << 20;

/// Most ids one list of an announcement can hold: 255 groups of at most 256.
pub const ANNOUNCED_IDS_MAX: usize = 255 * 256;

/// Smallest message limit [`encode`] honours; markers take eight bytes of each message.
pub const MESSAGE_BYTES_MIN: usize = 32;

const FIRST: &[u8; 4] = b"cstr";
const CONTINUED: &[u8; 4] = b"dstr";
const LAST: &[u8; 4] = b"cend";
const MORE: &[u8; 4] = b"dend";
const MARKERS_BYTES: usize = 8;

/// A command of one peer to another. Segments are named by their generation's wire id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Everything the sender holds and is loading from the origin; replaces what it said before.
    Announcement {
        /// Segments held in full.
        loaded: Vec<u64>,
        /// Segments on their way from the origin.
        loading: Vec<u64>,
    },
    /// Asks for a segment; replaces the sender's request before it.
    Request {
        /// The segment wanted.
        segment: u64,
        /// Chosen by the requester, repeated in every command about this request.
        request: u64,
        /// First byte wanted.
        from: u64,
    },
    /// Asks for a part of a segment: our own addition, for members of our own kind only.
    RequestPart {
        /// The segment wanted.
        segment: u64,
        /// Chosen by the requester, repeated in every command about this request.
        request: u64,
        /// First byte wanted.
        from: u64,
        /// First byte no longer wanted.
        end: u64,
    },
    /// Heads a part of a segment; answers [`Message::RequestPart`].
    Part {
        /// The segment asked for.
        segment: u64,
        /// Bytes that will follow.
        size: u64,
        /// The request this answers.
        request: u64,
        /// Bytes of the whole segment.
        total: u64,
    },
    /// The sender holds some chunks of a segment already and passes them on: for members of our own
    /// kind only.
    Holding {
        /// The segment.
        segment: u64,
        /// Bytes of the whole segment.
        total: u64,
        /// The chunks of 64 KiB it holds, by number.
        chunks: Vec<u64>,
    },
    /// Segments the sender counts on, because others it knows are fetching or passing them on;
    /// replaces what it said before. For members of our own kind only.
    Coming {
        /// Each with the number of connections between the sender and whoever has some of it: 1
        /// to 3.
        segments: Vec<(u64, u64)>,
    },
    /// What the blocks of a segment are; for members of our own kind only.
    Blocks {
        /// The segment.
        segment: u64,
        /// Bytes of the whole segment.
        total: u64,
        /// Number of the first of these blocks.
        first: u64,
        /// The first 16 bytes of the SHA-256 of each.
        hashes: Vec<[u8; 16]>,
    },
    /// Heads the segment data that follows.
    Data {
        /// The segment asked for.
        segment: u64,
        /// Bytes that will follow: the remainder when the request did not start at 0.
        size: u64,
        /// The request this answers.
        request: u64,
    },
    /// All data has been sent.
    Completed {
        /// The segment sent.
        segment: u64,
        /// The request this ends.
        request: u64,
    },
    /// The segment is not held here.
    Absent {
        /// The segment asked for.
        segment: u64,
        /// The request this answers.
        request: u64,
    },
    /// The requester wants no more of it.
    Cancel {
        /// The segment asked for.
        segment: u64,
        /// The request taken back.
        request: u64,
    },
    /// What a segment is that the sender has, or had; for members of our own kind only.
    Hash {
        /// The segment.
        segment: u64,
        /// The SHA-256 of all its bytes.
        sha256: [u8; 32],
        /// It had all of them from the origin, none from a peer.
        is_from_origin: bool,
    },
}

/// Why a command was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A command began before the one being joined had ended; both are dropped.
    #[error("a command began inside an unfinished one")]
    Unfinished,
    /// A continuation without a beginning.
    #[error("a continued command without a beginning")]
    NoFirstChunk,
    /// The command exceeds [`COMMAND_BYTES_MAX`].
    #[error("a command of more than {COMMAND_BYTES_MAX} bytes")]
    TooLong,
    /// A length that leads past the end.
    #[error("a command shorter than it says")]
    Truncated,
    /// A field of a type that does not exist.
    #[error("a field of unknown type {0}")]
    UnknownType(u8),
    /// A hash that is not as long as such hashes are.
    #[error("a hash of another length than it should have")]
    BadHash,
    /// A number of no bytes, negative, or above its limit.
    #[error("a number out of range")]
    BadNumber,
    /// A group of no ids.
    #[error("a group of no ids")]
    EmptyGroup,
    /// An operation that does not exist.
    #[error("unknown command {0}")]
    UnknownCommand(u8),
    /// A field the command cannot do without is missing or of the wrong type.
    #[error("a command without its field {0:?}")]
    MissingField(char),
}

impl Message {
    /// The same message with every segment id replaced by what `translate` says, in either
    /// direction. Announced ids without translation are left out; a command about a segment
    /// without translation is `None`.
    pub fn map_segments(self, mut translate: impl FnMut(u64) -> Option<u64>) -> Option<Self> {
        Some(match self {
            Self::Announcement { loaded, loading } => Self::Announcement {
                loaded: loaded.into_iter().filter_map(&mut translate).collect(),
                loading: loading.into_iter().filter_map(&mut translate).collect(),
            },
            Self::Request { segment, request, from } => {
                Self::Request { segment: translate(segment)?, request, from }
            }
            Self::RequestPart { segment, request, from, end } => {
                Self::RequestPart { segment: translate(segment)?, request, from, end }
            }
            Self::Part { segment, size, request, total } => {
                Self::Part { segment: translate(segment)?, size, request, total }
            }
            Self::Holding { segment, total, chunks } => {
                Self::Holding { segment: translate(segment)?, total, chunks }
            }
            Self::Blocks { segment, total, first, hashes } => {
                Self::Blocks { segment: translate(segment)?, total, first, hashes }
            }
            Self::Coming { segments } => Self::Coming {
                segments: segments
                    .into_iter()
                    .filter_map(|(segment, hops)| Some((translate(segment)?, hops)))
                    .collect(),
            },
            Self::Data { segment, size, request } => {
                Self::Data { segment: translate(segment)?, size, request }
            }
            Self::Completed { segment, request } => {
                Self::Completed { segment: translate(segment)?, request }
            }
            Self::Absent { segment, request } => {
                Self::Absent { segment: translate(segment)?, request }
            }
            Self::Cancel { segment, request } => {
                Self::Cancel { segment: translate(segment)?, request }
            }
            Self::Hash { segment, sha256, is_from_origin } => {
                Self::Hash { segment: translate(segment)?, sha256, is_from_origin }
            }
        })
    }
}

/// The data-channel messages that say `message`, to be sent in order and without a gap.
///
/// None of them exceeds `message_bytes_max` (at least [`MESSAGE_BYTES_MIN`]). Of an announcement
/// too large for the format the highest ids remain. A command with a number above [`NUMBER_MAX`]
/// cannot be said: there is no message for it then.
pub fn encode(message: &Message, message_bytes_max: usize) -> Vec<Vec<u8>> {
    let Some(body) = encode_body(message) else { return Vec::new() };
    let limit = message_bytes_max.max(MESSAGE_BYTES_MIN);
    let mut count = body.len().div_ceil(limit);
    while body.len().div_ceil(count) + MARKERS_BYTES > limit {
        count += 1;
    }
    let parts: Vec<&[u8]> = body.chunks(body.len().div_ceil(count)).collect();
    let last = parts.len() - 1;
    let frame = |(at, part): (usize, &&[u8])| {
        let start = if at == 0 { FIRST } else { CONTINUED };
        let end = if at == last { LAST } else { MORE };
        [start.as_slice(), part, end].concat()
    };
    parts.iter().enumerate().map(frame).collect()
}

/// The command without markers; `None` when a number is too large to be said.
fn encode_body(message: &Message) -> Option<Vec<u8>> {
    let (op, fields): (u8, Vec<(u8, u64)>) = match *message {
        Message::Announcement { ref loaded, ref loading } => {
            let mut body = vec![0];
            put_ids(&mut body, b'l', loaded);
            put_ids(&mut body, b'p', loading);
            return Some(body);
        }
        Message::Holding { segment, total, ref chunks } => {
            return kin::encode_holding(segment, total, chunks);
        }
        Message::Coming { ref segments } => return Some(kin::encode_coming(segments)),
        Message::Blocks { segment, total, first, ref hashes } => {
            return kin::encode_blocks(segment, total, first, hashes);
        }
        Message::Request { segment, request, from: 0 } => {
            (1, vec![(b'i', segment), (b'r', request)])
        }
        Message::Request { segment, request, from } => {
            (1, vec![(b'i', segment), (b'r', request), (b'b', from)])
        }
        Message::RequestPart { segment, request, from, end } => {
            (1, vec![(b'i', segment), (b'r', request), (b'b', from), (b'e', end)])
        }
        Message::Part { segment, size, request, total } => {
            (2, vec![(b'i', segment), (b's', size), (b'r', request), (b't', total)])
        }
        Message::Data { segment, size, request } => {
            (2, vec![(b'i', segment), (b's', size), (b'r', request)])
        }
        Message::Completed { segment, request } => (3, vec![(b'i', segment), (b'r', request)]),
        Message::Absent { segment, request } => (4, vec![(b'i', segment), (b'r', request)]),
        Message::Cancel { segment, request } => (5, vec![(b'i', segment), (b'r', request)]),
        Message::Hash { segment, ref sha256, is_from_origin } => {
            return extension::put_hash(segment, sha256, is_from_origin);
        }
    };
    let mut body = vec![op];
    for (name, value) in fields {
        if value > NUMBER_MAX {
            return None;
        }
        body.push(name);
        put_int(&mut body, value);
    }
    Some(body)
}

fn decode_body(body: &[u8]) -> Result<Message, WireError> {
    let (&op, rest) = body.split_first().ok_or(WireError::Truncated)?;
    // First of all: what others know and we do not may have other fields.
    if !matches!(op, 0..=5 | extension::HASH | kin::HOLDING | kin::COMING | kin::BLOCKS) {
        return Err(WireError::UnknownCommand(op));
    }
    let mut fields = Fields::read(rest)?;
    if op == 0 {
        return Ok(Message::Announcement { loaded: fields.ids('l')?, loading: fields.ids('p')? });
    }
    match op {
        extension::HASH => return extension::hash(&fields),
        kin::HOLDING => return kin::holding(&mut fields),
        kin::COMING => return kin::coming(&mut fields),
        kin::BLOCKS => return kin::blocks(&fields),
        _ => {}
    }
    let (segment, request) = (fields.number('i')?, fields.number('r')?);
    match op {
        1 => {
            let from = position(fields.number_or('b', 0)?)?;
            Ok(match fields.number_if('e')? {
                None => Message::Request { segment, request, from },
                Some(end) => Message::RequestPart { segment, request, from, end: position(end)? },
            })
        }
        2 => {
            let size = position(fields.number('s')?)?;
            Ok(match fields.number_if('t')? {
                None => Message::Data { segment, size, request },
                Some(total) => Message::Part { segment, size, request, total: position(total)? },
            })
        }
        3 => Ok(Message::Completed { segment, request }),
        4 => Ok(Message::Absent { segment, request }),
        5 => Ok(Message::Cancel { segment, request }),
        _ => Err(WireError::UnknownCommand(op)),
    }
}

/// A number of bytes within a segment.
fn position(bytes: u64) -> Result<u64, WireError> {
    if bytes > SEGMENT_BYTES_MAX { Err(WireError::BadNumber) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
