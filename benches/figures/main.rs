//! Where the README's figures come from: `cargo bench`, or `cargo bench -- --json`.
//!
//! Three questions about the program as it is shipped, each answered against something that stands
//! beside it in the same run: serving from the cache (against nginx), the wait for a segment nobody
//! has (against asking the origin directly), and bytes from daemon to daemon (against the bare data
//! channel). Machines differ and are rarely quiet, so what counts is ratios, medians and CPU time;
//! the load generator is never measured, because it is another process. Needs Linux's `/proc`.

mod cache;
mod client;
mod first_byte;
mod link;
mod nginx;
mod origin;
mod pair;
mod process;
mod report;

use std::io::{self, Write};
use std::process::ExitCode;

use report::Section;

/// What goes wrong is only told; nobody branches on it.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
/// Answers one question.
type Measure = fn() -> Outcome<Section>;

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own, `--bench`.
    let is_json = std::env::args().any(|argument| argument == "--json");
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    match run(is_json, only.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be done where even standard error is gone.
            let _ = writeln!(io::stderr(), "figures: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything, or the one section whose name begins with `only`.
fn run(is_json: bool, only: Option<&str>) -> Outcome<()> {
    let measures: [(&str, Measure); 4] = [
        ("cache", cache::measure),
        ("first_byte", first_byte::measure),
        ("pair", pair::measure),
        ("link", link::measure),
    ];
    let mut sections = Vec::new();
    for (name, measure) in measures {
        if only.is_none_or(|only| name.starts_with(only)) {
            writeln!(io::stderr(), "measuring: {name}")?;
            let section = measure().map_err(|error| format!("{name}: {error}"))?;
            if !is_json {
                io::stdout().write_all(section.to_table().as_bytes())?;
            }
            sections.push((name, section));
        }
    }
    if is_json {
        writeln!(io::stdout(), "{:#}", report::to_json(&sections))?;
    }
    Ok(())
}
