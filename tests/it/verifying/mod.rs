//! Right bytes only: peers that lie, and what a player gets all the same.

mod hashes;
mod liars;
mod scene;
