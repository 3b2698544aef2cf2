//! What an origin offers to prove segments with, besides a hash list: digests, and ranges.
//!
//! Learned as it is asked, and remembered for the stream, so that what it does not offer is asked
//! for once.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONTENT_RANGE;
use http::{Method, StatusCode};
use tokio::sync::Semaphore;

use crate::ids::ByteRange;
use crate::origin::{FetchRequest, Origin, OriginError, OriginResponse, Wanted};
use crate::verify::digest::{self, Digest};
use crate::verify::ladder::Mode;

/// Checks of one stream at the same time; further ones wait.
const CHECKS_MAX: usize = 4;

/// How a stream's playlist changes.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Whether it does.
    pub is_live: bool,
    /// How often.
    pub target: Duration,
}

/// What is known of an origin.
pub struct Means {
    /// How far down the ladder.
    pub mode: Mode,
    /// The upstream client; it counts its requests.
    pub origin: Origin,
    /// Places for checks.
    pub places: Semaphore,
    has_digests: AtomicBool,
    /// It was asked for a digest and stated none, or one that means something else.
    lacks_digests: AtomicBool,
    lacks_ranges: AtomicBool,
}

impl Means {
    /// Nothing is known yet.
    pub fn new(mode: Mode, origin: Origin) -> Self {
        Self {
            mode,
            origin,
            places: Semaphore::new(CHECKS_MAX),
            has_digests: AtomicBool::new(false),
            lacks_digests: AtomicBool::new(false),
            lacks_ranges: AtomicBool::new(false),
        }
    }

    /// Whether something can be proved that no hash list lists.
    pub fn suffice(&self) -> bool {
        match self.mode {
            Mode::Ladder => self.has_ranges(),
            Mode::Head => self.has_ranges() || self.has_digests.load(Ordering::Relaxed),
            Mode::Strict => self.has_digests.load(Ordering::Relaxed),
        }
    }

    /// Whether slices may be compared.
    pub fn compares(&self) -> bool {
        self.mode != Mode::Strict && self.has_ranges()
    }

    /// Whether a digest of that may be had for the asking.
    pub fn may_have_digest(&self, request: &FetchRequest) -> bool {
        let is_whole_resource = matches!(request.wanted, Wanted::Whole);
        self.mode.asks_for_digests()
            && is_whole_resource
            && !self.lacks_digests.load(Ordering::Relaxed)
    }

    /// The digest that the origin states.
    pub async fn digest(&self, request: &FetchRequest) -> Option<Digest> {
        if !self.may_have_digest(request) {
            return None;
        }
        let head = FetchRequest { method: Method::HEAD, ..request.clone() };
        let answer = self.origin.open(&head).await.ok()?;
        let fields = answer.headers.iter();
        let fields = fields.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let digest = digest::digest(fields).filter(|_| answer.status == StatusCode::OK);
        match digest {
            Some(_) => self.has_digests.store(true, Ordering::Relaxed),
            // One segment may be missing where all others have one.
            None if answer.status == StatusCode::NOT_FOUND => {}
            None => self.forgo_digests(),
        }
        digest
    }

    /// What it states is of no use.
    pub fn forgo_digests(&self) {
        self.lacks_digests.store(true, Ordering::Relaxed);
        self.has_digests.store(false, Ordering::Relaxed);
    }

    /// Whether it sends ranges, as far as is known.
    pub fn has_ranges(&self) -> bool {
        !self.lacks_ranges.load(Ordering::Relaxed)
    }

    /// It sends everything, whatever it is asked for.
    pub fn forgo_ranges(&self) {
        self.lacks_ranges.store(true, Ordering::Relaxed);
    }

    /// Asks for a slice of what that request asks for, and of nothing else.
    pub async fn slice(&self, whole: &FetchRequest, slice: &Range<u64>) -> Sliced {
        let offset = whole.wanted.slice().map_or(0, |wanted| wanted.offset) + slice.start;
        let wanted = Wanted::Slice(ByteRange { offset, len: slice.end - slice.start });
        let request = FetchRequest { wanted, ..whole.clone() };
        match self.origin.open_patiently(&request, 0, None).await {
            Ok(answer) if answer.status == StatusCode::PARTIAL_CONTENT => {
                Sliced::Answer(Box::new(answer))
            }
            Ok(answer) if answer.status == StatusCode::OK => {
                self.forgo_ranges();
                Sliced::Nothing
            }
            Err(OriginError::WrongRange { .. }) => Sliced::Nothing,
            Ok(_) | Err(_) => Sliced::Unknown,
        }
    }
}

/// What comes of asking for a slice.
pub enum Sliced {
    /// Here it is.
    Answer(Box<OriginResponse>),
    /// The origin does not send slices, or not this one.
    Nothing,
    /// It could not be asked.
    Unknown,
}

/// Size of the resource that an answer is a part of.
pub fn resource_size(answer: &OriginResponse) -> Option<u64> {
    let range = answer.headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.trim().parse().ok()
}
