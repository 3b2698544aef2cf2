//! What bytes are, without having them: which of them are not the origin's, and who made those up.
//!
//! Hashes are numbers made of that: the same for the same bytes, different for different ones.

use std::ops::Range;

use hlswarm::ids::SegmentId;
use hlswarm::verify::Sha256;
use hlswarm::verify::blocks::{BlockHash, List, block_bytes};

use super::random::Random;

/// Ranges that are not the origin's, in order, each with a number for whoever made them up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content(Vec<(Range<u64>, u64)>);

impl Content {
    pub fn forged(bytes: Range<u64>, by: u64) -> Self {
        Self(vec![(bytes, by)])
    }

    pub fn is_right(&self) -> bool {
        self.0.is_empty()
    }

    pub fn wrong_bytes(&self) -> u64 {
        self.0.iter().map(|(range, _)| range.end - range.start).sum()
    }

    /// Puts there what the other has there.
    pub fn put(&mut self, other: &Self, bytes: &Range<u64>) {
        self.0.extend(other.within(bytes));
        self.0.sort_by_key(|(range, _)| range.start);
        self.0.dedup_by(|next, last| {
            let is_next = last.1 == next.1 && last.0.end >= next.0.start;
            if is_next {
                last.0.end = last.0.end.max(next.0.end);
            }
            is_next
        });
    }

    /// The first byte there that is not the origin's.
    pub fn first_wrong(&self, bytes: &Range<u64>) -> Option<u64> {
        self.within(bytes).next().map(|(range, _)| range.start)
    }

    pub fn sha256(&self, segment: SegmentId) -> Sha256 {
        self.hash(segment, &(0..u64::MAX))
    }

    pub fn block(&self, segment: SegmentId, block: &Range<u64>) -> BlockHash {
        self.hash(segment, block)
    }

    /// The hashes of the blocks of these bytes of a segment of `total`.
    pub fn blocks(&self, segment: SegmentId, total: u64, bytes: &Range<u64>) -> Vec<BlockHash> {
        let size = block_bytes(total);
        let starts = (bytes.start..bytes.end).step_by(size as usize);
        let block = |start: u64| start..(start + size).min(bytes.end);
        starts.map(|start| self.block(segment, &block(start))).collect()
    }

    pub fn list(&self, segment: SegmentId, total: u64) -> List {
        List { total, hashes: self.blocks(segment, total, &(0..total)) }
    }

    fn within<'a>(&'a self, bytes: &Range<u64>) -> impl Iterator<Item = (Range<u64>, u64)> + 'a {
        let bytes = bytes.clone();
        let cut = move |(range, by): &(Range<u64>, u64)| {
            (range.start.max(bytes.start)..range.end.min(bytes.end), *by)
        };
        self.0.iter().map(cut).filter(|(range, _)| !range.is_empty())
    }

    fn hash<const N: usize>(&self, segment: SegmentId, bytes: &Range<u64>) -> [u8; N] {
        let mut random = Random::of(&[segment.0, bytes.start, bytes.end]);
        for (range, by) in self.within(bytes) {
            random = Random::of(&[random.next(), range.start, range.end, by]);
        }
        let mut hash = [0; N];
        for eight in hash.chunks_mut(8) {
            eight.copy_from_slice(&random.next().to_le_bytes()[..eight.len()]);
        }
        hash
    }
}

/// Which bytes are there.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Vec<Range<u64>>);

impl Pieces {
    pub fn add(&mut self, bytes: Range<u64>) {
        self.0.push(bytes);
        self.0.sort_by_key(|piece| piece.start);
        self.0.dedup_by(|next, last| {
            let is_next = last.end >= next.start;
            if is_next {
                last.end = last.end.max(next.end);
            }
            is_next
        });
    }

    pub fn has(&self, bytes: &Range<u64>) -> bool {
        self.0.iter().any(|piece| piece.start <= bytes.start && bytes.end <= piece.end)
    }
}
