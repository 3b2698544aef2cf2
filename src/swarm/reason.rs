//! Why something is done: the end of a connection, a deadline.
//!
//! Words only; they decide nothing.

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum DropReason {
    /// It broke the protocol: wrong ids, an inconsistent size, a short transfer.
    #[error("broke the protocol")]
    Protocol,
    /// It sent more than it had announced.
    #[error("sent more bytes than announced")]
    Overflow,
    /// It said more than anybody listens to.
    #[error("talked without end")]
    Flood,
    /// It earned too many strikes: stalled transfers, segments that it did not have.
    #[error("failed too often")]
    Strikes,
    /// What it sent did not verify.
    #[error("sent bytes that did not verify")]
    Polluted,
    /// It is somewhere else in a recording, and others may be near.
    #[error("nothing to share")]
    Far,
    /// There are as many peers as allowed already.
    #[error("one peer too many")]
    Crowded,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The swarm just joined had its time to answer.
    JoinWait,
    /// The origin must be asked, or the request to it be given up on.
    Due,
    /// The ramp gives this member its turn to fetch.
    Ramp,
    /// A peer transfer must show that it moves.
    Progress,
    /// Changes to what is held are due to be announced.
    Announce,
    /// A player that has gone needs nothing ahead of it any more.
    Prefetch,
}
