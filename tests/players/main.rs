//! Real players, a real origin server and real trackers around the `hlswarm` program.
//!
//! Run by `cargo test --test players -- --test-threads=1`, never by a plain `cargo test`: it takes
//! minutes and the tools that `tests/install-players.sh` installs. A test whose tools are missing
//! says `SKIPPED` and passes, except with `CI=true`. Everything happens on 127.0.0.1, or in a
//! network of the test's own.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "a failed test shows the logs of its processes")]

mod audience;
mod cost;
mod faults;
mod ffmpeg9;
mod hidden;
mod hostile;
mod http;
mod kodi;
mod kodi_watching;
#[path = "../ll_origin/mod.rs"]
#[expect(dead_code, reason = "publishing by hand is for the integration tests")]
mod ll_origin;
mod low_latency;
mod matrix;
mod page;
mod players;
mod process;
mod sharing;
mod streams;
mod swarm_exchange;
mod swarm_generations;
mod swarm_pages;
mod swarm_streams;
mod swarm_trouble;
mod watching;
mod world;
