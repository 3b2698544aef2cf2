//! The codec against what browsers wrote, against itself, and against nonsense.

use super::fields::Reader;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/data/p2p-media-loader.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn unhex(text: &Value) -> Vec<u8> {
    let digits: Vec<u8> =
        text.as_str().unwrap().chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn frames(case: &Value) -> Vec<Vec<u8>> {
    list(&case["messages"]).iter().map(unhex).collect()
}

fn message(command: &Value) -> Message {
    let ids = |name: &str| list(&command[name]).iter().map(|id| id.as_u64().unwrap()).collect();
    let number = |name: &str| command[name].as_u64().unwrap_or(0);
    let (segment, request) = (number("i"), number("r"));
    match number("c") {
        0 => Message::Announcement { loaded: ids("l"), loading: ids("p") },
        1 => Message::Request { segment, request, from: number("b") },
        2 => Message::Data { segment, size: number("s"), request },
        3 => Message::Completed { segment, request },
        4 => Message::Absent { segment, request },
        5 => Message::Cancel { segment, request },
        other => panic!("no such command: {other}"),
    }
}

/// The last of what the frames decode to; those before must be partial.
fn decode_all(frames: &[Vec<u8>]) -> Decoded {
    let mut decoder = Decoder::new();
    let (last, before) = frames.split_last().expect("at least one message");
    for frame in before {
        assert_eq!(decoder.decode(frame), Decoded::Partial);
    }
    decoder.decode(last)
}

fn command(body: &[u8]) -> Vec<u8> {
    [FIRST, body, LAST].concat()
}

fn ignored(body: &[u8]) -> WireError {
    match Decoder::new().decode(&command(body)) {
        Decoded::Ignored(error) => error,
        other => panic!("should have been ignored: {other:?}"),
    }
}

#[test]
fn numbers_are_written_and_read_as_browsers_do() {
    let vectors = vectors();
    assert!(!list(&vectors["ints"]).is_empty());
    for case in list(&vectors["ints"]) {
        let (value, bytes) = (case["value"].as_i64().unwrap(), unhex(&case["hex"]));
        assert_eq!(Reader { rest: &bytes }.int(), Ok(i128::from(value)));
        if let Ok(value) = u64::try_from(value) {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }
}

#[test]
fn commands_are_written_and_read_as_browsers_do() {
    let vectors = vectors();
    assert!(!list(&vectors["commands"]).is_empty());
    for case in list(&vectors["commands"]) {
        let (said, frames) = (message(&case["command"]), frames(case));
        let limit = usize::try_from(case["maxMessageSize"].as_u64().unwrap()).unwrap();
        assert_eq!(encode(&said, limit), frames, "{}", case["name"]);
        assert_eq!(decode_all(&frames), Decoded::Message(said), "{}", case["name"]);
    }
}

#[test]
fn what_only_others_write_is_read_as_browsers_do() {
    for case in list(&vectors()["decodeOnly"]) {
        let frames = frames(case);
        match case["decoded"]["error"].as_str() {
            Some("incomplete-joining") => {
                assert_eq!(decode_all(&frames), Decoded::Ignored(WireError::Unfinished));
            }
            Some("no-first-chunk") => {
                assert_eq!(decode_all(&frames), Decoded::Ignored(WireError::NoFirstChunk));
            }
            Some(other) => panic!("no such error: {other}"),
            None => {
                let said = message(&case["decoded"]["command"]);
                assert_eq!(decode_all(&frames), Decoded::Message(said), "{}", case["name"]);
            }
        }
    }
}

#[test]
fn a_captured_conversation_of_two_browsers_is_understood_and_would_be_said_the_same() {
    let vectors = vectors();
    let mut commands = 0;
    for page in list(&vectors["captures"]["wire"]) {
        let mut decoder = Decoder::new();
        for received in list(&page["received"]).iter().filter(|r| r["hex"].is_string()) {
            let (bytes, said) = (unhex(&received["hex"]), message(&received["command"]));
            assert_eq!(encode(&said, 65_535), std::slice::from_ref(&bytes));
            assert_eq!(decoder.decode(&bytes), Decoded::Message(said));
            commands += 1;
        }
    }
    assert!(commands > 20, "{commands}");
}

#[test]
fn a_whole_block_of_256_ids_is_written_as_two_groups() {
    let said = Message::Announcement { loaded: (256..512).collect(), loading: vec![] };
    let frames = encode(&said, 65_535);
    assert_eq!(frames[0][4..11], [0, b'l', 0x10, 2, 2, 1, 0xff]);
    assert_eq!(decode_all(&frames), Decoded::Message(said));
}

/// Heads as p2p-media-loader 2.2.2 and 2.3.1 write them.
#[test]
fn a_whole_block_is_understood_as_browsers_write_it() {
    let loaded = |list: &[u8]| {
        let body = [&[0, b'l'], list].concat();
        match Decoder::new().decode(&command(&body)) {
            Decoded::Message(Message::Announcement { loaded, .. }) => loaded,
            other => panic!("{other:?}"),
        }
    };
    let all: Vec<u8> = (0..=255).collect();
    let first = [&[0x10, 1, 1, 0], &all[..]].concat();
    assert_eq!(loaded(&first), (0..256).collect::<Vec<_>>());
    let third = [&[0x10, 1, 2, 2, 0], &all[..]].concat();
    assert_eq!(loaded(&third), (512..768).collect::<Vec<_>>());
    let film = [&[0x10, 2, 1, 0], &all[..], &[2, 1, 44], &all[..44]].concat();
    assert_eq!(loaded(&film), (0..300).collect::<Vec<_>>());
}

#[test]
fn an_announcement_too_large_for_the_format_keeps_the_highest_ids_in_their_order() {
    let loaded: Vec<u64> = (0..300).map(|n| n * 256).collect();
    let said = Message::Announcement { loaded: loaded.clone(), loading: vec![] };
    let Decoded::Message(Message::Announcement { loaded: heard, .. }) =
        decode_all(&encode(&said, 65_535))
    else {
        panic!("not understood")
    };
    assert_eq!(heard, loaded[45..]);
}

#[test]
fn a_number_too_large_to_be_said_makes_no_message() {
    let said = Message::Request { segment: NUMBER_MAX + 1, request: 0, from: 0 };
    assert!(encode(&said, 65_535).is_empty());
    let said = Message::Announcement { loaded: vec![u64::MAX, 3], loading: vec![] };
    let heard = Message::Announcement { loaded: vec![3], loading: vec![] };
    assert_eq!(decode_all(&encode(&said, 65_535)), Decoded::Message(heard));
}

#[test]
fn segment_data_is_told_from_commands_and_collisions_are_seen() {
    assert_eq!(Decoder::new().decode(b""), Decoded::Payload);
    assert_eq!(Decoder::new().decode(b"cstr"), Decoded::Payload);
    assert_eq!(Decoder::new().decode(b"cstrend"), Decoded::Payload);
    assert_eq!(Decoder::new().decode(b"cstr media data"), Decoded::Payload);
    assert!(!collides(b"cstr media data"));
    assert!(collides(b"dstr media data cend"));
    assert!(!collides(b"str media data cend"));
}

#[test]
fn lengths_that_lead_past_the_end_are_ignored() {
    assert_eq!(ignored(&[]), WireError::Truncated);
    assert_eq!(ignored(&[1, b'i', 7, 1]), WireError::Truncated);
    assert_eq!(ignored(&[1, b'i']), WireError::Truncated);
    assert_eq!(ignored(&[0, b'l', 0x10]), WireError::Truncated);
    assert_eq!(ignored(&[0, b'l', 0x10, 255, 1, 1]), WireError::Truncated);
    assert_eq!(ignored(&[0, b'l', 0x10, 1, 2, 0, 0xff, 1]), WireError::Truncated);
    assert_eq!(ignored(&[0, b'x', 0x2f, 0xff, 1]), WireError::Truncated);
}

#[test]
fn unknown_types_and_commands_are_ignored() {
    for nibble in 3..16 {
        assert_eq!(ignored(&[1, b'i', nibble << 4 | 1, 1]), WireError::UnknownType(nibble));
    }
    assert_eq!(ignored(&[0, b'l', 0x10, 1, 0x11, 1]), WireError::UnknownType(1));
    assert_eq!(ignored(&[6, b'i', 1, 1, b'r', 1, 1]), WireError::UnknownCommand(6));
}

#[test]
fn numbers_of_no_bytes_negative_or_too_large_are_ignored() {
    assert_eq!(ignored(&[3, b'i', 0, b'r', 1, 1]), WireError::BadNumber);
    assert_eq!(ignored(&[3, b'i', 1, 0x81, b'r', 1, 1]), WireError::BadNumber);
    assert_eq!(ignored(&[3, b'i', 7, 0x20, 0, 0, 0, 0, 0, 0, b'r', 1, 1]), WireError::BadNumber);
    let widest = [&[3, b'i', 15][..], &[0x7f; 15], &[b'r', 1, 1]].concat();
    assert_eq!(ignored(&widest), WireError::BadNumber);
    assert_eq!(ignored(&[0, b'l', 0x10, 1, 2, 0x81, 1, 1]), WireError::BadNumber);
}

#[test]
fn groups_of_no_ids_are_ignored() {
    assert_eq!(ignored(&[0, b'l', 0x10, 1, 1, 0]), WireError::EmptyGroup);
    assert_eq!(ignored(&[0, b'l', 0x10, 1, 2, 1, 0]), WireError::EmptyGroup);
    let all_the_same = [&[0, b'l', 0x10, 1, 2, 1, 0][..], &[9; 256]].concat();
    assert_eq!(ignored(&all_the_same), WireError::EmptyGroup);
}

#[test]
fn sizes_above_the_limit_are_ignored() {
    let said = Message::Data { segment: 1, size: SEGMENT_BYTES_MAX + 1, request: 1 };
    assert_eq!(decode_all(&encode(&said, 65_535)), Decoded::Ignored(WireError::BadNumber));
    let said = Message::Request { segment: 1, request: 1, from: SEGMENT_BYTES_MAX + 1 };
    assert_eq!(decode_all(&encode(&said, 65_535)), Decoded::Ignored(WireError::BadNumber));
}

#[test]
fn missing_fields_and_fields_of_the_wrong_type_are_ignored() {
    assert_eq!(ignored(&[1, b'i', 1, 1]), WireError::MissingField('r'));
    assert_eq!(ignored(&[2, b'i', 1, 1, b'r', 1, 1]), WireError::MissingField('s'));
    assert_eq!(ignored(&[0, b'l', 1, 1]), WireError::MissingField('l'));
}

#[test]
fn an_endless_command_is_dropped_at_the_limit_and_the_next_is_understood() {
    let mut decoder = Decoder::new();
    let chunk = |start: &[u8]| [start, &[0; 60_000], MORE].concat();
    assert_eq!(decoder.decode(&chunk(FIRST)), Decoded::Partial);
    let results: Vec<Decoded> = (0..17).map(|_| decoder.decode(&chunk(CONTINUED))).collect();
    assert_eq!(results[16], Decoded::Ignored(WireError::TooLong));
    assert_eq!(decoder.decode(&chunk(CONTINUED)), Decoded::Ignored(WireError::NoFirstChunk));
    let said = Message::Absent { segment: 1, request: 2 };
    assert_eq!(decoder.decode(&encode(&said, 65_535)[0]), Decoded::Message(said));
}

#[test]
fn ids_are_translated_and_those_without_translation_left_out() {
    let halved = |id: u64| id.is_multiple_of(2).then_some(id / 2);
    let said = Message::Announcement { loaded: vec![2, 3, 4], loading: vec![5, 6] };
    let mapped = Message::Announcement { loaded: vec![1, 2], loading: vec![3] };
    assert_eq!(said.map_segments(halved), Some(mapped));
    let of = |segment| Message::Cancel { segment, request: 7 };
    assert_eq!(of(8).map_segments(halved), Some(of(4)));
    assert_eq!(of(9).map_segments(halved), None);
    let of = |segment| Message::Hash { segment, sha256: [7; 32], is_from_origin: true };
    assert_eq!(of(8).map_segments(halved), Some(of(4)));
    assert_eq!(of(9).map_segments(halved), None);
}

#[test]
fn ids_in_words_among_kin_are_translated_and_nothing_else() {
    let halved = |id: u64| id.is_multiple_of(2).then_some(id / 2);
    let of_each: [fn(u64) -> Message; 3] = [
        |segment| Message::RequestPart { segment, request: 7, from: 8, end: 9 },
        |segment| Message::Part { segment, size: 7, request: 8, total: 9 },
        |segment| Message::Holding { segment, total: 7, chunks: vec![8, 9] },
    ];
    for of in of_each {
        assert_eq!(of(8).map_segments(halved), Some(of(4)));
        assert_eq!(of(9).map_segments(halved), None);
    }
    let coming = |segments: &[_]| Message::Coming { segments: segments.to_vec() };
    let said = coming(&[(8, 2), (9, 1), (10, 3)]);
    assert_eq!(said.map_segments(halved), Some(coming(&[(4, 2), (5, 3)])));
}

fn any_message() -> impl Strategy<Value = Message> {
    let number = || prop_oneof![0..2000_u64, 0..=NUMBER_MAX];
    let ids = || vec(prop_oneof![0..2000_u64, 0..=NUMBER_MAX], 0..600);
    // Random large ids make a group each; more than 255 groups would be cut.
    let few = |ids: Vec<u64>| -> Vec<u64> {
        let (small, large): (Vec<u64>, Vec<u64>) = ids.into_iter().partition(|&id| id < 2000);
        small.into_iter().chain(large.into_iter().take(200)).collect()
    };
    prop_oneof![
        (ids(), ids()).prop_map(move |(loaded, loading)| Message::Announcement {
            loaded: few(loaded),
            loading: few(loading)
        }),
        (number(), number(), 0..=SEGMENT_BYTES_MAX)
            .prop_map(|(segment, request, from)| Message::Request { segment, request, from }),
        (number(), 0..=SEGMENT_BYTES_MAX, number())
            .prop_map(|(segment, size, request)| Message::Data { segment, size, request }),
        (number(), number(), 0..=SEGMENT_BYTES_MAX, 0..=SEGMENT_BYTES_MAX).prop_map(
            |(segment, request, from, end)| Message::RequestPart { segment, request, from, end }
        ),
        (number(), 0..=SEGMENT_BYTES_MAX, number(), 0..=SEGMENT_BYTES_MAX).prop_map(
            |(segment, size, request, total)| Message::Part { segment, size, request, total }
        ),
        (number(), 0..=SEGMENT_BYTES_MAX, vec(0..=SEGMENT_BYTES_MAX / CHUNK_BYTES, 0..600))
            .prop_map(|(segment, total, chunks)| Message::Holding { segment, total, chunks }),
        vec((0..2000_u64, 1..=HOPS_MAX), 0..300).prop_map(|segments| Message::Coming { segments }),
        (number(), number()).prop_map(|(segment, request)| Message::Completed { segment, request }),
        (number(), number()).prop_map(|(segment, request)| Message::Absent { segment, request }),
        (number(), number()).prop_map(|(segment, request)| Message::Cancel { segment, request }),
    ]
}

/// Groups change the order of ids, so that only sorted announcements compare.
fn sorted(message: Message) -> Message {
    match message {
        Message::Announcement { mut loaded, mut loading } => {
            loaded.sort_unstable();
            loading.sort_unstable();
            Message::Announcement { loaded, loading }
        }
        Message::Holding { segment, total, mut chunks } => {
            chunks.sort_unstable();
            Message::Holding { segment, total, chunks }
        }
        Message::Coming { mut segments } => {
            segments.sort_unstable();
            Message::Coming { segments }
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn any_message_is_understood_as_it_was_said(said in any_message(), limit in 32..70_000_usize) {
        let frames = encode(&said, limit);
        prop_assert!(frames.iter().all(|frame| frame.len() <= limit));
        let Decoded::Message(heard) = decode_all(&frames) else {
            return Err(TestCaseError::fail("not understood"));
        };
        prop_assert_eq!(sorted(heard), sorted(said));
    }

    #[test]
    fn no_bytes_upset_the_decoder(bodies in vec((vec(any::<u8>(), 0..300), 0..4_u8), 0..8)) {
        let mut decoder = Decoder::new();
        for (body, kind) in bodies {
            let start = if kind & 1 == 0 { FIRST } else { CONTINUED };
            let end = if kind & 2 == 0 { LAST } else { MORE };
            decoder.decode(&body);
            if let Decoded::Message(Message::Announcement { loaded, loading }) =
                decoder.decode(&[start, body.as_slice(), end].concat())
            {
                prop_assert!(loaded.len().max(loading.len()) <= ANNOUNCED_IDS_MAX);
            }
        }
    }

    #[test]
    fn no_damaged_command_upsets_the_decoder(
        said in any_message(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut frame = encode(&said, 65_535).swap_remove(0);
        let at = at.index(frame.len());
        frame[at] = byte;
        Decoder::new().decode(&frame);
    }
}
