//! The verdicts as a table, in the log of the run and in `docs/players.md`.

use std::fmt::Write;
use std::fs;
use std::iter::repeat;
use std::path::{Path, PathBuf};

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
    let known = fs::read_to_string(path()).unwrap_or_default();
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
        fs::create_dir_all(path().parent().unwrap()).unwrap();
        fs::write(path(), &text).unwrap();
        return;
    }
    let changed: Vec<_> = text.lines().filter(|line| !known.lines().any(|k| k == *line)).collect();
    assert!(
        text == known,
        "docs/players.md says otherwise; if that is meant, write it anew with UPDATE=1. New:\n{}",
        changed.join("\n")
    );
}

/// What the table says of a stream in a player.
pub fn known(kind: &Kind, player: Player) -> Option<String> {
    let known = fs::read_to_string(path()).unwrap_or_default();
    let place = PLAYERS.iter().position(|of| *of == player)?;
    row(&known, kind).nth(place).map(str::to_owned)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/players.md")
}

/// The marks of a stream in a table.
fn row<'a>(table: &'a str, kind: &Kind) -> impl Iterator<Item = &'a str> {
    let begin = format!("| {} | ", kind.name);
    let row = table.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_default();
    row.split(" | ").map(|mark| mark.trim_end_matches(" |")).filter(|mark| !mark.is_empty())
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
        for (player, before) in PLAYERS.into_iter().zip(row(known, kind).chain(repeat("?"))) {
            let is_it =
                |cell: &&(&Kind, Player, Verdict)| cell.0.name == kind.name && cell.1 == player;
            let mark = cells.iter().find(is_it).map_or(before, |cell| cell.2.mark());
            let _ = write!(text, " {mark} |");
        }
    }
    text + "\n"
}
