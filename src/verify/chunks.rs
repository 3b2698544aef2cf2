//! Lists of chunk hashes: what binds the chunks of a segment that is still arriving to each other,
//! so that one comparison with the origin's bytes speaks for all of them.
//!
//! The first list that is heard of a segment is the one that chunks are held against; whoever
//! says something else makes it disputed, and then nothing of the segment is passed on before it
//! is whole and proved. A list counts once a chunk that matches it was found to be the origin's.
//! It hashes and asks nobody. Pure; driven by the stream's `passing`.

use std::collections::BTreeMap;

use crate::ids::SegmentId;

/// The first bytes of a chunk's SHA-256: enough to bind, half as long to say.
pub type ChunkHash = [u8; 16];

/// Segments whose lists are remembered; those of the oldest are forgotten.
const SEGMENTS_MAX: usize = 64;
/// Chunks of the largest list.
const CHUNKS_MAX: usize = 8192;

/// The lists of one stream.
#[derive(Debug, Default)]
pub struct ChunkLists {
    lists: BTreeMap<SegmentId, List>,
}

#[derive(Debug, Default)]
struct List {
    hashes: Vec<Option<ChunkHash>>,
    standing: Standing,
}

/// What a list is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Somebody says so.
    #[default]
    Claimed,
    /// A chunk of it is the origin's.
    Confirmed,
    /// Somebody says something else.
    Disputed,
}

impl ChunkLists {
    /// A peer says what the chunks from `first` on are.
    pub fn claim(&mut self, segment: SegmentId, first: usize, hashes: &[ChunkHash]) {
        let end = first.saturating_add(hashes.len());
        if end > CHUNKS_MAX {
            return;
        }
        let list = self.lists.entry(segment).or_default();
        if list.hashes.len() < end {
            list.hashes.resize(end, None);
        }
        for (known, said) in list.hashes[first..].iter_mut().zip(hashes) {
            match known {
                None => *known = Some(*said),
                Some(known) if known == said => {}
                Some(_) if list.standing == Standing::Confirmed => {}
                Some(_) => list.standing = Standing::Disputed,
            }
        }
        if self.lists.len() > SEGMENTS_MAX {
            self.lists.pop_first();
        }
    }

    /// A chunk that matches the list is the origin's: so are the others that match, unless
    /// somebody says otherwise.
    pub fn confirm(&mut self, segment: SegmentId) {
        if let Some(list) = self.lists.get_mut(&segment)
            && list.standing == Standing::Claimed
        {
            list.standing = Standing::Confirmed;
        }
    }

    /// The origin's own chunks, which nobody can dispute.
    pub fn learn(&mut self, segment: SegmentId, hashes: &[ChunkHash]) {
        if hashes.len() <= CHUNKS_MAX {
            let hashes = hashes.iter().copied().map(Some).collect();
            self.lists.insert(segment, List { hashes, standing: Standing::Confirmed });
        }
    }

    /// What a chunk should be.
    pub fn hash(&self, segment: SegmentId, chunk: usize) -> Option<ChunkHash> {
        *self.lists.get(&segment)?.hashes.get(chunk)?
    }

    /// What the list of a segment is worth, if there is one.
    pub fn standing(&self, segment: SegmentId) -> Option<Standing> {
        self.lists.get(&segment).map(|list| list.standing)
    }

    /// The whole list of a segment of so many chunks, once it is confirmed.
    pub fn confirmed(&self, segment: SegmentId, chunks: usize) -> Option<Vec<ChunkHash>> {
        let list = self.lists.get(&segment).filter(|l| l.standing == Standing::Confirmed)?;
        let hashes: Option<Vec<_>> = list.hashes.iter().copied().collect();
        hashes.filter(|hashes| hashes.len() == chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: SegmentId = SegmentId(7);

    fn hash(n: u8) -> ChunkHash {
        [n; 16]
    }

    #[test]
    fn a_list_is_put_together_of_what_is_said_and_counts_once_confirmed() {
        let mut lists = ChunkLists::default();
        lists.claim(S, 2, &[hash(2)]);
        assert_eq!((lists.hash(S, 2), lists.hash(S, 0)), (Some(hash(2)), None));
        lists.confirm(S);
        assert_eq!(lists.confirmed(S, 3), None, "the beginning is missing");
        lists.claim(S, 0, &[hash(0), hash(1)]);
        assert_eq!(lists.confirmed(S, 3), Some(vec![hash(0), hash(1), hash(2)]));
        assert_eq!(lists.confirmed(S, 4), None);
    }

    #[test]
    fn who_says_something_else_before_it_is_confirmed_makes_a_list_worthless() {
        let mut lists = ChunkLists::default();
        lists.claim(S, 0, &[hash(0), hash(1)]);
        lists.claim(S, 1, &[hash(9)]);
        lists.confirm(S);
        assert_eq!(lists.standing(S), Some(Standing::Disputed));
        assert_eq!(lists.confirmed(S, 2), None);
    }

    #[test]
    fn a_confirmed_list_and_the_origins_own_cannot_be_disputed() {
        let mut lists = ChunkLists::default();
        lists.claim(S, 0, &[hash(0)]);
        lists.confirm(S);
        lists.claim(S, 0, &[hash(9)]);
        assert_eq!(lists.confirmed(S, 1), Some(vec![hash(0)]));
        lists.learn(S, &[hash(5)]);
        lists.claim(S, 0, &[hash(0)]);
        assert_eq!(lists.confirmed(S, 1), Some(vec![hash(5)]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut lists = ChunkLists::default();
        lists.claim(S, CHUNKS_MAX, &[hash(0)]);
        lists.claim(S, usize::MAX, &[hash(0)]);
        assert_eq!(lists.standing(S), None);
        (0..1000).for_each(|id| lists.claim(SegmentId(id), 0, &[hash(0)]));
        assert_eq!(lists.lists.len(), SEGMENTS_MAX);
        assert!(lists.standing(SegmentId(999)).is_some());
    }
}
