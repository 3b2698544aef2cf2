//! One segment on its way: where its bytes come from and who waits for it.
//!
//! Holds no bytes and decides nothing; the steps between sources are `conduct`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Instant;

use super::ranges::Ranges;
use crate::ids::{PeerKey, PlayerId};

/// A segment that is wanted, or that some of is here.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// Where its bytes come from now, besides peers.
    pub(super) source: Source,
    /// What the origin is asked for of it, while peers bring the rest.
    pub(super) piece: Option<Piece>,
    /// The origin was asked because peers would have been late.
    pub(super) has_fallen_back: bool,
    /// Bytes that the origin sent of it.
    pub(super) from_origin: u64,
    /// The origin was asked for some of it before it had to be.
    pub(super) is_hedged: bool,
    /// The origin did not bring a piece: it is asked for everything or nothing.
    pub(super) is_indivisible: bool,
    /// Bytes that are here.
    pub(super) got: Ranges,
    /// Bytes of these that are known to be the origin's.
    pub(super) good: Ranges,
    /// How many bytes others were told they can have, and when.
    pub(super) told: Option<(u64, Instant)>,
    /// What peers are asked for; without an end where it is everything from there on.
    pub(super) asked: BTreeMap<PeerKey, Asked>,
    /// Its size.
    pub(super) total: Option<Total>,
    /// Players that wait for it.
    pub(super) readers: BTreeMap<PlayerId, Reader>,
    /// When its source was first decided on; `None` while the swarm is being joined.
    pub(super) opened: Option<Opened>,
    /// Peers some of the bytes are from.
    pub(super) contributors: BTreeSet<PeerKey>,
    /// Peers that were asked and did not bring it, and when they may be asked again.
    pub(super) failed: BTreeMap<PeerKey, Retry>,
    /// When the origin gave up on it.
    pub(super) origin_failed_at: Option<Instant>,
    /// Nobody waited for it when the origin was asked: for a player it may have another answer.
    pub(super) is_unasked: bool,
    /// Peers sent something else under this name: only the origin can be asked.
    pub(super) is_origin_only: bool,
}

/// What a peer is asked for of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// First byte.
    pub(super) from: u64,
    /// First byte no longer asked for; `None`: everything to the end.
    pub(super) end: Option<u64>,
}

/// Where the bytes of a transfer come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Peers, if any are asked.
    #[default]
    Waiting,
    /// The origin.
    Origin {
        /// When it was asked.
        since: Instant,
        /// From which byte on.
        from: u64,
        /// Bytes it has sent.
        received: u64,
        /// Bytes that had come over the line by then, from anybody.
        before: u64,
    },
    /// All bytes are here and are being checked.
    Verifying,
}

/// A run of bytes that the origin is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// When it was asked.
    pub(super) since: Instant,
    /// Bytes that had come over the line by then, from anybody.
    pub(super) before: u64,
    /// First byte.
    pub(super) from: u64,
    /// First byte that has not come yet.
    pub(super) at: u64,
    /// First byte behind it.
    pub(super) end: u64,
}

/// When a peer that failed at a segment may be asked for it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// It was slow or silent: only when the origin has failed too.
    Last,
    /// It had no slot free: from then on.
    From(Instant),
}

/// A player that waits for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    /// Since when.
    pub(super) since: Instant,
    /// How many of its requests wait: ranges of one segment may be asked for side by side.
    pub(super) requests: usize,
}

/// Size of a segment, and whether a stranger said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    /// The size in bytes.
    pub(super) bytes: u64,
    /// Whether the playlist or the origin said so.
    pub(super) is_trusted: bool,
}

/// How a demand began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// When.
    pub(super) at: Instant,
    /// Whether even then only the origin was sure to be in time.
    pub(super) is_urgent: bool,
    /// Until when peers may bring it to a player that has little.
    pub(super) fill_by: Option<Instant>,
}

impl Transfer {
    /// A transfer of a segment whose size the playlist may have told.
    pub(super) fn new(size: Option<u64>) -> Self {
        let total = size.map(|bytes| Total { bytes, is_trusted: true });
        Self { total, ..Self::default() }
    }

    /// Whether a player waits for it.
    pub(super) fn is_demanded(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether only a seeder waits for it.
    pub(super) fn is_for_seeding(&self) -> bool {
        self.is_demanded() && self.readers.keys().all(|player| *player == PlayerId::SEEDER)
    }

    /// Bytes from the first on without a gap.
    pub(super) fn have(&self) -> u64 {
        self.got.prefix()
    }

    /// What may be passed on.
    pub(super) fn servable(&self) -> &Ranges {
        &self.good
    }

    /// These bytes are the origin's, as far as they are here.
    pub(super) fn proved(&mut self, bytes: Range<u64>) {
        for here in self.got.common(&[bytes]) {
            self.good.insert(here);
        }
    }

    /// Whether every byte is here.
    pub(super) fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.have() >= total.bytes)
    }

    /// The peer that is asked for everything there is, if one is.
    pub(super) fn sole_peer(&self) -> Option<PeerKey> {
        self.asked.iter().find(|(_, asked)| asked.end.is_none()).map(|(key, _)| *key)
    }

    /// Parts that are not here and that nobody is asked for, as far as the size is known.
    pub(super) fn unasked(&self) -> Vec<Range<u64>> {
        self.total.map_or_else(Vec::new, |total| self.unasked_of(total.bytes))
    }

    /// The same of a segment of `total` bytes.
    pub(super) fn unasked_of(&self, total: u64) -> Vec<Range<u64>> {
        let mut spoken_for = self.got.clone();
        for asked in self.asked.values() {
            spoken_for.insert(asked.from..asked.end.unwrap_or(total));
        }
        if let Some(piece) = self.piece {
            spoken_for.insert(piece.at..piece.end);
        }
        spoken_for.gaps(total)
    }

    /// From the first byte that is missing to behind the last, as far as the size is known.
    pub(super) fn missing_span(&self) -> (u64, Option<u64>) {
        let Some(total) = self.total else { return (self.have(), None) };
        let gaps = self.got.gaps(total.bytes);
        let end = gaps.last().map(|gap| gap.end).filter(|end| *end < total.bytes);
        (self.have(), end)
    }

    /// Whether the origin is sending it, or some of it.
    pub(super) fn is_fetching(&self) -> bool {
        matches!(self.source, Source::Origin { .. }) || self.piece.is_some()
    }

    /// The bytes were thrown away; only a size from a trusted mouth stays.
    pub(super) fn empty(&mut self) {
        self.got = Ranges::default();
        self.good = Ranges::default();
        self.told = None;
        self.piece = None;
        self.total = self.total.filter(|total| total.is_trusted);
        self.contributors.clear();
    }
}
