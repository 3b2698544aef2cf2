//! Why a segment could not be brought to a player.
//!
//! Says what happened, not which status it becomes: that is `http::error`'s choice.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::origin::OriginError;

/// Why a segment could not be had; cheap to clone, since every reader gets it.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The origin's own error status: passed on unchanged.
    Refused(Arc<Refusal>),
    /// The origin could not be reached, or broke off.
    Broken(Arc<OriginError>),
    /// The origin sends it compressed: only a player can be given such bytes, as they come.
    Encoded,
    /// What came of it was never confirmed by the publisher's list of hashes, and why.
    Unproved(&'static str),
    /// The daemon stopped before it arrived.
    Abandoned,
}

/// An answer of the origin that is not the segment.
#[derive(Debug)]
pub struct Refusal {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, up to a limit.
    pub body: Bytes,
}

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused(a), Self::Refused(b)) => Arc::ptr_eq(a, b),
            (Self::Broken(a), Self::Broken(b)) => Arc::ptr_eq(a, b),
            (Self::Unproved(a), Self::Unproved(b)) => a == b,
            (Self::Encoded, Self::Encoded) | (Self::Abandoned, Self::Abandoned) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the origin answered {}", refusal.status.as_u16()),
            Self::Broken(error) => error.fmt(f),
            Self::Encoded => f.write_str("the origin sends the segment compressed"),
            Self::Unproved(why) => write!(f, "the segment is {why}"),
            Self::Abandoned => f.write_str("the stream has ended"),
        }
    }
}
