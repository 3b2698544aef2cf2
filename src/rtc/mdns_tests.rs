//! Questions and answers of multicast DNS, from honest responders and from others. Data only.

use proptest::prelude::*;

use super::*;

const NAME: &str = "0b1c2d3e-0000-4000-8000-123456789abc.local";

fn name() -> LocalName {
    LocalName::parse(NAME).unwrap()
}

/// A name as it stands in a message, uncompressed.
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn header(counts: [u16; 4]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x84, 0];
    bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    bytes
}

fn record(name: &[u8], kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend([kind.to_be_bytes(), class.to_be_bytes()].concat());
    bytes.extend([0, 0, 0, 120]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn answer(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header([0, records.len() as u16, 0, 0]);
    bytes.extend(records.concat());
    bytes
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn only_what_browsers_make_up_is_a_name() {
    let table = [
        (NAME, true),
        ("0B1C2D3E-0000-4000-8000-123456789ABC.LOCAL", true),
        ("0b1c2d3e-0000-4000-8000-123456789abc", false),
        ("0b1c2d3e-0000-4000-8000-123456789abc.local.", false),
        ("0b1c2d3e-0000-4000-8000-123456789abc.example", false),
        ("0b1c2d3e-0000-4000-8000-123456789abg.local", false),
        ("0b1c2d3e00004-000-8000-123456789abc.local", false),
        ("a.0b1c2d3e-0000-4000-8000-123456789abc.local", false),
        ("printer.local", false),
        (".local", false),
        ("", false),
    ];
    for (text, is_name) in table {
        assert_eq!(LocalName::parse(text).is_some(), is_name, "{text}");
    }
}

#[test]
fn a_question_is_one_name_of_the_plain_class() {
    let mut expected = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    expected.extend(encoded(NAME));
    expected.extend([0, 1, 0, 1]);
    assert_eq!(question(&name(), Family::V4), expected);
    expected.truncate(expected.len() - 4);
    expected.extend([0, 28, 0, 1]);
    assert_eq!(question(&name(), Family::V6), expected);
    assert_eq!(addresses(&expected), [], "and no answer");
}

#[test]
fn addresses_are_read_from_answers_of_every_shape() {
    let plain = record(&encoded(NAME), 1, 0x8001, &[192, 168, 1, 5]);
    assert_eq!(addresses(&answer(&[plain])), [(name(), ip("192.168.1.5"))]);

    let v6 = record(&encoded(&NAME.to_uppercase()), 28, 1, &[0xfd; 16]);
    let other = record(&encoded("printer.local"), 1, 1, &[192, 168, 1, 6]);
    let text = record(&encoded(NAME), 16, 1, b"\x04text");
    let both = addresses(&answer(&[other, text, v6]));
    assert_eq!(both, [(name(), IpAddr::from([0xfd_u8; 16]))]);

    // The question is repeated, as it is to those who asked from another port, and the name of
    // the answer leads there; then one whose last label alone leads into the first.
    let mut repeated = header([1, 1, 0, 1]);
    repeated.extend(&question(&name(), Family::V4)[12..]);
    repeated.extend(record(&[0xc0, 12], 1, 1, &[10, 0, 0, 7]));
    let mut partly = encoded(NAME);
    partly.truncate(37);
    partly.extend([0xc0, 12 + 37]);
    repeated.extend(record(&partly, 1, 1, &[10, 0, 0, 8]));
    assert_eq!(addresses(&repeated), [(name(), ip("10.0.0.7")), (name(), ip("10.0.0.8"))]);
}

#[test]
fn what_is_no_sound_answer_states_nothing() {
    let good = answer(&[record(&encoded(NAME), 1, 1, &[192, 168, 1, 5])]);
    assert_eq!(addresses(&good).len(), 1);
    let mut question_bit = good.clone();
    question_bit[2] = 0;
    let mut opcode = good.clone();
    opcode[2] |= 0x08;
    let mut failed = good.clone();
    failed[3] = 3;
    let mut many_questions = good.clone();
    many_questions[4..6].copy_from_slice(&u16::MAX.to_be_bytes());
    let mut too_long = good.clone();
    too_long.resize(MDNS_MESSAGE_BYTES_MAX + 1, 0);
    let class = answer(&[record(&encoded(NAME), 1, 3, &[192, 168, 1, 5])]);
    let short = answer(&[record(&encoded(NAME), 1, 1, &[192, 168, 1])]);
    let long = answer(&[record(&encoded(NAME), 28, 1, &[192, 168, 1, 5])]);
    let dotted = {
        let mut label = vec![NAME.len() as u8];
        label.extend(NAME.as_bytes());
        label.push(0);
        answer(&[record(&label, 1, 1, &[192, 168, 1, 5])])
    };
    for bad in [question_bit, opcode, failed, many_questions, too_long, class, short, long, dotted]
    {
        assert_eq!(addresses(&bad), [], "{bad:02x?}");
    }
    for length in 0..good.len() {
        assert_eq!(addresses(&good[..length]), [], "cut off after {length}");
    }
}

#[test]
fn compression_that_leads_nowhere_or_in_circles_ends() {
    // (what stands at byte 12, where a record's name does)
    let table: [&[u8]; 8] = [
        &[0xc0, 12],
        &[0xc0, 14],
        &[0xc0, 0],
        &[0xff, 0xff],
        &[1, b'a', 0xc0, 12],
        &[1, b'a', 0xc0, 14],
        &[0x80, 0],
        &[0x40, 0],
    ];
    for bytes in table {
        let looping = answer(&[record(bytes, 1, 1, &[192, 168, 1, 5])]);
        assert_eq!(addresses(&looping), [], "{bytes:02x?}");
    }
    // Each record's name is a label and a jump to the name before: longer with every record.
    let mut growing = header([0, MDNS_RECORDS_MAX as u16, 0, 0]);
    let mut before: Option<usize> = None;
    for _ in 0..MDNS_RECORDS_MAX {
        let at = growing.len();
        let mut name = vec![20];
        name.extend([b'a'; 20]);
        match before.replace(at) {
            Some(before) => name.extend((0xc000 | before as u16).to_be_bytes()),
            None => name.push(0),
        }
        growing.extend(record(&name, 1, 1, &[192, 168, 1, 5]));
    }
    assert_eq!(addresses(&growing), []);
}

#[test]
fn no_more_records_are_read_than_the_limit() {
    let one = record(&encoded(NAME), 1, 1, &[192, 168, 1, 5]);
    let mut many = header([0, 1, 0, 0]);
    many.extend(&one);
    for _ in 0..50 {
        many.extend(record(&[0xc0, 12], 1, 1, &[192, 168, 1, 6]));
    }
    many[6..12].copy_from_slice(&[0xff; 6]);
    assert_eq!(addresses(&many).len(), MDNS_RECORDS_MAX);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        addresses(&bytes);
    }

    #[test]
    fn an_answer_with_bytes_changed_is_read_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes = header([1, 1, 0, 1]);
        bytes.extend(&question(&name(), Family::V4)[12..]);
        bytes.extend(record(&[0xc0, 12], 1, 0x8001, &[10, 0, 0, 7]));
        bytes.extend(record(&[4, b'm', b'o', b'r', b'e', 0xc0, 12], 28, 1, &[0xfd; 16]));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert!(addresses(&bytes).len() <= MDNS_RECORDS_MAX);
    }

    #[test]
    fn an_address_comes_out_as_it_went_in(
        uuid in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        v4: u32,
    ) {
        let text = format!("{uuid}.local");
        let message = answer(&[record(&encoded(&text), 1, 1, &v4.to_be_bytes())]);
        let expected = (LocalName::parse(&text).unwrap(), Ipv4Addr::from(v4).into());
        prop_assert_eq!(addresses(&message), vec![expected]);
    }
}
