//! The verdicts as a table, in the log of the run and in `docs/players.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::kinds::{KINDS, Kind};
use super::watch::{PLAYERS, Player};

/// What came of a stream in a player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It plays in both ways, and just the same.
    Same,
    /// It plays through the daemon only.
    Healed,
    /// It plays in neither.
    Neither(String),
    /// What plays directly does not through the daemon, or not just so; how it differs.
    Broken(String),
}

impl Verdict {
    pub fn mark(&self) -> &'static str {
        match self {
            Self::Same => "yes",
            Self::Healed => "**healed**",
            Self::Neither(_) => "–",
            Self::Broken(_) => "BROKEN",
        }
    }
}

/// What stands above the table.
const HEAD: &str = "\
# Streams and players

Written by the player tests (`UPDATE=1 cargo test --test players matrix`), which play every stream
in every player twice: directly from the origin, and through the daemon.

- **yes**: it plays directly, and through the daemon with the same streams, duration and number of
  frames (one more or less), of VOD also the same content where the player tells it; nothing went
  around the daemon.
- **healed**: the player cannot play it directly, but all of it through the daemon.
- **–**: it plays in neither way, and no further through the daemon's fault.

A test beside it compares every byte of every stream with the origin's.

| stream |";

/// Prints the table; fails where anything is broken or not as `docs/players.md` says.
pub fn check(cells: &[(&Kind, Player, Verdict)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/players.md");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let text = render(cells, &known);
    println!("{text}");
    let broken: Vec<_> = cells
        .iter()
        .filter_map(|(_, _, verdict)| match verdict {
            Verdict::Broken(how) => Some(how.as_str()),
            _ => None,
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
        return;
    }
    let changed: Vec<_> = text.lines().filter(|line| !known.lines().any(|k| k == *line)).collect();
    assert!(
        text == known,
        "docs/players.md says otherwise; if that is meant, write it anew with UPDATE=1. New:\n{}",
        changed.join("\n")
    );
}

/// The table; what was not run is as it was.
fn render(cells: &[(&Kind, Player, Verdict)], known: &str) -> String {
    let mut text = HEAD.to_owned();
    for player in PLAYERS {
        let _ = write!(text, " {} |", player.name());
    }
    text += "\n| --- |";
    text += &" --- |".repeat(PLAYERS.len());
    for kind in KINDS {
        let _ = write!(text, "\n| {} |", kind.name);
        let row = known.lines().find(|line| line.starts_with(&format!("| {} |", kind.name)));
        let mut before = row.unwrap_or_default().split(" | ").skip(1);
        for player in PLAYERS {
            let before = before.next().map_or("?", |mark| mark.trim_end_matches(" |"));
            let is_it =
                |cell: &&(&Kind, Player, Verdict)| cell.0.name == kind.name && cell.1 == player;
            let mark = cells.iter().find(is_it).map_or(before, |cell| cell.2.mark());
            let _ = write!(text, " {mark} |");
        }
    }
    text + "\n"
}
