//! Bytes of a playlist as text, and back, losing none.
//!
//! Playlists are UTF-8, but titles and comments of old packagers are not always. A foreign byte is
//! carried as a character of a private range, so that all else reads the playlist as text; where
//! one stands in a URI it is percent-encoded, which is what it means to an origin. No encoding is
//! guessed. `mod` and `http/playlist` drive it.

use std::borrow::Cow;
use std::fmt::Write;

/// Most bytes that are not UTF-8 in what is still taken for a playlist.
pub const FOREIGN_BYTES_MAX: usize = 64 << 10;

/// The character for byte 0 of a private range; in the text of a playlist it stands for nothing.
const FIRST: u32 = 0x0010_FE00;

/// What the private range's characters begin with in UTF-8.
const FIRST_BYTE: u8 = 0xF4;

/// The text of `bytes`; `None` with too many foreign ones.
pub fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !has_foreign(text)
    {
        return Some(Cow::Borrowed(text));
    }
    let (mut text, mut foreign) = (String::with_capacity(bytes.len() * 2), 0);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // One that is there already must not turn into a byte on the way back.
            if foreign_byte(c).is_some() {
                let mut buffer = [0; 4];
                text.extend(c.encode_utf8(&mut buffer).bytes().map(carried));
                foreign += buffer.len();
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(carried));
        foreign += chunk.invalid().len();
        if foreign > FOREIGN_BYTES_MAX {
            return None;
        }
    }
    Some(Cow::Owned(text))
}

/// The bytes that [`decode`] made a text of.
pub fn encode(text: String) -> Vec<u8> {
    if !has_foreign(&text) {
        return text.into_bytes();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match foreign_byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// A reference with its foreign bytes percent-encoded.
pub(super) fn percent_encoded(reference: &str) -> Cow<'_, str> {
    if !has_foreign(reference) {
        return Cow::Borrowed(reference);
    }
    let mut encoded = String::with_capacity(reference.len());
    for c in reference.chars() {
        match foreign_byte(c) {
            // Writing to a string cannot fail.
            Some(byte) => drop(write!(encoded, "%{byte:02X}")),
            None => encoded.push(c),
        }
    }
    Cow::Owned(encoded)
}

fn has_foreign(text: &str) -> bool {
    text.as_bytes().contains(&FIRST_BYTE) && text.contains(|c| foreign_byte(c).is_some())
}

fn carried(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn foreign_byte(c: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(c).checked_sub(FIRST)?).ok()?;
    (!byte.is_ascii()).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_bytes_in_a_uri_are_percent_encoded() {
        let text = decode(b"caf\xe9/\xc3\xa9.ts").unwrap();
        assert_eq!(percent_encoded(&text), "caf%E9/\u{e9}.ts");
    }

    #[test]
    fn a_binary_file_is_no_text() {
        assert_eq!(decode(&vec![0xFF; FOREIGN_BYTES_MAX + 1]), None);
        assert!(decode(&vec![0xFF; FOREIGN_BYTES_MAX]).is_some());
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(
            bytes in proptest::collection::vec(
                prop_oneof![Just(0xF4), Just(0x8F), Just(0xBA), Just(0x80), any::<u8>()], 0..60,
            ),
        ) {
            let text = decode(&bytes).unwrap().into_owned();
            prop_assert_eq!(encode(text), bytes);
        }

        #[test]
        fn utf_8_is_not_touched(text in "[^\u{10FE80}-\u{10FEFF}]{0,40}") {
            prop_assert_eq!(decode(text.as_bytes()), Some(Cow::Borrowed(text.as_str())));
        }
    }
}
