//! What came of it all: what must not happen is collected, and told at the end in one go.

use std::sync::Mutex;
use std::time::Duration;

/// What a player may wait longer than the origin alone would have made it wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// What came of it so far.
#[derive(Default)]
pub struct Verdict {
    figures: Mutex<Figures>,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub faults: Vec<String>,
    pub segments: u64,
    pub from_peers: u64,
    /// Times a daemon was sent something that is not the segment.
    pub lies: u64,
    /// Waits of players whose daemon was well.
    pub waits: u64,
    pub longest: Duration,
    /// The longest beyond what the origin alone would have taken, and what it was for.
    pub most_beyond: Duration,
    pub worst: String,
}

impl Verdict {
    /// A player was given a segment.
    pub fn segment(&self, player: &str, number: u64, source: &str, is_true: bool) {
        let mut figures = self.figures.lock().unwrap();
        figures.segments += 1;
        figures.from_peers += u64::from(source.contains("peers"));
        if !is_true {
            figures.faults.push(format!("{player}: wrong bytes of segment {number} ({source})"));
        }
    }

    /// A daemon was sent something that is not the segment.
    pub fn lie(&self) {
        self.figures.lock().unwrap().lies += 1;
    }

    /// A player waited, `moment` after the beginning.
    pub fn wait(
        &self,
        player: &str,
        moment: Duration,
        what: &str,
        waited: Duration,
        alone: Duration,
    ) {
        let mut figures = self.figures.lock().unwrap();
        let beyond = waited.saturating_sub(alone);
        figures.waits += 1;
        figures.longest = figures.longest.max(waited);
        let words = format!(
            "{player} at {moment:.1?}: waited {waited:.2?} for {what}, \
             where the origin alone takes {alone:.2?}"
        );
        if beyond > figures.most_beyond {
            figures.most_beyond = beyond;
            figures.worst.clone_from(&words);
        }
        if beyond > PATIENCE {
            figures.faults.push(words);
        }
    }

    pub fn figures(&self) -> Figures {
        self.figures.lock().unwrap().clone()
    }
}
