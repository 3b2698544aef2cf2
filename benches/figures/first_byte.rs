//! The wait for a segment that nobody has: through the daemon against asking the origin directly.
//!
//! Pairs: each segment is asked for both ways, one right after the other, in alternating order,
//! over connections that are open already.

use std::time::Duration;

use crate::Outcome;
use crate::client::{Answer, Client};
use crate::origin::{self, Film};
use crate::process::Program;
use crate::report::{Row, Section, ratios};

const FILM: Film = Film { name: "cold", segments: 300, packets: 5_320 };

/// Measures.
///
/// # Errors
/// When a part does not start or a request fails.
pub fn measure() -> Outcome<Section> {
    let origin = origin::serve(FILM)?;
    let daemon = Program::daemon(&[("HLSWARM_P2P_ENABLED", "false")])?;
    let mut direct = Client::connect(origin)?;
    let mut through = Client::connect(daemon.address)?;
    through.text(&origin::through(origin, &FILM.playlist()))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..FILM.segments {
        let path = FILM.segment(number);
        let longer = origin::through(origin, &path);
        let is_even = number % 2 == 0;
        let before = if is_even { Some(direct.get(&path)?) } else { None };
        let cold = through.get(&longer)?;
        let bare = match before {
            Some(bare) => bare,
            None => direct.get(&path)?,
        };
        if !cold.head.contains("hlswarm; fwd=miss; detail=origin") {
            return Err(format!("segment {number} did not come from the origin").into());
        }
        // The first pair opens the daemon's connection to the origin.
        if number > 0 {
            ours.push(milliseconds(&cold));
            theirs.push(milliseconds(&bare));
        }
    }
    let added = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
    let ratio = ratios(&ours, &theirs);
    Ok(Section {
        title: "Time to the first byte of a segment nobody has (origin on loopback, no delay)"
            .to_owned(),
        rows: vec![
            Row::new("added_ms", "added by the daemon, ms", added),
            Row::new("daemon_ms", "through the daemon, ms", ours),
            Row::new("origin_ms", "directly from the origin, ms", theirs),
            Row::new("ratio", "through the daemon to directly", ratio),
        ],
        notes: Vec::new(),
    })
}

fn milliseconds(answer: &Answer) -> f64 {
    answer.first_byte.max(Duration::from_nanos(1)).as_secs_f64() * 1e3
}
