//! What the demonstration ends with: a table for people, one JSON object for programs. Pure.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::metrics::Snapshot;

/// What came of it.
pub struct Report {
    /// Length of the demonstration.
    pub seconds: u32,
    /// One for each viewer.
    pub rows: Vec<Row>,
}

/// What came of one viewer.
pub struct Row {
    /// What its daemon moved.
    pub totals: Snapshot,
    /// Segment bytes it was given.
    pub delivered_bytes: u64,
    /// Times its buffer ran dry.
    pub stalls: u64,
}

impl Report {
    /// One JSON object on a line.
    pub fn to_json(&self) -> String {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "delivered_bytes": row.delivered_bytes,
                    "origin_bytes": row.totals.origin_bytes,
                    "peer_bytes": row.totals.peer_bytes,
                    "cache_bytes": row.totals.cache_bytes,
                    "stalls": row.stalls,
                })
            })
            .collect();
        let whole = json!({
            "viewers": self.rows.len(),
            "seconds": self.seconds,
            "delivered_bytes": self.sum(|row| row.delivered_bytes),
            "origin_bytes": self.sum(|row| row.totals.origin_bytes),
            "peer_bytes": self.sum(|row| row.totals.peer_bytes),
            "cache_bytes": self.sum(|row| row.totals.cache_bytes),
            "offload": (self.offload() * 10_000.0).round() / 10_000.0,
            "stalls": self.sum(|row| row.stalls),
            "per_viewer": rows,
        });
        format!("{whole}\n")
    }

    /// The table.
    pub fn to_table(&self) -> String {
        let mut text = format!(
            "\n{:>6}  {:>11}  {:>11}  {:>11}  {:>11}  {:>6}\n",
            "viewer", "delivered", "from origin", "from peers", "to peers", "stalls"
        );
        let mut line = |name: &str, row: [u64; 4], stalls: u64| {
            let [delivered, origin, peers, upload] = row.map(megabytes);
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "{name:>6}  {delivered:>11}  {origin:>11}  {peers:>11}  {upload:>11}  {stalls:>6}"
            );
        };
        let figures = |row: &Row| {
            let totals = &row.totals;
            [row.delivered_bytes, totals.origin_bytes, totals.peer_bytes, totals.upload_bytes]
        };
        for (number, row) in self.rows.iter().enumerate() {
            line(&(number + 1).to_string(), figures(row), row.stalls);
        }
        let sums = [
            self.sum(|row| row.delivered_bytes),
            self.sum(|row| row.totals.origin_bytes),
            self.sum(|row| row.totals.peer_bytes),
            self.sum(|row| row.totals.upload_bytes),
        ];
        line("all", sums, self.sum(|row| row.stalls));
        let _ = writeln!(
            text,
            "\nThe origin sent {}. Without sharing, {} viewers would have cost it {}: \
             {:.0} % saved.",
            megabytes(sums[1]),
            self.rows.len(),
            megabytes(sums[0]),
            self.offload() * 100.0
        );
        text
    }

    /// Share of the viewers' bytes that the origin did not send.
    fn offload(&self) -> f64 {
        let delivered = self.sum(|row| row.delivered_bytes);
        if delivered == 0 {
            return 0.0;
        }
        1.0 - self.sum(|row| row.totals.origin_bytes) as f64 / delivered as f64
    }

    fn sum(&self, pick: impl Fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(pick).sum()
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offload_is_the_share_that_the_origin_did_not_send() {
        let row = |origin_bytes, delivered_bytes| Row {
            totals: Snapshot { origin_bytes, ..Snapshot::default() },
            delivered_bytes,
            stalls: 1,
        };
        let report = Report { seconds: 30, rows: vec![row(100, 100), row(0, 100)] };
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["offload"], 0.5);
        assert_eq!((&json["viewers"], &json["stalls"]), (&json!(2), &json!(2)));
        assert!(report.to_table().contains("50 % saved"));
        let nobody = Report { seconds: 4, rows: Vec::new() };
        assert!(nobody.to_json().contains("\"offload\":0.0"));
    }
}
