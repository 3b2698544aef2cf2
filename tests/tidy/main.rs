//! The house rules that a machine can check, as one test per rule.
//!
//! They are judged by reading lines of formatted source, not by parsing Rust: every rule here is
//! simple enough for that, and a message names file and line. Compiled names and types are
//! clippy's business.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tables::*;

#[test]
fn files_open_with_what_they_are_and_stay_short() {
    let mut faults = Vec::new();
    for file in rust_files(&["src", "tests", "benches"]) {
        if !file.text.starts_with("//!") {
            faults.push(file.fault(0, "opens without `//!`: say what it is and what it is not"));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(file.fault(lines - 1, &format!("is longer than {FILE_LINES_MAX} lines")));
        }
        for (number, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                faults.push(file.fault(number, &format!("{columns} columns, not {COLUMNS_MAX}")));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn functions_stay_short() {
    let mut faults = Vec::new();
    for file in rust_files(&["src", "tests", "benches"]) {
        for (number, lines) in functions(&file.text) {
            if lines > FUNCTION_LINES_MAX {
                let what = format!("a function of {lines} lines, not {FUNCTION_LINES_MAX}");
                faults.push(file.fault(number, &what));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn dependencies_between_modules_point_one_way() {
    let mut faults = Vec::new();
    for file in rust_files(&["src"]).iter().filter(|file| !file.is_test()) {
        let module = file.module();
        if ["main", "lib"].contains(&module) {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            faults.push(file.fault(0, &format!("`{module}` is not in MAY_USE: decide its place")));
            continue;
        };
        for (number, used) in uses_of_crate(file.code()) {
            let is_core = ["swarm", "playlist"].contains(&module);
            let is_common = COMMON.contains(&used.as_str()) && (!is_core || used == "ids");
            if used != module && !is_common && !allowed.contains(&used.as_str()) {
                faults.push(file.fault(number, &format!("`{module}` may not use `{used}`")));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    for file in rust_files(&["src"]).iter().filter(|file| !file.is_test()) {
        if !PURE.iter().any(|pure| file.path.starts_with(pure)) {
            continue;
        }
        for (number, line) in code_lines(file.code()) {
            for (name, why) in IMPURE.iter().filter(|(name, _)| names(line, name)) {
                if IMPURE_EXCEPT.iter().any(|known| (known.0, known.1) == (&file.path, *name)) {
                    continue;
                }
                faults.push(file.fault(number, &format!("a pure file names `{name}`: {why}")));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn outside_crates_are_named_where_they_belong() {
    let mut faults = Vec::new();
    for file in rust_files(&["src"]).iter().filter(|file| !file.is_test()) {
        for (number, line) in code_lines(file.code()) {
            for (name, owners) in OWNED {
                let is_owner = owners.iter().any(|owner| file.path.starts_with(owner));
                if !is_owner && names(line, &format!("{name}::")) {
                    let what = format!("names `{name}`, which belongs to {}", owners.join(", "));
                    faults.push(file.fault(number, &what));
                }
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn nothing_is_left_undone_or_silenced() {
    let banned = [("[allow(", "write #[expect(lint, reason = \"…\")]"), ("todo!(", "do it")];
    let mut faults = Vec::new();
    for file in rust_files(&["src"]) {
        for (number, line) in code_lines(&file.text) {
            for (text, hint) in banned.iter().filter(|(text, _)| line.contains(text)) {
                faults.push(file.fault(number, &format!("`{text}`: {hint}")));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn no_file_names_a_directory_of_a_machine_or_has_an_unfinished_merge() {
    // Put together here so that this file does not name them itself.
    let conflict = "<".repeat(7) + " ";
    let places = ["work", "root", "home", "tmp/w"].map(|name| format!("/{name}/"));
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    // A packaged crate is not a checkout; its files have been checked in one.
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else { return };
    let mut faults = Vec::new();
    for path in String::from_utf8(listed.stdout).unwrap().lines() {
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if line.starts_with(&conflict) {
                faults.push(format!("{path}:{}: an unfinished merge", number + 1));
            }
            for place in places.iter().filter(|place| begins_a_path(line, place)) {
                faults.push(format!("{path}:{}: names {place}", number + 1));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn the_crates_documentation_is_short_enough_to_be_read() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("//!")).count();
    assert!(lines <= CRATE_DOC_LINES_MAX, "src/lib.rs: {lines} lines, not {CRATE_DOC_LINES_MAX}");
}

#[test]
fn the_length_of_functions_is_measured_to_their_last_line() {
    let text =
        "fn a() {\n    x();\n}\n\ntrait T {\n    fn b(\n        c: u8,\n    );\n}\nfn d() {}\n";
    assert_eq!(functions(text).collect::<Vec<_>>(), [(0, 3), (5, 3), (9, 1)]);
}

#[test]
fn uses_of_modules_are_found_in_every_form() {
    let text =
        "use crate::ids::PeerId;\nuse crate::{\n    cache::{Cache, X}, rtc,\n};\n// crate::http\n";
    let used: Vec<_> = uses_of_crate(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(used, ["ids", "cache", "rtc"]);
}

/// One source file, its path relative to the repository.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn fault(&self, line_index: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line_index + 1)
    }

    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split(['/', '.']).next().unwrap_or_default()
    }

    /// Whether all of it is a test.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// All before its inline test module.
    fn code(&self) -> &str {
        let inline = self.text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| {
            self.text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'))
        });
        inline.map_or(&self.text, |(at, _)| &self.text[..at])
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the README says is supported is what tests show: each row of its table names some, in a
/// comment, as `file::function`.
#[test]
fn what_the_readme_claims_is_tested() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("\n## What it does\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let files = rust_files(&["src", "tests"]);
    let mut faults = Vec::new();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| -"));
    for row in rows.filter(|row| !row.trim_matches(['|', ' ']).is_empty()) {
        let tests = row.split("<!--").nth(1).and_then(|rest| rest.split("-->").next());
        let names: Vec<_> = tests.unwrap_or_default().split(',').map(str::trim).collect();
        for name in names {
            let (module, function) = name.split_once("::").unwrap_or(("", name));
            let is_there = |file: &Source| {
                file.path.ends_with(&format!("/{module}.rs"))
                    && file.text.contains(&format!("fn {function}("))
            };
            if !files.iter().any(is_there) {
                faults.push(format!("README.md: no test {name:?} for: {row:.60}"));
            }
        }
    }
    assert_none(&faults);
}

fn rust_files(directories: &[&str]) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = directories.iter().map(|name| root().join(name)).collect();
    let mut found = BTreeSet::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
    };
    found.into_iter().map(read).collect()
}

/// Lines with their indices, without those that are only comment.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The index of each function's first line, and how many lines it has. In formatted source a
/// function ends at the first line of its own indentation that closes a block or a statement.
fn functions(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let starts: Vec<_> = (0..lines.len()).filter(|&index| is_function(lines[index])).collect();
    starts.into_iter().map(move |start| {
        let depth = indentation(lines[start]);
        let is_end = |line: &&str| indentation(line) == depth && line.ends_with(['}', ';']);
        let length = lines[start..].iter().position(is_end).map_or(1, |index| index + 1);
        (start, length)
    })
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let before = ["pub", "pub(crate)", "pub(super)", "const", "async"];
    words.find(|word| !before.contains(word)) == Some("fn")
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Every `crate::NAME` outside comments, with the index of its line.
fn uses_of_crate(text: &str) -> Vec<(usize, String)> {
    let blank = |line| if str::trim_start(line).starts_with("//") { "" } else { line };
    let text: String = text.lines().flat_map(|line| [blank(line), "\n"]).collect();
    let mut found = Vec::new();
    for (at, prefix) in text.match_indices("crate::") {
        let number = text[..at].matches('\n').count();
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).into_iter().map(|name| (number, name))),
            None => found.push((number, identifier(rest))),
        }
    }
    found
}

/// The first names of each part of `a::b, c::{d, e}, f}`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut is_head, mut heads) = (0, true, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_head = true,
            letter if is_head && !letter.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                is_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|&letter| is_identifier(letter)).collect()
}

fn is_identifier(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether `line` contains `name` as a word of its own, not as the end of a longer one.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| !line[..at].ends_with(is_identifier))
}

/// Whether an absolute path begins with `place` somewhere in `line`; a URL's path does not count.
fn begins_a_path(line: &str, place: &str) -> bool {
    let is_inside = |letter: char| is_identifier(letter) || "./:-~*$}".contains(letter);
    line.match_indices(place).any(|(at, _)| !line[..at].ends_with(is_inside))
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
