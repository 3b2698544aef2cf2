//! The pure decision core: who is asked for which segment, when, and who is served.
//!
//! One [`Swarm`] per rendition being played. It knows no clock, socket, task or media byte: time
//! and everything that happened come in as [`Input`], everything that is to be done goes out as
//! [`Output`]. The stream actor drives it in production, a discrete-event world in tests:
//!
//! ```text
//! swarm.handle(now, input);                     one input; never fails
//! while let Some(output) = swarm.poll() { … }   drain
//! swarm.deadline()                              handle(now, Input::Tick) no later than this
//! swarm.expecting(peer)                         where payload bytes of that peer belong
//! ```
//!
//! The bytes of a segment are, in the shell, ranges that only grow: [`Input::Fetched`] and
//! [`Input::Received`] add to them, [`Output::Discard`] and [`Input::Rejected`] throw all away.
//!
//! The policy, file by file:
//!
//! - `schedule`: a player's demand goes to peers while there is time, and to the origin a margin
//!   before it is due, for what is missing then. Ahead of players only peers are asked, unless it
//!   is this member's turn.
//! - `patience`: how long peers are waited for. A slow line asks the origin for some of a segment
//!   long before it must, the more the less peers brought of others.
//! - `reach`: of a recording only those are company who are near.
//! - `turn`: of a live segment that nobody is heard to have, a few members have a seat, chosen by
//!   hashes and the more likely the better their uplink; the others' turns follow on a ramp, those
//!   of twice as many each `ramp_doubling`. What is heard of is counted on: whoever's turn it is
//!   rescues it only when it has not become whole after `rescue_after`.
//! - `parts`: members of our own kind are asked for parts of a segment side by side, and slow ones
//!   are left for quicker ones; browsers for all that is missing at its end, one at a time.
//! - `relay`: members of our own kind hear of chunks that can be passed on while the rest is still
//!   coming (what the origin sent, and what peers sent once it is [`Input::Proved`]), and of what
//!   is counted on, no more than three connections from whoever has some of it.
//! - `serve`, `upload`: few are served side by side; our own kind waits for a place, whoever wants
//!   older segments first; browsers hear at once that there is none.
//! - `hear`, `arrive`, `conduct`: what inputs change, and the plan carried out. `state` only
//!   dispatches.

mod arrive;
mod caution;
mod conduct;
mod demand;
mod due;
mod fetching;
mod have;
mod hear;
mod kin;
mod parts;
mod patience;
mod peer;
mod pieces;
mod ranges;
mod rate;
mod reach;
mod reason;
mod relay;
mod schedule;
mod serve;
mod state;
mod status;
mod transfer;
mod turn;
mod upload;
mod window;
pub mod wire;

use std::time::Duration;

use crate::ids::{PeerId, PeerKey, PlayerId, SegmentId};
pub use reason::{DropReason, Reason};
pub use state::Swarm;
pub use status::{PeerStatus, Status};
use wire::Message;

/// How the core decides; every field has a default that suits most streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether segments are announced and served to peers.
    pub upload: bool,
    /// Most peers served at the same time.
    pub uploads_max: usize,
    /// Longest a demand waits for the swarm just joined to say what it holds.
    pub join_wait: Duration,
    /// Media ahead of each player that is fetched from peers before it is demanded.
    pub prefetch: Duration,
    /// Most segments fetched ahead per player.
    pub prefetch_segments: usize,
    /// Fixed part of the time before due at which the origin is asked for what is missing.
    pub origin_margin: Duration,
    /// Multiple of the time the missing bytes should take that is added to `origin_margin`.
    pub origin_margin_factor: f64,
    /// Longest wait for the first byte from a peer when the player needs the segment now.
    pub urgent_first_byte: Duration,
    /// Time in which the share of live members that fetch from the origin unasked doubles.
    pub ramp_doubling: Duration,
    /// What is heard of for so long and does not become whole is fetched by whose turn it is then.
    pub rescue_after: Duration,
    /// How long before due a segment of a recording that no peer has is fetched from the origin.
    pub origin_lead: Duration,
    /// Longest a player is left waiting for peers, whatever buffer it seems to have.
    pub hold_max: Duration,
    /// Largest segment accepted from a peer, in bytes.
    pub segment_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            upload: true,
            uploads_max: 8,
            join_wait: Duration::ZERO,
            prefetch: Duration::from_secs(60),
            prefetch_segments: 15,
            origin_margin: Duration::from_millis(900),
            origin_margin_factor: 1.0,
            urgent_first_byte: Duration::from_millis(700),
            ramp_doubling: Duration::from_secs(1),
            rescue_after: Duration::from_secs(5),
            origin_lead: Duration::from_secs(15),
            hold_max: Duration::from_secs(8),
            segment_bytes_max: 128 << 20,
        }
    }
}

/// One segment of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its position.
    pub id: SegmentId,
    /// Media time it lasts.
    pub duration: Duration,
    /// Its size in bytes when the playlist says so.
    pub size: Option<u64>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The playlist was read; replaces what was known.
    Timeline {
        /// Its segments, in order.
        segments: Vec<Slot>,
        /// Whether it still grows.
        is_live: bool,
    },
    /// Members the tracker reports, ourselves included.
    SwarmSize(u32),
    /// There is nobody to wait for: no tracker answers, or peers are switched off.
    Alone,
    /// A player asked for a segment, held or not (its clock needs both). Each request for one that
    /// is not held ends in `Completed`, [`Output::Fail`], or a `Dismissed` of its own.
    Demanded {
        /// The segment.
        segment: SegmentId,
        /// Who asked.
        player: PlayerId,
    },
    /// That reader has gone before it had everything.
    Dismissed {
        /// The segment it was reading.
        segment: SegmentId,
        /// Who left.
        player: PlayerId,
    },
    /// The player has received the whole segment.
    Handed {
        /// The segment.
        segment: SegmentId,
        /// Who received it.
        player: PlayerId,
    },
    /// A connection to a peer is open.
    Connected {
        /// The connection.
        peer: PeerKey,
        /// Who is on the other side.
        id: PeerId,
    },
    /// That peer is on the local network.
    Near {
        /// The connection.
        peer: PeerKey,
    },
    /// The connection has gone; not needed after [`Output::Drop`], but harmless.
    Disconnected {
        /// The connection.
        peer: PeerKey,
    },
    /// A peer said something; segment numbers are already those of the timeline.
    Heard {
        /// The connection.
        peer: PeerKey,
        /// What it said.
        message: Message,
    },
    /// Payload of that peer was appended where [`Swarm::expecting`] said. A chunk longer than
    /// `remaining` is reported with its full length and not appended at all.
    Received {
        /// The connection.
        peer: PeerKey,
        /// Bytes of the chunk.
        len: u64,
    },
    /// Bytes from the origin were appended. None may be after [`Output::StopFetch`]; the end of
    /// the body is told by `Completed`, unless [`Output::Verify`] was said.
    Fetched {
        /// The segment.
        segment: SegmentId,
        /// How many bytes are new.
        len: u64,
        /// Size of the whole segment, once the origin has said so.
        total: Option<u64>,
    },
    /// The segment is whole, verified, and held from now on.
    Completed {
        /// The segment.
        segment: SegmentId,
        /// Its size in bytes.
        size: u64,
    },
    /// These bytes of a segment, which a peer sent, were found to be the origin's: they may be
    /// passed on while the rest is still coming.
    Proved {
        /// The segment.
        segment: SegmentId,
        /// Where they begin.
        from: u64,
        /// Where they end.
        end: u64,
    },
    /// The origin gave up, after its own retries. Bytes that arrived stay.
    FetchFailed {
        /// The segment.
        segment: SegmentId,
    },
    /// What came in did not verify and was thrown away, all of it.
    Rejected {
        /// The segment.
        segment: SegmentId,
        /// Who sent the bad bytes, when that is certain; else all who contributed are suspect.
        peer: Option<PeerKey>,
    },
    /// Whether what came in of a segment is right could not be found out: it was thrown away, and
    /// nobody is to blame.
    Unproven {
        /// The segment.
        segment: SegmentId,
    },
    /// Whether peers are to be asked for anything; they are unless said otherwise.
    Taking(bool),
    /// New peers cannot be met for want of room: part from at most so many who are of no use.
    Crowded(usize),
    /// The cache let go of a held segment.
    Evicted {
        /// The segment.
        segment: SegmentId,
    },
    /// A serve came to its end by itself.
    ServeEnded {
        /// The connection.
        peer: PeerKey,
        /// The peer's number for it.
        request: u64,
        /// Whether everything was sent.
        is_complete: bool,
    },
    /// Nothing but time passed.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the origin for a segment, from byte `from` to `end`; what of it is here already counts.
    Fetch {
        /// The segment.
        segment: SegmentId,
        /// First byte missing.
        from: u64,
        /// First byte behind the last that is missing, where that is not the end of the segment.
        end: Option<u64>,
    },
    /// Ask the origin for some bytes of a segment, while peers may bring others. They may lie
    /// behind a gap. When they cannot be had it is [`Input::FetchFailed`], at once.
    FetchPiece {
        /// The segment.
        segment: SegmentId,
        /// First byte.
        from: u64,
        /// First byte behind them.
        end: u64,
    },
    /// End that origin request; what arrived stays until [`Output::Discard`].
    StopFetch {
        /// The segment.
        segment: SegmentId,
    },
    /// Throw away what arrived of a segment that is not whole.
    Discard {
        /// The segment.
        segment: SegmentId,
    },
    /// Send a message; segment numbers are those of the timeline.
    Say {
        /// The connection.
        peer: PeerKey,
        /// What to send.
        message: Message,
    },
    /// Send the header of the data, the bytes from `from` to `end`, and the completion.
    Serve {
        /// The connection.
        peer: PeerKey,
        /// The segment, which is held.
        segment: SegmentId,
        /// The peer's number for it.
        request: u64,
        /// First byte wanted.
        from: u64,
        /// First byte no longer wanted, where a part was asked for: its head tells the size of the
        /// whole.
        end: Option<u64>,
    },
    /// Stop sending; no completion follows.
    StopServe {
        /// The connection.
        peer: PeerKey,
        /// The peer's number for it.
        request: u64,
    },
    /// All bytes are there and peers sent some: check them, then say [`Input::Completed`] or
    /// [`Input::Rejected`].
    Verify {
        /// The segment.
        segment: SegmentId,
    },
    /// Close that connection; the core has already forgotten it.
    Drop {
        /// The connection.
        peer: PeerKey,
        /// Why.
        reason: DropReason,
    },
    /// Nobody can bring it: tell the players that wait. Their demands are over.
    Fail {
        /// The segment.
        segment: SegmentId,
    },
}

/// Where the next payload bytes of a peer belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The segment.
    pub segment: SegmentId,
    /// Offset in it.
    pub offset: u64,
    /// Bytes still to come in this transfer.
    pub remaining: u64,
    /// Bytes of the whole segment, as far as is known.
    pub total: Option<u64>,
}

#[cfg(test)]
mod tests;
