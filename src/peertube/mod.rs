//! Videos of PeerTube, as its public API describes them: which links are ones, what the answers
//! say, and what follows for playing and sharing. PURE.
//!
//! Asks nobody: `http::peertube` fetches the answers and makes the stream's rule of what is found
//! here. Nothing of an answer is believed that could lead from https to http.

mod answer;
mod instance;
mod link;

use thiserror::Error;
use url::Url;

pub use answer::{found, refusal};
pub use instance::{Instance, home, is_quick};
pub use link::{Link, recognise};

/// Largest answer of an instance that is read: a description has at most 10,000 letters, and a
/// video some dozens of files.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest URL that is taken from an answer.
pub const URL_BYTES_MAX: usize = 4096;

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A stream, which may be shared.
    Stream(Box<Stream>),
    /// A video that was never cut into segments: one file.
    File(Url),
}

/// A video in HLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The multivariant playlist.
    pub playlist: Url,
    /// The same as the instance spells it, which names the swarms.
    pub swarm_id: String,
    /// The SHA-256 of its segments. Without it PeerTube's own players do not share either.
    pub hash_list: Option<Url>,
    /// The tracker that expects viewers of this video, and no others.
    pub tracker: Option<Url>,
    /// Whether it is still being broadcast.
    pub is_live: bool,
    /// How many variants its tracker knows swarms of.
    pub renditions: usize,
}

/// Why a link cannot be played; follows the name of the host in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotPlayable {
    /// The link is that of a playlist of videos.
    #[error("is asked for a playlist: open one of its videos")]
    Playlist,
    /// No such video.
    #[error("has no video {0}")]
    NoVideo(String),
    /// The video takes a password.
    #[error("gives the video {0} only with a password")]
    Password(String),
    /// The video is private, or for users of the instance.
    #[error("does not show the video {0} to everybody")]
    Private(String),
    /// Some other status.
    #[error("answers with status {0} when asked for the video")]
    Status(u16),
    /// Not an answer of PeerTube's API.
    #[error("does not describe the video as PeerTube does")]
    NotPeerTube,
    /// A live stream that has not begun, or is over.
    #[error("is not broadcasting the video {0} now")]
    NotLive(String),
    /// Nothing to play, for now.
    #[error("has no file of the video {0} that can be played yet")]
    NoFile(String),
    /// A URL in the answer is none, or leads where it must not.
    #[error("names an unusable address as the video's {0}")]
    Address(&'static str),
}

impl NotPlayable {
    /// Whether it may be played later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotLive(_) | Self::NoFile(_) => true,
            Self::Status(status) => *status == 429 || *status >= 500,
            Self::Playlist
            | Self::NoVideo(_)
            | Self::Password(_)
            | Self::Private(_)
            | Self::NotPeerTube
            | Self::Address(_) => false,
        }
    }
}
