//! Lists of block hashes: what binds the blocks of a segment to each other while it is still
//! arriving, so that one slice of the origin's bytes speaks for all of them.
//!
//! Whoever says a list has bound itself before it can know which slice will be compared. A list
//! counts once a random slice of it was found to be the origin's; where lists differ, or bytes
//! differ from a list, the block in question is compared, which tells who said wrong. It asks and
//! holds nothing itself. Pure; driven by the stream's `passing`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::digest::sha256;
use crate::ids::{PeerKey, SegmentId};

/// Bytes of a block; the last of a segment may be shorter.
const BLOCK_BYTES: u64 = 8 << 10;
/// The same of a segment of fewer than [`SMALL_BYTES`], of which 8 KiB would be much to compare.
const SMALL_BLOCK_BYTES: u64 = 1 << 10;
/// Smallest segment whose blocks have their full size.
const SMALL_BYTES: u64 = 512 << 10;
/// Blocks of the largest list: segments of more than 32 MiB have none.
pub const BLOCKS_MAX: usize = 4096;
/// Segments whose lists are remembered; those of the oldest are forgotten.
const SEGMENTS_MAX: usize = 64;
/// Different lists of one segment; what further ones say is not heard.
const LISTS_MAX: usize = 4;

/// The first bytes of a block's SHA-256: enough to bind, half as long to say.
pub type BlockHash = [u8; 16];

/// The hashes of all blocks of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Bytes of the segment.
    pub total: u64,
    /// One for each block.
    pub hashes: Vec<BlockHash>,
}

impl List {
    /// The list of a whole segment; `None` when it is too large to have one, or empty.
    pub fn of(segment: &[u8]) -> Option<Self> {
        let total = segment.len() as u64;
        let hashes = (0..count(total)?).map(|block| hash(cut(segment, range(block, total))));
        Some(Self { total, hashes: hashes.collect() })
    }

    /// Whether a block has the hash it should have.
    pub fn fits(&self, block: usize, bytes: &[u8]) -> bool {
        self.hashes.get(block).is_some_and(|should| hash(bytes) == *should)
    }

    /// Where the block is.
    pub fn range(&self, block: usize) -> Range<u64> {
        range(block, self.total)
    }

    /// The blocks of which any of these bytes are.
    pub fn blocks(&self, bytes: &Range<u64>) -> Range<usize> {
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(self.hashes.len());
        let size = block_bytes(self.total);
        at(bytes.start / size)..at(bytes.end.min(self.total).div_ceil(size))
    }
}

/// A slice of the origin's bytes that is to be looked at, from the first byte of a block to the
/// last of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// Of which segment.
    pub segment: SegmentId,
    /// Its size, as the list says that is looked at.
    pub total: u64,
    /// Its bytes.
    pub slice: Range<u64>,
    /// Whether nobody could foresee it.
    pub is_random: bool,
}

/// What peers say of the segments of one stream.
#[derive(Debug, Default)]
pub struct BlockLists {
    segments: BTreeMap<SegmentId, Heard>,
    /// Lists that are being said.
    unfinished: BTreeMap<PeerKey, (SegmentId, List)>,
}

#[derive(Debug, Default)]
struct Heard {
    claims: Vec<Claim>,
    /// Blocks that somebody sent otherwise than the list says.
    questions: BTreeSet<usize>,
    /// Who said wrong lists of it, and whether of something else altogether.
    misled: BTreeMap<PeerKey, bool>,
    is_looking: bool,
    is_given_up: bool,
}

#[derive(Debug)]
struct Claim {
    list: Arc<List>,
    sayers: BTreeSet<PeerKey>,
    is_confirmed: bool,
}

impl BlockLists {
    /// A peer says the hashes of the blocks from `first` on; whether that completes its list.
    /// Parts of a list are said in order, and one list after the other.
    pub fn claim(
        &mut self,
        peer: PeerKey,
        segment: SegmentId,
        total: u64,
        first: usize,
        hashes: &[BlockHash],
    ) -> bool {
        let Some(blocks) = count(total) else { return false };
        if first == 0 {
            self.unfinished.insert(peer, (segment, List { total, hashes: Vec::new() }));
        }
        let Some((of, list)) = self.unfinished.get_mut(&peer) else { return false };
        let is_next = *of == segment && list.total == total && list.hashes.len() == first;
        if !is_next || first.saturating_add(hashes.len()) > blocks {
            self.unfinished.remove(&peer);
            return false;
        }
        list.hashes.extend_from_slice(hashes);
        if list.hashes.len() < blocks {
            return false;
        }
        let Some((_, list)) = self.unfinished.remove(&peer) else { return false };
        self.said(peer, segment, list);
        true
    }

    fn said(&mut self, peer: PeerKey, segment: SegmentId, list: List) {
        let heard = self.segments.entry(segment).or_default();
        if let Some(claim) = heard.claims.iter_mut().find(|claim| *claim.list == list) {
            claim.sayers.insert(peer);
        } else if heard.claims.len() < LISTS_MAX {
            let (list, sayers) = (Arc::new(list), BTreeSet::from([peer]));
            heard.claims.push(Claim { list, sayers, is_confirmed: false });
        }
        if self.segments.len() > SEGMENTS_MAX {
            self.segments.pop_first();
        }
    }

    /// Somebody sent something else than the list has for that block.
    pub fn question(&mut self, segment: SegmentId, block: usize) {
        if let Some(heard) = self.segments.get_mut(&segment) {
            heard.questions.insert(block);
        }
    }

    /// What to look at next of that segment, if anything; until it was [seen](Self::seen), or
    /// [could not be](Self::give_up), nothing else is. `draw` chooses from a list of so many bytes,
    /// said by those peers.
    pub fn look(
        &mut self,
        segment: SegmentId,
        draw: impl FnOnce(u64, &BTreeSet<PeerKey>) -> Range<u64>,
    ) -> Option<Glimpse> {
        let heard = self.segments.get_mut(&segment)?;
        let first = heard.claims.first()?;
        if heard.is_looking || heard.is_given_up {
            return None;
        }
        let is_random = heard.questions.is_empty() && heard.claims.len() == 1;
        let slice = match (heard.questions.first(), heard.claims.get(1)) {
            (Some(block), _) => first.list.range(*block),
            (None, Some(other)) => first.list.range(difference(&first.list, &other.list)),
            (None, None) if first.is_confirmed => return None,
            (None, None) => whole_blocks(draw(first.list.total, &first.sayers), &first.list),
        };
        heard.is_looking = true;
        Some(Glimpse { segment, total: first.list.total, slice, is_random })
    }

    /// What the origin sends: the size of the segment, and the hashes of the blocks of a slice.
    /// Whoever said something else.
    pub fn seen(&mut self, glimpse: &Glimpse, total: u64, hashes: &[BlockHash]) -> Vec<PeerKey> {
        let Some(heard) = self.segments.get_mut(&glimpse.segment) else { return Vec::new() };
        heard.is_looking = false;
        let size = block_bytes(glimpse.total);
        let is_right = |list: &List| {
            // The slice is of the first list's blocks: another's last may be longer.
            let is_cut = |block| list.range(block).end > glimpse.slice.end;
            let mut blocks = list.blocks(&glimpse.slice).zip(hashes);
            let is_alike = block_bytes(list.total) == size;
            let mut fits =
                || blocks.all(|(block, seen)| is_cut(block) || list.hashes[block] == *seen);
            list.total == total && (!is_alike || fits())
        };
        let (right, wrong): (Vec<_>, Vec<_>) =
            std::mem::take(&mut heard.claims).into_iter().partition(|claim| is_right(&claim.list));
        heard.claims = right;
        let mut liars = Vec::new();
        for Claim { list, sayers, .. } in wrong {
            let mut compared = list.blocks(&glimpse.slice).zip(hashes);
            let is_other = list.total != total
                || glimpse.is_random && compared.all(|(block, seen)| list.hashes[block] != *seen)
                || heard.claims.first().is_some_and(|claim| is_mostly_other(&list, &claim.list));
            heard.misled.extend(sayers.iter().map(|peer| (*peer, is_other)));
            liars.extend(sayers);
        }
        let blocks = glimpse.slice.start / size..glimpse.slice.end.div_ceil(size);
        heard.questions.retain(|block| !blocks.contains(&(*block as u64)));
        if let Some(claim) = heard.claims.first_mut().filter(|_| glimpse.is_random) {
            claim.is_confirmed = true;
        }
        liars
    }

    /// The origin could not be asked: nothing follows from what peers say of the segment.
    pub fn give_up(&mut self, segment: SegmentId) {
        if let Some(heard) = self.segments.get_mut(&segment) {
            *heard = Heard { is_given_up: true, ..Heard::default() };
        }
    }

    /// Whether the peer said a wrong list of that segment: bytes that are as that list has them are
    /// the same lie.
    pub fn has_misled(&self, segment: SegmentId, peer: PeerKey) -> bool {
        self.segments.get(&segment).is_some_and(|heard| heard.misled.contains_key(&peer))
    }

    /// Whether that list was of another segment altogether: nobody who compares anything believes
    /// that.
    pub fn has_forged(&self, segment: SegmentId, peer: PeerKey) -> bool {
        self.segments.get(&segment).is_some_and(|heard| heard.misled.get(&peer) == Some(&true))
    }

    /// Whether it is being found out what the lists of that segment are worth.
    pub fn is_looking(&self, segment: SegmentId) -> bool {
        self.segments.get(&segment).is_some_and(|heard| heard.is_looking)
    }

    /// The list that counts.
    pub fn confirmed(&self, segment: SegmentId) -> Option<Arc<List>> {
        let claims = &self.segments.get(&segment)?.claims;
        claims.iter().find(|claim| claim.is_confirmed).map(|claim| claim.list.clone())
    }

    /// The peer has gone.
    pub fn forget(&mut self, peer: PeerKey) {
        self.unfinished.remove(&peer);
        for claim in self.segments.values_mut().flat_map(|heard| &mut heard.claims) {
            claim.sayers.remove(&peer);
        }
        for heard in self.segments.values_mut() {
            heard.misled.remove(&peer);
        }
    }
}

/// The hashes of the blocks of these bytes, which begin with a block of a segment of `total` bytes.
pub fn hashes(bytes: &[u8], total: u64) -> Vec<BlockHash> {
    let size = usize::try_from(block_bytes(total)).unwrap_or(usize::MAX);
    bytes.chunks(size).map(hash).collect()
}

/// Bytes of a block of a segment of `total` bytes.
pub fn block_bytes(total: u64) -> u64 {
    if total < SMALL_BYTES { SMALL_BLOCK_BYTES } else { BLOCK_BYTES }
}

fn hash(block: &[u8]) -> BlockHash {
    sha256(block).first_chunk().copied().unwrap_or_default()
}

/// The first block in which two lists differ.
fn difference(one: &List, other: &List) -> usize {
    let mut pairs = one.hashes.iter().zip(&other.hashes);
    let differs = pairs.position(|(a, b)| a != b);
    differs.unwrap_or_else(|| one.hashes.len().min(other.hashes.len()) - 1)
}

fn is_mostly_other(one: &List, other: &List) -> bool {
    let alike = one.hashes.iter().zip(&other.hashes).filter(|(a, b)| a == b).count();
    alike < one.hashes.len() / 2
}

/// From the beginning of the first block to the end of the last.
fn whole_blocks(slice: Range<u64>, list: &List) -> Range<u64> {
    let blocks = list.blocks(&slice);
    list.range(blocks.start).start..list.range(blocks.end.saturating_sub(1)).end
}

fn count(total: u64) -> Option<usize> {
    usize::try_from(total.div_ceil(block_bytes(total)))
        .ok()
        .filter(|count| (1..=BLOCKS_MAX).contains(count))
}

fn range(block: usize, total: u64) -> Range<u64> {
    let start = (block as u64).saturating_mul(block_bytes(total)).min(total);
    start..start.saturating_add(block_bytes(total)).min(total)
}

fn cut(bytes: &[u8], range: Range<u64>) -> &[u8] {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
    bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
