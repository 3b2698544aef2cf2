//! Commands that members of our own kind add: which chunks are here already, what is counted on,
//! and what the blocks of a segment are.
//!
//! Browsers would drop a peer that says them: who is told is decided elsewhere. Driven by
//! [`super`].

use super::fields::{Fields, put_ids, put_int, put_text};
use super::{Message, NUMBER_MAX, SEGMENT_BYTES_MAX, WireError, position};

/// Bytes of a chunk; the last of a segment may be shorter.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// Most connections between a member that counts on a segment and one that has some of it.
pub const HOPS_MAX: u64 = 3;
/// The operations.
pub(super) const HOLDING: u8 = 16;
pub(super) const COMING: u8 = 17;
pub(super) const BLOCKS: u8 = 18;
/// Bytes of a block's hash.
const HASH_BYTES: usize = 16;
/// Most hashes that one command has room for.
pub const BLOCKS_SAID_MAX: usize = 255;
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

pub(super) fn encode_blocks(
    segment: u64,
    total: u64,
    first: u64,
    hashes: &[[u8; HASH_BYTES]],
) -> Option<Vec<u8>> {
    if hashes.len() > BLOCKS_SAID_MAX {
        return None;
    }
    let mut body = vec![BLOCKS];
    for (name, value) in [(b'i', segment), (b't', total), (b'f', first)] {
        if value > NUMBER_MAX {
            return None;
        }
        body.push(name);
        put_int(&mut body, value);
    }
    body.push(b'h');
    put_text(&mut body, hashes.as_flattened());
    Some(body)
}

pub(super) fn blocks(fields: &Fields) -> Result<Message, WireError> {
    let (segment, total) = (fields.number('i')?, position(fields.number('t')?)?);
    let first = fields.number_or('f', 0)?;
    let (hashes, rest) = fields.text('h')?.as_chunks();
    if !rest.is_empty() {
        return Err(WireError::BadHash);
    }
    Ok(Message::Blocks { segment, total, first, hashes: hashes.to_vec() })
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

#[cfg(test)]
mod tests {
    use super::super::{Decoded, Decoder, encode};
    use super::*;

    fn decode(body: &[u8]) -> Decoded {
        Decoder::new().decode(&[b"cstr", body, b"cend"].concat())
    }

    /// What is said as a single message, in hex, without the markers.
    fn hex(message: &Message) -> String {
        let [frame] = &encode(message, 65_535)[..] else { panic!("one message") };
        assert_eq!(Decoder::new().decode(frame), Decoded::Message(message.clone()));
        frame[4..frame.len() - 4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn documented(message: &Message) {
        let written: String = include_str!("../../../PROTOCOL.md").split_whitespace().collect();
        assert!(written.contains(&hex(message)), "{message:?} is {}", hex(message));
    }

    #[test]
    fn the_bytes_are_these() {
        let request = Message::RequestPart { segment: 17, request: 3, from: 65_536, end: 196_608 };
        assert_eq!(hex(&request), "0169011172010362030100006503030000");
        let part = Message::Part { segment: 17, size: 131_072, request: 3, total: 1_000_000 };
        assert_eq!(hex(&part), "02690111730302000072010374030f4240");
        let holding = Message::Holding { segment: 17, total: 1_000_000, chunks: vec![0, 1, 15] };
        assert_eq!(hex(&holding), "1069011174030f4240631001010300010f");
        let coming = Message::Coming { segments: vec![(18, 1), (19, 2), (300, 2), (20, 3)] };
        assert_eq!(hex(&coming), "116110010101126210020101130201012c631001010114");
        assert_eq!(hex(&Message::Coming { segments: vec![] }), "11");
        let hashes = vec![[0xaa; 16], [0xbb; 16]];
        let two = Message::Blocks { segment: 17, total: 2_048, first: 0, hashes: hashes.clone() };
        documented(&two);
        documented(&Message::Holding { segment: 17, total: 1_000_000, chunks: vec![0, 1, 15] });
        documented(&Message::Coming { segments: vec![(18, 1), (19, 2), (300, 2), (20, 3)] });
        let blocks = Message::Blocks { segment: 17, total: 2_100_000, first: 255, hashes };
        let said =
            format!("126901117403200b206602 00ff682020{}{}", "aa".repeat(16), "bb".repeat(16));
        assert_eq!(hex(&blocks), said.replace(' ', ""));
    }

    #[test]
    fn hashes_of_blocks_that_are_none_are_ignored() {
        let body = |len: usize| {
            let head = [BLOCKS, b'i', 1, 17, b't', 2, 0x20, 0, b'h', 0x20, len as u8];
            [&head[..], &[7; 99][..len]].concat()
        };
        assert!(matches!(decode(&body(32)), Decoded::Message(Message::Blocks { first: 0, .. })));
        for len in [1, 15, 17, 33] {
            assert_eq!(decode(&body(len)), Decoded::Ignored(WireError::BadHash), "{len}");
        }
        assert_eq!(decode(&[BLOCKS, b'i', 1, 17]), Decoded::Ignored(WireError::MissingField('t')));
        let most = encode_blocks(17, 1, 0, &[[0; 16]; BLOCKS_SAID_MAX]).unwrap();
        assert!(matches!(decode(&most), Decoded::Message(_)));
        assert_eq!(encode_blocks(17, 1, 0, &[[0; 16]; BLOCKS_SAID_MAX + 1]), None);
        assert_eq!(encode_blocks(NUMBER_MAX + 1, 1, 0, &[]), None);
    }

    #[test]
    fn a_segment_of_which_nothing_is_here_may_be_spoken_of() {
        let holding = Message::Holding { segment: 17, total: 1_000_000, chunks: vec![] };
        assert_eq!(hex(&holding), "1069011174030f4240");
    }

    #[test]
    fn chunks_beyond_the_largest_segment_are_ignored() {
        let last = SEGMENT_BYTES_MAX / CHUNK_BYTES;
        for (chunk, is_understood) in [(last, true), (last + 1, false), (NUMBER_MAX, false)] {
            let body = encode_holding(17, SEGMENT_BYTES_MAX, &[chunk]).unwrap();
            assert_eq!(matches!(decode(&body), Decoded::Message(_)), is_understood, "{chunk}");
        }
    }

    #[test]
    fn positions_beyond_the_largest_segment_are_ignored() {
        let too_far = SEGMENT_BYTES_MAX + 1;
        let bad = [
            Message::RequestPart { segment: 1, request: 1, from: 0, end: too_far },
            Message::RequestPart { segment: 1, request: 1, from: too_far, end: 1 },
            Message::Part { segment: 1, size: 1, request: 1, total: too_far },
            Message::Part { segment: 1, size: too_far, request: 1, total: 1 },
            Message::Holding { segment: 1, total: too_far, chunks: vec![] },
            Message::Blocks { segment: 1, total: too_far, first: 0, hashes: vec![] },
        ];
        for message in bad {
            let frame = &encode(&message, 65_535)[0];
            assert_eq!(Decoder::new().decode(frame), Decoded::Ignored(WireError::BadNumber));
        }
    }

    #[test]
    fn a_word_without_its_fields_is_ignored() {
        let missing = |name| Decoded::Ignored(WireError::MissingField(name));
        assert_eq!(decode(&[HOLDING]), missing('i'));
        assert_eq!(decode(&[HOLDING, b'i', 1, 17]), missing('t'));
        assert_eq!(decode(&[HOLDING, b'i', 1, 17, b't', 1, 9, b'c', 1, 0]), missing('c'));
        assert_eq!(decode(&[COMING, b'a', 1, 17]), missing('a'));
    }

    #[test]
    fn ids_too_large_to_be_said_are_left_out() {
        assert_eq!(encode_holding(NUMBER_MAX + 1, 1, &[]), None);
        assert_eq!(encode_coming(&[(NUMBER_MAX + 1, 1)]), [COMING]);
        assert_eq!(encode_coming(&[(17, 4), (17, 0)]), [COMING], "nor is what is too far away");
    }
}
