//! Figures as a table and as JSON: medians with the range of the rounds behind them.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// The answer to one question.
pub struct Section {
    /// What was measured, and how.
    pub title: String,
    /// The figures.
    pub rows: Vec<Row>,
    /// What the reader must know to judge them.
    pub notes: Vec<String>,
}

/// One figure, measured several times.
pub struct Row {
    /// Its name in JSON, unit last.
    pub key: &'static str,
    /// Its name in the table.
    pub label: &'static str,
    /// What each round gave.
    pub samples: Vec<f64>,
}

impl Section {
    /// The section for people.
    pub fn to_table(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        for row in &self.rows {
            let (low, high) = row.range();
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "  {:<44} {:>9}   ({} to {}, {} samples)",
                row.label,
                shown(row.median()),
                shown(low),
                shown(high),
                row.samples.len()
            );
        }
        for note in &self.notes {
            let _ = writeln!(text, "  ! {note}");
        }
        text
    }
}

impl Row {
    /// A figure with its samples.
    pub fn new(key: &'static str, label: &'static str, samples: Vec<f64>) -> Self {
        Self { key, label, samples }
    }

    fn median(&self) -> f64 {
        median(&self.samples)
    }

    fn range(&self) -> (f64, f64) {
        let of = |pick: fn(f64, f64) -> f64| self.samples.iter().copied().reduce(pick);
        (of(f64::min).unwrap_or(f64::NAN), of(f64::max).unwrap_or(f64::NAN))
    }
}

/// The middle of the samples; not a number where there are none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[upper],
        _ => f64::midpoint(sorted[upper - 1], sorted[upper]),
    }
}

/// Pairs of samples divided.
pub fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

/// All sections for programs.
pub fn to_json(sections: &[(&str, Section)]) -> Value {
    let object = |section: &Section| {
        let rows = section.rows.iter().map(|row| {
            let (low, high) = row.range();
            let figure = json!({ "median": row.median(), "min": low, "max": high,
                                 "samples": row.samples.len() });
            (row.key.to_owned(), figure)
        });
        json!({ "title": section.title, "figures": rows.collect::<Map<_, _>>(),
                "notes": section.notes })
    };
    sections.iter().map(|(name, section)| ((*name).to_owned(), object(section))).collect()
}

/// Three digits that mean something.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
