//! Lists of SHA-256 that a publisher keeps beside a playlist, in the form of PeerTube's
//! `segments-sha256.json`.
//!
//! A list names files, and for each either its hash or, where segments are ranges of a file, the
//! hash of each range: `{"a.mp4": {"0-1023": "…"}, "seg-1.ts": "…"}`; both ends of a range belong
//! to it. Finding and fetching a list is the stream's part.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use super::{Sha256, unhex};
use crate::ids::ByteRange;

/// What such a list is called where nobody says otherwise.
pub const FILE_NAME: &str = "segments-sha256.json";
/// Largest list that is read: 12 hours of segments in 8 renditions.
pub const LIST_BYTES_MAX: usize = 8 << 20;
/// Most hashes in a list.
pub const HASHES_MAX: usize = 100_000;

/// The hashes of a stream's segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashList {
    files: BTreeMap<String, File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum File {
    Whole(Sha256),
    Ranges(BTreeMap<(u64, u64), Sha256>),
}

/// What a list says of one file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Whole(String),
    Ranges(BTreeMap<String, String>),
}

/// Why something is no list of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAHashList {
    /// More than [`LIST_BYTES_MAX`] bytes.
    #[error("a hash list of more than {LIST_BYTES_MAX} bytes")]
    TooLarge,
    /// More than [`HASHES_MAX`] hashes.
    #[error("a hash list of more than {HASHES_MAX} hashes")]
    TooMany,
    /// It is not JSON, or says something other than files and hashes.
    #[error("not a hash list: it has to name files, and ranges of them, with a SHA-256 each")]
    Malformed,
}

impl HashList {
    /// Reads a list. What is wrong with any of it is wrong with all of it: half a list would make
    /// segments look unlisted that are not.
    ///
    /// # Errors
    /// [`NotAHashList`] when it is too large or says anything unexpected.
    pub fn parse(json: &[u8]) -> Result<Self, NotAHashList> {
        if json.len() > LIST_BYTES_MAX {
            return Err(NotAHashList::TooLarge);
        }
        let said: BTreeMap<String, Said> =
            serde_json::from_slice(json).map_err(|_| NotAHashList::Malformed)?;
        let hashes = said.values().map(|file| match file {
            Said::Whole(_) => 1,
            Said::Ranges(ranges) => ranges.len(),
        });
        if hashes.sum::<usize>() > HASHES_MAX {
            return Err(NotAHashList::TooMany);
        }
        let files = said.into_iter().map(|(name, said)| Some((name, said.read()?)));
        let files = files.collect::<Option<_>>().ok_or(NotAHashList::Malformed)?;
        Ok(Self { files })
    }

    /// The hash of a segment: the last part of its URL's path, and its range of that file.
    pub fn find(&self, path: &str, range: Option<ByteRange>) -> Option<Sha256> {
        let name = path.rsplit('/').next()?;
        match (self.files.get(name)?, range) {
            (File::Whole(hash), None) => Some(*hash),
            (File::Ranges(ranges), Some(range)) => {
                ranges.get(&(range.offset, range.end().checked_sub(1)?)).copied()
            }
            (File::Whole(_), Some(_)) | (File::Ranges(_), None) => None,
        }
    }
}

impl Said {
    fn read(self) -> Option<File> {
        let read = |(range, hash): (String, String)| {
            let (first, last) = range.split_once('-')?;
            Some(((number(first)?, number(last)?), unhex(&hash)?))
        };
        Some(match self {
            Self::Whole(hash) => File::Whole(unhex(&hash)?),
            Self::Ranges(ranges) => {
                File::Ranges(ranges.into_iter().map(read).collect::<Option<_>>()?)
            }
        })
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> String {
        format!("{byte:02x}").repeat(32)
    }

    #[test]
    fn finds_files_and_ranges_of_files() {
        let (a, b, c) = (hash(1), hash(0xab), hash(3).to_uppercase());
        let list = format!(r#"{{"f.mp4":{{"0-1233":"{a}","1234-2000":"{b}"}},"s-1.ts":"{c}"}}"#);
        let list = HashList::parse(list.as_bytes()).unwrap();
        let range = |offset, len| Some(ByteRange { offset, len });
        assert_eq!(list.find("/video/f.mp4", range(0, 1234)), Some([1; 32]));
        assert_eq!(list.find("/f.mp4", range(1234, 767)), Some([0xab; 32]));
        assert_eq!(list.find("/live/s-1.ts", None), Some([3; 32]));
        for (path, range) in [
            ("/f.mp4", range(0, 1233)),
            ("/f.mp4", range(0, 0)),
            ("/f.mp4", range(u64::MAX, u64::MAX)),
            ("/f.mp4", None),
            ("/s-1.ts", range(0, 1234)),
            ("/s-2.ts", None),
            ("/f.mp4/", None),
            ("", None),
        ] {
            assert_eq!(list.find(path, range), None, "{path} {range:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_no_half_a_list() {
        let (good, short) = (hash(1), &hash(1)[2..]);
        for wrong in [
            String::new(),
            "<html>not found</html>".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            format!(r#"{{"a":"{good}","b":"{short}"}}"#),
            format!(r#"{{"a":"{good}","b":7}}"#),
            format!(r#"{{"a":{{"0-1":"{good}","x-1":"{good}"}}}}"#),
            format!(r#"{{"a":{{"0":"{good}"}}}}"#),
            format!(r#"{{"a":{{"+0-1":"{good}"}}}}"#),
            format!(r#"{{"a":{{"0-99999999999999999999":"{good}"}}}}"#),
            format!(r#"{{"a":{{"0-1":{{"deeper":"{good}"}}}}}}"#),
            "[".repeat(100_000),
            r#"{"a":"#.repeat(10_000),
        ] {
            let read = HashList::parse(wrong.as_bytes());
            assert_eq!(read, Err(NotAHashList::Malformed), "{wrong:.60}");
        }
        assert_eq!(HashList::parse(b"{}"), Ok(HashList::default()));
    }

    #[test]
    fn a_list_has_an_end() {
        let large = " ".repeat(LIST_BYTES_MAX + 1);
        assert_eq!(HashList::parse(large.as_bytes()), Err(NotAHashList::TooLarge));
        // So many fit only when they are unreadably short.
        let many: Vec<String> = (0..=HASHES_MAX).map(|n| format!("\"{n}\":\"\"")).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(HashList::parse(many.as_bytes()), Err(NotAHashList::TooMany));
    }
}
