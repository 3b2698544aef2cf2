//! Lists of SHA-256 that a publisher keeps beside a playlist, in the form of PeerTube's
//! `segments-sha256.json`.
//!
//! A list names files, and for each either its hash or, where segments are ranges of a file, the
//! hash of each range: `{"a.mp4": {"0-1023": "…"}, "seg-1.ts": "…"}`; both ends of a range belong
//! to it. Finding and fetching a list is the stream's part.

use std::collections::BTreeMap;

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;
use url::Url;

use super::{Sha256, unhex};
use crate::ids::ByteRange;

/// What such a list is called where nobody says otherwise.
pub const FILE_NAME: &str = "segments-sha256.json";
/// Largest list that is read: 12 hours of segments in 8 renditions.
pub const LIST_BYTES_MAX: usize = 8 << 20;
/// Most hashes in a list.
pub const HASHES_MAX: usize = 100_000;

/// Where the list of some playlists is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPlace {
    /// How the URLs of those playlists begin.
    playlists: Url,
    /// The list.
    list: Url,
}

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

impl FromStr for ListPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let cuts = ["=http://", "=https://"].into_iter().filter_map(|cut| text.find(cut));
        let (playlists, list) = text.split_at(cuts.min().ok_or(())?);
        let http = |text: &str| {
            let url = Url::parse(text).map_err(|_| ())?;
            let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
            is_http.then_some(url).ok_or(())
        };
        Ok(Self { playlists: http(playlists)?, list: http(&list[1..])? })
    }
}

impl fmt::Display for ListPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.playlists, self.list)
    }
}

impl ListPlace {
    /// The list of the playlists whose URLs begin like this.
    pub fn new(playlists: Url, list: Url) -> Self {
        Self { playlists, list }
    }

    /// The same as it may be shown to anybody.
    pub fn masked(&self) -> Self {
        let masked = |url: &Url| crate::redact::url(url).parse().unwrap_or_else(|_| url.clone());
        Self { playlists: masked(&self.playlists), list: masked(&self.list) }
    }
}

/// Where the list of a playlist is: as configured, the longest beginning first, else beside it,
/// with the playlist's own query, which may hold what the origin wants to see.
pub fn place(configured: &[ListPlace], playlist: &Url) -> Url {
    let fits = |place: &&ListPlace| playlist.as_str().starts_with(place.playlists.as_str());
    let longest = |place: &&ListPlace| place.playlists.as_str().len();
    if let Some(place) = configured.iter().filter(fits).max_by_key(longest) {
        return place.list.clone();
    }
    let mut beside = playlist.join(FILE_NAME).unwrap_or_else(|_| playlist.clone());
    beside.set_query(playlist.query());
    beside
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
    fn a_list_is_where_the_settings_say_or_beside_the_playlist() {
        let places =
            ["https://a.test/live/=https://b.test/l.json?t=1", "https://a.test/=http://c.test/"];
        let places = places.map(|text| text.parse::<ListPlace>().unwrap());
        for (playlist, list) in [
            ("https://a.test/live/1/index.m3u8", "https://b.test/l.json?t=1"),
            ("https://a.test/film/index.m3u8", "http://c.test/"),
            ("http://a.test/f/index.m3u8?t=1", "http://a.test/f/segments-sha256.json?t=1"),
        ] {
            let playlist = playlist.parse().unwrap();
            assert_eq!(place(&places, &playlist).as_str(), list);
        }
        assert_eq!(places[0].to_string().parse(), Ok(places[0].clone()));
        assert!(!places[0].masked().to_string().contains("t=1"));
        for wrong in ["", "https://a.test/", "=https://b.test/", "ftp://a.test/=https://b.test/"] {
            assert_eq!(wrong.parse::<ListPlace>(), Err(()), "{wrong}");
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
