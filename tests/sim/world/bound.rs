//! What the origin had to send at least, whatever the policy: with these viewers, these connections
//! and players handed what they were handed when they were.
//!
//! For each segment: whoever had an open way from one that gives, in time, may have it from there;
//! so that everybody who can be reached from one another needs one copy together, and whoever
//! nobody could reach in time, or not with all of it, needs the rest for itself. Caches reach as
//! far as they do, ahead and behind; nobody's uplink is ever short, nothing is late, and nothing
//! is checked. It is a lower bound, and knows nothing of viewers that make bytes up.

use std::collections::BTreeMap;

use super::exchange::Conn;
use super::plan::{Line, Plan};

/// A viewer: its place and its number there.
type Who = (usize, u32);

/// What players were handed and when: of every viewer a row of segments.
#[derive(Default)]
pub struct Handed(BTreeMap<Who, Row>);

struct Row {
    arrived_us: u64,
    first: u64,
    at_us: Vec<u64>,
}

/// A viewer as far as one segment is concerned.
#[derive(Clone, Copy)]
struct Part {
    gives: bool,
    /// Bytes per microsecond.
    down: f64,
    /// When it can have the segment.
    from_us: u64,
    until_us: u64,
    /// When its player was handed it.
    handed_us: Option<u64>,
    /// When the first byte can have come from another.
    reached_us: u64,
}

impl Handed {
    pub fn add(&mut self, who: Who, arrived_us: u64, segment: u64, at_us: u64) {
        let new = || Row { arrived_us, first: segment, at_us: Vec::new() };
        self.0.entry(who).or_insert_with(new).at_us.push(at_us);
    }

    /// Bytes that the origin had to send while it was measured.
    pub fn needed_bytes(&self, plan: &Plan, conns: &[Conn]) -> u64 {
        let places: BTreeMap<Who, usize> =
            self.0.keys().enumerate().map(|(at, who)| (*who, at)).collect();
        let ends = |conn: &Conn| {
            let end = |end: usize| places.get(&(conn.places[end], conn.generations[end])).copied();
            Some(([end(0)?, end(1)?], conn.open_us?, conn.closed_us.unwrap_or(u64::MAX)))
        };
        let ways: Vec<Way> = conns.iter().filter_map(ends).collect();
        let lines: Vec<_> = self.0.keys().map(|who| plan.line(who.0, who.1)).collect();
        let segments = self.0.values().map(|row| row.first..row.first + row.at_us.len() as u64);
        let first = segments.clone().map(|row| row.start).min().unwrap_or(0);
        let end = segments.map(|row| row.end).max().unwrap_or(0);
        let of_segment = |segment| {
            let rows = self.0.values().zip(&lines);
            let part = |(row, line): (&Row, &Line)| Part {
                gives: line.gives && !line.is_mute,
                down: line.down,
                ..row.part(plan, segment)
            };
            needed(plan, rows.map(part).collect(), &ways)
        };
        (first..end).map(of_segment).sum()
    }
}

/// The ends of a connection, and when it was open.
type Way = ([usize; 2], u64, u64);

impl Row {
    fn part(&self, plan: &Plan, segment: u64) -> Part {
        let reach = plan.cache_segments() as u64;
        let published_us = plan.published_us(segment).unwrap_or(0);
        let behind = match segment.checked_sub(reach) {
            Some(behind) if behind >= self.first => self.handed_us(behind).unwrap_or(u64::MAX),
            _ => self.arrived_us,
        };
        Part {
            gives: false,
            down: 0.0,
            from_us: behind.max(published_us).max(self.arrived_us),
            until_us: self.handed_us(segment + reach).unwrap_or(u64::MAX),
            handed_us: self.handed_us(segment),
            reached_us: u64::MAX,
        }
    }

    fn handed_us(&self, segment: u64) -> Option<u64> {
        self.at_us.get(segment.checked_sub(self.first)? as usize).copied()
    }
}

fn needed(plan: &Plan, mut parts: Vec<Part>, ways: &[Way]) -> u64 {
    let mut groups: Vec<usize> = (0..parts.len()).collect();
    for (ends, open_us, closed_us) in ways {
        for [from, to] in [*ends, [ends[1], ends[0]]] {
            let [a, b] = [parts[from], parts[to]];
            let begin_us = a.from_us.max(b.from_us).max(*open_us);
            let end_us = (*closed_us).min(a.until_us).min(b.handed_us.unwrap_or(b.until_us));
            if a.gives && begin_us < end_us {
                parts[to].reached_us = b.reached_us.min(begin_us);
                let [a, b] = [from, to].map(|at| top(&mut groups, at));
                groups[a.max(b)] = a.min(b);
            }
        }
    }
    let groups: Vec<usize> = (0..parts.len()).map(|at| top(&mut groups, at)).collect();
    groups_need(plan, &parts, &groups)
}

/// What the groups need: a copy each by the time the first of its members is handed it, and what
/// nobody could bring its members, which may be of that copy for those who were there by then.
fn groups_need(plan: &Plan, parts: &[Part], groups: &[usize]) -> u64 {
    let (since_us, _) = plan.measured();
    let mut firsts_us = vec![u64::MAX; parts.len()];
    // Whether the copy can have come before anything was measured.
    let mut had = vec![false; parts.len()];
    for (part, group) in parts.iter().zip(groups) {
        had[*group] |= part.from_us < since_us;
        firsts_us[*group] = firsts_us[*group].min(part.handed_us.unwrap_or(u64::MAX));
    }
    let mut copies: Vec<u64> = (firsts_us.iter().zip(&had))
        .map(|(first_us, had)| if *first_us == u64::MAX || *had { 0 } else { plan.segment_bytes })
        .collect();
    let mut early = vec![0; parts.len()];
    let mut late = 0;
    for (part, group) in parts.iter().zip(groups) {
        let Some(handed_us) = part.handed_us.filter(|_| part.from_us >= since_us) else { continue };
        let can = handed_us.saturating_sub(part.reached_us) as f64 * part.down;
        let own = plan.segment_bytes.saturating_sub(can.ceil() as u64);
        let is_late = part.from_us >= firsts_us[*group];
        *(if is_late { &mut late } else { &mut early[*group] }) += own;
    }
    copies.iter_mut().zip(early).for_each(|(copy, early)| *copy = early.max(*copy));
    copies.iter().sum::<u64>() + late
}

fn top(groups: &mut [usize], mut at: usize) -> usize {
    while groups[at] != at {
        groups[at] = groups[groups[at]];
        at = groups[at];
    }
    at
}
