//! What came of a run, and the figures made of it.

/// What is counted while it is measured.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub handed: u64,
    pub handed_bytes: u64,
    pub origin_bytes: u64,
    /// What no policy could have had it send less of: see `bound`.
    pub needed_bytes: u64,
    /// Of these, what was fetched to compare it with what peers sent.
    pub check_bytes: u64,
    /// Requests for that.
    pub checks: u64,
    pub peer_bytes: u64,
    pub origin_fetches: u64,
    pub published: u64,
    pub stalls: u64,
    pub stalled_us: u64,
    pub watched_us: u64,
    pub failures: u64,
    /// What players were handed that is not the origin's.
    pub wrong_segments: u64,
    pub wrong_bytes: u64,
    /// Connections whose other end was found out, and those whose other end was honest.
    pub banned: u64,
    pub wrongly_banned: u64,
    /// Made-up segments that a liar sent to one viewer: until it was banned there, or never.
    pub until_banned: Vec<u64>,
    pub undetected: Vec<u64>,
    pub startups_us: Vec<u64>,
    /// From publication to being held, of every viewer.
    pub waits_us: Vec<u64>,
    /// Bytes given, of every place.
    pub given: Vec<u64>,
}

impl Report {
    /// Two runs are told as one.
    pub fn add(&mut self, other: Self) {
        for (sum, more) in self.sums().into_iter().zip(other.clone().sums()) {
            *sum += *more;
        }
        self.until_banned.extend(other.until_banned);
        self.undetected.extend(other.undetected);
        self.startups_us.extend(other.startups_us);
        self.waits_us.extend(other.waits_us);
        self.given.extend(other.given);
    }

    fn sums(&mut self) -> [&mut u64; 17] {
        [
            &mut self.handed,
            &mut self.handed_bytes,
            &mut self.origin_bytes,
            &mut self.needed_bytes,
            &mut self.check_bytes,
            &mut self.checks,
            &mut self.peer_bytes,
            &mut self.origin_fetches,
            &mut self.published,
            &mut self.stalls,
            &mut self.stalled_us,
            &mut self.watched_us,
            &mut self.failures,
            &mut self.wrong_segments,
            &mut self.wrong_bytes,
            &mut self.banned,
            &mut self.wrongly_banned,
        ]
    }

    /// Share of the bytes handed to players that the origin did not send.
    pub fn saved(&self) -> f64 {
        1.0 - self.origin_bytes as f64 / self.handed_bytes.max(1) as f64
    }

    /// What cannot be exceeded by that.
    pub fn bound(&self) -> f64 {
        1.0 - self.needed_bytes as f64 / self.handed_bytes.max(1) as f64
    }

    /// Seconds stalled in an hour of watching.
    pub fn stall_s_per_hour(&self) -> f64 {
        self.stalled_us as f64 / 1e6 / self.hours()
    }

    pub fn stalls_per_hour(&self) -> f64 {
        self.stalls as f64 / self.hours()
    }

    pub fn startup_mean_s(&self) -> f64 {
        let sum: u64 = self.startups_us.iter().sum();
        sum as f64 / 1e6 / self.startups_us.len().max(1) as f64
    }

    pub fn copies_per_segment(&self, segment_bytes: u64) -> f64 {
        self.origin_bytes as f64 / segment_bytes as f64 / self.published.max(1) as f64
    }

    pub fn startup_s(&self, percent: usize) -> f64 {
        percentile_s(&self.startups_us, percent)
    }

    pub fn availability_s(&self, percent: usize) -> f64 {
        percentile_s(&self.waits_us, percent)
    }

    /// 0: all give the same; 1: one gives everything.
    pub fn upload_gini(&self) -> f64 {
        let mut given = self.given.clone();
        given.sort_unstable();
        let total: u64 = given.iter().sum();
        let n = given.len() as f64;
        let weighted: f64 =
            given.iter().enumerate().map(|(at, bytes)| (at + 1) as f64 * *bytes as f64).sum();
        if total == 0 { 0.0 } else { 2.0 * weighted / (n * total as f64) - (n + 1.0) / n }
    }

    /// How often the origin was asked for a segment, or for what was missing of it.
    pub fn fetches_per_segment(&self) -> f64 {
        self.origin_fetches as f64 / self.published.max(1) as f64
    }

    /// How often something of a segment was compared for one viewer.
    pub fn checks_per_segment(&self) -> f64 {
        self.checks as f64 / self.handed.max(1) as f64
    }

    /// Made-up segments that one viewer was sent until it banned the liar, on average.
    pub fn until_banned_mean(&self) -> f64 {
        let sum: u64 = self.until_banned.iter().sum();
        sum as f64 / self.until_banned.len().max(1) as f64
    }

    fn hours(&self) -> f64 {
        (self.watched_us as f64 / 3.6e9).max(1e-9)
    }
}

fn percentile_s(all_us: &[u64], percent: usize) -> f64 {
    let mut all_us = all_us.to_vec();
    all_us.sort_unstable();
    let at = (all_us.len() * percent / 100).min(all_us.len().saturating_sub(1));
    all_us.get(at).map_or(0.0, |us| *us as f64 / 1e6)
}

/// How much of one there is of another: 1 when there is nothing of either.
pub fn ratio(with: f64, without: f64) -> f64 {
    if with == without { 1.0 } else { with / without.max(1e-3) }
}
