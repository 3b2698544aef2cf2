//! Identifiers shared by every layer: newtypes that keep the many kinds of number apart.
//!
//! Nothing here computes an identity from a playlist (that is `playlist::identity`) or knows a
//! wire format; these are only names, ordered and printable.

use std::fmt;

/// Info hash of a swarm: 20 bytes, in every supported protocol generation printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHash(pub [u8; 20]);

/// A member's id towards trackers: 20 ASCII bytes, Azureus style (`-HS0100-` and 12 more).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

/// Position of a segment in its rendition's timeline: the media sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u64);

/// A part of a segment of a low-latency stream. Two files are never one part, even where they have
/// the same place: what was announced need not be what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId {
    /// The segment.
    pub segment: SegmentId,
    /// Its place among the segment's parts.
    pub index: u32,
    /// A hash of the file's name and of the range in it, tokens left out.
    pub name: u64,
}

/// One connection to a peer, as this process counts them; never reused, never on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey(pub u32);

/// One local player as far as it can be told apart (address and `User-Agent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayerId(pub u64);

impl PlayerId {
    /// Nobody watches: what is asked for is to be held for others, and there is no hurry.
    pub const SEEDER: Self = Self(u64::MAX);
}

/// A byte range of a resource: `len` bytes from `offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    /// First byte, counted from 0.
    pub offset: u64,
    /// Number of bytes, at least 1.
    pub len: u64,
}

impl ByteRange {
    /// Offset of the first byte behind the range.
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

impl InfoHash {
    /// The 20 bytes as a string of code points 0 to 255, as tracker messages carry them.
    pub fn to_latin1(self) -> String {
        self.0.iter().map(|&b| char::from(b)).collect()
    }

    /// Reads what [`InfoHash::to_latin1`] wrote; `None` unless it is 20 code points below 256.
    pub fn from_latin1(text: &str) -> Option<Self> {
        bytes_from_latin1(text).map(Self)
    }
}

impl PeerId {
    /// The 20 bytes as a string of code points 0 to 255, as tracker messages carry them.
    pub fn to_latin1(self) -> String {
        self.0.iter().map(|&b| char::from(b)).collect()
    }

    /// Reads what [`PeerId::to_latin1`] wrote; `None` unless it is 20 code points below 256.
    pub fn from_latin1(text: &str) -> Option<Self> {
        bytes_from_latin1(text).map(Self)
    }

    /// An id of this program: `-HS`, two digits each of the major and minor version, `-`, and
    /// twelve letters or digits taken from `random`.
    pub fn generate(random: [u8; 12]) -> Self {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let digits = |text: &str| text.parse::<u8>().map_or(99, |n| n.min(99));
        let (major, minor) =
            (digits(env!("CARGO_PKG_VERSION_MAJOR")), digits(env!("CARGO_PKG_VERSION_MINOR")));
        let mut id = [0; 20];
        id[..8].copy_from_slice(format!("-HS{major:02}{minor:02}-").as_bytes());
        for (slot, byte) in id[8..].iter_mut().zip(random) {
            *slot = ALPHABET[usize::from(byte) % ALPHABET.len()];
        }
        Self(id)
    }

    /// Whether it says it is of our own kind, and will understand what only we say. A stranger may
    /// claim anything.
    pub fn is_kin(self) -> bool {
        self.0.starts_with(b"-HS")
    }

    /// What program the peer says it is, for statistics only: a stranger may claim anything.
    pub fn client(self) -> String {
        let version = |at: usize| {
            std::str::from_utf8(&self.0[at..at + 2]).ok().and_then(|t| t.parse::<u8>().ok())
        };
        let name = match &self.0[..3] {
            b"-PM" => "p2p-media-loader",
            b"-HS" => "hlswarm",
            _ => return "unknown".to_owned(),
        };
        match (version(3), version(5)) {
            (Some(major), Some(minor)) => format!("{name} {major}.{minor}"),
            _ => "unknown".to_owned(),
        }
    }
}

/// Fills a buffer from the system's random source.
///
/// # Errors
/// When the system has none to give.
pub fn fill_random(buffer: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(buffer).map_err(std::io::Error::from)
}

fn bytes_from_latin1(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let mut chars = text.chars();
    for slot in &mut bytes {
        *slot = u8::try_from(u32::from(chars.next()?)).ok()?;
    }
    chars.next().is_none().then_some(bytes)
}

macro_rules! print_as_text_or_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.0.iter().all(u8::is_ascii_graphic) {
                    return f.write_str(&self.to_latin1());
                }
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}
print_as_text_or_hex!(InfoHash, PeerId);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_peer_id_is_azureus_style_ascii() {
        let id = PeerId::generate([0, 61, 62, 255, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(id.to_string().starts_with("-HS0001-"), "{id}");
        assert!(id.0.iter().all(u8::is_ascii_graphic));
        assert_eq!(id.client(), "hlswarm 0.1");
        assert!(id.is_kin());
    }

    #[test]
    fn latin1_text_gives_back_every_byte() {
        let mut bytes = [0; 20];
        for (i, b) in bytes.iter_mut().enumerate() {
            *b = (i * 13) as u8;
        }
        assert_eq!(InfoHash::from_latin1(&InfoHash(bytes).to_latin1()), Some(InfoHash(bytes)));
        assert_eq!(InfoHash::from_latin1("short"), None);
        assert_eq!(InfoHash::from_latin1("\u{100}aaaaaaaaaaaaaaaaaaa"), None);
    }

    #[test]
    fn a_browser_engine_is_recognised_by_its_prefix() {
        let id = PeerId(*b"-PM0203-KgNQR64n1b5H");
        assert_eq!(id.client(), "p2p-media-loader 2.3");
        assert!(!id.is_kin() && !PeerId(*b"HS-00000000000000000").is_kin());
        assert_eq!(PeerId(*b"xxxxxxxxxxxxxxxxxxxx").client(), "unknown");
    }
}
