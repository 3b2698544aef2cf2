//! Which pathway is in force, and when the steering server is to be asked again.
//!
//! Time is an input. A pathway that fails is avoided for [`PENALTY`]; what the server says of the
//! order holds until it says something else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::manifest::{Manifest, TTL_DEFAULT, TTL_MAX, TTL_MIN};

/// How long a pathway that failed is avoided.
pub const PENALTY: Duration = Duration::from_secs(120);

/// What came of a request for the manifest.
pub enum Heard<'a> {
    /// A manifest.
    Manifest(&'a Manifest),
    /// 410: it is not to be asked for again.
    Gone,
    /// 429, and the seconds of its `Retry-After`.
    TooMany(Option<u64>),
    /// Anything else: a refused manifest, another status, no answer.
    Nothing,
}

/// The course of one stream.
#[derive(Debug)]
pub struct Course {
    /// The pathway to begin with.
    first: Option<String>,
    /// As the server last said; empty before.
    priority: Vec<String>,
    ttl: Duration,
    penalised: BTreeMap<String, Instant>,
    due: Option<Instant>,
}

impl Course {
    /// Nothing was heard yet; the manifest is due at once.
    pub fn new(first: Option<String>, now: Instant) -> Self {
        Self {
            first,
            priority: Vec::new(),
            ttl: TTL_DEFAULT,
            penalised: BTreeMap::new(),
            due: Some(now),
        }
    }

    /// The pathways to try, the best first. Those the server leaves out are not used, unless it
    /// names none of them; those that failed lately come last, the earliest failure first.
    pub fn ranking<'a>(&'a self, known: &[&'a str], now: Instant) -> Vec<&'a str> {
        let is_known = |name: &&str| known.contains(name);
        let mut ranking: Vec<&str> =
            self.priority.iter().map(String::as_str).filter(is_known).collect();
        if ranking.is_empty() {
            ranking = self.first.as_deref().into_iter().filter(is_known).collect();
            ranking.extend(known);
        }
        let mut unique: Vec<&str> = Vec::with_capacity(ranking.len());
        for name in ranking {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        unique.sort_by_key(|name| self.penalised.get(*name).copied().filter(|until| *until > now));
        unique
    }

    /// Whether a pathway failed lately.
    pub fn is_penalised(&self, pathway: &str, now: Instant) -> bool {
        self.penalised.get(pathway).is_some_and(|until| *until > now)
    }

    /// A pathway has failed.
    pub fn penalise(&mut self, pathway: &str, now: Instant) {
        self.penalised.retain(|_, until| *until > now);
        self.penalised.insert(pathway.to_owned(), now + PENALTY);
    }

    /// When the server is to be asked; `None`: not any more.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes what came of asking.
    pub fn hear(&mut self, heard: &Heard<'_>, now: Instant) {
        let pause = match heard {
            Heard::Manifest(manifest) => {
                self.priority.clone_from(&manifest.priority);
                self.ttl = manifest.ttl;
                self.ttl
            }
            Heard::Gone => {
                self.due = None;
                return;
            }
            Heard::TooMany(Some(wait_s)) => Duration::from_secs(*wait_s).clamp(TTL_MIN, TTL_MAX),
            Heard::TooMany(None) | Heard::Nothing => self.ttl,
        };
        self.due = Some(now + pause);
    }

    /// There is nothing more to be heard: the manifest was in the playlist itself.
    pub fn settle(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(priority: &[&str], ttl_s: u64) -> Manifest {
        Manifest {
            ttl: Duration::from_secs(ttl_s),
            reload: None,
            priority: priority.iter().map(|name| (*name).to_owned()).collect(),
            clones: Vec::new(),
        }
    }

    const KNOWN: [&str; 3] = ["A", "B", "C"];

    #[test]
    fn begins_where_the_playlist_says_and_follows_the_server_then() {
        let now = Instant::now();
        let mut course = Course::new(Some("B".to_owned()), now);
        assert_eq!(course.ranking(&KNOWN, now), ["B", "A", "C"]);
        assert_eq!(Course::new(None, now).ranking(&KNOWN, now), KNOWN);
        course.hear(&Heard::Manifest(&manifest(&["C", "X", "A", "C"], 5)), now);
        assert_eq!(course.ranking(&KNOWN, now), ["C", "A"]);
        course.hear(&Heard::Manifest(&manifest(&["X"], 5)), now);
        assert_eq!(course.ranking(&KNOWN, now), ["B", "A", "C"], "none of those is ours");
    }

    #[test]
    fn what_failed_is_avoided_for_two_minutes() {
        let now = Instant::now();
        let mut course = Course::new(None, now);
        course.penalise("A", now);
        assert_eq!(course.ranking(&KNOWN, now), ["B", "C", "A"]);
        let later = now + Duration::from_secs(1);
        course.penalise("B", later);
        course.penalise("C", later);
        assert_eq!(course.ranking(&KNOWN, later), KNOWN, "the earliest failure first");
        assert_eq!(course.ranking(&KNOWN, now + PENALTY), ["A", "B", "C"]);
        course.penalise("A", now + PENALTY * 3);
        assert_eq!(course.penalised.len(), 1, "old ones are forgotten");
    }

    #[test]
    fn asks_again_after_the_time_the_server_says() {
        let now = Instant::now();
        let due = |course: &Course| course.due().map(|due| due.duration_since(now).as_secs());
        let mut course = Course::new(None, now);
        assert_eq!(due(&course), Some(0));
        course.hear(&Heard::Nothing, now);
        assert_eq!(due(&course), Some(300));
        course.hear(&Heard::Manifest(&manifest(&["B"], 9)), now);
        assert_eq!(due(&course), Some(9));
        for (heard, seconds) in [
            (Heard::Nothing, 9),
            (Heard::TooMany(None), 9),
            (Heard::TooMany(Some(70)), 70),
            (Heard::TooMany(Some(u64::MAX)), 24 * 3600),
        ] {
            course.hear(&heard, now);
            assert_eq!(due(&course), Some(seconds));
            assert_eq!(course.ranking(&KNOWN, now), ["B"], "the one before stays in force");
        }
        course.hear(&Heard::Gone, now);
        assert_eq!((due(&course), course.ranking(&KNOWN, now)), (None, vec!["B"]));
    }
}
