//! What members of our own kind say to each other beyond p2p-media-loader's protocol.
//!
//! Browsers would at best ignore it and at worst hang up: who a command is for is asked of
//! [`Message::is_for_kin`], and whoever owns the connection says it to nobody else. PROTOCOL.md
//! describes it for those who want to be of our kind. What a claim is worth is decided elsewhere.

use super::fields::{Fields, put_int, put_text};
use super::{Message, NUMBER_MAX, WireError};

/// The operation of [`Message::Hash`]; browsers' go from 0 to 5.
pub(super) const HASH: u8 = b'H';

impl Message {
    /// Whether only members of our own kind understand it.
    pub fn is_for_kin(&self) -> bool {
        matches!(
            self,
            Self::Hash { .. }
                | Self::RequestPart { .. }
                | Self::Part { .. }
                | Self::Holding { .. }
                | Self::Coming { .. }
                | Self::Blocks { .. }
        )
    }
}

/// The body of a hash; `None` when the id is too large to be said.
pub(super) fn put_hash(segment: u64, sha256: &[u8; 32], is_from_origin: bool) -> Option<Vec<u8>> {
    if segment > NUMBER_MAX {
        return None;
    }
    let mut body = vec![HASH, b'i'];
    put_int(&mut body, segment);
    body.push(b'h');
    put_text(&mut body, sha256);
    if is_from_origin {
        body.push(b'o');
        put_int(&mut body, 1);
    }
    Some(body)
}

/// Reads what stands behind the operation. That a segment came from the origin is said by the
/// number 1 and nothing else, so that later versions can say more.
pub(super) fn hash(fields: &Fields) -> Result<Message, WireError> {
    let sha256 = fields.text('h')?.try_into().map_err(|_| WireError::BadHash)?;
    let is_from_origin = fields.number_or('o', 0)? == 1;
    Ok(Message::Hash { segment: fields.number('i')?, sha256, is_from_origin })
}

#[cfg(test)]
mod tests {
    use super::super::{Decoded, Decoder, WireError, encode};
    use super::*;
    use proptest::prelude::*;

    const PROTOCOL: &str = include_str!("../../../PROTOCOL.md");

    fn said(segment: u64, is_from_origin: bool) -> Message {
        let sha256 = std::array::from_fn(|at| at as u8);
        Message::Hash { segment, sha256, is_from_origin }
    }

    fn decode(body: &[u8]) -> Decoded {
        Decoder::new().decode(&[b"cstr", body, b"cend"].concat())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_documented_examples_are_what_is_said() {
        let written: String = PROTOCOL.split_whitespace().collect();
        for message in [said(17, true), said(1_234_567, false)] {
            let [frame] = &encode(&message, 65_535)[..] else { panic!("one message") };
            assert!(written.contains(&hex(frame)), "{message:?} is {}", hex(frame));
            assert_eq!(Decoder::new().decode(frame), Decoded::Message(message));
        }
    }

    #[test]
    fn every_documented_example_is_a_command() {
        let examples = PROTOCOL.lines().filter(|line| line.starts_with("63737472"));
        let mut count = 0;
        for example in examples {
            let digits: Vec<char> = example.chars().filter(|c| !c.is_whitespace()).collect();
            let of = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
            let frame: Vec<u8> = digits.chunks(2).map(of).collect();
            let decoded = Decoder::new().decode(&frame);
            assert!(matches!(decoded, Decoded::Message(_)), "{example}: {decoded:?}");
            count += 1;
        }
        assert!(count >= 4, "{count}");
    }

    #[test]
    fn only_kin_is_told_what_browsers_do_not_understand() {
        assert!(said(1, true).is_for_kin());
        let everybodys = [
            Message::Announcement { loaded: vec![1], loading: vec![] },
            Message::Request { segment: 1, request: 1, from: 0 },
            Message::Data { segment: 1, size: 1, request: 1 },
            Message::Completed { segment: 1, request: 1 },
            Message::Absent { segment: 1, request: 1 },
            Message::Cancel { segment: 1, request: 1 },
        ];
        assert!(!everybodys.iter().any(Message::is_for_kin));
    }

    #[test]
    fn a_hash_that_is_none_is_ignored() {
        let id = [b'i', 1, 17];
        let of =
            |len: usize| [&[HASH], &id[..], &[b'h', 0x20, len as u8], &[7; 99][..len]].concat();
        assert!(matches!(decode(&of(32)), Decoded::Message(Message::Hash { segment: 17, .. })));
        for len in [0, 1, 31, 33, 64] {
            assert_eq!(decode(&of(len)), Decoded::Ignored(WireError::BadHash), "{len}");
        }
        let mut too_long = of(32);
        too_long[5] = 0x2f;
        let missing = |name| Decoded::Ignored(WireError::MissingField(name));
        for (body, answer) in [
            (too_long, Decoded::Ignored(WireError::Truncated)),
            (of(32)[..20].to_vec(), Decoded::Ignored(WireError::Truncated)),
            (vec![HASH], missing('h')),
            ([&[HASH, b'h', 1, 32], &id[..]].concat(), missing('h')),
            ([&[HASH][..], &of(32)[4..]].concat(), missing('i')),
            ([&of(32)[..], &[b'o', 0x20, 0]].concat(), missing('o')),
            ([&of(32)[..], &[b'i', 1, 0x81]].concat(), Decoded::Ignored(WireError::BadNumber)),
        ] {
            assert_eq!(decode(&body), answer, "{body:02x?}");
        }
    }

    #[test]
    fn what_later_versions_may_add_is_left_alone() {
        let Decoded::Message(hash) = decode(
            &[
                &[HASH, b'i', 1, 17, b'h', 0x20, 32],
                &[7; 32][..],
                &[b'o', 1, 2, b'z', 0x20, 1, b'!'],
            ]
            .concat(),
        ) else {
            panic!("not understood")
        };
        assert_eq!(
            hash,
            Message::Hash { segment: 17, sha256: [7; 32], is_from_origin: false },
            "another way than from the origin"
        );
    }

    #[test]
    fn an_id_too_large_to_be_said_is_not_said() {
        assert!(encode(&said(NUMBER_MAX + 1, true), 65_535).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_understood_however_small_the_messages(
            segment in 0..=NUMBER_MAX, sha256 in any::<[u8; 32]>(), is_from_origin in any::<bool>(),
            limit in 0..99usize,
        ) {
            let said = Message::Hash { segment, sha256, is_from_origin };
            let mut decoder = Decoder::new();
            let heard: Vec<_> = encode(&said, limit).iter().map(|f| decoder.decode(f)).collect();
            prop_assert_eq!(heard.last(), Some(&Decoded::Message(said)));
        }

        #[test]
        fn no_damaged_hash_upsets_the_decoder(
            at in any::<prop::sample::Index>(), byte in any::<u8>(), rest in any::<Vec<u8>>()
        ) {
            let mut body = put_hash(17, &[7; 32], true).unwrap();
            let at = at.index(body.len());
            body[at] = byte;
            decode(&body);
            decode(&[&[HASH], &rest[..]].concat());
        }
    }
}
