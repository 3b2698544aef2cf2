//! Which bytes of a segment are here: a set of ranges that merge as they touch.
//!
//! Only arithmetic; whose bytes they are is not known here. Used by `transfer`.

use std::ops::Range;

/// Disjoint ranges that do not touch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range, whatever of it was here before.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|r| r.end < range.start);
        let behind = self.0.partition_point(|r| r.start <= range.end);
        let mut joined = range;
        for touched in &self.0[first..behind] {
            joined = joined.start.min(touched.start)..joined.end.max(touched.end);
        }
        self.0.splice(first..behind, [joined]);
    }

    /// Bytes from the first on without a gap.
    pub(super) fn prefix(&self) -> u64 {
        self.0.first().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }

    /// What is missing below `end`, in order.
    pub(super) fn gaps(&self, end: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for range in &self.0 {
            if at >= end {
                break;
            }
            if range.start > at {
                gaps.push(at..range.start.min(end));
            }
            at = range.end;
        }
        if at < end {
            gaps.push(at..end);
        }
        gaps
    }

    /// The ranges, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// Whether all of that range is here.
    pub(super) fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.0.iter().any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// What is in both.
    pub(super) fn common(&self, other: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut common = Vec::new();
        let mut others = other.iter().peekable();
        for range in &self.0 {
            while let Some(next) = others.peek() {
                let (start, end) = (range.start.max(next.start), range.end.min(next.end));
                if start < end {
                    common.push(start..end);
                }
                if next.end > range.end {
                    break;
                }
                others.next();
            }
        }
        common
    }

    /// Number of bytes that are here.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|r| r.end - r.start).sum()
    }

    /// Whether nothing is here.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Ranges::default();
        for range in [5..8, 0..2, 10..12, 2..3] {
            ranges.insert(range);
        }
        assert_eq!(ranges.prefix(), 3);
        assert_eq!(ranges.gaps(14), [3..5, 8..10, 12..14]);
        ranges.insert(3..10);
        assert_eq!((ranges.prefix(), ranges.gaps(12)), (12, vec![]));
    }

    proptest! {
        #[test]
        fn bytes_are_here_or_in_a_gap(
            inserted in prop::collection::vec((0..40u64, 0..12u64), 0..12),
        ) {
            let mut ranges = Ranges::default();
            let mut here = [false; 64];
            for (start, len) in inserted {
                ranges.insert(start..start + len);
                (start..start + len).for_each(|at| here[at as usize] = true);
            }
            let gaps = ranges.gaps(64);
            for (at, is_here) in (0..64).zip(here) {
                prop_assert_eq!(gaps.iter().any(|gap| gap.contains(&at)), !is_here);
            }
            let prefix = here.iter().take_while(|is_here| **is_here).count() as u64;
            prop_assert_eq!(ranges.prefix(), prefix);
        }
    }
}
