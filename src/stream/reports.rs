//! How many members the swarms of a stream have together, from what trackers say of each.
//!
//! It asks nobody and decides nothing else. Driven by the actor.

use std::collections::BTreeMap;

use super::signalling::Report;
use crate::swarm::Input;

/// Who said something of which swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Number of the stream's swarm.
    pub swarm: usize,
    /// Number of the stream's tracker.
    pub tracker: usize,
}

/// The last report of each tracker on each swarm.
#[derive(Debug, Default)]
pub(super) struct Reports {
    swarms: usize,
    trackers: usize,
    heard: BTreeMap<Source, Report>,
}

impl Reports {
    pub(super) fn expect(swarms: usize, trackers: usize) -> Self {
        Self { swarms, trackers, heard: BTreeMap::new() }
    }

    /// Notes a report; what the core is to hear of it.
    pub(super) fn note(&mut self, source: Source, report: Report) -> Option<Input> {
        self.heard.insert(source, report);
        let counts: Vec<u32> = (0..self.swarms).filter_map(|swarm| self.members(swarm)).collect();
        let Some(members) = together(&counts) else {
            let is_everyone = self.heard.len() == self.swarms * self.trackers;
            return is_everyone.then_some(Input::Alone);
        };
        // Who is alone does not wait for others, so it has to be known of every swarm.
        (members > 1 || self.has_whole_word()).then_some(Input::SwarmSize(members))
    }

    /// The most that a tracker says.
    fn members(&self, swarm: usize) -> Option<u32> {
        let of_swarm = self.heard.iter().filter(|(source, _)| source.swarm == swarm);
        let counts = of_swarm.filter_map(|(_, report)| match report {
            Report::Members(members) => Some(*members),
            Report::Unreachable => None,
        });
        counts.max()
    }

    /// Whether a tracker has said something of every swarm.
    fn has_whole_word(&self) -> bool {
        let has = |swarm, tracker| self.heard.contains_key(&Source { swarm, tracker });
        (0..self.trackers).any(|tracker| (0..self.swarms).all(|swarm| has(swarm, tracker)))
    }
}

/// Members of our kind are in every swarm and browsers in one. As many as the smallest swarm has
/// are taken for members of our kind: more there cannot be, so that nobody is counted twice. Where
/// even that swarm has browsers it is less than the truth, and then the origin is asked a little
/// more often than it would have to be, never less.
fn together(counts: &[u32]) -> Option<u32> {
    let everywhere = *counts.iter().min()?;
    let browsers = counts.iter().map(|members| members - everywhere);
    Some(browsers.fold(everywhere, u32::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(swarm: usize, tracker: usize) -> Source {
        Source { swarm, tracker }
    }

    #[test]
    fn members_of_our_kind_are_counted_once_and_browsers_each() {
        for (counts, wanted) in [
            (&[10, 10, 10][..], Some(10)),
            (&[101, 1, 1], Some(101)),
            (&[110, 60, 10], Some(160)),
            (&[5], Some(5)),
            (&[0, 3], Some(3)),
            (&[u32::MAX, u32::MAX, 0], Some(u32::MAX)),
            (&[], None),
        ] {
            assert_eq!(together(counts), wanted, "{counts:?}");
        }
    }

    #[test]
    fn nobody_is_alone_before_a_tracker_has_spoken_of_every_swarm() {
        let mut reports = Reports::expect(2, 2);
        assert!(reports.note(at(0, 0), Report::Members(1)).is_none());
        assert!(reports.note(at(1, 1), Report::Members(1)).is_none());
        let both = reports.note(at(1, 0), Report::Members(1));
        assert!(matches!(both, Some(Input::SwarmSize(1))), "{both:?}");
        let grown = reports.note(at(1, 1), Report::Members(4));
        assert!(matches!(grown, Some(Input::SwarmSize(4))), "{grown:?}");
    }

    #[test]
    fn who_cannot_reach_any_tracker_for_any_swarm_is_alone() {
        let mut reports = Reports::expect(2, 1);
        assert!(reports.note(at(0, 0), Report::Unreachable).is_none());
        let alone = reports.note(at(1, 0), Report::Unreachable);
        assert!(matches!(alone, Some(Input::Alone)), "{alone:?}");
        let back = reports.note(at(0, 0), Report::Members(3));
        assert!(matches!(back, Some(Input::SwarmSize(3))), "{back:?}");
    }
}
